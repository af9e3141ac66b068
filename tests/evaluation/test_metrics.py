"""Average precision against scikit-learn, placement values against counting."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from fewcase.evaluation.metrics import average_precision, placements


def draw(seed: int, n: int = 200, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.2).astype(int)
    labels[:2] = 0, 1
    scores = random.normal(size=n) + labels
    return (scores if levels is None else np.round(scores * levels) / levels), labels


@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_agrees_with_scikit_learn(seed: int, levels: int | None) -> None:
    scores, labels = draw(seed, levels=levels)
    assert average_precision(scores, labels) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-12
    )


def test_placements_count_the_other_class_below_and_above() -> None:
    scores, labels = draw(3, n=60, levels=2)
    placed = placements(scores, labels)
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    np.testing.assert_allclose(placed.of_positives[0], wins.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(placed.of_negatives[0], wins.mean(axis=0), atol=1e-12)
    assert placed.auc[0] == pytest.approx(wins.mean())


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
