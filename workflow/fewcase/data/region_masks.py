"""Regions of images: masks in files, however they were saved, and outlines drawn as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from fewcase.data.image_files import ImageFileError, read_unconverted

Inside = npt.NDArray[np.bool_]
Points = Sequence[Sequence[float]]

FLAT = 5
"""So many pixels of one grey level, each way, are no edge that was smoothed but an area."""

NEAR_COLOUR = 32
"""How far a channel may be from a colour that was asked for: JPEG changes colours."""

REMEDY = "Name the values that count under mask_values, or save the mask in black and white."


def read_mask(path: Path, values: Sequence[int | str] = ()) -> Inside:
    """Return where a mask's region is, bool (height, width).

    Parameters
    ----------
    path
        PNG, TIFF, BMP or JPEG.
    values
        What the region is: grey levels or indices of a palette (whole numbers), or colours
        (``#rrggbb``). Without them: of a file of two values, one of them 0, what is not 0; of
        smooth edges, what is at least half white; of one colour on black, that colour. On a
        transparent ground, the ground is outside.

    Raises
    ------
    ImageFileError
        As `fewcase.data.image_files.read_image` does, and with the reasons coloured mask (of
        several colours) and unclear mask (of several levels, which could be labels).
    """
    image = read_unconverted(path)
    if values:
        return _chosen(image, values)
    return _thresholded(path, _one_channel(path, image))


def fill_polygons(polygons: Sequence[Points], height: int, width: int) -> list[Inside]:
    """Draw each polygon as bool (height, width): a pixel is inside if its centre is.

    Points are (x, y) in pixels, the centre of the first pixel being at (0.5, 0.5); what lies
    beyond the image is cut off. Where a polygon crosses itself, all that it goes around is inside
    (non-zero winding).
    """
    return [_fill(np.asarray(points, np.float64), height, width) for points in polygons]


def _fill(points: npt.NDArray[np.float64], height: int, width: int) -> Inside:
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    # Rows whose centre lies from `low` on and before `high` are crossed by an edge.
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    winding = np.zeros((height, width + 1), np.int32)
    np.add.at(winding, (row, column), np.where(y1 > y0, 1, -1)[edge])
    return np.cumsum(winding, axis=1)[:, :width] != 0


def _chosen(image: Image.Image, values: Sequence[int | str]) -> Inside:
    inside = np.zeros((image.height, image.width), bool)
    levels = [value for value in values if not isinstance(value, str)]
    if levels:
        has_levels = image.mode in ("L", "P", "1") or image.mode.startswith("I;16")
        plain = image if has_levels else image.convert("L")
        inside |= np.isin(np.asarray(plain).astype(np.int64), levels)
    colours = np.asarray(image.convert("RGB")).astype(np.int16)
    for value in values:
        if isinstance(value, str):
            wanted = np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)], np.int16)
            inside |= (np.abs(colours - wanted) <= NEAR_COLOUR).all(axis=-1)
    return inside


def _one_channel(path: Path, image: Image.Image) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return the levels of a mask, (height, width), outside 0."""
    if "transparency" not in image.info:
        if image.mode == "1":
            return np.asarray(image).astype(np.uint8) * np.uint8(255)
        if image.mode == "L" or image.mode.startswith("I;16"):
            return np.asarray(image)
    pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
    alpha = pixels[..., 3:]
    colours = pixels[..., :3] * alpha // 255
    if not colours.any():
        # Black drawn on nothing is a region, black on black is none.
        drawn = alpha[..., 0] if alpha.min() < 255 else colours[..., 0]
        return drawn.astype(np.uint8)
    if (colours == colours[..., :1]).all():
        return colours[..., 0].astype(np.uint8)
    return _single_colour(path, colours)


def _single_colour(path: Path, colours: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    brightest = colours.max(axis=-1)
    strong = brightest * 2 >= brightest.max()
    tones = colours[strong] / brightest[strong][:, None]
    others = np.abs(tones - np.median(tones, axis=0)).max(axis=-1) > 0.25
    if others.mean() > 0.02:
        raise ImageFileError("coloured mask", f"{path}: a mask of several colours. {REMEDY}")
    return np.round(brightest * (255 / brightest.max())).astype(np.uint8)


def _thresholded(path: Path, levels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> Inside:
    found = np.unique(levels)
    if len(found) == 1 or (len(found) == 2 and found[0] == 0):
        return levels > 0
    brightest = int(found[-1])
    white = 65535 if brightest > 255 else 255
    if brightest * 2 < white:
        raise ImageFileError(
            "unclear mask",
            f"{path}: {len(found)} levels up to {brightest}, expected black and white. {REMEDY}",
        )
    flat = ndimage.maximum_filter(levels, FLAT) == ndimage.minimum_filter(levels, FLAT)
    between = flat & (levels > white // 16) & (levels < brightest - white // 16)
    if between.any():
        level = int(levels[between][0])
        raise ImageFileError(
            "unclear mask",
            f"{path}: areas of the level {level} beside {brightest} and 0, which could be labels. "
            f"{REMEDY}",
        )
    return levels.astype(np.int64) * 2 > white
