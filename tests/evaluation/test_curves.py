"""Curves of an arm: ROC, reliability, decision curve and confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from fewcase.evaluation.curves import (
    MOST_POINTS,
    confusion_counts,
    confusion_curve,
    decision_curves,
    net_benefit,
    reliability_curve,
    roc_curve,
    roc_points,
)
from fewcase.statistics.intervals import wilson


def simulated(n: int = 300, seed: int = 0, decimals: int = 8):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.25).astype(int)
    scores = 1 / (1 + np.exp(-(random.normal(size=(3, n)) + labels - 1)))
    return scores.round(decimals), labels


@pytest.mark.parametrize("decimals", [8, 1])
def test_roc_points_are_those_of_scikit_learn_with_ties_too(decimals: int) -> None:
    scores, labels = simulated(decimals=decimals)
    x, y = roc_points(scores[0], labels)
    false, true, _ = sklearn.metrics.roc_curve(labels, scores[0], drop_intermediate=False)
    np.testing.assert_allclose(x, false)
    np.testing.assert_allclose(y, true)


@pytest.mark.parametrize("decimals", [8, 1])
def test_area_below_the_mean_curve_is_the_mean_of_areas(decimals: int) -> None:
    scores, labels = simulated(n=150, decimals=decimals)
    curve = roc_curve(scores, labels)
    area = np.trapezoid(curve["y"], curve["x"])
    expected = np.mean([sklearn.metrics.roc_auc_score(labels, row) for row in scores])
    assert area == pytest.approx(expected, abs=1e-9)


def test_a_long_roc_curve_is_thinned_without_moving() -> None:
    scores, labels = simulated(n=20_000)
    curve = roc_curve(scores[0], labels)
    assert len(curve) <= MOST_POINTS + 2
    area = np.trapezoid(curve["y"], curve["x"])
    assert area == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores[0]), abs=2e-3)
    ends = curve[["x", "y"]].iloc[[0, -1]].to_numpy()
    np.testing.assert_array_equal(ends, [[0, 0], [1, 1]])


def test_reliability_is_that_of_scikit_learn_with_wilson_intervals() -> None:
    scores, labels = simulated(n=300)
    curve = reliability_curve(scores[0], labels, bins=10)
    share, mean = sklearn.calibration.calibration_curve(
        labels, scores[0], n_bins=10, strategy="quantile"
    )
    np.testing.assert_allclose(curve["x"], mean)
    np.testing.assert_allclose(curve["y"], share)
    assert (curve["n"] == 30).all()
    expected = wilson(round(share[4] * 30), 30)
    assert (curve["low"][4], curve["high"][4]) == (
        pytest.approx(expected.low),
        pytest.approx(expected.high),
    )


def test_reliability_of_seeds_counts_each_example_once() -> None:
    scores, labels = simulated(n=300)
    one = reliability_curve(scores[0], labels)
    same = reliability_curve(np.stack([scores[0]] * 3), labels)
    np.testing.assert_allclose(same["n"], one["n"])
    np.testing.assert_allclose(same["low"], one["low"], atol=0.02)
    assert reliability_curve(scores, labels)["n"].sum() == 300


def test_net_benefit_is_what_counting_gives_at_every_threshold() -> None:
    scores, labels = simulated(decimals=2)
    thresholds = np.array([0.05, 0.1, 0.25, 0.4])
    for threshold, found in zip(
        thresholds, net_benefit(scores[0], labels, thresholds), strict=True
    ):
        treated = scores[0] >= threshold
        true, false = (treated & (labels == 1)).sum(), (treated & (labels == 0)).sum()
        expected = true / 300 - false / 300 * threshold / (1 - threshold)
        assert found == pytest.approx(expected)
    mean = np.mean([net_benefit(row, labels, thresholds) for row in scores], axis=0)
    np.testing.assert_allclose(net_benefit(scores, labels, thresholds), mean)


def test_treating_all_is_worth_nothing_where_the_threshold_is_the_prevalence() -> None:
    scores, labels = simulated()
    curves = decision_curves(scores, labels)
    prevalence = labels.mean()
    thresholds = curves["decision all"]["x"].to_numpy()
    expected = prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
    np.testing.assert_allclose(curves["decision all"]["y"], expected)
    assert thresholds.min() < prevalence / 4 < 2 * prevalence < thresholds.max()
    assert (curves["decision none"]["y"] == 0).all()


def test_one_class_has_no_roc_and_no_decision_curve() -> None:
    scores, _ = simulated(n=5)
    nothing = np.zeros(5, int)
    assert roc_curve(scores, nothing).empty
    assert decision_curves(scores, nothing) == {}
    assert reliability_curve(scores, nothing)["y"].tolist() == [0]


def test_confusion_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, called = random.integers(0, 4, (2, 200))
    counts = confusion_counts(labels, called, 4)
    np.testing.assert_array_equal(counts, sklearn.metrics.confusion_matrix(labels, called))
    rows = confusion_curve(counts)
    here = rows[(rows["x"] == 2) & (rows["y"] == 3)]
    assert here["n"].item() == counts[2, 3]
