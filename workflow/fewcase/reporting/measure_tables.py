"""More than the AUC: decisions, calibration and single classes of the arms of an experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.evaluation.sets import BY_PARENT
from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.experiments import Scores
from fewcase.reporting.headline import HEADLINES
from fewcase.reporting.table_parts import names_of_arms, titled, warnings_of
from fewcase.reporting.text import (
    count,
    factor_title,
    number,
    percent,
    plain,
    signed,
    span,
    with_interval,
    with_spread,
)
from fewcase.study.words import MEASURES, NOUNS

SETS = {"cv": "cross-validation", "test": "test set"}
TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "top3_accuracy": "Top-3 accuracy",
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
OF_CALLS = ("accuracy", "balanced_accuracy", "top3_accuracy")
MEANS = tuple(f"{name}_mean" for name in MEASURES)
ENDS_OF_MEANS = {"": "value", "_sd": "sd", **{end: ENDS[end] for end in list(ENDS)[1:]}}
COLUMNS_OF_MEANS = tuple(f"{name}{end}" for name in MEANS for end in ENDS_OF_MEANS)


def tabulate_measures(experiment: Experiment, scores: Scores) -> pd.DataFrame:
    """Return the measures of every arm, full precision.

    Returns
    -------
    pandas.DataFrame
        A row for each arm and set, ``cv`` and ``test``, and, of several classes, one for each
        class besides. Columns `COLUMNS`: `chance` is the average precision of guessing between two
        classes; a statistic has its value, ``_low``, ``_high`` and ``_method``; ``auc`` is that of
        one class against the rest. Accuracies of two classes are there where the experiment is
        about them; where it is, or parents were scored as well, so are `COLUMNS_OF_MEANS`, and the
        sets ``cv-by-parent`` and ``test-by-parent``.
    """
    rows = []
    for arm in experiment.arms:
        for name in SETS:
            rows += _rows_of(experiment, arm, name, scores)
            rows += _votes_of(arm, f"{name}{BY_PARENT}", scores)
    voted = any(row["set"].endswith(BY_PARENT) for row in rows)
    means = COLUMNS_OF_MEANS if voted or not experiment.is_about_auc else ()
    return pd.DataFrame(rows, columns=[*COLUMNS, *means])


def _facts(arm: Arm, name: str, of_class: str = "") -> dict[str, Any]:
    leaky = "yes" if arm.leaky else "no"
    return {"arm": arm.arm, "split": arm.split, "leaky": leaky, "set": name, "class": of_class}


def _rows_of(experiment: Experiment, arm: Arm, name: str, scores: Scores) -> list[dict[str, Any]]:
    if name not in scores.sets(arm):
        return []
    classes = scores.classes(arm)
    told = [s for s in STATISTICS if classes or not experiment.is_about_auc or s not in OF_CALLS]
    whole = _row({s: scores.get(arm, name, s) for s in told})
    units = whole.get("positives", 0) + whole.get("negatives", 0)
    if units and not classes:
        whole["chance"] = whole["positives"] / units
    rows = [{**_facts(arm, name), **whole, **_means(arm, name, scores)}]
    for of_class in classes:
        found = {s: scores.get(arm, name, of, of_class) for s, of in OF_CLASS[name].items()}
        title = experiment.class_name(arm.split, of_class)
        rows.append({**_facts(arm, name, title), **_row(found)})
    return rows


def _votes_of(arm: Arm, name: str, scores: Scores) -> list[dict[str, Any]]:
    """Return the row of an arm's parents, each scored by the mean of its examples."""
    if name not in scores.sets(arm):
        return []
    found = _row({s: scores.get(arm, name, s) for s in (*OF_CALLS, "average_precision")})
    return [{**_facts(arm, name), **found, **_means(arm, name, scores)}]


def _means(arm: Arm, name: str, scores: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for statistic in MEANS:
        found = scores.get(arm, name, statistic)
        if found is not None:
            row |= {f"{statistic}{end}": found[source] for end, source in ENDS_OF_MEANS.items()}
    return row


def _row(found: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, one in found.items():
        if one is not None:
            row |= {f"{name}{end}": one[source] for end, source in ENDS.items()}
            row |= {key: one[key] for key in COUNTS}
    return row


def lay_out_measures(
    experiment: Experiment, measures: pd.DataFrame, validation: str = SETS["cv"]
) -> list[DisplayTable]:
    """Lay out measures for reading: a table for each set, and for the classes of each set.

    Measures that no arm has are left out, and so are tables without any.

    Parameters
    ----------
    experiment
        Whose they are.
    measures
        As from `tabulate_measures`.
    validation
        What cross-validation is called: where all runs judged one set, it is none.
    """
    tables = []
    for name, words in (SETS | {"cv": validation}).items():
        of_set = measures[measures["set"] == name]
        whole = of_set[of_set["class"] == ""]
        if any(_known(whole, statistic) for statistic in TITLES):
            tables.append(_lay_out(experiment, whole, words))
        votes = measures[measures["set"] == f"{name}{BY_PARENT}"]
        if len(votes):
            tables.append(_lay_out_votes(experiment, whole, votes, words))
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
    more = "more than the AUC" if experiment.is_about_auc else "further measures"
    part = f"{more}, {words}"
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


def _lay_out_votes(
    experiment: Experiment, whole: pd.DataFrame, votes: pd.DataFrame, words: str
) -> DisplayTable:
    """Lay out measures of examples beside those of the parents that they were cut from."""
    nouns = NOUNS[experiment.unit]
    order = pd.MultiIndex.from_frame(whole[["arm", "split"]])
    in_order = votes.set_index(["arm", "split"]).reindex(order)
    columns = {}
    for measure in dict.fromkeys((*experiment.measures, "accuracy", "balanced_accuracy")):
        title = HEADLINES[measure].title
        for noun, table in ((nouns.examples, whole), (nouns.records, in_order)):
            if table[f"{measure}_mean"].notna().any():
                columns[f"{title} of {noun}, mean ± SD [95\u00a0%]"] = _spread(table, measure)
    counts = " of ".join(
        f"{count(table['positives'].iloc[0] + table['negatives'].iloc[0])} {noun}"
        for noun, table in ((nouns.examples, whole), (nouns.records, votes))
    )
    notes = [f"Here are {counts}, each with one class. Values are means over runs."]
    reading = (
        f"a network sees {nouns.examples}; whoever decides about {nouns.records} needs the columns "
        f"of these, for which the scores of each one's {nouns.examples} are averaged"
    )
    part = f"{nouns.examples} and {nouns.records}, {words}"
    return _table(experiment, whole, columns, part, f"How to read: {reading}.", notes)


def _spread(table: pd.DataFrame, measure: str) -> list[str]:
    ends = (table[f"{measure}_mean{end}"] for end in ("", "_sd", "_low", "_high"))
    return [
        with_spread(value, sd) + (f" [{span(low, high)}]" if math.isfinite(low) else "")
        for value, sd, low, high in zip(*ends, strict=True)
    ]


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
    if "top3_accuracy" in shown:
        said.append(
            "top-3 accuracy is the share of examples whose own class is among the three with the "
            "highest scores"
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
