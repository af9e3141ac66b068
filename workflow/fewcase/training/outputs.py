"""What every model leaves behind, trained or fitted: weights, history, predictions, options."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import atomic_path, write_csv, write_json, write_table
from fewcase.runtime.ranking import roc_auc

HISTORY_COLUMNS = (
    "bag",
    "epoch",
    "learning_rate",
    "train_loss",
    "mean_target",
    "inner_loss",
    "inner_auc",
    "seconds",
    "images_per_second",
    "train_accuracy",
    "inner_accuracy",
)
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors", "pyarrow")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The results of one run.

    Attributes
    ----------
    weights
        Arrays by name; with several bags each name begins with ``bag-<number>.``.
    history
        One line per bag and epoch, `HISTORY_COLUMNS`.
    predictions
        One line per scored example, with ``score_0``, ``score_1`` … as probabilities.
    about
        What there is to say of the model: source of its weights, parameters, device, precision.
    """

    weights: Mapping[str, npt.NDArray[Any]]
    history: pd.DataFrame
    predictions: pd.DataFrame
    about: Mapping[str, Any]


def prediction_table(scored: pd.DataFrame, logits: npt.NDArray[np.floating[Any]]) -> pd.DataFrame:
    """Return the scored examples with their class probabilities.

    Parameters
    ----------
    scored
        n lines.
    logits
        (bags, n, classes); averaged over bags before the softmax.
    """
    mean = logits.astype(np.float64).mean(axis=0)
    raised = np.exp(mean - mean.max(axis=1, keepdims=True))
    probabilities = raised / raised.sum(axis=1, keepdims=True)
    columns = {
        f"score_{number}": probabilities[:, number].astype(np.float32)
        for number in range(probabilities.shape[1])
    }
    return scored.assign(**columns)


def name_weights(
    weights: Sequence[Mapping[str, npt.NDArray[Any]]],
) -> dict[str, npt.NDArray[Any]]:
    """Join the weights of all bags under one roof; a single bag keeps its plain names."""
    if len(weights) == 1:
        return dict(weights[0])
    return {
        f"bag-{bag}.{key}": array
        for bag, arrays in enumerate(weights)
        for key, array in arrays.items()
    }


def accuracy(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> float:
    """Return the share of examples whose own class has the highest score; NaN of none."""
    return float((logits.argmax(axis=1) == labels).mean()) if len(labels) else float("nan")


def inner_score(
    logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Return cross-entropy and ROC-AUC on the inner validation part, NaN where undefined.

    The AUC is that of class 1 against the rest where there are two classes, the mean over classes
    against the rest where there are more.
    """
    if not len(labels):
        return float("nan"), float("nan")
    wide = logits.astype(np.float64)
    log_total = np.logaddexp.reduce(wide, axis=1)
    loss = float((log_total - wide[np.arange(len(labels)), labels]).mean())
    if wide.shape[1] == 2:
        return loss, roc_auc(wide[:, 1] - wide[:, 0], labels == 1)
    classes = range(wide.shape[1])
    return loss, float(np.mean([roc_auc(wide[:, c] - log_total, labels == c) for c in classes]))


def write_outputs(
    outputs: Outputs,
    recipe: Mapping[str, Any],
    weights: Path,
    history: Path,
    predictions: Path,
    options: Path,
) -> None:
    """Write the four files of a run, each whole or not at all."""
    from safetensors.numpy import save

    with atomic_path(weights) as temporary:
        # Not save_file: what it writes is readable by its owner alone.
        temporary.write_bytes(save(dict(outputs.weights)))
    write_csv(history, outputs.history)
    write_table(predictions, outputs.predictions)
    write_json(options, {"recipe": dict(recipe), **outputs.about, "versions": _versions()})


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        # The environment of classical models has no torch.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
