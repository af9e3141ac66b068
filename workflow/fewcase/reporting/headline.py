"""The measure that an experiment is about: what it is called, looked up by, and compared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fewcase.statistics.accuracy import (
    compare_accuracies,
    estimate_accuracy,
    estimate_balanced_accuracy,
)
from fewcase.statistics.comparisons import Difference, compare_aucs, compare_paired_pooled
from fewcase.statistics.intervals import Estimate, estimate_auc
from fewcase.statistics.metrics import FloatArray

Labels = npt.NDArray[np.int64]

OF_CALLS = (
    "The class with the highest score is called, of two classes the second at a score of 0.5 or "
    "more; on a test set the scores of all runs are averaged first."
)
OF_TOP = (
    "The three classes with the highest scores are looked at, of equal scores the first in the "
    "order of the classes; on a test set the scores of all runs are averaged first."
)
ON_SAME_EXAMPLES = ("DeLong", "Obuchowski", "Newcombe", "Wilson", "sandwich")
"""How methods of intervals begin whose runs all judged the same examples."""


@dataclasses.dataclass(frozen=True)
class Headline:
    """One of the measures that an experiment may be about.

    Attributes
    ----------
    name
        One of `fewcase.study.words.MEASURES`.
    words
        What it is called in a heading, behind another word.
    sentence
        What it is called in a sentence, at its first mention.
    reading
        How to read it: a sentence without its full stop.
    note
        How it is found; empty where that is told elsewhere.
    pooled, ensemble
        Statistic of the folds together, and of the scores averaged over runs on a test set.
    """

    name: str
    words: str
    sentence: str
    reading: str
    note: str
    pooled: str
    ensemble: str

    @property
    def mean(self) -> str:
        """The statistic that is the mean over runs."""
        return f"{self.name}_mean"

    @property
    def title(self) -> str:
        """What it is called where nothing stands before it, as on an axis."""
        return self.sentence[:1].upper() + self.sentence[1:]

    @property
    def is_auc(self) -> bool:
        """Whether it is made from scores, and not from the classes that are called."""
        return self.name == "auc"

    @property
    def is_mean_over_classes(self) -> bool:
        """Whether it is a mean of shares of classes, and not a share of all examples."""
        return self.name == "balanced_accuracy"

    def estimate(
        self, values: FloatArray, labels: Labels, patients: Labels, classes: int
    ) -> Estimate:
        """Return the mean over models on the same examples, with its interval.

        Parameters
        ----------
        values
            Shape (s, n), see `fewcase.reporting.evidence.Units`.
        labels, patients
            Shape (n,).
        classes
            How many there are.
        """
        if self.is_auc:
            return estimate_auc(values, labels, patients)
        if self.is_mean_over_classes:
            return estimate_balanced_accuracy(values, labels, patients, classes)
        return estimate_accuracy(values, patients)

    def compare(
        self, values: FloatArray, labels: Labels, patients: Labels, classes: int
    ) -> list[Difference]:
        """Return by how much each of k arms, shape (k, n), differs from the first one."""
        if self.is_auc:
            return compare_aucs(values, labels, patients, 0)
        by_class = classes if self.is_mean_over_classes else None
        return compare_accuracies(values, labels, patients, 0, classes=by_class)

    def compare_pooled(
        self, one: FloatArray, other: FloatArray, labels: Labels, patients: Labels, classes: int
    ) -> Difference:
        """Return by how much one arm's mean over its models differs from another's.

        Parameters
        ----------
        one, other
            Shape (s, n): a value of each example by each model that did not train on it; both
            sides may have different numbers of models.
        labels, patients
            Shape (n,).
        classes
            How many there are.
        """
        if self.is_auc:
            return compare_paired_pooled(one, other, labels, patients)
        both = np.stack([other.mean(axis=0), one.mean(axis=0)])
        found = self.compare(both, labels, patients, classes)[1]
        if np.isnan(found.value):
            return found
        return dataclasses.replace(found, method=f"{found.method}, out-of-fold")


HEADLINES = {
    "auc": Headline(
        name="auc",
        words="AUC",
        sentence="ROC-AUC",
        reading="the AUC is how often a positive gets a higher score than a negative (0.5 is "
        "guessing, 1 is perfect)",
        note="",
        pooled="auc_pooled",
        ensemble="auc_ensemble",
    ),
    "accuracy": Headline(
        name="accuracy",
        words="accuracy",
        sentence="accuracy",
        reading="accuracy is the share of examples that are given their own class (whoever always "
        "says the commonest class reaches the share of that class)",
        note=OF_CALLS,
        pooled="accuracy",
        ensemble="accuracy",
    ),
    "balanced_accuracy": Headline(
        name="balanced_accuracy",
        words="balanced accuracy",
        sentence="balanced accuracy",
        reading="balanced accuracy is the share of a class that is given its own class, mean over "
        "classes, so that rare ones count as much (guessing reaches 1 divided by their number)",
        note=OF_CALLS,
        pooled="balanced_accuracy",
        ensemble="balanced_accuracy",
    ),
    "top3_accuracy": Headline(
        name="top3_accuracy",
        words="top-3 accuracy",
        sentence="top-3 accuracy",
        reading="top-3 accuracy is the share of examples whose own class is among the three with "
        "the highest scores (whoever always says the three commonest classes reaches the share of "
        "these)",
        note=OF_TOP,
        pooled="top3_accuracy",
        ensemble="top3_accuracy",
    ),
}
"""By name, in the order of `fewcase.study.words.MEASURES`."""


def judged_by_all(methods: Iterable[str]) -> bool:
    """Return whether all runs judged the same examples, by how their mean's interval was found.

    That is so on the one validation set of a study with a given split; elsewhere each run judges
    its own fold.
    """
    return any(method.startswith(ON_SAME_EXAMPLES) for method in methods)
