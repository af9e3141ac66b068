"""What the runs of an experiment's arms learned epoch by epoch, read, checked and averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fewcase.data.files import read_json
from fewcase.reporting.evidence import Key
from fewcase.study.errors import InputError

COLUMNS = ("bag", "epoch", "learning_rate", "train_loss", "inner_loss", "inner_auc")
"""Columns that every history has."""

LOSSES = {"train_loss": "training", "inner_loss": "inner validation"}
MEASURES = {
    "train_accuracy": "accuracy, training",
    "inner_accuracy": "accuracy, inner validation",
    "inner_auc": "ROC-AUC, inner validation",
}
CURVES = (*LOSSES, *MEASURES)


@dataclasses.dataclass(frozen=True)
class Learning:
    """The runs of one arm under one split.

    Attributes
    ----------
    key
        Arm and split.
    table
        A line for each run, bag and epoch: run (number), bag, epoch (1, 2, …), learning_rate (at
        the end of the epoch), `CURVES` (NaN where a history has none) and chosen (whether the
        weights of this epoch were kept).
    """

    key: Key
    table: pd.DataFrame

    @property
    def was_trained(self) -> bool:
        """Whether there are epochs: a model fitted in one go has no learning rate."""
        return bool(self.table["learning_rate"].notna().any())

    @property
    def runs(self) -> int:
        """How many runs there are, each of one bag or more."""
        return int(self.table["run"].nunique())

    @property
    def lines(self) -> list[pd.DataFrame]:
        """The epochs of each run and bag."""
        return [part for _, part in self.table.groupby(["run", "bag"])]

    def mean(self) -> pd.DataFrame:
        """Return the mean of each curve over runs and bags, by epoch.

        Early stopping ends runs at different epochs: where fewer than half of them are left, the
        few that are would speak for all, and there is no mean.
        """
        by_epoch = self.table.groupby("epoch")
        means = by_epoch[list(CURVES)].mean()
        return means[by_epoch.size() >= len(self.lines) / 2]

    def steps(self) -> dict[int, float]:
        """Return the epochs before which the learning rate falls in a step, and its new value.

        A rate that falls in most epochs, as along a cosine, has no steps.
        """
        longest = max(self.lines, key=len)
        rates = longest["learning_rate"].to_numpy(np.float64)
        falls = np.flatnonzero(rates[1:] < rates[:-1] * (1 - 1e-6)) + 1
        if len(falls) > (len(rates) - 1) / 2:
            return {}
        return {int(longest["epoch"].iloc[at]): float(rates[at]) for at in falls}


def chosen_epoch(history: pd.DataFrame, patience: int | None) -> int:
    """Return the epoch whose weights a training keeps, see `fewcase.training.optimisation`.

    Parameters
    ----------
    history
        Of one bag, epoch by epoch.
    patience
        Of early stopping; None keeps the last epoch.
    """
    auc, loss = (history[name].to_numpy(np.float64) for name in ("inner_auc", "inner_loss"))
    value = np.where(np.isnan(auc), -loss, auc)
    if patience is None or np.isnan(value).all():
        return int(history["epoch"].iloc[-1])
    return int(history["epoch"].iloc[int(np.nanargmax(value))])


def read_learning(folder: Path, runs: Sequence[str] = ()) -> Learning:
    """Read the histories of an arm under a split.

    Parameters
    ----------
    folder
        ``runs/{arm}/{split}``, in which are ``seed-*/fold-*/history.csv`` and ``options.json``.
    runs
        Which of them, ``SEED/FOLD`` each; empty takes all.

    Raises
    ------
    InputError
        Where there is no run, a named one is missing, or a file is none of a training.
    """
    paths = sorted(folder.glob("seed-*/fold-*/history.csv"))
    names = {
        path: "/".join(part.rpartition("-")[2] for part in path.parts[-3:-1]) for path in paths
    }
    if missing := sorted(set(runs) - set(names.values())):
        raise InputError(f"{folder}: no history of run {missing[0]}. Train this run first.")
    paths = [path for path in paths if not runs or names[path] in runs]
    if not paths:
        raise InputError(f"{folder}: no seed-*/fold-*/history.csv. Train this arm first.")
    parts = [_read_run(path).assign(run=number) for number, path in enumerate(paths)]
    return Learning((folder.parent.name, folder.name), pd.concat(parts, ignore_index=True))


def _read_run(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
        table = table.reindex(
            columns=[*COLUMNS, *(c for c in MEASURES if c not in COLUMNS)]
        ).assign(**{name: table[name] for name in COLUMNS})
        table = table.astype({"bag": np.int64, "epoch": np.int64})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no history of a training ({error}). Train it again.") from None
    if table.empty:
        raise InputError(f"{path}: no epochs. Train this run again.")
    patience = _patience(path.with_name("options.json"))
    kept = {bag: chosen_epoch(part, patience) for bag, part in table.groupby("bag")}
    return table.assign(chosen=table["epoch"] == table["bag"].map(kept))


def _patience(path: Path) -> int | None:
    options = read_json(path)
    try:
        patience = options["recipe"]["patience"]
    except (KeyError, TypeError):
        raise InputError(f"{path}: no recipe with patience. Train this run again.") from None
    return None if patience is None else int(patience)
