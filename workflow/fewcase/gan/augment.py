"""The augmentation that both networks' images go through before the discriminator sees them.

Karras et al., Training generative adversarial networks with limited data (2020), appendix B: as
long as each transformation is done with a probability well below 1, the generator can't learn that
its images ought to look transformed. One probability holds for all transformations;
`fewcase.gan.controller` adapts it.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from fewcase.gan import colour
from fewcase.gan.geometry import Geometry, multiply, rotation, scaling, translation
from fewcase.study.errors import InputError

_BG = ("x_flip", "quarter_turn", "shift", "scale", "rotation", "stretch", "subpixel_shift")

#: What each preset does. `paper` is that of Karnaukhov et al.: flips (a vertical one is a
#: horizontal one with a half turn), rotations, shifts, scale and intensity.
PRESETS: dict[str, tuple[str, ...]] = {
    "paper": (*_BG, "brightness", "contrast"),
    "bg": _BG,
    "bgc": (*_BG, "brightness", "contrast", "luma_flip", "hue", "saturation"),
}

#: Largest integer shift, and standard deviation of the other one, as shares of the size.
SHIFT = 0.125
#: Standard deviations: of log2 of the factors of scale, contrast and saturation; of brightness.
SCALE, CONTRAST, SATURATION, BRIGHTNESS = 0.2, 0.5, 1.0, 0.2

# One column for each number that a transformation needs, with the name of the transformation, in
# the order in which they are done. 0 means that nothing is done.
_COLUMNS = (
    "x_flip",
    "quarter_turn",
    "shift",  # along x
    "shift",  # along y
    "scale",
    "rotation",  # before the image is stretched
    "stretch",
    "rotation",  # after it
    "subpixel_shift",  # along x
    "subpixel_shift",  # along y
    "brightness",
    "contrast",
    "luma_flip",
    "hue",
    "saturation",
)
# The largest float32 below 1: at probability 1 everything is done, whatever the rounding.
_BELOW_1 = 1 - 2**-24
# Those after which pixels don't lie on pixels any more.
_RESAMPLED = slice(4, 10)


class Augmentation(nn.Module):
    """A preset for square images of one size.

    Parameters
    ----------
    size
        Height and width in pixels.
    preset
        ``paper``, ``bg`` or ``bgc``.
    """

    def __init__(self, size: int, preset: str) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise InputError(f"augmentation: {preset!r} is none of {', '.join(PRESETS)}.")
        self.size = size
        self.transformations = PRESETS[preset]
        self.geometry = Geometry(size)

    def draw(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        """Draw what may happen to each image of a batch.

        All presets draw the same numbers.

        Parameters
        ----------
        batch
            N.
        generator
            Of the CPU: what is drawn is small, and the same whatever the device.

        Returns
        -------
        torch.Tensor
            (2, N, 15) float32 on the CPU: from which probability on a transformation is done, and
            its number.
        """
        uniform = torch.rand(batch, len(_COLUMNS), generator=generator)
        normal = torch.randn(batch, len(_COLUMNS), generator=generator)
        limits = torch.rand(batch, len(_COLUMNS), generator=generator)
        coin, turns = (2 * uniform).floor(), (4 * uniform).floor()
        shift = ((2 * uniform - 1) * SHIFT * self.size).round()
        angle = (2 * uniform - 1) * math.pi
        subpixel = normal * SHIFT * self.size
        values = (
            coin, turns, shift, shift, SCALE * normal, angle, SCALE * normal, angle, subpixel,
            subpixel, BRIGHTNESS * normal, CONTRAST * normal, coin, angle, SATURATION * normal,
        )  # fmt: skip
        columns = []
        for index, (name, value) in enumerate(zip(_COLUMNS, values, strict=True)):
            limit = limits[:, _COLUMNS.index(name)]
            if name == "rotation":
                # Each of the two is done with probability 1 − √(1 − p), so that one is with p.
                limit = (1 - (1 - limits[:, index]) ** 2).clamp(max=_BELOW_1)
            elif name not in self.transformations:
                limit = torch.full_like(limit, torch.inf)
            columns.append(torch.stack([limit, value[:, index]]))
        return torch.stack(columns, dim=2)

    def forward(
        self, images: torch.Tensor, drawn: torch.Tensor, probability: torch.Tensor | float
    ) -> torch.Tensor:
        """Transform images; those to which nothing happens stay as they are, to the last bit.

        Parameters
        ----------
        images
            (N, 1 or 3, size, size), about within ±1. The result has derivatives of any order with
            respect to them.
        drawn
            As `draw` returned it, moved to the device of the images.
        probability
            p, between 0 and 1; above 1 it acts as 1. A tensor () on the device leaves the device
            its own pace; the number 0 leaves out all work.
        """
        if isinstance(probability, (int, float)) and probability <= 0:
            return images
        limits, values = drawn
        numbers = torch.where(limits < probability, values, 0.0)
        exact, inverse = _inverse_transformations(numbers)
        resampled = (numbers[:, _RESAMPLED] != 0).any(1)
        images = torch.where(
            resampled[:, None, None, None],
            self.geometry.warp(images, inverse),
            self.geometry.look_up(images, exact),
        )
        if "brightness" in self.transformations:
            images = colour.transform(images, _colour_matrices(numbers).to(images.dtype))
        return images


def _inverse_transformations(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inverse matrices (N, 3, 3) of what moves pixels onto pixels, and of all there is.

    The inverse of a product is that of the inverses in the other order: the first one comes first.
    """
    (
        x_flip, turns, x_shift, y_shift, scale, before, stretch, after, x_subpixel, y_subpixel,
    ) = numbers[:, :10].unbind(1)  # fmt: skip
    one = torch.ones_like(scale)
    cosine = (turns == 0).to(one) - (turns == 2).to(one)
    sine = (turns == 1).to(one) - (turns == 3).to(one)
    exact = multiply(scaling(one - 2 * x_flip, one), rotation(cosine, -sine))
    exact = multiply(exact, translation(-x_shift, -y_shift))
    factor = torch.exp2(-scale)
    inverse = multiply(exact, scaling(factor, factor))
    inverse = multiply(inverse, rotation(before.cos(), -before.sin()))
    inverse = multiply(inverse, scaling(torch.exp2(-stretch), torch.exp2(stretch)))
    inverse = multiply(inverse, rotation(after.cos(), -after.sin()))
    return exact, multiply(inverse, translation(-x_subpixel, -y_subpixel))


def _colour_matrices(numbers: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 4, 4) of all that changes colours, the last one first."""
    brightness, contrast, flipped, hue, saturation = numbers[:, 10:].unbind(1)
    result = colour.brightness(brightness)
    for following in (
        colour.contrast(torch.exp2(contrast)),
        colour.luma_flip(flipped),
        colour.hue(hue),
        colour.saturation(torch.exp2(saturation)),
    ):
        result = multiply(following, result)
    return result
