"""Intervals of any statistic by resampling patients: bias-corrected and accelerated bootstrap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.statistics.intervals import Estimate, undefined, variance_of_sum
from fewcase.statistics.metrics import FloatArray

# Takes scores (n,) or (n, …), labels (n,) and weights (R, n); returns (R,).
Statistic = Callable[[npt.NDArray, npt.NDArray, npt.NDArray], FloatArray]

# Entries of a matrix of weights that are in memory at once: 8 MB of them as float64, and a
# statistic holds a handful of such matrices.
CHUNK_ENTRIES = 1_000_000
# Patients of a stratum that are left out one by one; of more, groups are left out.
MOST_LEFT_OUT = 500


@dataclasses.dataclass(frozen=True)
class Strata:
    """Patients that are drawn for each other.

    Attributes
    ----------
    patient
        Shape (n,): index of the patient of each example; patients of a stratum follow each other.
    sizes
        Number of patients in each stratum.
    """

    patient: npt.NDArray[np.intp]
    sizes: tuple[int, ...]

    @property
    def patients(self) -> int:
        """Number of patients in all."""
        return sum(self.sizes)


def stratify(labels: npt.ArrayLike, patients: npt.ArrayLike | None) -> Strata:
    """Divide patients into strata by their largest label.

    With labels of 0 and 1 a patient with any positive belongs to the positives' stratum with all
    of its examples, so that a resample never lacks positives.

    Parameters
    ----------
    labels
        Shape (n,), integers.
    patients
        Shape (n,); None if every example is a patient of its own.
    """
    labels = np.asarray(labels).astype(np.intp)
    groups = np.arange(labels.size) if patients is None else np.asarray(patients)
    names, code = np.unique(groups, return_inverse=True)
    largest = np.full(len(names), np.iinfo(np.intp).min)
    np.maximum.at(largest, code, labels)
    order = np.argsort(largest, kind="stable")
    rank = np.empty(len(names), np.intp)
    rank[order] = np.arange(len(names))
    _, sizes = np.unique(largest, return_counts=True)
    return Strata(rank[code], tuple(int(size) for size in sizes))


def resamples(strata: Strata, replicates: int, seed: int) -> Iterator[npt.NDArray[np.int16]]:
    """Yield how often each replicate has each example, some replicates at a time.

    Each replicate draws, from every stratum, as many patients as it has, with replacement; an
    example comes as often as its patient.

    Parameters
    ----------
    strata
        As from `stratify`.
    replicates
        How many in all.
    seed
        Seed of the drawing.

    Yields
    ------
    numpy.ndarray
        int16, shape (r, n).
    """
    random = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ENTRIES // max(strata.patient.size, 1))
    for done in range(0, replicates, chunk):
        rows = min(chunk, replicates - done)
        drawn = np.empty((rows, strata.patients), np.int16)
        first = 0
        for size in strata.sizes:
            picks = random.integers(0, size, (rows, size), dtype=np.int32)
            picks += np.arange(rows, dtype=np.int32)[:, None] * size
            counts = np.bincount(picks.ravel(), minlength=rows * size)
            drawn[:, first : first + size] = counts.reshape(rows, size)
            first += size
        yield drawn[:, strata.patient]


@dataclasses.dataclass(frozen=True)
class Influence:
    """What single patients do to a statistic, and what follows for its interval.

    Attributes
    ----------
    acceleration
        How fast the standard error of the statistic changes with its value: a sixth of the
        skewness of its sampling distribution.
    freedom
        Degrees of freedom of the variance of the statistic.
    inflation
        By what a standard error over replicates is too small: the root of n / (n - 1) for one
        stratum of n patients.
    """

    acceleration: float
    freedom: float
    inflation: float


def influence(
    statistic: Statistic,
    scores: npt.NDArray,
    labels: npt.NDArray,
    strata: Strata,
    seed: int = 0,
) -> Influence | None:
    """Return what leaving out patients one by one says of the distribution of a statistic.

    Of a stratum with more than `MOST_LEFT_OUT` patients as many groups drawn at random are left
    out instead; the skewness of a sum of s patients is smaller by the root of s, as is the root of
    the number of groups, so that the acceleration is the same but for a standard error below .001.

    Returns
    -------
    Influence or None
        None where leaving out any patient changes nothing, or a stratum has a single patient.

    References
    ----------
    Efron, Journal of the American Statistical Association 82, 1987; Davison and Hinkley, Bootstrap
    Methods and their Application, 1997, section 5.3 (several samples).
    """
    random = np.random.default_rng(seed)
    squares = cubes = variance = spread = 0.0
    first = 0
    for size in strata.sizes:
        groups = min(size, MOST_LEFT_OUT)
        of_patient = np.full(strata.patients, -1)
        of_patient[first : first + size] = random.permutation(size) % groups
        first += size
        if groups < 2:
            return None
        without = _leave_out(statistic, scores, labels, of_patient[strata.patient], groups)
        parts = (groups - 1) / groups * (without.mean() - without)
        squares += float(np.sum(parts**2))
        cubes += float(np.sum(parts**3))
        of_stratum, spread_of_stratum = variance_of_sum(parts)
        variance += of_stratum
        spread += spread_of_stratum
    if not squares > 0:
        return None
    return Influence(
        cubes / (6 * squares**1.5), 2 * variance**2 / spread, float(np.sqrt(variance / squares))
    )


def _leave_out(
    statistic: Statistic,
    scores: npt.NDArray,
    labels: npt.NDArray,
    group: npt.NDArray[np.intp],
    groups: int,
) -> FloatArray:
    chunk = max(1, CHUNK_ENTRIES // group.size)
    parts = []
    for done in range(0, groups, chunk):
        out = np.arange(done, min(done + chunk, groups))
        weights = (group[None] != out[:, None]).astype(np.int16)
        parts.append(statistic(scores, labels, weights))
    return np.concatenate(parts)


def bca(
    statistic: Statistic,
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Return a statistic with its bias-corrected and accelerated bootstrap interval.

    Patients are resampled with all of their examples, within strata by their largest label (see
    `stratify`). The same seed gives the same interval.

    Resamples of few positives vary too little, and their variance is itself hardly known: plain
    BCa intervals of an average precision hold the truth in 90 of 100 data sets with 40 positives.
    Normal quantiles are therefore replaced by those of t, a little inflated (Hesterberg's
    expansion, with the degrees of freedom of `intervals.auc_variances`); with many patients
    nothing changes.

    Parameters
    ----------
    statistic
        Called with scores, labels and integer weights (R, n), returns (R,); the functions
        ``weighted_…`` of `fewcase.statistics.metrics` are of this form.
    scores
        Shape (n,) or (n, …), finite; passed on to `statistic`, sorted if of one dimension.
    labels
        Shape (n,), integers.
    patients
        Shape (n,); None if every example is a patient of its own.
    replicates
        Number of resamples.
    seed
        Seed of the resampling.
    level
        Confidence level.

    Returns
    -------
    Estimate
        `method` is ``BCa bootstrap``; ``percentile bootstrap`` where bias or acceleration cannot
        be estimated (all replicates on one side of the value, a class of a single patient, or a
        statistic that does not depend on any one patient); or it says why there is no interval.

    References
    ----------
    Efron, Journal of the American Statistical Association 82, 1987; Hesterberg, The American
    Statistician 69, 371-386, 2015.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    patients = None if patients is None else np.asarray(patients)
    if labels.size == 0:
        return undefined("no examples")
    if not np.isfinite(scores).all():
        return undefined("a score is not a finite number")
    if scores.ndim == 1:
        # Statistics that rank the scores then need not reorder every matrix of weights.
        order = np.argsort(-scores, kind="stable")
        scores, labels = scores[order], labels[order]
        patients = None if patients is None else patients[order]
    value = float(statistic(scores, labels, np.ones((1, labels.size), np.int16))[0])
    if not np.isfinite(value):
        return undefined("the statistic has no value on these examples")
    nan = float("nan")
    strata = stratify(labels, patients)
    if strata.patients < 2:
        return Estimate(value, nan, nan, nan, "one patient, no interval")
    drawn = np.concatenate(
        [statistic(scores, labels, weights) for weights in resamples(strata, replicates, seed)]
    )
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size < replicates / 2:
        return Estimate(value, nan, nan, nan, "undefined in most resamples, no interval")
    if np.ptp(drawn) == 0:
        return Estimate(value, nan, nan, nan, "every resample gives the same value, no interval")
    share_below = float(np.mean(drawn < value) + np.mean(drawn == value) / 2)
    found = influence(statistic, scores, labels, strata, seed)
    if found is None or not 0 < share_below < 1:
        tails, method = ((1 - level) / 2, (1 + level) / 2), "percentile bootstrap"
    else:
        tails, method = _tails(share_below, found, level), "BCa bootstrap"
    low, high = np.quantile(drawn, tails)
    return Estimate(value, nan, float(low), float(high), method)


def _tails(share_below: float, found: Influence, level: float) -> tuple[float, float]:
    """Return the quantiles of the replicates at which the interval ends."""
    bias = scipy.special.ndtri(share_below)
    quantile = found.inflation * scipy.special.stdtrit(found.freedom, (1 + level) / 2)
    z = bias + np.array([-quantile, quantile])
    # Beyond this the transformation turns back: the interval then ends at the outermost replicate.
    shrunk = np.maximum(1 - found.acceleration * z, 1e-6)
    low, high = scipy.special.ndtr(bias + z / shrunk)
    return float(low), float(high)
