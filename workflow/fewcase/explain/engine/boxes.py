"""Which part of each feature map a blanked cell can change, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Sliding:
    """A window that slides over a map, along (rows, columns): of a convolution, or of pooling."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def reach(self, axis: int) -> int:
        """Return how many input pixels one output pixel spans along an axis."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """One box of a map per cell.

    Attributes
    ----------
    first, last
        int64 (cells, 2): first row and column inside, and first ones behind. A box with ``first ==
        last`` along an axis is empty.
    """

    first: Ints
    last: Ints

    @property
    def sides(self) -> Ints:
        """Height and width of each box, int64 (cells, 2)."""
        return self.last - self.first

    @property
    def areas(self) -> Ints:
        """How many pixels there are in each box, int64 (cells,)."""
        return self.sides.prod(axis=1)

    def take(self, cells: Ints) -> Boxes:
        """Return the boxes of some cells."""
        return Boxes(self.first[cells], self.last[cells])


def after(boxes: Boxes, sliding: Sliding, size: Sequence[int]) -> Boxes:
    """Return what changes in the output, of (height, width) `size`, where `boxes` change."""
    reach = np.array([sliding.reach(axis) for axis in (0, 1)])
    stride, padding = np.array(sliding.stride), np.array(sliding.padding)
    # Output i sees the inputs i · stride - padding … + reach - 1.
    first = -((reach - 1 - boxes.first - padding) // stride)
    last = (boxes.last - 1 + padding) // stride + 1
    return _tidy(first, last, boxes, np.array(size))


def union(boxes: Sequence[Boxes]) -> Boxes:
    """Return the smallest boxes that hold one of each; empty ones do not count."""
    first, last = boxes[0].first, boxes[0].last
    for other in boxes[1:]:
        ours = (last > first).all(axis=1, keepdims=True)
        theirs = (other.last > other.first).all(axis=1, keepdims=True)
        both = ours & theirs
        first = np.where(both, np.minimum(first, other.first), np.where(ours, first, other.first))
        last = np.where(both, np.maximum(last, other.last), np.where(ours, last, other.last))
    return Boxes(first, last)


def groups_of(boxes: Sequence[Boxes], size: int) -> list[Ints]:
    """Return groups of `size` cells, one smaller, whose boxes are of similar sides in all maps.

    Cells are halved again and again along the side that differs most; a group is computed with
    patches as large as its largest box.
    """
    sides = np.concatenate([each.sides / each.last.max(initial=1) for each in boxes], axis=1)
    groups, waiting = [], [np.arange(len(sides))]
    while waiting:
        cells = waiting.pop()
        if len(cells) <= size:
            groups.append(cells)
            continue
        spread = sides[cells].std(axis=0)
        ordered = cells[np.argsort(sides[cells, spread.argmax()], kind="stable")]
        # Whole groups on either side, so that all but one are of full size.
        half = max(1, round(len(cells) / size / 2)) * size
        waiting += [ordered[:half], ordered[half:]]
    return [group for group in groups if len(group)]


def _tidy(first: Ints, last: Ints, before: Boxes, size: Ints) -> Boxes:
    """Cut boxes at the map's borders; an empty box stays empty along both axes."""
    first, last = first.clip(0, size), last.clip(0, size)
    empty = ((last <= first) | (before.last <= before.first)).any(axis=1, keepdims=True)
    return Boxes(np.where(empty, 0, first), np.where(empty, 0, last))
