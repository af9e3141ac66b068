"""Whether probabilities mean what they say: prevalence, Brier score, calibration error, slope."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.runtime.ranking import are_positive, midranks
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.intervals import Estimate, undefined
from fewcase.statistics.metrics import FloatArray

CLOSEST = 1e-7
"""How close to 0 or 1 a probability may come before its logit is taken."""

MOST_BINS = 15


@dataclasses.dataclass(frozen=True)
class Prevalence:
    """Shares of the classes where a run was trained: as they are, and as the model saw them.

    Attributes
    ----------
    population
        Share of each class in the whole training part, before any under-sampling.
    trained
        Share of each class among what the model was fitted to, weights counted.
    """

    population: tuple[float, ...]
    trained: tuple[float, ...]


def correct_prevalence(probabilities: npt.ArrayLike, prevalence: Prevalence) -> FloatArray:
    """Return probabilities as they would be for a model that saw every class as often as it is.

    Under-sampling leaves the likelihood of an example under each class as it was and changes how
    common the classes are; Bayes' rule exchanges the one prevalence for the other. The order of
    examples by the probability of one of two classes stays the same.

    Parameters
    ----------
    probabilities
        Shape (n, classes), each row sums to 1.
    prevalence
        Shares of the classes, those of the training above 0.

    Returns
    -------
    numpy.ndarray
        Shape (n, classes); each row sums to 1.

    References
    ----------
    Elkan, IJCAI 2001, theorem 2; Dal Pozzolo et al., IEEE SSCI 2015.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    ratio = np.asarray(prevalence.population) / np.asarray(prevalence.trained)
    weighed = probabilities * ratio
    total = weighed.sum(axis=1, keepdims=True)
    # A certain prediction of a class that the training part does not have stays as it is.
    return np.where(total > 0, weighed / np.where(total > 0, total, 1), probabilities)


