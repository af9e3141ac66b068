"""How often the right class is called: accuracy and balanced accuracy, how sure, and compared."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.statistics.comparisons import (
    Difference,
    no_difference,
    squared_and_added,
    student,
)
from fewcase.statistics.intervals import (
    NOUGHT,
    Estimate,
    effective_total,
    logit_interval,
    undefined,
    variance_of_sum,
    wilson,
    wilson_interval,
)
from fewcase.statistics.metrics import FloatArray

SAME = 1e-12


def called_classes(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the class with the highest score; of equal scores the first class.

    Parameters
    ----------
    scores
        Shape (…, classes), or (…, 1): the score of the second of two classes, which is called at
        0.5 or more.

    Returns
    -------
    numpy.ndarray
        Shape (…,).
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape[-1] == 1:
        return (scores[..., 0] >= 0.5).astype(np.int64)
    return scores.argmax(axis=-1).astype(np.int64)


def among_highest(
    scores: npt.ArrayLike, labels: npt.ArrayLike, number: int
) -> npt.NDArray[np.bool_]:
    """Return whether the own class is among a number of classes with the highest scores.

    Of equal scores the first class comes first, so that `called_classes` is the case of one.

    Parameters
    ----------
    scores
        Shape (…, n, classes).
    labels
        Shape (n,), 0 to classes - 1.
    number
        How many classes are looked at.

    Returns
    -------
    numpy.ndarray
        Shape (…, n); False where the score of the own class is NaN.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    own = scores[..., np.arange(labels.size), labels][..., None]
    earlier = np.arange(scores.shape[-1]) < labels[:, None]
    ahead = ~(scores <= own) | ((scores == own) & earlier)
    found: npt.NDArray[np.bool_] = ahead.sum(axis=-1) < number
    return found


def absent_class(labels: npt.ArrayLike, classes: int) -> str:
    """Return which of the classes 0 to classes - 1 has no example, in words; empty if all have."""
    missing = np.flatnonzero(np.bincount(np.asarray(labels), minlength=classes) == 0)
    return f"no examples of class {missing[0]}" if missing.size else ""


def balanced_accuracy(right: npt.ArrayLike, labels: npt.ArrayLike, classes: int) -> float:
    """Return the mean over classes of the share of their examples that are right.

    Parameters
    ----------
    right
        Shape (n,): whether, or how often of 1, each example is given its own class.
    labels
        Shape (n,), 0 to classes - 1.
    classes
        How many there are.

    Returns
    -------
    float
        NaN where a class has no example.

    References
    ----------
    Brodersen et al., ICPR 2010.
    """
    labels = np.asarray(labels)
    counts = np.bincount(labels, minlength=classes)
    if (counts == 0).any():
        return float("nan")
    return float(np.mean(np.bincount(labels, np.asarray(right, float), classes) / counts))


