"""The image area inside a scanner's screen, as ingest found it: cut out, and black around it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fewcase.data.image_files import Pixels
from fewcase.data.region_masks import Inside, fill_polygons
from fewcase.images.regions import Regions


class AreaRegions:
    """Reads regions of an image area as if it were a whole image."""

    def __init__(self, image: Regions, box: tuple[int, int, int, int], inside: Inside | None):
        """Take an open image, its area, and where in the area the image is, if not all over."""
        self._image = image
        self._box = box
        self._inside = inside
        self.width, self.height = box[2] - box[0], box[3] - box[1]
        self.downsamples = image.downsamples

    def read(self, x: int, y: int, width: int, height: int, downsample: float = 1.0) -> Pixels:
        """Return a region as uint8 (rows, columns, channels), black around the image."""
        left, top, _, _ = self._box
        pixels = self._image.read(left + x, top + y, width, height, downsample)
        if self._inside is None:
            return pixels
        inside = self._inside[y : y + height, x : x + width, None]
        return np.where(inside, pixels, np.uint8(0))

    def property(self, name: str) -> float | None:
        """Return what the image's file tells of itself."""
        return self._image.property(name)

    def close(self) -> None:
        """Let go of the file."""
        self._image.close()


def area_of(record: Any, image: Regions) -> Regions:
    """Return the image area of a record; the image itself where nothing is cut out of it.

    Parameters
    ----------
    record
        A row of the records. Its left, top, right, bottom (exclusive) are the area in pixels, and
        its `area` the outline of what is image in it: JSON, a list of (x, y), ``[]`` for all.
    image
        Its open file.
    """
    box = box_of(record)
    outline = json.loads(record.get("area", "[]"))
    if not outline and box == (0, 0, image.width, image.height):
        return image
    inside = None
    if outline:
        shifted = np.asarray(outline, np.float64) - box[:2]
        (inside,) = fill_polygons([shifted.tolist()], box[3] - box[1], box[2] - box[0])
    return AreaRegions(image, box, inside)


def box_of(record: Any) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (exclusive) of a record's image area; else all of it."""
    if "left" not in record:
        return 0, 0, int(record["width"]), int(record["height"])
    left, top, right, bottom = (int(record[key]) for key in ("left", "top", "right", "bottom"))
    return left, top, right, bottom
