"""Accuracy and balanced accuracy: their values, intervals and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

import simulated_sets
from fewcase.statistics.accuracy import (
    among_highest,
    balanced_accuracy,
    called_classes,
    compare_accuracies,
    estimate_accuracy,
    estimate_balanced_accuracy,
)
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.comparisons import Difference
from reference_statistics import weighted_mean
from simulated_sets import SHARES, SKILL, judged


def test_the_class_with_the_highest_score_is_called_and_of_two_the_second_from_a_half_on() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    assert called_classes(scores).tolist() == [1, 0]
    assert called_classes(np.array([[0.49], [0.5], [0.9]])).tolist() == [0, 1, 1]
    assert called_classes(np.zeros((2, 4, 3))).shape == (2, 4)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_the_own_class_is_among_the_highest_as_often_as_scikit_learn_says(number: int) -> None:
    random = np.random.default_rng(3)
    labels, scores = random.integers(0, 6, 200), random.normal(size=(2, 200, 6))
    found = among_highest(scores, labels, number)
    assert found.shape == (2, 200)
    for row, model in zip(found, scores, strict=True):
        expected = sklearn.metrics.top_k_accuracy_score(labels, model, k=number)
        assert row.mean() == pytest.approx(expected)
    if number == 1:
        np.testing.assert_array_equal(found, called_classes(scores) == labels)


def test_of_equal_scores_earlier_classes_are_among_the_highest() -> None:
    scores = np.array([0.1, 0.3, 0.2, 0.2, 0.2])
    found = [among_highest(scores[None], np.array([k]), 3)[0] for k in range(5)]
    assert found == [False, True, True, True, False]
    same = np.full((1, 4), 0.25)
    assert [among_highest(same, np.array([k]), 3)[0] for k in range(4)] == [True] * 3 + [False]
    assert not among_highest(np.full((1, 4), np.nan), np.array([0]), 3)[0]


def test_balanced_accuracy_is_scikit_learns_and_unknown_without_a_class() -> None:
    random = np.random.default_rng(0)
    labels, called = random.integers(0, 4, (2, 300))
    expected = sklearn.metrics.balanced_accuracy_score(labels, called)
    assert balanced_accuracy(called == labels, labels, 4) == pytest.approx(expected)
    assert np.isnan(balanced_accuracy(called == labels, labels, 5))
    assert estimate_balanced_accuracy(called == labels, labels, classes=5).method == (
        "undefined: no examples of class 4"
    )


def test_one_example_a_patient_has_wilsons_interval() -> None:
    right = np.arange(50) % 5 > 0
    found = estimate_accuracy(right, np.arange(50))
    assert found.method == "Wilson"
    assert (found.low, found.high) == pytest.approx(proportion_confint(40, 50, method="wilson"))
    assert np.isnan(found.sd)


def test_several_models_are_averaged_and_their_decisions_on_a_patient_taken_together() -> None:
    random = np.random.default_rng(1)
    right = random.random((3, 200)) < 0.8
    found = estimate_accuracy(right, np.arange(200))
    each = right.mean(axis=1)
    assert found.value == pytest.approx(each.mean())
    assert found.sd == pytest.approx(each.std(ddof=1))
    # Three models that agree tell no more of other patients than one does.
    alike = np.tile(right[0], (3, 1))
    widths = [e.high - e.low for e in (estimate_accuracy(r) for r in (alike, right[0]))]
    assert widths[0] == pytest.approx(widths[1], rel=0.02)


def test_intervals_of_many_patients_are_those_of_the_bootstrap_by_patient() -> None:
    (right,), labels, patients = judged(np.random.default_rng(2), 200, (1, 6))
    found = estimate_accuracy(right, patients)
    # All in one stratum, since how many of each class there are is part of an accuracy.
    resampled = bca(
        weighted_mean, right.astype(float), np.zeros(labels.size), patients, replicates=1500
    )
    assert found.method == "Wilson, clustered"
    assert found.value == pytest.approx(resampled.value)
    assert (found.low, found.high) == pytest.approx((resampled.low, resampled.high), abs=0.008)

    def balanced(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        shares = [
            (weights * values * (labels == k)).sum(axis=1) / (weights * (labels == k)).sum(axis=1)
            for k in range(3)
        ]
        return np.mean(shares, axis=0)

    found = estimate_balanced_accuracy(right, labels, patients, 3)
    resampled = bca(balanced, right.astype(float), labels, patients, replicates=1500)
    assert found.value == pytest.approx(resampled.value)
    assert (found.low, found.high) == pytest.approx((resampled.low, resampled.high), abs=0.012)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("patients", [5, 12, 60])
def test_intervals_of_few_slides_with_many_tiles_cover_the_truth(
    patients: int, balanced: bool
) -> None:
    for scenario in (
        simulated_sets.slides(patients, balanced),
        simulated_sets.slides_apart(patients, balanced),
    ):
        found = scenario.coverage(300)
        assert 0.92 < found < 0.985, f"{scenario.name}: {found:.1%}"


def test_tiles_taken_for_patients_of_their_own_promise_too_much() -> None:
    for balanced in (False, True):
        assert simulated_sets.slides(12, balanced, known=False).coverage(300) < 0.8


def test_a_class_of_one_patient_tells_nothing_of_others() -> None:
    labels = np.repeat([0, 1, 2], [10, 10, 10])
    patients = np.concatenate([np.arange(20) % 7, np.zeros(10, int)])
    right = np.arange(30) % 4 > 0
    found = estimate_balanced_accuracy(right, labels, patients, 3)
    assert found.method == "one patient in class 2, no interval"
    assert np.isnan(found.low)
    assert np.isfinite(found.value)
    (_, compared) = compare_accuracies([right, ~right], labels, patients, classes=3)
    assert compared.method == "one patient in class 2, no interval"
    assert np.isfinite(estimate_accuracy(right, patients).low)


def test_all_right_has_an_interval_of_its_patients() -> None:
    patients = np.repeat(np.arange(8), 5)
    found = estimate_accuracy(np.ones(40), patients)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(proportion_confint(8, 8, method="wilson")[0])
    assert estimate_accuracy(np.zeros((1, 0))).method == "undefined: no examples"


def clustered_errors(apart: np.ndarray, design: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the covariance of least squares, sandwiched by patient, by statsmodels."""
    options = {"groups": patients, "use_correction": False}
    fitted = sm.OLS(apart, design).fit(cov_type="cluster", cov_kwds=options)
    count = len(np.unique(patients))
    return fitted.cov_params() * count / (count - 1)


