"""Convolutions of 3 × 3 on a CPU with a quarter of the products.

Winograd's minimal filtering F(4 × 4, 3 × 3), after Lavin and Gray, Fast algorithms for
convolutional neural networks (2016): tiles of 6 × 6 pixels and the filters are transformed,
multiplied as 36 matrix products, and transformed back to tiles of 4 × 4. Weight gradients take the
same way backwards. Rounding errors in float32 are about three times those of a direct convolution.

Tiles are transformed a few images at a time, in memory that stays in the cache and is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F

# The transformations of tiles, filters and results, in one direction.
_TILE = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_RESULT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
_STEP, _SIDE = len(_RESULT), len(_TILE)
#: So many values of one place in all tiles at a time: measured, the fastest.
_VALUES_AT_A_TIME = 2**17

#: Fewer channels, or smaller images, are convolved faster directly (measured).
FEWEST_CHANNELS, SMALLEST_SIZE = 128, 16


def convolve(
    images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Convolve with 3 × 3 pixels, zeros beyond the border, in the way that is fastest.

    Which way depends on the shape of one image, not on how many there are.

    Parameters
    ----------
    images
        (N, C, H, W).
    weight
        (K, C, 3, 3).
    bias
        (K,).

    Returns
    -------
    torch.Tensor
        (N, K, H, W).
    """
    height, width = images.shape[2:]
    suits = (
        images.device.type == "cpu"
        and images.dtype == torch.float32
        and min(weight.shape[:2]) >= FEWEST_CHANNELS
        and min(height, width) >= SMALLEST_SIZE
        and height % _STEP == width % _STEP == 0
        and not torch.compiler.is_compiling()
    )
    if not suits:
        return F.conv2d(images, weight, bias, padding=1)
    result = convolve_in_tiles(images, weight)
    return result if bias is None else result.add_(bias[:, None, None])


def convolve_in_tiles(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolve with 3 × 3 pixels by Winograd's method; differentiable to any order.

    Parameters
    ----------
    images
        (N, C, H, W), on the CPU; height and width are multiples of 4.
    weight
        (K, C, 3, 3).

    Returns
    -------
    torch.Tensor
        (N, K, H, W) in channels-last memory.
    """
    result: torch.Tensor = _Convolution.apply(images, weight)
    return result


class _Convolution(torch.autograd.Function):
    """Images (N, C, H, W) and weights (K, C, 3, 3) to (N, K, H, W)."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        outputs, inputs = weight.shape[:2]
        # (36, C, K), the inputs' axis the second of a matrix product.
        filters = _squared(_FILTER, weight) @ weight.permute(2, 3, 1, 0).reshape(9, -1)
        filters = filters.view(_SIDE**2, inputs, outputs)
        result = torch.empty(
            (len(images), outputs, *images.shape[2:]),
            dtype=images.dtype,
            memory_format=torch.channels_last,
        )
        ordered = result.permute(0, 2, 3, 1)
        tiles = _Tiles(images, outputs)
        products = images.new_empty(_SIDE**2, tiles.count, outputs)
        pixels = images.new_empty(_STEP**2, tiles.count * outputs)
        to_pixels = _squared(_RESULT, weight)
        for part, transformed in tiles:
            torch.bmm(transformed, filters, out=products)
            torch.mm(to_pixels, products.view(_SIDE**2, -1), out=pixels)
            target = _result_tiles(ordered[part])
            target.copy_(pixels.view(target.shape))
        return result

    @staticmethod
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        images, weight = ctx.saved_tensors
        wants_images, wants_weight = ctx.needs_input_grad
        return (
            convolve_in_tiles(gradient, _transposed(weight)) if wants_images else None,
            _WeightGradient.apply(images, gradient) if wants_weight else None,
        )


class _WeightGradient(torch.autograd.Function):
    """Images (N, C, H, W) and gradients (N, K, H, W) to the gradient by the weights."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(images, gradient)
        inputs, outputs = images.shape[1], gradient.shape[1]
        sums = images.new_zeros(_SIDE**2, inputs, outputs)
        tiles = _Tiles(images, outputs)
        pixels = images.new_empty(_STEP**2, tiles.count * outputs)
        products = images.new_empty(_SIDE**2, tiles.count * outputs)
        from_pixels = _squared(_RESULT, images).t().contiguous()
        ordered = gradient.permute(0, 2, 3, 1)
        for part, transformed in tiles:
            source = _result_tiles(ordered[part])
            pixels.view(source.shape).copy_(source)
            torch.mm(from_pixels, pixels, out=products)
            sums.baddbmm_(transformed.transpose(1, 2), products.view(_SIDE**2, -1, outputs))
        result = _squared(_FILTER, images).t() @ sums.view(_SIDE**2, -1)
        return result.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        # The gradient is linear in either, as the convolution is in images and weights.
        images, gradient = ctx.saved_tensors
        wants_images, wants_gradient = ctx.needs_input_grad
        return (
            convolve_in_tiles(gradient, _transposed(weight)) if wants_images else None,
            convolve_in_tiles(images, weight) if wants_gradient else None,
        )


class _Tiles:
    """Iterates over a batch: a slice of images, and their transformed tiles (36, tiles, C)."""

    def __init__(self, images: torch.Tensor, outputs: int) -> None:
        batch, inputs, height, width = images.shape
        self._images = images.permute(0, 2, 3, 1)
        self._rows, self._columns = height // _STEP, width // _STEP
        values = self._rows * self._columns * max(inputs, outputs)
        limit = max(_VALUES_AT_A_TIME // values, 1)
        # Parts of equal size, so that all fit the same memory.
        self._part = max(size for size in range(1, min(limit, batch) + 1) if batch % size == 0)
        self.count = self._part * self._rows * self._columns
        padded = images.new_zeros(self._part, height + 2, width + 2, inputs)
        self._inside = padded[:, 1:-1, 1:-1]
        image, row, column, channel = padded.stride()
        self._overlapping = padded.as_strided(
            (_SIDE, _SIDE, self._part, self._rows, self._columns, inputs),
            (row, column, image, _STEP * row, _STEP * column, channel),
        )
        self._gathered = images.new_empty(self._overlapping.shape)
        self._transformed = images.new_empty(_SIDE**2, self.count * inputs)
        self._matrix = _squared(_TILE, images)

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        for first in range(0, len(self._images), self._part):
            part = slice(first, first + self._part)
            self._inside.copy_(self._images[part])
            self._gathered.copy_(self._overlapping)
            torch.mm(self._matrix, self._gathered.view(_SIDE**2, -1), out=self._transformed)
            yield part, self._transformed.view(_SIDE**2, self.count, -1)


def _result_tiles(pixels: torch.Tensor) -> torch.Tensor:
    """View pixels (N, H, W, K) as tiles without overlap, (4, 4, N, H / 4, W / 4, K)."""
    tiles = pixels.unflatten(2, (-1, _STEP)).unflatten(1, (-1, _STEP))
    return tiles.permute(2, 4, 0, 1, 3, 5)


def _transposed(weight: torch.Tensor) -> torch.Tensor:
    """Return the weights (C, K, 3, 3) of the transposed convolution."""
    return weight.flip(2, 3).transpose(0, 1)


def _squared(transformation: Sequence[Sequence[float]], like: torch.Tensor) -> torch.Tensor:
    """Return the matrix that applies a transformation to rows and columns of flattened squares."""
    once = torch.tensor(transformation, dtype=torch.float64)
    return torch.kron(once, once).to(like.dtype)
