"""Is one arm better than another: paired and unpaired differences, and Holm's correction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.runtime.ranking import are_positive
from fewcase.statistics.intervals import (
    NOUGHT,
    auc_variances,
    patients_of_each_class,
    score_interval,
)
from fewcase.statistics.metrics import FloatArray, Placements, placements


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much an arm differs from its reference, with interval and two-sided p-value.

    All are NaN where undefined; `method` then says why. `p` is not corrected for how many
    comparisons there are: see `holm`. `standard_error` is NaN too where the interval does not come
    from one.
    """

    value: float
    low: float
    high: float
    p: float
    method: str
    standard_error: float = float("nan")


def no_difference(reason: str) -> Difference:
    """Return a difference without a value, and why there is none."""
    nan = float("nan")
    return Difference(nan, nan, nan, nan, f"undefined: {reason}")


def compare_aucs(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    reference: int = 0,
    level: float = 0.95,
) -> list[Difference]:
    """Compare the AUC of every arm with that of a reference on the same examples.

    The difference tells of other patients, the models being given; for other trainings see
    `compare_runs`.

    Parameters
    ----------
    scores
        Shape (k, n), or (s, k, n) with s seeds, whose AUCs are averaged arm by arm.
    labels
        Shape (n,), 0 or 1.
    patients
        Shape (n,), integers; None if every example is a patient of its own.
    reference
        Index of the arm that the others are compared with.
    level
        Confidence level.

    Returns
    -------
    list of Difference
        Arm minus reference, k of them. `method` is

        ``DeLong, paired`` or ``Obuchowski, paired``
            Interval and p-value from the error, with the degrees of freedom of
            `intervals.auc_variances`; the latter where some patient has several examples.
        ``same ranking``
            The arm orders positives and negatives as the reference does: 0, 0 to 0, p = 1.
        ``Newcombe scores, squared and added``
            There is no variance to go by, as between AUCs of 1 and of .5 or where a class has a
            single patient. The score intervals of the two AUCs are combined as if the arms were
            independent, which is too wide rather than too narrow for arms that agree; p is the
            level at which that interval reaches 0.
        ``reference``
            The reference itself: 0 without a p-value, so that `holm` leaves it out.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; Obuchowski, Biometrics 53, 1997; Zou
    and Donner, Statistics in Medicine 27, 1693-1702, 2008 (intervals squared and added).
    """
    scores = np.asarray(scores, dtype=np.float64)
    positive = are_positive(labels)
    seeds = scores if scores.ndim == 3 else scores[None]
    if not positive.any() or positive.all():
        return [no_difference("one class only")] * seeds.shape[1]
    known = np.isfinite(seeds).all(axis=(0, 2))
    if not known[reference]:
        return [no_difference("a score of the reference is not finite")] * seeds.shape[1]
    # An arm that diverged must not keep the others from being compared.
    placed = _mean_placements(np.where(known[:, None], seeds, 0.0), positive)
    differences = placed.less(reference)
    found = auc_variances(differences, positive, patients)
    compared = []
    for arm, value in enumerate(differences.auc):
        identical = np.array_equal(seeds[:, arm], seeds[:, reference])
        if arm == reference:
            compared.append(Difference(0.0, 0.0, 0.0, float("nan"), "reference"))
        elif not known[arm]:
            compared.append(no_difference("a score is not finite"))
        elif identical or _same_ranking(differences, placed, arm):
            compared.append(Difference(0.0, 0.0, 0.0, 1.0, "same ranking"))
        elif found is not None and found.values[arm] > NOUGHT:
            method = f"{found.method}, paired"
            freedom = float(found.freedom[arm])
            compared.append(student(float(value), float(found.values[arm]), freedom, level, method))
        else:
            counts = patients_of_each_class(positive, patients)
            compared.append(_without_placements(placed.auc[[arm, reference]], counts, level))
    return compared


def _mean_placements(seeds: FloatArray, positive: npt.NDArray[np.bool_]) -> Placements:
    """Return the placements of each arm's AUC averaged over seeds, given (s, k, n)."""
    total = placements(seeds[0], positive)
    for scores in seeds[1:]:
        more = placements(scores, positive)
        total = Placements(
            total.auc + more.auc,
            total.of_positives + more.of_positives,
            total.of_negatives + more.of_negatives,
        )
    count = len(seeds)
    return Placements(total.auc / count, total.of_positives / count, total.of_negatives / count)


