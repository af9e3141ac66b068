"""How images are brought to the size that a network of features sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from fewcase.images.resize import resize_batch


def resize_clean(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Resize (B, C, H, W) to squares as Pillow's bicubic filter resizes floats, cut to 0 to 255."""
    if pixels.shape[-2:] == (size, size):
        return pixels.float()
    # In float64 as Pillow: the places of the filter's weights need more digits than float32 has.
    resized = F.interpolate(pixels.double(), (size, size), mode="bicubic", antialias=True)
    return resized.clamp(0, 255).float()


def resize_legacy(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Resize (B, C, H, W) to squares as TensorFlow 1 did, without antialiasing."""
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    resized: torch.Tensor = interpolate_bilinear_2d_like_tensorflow1x(
        pixels.float(), size=(size, size), align_corners=False
    )
    return resized


def resize_as_trained(pixels: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Resize uint8 (B, C, H, W) to squares of each size in turn, as the images of a run are.

    Synthetic images of a recipe's ``through_size`` have that size already.
    """
    for size in sizes:
        if pixels.shape[-2:] != (size, size):
            pixels = resize_batch(pixels, size)
    return pixels
