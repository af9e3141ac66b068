"""What stands behind the summary of an arm: the value of each run, and the scores of each unit."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from fewcase.statistics.accuracy import among_highest, called_classes
from fewcase.statistics.intervals import ratio_to_training
from fewcase.statistics.metrics import FloatArray
from fewcase.study.errors import InputError
from fewcase.study.words import SHORTCUT_PREFIX, TOP

Key = tuple[str, str]
"""An arm, or a shortcut, and the split that it was scored under."""

Run = tuple[int, int]
"""Seed and fold."""

_OF_CLASS = re.compile(r"score_\d+")


@dataclasses.dataclass(frozen=True)
class Runs:
    """One measure, such as the ROC-AUC, of each run of an arm.

    Attributes
    ----------
    validation
        By (seed, fold): the value on the fold that the run did not see, NaN where it is undefined.
    inner
        By (seed, fold): the mean over the inner parts where it is defined.
    parts
        How many inner parts a run has, at most.
    test_to_train
        Units of the validation part over those of the training part, mean over runs, see
        `ratio_to_training`; NaN where a seed has one fold only.
    """

    validation: Mapping[Run, float]
    inner: Mapping[Run, float]
    parts: int
    test_to_train: float

    @property
    def is_one_fold(self) -> bool:
        """Whether every seed has one fold only, so that all runs judged the same examples."""
        seeds = {seed for seed, _ in self.validation}
        return 0 < len(self.validation) == len(seeds)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str]], measure: str = "auc") -> Runs:
        """Return the runs of one arm from the rows that the score stage wrote.

        Raises
        ------
        ValueError
            Where a number is none.
        """
        validation, sizes, stopping = {}, {}, {}
        parts: dict[Run, list[float]] = {}
        for row in rows:
            run = int(row["seed"]), int(row["fold"])
            value = float(row[measure] or "nan")
            if row["set"] == "validation":
                validation[run], sizes[run] = value, int(row["n"])
            elif row["set"] == "inner":
                parts.setdefault(run, []).append(value)
                if int(row["inner"]) == 0:
                    stopping[run] = int(row["n"])
        known = {run: list(filter(math.isfinite, values)) for run, values in parts.items()}
        return cls(
            validation,
            {run: sum(values) / len(values) for run, values in known.items() if values},
            max(map(len, parts.values()), default=0),
            ratio_to_training(sizes, stopping),
        )


def aligned(runs: Sequence[Mapping[Run, float]]) -> FloatArray:
    """Return values by run as an array, (runs, arms): runs in their order, NaN where one lacks it.

    Parameters
    ----------
    runs
        A value by (seed, fold), for each arm.
    """
    order = sorted(set().union(*runs))
    values = [[of_arm.get(run, math.nan) for of_arm in runs] for run in order]
    return np.array(values, dtype=np.float64).reshape(len(order), len(runs))


@dataclasses.dataclass(frozen=True)
class Units:
    """What a measure of one arm is made from, on the units of one set.

    Attributes
    ----------
    names
        Shape (n,): what is scored, an example, a parent or a patient.
    labels
        Shape (n,): 0 to the number of classes less 1.
    scores
        Shape (s, n): one row for each seed in cross-validation, a single one on a test set. Of an
        AUC the scores of the positive class; of an accuracy 1 where the unit is given its own
        class, or has it among the three with the highest scores, else 0.
    classes
        How many there are.
    """

    names: pa.ChunkedArray
    labels: npt.NDArray[np.int64]
    scores: FloatArray
    classes: int = 2

    def in_order_of(self, others: Units) -> Units | None:
        """Return these units in the order of others, or None where they are not the same ones."""
        if not self.names.equals(others.names):
            order = pd.Index(self.names.to_numpy()).get_indexer(others.names.to_numpy())
            if len(self.names) != len(others.names) or (order < 0).any():
                return None
            self = self.take(order)
        return self if np.array_equal(self.labels, others.labels) else None

    def take(self, places: npt.NDArray[np.int64]) -> Units:
        """Return the units at some places, in their order."""
        names = self.names.take(pa.array(places))
        return Units(names, self.labels[places], self.scores[:, places], self.classes)


def on_common(one: Units, other: Units) -> tuple[Units, Units, npt.NDArray[np.int64]]:
    """Return those units of two arms that both were scored on, in the order of the other's.

    Returns
    -------
    one, other
        The units, the same names in the same order.
    places
        Where they stand in `other`.
    """
    found = pd.Index(one.names.to_numpy()).get_indexer(other.names.to_numpy()).astype(np.int64)
    places = np.flatnonzero(found >= 0).astype(np.int64)
    return one.take(found[places]), other.take(places), places


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Runs and units of the arms of an experiment, and of the shortcuts of its splits.

    Attributes
    ----------
    runs, unit_files
        By arm and split; of runs the values of `measure`.
    shortcuts
        Summaries of the shortcuts, rows as those of arms; empty where there are none.
    read_units
        What `units` has read so far.
    measure
        One of `fewcase.study.words.MEASURES`.
    all_runs
        By measure, `runs`.
    """

    runs: Mapping[Key, Runs] = dataclasses.field(default_factory=dict)
    unit_files: Mapping[Key, Path] = dataclasses.field(default_factory=dict)
    shortcuts: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    read_units: dict[tuple[Key, str], Units | None] = dataclasses.field(default_factory=dict)
    measure: str = "auc"
    all_runs: Mapping[str, Mapping[Key, Runs]] = dataclasses.field(default_factory=dict)

    def of(self, measure: str) -> Evidence:
        """Return the same files as evidence of another measure."""
        if measure == self.measure:
            return self
        runs = self.all_runs.get(measure, {})
        return dataclasses.replace(self, measure=measure, runs=runs, read_units={})

    @classmethod
    def read(
        cls,
        keys: Sequence[Key],
        *,
        runs: Sequence[Path] = (),
        units: Sequence[Path] = (),
        shortcuts: Sequence[Path] = (),
        shortcut_runs: Sequence[Path] = (),
        shortcut_units: Sequence[Path] = (),
        measures: Sequence[str] = ("auc",),
    ) -> Evidence:
        """Read the files of the score stage and of the shortcuts.

        Parameters
        ----------
        keys
            Arm and split of each file of scores.
        runs, units
            Files in the order of `keys`; none where nothing is to be compared.
        shortcuts, shortcut_runs, shortcut_units
            Files for each split, in one order.
        measures
            What values are wanted of every run; the first is what the evidence is of.

        Raises
        ------
        InputError
            Where numbers of files do not match, or a file lacks a column.
        """
        _check_as_many("runs", runs, "scores", keys)
        _check_as_many("units", units, "scores", keys)
        _check_as_many("shortcut-runs", shortcut_runs, "shortcuts", shortcuts)
        _check_as_many("shortcut-units", shortcut_units, "shortcuts", shortcuts)
        all_runs: dict[str, dict[Key, Runs]] = {measure: {} for measure in measures}
        for key, path in zip(keys, runs, strict=False):
            for measure, of_arms in _read_runs(path, measures).items():
                all_runs[measure][key] = next(iter(of_arms.values()), Runs.of([]))
        all_units = dict(zip(keys, units, strict=False))
        summaries = []
        for i, path in enumerate(shortcuts):
            summary = _read_csv(path, ("arm", "split", "set", "statistic", "value", "low", "high"))
            summary["class"] = summary["class"].fillna("") if "class" in summary else ""
            summaries.append(summary)
            split = str(summary["split"].iloc[0]) if len(summary) else ""
            if shortcut_runs:
                for measure, of_arms in _read_runs(shortcut_runs[i], measures, "arm").items():
                    all_runs[measure] |= {(name, split): one for name, one in of_arms.items()}
            if shortcut_units:
                names = summary["arm"].unique()
                all_units |= {(str(name), split): shortcut_units[i] for name in names}
        return cls(
            all_runs[measures[0]],
            all_units,
            pd.concat(summaries) if summaries else pd.DataFrame(),
            measure=measures[0],
            all_runs=all_runs,
        )

    def units(self, key: Key, name: str) -> Units | None:
        """Return what the measure is made from on ``test`` or ``cv``, or None without such a set.

        None too of an AUC of more than two classes, which have a score each and no ranking of two.

        Raises
        ------
        InputError
            Where the file is missing or has other columns.
        """
        if (key, name) not in self.read_units:
            self.read_units[key, name] = self._read_units(key, name)
        return self.read_units[key, name]

    def _read_units(self, key: Key, name: str) -> Units | None:
        if key not in self.unit_files:
            return None
        if self.measure != "auc":
            return self._read_calls(key, name)
        columns = ["unit", "label", "score"]
        if name == "cv":
            columns = ["unit", "label", "score_seed_"]
        table = self._table_of(key, name, columns)
        seeds = [c for c in table.column_names if c.startswith("score")]
        if not len(table) or not seeds:
            return None
        return Units(table["unit"], _labels(table), _columns(table, seeds))

    def _read_calls(self, key: Key, name: str) -> Units | None:
        """Return whether each unit is given its own class: by every seed, or by the mean score."""
        is_top = self.measure == "top3_accuracy"
        of_seeds = "top3_seed_" if is_top else "right_seed_"
        table = self._table_of(key, name, ["unit", "label", "score", "score_", of_seeds])
        if not len(table):
            return None
        of_classes = [c for c in table.column_names if _OF_CLASS.fullmatch(c)] or ["score"]
        classes, labels = max(2, len(of_classes)), _labels(table)
        if name == "cv":
            seeds = [c for c in table.column_names if c.startswith(of_seeds)]
            if not seeds:
                raise InputError(
                    f"{self.unit_files[key]}: no column '{of_seeds}…', which tells what class was "
                    "called. Run the score stage again."
                )
            return Units(table["unit"], labels, _columns(table, seeds), classes)
        scores = _columns(table, of_classes).T
        right = among_highest(scores, labels, TOP) if is_top else called_classes(scores) == labels
        return Units(table["unit"], labels, right[None].astype(np.float64), classes)

    def patients(self, key: Key, name: str) -> npt.NDArray[np.int64]:
        """Return the patients of `units`, in their order, as integers of shape (n,)."""
        column = self._table_of(key, name, ["patient"])["patient"]
        codes = column.combine_chunks().dictionary_encode().indices
        return codes.to_numpy(zero_copy_only=False).astype(np.int64)

    def _table_of(self, key: Key, name: str, columns: Sequence[str]) -> pa.Table:
        """Return the rows of a set; a column name that ends in _ stands for all that begin so."""
        path = self.unit_files[key]
        is_shortcut = key[0].startswith(SHORTCUT_PREFIX)
        try:
            file = pa.parquet.ParquetFile(path)
            there = file.schema_arrow.names
            for column in ("unit", "patient", "label"):
                there.index(column)
            chosen = [c for c in there if c in columns or c.startswith(_prefixes(columns))]
            selecting = ["set", "arm"] if is_shortcut else ["set"]
            # Threads would not pay: the tables are small and many.
            table = file.read([*selecting, *chosen], use_threads=False)
            rows = pa.compute.equal(table["set"], name)
            if is_shortcut:
                rows = pa.compute.and_(rows, pa.compute.equal(table["arm"], key[0]))
            return table.filter(rows).select(chosen)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: no readable scores of units ({error}). Run the score stage again."
            ) from None


