"""Which masks and outlines belong to which image, by their names; those that belong to none."""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from fewcase.data.dicom_files import is_dicom
from fewcase.data.image_files import SUFFIXES, UNSUPPORTED_SUFFIXES
from fewcase.ingest.image_folder import walk, without_suffix
from fewcase.ingest.mask_outlines import Outlines, read_collection
from fewcase.study.errors import InputError
from fewcase.study.image_sources import MaskedImages
from fewcase.study.spelling import plain_name

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stray:
    """A mask that belongs to no image, or to nobody knows which of several."""

    name: str
    reason: str
    detail: str


@dataclasses.dataclass
class Matches:
    """What belongs to each image, by the image's path without suffix, relative to the data folder.

    Attributes
    ----------
    masks
        Paths of mask files, relative to the data folder, in the order of their names.
    files
        LabelMe files.
    drawn
        Outlines out of one file for all.
    strays
        What belongs to none.
    """

    masks: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    files: dict[str, Path] = dataclasses.field(default_factory=dict)
    drawn: dict[str, Outlines] = dataclasses.field(default_factory=dict)
    strays: list[Stray] = dataclasses.field(default_factory=list)


def match_masks(options: MaskedImages, data: Path, pattern: re.Pattern[str] | None) -> Matches:
    """Look for the masks or outlines of all images on disk.

    Raises
    ------
    InputError
        Where a folder or file is missing, or there is no mask at all.
    """
    matches = Matches()
    images, beside = _images_and_masks(options, data, pattern)
    if options.outlines is not None and (data / options.outlines).is_file():
        collected = read_collection(data / options.outlines)
        fitting = _by_ends(images, collected, with_suffix=True)
        matches.drawn = {image: collected[names[0]] for image, names in fitting.items()}
        _report(matches, collected, fitting, f"{options.outlines}: {{}}", "outlines")
    elif options.outlines is not None:
        folder = _folder(options.outlines, data, "outlines")
        files = {name: folder / name for name in walk(folder) if name.lower().endswith(".json")}
        fitting = _by_ends(images, files, with_suffix=False)
        matches.files = {image: files[names[0]] for image, names in fitting.items()}
        _report(matches, files, fitting, _below(options.outlines), "outlines")
    elif options.mask_folder is not None:
        folder = _folder(options.mask_folder, data, "mask_folder")
        named = {name: image_of(name, pattern) for name in walk(folder) if _is_image(name)}
        fitting = _by_ends(images, named, with_suffix=False, called=named)
        prefix = PurePosixPath(Path(options.mask_folder).as_posix())
        matches.masks = {
            image: [(prefix / name).as_posix() for name in names]
            for image, names in fitting.items()
        }
        _report(matches, named, fitting, _below(options.mask_folder), "mask")
    else:
        matches.masks = {image: names for image, names in beside.items() if image in images}
        for image in beside.keys() - images.keys():
            for name in beside[image]:
                detail = f"{name}: no image is called {image}."
                matches.strays.append(Stray(name, "mask without image", detail))
        matches.strays.sort(key=lambda stray: stray.name)
    if not (matches.masks or matches.files or matches.drawn):
        raise _nothing_found(options, data, matches)
    return matches


def image_of(name: str, pattern: re.Pattern[str] | None) -> str:
    """Return what the image of a mask file is called, a path without suffix."""
    stem = without_suffix(plain_name(name))
    match = pattern.search(stem) if pattern is not None else None
    return stem if match is None else match["image"]


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _folder(name: str, data: Path, key: str) -> Path:
    folder = data / name
    if not folder.is_dir():
        found = "a file, expected a folder" if folder.exists() else "no such folder or file"
        raise InputError(f"{key}: {folder}: {found}. Name it relative to the study's data folder.")
    return folder


def _images_and_masks(
    options: MaskedImages, data: Path, pattern: re.Pattern[str] | None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the images on disk, path by path without suffix, and the masks among them by image."""
    closed = []
    if options.mask_folder is not None:
        closed.append(os.path.realpath(data / options.mask_folder))
    apart = options.mask_folder is not None or options.outlines is not None
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    for folder in options.folders or (options.folder or "",):
        prefix = PurePosixPath(Path(folder).as_posix())
        for raw in sorted(walk(data / folder, closed), key=plain_name):
            path = (prefix / raw).as_posix()
            stem = without_suffix(plain_name(raw))
            listed = (*SUFFIXES, *UNSUPPORTED_SUFFIXES)
            if PurePosixPath(raw).suffix.lower() not in listed and not is_dicom(data / path):
                continue
            if apart or pattern is None or not pattern.search(stem):
                images[without_suffix(plain_name(path))] = plain_name(path)
            elif _is_image(raw):
                image = (prefix / image_of(raw, pattern)).as_posix()
                masks.setdefault(image, []).append(path)
    return images, masks


def _by_ends(
    images: Mapping[str, str],
    names: Iterable[str],
    *,
    with_suffix: bool,
    called: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Return the names that belong to each image: they are called as it, or as an end of its path.

    An image whose whole path is given goes before one of which it is an end. What fits several
    images equally belongs to none.
    """
    by_end: dict[str, list[str]] = collections.defaultdict(list)
    for image, path in images.items():
        parts = PurePosixPath(path if with_suffix else image).parts
        for first in range(len(parts)):
            by_end["/".join(parts[first:])].append(image)
    fitting: dict[str, list[str]] = {}
    for name in sorted(names, key=plain_name):
        wanted = plain_name(name) if with_suffix else image_of(name, None)
        wanted = called[name] if called is not None else wanted
        parts = PurePosixPath(wanted).parts
        # A tool may have seen the images in a folder of another name.
        ends = ["/".join(parts[first:]) for first in range(len(parts) if with_suffix else 1)]
        found = next((by_end[end] for end in ends if end in by_end), [])
        exact = [image for image in found if wanted in (image, images[image])]
        if len(exact or found) == 1:
            fitting.setdefault((exact or found)[0], []).append(name)
    return fitting


def _report(
    matches: Matches,
    names: Iterable[str],
    fitting: Mapping[str, list[str]],
    where: str,
    kind: str,
) -> None:
    """Note what belongs to no image, and outlines beside the first that an image has."""
    used = {name for of in fitting.values() for name in (of if kind == "mask" else of[:1])}
    for name in sorted(names, key=plain_name):
        if name not in used:
            found = where.format(name)
            detail = f"{found}: no image, or more than one, is called so."
            matches.strays.append(Stray(found, f"{kind} without image", detail))


def _below(folder: str) -> str:
    """Return a pattern for the paths of files below a folder."""
    return (PurePosixPath(Path(folder).as_posix()) / "{}").as_posix()


def _nothing_found(options: MaskedImages, data: Path, matches: Matches) -> InputError:
    first = (
        f" The first of {len(matches.strays)}: {matches.strays[0].detail}" if matches.strays else ""
    )
    if options.outlines is not None:
        where = f"outlines: {data / options.outlines}"
    elif options.mask_folder is not None:
        where = f"mask_folder: {data / options.mask_folder}"
    else:
        where = f"mask_pattern: {options.mask_pattern!r}"
    return InputError(
        f"{where}: no mask of any image is found.{first} Give mask_pattern, mask_folder or "
        "outlines so that masks are called as their images, or take the source image_folder."
    )
