"""How a paper did it and how a study does: their settings, key by key."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fewcase.reporting.paper import Paper, Setting
from fewcase.reporting.text import factor_value
from fewcase.study.contents import SPLIT_FACTORS, Study
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

SETTING_COLUMNS = ["number", "key", "where", "paper", "ours", "state"]
SAME, OTHER, SILENT = "same", "other", "paper silent"


def facts_in_effect(study: Study, arm: str, split: str) -> dict[str, Any]:
    """Return what a run was done with, defaults included, as plain values by key path.

    Generators of one study differ in where they start: an arm without one has those of the first.
    """
    options = study.splits[split]
    target = study.targets[options.target]
    simulated = study.cohorts[study.cohort_of(split)].is_simulated
    facts: dict[str, Any] = {
        "data": "simulated" if simulated else "real",
        "seeds": len(study.seeds),
        "folds": options.folds,
        "inner_folds": options.inner_folds,
        "unit": study.unit,
        "split.scheme": options.scheme,
        "split.hold_out": [str(part) for part in options.hold_out],
        "split.duplicates": options.duplicates,
    }
    sections = {
        "target": target,
        "signal": study.signal,
        "images": study.images,
        "recipe": study.arms[arm],
    }
    if generators := {name: gan for name, gan in study.gans.items() if not gan.is_base}:
        own = study.arms[arm].gan
        sections["gan"] = generators.get(str(own), next(iter(generators.values())))
    for section, values in sections.items():
        for name, value in dataclasses.asdict(values).items():
            facts[f"{section}.{name}"] = value
    return facts


def compare_settings(paper: Paper, study: Study) -> pd.DataFrame:
    """Compare the paper's settings with those in effect for the study's default arm.

    Returns
    -------
    pandas.DataFrame
        Columns `SETTING_COLUMNS`; state is same, other or paper silent, and `number` counts the
        settings that are other.

    Raises
    ------
    InputError
        For a key path that no study has, with the nearest one.
    """
    default = study.default_arm
    facts = facts_in_effect(study, default.arm, default.split)
    rows, last = [], 0
    for entry in paper.settings:
        ours = _fact(facts, entry, study)
        state = SILENT if not entry.is_known else SAME if _equal(entry.value, ours) else OTHER
        last += state == OTHER
        rows.append(
            {
                "number": last if state == OTHER else "",
                "key": entry.key,
                "where": entry.where,
                "paper": factor_value(entry.value) if entry.is_known else "not said",
                "ours": factor_value(ours),
                "state": state,
            }
        )
    return pd.DataFrame(rows, columns=SETTING_COLUMNS)


def _fact(facts: Mapping[str, Any], entry: Setting, study: Study) -> Any:
    if entry.key in facts:
        return facts[entry.key]
    # Another kind of rule has other keys: this study's target is then something else altogether.
    # So has a study without generators.
    without_gans = entry.key.startswith("gan.") and not study.gans
    if entry.key.startswith("target.") or without_gans:
        return None
    raise InputError(f"paper: no study has the key path {entry.key!r}.{nearest(entry.key, facts)}")


def _equal(paper: Any, ours: Any) -> bool:
    if isinstance(paper, (list, tuple)) or isinstance(ours, (list, tuple)):
        return factor_value(paper) == factor_value(ours)
    numbers = (int, float)
    both = isinstance(paper, numbers) and isinstance(ours, numbers)
    if both and not isinstance(paper, bool) and not isinstance(ours, bool):
        # Papers round: 3,942 / 648 reads 6.08 or 6.083.
        return math.isclose(paper, ours, rel_tol=1e-3)
    return bool(paper == ours)


def differences(
    paper: Paper, study: Study, concern: str, arm: str = "", split: str = "", varied: Any = ()
) -> str:
    """Return how a number's settings differ from the paper's, key by key; empty where nothing."""
    known_arm = arm if arm in study.arms else study.default_arm.arm
    known_split = split if split in study.splits else study.default_arm.split
    facts = facts_in_effect(study, known_arm, known_split)
    classical = study.arms[known_arm].is_classical
    parts = []
    for entry in paper.settings:
        section, _, factor = entry.key.partition(".")
        skipped = section == "recipe" and (factor in varied or classical)
        skipped |= section == "split" and factor in SPLIT_FACTORS and factor in varied
        skipped |= section == "gan" and study.arms[known_arm].gan is None
        if skipped or concern not in entry.concerns or not entry.is_known:
            continue
        ours = _fact(facts, entry, study)
        if not _equal(entry.value, ours):
            parts.append(f"{entry.key}: {factor_value(ours)}, paper {factor_value(entry.value)}")
    return "; ".join(parts)
