"""Images in folders: who, where, when and what they show, by their paths, a table, or both."""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from fewcase.data.dicom_files import DICOM_SUFFIXES, is_dicom
from fewcase.data.image_files import SUFFIXES, UNSUPPORTED_SUFFIXES
from fewcase.data.image_records import ListedImage
from fewcase.data.recordings import Refusal
from fewcase.data.slides import SLIDE_SUFFIXES
from fewcase.ingest.image_facts import Facts, Refused
from fewcase.ingest.image_options import check_options, compiled
from fewcase.ingest.metadata_table import as_text, read_columns
from fewcase.study.errors import InputError
from fewcase.study.image_sources import ID_SCOPES, ImageFolder, MaskedImages, Tiles
from fewcase.study.spelling import plain_name

_NO_CELLS: Mapping[str, object] = {}

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Place:
    """A folder of images: its name in records (empty for a single one), and its path."""

    name: str
    prefix: PurePosixPath
    path: Path


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """A file below a folder, and the cells of its row where a table lists it."""

    place: _Place
    raw: str
    cells: Mapping[str, object]
    origin: str

    @property
    def below(self) -> str:
        """The path below the folder, spelled plainly."""
        return plain_name(self.raw)


def list_images(
    options: ImageFolder,
    data: Path,
    *,
    is_mask: Callable[[str], bool] | None = None,
    closed: Iterable[Path] = (),
) -> Iterator[ListedImage | Refusal]:
    """List the images of a cohort without opening them, in a fixed order.

    Files come folder by folder, sorted by path, or in the order of the table. Linked files and
    folders are followed; each folder is entered once. Hidden files, and files that are no images
    by their suffix, are passed over; images of other kinds are refused.

    Parameters
    ----------
    options
        The source's section of the study file. Those of the source tiles let slides in, and their
        folder of annotations is no folder of images.
    data
        The study's data folder, which the paths in `options` are relative to.
    is_mask
        Tells of a path below the folder whether it is of a mask, which is no record.
    closed
        Folders of masks, which hold no records.

    Raises
    ------
    InputError
        Where the options contradict each other, or the folder or table is missing or empty.
    """
    check_options(options)
    places = _places(options, data)
    if options.table is not None:
        found = _in_table(options, data / options.table, places[0])
    else:
        passed = _annotations(options, data) | {os.path.realpath(folder) for folder in closed}
        found = _in_folders(options, places, passed, is_mask)
    twins = _twins(found) if options.twins == "by_name" else frozenset[str]()
    reader = _Reader(options, twins)
    for file in found:
        yield reader.read(file)


def _places(options: ImageFolder, data: Path) -> list[_Place]:
    names = options.folders or (options.folder or "",)
    places = []
    for name in names:
        path = data / name
        if not path.is_dir():
            found = "a file, expected a folder" if path.exists() else "no such folder"
            raise InputError(
                f"{path}: {found}. Set data= to the folder of the study's data, and the source's "
                "option folder to that of its images, relative to it."
            )
        prefix = PurePosixPath(Path(name).as_posix())
        places.append(_Place(prefix.as_posix() if options.folders else "", prefix, path))
    return places


def _annotations(options: ImageFolder, data: Path) -> set[str]:
    """The folder of masks, which are images as well, but no records."""
    if isinstance(options, Tiles) and options.annotations is not None:
        return {os.path.realpath(data / options.annotations)}
    return set()


def _in_table(options: ImageFolder, path: Path, place: _Place) -> list[_Found]:
    named = {**options.columns, **options.outcomes}
    table = read_columns(
        path, named.values(), encoding=options.encoding, delimiter=options.delimiter
    )
    columns = [table[column] for column in named.values()]
    if not columns[0]:
        raise InputError(f"{path}: a header and no rows, expected one row per image.")
    rows = [dict(zip(named, cells, strict=True)) for cells in zip(*columns, strict=True)]
    logger.info("%s: %d rows", path, len(rows))
    return [
        _Found(place, as_text(cells["path"]).replace("\\", "/"), cells, f"{path}, row {number}")
        for number, cells in enumerate(rows, start=1)
    ]


def _in_folders(
    options: ImageFolder,
    places: Iterable[_Place],
    closed: set[str],
    is_mask: Callable[[str], bool] | None,
) -> list[_Found]:
    leave_out = compiled(options, "leave_out")
    slides = isinstance(options, Tiles)
    reads_dicom = isinstance(options, MaskedImages)
    wanted = {*SUFFIXES, *UNSUPPORTED_SUFFIXES, *SLIDE_SUFFIXES}
    found: list[_Found] = []
    for place in places:
        others: collections.Counter[str] = collections.Counter()
        left_out = 0
        before = len(found)
        for raw in sorted(walk(place.path, closed), key=plain_name):
            suffix = PurePosixPath(raw).suffix.lower()
            if suffix not in wanted and not (reads_dicom and is_dicom(place.path / raw)):
                others[suffix or "no suffix"] += 1
            elif is_mask is not None and is_mask(plain_name(raw)):
                others["masks"] += 1
            elif leave_out is not None and leave_out.search(plain_name(raw)):
                left_out += 1
            else:
                found.append(_Found(place, raw, _NO_CELLS, ""))
        passed_over = ", ".join(f"{suffix} ({n})" for suffix, n in others.most_common(6))
        if len(found) == before:
            kinds = (*SUFFIXES, *SLIDE_SUFFIXES) if slides else SUFFIXES
            besides = f" It has other files: {passed_over}." if passed_over else ""
            besides += f" leave_out fits all of {left_out} images." if left_out else ""
            raise InputError(
                f"{place.path}: holds no image ({', '.join(kinds)}).{besides} Set data= and the "
                "source's option folder to the folder of the images."
            )
        logger.info(
            "%s: %d images, %d left out by name, other files: %s",
            *(place.path, len(found) - before, left_out, passed_over or "none"),
        )
    return found


