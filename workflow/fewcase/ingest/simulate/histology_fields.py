"""Random fields that tissue is painted with: smooth noise, fibres, and the walls between cells.

Lengths are in pixels, fields are float32 (height, width).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Field = npt.NDArray[np.floating[Any]]
Shape = tuple[int, int]

_BSPLINE_DEVIATION = 151 / 315
"""Standard deviation of a bicubic B-spline whose coefficients are standard normal."""


def smooth_noise(rng: np.random.Generator, shape: Shape, period: float) -> Field:
    """Return noise of mean 0 and standard deviation 1 that varies over about `period` pixels.

    A bicubic B-spline over a lattice of standard normal numbers.
    """
    rows, columns = (_spline_basis(length, period) for length in shape)
    lattice = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return (rows @ lattice @ columns.T) / np.float32(_BSPLINE_DEVIATION)


def _spline_basis(length: int, period: float) -> Field:
    """Return the weights of lattice points in each of `length` pixels, (length, points)."""
    position = np.arange(length) / max(period, 1.0)
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    basis = np.zeros((length, int(first[-1]) + 4), np.float32)
    np.put_along_axis(basis, first[:, None] + np.arange(4), weights.astype(np.float32) / 6, axis=1)
    return basis


def fibres(
    rng: np.random.Generator,
    shape: Shape,
    *,
    angle: float,
    length: float,
    width: float,
    wave: float = 0.0,
    wave_period: float = 1.0,
) -> Field:
    """Return noise drawn out along one direction, of mean 0 and standard deviation about 0.7.

    Parameters
    ----------
    angle
        Direction of the fibres, in radians from the horizontal.
    length, width
        Over which the noise varies along and across the fibres.
    wave, wave_period
        How far fibres are displaced sideways, and over which length; makes them curl.
    """
    across, along = _turned(shape, angle)
    if wave:
        across = across + np.float32(wave) * smooth_noise(rng, shape, wave_period)
    lattice = rng.standard_normal((256, 32), dtype=np.float32)
    places = [across / np.float32(width), along / np.float32(length)]
    found: Field = ndimage.map_coordinates(lattice, places, order=1, mode="grid-wrap")
    return found


def _turned(shape: Shape, angle: float) -> tuple[Field, Field]:
    """Coordinates across and along a direction."""
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None]
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return y * cos - x * sin, x * cos + y * sin


def cell_walls(
    rng: np.random.Generator, shape: Shape, spacing: float, *, jitter: float = 0.9
) -> tuple[Field, npt.NDArray[np.int64]]:
    """Return how far each pixel is from the wall between its cell and the next, and its cell.

    Cells are those of S. Worley, A cellular texture basis function, SIGGRAPH 1996: each pixel
    belongs to the nearest of randomly displaced lattice points; the distance given is that to the
    second nearest point minus that to the nearest.
    """
    lattice = (int(shape[0] / spacing) + 3, int(shape[1] / spacing) + 3)
    shift = rng.random((2, *lattice), dtype=np.float32) - np.float32(0.5)
    rows = (np.arange(lattice[0])[:, None] + np.float32(jitter) * shift[0] - 0.5) * spacing
    columns = (np.arange(lattice[1])[None] + np.float32(jitter) * shift[1] - 0.5) * spacing
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None]
    row = (np.arange(shape[0]) // spacing).astype(np.int64) + 1
    column = (np.arange(shape[1]) // spacing).astype(np.int64) + 1
    nearest = np.full(shape, np.inf, np.float32)
    second = np.full(shape, np.inf, np.float32)
    cell = np.zeros(shape, np.int64)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            places = np.ix_(row + down, column + right)
            distance = (rows[places].astype(np.float32) - y) ** 2
            distance += (columns[places].astype(np.float32) - x) ** 2
            closer = distance < nearest
            np.minimum(second, np.where(closer, nearest, distance), out=second)
            np.copyto(nearest, distance, where=closer)
            index = (row + down)[:, None] * lattice[1] + (column + right)[None]
            np.copyto(cell, index, where=closer)
    return np.sqrt(second) - np.sqrt(nearest), cell


def displaced(
    rng: np.random.Generator, field: Field, shape: Shape, amount: float, period: float
) -> Field:
    """Return a field brought to another shape and displaced at random, so that lines bend.

    Parameters
    ----------
    field
        What to displace, in any resolution.
    shape
        Of the result.
    amount, period
        How far it is displaced, and over which length this changes; in pixels of the result.
    """
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None]
    places = [
        (place + np.float32(amount) * smooth_noise(rng, shape, period))
        * np.float32((length - 1) / (whole - 1))
        for place, length, whole in zip((y, x), field.shape, shape, strict=True)
    ]
    found: Field = ndimage.map_coordinates(field, places, order=1, mode="reflect")
    return found


def step_up(field: Field, start: float, end: float) -> Field:
    """Return 0 up to `start`, 1 from `end` on, a line between; the other way if end < start."""
    return np.clip((field - np.float32(start)) / np.float32(end - start), 0, 1)
