"""What is measured of an arm with more than two classes: one against the rest, and all together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.evaluation.measures import (
    average_precision_of,
    measure_accuracy,
    missing_class,
    without_interval,
)
from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.accuracy import (
    absent_class,
    called_classes,
    estimate_accuracy,
    estimate_from_influence,
)
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.calibration import estimate_brier, estimate_calibration_error
from fewcase.statistics.intervals import (
    Estimate,
    estimate_auc,
    score_interval,
    undefined,
    wilson,
)
from fewcase.statistics.metrics import FloatArray, placements, weighted_average_precision

ClassMeasures = dict[tuple[str, str], Estimate]
"""Estimates by statistic and class; an empty class stands for all of them together."""

Labels = npt.NDArray[np.int64]


def mean_auc(scores: FloatArray, labels: Labels) -> float:
    """Return the mean over classes of the AUC of each against the rest, NaN if a class is absent.

    Parameters
    ----------
    scores
        Shape (n, classes).
    labels
        Shape (n,), 0 to classes - 1.
    """
    return float(np.mean([roc_auc(row, labels == number) for number, row in enumerate(scores.T)]))


def measure_auc(scores: FloatArray, labels: Labels, patients: Labels) -> dict[str, Estimate]:
    """Return the AUC of each class against the rest and their mean, over one or several models.

    Parameters
    ----------
    scores
        Shape (s, n, classes); values are means over the s models.
    labels, patients
        Shape (n,).

    Returns
    -------
    dict
        By class, all of them together under an empty name. The variance of the mean over classes
        is that of each patient's influence on it, so that classes are not taken as independent.

    References
    ----------
    Hand and Till, Machine Learning 45, 2001 (means of binary AUCs); DeLong et al., Biometrics 44,
    1988, whose components are the influences.
    """
    classes = scores.shape[2]
    found = {
        str(number): estimate_auc(scores[:, :, number], labels == number, patients)
        for number in range(classes)
    }
    if reason := absent_class(labels, classes):
        return {"": undefined(reason), **found}
    influence = np.zeros(labels.size)
    for number in range(classes):
        positive = labels == number
        placed = placements(scores[:, :, number], positive).mean()
        auc = placed.auc[0]
        influence[positive] += (placed.of_positives[0] - auc) / positive.sum()
        influence[~positive] += (placed.of_negatives[0] - auc) / (~positive).sum()
    of_models = [mean_auc(model, labels) for model in scores]
    rarest = int(np.bincount(labels).min())
    bounds = score_interval(float(np.mean(of_models)), rarest, labels.size - rarest)
    nan = float("nan")
    exact = Estimate(nan, nan, *bounds, "Newcombe score, smallest class")
    return {"": estimate_from_influence(of_models, influence / classes, patients, exact), **found}


def measure_decisions(scores: FloatArray, labels: Labels, patients: Labels) -> ClassMeasures:
    """Return how often the class with the highest score is the right one.

    Parameters
    ----------
    scores
        Shape (s, n, classes): decisions of the s models are pooled.
    labels, patients
        Shape (n,).

    Returns
    -------
    dict
        Those of `measure_accuracy` (balanced_accuracy is the mean over classes of their
        sensitivities), and for each class sensitivity, specificity and accuracy: how often an
        example is rightly given the class, or rightly not given it.
    """
    models, _, classes = scores.shape
    called = called_classes(scores)
    truth, people = np.tile(labels, models), np.tile(patients, models)
    flat = called.ravel()
    accuracies = measure_accuracy(scores, labels, patients, classes)
    found: ClassMeasures = {(name, ""): value for name, value in accuracies.items()}
    for number in range(classes):
        positive = truth == number
        sides = {"sensitivity": positive, "specificity": ~positive}
        for name, side in sides.items():
            fits = (flat == number)[side] == (name == "sensitivity")
            found[name, str(number)] = (
                wilson(fits, 1, people[side])
                if side.any()
                else undefined(f"{'no' if name == 'sensitivity' else 'only'} examples of the class")
            )
        fits = (called == number) == (labels == number)
        found["accuracy", str(number)] = estimate_accuracy(fits, patients)
    return found


def measure_ranking(scores: FloatArray, labels: Labels, patients: Labels) -> ClassMeasures:
    """Return the average precision of each class against the rest, and the mean over classes."""
    classes = scores.shape[2]
    found: ClassMeasures = {
        ("average_precision", str(number)): average_precision_of(
            scores[:, :, number], (labels == number).astype(np.int64), patients
        )
        for number in range(classes)
    }
    if reason := absent_class(labels, classes):
        return {("average_precision", ""): undefined(reason), **found}

    def mean(columns: npt.NDArray, labels: npt.NDArray, weights: npt.NDArray) -> FloatArray:
        of_each = [
            weighted_average_precision(columns[:, i, k], labels == k, weights)
            for i in range(columns.shape[1])
            for k in range(classes)
        ]
        return np.mean(of_each, axis=0)

    of_all = bca(mean, scores.transpose(1, 0, 2), labels, patients)
    return {("average_precision", ""): of_all, **found}


def ranking_values(scores: FloatArray, labels: Labels) -> ClassMeasures:
    """Return average precisions as `measure_ranking` does, without intervals."""
    found: ClassMeasures = {}
    once = np.ones((1, labels.size), np.int16)
    for number in range(scores.shape[2]):
        positive = labels == number
        if reason := missing_class(positive.astype(np.int64)):
            found["average_precision", str(number)] = undefined(reason)
            continue
        values = [
            weighted_average_precision(model[:, number], positive, once)[0] for model in scores
        ]
        found["average_precision", str(number)] = without_interval(float(np.mean(values)))
    if reason := absent_class(labels, scores.shape[2]):
        return {("average_precision", ""): undefined(reason), **found}
    mean = float(np.mean([value.value for value in found.values()]))
    return {("average_precision", ""): without_interval(mean), **found}


def measure_calibration(
    probabilities: FloatArray, labels: Labels, patients: Labels
) -> dict[str, Estimate]:
    """Return the Brier score over all classes and the calibration error of the likeliest one.

    Parameters
    ----------
    probabilities
        Shape (s, n, classes).
    labels, patients
        Shape (n,).

    References
    ----------
    Brier, Monthly Weather Review 78, 1950 (sum over classes); Guo et al., ICML 2017 (top label).
    """
    truth = np.eye(probabilities.shape[2])[labels]
    errors = ((probabilities - truth) ** 2).sum(axis=2)
    right = probabilities.argmax(axis=2) == labels
    return {
        "brier": estimate_brier(errors, patients),
        "ece": estimate_calibration_error(probabilities.max(axis=2), right, patients),
    }
