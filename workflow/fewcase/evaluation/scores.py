"""From the predictions of an arm's runs to its scores: per run, over folds, on each test set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.files import write_csv, write_table
from fewcase.evaluation.judging import draw_curves, judge, means_over_folds
from fewcase.evaluation.measures import NO_THRESHOLDS, fix_thresholds
from fewcase.evaluation.predictions import (
    KINDS,
    Encoded,
    check_merge,
    encode,
    score_columns,
    score_table,
)
from fewcase.evaluation.sets import BY_PARENT, WHOLE, ScoredSet, rows_by_parent, sets_of
from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.accuracy import among_highest, balanced_accuracy, called_classes
from fewcase.statistics.calibration import Prevalence
from fewcase.statistics.metrics import average_precision
from fewcase.study.words import TOP

SUMMARY_COLUMNS = (
    "arm",
    "split",
    "set",
    "statistic",
    "class",
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
RUN_COLUMNS = (
    *("seed", "fold", "inner", "set", "n", "positives", "auc", "average_precision"),
    *("accuracy", "balanced_accuracy", "top3_accuracy"),
)


@dataclasses.dataclass(frozen=True)
class Scored:
    """The scores of an arm under a split; of several arms, tables begin with a column `arm`.

    Attributes
    ----------
    summary
        Columns `SUMMARY_COLUMNS`, see `score_arm`.
    runs
        Columns `RUN_COLUMNS`; sets are ``inner`` (early stopping), ``validation``, ``test``,
        ``external``, ``temporal`` and ``test-site:NAME``. `inner` is above 0 for runs that were
        made to choose between arms, which have a set ``inner`` alone. `top3_accuracy` is NaN
        where there are three classes or fewer.
    units
        One row per set (``cv``, ``test``) and unit: set, unit, patient, site, test_set, label,
        score (on ``cv`` the mean over seeds of the out-of-fold score, on ``test`` that over runs),
        probability (the same, corrected for prevalence) and, for ``cv``, ``score_seed_S``. With
        more than two classes ``score_0`` … and ``probability_0`` … in place of these. Whether the
        class that is called is the right one is in ``right_seed_S`` (``cv``) and ``right`` (the
        share of the runs, ``test``); with more than three classes, whether the right one is among
        the three with the highest scores in ``top3_seed_S`` and ``top3``.
    curves
        Columns `CURVE_COLUMNS`: ``roc``, ``reliability``, ``reliability raw``, ``decision``,
        ``decision all``, ``decision none`` and, with more than two classes, ``confusion``.
    classes
        How many there are.
    """

    summary: pd.DataFrame
    runs: pd.DataFrame
    units: pd.DataFrame
    curves: pd.DataFrame
    classes: int


def score_arm(
    predictions: pd.DataFrame,
    *,
    arm: str,
    split: str,
    unit: str = "example",
    expected: Mapping[int, Sequence[str]] | None = None,
    prevalences: Mapping[tuple[int, int], Prevalence] | None = None,
    subgroups: Mapping[str, pd.Series] | None = None,
    labels: Mapping[str, pd.Series] | None = None,
    inner: pd.DataFrame | None = None,
    is_ordered: bool = False,
) -> Scored:
    """Score one arm under one split.

    Parameters
    ----------
    predictions
        As from `predictions.read_predictions`.
    arm, split
        Their names, for the first columns.
    unit
        ``example``, or ``parent`` or ``patient`` to average the scores of each one's examples
        first; it then has the highest label of its examples, so a patient with any positive
        example is positive.
    expected
        See `predictions.check_merge`.
    prevalences
        Of each run (seed, fold), see `predictions.read_prevalences`.
    subgroups
        By name, the level of each record, see `subgroups.read_subgroups`.
    labels
        By target, other labels of the examples, see `subgroups.read_other_labels`.
    inner
        Predictions of the runs that were made to choose between arms, as from
        `predictions.read_predictions`.
    is_ordered
        Whether several classes are degrees in the order of their labels; whole sets then have
        those of `ordered.measure_ordered` besides.

    Returns
    -------
    Scored
        Sets of the summary are ``cv``, ``test`` (all that is held out), ``external``,
        ``temporal``, parts of the first two (``cv-site:NAME``, ``cv-group:NAME=LEVEL``,
        ``cv-label:TARGET`` and the same of ``test``) and, where parents have several examples of
        one class, ``cv-by-parent`` and ``test-by-parent``, which average the scores of each
        parent's examples. Statistics are

        ``auc_mean``, ``accuracy_mean``, ``balanced_accuracy_mean``, ``top3_accuracy_mean``
            Means over runs with their standard deviation. On ``cv`` the interval is the corrected
            resampled t; on a test set, and where a seed has one fold only, that of the mean of
            runs on the same patients.
        ``auc_pooled``
            AUC over the folds of a seed together, mean over seeds.
        ``auc_ensemble``
            AUC of the mean score over all runs (test sets).
        ``average_precision``, ``accuracy``, ``balanced_accuracy``, those of `measure_scores`
            As ``auc_pooled`` and ``auc_ensemble``. The class with the highest score is called;
            of two, the second at a score of 0.5 or more.
        ``top3_accuracy``
            Of more than three classes: the same of the three with the highest scores.
        ``sensitivity``, ``specificity``, ``threshold``
            See `measures.Thresholds`.

        With more than two classes an AUC and an average precision are means over classes, each
        against the rest, with one row for each (column `class`); see `multiclass` for the others.
        `positives` are then the units of any class but the first.

    Raises
    ------
    InputError
        See `predictions.check_merge` and `subgroups.join_levels`. A set with one class only is no
        error: its value is NaN and `method` gives the reason.
    """
    check_merge(predictions, expected)
    predictions = predictions.reset_index(drop=True)
    encoded = encode(predictions, unit, prevalences)
    runs = _score_runs(encoded)
    over_folds = {"cv": means_over_folds(runs)}
    over_folds[f"cv{BY_PARENT}"] = means_over_folds(_runs_by_parent(encoded))
    thresholds = fix_thresholds(encoded) if encoded.classes == 2 else NO_THRESHOLDS
    rows: list[dict[str, Any]] = []
    curves, units = [], []
    for scored in sets_of(encoded, predictions, subgroups or {}, labels or {}):
        if scored.depth == WHOLE and _is_whole_test(scored, encoded):
            rows += [row | {"set": scored.name} for row in rows if row["set"] == "test"]
            continue
        rows += judge(scored, encoded, thresholds, over_folds.get(scored.name, {}), is_ordered)
        if scored.name in ("cv", "test"):
            curves.append(draw_curves(scored, encoded))
            units.append(_units(scored, encoded, predictions, unit))
    if inner is not None and len(inner):
        choosing = _runs_of("inner", encode(inner, unit).of_role("inner"), encoded.classes)
        runs = pd.concat([runs, choosing], ignore_index=True)
    summary = pd.DataFrame(rows).assign(arm=arm, split=split)
    return Scored(
        summary=summary[list(SUMMARY_COLUMNS)],
        runs=runs.sort_values(["seed", "fold", "inner"], kind="stable", ignore_index=True),
        units=pd.concat(units, ignore_index=True),
        curves=pd.concat(curves, ignore_index=True),
        classes=encoded.classes,
    )


def _is_whole_test(scored: ScoredSet, encoded: Encoded) -> bool:
    """Whether a kind of test set is all there is of tests, and need not be measured again."""
    return scored.name in KINDS and len(scored.rows) == len(encoded.of_role("test"))


def _score_runs(encoded: Encoded) -> pd.DataFrame:
    tests = encoded.of_role("test")
    parts = [(role, encoded.of_role(role)) for role in ("inner", "validation")]
    parts += [("test", tests)]
    parts += [(kind, tests[tests["kind"] == code]) for code, kind in enumerate(KINDS)]
    parts += [
        (f"test-site:{site}", tests[tests["site"] == code])
        for code, site in enumerate(encoded.sites)
    ]
    runs = [_runs_of(name, part, encoded.classes) for name, part in parts if len(part)]
    return pd.concat(runs, ignore_index=True)


def _runs_by_parent(encoded: Encoded) -> pd.DataFrame:
    """Return the validation scores of each run, parents in place of their examples."""
    parts = []
    for role in ("inner", "validation"):
        rows = rows_by_parent(encoded, encoded.of_role(role))
        if rows is not None:
            parts.append(_runs_of(role, rows, encoded.classes))
    return pd.concat(parts) if parts else pd.DataFrame(columns=list(RUN_COLUMNS))


def _runs_of(name: str, rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Return the scores of each run on one set, columns `RUN_COLUMNS`."""
    table = score_table(rows, "run")
    found = []
    for (seed, fold, inner), scores in zip(table.groups, table.class_scores(classes), strict=True):
        there = ~np.isnan(scores[:, 0])
        known, labels = scores[there], table.labels[there]
        tested = range(1, 2) if classes == 2 else range(classes)
        columns = list(zip(known.T, (labels == number for number in tested), strict=True))
        auc = float(np.mean([roc_auc(*column) for column in columns]))
        precision = float(np.mean([average_precision(*column) for column in columns]))
        right = called_classes(known) == labels
        near = among_highest(known, labels, TOP).mean() if classes > TOP else np.nan
        accuracies = float(right.mean()), balanced_accuracy(right, labels, classes), float(near)
        counts = len(labels), int((labels > 0).sum())
        found.append((seed, fold, inner, name, *counts, auc, precision, *accuracies))
    return pd.DataFrame(found, columns=list(RUN_COLUMNS))


