"""Whether a network does better than chance, which what it goes by should not be read without."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.evaluation.multiclass import measure_auc
from fewcase.statistics.intervals import Estimate, estimate_auc

CHANCE = 0.5
"""The ROC-AUC of guessing, of two classes and as a mean over more of each against the rest."""


@dataclasses.dataclass(frozen=True)
class Chance:
    """The ROC-AUC of a network on examples that it was not trained on.

    Attributes
    ----------
    auc
        Of two classes; of more, the mean over classes of each against the rest.
    examples
        On how many.
    """

    auc: Estimate
    examples: int

    @property
    def no_better_than_chance(self) -> bool:
        """Whether it is not shown to be better: the interval does not lie above 0.5, or is none."""
        return not self.auc.low > CHANCE

    def as_json(self) -> dict[str, Any]:
        """Return auc, low, high (None where undefined), method, examples and the verdict."""
        values = {"auc": self.auc.value, "low": self.auc.low, "high": self.auc.high}
        known = {key: value if math.isfinite(value) else None for key, value in values.items()}
        return {
            **known,
            "method": self.auc.method,
            "examples": self.examples,
            "no_better_than_chance": self.no_better_than_chance,
        }


def judge_chance(scores: npt.ArrayLike, labels: npt.ArrayLike, patients: npt.ArrayLike) -> Chance:
    """Return whether a network ranks examples better than chance, patients taken as clusters.

    Parameters
    ----------
    scores
        Shape (n, K): the score of each class, or (n,) of the second of two.
    labels
        Shape (n,), 0 to K - 1.
    patients
        Shape (n,): names or numbers.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.int64)
    patients = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    if scores.ndim == 2 and scores.shape[1] > 2:
        return Chance(measure_auc(scores[None], labels, patients)[""], labels.size)
    of_second = scores if scores.ndim == 1 else scores[:, -1]
    return Chance(estimate_auc(of_second, labels, patients), labels.size)
