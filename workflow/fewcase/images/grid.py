"""Where tiles lie on an image: their corners, by size, overlap, resolution and edge."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from fewcase.study.errors import InputError

Int64 = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class TileGrid:
    """The tiles of one image, row by row from the top.

    Attributes
    ----------
    x, y
        int64 (tiles,): left and top edges in pixels of level 0.
    extent
        Side of a tile in pixels of level 0.
    """

    x: Int64
    y: Int64
    extent: int


def lay_grid(
    width: int, height: int, *, size: int, overlap: int, edge: str, downsample: float = 1.0
) -> TileGrid:
    """Lay tiles over an image.

    Without rounding, a length L holds ``floor((L - size) / (size - overlap)) + 1`` tiles; 2048 ×
    1536 pixels hold 7 × 5 of 512 with an overlap of 256.

    Parameters
    ----------
    width, height
        Of the image, in pixels of level 0.
    size, overlap
        Of tiles, in pixels of the tile.
    edge
        ``drop``: tiles that would cross the edge are left out. ``shift``: the last one of each row
        and column is moved back to end at the edge. ``pad``: it lies partly beyond the edge.
    downsample
        Pixels of level 0 that are one pixel of the tile, across.

    Raises
    ------
    InputError
        Where the overlap is not less than the size.
    """
    if overlap >= size:
        raise InputError(
            f"overlap: {overlap} pixels, but tiles have a size of {size}; at most {size - 1}."
        )
    extent = max(1, round(size * downsample))
    # Whole pixels, so that no line between two tiles is left out by rounding.
    step = max(1, round((size - overlap) * downsample))
    columns = _starts(width, extent, step, edge)
    rows = _starts(height, extent, step, edge)
    return TileGrid(x=np.tile(columns, len(rows)), y=np.repeat(rows, len(columns)), extent=extent)


def _starts(length: int, extent: int, step: int, edge: str) -> Int64:
    """Where tiles begin along one side of an image."""
    # One more than can fit, so that it is the edge alone that decides.
    starts = np.arange(length // step + 2, dtype=np.int64) * step
    whole = starts[starts + extent <= length]
    covered = int(whole[-1]) + extent if len(whole) else 0
    if covered >= length or edge == "drop":
        return whole
    if edge == "pad":
        return starts[: len(whole) + 1]
    return np.append(whole, length - extent) if length >= extent else whole
