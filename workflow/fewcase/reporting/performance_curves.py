"""What the figure of an arm's performance is drawn from: its curves, counts and scores by set."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table, table_metadata
from fewcase.evaluation.curves import (
    CURVE_COLUMNS,
    MOST_POINTS,
    Curve,
    net_benefit,
    roc_curve,
)
from fewcase.reporting.evidence import best_shortcut
from fewcase.reporting.headline import judged_by_all
from fewcase.reporting.performance import read_csv, records
from fewcase.runtime.ranking import are_positive
from fewcase.statistics.intervals import Estimate, estimate_auc, undefined
from fewcase.statistics.metrics import FloatArray
from fewcase.study.errors import InputError

UNIT_COLUMNS = ("set", "patient", "label")


@dataclasses.dataclass(frozen=True)
class Ranking:
    """A receiver operating characteristic with the area below this very line.

    Attributes
    ----------
    name
        Of the class or the shortcut; empty for an arm of two classes.
    curve
        x is 1 - specificity, y sensitivity.
    area
        With its interval.
    """

    name: str
    curve: Curve
    area: Estimate


@dataclasses.dataclass(frozen=True)
class Rival:
    """What the best shortcut reaches out of fold, to be held beside an arm.

    Its decision curve is that of its probability averaged over seeds.
    """

    ranking: Ranking
    decision: Curve


@dataclasses.dataclass(frozen=True)
class Picture:
    """All that is drawn of one set of an arm: cross-validation (out of fold) or test.

    Attributes
    ----------
    name
        ``cv`` or ``test``.
    rankings
        One for two classes, one for each class against all others where there are more.
    operating_point
        (1 - specificity, sensitivity) at the threshold fixed on validation; None where unknown.
    threshold
        Mean over runs, NaN where unknown.
    precision_recall
        See `precision_recall`.
    average_precision
        Area below that line in steps, NaN where there is none.
    prevalence
        Share of positives.
    reliability, reliability_raw
        x is the mean predicted probability of a bin, y the share of positives, n its size: after
        and before the correction for under-sampling.
    decision, treat_all
        x is the threshold probability, y the net benefit of the model, and of treating everybody.
    scores_by_class
        Scores of each class's examples, of two classes only.
    scores, probabilities
        Of all examples, of two classes only: before and after the correction.
    confusion
        Shape (classes, classes): examples of true class (row) and predicted class (column).
    title
        What the set is called: ``CV``, ``validation`` where all runs judged one set, or ``test``.
    """

    name: str
    rankings: tuple[Ranking, ...]
    operating_point: tuple[float, float] | None
    threshold: float
    precision_recall: Curve
    average_precision: float
    prevalence: float
    reliability: Curve
    reliability_raw: Curve
    decision: Curve
    treat_all: Curve
    scores_by_class: tuple[FloatArray, ...]
    scores: FloatArray
    probabilities: FloatArray
    confusion: npt.NDArray[np.int64]
    title: str


def read_curves(path: Path) -> pd.DataFrame:
    """Read the curves of an arm; `class` is empty where there are two classes.

    Raises
    ------
    InputError
        Where the file or a column is missing.
    """
    return read_csv(path, CURVE_COLUMNS, numbers=("x", "y", "low", "high", "n"))


def read_units(path: Path) -> tuple[pd.DataFrame, int]:
    """Read the scores of every unit of an arm or of all shortcuts, and how many classes there are.

    Raises
    ------
    InputError
        Where the file or a column is missing.
    """
    table = read_table(path)
    for column in UNIT_COLUMNS:
        if column not in table:
            raise InputError(f"{path}: no column {column!r}. Score the arm again.")
    facts = json.loads(table_metadata(path).get("fewcase", "{}"))
    return table, int(facts.get("classes", 2))


def pictures(
    summary: pd.DataFrame, curves: pd.DataFrame, units: pd.DataFrame, classes: int
) -> list[Picture]:
    """Gather what is drawn of cross-validation and, where there is one, of the test set.

    Parameters
    ----------
    summary
        Scores of the arm, see `performance.read_summary`.
    curves, units
        Of the arm, see `read_curves` and `read_units`.
    classes
        How many there are.
    """
    shown = []
    for name in ("cv", "test"):
        of_set = units[units["set"] == name]
        if len(of_set):
            found, drawn = (table[table["set"] == name] for table in (summary, curves))
            shown.append(_picture(name, found, drawn, of_set, classes))
    return shown


def _picture(
    name: str, summary: pd.DataFrame, curves: pd.DataFrame, units: pd.DataFrame, classes: int
) -> Picture:
    found = _values(summary)
    main = {"cv": "auc_pooled", "test": "auc_ensemble"}[name]
    areas = summary[summary["statistic"] == main]
    labels = units["label"].to_numpy(np.int64)
    positive = labels == 1
    # Several classes have a score each and no ranking of two.
    two = classes == 2
    every, scores, probabilities = np.empty((0, 0)), np.empty(0), np.empty(0)
    if two:
        every, scores = scores_of_seeds(units), units["score"].to_numpy(np.float64)
        probabilities = units["probability"].to_numpy(np.float64)
    point = (1 - found.get("specificity", math.nan), found.get("sensitivity", math.nan))
    return Picture(
        name=name,
        rankings=tuple(
            Ranking(of_class, _stored(curves, "roc", of_class), _area(areas, of_class))
            for of_class in ([""] if two else map(str, range(classes)))
        ),
        operating_point=point if two and np.isfinite(point).all() else None,
        threshold=found.get("threshold", math.nan),
        precision_recall=precision_recall(every, positive),
        average_precision=found.get("average_precision", math.nan) if two else math.nan,
        prevalence=float(positive.mean()),
        reliability=_stored(curves, "reliability"),
        reliability_raw=_stored(curves, "reliability raw"),
        decision=_stored(curves, "decision"),
        treat_all=_stored(curves, "decision all"),
        scores_by_class=(scores[~positive], scores[positive]) if two else (),
        scores=scores,
        probabilities=probabilities,
        confusion=_decisions(found, positive) if two else _confusion(curves, classes),
        title=_title(name, summary),
    )


def _title(name: str, summary: pd.DataFrame) -> str:
    means = summary.loc[summary["statistic"] == "auc_mean", "method"]
    judged = name == "cv" and judged_by_all(means)
    return "validation" if judged else {"cv": "CV", "test": "test"}[name]


def _values(summary: pd.DataFrame) -> dict[str, float]:
    whole = summary[(summary["class"] == "") & np.isfinite(summary["value"])]
    return dict(zip(whole["statistic"], whole["value"], strict=True))


def _stored(curves: pd.DataFrame, name: str, of_class: str = "") -> Curve:
    part = curves[(curves["curve"] == name) & (curves["class"] == of_class)]
    return part[["x", "y", "low", "high", "n"]].reset_index(drop=True)


def _decisions(found: dict[str, float], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the confusion matrix of two classes; in cross-validation that of a mean seed."""
    shares = [found.get("specificity", math.nan), found.get("sensitivity", math.nan)]
    counts = np.zeros((2, 2), np.int64)
    for truth, total in enumerate([int((~positive).sum()), int(positive.sum())]):
        if math.isfinite(shares[truth]):
            right = round(shares[truth] * total)
            counts[truth] = [right, total - right] if truth == 0 else [total - right, right]
    return counts


