"""Predictions of an arm's runs: read, checked, merged over folds, and averaged to their units."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_json, read_table, table_metadata
from fewcase.statistics.calibration import Prevalence, correct_prevalence
from fewcase.statistics.metrics import FloatArray
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.words import ROLES, UNITS

PREDICTION_COLUMNS = (
    "example",
    "parent",
    "patient",
    "site",
    "role",
    "test_set",
    "label",
    "score_1",
)
_SCORE = re.compile(r"score_\d+")

KINDS = ("external", "temporal")
"""Kinds of test sets: sites that no run was trained on, and later years of those that some were."""


@dataclasses.dataclass(frozen=True)
class RunFile:
    """The predictions of one run; `inner` is above 0 for a run that only helps to choose."""

    seed: int
    fold: int
    path: Path
    inner: int = 0

    @property
    def name(self) -> str:
        """The run in words, for messages."""
        inner = f", inner part {self.inner}" if self.inner else ""
        return f"seed {self.seed}, fold {self.fold}{inner}"


def read_predictions(files: Sequence[RunFile]) -> pd.DataFrame:
    """Read the predictions of all runs of one arm under one split, and check them.

    Returns
    -------
    pandas.DataFrame
        The columns of `PREDICTION_COLUMNS` with `seed`, `fold` and `inner`; one row per run and
        example. With more than two classes ``score_0``, ``score_1`` … in place of ``score_1``.

    Raises
    ------
    InputError
        For a run given twice, runs with different numbers of classes, an unknown role, a score
        that is not finite, a label that is no class, or an example twice in one run or with two
        labels; the message names the file and the example.
    """
    if not files:
        raise InputError("score: no predictions were given; name at least one run.")
    parts: list[pd.DataFrame] = []
    seen = set()
    for file in files:
        if (file.seed, file.fold, file.inner) in seen:
            raise InputError(f"{file.path}: {file.name} was given before; every run counts once.")
        seen.add((file.seed, file.fold, file.inner))
        part = _read_run(file.path)
        if parts and _scores_in(part.columns) != _scores_in(parts[0].columns):
            raise InputError(
                f"{file.path}: has {_scores_in(part.columns)}, but {files[0].path} has "
                f"{_scores_in(parts[0].columns)}; the runs were made from different targets. "
                "Train them again."
            )
        _check_run(part, str(file.path), count_classes(part))
        parts.append(part.assign(seed=file.seed, fold=file.fold, inner=file.inner))
    table = pd.concat(parts, ignore_index=True)
    _check_one_label_each(table)
    return table


def _read_run(path: Path) -> pd.DataFrame:
    table = read_table(path)
    for column in PREDICTION_COLUMNS:
        if column not in table.columns:
            raise InputError(f"{path}: no column {column!r}.{nearest(column, table.columns)}")
    return table[[*PREDICTION_COLUMNS[:-1], *score_columns(count_classes(table))]]


def _scores_in(columns: Iterable[str]) -> list[str]:
    return [column for column in columns if _SCORE.fullmatch(column)]


def count_classes(predictions: pd.DataFrame) -> int:
    """Return how many classes there are, by the columns ``score_0``, ``score_1`` …; at least 2."""
    return max(2, len(_scores_in(predictions.columns)))


def score_columns(classes: int) -> list[str]:
    """Return the columns that are scored: ``score_1`` alone where there are two classes."""
    return ["score_1"] if classes == 2 else [f"score_{number}" for number in range(classes)]


def _check_run(table: pd.DataFrame, where: str, classes: int) -> None:
    def refuse(bad: npt.NDArray[np.bool_], column: str, expected: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{where}, row {row}, example {table['example'].iloc[row]!r}: {column} is "
                f"{table[column].iloc[row]!r}, expected {expected}. Run the training of this fold "
                "again."
            )

    for column in score_columns(classes):
        refuse(~np.isfinite(table[column].to_numpy(np.float64)), column, "a finite number")
    words = "0 or 1" if classes == 2 else f"one of {list(range(classes))}"
    refuse(~np.isin(table["label"].to_numpy(), range(classes)), "label", words)
    refuse(~table["role"].isin(ROLES).to_numpy(), "role", f"one of {list(ROLES)}")
    refuse(table["example"].duplicated().to_numpy(), "example", "every example once in a run")


def _check_one_label_each(table: pd.DataFrame) -> None:
    codes, names = pd.factorize(table["example"])
    labels = table["label"].to_numpy(np.int64)
    lowest = np.full(len(names), np.iinfo(np.int64).max)
    highest = np.full(len(names), -1)
    np.minimum.at(lowest, codes, labels)
    np.maximum.at(highest, codes, labels)
    if (lowest < highest).any():
        first = int(np.flatnonzero(lowest < highest)[0])
        raise InputError(
            f"predictions: example {names[first]!r} has label {lowest[first]} in one run and "
            f"{highest[first]} in another; the runs were made from different targets. Train them "
            "again."
        )


def expected_examples(splits: Sequence[Path], seeds: Iterable[int] = ()) -> dict[int, list[str]]:
    """Return the examples that take part in cross-validation, by seed, from split files.

    A single split that was drawn once for all `seeds` is that of each of them.
    """
    expected = {}
    for path in dict.fromkeys(splits):
        seed = json.loads(table_metadata(path).get("fewcase", "{}")).get("seed")
        if seed is None:
            raise InputError(f"{path}: its metadata name no seed; make the split again.")
        table = read_table(path, columns=("example", "fold"))
        expected[int(seed)] = table.loc[table["fold"] >= 0, "example"].tolist()
    if len(expected) == 1:
        (examples,) = expected.values()
        expected |= dict.fromkeys(seeds, examples)
    return expected


def describe_machines(run_options: Sequence[Path]) -> dict[str, str]:
    """Return weights, precision and device of the runs, each value once, from `options.json`."""
    found: dict[str, dict[str, None]] = {"weights": {}, "precision": {}, "device": {}}
    for path in run_options:
        options = read_json(path)
        for key, values in found.items():
            if options.get(key) is not None:
                values[str(options[key])] = None
    return {key: "; ".join(values) for key, values in found.items()}


def check_merge(
    predictions: pd.DataFrame, expected: Mapping[int, Sequence[str]] | None = None
) -> None:
    """Check that the folds of every seed together cover each example exactly once.

    Parameters
    ----------
    predictions
        As from `read_predictions`.
    expected
        Examples that take part in cross-validation, by seed, as the split file has them. None
        expects, in every seed, each example that any run kept for validation or early stopping.

    Raises
    ------
    InputError
        Naming the example and the seed where one is in two folds or in none, and the run that
        lacks an example of the test set.
    """
    validation = predictions[predictions["role"] == "validation"]
    known = predictions.loc[predictions["role"].isin(("validation", "inner")), "example"].unique()
    for seed, of_seed in validation.groupby("seed"):
        twice = of_seed.loc[of_seed["example"].duplicated(keep=False)]
        if len(twice):
            example = twice["example"].iloc[0]
            folds = sorted(twice.loc[twice["example"] == example, "fold"].tolist())
            raise InputError(
                f"seed {seed}: example {example!r} is in the validation part of folds {folds}; "
                "expected one fold. The runs belong to different splits: train them again."
            )
        wanted = pd.Index(known if expected is None else expected.get(int(str(seed)), ()))
        _check_all_there(pd.Index(of_seed["example"]), wanted, f"seed {seed}")
    _check_same_examples(validation)
    _check_tests(predictions)


def _check_all_there(found: pd.Index, wanted: pd.Index, where: str) -> None:
    if missing := wanted.difference(found).tolist():
        raise InputError(
            f"{where}: example {missing[0]!r} is in no fold's validation part "
            f"({len(missing)} missing of {len(wanted)}). A run is missing, or its predictions are "
            "cut short: train it again."
        )
    if extra := found.difference(wanted).tolist():
        raise InputError(
            f"{where}: example {extra[0]!r} was validated but takes no part in cross-validation "
            "by the split file. The split was made anew since: train the runs again."
        )


def _check_same_examples(validation: pd.DataFrame) -> None:
    # A mean over seeds is one of the same examples, or it is a mean of unlike things.
    seeds = validation["seed"].nunique()
    counts = validation["example"].value_counts(sort=False)
    if (counts < seeds).any():
        example = counts.index[int(np.flatnonzero(counts.to_numpy() < seeds)[0])]
        without = set(validation["seed"]) - set(
            validation.loc[validation["example"] == example, "seed"]
        )
        raise InputError(
            f"seed {min(without)}: example {example!r} is validated under other seeds but not "
            "under this one; seeds may differ in their folds alone. Make the splits again from "
            "one table of examples."
        )


def _check_tests(predictions: pd.DataFrame) -> None:
    tests = predictions[predictions["role"] == "test"]
    all_tests = pd.Index(tests["example"].unique())
    runs = predictions[["seed", "fold"]].drop_duplicates().itertuples(index=False)
    by_run = {key: part["example"] for key, part in tests.groupby(["seed", "fold"])}
    for run in runs:
        found = by_run.get((run.seed, run.fold), ())
        # No example is twice in a run, and none of a run is outside all of them.
        if len(found) == len(all_tests):
            continue
        missing = all_tests.difference(pd.Index(found)).tolist()
        raise InputError(
            f"seed {run.seed}, fold {run.fold}: no prediction for test example "
            f"{missing[0]!r} ({len(missing)} missing of {len(all_tests)}), which other runs "
            "have. Train this run again."
        )


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Predictions as numbers alone, so that names are compared once and not for every set.

    Attributes
    ----------
    rows
        One per row of the predictions, whose position is the index: role, kind, run, seed_number,
        example, parent, unit, patient and site as codes; seed, fold, inner, label; ``score_…`` as
        they were stored and ``probability_…`` corrected for prevalence (see `read_prevalences`).
    unit
        What a unit is: ``example``, ``parent`` or ``patient``.
    classes
        How many there are.
    sites
        Name of each code of a site.
    correction
        Empty, or why probabilities are as they were stored.
    """

    rows: pd.DataFrame
    unit: str
    classes: int
    sites: list[str]
    correction: str

    def of_role(self, role: str) -> pd.DataFrame:
        """Return the rows of one of `ROLES`."""
        return self.rows[self.rows["role"] == ROLES.index(role)]


