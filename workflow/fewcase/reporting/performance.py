"""How well one arm does: its measures by set, site, subgroup, class and label, as tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.evaluation.scores import SUMMARY_COLUMNS
from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.display import warnings_below
from fewcase.reporting.text import plain
from fewcase.study.errors import InputError

SETS = {"cv": "CV", "test": "Test", "external": "External test", "temporal": "Temporal test"}
PARTS = {
    "by-parent": "By parent",
    "by-patient": "By patient",
    "site": "By site",
    "group": "By subgroup",
    "label": "By label definition",
}
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
    measure
        What the study is about, one of `fewcase.study.words.MEASURES`.
    unit
        What an example is, one of `fewcase.study.words.UNIT_KINDS`.
    """

    title: str
    simulated: bool
    arm: str
    split: str
    leaky: bool
    classes: tuple[str, ...] = ("negative", "positive")
    notes: tuple[str, ...] = ()
    measure: str = "auc"
    unit: str = "window"

    def certified(self, standings: Mapping[str, Standing]) -> Subject:
        """Return the same arm with what the certificates of its split say."""
        found = standing_in(standings, self.split)
        return dataclasses.replace(self, leaky=self.leaky or found.leaky, notes=found.notes)

    def of_classes(self, classes: int) -> Subject:
        """Return the same arm, with numbers for names where there are more classes than names."""
        if classes <= len(self.classes):
            return self
        return dataclasses.replace(self, classes=tuple(map(str, range(classes))))

    def titled(self, of: str = "") -> str:
        """Return a title that says where recordings are simulated or the split leaks."""
        title = plain(self.title) + (f": {of}" if of else "")
        if self.simulated and "simulated" not in title.lower():
            title += " (simulated)"
        return title + (" (leaky)" if self.leaky else "")

    @property
    def warnings(self) -> list[str]:
        """What to beware of, in sentences below a table."""
        return warnings_below(self.simulated, [(self.split, self.leaky, self.notes)], self.unit)


def read_subject(text: str) -> Subject:
    """Read a subject from JSON: title, simulated, arm, split, leaky.

    Optionally classes, measure (auc where it is not named) and unit (window, image or tile).

    Raises
    ------
    InputError
        Where the text is no JSON, or a key is missing or unknown.
    """
    required = {"title", "simulated", "arm", "split", "leaky"}
    values = read_content(text, required, {"classes", "measure", "unit"})
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
        measure=str(values.get("measure") or "auc"),
        unit=str(values.get("unit") or "window"),
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
        which, ``site``, ``label`` or, of examples averaged, ``parent``; both are empty for a whole
        set.

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
    if kind in ("by-parent", "by-patient"):
        group = kind.removeprefix("by-")
        return {"table": PARTS[kind], "set": whole, "group": group, "level": ""}
    group, _, level = key.partition("=") if kind == "group" else (kind, "", key)
    return {"table": PARTS[kind], "set": whole, "group": group, "level": level}
