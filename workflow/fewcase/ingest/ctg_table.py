"""A hospital's own cardiotocograms: one table of metadata, and one signal file per row."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fewcase.data.recordings import SIGNAL_COLUMNS, SOURCE_COLUMNS, Recording, Refusal
from fewcase.ingest.csv_files import DELIMITERS
from fewcase.ingest.metadata_table import (
    as_number,
    as_text,
    as_time,
    check_encoding,
    read_columns,
)
from fewcase.ingest.signal_files import SignalError, Signals, read_signals
from fewcase.ingest.validation import NUMERIC_OUTCOMES, TEXT_OUTCOMES
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.sources import CtgTable
from fewcase.study.spelling import plain_name

KNOWN_COLUMNS = (
    "file",
    "patient",
    "site",
    "record",
    "date",
    "hour",
    "minute",
    *NUMERIC_OUTCOMES,
    *TEXT_OUTCOMES,
    "sampling_hz",
    "recording_start",
    "recording_end",
)
"""Keys of the option ``columns``."""

RESERVED_OUTCOMES = tuple({*SIGNAL_COLUMNS, *SOURCE_COLUMNS}.difference(KNOWN_COLUMNS))
"""Columns of a record that its source does not name."""

LONGEST_DISAGREEMENT = 0.05
"""Share of the time from recording_start to recording_end that the samples may miss it by."""

logger = logging.getLogger(__name__)


def read_ctg_table(options: CtgTable, data: Path) -> Iterator[Recording | Refusal]:
    """Read the recordings that a metadata table lists, one by one.

    Without a column for the patient, each recording counts as a patient of its own, and its
    ``patient_known`` is False.

    Parameters
    ----------
    options
        The source's section of the study file: which column is what, and how values are written.
    data
        The study's data folder, which the paths in `options` are relative to.

    Raises
    ------
    InputError
        Where the table cannot be read, or a column that the options name is not in it.
    """
    _check_options(options)
    path = data / options.table
    named = {**options.columns, **options.outcomes}
    table = read_columns(
        path, named.values(), encoding=options.encoding, delimiter=options.delimiter
    )
    columns = [table[column] for column in named.values()]
    logger.info("%s: %d rows", path, len(columns[0]))
    if not columns[0]:
        raise InputError(f"{path}: a header and no rows, expected one row per recording.")
    if "patient" not in options.columns:
        logger.warning(
            "%s: no column for the patient is named, so each recording counts as a patient of its "
            "own. If a patient has several, folds may share her: name it under columns.patient.",
            path,
        )
    for number, cells in enumerate(zip(*columns, strict=True), start=1):
        row = _Row(path, number, dict(zip(named, cells, strict=True)), options)
        try:
            yield _read_row(row, data / options.signals, options)
        except SignalError as error:
            yield Refusal(row.record, row.patient, row.site, "ingest", error.reason, error.detail)


def _check_options(options: CtgTable) -> None:
    where = "ctg_table"
    for key in options.columns:
        if key not in KNOWN_COLUMNS:
            raise InputError(
                f"{where}.columns.{key}: unknown key.{nearest(key, KNOWN_COLUMNS)} Other columns "
                "are kept by naming them under outcomes."
            )
    if "file" not in options.columns:
        raise InputError(
            f"{where}.columns.file: this key is required: the table's column that holds the "
            "signal file."
        )
    for key in options.outcomes:
        if key in KNOWN_COLUMNS:
            raise InputError(f"{where}.outcomes.{key}: name this column under columns instead.")
        if key in RESERVED_OUTCOMES:
            raise InputError(
                f"{where}.outcomes.{key}: every record has a column of this name; call "
                f"{options.outcomes[key]!r} something else."
            )
    if ("site" in options.columns) == (options.site is not None):
        raise InputError(
            f"{where}: give the hospital either as columns.site (a column of the table) or as "
            f"site (one name for all rows); found columns.site "
            f"{options.columns.get('site')!r} and site {options.site!r}."
        )
    for key in options.values:
        if key not in options.columns and key not in options.outcomes:
            named = [*options.columns, *options.outcomes]
            raise InputError(
                f"{where}.values.{key}: no column is called so under columns or outcomes."
                f"{nearest(key, named)}"
            )
    if set(options.signal_columns) != {"fhr", "uc"}:
        raise InputError(
            f"{where}.signal_columns: expected the keys fhr and uc, found "
            f"{sorted(options.signal_columns)}."
        )
    check_encoding(options.encoding, f"{where}.encoding")
    for key in ("delimiter", "signal_delimiter"):
        if len(getattr(options, key)) != 1:
            raise InputError(
                f"{where}.{key}: {getattr(options, key)!r} is not a single character, such as "
                f"{', '.join(map(repr, DELIMITERS))}."
            )


class _Row:
    """One row of the table, its cells read by the names of the option ``columns``."""

    def __init__(
        self, path: Path, number: int, cells: Mapping[str, object], options: CtgTable
    ) -> None:
        self._where = f"{path}, row {number}"
        self._cells = cells
        self._options = options
        self._missing = {str(word) for word in options.missing}
        self._missing_numbers = {word for word in options.missing if not isinstance(word, str)}
        self.site = options.site if options.site is not None else self.text("site")
        # A refusal must be told apart from others also where the row names no record.
        own_name = self.text("record") or Path(self.text("file")).stem or f"row {number}"
        self.record = self._named(own_name)
        self.patient_known = "patient" in options.columns
        self.patient = self._named(self.text("patient")) if self.patient_known else self.record

    @property
    def where(self) -> str:
        """The table and the number of the row, the first one below the header being 1."""
        return self._where

    def _named(self, name: str) -> str:
        name = plain_name(name).strip()
        if name and self.site and self._options.site_in_names:
            return f"{self.site}/{name}"
        return name

    def value(self, key: str) -> float | str | None:
        """The cell's number or text after the option ``values``; None where it is unknown."""
        text = as_text(self._cells.get(key))
        meanings = self._options.values.get(key, {})
        if text in meanings:
            meaning = meanings[text]
            if meaning is None or isinstance(meaning, str):
                return meaning
            return float(meaning)
        if text in self._missing:
            return None
        number = as_number(text)
        if number is None or key in TEXT_OUTCOMES:
            return text or None
        return None if math.isnan(number) or number in self._missing_numbers else number

    def text(self, key: str) -> str:
        """The cell as text, empty where it is unknown."""
        text = as_text(self._cells.get(key))
        meaning = self._options.values.get(key, {}).get(text, text)
        return "" if meaning is None or text in self._missing else str(meaning)

    def number(self, key: str) -> float | None:
        """The cell as a number, None where it is unknown; a text is refused."""
        value = self.value(key)
        if isinstance(value, str):
            raise SignalError(
                "unreadable value", f"{self._where}: {key} is {value!r}, expected a number."
            )
        return value

    def time(self, key: str) -> datetime.datetime | None:
        """The cell as a date, with its time where it has one; None where it is unknown."""
        cell = self._cells.get(key)
        if isinstance(cell, datetime.datetime) and cell is not pd.NaT:
            return cell.replace(tzinfo=None)
        text = self.text(key)
        if not text:
            return None
        time = as_time(text, self._options.date_format)
        if time is None:
            expected = self._options.date_format or "year, month, day in this order"
            raise SignalError(
                "unreadable date",
                f"{self._where}: {key} is {text!r}, expected {expected} (option date_format).",
            )
        return time

    def delivery_time(self) -> tuple[datetime.datetime | None, bool]:
        """When the child was born, and whether this is known to the minute."""
        date = self.time("date")
        hour, minute = self.number("hour"), self.number("minute")
        if date is None or hour is None:
            known = date is not None and date.time() != datetime.time(0)
            return date, known
        if not (0 <= hour < 24 and 0 <= (minute or 0) < 60):
            raise SignalError(
                "unreadable date",
                f"{self._where}: delivery at hour {hour:g}, minute {minute}, expected 0 to 23 and "
                "0 to 59.",
            )
        midnight = datetime.datetime.combine(date, datetime.time(0))
        return midnight + datetime.timedelta(hours=hour, minutes=minute or 0), minute is not None

    def signal_file(self) -> str:
        name = self.text("file")
        if not name:
            raise SignalError(
                "missing file", f"{self._where}: the cell for file is empty, expected a file name."
            )
        return name


