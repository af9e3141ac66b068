"""The threshold that divides positives from negatives, fixed on other examples than it judges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.runtime.ranking import are_positive


def youden_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the threshold with the largest sensitivity + specificity - 1.

    A score at or above it is called positive. It lies in the middle of the gap between the two
    scores that it divides. Of several that are equally good the most sensitive is taken; where
    none is better than chance, that is the lowest score, and everyone is called positive.

    Parameters
    ----------
    scores
        Shape (n,), finite; larger speaks for a positive.
    labels
        Shape (n,), 0 or 1.

    Returns
    -------
    float
        NaN where one of the classes is absent.

    References
    ----------
    Youden, Cancer 3, 1950.
    """
    positive = are_positive(labels)
    positives = int(positive.sum())
    negatives = positive.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    true = np.cumsum(positive[order])[last_of_tie]
    false = last_of_tie + 1 - true
    # Whole numbers, so that equally good thresholds are equal.
    gained = true * negatives - false * positives
    best = int(last_of_tie[np.flatnonzero(gained == gained.max())[-1]])
    lowest = float(ordered[best])
    if best + 1 == ordered.size:
        return lowest
    below = float(ordered[best + 1])
    middle = (lowest + below) / 2
    # Between neighbouring floating-point numbers there is no middle.
    return middle if middle > below else lowest
