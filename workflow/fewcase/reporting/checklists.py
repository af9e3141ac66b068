"""Reporting checklists: filled from a run's files where the run knows, blank where authors do."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from fewcase.reporting.checklist_answers import ANSWERS
from fewcase.reporting.display import Cell, DisplayTable, Row, simulated_note
from fewcase.reporting.run_files import Answer, RunFiles
from fewcase.reporting.text import plain
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest, read_section, setting
from fewcase.study.words import NOUNS
from fewcase.study.yaml_file import check_keys_stand_once

CHECKLIST_COLUMNS = ["item", "section", "topic", "asks", "answer", "source", "authors", "state"]
FILLED, IN_PART, BLANK = "filled", "in part", "for the authors"
WIDTHS = (0.05, 0.11, 0.2, 0.4, 0.16)
"""Of the printed columns, as shares of the line."""
FOR_AUTHORS = "For the authors to complete"
READING = (
    "How to read: each row is an item of the checklist; what the run knows is filled in from the "
    "file named beside it, and what only the authors know is left to them."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a checklist."""

    item: str = setting(help="Number as the checklist gives it, such as 12c.")
    section: str = setting(help="Section of the checklist.")
    topic: str = setting(help="What it is about, in a word or two.")
    asks: str = setting(help="What it asks for, in our words.")
    answers: tuple[str, ...] = setting((), help="What a run knows of it.")
    authors: str = setting("", help="What only the authors know, beside these answers.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checklist:
    """A checklist with its source."""

    name: str = setting(help="Its name.")
    title: str = setting(help="Heading of the table.")
    citation: str = setting(help="Where it was published.")
    items: tuple[Item, ...] = setting(help="Its items in order.")


ACQUIRED = {"window": "images or signals"}
LEVELS = {"window": "recording, image", "image": "image", "tile": "image, tile"}
"""What a checklist calls what was acquired, and the levels below the patient, by unit."""


def read_checklist(path: Path, unit: str = "window") -> Checklist:
    """Read a checklist, in the words of cohorts of a unit.

    Raises
    ------
    InputError
        Naming the file and the item, where a key is unknown, an item stands twice, or an answer is
        none that a run has.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        records = NOUNS[unit].records
        words = {"records": records, "acquired": ACQUIRED.get(unit, records)}
        for word, said in {**words, "levels": f"patient, {LEVELS[unit]}"}.items():
            text = text.replace(f"{{{word}}}", said)
        values = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: no readable file ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({error}).") from None
    check_keys_stand_once(Path(path))
    checklist = read_section(Checklist, values, str(path))
    seen: set[str] = set()
    for item in checklist.items:
        if item.item in seen:
            raise InputError(f"{path}: item {item.item!r} stands twice; drop one.")
        seen.add(item.item)
        for name in item.answers:
            if name not in ANSWERS:
                raise InputError(
                    f"{path}: item {item.item}: no run has an answer {name!r}."
                    f"{nearest(name, ANSWERS)}"
                )
    return checklist


def fill(checklist: Checklist, files: RunFiles, root: Path) -> pd.DataFrame:
    """Fill a checklist from the files of a run.

    Parameters
    ----------
    checklist
        The items.
    files
        The run's files.
    root
        Folder that the pointers to files are relative to.

    Returns
    -------
    pandas.DataFrame
        One row per item, columns `CHECKLIST_COLUMNS`: what it asks, the answer, the files it comes
        from, what is left to the authors, and the state: filled, in part, or for the authors.
    """
    known: dict[str, Answer | None] = {}
    rows = []
    for item in checklist.items:
        for name in item.answers:
            if name not in known:
                known[name] = ANSWERS[name](files)
        found = [answer for name in item.answers if (answer := known[name]) is not None]
        sources = dict.fromkeys(path for answer in found for path in answer.sources)
        state = BLANK if not found else IN_PART if item.authors else FILLED
        rows.append(
            {
                "item": item.item,
                "section": item.section,
                "topic": item.topic,
                "asks": item.asks,
                "answer": " ".join(plain(answer.text) for answer in found),
                "source": ", ".join(_pointer(path, root) for path in sources),
                "authors": item.authors if found else item.authors or "all of it",
                "state": state,
            }
        )
    return pd.DataFrame(rows, columns=CHECKLIST_COLUMNS)


def _pointer(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def lay_out_checklist(
    checklist: Checklist,
    table: pd.DataFrame,
    *,
    simulated: bool,
    warnings: Sequence[str] = (),
    unit: str = "window",
) -> DisplayTable:
    """Lay out a filled checklist (see `fill`) for reading."""
    rows: list[Row] = []
    last = None
    for row in table.to_dict("records"):
        answer = str(row["answer"])
        if row["state"] == BLANK:
            answer = f"{FOR_AUTHORS}."
        elif row["state"] == IN_PART:
            answer = f"{answer} {FOR_AUTHORS}: {row['authors']}."
        cells = (row["item"], row["topic"], row["asks"], answer, row["source"] or "–")
        starts = last is not None and row["section"] != last
        last = row["section"]
        rows.append(Row(tuple(Cell(plain(text)) for text in cells), starts_group=starts))
    counts = table["state"].value_counts()
    tally = ", ".join(
        f"{counts[state]} {state}" for state in (FILLED, IN_PART, BLANK) if state in counts
    )
    notes = [
        f"{len(table)} items: {tally}.",
        "Files are relative to the folder of the results; nothing in the answers was typed.",
        f"Source: {plain(checklist.citation)}. Numbers are the checklist's, the wording is ours; "
        "the checklist itself has the last word.",
        *warnings,
        *([simulated_note(unit)] if simulated else []),
    ]
    word = " (simulated)" if simulated else ""
    columns = ("Item", "Topic", "Asks for", "Answer of this run", "File")
    title = checklist.title + word
    return DisplayTable(title, columns, tuple(rows), READING, tuple(notes), 5, widths=WIDTHS)
