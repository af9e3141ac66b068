"""Probabilities: corrected for under-sampling, and held against what happened."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.calibration
import sklearn.linear_model
import sklearn.metrics
import statsmodels.api as sm

from fewcase.statistics.calibration import (
    Prevalence,
    calibration_intercept,
    calibration_slope,
    correct_prevalence,
    count_bins,
    equal_mass_bins,
    estimate_brier,
    estimate_calibration_error,
)


def simulated(n: int = 400, slope: float = 0.6, shift: float = -0.8, seed: int = 1):
    random = np.random.default_rng(seed)
    logit = random.normal(scale=1.5, size=n)
    labels = (random.random(n) < 1 / (1 + np.exp(-(shift + slope * logit)))).astype(int)
    return 1 / (1 + np.exp(-logit)), labels


def test_a_model_of_balanced_classes_is_corrected_to_what_one_of_all_rows_says() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(200_000) < 0.03).astype(int)
    x = random.normal(size=labels.size) + 1.5 * labels
    kept = (labels == 1) | (random.random(labels.size) < 0.03 / 0.97)
    model = sklearn.linear_model.LogisticRegression(C=1e6).fit(x[kept, None], labels[kept])
    grid = np.linspace(-2, 4, 7)
    share = labels[kept].mean()
    prevalence = Prevalence((1 - labels.mean(), labels.mean()), (1 - share, share))
    corrected = correct_prevalence(model.predict_proba(grid[:, None]), prevalence)[:, 1]
    # By Bayes' rule from the two densities that the example was drawn with.
    ratio = np.exp(1.5 * grid - 1.5**2 / 2) * 0.03 / 0.97
    np.testing.assert_allclose(corrected, ratio / (1 + ratio), rtol=0.1)
    np.testing.assert_allclose(correct_prevalence(np.eye(2), prevalence), np.eye(2))


def test_three_classes_are_corrected_by_the_ratio_of_their_prevalences() -> None:
    prevalence = Prevalence((0.7, 0.2, 0.1), (1 / 3, 1 / 3, 1 / 3))
    even = np.full((1, 3), 1 / 3)
    np.testing.assert_allclose(correct_prevalence(even, prevalence), [[0.7, 0.2, 0.1]])
    same = Prevalence((0.7, 0.2, 0.1), (0.7, 0.2, 0.1))
    np.testing.assert_allclose(correct_prevalence(even, same), even)


def test_brier_score_is_that_of_scikit_learn_and_its_interval_covers_the_prevalence() -> None:
    probabilities, labels = simulated()
    found = estimate_brier((probabilities - labels) ** 2)
    assert found.value == pytest.approx(sklearn.metrics.brier_score_loss(labels, probabilities))
    error = np.std((probabilities - labels) ** 2, ddof=1) / np.sqrt(labels.size)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.method == "BCa bootstrap"


def test_brier_score_of_several_seeds_is_their_mean() -> None:
    probabilities, labels = simulated()
    both = np.stack([probabilities, probabilities**2])
    found = estimate_brier((both - labels) ** 2)
    each = [sklearn.metrics.brier_score_loss(labels, row) for row in both]
    assert found.value == pytest.approx(np.mean(each))
    assert found.sd == pytest.approx(np.std(each, ddof=1))


def test_calibration_error_weighs_the_bins_of_scikit_learn() -> None:
    probabilities, labels = simulated(n=400)
    share, mean = sklearn.calibration.calibration_curve(
        labels, probabilities, n_bins=10, strategy="quantile"
    )
    found = estimate_calibration_error(probabilities, labels, bins=10)
    assert found.value == pytest.approx(np.abs(share - mean).mean())
    assert found.low < found.value < found.high


def test_bins_grow_slowly_with_the_number_of_examples() -> None:
    assert [count_bins(n) for n in (0, 1, 3, 98, 465, 711, 34_266)] == [1, 1, 1, 4, 10, 13, 15]


def test_equal_probabilities_share_a_bin_whatever_their_order() -> None:
    probabilities = np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.9])
    bins = equal_mass_bins(probabilities, 3)
    assert len(set(bins[1:5])) == 1
    assert bins[0] < bins[1] < bins[5]
    labels = np.array([0, 1, 0, 0, 1, 1])
    found = estimate_calibration_error(np.full(6, 0.5), labels)
    assert found.value == 0


def test_slope_and_intercept_are_those_of_logistic_recalibration() -> None:
    probabilities, labels = simulated()
    logit = np.log(probabilities / (1 - probabilities))
    fitted = sm.Logit(labels, sm.add_constant(logit)).fit(disp=0, cov_type="HC0")
    found = calibration_slope(probabilities, labels)
    assert found.value == pytest.approx(fitted.params[1], rel=1e-6)
    assert found.high - found.value == pytest.approx(1.959964 * fitted.bse[1], rel=0.005)
    offset = sm.GLM(labels, np.ones(400), family=sm.families.Binomial(), offset=logit)
    large = offset.fit(cov_type="HC0")
    found = calibration_intercept(probabilities, labels)
    assert found.value == pytest.approx(large.params[0], rel=1e-6)
    assert found.value - found.low == pytest.approx(1.959964 * large.bse[0], rel=0.005)


def test_intervals_of_the_slope_are_clustered_by_patient() -> None:
    probabilities, labels = simulated()
    patients = np.arange(400) // 4
    logit = np.log(probabilities / (1 - probabilities))
    fitted = sm.Logit(labels, sm.add_constant(logit)).fit(
        disp=0,
        cov_type="cluster",
        cov_kwds={"groups": patients, "use_correction": False},
    )
    found = calibration_slope(probabilities, labels, patients)
    assert found.high - found.value == pytest.approx(1.959964 * fitted.bse[1], rel=0.01)
    assert found.method.endswith("clustered by patient")


def test_several_seeds_narrow_no_interval_by_being_many() -> None:
    probabilities, labels = simulated()
    one = calibration_slope(probabilities, labels)
    three = calibration_slope(np.stack([probabilities] * 3), labels)
    assert (three.value, three.low) == (pytest.approx(one.value), pytest.approx(one.low))
    assert three.sd == pytest.approx(0)


def test_a_perfect_recalibration_has_slope_1_and_intercept_0() -> None:
    probabilities, labels = simulated(n=20_000, slope=1, shift=0)
    slope, intercept = (
        calibration_slope(probabilities, labels),
        calibration_intercept(probabilities, labels),
    )
    assert slope.low < 1 < slope.high
    assert intercept.low < 0 < intercept.high


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        ([0.5] * 4, [0, 1, 0, 1], "all scores are equal"),
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], "the scores separate the classes"),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], "the scores separate the classes"),
        ([0.1, 0.2], [0, 0], "no positives"),
        ([0.1, 0.2], [1, 1], "no negatives"),
    ],
)
def test_a_slope_that_does_not_exist_has_a_reason(
    probabilities: list[float], labels: list[int], reason: str
) -> None:
    found = calibration_slope(probabilities, labels)
    assert np.isnan(found.value)
    assert found.method == f"undefined: {reason}"


def test_certain_probabilities_have_a_finite_recalibration() -> None:
    probabilities = np.array([0.0, 0.0, 1.0, 1.0, 0.3, 0.6])
    labels = np.array([0, 1, 1, 0, 1, 0])
    assert np.isfinite(calibration_slope(probabilities, labels).value)
    assert np.isfinite(calibration_intercept(probabilities, labels).value)
