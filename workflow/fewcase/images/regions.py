"""An image as regions are read from it: a slide by OpenSlide, any other file decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from fewcase.data.image_files import WHITE, ImageFileError, Pixels, read_image
from fewcase.data.slides import Slide
from fewcase.study.errors import InputError

ORDINARY_TYPES = ("png", "jpeg", "tiff", "bmp", "dicom")
"""File types that are decoded as a whole."""


class Regions(Protocol):
    """What regions can be read from."""

    width: int
    height: int
    downsamples: tuple[float, ...]

    def read(self, x: int, y: int, width: int, height: int, downsample: float = 1.0) -> Pixels:
        """Return a region as uint8 (rows, columns, channels); white beyond the image."""
        ...

    def property(self, name: str) -> float | None:
        """Return a number that the file tells of itself, None where it does not."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class DecodedImage:
    """An ordinary image file in memory."""

    downsamples: tuple[float, ...] = (1.0,)

    def __init__(self, path: Path, bits: int = 16, frame: int = 0) -> None:
        self.pixels = read_image(path, bits, frame)
        self.height, self.width, self.channels = self.pixels.shape

    def read(self, x: int, y: int, width: int, height: int, downsample: float = 1.0) -> Pixels:
        """Return a region at full resolution; `downsample` is for slides."""
        inside = self.pixels[max(y, 0) : y + height, max(x, 0) : x + width]
        if inside.shape[:2] == (height, width):
            return inside
        region = np.full((height, width, self.channels), WHITE, np.uint8)
        top, left = max(-y, 0), max(-x, 0)
        region[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return region

    def property(self, name: str) -> float | None:
        """Nothing is known: what such files say of resolution is that of print."""
        return None

    def close(self) -> None:
        """Let go of the pixels."""
        del self.pixels


def open_regions(
    path: Path, file_type: str, size: tuple[int, int], bits: int = 16, frame: int = 0
) -> Regions:
    """Open an image that was accepted at ingest.

    Parameters
    ----------
    path, file_type
        As its record has them.
    size
        Width and height that the record has.
    bits
        Significant bits of grey images of 16 bits, see `fewcase.data.image_files.read_image`.
    frame
        Which frame of a DICOM file.

    Raises
    ------
    InputError
        Where the file is no longer what it was.
    """
    try:
        ordinary = file_type in ORDINARY_TYPES
        image: Regions = DecodedImage(path, bits, frame) if ordinary else Slide(path)
    except ImageFileError as error:
        raise InputError(
            f"{error.detail} It could be read at ingest: bring it back, or run ingest again."
        ) from None
    if (image.width, image.height) != size:
        raise InputError(
            f"{path}: {image.width} × {image.height} pixels, but {size[0]} × {size[1]} at ingest. "
            "Bring the file back, or run ingest again."
        )
    return image


@contextmanager
def opened(path: Path, file_type: str, size: tuple[int, int]) -> Iterator[Regions]:
    """Open an image as `open_regions` does, and close it afterwards."""
    image = open_regions(path, file_type, size)
    try:
        yield image
    finally:
        image.close()
