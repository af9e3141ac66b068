"""Brightness, contrast, hue and saturation of whole batches, as matrices on (red, green, blue, 1).

After Karras et al., Training generative adversarial networks with limited data (2020), appendix B.
Values are about within ±1, 0 is mid-grey. An image of one channel is taken for a grey one of three:
brightness and contrast do the same to it, the luma flip makes its negative, hue and saturation
leave it as it is.
"""

from __future__ import annotations

import math

import torch

from fewcase.gan.geometry import matrix


def brightness(shift: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) that add `shift` (N,) to all channels."""
    return matrix(
        [
            [1.0, 0.0, 0.0, shift],
            [0.0, 1.0, 0.0, shift],
            [0.0, 0.0, 1.0, shift],
            [0.0, 0.0, 0.0, 1.0],
        ],
        shift,
    )


def contrast(factor: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) that multiply all channels by `factor` (N,)."""
    return _from_axis(factor, factor, torch.zeros_like(factor))


def luma_flip(flipped: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) that mirror grey values where `flipped` (N,) is 1, not 0."""
    one = torch.ones_like(flipped)
    return _from_axis(one - 2 * flipped, one, torch.zeros_like(flipped))


def hue(angle: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) that turn colours by `angle` (N,) about the axis of greys."""
    return _from_axis(torch.ones_like(angle), angle.cos(), angle.sin())


def saturation(factor: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) that multiply the distance from grey by `factor` (N,)."""
    return _from_axis(torch.ones_like(factor), factor, torch.zeros_like(factor))


def transform(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Apply matrices (N, 4, 4) to the channels of images (N, 1 or 3, H, W)."""
    linear, shift = matrices[:, :3, :3], matrices[:, :3, 3]
    if images.shape[1] == 1:
        # The mean of what grey becomes.
        factor, shift = linear.sum((1, 2)) / 3, shift.mean(1)
        return images * factor[:, None, None, None] + shift[:, None, None, None]
    # Element by element, in full float32 on all devices.
    mixed = (linear[:, :, :, None, None] * images[:, None]).sum(2)
    return mixed + shift[:, :, None, None]


def _from_axis(along: torch.Tensor, across: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Return the matrices that do a thing along the axis of greys v and another one across it.

    along · vvᵀ + across · (1 − vvᵀ) + turn · [v]×, where [v]× takes the cross product with v.
    """
    same = (along + 2 * across) / 3
    after = (along - across) / 3 + turn / math.sqrt(3)
    before = (along - across) / 3 - turn / math.sqrt(3)
    return matrix(
        [
            [same, before, after, 0.0],
            [after, same, before, 0.0],
            [before, after, same, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ],
        along,
    )
