"""Image cohorts as later stages read them: a table of records, and one of examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from fewcase.data.files import read_table
from fewcase.study.errors import InputError
from fewcase.study.spelling import plain_name

IMAGE_COLUMNS = (
    *("record", "patient", "site", "date", "part", "path", "file_type", "file_bytes"),
    *("width", "height", "channels"),
)
"""What stages of images take from a record: no class and no outcome is among it."""

RECORD_COLUMNS = (
    *("record", "patient", "site", "date", "patient_known", "file_type", "file_bytes", "path"),
    *("width", "height", "channels", "part", "class"),
)
"""Columns of every record, in their order; further outcomes follow."""

EXAMPLE_COLUMNS = ("row", "example", "parent", "patient", "site", "date", "part")
"""Columns of every example; those of tiles follow: x, y, extent and, where annotated, class."""


@dataclasses.dataclass(frozen=True, slots=True)
class ListedImage:
    """One image as its source lists it, not yet opened.

    Attributes
    ----------
    record
        Name, unique within the cohort.
    patient, site
        Who and where. These three are kept as `fewcase.study.spelling.plain_name` spells them.
    patient_known
        Whether `patient` is a person's; False where the source names none.
    date
        None where unknown.
    part
        train, validation or test where the data come divided, otherwise empty.
    class_name
        Empty where tiles carry the class.
    outcomes
        By column of ``records.parquet``; None where unknown.
    path
        POSIX path of the file, relative to the study's data folder.
    origin
        Where it is listed, such as a table and its row; empty where its path says it.
    """

    record: str
    patient: str
    site: str
    patient_known: bool
    date: pd.Timestamp | None
    part: str
    class_name: str
    outcomes: dict[str, float | str | None]
    path: str
    origin: str = ""

    def __post_init__(self) -> None:
        for name in ("record", "patient", "site", "class_name"):
            object.__setattr__(self, name, plain_name(getattr(self, name)))

    @property
    def where(self) -> str:
        """Where the image is listed and its file, to begin a message with."""
        return f"{self.origin}: {self.path}" if self.origin else self.path


def read_image_records(path: Path) -> pd.DataFrame:
    """Read the accepted records of an image cohort, ``records.parquet``.

    Raises
    ------
    InputError
        Where the file is missing or no table of image records.
    """
    records = read_table(path)
    for column in RECORD_COLUMNS:
        if column not in records:
            raise InputError(
                f"{path}: no column {column!r}, which every record of an image cohort has. Run "
                "the ingest stage again."
            )
    return records
