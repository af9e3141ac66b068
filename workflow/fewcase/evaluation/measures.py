"""What is measured of an arm on one set: accuracy, and of two classes all that is told of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.evaluation.predictions import Encoded, ScoreTable, score_table
from fewcase.statistics.accuracy import (
    among_highest,
    called_classes,
    estimate_accuracy,
    estimate_balanced_accuracy,
)
from fewcase.statistics.bootstrap import Statistic, bca
from fewcase.statistics.calibration import (
    calibration_intercept,
    calibration_slope,
    estimate_brier,
    estimate_calibration_error,
)
from fewcase.statistics.intervals import Estimate, undefined, wilson
from fewcase.statistics.metrics import (
    FloatArray,
    weighted_average_precision,
    weighted_sensitivity_at_specificity,
)
from fewcase.statistics.thresholds import youden_threshold
from fewcase.study.words import TOP, measures_of

Measures = dict[str, Estimate]

NO_STOPPING_PART = "no stopping part to fix a threshold on (inner_folds is 0)"


def without_interval(value: float, reason: str = "no interval for a part of a set") -> Estimate:
    """Return a value by itself."""
    nan = float("nan")
    return Estimate(value, nan, nan, nan, reason)


def missing_class(labels: npt.NDArray[np.int64]) -> str:
    """Return which of two classes has no example, empty if both have."""
    positives = int((labels == 1).sum())
    if positives == 0:
        return "no positives"
    return "no negatives" if positives == len(labels) else ""


def measure_accuracy(
    scores: FloatArray,
    labels: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
    classes: int,
) -> Measures:
    """Return accuracies of the class that is called, means over models of the same examples.

    Parameters
    ----------
    scores
        Shape (s, n, classes), or (s, n, 1) of two classes, see `accuracy.called_classes`.
    labels, patients
        Shape (n,).
    classes
        How many there are.

    Returns
    -------
    dict
        accuracy, balanced_accuracy and, of more than three classes, top3_accuracy: how often the
        right one is among the three with the highest scores.
    """
    right = called_classes(scores) == labels
    found = {
        "accuracy": estimate_accuracy(right, patients),
        "balanced_accuracy": estimate_balanced_accuracy(right, labels, patients, classes),
    }
    if "top3_accuracy" in measures_of(classes):
        near = among_highest(scores, labels, TOP)
        found["top3_accuracy"] = estimate_accuracy(near, patients)
    return found


def mean_bootstrapped(
    statistic: Statistic,
    scores: FloatArray,
    labels: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
) -> Estimate:
    """Return the mean of a statistic over models of the same examples, with its BCa interval.

    Parameters
    ----------
    statistic
        Of one model.
    scores
        Shape (s, n).
    labels, patients
        Shape (n,); both classes must be there.

    Returns
    -------
    Estimate
        `sd` is the standard deviation over the s models.
    """
    if len(scores) == 1:
        return bca(statistic, scores[0], labels, patients)

    def mean(columns: npt.NDArray, labels: npt.NDArray, weights: npt.NDArray) -> FloatArray:
        return np.mean([statistic(column, labels, weights) for column in columns.T], axis=0)

    once = np.ones((1, labels.size), np.int16)
    values = [float(statistic(row, labels, once)[0]) for row in scores]
    found = bca(mean, scores.T, labels, patients)
    return dataclasses.replace(found, sd=float(np.std(values, ddof=1)))


def average_precision_of(
    scores: FloatArray, labels: npt.NDArray[np.int64], patients: npt.NDArray[np.int64]
) -> Estimate:
    """Return the average precision of one or several models (mean), with its BCa interval."""
    if reason := missing_class(labels):
        return undefined(reason)
    return mean_bootstrapped(weighted_average_precision, scores, labels, patients)


def measure_scores(
    scores: FloatArray,
    probabilities: FloatArray,
    labels: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
    correction: str,
) -> Measures:
    """Measure ranking and calibration of one or several models (seeds) on one set.

    Parameters
    ----------
    scores
        Shape (s, n), as they were stored. Values are means over the s models.
    probabilities
        Shape (s, n), corrected for prevalence.
    labels, patients
        Shape (n,).
    correction
        Empty, or why probabilities are as they were stored; it is added to the method.

    Returns
    -------
    dict
        Estimates of average_precision, sensitivity_at_specificity_90, brier, ece, brier_raw,
        ece_raw, calibration_slope and calibration_intercept.
    """
    reason = missing_class(labels)
    arguments = labels, patients
    found = {"average_precision": average_precision_of(scores, *arguments)}
    found["sensitivity_at_specificity_90"] = (
        undefined(reason)
        if reason
        else mean_bootstrapped(weighted_sensitivity_at_specificity, scores, *arguments)
    )
    errors = _errors(probabilities, *arguments)
    raw = errors if correction else _errors(scores, *arguments)
    calibration = errors | {
        "calibration_slope": calibration_slope(probabilities, *arguments),
        "calibration_intercept": calibration_intercept(probabilities, *arguments),
    }
    found |= {name: _noting(value, correction) for name, value in calibration.items()}
    return found | {f"{name}_raw": value for name, value in raw.items()}


def _errors(
    probabilities: FloatArray, labels: npt.NDArray[np.int64], patients: npt.NDArray[np.int64]
) -> Measures:
    outcomes = np.broadcast_to(labels, probabilities.shape)
    return {
        "brier": estimate_brier((probabilities - labels) ** 2, patients),
        "ece": estimate_calibration_error(probabilities, outcomes, patients),
    }


def _noting(estimate: Estimate, note: str) -> Estimate:
    return dataclasses.replace(estimate, method=f"{estimate.method}; {note}") if note else estimate


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Thresholds of an arm, fixed on other examples than they judge.

    Attributes
    ----------
    of_runs
        By (seed, fold, inner): Youden's on the run's stopping part, NaN where a class is absent;
        empty where there are no such parts.
    on_validation
        Youden's on the validation part of each run, NaN where a class is absent. Their mean is the
        threshold of the mean score on test sets: models of one arm differ in how high they score,
        and so do their thresholds, whereas one threshold on the scores of all folds together
        would fit none of them.
    """

    of_runs: Mapping[tuple[int, ...], float]
    on_validation: FloatArray


