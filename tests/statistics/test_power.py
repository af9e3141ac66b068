"""Power against Hanley and McNeil's published figures, and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from fewcase.statistics.comparisons import compare_aucs
from fewcase.statistics.intervals import auc_variances, estimate_auc
from fewcase.statistics.metrics import placements
from fewcase.statistics.power import (
    auc_variance,
    difference_variance,
    expected_best,
    half_width,
    smallest_auc,
    smallest_difference,
    smallest_difference_of_variance,
)

LABELS = np.repeat([1, 0], [40, 711])


def separation(auc: float) -> float:
    return math.sqrt(2) * float(scipy.stats.norm.ppf(auc))


def test_the_variance_at_chance_is_the_rank_sum_tests() -> None:
    assert auc_variance(40, 711, 0.5) == pytest.approx((40 + 711 + 1) / (12 * 40 * 711))


@pytest.mark.parametrize("auc", [0.65, 0.9])
def test_the_variance_is_that_of_simulated_normal_scores(auc: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(8000, 10)) + separation(auc)
    y = random.normal(size=(8000, 25))
    aucs = (x[:, :, None] > y[:, None, :]).mean(axis=(1, 2))
    assert aucs.var() == pytest.approx(auc_variance(10, 25, auc), rel=0.05)


@pytest.mark.parametrize(
    ("each", "gain", "power"),
    [
        (652, 0.05, 0.8),
        (158, 0.10, 0.8),
        (68, 0.15, 0.8),
        (897, 0.05, 0.9),
        (216, 0.10, 0.9),
        (1131, 0.05, 0.95),
        (271, 0.10, 0.95),
        (115, 0.15, 0.95),
    ],
)
def test_sizes_of_hanley_and_mcneils_table_show_its_differences(
    each: int, gain: float, power: float
) -> None:
    """Radiology 1982, Table III, from an AUC of .70; one-sided 5 %, independent images.

    Theirs are of exponential scores, which in classes of equal size vary as normal ones do.
    """
    found = smallest_difference(each, each, 0.7, 0.0, power=power, level=0.9)
    assert found == pytest.approx(gain, rel=0.01)


def test_simulated_arms_that_differ_by_as_much_are_told_apart_in_four_of_five_tests() -> None:
    """40 positives and 711 negatives, independent models: the paired test has its power."""
    random = np.random.default_rng(1)
    gain = smallest_difference(40, 711, 0.65, 0.0)
    distance = np.array([separation(0.65), separation(0.65 + gain)])
    shown = []
    for _ in range(600):
        scores = random.normal(size=(2, 751)) + distance[:, None] * LABELS
        shown.append(compare_aucs(scores, LABELS)[1].p < 0.05)
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


def test_the_observed_variance_gives_the_difference_that_related_arms_can_show() -> None:
    random = np.random.default_rng(2)

    def draw(gain: float) -> np.ndarray:
        shared, own = random.normal(size=751), random.normal(size=(2, 751))
        distance = np.array([separation(0.65), separation(0.65 + gain)])
        return math.sqrt(0.8) * shared + math.sqrt(0.2) * own + distance[:, None] * LABELS

    variances = []
    for _ in range(200):
        found = auc_variances(placements(draw(0.0), LABELS).less(0), LABELS)
        assert found is not None
        variances.append(found.values[1])
    gain = smallest_difference_of_variance(float(np.mean(variances)))
    assert gain < 0.7 * smallest_difference(40, 711, 0.65, 0.0)
    shown = [compare_aucs(draw(gain), LABELS)[1].p < 0.05 for _ in range(600)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


def test_the_smallest_auc_is_told_from_chance_in_four_of_five_tests() -> None:
    random = np.random.default_rng(3)
    auc = smallest_auc(40, 711)
    distance = separation(auc)
    shown = [
        estimate_auc(random.normal(size=751) + distance * LABELS, LABELS).low > 0.5
        for _ in range(600)
    ]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)


def test_more_comparisons_and_less_correlation_ask_for_more() -> None:
    alone = [smallest_difference(40, 711, 0.66, r) for r in (0.0, 0.5, 0.8)]
    among = [smallest_difference(40, 711, 0.66, r, comparisons=39) for r in (0.0, 0.5, 0.8)]
    assert alone == sorted(alone, reverse=True)
    assert all(more > once for more, once in zip(among, alone, strict=True))
    assert smallest_auc(40, 711, comparisons=40) > smallest_auc(40, 711) > smallest_auc(400, 711)
    assert smallest_difference(40, 711, 0.66, 1.0) == pytest.approx(0, abs=0.02)


def test_a_set_that_can_show_nothing_says_so() -> None:
    assert math.isnan(smallest_auc(2, 3))
    assert math.isnan(smallest_difference(3, 10, 0.9, 0.0))


def test_variances_of_correlated_aucs_are_subtracted() -> None:
    apart = difference_variance(40, 711, 0.7, 0.7, 0.0)
    assert apart == pytest.approx(2 * auc_variance(40, 711, 0.7))
    assert difference_variance(40, 711, 0.7, 0.7, 0.8) == pytest.approx(0.2 * apart)


def test_half_the_width_is_that_of_the_interval() -> None:
    random = np.random.default_rng(4)
    widths = []
    for _ in range(100):
        found = estimate_auc(random.normal(size=751) + separation(0.7) * LABELS, LABELS)
        widths.append(found.high - found.low)
    assert half_width(40, 711, 0.7) == pytest.approx(np.mean(widths) / 2, rel=0.06)


@pytest.mark.parametrize(("arms", "correlation"), [(2, 0.0), (40, 0.8), (40, 0.0)])
def test_the_best_of_equal_arms_looks_better_by_what_is_expected(
    arms: int, correlation: float
) -> None:
    random = np.random.default_rng(5)
    shared, own = random.normal(size=(4000, 1)), random.normal(size=(4000, arms))
    values = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
    found = expected_best(arms, 0.05, correlation)
    assert found == pytest.approx(0.05 * values.max(axis=1).mean(), abs=0.0025)
    if arms == 2:
        assert found == pytest.approx(0.05 / math.sqrt(math.pi))
