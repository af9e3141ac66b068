"""FHR and UC from one file, whatever its format: CSV, parquet, npy or WFDB."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fewcase.ingest.csv_files import (
    CsvError,
    better_delimiter,
    header_line,
    parse_numbers,
    read_text,
    split_header,
)
from fewcase.study.fields import nearest

if TYPE_CHECKING:
    import wfdb

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".npy", ".hea", ".dat")

# Bits that one sample takes in a signal file, by the WFDB format's number.
_WFDB_BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}


class SignalError(Exception):
    """A signal file that cannot be used: a fixed reason code, and one sentence about it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Signals:
    """What a file holds.

    Attributes
    ----------
    fhr, uc
        float32, one-dimensional, NaN where there is no value.
    sampling_hz
        Samples per second where the file tells; NaN otherwise.
    comments
        The comment lines of a WFDB header, without ``#``; empty otherwise.
    file_type
        csv, parquet, npy or wfdb.
    file_bytes
        Size of the file, or of all signal files of a WFDB record.
    """

    fhr: npt.NDArray[np.float32]
    uc: npt.NDArray[np.float32]
    sampling_hz: float = math.nan
    comments: tuple[str, ...] = ()
    file_type: str = ""
    file_bytes: float = math.nan


def read_signals(
    path: Path,
    channels: Mapping[str, str],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    missing: Sequence[str] = ("",),
) -> Signals:
    """Read FHR and UC from a file, by the suffix of its name; a WFDB record may have none.

    Parameters
    ----------
    path
        CSV (``.csv``, ``.tsv``, ``.txt``) and parquet hold one column per signal; npy an array
        (2, n) or (n, 2), FHR first; WFDB is a ``.hea`` header and the files that it names.
    channels
        The names of the columns or WFDB signals that are ``fhr`` and ``uc``.
    delimiter, encoding, missing
        Of a CSV file; `missing` are the words for a missing sample.

    Raises
    ------
    SignalError
        Where the file is missing, torn, or not what it is said to be.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return _of_file(_read_csv(path, channels, delimiter, encoding, missing), "csv", path)
    if suffix == ".parquet":
        return _of_file(_read_parquet(path, channels), "parquet", path)
    if suffix == ".npy":
        return _of_file(_read_npy(path), "npy", path)
    if suffix in (".hea", ".dat", "") or path.with_name(path.name + ".hea").exists():
        record = path.with_suffix("") if suffix in (".hea", ".dat") else path
        return read_wfdb(record, channels)
    raise SignalError(
        "unknown file type", f"{path}: expected a name ending in one of {', '.join(SUFFIXES)}."
    )


def _of_file(signals: Signals, file_type: str, path: Path) -> Signals:
    return dataclasses.replace(signals, file_type=file_type, file_bytes=float(path.stat().st_size))


def read_wfdb(record: Path, channels: Mapping[str, str]) -> Signals:
    """Read a WFDB record in physical units, with the checks that its header allows.

    Samples that the format marks as invalid become NaN. The size of the signal file and the
    header's checksum of the samples are compared with what was read.

    Parameters
    ----------
    record
        Path of the header without its ``.hea``.
    channels
        The names of the signals that are ``fhr`` and ``uc``; case does not count.
    """
    import wfdb

    header_file = record.with_name(record.name + ".hea")
    _require_file(header_file)
    try:
        stated_rate = _stated_rate(header_file)
        header = wfdb.rdheader(str(record))
        _check_sizes(header, record)
        content = wfdb.rdrecord(str(record), physical=False)
    except SignalError:
        raise
    except Exception as error:
        # wfdb raises whatever its parsing stumbles over: there is no narrower class to name.
        raise SignalError(
            "unreadable file", f"{header_file}: not a readable WFDB record ({_first_line(error)})."
        ) from None
    _check_sums(content, header_file)
    physical = content.dac()
    names = [name.strip().lower() for name in content.sig_name]
    columns = {}
    for channel, name in channels.items():
        if name.lower() not in names:
            raise SignalError(
                "no such signal",
                f"{header_file}: no signal {name!r} for {channel}, found {content.sig_name}.",
            )
        columns[channel] = physical[:, names.index(name.lower())].astype(np.float32)
    comments = tuple(content.comments or ())
    files = [record.with_name(name) for name in dict.fromkeys(content.file_name or ())]
    size = float(sum(file.stat().st_size for file in files)) if files else math.nan
    return Signals(columns["fhr"], columns["uc"], stated_rate, comments, "wfdb", size)


def _stated_rate(header_file: Path) -> float:
    """The sampling rate that a header states; wfdb would put 250 Hz where it states none."""
    lines = header_file.read_text(encoding="ascii", errors="ignore").splitlines()
    record_line = next((line for line in lines if line.strip() and line[0] != "#"), "")
    fields = record_line.split()
    if len(fields) < 3:
        return math.nan
    try:
        return float(fields[2].split("/")[0].split("(")[0])
    except ValueError:
        return math.nan


def _check_sizes(header: wfdb.Record | wfdb.MultiRecord, record: Path) -> None:
    """Refuse signal files that are shorter than the header says."""
    import wfdb

    if not isinstance(header, wfdb.Record) or not header.n_sig:
        return
    for name in dict.fromkeys(header.file_name):
        signals = [i for i, file in enumerate(header.file_name) if file == name]
        path = record.with_name(name)
        _require_file(path)
        formats = {header.fmt[i] for i in signals}
        if header.sig_len is None or not formats <= _WFDB_BITS.keys():
            continue
        bits = sum(
            _WFDB_BITS[header.fmt[i]] * header.sig_len * (header.samps_per_frame[i] or 1)
            for i in signals
        )
        expected = (header.byte_offset[signals[0]] or 0) + math.ceil(bits / 8)
        found = path.stat().st_size
        if found < expected:
            raise SignalError(
                "truncated signal",
                f"{path}: {found} bytes, expected {expected} for {header.sig_len} samples of "
                f"{len(signals)} signals.",
            )


def _check_sums(content: wfdb.Record, header_file: Path) -> None:
    if content.checksum is None or any(value is None for value in content.checksum):
        return
    for name, stated, found in zip(
        content.sig_name, content.checksum, content.calc_checksum(), strict=True
    ):
        if (stated - found) % 65536:
            raise SignalError(
                "corrupt signal",
                f"{header_file}: the samples of {name} add up to {found % 65536} (modulo 65536), "
                f"expected {stated % 65536}.",
            )


def _read_csv(
    path: Path,
    channels: Mapping[str, str],
    delimiter: str,
    encoding: str,
    missing: Sequence[str],
) -> Signals:
    _require_file(path)
    try:
        text = read_text(path, encoding)
        _check_header(path, header_line(text), list(channels.values()), delimiter)
        numbers = parse_numbers(text, delimiter, list(channels.values()), missing)
    except UnicodeDecodeError:
        raise SignalError(
            "unreadable file", f"{path}: not text in the encoding {encoding!r}."
        ) from None
    except (CsvError, OSError) as error:
        raise SignalError("unreadable file", f"{path}: {error}.") from None
    return Signals(_as_float32(numbers[channels["fhr"]]), _as_float32(numbers[channels["uc"]]))


def _check_header(path: Path, header: str, wanted: Sequence[str], delimiter: str) -> None:
    found = split_header(header, delimiter)
    absent = [name for name in wanted if found.count(name) != 1]
    if not absent:
        return
    better = better_delimiter(header, wanted, delimiter)
    if better is not None:
        raise SignalError(
            "wrong delimiter",
            f"{path}: the header {header!r} is not divided by {delimiter!r} but by {better!r}; "
            f"set the delimiter to {better!r}.",
        )
    if absent[0] in found:
        raise SignalError(
            "no such signal", f"{path}: two columns {absent[0]!r} in the header {header!r}."
        )
    raise SignalError(
        "no such signal",
        f"{path}: no column {absent[0]!r} in the header {header!r}.{nearest(absent[0], found)}",
    )


def _read_parquet(path: Path, channels: Mapping[str, str]) -> Signals:
    import pyarrow as pa
    import pyarrow.parquet

    _require_file(path)
    try:
        names = pyarrow.parquet.read_schema(path).names
        absent = [name for name in channels.values() if name not in names]
        if absent:
            raise SignalError(
                "no such signal", f"{path}: no column {absent[0]!r}.{nearest(absent[0], names)}"
            )
        table = pyarrow.parquet.read_table(path, columns=list(channels.values()))
        columns = {
            channel: _as_float32(table[name].to_pandas().to_numpy(dtype=np.float64))
            for channel, name in channels.items()
        }
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise SignalError(
            "unreadable file", f"{path}: not a parquet table of numbers ({_first_line(error)})."
        ) from None
    return Signals(columns["fhr"], columns["uc"])


def _read_npy(path: Path) -> Signals:
    _require_file(path)
    try:
        array = np.load(path, allow_pickle=False)
        array = _as_float32(array)
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise SignalError(
            "unreadable file", f"{path}: not an array of numbers ({_first_line(error)})."
        ) from None
    if array.ndim != 2 or 2 not in array.shape:
        raise SignalError(
            "wrong shape", f"{path}: an array {array.shape}, expected (2, n) or (n, 2), FHR first."
        )
    fhr, uc = array if array.shape[0] == 2 else array.T
    return Signals(fhr, uc)


def _as_float32(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    # What is beyond float32 becomes infinite and is refused as such.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _require_file(path: Path) -> None:
    try:
        found = path.is_file()
    except OSError as error:
        # A name that no file can have, such as a remark in the column of file names.
        raise SignalError("missing file", f"{path}: {error.strerror}.") from None
    if not found:
        raise SignalError("missing file", f"{path}: no such file.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
