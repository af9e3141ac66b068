"""The classical baseline: logistic regression on features of the signal."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest


@dataclasses.dataclass(frozen=True)
class LogisticModel:
    """A fitted pipeline: missing values by the median, standardised, then a weighted sum.

    All arrays are float64 of shape (features,).
    """

    median: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    coefficient: npt.NDArray[np.float64]
    intercept: float

    def logits(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the log-odds of class 1, (n,), for features (n, features), NaN where missing."""
        filled = np.where(np.isfinite(features), features, self.median)
        return (filled - self.mean) / self.scale @ self.coefficient + self.intercept

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the parameters by name, for a safetensors file."""
        return {
            "median": self.median,
            "mean": self.mean,
            "scale": self.scale,
            "coefficient": self.coefficient,
            "intercept": np.array([self.intercept]),
        }


def fit_logistic(
    features: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> LogisticModel:
    """Fit a logistic regression with classes weighted to equal importance.

    Medians, means and scales are those of these rows alone, which are the training rows.

    Parameters
    ----------
    features
        (n, features), NaN where missing. A feature without one known value counts as constant.
    labels
        (n,), 0 or 1, both present.
    options
        Keyword arguments of `sklearn.linear_model.LogisticRegression`, such as ``C``.
    seed
        Of solvers that draw numbers, such as ``saga``.

    Raises
    ------
    InputError
        For an option that scikit-learn doesn't know, or a training set with one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    options = dict(options or {})
    known = set(inspect.signature(LogisticRegression).parameters)
    for option in options:
        if option not in known:
            raise InputError(f"model: logistic has no option {option!r}.{nearest(option, known)}")
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"The training part has the one class {labels[:1].tolist()}: nothing can be learnt. "
            "Lower the number of folds or take more recordings."
        )
    median = _medians(features)
    filled = np.where(np.isfinite(features), features, median)
    scaler = StandardScaler().fit(filled)
    arguments = {"class_weight": "balanced", "max_iter": 1000, "random_state": seed, **options}
    fitted = LogisticRegression(**arguments).fit(scaler.transform(filled), labels)
    return LogisticModel(
        median=median,
        mean=scaler.mean_.astype(np.float64),
        scale=scaler.scale_.astype(np.float64),
        coefficient=fitted.coef_[0].astype(np.float64),
        intercept=float(fitted.intercept_[0]),
    )


def _medians(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = np.where(np.isfinite(features), features, np.nan)
    median = np.zeros(features.shape[1])
    some = np.isfinite(known).any(axis=0)
    median[some] = np.nanmedian(known[:, some], axis=0)
    return median
