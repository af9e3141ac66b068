"""The scale on which uterine contractions are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.signal.rows import CACHE_ROWS, row_blocks

Float32 = npt.NDArray[np.float32]


def scale_uc(uc: Float32, scale: float | None, normalise: str = "minmax") -> Float32:
    """Normalise UC per row and multiply it; null leaves it as recorded, 0 makes a line at 0.

    Parameters
    ----------
    uc
        float32 (n, samples), cleaned. A row of NaN (no UC was recorded) stays NaN, unless `scale`
        is 0: then it is a line at 0 as every other.
    scale
        The factor, on an axis of 0 to 120.
    normalise
        ``minmax``: lowest 0, highest 1. ``max``: highest 1. ``p99``: 99th percentile 1.
        ``zscore``: mean 0, standard deviation 1. A row without anything to scale by becomes 0.

    Returns
    -------
    float32 (n, samples)
    """
    if scale is None:
        return uc.copy()
    if scale == 0:
        return np.zeros_like(uc)
    scaled = np.empty(uc.shape, np.float32)
    for block in row_blocks(len(uc), CACHE_ROWS):
        origin, unit = _origin_and_unit(uc[block], normalise)
        # Where the unit is 0 (or negative, of a maximum that is) nothing can be scaled by it.
        factor = np.divide(scale, unit, out=np.zeros_like(unit), where=unit > 0)
        factor[np.isnan(unit)] = np.nan
        scaled[block] = (uc[block] - origin[:, None]) * factor[:, None]
    return scaled


def _origin_and_unit(uc: Float32, normalise: str) -> tuple[Float32, Float32]:
    """Return what is drawn at 0 and what is drawn as 1, for each row."""
    zero = np.zeros(len(uc), np.float32)
    if normalise == "minmax":
        lowest = uc.min(axis=1)
        return lowest, uc.max(axis=1) - lowest
    if normalise == "max":
        return zero, uc.max(axis=1)
    if normalise == "p99":
        return zero, np.percentile(uc, 99, axis=1).astype(np.float32)
    if normalise == "zscore":
        mean = uc.mean(axis=1, dtype=np.float64)
        deviation = uc.std(axis=1, dtype=np.float64).astype(np.float32)
        # The deviation of a constant is rounding error, not zero.
        deviation[uc.max(axis=1) == uc.min(axis=1)] = 0
        return mean.astype(np.float32), deviation
    raise ValueError(f"normalisation of UC: {normalise!r}; expected minmax, max, p99 or zscore")
