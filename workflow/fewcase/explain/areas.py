"""Areas of an image that are deleted or inserted as a whole, and what mixed maps say of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fewcase.explain.grids import WHOLE, Grid
from fewcase.study.errors import InputError

CHANNELS = "channels"
"""Name of the areas that are cells of each channel alone, one row of them per channel."""

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Areas:
    """The cells of the finest grid of a group, or of each channel's group, one row per channel.

    Attributes
    ----------
    name
        Name of the group, or `CHANNELS`.
    rows, columns
        How the areas lie beside each other; row by row, they are numbered 0 … n - 1.
    groups
        n names: the group of grids whose mixed map tells of each area.
    boxes
        int64 (n, 4): y0, y1, x0, x1 of each area, as slices take them.
    channels
        bool (n, C): which channels each area has.
    """

    name: str
    rows: int
    columns: int
    groups: tuple[str, ...]
    boxes: npt.NDArray[np.int64]
    channels: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)

    def index(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """Return the area that each value of an image belongs to, (C, H, W), -1 where to none."""
        found = np.full((self.channels.shape[1], height, width), -1, np.int64)
        for number, (y0, y1, x0, x1) in enumerate(self.boxes):
            found[self.channels[number], y0:y1, x0:x1] = number
        return found


def areas_of(grids: Sequence[Grid], group: str = WHOLE) -> Areas:
    """Return the areas of a group of grids.

    Parameters
    ----------
    grids
        Of a set of maps.
    group
        A group, whose finest grid is taken, or `CHANNELS`: the finest grids of all groups that
        blank a single channel.

    Raises
    ------
    InputError
        Where there are no such grids, or there is one area only, so that no order is possible.
    """
    names = tuple(dict.fromkeys(grid.group for grid in grids))
    wanted = [name for name in names if name != WHOLE] if group == CHANNELS else [group]
    if not wanted or not set(wanted) <= set(names):
        raise InputError(
            f"explain: no grids of group {group!r}; these maps have {', '.join(names)}."
        )
    finest = [
        max((grid for grid in grids if grid.group == name), key=lambda grid: grid.cells)
        for name in wanted
    ]
    rows = sum(grid.rows for grid in finest)
    if len({grid.columns for grid in finest}) > 1:
        raise InputError("explain: the channels have different grids and cannot be laid together.")
    areas = Areas(
        group,
        rows,
        finest[0].columns,
        tuple(grid.group for grid in finest for _ in range(grid.cells)),
        np.concatenate([grid.boxes for grid in finest]),
        np.concatenate([np.tile(grid.channels, (grid.cells, 1)) for grid in finest]),
    )
    if len(areas) < 2:
        raise InputError(f"explain: one cell only in group {group!r}; give finer grids.")
    return areas


def groups_to_measure(grids: Sequence[Grid]) -> tuple[str, ...]:
    """Return which areas a set of maps can be measured on: all channels, and each for itself."""
    names = dict.fromkeys(grid.group for grid in grids)
    single = [name for name in names if name != WHOLE]
    return (*([WHOLE] if WHOLE in names else []), *([CHANNELS] if single else []))


def evidence_of(
    differences: npt.ArrayLike, grids: Sequence[Grid], areas: Areas
) -> npt.NDArray[np.float64]:
    """Return what the mixed signed map says for each class, as its mean over each area.

    The mixed map is the weighted sum of the grid images of a group before anything is clipped or
    coloured; its mean over an area is a weighted sum of differences, by how much of the area each
    cell covers.

    Parameters
    ----------
    differences
        Shape (n, cells of all grids one after the other, K).
    grids
        In the order of the cells.
    areas
        See `areas_of`.

    Returns
    -------
    numpy.ndarray
        float64 (n, areas, K).
    """
    shares = np.concatenate([grid.weight * _covered(areas, grid) for grid in grids], axis=1)
    found: FloatArray = np.einsum("ac,nck->nak", shares, np.asarray(differences, np.float64))
    return found


def _covered(areas: Areas, grid: Grid) -> FloatArray:
    """Return the share of each area that each cell of a grid covers, (areas, cells)."""
    y0, y1, x0, x1 = areas.boxes.T[:, :, None]
    top, bottom, left, right = grid.boxes.T[:, None, :]
    height = np.clip(np.minimum(y1, bottom) - np.maximum(y0, top), 0, None)
    width = np.clip(np.minimum(x1, right) - np.maximum(x0, left), 0, None)
    same = np.array([name == grid.group for name in areas.groups])[:, None]
    covered: FloatArray = same * height * width / ((y1 - y0) * (x1 - x0))
    return covered


def laid_elsewhere(
    ranks: npt.NDArray[np.int64], areas: Areas, draws: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the same order of areas laid elsewhere: shifted around the image and mirrored.

    That is the fair counterpart of a map. Single pixels in random order are a texture that no
    network has seen and harm the score more than whole cells do; cells in random order lie
    scattered, whereas a mixed map is smooth and deletes what lies together. An order that is
    shifted keeps both cells and smoothness, and only where it points is left to chance.

    Parameters
    ----------
    ranks
        int64 (areas,): the place of each area in the order.
    areas
        See `areas_of`.
    draws
        How many; fewer where the areas have fewer places.
    random
        Chooses among all shifts and mirror images but the map itself, none of them twice.

    Returns
    -------
    numpy.ndarray
        int64 (draws, areas).
    """
    rows, columns = areas.rows, areas.columns
    mirrors = (min(rows, 2), min(columns, 2))
    places = rows * columns * mirrors[0] * mirrors[1]
    # Place 0 is the map as it is.
    chosen = 1 + random.choice(places - 1, min(draws, places - 1), replace=False)
    laid = []
    for place in chosen:
        down, right, upside, sideways = np.unravel_index(place, (rows, columns, *mirrors))
        image = ranks.reshape(rows, columns)
        image = image[::-1] if upside else image
        image = image[:, ::-1] if sideways else image
        laid.append(np.roll(image, (int(down), int(right)), (0, 1)).reshape(-1))
    return np.stack(laid)
