"""What blanking a cell changes in the image itself: often less than its box, and often nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from fewcase.explain.engine.boxes import Boxes, Ints
from fewcase.explain.engine.patches import Patches, Place
from fewcase.explain.grids import Grid
from fewcase.explain.occlusion import check_images, queue_of
from fewcase.study.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """The cells of all grids that change something.

    Attributes
    ----------
    image, fill
        (C, H, W).
    count
        How many cells there are, those that change nothing included.
    numbers
        Place of each changing cell among all cells, int64 (n,).
    boxes
        The smallest box of pixels that each changes.
    channels
        bool (n, C), on the image's device: which channels each blanks.
    """

    image: torch.Tensor
    fill: torch.Tensor
    count: int
    numbers: Ints
    boxes: Boxes
    channels: torch.Tensor

    def blanked(self, group: Ints, place: Place) -> Patches:
        """Return patches of the image with a cell blanked in each."""
        device = self.image.device
        boxes = self.boxes.take(group)
        corners = np.concatenate([place.first, boxes.first, boxes.last], axis=1)
        y, x, y0, x0, y1, x1 = torch.from_numpy(corners).to(device)[:, :, None].unbind(1)
        rows = y + torch.arange(place.sides[0], device=device)
        columns = x + torch.arange(place.sides[1], device=device)
        inside = ((rows >= y0) & (rows < y1))[:, :, None] & ((columns >= x0) & (columns < x1))[
            :, None
        ]
        index = (rows[:, :, None] * self.image.shape[-1] + columns[:, None]).flatten()
        shape = (len(group), *place.sides, len(self.image))
        ours, theirs = (
            picture.flatten(1).T.contiguous().index_select(0, index).view(shape)
            for picture in (self.image, self.fill)
        )
        chosen = self.channels[torch.from_numpy(group).to(device)]
        blank = inside[..., None] & chosen[:, None, None]
        return Patches(torch.where(blank, theirs, ours).permute(0, 3, 1, 2), place)


def cells_of(
    image: torch.Tensor,
    fill: torch.Tensor,
    grids: Sequence[Grid],
    shape: tuple[int, int, int],
) -> Cells:
    """Return the cells of grids that change an image, each with the box of what it changes.

    Raises
    ------
    InputError
        Where image, fill and grids do not fit together, or are not of this (C, H, W) shape.
    """
    check_images(image, fill, grids)
    if tuple(image.shape) != shape:
        raise InputError(
            f"explain: an image of shape {tuple(image.shape)}; the network was made ready for "
            f"{shape}. Give an image of this shape, or call make_occluder again."
        )
    boxes, channels = queue_of(grids, len(image))
    boxes, channels = boxes[1:], channels[1:]
    differs = (image != fill).cpu().numpy()
    kinds, kind_of = np.unique(channels.numpy(), axis=0, return_inverse=True)
    first = np.zeros((len(boxes), 2), np.int64)
    last = np.zeros((len(boxes), 2), np.int64)
    for number, kind in enumerate(kinds):
        chosen = np.flatnonzero(kind_of.reshape(-1) == number)
        pixels = differs[kind].any(axis=0)
        y0, y1, x0, x1 = boxes.numpy()[chosen].T
        first[chosen, 0], last[chosen, 0] = _extent(pixels, y0, y1, x0, x1)
        first[chosen, 1], last[chosen, 1] = _extent(pixels.T, x0, x1, y0, y1)
    numbers = np.flatnonzero((last > first).all(axis=1))
    changed = Boxes(first[numbers], last[numbers])
    return Cells(
        image,
        fill,
        len(boxes),
        numbers,
        changed,
        channels[torch.from_numpy(numbers)].to(image.device),
    )


def _extent(pixels: np.ndarray, y0: Ints, y1: Ints, x0: Ints, x1: Ints) -> tuple[Ints, Ints]:
    """Return the first changed row of each box, and the first behind its last; 0, 0 without."""
    sums = np.concatenate([np.zeros((len(pixels), 1), np.int64), pixels.cumsum(axis=1)], axis=1)
    rows = y0[:, None] + np.arange((y1 - y0).max(initial=1))
    inside = rows < y1[:, None]
    rows = rows.clip(max=len(pixels) - 1)
    changed = inside & (sums[rows, x1[:, None]] > sums[rows, x0[:, None]])
    any_row = changed.any(axis=1)
    first = y0 + changed.argmax(axis=1)
    last = y0 + changed.shape[1] - changed[:, ::-1].argmax(axis=1)
    return np.where(any_row, first, 0), np.where(any_row, last, 0)
