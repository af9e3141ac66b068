"""How sure a ROC-AUC is: intervals on one set of patients, clustered ones too, and over folds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.evaluation.metrics import FloatArray, Placements, placements


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its standard deviation over runs, its interval, and how that was found.

    `value`, `sd`, `low` and `high` are NaN where undefined; `method` then says why.
    """

    value: float
    sd: float
    low: float
    high: float
    method: str


def undefined(reason: str) -> Estimate:
    """Return an estimate without a value, and why there is none."""
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, f"undefined: {reason}")


def delong_covariance(placed: Placements) -> FloatArray:
    """Return the covariance of the AUCs of models tested on the same, independent examples.

    Parameters
    ----------
    placed
        Placement values of k models, at least two examples of each class.

    Returns
    -------
    numpy.ndarray
        Shape (k, k).

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """
    m, n = placed.of_positives.shape[1], placed.of_negatives.shape[1]
    x = placed.of_positives - placed.auc[:, None]
    y = placed.of_negatives - placed.auc[:, None]
    return x @ x.T / ((m - 1) * m) + y @ y.T / ((n - 1) * n)


def clustered_covariance(
    placed: Placements, labels: npt.ArrayLike, clusters: npt.ArrayLike
) -> FloatArray:
    """Return the covariance of AUCs where several examples come from one patient.

    Sums of placement values per patient take the place of single ones, and a patient with
    examples of both classes adds a term of its own. With one example per patient this is DeLong's
    covariance exactly.

    Parameters
    ----------
    placed
        Placement values of k models.
    labels
        Shape (n,), 0 or 1, as they were given to `placements`.
    clusters
        Shape (n,), integers: the patient of each example. At least two patients must have a
        positive, and two a negative.

    Returns
    -------
    numpy.ndarray
        Shape (k, k).

    References
    ----------
    Obuchowski, Biometrics 53, 1997.
    """
    positive = np.asarray(labels).astype(bool)
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    patients = len(names)
    with_positive = len(np.unique(cluster[positive]))
    with_negative = len(np.unique(cluster[~positive]))
    m, n = placed.of_positives.shape[1], placed.of_negatives.shape[1]
    x = _cluster_sums(placed.of_positives - placed.auc[:, None], cluster[positive], patients)
    y = _cluster_sums(placed.of_negatives - placed.auc[:, None], cluster[~positive], patients)
    covariance = with_positive / (with_positive - 1) * (x @ x.T) / m**2
    covariance += with_negative / (with_negative - 1) * (y @ y.T) / n**2
    cross = patients / (patients - 1) * (x @ y.T) / (m * n)
    return covariance + cross + cross.T


def _cluster_sums(values: FloatArray, cluster: npt.NDArray[np.intp], patients: int) -> FloatArray:
    return np.stack([np.bincount(cluster, weights=row, minlength=patients) for row in values])


def auc_covariance(
    placed: Placements, labels: npt.ArrayLike, patients: npt.ArrayLike | None
) -> tuple[FloatArray, str] | None:
    """Return the covariance of AUCs by the method that the patients ask for, and its name.

    DeLong's where every patient has one example, Obuchowski's where any has more. None where a
    class has fewer than two examples or patients, from which no variance can be estimated.
    """
    positive = np.asarray(labels).astype(bool)
    if patients is None:
        patients = np.arange(positive.size)
    patients = np.asarray(patients)
    if min(len(np.unique(patients[positive])), len(np.unique(patients[~positive]))) < 2:
        return None
    if len(np.unique(patients)) == positive.size:
        return delong_covariance(placed), "DeLong"
    return clustered_covariance(placed, positive, patients), "Obuchowski"


def logit_interval(auc: float, variance: float, level: float = 0.95) -> tuple[float, float]:
    """Return an interval that is symmetric in the logit of the AUC and so stays within 0 and 1.

    Parameters
    ----------
    auc
        Strictly between 0 and 1.
    variance
        Variance of the AUC.
    level
        Confidence level.
    """
    half = scipy.special.ndtri((1 + level) / 2) * math.sqrt(variance) / (auc * (1 - auc))
    centre = scipy.special.logit(auc)
    return float(scipy.special.expit(centre - half)), float(scipy.special.expit(centre + half))


