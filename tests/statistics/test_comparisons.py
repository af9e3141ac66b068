"""Comparisons against brute force, scipy, statsmodels and scikit-learn's published example."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.comparisons import (
    Difference,
    compare_aucs,
    compare_paired_pooled,
    compare_runs,
    difference_unpaired,
    holm,
)
from fewcase.statistics.intervals import estimate_auc, score_interval


def draw(
    seed: int, models: int, positives: int = 40, negatives: int = 90, digits: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [positives, negatives])
    shared = random.normal(size=labels.size) + 0.8 * labels
    own = random.normal(size=(models, labels.size))
    return np.round(shared + own, digits), labels


def wins(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    x, y = scores[labels == 1], scores[labels == 0]
    return (x[:, None] > y) + 0.5 * (x[:, None] == y)


def interval(found: Difference) -> tuple[float, float, float, float]:
    return found.value, found.low, found.high, found.p


def test_a_paired_difference_agrees_with_all_pairs() -> None:
    """DeLong's error from every pair of examples, referred to t as scipy has it."""
    scores, labels = draw(0, 3)
    found = compare_aucs(scores, labels, reference=1)
    for arm in (0, 2):
        apart = wins(scores[arm], labels) - wins(scores[1], labels)
        of_positives, of_negatives = apart.mean(axis=1), apart.mean(axis=0)
        parts = [np.var(side, ddof=1) / len(side) for side in (of_positives, of_negatives)]
        error = math.sqrt(sum(parts))
        expected = roc_auc(scores[arm], labels) - roc_auc(scores[1], labels)
        assert found[arm].value == pytest.approx(expected)
        assert found[arm].standard_error == pytest.approx(error)
        assert found[arm].method == "DeLong, paired"
        # Between the degrees of freedom of the smaller side and of both.
        widths = [scipy.stats.t.ppf(0.975, freedom) * error for freedom in (130, 25)]
        assert widths[0] < found[arm].high - found[arm].value < widths[1]
        assert found[arm].high - expected == pytest.approx(expected - found[arm].low)
        least, most = (
            2 * scipy.stats.t.sf(abs(expected) / error, freedom) for freedom in (130, 25)
        )
        assert least < found[arm].p < most


def test_the_interval_holds_0_just_where_p_is_above_5_percent() -> None:
    for seed in range(30):
        scores, labels = draw(seed, 2)
        found = compare_aucs(scores, labels)[1]
        assert (found.low <= 0 <= found.high) == (found.p >= 0.05)


def test_with_many_examples_the_test_is_delongs_normal_one() -> None:
    scores, labels = draw(1, 2, 3000, 9000, digits=6)
    found = compare_aucs(scores, labels)[1]
    z = found.value / found.standard_error
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(z)), rel=0.01)


def test_patients_with_several_examples_widen_the_difference() -> None:
    scores, labels = draw(2, 2, digits=6)
    once = compare_aucs(scores, labels)[1]
    patients = np.repeat(np.arange(130), 3)
    copied = compare_aucs(np.repeat(scores, 3, axis=1), np.repeat(labels, 3), patients)[1]
    assert interval(copied) == pytest.approx(interval(once))
    assert copied.method == "Obuchowski, paired"
    plain = compare_aucs(np.repeat(scores, 3, axis=1), np.repeat(labels, 3))[1]
    assert plain.standard_error < 0.6 * copied.standard_error


def test_aucs_of_several_seeds_are_averaged_arm_by_arm() -> None:
    seeds = np.stack([draw(seed, 2)[0] for seed in range(4)])
    labels = draw(0, 2)[1]
    found = compare_aucs(seeds, labels)[1]
    aucs = [[roc_auc(row, labels) for row in scores] for scores in seeds]
    assert found.value == pytest.approx(np.mean([arm - base for base, arm in aucs]))
    apart = np.mean([wins(arm, labels) - wins(base, labels) for base, arm in seeds], axis=0)
    parts = [np.var(apart.mean(axis=axis), ddof=1) / n for axis, n in ((1, 40), (0, 90))]
    assert found.standard_error == pytest.approx(math.sqrt(sum(parts)))


