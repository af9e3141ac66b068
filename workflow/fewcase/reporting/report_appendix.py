"""The appendix of a study's page: its arms, versions of packages, and the study in effect."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewcase.data.files import read_json
from fewcase.reporting.display import DisplayTable
from fewcase.reporting.report_sections import Section, table_of
from fewcase.reporting.text import factor_title, factor_value
from fewcase.study.errors import InputError
from fewcase.study.recipe import CLASSICAL_FACTORS, CLASSICAL_MODELS, FACTORS, SIGNAL_FACTORS

PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "timm", "matplotlib")
READERS = {"window": ("wfdb",), "image": ("pillow", "tifffile"), "tile": ("pillow", "tifffile")}
"""Packages that read the records of a cohort, by its unit."""


def appendix_sections(arms: Path, study: Path, units: Sequence[str]) -> list[Section]:
    """Return the sections of the appendix.

    Parameters
    ----------
    arms, study
        arms.csv and study.json of the plan.
    units
        Units of the study's cohorts, see `fewcase.study.words.NOUNS`.
    """
    effective = json.dumps(read_json(study), indent=2, ensure_ascii=False)
    return [
        Section(
            "arms",
            "Arms",
            tables=tuple(arm_tables(arms, signals="window" in units)),
            text="An arm is a recipe: everything that fixes a training apart from split, seed and "
            "fold.",
        ),
        Section("versions", "Versions", tables=(_version_table(units),)),
        Section("study", "The study in effect", verbatim=effective),
    ]


def arm_tables(path: Path, signals: bool = True) -> list[DisplayTable]:
    """Return the factors in which arms differ, arm by arm, and those that they share, once.

    `signals` is whether any cohort is of signals; without, factors that draw them say nothing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        arms = [_readable(arm) for arm in csv.DictReader(file)]
    if not arms:
        raise InputError(f"{path}: no arms; run the plan stage again.")
    idle = {"arm", *(() if signals else SIGNAL_FACTORS)}
    factors = [name for name in arms[0] if name not in idle]
    varied = [name for name in factors if len({arm[name] for arm in arms} - {"–"}) > 1]
    shared = {name: _shared_level(arms, name) for name in factors if name not in varied}
    dashed = any(arm[name] == "–" for arm in arms for name in varied)
    reading = "How to read: each row is an arm, each column a factor that not all arms share"
    applies = "; a dash: it says nothing about an arm that is fitted to features" if dashed else ""
    return [
        table_of(
            "What differs",
            ["Arm", *map(factor_title, varied)],
            [[arm["arm"], *(arm[name] for name in varied)] for arm in arms],
            f"{reading}{applies}.",
            1 + len(varied),
        ),
        table_of(
            "What all arms share",
            ["Factor", "Value"],
            [[factor_title(name), level] for name, level in shared.items()],
            "How to read: each row is a factor with the one level that all arms have.",
            2,
        ),
    ]


def _readable(arm: Mapping[str, str]) -> dict[str, str]:
    """Return the factors of an arm in words: options beside their model, a dash for what is not."""
    model = arm["model"]
    kept = CLASSICAL_FACTORS if model in CLASSICAL_MODELS else FACTORS
    levels = {name: text or ("none" if name in kept else "–") for name, text in arm.items()}
    levels.pop("model_options", None)
    options = json.loads(arm.get("model_options") or "{}")
    return levels | {"arm": arm["arm"], "model": factor_value({"name": model, **options})}


def _shared_level(arms: Sequence[Mapping[str, str]], name: str) -> str:
    return next((arm[name] for arm in arms if arm[name] != "–"), "–")


def _version_table(units: Sequence[str]) -> DisplayTable:
    rows = [["Python", platform.python_version()]]
    readers = [name for unit in units for name in READERS[unit]]
    for name in dict.fromkeys([*PACKAGES, *readers]):
        try:
            rows.append([name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            rows.append([name, "not installed"])
    reading = "How to read: each row is a package and the version that made this page."
    return table_of("Where this page was made", ("Package", "Version"), rows, reading, 2)