def score_interval(
    auc: float, positives: int, negatives: int, level: float = 0.95
) -> tuple[float, float]:
    """Return Newcombe's score interval with the modified Hanley-McNeil variance (his method 5).

    It holds all AUCs that would not be rejected given their own variance, so it has a width where
    the observed AUC is 0 or 1 and the variance of DeLong is 0.

    Parameters
    ----------
    auc
        Observed AUC, 0 to 1.
    positives, negatives
        Number of examples, or of patients, of each class; at least 1.
    level
        Confidence level.

    References
    ----------
    Newcombe, Statistics in Medicine 25, 559-573, 2006; Hanley and McNeil, Radiology 143, 1982.
    """
    auc = float(auc)
    z = float(scipy.special.ndtri((1 + level) / 2))
    others = (positives + negatives) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + others * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (positives * negatives)
        return (auc - theta) ** 2 - z**2 * variance

    def boundary(outside: float) -> float:
        if auc == outside:
            return outside
        inside = auc
        for _ in range(60):
            middle = (inside + outside) / 2
            if excess(middle) > 0:
                outside = middle
            else:
                inside = middle
        return (inside + outside) / 2

    return boundary(0.0), boundary(1.0)


def estimate_auc(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return the mean AUC of one or several models on the same examples, with its interval.

    The interval tells how far the value would move with other patients, the models being given.

    Parameters
    ----------
    scores
        Shape (k, n) or (n,), finite.
    labels
        Shape (n,), 0 or 1.
    patients
        Shape (n,), integers; None if every example is a patient of its own.
    level
        Confidence level.

    Returns
    -------
    Estimate
        `sd` is the standard deviation of the k AUCs. `method` is ``DeLong, logit``,
        ``Obuchowski, logit`` (some patient has several examples), ``Newcombe score`` (the AUC is 0
        or 1, all scores are equal, or a class has a single patient), or the reason why there is
        no value.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = np.asarray(labels).astype(bool)
    if not positive.any():
        return undefined("no positives")
    if positive.all():
        return undefined("no negatives")
    placed = placements(scores, positive)
    sd = float(placed.auc.std(ddof=1)) if len(scores) > 1 else float("nan")
    auc = min(max(float(placed.auc.mean()), 0.0), 1.0)
    found = auc_covariance(placed.mean(), positive, patients)
    variance = 0.0 if found is None else float(found[0][0, 0])
    # Round-off leaves about 1e-34 of a variance that is nought.
    if found is not None and variance > 1e-20 and 1e-12 < auc < 1 - 1e-12:
        low, high = logit_interval(auc, variance, level)
        return Estimate(auc, sd, low, high, f"{found[1]}, logit")
    groups = np.arange(positive.size) if patients is None else np.asarray(patients)
    counts = len(np.unique(groups[positive])), len(np.unique(groups[~positive]))
    low, high = score_interval(auc, *counts, level)
    return Estimate(auc, sd, low, high, "Newcombe score")


def mean_over_folds(values: npt.ArrayLike, test_to_train: float, level: float = 0.95) -> Estimate:
    """Return the mean of a metric over seeds × folds, with the corrected resampled t interval.

    Training parts overlap, so the values are not independent; Nadeau and Bengio widen the variance
    of the mean from ``1/J`` to ``1/J + n_test / n_train`` times that of the values.

    Parameters
    ----------
    values
        Shape (J,): the metric of each run, within 0 and 1; NaN where it is undefined.
    test_to_train
        Examples of the validation part over those of the training part, about 1 / (folds - 1).
    level
        Confidence level; the interval is cut at 0 and 1.

    References
    ----------
    Nadeau and Bengio, Machine Learning 52, 2003; Bouckaert and Frank, PAKDD 2004.
    """
    values = np.asarray(values, dtype=np.float64)
    known = values[np.isfinite(values)]
    without = f"; undefined in {values.size - known.size} of {values.size} runs"
    without = without if known.size < values.size else ""
    if known.size == 0:
        return undefined("one class only in every run")
    if known.size == 1:
        nan = float("nan")
        return Estimate(float(known[0]), nan, nan, nan, "one run, no interval" + without)
    mean, sd = float(known.mean()), float(known.std(ddof=1))
    quantile = float(scipy.special.stdtrit(known.size - 1, (1 + level) / 2))
    half = quantile * sd * math.sqrt(1 / known.size + test_to_train)
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return Estimate(mean, sd, low, high, "corrected resampled t" + without)
