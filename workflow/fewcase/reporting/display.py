"""Tables ready for printing: as Markdown, as LaTeX, and as display files for the report."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewcase.data.files import atomic_path, read_json, write_json
from fewcase.reporting.text import for_latex, for_markdown, plain
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

COPIES_NOTE = (
    "Leaky: copies were left where they fell (duplicates: ignore), so the same content is in "
    "training and in validation or test. Such numbers are too good and say nothing about new "
    "patients."
)


def simulated_note(unit: str) -> str:
    """Return what stands below a table of simulated records; `unit` is that of their cohort."""
    records = NOUNS[unit].records
    return f"All {records} are simulated: the numbers are no evidence about patients."


def leaky_note(unit: str) -> str:
    """Return what stands below a table of folds that were drawn without regard to patients."""
    return (
        f"Leaky: folds were drawn by image (scheme: image), so {NOUNS[unit].records} of one "
        "patient may be in training and validation at once. Such numbers are too good and say "
        "nothing about new patients."
    )


def unknown_note(unit: str) -> str:
    """Return what stands below a table of records whose patients nobody knows."""
    return (
        f"Unknown: patients are not known; each {NOUNS[unit].record} counts as a patient of its "
        "own, so one person may be on both sides."
    )


SIMULATED_NOTE, LEAKY_NOTE, UNKNOWN_NOTE = (
    note("window") for note in (simulated_note, leaky_note, unknown_note)
)
"""The same of recordings."""

RED_NOTES = ("Leaky", "Unknown")
"""How notes begin that are shown in red."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is the best of its group, and whether it alone is leaky."""

    text: str
    best: bool = False
    leaky: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """One row; a leaky one is shown in red."""

    cells: tuple[Cell, ...]
    leaky: bool = False
    starts_group: bool = False