def _same_ranking(differences: Placements, placed: Placements, arm: int) -> bool:
    """Tell whether an arm has the reference's placements; perfect ones are no such evidence."""
    apart = max(
        np.abs(differences.of_positives[arm]).max(), np.abs(differences.of_negatives[arm]).max()
    )
    return bool(apart < 1e-12 and 1e-12 < placed.auc[arm] < 1 - 1e-12)


def _without_placements(aucs: FloatArray, counts: tuple[int, int], level: float) -> Difference:
    def interval(auc: float, at: float) -> tuple[float, float]:
        return score_interval(auc, *counts, at)

    return squared_and_added(aucs, interval, level, "Newcombe scores, squared and added")


def squared_and_added(
    values: Sequence[float] | FloatArray,
    interval: Callable[[float, float], tuple[float, float]],
    level: float,
    method: str,
) -> Difference:
    """Return the difference of two values from the intervals of each, as if independent.

    Parameters
    ----------
    values
        Of the arm and of the reference, 0 to 1.
    interval
        Returns the two ends for a value and a confidence level.
    level
        Confidence level.
    method
        What it is called.

    References
    ----------
    Zou and Donner, Statistics in Medicine 27, 1693-1702, 2008.
    """
    value, other = map(float, values)
    difference = value - other

    def apart(at: float) -> tuple[float, float]:
        (low, high), (low_other, high_other) = interval(value, at), interval(other, at)
        down = math.hypot(value - low, high_other - other)
        up = math.hypot(high - value, other - low_other)
        return max(difference - down, -1.0), min(difference + up, 1.0)

    def holds_zero(at: float) -> bool:
        low, high = apart(at)
        return low <= 0 <= high

    # The least level at which the interval holds 0; no level but 0 where there is no difference.
    inside, outside = 1 - 1e-12, 0.0
    while inside - outside > 1e-9 and difference != 0:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds_zero(middle) else (inside, middle)
    p = 1.0 if difference == 0 else 1 - inside
    return Difference(difference, *apart(level), p, method)