def estimate_accuracy(
    right: npt.ArrayLike, patients: npt.ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Return the share of examples that are given their own class, mean over models.

    Where patients have several examples, or several models judged them, Wilson's interval is that
    of the effective number of decisions; since their variance is itself estimated, from few
    patients perhaps, that number is divided by the squared ratio of the quantiles of t and of the
    normal distribution.

    Parameters
    ----------
    right
        Shape (s, n) or (n,): whether each of s models calls the right class.
    patients
        Shape (n,), integers; None if every example is a patient of its own.
    level
        Confidence level.

    Returns
    -------
    Estimate
        `sd` is the standard deviation over the s models. `method` is ``Wilson`` or ``Wilson,
        clustered``.

    References
    ----------
    Korn and Graubard, Survey Methodology 24, 193-201, 1998 (quantiles); Pan and Wall, Statistics
    in Medicine 21, 1429-1441, 2002 (degrees of freedom); see `intervals.wilson`.
    """
    right = np.atleast_2d(np.asarray(right, dtype=np.float64))
    models, examples = right.shape
    if examples == 0:
        return undefined("no examples")
    sd = float(right.mean(axis=1).std(ddof=1)) if models > 1 else float("nan")
    groups = np.arange(examples) if patients is None else np.asarray(patients)
    names, code = np.unique(groups, return_inverse=True)
    won = np.bincount(code, right.sum(axis=0))
    tried = np.bincount(code) * float(models)
    if len(names) < 2 or tried.max() == 1:
        found = wilson(right.ravel(), 1, np.tile(code, models), level)
        return dataclasses.replace(found, sd=sd)
    share, effective = float(won.sum() / tried.sum()), effective_total(won, tried)
    if share * (1 - share) > NOUGHT:
        variance, spread = variance_of_sum((won - share * tried) / tried.sum())
        # Without any variance between patients their decisions are as good as independent.
        freedom = 2 * variance**2 / spread if spread > 0 else math.inf
        tail = (1 + level) / 2
        effective *= (scipy.special.ndtri(tail) / scipy.special.stdtrit(freedom, tail)) ** 2
    low, high = wilson_interval(share * effective, effective, level)
    return Estimate(share, sd, low, high, "Wilson, clustered")


def estimate_balanced_accuracy(
    right: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    classes: int = 2,
    level: float = 0.95,
) -> Estimate:
    """Return the mean over classes of the share that is given its own class, mean over models.

    Parameters
    ----------
    right, patients, level
        As of `estimate_accuracy`.
    labels
        Shape (n,), 0 to classes - 1.
    classes
        How many there are.

    Returns
    -------
    Estimate
        Interval as of `estimate_from_influence`; none where all examples of a class are of one
        patient, who cannot tell how others would differ. Undefined where a class has no example.
    """
    right = np.atleast_2d(np.asarray(right, dtype=np.float64))
    labels = np.asarray(labels)
    if reason := absent_class(labels, classes):
        return undefined(reason)
    values = [balanced_accuracy(row, labels, classes) for row in right]
    groups = np.arange(labels.size) if patients is None else np.asarray(patients)
    if reason := _without_variance(labels, groups, classes):
        nan = float("nan")
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else nan
        return Estimate(float(np.mean(values)), sd, nan, nan, reason)
    exact = dataclasses.replace(
        estimate_accuracy(right, patients, level), method="Wilson, of the accuracy"
    )
    influence = class_influence(right.mean(axis=0), labels, classes)
    return estimate_from_influence(values, influence, groups, exact, level)


def _without_variance(labels: npt.NDArray[np.int64], patients: npt.NDArray, classes: int) -> str:
    """Return why there is no variance between patients within each class; empty if there is."""
    pairs = np.unique(np.asarray(patients, np.int64) * classes + labels)
    counts = np.bincount(pairs % classes, minlength=classes)
    if classes == 1 and counts[0] < 2:
        return "one patient, no interval"
    alone = np.flatnonzero(counts < 2)
    return f"one patient in class {alone[0]}, no interval" if alone.size else ""


def class_influence(values: FloatArray, labels: npt.NDArray[np.int64], classes: int) -> FloatArray:
    """Return how far each example's value moves the mean over classes of their means, (n,)."""
    counts = np.bincount(labels, minlength=classes)
    means = np.bincount(labels, values, classes) / np.maximum(counts, 1)
    influence: FloatArray = (values - means[labels]) / (counts[labels] * classes)
    return influence


def estimate_from_influence(
    values: list[float],
    influence: FloatArray,
    patients: npt.ArrayLike,
    exact: Estimate,
    level: float = 0.95,
) -> Estimate:
    """Return the mean over models, with the logit interval of the influence of each unit on it.

    The variance is the sum of squares over patients. It rests on few patients where a class is
    rare, so quantiles are those of t, its degrees of freedom from the spread of these squares.
    Where no patient has any influence, as where all is right or wrong, bounds are those of `exact`.

    Parameters
    ----------
    values
        Of each model.
    influence
        Shape (n,), of mean 0.
    patients
        Shape (n,).
    exact
        The interval where there is no variance to go by.
    level
        Confidence level.

    References
    ----------
    Pan and Wall, Statistics in Medicine 21, 1429-1441, 2002 (degrees of freedom).
    """
    value = float(np.clip(np.mean(values), 0, 1))
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    squares = np.bincount(np.unique(patients, return_inverse=True)[1], weights=influence) ** 2
    variance = squares.size / max(1, squares.size - 1) * float(squares.sum())
    if variance > NOUGHT and SAME < value < 1 - SAME:
        spread = float(((squares - squares.mean()) ** 2).sum())
        freedom = 2 * float(squares.sum()) ** 2 / spread if spread > 0 else squares.size - 1
        freedom = min(freedom, squares.size - 1)
        low, high = logit_interval(value, variance, level, freedom)
        by_patient = " by patient" if squares.size < influence.size else ""
        return Estimate(value, sd, low, high, f"sandwich{by_patient}, logit")
    return Estimate(value, sd, exact.low, exact.high, exact.method)


def compare_accuracies(
    right: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    reference: int = 0,
    *,
    classes: int | None = None,
    level: float = 0.95,
) -> list[Difference]:
    """Compare how often each arm calls the right class with a reference on the same examples.

    The difference tells of other patients, the models being given. Its variance is that of the
    sums over patients of what single examples add to it: copies of a patient's examples add
    nothing.

    Parameters
    ----------
    right
        Shape (k, n), or (s, k, n) with s models of each arm: whether each calls the right class,
        or the share of its models that do; NaN in an arm that cannot be compared.
    labels
        Shape (n,), 0 to classes - 1.
    patients
        Shape (n,), integers; None if every example is a patient of its own.
    reference
        Index of the arm that the others are compared with.
    classes
        How many there are, to compare balanced accuracies; None compares accuracies.
    level
        Confidence level.

    Returns
    -------
    list of Difference
        Arm minus reference, k of them. `method` is ``t, paired`` or, where a patient has several
        examples, ``clustered t, paired``; ``same decisions`` (0, 0 to 0, p = 1); ``Wilson scores,
        squared and added`` where all examples differ alike, so that there is no variance to go
        by; ``reference``; or why there is no interval, as where a class has one patient.

    References
    ----------
    Liang and Zeger, Biometrika 73, 1986 (sums by cluster); Pan and Wall, Statistics in Medicine
    21, 1429-1441, 2002 (degrees of freedom); Zou and Donner, Statistics in Medicine 27, 2008
    (intervals squared and added).
    """
    given: FloatArray = np.asarray(right, dtype=np.float64)
    rows: FloatArray = given.mean(axis=0) if given.ndim == 3 else given
    labels = np.asarray(labels, dtype=np.int64)
    reason = "" if classes is None else absent_class(labels, classes)
    if labels.size == 0 or reason:
        return [no_difference(reason or "no examples")] * len(rows)
    if classes is None:
        # All examples as one class: the mean over classes is then the mean.
        labels, classes = np.zeros(labels.size, np.int64), 1
    known = [bool(np.isfinite(row).all()) for row in rows]
    if not known[reference]:
        return [no_difference("a decision of the reference is not known")] * len(rows)
    groups = np.arange(labels.size) if patients is None else np.asarray(patients)
    cluster = np.unique(groups, return_inverse=True)[1]
    compared = []
    for arm, row in enumerate(rows):
        if arm == reference:
            compared.append(Difference(0.0, 0.0, 0.0, float("nan"), "reference"))
        elif not known[arm]:
            compared.append(no_difference("a decision is not known"))
        else:
            compared.append(_compare(row, rows[reference], labels, cluster, classes, level))
    return compared


def _compare(
    row: FloatArray,
    reference: FloatArray,
    labels: npt.NDArray[np.int64],
    cluster: npt.NDArray[np.int64],
    classes: int,
    level: float,
) -> Difference:
    apart = row - reference
    if np.abs(apart).max() < SAME:
        return Difference(0.0, 0.0, 0.0, 1.0, "same decisions")
    value = balanced_accuracy(apart, labels, classes)
    sums = np.bincount(cluster, class_influence(apart, labels, classes)).astype(np.float64)
    patients = sums.size
    if reason := _without_variance(labels, cluster, classes):
        nan = float("nan")
        return Difference(value, nan, nan, nan, reason)
    variance, spread = variance_of_sum(sums)
    if variance > NOUGHT:
        clustered = "clustered " if patients < labels.size else ""
        freedom = 2 * variance**2 / spread
        return student(value, variance, freedom, level, f"{clustered}t, paired")
    shares = [balanced_accuracy(one, labels, classes) for one in (row, reference)]

    def interval(share: float, at: float) -> tuple[float, float]:
        return wilson_interval(share * patients, patients, at)

    return squared_and_added(shares, interval, level, "Wilson scores, squared and added")
