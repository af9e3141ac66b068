"""How sure an AUC or a proportion is: on one set of patients, clustered or not, and over folds."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.special

from fewcase.runtime.ranking import are_positive
from fewcase.statistics.metrics import FloatArray, Placements, placements

# Round-off leaves about 1e-34 of a variance that is nought.
NOUGHT = 1e-20


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


@dataclasses.dataclass(frozen=True)
class Variances:
    """Variances of AUCs, or of differences of AUCs, and how far they are to be trusted.

    Attributes
    ----------
    values
        Shape (k,).
    freedom
        Shape (k,): degrees of freedom of the t-distribution that the error refers to; 0 where the
        variance is nought.
    method
        ``DeLong``, or ``Obuchowski`` where some patient has several examples.
    """

    values: FloatArray
    freedom: FloatArray
    method: str


def auc_variances(
    placed: Placements, labels: npt.ArrayLike, patients: npt.ArrayLike | None = None
) -> Variances | None:
    """Return the variance of each AUC, or difference of AUCs, over patients.

    Sums of placement values per patient take the place of single ones, and a patient with
    examples of both classes adds a term of its own (Obuchowski). With one example per patient this
    is DeLong's variance exactly.

    The variance rests on few positives, as a rule, whose placements have a long tail when the AUC
    is large: it is then small just where the AUC came out too high by chance, and normal quantiles
    make intervals that miss too often. Satterthwaite's degrees of freedom, from the spread that
    the placements show (as Pan and Wall take them, never more than for normal ones, which are
    those of Brunner and Munzel's test), mend that.

    Parameters
    ----------
    placed
        Placement values of k models or differences.
    labels
        Shape (n,), 0 or 1, as they were given to `placements`.
    patients
        Shape (n,), integers: the patient of each example; None if each is a patient of its own.

    Returns
    -------
    Variances or None
        None where a class has fewer than two patients, from whom no variance can be estimated.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; Obuchowski, Biometrics 53, 1997;
    Brunner and Munzel, Biometrical Journal 42, 2000; Pan and Wall, Statistics in Medicine 21,
    1429-1441, 2002.
    """
    positive = are_positive(labels)
    if patients is None:
        cluster, count = np.arange(positive.size), positive.size
    else:
        names, cluster = np.unique(np.asarray(patients), return_inverse=True)
        count = len(names)
    sides = [
        (cluster[chosen], np.bincount(cluster[chosen], minlength=count) > 0)
        for chosen in (positive, ~positive)
    ]
    if min(int(has.sum()) for _, has in sides) < 2:
        return None
    values, freedom = np.zeros(len(placed.auc)), np.zeros(len(placed.auc))
    for k, auc in enumerate(placed.auc):
        sums, spread = [], 0.0
        for (code, has), of_class in zip(
            sides, (placed.of_positives[k], placed.of_negatives[k]), strict=True
        ):
            sums.append(np.bincount(code, of_class - auc, count) / len(code))
            part, spread_of_part = variance_of_sum(sums[-1][has])
            values[k] += part
            spread += spread_of_part
        freedom[k] = 2 * values[k] ** 2 / spread if spread > 0 else 0.0
        values[k] += 2 * count / (count - 1) * float(sums[0] @ sums[1])
    return Variances(values, freedom, "DeLong" if count == positive.size else "Obuchowski")


def variance_of_sum(terms: FloatArray) -> tuple[float, float]:
    """Return the variance of the sum of independent terms of mean 0, and the variance of that.

    The latter follows from the kurtosis of the terms, which counts as 3 where it is less.

    Parameters
    ----------
    terms
        Shape (n,), at least two.

    References
    ----------
    Pan and Wall, Statistics in Medicine 21, 1429-1441, 2002.
    """
    count, squares = len(terms), terms**2
    variance = count / (count - 1) * float(squares.sum())
    if variance == 0:
        return 0.0, 0.0
    kurtosis = float(np.mean(squares**2) / np.mean(squares) ** 2)
    relative = max((kurtosis - (count - 3) / (count - 1)) / count, 2 / (count - 1))
    return variance, variance**2 * relative


def patients_of_each_class(
    labels: npt.ArrayLike, patients: npt.ArrayLike | None
) -> tuple[int, int]:
    """Return how many patients have a positive, and how many have a negative."""
    positive = are_positive(labels)
    groups = np.arange(positive.size) if patients is None else np.asarray(patients)
    return len(np.unique(groups[positive])), len(np.unique(groups[~positive]))


def logit_interval(
    auc: float, variance: float, level: float = 0.95, freedom: float = math.inf
) -> tuple[float, float]:
    """Return an interval that is symmetric in the logit of the AUC and so stays within 0 and 1.

    Parameters
    ----------
    auc
        Strictly between 0 and 1.
    variance
        Variance of the AUC.
    level
        Confidence level.
    freedom
        Degrees of freedom of the variance; normal quantiles by default.
    """
    quantile = float(scipy.special.stdtrit(freedom, (1 + level) / 2))
    half = quantile * math.sqrt(variance) / (auc * (1 - auc))
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
        Shape (k, n) or (n,).
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
        ``Obuchowski, logit`` (some patient has several examples; both with the degrees of freedom
        of `auc_variances`), ``Newcombe score`` (the AUC is 0 or 1, all scores are equal, or a
        class has a single patient), or the reason why there is no value.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = are_positive(labels)
    if not np.isfinite(scores).all():
        return undefined("a score is not a finite number")
    if not positive.any():
        return undefined("no positives")
    if positive.all():
        return undefined("no negatives")
    placed = placements(scores, positive)
    sd = float(placed.auc.std(ddof=1)) if len(scores) > 1 else float("nan")
    auc = min(max(float(placed.auc.mean()), 0.0), 1.0)
    found = auc_variances(placed.mean(), positive, patients)
    if found is not None and found.values[0] > NOUGHT and 1e-12 < auc < 1 - 1e-12:
        low, high = logit_interval(auc, float(found.values[0]), level, float(found.freedom[0]))
        return Estimate(auc, sd, low, high, f"{found.method}, logit")
    low, high = score_interval(auc, *patients_of_each_class(positive, patients), level)
    return Estimate(auc, sd, low, high, "Newcombe score")


def ratio_to_training(
    validated: Mapping[tuple[int, int], int], stopping: Mapping[tuple[int, int], int]
) -> float:
    """Return how large validation parts are beside training parts: Nadeau and Bengio's n2 / n1.

    A run trains on what the other folds of its seed validate, less its own inner part, which early
    stopping looks at. Negatives that under-sampling leaves out count as well: the ratio is then
    that of the positives, all of which are kept, and on which an AUC of rare ones depends most.

    Parameters
    ----------
    validated
        Units of the validation part of each run, by seed and fold.
    stopping
        Units of its inner part; a run that is missing has none.

    Returns
    -------
    float
        Mean over runs: 1 / (folds - 1) without inner parts. NaN where some run has nothing to be
        trained on, as where a seed has one fold only.
    """
    of_seed = Counter[int]()
    for (seed, _), units in validated.items():
        of_seed[seed] += units
    trained = {
        run: of_seed[run[0]] - units - stopping.get(run, 0) for run, units in validated.items()
    }
    if not trained or min(trained.values()) <= 0:
        return float("nan")
    return sum(units / trained[run] for run, units in validated.items()) / len(validated)


def mean_over_folds(values: npt.ArrayLike, test_to_train: float, level: float = 0.95) -> Estimate:
    """Return the mean of a metric over seeds × folds, with the corrected resampled t interval.

    Training parts overlap, so the values are not independent; Nadeau and Bengio widen the variance
    of the mean from ``1/J`` to ``1/J + n_test / n_train`` times that of the values.

    Parameters
    ----------
    values
        Shape (J,): the metric of each run, within 0 and 1; NaN where it is undefined.
    test_to_train
        Examples of the validation part over those of the training part, see `ratio_to_training`.
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
    if sd < 1e-12:
        # Without any spread the interval would be a point, and promise certainty.
        nan = float("nan")
        return Estimate(mean, sd, nan, nan, "every run has the same value, no interval" + without)
    quantile = float(scipy.special.stdtrit(known.size - 1, (1 + level) / 2))
    half = quantile * sd * math.sqrt(1 / known.size + test_to_train)
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return Estimate(mean, sd, low, high, "corrected resampled t" + without)


def wilson_interval(successes: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

    Parameters
    ----------
    successes, total
        Counts, or effective ones, that need not be whole; `total` above 0.
    level
        Confidence level.

    References
    ----------
    Wilson, Journal of the American Statistical Association 22, 1927; Newcombe, Statistics in
    Medicine 17, 857-872, 1998 (method 3).
    """
    share = successes / total
    z = float(scipy.special.ndtri((1 + level) / 2))
    centre = successes + z**2 / 2
    half = z * math.sqrt(total * share * (1 - share) + z**2 / 4)
    # At 0 and 1 a bound is 0 or 1 exactly, but for round-off.
    low = 0.0 if share == 0 else (centre - half) / (total + z**2)
    high = 1.0 if share == 1 else (centre + half) / (total + z**2)
    return low, high


def effective_total(successes: npt.NDArray, totals: npt.NDArray) -> float:
    """Return how many independent trials the trials of several patients are worth.

    The number of trials is divided by the design effect: the variance of the ratio of successes
    to trials, estimated between patients, over that of as many independent trials. It is never
    more than the trials, since a design effect below 1 is as a rule an accident of few patients.
    Where every trial has the same outcome, nothing can be learnt of how alike a patient's trials
    are: each patient then counts as one.

    Parameters
    ----------
    successes, totals
        Shape (patients,): successes and trials of each patient, trials at least 1.

    References
    ----------
    Rao and Scott, Biometrics 48, 577-585, 1992; Dean and Pagano, Journal of Survey Statistics and
    Methodology 3, 484-503, 2015 (on the bound).
    """
    total = float(totals.sum())
    patients = len(totals)
    share = float(successes.sum()) / total
    if share in (0.0, 1.0) or patients < 2:
        return float(patients)
    between = float(np.sum((successes - share * totals) ** 2))
    effect = patients / (patients - 1) * between / (total * share * (1 - share))
    return total / max(effect, 1.0)


def wilson(
    successes: npt.ArrayLike,
    total: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return a proportion, such as a sensitivity, with Wilson's score interval.

    Parameters
    ----------
    successes, total
        Counts, or shape (n,): successes of so many trials each. ``wilson(81, 263)`` and, for 0/1
        outcomes, ``wilson(outcomes, 1, patients)`` are the usual forms.
    clusters
        Shape (n,): the patient of each entry; None if all trials are independent.
    level
        Confidence level.

    Returns
    -------
    Estimate
        `method` is ``Wilson``, or ``Wilson, clustered`` where some patient has several trials;
        Wilson's interval is then that of the effective number of trials (`effective_total`).

    References
    ----------
    See `wilson_interval` and `effective_total`.
    """
    won, tried = np.broadcast_arrays(
        np.atleast_1d(np.asarray(successes, dtype=np.float64)),
        np.atleast_1d(np.asarray(total, dtype=np.float64)),
    )
    if (won < 0).any() or (won > tried).any():
        raise ValueError("a proportion needs 0 <= successes <= total")
    if tried.sum() == 0:
        return undefined("no trials")
    nan, share = float("nan"), float(won.sum() / tried.sum())
    effective, method = float(tried.sum()), "Wilson"
    if clusters is not None:
        _, code = np.unique(np.asarray(clusters)[tried > 0], return_inverse=True)
        of_patients = np.bincount(code, tried[tried > 0])
        if of_patients.max() > 1:
            effective = effective_total(np.bincount(code, won[tried > 0]), of_patients)
            method = "Wilson, clustered"
    low, high = wilson_interval(share * effective, effective, level)
    return Estimate(share, nan, low, high, method)
