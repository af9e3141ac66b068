"""What is measured of an arm whose classes are degrees in an order, such as stages of a disease."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.evaluation.measures import mean_bootstrapped
from fewcase.statistics.accuracy import called_classes
from fewcase.statistics.intervals import Estimate, estimate_auc, undefined
from fewcase.statistics.metrics import FloatArray, weighted_quadratic_kappa

AT_LEAST = "auc_at_least"
"""Statistic of a class and all above it against those below."""

Labels = npt.NDArray[np.int64]


def measure_ordered(
    scores: FloatArray, labels: Labels, patients: Labels
) -> dict[tuple[str, str], Estimate]:
    """Return how well each degree and those above it are told from those below, and agreement.

    Parameters
    ----------
    scores
        Shape (s, n, classes), classes from the least to the highest degree; values are means over
        the s models.
    labels, patients
        Shape (n,).

    Returns
    -------
    dict
        By statistic and class: ``auc_at_least`` of every class but the first, the AUC of the sum of
        the scores of the class and of all above it; and, of an empty class, ``quadratic_kappa`` of
        the class that is called.

    References
    ----------
    Cohen, Psychological Bulletin 70, 213-220, 1968 (weighted kappa).
    """
    found = {
        (AT_LEAST, str(number)): estimate_auc(
            scores[:, :, number:].sum(axis=2), labels >= number, patients
        )
        for number in range(1, scores.shape[2])
    }
    return {("quadratic_kappa", ""): _kappa(called_classes(scores), labels, patients), **found}


def _kappa(called: Labels, labels: Labels, patients: Labels) -> Estimate:
    once = np.ones((1, labels.size))
    # One model that calls the only class there is has none, and so no mean over models either.
    if any(np.isnan(weighted_quadratic_kappa(row, labels, once)[0]) for row in called):
        return undefined("one class is called and is there")
    return mean_bootstrapped(weighted_quadratic_kappa, called.astype(float), labels, patients)