def _units(
    scored: ScoredSet, encoded: Encoded, predictions: pd.DataFrame, unit: str
) -> pd.DataFrame:
    table = score_table(scored.rows, "run" if scored.held_out else "seed")
    first = predictions.loc[table.first]
    found = pd.DataFrame(
        {
            "set": scored.name,
            "unit": first[unit].to_numpy(),
            **{name: first[name].to_numpy() for name in ("patient", "site", "test_set")},
            "label": table.labels,
        }
    )
    for column in score_columns(encoded.classes):
        name = column if encoded.classes > 2 else "score"
        scores = table.scores(column)
        found[name] = scores.mean(axis=0)
        corrected = table.scores(column.replace("score", "probability"))
        found[name.replace("score", "probability")] = corrected.mean(axis=0)
        if encoded.classes == 2 and not scored.held_out:
            for (seed,), of_seed in zip(table.groups, scores, strict=True):
                found[f"score_seed_{seed}"] = of_seed
    of_classes = table.class_scores(encoded.classes)
    calls = {"right": called_classes(of_classes) == table.labels}
    if encoded.classes > TOP:
        calls["top3"] = among_highest(of_classes, table.labels, TOP)
    for name, right in calls.items():
        if scored.held_out:
            found[name] = right.mean(axis=0)
            continue
        for (seed,), of_seed in zip(table.groups, right, strict=True):
            found[f"{name}_seed_{seed}"] = of_seed.astype(np.float32)
    return found


