"""Ingest of images writes here: every file is opened and decoded once, and kept or refused."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fewcase.data.files import atomic_path, write_digest, write_table
from fewcase.data.image_files import ImageFileError, ImageInfo, inspect_image
from fewcase.data.image_records import IMAGE_COLUMNS, ListedImage
from fewcase.data.parallel import map_in_order
from fewcase.data.recordings import Counts, Refusal, refusals_table
from fewcase.data.slides import inspect_slide, is_slide
from fewcase.study.errors import InputError

LOG_EVERY = 10_000

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class OpenedImage:
    """What the files of a record hold.

    Attributes
    ----------
    info
        Of the image.
    columns
        Further columns of ``records.parquet`` that stages of images take.
    others
        Digests of further files, such as masks.
    """

    info: ImageInfo
    columns: Mapping[str, int | str] = dataclasses.field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """An accepted image."""

    listed: ListedImage
    opened: OpenedImage

    @property
    def info(self) -> ImageInfo:
        return self.opened.info


def write_images(
    listed: Iterable[ListedImage | Refusal],
    data: Path,
    folder: Path,
    *,
    slides: bool = False,
    opener: Callable[[ListedImage], OpenedImage] | None = None,
    threads: int = 1,
) -> Counts:
    """Open every listed image, and write the tables of a cohort.

    Writes ``records.parquet`` (one row per accepted image), ``rejected.parquet``, and two digests:
    ``records.hash`` of all that is known of the records, and ``images.hash`` of what stages of
    images take from them, their files' content included, but no class and no outcome, so that a
    corrected label cuts no tile again. Records keep the order of their source. Where two have one
    name, both are refused, as nobody can tell which is meant.

    Parameters
    ----------
    listed
        Images as `fewcase.ingest.image_folder.list_images` gives them.
    data
        The study's data folder, which their paths are relative to.
    folder
        Where to; made if need be.
    slides
        Whether whole-slide files are let in.
    opener
        Opens a listed image and what belongs to it, and gives the same columns for each; raises
        `fewcase.data.image_files.ImageFileError` where it is refused. By default, the file alone
        is opened.
    threads
        Files that are read at once; what is written does not depend on it.

    Raises
    ------
    InputError
        Where no image is accepted.
    """

    def open_one(item: ListedImage | Refusal) -> _Row | Refusal:
        return item if isinstance(item, Refusal) else _open(item, opener or plain)

    def plain(item: ListedImage) -> OpenedImage:
        path = data / item.path
        read = inspect_slide if slides and is_slide(path) else inspect_image
        return OpenedImage(read(path))

    rows: list[_Row] = []
    refused: list[Refusal] = []
    names: collections.Counter[str] = collections.Counter()
    for number, item in enumerate(map_in_order(open_one, listed, threads), start=1):
        names[item.record if isinstance(item, Refusal) else item.listed.record] += 1
        if isinstance(item, Refusal):
            refused.append(item)
        else:
            rows.append(item)
        if number % LOG_EVERY == 0:
            logger.info("%d images read", number)
    refused += [
        _refuse(
            row.listed,
            "duplicate name",
            f"{row.listed.where}: {names[row.listed.record]} images have this name, expected one.",
        )
        for row in rows
        if names[row.listed.record] > 1
    ]
    rows = [row for row in rows if names[row.listed.record] == 1]
    if not rows:
        raise _nothing_accepted(refused, data)
    _write(rows, refused, Path(folder))
    _report(rows, refused)
    return Counts(accepted=len(rows), refused=len(refused))


def _open(listed: ListedImage, opener: Callable[[ListedImage], OpenedImage]) -> _Row | Refusal:
    try:
        return _Row(listed, opener(listed))
    except ImageFileError as error:
        return _refuse(listed, error.reason, error.detail)


def _refuse(listed: ListedImage, reason: str, detail: str) -> Refusal:
    return Refusal(listed.record, listed.patient, listed.site, "ingest", reason, detail)


def _write(rows: Sequence[_Row], refused: Sequence[Refusal], folder: Path) -> None:
    table = _records_table(rows)
    files = [[row.info.digest, *row.opened.others] for row in rows]
    for_images = [*IMAGE_COLUMNS, *rows[0].opened.columns]
    with contextlib.ExitStack() as stack:
        # Left in reverse order: the digest, which later stages wait for, appears last.
        digest_file, image_digest_file, table_file, rejected_file = (
            stack.enter_context(atomic_path(folder / name))
            for name in ("records.hash", "images.hash", "records.parquet", "rejected.parquet")
        )
        write_table(table_file, table)
        write_table(rejected_file, refusals_table(refused))
        for file, part in ((image_digest_file, table[for_images]), (digest_file, table)):
            write_digest(file, {"content": _content_of(part, files), "records": len(table)})


def _records_table(rows: Sequence[_Row]) -> pd.DataFrame:
    listed = [row.listed for row in rows]
    infos = [row.info for row in rows]
    dates = [pd.NaT if item.date is None else item.date for item in listed]
    return pd.DataFrame(
        {
            "record": _texts([item.record for item in listed]),
            "patient": _texts([item.patient for item in listed]),
            "site": _texts([item.site for item in listed]),
            "date": pd.Series(dates, dtype="datetime64[us]"),
            "patient_known": np.array([item.patient_known for item in listed], dtype=bool),
            "file_type": _texts([info.file_type for info in infos]),
            "file_bytes": np.array([info.file_bytes for info in infos], dtype=np.int64),
            "path": _texts([item.path for item in listed]),
            **{
                name: np.array([getattr(info, name) for info in infos], dtype=np.int64)
                for name in ("width", "height", "channels")
            },
            "part": _texts([item.part for item in listed]),
            "class": _texts([item.class_name for item in listed]),
            **_further_columns([row.opened.columns for row in rows]),
            **_outcome_columns(listed),
        }
    )


def _texts(values: Sequence[str | None]) -> pd.Series:
    return pd.Series(values, dtype="str")


def _further_columns(rows: Sequence[Mapping[str, int | str]]) -> dict[str, pd.Series]:
    columns = {}
    for name, first in rows[0].items():
        kind = "str" if isinstance(first, str) else "int64"
        columns[name] = pd.Series([row[name] for row in rows], dtype=kind)
    return columns


def _outcome_columns(listed: Sequence[ListedImage]) -> dict[str, pd.Series]:
    """One column per outcome: numbers, or texts where one of its values is a text."""
    columns = {}
    for name in listed[0].outcomes:
        values = [item.outcomes[name] for item in listed]
        if any(isinstance(value, str) for value in values):
            columns[name] = _texts([None if value is None else _text(value) for value in values])
        else:
            columns[name] = pd.Series(values, dtype="float64")
    return columns


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _content_of(table: pd.DataFrame, files: Sequence[Sequence[str]]) -> str:
    """Digest rows as text, whatever wrote the parquet file, and the content of their files."""
    digest = hashlib.sha256(json.dumps(list(table.columns)).encode())
    for values, file in zip(table.itertuples(index=False, name=None), files, strict=True):
        digest.update(json.dumps([str(value) for value in values] + [*file]).encode())
    return digest.hexdigest()


def _nothing_accepted(refused: Sequence[Refusal], data: Path) -> InputError:
    reasons = collections.Counter(refusal.reason for refusal in refused)
    tally = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    first = f" The first one: {refused[0].record!r}, {refused[0].detail}" if refused else ""
    return InputError(
        f"{data}: none of {len(refused)} images could be accepted: {tally or 'there is none'}."
        f"{first} Mend the files or the source's options."
    )


def _report(rows: Sequence[_Row], refused: Sequence[Refusal]) -> None:
    logger.info("%d images accepted, %d refused", len(rows), len(refused))
    for reason, count in collections.Counter(item.reason for item in refused).most_common():
        logger.info("refused: %s (%d)", reason, count)
    classes = collections.Counter(row.listed.class_name or "no class" for row in rows)
    logger.info("classes: %s", ", ".join(f"{name} {n}" for name, n in sorted(classes.items())))
    if not rows[0].listed.patient_known:
        logger.warning(
            "neither path nor table names a patient, so each image counts as a patient of its own, "
            "unless it has twins. If a patient has several, folds may share them."
        )
    by_content = collections.defaultdict(list)
    for row in rows:
        by_content[row.info.digest].append(row.listed.record)
    copies = [names for names in by_content.values() if len(names) > 1]
    for names in copies[:10]:
        logger.warning("images with the very same file: %s", ", ".join(names[:10]))
    if len(copies) > 10:
        logger.warning("%d more files are there several times", len(copies) - 10)
