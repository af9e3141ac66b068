"""Grids of cells that are blanked one by one: squares of an image, slits of a stretch of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

PAPER_SIZES = (7, 9, 11, 13, 15, 17, 19, 21)
"""Cells along a side of the eight grids of Ayatsuka et al."""
SLIT_MINUTES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Widths of time slits by default: from the shortest event of interest to the base line's step."""
WHOLE = "all"
"""Name of the group of cells that blanks every channel."""


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Cells that cover an image, each blanked in its turn.

    Attributes
    ----------
    name
        What a reader sees: ``7 × 7``, ``2 min``.
    group
        Grids of one group are mixed into one map: ``all``, or the name of the channel that its
        cells blank.
    weight
        Share of the grid in the mixed map of its group; the shares of a group have the sum 1.
    rows, columns
        Numbers of cells; row by row, they are numbered 0 … rows · columns - 1.
    boxes
        int64 (rows · columns, 4): first pixel row and the one after the last, first pixel column
        and the one after the last (y0, y1, x0, x1) of each cell, as slices take them.
    channels
        bool (C,): which channels the cells blank.
    """

    name: str
    group: str
    weight: float
    rows: int
    columns: int
    boxes: npt.NDArray[np.int64]
    channels: npt.NDArray[np.bool_]

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.rows * self.columns

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return int(self.boxes[-1, 1]), int(self.boxes[-1, 3])


def cells_of(
    grids: Sequence[Grid], differences: npt.NDArray[np.float32], group: str | None = None
) -> list[tuple[Grid, npt.NDArray[np.float32]]]:
    """Return the grids of a group (by default all), each with its part of the cells.

    Parameters
    ----------
    grids
        All grids, in the order of the cells.
    differences
        (cells of all grids one after the other, …).
    group
        Name of a group.

    Raises
    ------
    InputError
        Where there are more or fewer cells, or no such group.
    """
    ends = np.cumsum([grid.cells for grid in grids])
    if not grids or len(differences) != ends[-1]:
        raise InputError(
            f"explain: {len(differences)} differences for the {sum(grid.cells for grid in grids)} "
            "cells of the grids; give all grids, in the order of the differences."
        )
    parts = zip(grids, np.split(differences, ends[:-1]), strict=True)
    chosen = [(grid, part) for grid, part in parts if group in (None, grid.group)]
    if not chosen:
        names = dict.fromkeys(grid.group for grid in grids)
        raise InputError(f"explain: no group of grids {group!r}.{nearest(str(group), names)}")
    return chosen


def square_grids(
    height: int,
    width: int,
    channels: int,
    *,
    sizes: Sequence[int] = PAPER_SIZES,
    power: float = 0.5,
) -> tuple[Grid, ...]:
    """Return grids of n × n cells that blank all channels.

    Cell borders are ``round(i · side / n)``, halves to even as NumPy does it, so that cells cover
    the image without gaps where the side does not divide.

    Parameters
    ----------
    height, width, channels
        Of the image as the network sees it.
    sizes
        Cells along a side of each grid. The default is that of the paper.
    power
        A grid of n × n cells weighs ``n ** power``; the paper makes finer grids "a little" heavier.

    Raises
    ------
    InputError
        Where a grid is finer than the pixels, or a size comes twice.
    """
    check_sizes(sizes, min(height, width))
    total = sum(size**power for size in sizes)
    return tuple(
        Grid(
            f"{size} × {size}",
            WHOLE,
            size**power / total,
            size,
            size,
            _boxes(_borders(height, size), _borders(width, size)),
            np.ones(channels, bool),
        )
        for size in sizes
    )


def slit_grids(
    height: int,
    width: int,
    window_minutes: float,
    channels: Sequence[str],
    *,
    minutes: Sequence[float] = SLIT_MINUTES,
    power: float = 0.5,
) -> tuple[Grid, ...]:
    """Return grids of time slits: for all channels together, and for each channel alone.

    A slit spans the whole height. Of a window of T minutes there are ``round(T / minutes)`` slits
    of equal width; widths of which fewer than two fit are left out. An image of one channel has no
    other group than that of all.

    Parameters
    ----------
    height, width
        Of the image in pixels.
    window_minutes
        What the width of the image spans.
    channels
        Names of the image's channels, in their order.
    minutes
        Widths of the slits.
    power
        A grid of n slits weighs ``n ** power``.

    Raises
    ------
    InputError
        Where no width fits into the window, or a slit would be narrower than a pixel.
    """
    if not all(each > 0 for each in minutes):
        raise InputError(f"explain.slit_minutes: {list(minutes)}: give widths above 0.")
    counts = list(dict.fromkeys(round(window_minutes / each) for each in sorted(minutes)[::-1]))
    counts = [count for count in counts if count >= 2]
    if not counts:
        raise InputError(
            f"explain.slit_minutes: {list(minutes)}: none is at most half of the window of "
            f"{window_minutes:g} minutes. Give shorter slits."
        )
    check_sizes(counts, width, "explain.slit_minutes")
    total = sum(count**power for count in counts)
    groups = {WHOLE: np.ones(len(channels), bool)}
    if len(channels) > 1:
        groups |= {name: np.arange(len(channels)) == i for i, name in enumerate(channels)}
    return tuple(
        Grid(
            f"{window_minutes / count:g} min",
            group,
            count**power / total,
            1,
            count,
            _boxes(np.array([0, height]), _borders(width, count)),
            chosen,
        )
        for group, chosen in groups.items()
        for count in counts
    )


def check_sizes(sizes: Sequence[int], side: int, key: str = "explain.grids") -> None:
    """Raise an `InputError` where grids of so many cells along a side do not fit or repeat."""
    if not sizes or len(set(sizes)) != len(sizes):
        raise InputError(f"{key}: {list(sizes)}: give each number of cells once.")
    if min(sizes) < 1 or max(sizes) > side:
        wrong = min(sizes) if min(sizes) < 1 else max(sizes)
        raise InputError(
            f"{key}: {wrong} cells along a side of {side} pixels; give numbers from 1 to {side}."
        )


def _borders(side: int, cells: int) -> npt.NDArray[np.int64]:
    return np.rint(np.arange(cells + 1) * side / cells).astype(np.int64)


def _boxes(
    horizontal: npt.NDArray[np.int64], vertical: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the boxes between horizontal and vertical borders, row by row."""
    top, left = np.meshgrid(horizontal[:-1], vertical[:-1], indexing="ij")
    bottom, right = np.meshgrid(horizontal[1:], vertical[1:], indexing="ij")
    return np.stack([top, bottom, left, right], axis=-1).reshape(-1, 4).astype(np.int64)
