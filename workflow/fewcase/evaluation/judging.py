"""The rows of an arm's summary and curves, set by set, for two classes and for several."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fewcase.evaluation import curves, multiclass, ordered
from fewcase.evaluation.measures import (
    Thresholds,
    average_precision_of,
    ensemble_decisions,
    measure_accuracy,
    measure_scores,
    missing_class,
    out_of_fold_decisions,
    without_interval,
)
from fewcase.evaluation.predictions import Encoded, ScoreTable, score_table
from fewcase.evaluation.sets import LABEL, PART, VOTE, WHOLE, ScoredSet
from fewcase.statistics.accuracy import called_classes
from fewcase.statistics.intervals import (
    Estimate,
    estimate_auc,
    mean_over_folds,
    ratio_to_training,
    undefined,
)
from fewcase.statistics.metrics import FloatArray, average_precision
from fewcase.study.words import MEASURES

Found = Mapping[tuple[str, str], Estimate]
"""Estimates by statistic and class; the class is empty where it is not one of several."""


def judge(
    scored: ScoredSet,
    encoded: Encoded,
    thresholds: Thresholds,
    over_folds: Mapping[str, Estimate],
    is_ordered: bool = False,
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
    over_folds
        Of a set that folds divide, means over runs, see `means_over_folds`; else empty.
    is_ordered
        Whether several classes are degrees in the order of their labels.
    """
    table = score_table(scored.rows, "run" if scored.held_out else "seed")
    found: dict[tuple[str, str], Estimate] = {}
    if "auc_mean" in over_folds:
        found["auc_mean", ""] = over_folds["auc_mean"]
    if scored.problem:
        found[_main_auc(scored), ""] = undefined(scored.problem)
        found["average_precision", ""] = undefined(scored.problem)
    elif encoded.classes == 2:
        found.update(((name, ""), value) for name, value in _rank_two(scored, table).items())
        if scored.depth in (WHOLE, PART):
            found.update(_decide_two(scored, table, thresholds))
        if scored.depth == WHOLE:
            found.update(_calibrate_two(scored, table, encoded.correction))
    else:
        found.update(_judge_several(scored, table, encoded))
        if is_ordered and scored.depth in (WHOLE, VOTE):
            scores = _models(scored, table.class_scores(encoded.classes))
            found.update(ordered.measure_ordered(scores, table.labels, table.patients))
    if scored.depth in (WHOLE, VOTE):
        for name, value in _accuracies(scored, table, encoded.classes, over_folds).items():
            found.setdefault((name, ""), value)
        if not over_folds and ("auc_mean", "") not in found:
            for name, value in _mean_auc(table, encoded.classes).items():
                found.setdefault(("auc_mean", name), value)
    runs = len(np.unique(scored.rows["run"]))
    return [
        _row(scored.name, statistic, class_name, value, table, runs)
        for (statistic, class_name), value in found.items()
    ]


def _accuracies(
    scored: ScoredSet, table: ScoreTable, classes: int, over_folds: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    """Return accuracies of the scores that are measured, and their means over runs."""
    about = table.labels, table.patients, classes
    of_runs = table.class_scores(classes)
    found = measure_accuracy(_models(scored, of_runs), *about)
    # Where all runs judge the same examples, their mean is told of these and their patients.
    means = over_folds or {
        f"{name}_mean": value for name, value in measure_accuracy(of_runs, *about).items()
    }
    return found | {f"{name}_mean": means[f"{name}_mean"] for name in found}


def _mean_auc(table: ScoreTable, classes: int) -> dict[str, Estimate]:
    """Return the mean AUC of runs that all judge the same examples, by class."""
    about = table.labels, table.patients
    if classes == 2:
        return {"": estimate_auc(table.scores(), *about)}
    return multiclass.measure_auc(table.class_scores(classes), *about)


def _main_auc(scored: ScoredSet) -> str:
    return "auc_ensemble" if scored.held_out else "auc_pooled"


def _row(
    name: str, statistic: str, class_name: str, found: Estimate, table: ScoreTable, runs: int
) -> dict[str, Any]:
    positive = table.labels == int(class_name) if class_name else table.labels > 0
    if statistic == ordered.AT_LEAST:
        positive = table.labels >= int(class_name)
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


def means_over_folds(runs: pd.DataFrame) -> dict[str, Estimate]:
    """Return the mean of each measure over validation parts, with corrected resampled t intervals.

    Parameters
    ----------
    runs
        Columns seed, fold, set, n and `MEASURES`; those of the runs themselves.

    Returns
    -------
    dict
        ``auc_mean`` and the like, of a measure that is none for so few classes undefined. Empty
        where a seed has one fold only: all runs then judge the same examples, none of which any is
        trained on.
    """
    sizes: dict[str, dict[tuple[int, int], int]] = {"validation": {}, "inner": {}}
    for seed, fold, name, n in zip(*(runs[c] for c in ("seed", "fold", "set", "n")), strict=True):
        if name in sizes:
            sizes[name][seed, fold] = n
    folds = Counter(seed for seed, _ in sizes["validation"])
    if max(folds.values(), default=1) == 1:
        return {}
    validated = runs[runs["set"] == "validation"]
    ratio = ratio_to_training(sizes["validation"], sizes["inner"])
    if not np.isfinite(ratio):
        reason = undefined("a run has no examples to be trained on")
        return dict.fromkeys((f"{name}_mean" for name in MEASURES), reason)
    return {f"{name}_mean": mean_over_folds(validated[name], ratio) for name in MEASURES}


def _models(scored: ScoredSet, values: FloatArray) -> FloatArray:
    """Return the scores that are measured: of each seed, or on a test set the mean over runs."""
    return values.mean(axis=0, keepdims=True) if scored.held_out else values


def _rank_two(scored: ScoredSet, table: ScoreTable) -> dict[str, Estimate]:
    about = table.labels, table.patients
    scores = _models(scored, table.scores())
    found = {_main_auc(scored): estimate_auc(scores, *about)}
    if scored.held_out:
        found["auc_mean"] = estimate_auc(table.scores(), *about)
    if scored.depth in (LABEL, VOTE):
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
    of_runs = table.class_scores(encoded.classes)
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
        corrected = _models(scored, table.class_scores(encoded.classes, "probability"))
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
    scores = _models(scored, table.class_scores(classes))
    parts = {
        ("roc", str(number)): curves.roc_curve(scores[:, :, number], table.labels == number)
        for number in range(classes)
    }
    for column, name in [("probability", "reliability"), ("score", "reliability raw")]:
        values = _models(scored, table.class_scores(classes, column))
        right = values.argmax(axis=2) == table.labels
        parts[name, ""] = curves.reliability_curve(values.max(axis=2), right, table.patients)
    # Whole units: of several seeds the mean score decides.
    called = called_classes(scores.mean(axis=0))
    counts = curves.confusion_counts(table.labels, called, classes)
    parts["confusion", ""] = curves.confusion_curve(counts)
    return parts
