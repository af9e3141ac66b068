"""Blank the cells of grids one by one, and ask the network what it makes of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from fewcase.explain.dida import Float32, Picture, differences
from fewcase.explain.fills import fill_image
from fewcase.explain.grids import Grid
from fewcase.runtime.normalisation import DeviceImages
from fewcase.study.errors import InputError

Network = Callable[[torch.Tensor], torch.Tensor]
"""Takes normalised images (B, C, H, W) to logits (B, K): a module, or any function."""


class Occluder(Protocol):
    """Asks a network about an image, and about the image with each cell blanked."""

    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the logits of the image, and with each cell blanked.

        Parameters
        ----------
        image
            float32 (C, H, W), normalised, on the network's device.
        fill
            float32 (C, H, W), normalised like the image, on the same device: it is copied into
            the box of a blanked cell, in the cell's channels.
        grids
            The grids.

        Returns
        -------
        logits
            float32 (K,).
        masked
            Of each grid float32 (cells, K).
        """
        ...


class PlainOccluder:
    """Runs every masked image through the whole network, all classes in one pass.

    The image itself and the cells of all grids stand in one queue, which is cut into batches of
    the same size to within one: the eight grids of Ayatsuka et al. are 1 + 1,736 images.

    Parameters
    ----------
    network
        Any callable that takes images to logits. A module must be in evaluation mode.
    batch_size
        At most so many images at once.

    Raises
    ------
    InputError
        For a module in training mode, whose answers would depend on the batch, and a batch size
        below 1.
    """

    def __init__(self, network: Network, batch_size: int = 64) -> None:
        if isinstance(network, nn.Module) and any(part.training for part in network.modules()):
            raise InputError(
                "explain: the network, or a part of it, is in training mode, where dropout and "
                "batch statistics change its answers. Call network.eval() first."
            )
        if batch_size < 1:
            raise InputError(f"explain.batch_size: {batch_size}; give 1 or more.")
        self._network = network
        self.batch_size = batch_size

    @torch.inference_mode()
    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the logits of the image, and with each cell blanked; see `Occluder`."""
        check_images(image, fill, grids)
        boxes, channels = queue_of(grids, image.shape[0])
        batches = -(-len(boxes) // self.batch_size)
        logits = torch.cat(
            [
                self._ask(blank(image, fill, box, channel))
                for box, channel in zip(
                    boxes.to(image.device).tensor_split(batches),
                    channels.to(image.device).tensor_split(batches),
                    strict=True,
                )
            ]
        )
        base, masked = logits[0], logits[1:]
        return base, list(masked.split([grid.cells for grid in grids]))

    def _ask(self, images: torch.Tensor) -> torch.Tensor:
        logits = self._network(images)
        if logits.ndim != 2 or len(logits) != len(images):
            raise InputError(
                f"explain: the network took {len(images)} images to an array of shape "
                f"{tuple(logits.shape)}; expected (images, classes)."
            )
        return logits.float()


def blank(
    image: torch.Tensor, fill: torch.Tensor, boxes: torch.Tensor, channels: torch.Tensor
) -> torch.Tensor:
    """Return the image with each box blanked, (B, C, H, W), made on its device all at once.

    Parameters
    ----------
    image, fill
        (C, H, W).
    boxes
        int64 (B, 4): y0, y1, x0, x1 as slices take them.
    channels
        bool (B, C).
    """
    height, width = image.shape[-2:]
    y0, y1, x0, x1 = boxes[:, :, None].unbind(1)
    row = torch.arange(height, device=image.device)
    column = torch.arange(width, device=image.device)
    inside_rows = (row >= y0) & (row < y1)
    inside_columns = (column >= x0) & (column < x1)
    # Channels are few: the smallest of the three factors is combined first.
    rows = channels[:, :, None, None] & inside_rows[:, None, :, None]
    return torch.where(rows & inside_columns[:, None, None, :], fill, image)


def queue_of(grids: Sequence[Grid], channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return boxes (1 + cells, 4) and channels (1 + cells, C): first one that blanks nothing."""
    boxes = [np.zeros((1, 4), np.int64), *(grid.boxes for grid in grids)]
    chosen = [
        np.zeros((1, channels), bool),
        *(np.broadcast_to(grid.channels, (grid.cells, channels)) for grid in grids),
    ]
    return torch.from_numpy(np.concatenate(boxes)), torch.from_numpy(np.concatenate(chosen))


def check_images(image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]) -> None:
    """Raise an `InputError` where image, fill and grids do not fit together."""
    for name, given in (("image", image), ("fill", fill)):
        if given.ndim != 3 or given.dtype != torch.float32 or given.shape != image.shape:
            raise InputError(
                f"explain: {name} of type {given.dtype} and shape {tuple(given.shape)}; expected "
                f"float32 (channels, height, width), image and fill alike."
            )
    for grid in grids:
        size = (len(grid.channels), *grid.size)
        if size != tuple(image.shape):
            raise InputError(
                f"explain: the grid {grid.name!r} is made for images of shape {size}, the image is "
                f"{tuple(image.shape)}. Make the grids for this image."
            )


def differences_of(
    occluder: Occluder,
    picture: Picture,
    grids: Sequence[Grid],
    *,
    fill: str = "black",
    score: str = "probability",
    mean: Sequence[float],
    std: Sequence[float],
    device: str | torch.device = "cpu",
) -> tuple[Float32, Float32]:
    """Return the logits of a picture, and what every cell of every grid changes.

    Parameters
    ----------
    occluder
        Asks the network.
    picture
        uint8 (C, H, W), as the network sees it before normalisation.
    grids
        For pictures of this size.
    fill, score
        See `fewcase.explain.fills.fill_image` and `scores_of`.
    mean, std
        Of each channel, as the network was trained with, where black is 0 and white is 1.
    device
        Where the network is.

    Returns
    -------
    logits
        float32 (K,).
    differences
        float32 (cells of all grids one after the other, K).
    """
    pair = torch.from_numpy(np.stack([picture, fill_image(picture, fill)])).to(device)
    image, filled = DeviceImages(pair, False, mean, std).batch(torch.arange(2, device=pair.device))
    base, masked = occluder(image, filled, grids)
    return base.cpu().numpy(), differences(base, torch.cat(masked), score)