def _confusion(curves: pd.DataFrame, classes: int) -> npt.NDArray[np.int64]:
    counts = np.zeros((classes, classes), np.int64)
    part = _stored(curves, "confusion")
    truth, predicted, number = (part[key].to_numpy(np.int64) for key in ("x", "y", "n"))
    counts[truth, predicted] = number
    return counts


def _area(areas: pd.DataFrame, of_class: str) -> Estimate:
    """Return the area of the very line that is stored: of the same scores of the same seeds."""
    rows = records(areas[areas["class"] == of_class])
    if not rows:
        return undefined("not among the scores")
    return Estimate(**{field.name: rows[0][field.name] for field in dataclasses.fields(Estimate)})


def scores_of_seeds(units: pd.DataFrame) -> FloatArray:
    """Return scores, shape (k, n): of each seed in cross-validation, else the mean over runs."""
    seeds = [column for column in units if str(column).startswith("score_seed_")]
    scores = units[seeds].to_numpy(np.float64).T
    complete = len(scores) > 0 and bool(np.isfinite(scores).all())
    return scores if complete else units[["score"]].to_numpy(np.float64).T


def precision_recall(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Curve:
    """Return precision (y) where each share of the positives (x, recall) has just been found.

    The mean of y over all positives is the average precision; of several models on the same
    examples, precisions are averaged at each recall, so that it is the mean of theirs.

    Parameters
    ----------
    scores
        Shape (s, n) or (n,), finite; larger speaks for a positive.
    labels
        Shape (n,), 0 or 1; without a positive the curve has no point.

    Returns
    -------
    Curve
        Of more than `curves.MOST_POINTS` positives about as many are kept: all of the first, where
        precision jumps most, and others evenly over recall.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = are_positive(labels)
    found = int(positive.sum())
    if found == 0 or scores.size == 0:
        return pd.DataFrame(columns=["x", "y", "low", "high", "n"], dtype=np.float64)
    precision = np.mean([_precision_at_positives(row, positive) for row in scores], axis=0)
    kept = np.arange(found)
    if found > MOST_POINTS:
        evenly = np.linspace(0, found - 1, MOST_POINTS).round().astype(np.intp)
        kept = np.union1d(kept[: MOST_POINTS // 5], evenly)
    points = {"x": (kept + 1) / found, "y": precision[kept]}
    return pd.DataFrame(points | {"low": np.nan, "high": np.nan, "n": positive.size})


def _precision_at_positives(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the precision at the score of each positive, from the highest score on."""
    descending = np.sort(-scores)
    of_positives = np.sort(-scores[positive])
    # Equal scores enter together: everyone down to and with the last of a tie.
    called = np.searchsorted(descending, of_positives, side="right")
    return np.searchsorted(of_positives, of_positives, side="right") / called


def find_rival(
    split: str, summary: pd.DataFrame, units: pd.DataFrame, thresholds: npt.ArrayLike
) -> Rival | None:
    """Return what the best shortcut in cross-validation reaches there; None where there is none.

    Parameters
    ----------
    split
        Of which split.
    summary, units
        Of all shortcuts; units with the column `arm`.
    thresholds
        Threshold probabilities of its decision curve.
    """
    best = best_shortcut(summary, split)
    if best is None:
        return None
    name = str(best["arm"])
    part = units[(units["arm"] == name) & (units["set"] == "cv")]
    if part.empty or "score" not in part:
        return None
    scores, positive = scores_of_seeds(part), part["label"].to_numpy() == 1
    area = estimate_auc(scores, positive, pd.factorize(part["patient"])[0])
    thresholds = np.asarray(thresholds, dtype=np.float64)
    benefit = net_benefit(part["probability"], positive, thresholds)
    decision = pd.DataFrame({"x": thresholds, "y": benefit})
    return Rival(Ranking(name, roc_curve(scores, positive), area), decision)
