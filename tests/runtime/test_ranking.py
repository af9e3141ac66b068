"""Midranks against SciPy, ROC-AUC against scikit-learn, and one ranking for all rooms."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from fewcase.evaluation import scores as evaluation
from fewcase.runtime import ranking
from fewcase.runtime.ranking import midranks, roc_auc
from fewcase.training import outputs as training


def draw(seed: int, n: int = 200, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.2).astype(int)
    labels[:2] = 0, 1
    scores = random.normal(size=n) + labels
    return (scores if levels is None else np.round(scores * levels) / levels), labels


@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_auc_agrees_with_scikit_learn(seed: int, levels: int | None) -> None:
    scores, labels = draw(seed, levels=levels)
    expected = pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert roc_auc(scores, labels) == expected
    assert roc_auc(scores, labels == 1) == expected


@pytest.mark.parametrize("levels", [None, 2])
def test_midranks_agree_with_scipy(levels: int | None) -> None:
    scores, _ = draw(11, levels=levels)
    np.testing.assert_array_equal(midranks(scores), scipy.stats.rankdata(scores))
    assert midranks([]).shape == (0,)


def test_training_and_evaluation_rank_by_the_same_function() -> None:
    assert training.roc_auc is ranking.roc_auc
    assert evaluation.roc_auc is ranking.roc_auc


def test_one_class_only_has_no_auc() -> None:
    assert np.isnan(roc_auc([0.1, 0.2], [0, 0]))
    assert np.isnan(roc_auc([0.1, 0.2], [1, 1]))


def test_scores_that_are_no_numbers_have_no_auc() -> None:
    """A network that diverged must not seem to rank well because its positives come last."""
    assert np.isnan(roc_auc([np.nan, np.nan, np.nan], [0, 0, 1]))
    assert np.isnan(roc_auc([0.1, 0.2, np.nan], [0, 0, 1]))


def test_equal_scores_are_chance() -> None:
    assert roc_auc(np.zeros(4), [1, 0, 0, 0]) == 0.5


def test_labels_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        roc_auc([0.1, 0.2, 0.3], [0, 1, 2])


def test_time_grows_like_that_of_sorting() -> None:
    """Pairwise comparison of 400,000 scores would take 4 · 10¹⁰ steps."""
    scores, labels = draw(0, n=400_000)
    started = time.perf_counter()
    roc_auc(scores, labels)
    assert time.perf_counter() - started < 2
