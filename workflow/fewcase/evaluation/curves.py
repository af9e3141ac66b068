"""Curves behind the numbers of an arm: ROC, reliability, decision curve, confusion matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.runtime.ranking import are_positive
from fewcase.statistics.calibration import count_bins, equal_mass_bins
from fewcase.statistics.intervals import wilson
from fewcase.statistics.metrics import FloatArray

CURVE_COLUMNS = ("set", "curve", "class", "x", "y", "low", "high", "n")

MOST_POINTS = 500
"""Points of a ROC curve that are kept; more than a figure can show."""

DECISION_POINTS = 81
DECISION_ODDS = 5.0
"""How far above and below the odds of a positive the threshold probabilities reach."""

Curve = pd.DataFrame
"""Columns x, y, low, high (NaN without an interval) and n."""


def _curve(x: npt.ArrayLike, y: npt.ArrayLike, n: npt.ArrayLike, **interval: FloatArray) -> Curve:
    bounds = {"low": np.nan, "high": np.nan} | interval
    return pd.DataFrame({"x": x, "y": y, **bounds, "n": n})


def roc_points(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return 1 - specificity and sensitivity at every threshold; equal scores enter together.

    Parameters
    ----------
    scores
        Shape (n,), finite.
    labels
        Shape (n,), 0 or 1, both present.

    Returns
    -------
    x, y
        From (0, 0) to (1, 1).
    """
    positive = are_positive(labels)
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    true = np.cumsum(positive[order])[last_of_tie]
    false = last_of_tie + 1 - true
    positives = int(positive.sum())
    return (
        np.append(0.0, false / (positive.size - positives)),
        np.append(0.0, true / positives),
    )


