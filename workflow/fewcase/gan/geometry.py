"""Flips, turns, shifts, scales and rotations of whole batches, with mirrored borders.

After Karras et al., Training generative adversarial networks with limited data (2020), appendix B:
images are doubled with the wavelet sym6, looked up bilinearly, and halved with the same wavelet.
Everything is linear in the images, and has derivatives of any order with respect to them.

Matrices act on points (x, y, 1), in pixels from the centre of the image, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

#: Low-pass filter of the wavelet sym6 (Daubechies, Ten lectures on wavelets, 1992).
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
#: Where in the filter its centre of mass lies. It is not 5.5, the middle: taken for the middle, a
#: half turn would move an image by 0.4 pixels.
_CENTRE = sum(place * tap for place, tap in enumerate(SYM6)) / sum(SYM6)
#: So many pixels beyond the border are filtered, mirrored; those further out are looked up inside.
_BORDER = 3


def matrix(rows: Sequence[Sequence[torch.Tensor | float]], like: torch.Tensor) -> torch.Tensor:
    """Return matrices (N, R, C) from rows of numbers and of tensors (N,) such as `like`."""
    entries = [
        entry if isinstance(entry, torch.Tensor) else torch.full_like(like, entry)
        for row in rows
        for entry in row
    ]
    return torch.stack(entries, dim=1).unflatten(1, (len(rows), len(rows[0])))


def multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the products of small matrices, (N, R, K) by (N, K, C).

    In full float32: where a library's product is shortened to TF32, pixels would move about.
    """
    return (left[:, :, :, None] * right[:, None]).sum(2)


def translation(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 3, 3) that move points by x and y."""
    return matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], x)


def scaling(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 3, 3) that stretch by the factors x and y."""
    return matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], x)


def rotation(cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, 3, 3) that turn from the axis x towards the axis y."""
    return matrix([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]], cosine)


class Geometry(nn.Module):
    """What moves the pixels of square images of one size.

    Parameters
    ----------
    size
        Height and width in pixels, at least 7.
    """

    _doubling: torch.Tensor
    _halving: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        #: Sample n of a doubled image lies at pixel (n − centre) / 2; this many come before the
        #: first one that is needed.
        self._first = math.floor(_CENTRE - 2 * _BORDER)
        last = math.ceil(2 * (size - 1 + _BORDER) + _CENTRE)
        doubling = _filter_matrix(range(self._first, last + 1), size) * math.sqrt(2)
        # The wavelet's shifts by two are orthonormal: halving undoes doubling to the last digit.
        halving = _halving_matrix(size) / math.sqrt(2)
        for name, value in (("_doubling", doubling), ("_halving", halving)):
            buffer = torch.from_numpy(value).float()
            self.register_buffer(name, buffer, persistent=False)

    def look_up(self, images: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        """Move pixels as they are: each takes the value of the one nearest to where it came from.

        Parameters
        ----------
        images
            (N, C, size, size).
        inverse
            (N, 3, 3): from a pixel of the result to its place in the image.
        """
        places = torch.arange(self.size, device=images.device, dtype=inverse.dtype)
        x, y = self._origins(inverse, places)
        return _sample(images, self._mirrored(x), self._mirrored(y), "nearest")

    def warp(self, images: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        """Resample images under affine transformations.

        Parameters
        ----------
        images
            (N, C, size, size).
        inverse
            (N, 3, 3): from a place in the result to its place in the image.
        """
        doubling, halving = self._doubling.to(images.dtype), self._halving.to(images.dtype)
        doubled = doubling @ images @ doubling.t()
        samples = torch.arange(halving.shape[1], device=images.device, dtype=inverse.dtype)
        x, y = (
            2 * self._near(place) + (_CENTRE - self._first)
            for place in self._origins(inverse, (samples - _CENTRE) / 2)
        )
        return halving @ _sample(doubled, x, y, "bilinear") @ halving.t()

    def _origins(
        self, inverse: torch.Tensor, places: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where places (P,) of both axes came from, x and y (N, P, P), from pixel 0 on."""
        centre = (self.size - 1) / 2
        places = places - centre
        factors = inverse[:, :2, :, None, None]
        origins = (
            factors[:, :, 0] * places + factors[:, :, 1] * places[:, None] + factors[:, :, 2]
        ) + centre
        return origins[:, 0], origins[:, 1]

    def _mirrored(self, places: torch.Tensor) -> torch.Tensor:
        """Reflect places about the outermost pixels until they are inside."""
        last = self.size - 1
        return last - (places.remainder(2 * last) - last).abs()

    def _near(self, places: torch.Tensor) -> torch.Tensor:
        """Reflect places that are beyond the border's pixels."""
        last = self.size - 1
        is_near = (places >= -_BORDER) & (places <= last + _BORDER)
        return torch.where(is_near, places, self._mirrored(places))


def _filter_matrix(samples: range, size: int) -> np.ndarray:
    """Return (samples, size): how much of each pixel, itself or mirrored, a sample holds."""
    result = np.zeros((len(samples), size))
    for row, sample in enumerate(samples):
        for tap, weight in enumerate(SYM6):
            if (sample - tap) % 2 == 0:
                pixel = abs((sample - tap) // 2)
                result[row, pixel if pixel < size else 2 * (size - 1) - pixel] += weight
    return result


def _halving_matrix(size: int) -> np.ndarray:
    """Return (size, samples): how much of each sample a pixel is made of."""
    result = np.zeros((size, 2 * size + len(SYM6) - 2))
    for pixel in range(size):
        result[pixel, 2 * pixel : 2 * pixel + len(SYM6)] = SYM6
    return result


def _sample(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, mode: str) -> torch.Tensor:
    """Read images (N, C, H, W) at columns x and rows y, (N, H', W') each, all inside."""
    height, width = images.shape[2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=3)
    # Coordinates are inside but for rounding, which the border takes.
    return F.grid_sample(
        images, grid.to(images.dtype), mode=mode, padding_mode="border", align_corners=True
    )
