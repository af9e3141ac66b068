"""Ingest writes here: every recording is checked, brought to 4 Hz, and stored or refused."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import atomic_path, write_digest, write_table
from fewcase.data.recordings import (
    SIGNAL_COLUMNS,
    STORE_HZ,
    Counts,
    Recording,
    Refusal,
    refusals_table,
)
from fewcase.ingest.resampling import resample
from fewcase.ingest.validation import NUMERIC_OUTCOMES, TEXT_OUTCOMES, problem_of
from fewcase.study.errors import InputError

logger = logging.getLogger(__name__)


def write_recordings(recordings: Iterable[Recording | Refusal], folder: Path) -> Counts:
    """Check every recording, bring it to 4 Hz, and write the files of a cohort.

    Writes ``records.parquet`` (one row per accepted recording), ``signals.npy`` (float32
    (2, samples of all recordings), row 0 FHR and row 1 UC), ``rejected.parquet``, and two digests
    of the accepted recordings alone: ``records.hash``, which changes with any outcome, and
    ``signals.hash``, which does not, so that a corrected outcome re-renders nothing. One recording
    is held in memory at a time. Recordings keep the order of their source. Where two have one
    name, both are refused, as nobody can tell which is meant.

    Where the sampling rate has to change, FHR of 0 and UC below 0 become missing first, so that
    no drop-out is averaged into a value; see `fewcase.ingest.resampling`.

    Raises
    ------
    InputError
        Where no recording is accepted.
    """
    with contextlib.ExitStack() as stack:
        # Left in reverse order: the digest, which later stages wait for, appears last.
        digest_file, signal_digest_file, table_file, rejected_file, signals_file = (
            stack.enter_context(atomic_path(Path(folder) / name))
            for name in (
                "records.hash",
                "signals.hash",
                "records.parquet",
                "rejected.parquet",
                "signals.npy",
            )
        )
        rows: list[_Row] = []
        refused: list[Refusal] = []
        names: collections.Counter[str] = collections.Counter()
        with open(signals_file, "wb+") as handle:
            store = _SignalWriter(handle)
            for item in recordings:
                names[item.record] += 1
                problem = None if isinstance(item, Refusal) else problem_of(item)
                if isinstance(item, Refusal):
                    refused.append(item)
                elif problem is not None:
                    refused.append(_refuse(item, *problem))
                else:
                    rows.append(_append(item, store))
            rows, refused = _without_duplicates(rows, refused, names)
            if not rows:
                raise _nothing_accepted(refused, folder)
            store.keep([(row.start, row.samples) for row in rows])
            store.finish()
        table = _records_table(rows)
        write_table(table_file, table)
        write_table(rejected_file, refusals_table(refused))
        signals = [row.digest for row in rows]
        for file, part in (
            (signal_digest_file, table[list(SIGNAL_COLUMNS)]),
            (digest_file, table),
        ):
            content = _content_of(part, signals)
            info = {"content": content, "recordings": len(table), "sampling_hz": STORE_HZ}
            write_digest(file, info)
    _report(rows, refused)
    return Counts(accepted=len(rows), refused=len(refused))


class _SignalWriter:
    """Writes ``signals.npy`` recording by recording, its length unknown until the end.

    The array is stored column by column (Fortran order), so that a recording is one piece of the
    file and the next one can be appended behind it.
    """

    _HEADER_BYTES = 128

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._total = 0
        self._handle.write(bytes(self._HEADER_BYTES))

    def append(self, block: npt.NDArray[np.float32]) -> int:
        """Append samples (n, 2); return the index of the first."""
        start = self._total
        self._handle.write(np.ascontiguousarray(block, dtype="<f4").data)
        self._total += len(block)
        return start

    def keep(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Close the gaps between the pieces (start, samples), which are in rising order."""
        end = 0
        for start, samples in pieces:
            if start != end:
                self._handle.seek(self._HEADER_BYTES + 8 * start)
                content = self._handle.read(8 * samples)
                self._handle.seek(self._HEADER_BYTES + 8 * end)
                self._handle.write(content)
            end += samples
        self._total = end
        self._handle.truncate(self._HEADER_BYTES + 8 * end)

    def finish(self) -> None:
        """Write the header of the npy format, version 1.0, in the room that was left for it."""
        text = f"{{'descr': '<f4', 'fortran_order': True, 'shape': (2, {self._total}), }}"
        prefix = b"\x93NUMPY\x01\x00"
        room = self._HEADER_BYTES - len(prefix) - 2
        header = text.ljust(room - 1) + "\n"
        self._handle.seek(0)
        self._handle.write(prefix + room.to_bytes(2, "little") + header.encode("ascii"))


@dataclasses.dataclass(frozen=True)
class _Row:
    """An accepted recording without its signals, which lie in the store already."""

    record: str
    patient: str
    site: str
    date: pd.Timestamp | None
    outcomes: dict[str, float | str | None]
    sampling_hz: float
    minutes_to_delivery: float
    start: int
    samples: int
    patient_known: bool
    file_type: str
    file_bytes: float
    digest: str
    where: str


