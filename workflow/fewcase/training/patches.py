"""Patches from inside a region of images: cut, gathered into bags, and voting for their image."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax, softmax

from fewcase.images.resize import resize_batch
from fewcase.study.errors import InputError
from fewcase.study.recipe import VOTES, Recipe
from fewcase.training.run_data import RunData
from fewcase.training.run_images import RunImages

SIDE = 64
STRIDE = 32


Integers = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Patches:
    """Patches of some images.

    Attributes
    ----------
    pixels
        uint8 (m, C, size, size), on the device of the images; patches of an image follow each
        other, from its upper left to its lower right.
    owner
        (m,) int64, ascending: place of the image of each patch; every image has one at least.
    corners
        (m, 2) int64: top and left of each patch, in pixels of its image.
    without
        Ascending places of the images of which no patch lies inside far enough.
    """

    pixels: torch.Tensor
    owner: Integers
    corners: Integers
    without: Integers


def cut_patches(
    images: torch.Tensor,
    masks: torch.Tensor,
    side: int = SIDE,
    stride: int = STRIDE,
    min_inside: float = 1.0,
    size: int | None = None,
) -> Patches:
    """Cut square patches that lie inside the mask of their image.

    Patches start at every multiple of `stride` from the upper left corner. An image none of whose
    patches lies inside far enough gives the one that does so most, and of equal ones that nearest
    to the centre of the image: where there is no mask, the patch in the middle.

    Parameters
    ----------
    images
        uint8 (n, C, H, W).
    masks
        uint8 (n, 1, H, W), 0 outside and 255 inside, on the same device.
    side, stride
        Of patches, in pixels of the images.
    min_inside
        Least share of a patch that is inside.
    size
        Height and width that patches are resized to; by default they stay as they are.

    Raises
    ------
    InputError
        Where images are smaller than a patch, or masks of another size.
    """
    count, channels, height, width = images.shape
    if masks.shape != (count, 1, height, width):
        raise InputError(
            f"patches: masks of {tuple(masks.shape)} do not go with images of "
            f"{tuple(images.shape)}. Prepare both again."
        )
    if side > min(height, width):
        raise InputError(
            f"patches: {side} pixels are more than the {height} × {width} of an image; give a "
            "smaller side."
        )
    inside = _shares_inside(masks, side, stride)
    chosen = inside >= min_inside
    without = np.flatnonzero(~chosen.any(axis=(1, 2)))
    middle = _distance_to_centre(inside.shape[1:], (height, width), side, stride)
    for place in without:
        best = np.lexsort((middle.ravel(), -inside[place].ravel()))[0]
        chosen[place].flat[best] = True
    owner, row, column = np.nonzero(chosen)
    if len(without):
        logger.info(
            "%d of %d images have no patch of %d pixels inside their mask: each gives the one that "
            "is covered most, of which the mask covers %.0f %% to %.0f %%.",
            *(len(without), count, side),
            *(100 * pick(inside[without].max(axis=(1, 2))) for pick in (np.min, np.max)),
        )
    # A view of every patch, none of which is copied before it is chosen.
    every = images.unfold(2, side, stride).unfold(3, side, stride)
    device = images.device
    places = [torch.from_numpy(place).to(device) for place in (owner, row, column)]
    pixels = images.new_empty((len(owner), channels, size or side, size or side))
    for first in range(0, len(owner), _AT_ONCE):
        some = tuple(place[first : first + _AT_ONCE] for place in places)
        cut = every.permute(0, 2, 3, 1, 4, 5)[some]
        pixels[first : first + len(cut)] = cut if size in (None, side) else resize_batch(cut, size)
    corners = np.stack([row, column], axis=1) * stride
    return Patches(pixels, owner.astype(np.int64), corners.astype(np.int64), without)


_AT_ONCE = 1024


def _shares_inside(masks: torch.Tensor, side: int, stride: int) -> FloatArray:
    """Return which share of each patch is inside, (n, rows, columns), by summed areas."""
    inside = masks[:, 0] >= 128
    # From row and column 0, which hold nothing: sums of rectangles are differences of four.
    sums = torch.nn.functional.pad(
        inside.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0)
    )
    first, last = sums[:, :-side:stride], sums[:, side::stride]
    left, right = slice(None, -side, stride), slice(side, None, stride)
    areas = last[..., right] - last[..., left] - first[..., right] + first[..., left]
    shares: FloatArray = areas.cpu().numpy() / side**2
    return shares


def _distance_to_centre(
    grid: tuple[int, ...], size: tuple[int, int], side: int, stride: int
) -> FloatArray:
    """Return how far the middle of each patch is from that of the image, (rows, columns)."""
    apart = [
        (np.arange(patches) * stride + side / 2 - length / 2) ** 2
        for patches, length in zip(grid, size, strict=True)
    ]
    return np.add.outer(*apart)


def patches_of(owner: Integers, images: Integers) -> tuple[Integers, Integers]:
    """Return the patches of some images, image after image, and of which of these each one is.

    Parameters
    ----------
    owner
        Ascending places of the image of each patch.
    images
        Places of images, in any order; one that comes twice gives its patches twice.

    Returns
    -------
    positions, group
        (k,) int64: places of patches, and places in `images`.
    """
    first, end = (np.searchsorted(owner, images, side=side) for side in ("left", "right"))
    counts = end - first
    group = np.repeat(np.arange(len(images)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return (first[group] + within).astype(np.int64), group.astype(np.int64)


def expand(data: RunData, owner: Integers) -> RunData:
    """Return the data of a run whose images are given by their patches.

    Bags train on all patches of the images that they train on, and on no others; every scored image
    stands in `scored` once for each of its patches. Whose patches logits of `scored` are of is told
    by `owners_of_scored`; `vote` makes one of them all.

    Parameters
    ----------
    data
        Of images.
    owner
        Ascending places in ``data.rows`` of the image of each patch.

    Returns
    -------
    RunData
        `rows`, and the column row of `scored`, number the patches.

    Raises
    ------
    InputError
        Where some image has no patch, or there are synthetic images, which have no masks.
    """
    if len(data.labels) != len(data.rows):
        raise InputError(
            "patches: synthetic images have no masks to cut patches from; give arms on patches no "
            "gan."
        )
    if not np.array_equal(np.unique(owner), np.arange(len(data.rows))):
        raise InputError("patches: some image of the run has no patch, or is none of the run's.")
    positions, group = patches_of(owner, data.scored_positions())
    scored = data.scored.iloc[group].reset_index(drop=True)
    return dataclasses.replace(
        data,
        rows=np.arange(len(owner)),
        labels=data.labels[owner],
        sites=data.sites[owner],
        bags=tuple(patches_of(owner, bag)[0] for bag in data.bags),
        scored=scored.assign(row=positions),
    )


def owners_of_scored(data: RunData, owner: Integers, role: str | None = None) -> Integers:
    """Return to which scored image each scored patch belongs, as places in the scored images.

    Parameters
    ----------
    data
        Of images.
    owner
        See `expand`.
    role
        Of one role, or of all; as of `RunData.scored_positions`.
    """
    return patches_of(owner, data.scored_positions(role))[1]


def vote(
    logits: npt.NDArray[np.floating[Any]], owner: Integers, images: int, how: str = "mean"
) -> npt.NDArray[np.float32]:
    """Return the logits of images from those of their patches.

    Parameters
    ----------
    logits
        Shape (m, classes), of patches.
    owner
        Shape (m,): place of the image of each patch; every image has one at least.
    images
        How many there are.
    how
        ``mean``: the mean over patches of their probabilities. ``majority``: the share of patches
        that call each class, where the mean of their probabilities counts as one patch more, so
        that it decides where votes are equal and no class is impossible.

    Returns
    -------
    numpy.ndarray
        float32 (images, classes): logarithms of probabilities, whose softmax are these.

    Raises
    ------
    ValueError
        For another way to vote, or an image without patches.
    """
    counts = np.bincount(owner, minlength=images)
    if how not in VOTES or len(counts) > images or not counts.all():
        raise ValueError(f"vote: {how!r} of {len(owner)} patches for {images} images.")
    if not images:
        return np.zeros(logits.shape, np.float32)
    order = np.argsort(owner, kind="stable")
    wide = logits[order].astype(np.float64)
    starts = np.cumsum(counts) - counts
    if how == "mean":
        # Summed as logarithms: of very sure patches the least probabilities would vanish.
        total = np.logaddexp.reduceat(log_softmax(wide, axis=1), starts, axis=0)
        found = total - np.log(counts)[:, None]
    else:
        called = np.eye(wide.shape[1])[wide.argmax(axis=1)]
        votes = np.add.reduceat(called, starts, axis=0)
        means = np.add.reduceat(softmax(wide, axis=1), starts, axis=0) / counts[:, None]
        least = np.finfo(np.float32).tiny
        found = np.log(np.maximum(votes + means, least) / (counts + 1)[:, None])
    return found.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Ballot:
    """Makes one answer for each image of those to its patches.

    Attributes
    ----------
    data
        Of the images.
    owner
        Ascending places in ``data.rows`` of the image of each patch.
    how
        See `vote`.
    """

    data: RunData
    owner: Integers
    how: str

    def count(
        self, logits: npt.NDArray[np.floating[Any]], role: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the logits of the scored images of a role, or all, from those of their patches."""
        images = len(self.data.scored_positions(role))
        if not images:
            return np.zeros((0, logits.shape[1]), np.float32)
        return vote(logits, owners_of_scored(self.data, self.owner, role), images, self.how)

    def labels(self, role: str) -> Integers:
        """Return the labels of the scored images of a role."""
        return self.data.labels[self.data.scored_positions(role)]


def cut_run(recipe: Recipe, data: RunData, images: RunImages) -> tuple[RunData, RunImages, Ballot]:
    """Return a run on the patches of its images, and what makes one answer for each image.

    Parameters
    ----------
    recipe
        Its factors of patches and ``input_size`` count.
    data, images
        Of whole images with masks.
    """
    if images.masks is None:
        raise InputError("recipe.patch: the images have no masks to cut patches from.")
    cut = cut_patches(
        images.stored,
        images.masks,
        recipe.patch or SIDE,
        recipe.patch_stride,
        recipe.patch_inside,
        recipe.input_size,
    )
    ballot = Ballot(data, cut.owner, recipe.patch_vote)
    return expand(data, cut.owner), RunImages(cut.pixels, packed=False), ballot
