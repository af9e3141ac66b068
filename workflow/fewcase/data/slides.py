"""Whole-slide files, read region by region with OpenSlide where it is installed.

A. Goode et al., OpenSlide: a vendor-neutral software foundation for digital pathology, Journal of
Pathology Informatics 4:27, 2013.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from fewcase.data.image_files import ImageFileError, ImageInfo, Pixels, on_white, open_file
from fewcase.study.errors import InputError

SLIDE_SUFFIXES = (*(".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".czi"),)
"""Files that only OpenSlide can read."""

TIFF_SUFFIXES = (".tif", ".tiff")
"""Files that are slides if they are tiled, and ordinary images otherwise."""

TILED_TIFF = "tiled tiff"
"""File type of a slide in a TIFF file."""

REMEDY = "pip install openslide-python==1.4.7 openslide-bin==4.0.1.2"

ROUNDED = 1.01
"""Levels of a pyramid are rounded to whole pixels: one of 4.0003 does for a downsample of 4."""

_PROBE = 512
"""Side in pixels of the piece that is decoded to see whether a slide can be."""


def is_installed() -> bool:
    """Return whether OpenSlide is there."""
    return importlib.util.find_spec("openslide") is not None


def is_slide(path: Path) -> bool:
    """Return whether a file is to be read by OpenSlide.

    Without it, tiled TIFF files count as ordinary images.

    Raises
    ------
    InputError
        Where a file can be read by OpenSlide alone and it is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in SLIDE_SUFFIXES:
        _import(path)
        return True
    if suffix not in TIFF_SUFFIXES or not is_installed():
        return False
    import openslide

    return openslide.OpenSlide.detect_format(path) is not None


def inspect_slide(path: Path) -> ImageInfo:
    """Read a slide's properties and a piece of its smallest level, and digest its file.

    The digest is that of the file and of the fingerprint that OpenSlide makes of all files of a
    slide.

    Raises
    ------
    ImageFileError
        With the reason missing file, unreadable file, empty file or damaged file.
    """
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256")
        file_bytes = file.tell()
    slide = Slide(path)
    try:
        digest.update(slide.fingerprint.encode())
        slide.probe()
        width, height = slide.width, slide.height
    finally:
        slide.close()
    suffix = path.suffix.lower()
    file_type = TILED_TIFF if suffix in TIFF_SUFFIXES else suffix.removeprefix(".")
    return ImageInfo(file_type, file_bytes, width, height, 3, digest.hexdigest())


class Slide:
    """An open slide; may be read from several threads at once.

    Attributes
    ----------
    width, height
        Pixels at level 0.
    downsamples
        How many pixels at level 0 are one of each level, across.
    """

    channels = 3

    def __init__(self, path: Path) -> None:
        openslide = _import(path)
        self._path = path
        try:
            self._slide = openslide.OpenSlide(path)
            self.width, self.height = self._slide.dimensions
            self.downsamples = tuple(map(float, self._slide.level_downsamples))
        except (openslide.OpenSlideError, OSError) as error:
            raise ImageFileError("damaged file", f"{path}: not a slide ({error}).") from None

    @property
    def fingerprint(self) -> str:
        """What OpenSlide tells slides apart by; empty where it has none."""
        return self._slide.properties.get("openslide.quickhash-1", "")

    def property(self, name: str) -> float | None:
        """Return a number of the properties, such as ``mpp-x``; None where there is none."""
        text = self._slide.properties.get(f"openslide.{name}")
        try:
            return None if text is None else float(text)
        except ValueError:
            return None

    def read(self, x: int, y: int, width: int, height: int, downsample: float = 1.0) -> Pixels:
        """Return a region as uint8 (rows, columns, 3), from the level that is just fine enough.

        Parameters
        ----------
        x, y, width, height
            Left, top and size in pixels of level 0; what lies beyond the slide is white.
        downsample
            So much coarser than level 0 may the pixels be, at most.
        """
        level = self._slide.get_best_level_for_downsample(downsample * ROUNDED)
        scale = self.downsamples[level]
        size = (max(1, round(width / scale)), max(1, round(height / scale)))
        return np.asarray(self._read((x, y), level, size))

    def probe(self) -> None:
        """Decode a piece of the smallest level.

        Raises
        ------
        ImageFileError
            Where it cannot be decoded.
        """
        level = len(self.downsamples) - 1
        width, height = self._slide.level_dimensions[level]
        self._read((0, 0), level, (min(width, _PROBE), min(height, _PROBE)))

    def close(self) -> None:
        """Close the file."""
        self._slide.close()

    def _read(self, place: tuple[int, int], level: int, size: tuple[int, int]):  # type: ignore[no-untyped-def]
        openslide = _import(self._path)
        try:
            return on_white(self._slide.read_region(place, level, size))
        except openslide.OpenSlideError as error:
            raise ImageFileError(
                "damaged file", f"{self._path}: level {level} cannot be decoded ({error})."
            ) from None


def _import(path: Path):  # type: ignore[no-untyped-def]
    try:
        import openslide
    except (ImportError, OSError):
        raise InputError(
            f"{path}: slides are read by OpenSlide, which is not installed: {REMEDY}"
        ) from None
    return openslide
