"""The measures that tables of one arm show: what they are called, and how to read their values."""

from __future__ import annotations

import dataclasses

from fewcase.evaluation.ordered import AT_LEAST


@dataclasses.dataclass(frozen=True)
class Measure:
    """A row of the table of all measures.

    Attributes
    ----------
    title
        What people call it.
    statistics
        Names in the scores; a set has the first one that is there.
    perfect, no_skill
        What a perfect model would have, and one that guesses.
    """

    title: str
    statistics: tuple[str, ...]
    perfect: str = "–"
    no_skill: str = "–"


AREA = ("auc_ensemble", "auc_pooled", "auc_mean")
POOLED = "folds pooled (CV) or scores averaged (test)"
TWO_CLASSES = (
    Measure("ROC-AUC, mean of runs", ("auc_mean",), "1", "0.5"),
    Measure(f"ROC-AUC, {POOLED}", AREA[:2], "1", "0.5"),
    Measure("Average precision", ("average_precision",), "1", "p"),
    Measure("Sensitivity at the fixed threshold", ("sensitivity",), "1"),
    Measure("Specificity at the fixed threshold", ("specificity",), "1"),
    Measure("Fixed threshold", ("threshold",)),
    Measure("Sensitivity at 90\u00a0% specificity", ("sensitivity_at_specificity_90",), "1", "0.1"),
    Measure("Brier score", ("brier",), "0", "p(1 − p)"),
    Measure("Brier score before correction", ("brier_raw",), "0", "p(1 − p)"),
    Measure("Expected calibration error (ECE)", ("ece",), "0"),
    Measure("ECE before correction", ("ece_raw",), "0"),
    Measure("Calibration slope", ("calibration_slope",), "1", "0"),
    Measure("Calibration intercept", ("calibration_intercept",), "0"),
)
ACCURACIES = (
    Measure("Accuracy", ("accuracy",), "1", "largest share"),
    Measure("Balanced accuracy", ("balanced_accuracy",), "1", "1/classes"),
    Measure("Top-3 accuracy", ("top3_accuracy",), "1", "largest three shares"),
)
SEVERAL_CLASSES = (
    *ACCURACIES,
    Measure("Accuracy, mean of runs", ("accuracy_mean",), "1", "largest share"),
    Measure("Balanced accuracy, mean of runs", ("balanced_accuracy_mean",), "1", "1/classes"),
    Measure("Top-3 accuracy, mean of runs", ("top3_accuracy_mean",), "1", "largest three shares"),
    Measure("Quadratically weighted kappa", ("quadratic_kappa",), "1", "0"),
    Measure("ROC-AUC of one class against the rest, mean of runs", ("auc_mean",), "1", "0.5"),
    Measure(f"ROC-AUC of one class against the rest, {POOLED}", AREA[:2], "1", "0.5"),
    Measure("Average precision, mean over classes", ("average_precision",), "1", "1/classes"),
    Measure("Brier score, sum over classes", ("brier",), "0"),
    Measure("Brier score before correction", ("brier_raw",), "0"),
    Measure("Expected calibration error (ECE) of the likeliest class", ("ece",), "0"),
    Measure("ECE before correction", ("ece_raw",), "0"),
)
BY_PART = (
    Measure("AUC [95\u00a0%]", AREA),
    Measure("Average precision [95\u00a0%]", ("average_precision",)),
    Measure("Accuracy [95\u00a0%]", ("accuracy",)),
    Measure("Sensitivity [95\u00a0%]", ("sensitivity",)),
    Measure("Specificity [95\u00a0%]", ("specificity",)),
)
BY_PARENT = (
    *BY_PART[:3],
    Measure("Balanced accuracy [95\u00a0%]", ("balanced_accuracy",)),
)
AT_LEAST_A_CLASS = (Measure("AUC [95\u00a0%]", (AT_LEAST,)),)
SIGNED = ("calibration_slope", "calibration_intercept", "quadratic_kappa")
