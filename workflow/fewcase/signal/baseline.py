"""The baseline of FHR: block means, moving mean, and the readings of FIGO and NICHD."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.signal.excursions import above_baseline, find_excursions, mark
from fewcase.signal.noise import moving_average
from fewcase.signal.rows import CACHE_ROWS, minutes_of, row_blocks

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

PERIOD_MINUTES = 10.0
# NICHD: how much of a period the baseline must be seen in, and the range from which variability
# is marked.
LEAST_BASELINE_MINUTES = 2.0
MARKED_BPM = 25.0
ROUNDING_BPM = 5.0
# Passes in which excursions and baseline are found from each other; they settle in two or three.
PASSES = 5
# The running baseline is found from means of so many seconds and keeps what is this near to it.
MEAN_S = 4.0
KEPT_BPM = 10.0
# A higher rate at which FHR stays this share as long as at the commonest is the baseline.
LEAST_SHARE = 0.5


def baseline(
    fhr: Float32, sampling_hz: float, method: str = "block10", missing: Mask | None = None
) -> Float32:
    """Return the baseline of each row.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm, cleaned and without gaps; rows of NaN stay NaN.
    sampling_hz
        Sampling rate, Hz.
    method
        ``block10``: the mean of each 10 minutes, three steps in half an hour (Hemmi, doi
        10.15002/00030779). ``moving10``: the centred mean over 10 minutes, near the ends over
        what there is. ``figo`` and ``nichd``: see `figo` and `nichd`.
    missing
        bool (n, samples): samples that were filled in, which ``figo`` and ``nichd`` leave out.

    Returns
    -------
    float32 (n, samples), bpm
    """
    if method == "block10":
        return _steps(fhr, sampling_hz)
    if method == "moving10":
        return moving_average(fhr, round(PERIOD_MINUTES * 60 * sampling_hz)).copy()
    if method not in ("figo", "nichd"):
        raise ValueError(f"baseline {method!r}: expected block10, moving10, figo or nichd")
    read = figo if method == "figo" else nichd
    missing = np.zeros(fhr.shape, bool) if missing is None else missing
    line = np.empty(fhr.shape, np.float32)
    for block in row_blocks(len(fhr), CACHE_ROWS):
        line[block] = read(fhr[block], sampling_hz, missing[block])
    return line


def _steps(fhr: Float32, sampling_hz: float) -> Float32:
    line = np.empty(fhr.shape, np.float32)
    for period in minutes_of(fhr.shape[1], sampling_hz, PERIOD_MINUTES):
        line[:, period] = fhr[:, period].mean(axis=1, dtype=np.float64, keepdims=True)
    return line


def figo(fhr: Float32, sampling_hz: float, missing: Mask) -> Float32:
    """Return the mean level of the flattest parts of each 10 minutes.

    FIGO (2015) reads the baseline from the most horizontal and least oscillating segments in
    periods of 10 minutes. Here these are the half of a period's one-minute segments with the
    smallest standard deviation, which both slope and oscillation raise; segments of which less
    than half was measured are left out, a period without any other takes its mean.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm, without gaps.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that were filled in.

    Returns
    -------
    float32 (n, samples): a constant in each period.
    """
    line = _steps(fhr, sampling_hz)
    for period in minutes_of(fhr.shape[1], sampling_hz, PERIOD_MINUTES):
        part, absent = fhr[:, period], missing[:, period]
        segments = minutes_of(part.shape[1], sampling_hz, 1)
        level = np.full((len(fhr), len(segments)), np.nan)
        spread = np.full((len(fhr), len(segments)), np.inf)
        for index, segment in enumerate(segments):
            measured = ~absent[:, segment]
            enough = (measured.mean(axis=1) >= 0.5) & np.isfinite(part[:, 0])
            chosen = {"axis": 1, "dtype": np.float64, "where": measured[enough]}
            level[enough, index] = part[enough, segment].mean(**chosen)
            spread[enough, index] = part[enough, segment].std(**chosen)
        # The flattest first; ties, as of constant segments, in their order in time.
        order = np.argsort(spread, axis=1, kind="stable")
        usable = np.isfinite(spread).sum(axis=1, keepdims=True)
        flattest = np.arange(len(segments)) < (usable + 1) // 2
        level = np.take_along_axis(level, order, axis=1)
        read = np.sum(level, axis=1, where=flattest) / np.maximum(flattest.sum(axis=1), 1)
        known = usable[:, 0] > 0
        line[known, period] = read[known, None]
    return line


def nichd(fhr: Float32, sampling_hz: float, missing: Mask) -> Float32:
    """Return the mean of each 10 minutes, rounded to 5 bpm, of what is baseline.

    NICHD (2008) leaves out accelerations, decelerations and segments of marked variability, here
    minutes with a range above 25 bpm, and asks for at least 2 minutes of baseline. Excursions are
    found from the baseline and the baseline without them, in turns, from the period's median on.
    A period that stays indeterminate takes the baseline of the one before, as the guideline
    advises, or else of the next; a row without any determinate period is all NaN.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm, without gaps.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that were filled in.

    Returns
    -------
    float32 (n, samples): a constant in each period.
    """
    periods = minutes_of(fhr.shape[1], sampling_hz, PERIOD_MINUTES)
    never = missing | _marked_variability(fhr, sampling_hz) | np.isnan(fhr)
    medians = [np.median(fhr[:, period], axis=1) for period in periods]
    level = np.stack(medians, axis=1).astype(np.float64)
    seconds = np.zeros(level.shape)
    for _ in range(PASSES):
        line = _spread_out(level, periods, fhr.shape)
        difference = above_baseline(fhr, line, sampling_hz)
        excluded = (
            never
            | mark(find_excursions(difference, sampling_hz), fhr.shape)
            | mark(find_excursions(-difference, sampling_hz), fhr.shape)
        )
        before = level.copy()
        for index, period in enumerate(periods):
            kept = ~excluded[:, period]
            count = kept.sum(axis=1)
            total = np.where(kept, fhr[:, period], 0.0).sum(axis=1)
            seconds[:, index] = count / sampling_hz
            seen = count > 0
            level[seen, index] = total[seen] / count[seen]
        if np.array_equal(before, level, equal_nan=True):
            break
    rounded = ROUNDING_BPM * np.floor(level / ROUNDING_BPM + 0.5)
    determinate = seconds >= LEAST_BASELINE_MINUTES * 60
    return _spread_out(_carry(rounded, determinate), periods, fhr.shape)


def _marked_variability(fhr: Float32, sampling_hz: float) -> Mask:
    marked = np.zeros(fhr.shape, bool)
    for minute in minutes_of(fhr.shape[1], sampling_hz, 1):
        spread = fhr[:, minute].max(axis=1) - fhr[:, minute].min(axis=1)
        marked[:, minute] = (spread > MARKED_BPM)[:, None]
    return marked


def _spread_out(
    level: npt.NDArray[np.float64], periods: list[slice], shape: tuple[int, int]
) -> Float32:
    line = np.empty(shape, np.float32)
    for index, period in enumerate(periods):
        line[:, period] = level[:, index, None]
    return line


def _carry(level: npt.NDArray[np.float64], determinate: Mask) -> npt.NDArray[np.float64]:
    """Replace indeterminate levels by the last determinate one, or else by the next."""
    carried = np.where(determinate, level, np.nan)
    for index in range(1, carried.shape[1]):
        unknown = np.isnan(carried[:, index])
        carried[unknown, index] = carried[unknown, index - 1]
    for index in range(carried.shape[1] - 2, -1, -1):
        unknown = np.isnan(carried[:, index])
        carried[unknown, index] = carried[unknown, index + 1]
    return carried


def running_baseline(fhr: Float32, sampling_hz: float, missing: Mask | None = None) -> Float32:
    """Return a baseline that moves with time, free of accelerations and decelerations.

    The first estimate is the rate about which most of the 10 minutes around each minute lie, within
    10 bpm, or a higher one about which half as many do: before birth decelerations may last
    longer than what lies between them, and a median would fall into them. Then, three times, all
    that lies more than 10 bpm from the estimate is left out and the mean over the 10 minutes around
    each minute taken anew; where less than 2 minutes are left, the estimate stays. Between the
    minutes it is interpolated.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm, without gaps.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that were filled in, which are left out.

    Returns
    -------
    float32 (n, samples), bpm
    """
    rows, samples = fhr.shape
    every = max(1, round(MEAN_S * sampling_hz))
    coarse = samples // every
    if coarse == 0:
        return _steps(fhr, sampling_hz)
    points = fhr[:, : coarse * every].reshape(rows, coarse, every).mean(axis=2, dtype=np.float64)
    if missing is not None:
        absent = missing[:, : coarse * every].reshape(rows, coarse, every).mean(axis=2) > 0.5
        points[absent & ~absent.all(axis=1, keepdims=True)] = np.nan
    per_minute = 60.0 / MEAN_S
    half = round(PERIOD_MINUTES / 2 * per_minute)
    knots = np.unique(np.append(np.arange(0, coarse, round(per_minute)), coarse - 1))
    around = [slice(max(0, knot - half), knot + half + 1) for knot in knots]

    level = np.stack([_commonest(points[:, window]) for window in around], axis=1)
    level = _carry(level, np.isfinite(level))
    for _ in range(3):
        estimate = _between(np.arange(coarse), knots, level)
        kept = np.abs(points - estimate) <= KEPT_BPM
        values = np.where(kept, points, 0.0)
        for index, window in enumerate(around):
            count = kept[:, window].sum(axis=1)
            enough = count >= LEAST_BASELINE_MINUTES * per_minute
            level[enough, index] = values[enough, window].sum(axis=1) / count[enough]
    position = (np.arange(samples) + 0.5) / every - 0.5
    return _between(position, knots, level).astype(np.float32)


def _commonest(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the rate of each row about which most values lie, NaN without any.

    Counted are the values within `KEPT_BPM` of a rate, in steps of 1 bpm, with less weight the
    farther they are from it. Of several peaks that have at least the share `LEAST_SHARE` of the
    greatest, the one at the highest rate is taken, and of a level peak the middle.
    """
    rows, _ = values.shape
    known = np.isfinite(values)
    if not known.any():
        return np.full(rows, np.nan)
    half = round(KEPT_BPM / 2)
    # Beyond the values themselves, or the peak about the highest would be cut in half.
    lowest = np.floor(values[known].min()) - 2 * half
    span = int(np.floor(values[known].max()) - lowest) + 1 + 2 * half
    row, column = np.nonzero(known)
    step = (values[row, column] - lowest).astype(np.int64)
    within = np.bincount(row * span + step, minlength=rows * span).reshape(rows, span)
    for _ in range(2):  # Twice: the nearer to the rate, the more a value counts.
        total = np.cumsum(np.pad(within, ((0, 0), (half + 1, half))), axis=1)
        within = total[:, 2 * half + 1 :] - total[:, : -2 * half - 1]

    near = within >= LEAST_SHARE * within.max(axis=1, keepdims=True)
    steps = np.arange(span)
    highest = np.where(near, steps, -1).max(axis=1, keepdims=True)
    gap = np.where(~near & (steps < highest), steps, -1).max(axis=1, keepdims=True)
    peak = np.where((steps > gap) & (steps <= highest), within, -1)
    best = peak == peak.max(axis=1, keepdims=True)
    middle = (best * steps).sum(axis=1) / best.sum(axis=1)
    return np.where(known.any(axis=1), lowest + middle + 0.5, np.nan)


def _between(
    position: npt.ArrayLike, knots: npt.NDArray[np.int64], level: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Interpolate every row's levels at the knots linearly; beyond them take the nearest."""
    place = np.clip(np.asarray(position, np.float64), knots[0], knots[-1])
    before = np.clip(np.searchsorted(knots, place, side="right") - 1, 0, max(len(knots) - 2, 0))
    after = np.minimum(before + 1, len(knots) - 1)
    share = (place - knots[before]) / np.maximum(knots[after] - knots[before], 1)
    return level[:, before] + (level[:, after] - level[:, before]) * share
