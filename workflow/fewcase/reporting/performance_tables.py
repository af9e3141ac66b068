"""The measures of one arm laid out for reading: by set, site, subgroup, class and label."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.headline import judged_by_all
from fewcase.reporting.performance import PARTS, SETS, Subject, records
from fewcase.reporting.performance_curves import Picture
from fewcase.reporting.performance_measures import (
    ACCURACIES,
    AREA,
    AT_LEAST_A_CLASS,
    BY_PARENT,
    BY_PART,
    SEVERAL_CLASSES,
    SIGNED,
    TWO_CLASSES,
)
from fewcase.reporting.text import count, number, percent, plain, signed, span
from fewcase.study.words import NOUNS


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
    "At least a class": (
        "How to read: each row takes a class and all above it together against those below; the "
        "AUC is how often an example of the former has a larger sum of their scores than one of "
        "the latter."
    ),
    "By parent": (
        "How to read: a network sees {examples}; whoever decides about {records} needs the rows of "
        "these, for which the scores of each one's {examples} are averaged."
    ),
    "By patient": (
        "How to read: a network sees {examples}; whoever decides about patients needs the rows of "
        "these, for which the scores of each one's {examples} are averaged."
    ),
    "Confusion": (
        "How to read: each row is what {examples} are, each column what they are called; in "
        "brackets the share of the row, which is the sensitivity of the class on the diagonal."
    ),
    "By site": (
        "How to read: each row is one {site}; intervals that lie apart are a sign that the model "
        "does not travel, wide ones that a {site} has too few cases to tell."
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
    (at_least,) = AT_LEAST_A_CLASS
    if above := [place for place in classes if numbers.row(place, at_least.statistics)]:
        tables.append(_lay_out_parts(subject, numbers, "At least a class", above))
    for title in PARTS.values():
        places = numbers.places(title)
        if title in ("By label definition", "By parent", "By patient") and places:
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


def set_titles(numbers: Numbers) -> dict[str, str]:
    """Return what the sets are called: a single validation set is no cross-validation."""
    mean = numbers.row(("All measures", "cv", "", "", ""), ("auc_mean",))
    judged = mean is not None and judged_by_all([str(mean["method"])])
    return SETS | {"cv": "Validation"} if judged else SETS


def _lay_out_measures(subject: Subject, numbers: Numbers) -> DisplayTable:
    places = {place[1]: place for place in numbers.places("All measures")}
    sets = shown_sets(list(places))
    two = len(subject.classes) == 2
    footnotes, shown = Footnotes(), []
    counts = ["n / positive" if two else "n", "–", "–"]
    rows = [[*counts, *(_n_of(numbers.any_row(places[name]), two) for name in sets)]]
    titles = set_titles(numbers)
    of_two = TWO_CLASSES if subject.measure == "auc" else (*ACCURACIES, *TWO_CLASSES)
    for measure in of_two if two else SEVERAL_CLASSES:
        found = [numbers.row(places[name], measure.statistics) for name in sets]
        if any(row is not None for row in found):
            texts = [cell_text(row, footnotes, with_chance=two) for row in found]
            rows.append([measure.title, measure.perfect, measure.no_skill, *texts])
            shown += [row for row in found if row is not None]
    notes = [*_notes_of_measures(shown), *footnotes.notes]
    return DisplayTable(
        subject.titled("all measures"),
        ("Measure", "Perfect", "No skill", *(f"{titles[name]} [95\u00a0%]" for name in sets)),
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
    if "quadratic_kappa" in statistics:
        notes.append(
            "Kappa: agreement of the class that is called with the true one beyond that of calls "
            "which know nothing of it; to be two classes off counts four times to be one off."
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


HEADINGS = {
    "By subgroup": "Level",
    "By site": "Site",
    "By class": "Class",
    "At least a class": "Class",
    "By parent": "Scored by",
    "By patient": "Scored by",
}
WANTED = {"By parent": BY_PARENT, "By patient": BY_PARENT, "At least a class": AT_LEAST_A_CLASS}
"""What tables show that do not show `BY_PART`."""


def _reading(subject: Subject, title: str) -> str:
    nouns = NOUNS[subject.unit]
    return READING[title].format(**dataclasses.asdict(nouns))


def _lay_out_parts(
    subject: Subject, numbers: Numbers, title: str, places: Sequence[Place]
) -> DisplayTable:
    """Lay out one row per site, subgroup, label or class, and set."""
    parts = list(dict.fromkeys(place[2:] for place in places))
    ordered = sorted(places, key=lambda place: parts.index(place[2:]))
    # The label trained on has every measure; a column is there for the sake of the others.
    others = [place for place in ordered if any(place[2:])]
    wanted = WANTED.get(title, BY_PART)
    measures = [m for m in wanted if any(numbers.row(p, m.statistics) for p in others)]
    titles = set_titles(numbers)
    by_group = title == "By subgroup"
    counted = len(subject.classes) == 2 or title in ("By class", "At least a class")
    footnotes = Footnotes()
    rows, last = [], None
    for place in ordered:
        texts = [plain(place[2])] if by_group else []
        texts += [_part_name(subject, title, place), titles.get(place[1], plain(place[1]))]
        found = [numbers.row(place, measure.statistics) for measure in measures]
        of_first = numbers.row(place, wanted[0].statistics)
        texts.append(_n_of(of_first or numbers.any_row(place), counted))
        texts += [cell_text(row, footnotes, with_chance=counted) for row in found]
        group = place[2] if by_group else place[2:]
        rows.append(Row(tuple(map(Cell, texts)), subject.leaky, last not in (None, group)))
        last = group
    heading = HEADINGS.get(title, "Label")
    columns = [*(["Subgroup"] if by_group else []), heading, "Set"]
    return DisplayTable(
        subject.titled(title[0].lower() + title[1:]),
        (*columns, "n / positive" if counted else "n", *(measure.title for measure in measures)),
        tuple(rows),
        _reading(subject, title),
        (*_notes_of_parts(title), *footnotes.notes, *subject.warnings),
        words=len(columns),
        leaky=subject.leaky,
    )


def _part_name(subject: Subject, title: str, place: Place) -> str:
    if title == "By class":
        return _class_name(subject, place[4])
    if title == "At least a class":
        return f"at least {_class_name(subject, place[4])}"
    if title == "By patient":
        return "patient" if place[2] else NOUNS[subject.unit].example
    if title == "By parent":
        nouns = NOUNS[subject.unit]
        return nouns.record if place[2] else nouns.example
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
        return [
            f"{area}. Accuracy: of all examples, those that are rightly given the class and those "
            "that are rightly not; of a rare class it is high even where none of it is found."
        ]
    if title in ("At least a class", "By parent", "By patient"):
        return [f"{area}."]
    notes = [f"{area}; sensitivity and specificity at the threshold fixed on validation."]
    if title == "By subgroup":
        notes.append("Many groups are compared: one that stands out may do so by chance.")
    return notes


def _n_of(row: Mapping[str, Any], with_positives: bool) -> str:
    total = count(row["positives"] + row["negatives"])
    return f"{total} / {count(row['positives'])}" if with_positives else total


def lay_out_confusions(subject: Subject, pictures: Sequence[Picture]) -> list[DisplayTable]:
    """Lay out which class is taken for which, a table for each set; none of two classes.

    Those are decided at a threshold, and counted in the figure.
    """
    if len(subject.classes) == 2:
        return []
    tables = []
    for picture in pictures:
        totals = picture.confusion.sum(axis=1)
        rows = []
        for name, of_class, total in zip(subject.classes, picture.confusion, totals, strict=True):
            cells = [
                f"{count(float(n))} ({percent(float(n / total)) if total else '–'})"
                for n in of_class
            ]
            texts = (name, *cells, count(float(total)))
            rows.append(Row(tuple(map(Cell, texts)), subject.leaky))
        note = "The mean score over runs decides."
        if picture.name == "cv":
            note = (
                "The mean score over seeds decides, so that the diagonal may differ a little from "
                "the accuracy, which is the mean over seeds."
            )
        tables.append(
            DisplayTable(
                subject.titled(f"confusion matrix, {picture.title}"),
                ("True class", *subject.classes, "n"),
                tuple(rows),
                _reading(subject, "Confusion"),
                (note, *subject.warnings),
                words=1,
                leaky=subject.leaky,
            )
        )
    return tables


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
