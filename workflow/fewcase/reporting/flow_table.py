"""The flow of a cohort as tables of counts: what is left after each step, what left, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row, leaky_note, simulated_note
from fewcase.reporting.text import count, plain, shorten
from fewcase.splits.flow import (
    CROSS_VALIDATION,
    GIVEN_PARTS,
    IN_PART,
    KEPT_APART,
    LEFT_OUT,
    REMAINING,
    TEST,
    account_columns,
)
from fewcase.splits.steps import ALL, NO_CLASS, YES_OR_NO
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

STEP_TITLES = {
    "recorded": "Recorded",
    "ingested": "Readable",
    "window long enough": "Window long enough",
    "signal quality": "Enough signal",
    "labelled": "With a label",
    "assigned by the split": "Used by the split",
    CROSS_VALIDATION: "Cross-validation",
    GIVEN_PARTS: "Training and validation, as given",
}
CAPTION = (
    "From top to bottom what is left after each step, as in a STARD or CONSORT diagram; grey boxes "
    "beside the arrows say what left and why, and blue ones what was set apart for testing."
)
READING = (
    "How to read: a step in bold holds what is left after it, and the rows above it say what left "
    "on the way and why."
)
SITES_PER_TABLE = 8
"""A table of more sites is cut into several, side by side on no page."""

_KINDS = {LEFT_OUT: "left out", TEST: "test", KEPT_APART: "kept apart"}


@dataclasses.dataclass(frozen=True)
class Box:
    """The counts of one box, in all and by site and label.

    `examples` is None, and `examples_by_label` empty, before there are any. Sites and labels
    without any record are left out. `labels` counts records.
    """

    step: str
    kind: str
    reason: str
    records: int
    patients: int
    examples: int | None
    labels: dict[str, int]
    examples_by_label: dict[str, int]
    sites: dict[str, int]
    by_site: dict[str, dict[str, int]]

    @property
    def title(self) -> str:
        """The step in words, or why these went another way."""
        text = plain(self.reason or STEP_TITLES.get(self.step, self.step))
        return text[:1].upper() + text[1:]


def _records_column(account: pd.DataFrame) -> str:
    """Return the column that counts records, which is called what they are."""
    return next(n for n in {nouns.records: None for nouns in NOUNS.values()} if n in account)


def read_account(path: Path) -> pd.DataFrame:
    """Read back the CSV file of `fewcase.splits.flow.follow`.

    Raises
    ------
    InputError
        Where the file is missing or has other columns.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
        unit = next((unit for unit, nouns in NOUNS.items() if nouns.records in table), "window")
        numbers = [NOUNS[unit].records, "patients"]
        table[numbers] = table[numbers].apply(pd.to_numeric)
        table["examples"] = pd.to_numeric(table["examples"]).astype("Int64")
        return table[account_columns(unit)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not an account of a cohort's flow ({error}).") from None


def boxes_of(account: pd.DataFrame) -> list[Box]:
    """Return the boxes of an account (see `fewcase.splits.flow.follow`) in its order."""
    records = _records_column(account)
    keys = account[["step", "kind", "reason"]].apply(tuple, axis=1)
    boxes = []
    for key in dict.fromkeys(keys):
        rows = account[keys == key]
        # A site may be called "all" as well: the total is the later of the two.
        n_labels = rows["label"].nunique()
        total, sites = rows.iloc[-n_labels:], rows.iloc[:-n_labels]
        whole = total[total["label"] == ALL].iloc[-1]
        labelled, each = total[total["label"] != ALL], sites[sites["label"] == ALL]
        by_site = {
            str(site): dict(zip(part["label"], part[records], strict=True))
            for site, part in sites[sites["label"] != ALL].groupby("site", sort=False)
        }
        known = not pd.isna(whole["examples"])
        boxes.append(
            Box(
                step=str(key[0]),
                kind=str(key[1]),
                reason=str(key[2]),
                records=int(whole[records]),
                patients=int(whole["patients"]),
                examples=int(whole["examples"]) if known else None,
                labels=_counts(labelled, "label", records),
                examples_by_label=_counts(labelled, "label", "examples") if known else {},
                sites=_counts(each, "site", records),
                by_site=by_site,
            )
        )
    return boxes


def _counts(rows: pd.DataFrame, column: str, counted: str) -> dict[str, int]:
    pairs = zip(rows[column].astype(str), rows[counted].astype(int), strict=True)
    return {name: number for name, number in pairs if number}


def lay_out_flow(
    title: str,
    account: pd.DataFrame,
    *,
    simulated: bool,
    leaky: bool = False,
    unit: str = "window",
) -> list[DisplayTable]:
    """Lay out an account for reading: all sites by label, then the sites side by side."""
    boxes = boxes_of(account)
    labels = [label for label in dict.fromkeys(account["label"]) if label != ALL]
    sites = list(dict.fromkeys(site for box in boxes for site in box.sites))
    notes = [
        _what_adds_up(unit, {box.step for box in boxes}),
        *([simulated_note(unit)] if simulated else []),
        *([leaky_note(unit)] if leaky else []),
    ]
    columns = ("Step", *_counted(unit), *map(_label_title, labels))
    rows = [_row(box, _numbers(box, labels, unit), leaky, unit) for box in boxes]
    tables = [DisplayTable(plain(title), columns, tuple(rows), READING, tuple(notes), 1, leaky)]
    for start in range(0, len(sites), SITES_PER_TABLE):
        chosen = sites[start : start + SITES_PER_TABLE]
        part = "" if len(sites) <= SITES_PER_TABLE else f" ({start // SITES_PER_TABLE + 1})"
        heading = f"{plain(title)}: by {NOUNS[unit].site}{part}"
        tables.append(_table_of_sites(heading, boxes, chosen, leaky, unit))
    return tables


def _what_adds_up(unit: str, steps: set[str]) -> str:
    nouns = NOUNS[unit]
    records = nouns.records.capitalize()
    if unit == "image":
        until = f"{records} add up from step to step"
    else:
        counted = "examples" if unit == "window" else nouns.examples
        until = f"{records} add up until {nouns.examples} are assigned, {counted} from there on"
    parts = "Fold 1 of the first seed stands for all folds."
    if GIVEN_PARTS in steps:
        parts = "The parts are those that the data come with."
    return f"{until}; patients do not, as one may have several {nouns.records}. {parts}"


def _counted(unit: str) -> list[str]:
    """Return the headings of what is counted in all; an image is its own example."""
    nouns = NOUNS[unit]
    examples = {"window": ["Examples"], "image": []}.get(unit, [nouns.examples.capitalize()])
    return [nouns.records.capitalize(), "Patients", *examples]


def _label_title(label: str) -> str:
    """Return a label as a heading: names of classes stay as they are."""
    return label.capitalize() if label in (*YES_OR_NO.values(), NO_CLASS) else plain(label)


def _numbers(box: Box, labels: Sequence[str], unit: str) -> list[str]:
    """Return the counts of a row; by label those of tiles, where a record is cut into some."""
    numbers = [count(box.records), count(box.patients)]
    if unit != "image":
        numbers.append("–" if box.examples is None else count(box.examples))
    if unit != "tile":
        return [*numbers, *(count(box.labels.get(label, 0)) for label in labels)]
    if box.examples is None:
        return [*numbers, *("–" for _ in labels)]
    return [*numbers, *(count(box.examples_by_label.get(label, 0)) for label in labels)]


def _row(box: Box, numbers: Iterable[str], leaky: bool, unit: str) -> Row:
    remains = box.kind == REMAINING
    kinds = {**_KINDS, IN_PART: f"some {NOUNS[unit].examples} left out"}
    name = box.title if remains else f"{kinds[box.kind]}: {plain(box.reason)}"
    return Row((Cell(name, remains), *(Cell(text) for text in numbers)), leaky)


def _table_of_sites(
    title: str, boxes: Sequence[Box], sites: Sequence[str], leaky: bool, unit: str
) -> DisplayTable:
    nouns = NOUNS[unit]
    bracketed = any("positive" in of for box in boxes for of in box.by_site.values())

    def cell(box: Box, site: str) -> str:
        labels = box.by_site.get(site, {})
        positive = labels.get("positive")
        number = count(box.sites.get(site, 0))
        return number if positive is None or number == "0" else f"{number} ({count(positive)})"

    rows = [_row(box, [cell(box, site) for site in sites], leaky, unit) for box in boxes]
    names = [shorten(plain(site) or "no site", 40) for site in sites]
    notes = (leaky_note(unit),) if leaky else ()
    reading = (
        f"How to read: the same steps {nouns.site} by {nouns.site}, counted in {nouns.records}"
    )
    reading += ", with the positive ones in brackets." if bracketed or unit == "window" else "."
    return DisplayTable(title, ("Step", *names), tuple(rows), reading, notes, 1, leaky)