def test_the_reference_has_no_p_value_and_identical_scores_have_1() -> None:
    scores, labels = draw(3, 1)
    base, copy, monotone = compare_aucs(np.stack([scores[0], scores[0], 3 * scores[0]]), labels)
    assert base.method == "reference"
    assert math.isnan(base.p)
    assert interval(base)[:3] == (0, 0, 0)
    for found in (copy, monotone):
        assert interval(found) == (0, 0, 0, 1)
        assert found.method == "same ranking"


def test_perfect_arms_are_compared_by_their_score_intervals() -> None:
    """AUCs of 1, 1 and .5, all without variance: there is no error to divide by."""
    labels = np.repeat([1, 0], [10, 30])
    ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable").astype(float)
    other = ranks.copy()
    other[:10] = ranks[:10][::-1]
    equal = np.zeros(40)
    base, same, worse = compare_aucs(np.stack([ranks, other, equal]), labels)
    low, high = score_interval(1.0, 10, 30)
    assert base.method == "reference"
    assert same.method == worse.method == "Newcombe scores, squared and added"
    assert interval(same) == pytest.approx((0, low - 1, 1 - low, 1))
    of_equal = score_interval(0.5, 10, 30)
    assert worse.value == -0.5
    assert worse.low == pytest.approx(-0.5 - math.hypot(0.5 - of_equal[0], 1 - high))
    assert worse.high == pytest.approx(-0.5 + math.hypot(of_equal[1] - 0.5, 1 - low))
    assert worse.high < 0
    assert worse.p < 0.01
    at_p = compare_aucs(np.stack([ranks, equal]), labels, level=1 - worse.p)[1]
    assert at_p.high == pytest.approx(0, abs=1e-6)


def test_a_class_of_one_patient_still_has_a_conservative_interval() -> None:
    scores = np.array([[5, 1, 2, 3, 4.0], [3.5, 1, 2, 3, 4]])
    found = compare_aucs(scores, [1, 0, 0, 0, 0])[1]
    assert found.method == "Newcombe scores, squared and added"
    assert found.value == -0.25
    assert found.low < -0.5 < 0 < found.high
    assert found.p > 0.3


def test_an_arm_without_scores_does_not_keep_others_from_being_compared() -> None:
    scores, labels = draw(4, 3)
    alone = compare_aucs(scores[[0, 2]], labels)[1]
    scores[1, 7] = np.nan
    found = compare_aucs(scores, labels)
    assert found[1].method == "undefined: a score is not finite"
    assert math.isnan(found[1].p)
    assert interval(found[2]) == interval(alone)
    assert "reference" in compare_aucs(scores, labels, reference=1)[0].method
    assert "one class" in compare_aucs(scores, np.zeros(130))[0].method


def test_out_of_fold_scores_are_compared_whatever_their_folds() -> None:
    seeds = np.stack([draw(seed, 1)[0][0] for seed in range(3)])
    others = np.stack([draw(seed, 1)[0][0] for seed in range(5, 7)])
    labels = draw(0, 1)[1]
    found = compare_paired_pooled(seeds, others, labels)
    means = [np.mean([roc_auc(row, labels) for row in side]) for side in (seeds, others)]
    assert found.value == pytest.approx(means[0] - means[1])
    assert found.method == "DeLong, paired, out-of-fold"
    one = compare_paired_pooled(seeds[0], others[0], labels, np.arange(130))
    assert one.value == pytest.approx(compare_aucs([others[0], seeds[0]], labels)[1].value)


def test_the_resampled_test_gives_scikit_learns_published_example() -> None:
    """Two kernels of a support vector machine on noisy moons, 10 × 10 folds: t = .75, p = .227.

    The example of scikit-learn's gallery, "Statistical comparison of models using grid search",
    whose p is one-sided.
    """
    features, labels = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(
            SVC(kernel=kernel, random_state=0), features, labels, cv=folds, scoring="roc_auc"
        )
        for kernel in ("rbf", "linear")
    )
    found = compare_runs(rbf, linear, 10 / 90)
    assert found.value / found.standard_error == pytest.approx(0.750, abs=5e-4)
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)


