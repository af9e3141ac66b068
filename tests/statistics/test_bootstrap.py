"""The bootstrap against scipy's, brute force, and its own promises."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
import scipy.stats

from fewcase.statistics import bootstrap
from fewcase.statistics.bootstrap import Influence, bca, influence, resamples, stratify
from fewcase.statistics.intervals import auc_variances
from fewcase.statistics.metrics import placements, weighted_average_precision
from reference_statistics import weighted_auc, weighted_mean


def draw(seed: int, positives: int = 40, negatives: int = 90) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [positives, negatives])
    scores = random.normal(size=labels.size) + 1.2 * labels
    return 1 / (1 + np.exp(-scores)), labels


def auc_of_pairs(positives: np.ndarray, negatives: np.ndarray, axis: int = -1) -> np.ndarray:
    wins = positives[..., :, None] > negatives[..., None, :]
    return wins.mean(axis=(-1, -2))


def known_influence(
    statistic: bootstrap.Statistic, scores: np.ndarray, labels: np.ndarray
) -> Influence:
    found = influence(statistic, scores, labels, stratify(labels, None))
    assert found is not None
    return found


def expanded(found: Influence, level: float = 0.95) -> float:
    """Return the level at which normal quantiles are as wide as ours at `level`."""
    quantile = found.inflation * scipy.stats.t.ppf((1 + level) / 2, found.freedom)
    return 2 * float(scipy.stats.norm.cdf(quantile)) - 1


def test_the_interval_of_an_auc_agrees_with_scipys_bootstrap() -> None:
    """Two samples, positives and negatives: what stratifying by class means."""
    scores, labels = draw(0)
    theirs = scipy.stats.bootstrap(
        (scores[labels == 1], scores[labels == 0]),
        auc_of_pairs,
        n_resamples=6000,
        batch=500,
        method="BCa",
        confidence_level=expanded(known_influence(weighted_auc, scores, labels)),
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = bca(weighted_auc, scores, labels, replicates=20_000)
    assert ours.method == "BCa bootstrap"
    assert ours.value == pytest.approx(auc_of_pairs(scores[:40], scores[40:]))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_interval_of_a_skewed_mean_agrees_with_scipys_bootstrap() -> None:
    """One class, one sample: the Brier score of negatives is a mean of squares."""
    squares = np.random.default_rng(2).beta(0.5, 4, 60) ** 2
    labels = np.zeros(60, int)
    theirs = scipy.stats.bootstrap(
        (squares,),
        np.mean,
        n_resamples=20_000,
        method="BCa",
        confidence_level=expanded(known_influence(weighted_mean, squares, labels)),
        rng=np.random.default_rng(3),
    ).confidence_interval
    ours = bca(weighted_mean, squares, labels, replicates=20_000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)
    middle = (ours.low + ours.high) / 2
    assert middle > 1.05 * ours.value


def test_with_many_patients_the_interval_is_the_plain_one() -> None:
    scores, labels = draw(1, 2000, 4000)
    assert expanded(known_influence(weighted_auc, scores, labels)) == pytest.approx(0.95, abs=1e-3)


def test_influences_are_those_of_leaving_out_each_example() -> None:
    """Davison and Hinkley's sums over samples, with the AUC computed anew each time."""
    scores, labels = draw(4, 15, 30)
    x, y = scores[labels == 1], scores[labels == 0]
    squares = cubes = variance = spread = 0.0
    for left_out in (
        [auc_of_pairs(np.delete(x, i), y) for i in range(15)],
        [auc_of_pairs(x, np.delete(y, i)) for i in range(30)],
    ):
        n = len(left_out)
        empirical = (n - 1) * (np.mean(left_out) - np.array(left_out))
        squares += (empirical**2).sum() / n**2
        cubes += (empirical**3).sum() / n**3
        of_sample = empirical.var(ddof=1) / n
        kurtosis = max(scipy.stats.kurtosis(empirical, fisher=False), 3)
        variance += of_sample
        spread += of_sample**2 * (kurtosis / n - (n - 3) / (n * (n - 1)))
    found = known_influence(weighted_auc, scores, labels)
    assert found.acceleration == pytest.approx(cubes / squares**1.5 / 6)
    assert found.freedom == pytest.approx(2 * variance**2 / spread)
    assert found.inflation == pytest.approx(math.sqrt(variance / squares))
    delong = auc_variances(placements(scores, labels), labels)
    assert delong is not None
    # The AUC is linear in either sample, so that leaving out gives DeLong's variance.
    assert variance == pytest.approx(delong.values[0], rel=1e-9)
    assert found.freedom == pytest.approx(delong.freedom[0], rel=1e-9)