def encode(
    predictions: pd.DataFrame,
    unit: str,
    prevalences: Mapping[tuple[int, int], Prevalence] | None = None,
) -> Encoded:
    """Turn predictions into numbers, and correct their probabilities for under-sampling.

    Parameters
    ----------
    predictions
        As from `read_predictions`.
    unit
        ``example``, ``parent`` or ``patient``.
    prevalences
        Of each run (seed, fold), as from `read_prevalences`.

    Raises
    ------
    InputError
        For another unit, or a score that is not finite.
    """
    if unit not in UNITS:
        raise InputError(f"unit: {unit!r} is not one of {list(UNITS)}.")
    classes = count_classes(predictions)
    codes = {name: pd.factorize(predictions[name])[0] for name in ("example", "parent", "patient")}
    site, sites = pd.factorize(predictions["site"], sort=True)
    stored = predictions[score_columns(classes)].to_numpy(np.float64)
    if not np.isfinite(stored).all():
        row = int(np.flatnonzero(~np.isfinite(stored).all(axis=1))[0])
        raise InputError(
            f"predictions, row {row}, example {predictions['example'].iloc[row]!r}: a score is not "
            "a finite number. Fit this model again."
        )
    names = predictions if "inner" in predictions else predictions.assign(inner=0)
    by_run = names.groupby(["seed", "fold", "inner"])
    rows = pd.DataFrame(
        {
            "role": _code(predictions["role"], ROLES),
            "kind": _code(predictions["test_set"], KINDS),
            "run": by_run.ngroup().to_numpy(),
            "seed_number": names.groupby("seed").ngroup().to_numpy(),
            **{key: names[key].to_numpy(np.int64) for key in ("seed", "fold", "inner")},
            **codes,
            "unit": codes[unit],
            "site": site,
            "label": predictions["label"].to_numpy(np.int64),
        }
    )
    probabilities, correction = _correct(stored, rows, prevalences)
    for number, name in enumerate(score_columns(classes)):
        rows[name] = stored[:, number]
        rows[name.replace("score", "probability")] = probabilities[:, number]
    return Encoded(rows, unit, classes, list(sites), correction)