def test_the_resampled_test_is_the_paired_t_test_with_a_larger_error() -> None:
    random = np.random.default_rng(5)
    values, others = random.normal(0.8, 0.03, 30), random.normal(0.79, 0.03, 30)
    found = compare_runs(values, others, 1 / 9)
    plain = scipy.stats.ttest_rel(values, others)
    factor = math.sqrt((1 / 30 + 1 / 9) / (1 / 30))
    t = plain.statistic / factor
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(t), 29))
    low, high = plain.confidence_interval()
    assert found.high - found.low == pytest.approx(factor * (high - low))
    uncorrected = compare_runs(values, others, 0.0)
    assert uncorrected.p == pytest.approx(plain.pvalue)


def test_runs_without_a_value_are_left_out_in_pairs_and_counted() -> None:
    found = compare_runs([0.8, 0.7, np.nan, 0.9], [0.7, np.nan, 0.6, 0.7], 0.5)
    assert found.value == pytest.approx(0.15)
    assert found.method == "corrected resampled t, paired; undefined in 2 of 4 runs"
    one = compare_runs([0.8, np.nan], [0.7, 0.6], 0.5)
    assert (one.value, one.method) == (
        pytest.approx(0.1),
        "one run, no interval; undefined in 1 of 2 runs",
    )
    assert math.isnan(one.low)
    assert math.isnan(compare_runs([np.nan], [0.5], 0.5).value)


def test_runs_that_all_differ_by_as_much_have_no_interval() -> None:
    same = compare_runs([0.5, 0.75, 1.0], [0.5, 0.75, 1.0], 0.5)
    assert interval(same) == (0, 0, 0, 1)
    shifted = compare_runs([0.5, 0.75, 1.0], [0.25, 0.5, 0.75], 0.5)
    assert shifted.value == 0.25
    assert math.isnan(shifted.low)
    assert math.isnan(shifted.p)
    assert "every run differs by as much" in shifted.method


def test_the_unpaired_difference_is_welchs_where_nothing_overlaps() -> None:
    """Without the correction it is statsmodels' test of unequal variances."""
    random = np.random.default_rng(6)
    values, others = random.normal(0.9, 0.02, 30), random.normal(0.7, 0.05, 15)
    found = difference_unpaired(values, others, 0.0, 0.0)
    welch = CompareMeans(DescrStatsW(values), DescrStatsW(others))
    low, high = welch.tconfint_diff(usevar="unequal")
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(welch.ttest_ind(usevar="unequal")[1])


def test_the_unpaired_difference_adds_both_corrected_variances() -> None:
    random = np.random.default_rng(7)
    values, others = random.normal(0.9, 0.02, 30), random.normal(0.7, 0.05, 10)
    found = difference_unpaired(values, others, 1 / 9, 1 / 4)
    expected = values.var(ddof=1) * (1 / 30 + 1 / 9) + others.var(ddof=1) * (1 / 10 + 1 / 4)
    assert found.standard_error == pytest.approx(math.sqrt(expected))
    assert found.method == "corrected resampled t, unpaired"
    assert math.isnan(difference_unpaired([0.9], others, 1 / 9, 1 / 9).low)
    assert math.isnan(difference_unpaired([np.nan], others, 1 / 9, 1 / 9).value)


@pytest.mark.parametrize("seed", range(3))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.4, 3, 39)
    p[5] = p[6]
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-14)


def test_holm_leaves_out_what_was_not_compared() -> None:
    found = holm([0.01, np.nan, 0.04, 0.5])
    np.testing.assert_allclose(found, [0.03, np.nan, 0.08, 0.5])
    assert holm([]).shape == (0,)
    assert np.isnan(holm([np.nan])).all()


def test_forty_arms_over_34266_recordings_take_less_than_two_seconds() -> None:
    """Estimates, paired comparisons and Holm, with repeated patients."""
    random = np.random.default_rng(8)
    labels = (random.random(34266) < 0.083).astype(int)
    patients = random.integers(0, 28000, labels.size)
    scores = random.normal(size=(40, labels.size)) + labels
    started = time.process_time()
    for row in scores:
        estimate_auc(row, labels, patients)
    holm([found.p for found in compare_aucs(scores, labels, patients)])
    assert time.process_time() - started < 2