def test_leaving_out_groups_gives_nearly_what_leaving_out_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, labels = draw(5, 60, 1500)
    grouped = known_influence(weighted_average_precision, scores, labels)
    monkeypatch.setattr(bootstrap, "MOST_LEFT_OUT", 10_000)
    exact = known_influence(weighted_average_precision, scores, labels)
    assert grouped.acceleration == pytest.approx(exact.acceleration, abs=0.002)
    assert abs(exact.acceleration) > 0.003
    assert grouped.freedom == pytest.approx(exact.freedom, rel=0.1)


def test_patients_are_drawn_whole_and_within_their_class() -> None:
    labels = np.array([0, 1, 0, 0, 0, 1, 0, 0])
    patients = np.array([7, 7, 3, 3, 9, 5, 1, 1])
    strata = stratify(labels, patients)
    assert strata.sizes == (3, 2)
    weights = np.concatenate(list(resamples(strata, 500, seed=0)))
    assert weights.shape == (500, 8)
    for patient in np.unique(patients):
        own = weights[:, patients == patient]
        assert (own == own[:, :1]).all()
    # Patients 7 and 5 have a positive; of the others, three are drawn in every replicate.
    assert (weights[:, [1, 5]].sum(axis=1) == 2).all()
    assert (weights[:, [2, 4, 6]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)


def test_copies_of_every_recording_do_not_narrow_the_interval() -> None:
    scores, labels = draw(6)
    once = bca(weighted_average_precision, scores, labels, np.arange(130))
    again = bca(
        weighted_average_precision,
        np.repeat(scores, 3),
        np.repeat(labels, 3),
        np.repeat(np.arange(130), 3),
    )
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high))
    plain = bca(weighted_average_precision, np.repeat(scores, 3), np.repeat(labels, 3))
    assert plain.high - plain.low < 0.7 * (once.high - once.low)


def test_the_same_seed_gives_the_same_interval_in_chunks_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, labels = draw(7)
    first = bca(weighted_average_precision, scores, labels, seed=3)
    assert bca(weighted_average_precision, scores, labels, seed=3).low == first.low
    assert bca(weighted_average_precision, scores, labels, seed=4).low != first.low
    shuffled = np.random.default_rng(0).permutation(130)
    names = np.arange(130)[shuffled]
    moved = bca(weighted_average_precision, scores[shuffled], labels[shuffled], names, seed=3)
    assert moved.value == pytest.approx(first.value)


def test_a_wider_level_gives_a_wider_interval() -> None:
    scores, labels = draw(8)
    narrow, wide = (bca(weighted_mean, scores, labels, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_scores_of_several_classes_reach_the_statistic_as_they_are() -> None:
    random = np.random.default_rng(9)
    labels = random.integers(0, 3, 90)
    scores = random.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[labels]

    def accuracy(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return weights @ (scores.argmax(axis=1) == labels) / weights.sum(axis=1)

    found = bca(accuracy, scores, labels)
    right = (scores.argmax(axis=1) == labels).mean()
    assert found.value == pytest.approx(right)
    error = math.sqrt(right * (1 - right) / 90)
    assert found.high - found.low == pytest.approx(2 * 1.99 * error, rel=0.1)


def test_a_value_that_no_resample_changes_has_no_interval() -> None:
    scores, labels = np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([1, 1, 0, 0, 0])
    found = bca(weighted_average_precision, scores, labels)
    assert found.value == 1
    assert math.isnan(found.low)
    assert found.method == "every resample gives the same value, no interval"


def test_a_class_of_one_patient_falls_back_on_percentiles() -> None:
    scores, labels = np.array([0.5, 0.8, 0.3, 0.2, 0.1]), np.array([1, 0, 0, 0, 0])
    found = bca(weighted_auc, scores, labels)
    assert found.method == "percentile bootstrap"
    assert 0 <= found.low < 0.75 < found.high == 1


def test_what_cannot_be_resampled_says_why() -> None:
    assert bca(weighted_auc, [0.1, 0.2], [0, 0]).method.startswith("undefined")
    assert bca(weighted_auc, [0.1, np.nan], [0, 1]).method.startswith("undefined: a score")
    assert bca(weighted_mean, [], []).method == "undefined: no examples"
    assert bca(weighted_mean, [0.1, 0.4], [0, 1], [3, 3]).method == "one patient, no interval"


def test_a_large_data_set_fits_in_little_memory_and_time() -> None:
    """34,266 rows: under 200 MB however many replicates, and 2,000 of them within seconds."""
    random = np.random.default_rng(10)
    labels = (random.random(34266) < 0.083).astype(int)
    scores = 1 / (1 + np.exp(-random.normal(size=labels.size) - labels))
    patients = random.integers(0, 28000, labels.size)
    tracemalloc.start()
    bca(weighted_average_precision, scores, labels, patients, replicates=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    started = time.process_time()
    bca(weighted_average_precision, scores, labels, patients, replicates=500)
    assert time.process_time() - started < 2
