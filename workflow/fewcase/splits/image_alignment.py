"""Lay one small image over another by shift and stretch, to see a copy that was cropped.

Gauss and Newton's iteration of Lucas and Kanade (1981), from blurred images to sharp ones, with
four parameters: the shift and the stretch of the height and those of the width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

MOST_PIXELS = 4.5
"""Pixels of 64 by which an edge or a centre may move; a margin of 5 % on each side is 3.2."""

LEAST_OVERLAP = 0.7
"""Share of the image that both must show."""

STEPS = (6, 5, 4)
"""Iterations at each blur, the strongest first."""


def align(first: list[Float32], second: list[Float32]) -> Float32:
    """Return how well images correlate when the first are laid over the second.

    Parameters
    ----------
    first, second
        The images to be paired, float32 (n, 64, 64), at each blur in turn; the last are sharp.

    Returns
    -------
    float32 (n,); 0 where too little of the images overlaps.
    """
    count = len(second[-1])
    moved = np.zeros((count, 4), np.float32)
    for above, below, steps in zip(first, second, STEPS, strict=True):
        for _ in range(steps):
            moved += _step(above, below, moved)
            moved = moved.clip(-MOST_PIXELS, MOST_PIXELS)
    laid, shown = _lay_over(first[-1], moved)
    product = (_standardised(laid, shown) * _standardised(second[-1], shown)).mean(axis=(1, 2))
    return np.where(shown.mean(axis=(1, 2)) >= LEAST_OVERLAP, product, 0).astype(np.float32)


def _step(above: Float32, below: Float32, moved: Float32) -> Float32:
    laid, shown = _lay_over(above, moved)
    laid = _standardised(laid, shown)
    down, right = np.gradient(laid, axis=(1, 2))
    place = _places(laid.shape[1])
    slopes = np.stack([down, down * place[:, None], right, right * place], axis=-1)
    slopes = (slopes * shown[..., None]).reshape(len(laid), -1, 4)
    missed = (_standardised(below, shown) - laid).reshape(len(laid), -1, 1)
    turned = slopes.transpose(0, 2, 1)
    # A hint of ridge: an image may not change at all in one direction.
    normal = turned @ slopes + np.eye(4, dtype=np.float32) * 1e-2
    return np.linalg.solve(normal, turned @ missed)[..., 0]


def _places(size: int) -> Float32:
    """Return the distance of each pixel from the middle, 1 at the edges."""
    return np.linspace(-1, 1, size, dtype=np.float32)


def _lay_over(images: Float32, moved: Float32) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Return images moved, interpolated linearly, and which of their pixels lie inside."""
    rows, inside_rows = _source(moved[:, 0], moved[:, 1], images.shape[1])
    columns, inside_columns = _source(moved[:, 2], moved[:, 3], images.shape[2])
    laid = _interpolated(images, rows)
    laid = _interpolated(laid.transpose(0, 2, 1), columns).transpose(0, 2, 1)
    return laid, inside_rows[:, :, None] & inside_columns[:, None, :]


def _source(shift: Float32, stretch: Float32, size: int) -> tuple[Float32, npt.NDArray[np.bool_]]:
    source = np.arange(size) + shift[:, None] + stretch[:, None] * _places(size)
    return source.clip(0, size - 1), (source >= 0) & (source <= size - 1)


def _interpolated(images: Float32, source: Float32) -> Float32:
    below = np.minimum(source.astype(np.int64), images.shape[1] - 2)
    share = (source - below)[..., None].astype(np.float32)
    lower = np.take_along_axis(images, below[..., None], axis=1)
    upper = np.take_along_axis(images, below[..., None] + 1, axis=1)
    return lower + share * (upper - lower)


def _standardised(images: Float32, shown: npt.NDArray[np.bool_]) -> Float32:
    """Return images with mean 0 over what is shown and mean square 1 over all; 0 elsewhere."""
    weight = np.maximum(shown.sum(axis=(1, 2), keepdims=True), 1)
    mean = (images * shown).sum(axis=(1, 2), keepdims=True) / weight
    centred = (images - mean) * shown
    square = (centred**2).mean(axis=(1, 2), keepdims=True)
    return (centred / np.sqrt(np.maximum(square, 1e-12))).astype(np.float32)
