"""Statistics of weighted examples by their definition, to compare the library with."""

from __future__ import annotations

import numpy as np


def weighted_auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of pairs ranked rightly, (R,), from whole weights (R, n); half for a tie."""
    positive = np.asarray(labels) == 1
    scores, weights = np.asarray(scores), np.asarray(weights, float)
    above, below = scores[positive, None], scores[None, ~positive]
    right = (above > below) + 0.5 * (above == below)
    of_positives, of_negatives = weights[:, positive], weights[:, ~positive]
    pairs = of_positives.sum(axis=1) * of_negatives.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (of_positives @ right * of_negatives).sum(axis=1) / pairs


def weighted_mean(values: np.ndarray, _: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of values (n,) under each row of weights, (R,)."""
    weights = np.asarray(weights, float)
    return weights @ np.asarray(values) / weights.sum(axis=1)
