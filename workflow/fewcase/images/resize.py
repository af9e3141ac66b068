"""Resize batches of images by Lanczos interpolation, on any device, as Pillow does.

C. E. Duchon, Lanczos filtering in one and two dimensions, Journal of Applied Meteorology 18, 1979;
the kernel is widened when an image is made smaller, so that nothing finer than a pixel remains.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]
Images = TypeVar("Images", npt.NDArray[np.uint8], "torch.Tensor")

LOBES = 3
"""Zeros of the kernel on each side."""

CHUNK = 64
"""Images that are in memory as floating-point numbers at once."""


def resize_batch(images: Images, size: int) -> Images:
    """Resize images to a square.

    Parameters
    ----------
    images
        uint8 (n, C, H, W), a NumPy array or a torch tensor on any device.
    size
        Height and width, in pixels.

    Returns
    -------
    uint8 (n, C, size, size), of the same kind and on the same device. For square images, values are
    within 1 grey level of what Pillow's LANCZOS gives: across first, then down, rounded to whole
    grey levels in between. (Images much higher than wide Pillow resizes the other way round.)
    """
    if isinstance(images, np.ndarray):
        return _resize_numpy(images, size)
    return _resize_torch(images, size)


def _resize_numpy(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    across, down = (_weights(length, size) for length in (images.shape[3], images.shape[2]))
    resized = np.empty((*images.shape[:2], size, size), np.uint8)
    for first in range(0, len(images), CHUNK):
        chunk = images[first : first + CHUNK].astype(np.float32)
        narrow = np.clip(np.rint(chunk @ across.T), 0, 255)
        resized[first : first + CHUNK] = np.clip(np.rint(down @ narrow), 0, 255)
    return resized


def _resize_torch(images: torch.Tensor, size: int) -> torch.Tensor:
    import torch

    device = images.device
    across, down = (
        torch.from_numpy(_weights(length, size)).to(device)
        for length in (images.shape[3], images.shape[2])
    )
    resized = images.new_empty((*images.shape[:2], size, size))
    # Under autocast the products would be in half precision, which has no 256 grey levels.
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        for first in range(0, len(images), CHUNK):
            chunk = images[first : first + CHUNK].float()
            narrow = (chunk @ across.T).round_().clamp_(0, 255)
            resized[first : first + CHUNK] = (down @ narrow).round_().clamp_(0, 255).byte()
    return resized


@functools.lru_cache(maxsize=32)
def _weights(length: int, size: int) -> Float32:
    """Return the weights of `length` pixels in each of `size` pixels, float32 (size, length)."""
    scale = length / size
    widened = max(scale, 1.0)
    support = LOBES * widened
    centre = (np.arange(size)[:, None] + 0.5) * scale
    pixel = np.arange(length)[None] + 0.5
    # The reach of a pixel is cut off to whole pixels, as Pillow does.
    first = np.floor(centre - support + 0.5)
    last = np.floor(centre + support + 0.5)
    reached = (pixel > first) & (pixel < last)
    distance = (pixel - centre) / widened
    kernel = np.where(reached, _lanczos(distance), 0.0)
    weights: Float32 = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def _lanczos(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    inside = np.abs(distance) < LOBES
    return np.where(inside, np.sinc(distance) * np.sinc(distance / LOBES), 0.0)


def shares_covered(length: int, size: int) -> Float32:
    """Return which share of each of `size` pixels each of `length` covers, float32 (size, length).

    Their product with masks is an average by area, of pixels in part as well.
    """
    borders = np.arange(size + 1) * (length / size)
    pixel = np.arange(length)
    begins = np.maximum(borders[:-1, None], pixel)
    ends = np.minimum(borders[1:, None], pixel + 1)
    return (np.maximum(ends - begins, 0) * (size / length)).astype(np.float32)
