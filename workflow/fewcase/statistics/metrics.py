"""Measures of discrimination: on one set of examples, and on many reweighted ones.

The functions named ``weighted_…`` take a row of weights per replicate, so that a bootstrap of
thousands of resamples needs one sort of the scores and no loop over resamples.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from fewcase.runtime.ranking import are_positive

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
    weights = np.ones((1, positive.size))
    return float(weighted_average_precision(scores, positive, weights)[0])


def weighted_average_precision(
    scores: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike
) -> FloatArray:
    """Return the average precision under each row of weights.

    Parameters
    ----------
    scores
        Shape (n,), finite; larger speaks for a positive.
    labels
        Shape (n,), 0 or 1.
    weights
        Shape (R, n), at least 0: how often each replicate has each example.

    Returns
    -------
    numpy.ndarray
        Shape (R,); NaN where a replicate has no positive.
    """
    found, flagged = _above_each_score(scores, labels, weights)
    gained = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Scores that a replicate lacks above its first example have a precision of 0 / 0.
        precision = np.where(found > 0, found / flagged, 0.0)
        return np.einsum("rg,rg->r", gained, precision) / found[:, -1]


def weighted_sensitivity_at_specificity(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    weights: npt.ArrayLike,
    specificity: float = 0.9,
) -> FloatArray:
    """Return the largest sensitivity that some threshold reaches at a given specificity or better.

    The threshold is sought in every replicate anew, so an interval from replicates knows that it
    was chosen on the same examples.

    Parameters
    ----------
    scores
        Shape (n,), finite; an example is called positive at or above the threshold.
    labels
        Shape (n,), 0 or 1.
    weights
        Shape (R, n), at least 0.
    specificity
        Least share of negatives below the threshold.

    Returns
    -------
    numpy.ndarray
        Shape (R,); NaN where a replicate lacks a class, 0 where only a threshold above all scores
        is specific enough.
    """
    found, flagged = _above_each_score(scores, labels, weights)
    false = flagged - found
    # Whole numbers of examples: round-off of 1 - specificity must not forbid an exact hit.
    allowed = (1 - specificity) * false[:, -1:] + 1e-9
    thresholds = (false <= allowed).sum(axis=1)
    padded = np.concatenate([np.zeros((len(found), 1)), found], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        reached = padded[np.arange(len(found)), thresholds] / found[:, -1]
    return np.where(false[:, -1] > 0, reached, np.nan)


def weighted_quadratic_kappa(
    called: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike
) -> FloatArray:
    """Return the quadratically weighted kappa of classes in order, under each row of weights.

    A call that is two classes off counts four times one that is one class off; 1 is agreement of
    all, 0 that of calls which know nothing of the labels.

    Parameters
    ----------
    called, labels
        Shape (n,), integers from 0 on in the order of the classes.
    weights
        Shape (R, n), at least 0: how often each replicate has each example.

    Returns
    -------
    numpy.ndarray
        Shape (R,); NaN where all calls and labels of a replicate are one class.

    References
    ----------
    Cohen, Psychological Bulletin 70, 213-220, 1968.
    """
    x, y = np.asarray(called, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    columns = np.stack([np.ones_like(x), x, y, x**2 + y**2, (x - y) ** 2], axis=1)
    total, of_x, of_y, squares, apart = (np.asarray(weights, dtype=np.float64) @ columns).T
    # Squares of the differences of all pairs of a call and a label: sums of whole numbers, exact.
    expected = total * squares - 2 * of_x * of_y
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - total * apart / expected, np.nan)


def _above_each_score(
    scores: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return, per replicate, the weight of positives and of all examples down to some scores.

    The scores are those that a positive has and the least between them: nothing that counts
    positives can change elsewhere. Both have shape (R, scores), the largest score first.
    """
    positive = are_positive(labels)
    scores = np.asarray(scores, dtype=np.float64)
    weights = np.asarray(weights)
    if not (scores[1:] <= scores[:-1]).all():
        order = np.argsort(-scores)
        scores, positive, weights = scores[order], positive[order], weights[:, order]
    first = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    with_positive = np.logical_or.reduceat(positive, first)
    kept = with_positive | np.append(True, with_positive[:-1])
    first, with_positive = first[kept], with_positive[kept]
    found = np.zeros((len(weights), len(first)))
    if with_positive.any():
        at = np.searchsorted(np.flatnonzero(positive), first[with_positive])
        found[:, with_positive] = np.add.reduceat(weights[:, positive], at, axis=1)
    return (
        np.cumsum(found, axis=1),
        np.cumsum(np.add.reduceat(weights, first, axis=1), axis=1, dtype=np.float64),
    )


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

    def less(self, reference: int) -> Placements:
        """Return the placements of the differences of all AUCs with that of one column.

        A difference of AUCs is a mean of differences of placements, so that its variance on the
        same examples needs no covariance either.
        """
        return Placements(
            self.auc - self.auc[reference],
            self.of_positives - self.of_positives[reference],
            self.of_negatives - self.of_negatives[reference],
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
        Found from one sort per model, in O(k n log n).

    References
    ----------
    Sun and Xu, IEEE Signal Processing Letters 21, 2014, who use three.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = are_positive(labels)
    m = int(positive.sum())
    n = positive.size - m
    if m == 0 or n == 0:
        raise ValueError("placement values need examples of both classes")
    auc = np.empty(len(scores))
    of_positives = np.empty((len(scores), m))
    of_negatives = np.empty((len(scores), n))
    for k, row in enumerate(scores):
        positives_below, negatives_below = _counts_below(row, positive)
        # Whole and half numbers have an exact sum, so equal rankings have equal AUCs.
        auc[k] = negatives_below.sum() / (m * n)
        of_positives[k] = negatives_below / n
        of_negatives[k] = 1 - positives_below / m
    return Placements(auc, of_positives, of_negatives)


def _counts_below(
    scores: FloatArray, positive: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return how many positives lie below each negative, and negatives below each positive.

    Those of the same score count one half.
    """
    order = np.argsort(scores)
    ordered = scores[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    behind = np.append(first[1:], ordered.size)
    positives = np.append(0, np.cumsum(positive[order]))
    negatives = np.arange(ordered.size + 1) - positives
    below = np.empty((2, ordered.size))
    for row, counts in zip(below, (positives, negatives), strict=True):
        row[order] = np.repeat((counts[first] + counts[behind]) / 2, behind - first)
    return below[0, ~positive], below[1, positive]
