"""Random shift, rotation and scaling of images and their masks, together and on the device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def move_together(
    images: torch.Tensor,
    masks: torch.Tensor | None,
    *,
    shift: float,
    degrees: float,
    zoom: float,
    generator: torch.Generator,
    fill: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Scale and turn each image about its centre and shift it, and its mask with it.

    Where nothing can change, nothing is drawn and the same tensors come back.

    Parameters
    ----------
    images
        (B, C, H, W) float, on any device. Interpolated bilinearly.
    masks
        (B, 1, H, W) float, 0 or 1, on the device of the images; None for none. Interpolated
        bilinearly, then inside where at least half is.
    shift
        Images are shifted by up to this share of their sides, in both directions.
    degrees
        And turned by up to this angle, either way.
    zoom
        And scaled by a factor from ``1 - zoom`` to ``1 + zoom``; below 1.
    generator
        Of the CPU: what is drawn is the same on every device.
    fill
        (C,), what lies beyond an image's border: black. Beyond a mask's is outside.

    Returns
    -------
    images, masks
        Of the shapes given; the images in their memory format.
    """
    if shift == degrees == zoom == 0:
        return images, masks
    backwards = draw_affine(len(images), images.shape[-2:], shift, degrees, zoom, generator)
    grid = F.affine_grid(
        backwards.to(images.device, images.dtype),
        [len(images), 1, *images.shape[-2:]],
        align_corners=False,
    )
    background = fill.to(images)[:, None, None]
    # What grid_sample puts beyond the border is 0.
    moved = F.grid_sample(images - background, grid, align_corners=False) + background
    if images.is_contiguous(memory_format=torch.channels_last):
        moved = moved.contiguous(memory_format=torch.channels_last)
    if masks is None:
        return moved, None
    return moved, (F.grid_sample(masks, grid, align_corners=False) >= 0.5).to(masks.dtype)


def draw_affine(
    batch: int,
    size: torch.Size | tuple[int, int],
    shift: float,
    degrees: float,
    zoom: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw the way back from each image that is made to the one it is made of.

    Returns
    -------
    torch.Tensor
        (B, 2, 3) float64, on the CPU: x and y in the source from x, y and 1 in the result, both
        from -1 at one border to 1 at the other, as `torch.nn.functional.affine_grid` takes it.
    """
    across, down, turn, scale = (
        2 * torch.rand(4, batch, generator=generator, dtype=torch.float64) - 1
    )
    angle = turn * math.radians(degrees)
    factor = 1 + scale * zoom
    cosine, sine = angle.cos() / factor, angle.sin() / factor
    # From borders at -1 and 1 to pixels and back: a turn keeps squares square in pixels alone.
    aspect = size[0] / size[1]
    back = torch.stack([cosine, sine * aspect, -sine / aspect, cosine], dim=1).reshape(batch, 2, 2)
    # An image is two long in these units; what is shifted last goes back first.
    offset = -2 * shift * torch.stack([across, down], dim=1)
    return torch.cat([back, back @ offset[:, :, None]], dim=2)
