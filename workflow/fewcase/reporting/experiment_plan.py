"""What the table of an experiment is asked to show: its arms, their factors and its measures."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.evidence import Key
from fewcase.reporting.headline import HEADLINES, Headline
from fewcase.reporting.text import VALUE_TITLES, factor_value
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.recipe import CLASSICAL_FACTORS, CLASSICAL_MODELS, FACTORS
from fewcase.study.words import LAYOUTS, MEASURES

Levels = tuple[str, ...]
"""Levels of some factors, in words."""


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

    `vary` says what lies on the axis of a sweep and in the columns of a matrix: all else is laid
    out by what the table holds.

    Attributes
    ----------
    reference
        The arm that the others of its split are compared with, by split.
    selection
        Whether one of the arms may be reported as the winner.
    measures
        What it is about, of `fewcase.study.words.MEASURES`: one, or of a matrix several of which
        the first is the headline.
    columns
        Of a matrix, the factor whose levels are its columns; empty: the last that is varied.
    names
        What levels of factors are called where they are shown, by level; an empty name leaves one
        out of the title of a row.
    class_names
        Names of the classes by split, in the order of the labels.
    unit
        What an example is, one of `fewcase.study.words.UNIT_KINDS`.
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
    measures: tuple[str, ...] = ("auc",)
    columns: str = ""
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    class_names: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    unit: str = "window"

    @property
    def headline(self) -> Headline:
        """The measure that it is about."""
        return HEADLINES[self.measures[0]]

    @property
    def is_about_auc(self) -> bool:
        """Whether it is about AUCs alone."""
        return self.measures == ("auc",)

    @property
    def value_column(self) -> str:
        """How columns of values end: a matrix may have several measures in one column."""
        return "auc" if self.headline.is_auc and self.layout != "matrix" else "value"

    @property
    def has_several_classes(self) -> bool:
        """Whether there are more than two, so that no example is positive."""
        return any(len(names) > 2 for names in self.class_names.values())

    @property
    def guessing(self) -> float | None:
        """What guessing reaches of the headline, where that is one number for all studies."""
        if self.headline.is_auc:
            return 0.5
        numbers = {len(names) for names in self.class_names.values()}
        if self.headline.name == "balanced_accuracy" and len(numbers) == 1:
            return 1 / numbers.pop()
        return None

    def class_name(self, split: str, number: str) -> str:
        """Return the name of a class under a split; its number where no name is known."""
        names = self.class_names.get(split, ())
        known = number.isdecimal() and int(number) < len(names)
        return names[int(number)] if known else number

    def word(self, level: str) -> str:
        """Return what a level of a factor, in words, is called where it is shown."""
        return self.names.get(level, VALUE_TITLES.get(level, level))

    @property
    def column_factor(self) -> str:
        """The factor whose levels are the columns of a matrix."""
        varied = [name for name in self.factors if name in self.vary]
        return self.columns or (varied or self.factors or [""])[-1]

    def row_of(self, arm: Arm) -> Levels:
        """Return the levels that an arm shares with its row of a matrix."""
        return tuple(arm.level(name) for name in self.factors if name != self.column_factor)

    @property
    def references_of_arms(self) -> dict[Key, Key]:
        """The arm that each is compared with, itself of a reference.

        In a matrix it is the arm in the same column and in the row of the split's reference; an
        arm has none where there is no such cell.
        """
        named = {split: (arm, split) for split, arm in self.references.items()}
        if self.layout != "matrix":
            return {arm.key: named[arm.split] for arm in self.arms}
        rows = {arm.key: self.row_of(arm) for arm in self.arms}
        cells = {
            (arm.split, arm.level(self.column_factor), rows[arm.key]): arm.key for arm in self.arms
        }
        found = {}
        for arm in self.arms:
            place = (arm.split, arm.level(self.column_factor), rows[named[arm.split]])
            if place in cells:
                found[arm.key] = cells[place]
        return found

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
    the winner is reported), measure (auc where it is not named), measures and columns (of a
    matrix), names (words by level), class_names (lists by split), unit (window, image or tile).

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
            measures=tuple(values.get("measures") or [values.get("measure") or "auc"]),
            columns=values.get("columns") or "",
            names=dict(values.get("names") or {}),
            class_names={k: tuple(v) for k, v in (values.get("class_names") or {}).items()},
            unit=values.get("unit") or "window",
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
    for measure in experiment.measures:
        if measure not in MEASURES:
            raise InputError(
                f"experiment {experiment.name}: no measure {measure!r}.{nearest(measure, MEASURES)}"
            )
    if experiment.layout == "sites" and not experiment.is_about_auc:
        raise InputError(
            f"experiment {experiment.name}: layout sites knows auc alone, but its measures are "
            f"{list(experiment.measures)}. Take another layout."
        )
    _check_cells(experiment)
    for split, name in experiment.reference.items():
        known = [arm.arm for arm in experiment.arms if arm.split == split]
        if known and name not in known:
            raise InputError(
                f"experiment {experiment.name}: the reference arm {name!r} is not among its arms "
                f"under split {split!r}.{nearest(name, known)}"
            )
    return experiment


def _check_cells(experiment: Experiment) -> None:
    """Check that no two arms are in one cell of a matrix, and that it has its columns."""
    if experiment.layout != "matrix" or not experiment.arms:
        return
    factor = experiment.column_factor
    if factor not in experiment.factors:
        raise InputError(
            f"experiment {experiment.name}: no factor {factor!r} for the columns."
            f"{nearest(factor, experiment.factors)}"
        )
    cells: dict[tuple[Levels, str], Arm] = {}
    for arm in experiment.arms:
        other = cells.setdefault((experiment.row_of(arm), arm.level(factor)), arm)
        if other is not arm:
            raise InputError(
                f"experiment {experiment.name}: arms {other.arm!r} and {arm.arm!r} have the same "
                f"levels of {', '.join(experiment.factors)}, and so one cell of the matrix. Vary "
                "the factor that tells them apart, or drop one."
            )
