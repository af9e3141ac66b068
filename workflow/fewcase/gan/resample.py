"""Doubling and halving images with StyleGAN2's filter [1, 3, 3, 1], without stuffing zeros.

Each result is what inserting zeros, filtering, and keeping every second pixel would give (Karras et
al., Analyzing and improving the image quality of StyleGAN, 2020), with zeros beyond the border. All
are linear, made of convolutions with fixed filters, and differentiable to any order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: The filter in one direction, before it is divided by its sum.
TAPS = (1.0, 3.0, 3.0, 1.0)


def double(images: torch.Tensor) -> torch.Tensor:
    """Interpolate images to twice their height and width: (N, C, H, W) to (N, C, 2H, 2W)."""
    # Between two pixels [1, 3, 3, 1] weighs them 1/4 and 3/4: bilinear interpolation, that is.
    # Beyond the border it finds zeros, not the outermost pixel.
    padded = F.pad(images, (1, 1, 1, 1))
    doubled = F.interpolate(padded, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[:, :, 2:-2, 2:-2]


class Resampler(nn.Module):
    """The filter, kept on the device of the network that it belongs to."""

    kernel: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(TAPS) / sum(TAPS)
        # No weight: it is in no state, and exact in every floating-point type.
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def blur(self, images: torch.Tensor, padding: int, gain: float = 1.0) -> torch.Tensor:
        """Filter images in both directions.

        Parameters
        ----------
        images
            (N, C, H, W).
        padding
            Zeros put on each side; height and width grow by 2 · padding − 3.
        gain
            What a constant image is multiplied by.
        """
        # One pass of 16 taps: two of four each write the images to memory once more, and take
        # half as long again on a CPU.
        channels = images.shape[1]
        kernel = (self.kernel * gain).to(images.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(images, kernel, padding=padding, groups=channels)

    def halve(self, images: torch.Tensor) -> torch.Tensor:
        """Filter images and keep every second pixel: (N, C, H, W) to (N, C, H / 2, W / 2)."""
        channels = images.shape[1]
        kernel = self.kernel.to(images.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(images, kernel, stride=2, padding=1, groups=channels)

    def convolve_doubling(self, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Double images, then convolve them.

        Parameters
        ----------
        images
            (N, C, H, W).
        weight
            (K, C, 3, 3); it meets the image turned by 180°, as a transposed convolution has it.

        Returns
        -------
        torch.Tensor
            (N, K, 2H, 2W).
        """
        # Filtering and convolution commute, so the convolution comes first: over inserted zeros it
        # is a transposed one, a quarter of the products of a plain one over doubled images.
        convolved = F.conv_transpose2d(images, weight.transpose(0, 1), stride=2)
        return self.blur(convolved, padding=1, gain=4.0)

    def convolve_halving(
        self, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Filter images and convolve them at every second pixel.

        Parameters
        ----------
        images
            (N, C, H, W).
        weight
            (K, C, 3, 3) or (K, C, 1, 1).
        bias
            (K,).

        Returns
        -------
        torch.Tensor
            (N, K, H / 2, W / 2).
        """
        if weight.shape[-1] == 1:
            return F.conv2d(self.halve(images), weight, bias)
        return F.conv2d(self.blur(images, padding=2), weight, bias, stride=2)
