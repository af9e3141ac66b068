"""Recordings as later stages read them: a table of records and one store of signals at 4 Hz."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table
from fewcase.study.errors import InputError
from fewcase.study.spelling import plain_name

STORE_HZ = 4.0
"""Sampling rate of the signal store, samples per second."""

SIGNAL_COLUMNS = ("record", "patient", "site", "date", "start", "samples", "minutes_to_delivery")
"""What stages of signals and images take from a record: no outcome is among it."""

SOURCE_COLUMNS = ("patient_known", "file_type", "file_bytes")
"""What a record says of its source: no signal or image depends on it."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """One cardiotocogram as its source gives it.

    Attributes
    ----------
    record
        Name, unique within the cohort.
    patient, site
        Who and where; a patient's name must differ between sites unless it is the same person.
        These three are kept as `fewcase.study.spelling.plain_name` spells them.
    date
        Of the delivery or the recording, without a time zone; None where unknown.
    fhr
        Fetal heart rate in bpm, one-dimensional, at `sampling_hz`; 0 where the device wrote 0,
        NaN where there is no value.
    uc
        Uterine contractions, arbitrary units, as many samples as `fhr`; NaN where no value.
    sampling_hz
        Samples per second of both.
    outcomes
        By column of ``records.parquet``; None or NaN where unknown.
    minutes_to_delivery
        From the end of the recording to delivery; NaN where unknown.
    origin
        Where it was read, such as a file and its row, for whoever has to mend it.
    patient_known
        Whether `patient` is a person's; False where the source names none, and the recording's
        own name stands in.
    file_type
        Kind of its signal file: csv, parquet, npy or wfdb; empty where there is no file.
    file_bytes
        Size of its signal file, or of all signal files of a WFDB record; NaN where there is none.
    """

    record: str
    patient: str
    site: str
    date: pd.Timestamp | None
    fhr: npt.NDArray[np.float32]
    uc: npt.NDArray[np.float32]
    sampling_hz: float
    outcomes: dict[str, float | str | None] = dataclasses.field(default_factory=dict)
    minutes_to_delivery: float = float("nan")
    origin: str = ""
    patient_known: bool = True
    file_type: str = ""
    file_bytes: float = float("nan")

    def __post_init__(self) -> None:
        _spell_names(self)

    @property
    def where(self) -> str:
        """The recording's name and where it was read, to begin a message with."""
        return f"{self.origin}, {self.record}" if self.origin else self.record


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A recording that cannot be used, and why.

    Attributes
    ----------
    record, patient, site
        As far as they are known, otherwise empty.
    stage
        ``ingest``, ``signal`` or ``cohort``.
    reason
        A short fixed code, the same for all recordings refused for the same cause.
    detail
        One sentence with the file, the value found and what was expected.
    """

    record: str
    patient: str
    site: str
    stage: str
    reason: str
    detail: str

    def __post_init__(self) -> None:
        _spell_names(self)


def _spell_names(item: Recording | Refusal) -> None:
    for name in ("record", "patient", "site"):
        object.__setattr__(item, name, plain_name(getattr(item, name)))


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many recordings were accepted and how many were refused."""

    accepted: int
    refused: int


def read_recordings(folder: Path) -> tuple[pd.DataFrame, np.memmap]:
    """Read the accepted recordings of a cohort.

    Returns
    -------
    table
        ``records.parquet``: record, patient, site, date, outcomes, sampling_hz (as recorded),
        start and samples (int64), minutes_to_delivery, patient_known, file_type, file_bytes.
    signals
        float32 (2, samples of all recordings) at `STORE_HZ`, memory-mapped; recording i is
        ``signals[:, start:start + samples]``, which is one piece of the file.

    Raises
    ------
    InputError
        Where a file is missing or torn, or the two do not fit each other.
    """
    table = read_table(Path(folder) / "records.parquet")
    path = Path(folder) / "signals.npy"
    try:
        signals = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the ingest stage.") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: torn or not an array ({error}). Run ingest again.") from None
    needed = int((table["start"] + table["samples"]).max()) if len(table) else 0
    if signals.dtype != np.float32 or signals.ndim != 2 or signals.shape != (2, needed):
        raise InputError(
            f"{path}: holds {signals.dtype} {signals.shape}, but records.parquet needs float32 "
            f"(2, {needed}). Delete both and run ingest again."
        )
    return table, signals


def refusals_table(refusals: Iterable[Refusal]) -> pd.DataFrame:
    """Return refusals as the table of ``rejected.parquet``, text in every column."""
    names = [field.name for field in dataclasses.fields(Refusal)]
    refusals = list(refusals)
    return pd.DataFrame(
        {name: pd.Series([getattr(item, name) for item in refusals], dtype="str") for name in names}
    )
