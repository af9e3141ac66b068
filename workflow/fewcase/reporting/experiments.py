"""Experiments as tables of numbers: what one asks for, looked up in the scores of its arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.reporting.audit import audit
from fewcase.reporting.contrasts import contrast
from fewcase.reporting.evidence import Evidence, Key
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.headline import HEADLINES, Headline
from fewcase.reporting.paper import published_table, read_paper
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

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

    Returns
    -------
    pandas.DataFrame
        A row for each arm; of a matrix with several measures, a row for each arm and measure, the
        arms of the first measure first. The column ``measure`` is there unless all is AUC.
    """
    if experiment.layout == "sites":
        return _tabulate_sites(experiment, scores)
    parts = [
        _tabulate_measure(experiment, HEADLINES[measure], scores, evidence.of(measure))
        for measure in experiment.measures
    ]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _tabulate_measure(
    experiment: Experiment, headline: Headline, scores: Scores, evidence: Evidence
) -> pd.DataFrame:
    table = _tabulate_arms(experiment, headline, scores)
    references = experiment.references_of_arms
    if experiment.value_column != "auc":
        table.insert(list(table.columns).index("leaky") + 1, "measure", headline.name)
    keys = [arm.key for arm in experiment.arms]
    parts = [table, contrast(keys, references, evidence, experiment.value_column)]
    if experiment.layout == "audit":
        parts.append(audit(keys, evidence))
    if experiment.layout == "matrix":
        named = [references.get(key, ("", ""))[0] for key in keys]
        parts.append(pd.DataFrame({"reference_arm": named}))
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


def _tabulate_arms(experiment: Experiment, headline: Headline, scores: Scores) -> pd.DataFrame:
    published = _read_published(experiment, headline.name)
    value = experiment.value_column
    rows = []
    for arm in experiment.arms:
        row = _identity(experiment, arm, scores)
        counts = ("runs", "examples", "patients", "positives", "negatives")
        mean = scores.get(arm, "cv", headline.mean)
        names = {"mean": "value", "sd": "sd", "low": "low", "high": "high", "method": "method"}
        row |= _columns_of(mean, {f"cv_{k}": v for k, v in names.items()})
        row |= _columns_of(mean, {f"cv_{k}": k for k in counts})
        pooled = {"": "value", "_low": "low", "_high": "high", "_method": "method"}
        row |= _columns_of(
            scores.get(arm, "cv", headline.pooled), {f"cv_pooled{k}": v for k, v in pooled.items()}
        )
        for name in TEST_SETS:
            ensemble = scores.get(arm, name, headline.ensemble)
            names = {value: "value", "low": "low", "high": "high", "method": "method"}
            row |= _columns_of(ensemble, {f"{name}_{k}": v for k, v in names.items()})
            over_runs = {f"{name}_mean": "value", f"{name}_sd": "sd"}
            over_runs |= {f"{name}_mean_{k}": k for k in ("low", "high")}
            row |= _columns_of(scores.get(arm, name, headline.mean), over_runs)
            row |= _columns_of(ensemble, {f"{name}_{k}": k for k in counts})
        if published is not None:
            found = _published_of(arm, published, experiment.layout == "matrix") or {}
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


def _read_published(experiment: Experiment, measure: str) -> pd.DataFrame | None:
    """Return what the paper reports of an experiment's arms by their factors, if it does."""
    if experiment.published is None:
        return None
    paper = read_paper(experiment.published)
    table = published_table(paper, experiment.name, measure).astype(str)
    factors = {str(column) for column in table.columns if column not in PUBLISHED}
    # A study may vary other things than the paper under the same name.
    if table.empty or not factors <= set(experiment.factors):
        return None
    in_matrix = experiment.layout == "matrix"
    rows = [_published_of(arm, table, in_matrix) for arm in experiment.arms]
    return table if any(row is not None for row in rows) else None


def _published_of(arm: Arm, table: pd.DataFrame, in_matrix: bool) -> dict[str, Any] | None:
    """Return the paper's row of an arm, if it has one.

    A factor that other arms of a matrix have and this one has not is no part of what it is, as the
    generator of a network that is trained on real images; the row must be the only one then.
    """
    factors = [str(column) for column in table.columns if column not in PUBLISHED]
    own = [name for name in factors if name in arm.factors]
    is_partial = len(own) < len(factors)
    if is_partial and (arm.is_classical or not in_matrix):
        return None
    chosen = table
    for name in own:
        chosen = chosen[chosen[name] == arm.level(name)]
    if chosen.empty or (is_partial and len(chosen) > 1):
        return None
    return {str(key): value for key, value in chosen.iloc[-1].items()}


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
