"""Patches of feature maps: what a group of cells changes, cut out of the maps of the bare image."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from fewcase.explain.engine.boxes import Boxes, Ints, Sliding


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """Where the patches of a group lie in a map: as large as the largest box, and inside.

    Attributes
    ----------
    first
        int64 (B, 2): first row and column of each.
    sides
        Height and width of all.
    whole
        Whether every patch is the whole map.
    """

    first: Ints
    sides: tuple[int, int]
    whole: bool

    @classmethod
    def around(cls, boxes: Boxes, size: tuple[int, int], share: float) -> Place:
        """Return the place for boxes in a map of (height, width) `size`.

        Patches of more than this share of the map become the whole map, which costs no cutting.
        """
        sides = np.minimum(boxes.sides.max(axis=0).clip(1), size)
        if sides.prod() > share * size[0] * size[1]:
            return cls.all_of(len(boxes.first), size)
        first = np.minimum(boxes.first, np.array(size) - sides)
        return cls(first, (int(sides[0]), int(sides[1])), False)

    @classmethod
    def all_of(cls, count: int, size: tuple[int, int]) -> Place:
        """Return the whole map as a patch of each of `count` cells."""
        return cls(np.zeros((count, 2), np.int64), size, True)

    def same(self, other: Place) -> bool:
        """Whether both are the same pixels."""
        return self.sides == other.sides and np.array_equal(self.first, other.first)


@dataclasses.dataclass(frozen=True, eq=False)
class Patches:
    """Changed patches, (B, C, h, w) in channels-last memory, and where they lie."""

    values: torch.Tensor
    place: Place


class BaseMap:
    """A feature map of the bare image, from which the surroundings of patches are cut.

    Parameters
    ----------
    values
        (1, C, H, W).
    """

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values.contiguous(memory_format=torch.channels_last)
        self.size = (int(values.shape[2]), int(values.shape[3]))
        self.channels = int(values.shape[1])
        self._padded: dict[tuple[int, int, int, int, float], torch.Tensor] = {}

    def rows(self, margins: tuple[int, int, int, int], outside: float) -> torch.Tensor:
        """Return the pixels of the map with margins (top, left, bottom, right), a row each."""
        key = (*margins, outside)
        if key not in self._padded:
            top, left, bottom, right = margins
            padded = torch.nn.functional.pad(self.values, (left, right, top, bottom), value=outside)
            self._padded[key] = padded.permute(0, 2, 3, 1).reshape(-1, self.channels)
        return self._padded[key]

    def cut(
        self, patches: Patches, to: Place, sliding: Sliding, outside: float = 0.0
    ) -> torch.Tensor:
        """Return what a sliding window sees for an output at `to`, (B, C, h, w).

        Inside the patches it is theirs, elsewhere the map's, and `outside` beyond its borders.
        """
        stride, padding = np.array(sliding.stride), np.array(sliding.padding)
        first = to.first * stride - padding
        height, width = (
            (to.sides[axis] - 1) * sliding.stride[axis] + sliding.reach(axis) for axis in (0, 1)
        )
        if (height, width) == patches.place.sides and np.array_equal(first, patches.place.first):
            return patches.values
        top, left = sliding.padding
        # The last window may end before the padding does, or (with a stride) at it.
        bottom, right = (
            max(0, int(first[:, axis].max()) + side - self.size[axis])
            for axis, side in ((0, height), (1, width))
        )
        bottom, right = max(bottom, top), max(right, left)
        base = self.rows((top, left, bottom, right), outside)
        device = base.device
        inner_height, inner_width = patches.place.sides
        count = len(first)

        corner = torch.from_numpy(np.concatenate([first, first - patches.place.first], axis=1))
        y, x, dy, dx = corner.to(device)[:, :, None].unbind(1)
        row, column = torch.arange(height, device=device), torch.arange(width, device=device)
        padded_width = self.size[1] + left + right
        outer_rows = (row + (y + top)) * padded_width
        outer_columns = column + (x + left)
        inner_y, inner_x = row + dy, column + dx
        inside_y = (inner_y >= 0) & (inner_y < inner_height)
        inside_x = (inner_x >= 0) & (inner_x < inner_width)
        start = len(base) + inner_height * inner_width * torch.arange(count, device=device)[:, None]
        inner_rows = start + inner_y * inner_width
        index = torch.where(
            inside_y[:, :, None] & inside_x[:, None, :],
            inner_rows[:, :, None] + inner_x[:, None, :],
            outer_rows[:, :, None] + outer_columns[:, None, :],
        )
        changed = patches.values.permute(0, 2, 3, 1).reshape(-1, self.channels)
        taken = torch.cat([base, changed]).index_select(0, index.flatten())
        return taken.view(count, height, width, self.channels).permute(0, 3, 1, 2)