def _read_row(row: _Row, folder: Path, options: CtgTable) -> Recording:
    birth, to_the_minute = row.delivery_time()
    path = folder / row.signal_file()
    signals = read_signals(
        path,
        options.signal_columns,
        delimiter=options.signal_delimiter,
        encoding=options.encoding,
        missing=[word if isinstance(word, str) else f"{word:g}" for word in options.missing],
    )
    rate = _rate_of(row, signals, options)
    start, end = row.time("recording_start"), row.time("recording_end")
    _check_duration(path, len(signals.fhr), rate, start, end)
    if end is None and start is not None and rate > 0:
        end = start + datetime.timedelta(seconds=len(signals.fhr) / rate)
    if birth is not None and end is not None and to_the_minute:
        minutes = (birth - end).total_seconds() / 60
    else:
        minutes = math.nan
    date = birth or start or end
    names = [key for key in (*NUMERIC_OUTCOMES, *TEXT_OUTCOMES) if key in options.columns]
    return Recording(
        record=row.record,
        patient=row.patient,
        site=row.site,
        date=None if date is None else pd.Timestamp(date),
        fhr=signals.fhr * np.float32(options.fhr_factor),
        uc=signals.uc,
        sampling_hz=rate,
        outcomes={name: row.value(name) for name in (*names, *options.outcomes)},
        minutes_to_delivery=minutes,
        origin=row.where,
        patient_known=row.patient_known,
        file_type=signals.file_type,
        file_bytes=signals.file_bytes,
    )


def _rate_of(row: _Row, signals: Signals, options: CtgTable) -> float:
    """The rate that the table gives, else that of the file, else that of the options."""
    for rate in (row.number("sampling_hz"), signals.sampling_hz, options.sampling_hz):
        if rate is not None and not math.isnan(rate):
            return rate
    return math.nan


def _check_duration(
    path: Path,
    samples: int,
    rate: float,
    start: datetime.datetime | None,
    end: datetime.datetime | None,
) -> None:
    """Refuse samples that do not fill the time that the table gives: their rate is wrong."""
    if start is None or end is None or not rate > 0:
        return
    stated, found = (end - start).total_seconds(), samples / rate
    # Tables give whole minutes: a minute at either end is no disagreement.
    if abs(stated - found) > 120 + LONGEST_DISAGREEMENT * abs(stated):
        raise SignalError(
            "wrong duration",
            f"{path}: {samples} samples at {rate:g} Hz last {found / 60:.1f} minutes, expected "
            f"{stated / 60:.1f} from recording_start to recording_end.",
        )
