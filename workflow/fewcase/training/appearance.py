"""Random orientation and colour of training images, image by image on the device.

Both leave the label alone. Which images a quarter turn or a mirror leaves plausible is the study's
to say: tissue has no upright, a cardiotocogram has.
"""

from __future__ import annotations

import torch

from fewcase.study.errors import InputError

# Of ITU-R BT.601, as Pillow and torchvision turn colours to grey.
GREY = (0.299, 0.587, 0.114)


def orient(images: torch.Tensor, kind: str, generator: torch.Generator) -> torch.Tensor:
    """Mirror, and for ``dihedral`` turn, each image at random; all orientations equally likely.

    Parameters
    ----------
    images
        (B, C, H, W) on any device.
    kind
        ``none``, ``flips`` (left to right, upside down) or ``dihedral`` (quarter turns as well).
    generator
        Of the CPU.

    Raises
    ------
    InputError
        For quarter turns of images that are not square.
    """
    if kind == "none":
        return images
    draws = torch.rand(3, len(images), generator=generator) < 0.5
    sideways, upside, across = draws.to(images.device)[..., None, None, None]
    images = torch.where(sideways, images.flip(-1), images)
    images = torch.where(upside, images.flip(-2), images)
    if kind == "flips":
        return images
    if images.shape[-1] != images.shape[-2]:
        raise InputError(
            f"recipe.orient: dihedral: images of {images.shape[-2]} × {images.shape[-1]} pixels "
            "cannot be turned by a quarter; give orient: flips."
        )
    # The two mirrors and this one make all eight orientations.
    return torch.where(across, images.transpose(-1, -2), images)


def jitter_colours(
    images: torch.Tensor,
    amount: float,
    mean: torch.Tensor,
    std: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Change brightness, contrast and saturation of each image, in this order.

    Each factor is uniform from ``1 - amount`` to ``1 + amount``; a factor multiplies the image
    itself (brightness), its distance from its mean grey (contrast) or from its own grey version
    (saturation, of three channels alone), and what leaves the range from black to white is cut
    off, as `torchvision.transforms.functional` does it.

    Parameters
    ----------
    images
        (B, C, H, W), normalised.
    amount
        0 changes nothing.
    mean, std
        (C, 1, 1), what images were normalised with.
    generator
        Of the CPU.
    """
    if amount == 0:
        return images
    factors = 1 + amount * (2 * torch.rand(3, len(images), generator=generator) - 1)
    brightness, contrast, saturation = factors.to(images.device)[..., None, None, None]
    pixels = (images * std + mean) * brightness
    pixels = pixels.clamp(0, 1)
    middle = _grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
    pixels = (middle + contrast * (pixels - middle)).clamp(0, 1)
    if pixels.shape[1] == 3:
        grey = _grey(pixels)
        pixels = (grey + saturation * (pixels - grey)).clamp(0, 1)
    return (pixels - mean) / std


def _grey(pixels: torch.Tensor) -> torch.Tensor:
    """Return (B, 1, H, W): the luma of three channels, the mean of any other number."""
    if pixels.shape[1] != 3:
        return pixels.mean(dim=1, keepdim=True)
    weights = torch.tensor(GREY, dtype=pixels.dtype, device=pixels.device)
    return (pixels * weights[:, None, None]).sum(dim=1, keepdim=True)
