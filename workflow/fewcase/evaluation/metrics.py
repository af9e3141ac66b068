"""Average precision, and the placement values that a ROC-AUC and its variance are made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from fewcase.runtime.ranking import are_positive, midranks

FloatArray = npt.NDArray[np.float64]


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean, over the positives, of the precision at each one's score.

    Examples of one score enter together, so their order cannot matter. Chance level is the share
    of positives.

    Parameters
    ----------
    scores
        Shape (n,), finite; larger speaks for a positive.
    labels
        Shape (n,), 0 or 1.

    Returns
    -------
    float
        NaN where there is no positive.
    """
    positive = are_positive(labels)
    if not positive.any():
        return float("nan")
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    found = np.cumsum(positive[order])[last_of_tie]
    gained = np.diff(found, prepend=0)
    return float(np.sum(gained * found / (last_of_tie + 1)) / found[-1])


@dataclasses.dataclass(frozen=True)
class Placements:
    """Where each example stands among those of the other class.

    Attributes
    ----------
    auc
        Shape (k,): ROC-AUC of each of k score columns.
    of_positives
        Shape (k, m): for each positive, the share of negatives that score below it (DeLong's V10).
    of_negatives
        Shape (k, n): for each negative, the share of positives that score above it (V01).
    """

    auc: FloatArray
    of_positives: FloatArray
    of_negatives: FloatArray

    def mean(self) -> Placements:
        """Return the placements of the mean of the k AUCs, as one column.

        An AUC is the mean of its placements, so the mean of several AUCs on the same examples is
        the mean of theirs, and its variance follows without a k by k covariance.
        """
        return Placements(
            self.auc.mean(keepdims=True),
            self.of_positives.mean(axis=0, keepdims=True),
            self.of_negatives.mean(axis=0, keepdims=True),
        )


def placements(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Placements:
    """Return AUCs and placement values of several models on the same examples.

    Parameters
    ----------
    scores
        Shape (k, n) or (n,), finite.
    labels
        Shape (n,), 0 or 1, both present.

    Returns
    -------
    Placements
        Found from midranks in O(k n log n).

    References
    ----------
    Sun and Xu, IEEE Signal Processing Letters 21, 2014.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = are_positive(labels)
    m = int(positive.sum())
    n = positive.size - m
    if m == 0 or n == 0:
        raise ValueError("placement values need examples of both classes")
    of_positives = np.empty((len(scores), m))
    of_negatives = np.empty((len(scores), n))
    for k, row in enumerate(scores):
        among_all = midranks(row)
        of_positives[k] = (among_all[positive] - midranks(row[positive])) / n
        of_negatives[k] = 1 - (among_all[~positive] - midranks(row[~positive])) / m
    return Placements(of_positives.mean(axis=1), of_positives, of_negatives)
