"""Experiments as tables of numbers: what one asks for, looked up in the scores of its arms."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.reporting.audit import audit
from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.contrasts import contrast
from fewcase.reporting.evidence import Evidence, Key
from fewcase.reporting.paper import published_table, read_paper
from fewcase.reporting.text import factor_value
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.recipe import CLASSICAL_FACTORS, CLASSICAL_MODELS, FACTORS
from fewcase.study.words import LAYOUTS

NUMBERS = (
    "value",
    "sd",
    "low",
    "high",
    "runs",
    "examples",
    "patients",
    "positives",
    "negatives",
)
MACHINE = ("weights", "precision", "device")
TEST_SETS = ("test", "external", "temporal")
PUBLISHED = ("cv_mean", "cv_sd", "test")
COUNTED_PREFIXES = ("cv", "published", "shortcut", "audit", *TEST_SETS)
LOOKED_UP_BY = ("arm", "split", "set", "statistic")
NOTHING = Evidence()


@dataclasses.dataclass(frozen=True)
class Arm:
    """One row of an experiment: an arm under a split, and the factors that are varied.

    Attributes
    ----------
    leaky
        Whether the same people or copies are on two sides of the split.
    notes
        What the certificates of the split say of its numbers.
    """

    arm: str
    split: str
    factors: dict[str, Any]
    leaky: bool
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Arm and split: what its scores, runs and units are looked up by."""
        return self.arm, self.split

    @property
    def is_classical(self) -> bool:
        """Whether it is fitted to features: weights, augmentation and the like are not its own."""
        return self.arm.partition("+")[0] in CLASSICAL_MODELS

    def level(self, factor: str) -> str:
        """Return the level of a factor in words, empty where it says nothing about this arm."""
        if factor not in self.factors:
            return ""
        if self.is_classical and factor in FACTORS and factor not in CLASSICAL_FACTORS:
            return ""
        return factor_value(self.factors[factor])


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What `tabulate_experiment.py` is asked to show.

    `vary` is for the figure alone: a table is laid out by what it holds.

    Attributes
    ----------
    reference
        The arm that the others of its split are compared with, by split.
    selection
        Whether one of the arms may be reported as the winner.
    """

    name: str
    title: str
    layout: str
    vary: dict[str, list[Any]]
    arms: tuple[Arm, ...]
    simulated: bool
    published: Path | None
    reference: dict[str, str] = dataclasses.field(default_factory=dict)
    selection: bool = False

    @property
    def references(self) -> dict[str, str]:
        """The reference arm of every split; where none was named, the first arm under it."""
        first = {arm.split: arm.arm for arm in reversed(self.arms)}
        return {split: self.reference.get(split, name) for split, name in first.items()}

    @property
    def leaky(self) -> str:
        """``all``, ``some`` or ``none``: which arms are under a leaky split."""
        leaky = {arm.leaky for arm in self.arms}
        return "none" if True not in leaky else "some" if False in leaky else "all"

    def certified(self, standings: Mapping[str, Standing]) -> Experiment:
        """Return the same experiment with what the certificates of its splits say."""
        arms = []
        for arm in self.arms:
            found = standing_in(standings, arm.split)
            leaky = arm.leaky or found.leaky
            arms.append(dataclasses.replace(arm, leaky=leaky, notes=found.notes))
        return dataclasses.replace(self, arms=tuple(arms))

    @property
    def factors(self) -> list[str]:
        """Every factor that tells arms apart: the varied ones, slowest first, then the others.

        The order of the study file is that of the arms, every combination in turn with the last
        factor fastest; the keys of a JSON object have none.
        """
        crossed = [arm for arm in self.arms if set(self.vary) <= set(arm.factors)]

        def changes(name: str) -> int:
            levels = [factor_value(arm.factors[name]) for arm in crossed]
            return sum(one != two for one, two in itertools.pairwise(levels))

        named = dict.fromkeys(sorted(self.vary, key=changes))
        for arm in self.arms:
            named.update(dict.fromkeys(arm.factors))
        return list(named)


def read_experiment(text: str) -> Experiment:
    """Read an experiment from JSON.

    Keys: name, title, layout, vary (lists of levels by factor), arms (each with arm, split,
    factors and, optionally, leaky), simulated, leaky (of all arms), published (path or null),
    reference (arm by split; the first arm of a split where it is not named), selection (whether
    the winner is reported).

    It comes on the command line: an arm takes some 150 bytes here and 70 for the path of its
    scores, so the 128 KiB that Linux allows one argument, the shell's whole line, hold about 500.

    Raises
    ------
    InputError
        Where a key is missing or the layout unknown.
    """
    try:
        values = json.loads(text)
        leaky = bool(values.get("leaky", False))
        arms = tuple(
            Arm(a["arm"], a["split"], dict(a["factors"]), bool(a.get("leaky", leaky)))
            for a in values["arms"]
        )
        published = values.get("published")
        experiment = Experiment(
            name=values["name"],
            title=values.get("title") or values["name"],
            layout=values["layout"],
            vary=dict(values.get("vary") or {}),
            arms=arms,
            simulated=bool(values["simulated"]),
            published=Path(published) if published else None,
            reference=dict(values.get("reference") or {}),
            selection=bool(values.get("selection", False)),
        )
    except ValueError as error:
        raise InputError(f"--experiment: not JSON ({error}).") from None
    except (KeyError, TypeError) as error:
        raise InputError(f"--experiment: key {error} is missing or of the wrong type.") from None
    if experiment.layout not in LAYOUTS:
        raise InputError(
            f"experiment {experiment.name}: no layout {experiment.layout!r}."
            f"{nearest(experiment.layout, LAYOUTS)}"
        )
    for split, name in experiment.reference.items():
        known = [arm.arm for arm in experiment.arms if arm.split == split]
        if known and name not in known:
            raise InputError(
                f"experiment {experiment.name}: the reference arm {name!r} is not among its arms "
                f"under split {split!r}.{nearest(name, known)}"
            )
    return experiment


class Scores:
    """The scores of arms, looked up by arm, split, set and statistic.

    Attributes
    ----------
    table
        All rows.
    files
        Arm and split of each file that they were read from.
    """

    def __init__(self, table: pd.DataFrame, files: Sequence[Key] = ()) -> None:
        self.table = table
        self.files = tuple(files)
        classes = table["class"].fillna("") if "class" in table else [""] * len(table)
        keys = zip(*(table[name] for name in LOOKED_UP_BY), classes, strict=True)
        self._rows: dict[tuple[str, ...], dict[str, Any]] = {
            key: {str(name): value for name, value in row.items()}
            for key, row in zip(keys, table.to_dict("records"), strict=True)
        }
        self._sets: dict[Key, list[str]] = {}
        self._classes: dict[Key, list[str]] = {}
        for arm, split, name, _, of_class in self._rows:
            sets = self._sets.setdefault((arm, split), [])
            if name not in sets:
                sets.append(name)
            named = self._classes.setdefault((arm, split), [])
            if of_class and of_class not in named:
                named.append(of_class)

    @classmethod
    def read(cls, files: Sequence[Path]) -> Scores:
        """Read the summaries that the score stage wrote."""
        parts = [pd.read_csv(path, keep_default_na=False, dtype=str) for path in files]
        keys = [(part["arm"].iloc[0], part["split"].iloc[0]) for part in parts if len(part)]
        table = pd.concat(parts, ignore_index=True)
        table[list(NUMBERS)] = table[list(NUMBERS)].apply(pd.to_numeric)
        for column in MACHINE:
            if column not in table:
                table[column] = ""
        return cls(table.fillna(dict.fromkeys(MACHINE, "")), keys)

    def sets(self, arm: Arm) -> list[str]:
        """Return the names of the sets that an arm was scored on."""
        if (arm.arm, arm.split) not in self._sets:
            known = [a for a, split in self._sets if split == arm.split]
            raise InputError(
                f"scores: nothing for arm {arm.arm!r} under split {arm.split!r}; give the file of "
                f"its scores.{nearest(arm.arm, known)}"
            )
        return self._sets[arm.arm, arm.split]

    def classes(self, arm: Arm) -> list[str]:
        """Return the classes that an arm was scored on one by one; none where there are two."""
        self.sets(arm)
        return self._classes[arm.key]

    def get(self, arm: Arm, name: str, statistic: str, of_class: str = "") -> dict[str, Any] | None:
        """Return the row of a set and statistic, or None where the arm has no such set."""
        return self._rows.get((arm.arm, arm.split, name, statistic, of_class))

    def machine(self, arm: Arm) -> dict[str, str]:
        """Return weights, precision and device of an arm; a classical one has the last alone."""
        row = self.get(arm, self.sets(arm)[0], "auc_mean") or {}
        said = {key: row.get(key, "") for key in MACHINE}
        return said | {"weights": "", "precision": ""} if arm.is_classical else said


def tabulate(experiment: Experiment, scores: Scores, evidence: Evidence = NOTHING) -> pd.DataFrame:
    """Return the numbers of an experiment, full precision: its CSV file.

    Parameters
    ----------
    experiment
        Which arms, and what to show of them.
    scores
        Their summaries.
    evidence
        Their runs and units, from which they are compared with each other and with shortcuts;
        without it, comparisons are empty and say why.
    """
    if experiment.layout == "sites":
        return _tabulate_sites(experiment, scores)
    table = _tabulate_arms(experiment, scores)
    keys = [arm.key for arm in experiment.arms]
    parts = [table, contrast(keys, experiment.references, evidence)]
    if experiment.layout == "audit":
        parts.append(audit(keys, evidence))
    return pd.concat(parts, axis=1)


def _columns_of(found: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any]:
    return {column: "" if found is None else found[source] for column, source in names.items()}


def _identity(experiment: Experiment, arm: Arm, scores: Scores) -> dict[str, Any]:
    return {
        **{name: arm.level(name) for name in experiment.factors},
        "arm": arm.arm,
        "split": arm.split,
        "leaky": "yes" if arm.leaky else "no",
        # A varied factor may itself be the weights: what the runs report then needs another name.
        **{f"run_{key}": value for key, value in scores.machine(arm).items()},
    }


def _tabulate_arms(experiment: Experiment, scores: Scores) -> pd.DataFrame:
    published = _read_published(experiment)
    rows = []
    for arm in experiment.arms:
        row = _identity(experiment, arm, scores)
        counts = ("runs", "examples", "patients", "positives", "negatives")
        mean = scores.get(arm, "cv", "auc_mean")
        names = {"mean": "value", "sd": "sd", "low": "low", "high": "high", "method": "method"}
        row |= _columns_of(mean, {f"cv_{k}": v for k, v in names.items()})
        row |= _columns_of(mean, {f"cv_{k}": k for k in counts})
        pooled = {"": "value", "_low": "low", "_high": "high", "_method": "method"}
        row |= _columns_of(
            scores.get(arm, "cv", "auc_pooled"), {f"cv_pooled{k}": v for k, v in pooled.items()}
        )
        for name in TEST_SETS:
            ensemble = scores.get(arm, name, "auc_ensemble")
            names = {"auc": "value", "low": "low", "high": "high", "method": "method"}
            row |= _columns_of(ensemble, {f"{name}_{k}": v for k, v in names.items()})
            over_runs = {f"{name}_mean": "value", f"{name}_sd": "sd"}
            over_runs |= {f"{name}_mean_{k}": k for k in ("low", "high")}
            row |= _columns_of(scores.get(arm, name, "auc_mean"), over_runs)
            row |= _columns_of(ensemble, {f"{name}_{k}": k for k in counts})
        if published is not None:
            found = published.get(tuple(str(row[name]) for name in published["factors"]), {})
            row |= {f"published_{k}": found.get(k, "") for k in PUBLISHED}
        rows.append(row)
    table = pd.DataFrame(rows)
    for column in filter(_is_number, map(str, table.columns)):
        table[column] = pd.to_numeric(table[column])
    return table


def _is_number(column: str) -> bool:
    prefix, _, quantity = column.partition("_")
    of_words = not quantity or quantity.endswith(("method", "partner"))
    return prefix in COUNTED_PREFIXES and not of_words


def _read_published(experiment: Experiment) -> dict[Any, Any] | None:
    """Return what the paper reports of an experiment by its factors, if it does."""
    if experiment.published is None:
        return None
    table = published_table(read_paper(experiment.published), experiment.name).astype(str)
    factors = [str(column) for column in table.columns if column not in PUBLISHED]
    # A study may vary other things than the paper under the same name.
    if table.empty or not set(factors) <= set(experiment.factors):
        return None
    values: dict[Any, Any] = {"factors": factors}
    for row in table.to_dict("records"):
        key = tuple(str(row[name]) for name in factors)
        values[key] = {name: row.get(name, "") for name in PUBLISHED}
    ours = {tuple(arm.level(name) for name in factors) for arm in experiment.arms}
    return values if ours & values.keys() else None


SITE_COLUMNS = {
    "auc": "value",
    "sd": "sd",
    "low": "low",
    "high": "high",
    "method": "method",
    **{name: name for name in ("runs", "examples", "patients", "positives", "negatives")},
}


def _tabulate_sites(experiment: Experiment, scores: Scores) -> pd.DataFrame:
    rows = []
    for arm in experiment.arms:
        sets = scores.sets(arm)
        identity = _identity(experiment, arm, scores)
        for name in sets:
            site = name.partition(":")[2]
            if name == "cv":
                kind = "cross-validation"
                statistics: tuple[str, ...] = ("auc_mean", "auc_pooled")
            elif name.startswith("cv-site:"):
                kind, statistics = "cross-validation, one site", ("auc_pooled",)
            elif name.startswith("test-site:"):
                trained_on = f"cv-site:{site}" in sets
                kind = "temporal test" if trained_on else "external test"
                statistics = ("auc_ensemble", "auc_mean")
            else:
                continue
            for statistic in statistics:
                found = scores.get(arm, name, statistic)
                if found is not None:
                    facts = {"evaluation": kind, "site": site, "statistic": statistic}
                    rows.append(identity | facts | _columns_of(found, SITE_COLUMNS))
    return pd.DataFrame(rows)
