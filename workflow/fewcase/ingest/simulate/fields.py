"""Random curves and textures of simulated B-scans, and shapes along them; all float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]
Shape = tuple[int, int]

_EVERY = 1.5
"""Distance of the numbers that noise is made of, in standard deviations of their kernel."""


def smooth_curve(rng: np.random.Generator, length: int, period: float) -> Field:
    """Return a random curve (length,) of mean 0, standard deviation 1, smooth over `period`.

    Standard normal numbers at equal distances, summed with Gaussian weights of unit norm.
    """
    basis = _basis(length, period)
    return basis @ rng.standard_normal(basis.shape[1], dtype=np.float32)


def smooth_field(rng: np.random.Generator, shape: Shape, periods: tuple[float, float]) -> Field:
    """Return a random field of mean 0, standard deviation 1, smooth over `periods` each way."""
    rows, columns = (_basis(*way) for way in zip(shape, periods, strict=True))
    lattice = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    found: Field = rows @ lattice @ columns.T
    return found


def _basis(length: int, period: float) -> Field:
    """Return the weights (length, numbers) of the numbers in each pixel, of unit norm by row."""
    deviation = max(period, 1.0) / 3
    centres = np.arange(-3 * deviation, length + 3 * deviation, _EVERY * deviation)
    distance = (np.arange(length)[:, None] - centres[None]) / deviation
    basis = np.exp(-0.5 * distance**2).astype(np.float32)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    return basis


def dome(x: Field, centre: float, half: float) -> Field:
    """Return a dome of height 1 with steep sides: an ellipse over 2 · `half`."""
    return np.sqrt(np.maximum(0, 1 - ((x - np.float32(centre)) / np.float32(half)) ** 2))


def bell(x: Field, centre: float, half: float) -> Field:
    """Return a bump of height 1 with soft feet over 2 · `half`."""
    return np.maximum(0, 1 - ((x - np.float32(centre)) / np.float32(half)) ** 2) ** 2


def window(x: Field, centre: float, half: float, soft: float) -> Field:
    """Return 1 within `half` of the centre and 0 farther away, with an edge `soft` wide."""
    inside = np.float32(half) - np.abs(x - np.float32(centre))
    return np.clip(inside / np.float32(soft) + np.float32(0.5), 0, 1)


def rise(x: Field, start: float, end: float) -> Field:
    """Return 0 before `start` and 1 beyond `end`, with a smooth step between; either way round."""
    t = np.clip((x - np.float32(start)) / np.float32(end - start), 0, 1)
    return t * t * (3 - 2 * t)
