"""Resampling of signals with missing samples, which are never filled or bridged here."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def resample(
    signal: npt.NDArray[np.floating], sampling_hz: float, target_hz: float
) -> npt.NDArray[np.float32]:
    """Bring a signal to another sampling rate; NaN is missing and stays so.

    Sample k of the result stands for the instant k / `target_hz`, so nothing is shifted in time.
    Going down, it is the mean of the source over one new sampling interval centred there, which
    keeps faster changes from folding back, and NaN where less than half of that interval was
    recorded. Going up, it lies on the straight line between the two source samples around it;
    where one of them is missing it takes the other within half a source interval, and beyond
    that it is NaN.

    Parameters
    ----------
    signal
        One-dimensional, at `sampling_hz`.
    sampling_hz, target_hz
        Samples per second, above 0.

    Returns
    -------
    numpy.ndarray
        float32, as many samples as fit into the duration of `signal`; a copy, also where the two
        rates are the same.
    """
    source = np.asarray(signal, dtype=np.float64)
    if math.isclose(sampling_hz, target_hz, rel_tol=1e-9):
        return source.astype(np.float32)
    # The small term keeps a whole number of samples whole after the division's rounding.
    length = math.floor(len(source) * target_hz / sampling_hz + 1e-6)
    if length == 0:
        return np.empty(0, dtype=np.float32)
    positions = np.arange(length, dtype=np.float64) * (sampling_hz / target_hz)
    if sampling_hz > target_hz:
        return _means_around(source, positions, sampling_hz / target_hz)
    return _lines_between(source, positions)


def _means_around(
    signal: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], width: float
) -> npt.NDArray[np.float32]:
    """Average `signal` over windows of `width` samples, each sample being one wide."""
    valid = np.isfinite(signal)
    edges = np.arange(len(signal) + 1) - 0.5
    area = np.concatenate([[0.0], np.cumsum(np.where(valid, signal, 0.0), dtype=np.float64)])
    known = np.concatenate([[0.0], np.cumsum(valid, dtype=np.float64)])
    # np.interp holds the end values: what lies outside the recording adds no area.
    low, high = positions - width / 2, positions + width / 2
    window_area = np.interp(high, edges, area) - np.interp(low, edges, area)
    window_known = np.interp(high, edges, known) - np.interp(low, edges, known)
    recorded = np.minimum(high, edges[-1]) - np.maximum(low, edges[0])
    enough = window_known >= recorded / 2 - 1e-9
    means = np.full(len(positions), np.nan)
    np.divide(window_area, window_known, out=means, where=enough & (window_known > 0))
    return means.astype(np.float32)


def _lines_between(
    signal: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Interpolate between the two samples around each position, or take the near one alone."""
    before = np.minimum(np.floor(positions + 1e-9).astype(np.int64), len(signal) - 1)
    after = np.minimum(before + 1, len(signal) - 1)
    share = np.clip(positions - before, 0.0, 1.0)
    left, right = signal[before], signal[after]
    between = left + share * (right - left)
    near = np.where(share <= 0.5, left, right)
    return np.where(np.isfinite(between), between, near).astype(np.float32)
