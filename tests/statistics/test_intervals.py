"""Intervals against published values, naive computation, exact identities and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.intervals import (
    auc_variances,
    effective_total,
    estimate_auc,
    logit_interval,
    mean_over_folds,
    ratio_to_training,
    score_interval,
    wilson,
    wilson_interval,
)
from fewcase.statistics.metrics import placements


def hanley_mcneil() -> tuple[np.ndarray, np.ndarray]:
    """Return the 109 rated CT images of Hanley and McNeil, Radiology 143, 1982."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    scores = np.concatenate([np.repeat(range(1, 6), normal), np.repeat(range(1, 6), abnormal)])
    return scores.astype(float), np.repeat([0, 1], [58, 51])


def draw(
    random: np.random.Generator, positives: int, negatives: int, separation: float, models: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([1, 0], [positives, negatives])
    shared = random.normal(size=labels.size) + separation * labels
    return shared + 0.7 * random.normal(size=(models, labels.size)), labels


def naive_covariance(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Covariance of U-statistics from all pairs, as DeLong's paper writes it."""
    x = [row[labels == 1] for row in scores]
    y = [row[labels == 0] for row in scores]
    wins = [(a[:, None] > b) + 0.5 * (a[:, None] == b) for a, b in zip(x, y, strict=True)]
    s10 = np.cov([w.mean(axis=1) for w in wins])
    s01 = np.cov([w.mean(axis=0) for w in wins])
    return np.atleast_2d(s10) / len(x[0]) + np.atleast_2d(s01) / len(y[0])


def variances(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray | None = None):
    found = auc_variances(placements(scores, labels), labels, patients)
    assert found is not None
    return found


def test_delong_gives_the_published_error_of_hanley_and_mcneils_images() -> None:
    """AUC 0.8932, standard error 0.0307, 0.83295 to 0.95339: Stata's manual, roctab."""
    scores, labels = hanley_mcneil()
    auc = placements(scores, labels).auc[0]
    error = math.sqrt(variances(scores, labels).values[0])
    assert auc == pytest.approx(0.8932, abs=5e-5)
    assert error == pytest.approx(0.0307, abs=5e-5)
    z = scipy.stats.norm.ppf(0.975)
    assert auc - z * error == pytest.approx(0.83295, abs=5e-6)
    assert auc + z * error == pytest.approx(0.95339, abs=5e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_of_a_difference_agrees_with_the_covariance_of_all_pairs(seed: int) -> None:
    scores, labels = draw(np.random.default_rng(seed), 23, 57, 1.0, models=3)
    scores = np.round(scores, 1)
    covariance = naive_covariance(scores, labels)
    np.testing.assert_allclose(variances(scores, labels).values, np.diag(covariance), rtol=1e-10)
    found = auc_variances(placements(scores, labels).less(1), labels)
    assert found is not None
    for k in (0, 2):
        expected = covariance[k, k] + covariance[1, 1] - 2 * covariance[k, 1]
        assert found.values[k] == pytest.approx(expected, rel=1e-10)
    assert found.values[1] == 0


def test_variance_of_a_mean_of_aucs_follows_from_mean_placements() -> None:
    scores, labels = draw(np.random.default_rng(5), 30, 70, 1.0, models=4)
    found = auc_variances(placements(scores, labels).mean(), labels)
    assert found is not None
    assert found.values[0] == pytest.approx(naive_covariance(scores, labels).mean(), rel=1e-10)


def test_variance_and_degrees_of_freedom_are_those_of_the_brunner_munzel_test() -> None:
    """scipy's test divides by the same error; its freedom is ours unless placements have a tail."""
    labels = np.repeat([1, 0], [20, 45])
    scores = np.random.default_rng(8).random((1, 65)) + 0.05 * labels
    x, y = scores[0][labels == 1], scores[0][labels == 0]
    theirs = scipy.stats.brunnermunzel(y, x)
    found = variances(scores, labels)
    auc = placements(scores, labels).auc[0]
    statistic = (auc - 0.5) / math.sqrt(found.values[0])
    assert statistic == pytest.approx(theirs.statistic, rel=1e-10)
    p = 2 * scipy.stats.t.sf(abs(statistic), found.freedom[0])
    assert p == pytest.approx(theirs.pvalue, rel=1e-10)


def test_a_tail_of_few_positives_takes_degrees_of_freedom() -> None:
    """One positive among the negatives decides the variance, so it is hardly known."""
    labels = np.repeat([1, 0], [20, 200])
    scores = np.concatenate([np.linspace(5, 6, 19), [0.5], np.linspace(0, 5.2, 200)])
    found = variances(scores, labels)
    x = placements(scores, labels).of_positives[0]
    kurtosis = scipy.stats.kurtosis(x, fisher=False)
    assert kurtosis > 15
    assert 1 < found.freedom[0] < 5
    two = estimate_auc([1, 2, 3, 4, 5, 6.0], [0, 0, 1, 0, 1, 0])
    assert two.high - two.low > 0.9


def test_without_repeated_patients_the_clustered_variance_is_delongs() -> None:
    scores, labels = draw(np.random.default_rng(1), 20, 45, 0.8, models=2)
    found = variances(scores, labels, np.arange(65)[::-1])
    np.testing.assert_allclose(found.values, np.diag(naive_covariance(scores, labels)), atol=1e-14)
    assert found.method == "DeLong"


def test_copies_of_every_recording_add_no_certainty() -> None:
    scores, labels = draw(np.random.default_rng(2), 20, 45, 0.8)
    once = variances(scores, labels)
    copies, patients = np.repeat(labels, 3), np.repeat(np.arange(65), 3)
    copied = variances(np.repeat(scores, 3, axis=1), copies, patients)
    np.testing.assert_allclose(copied.values, once.values, rtol=1e-10)
    np.testing.assert_allclose(copied.freedom, once.freedom, rtol=1e-10)
    plain = variances(np.repeat(scores, 3, axis=1), copies)
    assert plain.values[0] < 0.4 * once.values[0]


def test_the_clustered_variance_agrees_with_obuchowskis_sums() -> None:
    """The formula of the paper, cluster by cluster, patients of both classes included."""
    random = np.random.default_rng(4)
    patients = random.integers(0, 25, size=80)
    labels = (random.random(80) < 0.4).astype(int)
    scores = np.round(random.normal(size=80) + labels, 1)
    x, y = scores[labels == 1], scores[labels == 0]
    theta = roc_auc(scores, labels)

    def kernel(a: float, b: float) -> float:
        return 1.0 if a > b else 0.5 if a == b else 0.0

    sums_x, sums_y, has_x, has_y = [], [], 0, 0
    for patient in np.unique(patients):
        own_x = scores[(patients == patient) & (labels == 1)]
        own_y = scores[(patients == patient) & (labels == 0)]
        has_x, has_y = has_x + (len(own_x) > 0), has_y + (len(own_y) > 0)
        sums_x.append(sum(np.mean([kernel(a, b) for b in y]) - theta for a in own_x))
        sums_y.append(sum(np.mean([kernel(a, b) for a in x]) - theta for b in own_y))
    sx, sy = np.array(sums_x), np.array(sums_y)
    s10 = has_x / ((has_x - 1) * len(x)) * (sx**2).sum()
    s01 = has_y / ((has_y - 1) * len(y)) * (sy**2).sum()
    s11 = len(sx) / (len(sx) - 1) * (sx * sy).sum()
    expected = s10 / len(x) + s01 / len(y) + 2 * s11 / (len(x) * len(y))
    found = variances(scores, labels, patients)
    assert found.values[0] == pytest.approx(expected, rel=1e-10)
    assert found.method == "Obuchowski"


def test_the_clustered_variance_is_taken_whenever_a_patient_repeats() -> None:
    scores, labels = draw(np.random.default_rng(6), 20, 45, 0.8)
    patients = np.arange(65)
    assert estimate_auc(scores, labels, patients).method == "DeLong, logit"
    patients[1] = 0
    assert estimate_auc(scores, labels, patients).method == "Obuchowski, logit"


def test_logit_interval_stays_within_0_and_1_and_is_wald_where_it_is_narrow() -> None:
    low, high = logit_interval(0.995, 0.004**2)
    assert 0.97 < low < 0.995 < high < 1
    low, high = logit_interval(0.7, 1e-8)
    assert (low, high) == pytest.approx((0.7 - 1.96e-4, 0.7 + 1.96e-4), abs=1e-7)
    assert logit_interval(0.7, 1e-8, freedom=5) == pytest.approx(
        (0.7 - 2.5706e-4, 0.7 + 2.5706e-4), abs=1e-7
    )


@pytest.mark.parametrize(("auc", "m", "n"), [(1, 10, 10), (0.9, 40, 711), (0.5, 3, 9), (0, 5, 8)])
def test_score_interval_holds_the_aucs_that_are_not_rejected(auc: float, m: int, n: int) -> None:
    """Newcombe 2006, method 5, solved by another root finder from Q1 and Q2."""

    def excess(theta: float) -> float:
        q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
        others = (m + n) / 2 - 1
        spread = theta * (1 - theta) + others * (q1 - theta**2) + others * (q2 - theta**2)
        return (auc - theta) ** 2 - scipy.stats.norm.ppf(0.975) ** 2 * spread / (m * n)

    low, high = score_interval(auc, m, n)
    if auc > 0:
        assert low == pytest.approx(scipy.optimize.brentq(excess, 1e-9, auc - 1e-9), abs=1e-6)
    if auc < 1:
        assert high == pytest.approx(scipy.optimize.brentq(excess, auc + 1e-9, 1 - 1e-9), abs=1e-6)
    assert (low == 0) == (auc == 0)
    assert (high == 1) == (auc == 1)


def test_a_perfect_auc_has_an_interval() -> None:
    perfect = estimate_auc([1, 2, 3, 8, 9.0], [0, 0, 0, 1, 1])
    assert (perfect.value, perfect.high, perfect.method) == (1.0, 1.0, "Newcombe score")
    assert 0.2 < perfect.low < 0.8
    worst = estimate_auc([1, 2, 3, 8, 9.0], [1, 1, 1, 0, 0])
    assert (worst.value, worst.low) == (0.0, 0.0)
    assert worst.high == pytest.approx(1 - perfect.low)


def test_copies_of_patients_do_not_narrow_the_interval_of_a_perfect_auc() -> None:
    scores, labels = np.array([1, 2, 3, 8, 9.0]), np.array([0, 0, 0, 1, 1])
    once = estimate_auc(scores, labels)
    copied = estimate_auc(np.repeat(scores, 4), np.repeat(labels, 4), np.repeat(np.arange(5), 4))
    assert (copied.low, copied.high, copied.method) == (once.low, once.high, once.method)


def test_equal_scores_are_not_taken_for_certainty() -> None:
    found = estimate_auc(np.zeros(40), np.repeat([0, 1], 20))
    assert found.value == 0.5
    assert found.method == "Newcombe score"
    assert found.low < 0.4 < 0.6 < found.high


def test_a_single_positive_has_a_wide_interval() -> None:
    found = estimate_auc([1, 2, 3, 4, 5.0], [0, 0, 1, 0, 0])
    assert found.method == "Newcombe score"
    assert found.high - found.low > 0.5
    assert auc_variances(placements([1, 2, 3.0], [0, 0, 1]), [0, 0, 1]) is None


def test_one_class_only_is_undefined_with_its_reason() -> None:
    assert estimate_auc([1, 2.0], [0, 0]).method == "undefined: no positives"
    assert estimate_auc([1, 2.0], [1, 1]).method == "undefined: no negatives"
    assert math.isnan(estimate_auc([1, 2.0], [0, 0]).value)
    assert "not a finite" in estimate_auc([1, np.nan, 3], [0, 1, 0]).method


def test_corrected_t_widens_by_nadeau_and_bengios_factor() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.025, size=30)
    found = mean_over_folds(values, 1 / 9)
    error = values.std(ddof=1) * math.sqrt(1 / 30 + 1 / 9)
    expected = scipy.stats.t.interval(0.95, 29, loc=values.mean(), scale=error)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert found.sd == pytest.approx(values.std(ddof=1))
    plain = scipy.stats.t.interval(0.95, 29, loc=values.mean(), scale=scipy.stats.sem(values))
    assert found.high - found.low > 2 * (plain[1] - plain[0])


def test_undefined_runs_are_left_out_and_counted() -> None:
    found = mean_over_folds([0.7, np.nan, 0.9], 0.5)
    assert found.value == pytest.approx(0.8)
    assert "undefined in 1 of 3 runs" in found.method
    assert mean_over_folds([np.nan, np.nan], 0.5).method.startswith("undefined")
    one = mean_over_folds([0.7], 0.5)
    assert one.value == 0.7
    assert math.isnan(one.low)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_newcombes_published_intervals(
    successes: int, total: int, low: float, high: float
) -> None:
    """Newcombe 1998, Table I, method 3."""
    found = wilson(successes, total)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert (found.value, found.method) == (successes / total, "Wilson")


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_statsmodels(level: float) -> None:
    for successes, total in [(0, 5), (5, 5), (3, 7), (40, 711), (640, 711)]:
        expected = proportion_confint(successes, total, alpha=1 - level, method="wilson")
        assert wilson_interval(successes, total, level) == pytest.approx(expected, abs=1e-12)
    outcomes = np.repeat([1, 0], [3, 4])
    of_patients, of_counts = wilson(outcomes, 1, np.arange(7)), wilson(3, 7)
    assert (of_patients.low, of_patients.method) == (of_counts.low, "Wilson")


def test_copies_of_outcomes_do_not_narrow_the_interval_of_a_proportion() -> None:
    outcomes = np.repeat([1, 0], [9, 14])
    once = wilson(outcomes, 1)
    copied = wilson(np.repeat(outcomes, 5), 1, np.repeat(np.arange(23), 5))
    # The variance between 23 patients is estimated, with 22 degrees of freedom.
    assert effective_total(5.0 * outcomes, np.full(23, 5.0)) == pytest.approx(22)
    assert copied.method == "Wilson, clustered"
    assert (copied.low, copied.high) == pytest.approx(wilson_interval(9 / 23 * 22, 22))
    assert copied.low < once.low < once.high < copied.high


def test_the_design_effect_is_that_of_rao_and_scotts_ratio() -> None:
    """Their variance of a ratio, term by term, over the binomial one."""
    random = np.random.default_rng(3)
    totals = random.integers(1, 6, 60).astype(float)
    won = random.binomial(totals.astype(int), random.beta(1, 2, 60)).astype(float)
    share = won.sum() / totals.sum()
    residuals = [x - n * share for x, n in zip(won, totals, strict=True)]
    variance = 60 / 59 * sum(r * r for r in residuals) / totals.sum() ** 2
    expected = share * (1 - share) / variance
    assert expected < totals.sum()
    assert effective_total(won, totals) == pytest.approx(expected)


def test_trials_that_agree_by_accident_do_not_count_for_more_than_they_are() -> None:
    """In every patient one success of two: between patients there is no variance at all."""
    assert effective_total(np.ones(10), np.full(10, 2.0)) == 20


def test_outcomes_all_alike_count_each_patient_once() -> None:
    found = wilson(np.ones(12), 1, np.repeat(np.arange(4), 3))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(proportion_confint(4, 4, method="wilson")[0])
    assert wilson(np.ones(3), 1, np.zeros(3)).low == pytest.approx(wilson(1, 1).low)


def test_a_proportion_of_nothing_is_undefined() -> None:
    assert wilson(0, 0).method == "undefined: no trials"
    with pytest.raises(ValueError, match="successes <= total"):
        wilson(3, 2)


def test_training_parts_are_the_other_folds_less_what_stops_the_run() -> None:
    validated = {(0, 0): 10, (0, 1): 20, (1, 0): 15, (1, 1): 15}
    assert ratio_to_training(validated, {}) == pytest.approx((10 / 20 + 20 / 10 + 1 + 1) / 4)
    stopping = {(0, 0): 5, (0, 1): 2, (1, 0): 3}
    expected = (10 / 15 + 20 / 8 + 15 / 12 + 15 / 15) / 4
    assert ratio_to_training(validated, stopping) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("validated", "stopping"), [({}, {}), ({(0, 0): 10}, {}), ({(0, 0): 5, (0, 1): 5}, {(0, 0): 5})]
)
def test_runs_that_train_on_nothing_have_no_ratio(
    validated: dict[tuple[int, int], int], stopping: dict[tuple[int, int], int]
) -> None:
    assert math.isnan(ratio_to_training(validated, stopping))