def walk(folder: Path, closed: Iterable[str] = ()) -> Iterator[str]:
    """Yield the POSIX paths of all visible files below a folder, but not below closed ones.

    Paths are relative to the folder. Closed folders are given as `os.path.realpath` has them.
    """
    entered = set(closed)
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in files:
            if not _is_hidden(name):
                yield Path(parent, name).relative_to(folder).as_posix()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _unreadable(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: this folder cannot be read ({error.strerror}). Make it readable."
    )


def _twins(found: Iterable[_Found]) -> frozenset[str]:
    """Return the file names, without suffix, that occur in several folders."""
    folders = collections.defaultdict(set)
    for file in found:
        folders[PurePosixPath(file.below).stem].add(file.place.name)
    twins = frozenset(stem for stem, names in folders.items() if len(names) > 1)
    if not twins:
        raise InputError(
            "twins: by_name, but no file name occurs in two of the folders, so nothing tells which "
            "images show the same tissue. Set twins: none, and duplicates: group to look for "
            "copies by their content."
        )
    alone = len(folders) - len(twins)
    logger.info("%d file names in several folders, %d in one", len(twins), alone)
    return twins


def without_suffix(path: str) -> str:
    """Return a path without the suffix of its file type.

    Names of DICOM files may be numbers with dots and no suffix: nothing is taken from them.
    """
    stem, _, suffix = path.rpartition(".")
    return path if not stem or suffix.isdigit() or "/" in suffix else stem


class _Reader:
    """Makes a record of each file that was found."""

    def __init__(self, options: ImageFolder, twins: frozenset[str]) -> None:
        self._options = options
        self._twins = twins
        self._pattern = compiled(options, "pattern")
        self._annotated = isinstance(options, Tiles) and options.annotations is not None

    def read(self, file: _Found) -> ListedImage | Refusal:
        facts = Facts(self._options, file.raw, file.cells, self._pattern)
        record = without_suffix(facts.below) if facts.below else file.origin
        record = f"{file.place.name}/{record}" if file.place.name else record
        try:
            return self._listed(file, facts, record)
        except Refused as refused:
            where = f"{file.origin}: {facts.below}" if file.origin else facts.below
            detail = f"{where}: {refused.detail}"
            return Refusal(record, "", "", "ingest", refused.reason, detail)

    def _listed(self, file: _Found, facts: Facts, record: str) -> ListedImage:
        self._check_file(file, facts)
        site = facts.word("site")
        part, class_name = facts.part(), "" if self._annotated else facts.class_name()
        scopes = {"site": site, "part": part, "folder": file.place.name, "class": class_name}
        within = [scopes[scope] for scope in ID_SCOPES if scope in self._options.ids_within]
        prefix = "".join(f"{scope}/" for scope in within if scope)
        named = facts.word("record")
        if named:
            folder = f"{file.place.name}/" if file.place.name else ""
            record = f"{folder}{prefix}{named}"
        patient = facts.word("patient")
        for name, word in (("patient", patient), ("site", site)):
            if word == "":
                raise Refused(f"blank {name}", f"no {name} is given, expected a name.")
        stem = PurePosixPath(facts.below).stem
        twin = stem if stem in self._twins else record
        time = facts.time()
        return ListedImage(
            record=record,
            patient=twin if patient is None else f"{prefix}{patient}",
            site=self._options.site if site is None else site,
            patient_known=patient is not None,
            date=None if time is None else pd.Timestamp(time),
            part=part,
            class_name=class_name,
            outcomes={name: facts.value(name) for name in self._options.outcomes},
            path=(file.place.prefix / file.raw).as_posix(),
            origin=file.origin,
        )

    def _reads(self, suffix: str) -> bool:
        return suffix in DICOM_SUFFIXES and isinstance(self._options, MaskedImages)

    def _check_file(self, file: _Found, facts: Facts) -> None:
        if not file.raw:
            raise Refused("missing file", "the cell for path is empty, expected a file name.")
        if not facts.is_unicode:
            raise Refused("unreadable name", "the name is not Unicode (UTF-8). Rename the file.")
        suffix = PurePosixPath(file.raw).suffix.lower()
        if suffix in SLIDE_SUFFIXES and not isinstance(self._options, Tiles):
            raise Refused("unsupported type", "slides are read by the source tiles.")
        if suffix in UNSUPPORTED_SUFFIXES and not self._reads(suffix):
            raise Refused(
                "unsupported type", f"{suffix} files are not read. Save it as PNG or TIFF."
            )
        if not facts.fits:
            raise Refused(
                "unmatched name",
                f"the pattern {self._options.pattern!r} is not found in its path. Mend the name or "
                "the pattern, or name files that are no records under leave_out.",
            )
