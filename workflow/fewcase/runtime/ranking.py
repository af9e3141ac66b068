"""How well scores rank positives above negatives: midranks and the area under the ROC curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def midranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the 1-based rank of each value, ties sharing the mean of their ranks.

    Parameters
    ----------
    values
        Shape (n,), finite.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float64; found by one sort.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return np.empty(0)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    behind = np.append(first[1:], values.size)
    ranks = np.empty(values.size)
    ranks[order] = np.repeat((first + 1 + behind) / 2, behind - first)
    return ranks


def are_positive(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return labels of 0 and 1 (or truth values) as truth values; any other is a ValueError."""
    labels = np.asarray(labels)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, found {np.unique(labels)[:5].tolist()}")
    return labels.astype(bool)


def roc_auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative.

    A tie counts one half. Takes the time of one sort.

    Parameters
    ----------
    scores
        Shape (n,), finite; larger speaks for a positive.
    labels
        Shape (n,), 0 or 1.

    Returns
    -------
    float
        NaN where one of the classes is absent, or a score is NaN.
    """
    positive = are_positive(labels)
    positives = int(positive.sum())
    negatives = positive.size - positives
    scores = np.asarray(scores, dtype=np.float64)
    # Sorting puts NaN last, so that a diverged network could seem to rank well.
    if positives == 0 or negatives == 0 or np.isnan(scores).any():
        return float("nan")
    # Ranks are whole or half numbers, so their sum is exact and equal rankings have equal AUCs.
    rank_sum = midranks(scores)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))
