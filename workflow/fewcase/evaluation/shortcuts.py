"""Shortcut baselines of a split: fitted to every fold, and scored as an arm is."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pandas as pd

from fewcase.evaluation.curves import CURVE_COLUMNS
from fewcase.evaluation.scores import (
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    Scored,
    join_scored,
    score_arm,
)
from fewcase.statistics.calibration import Prevalence
from fewcase.study.words import SHORTCUT_PREFIX
from fewcase.training.fit import fit_shortcut, fitted_prevalence
from fewcase.training.run_data import gather_run

_UNIT_COLUMNS = ("set", "unit", "patient", "site", "test_set", "label", "score", "probability")

logger = logging.getLogger(__name__)


def score_shortcuts(
    columns: Mapping[str, pd.DataFrame],
    splits: Mapping[int, tuple[pd.DataFrame, pd.DataFrame]],
    *,
    split: str,
    unit: str = "example",
) -> Scored:
    """Fit shortcuts to every seed and fold of a split, and score them.

    Parameters
    ----------
    columns
        By shortcut, as `fewcase.models.shortcuts.gather_columns` returns them.
    splits
        By seed, split and samples, as `read_split` and `read_samples` return them.
    split
        Name of the split.
    unit
        What scores are averaged over, see `score_arm`.

    Returns
    -------
    Scored
        Of all shortcuts in the order given, each named ``shortcut:`` and its name; without any,
        tables without lines. Every bag that the samples hold has its own fit, and their logits
        are averaged.
    """
    predictions: dict[str, list[pd.DataFrame]] = {name: [] for name in columns}
    prevalences = {}
    for seed, (table, samples) in splits.items():
        for fold in range(int(table["fold"].max()) + 1):
            data = gather_run(table, samples, fold, int(samples["bag"].max()) + 1)
            prevalences[seed, fold] = Prevalence(data.prevalence, tuple(fitted_prevalence(data)))
            for name, chosen in columns.items():
                found = fit_shortcut(chosen, data)
                predictions[name].append(found.assign(seed=seed, fold=fold, inner=0))
    expected = {seed: _validated(table) for seed, (table, _) in splits.items()}
    scored = {}
    for name, parts in predictions.items():
        scored[SHORTCUT_PREFIX + name] = score_arm(
            pd.concat(parts, ignore_index=True),
            arm=SHORTCUT_PREFIX + name,
            split=split,
            unit=unit,
            expected=expected,
            prevalences=prevalences,
        )
        logger.info("shortcut %s: scored on %d runs", name, len(parts))
    return join_scored(scored) if scored else _no_scores()


def _no_scores() -> Scored:
    summary, runs, units, curves = (
        pd.DataFrame(columns=list(dict.fromkeys(("arm", *names))))
        for names in (SUMMARY_COLUMNS, RUN_COLUMNS, _UNIT_COLUMNS, CURVE_COLUMNS)
    )
    return Scored(summary, runs, units, curves, 2)


def _validated(split: pd.DataFrame) -> list[str]:
    return split.loc[split["fold"] >= 0, "example"].tolist()
