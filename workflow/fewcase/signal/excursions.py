"""Accelerations and decelerations: where FHR leaves its baseline far and long enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.signal.noise import moving_average
from fewcase.signal.rows import Runs, runs_of

Float32 = npt.NDArray[np.float32]

# The amplitude and duration of the FIGO (2015) and NICHD (2008) guidelines.
LEAST_BPM = 15.0
LEAST_S = 15.0
MOST_S = 600.0
# An excursion begins and ends where FHR is this near to the baseline, which the guidelines read
# to the nearest 5 bpm.
EDGE_BPM = 5.0
# What is quicker is variability, not an excursion.
SMOOTHING_S = 5.0


def above_baseline(fhr: Float32, baseline: Float32, sampling_hz: float) -> Float32:
    """Return the smoothed difference of FHR and its baseline, bpm: a 5-s moving average.

    Parameters
    ----------
    fhr, baseline
        float32 (n, samples), bpm, without gaps.
    sampling_hz
        Sampling rate, Hz.
    """
    # An odd window delays neither edge.
    window = 2 * int(SMOOTHING_S * sampling_hz / 2) + 1
    return moving_average(fhr - baseline, window)


def find_excursions(
    difference: Float32, sampling_hz: float, missing: npt.NDArray[np.bool_] | None = None
) -> Runs:
    """Find accelerations; of the negated difference, decelerations.

    An excursion is a run of samples more than 5 bpm above the baseline that reaches 15 bpm above
    it and lasts 15 s or more and less than 10 min, from where it leaves the baseline to where it
    returns (as FIGO 2015 and NICHD 2008 count; what lasts 10 min is a change of the baseline). One
    of which less than half was measured is none.

    Parameters
    ----------
    difference
        float32 (n, samples), bpm, see `above_baseline`.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that were filled in.
    """
    found = runs_of(difference > EDGE_BPM)
    length = found.length / sampling_hz
    found = found.where((length >= LEAST_S) & (length < MOST_S))
    found = found.where(_over_runs(np.maximum, difference, found) >= LEAST_BPM)
    if missing is not None:
        filled = _over_runs(np.add, missing.astype(np.int64), found)
        found = found.where(filled <= found.length / 2)
    return found


def area_of(difference: Float32, runs: Runs, sampling_hz: float) -> npt.NDArray[np.float64]:
    """Return the summed area of each row's excursions, float64 (n,), bpm times min: beats."""
    area = _over_runs(np.add, difference.astype(np.float64), runs) / (sampling_hz * 60)
    # Without any run, NumPy counts in integers.
    return np.bincount(runs.row, weights=area, minlength=len(difference)).astype(np.float64)


def _over_runs(operation: np.ufunc, values: npt.NDArray[Any], runs: Runs) -> npt.NDArray[Any]:
    """Reduce the values of each run to one."""
    if not len(runs.row):
        return np.empty(0, values.dtype)
    samples = values.shape[1]
    bounds = np.stack([runs.row * samples + runs.start, runs.row * samples + runs.stop], axis=1)
    # One value more, so that a run may end with the array; every second piece lies between runs.
    padded = np.append(values.reshape(-1), values.dtype.type(0))
    return operation.reduceat(padded, bounds.reshape(-1))[::2]


def mark(runs: Runs, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask (n, samples) that is true within the runs."""
    change = np.zeros((shape[0], shape[1] + 1), np.int8)
    change[runs.row, runs.start] += 1
    # A run may begin where the last one ended, so the ends are subtracted one by one.
    np.subtract.at(change, (runs.row, runs.stop), 1)
    return np.cumsum(change[:, :-1], axis=1, dtype=np.int8).astype(bool)
