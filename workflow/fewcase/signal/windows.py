"""Cut the windows of every recording, clean them, and store them all as arrays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import (
    atomic_path,
    content_digest,
    read_json,
    write_digest,
    write_table,
)
from fewcase.data.parallel import map_in_order
from fewcase.data.recordings import STORE_HZ, Counts, Refusal, refusals_table
from fewcase.signal.noise import CleanedFhr, CleanedUc, clean_fhr, clean_uc
from fewcase.signal.rows import RowFile, row_blocks, row_file
from fewcase.study.errors import InputError
from fewcase.study.settings import SignalOptions

Float32 = npt.NDArray[np.float32]

CHUNK_ROWS = 256

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Windows:
    """The stored windows of a cohort, memory-mapped.

    Attributes
    ----------
    fhr, uc
        float32 (n, samples): FHR in bpm without gaps; UC, smoothed. A row of UC is all NaN where
        none was recorded.
    sampling_hz
        Sampling rate of both.
    """

    fhr: Float32
    uc: Float32
    sampling_hz: float
    _missing: npt.NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path) -> Windows:
        """Open what `process_windows` wrote.

        Raises
        ------
        InputError
            Where a file is missing or torn, or the files do not fit each other.
        """
        info = read_json(Path(folder) / "examples.hash")
        arrays = {}
        for name in ("fhr", "uc", "missing"):
            path = Path(folder) / f"{name}.npy"
            try:
                arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except FileNotFoundError:
                raise InputError(f"{path}: no such file. Run the signal stage.") from None
            except (ValueError, OSError, EOFError) as error:
                raise InputError(f"{path}: torn ({error}). Run the signal stage again.") from None
            if len(arrays[name]) != info["examples"]:
                raise InputError(
                    f"{path}: {len(arrays[name])} rows, but examples.hash says "
                    f"{info['examples']}. Run the signal stage again."
                )
        return cls(arrays["fhr"], arrays["uc"], info["sampling_hz"], arrays["missing"])

    def missing(self, rows: slice) -> npt.NDArray[np.bool_]:
        """Return for some rows, as bool (n, samples), which values of FHR were filled in."""
        samples = self.fhr.shape[1]
        return np.unpackbits(self._missing[rows], axis=1, count=samples).view(bool)


def window_samples(minutes: float, sampling_hz: float) -> int:
    """Return the number of samples of a window."""
    return round(minutes * 60 * sampling_hz)


def process_windows(
    records: pd.DataFrame,
    signals: npt.NDArray[np.float32],
    options: SignalOptions,
    folder: Path,
    *,
    sampling_hz: float = STORE_HZ,
    chunk: int = CHUNK_ROWS,
    threads: int = 1,
) -> Counts:
    """Cut and clean the windows of all recordings and write the signal stage's files.

    Writes into `folder`: ``examples.parquet``, ``quality.parquet``, ``fhr.npy`` and ``uc.npy``
    (float32, a row per example), ``missing.npy`` (bits, the first sample in the highest: which
    values of FHR were filled in), ``rejected.parquet``, and last ``examples.hash``. Recordings
    that are too short and windows without a usable FHR sample are refused; other windows of the
    same recording are kept. Windows of bad quality are kept: the cohort decides, so that another
    threshold draws no image again.

    Parameters
    ----------
    records, signals
        As `fewcase.data.recordings.read_recordings` returns them.
    options
        Window and noise processing.
    folder
        Where to; made if need be.
    sampling_hz
        Sampling rate of `signals`.
    chunk
        Windows held in memory at once by each thread.
    threads
        The files are the same for any number.

    Raises
    ------
    InputError
        Where no window is left.
    """
    samples = window_samples(options.minutes, sampling_hz)
    enough = (records["samples"] >= samples).to_numpy()
    refused = [_too_short(record, samples, sampling_hz) for record in _rows_of(records[~enough])]
    candidates = list_windows(records[enough], samples, options.window)

    def clean(rows: slice) -> tuple[slice, CleanedFhr, CleanedUc]:
        fhr, uc = _cut(signals, candidates["begin"].to_numpy()[rows], samples)
        return rows, clean_fhr(fhr, sampling_hz, options), clean_uc(uc, sampling_hz, options)

    kept: list[npt.NDArray[np.int64]] = []
    quality: list[pd.DataFrame] = []
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        # The files appear in reverse order: the digest, which later stages wait for, last.
        paths = {
            name: stack.enter_context(atomic_path(folder / name))
            for name in ("examples.hash", "examples.parquet", "quality.parquet", "rejected.parquet")
        }
        files = {
            name: stack.enter_context(row_file(folder / f"{name}.npy", shape, dtype))
            for name, shape, dtype in (
                ("fhr", (samples,), np.float32),
                ("uc", (samples,), np.float32),
                ("missing", ((samples + 7) // 8,), np.uint8),
            )
        }
        blocks = row_blocks(len(candidates), chunk)
        for rows, fhr, uc in map_in_order(clean, blocks, threads):
            usable = ~fhr.missing.all(axis=1)
            part = candidates.iloc[rows]
            refused += [
                _no_signal(window) for window in _rows_of(part.iloc[np.flatnonzero(~usable)])
            ]
            kept.append(part.index.to_numpy()[usable])
            quality.append(_quality_table(part["example"], fhr, uc).iloc[kept[-1] - rows.start])
            files["fhr"].append(fhr.fhr[usable])
            files["uc"].append(uc.uc[usable])
            files["missing"].append(np.packbits(fhr.missing[usable], axis=1))
        if not files["fhr"].rows:
            raise _nothing_left(refused, folder)
        examples = _examples_table(candidates.iloc[np.concatenate(kept)], sampling_hz)
        measured = pd.concat(quality, ignore_index=True)
        write_table(paths["examples.parquet"], examples)
        write_table(paths["quality.parquet"], measured)
        write_table(paths["rejected.parquet"], refusals_table(refused))
        content = _content_of([examples, measured], list(files.values()))
        info = {"content": content, "examples": len(examples), "sampling_hz": sampling_hz}
        write_digest(paths["examples.hash"], info)
    logger.info("%d windows of %g min, %d refused", len(examples), options.minutes, len(refused))
    if options.window == "all":
        _log_remainder(records[enough], samples, sampling_hz)
    return Counts(accepted=len(examples), refused=len(refused))


def list_windows(records: pd.DataFrame, samples: int, window: str) -> pd.DataFrame:
    """List the windows of recordings that are long enough for one.

    Parameters
    ----------
    records
        Recordings, as in ``records.parquet``, each of at least `samples` samples.
    samples
        Length of a window.
    window
        ``last`` or ``first``: one window each, called as its recording. ``all``: consecutive
        windows without overlap, counted back from the end, called ``name/w1`` (the last one),
        ``name/w2`` and so on; what is left at the start is shorter than a window and dropped.

    Returns
    -------
    pandas.DataFrame
        A row per window, in the order of the records: their columns, and example (the name), begin
        (its first sample in the signal store) and behind (samples of the recording after its end).
    """
    whole = records["samples"].to_numpy()
    n_windows = whole // samples if window == "all" else np.ones(len(records), np.int64)
    of = np.repeat(np.arange(len(records)), n_windows)
    number = np.arange(len(of)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    behind = (whole - samples)[of] if window == "first" else number * samples
    listed = records.iloc[of].reset_index(drop=True)
    names = listed["record"]
    if window == "all":
        names = names + "/w" + pd.Series(number + 1, dtype="int64").astype(str)
    begin = listed["start"].to_numpy() + whole[of] - samples - behind
    return listed.assign(example=names, begin=begin, behind=behind)


def _log_remainder(records: pd.DataFrame, samples: int, sampling_hz: float) -> None:
    remainder = records["samples"].to_numpy() % samples
    logger.info(
        "%.1f min at the start of %d recordings are shorter than a window and left out",
        remainder.sum() / sampling_hz / 60,
        np.count_nonzero(remainder),
    )


def _cut(
    signals: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], samples: int
) -> tuple[Float32, Float32]:
    fhr = np.empty((len(starts), samples), np.float32)
    uc = np.empty((len(starts), samples), np.float32)
    for row, start in enumerate(starts):
        fhr[row], uc[row] = signals[:, start : start + samples]
    return fhr, uc


def _rows_of(records: pd.DataFrame) -> Iterator[Any]:
    return records.itertuples(index=False)


def _too_short(record: Any, samples: int, sampling_hz: float) -> Refusal:
    minutes = record.samples / sampling_hz / 60
    needed = samples / sampling_hz / 60
    detail = f"{record.record}: {minutes:.1f} min of signal, expected at least {needed:g} min."
    return Refusal(record.record, record.patient, record.site, "signal", "too short", detail)


def _no_signal(window: Any) -> Refusal:
    detail = f"{window.example}: the window has no FHR sample left after noise processing."
    return Refusal(window.record, window.patient, window.site, "signal", "no usable FHR", detail)


def _nothing_left(refused: Sequence[Refusal], folder: Path) -> InputError:
    tally = ", ".join(
        f"{why} ({count})" for why, count in Counter(r.reason for r in refused).items()
    )
    first = refused[0].detail if refused else "There was no recording."
    names = {r.record for r in refused}
    return InputError(
        f"{folder}: none of {len(names)} recordings gives a window: {tally}. The first one: "
        f"{first} Set signal.minutes to what the recordings have."
    )


def _quality_table(names: pd.Series, fhr: CleanedFhr, uc: CleanedUc) -> pd.DataFrame:
    samples = fhr.fhr.shape[1]
    return pd.DataFrame(
        {
            "example": names.to_numpy(),
            "samples": np.full(len(names), samples, np.int64),
            "missing": np.count_nonzero(fhr.missing, axis=1) / samples,
            "missing_raw": fhr.raw / samples,
            "missing_zero_run": fhr.zero_run / samples,
            "missing_out_of_range": fhr.out_of_range / samples,
            "missing_jump": fhr.jump / samples,
            "missing_block": fhr.block / samples,
            "uc_missing": uc.missing / samples,
            "longest_gap_s": fhr.longest_gap_s,
            "n_gaps_over_15s": fhr.long_gaps,
        }
    )


def _examples_table(windows: pd.DataFrame, sampling_hz: float) -> pd.DataFrame:
    # Minutes from the end of the window, not of the recording, to delivery.
    behind = windows["behind"] / sampling_hz / 60
    return pd.DataFrame(
        {
            "row": np.arange(len(windows), dtype=np.int64),
            "example": windows["example"],
            "parent": windows["record"],
            "patient": windows["patient"],
            "site": windows["site"],
            "date": windows["date"],
            "minutes_to_delivery": windows["minutes_to_delivery"] + behind,
        }
    ).reset_index(drop=True)


def _content_of(tables: Sequence[pd.DataFrame], files: Sequence[RowFile]) -> str:
    """Digest tables as text, whatever wrote the parquet file, and arrays by their digests."""
    parts = [file.digest() for file in files]
    for table in tables:
        rows = [[str(value) for value in row] for row in table.itertuples(index=False, name=None)]
        parts.append(json.dumps([list(table.columns), rows]))
    return content_digest(*(part.encode() for part in parts))