def join_scored(scored: Mapping[str, Scored]) -> Scored:
    """Join the scores of several arms under one split; each table has a column `arm` first.

    Parameters
    ----------
    scored
        By arm, at least one; all of the same runs and classes.
    """
    one = next(iter(scored.values()))

    def join(name: str) -> pd.DataFrame:
        tables = []
        for arm, of_arm in scored.items():
            table = getattr(of_arm, name)
            columns = ["arm", *(column for column in table.columns if column != "arm")]
            tables.append(table.assign(arm=arm)[columns])
        return pd.concat(tables, ignore_index=True)

    return Scored(
        summary=join("summary"),
        runs=join("runs"),
        units=join("units"),
        curves=join("curves"),
        classes=one.classes,
    )


def write_scores(
    scored: Scored, summary: Path, runs: Path, units: Path | None, curves: Path | None
) -> None:
    """Write the scores of an arm, or of several, each file whole or not at all.

    Parameters
    ----------
    scored
        The scores.
    summary, runs, curves
        CSV files.
    units
        Parquet file; its metadata ``fewcase`` is JSON with `classes`.
    """
    texts = [(summary, scored.summary), (runs, scored.runs), (curves, scored.curves)]
    for path, table in texts:
        if path is not None:
            write_csv(path, table)
    if units is not None:
        facts = json.dumps({"classes": scored.classes})
        write_table(units, scored.units, {"fewcase": facts})