def test_a_paired_difference_has_the_sandwich_error_of_statsmodels() -> None:
    right, labels, patients = judged(np.random.default_rng(4), 40, (3, 9), (0.0, 0.05))
    apart = right[1].astype(float) - right[0]
    found = compare_accuracies(right, labels, patients)[1]
    covariance = clustered_errors(apart, np.ones((apart.size, 1)), patients)
    assert found.value == pytest.approx(apart.mean())
    assert found.standard_error == pytest.approx(np.sqrt(covariance[0, 0]))
    assert found.method == "clustered t, paired"
    found = compare_accuracies(right, labels, patients, classes=3)[1]
    design = np.eye(3)[labels]
    covariance = clustered_errors(apart, design, patients)
    means = [apart[labels == k].mean() for k in range(3)]
    assert found.value == pytest.approx(np.mean(means))
    assert found.standard_error == pytest.approx(np.sqrt(covariance.sum()) / 3)


def test_copies_of_a_patients_examples_do_not_shrink_the_p_value() -> None:
    right, labels, patients = judged(np.random.default_rng(5), 30, (2, 5), (0.0, 0.08))
    for classes in (None, 3):
        once = compare_accuracies(right, labels, patients, classes=classes)[1]
        tenfold = compare_accuracies(
            np.tile(right, 10), np.tile(labels, 10), np.tile(patients, 10), classes=classes
        )[1]
        assert tenfold.value == pytest.approx(once.value)
        assert tenfold.p == pytest.approx(once.p)
        assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))
        # Whoever takes every copy for a patient of its own finds what is not there.
        naive = compare_accuracies(np.tile(right, 10), np.tile(labels, 10), classes=classes)[1]
        assert naive.p < once.p / 10
    wide = estimate_accuracy(np.tile(right[0], 10), np.tile(patients, 10))
    assert wide.high - wide.low == pytest.approx(
        (found := estimate_accuracy(right[0], patients)).high - found.low, rel=0.1
    )


def found_in(random: np.random.Generator, gain: float, classes: int | None) -> Difference:
    right, labels, patients = judged(random, 12, (20, 40), (0.0, gain))
    return compare_accuracies(right, labels, patients, classes=classes)[1]


@pytest.mark.parametrize("classes", [None, 3])
def test_a_planted_difference_is_found_and_one_that_is_not_there_is_rare(
    classes: int | None,
) -> None:
    random = np.random.default_rng(6)
    nothing = [found_in(random, 0.0, classes) for _ in range(1000)]
    assert 0.03 < np.mean([one.p < 0.05 for one in nothing]) < 0.075
    assert 0.925 < np.mean([one.low <= 0 <= one.high for one in nothing]) < 0.97
    planted = [found_in(random, 0.12, classes) for _ in range(100)]
    assert np.mean([one.p < 0.05 for one in planted]) > 0.8
    gained = np.minimum(SKILL + 0.12, 0.99) - SKILL
    truth = gained.mean() if classes else SHARES @ gained
    assert np.mean([one.value for one in planted]) == pytest.approx(truth, abs=0.01)


def test_the_same_decisions_and_the_opposite_of_them_are_told() -> None:
    labels = np.arange(20) % 2
    right = np.ones(20)
    same, opposite = compare_accuracies([right, right, 0 * right], labels)[1:]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert same.method == "same decisions"
    assert opposite.value == -1
    assert opposite.p < 1e-6
    assert opposite.method == "Wilson scores, squared and added"


def test_an_arm_without_decisions_and_sets_of_nobody_have_reasons() -> None:
    labels = np.arange(6) % 2
    right = np.array([labels, np.full(6, np.nan), 1 - labels], float)
    compared = compare_accuracies(right, labels)
    assert compared[0].method == "reference"
    assert compared[1].method == "undefined: a decision is not known"
    assert compared[2].value == pytest.approx(0)
    assert compare_accuracies(right, labels, reference=1)[0].method.startswith("undefined")
    alone = compare_accuracies(right[[0, 2]], labels, np.zeros(6))[1]
    assert alone.method == "one patient, no interval"
    assert compare_accuracies(np.zeros((2, 0)), [])[1].method == "undefined: no examples"


def test_models_of_an_arm_are_averaged_before_arms_are_compared() -> None:
    random = np.random.default_rng(7)
    right = random.random((3, 2, 60)) < 0.7
    labels = random.integers(0, 2, 60)
    found = compare_accuracies(right, labels)[1]
    each = right[:, 1].mean(axis=1) - right[:, 0].mean(axis=1)
    assert found.value == pytest.approx(each.mean())
    assert found.method == "t, paired"