@dataclasses.dataclass(frozen=True)
class DisplayTable:
    """A table ready for printing.

    Attributes
    ----------
    title
        One line.
    columns
        Headings.
    rows
        As many cells each as there are headings.
    reading
        One sentence above the table: how to read it.
    notes
        Sentences below the table: how its numbers were found, and what to beware of.
    words
        How many of the first columns are words, set flush left.
    leaky
        Whether all rows are.
    widths
        Of a table of sentences, the width of each column as a share of the line, together somewhat
        less than 1; empty for a table of numbers, whose lines are not broken.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    reading: str
    notes: tuple[str, ...]
    words: int
    leaky: bool = False
    widths: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Display:
    """All tables of a stage, and how to read its figure; empty where it has none.

    `title` heads a figure without tables, whose titles would.
    """

    tables: tuple[DisplayTable, ...]
    caption: str = ""
    title: str = ""


def write_tables(
    tables: Sequence[DisplayTable], caption: str = "", *, md: Path, tex: Path, display: Path
) -> None:
    """Write tables as Markdown, as LaTeX and as a display file.

    LaTeX labels are the name of the file, with a number from the second table on.
    """
    labels = [tex.stem, *(f"{tex.stem}-{i}" for i in range(2, len(tables) + 1))]
    latex = [
        (to_long_latex if table.widths else to_latex)(table, label)
        for table, label in zip(tables, labels, strict=True)
    ]
    for path, texts in [(md, list(map(to_markdown, tables))), (tex, latex)]:
        with atomic_path(path) as temporary:
            temporary.write_text("\n".join(texts), encoding="utf-8")
    write_display(display, tables, caption)


def warnings_below(
    simulated: bool, splits: Iterable[tuple[str, bool, Sequence[str]]], unit: str = "window"
) -> list[str]:
    """Return what must be said below every table with the numbers of some splits.

    Parameters
    ----------
    simulated
        Whether the records are.
    splits
        Name, whether it is leaky, and what its certificates say (see
        `certificate_table.Standing`). A leaky split of which they say nothing was drawn by image.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    """
    leaky: dict[str, None] = {}
    unknown: dict[str, list[str]] = {}
    names = []
    for name, leaks, notes in splits:
        names.append(plain(name))
        of_leaks = [note for note in notes if note.startswith("Leaky")]
        leaky |= dict.fromkeys(of_leaks or ([leaky_note(unit)] if leaks else []))
        for note in notes:
            if note not in of_leaks and names[-1] not in unknown.setdefault(note, []):
                unknown[note].append(names[-1])
    warnings = [simulated_note(unit)] if simulated else []
    for note, named in unknown.items():
        # Rows say themselves whether they are leaky, but not whether that is known.
        where = "" if len(named) == len(set(names)) else f" under {', '.join(named)}"
        warnings.append(note.replace(":", f"{where}:", 1))
    return [*warnings, *leaky]


# Display files -----------------------------------------------------------------------------------


def write_display(
    path: Path, tables: Sequence[DisplayTable], caption: str = "", title: str = ""
) -> None:
    """Write a display file: tables, and how to read their figure, as JSON."""
    values = dataclasses.asdict(Display(tuple(tables), caption, title))
    write_json(path, {key: value for key, value in values.items() if key != "title" or value})


def read_display(path: Path) -> Display:
    """Read a display file back.

    Raises
    ------
    InputError
        Naming the file and the place in it that is not as `write_display` writes it.
    """
    try:
        values = _mapping(read_json(path), "the file")
        tables = [
            _read_table(table, f"tables[{i}]")
            for i, table in enumerate(_get(values, "tables", list, "the file"))
        ]
        texts = (
            _get({"title": "", **values}, key, str, "the file") for key in ("caption", "title")
        )
        return Display(tuple(tables), *texts)
    except _UnexpectedError as error:
        raise InputError(
            f"{path}: not a display file ({error}). Delete it and run the stage that makes it."
        ) from None


class _UnexpectedError(Exception):
    pass


def _mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise _UnexpectedError(f"{where} is {values!r:.40}; expected an object")
    return values


def _get(values: Any, key: str, kind: type, where: str, of: Any = None) -> Any:
    value: Any = _mapping(values, where).get(key)
    expected = {str: "text", bool: "true or false", int: "a whole number", list: "a list"}
    # True is an int to Python.
    wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    if wrong or (of is not None and not all(isinstance(item, of) for item in value)):
        raise _UnexpectedError(f"{where}: {key} is {value!r:.40}; expected {expected[kind]}")
    return value


def _read_table(values: Any, where: str) -> DisplayTable:
    columns = tuple(_get(values, "columns", list, where, str))
    rows = []
    for i, row in enumerate(_get(values, "rows", list, where)):
        place = f"{where}, rows[{i}]"
        cells = [_read_cell(cell, place) for cell in _get(row, "cells", list, place)]
        if len(cells) != len(columns):
            raise _UnexpectedError(f"{place} has {len(cells)} cells; expected {len(columns)}")
        flags = (_get(row, key, bool, place) for key in ("leaky", "starts_group"))
        rows.append(Row(tuple(cells), *flags))
    widths = tuple(_get(values, "widths", list, where, (int, float)))
    if widths and len(widths) != len(columns):
        raise _UnexpectedError(f"{where} has {len(widths)} widths; expected {len(columns)}")
    return DisplayTable(
        title=_get(values, "title", str, where),
        columns=columns,
        rows=tuple(rows),
        reading=_get(values, "reading", str, where),
        notes=tuple(_get(values, "notes", list, where, str)),
        words=_get(values, "words", int, where),
        leaky=_get(values, "leaky", bool, where),
        widths=widths,
    )


def _read_cell(values: Any, where: str) -> Cell:
    flags = (_get(values, key, bool, where) for key in ("best", "leaky"))
    return Cell(_get(values, "text", str, where), *flags)


# Markdown and LaTeX ------------------------------------------------------------------------------


def to_markdown(table: DisplayTable) -> str:
    """Return a table as Markdown, best values in bold and leaky rows marked in words."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(value: Cell) -> str:
        text = for_markdown(value.text)
        return f"**{text}**" if value.best else text

    marks = ["---" if i < table.words else "---:" for i in range(len(table.columns))]
    lines = [f"### {for_markdown(table.title)}", "", for_markdown(table.reading), ""]
    lines += [line([for_markdown(title) for title in table.columns]), line(marks)]
    lines += [line([cell(value) for value in row.cells]) for row in table.rows]
    lines += ["", *(f"- {for_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_latex(table: DisplayTable, label: str) -> str:
    """Return a table as LaTeX, leaky rows in red; what is wider than the column is made smaller.

    It takes the packages booktabs, graphicx and xcolor.
    """
    form = "l" * table.words + "r" * (len(table.columns) - table.words)
    said = " ".join(for_latex(text) for text in (table.reading, *table.notes))
    lines = [
        r"% \usepackage{booktabs,graphicx,xcolor}",
        r"\begin{table}",
        r"  \centering\small",
        rf"  \caption{{{_latex_title(table)}. {said}}}",
        rf"  \label{{{_latex_label(label)}}}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{{form}}}",
        r"    \toprule",
        _latex_line([for_latex(name) for name in table.columns]),
        r"    \midrule",
        *_latex_rows(table, for_latex),
    ]
    lines += [r"    \bottomrule", r"  \end{tabular}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_long_latex(table: DisplayTable, label: str) -> str:
    """Return a table of sentences as a LaTeX longtable, its lines broken within columns.

    It takes the packages booktabs, longtable, array and xcolor.
    """

    def broken(value: str) -> str:
        # File names and names of arms are words of a hundred letters.
        return re.sub(r"(?<=\w)([+/=]|\\_)(?=\w)", r"\1\\allowbreak{}", for_latex(value))

    columns = [rf">{{\raggedright\arraybackslash}}p{{{w:g}\linewidth}}" for w in table.widths]
    heading = _latex_line([rf"\textbf{{{for_latex(name)}}}" for name in table.columns])
    caption = f"{_latex_title(table)}. {for_latex(table.reading)}"
    lines = [
        r"% \usepackage{booktabs,longtable,array,xcolor}",
        r"{\scriptsize",
        rf"\begin{{longtable}}{{{''.join(columns)}}}",
        rf"  \caption{{{caption}}}\label{{{_latex_label(label)}}}\\",
        *(r"    \toprule", heading, r"    \midrule", r"    \endfirsthead"),
        *(r"    \toprule", heading, r"    \midrule", r"    \endhead"),
        *(r"    \bottomrule", r"    \endfoot"),
        *_latex_rows(table, broken),
    ]
    lines += [r"\end{longtable}", *(broken(note) + r"\par" for note in table.notes), "}"]
    return "\n".join(lines) + "\n"


def _latex_title(table: DisplayTable) -> str:
    title = for_latex(table.title)
    return rf"\textcolor{{red}}{{{title}}}" if table.leaky else title


def _latex_label(label: str) -> str:
    return f"tab:{''.join(c if c.isalnum() else '-' for c in label)}"


def _latex_line(cells: Sequence[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"


def _latex_rows(table: DisplayTable, escape: Callable[[str], str]) -> Iterator[str]:
    def cell(value: Cell, leaky: bool) -> str:
        text = escape(value.text)
        text = rf"\textbf{{{text}}}" if value.best else text
        return rf"\textcolor{{red}}{{{text}}}" if leaky or value.leaky else text

    for row in table.rows:
        if row.starts_group:
            yield r"    \midrule"
        yield _latex_line([cell(value, row.leaky) for value in row.cells])