def _code(names: pd.Series, known: Sequence[str]) -> npt.NDArray[np.int8]:
    codes = np.full(len(names), -1, np.int8)
    for number, name in enumerate(known):
        codes[(names == name).to_numpy(bool)] = number
    return codes


def _correct(
    stored: FloatArray,
    rows: pd.DataFrame,
    prevalences: Mapping[tuple[int, int], Prevalence] | None,
) -> tuple[FloatArray, str]:
    reason = "not corrected for prevalence: the options of a run name none"
    if not prevalences:
        return stored, reason
    # Of two classes the score of the second alone is kept.
    whole = np.stack([1 - stored[:, 0], stored[:, 0]], axis=1) if stored.shape[1] == 1 else stored
    corrected = np.empty_like(whole)
    run = rows["run"].to_numpy()
    for number in np.unique(run):
        here = np.flatnonzero(run == number)
        of_run = prevalences.get((int(rows["seed"].iloc[here[0]]), int(rows["fold"].iloc[here[0]])))
        if of_run is None:
            return stored, reason
        if len(of_run.trained) != whole.shape[1] or min(of_run.trained) <= 0:
            return stored, "not corrected for prevalence: a run was trained without a class"
        corrected[here] = correct_prevalence(whole[here], of_run)
    return (corrected[:, 1:] if stored.shape[1] == 1 else corrected), ""


