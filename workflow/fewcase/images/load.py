"""Images of a store on a device, brought to a size there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from fewcase.data.image_store import ImageStore
from fewcase.images.resize import resize_batch

LOADED_AT_ONCE = 512


def load_images(
    images: ImageStore, rows: npt.NDArray[np.int64], sizes: Sequence[int], device: str
) -> torch.Tensor:
    """Return rows of a store, resized to one size after the other.

    Parameters
    ----------
    images, rows
        The store, and which of its images.
    sizes
        Heights and widths, in pixels; images of a size already are not touched.
    device
        As torch names it.

    Returns
    -------
    torch.Tensor
        uint8 (n, C, S, S) on the device, S being the last of the sizes.
    """
    shape = (len(rows), images.shape[1], sizes[-1], sizes[-1])
    loaded = torch.empty(shape, dtype=torch.uint8, device=device)
    for first in range(0, len(rows), LOADED_AT_ONCE):
        chunk = torch.from_numpy(images.read(rows[first : first + LOADED_AT_ONCE])).to(device)
        for size in sizes:
            if chunk.shape[-2:] != (size, size):
                chunk = resize_batch(chunk, size)
        loaded[first : first + len(chunk)] = chunk
    return loaded
