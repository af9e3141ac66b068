"""More than the AUC: decisions, calibration and single classes of the arms of an experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiments import Arm, Experiment, Scores
from fewcase.reporting.tables import names_of_arms, titled, warnings_of
from fewcase.reporting.text import factor_title, number, percent, plain, signed, with_interval

SETS = {"cv": "cross-validation", "test": "test set"}
TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "sensitivity_at_specificity_90": "Sensitivity at 90\u00a0% specificity",
    "brier": "Brier score",
    "ece": "ECE",
    "calibration_slope": "Calibration slope",
}
MAY_BE_NEGATIVE = ("calibration_slope",)
# A third digit is below what a test set of a few hundred can tell, save for small numbers.
DIGITS = {"brier": 3, "ece": 3, "auc": 3}
STATISTICS = (*TITLES, "threshold", "calibration_intercept", "brier_raw", "ece_raw")
# Of one class against the rest.
OF_CLASS = {
    "cv": {"auc": "auc_pooled", "average_precision": "average_precision"},
    "test": {"auc": "auc_ensemble", "average_precision": "average_precision"},
}
FACTS = ("arm", "split", "leaky", "set", "class")
COUNTS = ("examples", "positives", "negatives")
ENDS = {"": "value", "_low": "low", "_high": "high", "_method": "method"}
COLUMNS = (
    *FACTS,
    *COUNTS,
    "chance",
    *(f"{name}{end}" for name in (*STATISTICS, "auc") for end in ENDS),
)


def tabulate_measures(experiment: Experiment, scores: Scores) -> pd.DataFrame:
    """Return the measures of every arm, full precision.

    Returns
    -------
    pandas.DataFrame
        A row for each arm and set, ``cv`` and ``test``, and, of several classes, one for each
        class besides. Columns `COLUMNS`: `chance` is the average precision of guessing between two
        classes; a statistic has its value, ``_low``, ``_high`` and ``_method``; ``auc`` is that of
        one class against the rest.
    """
    rows = [
        row
        for arm in experiment.arms
        for name in SETS
        if name in scores.sets(arm)
        for row in _rows_of(arm, name, scores)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows_of(arm: Arm, name: str, scores: Scores) -> list[dict[str, Any]]:
    facts = {"arm": arm.arm, "split": arm.split, "leaky": "yes" if arm.leaky else "no", "set": name}
    classes = scores.classes(arm)
    whole = _row({s: scores.get(arm, name, s) for s in STATISTICS})
    units = whole.get("positives", 0) + whole.get("negatives", 0)
    if units and not classes:
        whole["chance"] = whole["positives"] / units
    rows = [{**facts, "class": "", **whole}]
    for of_class in classes:
        found = {s: scores.get(arm, name, of, of_class) for s, of in OF_CLASS[name].items()}
        rows.append({**facts, "class": of_class, **_row(found)})
    return rows


def _row(found: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, one in found.items():
        if one is not None:
            row |= {f"{name}{end}": one[source] for end, source in ENDS.items()}
            row |= {count: one[count] for count in COUNTS}
    return row


def lay_out_measures(experiment: Experiment, measures: pd.DataFrame) -> list[DisplayTable]:
    """Lay out measures for reading: a table for each set, and for the classes of each set.

    Measures that no arm has are left out, and so are tables without any.
    """
    tables = []
    for name, words in SETS.items():
        of_set = measures[measures["set"] == name]
        whole = of_set[of_set["class"] == ""]
        if any(_known(whole, statistic) for statistic in TITLES):
            tables.append(_lay_out(experiment, whole, words))
        if _known(of_set, "auc"):
            tables.append(_lay_out_classes(experiment, of_set[of_set["class"] != ""], words))
    return tables


def _known(table: pd.DataFrame, statistic: str) -> bool:
    return bool(table[statistic].notna().any())


def _lay_out(experiment: Experiment, table: pd.DataFrame, words: str) -> DisplayTable:
    shown = [statistic for statistic in TITLES if _known(table, statistic)]
    columns = {TITLES[statistic]: _cells(table, statistic) for statistic in shown}
    if "average_precision" in shown and table["chance"].nunique() > 1:
        columns = {"Share of positives": [percent(v) for v in table["chance"]], **columns}
    part = f"more than the AUC, {words}"
    return _table(experiment, table, columns, part, _reading(shown), _notes(table, shown))


def _cells(table: pd.DataFrame, statistic: str) -> list[str]:
    ends = (table[f"{statistic}{end}"] for end in ("", "_low", "_high"))
    if statistic in MAY_BE_NEGATIVE:
        return [_signed(*values) for values in zip(*ends, strict=True)]
    digits = DIGITS.get(statistic, 2)
    return [with_interval(*values, digits=digits) for values in zip(*ends, strict=True)]


def _signed(value: float, low: float, high: float) -> str:
    def text(number: float) -> str:
        # A slope runs away where scores hardly differ.
        return signed(number, 2 if abs(number) < 10 else 0)

    return f"{text(value)} [{text(low)} to {text(high)}]" if math.isfinite(low) else text(value)


def _lay_out_classes(experiment: Experiment, table: pd.DataFrame, words: str) -> DisplayTable:
    arms = table.drop_duplicates(["arm", "split"])
    order = pd.MultiIndex.from_frame(arms[["arm", "split"]])
    columns = {}
    for name in dict.fromkeys(table["class"]):
        of_class = table[table["class"] == name].set_index(["arm", "split"]).reindex(order)
        columns[f"AUC of class {plain(name)}"] = _cells(of_class, "auc")
    reading = (
        "How to read: the AUC of a class is how often an example of it gets a higher score for the "
        "class than an example of any other (one against the rest); in brackets its 95\u00a0% "
        "interval."
    )
    return _table(experiment, arms, columns, f"single classes, {words}", reading, [])


def _table(
    experiment: Experiment,
    table: pd.DataFrame,
    columns: Mapping[str, Sequence[str]],
    part: str,
    reading: str,
    notes: Sequence[str],
) -> DisplayTable:
    names, factors = names_of_arms(experiment), experiment.factors
    rows = []
    for i, row in enumerate(table.to_dict("records")):
        leaky = row["leaky"] == "yes"
        name = names.get((row["arm"], row["split"]), plain(row["arm"]))
        texts = [f"{name} (leaky)" if leaky else name, *(cells[i] for cells in columns.values())]
        rows.append(Row(tuple(Cell(text) for text in texts), leaky))
    return DisplayTable(
        titled(experiment, part),
        (factor_title(factors[0]) if len(factors) == 1 else "Arm", *columns),
        tuple(rows),
        reading,
        (*notes, *warnings_of(experiment)),
        1,
        experiment.leaky == "all",
    )


def _reading(shown: Sequence[str]) -> str:
    said = ["How to read: in brackets the 95\u00a0% interval of each value"]
    if "accuracy" in shown:
        said.append(
            "accuracy is the share of examples given their own class, and balanced accuracy the "
            "mean of that share over classes, so that rare ones count as much"
        )
    if "sensitivity" in shown:
        said.append(
            "sensitivity is the share of positives that are found, and specificity the share of "
            "negatives that are left in peace"
        )
    return "; ".join(said) + "."


def _notes(table: pd.DataFrame, shown: Sequence[str]) -> list[str]:
    notes = []
    if "sensitivity" in shown:
        notes.append(
            "Sensitivity and specificity are at a threshold that was fixed on other examples than "
            "those it judges: in cross-validation on the part kept for early stopping, on the test "
            "set on cross-validation."
        )
    chances = table["chance"].dropna().unique()
    if "average_precision" in shown and len(chances):
        chance = f", here {number(float(chances[0]))}" if len(chances) == 1 else ""
        notes.append(
            "Average precision is to be held against the share of positives, which guessing "
            f"reaches{chance}."
        )
    if "brier" in shown or "ece" in shown:
        slope = " Calibration slope: 1 is perfect, below 1 the scores are too extreme."
        notes.append(
            "Brier score and ECE (expected calibration error): 0 is perfect. Scores are corrected "
            "for the share of each class that the training saw, where that is known."
            + (slope if "calibration_slope" in shown else "")
        )
    return notes
