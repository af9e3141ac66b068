"""The sector of a convex probe: its beams, its place on a screen, and how one becomes the other."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.ingest.simulate.fields import Field, Shape

Indices = npt.NDArray[np.integer[Any]]


class Places:
    """Places between the nodes of a lattice, at which fields on it are read linearly.

    Parameters
    ----------
    rows, columns
        Of the places, in nodes; those outside are moved to the lattice's edge.
    shape
        Of the lattice.
    """

    def __init__(self, rows: Field, columns: Field, shape: Shape) -> None:
        row, self._down = _divided(rows, shape[0])
        column, self._right = _divided(columns, shape[1])
        self._at = row * shape[1] + column
        self._width = shape[1]

    def read(self, field: Field) -> Field:
        """Return the field at the places, in their shape."""
        flat = field.reshape(-1)
        above = _between(flat, self._at, 1, self._right)
        below = _between(flat, self._at + self._width, 1, self._right)
        below -= above
        below *= self._down
        below += above
        return below


def _divided(places: Field, nodes: int) -> tuple[Indices, Field]:
    """Return the node before each place, and how far beyond it the place is."""
    places = np.clip(places, 0, nodes - 1 - 1e-3, dtype=np.float32)
    node = places.astype(np.int32)
    return node, places - node


def _between(flat: Field, at: Indices, step: int, share: Field) -> Field:
    first = flat.take(at)
    second = flat.take(at + step)
    second -= first
    second *= share
    second += first
    return second


@dataclasses.dataclass(frozen=True)
class Sector:
    """Where on a screen the picture of a convex probe is, and how large.

    Attributes
    ----------
    radius
        Of the probe's face, in mm.
    half
        Half of the opening angle, in radians.
    depth
        From the probe's face to the end of the picture, in mm.
    scale
        Millimetres per pixel.
    apex
        Centre of the probe's curvature, row and column in pixels; often above the screen.
    shape
        Of the screen: height and width in pixels.
    """

    radius: float
    half: float
    depth: float
    scale: float
    apex: tuple[float, float]
    shape: Shape

    def box(self) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the sector in pixels, the last two exclusive."""
        reach = (self.radius + self.depth) * math.sin(self.half) / self.scale
        top = self.apex[0] + self.radius * math.cos(self.half) / self.scale
        bottom = self.apex[0] + (self.radius + self.depth) / self.scale
        row, column = (math.ceil(place) for place in (top, self.apex[1] - reach))
        return column, row, math.floor(self.apex[1] + reach) + 1, math.floor(bottom) + 1

    def pixels(self) -> tuple[Field, Field]:
        """Return depth in mm and angle in radians of each pixel of the sector's box."""
        left, top, right, bottom = self.box()
        down = (np.arange(top, bottom, dtype=np.float32) - np.float32(self.apex[0]))[:, None]
        across = (np.arange(left, right, dtype=np.float32) - np.float32(self.apex[1]))[None]
        distance = np.hypot(down, across) * np.float32(self.scale) - np.float32(self.radius)
        return distance, np.arctan2(across, down)


def fit_sector(
    shape: Shape,
    window: tuple[float, float, float, float],
    radius: float,
    half: float,
    depth: float,
) -> Sector:
    """Return the largest sector that fits a window of a screen, in its middle.

    Parameters
    ----------
    window
        Left, top, right and bottom, in pixels.
    """
    left, top, right, bottom = window
    tall = radius + depth - radius * math.cos(half)
    wide = 2 * (radius + depth) * math.sin(half)
    scale = max(tall / (bottom - top), wide / (right - left))
    spare = (bottom - top) - tall / scale
    row = top + 0.5 * spare - radius * math.cos(half) / scale
    return Sector(radius, half, depth, scale, (row, 0.5 * (left + right)), shape)


class Beams:
    """Samples along the beams of a sector, and a few beams beyond its sides.

    Attributes
    ----------
    sector
        What the beams fill.
    depth
        Of samples, in mm from the probe's face, (samples, 1).
    angle
        Of beams, in radians from the middle, (1, beams).
    x, z
        Where samples are, in mm to the right and downward of the middle of the probe's face,
        (samples, beams).
    """

    def __init__(self, sector: Sector, samples: int, beams: int, margin: int) -> None:
        self.sector = sector
        self.step = sector.depth / (samples - 1)
        self.turn = 2 * sector.half / (beams - 1)
        self.margin = margin
        self.shape = (samples, beams + 2 * margin)
        numbers = np.arange(-margin, beams + margin, dtype=np.float32)
        self.depth = (np.arange(samples, dtype=np.float32) * np.float32(self.step))[:, None]
        self.angle = (numbers * np.float32(self.turn) - np.float32(sector.half))[None]
        away = self.depth + np.float32(sector.radius)
        self.x = away * np.sin(self.angle)
        self.z = away * np.cos(self.angle) - np.float32(sector.radius)

    @property
    def inside(self) -> slice:
        """The beams within the sector."""
        return slice(self.margin, self.shape[1] - self.margin)

    def area(self) -> Field:
        """Return the share of each sample in the area of the sector, (samples, 1)."""
        away = self.depth + np.float32(self.sector.radius)
        return away / (away.sum() * np.float32(self.shape[1] - 2 * self.margin))


class Converter:
    """Turns fields on beams into pictures of the sector's box: scan conversion."""

    def __init__(self, beams: Beams) -> None:
        sector = beams.sector
        depth, angle = sector.pixels()
        tiny = 1e-4
        self.inside: npt.NDArray[np.bool_] = (
            (depth >= -tiny)
            & (depth <= sector.depth + tiny)
            & (np.abs(angle) <= sector.half + tiny)
        )
        rows = depth[self.inside] / np.float32(beams.step)
        columns = (angle[self.inside] + np.float32(sector.half)) / np.float32(beams.turn)
        self._places = Places(rows, columns + np.float32(beams.margin), beams.shape)

    def picture(self, field: Field, outside: float) -> Field:
        """Return the picture of a field, float32, in the shape of the sector's box."""
        picture = np.full(self.inside.shape, np.float32(outside))
        picture[self.inside] = self._places.read(field)
        return picture