def _append(recording: Recording, store: _SignalWriter) -> _Row:
    block = _block_of(recording)
    minutes = float(recording.minutes_to_delivery)
    return _Row(
        record=recording.record,
        patient=recording.patient,
        site=recording.site,
        date=recording.date,
        outcomes=recording.outcomes,
        sampling_hz=float(recording.sampling_hz),
        minutes_to_delivery=minutes if math.isfinite(minutes) else math.nan,
        start=store.append(block),
        samples=len(block),
        patient_known=recording.patient_known,
        file_type=recording.file_type,
        file_bytes=float(recording.file_bytes),
        digest=hashlib.sha256(block.data).hexdigest(),
        where=recording.where,
    )


def _block_of(recording: Recording) -> npt.NDArray[np.float32]:
    """Return both signals at the store's rate, (n, 2)."""
    fhr = np.asarray(recording.fhr, dtype=np.float32)
    uc = np.asarray(recording.uc, dtype=np.float32)
    if recording.sampling_hz != STORE_HZ:
        missing = np.float32(np.nan)
        fhr = resample(np.where(fhr == 0, missing, fhr), recording.sampling_hz, STORE_HZ)
        uc = resample(np.where(uc < 0, missing, uc), recording.sampling_hz, STORE_HZ)
    return np.stack([fhr, uc], axis=1)


def _refuse(recording: Recording | _Row, reason: str, detail: str) -> Refusal:
    return Refusal(recording.record, recording.patient, recording.site, "ingest", reason, detail)


def _without_duplicates(
    rows: list[_Row], refused: list[Refusal], names: collections.Counter[str]
) -> tuple[list[_Row], list[Refusal]]:
    refusals = [
        _refuse(
            row,
            "duplicate name",
            f"{row.where}: {names[row.record]} recordings have this name, expected one.",
        )
        for row in rows
        if names[row.record] > 1
    ]
    return [row for row in rows if names[row.record] == 1], refused + refusals


def _records_table(rows: Sequence[_Row]) -> pd.DataFrame:
    samples = np.array([row.samples for row in rows], dtype=np.int64)
    dates = [pd.NaT if row.date is None else row.date for row in rows]
    return pd.DataFrame(
        {
            "record": _texts([row.record for row in rows]),
            "patient": _texts([row.patient for row in rows]),
            "site": _texts([row.site for row in rows]),
            "date": pd.Series(dates, dtype="datetime64[us]"),
            **_outcome_columns([row.outcomes for row in rows]),
            "sampling_hz": np.array([row.sampling_hz for row in rows]),
            "start": np.cumsum(samples) - samples,
            "samples": samples,
            "minutes_to_delivery": np.array([row.minutes_to_delivery for row in rows]),
            "patient_known": np.array([row.patient_known for row in rows], dtype=bool),
            "file_type": _texts([row.file_type for row in rows]),
            "file_bytes": np.array([row.file_bytes for row in rows]),
        }
    )


def _texts(values: Sequence[str | None]) -> pd.Series:
    return pd.Series(values, dtype="str")


def _outcome_columns(
    outcomes: Sequence[Mapping[str, float | str | None]],
) -> dict[str, pd.Series]:
    """One column per outcome: the well-known ones always, others where a recording has them."""
    well_known = (*NUMERIC_OUTCOMES, *TEXT_OUTCOMES)
    others = sorted({name for known in outcomes for name in known}.difference(well_known))
    columns = {}
    for name in (*well_known, *others):
        values = [known.get(name) for known in outcomes]
        if name in TEXT_OUTCOMES or any(isinstance(value, str) for value in values):
            columns[name] = _texts([None if pd.isna(value) else str(value) for value in values])
        else:
            columns[name] = pd.Series(values, dtype="float64")
    return columns


def _content_of(table: pd.DataFrame, digests: Sequence[str]) -> str:
    """Digest the accepted recordings: their rows as text, whatever wrote the parquet file."""
    digest = hashlib.sha256(json.dumps(list(table.columns)).encode())
    for values, signals in zip(table.itertuples(index=False, name=None), digests, strict=True):
        digest.update(json.dumps([str(value) for value in values] + [signals]).encode())
    return digest.hexdigest()


def _nothing_accepted(refused: Sequence[Refusal], folder: Path) -> InputError:
    if not refused:
        return InputError(
            f"{folder}: the source holds no recording at all. Check that data= and the source's "
            "options name the folder or table with the recordings."
        )
    reasons = collections.Counter(refusal.reason for refusal in refused)
    tally = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    return InputError(
        f"{folder}: none of {len(refused)} recordings could be accepted: {tally}. The first one: "
        f"{refused[0].record!r}, {refused[0].detail} Mend the recordings or the source's options."
    )


def _report(rows: Sequence[_Row], refused: Sequence[Refusal]) -> None:
    logger.info("%d recordings accepted, %d refused", len(rows), len(refused))
    for reason, count in collections.Counter(item.reason for item in refused).most_common():
        logger.info("refused: %s (%d)", reason, count)
    by_signals = collections.defaultdict(list)
    for row in rows:
        by_signals[row.digest].append(row.record)
    for twins in by_signals.values():
        if len(twins) > 1:
            logger.warning("recordings with the very same signals: %s", ", ".join(twins[:10]))
