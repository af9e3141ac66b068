"""CSV files, read strictly: their encoding, their delimiter, and as many cells in every row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")


class CsvError(Exception):
    """Text that is no table, or a cell that is no number; the message is one clause."""


def read_text(path: Path, encoding: str) -> str:
    """Return a file's text without a byte order mark; UnicodeDecodeError in a wrong encoding."""
    text = path.read_bytes().decode(encoding).removeprefix("\ufeff")
    # Spreadsheets still save "CSV (Macintosh)", whose lines end in a carriage return alone.
    return text if "\n" in text else text.replace("\r", "\n")


def header_line(text: str) -> str:
    """Return the first line of a table, empty where there is none."""
    return text.split("\n", 1)[0].rstrip("\r")


def split_header(line: str, delimiter: str) -> list[str]:
    """Return the column names of a header, without quotation marks and blanks around them."""
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [name.strip() for name in cells]


def better_delimiter(line: str, wanted: Sequence[str], delimiter: str) -> str | None:
    """Return the delimiter with which a header has most of the wanted columns, if another does."""
    counts = {
        candidate: len(set(wanted) & set(split_header(line, candidate)))
        for candidate in (delimiter, *DELIMITERS)
    }
    best = max(counts, key=lambda candidate: counts[candidate])
    return best if counts[best] > counts[delimiter] else None


def parse_texts(
    text: str, delimiter: str, columns: Sequence[str], names: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Return some columns of a table as texts, without blanks around them.

    All columns are called as the header has them, or by `names`.

    Raises
    ------
    CsvError
        Where a row has more or fewer cells than the header.
    """
    import pyarrow as pa

    names = names or split_header(header_line(text), delimiter)
    table = _parse(text, delimiter, names, dict.fromkeys(columns, pa.string()), ())
    return {name: [cell.strip() for cell in table[name].to_pylist()] for name in columns}


def parse_numbers(
    text: str, delimiter: str, columns: Sequence[str], missing: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return some columns of a table as numbers, NaN where a cell is a word for missing.

    Raises
    ------
    CsvError
        Where a row has more or fewer cells than the header, or a cell is neither a number nor
        one of the words.
    """
    import pyarrow as pa

    names = split_header(header_line(text), delimiter)
    kinds = dict.fromkeys(columns, pa.float64())
    try:
        table = _parse(text, delimiter, names, kinds, missing)
    except CsvError as error:
        if "conversion error" not in str(error):
            raise
        # Blanks around a word for missing, or a cell to be named: both take a slower look.
        texts = parse_texts(text, delimiter, columns)
        return {name: _numbers(texts[name], name, set(missing)) for name in columns}
    return {name: table[name].to_numpy() for name in columns}


def _parse(
    text: str,
    delimiter: str,
    names: Sequence[str],
    kinds: dict[str, pa.DataType],
    missing: Sequence[str],
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv

    if "\n" not in text.rstrip("\r\n"):
        # Arrow takes a header alone for an error.
        return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            pyarrow.csv.ReadOptions(use_threads=False, column_names=list(names), skip_rows=1),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                null_values=list(missing),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise CsvError(str(error).removeprefix("CSV parse error: ")) from None


def _numbers(cells: Sequence[str], column: str, missing: set[str]) -> npt.NDArray[np.float64]:
    numbers = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell in missing:
            continue
        try:
            numbers[row] = float(cell)
        except ValueError:
            raise CsvError(
                f"row {row + 1} of {column!r} is {cell!r}, expected a number or one of the words "
                f"for missing, {sorted(missing)}"
            ) from None
    return numbers
