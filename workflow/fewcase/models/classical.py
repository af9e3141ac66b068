"""The classical baseline: logistic regression on features, with two classes or more."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

Float64 = npt.NDArray[np.float64]

CLASS_WEIGHT = "balanced"


@dataclasses.dataclass(frozen=True)
class LogisticModel:
    """A fitted pipeline: missing values by the median, standardised, then weighted sums.

    All arrays are float64: ``median``, ``mean`` and ``scale`` of shape (features,);
    ``coefficient`` and ``intercept`` of shapes (features,) and (1,) with two classes, (classes,
    features) and (classes,) with more. A class that the training rows lack has an intercept of
    minus infinity.
    """

    median: Float64
    mean: Float64
    scale: Float64
    coefficient: Float64
    intercept: Float64

    def logits(self, features: Float64) -> Float64:
        """Return logits (n, classes) for features (n, features), NaN where missing.

        The softmax of a row gives its probabilities. With two classes the first column is 0 and
        the second the log-odds of class 1.
        """
        filled = np.where(np.isfinite(features), features, self.median)
        sums = (filled - self.mean) / self.scale @ self.coefficient.T + self.intercept
        return np.stack([np.zeros(len(sums)), sums], axis=1) if sums.ndim == 1 else sums

    def arrays(self) -> dict[str, Float64]:
        """Return the parameters by name, for a safetensors file."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def fit_logistic(
    features: Float64,
    labels: npt.NDArray[np.int64],
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    classes: int = 2,
) -> LogisticModel:
    """Fit a logistic regression with classes weighted to equal importance.

    Medians, means and scales are those of these rows alone, which are the training rows. With
    three classes or more the model is multinomial.

    Parameters
    ----------
    features
        (n, features), NaN where missing. A feature without one known value counts as constant.
        Without any feature every row has the probability of its class in training, as weighted.
    labels
        (n,), 0, 1, …; two classes present at least.
    options
        Keyword arguments of `sklearn.linear_model.LogisticRegression`, such as ``C``.
    seed
        Of solvers that draw numbers, such as ``saga``.
    classes
        How many classes there are, those that these rows lack included.

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
    present = np.unique(labels)
    if len(present) < 2:
        raise InputError(
            f"The training part has the one class {labels[:1].tolist()}: nothing can be learnt. "
            "Lower the number of folds or take more records."
        )
    arguments = {"class_weight": CLASS_WEIGHT, "max_iter": 1000, "random_state": seed, **options}
    if features.shape[1] == 0:
        shares = weighted_shares(labels, arguments["class_weight"], classes)
        with np.errstate(divide="ignore"):
            intercept = np.log(shares)
        empty = np.empty(0)
        return _model(empty, empty, empty, np.empty((classes, 0)), intercept)
    median = _medians(features)
    filled = np.where(np.isfinite(features), features, median)
    scaler = StandardScaler().fit(filled)
    fitted = LogisticRegression(**arguments).fit(scaler.transform(filled), labels)
    coefficient, intercept = fitted.coef_, fitted.intercept_
    if len(present) == 2:
        # One row stands for the second class against the first.
        coefficient = np.concatenate([np.zeros_like(coefficient), coefficient])
        intercept = np.append(0.0, intercept)
    full = np.zeros((classes, features.shape[1]))
    constant = np.full(classes, -np.inf)
    full[present], constant[present] = coefficient, intercept
    return _model(median, scaler.mean_, scaler.scale_, full, constant)


def _model(
    median: Float64, mean: Float64, scale: Float64, coefficient: Float64, intercept: Float64
) -> LogisticModel:
    """Keep of two classes the difference alone: the log-odds of class 1."""
    if len(intercept) == 2:
        coefficient, intercept = coefficient[1] - coefficient[0], intercept[1:] - intercept[:1]
    arrays = (median, mean, scale, coefficient, intercept)
    return LogisticModel(*(array.astype(np.float64) for array in arrays))


def weighted_shares(
    labels: npt.NDArray[np.int64], class_weight: str | Mapping[int, float] | None, classes: int
) -> Float64:
    """Return the share of each class, (classes,), as a model with class weights sees it.

    Parameters
    ----------
    labels
        (n,), 0, 1, …
    class_weight
        As scikit-learn has it: None, ``balanced``, or the weight of each class.
    classes
        How many classes there are.
    """
    weight = np.bincount(labels, minlength=classes).astype(np.float64)
    if class_weight == "balanced":
        weight = (weight > 0).astype(np.float64)
    elif isinstance(class_weight, Mapping):
        weight *= [class_weight.get(number, 1.0) for number in range(classes)]
    return weight / weight.sum()


def _medians(features: Float64) -> Float64:
    known = np.where(np.isfinite(features), features, np.nan)
    median = np.zeros(features.shape[1])
    some = np.isfinite(known).any(axis=0)
    median[some] = np.nanmedian(known[:, some], axis=0)
    return median