def count_bins(examples: int) -> int:
    """Return into how many bins a calibration curve of n examples is divided: 1 to 15, by √n/2."""
    return int(min(MOST_BINS, max(1, math.isqrt(examples) // 2)))


def equal_mass_bins(probabilities: npt.ArrayLike, bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of each probability, bins holding equally many of them by rank.

    Equal probabilities share the mean of their ranks and so a bin: which of two equal predictions
    was the positive must not decide where it is counted.

    Parameters
    ----------
    probabilities
        Shape (n,).
    bins
        How many; some are empty where many probabilities are equal.

    Returns
    -------
    numpy.ndarray
        Shape (n,), 0 to bins - 1.
    """
    ranks = midranks(probabilities)
    return np.floor((ranks - 0.5) * bins / max(1, ranks.size)).astype(np.int64)


def estimate_brier(errors: npt.ArrayLike, patients: npt.ArrayLike | None = None) -> Estimate:
    """Return the Brier score, the mean squared error of probabilities, with its BCa interval.

    Patients are resampled whatever their labels: how many positives a set of this size happens to
    have is part of what the interval tells. (A measure of ranking is told given their number.)

    Parameters
    ----------
    errors
        Shape (s, n) or (n,): squared error of each prediction, summed over classes where there are
        several; of several models the mean.
    patients
        Shape (n,); None if every example is a patient of its own.

    References
    ----------
    Brier, Monthly Weather Review 78, 1950.
    """
    errors = np.atleast_2d(np.asarray(errors, dtype=np.float64))

    def mean(columns: npt.NDArray, _: npt.NDArray, weights: npt.NDArray) -> FloatArray:
        return (weights @ columns[:, 0]) / weights.sum(axis=1)

    found = bca(mean, errors.mean(axis=0)[:, None], np.zeros(errors.shape[1]), patients)
    return dataclasses.replace(found, sd=_deviation(errors.mean(axis=1)))


def estimate_calibration_error(
    probabilities: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    bins: int | None = None,
) -> Estimate:
    """Return the expected calibration error (ECE) over bins of equal mass, with its BCa interval.

    In each bin the share of positives is set against the mean probability, and the distances are
    averaged, weighted by the size of the bins. It is above 0 for a perfect model too, the more so
    the fewer examples a bin has.

    Parameters
    ----------
    probabilities
        Shape (s, n) or (n,), 0 to 1. Each of several models has bins of its own, and their errors
        are averaged.
    outcomes
        Of the same shape, 0 or 1.
    patients
        Shape (n,): resampled as for `estimate_brier`, the bins held as they are.
    bins
        How many; by default `count_bins`. See `equal_mass_bins` for ties.

    Returns
    -------
    Estimate
        The interval is widened to the value where it ends before it.

    References
    ----------
    Naeini, Cooper and Hauskrecht, AAAI 2015; Nixon et al., CVPR Workshops 2019 (equal mass).
    """
    probabilities = np.atleast_2d(np.asarray(probabilities, dtype=np.float64))
    distances = np.asarray(outcomes, dtype=np.float64).reshape(probabilities.shape) - probabilities
    models, examples = probabilities.shape
    bins = count_bins(examples) if bins is None else bins
    binned = np.zeros((examples, models * bins))
    for model, row in enumerate(probabilities):
        columns = model * bins + equal_mass_bins(row, bins)
        binned[np.arange(examples), columns] = distances[model]

    def error(columns: npt.NDArray, _: npt.NDArray, weights: npt.NDArray) -> FloatArray:
        weights = weights.astype(np.float64)
        return np.abs(weights @ columns).sum(axis=1) / weights.sum(axis=1) / models

    found = bca(error, binned, np.zeros(examples), patients)
    of_bins = np.abs(binned.sum(axis=0)).reshape(models, bins)
    found = dataclasses.replace(found, sd=_deviation(of_bins.sum(axis=1) / max(1, examples)))
    # Its bias corrected, the interval may end below the value: all of that error may be chance.
    low, high = min(found.low, found.value), max(found.high, found.value)
    return dataclasses.replace(found, low=low, high=high)


def _deviation(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")


def clipped_logit(probabilities: npt.ArrayLike) -> FloatArray:
    """Return logits of probabilities, those next to 0 and 1 brought to a distance of `CLOSEST`."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), CLOSEST, 1 - CLOSEST)
    return scipy.special.logit(clipped)


def calibration_slope(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return the slope of logistic recalibration, which is 1 for a model of the right sureness.

    It is b of ``logit P(positive) = a + b logit(probability)``; below 1 the predictions are too
    extreme, as those of an overfitted model.

    Parameters
    ----------
    probabilities
        Shape (s, n) or (n,): with several models (seeds), the mean of their slopes.
    labels
        Shape (n,), 0 or 1.
    patients
        Shape (n,), integers: examples of one patient are not taken as independent.
    level
        Confidence level.

    Returns
    -------
    Estimate
        Interval by the sandwich variance, summed by patient. Undefined where a class is absent,
        all probabilities are equal, or they separate the classes (the slope is then infinite).

    References
    ----------
    Cox, Biometrika 45, 1958; Van Calster et al., BMC Medicine 17:230, 2019.
    """
    positive = are_positive(labels)
    logits = np.atleast_2d(clipped_logit(probabilities))
    if reason := _without_recalibration(positive):
        return undefined(reason)
    for row in logits:
        if row.min() == row.max():
            return undefined("all scores are equal")
        if row[positive].min() >= row[~positive].max() or (
            row[positive].max() <= row[~positive].min()
        ):
            return undefined("the scores separate the classes")
    fits = [_fit(np.stack([np.ones_like(row), row], axis=1), positive) for row in logits]
    return _wald([fit[0][1] for fit in fits], [fit[1][:, 1] for fit in fits], patients, level)


def calibration_intercept(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return calibration in the large: 0 where as many are positive as predicted.

    It is a of ``logit P(positive) = a + logit(probability)``, the slope held at 1; above 0 the
    predictions are too low. Parameters and references as of `calibration_slope`.

    Returns
    -------
    Estimate
        Undefined where a class is absent.
    """
    positive = are_positive(labels)
    logits = np.atleast_2d(clipped_logit(probabilities))
    if reason := _without_recalibration(positive):
        return undefined(reason)
    fits = [_fit(np.ones((row.size, 1)), positive, row) for row in logits]
    return _wald([fit[0][0] for fit in fits], [fit[1][:, 0] for fit in fits], patients, level)


def _without_recalibration(positive: npt.NDArray[np.bool_]) -> str:
    if not positive.any():
        return "no positives"
    return "no negatives" if positive.all() else ""


def _fit(
    design: FloatArray, positive: npt.NDArray[np.bool_], offset: FloatArray | float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return the coefficients of a logistic regression and each example's influence on them."""
    weights = np.zeros(design.shape[1])

    def loss_at(values: FloatArray) -> float:
        linear = offset + design @ values
        return float(np.logaddexp(0, linear).sum() - linear[positive].sum())

    loss = loss_at(weights)
    for _ in range(100):
        fitted = scipy.special.expit(offset + design @ weights)
        gradient = design.T @ (positive - fitted)
        information = (design * (fitted * (1 - fitted))[:, None]).T @ design
        step = np.linalg.lstsq(information, gradient, rcond=None)[0]
        size = 1.0
        # Halved where a full step overshoots, as it does far from the answer.
        while loss_at(weights + size * step) > loss + 1e-12 * abs(loss) and size > 1e-6:
            size /= 2
        weights = weights + size * step
        loss = loss_at(weights)
        if np.abs(size * step).max() < 1e-10 * (1 + np.abs(weights).max()):
            break
    fitted = scipy.special.expit(offset + design @ weights)
    information = (design * (fitted * (1 - fitted))[:, None]).T @ design
    scores = design * (positive - fitted)[:, None]
    return weights, np.linalg.lstsq(information, scores.T, rcond=None)[0].T


def _wald(
    values: list[float],
    influences: list[FloatArray],
    patients: npt.ArrayLike | None,
    level: float,
) -> Estimate:
    """Return the mean of coefficients, with the interval of its sandwich variance."""
    influence = np.mean(influences, axis=0)
    groups = np.arange(influence.size) if patients is None else np.asarray(patients)
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=influence)
    value = float(np.mean(values))
    sd = _deviation(np.array(values))
    clustered = sums.size < influence.size
    method = "logistic recalibration" + (", clustered by patient" if clustered else "")
    if sums.size < 2:
        nan = float("nan")
        return Estimate(value, sd, nan, nan, "one patient, no interval")
    error = math.sqrt(sums.size / (sums.size - 1) * float((sums**2).sum()))
    half = float(scipy.special.ndtri((1 + level) / 2)) * error
    return Estimate(value, sd, value - half, value + half, method)