def compare_paired_pooled(
    scores: npt.ArrayLike,
    reference_scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Compare two sets of out-of-fold scores of the same examples, whatever their folds were.

    The AUC over all folds of a seed together is averaged over seeds. For a leakage audit, where
    the folds of the two sides differ, this is the comparison that knows that the examples are the
    same; it takes the trained models as given.

    Parameters
    ----------
    scores, reference_scores
        Shape (s, n) or (n,): a score of each example from the model that did not train on it, per
        seed; both sides may have different numbers of seeds.
    labels
        Shape (n,), 0 or 1.
    patients
        Shape (n,), integers; None if every example is a patient of its own.
    level
        Confidence level.

    Returns
    -------
    Difference
        Of the mean AUCs; `method` as in `compare_aucs`, with ``, out-of-fold`` added.
    """
    sides = [
        np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (scores, reference_scores)
    ]
    seeds = math.lcm(*(len(side) for side in sides))
    both = np.stack([np.tile(side, (seeds // len(side), 1)) for side in sides], axis=1)
    found = compare_aucs(both, labels, patients, reference=1, level=level)[0]
    if math.isnan(found.value):
        return found
    return dataclasses.replace(found, method=f"{found.method}, out-of-fold")


def compare_runs(
    values: npt.ArrayLike,
    reference_values: npt.ArrayLike,
    test_to_train: float,
    level: float = 0.95,
) -> Difference:
    """Compare two arms over the same seeds × folds by the corrected resampled t-test.

    Parameters
    ----------
    values, reference_values
        Shape (J,): a metric of each run, both arms in the same order of seed and fold; NaN where
        it is undefined. A run counts where both have a value.
    test_to_train
        Examples of the validation part over those of the training part, see
        `intervals.ratio_to_training`.
    level
        Confidence level.

    Returns
    -------
    Difference
        Mean of the paired differences; J - 1 degrees of freedom. `method` is ``corrected
        resampled t, paired`` and counts the runs that were left out.

    References
    ----------
    Nadeau and Bengio, Machine Learning 52, 2003; Bouckaert and Frank, PAKDD 2004.
    """
    apart = np.asarray(values, dtype=np.float64) - np.asarray(reference_values, dtype=np.float64)
    known = apart[np.isfinite(apart)]
    left_out = _left_out(apart.size - known.size, apart.size)
    if known.size == 0:
        return no_difference("no run has a value in both arms")
    if known.size == 1:
        nan = float("nan")
        return Difference(float(known[0]), nan, nan, nan, f"one run, no interval{left_out}")
    variance = float(known.var(ddof=1)) * (1 / known.size + test_to_train)
    method = f"corrected resampled t, paired{left_out}"
    if variance <= NOUGHT:
        return _without_variance(float(known.mean()), method)
    return student(float(known.mean()), variance, known.size - 1, level, method)


def difference_unpaired(
    values: npt.ArrayLike,
    reference_values: npt.ArrayLike,
    test_to_train: float,
    reference_test_to_train: float,
    level: float = 0.95,
) -> Difference:
    """Compare the means of two arms over runs whose folds are not the same.

    Each mean has its corrected resampled variance; they are added, as for independent sides. Runs
    on the same examples are not, and as a rule agree, so that the interval is rather too wide. For
    a leakage audit this is the comparison that knows that other trainings would give other values.

    Parameters
    ----------
    values, reference_values
        Shape (J,) and (I,): a metric of each run; NaN where it is undefined.
    test_to_train, reference_test_to_train
        Examples of the validation part over those of the training part, of either side; see
        `intervals.ratio_to_training`.
    level
        Confidence level.

    Returns
    -------
    Difference
        Of the means; degrees of freedom after Welch and Satterthwaite. `method` is ``corrected
        resampled t, unpaired``.

    References
    ----------
    Nadeau and Bengio, Machine Learning 52, 2003; Welch, Biometrika 34, 1947.
    """
    means, variances, degrees, missing, runs = [], [], [], 0, 0
    for side, ratio in ((values, test_to_train), (reference_values, reference_test_to_train)):
        side = np.asarray(side, dtype=np.float64)
        known = side[np.isfinite(side)]
        if known.size == 0:
            return no_difference("one side has no run with a value")
        means.append(float(known.mean()))
        degrees.append(known.size - 1)
        # The variance over J - 1 times (1 / J + ratio); a single run, without one, is met below.
        squares = float(np.sum((known - known.mean()) ** 2)) / max(known.size - 1, 1)
        variances.append(squares * (1 / known.size + ratio))
        missing, runs = missing + side.size - known.size, runs + side.size
    value, left_out = means[0] - means[1], _left_out(missing, runs)
    if min(degrees) < 1:
        nan = float("nan")
        return Difference(value, nan, nan, nan, f"one run on a side, no interval{left_out}")
    variance, method = sum(variances), f"corrected resampled t, unpaired{left_out}"
    if variance <= NOUGHT:
        return _without_variance(value, method)
    spread = sum(part**2 / freedom for part, freedom in zip(variances, degrees, strict=True))
    return student(value, variance, variance**2 / spread, level, method)


def student(value: float, variance: float, freedom: float, level: float, method: str) -> Difference:
    """Return a difference with the interval and p-value of t with some degrees of freedom."""
    error = math.sqrt(variance)
    half = float(scipy.special.stdtrit(freedom, (1 + level) / 2)) * error
    p = 2 * float(scipy.special.stdtr(freedom, -abs(value) / error))
    return Difference(value, max(value - half, -1.0), min(value + half, 1.0), p, method, error)


def _without_variance(value: float, method: str) -> Difference:
    """Return the difference of runs that all differ by as much: a test is of use only at 0."""
    nan = float("nan")
    if abs(value) < 1e-12:
        return Difference(0.0, 0.0, 0.0, 1.0, method)
    return Difference(value, nan, nan, nan, f"every run differs by as much, no interval; {method}")


def _left_out(missing: int, runs: int) -> str:
    return f"; undefined in {missing} of {runs} runs" if missing else ""


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Return p-values adjusted for their number, so that one false finding stays as rare as `p`.

    Parameters
    ----------
    p_values
        Shape (k,); NaN for a comparison that could not be made or is none (the reference). They
        stay NaN and do not count.

    Returns
    -------
    numpy.ndarray
        Shape (k,), at most 1.

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted
