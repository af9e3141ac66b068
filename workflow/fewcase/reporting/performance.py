"""How well one arm does: its measures by set, site, subgroup, class and label, as tables."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.evaluation.scores import SUMMARY_COLUMNS
from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.text import count, number, plain, signed, span
from fewcase.study.errors import InputError

SETS = {"cv": "CV", "test": "Test", "external": "External test", "temporal": "Temporal test"}
PARTS = {"site": "By site", "group": "By subgroup", "label": "By label definition"}
COUNTS = ("runs", "examples", "patients", "positives", "negatives")
LONG_COLUMNS = (
    "arm",
    "split",
    "leaky",
    "table",
    "set",
    "group",
    "level",
    "class",
    "statistic",
    "value",
    "sd",
    "low",
    "high",
    "method",
    *COUNTS,
)


@dataclasses.dataclass(frozen=True)
class Subject:
    """The arm that is shown, and what has to be said wherever its numbers appear.

    Attributes
    ----------
    title
        One line.
    simulated
        Whether the recordings are.
    arm, split
        Names, as in the scores.
    leaky
        Whether the same people or copies are on two sides of the split.
    classes
        Name of each class, in the order of the labels 0, 1 …
    notes
        What the certificates of the split say of its numbers.
    """

    title: str
    simulated: bool
    arm: str
    split: str
    leaky: bool
    classes: tuple[str, ...] = ("negative", "positive")
    notes: tuple[str, ...] = ()

    def certified(self, standings: Mapping[str, Standing]) -> Subject:
        """Return the same arm with what the certificates of its split say."""
        found = standing_in(standings, self.split)
        return dataclasses.replace(self, leaky=self.leaky or found.leaky, notes=found.notes)

    def titled(self, of: str = "") -> str:
        """Return a title that says where recordings are simulated or the split leaks."""
        title = plain(self.title) + (f": {of}" if of else "")
        if self.simulated and "simulated" not in title.lower():
            title += " (simulated)"
        return title + (" (leaky)" if self.leaky else "")

    @property
    def warnings(self) -> list[str]:
        """What to beware of, in sentences below a table."""
        return warnings_below(self.simulated, [(self.split, self.leaky, self.notes)])


def read_subject(text: str) -> Subject:
    """Read a subject from JSON: title, simulated, arm, split, leaky and, optionally, classes.

    Raises
    ------
    InputError
        Where the text is no JSON, or a key is missing or unknown.
    """
    values = read_content(text, {"title", "simulated", "arm", "split", "leaky"}, {"classes"})
    classes = tuple(map(plain, values.get("classes") or ("negative", "positive")))
    if len(classes) < 2:
        raise InputError(f"--content: classes are {list(classes)}; expected two names or more.")
    return Subject(
        title=str(values["title"]),
        simulated=bool(values["simulated"]),
        arm=str(values["arm"]),
        split=str(values["split"]),
        leaky=bool(values["leaky"]),
        classes=classes,
    )


def read_content(text: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    """Read the JSON object of a command line that has all required keys and no unknown one."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"--content: not JSON ({error}).") from None
    if not isinstance(values, dict):
        raise InputError(f"--content: expected a JSON object with the keys {sorted(required)}.")
    if missing := sorted(required - set(values)):
        raise InputError(f"--content: key {missing[0]!r} is missing; give {sorted(required)}.")
    if unknown := sorted(set(values) - required - optional):
        raise InputError(
            f"--content: key {unknown[0]!r} is unknown; allowed are {sorted(required | optional)}."
        )
    return values


def read_summary(path: Path) -> pd.DataFrame:
    """Read the scores of one or several arms (see `scores.score_arm`), numbers as floats.

    Raises
    ------
    InputError
        Where the file or a column is missing.
    """
    return read_csv(path, SUMMARY_COLUMNS, numbers=("value", "sd", "low", "high", *COUNTS))


