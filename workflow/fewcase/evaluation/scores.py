"""From the predictions of an arm's runs to its scores: per run, over folds, on each test set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_json, read_table, table_metadata
from fewcase.evaluation.intervals import (
    Estimate,
    estimate_auc,
    mean_over_folds,
    undefined,
)
from fewcase.evaluation.metrics import FloatArray, average_precision
from fewcase.runtime.ranking import roc_auc
from fewcase.study.errors import InputError
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
SUMMARY_COLUMNS = (
    "arm",
    "split",
    "set",
    "statistic",
    "value",
    "sd",
    "low",
    "high",
    "method",
    "runs",
    "examples",
    "patients",
    "positives",
    "negatives",
)


@dataclasses.dataclass(frozen=True)
class RunFile:
    """The predictions of one run."""

    seed: int
    fold: int
    path: Path


def read_predictions(files: Sequence[RunFile]) -> pd.DataFrame:
    """Read the predictions of all runs of one arm under one split, and check them.

    Returns
    -------
    pandas.DataFrame
        The columns of `PREDICTION_COLUMNS` with `seed` and `fold`; one row per run and example.

    Raises
    ------
    InputError
        For a run given twice, an unknown role, a score that is not finite, a label other than 0
        and 1, or an example twice in one run or with two labels; the message names the file and
        the example.
    """
    if not files:
        raise InputError("score: no predictions were given; name at least one run.")
    parts, seen = [], set()
    for file in files:
        if (file.seed, file.fold) in seen:
            raise InputError(
                f"{file.path}: seed {file.seed}, fold {file.fold} was given before; "
                "every run counts once."
            )
        seen.add((file.seed, file.fold))
        part = read_table(file.path, columns=PREDICTION_COLUMNS)
        _check_run(part, file.path)
        parts.append(part.assign(seed=file.seed, fold=file.fold))
    table = pd.concat(parts, ignore_index=True)
    codes, names = pd.factorize(table["example"])
    _check_one_label_each(table, codes, names)
    return table


def _check_run(table: pd.DataFrame, path: Path) -> None:
    def refuse(bad: npt.NDArray[np.bool_], column: str, expected: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{path}, row {row}, example {table['example'].iloc[row]!r}: {column} is "
                f"{table[column].iloc[row]!r}, expected {expected}. Run the training of this fold "
                "again."
            )

    refuse(~np.isfinite(table["score_1"].to_numpy(np.float64)), "score_1", "a finite number")
    refuse(~np.isin(table["label"].to_numpy(), (0, 1)), "label", "0 or 1")
    refuse(~table["role"].isin(ROLES).to_numpy(), "role", f"one of {list(ROLES)}")
    refuse(table["example"].duplicated().to_numpy(), "example", "every example once in a run")


def _check_one_label_each(
    table: pd.DataFrame, codes: npt.NDArray[np.intp], names: pd.Index
) -> None:
    labels = table["label"].to_numpy()
    positives = np.bincount(codes, weights=labels, minlength=len(names))
    mixed = (positives > 0) & (positives < np.bincount(codes, minlength=len(names)))
    if mixed.any():
        raise InputError(
            f"predictions: example {names[int(np.flatnonzero(mixed)[0])]!r} has label 0 in one run "
            "and 1 in another; the runs were made from different targets. Train them again."
        )


def expected_examples(splits: Sequence[Path]) -> dict[int, list[str]]:
    """Return the examples that take part in cross-validation, by seed, from split files."""
    expected = {}
    for path in splits:
        seed = json.loads(table_metadata(path).get("fewcase", "{}")).get("seed")
        if seed is None:
            raise InputError(f"{path}: its metadata name no seed; make the split again.")
        table = read_table(path, columns=("example", "fold"))
        expected[int(seed)] = table.loc[table["fold"] >= 0, "example"].tolist()
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
    tests = predictions[predictions["role"] == "test"]
    all_tests = pd.Index(tests["example"].unique())
    runs = predictions[["seed", "fold"]].drop_duplicates().itertuples(index=False)
    by_run = {key: part["example"] for key, part in tests.groupby(["seed", "fold"])}
    for run in runs:
        found = pd.Index(by_run.get((run.seed, run.fold), []))
        if missing := all_tests.difference(found).tolist():
            raise InputError(
                f"seed {run.seed}, fold {run.fold}: no prediction for test example "
                f"{missing[0]!r} ({len(missing)} missing of {len(all_tests)}), which other runs "
                "have. Train this run again."
            )


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


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """Scores of groups of runs on the units (examples, parents or patients) of one set.

    Attributes
    ----------
    groups
        What each row is: (seed, fold), or (seed,) where folds are pooled.
    scores
        Shape (groups, units): mean score of the unit's examples, NaN where the group has none.
    labels
        Shape (units,): 1 where any example of the unit is positive.
    patients
        Shape (units,): integer code of the unit's patient.
    examples
        How many examples the set has.
    """

    groups: list[tuple[int, ...]]
    scores: FloatArray
    labels: npt.NDArray[np.int8]
    patients: npt.NDArray[np.intp]
    examples: int


def score_table(predictions: pd.DataFrame, by: Sequence[str], unit: str) -> ScoreTable:
    """Arrange predictions as groups × units; a unit's score is the mean over its examples."""
    group_code, groups = pd.factorize(pd.MultiIndex.from_frame(predictions[list(by)]), sort=True)
    unit_code, units = pd.factorize(predictions[unit])
    patient_code, _ = pd.factorize(predictions["patient"])
    shape = len(groups), len(units)
    cell = group_code * shape[1] + unit_code
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    sums = np.bincount(
        cell, weights=predictions["score_1"].to_numpy(np.float64), minlength=counts.size
    )
    with np.errstate(invalid="ignore"):
        scores = (sums / counts).reshape(shape)
    labels = np.zeros(shape[1], np.int8)
    np.maximum.at(labels, unit_code, predictions["label"].to_numpy(np.int8))
    patients = np.zeros(shape[1], np.intp)
    patients[unit_code] = patient_code
    return ScoreTable(
        [tuple(int(part) for part in group) for group in groups],
        scores,
        labels,
        patients,
        predictions["example"].nunique(),
    )