def roc_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Curve:
    """Return the ROC curve, or the mean of several curves on the same examples.

    Sensitivities are averaged at each specificity, so that the area below the curve is the mean of
    the areas. Of many points about `MOST_POINTS` are kept, evenly along the curve.

    Parameters
    ----------
    scores
        Shape (s, n) or (n,), finite.
    labels
        Shape (n,), 0 or 1; without both classes there is no curve, and no row.

    References
    ----------
    Fawcett, Pattern Recognition Letters 27, 2006 (vertical averaging).
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = are_positive(labels)
    if positive.all() or not positive.any():
        return _curve([], [], [])
    curves = [roc_points(row, positive) for row in scores]
    x, y = curves[0]
    if len(curves) > 1:
        every = np.unique(np.concatenate([curve[0] for curve in curves]))
        ends = [_ends_of_steps(*curve, every) for curve in curves]
        x, y = np.repeat(every, 2), np.mean(ends, axis=0).ravel()
    way = x + y
    if way.size > MOST_POINTS:
        kept = np.searchsorted(way, np.linspace(0, way[-1], MOST_POINTS))
        kept = np.unique(np.append(np.minimum(kept, way.size - 1), [0, way.size - 1]))
        x, y = x[kept], y[kept]
    return _curve(x, y, positive.size)


def _ends_of_steps(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """Return the lower and upper end of a curve at each x, (len(at), 2); equal where it is flat."""
    first, last = np.searchsorted(x, at, "left"), np.searchsorted(x, at, "right") - 1
    between = np.interp(at, x, y)
    there = first <= last
    first, last = np.minimum(first, x.size - 1), np.minimum(last, x.size - 1)
    return np.stack([np.where(there, y[first], between), np.where(there, y[last], between)], axis=1)


def reliability_curve(
    probabilities: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    bins: int | None = None,
) -> Curve:
    """Return the share of positives against the mean prediction in bins of equal mass.

    Parameters
    ----------
    probabilities
        Shape (s, n) or (n,). Several models are binned each by its own ranks; a bin is the mean of
        theirs.
    outcomes
        Shape (n,) or that of `probabilities`: 0 or 1.
    patients
        Shape (n,): intervals allow for several examples, or models, per patient.
    bins
        How many; by default `calibration.count_bins`. See there for ties.

    Returns
    -------
    Curve
        x is the mean prediction, y the share of positives with Wilson's interval, n the examples
        of a bin (mean over models).
    """
    probabilities = np.atleast_2d(np.asarray(probabilities, dtype=np.float64))
    models, examples = probabilities.shape
    outcomes = np.broadcast_to(np.asarray(outcomes, dtype=np.float64), probabilities.shape)
    groups = np.arange(examples) if patients is None else np.asarray(patients)
    groups = np.broadcast_to(groups, probabilities.shape)
    bins = count_bins(examples) if bins is None else bins
    which = np.stack([equal_mass_bins(row, bins) for row in probabilities])
    rows = []
    for number in range(bins):
        inside = which == number
        if not inside.any():
            continue
        found = wilson(outcomes[inside], 1, groups[inside])
        mean = float(probabilities[inside].mean())
        rows.append((mean, found.value, found.low, found.high, inside.sum() / models))
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0)] * 5
    x, y, low, high, n = columns
    return _curve(x, y, n, low=low, high=high)


def net_benefit(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, thresholds: npt.ArrayLike
) -> FloatArray:
    """Return the net benefit of treating whoever has a probability at or above a threshold.

    It is the share of true positives less that of false ones, each of which counts as much as the
    odds of the threshold: whoever treats from a probability of 10 % on takes nine false alarms for
    one hit.

    Parameters
    ----------
    probabilities
        Shape (s, n) or (n,); of several models the mean.
    labels
        Shape (n,), 0 or 1.
    thresholds
        Shape (t,), below 1.

    Returns
    -------
    numpy.ndarray
        Shape (t,).

    References
    ----------
    Vickers and Elkin, Medical Decision Making 26, 2006.
    """
    probabilities = np.atleast_2d(np.asarray(probabilities, dtype=np.float64))
    positive = are_positive(labels)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    benefit = np.zeros(thresholds.shape)
    for row in probabilities:
        true, false = (
            (side.size - np.searchsorted(np.sort(side), thresholds, "left")) / positive.size
            for side in (row[positive], row[~positive])
        )
        benefit += true - false * thresholds / (1 - thresholds)
    return benefit / len(probabilities)


def decision_thresholds(labels: npt.ArrayLike) -> FloatArray:
    """Return threshold probabilities about the prevalence, from 1/5 to 5 times its odds."""
    prevalence = float(are_positive(labels).mean())
    odds = prevalence / (1 - prevalence)
    low, high = odds / DECISION_ODDS, odds * DECISION_ODDS
    return np.linspace(low / (1 + low), high / (1 + high), DECISION_POINTS)


def decision_curves(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Curve]:
    """Return the net benefit of a model, of treating everyone and of treating no one.

    Parameters
    ----------
    probabilities
        Shape (s, n) or (n,), as common as the labels are (see `calibration.correct_prevalence`).
    labels
        Shape (n,), 0 or 1; with one class only there are no curves.

    Returns
    -------
    dict
        ``decision``, ``decision all`` and ``decision none``: x is the threshold probability, y
        the net benefit.
    """
    positive = are_positive(labels)
    if positive.all() or not positive.any():
        return {}
    thresholds = decision_thresholds(positive)
    everyone = np.ones(positive.size)
    benefits = {
        "decision": net_benefit(probabilities, positive, thresholds),
        "decision all": net_benefit(everyone, positive, thresholds),
        "decision none": np.zeros(thresholds.size),
    }
    return {name: _curve(thresholds, y, positive.size) for name, y in benefits.items()}


def confusion_counts(
    labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int
) -> npt.NDArray[np.int64]:
    """Return how many units of each class (rows) are called each class (columns)."""
    labels, predicted = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def confusion_curve(counts: npt.ArrayLike) -> Curve:
    """Return a confusion matrix as rows: x is the true class, y the predicted one, n the units."""
    counts = np.asarray(counts)
    x, y = np.indices(counts.shape)
    return _curve(x.ravel(), y.ravel(), counts.ravel())
