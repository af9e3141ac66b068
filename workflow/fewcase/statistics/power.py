"""Where the evidence ends: which differences of AUCs a test set of a given size can show."""

from __future__ import annotations

import math
from collections.abc import Callable

import scipy.integrate
import scipy.optimize
import scipy.special


def auc_variance(positives: int, negatives: int, auc: float) -> float:
    """Return the variance of an AUC of which only the counts are known.

    Exact for normally distributed scores of equal spread in both classes. (Hanley and McNeil's
    formula, exact for exponential ones, is as good for classes of equal size; with few positives
    among many negatives it asks for a quarter more variance than such scores have.)

    Parameters
    ----------
    positives, negatives
        Number of independent examples of each class.
    auc
        Between 0 and 1.

    References
    ----------
    Bamber, Journal of Mathematical Psychology 12, 387-415, 1975, for the variance; Owen, Annals of
    Mathematical Statistics 27, 1956, for the probability that two positives are above a negative.
    """
    distance = scipy.special.ndtri(auc)
    both = auc - 2 * float(scipy.special.owens_t(distance, 1 / math.sqrt(3)))
    others = positives + negatives - 2
    return (auc * (1 - auc) + others * (both - auc**2)) / (positives * negatives)


def difference_variance(
    positives: int, negatives: int, auc: float, other_auc: float, correlation: float
) -> float:
    """Return the variance of the difference of two AUCs on the same examples.

    Parameters
    ----------
    positives, negatives
        Number of independent examples of each class.
    auc, other_auc
        The two AUCs.
    correlation
        Of the two AUC estimates: 0 for independent models, near 1 for such as rank alike.

    References
    ----------
    Hanley and McNeil, Radiology 148, 839-843, 1983.
    """
    first = auc_variance(positives, negatives, auc)
    second = auc_variance(positives, negatives, other_auc)
    return first + second - 2 * correlation * math.sqrt(first * second)


def _quantiles(power: float, level: float, comparisons: int) -> tuple[float, float]:
    """Return the normal quantiles of the test, at the first step of Holm's, and of the power."""
    tail = (1 - level) / comparisons / 2
    return float(-scipy.special.ndtri(tail)), float(scipy.special.ndtri(power))


def half_width(positives: int, negatives: int, auc: float, level: float = 0.95) -> float:
    """Return half the width of the interval of an AUC, from counts alone (see `auc_variance`)."""
    return _quantiles(0.5, level, 1)[0] * math.sqrt(auc_variance(positives, negatives, auc))


def smallest_auc(
    positives: int,
    negatives: int,
    power: float = 0.8,
    level: float = 0.95,
    comparisons: int = 1,
) -> float:
    """Return the smallest AUC that a two-sided test would tell from .5.

    Parameters
    ----------
    positives, negatives
        Number of independent examples of each class.
    power
        Probability that the test shows it.
    level
        1 minus the level of significance.
    comparisons
        How many comparisons are made; each must then reach the first step of Holm's procedure.

    Returns
    -------
    float
        NaN where not even an AUC near 1 would be told from .5.
    """
    of_test, of_power = _quantiles(power, level, comparisons)
    by_chance = of_test * math.sqrt(auc_variance(positives, negatives, 0.5))

    def excess(auc: float) -> float:
        error = math.sqrt(auc_variance(positives, negatives, auc))
        return auc - 0.5 - by_chance - of_power * error

    return _root(excess, 0.5, 1.0)


def smallest_difference(
    positives: int,
    negatives: int,
    auc: float,
    correlation: float,
    power: float = 0.8,
    level: float = 0.95,
    comparisons: int = 1,
) -> float:
    """Return the smallest gain in AUC that a paired, two-sided test would show, from counts alone.

    Where both arms have been tested, `smallest_difference_of_variance` is to be preferred: the
    correlation is then known.

    Parameters
    ----------
    positives, negatives
        Number of independent examples of each class.
    auc
        AUC of the reference.
    correlation
        Of the two AUC estimates (not of the scores).
    power, level, comparisons
        As in `smallest_auc`.

    Returns
    -------
    float
        NaN where not even a gain to an AUC near 1 would be shown.

    References
    ----------
    Hanley and McNeil, Radiology 143, 29-36, 1982, and 148, 839-843, 1983, with `auc_variance`.
    """
    of_test, of_power = _quantiles(power, level, comparisons)
    by_chance = of_test * math.sqrt(
        difference_variance(positives, negatives, auc, auc, correlation)
    )

    if not 0 < auc < 1:
        return float("nan")  # An AUC of 0 or 1 has no variance by this formula.

    def excess(gain: float) -> float:
        variance = difference_variance(positives, negatives, auc, auc + gain, correlation)
        return gain - by_chance - of_power * math.sqrt(variance)

    return _root(excess, 0.0, 1.0 - auc)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function rises through nought; NaN where it does not before `high`."""
    if excess(low) >= 0:
        return low
    if excess(high) < 0:
        return float("nan")
    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-9))


def smallest_difference_of_variance(
    variance: float, power: float = 0.8, level: float = 0.95, comparisons: int = 1
) -> float:
    """Return the smallest difference that a two-sided normal test of known variance would show.

    Parameters
    ----------
    variance
        Of the difference: DeLong's, or Obuchowski's where patients have several examples.
    power, level, comparisons
        As in `smallest_auc`.
    """
    return sum(_quantiles(power, level, comparisons)) * math.sqrt(variance)


def expected_best(arms: int, standard_error: float, correlation: float) -> float:
    """Return by how much the best of several equally good arms is expected to look better.

    Parameters
    ----------
    arms
        How many there are.
    standard_error
        Of the measured value of one arm.
    correlation
        Of the measured values of any two arms, 0 to 1.

    Returns
    -------
    float
        Expected maximum of equally correlated normal deviations from the common truth.
    """

    def density(z: float) -> float:
        bell = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return z * arms * bell * float(scipy.special.ndtr(z)) ** (arms - 1)

    of_independent = scipy.integrate.quad(density, -9, 9, limit=200)[0]
    return float(standard_error * math.sqrt(1 - correlation) * of_independent)
