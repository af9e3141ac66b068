"""Examples that an arm calls wrongly: judged, counted by pair of classes, and chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table
from fewcase.evaluation.predictions import (
    RunFile,
    count_classes,
    read_predictions,
    score_columns,
)
from fewcase.reporting.text import plain
from fewcase.statistics.accuracy import called_classes
from fewcase.study.errors import InputError

SETS = {"cv": "validation", "test": "test"}
"""Sets of a summary of scores, and the roles of their examples."""

PAIRS = 6
"""Pairs of classes that are shown."""

NUMBER = 4
"""Examples of a pair."""


def read_cases(
    files: Sequence[RunFile], thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Read the predictions of an arm's runs, and judge each example once.

    Parameters
    ----------
    files
        All runs of the arm under one split.
    thresholds
        See `judge`.

    Returns
    -------
    pandas.DataFrame
        As from `judge`, with row: that of the image.

    Raises
    ------
    InputError
        For predictions that `fewcase.evaluation.predictions.read_predictions` refuses, or of
        images in different rows.
    """
    predictions = read_predictions(files)
    rows = pd.concat([read_table(file.path, ["example", "row"]) for file in files])
    rows = rows.drop_duplicates()
    twice = rows.loc[rows["example"].duplicated(), "example"]
    if len(twice):
        raise InputError(
            f"predictions: example {twice.iloc[0]!r} is in different rows of the images in two "
            "runs. The examples were made anew between them: train the runs again."
        )
    cases = judge(predictions, thresholds)
    return cases.assign(row=cases["example"].map(rows.set_index("example")["row"]))


def judge(predictions: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Return what each validation and test example is called by the mean over runs.

    Out of fold an example has a score of each seed, in a test set one of each run.

    Parameters
    ----------
    predictions
        As from `fewcase.evaluation.predictions.read_predictions`.
    thresholds
        Of two classes: the score of the second from which it is called, by role. Without one the
        class with the highest score is called.

    Returns
    -------
    pandas.DataFrame
        One line per role and example: role, example, parent, patient, label, called, score (of
        the class called), true_score, folds (those of each seed in which it was out of fold, the
        same fold once; empty in a test set), runs.
    """
    judged = predictions[predictions["role"].isin(tuple(SETS.values()))]
    classes = count_classes(predictions)
    names = score_columns(classes)
    by_case = judged.groupby(["role", "example"], sort=True)
    about = by_case[["parent", "patient", "label"]].first()
    scores = by_case[names].mean().to_numpy(np.float64)
    if classes == 2:
        scores = np.concatenate([1 - scores, scores], axis=1)
    roles = about.index.get_level_values("role")
    called = called_classes(scores) if classes > 2 else called_classes(scores[:, 1:])
    for role, threshold in (thresholds or {}).items():
        if classes == 2 and np.isfinite(threshold):
            called = np.where(roles == role, scores[:, 1] >= threshold, called).astype(np.int64)
    line, label = np.arange(len(about)), about["label"].to_numpy(np.int64)
    folds = by_case["fold"].agg(lambda of: "/".join(map(str, dict.fromkeys(of))))
    return about.assign(
        label=label,
        called=called,
        score=scores[line, called],
        true_score=scores[line, label],
        folds=np.where(roles == "test", "", folds),
        runs=by_case.size(),
    ).reset_index()


def confusion(cases: pd.DataFrame, classes: int) -> npt.NDArray[np.int64]:
    """Return how many cases of each class (rows) are called each class (columns)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (cases["label"].to_numpy(), cases["called"].to_numpy()), 1)
    return counts


def count_pairs(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of classes that are mistaken for each other, the most frequent first.

    Returns
    -------
    pandas.DataFrame
        label, called, errors (how many in all), validation, test, and of (examples of the class).
    """
    wrong = cases[cases["label"] != cases["called"]]
    pairs = wrong.groupby(["label", "called"])
    counts = pd.DataFrame({"errors": pairs.size()})
    for role in SETS.values():
        counts[role] = (wrong["role"] == role).groupby([wrong["label"], wrong["called"]]).sum()
    counts = counts.reset_index()
    counts["of"] = counts["label"].map(cases["label"].value_counts())
    order = ["errors", "label", "called"]
    return counts.sort_values(order, ascending=[False, True, True], ignore_index=True)


def choose_errors(cases: pd.DataFrame, label: int, called: int, number: int) -> pd.DataFrame:
    """Return the examples of a class of whose wrong class the model was surest.

    Of each patient the surest comes before the second of any: neighbours of one slide say the same.
    Of equal scores the name decides.
    """
    pair = cases[(cases["label"] == label) & (cases["called"] == called)]
    ordered = pair.sort_values(["score", "example"], ascending=[False, True], kind="stable")
    return first_of_patients(ordered, number)


def first_of_patients(ordered: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return the first cases of an order, one of each patient before the second of any.

    Parameters
    ----------
    ordered
        With example and patient; an example that comes twice is taken once.
    number
        How many.
    """
    once = ordered.drop_duplicates("example")
    turn = once.groupby("patient").cumcount().to_numpy()
    return once.iloc[np.argsort(turn, kind="stable")[:number]].reset_index(drop=True)


def where_of(case: Mapping[str, Any]) -> str:
    """Return in which set, or out of which fold, a case was judged."""
    folds = str(case["folds"])
    if not folds:
        return "test"
    return f"fold {plain(folds)}" if "/" not in folds else f"folds {plain(folds)}"
