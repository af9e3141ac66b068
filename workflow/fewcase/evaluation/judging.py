"""The rows of an arm's summary and curves, set by set, for two classes and for several."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fewcase.evaluation import curves, multiclass
from fewcase.evaluation.measures import (
    Thresholds,
    average_precision_of,
    ensemble_decisions,
    measure_scores,
    missing_class,
    out_of_fold_decisions,
    without_interval,
)
from fewcase.evaluation.predictions import Encoded, ScoreTable, score_table
from fewcase.evaluation.sets import LABEL, PART, WHOLE, ScoredSet
from fewcase.statistics.intervals import (
    Estimate,
    estimate_auc,
    mean_over_folds,
    ratio_to_training,
    undefined,
)
from fewcase.statistics.metrics import FloatArray, average_precision

Found = Mapping[tuple[str, str], Estimate]
"""Estimates by statistic and class; the class is empty where it is not one of several."""


def judge(
    scored: ScoredSet, encoded: Encoded, thresholds: Thresholds, of_folds: Estimate
) -> list[dict[str, Any]]:
    """Return the rows of the summary about one set.

    Parameters
    ----------
    scored
        The set.
    encoded
        Whose rows it has.
    thresholds
        Of the arm; not used with more than two classes.
    of_folds
        Mean AUC over the runs' validation parts, for the set ``cv``.
    """
    table = score_table(scored.rows, "run" if scored.held_out else "seed")
    found: dict[tuple[str, str], Estimate] = {}
    if scored.name == "cv":
        found["auc_mean", ""] = of_folds
    if scored.problem:
        found[_main_auc(scored), ""] = undefined(scored.problem)
        found["average_precision", ""] = undefined(scored.problem)
    elif encoded.classes == 2:
        found.update(((name, ""), value) for name, value in _rank_two(scored, table).items())
        if scored.depth != LABEL:
            found.update(_decide_two(scored, table, thresholds))
        if scored.depth == WHOLE:
            found.update(_calibrate_two(scored, table, encoded.correction))
    else:
        found.update(_judge_several(scored, table, encoded))
    runs = len(np.unique(scored.rows["run"]))
    return [
        _row(scored.name, statistic, class_name, value, table, runs)
        for (statistic, class_name), value in found.items()
    ]


def _main_auc(scored: ScoredSet) -> str:
    return "auc_ensemble" if scored.held_out else "auc_pooled"


def _row(
    name: str, statistic: str, class_name: str, found: Estimate, table: ScoreTable, runs: int
) -> dict[str, Any]:
    positive = table.labels == int(class_name) if class_name else table.labels > 0
    return {
        "set": name,
        "statistic": statistic,
        "class": class_name,
        **dataclasses.asdict(found),
        "runs": runs,
        "examples": table.examples,
        "patients": len(np.unique(table.patients)),
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
    }


def mean_auc_over_folds(runs: pd.DataFrame) -> Estimate:
    """Return the mean AUC of the validation parts, with the corrected resampled t interval.

    Parameters
    ----------
    runs
        Columns seed, fold, set, n and auc; those of the runs themselves.
    """
    sizes: dict[str, dict[tuple[int, int], int]] = {"validation": {}, "inner": {}}
    for seed, fold, name, n in zip(*(runs[c] for c in ("seed", "fold", "set", "n")), strict=True):
        if name in sizes:
            sizes[name][seed, fold] = n
    ratio = ratio_to_training(sizes["validation"], sizes["inner"])
    if not np.isfinite(ratio):
        return undefined("a seed has one fold only")
    return mean_over_folds(runs.loc[runs["set"] == "validation", "auc"], ratio)


def _models(scored: ScoredSet, values: FloatArray) -> FloatArray:
    """Return the scores that are measured: of each seed, or on a test set the mean over runs."""
    return values.mean(axis=0, keepdims=True) if scored.held_out else values


def _rank_two(scored: ScoredSet, table: ScoreTable) -> dict[str, Estimate]:
    about = table.labels, table.patients
    scores = _models(scored, table.scores())
    found = {_main_auc(scored): estimate_auc(scores, *about)}
    if scored.held_out:
        found["auc_mean"] = estimate_auc(table.scores(), *about)
    if scored.depth == LABEL:
        found["average_precision"] = average_precision_of(scores, *about)
    elif scored.depth == PART:
        reason = missing_class(table.labels)
        found["average_precision"] = (
            undefined(reason)
            if reason
            else without_interval(
                float(np.mean([average_precision(row, table.labels) for row in scores]))
            )
        )
    return found


def _decide_two(scored: ScoredSet, table: ScoreTable, thresholds: Thresholds) -> Found:
    decided = (
        ensemble_decisions(table, thresholds)
        if scored.held_out
        else out_of_fold_decisions(scored.rows, thresholds)
    )
    if scored.depth == PART:
        decided.pop("threshold")
    return {(name, ""): value for name, value in decided.items()}


def _calibrate_two(scored: ScoredSet, table: ScoreTable, correction: str) -> Found:
    measured = measure_scores(
        _models(scored, table.scores()),
        _models(scored, table.scores("probability_1")),
        table.labels,
        table.patients,
        correction,
    )
    return {(name, ""): value for name, value in measured.items()}


def _judge_several(scored: ScoredSet, table: ScoreTable, encoded: Encoded) -> Found:
    about = table.labels, table.patients
    of_runs = multiclass.class_scores(table, encoded.classes)
    scores = _models(scored, of_runs)
    found: dict[tuple[str, str], Estimate] = {
        (_main_auc(scored), name): value
        for name, value in multiclass.measure_auc(scores, *about).items()
    }
    if scored.held_out:
        found |= {
            ("auc_mean", name): value
            for name, value in multiclass.measure_auc(of_runs, *about).items()
        }
    if scored.depth == PART:
        found |= multiclass.ranking_values(scores, table.labels)
    else:
        found |= multiclass.measure_ranking(scores, *about)
    if scored.depth != LABEL:
        found |= multiclass.measure_decisions(scores, *about)
    if scored.depth == WHOLE:
        corrected = _models(scored, multiclass.class_scores(table, encoded.classes, "probability"))
        calibration = multiclass.measure_calibration(corrected, *about)
        raw = (
            multiclass.measure_calibration(scores, *about)
            if not encoded.correction
            else calibration
        )
        found |= {(f"{name}_raw", ""): value for name, value in raw.items()}
        for name, value in calibration.items():
            note = f"; {encoded.correction}" if encoded.correction else ""
            found[name, ""] = dataclasses.replace(value, method=value.method + note)
    return found


def draw_curves(scored: ScoredSet, encoded: Encoded) -> pd.DataFrame:
    """Return the curves of one set, columns `fewcase.evaluation.curves.CURVE_COLUMNS`."""
    table = score_table(scored.rows, "run" if scored.held_out else "seed")
    parts: dict[tuple[str, str], curves.Curve] = {}
    if encoded.classes == 2:
        scores = _models(scored, table.scores())
        probabilities = _models(scored, table.scores("probability_1"))
        positive = table.labels == 1
        parts["roc", ""] = curves.roc_curve(scores, positive)
        parts["reliability", ""] = curves.reliability_curve(probabilities, positive, table.patients)
        parts["reliability raw", ""] = curves.reliability_curve(scores, positive, table.patients)
        for name, curve in curves.decision_curves(probabilities, positive).items():
            parts[name, ""] = curve
    else:
        parts = _draw_several(scored, table, encoded.classes)
    named = [
        curve.assign(**{"set": scored.name, "curve": name, "class": class_name})
        for (name, class_name), curve in parts.items()
    ]
    return pd.concat(named, ignore_index=True)[list(curves.CURVE_COLUMNS)]


def _draw_several(
    scored: ScoredSet, table: ScoreTable, classes: int
) -> dict[tuple[str, str], curves.Curve]:
    scores = _models(scored, multiclass.class_scores(table, classes))
    parts = {
        ("roc", str(number)): curves.roc_curve(scores[:, :, number], table.labels == number)
        for number in range(classes)
    }
    for column, name in [("probability", "reliability"), ("score", "reliability raw")]:
        values = _models(scored, multiclass.class_scores(table, classes, column))
        right = values.argmax(axis=2) == table.labels
        parts[name, ""] = curves.reliability_curve(values.max(axis=2), right, table.patients)
    # Whole units: of several seeds the mean score decides.
    called = scores.mean(axis=0).argmax(axis=1)
    counts = curves.confusion_counts(table.labels, called, classes)
    parts["confusion", ""] = curves.confusion_curve(counts)
    return parts
