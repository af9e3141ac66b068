"""A metadata table as hospitals keep it, CSV or parquet: its columns, words, numbers and dates."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.files import read_table
from fewcase.ingest.csv_files import (
    CsvError,
    better_delimiter,
    header_line,
    parse_texts,
    read_text,
    split_header,
)
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.spelling import plain_name

ENCODINGS = ("utf-8-sig", "cp932", "euc_jp", "iso2022_jp", "utf-16")

_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d*)?)?)?"
)
_DIGITS_ALONE = re.compile(r"(\d{4})(\d{2})(\d{2})")


def read_columns(
    path: Path, wanted: Iterable[str], *, encoding: str, delimiter: str
) -> dict[str, list[Any]]:
    """Read some columns of a table, cells as they are: texts of CSV, values of parquet.

    Raises
    ------
    InputError
        Where the table cannot be read, or a column is missing or there twice.
    """
    wanted = list(wanted)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Set data= and the source's option table so that they name the "
            "metadata table."
        )
    if path.suffix.lower() == ".parquet":
        table = _read_parquet(path)
        _check_columns(path, list(table.columns), wanted)
        return {column: table[column].tolist() for column in wanted}
    text = _read_text(path, encoding)
    header = header_line(text)
    # Config and table may write one name in two ways, which nobody could tell apart.
    written = {plain_name(name): name for name in wanted}
    found = [written.get(plain_name(n), n) for n in split_header(header, delimiter)]
    if not set(wanted) <= set(found):
        better = better_delimiter(header, wanted, delimiter)
        if better is not None:
            raise InputError(
                f"{path}: the header {header!r} is not divided by {delimiter!r}. "
                f"With delimiter: {better!r} the columns would be found."
            )
    _check_columns(path, found, wanted)
    try:
        return parse_texts(text, delimiter, wanted, names=found)
    except CsvError as error:
        raise InputError(
            f"{path}: {error}. Every row needs as many cells as the header; a cell that holds "
            f"{delimiter!r} must stand in quotation marks."
        ) from None


def check_encoding(encoding: str, where: str) -> None:
    """Refuse an option `encoding`, at the key path `where`, that Python does not know."""
    try:
        "".encode(encoding)
    except LookupError:
        raise InputError(
            f"{where}: {encoding!r} is no encoding.{nearest(encoding, ENCODINGS)}"
        ) from None


def as_text(cell: object) -> str:
    """Return a cell of a CSV or parquet table as one would have written it; empty if missing."""
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, (bool, np.bool_)):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def as_number(text: str) -> float | None:
    """Return the number that a text is; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def as_time(text: str, date_format: str | None) -> datetime.datetime | None:
    """Return the date that a text is, by default year, month and day in this order; else None."""
    try:
        if date_format is not None:
            return datetime.datetime.strptime(text, date_format)
        match = _YEAR_FIRST.fullmatch(text) or _DIGITS_ALONE.fullmatch(text)
        if match is None:
            return None
        parts = [int(part or 0) for part in match.groups()] + [0, 0, 0]
        year, month, day, hour, minute, second = parts[:6]
        return datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except InputError:
        # Its remedy is for files that a stage made: this one must not be deleted.
        raise InputError(
            f"{path}: not a parquet table. Save it as one, or as CSV under a name in .csv."
        ) from None


def _read_text(path: Path, encoding: str) -> str:
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning == b"PK\x03\x04":
        raise InputError(f"{path}: an Excel or zip file. Save the table as CSV (UTF-8).")
    try:
        return read_text(path, encoding)
    except UnicodeError:
        marked = ["utf-16"] if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else []
        fitting = [name for name in (*marked, *ENCODINGS) if _decodes(path, name)]
        remedy = f" It can be read with encoding: {fitting[0]}." if fitting else ""
        raise InputError(f"{path}: not text in the encoding {encoding!r}.{remedy}") from None


def _decodes(path: Path, encoding: str) -> bool:
    try:
        read_text(path, encoding)
    except UnicodeError:
        return False
    return True


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if found.count(column) > 1:
            raise InputError(f"{path}: two columns are called {column!r}. Rename one of them.")
        if column not in found:
            raise InputError(
                f"{path}: no column {column!r}.{nearest(column, found)} Mend the cohort's columns, "
                "or leave the key out where it may be."
            )
