"""The reproduction sheet laid out for reading."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row, leaky_note, simulated_note
from fewcase.reporting.paper import Paper
from fewcase.reporting.settings_table import OTHER, SAME, SILENT
from fewcase.reporting.text import count, number, plain, signed
from fewcase.reporting.verdicts import NARROW, NOT_RUN, VERDICTS

FEW = 3
"""More rows in succession that were not run are printed as one."""

# Of the printed columns, as shares of the line.
SETTING_WIDTHS = (0.06, 0.3, 0.2, 0.2, 0.16)
SHEET_WIDTHS = (0.09, 0.24, 0.13, 0.14, 0.08, 0.08, 0.08, 0.07)

NAN = float("nan")


def lay_out_reproduction(
    paper: Paper,
    settings: pd.DataFrame,
    sheet: pd.DataFrame,
    *,
    simulated: bool,
    unit: str = "window",
) -> list[DisplayTable]:
    """Lay out a sheet for reading: first what was set otherwise, then every number.

    `unit` is what an example of the study is, one of `fewcase.study.words.UNIT_KINDS`.
    """
    word = " (simulated)" if simulated else ""
    return [
        _lay_out_settings(paper, settings, word),
        _lay_out_sheet(paper, settings, sheet, word, unit),
    ]


def _lay_out_settings(paper: Paper, settings: pd.DataFrame, word: str) -> DisplayTable:
    ordered = [settings[settings["state"] == state] for state in (OTHER, SILENT, SAME)]
    rows: list[Row] = []
    for part in ordered:
        for i, row in enumerate(part.to_dict("records")):
            keys = ("number", "key", "paper", "ours", "where")
            cells = tuple(Cell(plain(row[key]) or "–") for key in keys)
            rows.append(Row(cells, starts_group=bool(rows) and i == 0))
    reading = (
        "How to read: first what this study sets otherwise than the paper, numbered, then what the "
        "paper does not say, then what is the same."
    )
    notes = (
        f"The paper: {plain(paper.citation)}.",
        "Ours are the settings in effect for the study's default arm.",
    )
    columns = ("No.", "Setting", "Paper", "Ours", "Where")
    title = f"Reproduction: settings{word}"
    return DisplayTable(title, columns, tuple(rows), reading, notes, 5, widths=SETTING_WIDTHS)


def _lay_out_sheet(
    paper: Paper, settings: pd.DataFrame, sheet: pd.DataFrame, word: str, unit: str
) -> DisplayTable:
    numbers = {
        row["key"]: row["number"] for row in settings.to_dict("records") if row["number"] != ""
    }
    rows: list[Row] = []
    last = None
    for row in _collapsed(sheet):
        leaky = row["leaky"] == "yes"
        texts = [
            row["where"],
            row["what"] + (" (leaky)" if leaky else ""),
            row["verdict"],
            row["why"],
            _cited(row["settings"], numbers),
            row["says"] or _shown(row, "paper"),
            _shown(row, "ours"),
            _interval(row),
        ]
        group = (row["kind"], row["where"])
        cells = tuple(Cell(plain(text) or "–") for text in texts)
        rows.append(Row(cells, leaky, starts_group=last is not None and group != last))
        last = group
    found = sheet["verdict"].value_counts()
    tally = ", ".join(f"{word}: {found[word]}" for word in VERDICTS if word in found)
    reading = (
        f"How to read: {_kind_of_value(paper)} agrees where the paper's value lies within our "
        "95\u00a0% interval and "
        f"the interval is no wider than ± {NARROW:g}, differs where the value lies outside, and "
        "otherwise nobody can tell."
    )
    notes = [
        f"In all: {tally}.",
        "The paper's own uncertainty is not counted. Counts and sizes are the same or they differ.",
        "Statements are held against the interval of our difference: a loss is shown where it lies "
        "below 0, no loss where it lies above the loss that would matter.",
        "Settings: numbers of the table above that bear on the row; a key path is a setting of "
        "this arm alone. What the paper does not say may differ as well.",
    ]
    if word:
        notes.append(simulated_note(unit) + " They can neither confirm nor contradict the paper.")
    leaky_rows = [row.leaky for row in rows]
    if any(leaky_rows):
        notes.append(leaky_note(unit))
    columns = ("Where", "What", "Verdict", "Why", "Settings", "Paper", "Ours", "Our 95\u00a0%")
    return DisplayTable(
        f"Reproduction: {plain(paper.title)}{word}",
        columns,
        tuple(rows),
        reading,
        tuple(notes),
        5,
        bool(rows) and all(leaky_rows),
        SHEET_WIDTHS,
    )


def _kind_of_value(paper: Paper) -> str:
    measures = {table.measure for table in paper.arms}
    return (
        "an AUC"
        if measures <= {"auc"}
        else "an AUC or accuracy"
        if "auc" in measures
        else ("an accuracy")
    )


def _collapsed(sheet: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a sheet; many in succession that were not run become one."""
    waiting: list[dict[str, Any]] = []

    def flush() -> Iterator[dict[str, Any]]:
        if len(waiting) <= FEW:
            yield from waiting
        else:
            blank = dict.fromkeys(("paper", "paper_sd", "ours", "ours_sd", "low", "high"), NAN)
            what = f"{len(waiting)} numbers, one by one in the CSV file"
            why = "not in this preset or study"
            yield waiting[0] | blank | {"what": what, "why": why, "settings": "", "says": ""}
        waiting.clear()

    for values in sheet.to_dict("records"):
        row = {str(key): value for key, value in values.items()}
        same = waiting and (row["kind"], row["where"]) == (waiting[0]["kind"], waiting[0]["where"])
        if row["verdict"] != NOT_RUN:
            yield from flush()
            yield row
            continue
        if not same:
            yield from flush()
        waiting.append(row)
    yield from flush()


def _shown(row: Mapping[str, Any], side: str) -> str:
    value, sd = row[side], row[f"{side}_sd"]
    if not math.isfinite(value):
        return "–"
    if row["kind"] == "parameters":
        return f"{value / 1e6:.1f} M"
    if row["kind"] in ("count", "wins"):
        return count(value) if float(value).is_integer() else number(value)
    digits = 4 if row["kind"] == "value" else 3
    # A statement's number is a difference.
    return signed(value, digits) + (f" ± {number(sd, digits)}" if math.isfinite(sd) else "")


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["low"], row["high"]
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    # A dash between numbers that may be negative would be read as a sign.
    return f"{signed(low)} to {signed(high)}"


def _cited(differences: str, numbers: Mapping[str, Any]) -> str:
    """Return the numbers of the settings that differ; one that only this arm has is spelled out."""
    cited, own = [], []
    for part in filter(None, differences.split("; ")):
        key = part.partition(":")[0]
        if key in numbers:
            cited.append(int(numbers[key]))
        else:
            own.append(part)
    return ", ".join([*map(str, sorted(cited)), *own])