def score_arm(
    predictions: pd.DataFrame,
    *,
    arm: str,
    split: str,
    unit: str = "example",
    expected: Mapping[int, Sequence[str]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score one arm under one split.

    Parameters
    ----------
    predictions
        As from `read_predictions`.
    arm, split
        Their names, for the first columns.
    unit
        ``example``, or ``parent`` or ``patient`` to average the scores of each one's examples
        first; a patient with any positive example is positive.
    expected
        See `check_merge`.

    Returns
    -------
    summary : pandas.DataFrame
        Columns `SUMMARY_COLUMNS`. Sets are ``cv``, ``cv-site:NAME``, ``test`` (all that is held
        out), ``external``, ``temporal`` and ``test-site:NAME``. Statistics are

        ``auc_mean``
            Mean over runs with their standard deviation. On ``cv`` its interval is the corrected
            resampled t; on a test set that of the mean of AUCs on the same patients.
        ``auc_pooled``
            AUC over the folds of a seed together, mean over seeds.
        ``auc_ensemble``
            AUC of the mean score over all runs (test sets).
    runs : pandas.DataFrame
        Columns seed, fold, set (``inner``, ``validation``, ``test``, ``external``, ``temporal``,
        ``test-site:NAME``), n, positives, auc, average_precision.

    Raises
    ------
    InputError
        See `check_merge`. A set with one class only is no error: its value is NaN and `method`
        gives the reason.
    """
    if unit not in UNITS:
        raise InputError(f"unit: {unit!r} is not one of {list(UNITS)}.")
    check_merge(predictions, expected)
    runs = _score_runs(predictions, unit)
    rows = [*_score_validation(predictions, runs, unit), *_score_tests(predictions, unit)]
    summary = pd.DataFrame(rows)
    summary.insert(0, "arm", arm)
    summary.insert(1, "split", split)
    return summary[list(SUMMARY_COLUMNS)], runs


def _test_sets(tests: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield every test set, and the part of it that counts under that name."""
    if tests.empty:
        return
    yield "test", tests
    for kind in ("external", "temporal"):
        part = tests[tests["test_set"] == kind]
        if len(part):
            yield kind, part
    for site, part in tests.groupby("site"):
        yield f"test-site:{site}", part


def _score_runs(predictions: pd.DataFrame, unit: str) -> pd.DataFrame:
    parts = [(role, predictions[predictions["role"] == role]) for role in ("inner", "validation")]
    parts += list(_test_sets(predictions[predictions["role"] == "test"]))
    rows = []
    for name, part in parts:
        if part.empty:
            continue
        table = score_table(part, ("seed", "fold"), unit)
        for (seed, fold), scores in zip(table.groups, table.scores, strict=True):
            there = ~np.isnan(scores)
            scores, labels = scores[there], table.labels[there]
            rows.append(
                {
                    "seed": seed,
                    "fold": fold,
                    "set": name,
                    "n": len(scores),
                    "positives": int(labels.sum()),
                    "auc": roc_auc(scores, labels),
                    "average_precision": average_precision(scores, labels),
                }
            )
    runs = pd.DataFrame(rows)
    return runs.sort_values(["seed", "fold"], kind="stable", ignore_index=True)


def _row(name: str, statistic: str, found: Estimate, table: ScoreTable, runs: int) -> dict:
    positives = int(table.labels.sum())
    return {
        "set": name,
        "statistic": statistic,
        **dataclasses.asdict(found),
        "runs": runs,
        "examples": table.examples,
        "patients": len(np.unique(table.patients)),
        "positives": positives,
        "negatives": len(table.labels) - positives,
    }


def _score_validation(predictions: pd.DataFrame, runs: pd.DataFrame, unit: str) -> Iterator[dict]:
    validation = predictions[predictions["role"] == "validation"]
    if validation.empty:
        return
    count = len(validation[["seed", "fold"]].drop_duplicates())
    pooled = score_table(validation, ("seed",), unit)
    of_runs = runs[runs["set"] == "validation"]
    # The training part of a fold is what the other folds of its seed validate.
    of_seed = of_runs.groupby("seed")["n"].transform("sum")
    if (of_seed > of_runs["n"]).all():
        test_to_train = float((of_runs["n"] / (of_seed - of_runs["n"])).mean())
        mean = mean_over_folds(of_runs["auc"], test_to_train)
    else:
        mean = undefined("a seed has one fold only")
    yield _row("cv", "auc_mean", mean, pooled, count)
    yield _row("cv", "auc_pooled", _pooled_auc(pooled), pooled, count)
    for site, part in validation.groupby("site"):
        of_site = score_table(part, ("seed",), unit)
        yield _row(f"cv-site:{site}", "auc_pooled", _pooled_auc(of_site), of_site, count)


def _pooled_auc(table: ScoreTable) -> Estimate:
    return estimate_auc(table.scores, table.labels, table.patients)


def _score_tests(predictions: pd.DataFrame, unit: str) -> Iterator[dict]:
    tests = predictions[predictions["role"] == "test"]
    for name, part in _test_sets(tests):
        table = score_table(part, ("seed", "fold"), unit)
        runs = len(table.groups)
        ensemble = estimate_auc(table.scores.mean(axis=0), table.labels, table.patients)
        mean = estimate_auc(table.scores, table.labels, table.patients)
        yield _row(name, "auc_ensemble", ensemble, table, runs)
        yield _row(name, "auc_mean", mean, table, runs)
