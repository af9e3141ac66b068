"""Words that a study file, its predictions and its tables have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

LAYOUTS = ("grid", "sweep", "sites", "audit", "matrix")
"""Forms of an experiment's table and figure."""

MEASURES = ("auc", "accuracy", "balanced_accuracy", "top3_accuracy")
"""What tables and figures of an experiment may be about, see `measures_of`."""

TOP = 3
"""Among how many classes with the highest scores `top3_accuracy` looks for the right one."""

UNITS = ("example", "parent", "patient")
"""What a score may be averaged over: windows, recordings or people."""

ROLES = ("inner", "validation", "test")
"""What an example is predicted for in one run: early stopping, cross-validation, or a test set."""

DUPLICATE_POLICIES = ("group", "drop", "fail", "ignore")
"""What is done with copies of an example under other names."""

SHORTCUTS = ("prior", "file", "signal", "four_features", "pixels", "metadata")
"""Cheap baselines that stand beside every model, in the order in which tables list them."""

METADATA_COLUMNS = ("site", "year", "maternal_age", "gestational_weeks")
"""Columns of a record that the shortcut `metadata` looks at unless a study names its own."""

SHORTCUT_PREFIX = "shortcut:"
"""What the name of a shortcut begins with where it stands among the names of arms."""

IMAGE_SHORTCUTS = tuple(name for name in SHORTCUTS if name not in ("signal", "four_features"))
"""Those of `SHORTCUTS` that cohorts of images can have."""


@dataclasses.dataclass(frozen=True)
class Nouns:
    """What sentences call the things of a cohort.

    Attributes
    ----------
    record, records
        What was acquired.
    example, examples
        What a network sees of it.
    site, sites
        Where it was acquired.
    """

    record: str
    records: str
    example: str
    examples: str
    site: str
    sites: str


NOUNS = {
    "window": Nouns("recording", "recordings", "window", "windows", "hospital", "hospitals"),
    "image": Nouns("image", "images", "image", "images", "site", "sites"),
    "tile": Nouns("image", "images", "tile", "tiles", "site", "sites"),
}
"""By unit: what a network sees of a record (see `fewcase.study.contents.Cohort.unit`)."""

UNIT_KINDS = tuple(NOUNS)


def measures_of(classes: int) -> tuple[str, ...]:
    """Return those of `MEASURES` that tell something of a target with so many classes."""
    return MEASURES if classes > TOP else MEASURES[:-1]


def shortcuts_of(unit: str) -> tuple[str, ...]:
    """Return the shortcut baselines that cohorts of a unit have unless a study names its own."""
    return SHORTCUTS if unit == "window" else IMAGE_SHORTCUTS


def records_of(units: Iterable[str]) -> str:
    """Return what the records of several cohorts are called together."""
    return " and ".join(dict.fromkeys(NOUNS[unit].records for unit in units))
