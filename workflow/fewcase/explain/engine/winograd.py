"""Convolutions of 3 × 3 with a quarter of the multiplications, after Winograd.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, F(4 × 4, 3 × 3):
tiles of 6 × 6 inputs make 4 × 4 outputs with 36 multiplications instead of 144. Rounding errors are
about four times those of the direct way. On a GPU, cuDNN chooses such ways itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

TILE, SEEN = 4, 6
"""Sides of a tile of outputs, and of the inputs that it sees."""
LEAST_CHANNELS = 256
"""With fewer channels the transforms cost more than they save."""
LARGEST_SHARE = 0.45
"""Of the direct way's multiplications; tiles that stick out over small maps waste theirs."""
_INPUT = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
_KERNEL = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class Winograd:
    """A convolution of 3 × 3 with stride 1, its weights transformed beforehand.

    Parameters
    ----------
    weight
        float32 (K, C, 3, 3).
    """

    def __init__(self, weight: torch.Tensor) -> None:
        outputs, inputs = weight.shape[:2]
        kernel = _squared(_KERNEL, torch.float64) @ weight.double().reshape(-1, 9).T
        kernel = kernel.view(SEEN * SEEN, outputs, inputs).transpose(1, 2)
        self._kernel = kernel.to(torch.float32).contiguous()
        self._input, self._output = _squared(_INPUT), _squared(_OUTPUT)

    def __call__(self, x: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
        """Return the convolution of (B, C, H, W), in channels-last memory and without bias."""
        count, channels = x.shape[:2]
        height, width = (x.shape[axis + 2] + 2 * padding[axis] - 2 for axis in (0, 1))
        down, across = -(-height // TILE), -(-width // TILE)
        ends = (
            down * TILE + 2 - x.shape[2] - padding[0],
            across * TILE + 2 - x.shape[3] - padding[1],
        )
        pixels = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], ends[1], padding[0], ends[0]))
        image, row, column, _ = pixels.stride()
        tiles = pixels.as_strided(
            (SEEN, SEEN, count, down, across, channels),
            (row, column, image, row * TILE, column * TILE, 1),
        ).reshape(SEEN * SEEN, -1)
        products = torch.bmm((self._input @ tiles).view(SEEN * SEEN, -1, channels), self._kernel)
        result = (self._output @ products.view(SEEN * SEEN, -1)).view(
            TILE, TILE, count, down, across, -1
        )
        result = result.permute(2, 3, 0, 4, 1, 5).reshape(count, down * TILE, across * TILE, -1)
        return result[:, :height, :width].permute(0, 3, 1, 2)


def pays(inputs: int, outputs: int, height: int, width: int) -> bool:
    """Whether the way is faster for so many channels and a result of this size."""
    if min(inputs, outputs) < LEAST_CHANNELS:
        return False
    multiplied = -(-height // TILE) * -(-width // TILE) * SEEN * SEEN
    return multiplied <= LARGEST_SHARE * 9 * height * width


def _squared(
    matrix: tuple[tuple[float, ...], ...], dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Return what applies a matrix along both axes of a tile that is laid out as one column."""
    values = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(values, values).to(dtype)