NO_THRESHOLDS = Thresholds({}, np.empty(0))
"""Of an arm with several classes, whose highest score decides."""


def fix_thresholds(encoded: Encoded) -> Thresholds:
    """Fix the thresholds of an arm on the stopping and the validation parts of its runs."""
    stopping = _youden_of_runs(encoded.of_role("inner"))
    validation = _youden_of_runs(encoded.of_role("validation"))
    return Thresholds(stopping, np.array(list(validation.values())))


def _youden_of_runs(rows: pd.DataFrame) -> dict[tuple[int, ...], float]:
    found = {}
    if len(rows):
        table = score_table(rows, "run")
        for run, scores in zip(table.groups, table.scores(), strict=True):
            there = ~np.isnan(scores)
            found[run] = youden_threshold(scores[there], table.labels[there])
    return found


def out_of_fold_decisions(rows: pd.DataFrame, thresholds: Thresholds) -> Measures:
    """Return sensitivity and specificity out of fold, each run at its own threshold.

    Decisions are pooled over the folds of a seed and over seeds, which is the mean over seeds;
    intervals take the decisions on one patient together.
    """
    table = score_table(rows, "run")
    fixed = np.array([thresholds.of_runs.get(run, np.nan) for run in table.groups])
    known = np.isfinite(fixed)
    if not known.any():
        reason = NO_STOPPING_PART
        if thresholds.of_runs:
            reason = "one class only in every stopping part, so no threshold"
        return {name: undefined(reason) for name in ("sensitivity", "specificity", "threshold")}
    scores = table.scores()
    # A run without a threshold has decided nothing.
    judged = ~np.isnan(scores) & known[:, None]
    labels = np.broadcast_to(table.labels, judged.shape)[judged]
    patients = np.broadcast_to(table.patients, judged.shape)[judged]
    with np.errstate(invalid="ignore"):
        called = (scores >= fixed[:, None])[judged]
    decided = _decided(called, labels, patients)
    method = "Youden on the stopping part of each run, mean over runs"
    decided["threshold"] = _mean_threshold(fixed, method)
    return {name: _noting(value, _without_threshold(fixed)) for name, value in decided.items()}


def ensemble_decisions(table: ScoreTable, thresholds: Thresholds) -> Measures:
    """Return sensitivity and specificity of the mean score over runs on a test set."""
    fixed = thresholds.on_validation
    if not np.isfinite(fixed).any():
        reason = "no validation part has both classes, so no threshold"
        return {name: undefined(reason) for name in ("sensitivity", "specificity", "threshold")}
    method = "Youden on the validation part of each run, mean over runs"
    threshold = _mean_threshold(fixed, method)
    called = table.scores().mean(axis=0) >= threshold.value
    decided = _decided(called, table.labels, table.patients) | {"threshold": threshold}
    return {name: _noting(value, _without_threshold(fixed)) for name, value in decided.items()}


def _mean_threshold(fixed: FloatArray, method: str) -> Estimate:
    known = fixed[np.isfinite(fixed)]
    nan = float("nan")
    sd = float(known.std(ddof=1)) if known.size > 1 else nan
    return Estimate(float(known.mean()), sd, nan, nan, method)


def _without_threshold(fixed: FloatArray) -> str:
    missing = int(np.isnan(fixed).sum())
    return f"no threshold in {missing} of {fixed.size} runs" if missing else ""


def _decided(
    called: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
) -> Measures:
    found = {}
    for name, side, reason in [
        ("sensitivity", labels == 1, "no positives"),
        ("specificity", labels == 0, "no negatives"),
    ]:
        right = called[side] == (name == "sensitivity")
        found[name] = wilson(right, 1, patients[side]) if side.any() else undefined(reason)
    return found
