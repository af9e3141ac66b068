"""Measures against scikit-learn, with and without weights; placement values against counting."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from fewcase.statistics.metrics import (
    average_precision,
    placements,
    weighted_average_precision,
    weighted_quadratic_kappa,
    weighted_sensitivity_at_specificity,
)


def draw(seed: int, n: int = 200, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.2).astype(int)
    labels[:2] = 0, 1
    scores = random.normal(size=n) + labels
    return (scores if levels is None else np.round(scores * levels) / levels), labels


def draw_weights(seed: int, n: int = 200) -> np.ndarray:
    """Return the weights of five resamples: whole numbers, about a third of them 0."""
    return np.random.default_rng(seed).poisson(1.0, size=(5, n))


@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_agrees_with_scikit_learn(seed: int, levels: int | None) -> None:
    scores, labels = draw(seed, levels=levels)
    assert average_precision(scores, labels) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-12
    )


@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_average_precision_agrees_with_scikit_learn(seed: int, levels: int | None) -> None:
    scores, labels = draw(seed, levels=levels)
    weights = draw_weights(seed)
    expected = [
        sklearn.metrics.average_precision_score(labels, scores, sample_weight=row)
        for row in weights
    ]
    found = weighted_average_precision(scores, labels, weights)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    order = np.argsort(-scores)
    in_order = weighted_average_precision(scores[order], labels[order], weights[:, order])
    np.testing.assert_allclose(in_order, expected, atol=1e-12)


def test_a_weight_counts_as_that_many_copies() -> None:
    scores, labels = draw(7, levels=2)
    weights = draw_weights(7)
    once = [np.repeat(np.arange(200), row) for row in weights]
    expected = [average_precision(scores[i], labels[i]) for i in once]
    found = weighted_average_precision(scores, labels, weights)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.99])
def test_sensitivity_at_a_specificity_is_the_best_point_of_scikit_learns_curve(
    specificity: float, levels: int | None
) -> None:
    scores, labels = draw(1, levels=levels)
    weights = draw_weights(1)
    found = weighted_sensitivity_at_specificity(scores, labels, weights, specificity)
    for row, value in zip(weights, found, strict=True):
        false, true, _ = sklearn.metrics.roc_curve(
            labels, scores, sample_weight=row, drop_intermediate=False
        )
        assert value == pytest.approx(true[false <= 1 - specificity + 1e-12].max())


def test_a_specificity_met_exactly_is_met() -> None:
    """One of ten negatives above the threshold is 90 %, whatever 1 - .9 is rounded to."""
    scores = np.concatenate([[20.0, 9.5, 0.5], np.arange(1, 11)])
    labels = np.repeat([1, 0], [3, 10])
    found = weighted_sensitivity_at_specificity(scores, labels, np.ones((1, 13)))
    assert found[0] == pytest.approx(2 / 3)


def test_a_replicate_without_a_class_has_no_ranking() -> None:
    scores, labels = np.array([3.0, 2.0, 1.0]), np.array([1, 0, 0])
    weights = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]])
    assert np.isnan(weighted_average_precision(scores, labels, weights)).tolist() == [
        True,
        False,
        False,
    ]
    found = weighted_sensitivity_at_specificity(scores, labels, weights)
    assert np.isnan(found).tolist() == [True, True, False]


@pytest.mark.parametrize("levels", [None, 2])
def test_placements_count_the_other_class_below_and_above(levels: int | None) -> None:
    scores, labels = draw(3, n=60, levels=levels)
    placed = placements(scores, labels)
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    np.testing.assert_allclose(placed.of_positives[0], wins.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(placed.of_negatives[0], wins.mean(axis=0), atol=1e-12)
    assert placed.auc[0] == pytest.approx(wins.mean())


def test_equal_rankings_have_equal_aucs_to_the_last_bit() -> None:
    scores, labels = draw(4)
    placed = placements(np.stack([scores, scores**3, np.exp(scores)]), labels)
    assert len(set(placed.auc.tolist())) == 1


def test_one_class_only_has_no_placements() -> None:
    assert np.isnan(average_precision([0.1, 0.2], [0, 0]))
    assert average_precision([0.1, 0.2], [1, 1]) == 1
    with pytest.raises(ValueError, match="both classes"):
        placements([0.1, 0.2], [1, 1])


def test_equal_scores_are_chance() -> None:
    labels = np.array([1, 0, 0, 0])
    assert average_precision(np.zeros(4), labels) == 0.25


def test_labels_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        average_precision([0.1, 0.2, 0.3], [0, 1, 2])


def test_weighted_kappa_agrees_with_scikit_learn_and_needs_two_classes() -> None:
    random = np.random.default_rng(8)
    labels = random.integers(0, 4, 200)
    called = np.clip(labels + random.integers(-1, 2, 200), 0, 3)
    weights = draw_weights(8)
    expected = [
        sklearn.metrics.cohen_kappa_score(
            labels, called, labels=range(4), weights="quadratic", sample_weight=row
        )
        for row in weights
    ]
    np.testing.assert_allclose(weighted_quadratic_kappa(called, labels, weights), expected)
    only = np.full(5, 3)
    assert np.isnan(weighted_quadratic_kappa(only, only, np.ones((1, 5)))).all()
    assert weighted_quadratic_kappa(only, only - 1, np.ones((1, 5))) == [0]