def read_csv(path: Path, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file: some columns as numbers, NaN where a cell is empty, all others as text.

    Raises
    ------
    InputError
        Where the file or a column is missing.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable CSV ({error}). Score the arm again.") from None
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: no column {column!r}. Score the arm again.")
    table[list(numbers)] = table[list(numbers)].apply(pd.to_numeric, errors="coerce")
    return table


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by the names of its columns."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def tabulate_performance(subject: Subject, summary: pd.DataFrame) -> pd.DataFrame:
    """Return all measures of an arm in long form.

    Parameters
    ----------
    subject
        Which arm under which split.
    summary
        As from `read_summary`.

    Returns
    -------
    pandas.DataFrame
        Columns `LONG_COLUMNS`. `table` is the heading under which people find the row; `set` is
        cv, test, external or temporal; `group` is the subgroup column or, as `level` then says
        which, ``site`` or ``label``; both are empty for a whole set.

    Raises
    ------
    InputError
        Where the scores are of another arm or split.
    """
    chosen = summary[(summary["arm"] == subject.arm) & (summary["split"] == subject.split)]
    if chosen.empty:
        found = sorted(set(zip(summary["arm"], summary["split"], strict=True)))[:3]
        raise InputError(
            f"performance: no scores of arm {subject.arm!r} under split {subject.split!r}; the "
            f"files have {found}. Give the scores of that arm."
        )
    places = pd.DataFrame([_place(name) for name in chosen["set"]], index=chosen.index)
    table = chosen.drop(columns="set").join(places).assign(leaky="yes" if subject.leaky else "no")
    return table[list(LONG_COLUMNS)].reset_index(drop=True)


def _place(name: str) -> dict[str, str]:
    """Return where the rows of a set of the scores belong: ``test-group:sex=f``, say."""
    whole, _, part = name.partition("-")
    if not part:
        return {"table": "All measures", "set": whole, "group": "", "level": ""}
    kind, _, key = part.partition(":")
    group, _, level = key.partition("=") if kind == "group" else (kind, "", key)
    return {"table": PARTS[kind], "set": whole, "group": group, "level": level}


class Footnotes:
    """Why cells have no value, each reason with a letter that stands in the cell, or no interval.

    A missing interval gets no letter: as a rule a whole column lacks it for one reason.
    """

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._without_interval: dict[str, None] = {}

    def mark(self, reason: str) -> str:
        """Return the letter of the reason why there is no value, in brackets."""
        alphabet = "abcdefghijklmnopqrstuvwxyz"
        rounds, place = divmod(len(self._letters), len(alphabet))
        letter = self._letters.setdefault(reason, alphabet[place] * (1 + rounds))
        return f"({letter})"

    def without_interval(self, reason: str) -> None:
        """Keep the reason why there is a value but no interval."""
        self._without_interval[reason] = None

    @property
    def notes(self) -> list[str]:
        """A sentence with the reasons of each kind, if there are any."""
        notes = []
        if self._letters:
            said = "; ".join(f"({letter}) {reason}" for reason, letter in self._letters.items())
            notes.append(f"No value: {said}.")
        if self._without_interval:
            notes.append(f"A value without an interval: {'; '.join(self._without_interval)}.")
        return notes


@dataclasses.dataclass(frozen=True)
class Measure:
    """A row of the table of all measures.

    Attributes
    ----------
    title
        What people call it.
    statistics
        Names in the scores; a set has the first one that is there.
    perfect, no_skill
        What a perfect model would have, and one that guesses.
    """

    title: str
    statistics: tuple[str, ...]
    perfect: str = "–"
    no_skill: str = "–"


AREA = ("auc_ensemble", "auc_pooled", "auc_mean")
POOLED = "folds pooled (CV) or scores averaged (test)"
TWO_CLASSES = (
    Measure("ROC-AUC, mean of runs", ("auc_mean",), "1", "0.5"),
    Measure(f"ROC-AUC, {POOLED}", AREA[:2], "1", "0.5"),
    Measure("Average precision", ("average_precision",), "1", "p"),
    Measure("Sensitivity at the fixed threshold", ("sensitivity",), "1"),
    Measure("Specificity at the fixed threshold", ("specificity",), "1"),
    Measure("Fixed threshold", ("threshold",)),
    Measure("Sensitivity at 90\u00a0% specificity", ("sensitivity_at_specificity_90",), "1", "0.1"),
    Measure("Brier score", ("brier",), "0", "p(1 − p)"),
    Measure("Brier score before correction", ("brier_raw",), "0", "p(1 − p)"),
    Measure("Expected calibration error (ECE)", ("ece",), "0"),
    Measure("ECE before correction", ("ece_raw",), "0"),
    Measure("Calibration slope", ("calibration_slope",), "1", "0"),
    Measure("Calibration intercept", ("calibration_intercept",), "0"),
)
SEVERAL_CLASSES = (
    Measure("Accuracy", ("accuracy",), "1", "largest share"),
    Measure("Balanced accuracy", ("balanced_accuracy",), "1", "1/classes"),
    Measure("ROC-AUC of one class against the rest, mean of runs", ("auc_mean",), "1", "0.5"),
    Measure(f"ROC-AUC of one class against the rest, {POOLED}", AREA[:2], "1", "0.5"),
    Measure("Average precision, mean over classes", ("average_precision",), "1", "1/classes"),
    Measure("Brier score, sum over classes", ("brier",), "0"),
    Measure("Brier score before correction", ("brier_raw",), "0"),
    Measure("Expected calibration error (ECE) of the likeliest class", ("ece",), "0"),
    Measure("ECE before correction", ("ece_raw",), "0"),
)
BY_PART = (
    Measure("AUC [95\u00a0%]", AREA),
    Measure("Average precision [95\u00a0%]", ("average_precision",)),
    Measure("Accuracy [95\u00a0%]", ("accuracy",)),
    Measure("Sensitivity [95\u00a0%]", ("sensitivity",)),
    Measure("Specificity [95\u00a0%]", ("specificity",)),
)
SIGNED = ("calibration_slope", "calibration_intercept")

CAPTION = (
    "Blue is cross-validation, vermilion the held-out test set. A: how well cases are ranked above "
    "the others; up and to the left is better, the diagonal is guessing. B: the share of alarms "
    "that are right (precision) against the share of cases found (recall). C: whether a predicted "
    "probability comes true; points on the diagonal are right. D: whether acting on the model does "
    "more good than treating everybody or nobody. E: the scores of each label. F: how many are "
    "decided rightly and wrongly at the threshold fixed on validation."
)
CAPTION_OF_CLASSES = (
    "Above: how well each class is ranked above all others; up and to the left is better, the "
    "diagonal is guessing. Below: how many examples of each class (row) are given each class "
    "(column), with the share of the row."
)
READING = {
    "All measures": (
        "How to read: each row is a measure and each column a set of people; the first rows say "
        "whether the model ranks those with the condition above those without, the next what it "
        "would get right in use, and the last whether its probabilities may be taken at their word."
    ),
    "Several classes": (
        "How to read: each row is a measure and each column a set of people; the first rows say "
        "how often the model names the right class, the next whether it ranks those of a class "
        "above all others, and the last whether its probabilities may be taken at their word."
    ),
    "By class": (
        "How to read: each row takes one class against all others; a class that the model tells "
        "apart from the rest has an AUC near 1."
    ),
    "By site": (
        "How to read: each row is one hospital; intervals that lie apart are a sign that the model "
        "does not travel, wide ones that a hospital has too few cases to tell."
    ),
    "By subgroup": (
        "How to read: each row is a part of the same people; look whether a group has fewer of its "
        "positives found (sensitivity) than another, and at n before believing a difference."
    ),
    "By label definition": (
        "How to read: the same scores held against other definitions of the outcome; a model that "
        "found the condition and not the definition keeps its AUC."
    ),
}


Place = tuple[str, ...]
"""Where a row belongs: table, set, group, level, class."""


class Numbers:
    """Rows of the long table, looked up by what they are of."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ["table", "set", "group", "level", "class"]
        self._rows: dict[Place, dict[str, Mapping[str, Any]]] = {}
        for row in records(table):
            place = tuple(str(row[key]) for key in keys)
            self._rows.setdefault(place, {})[str(row["statistic"])] = row

    def places(self, table: str, of_class: bool = False) -> list[Place]:
        """Return (table, set, group, level, class) of a table, in the order of the scores."""
        return [p for p in self._rows if p[0] == table and bool(p[4]) == of_class]

    def row(self, place: Place, statistics: Sequence[str]) -> Mapping[str, Any] | None:
        """Return the first of some statistics that a place has."""
        found = self._rows.get(place, {})
        return next((found[name] for name in statistics if name in found), None)

    def any_row(self, place: Place) -> Mapping[str, Any]:
        """Return a row for its counts, those of an AUC where there is one."""
        found = self._rows[place]
        return self.row(place, AREA) or next(iter(found.values()))


def caption_of(subject: Subject) -> str:
    """Return how to read the figure of an arm."""
    return CAPTION if len(subject.classes) == 2 else CAPTION_OF_CLASSES


def lay_out_performance(subject: Subject, table: pd.DataFrame) -> list[DisplayTable]:
    """Lay out the measures of an arm (see `tabulate_performance`) for reading."""
    numbers = Numbers(table)
    tables = [_lay_out_measures(subject, numbers)]
    classes = numbers.places("All measures", of_class=True)
    sets = shown_sets([place[1] for place in classes])
    if classes := [place for place in classes if place[1] in sets]:
        tables.append(_lay_out_parts(subject, numbers, "By class", classes))
    for title in PARTS.values():
        places = numbers.places(title)
        if title == "By label definition" and places:
            places = _own_label(numbers) + places
        if places:
            tables.append(_lay_out_parts(subject, numbers, title, places))
    return tables


def shown_sets(names: Sequence[str]) -> list[str]:
    """Return the sets to show, in reading order.

    Held-out people of one kind only are all of the test set, which is then shown once, by its kind.
    """
    kinds = [name for name in ("external", "temporal") if name in names]
    held_out = kinds if len(kinds) == 1 else ["test", *kinds]
    return [name for name in ("cv", *held_out) if name in names]


def _lay_out_measures(subject: Subject, numbers: Numbers) -> DisplayTable:
    places = {place[1]: place for place in numbers.places("All measures")}
    sets = shown_sets(list(places))
    two = len(subject.classes) == 2
    footnotes, shown = Footnotes(), []
    counts = ["n / positive" if two else "n", "–", "–"]
    rows = [[*counts, *(_n_of(numbers.any_row(places[name]), two) for name in sets)]]
    for measure in TWO_CLASSES if two else SEVERAL_CLASSES:
        found = [numbers.row(places[name], measure.statistics) for name in sets]
        if any(row is not None for row in found):
            texts = [cell_text(row, footnotes, with_chance=two) for row in found]
            rows.append([measure.title, measure.perfect, measure.no_skill, *texts])
            shown += [row for row in found if row is not None]
    notes = [*_notes_of_measures(shown), *footnotes.notes]
    return DisplayTable(
        subject.titled("all measures"),
        ("Measure", "Perfect", "No skill", *(f"{SETS[name]} [95\u00a0%]" for name in sets)),
        tuple(Row(tuple(map(Cell, texts)), subject.leaky) for texts in rows),
        READING["All measures" if two else "Several classes"],
        (*notes, *subject.warnings),
        words=3,
        leaky=subject.leaky,
    )


def _notes_of_measures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    methods: dict[str, None] = {}
    remarks: dict[str, None] = {}
    for row in rows:
        method, _, remark = plain(row["method"]).partition("; ")
        if math.isfinite(row["low"]):
            methods[method] = None
        if remark and row["statistic"] != "threshold":
            remarks[remark] = None
    notes = [f"95\u00a0% intervals: {'; '.join(methods)}."] if methods else []
    notes += [remark[0].upper() + remark[1:] + "." for remark in remarks]
    statistics = {row["statistic"] for row in rows}
    if "average_precision" in statistics:
        notes.append("No skill: what guessing reaches; p is the share of positives.")
    fixed: dict[str, list[str]] = {}
    for row in rows:
        if row["statistic"] == "threshold":
            fixed.setdefault(plain(row["method"]), []).append(SETS[row["set"]])
    if fixed:
        said = "; ".join(f"{', '.join(sets)}: {method}" for method, sets in fixed.items())
        notes.append(
            "The threshold has the largest sensitivity + specificity on data that it is not "
            f"judged by. {said}."
        )
    if "brier" in statistics:
        notes.append(
            "Correction: a model trained on under-sampled negatives takes positives for more "
            "common than they are; its scores are brought back to the prevalence of the training "
            "part before Brier score, ECE, slope and intercept are found."
        )
    if "calibration_slope" in statistics:
        notes.append(
            "Slope below 1: scores too extreme; intercept above 0: more are positive than "
            "predicted, below 0: fewer."
        )
    return notes


def _own_label(numbers: Numbers) -> list[Place]:
    return [place for place in numbers.places("All measures") if place[1] in ("cv", "test")]


def _lay_out_parts(
    subject: Subject, numbers: Numbers, title: str, places: Sequence[Place]
) -> DisplayTable:
    """Lay out one row per site, subgroup, label or class, and set."""
    parts = list(dict.fromkeys(place[2:] for place in places))
    ordered = sorted(places, key=lambda place: parts.index(place[2:]))
    # The label trained on has every measure; a column is there for the sake of the others.
    others = [place for place in ordered if any(place[2:])]
    measures = [m for m in BY_PART if any(numbers.row(p, m.statistics) for p in others)]
    by_group = title == "By subgroup"
    counted = len(subject.classes) == 2 or title == "By class"
    footnotes = Footnotes()
    rows, last = [], None
    for place in ordered:
        texts = [plain(place[2])] if by_group else []
        texts += [_part_name(subject, title, place), SETS.get(place[1], plain(place[1]))]
        texts.append(_n_of(numbers.any_row(place), counted))
        found = [numbers.row(place, measure.statistics) for measure in measures]
        texts += [cell_text(row, footnotes, with_chance=counted) for row in found]
        group = place[2] if by_group else place[2:]
        rows.append(Row(tuple(map(Cell, texts)), subject.leaky, last not in (None, group)))
        last = group
    heading = {"By subgroup": "Level", "By site": "Site", "By class": "Class"}.get(title, "Label")
    columns = [*(["Subgroup"] if by_group else []), heading, "Set"]
    return DisplayTable(
        subject.titled(title[0].lower() + title[1:]),
        (*columns, "n / positive" if counted else "n", *(measure.title for measure in measures)),
        tuple(rows),
        READING[title],
        (*_notes_of_parts(title), *footnotes.notes, *subject.warnings),
        words=len(columns),
        leaky=subject.leaky,
    )


def _part_name(subject: Subject, title: str, place: Place) -> str:
    if title == "By class":
        return _class_name(subject, place[4])
    if title == "By label definition" and not place[3]:
        return f"{plain(subject.split.partition('-')[0])} (trained on)"
    return plain(place[3]) or "unknown"


def _class_name(subject: Subject, text: str) -> str:
    known = text.isdecimal() and int(text) < len(subject.classes)
    return plain(subject.classes[int(text)] if known else text)


def _notes_of_parts(title: str) -> list[str]:
    area = "AUC: of the out-of-fold score (CV) or of the score averaged over runs (test)"
    if title == "By label definition":
        return [f"{area}; the model was trained on its own label alone."]
    if title == "By class":
        return [f"{area}."]
    notes = [f"{area}; sensitivity and specificity at the threshold fixed on validation."]
    if title == "By subgroup":
        notes.append("Many groups are compared: one that stands out may do so by chance.")
    return notes


def _n_of(row: Mapping[str, Any], with_positives: bool) -> str:
    total = count(row["positives"] + row["negatives"])
    return f"{total} / {count(row['positives'])}" if with_positives else total


def cell_text(
    row: Mapping[str, Any] | None, footnotes: Footnotes, with_chance: bool = False
) -> str:
    """Return a value with its interval; a dash and the letter of its reason where it has none.

    Parameters
    ----------
    row
        Of the scores; None where they have no such row.
    footnotes
        Takes the reason.
    with_chance
        Whether an average precision is followed by that of guessing, the share of positives.
    """
    if row is None:
        return "–"
    reason = plain(row["method"]).removeprefix("undefined: ")
    if not math.isfinite(row["value"]):
        return f"–\u00a0{footnotes.mark(reason)}" if reason else "–"
    # A dash between two numbers of which one has a minus would not be read.
    may_be_negative = row["statistic"] in SIGNED
    text = signed(row["value"]) if may_be_negative else number(row["value"])
    if not math.isfinite(row["low"]):
        if row["statistic"] != "threshold":
            footnotes.without_interval(reason)
    elif may_be_negative:
        text += f" [{signed(row['low'])} to {signed(row['high'])}]"
    else:
        text += f" [{span(row['low'], row['high'])}]"
    if with_chance and row["statistic"] == "average_precision":
        text += f" (chance {number(row['positives'] / (row['positives'] + row['negatives']))})"
    return text