def read_prevalences(
    runs: Sequence[tuple[int, int]], run_options: Sequence[Path]
) -> dict[tuple[int, int], Prevalence]:
    """Return the prevalence of the classes in the training of each run, from `options.json`.

    Parameters
    ----------
    runs
        Seed and fold of each file.
    run_options
        In the same order. Runs whose options name no `prevalence` are left out.

    Raises
    ------
    InputError
        Where there are not as many files as runs, or a file's two lists differ in length.
    """
    if len(runs) != len(run_options):
        raise InputError(
            f"--run-options: {len(run_options)} files for {len(runs)} runs; give the options.json "
            "of each run, in the order of --runs."
        )
    found = {}
    for run, path in zip(runs, run_options, strict=True):
        options = read_json(path)
        lists = [options.get(key) for key in ("prevalence", "trained_prevalence")]
        if None in lists:
            continue
        population, trained = (tuple(map(float, values)) for values in lists)
        if len(population) != len(trained):
            raise InputError(
                f"{path}: prevalence has {len(population)} classes and trained_prevalence "
                f"{len(trained)}. Train this run again."
            )
        found[run] = Prevalence(population, trained)
    return found


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """Groups of runs by the units (examples, parents or patients) of one set.

    Attributes
    ----------
    groups
        What each row is: (seed, fold, inner) of a run, or (seed,) where folds are pooled.
    labels
        Shape (units,): the highest label among the unit's examples.
    patients
        Shape (units,): integer code of the unit's patient.
    examples
        How many examples the set has.
    first
        Shape (units,): position in the predictions where each unit comes first.
    """

    groups: list[tuple[int, ...]]
    labels: npt.NDArray[np.int64]
    patients: npt.NDArray[np.int64]
    examples: int
    first: npt.NDArray[np.int64]
    _rows: pd.DataFrame
    _cell: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Groups and units."""
        return len(self.groups), len(self.labels)

    def class_scores(self, classes: int, column: str = "score") -> FloatArray:
        """Return scores of every class, or of two the second's, (groups, units, classes or 1)."""
        names = [name.replace("score", column) for name in score_columns(classes)]
        return np.stack([self.scores(name) for name in names], axis=2)

    def scores(self, column: str = "score_1") -> FloatArray:
        """Return the mean of a column over each unit's examples, (groups, units).

        NaN where the group has no example of the unit.
        """
        size = self.shape[0] * self.shape[1]
        counts = np.bincount(self._cell, minlength=size)
        values = self._rows[column].to_numpy(np.float64)
        sums = np.bincount(self._cell, weights=values, minlength=size)
        with np.errstate(invalid="ignore"):
            return (sums / counts).reshape(self.shape)


def score_table(rows: pd.DataFrame, by: str) -> ScoreTable:
    """Arrange rows of `Encoded` as groups × units.

    Parameters
    ----------
    rows
        Some of the rows.
    by
        ``run``, or ``seed`` to pool the folds of each seed.
    """
    code, names = {"run": ("run", ["seed", "fold", "inner"]), "seed": ("seed_number", ["seed"])}[by]
    group, group_first = _number_anew(rows[code].to_numpy())
    unit, first = _number_anew(rows["unit"].to_numpy())
    example, _ = _number_anew(rows["example"].to_numpy())
    labels = np.zeros(len(first), np.int64)
    np.maximum.at(labels, unit, rows["label"].to_numpy())
    groups = rows[names].to_numpy()[group_first]
    return ScoreTable(
        groups=[tuple(int(part) for part in group) for group in groups],
        labels=labels,
        patients=rows["patient"].to_numpy()[first],
        examples=int(example.max(initial=-1)) + 1,
        first=rows.index.to_numpy()[first],
        _rows=rows,
        _cell=group * len(first) + unit,
    )


def _number_anew(
    codes: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return codes without gaps in the same order, and where each comes first; without a sort."""
    first_of_all = np.full(int(codes.max(initial=-1)) + 1, -1)
    first_of_all[codes[::-1]] = np.arange(len(codes))[::-1]
    present = first_of_all >= 0
    return (np.cumsum(present) - 1)[codes], first_of_all[present]