def _labels(table: pa.Table) -> npt.NDArray[np.int64]:
    labels: npt.NDArray[np.int64] = table["label"].to_numpy().astype(np.int64)
    return labels


def _columns(table: pa.Table, names: Sequence[str]) -> FloatArray:
    """Return some columns as rows, (columns, n)."""
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names])


def _prefixes(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(column for column in columns if column.endswith("_"))


def _check_as_many(name: str, files: Sequence[Path], of: str, others: Sequence[Any]) -> None:
    if files and len(files) != len(others):
        raise InputError(
            f"--{name}: {len(files)} files for {len(others)} of --{of}; give one for each, in the "
            "same order, or none."
        )


def _read_csv(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"class": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable CSV ({error}). Run the score stage again.") from None
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: no column {column!r}. Run the score stage again.")
    return table


def _read_runs(path: Path, measures: Sequence[str], by: str = "") -> dict[str, dict[str, Runs]]:
    """Read a file of runs by measure, of one arm or, by the column that names them, of several."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        groups: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            groups.setdefault(row[by] if by else "", []).append(row)
        return {
            measure: {name: Runs.of(part, measure) for name, part in groups.items()}
            for measure in measures
        }
    except KeyError as error:
        raise InputError(f"{path}: no column {error}. Run the score stage again.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: no readable table of runs ({error}). Run the score stage again."
        ) from None


def best_shortcut(
    summary: pd.DataFrame, split: str, statistic: str = "auc_mean"
) -> pd.Series | None:
    """Return the row of the shortcut with the largest mean of cross-validation.

    Parameters
    ----------
    summary
        Scores of shortcuts, as the score stage writes them, under any splits.
    split
        Under which split; None is returned where no shortcut has such a mean there.
    statistic
        The mean of what.
    """
    if summary.empty:
        return None
    # Rows of a class, where there are several, are parts of the whole.
    means = summary[
        (summary["split"] == split)
        & (summary["set"] == "cv")
        & (summary["statistic"] == statistic)
        & (summary["class"] == "")
        & summary["value"].notna()
    ]
    return None if means.empty else means.iloc[int(means["value"].argmax())]
