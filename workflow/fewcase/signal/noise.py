"""Noise processing of FHR and UC: what is no measurement is removed and filled, UC is smoothed."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt

from fewcase.signal.rows import CACHE_ROWS, Runs, row_blocks, runs_of, samples_of
from fewcase.study.settings import SignalOptions

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# A gap longer than this is counted in the quality table: the length of the blocks of rule 4 in
# the published filter, and the least length of a deceleration.
LONG_GAP_S = 15.0
# Samples that exponential smoothing goes through one by one; any number gives the same.
STRETCH = 40

_COUNTS = ("raw", "zero_run", "out_of_range", "jump", "block", "long_gaps")


@dataclasses.dataclass(frozen=True)
class CleanedFhr:
    """Cleaned FHR and what was removed; each sample is counted for the first cause that met it.

    Attributes
    ----------
    fhr
        float32 (n, samples), bpm, without gaps; a row without one usable sample is all NaN.
    missing
        bool (n, samples): true where the value was filled in.
    raw, zero_run, out_of_range, jump, block
        int64 (n,): samples that had no value when recorded, and those removed by rules 1 to 4.
    longest_gap_s
        float64 (n,): length of the longest run of missing samples, seconds.
    long_gaps
        int64 (n,): number of runs of missing samples longer than 15 s.
    """

    fhr: Float32
    missing: npt.NDArray[np.bool_]
    raw: Counts
    zero_run: Counts
    out_of_range: Counts
    jump: Counts
    block: Counts
    longest_gap_s: Float64
    long_gaps: Counts


@dataclasses.dataclass(frozen=True)
class CleanedUc:
    """Cleaned and smoothed UC.

    Attributes
    ----------
    uc
        float32 (n, samples); a row without one usable sample is all NaN.
    missing
        int64 (n,): samples without a value, or below 0.
    """

    uc: Float32
    missing: Counts


def clean_fhr(fhr: Float32, sampling_hz: float, options: SignalOptions | None = None) -> CleanedFhr:
    """Remove from FHR what is no measurement of it, and fill the gaps.

    In this order: (1) runs of 0 that last `longest_zero_run_s` or more; (2) values at or beyond
    `fhr_low` and `fhr_high`; (3) samples that differ by `jump_bpm` or more from the previous one
    left by rules 1 and 2, unless a gap of more than `jump_gap_s` lies between, all decided at
    once; (4) samples `block_bpm` or more from the mean of their block, blocks of `block_s` from
    the start of the row; (5) gaps are interpolated linearly, those at the ends filled with the
    nearest value.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm; 0 where the device wrote 0, NaN where there is no value.
    sampling_hz
        Sampling rate, Hz.
    options
        Thresholds; by default those of the study grammar.

    Notes
    -----
    The rules are those of Hemmi (doi 10.15002/00030779) after Alkanan's filter. Rule 2 removes
    what rule 1 does, so rule 1 tells only why. The decisions are those of exact arithmetic on
    values on a grid of 1/4 bpm, the resolution of the devices.
    """
    options = options or SignalOptions()
    rows, samples = fhr.shape
    result = CleanedFhr(
        fhr=np.empty((rows, samples), np.float32),
        missing=np.empty((rows, samples), bool),
        longest_gap_s=np.zeros(rows),
        **{name: np.zeros(rows, np.int64) for name in _COUNTS},
    )
    for block in row_blocks(rows, CACHE_ROWS):
        part = CleanedFhr(
            **{
                field.name: getattr(result, field.name)[block]
                for field in dataclasses.fields(CleanedFhr)
            }
        )
        _clean_fhr_block(fhr[block], sampling_hz, options, part)
    return result


def _clean_fhr_block(
    recorded: Float32, sampling_hz: float, options: SignalOptions, result: CleanedFhr
) -> None:
    rows = len(recorded)
    fhr, missing = result.fhr, result.missing

    result.raw[:] = np.count_nonzero(np.isnan(recorded), axis=1)
    zeros = runs_of(recorded == 0)
    long = zeros.where(zeros.length >= options.longest_zero_run_s * sampling_hz - 1e-9)
    result.zero_run[:] = _per_row(long, rows)

    # Comparisons with NaN are false, so a sample without a value is not usable.
    usable = (recorded > options.fhr_low) & (recorded < options.fhr_high)
    np.logical_not(usable, out=missing)
    result.out_of_range[:] = np.count_nonzero(missing, axis=1) - result.raw - result.zero_run
    fhr[:] = recorded
    np.copyto(fhr, np.float32(np.nan), where=missing)

    gap_samples = math.floor(options.jump_gap_s * sampling_hz + 1e-9)
    jumps = _jumps(fhr, runs_of(missing), options.jump_bpm, gap_samples)
    result.jump[:] = _remove(fhr, missing, jumps)

    block_samples = max(1, round(options.block_s * sampling_hz))
    far = _far_from_block_mean(fhr, block_samples, options.block_bpm)
    result.block[:] = _remove(fhr, missing, far)

    gaps = runs_of(missing)
    np.maximum.at(result.longest_gap_s, gaps.row, gaps.length / sampling_hz)
    longer = gaps.length > LONG_GAP_S * sampling_hz + 1e-9
    result.long_gaps[:] = np.bincount(gaps.row[longer], minlength=rows)
    _fill(fhr, gaps)


def _per_row(runs: Runs, rows: int) -> Counts:
    """Return the number of samples in the runs of each row."""
    return np.bincount(runs.row, weights=runs.length, minlength=rows).astype(np.int64)


def _jumps(fhr: Float32, gaps: Runs, jump_bpm: float, gap_samples: int) -> npt.NDArray[np.int64]:
    """Return the flat positions of samples too far from the previous finite one."""
    samples = fhr.shape[1]
    step = np.abs(fhr[:, 1:] - fhr[:, :-1])
    beside = np.flatnonzero(step >= jump_bpm)
    row, before = np.divmod(beside, samples - 1)
    across = gaps.where((gaps.start > 0) & (gaps.stop < samples) & (gaps.length <= gap_samples))
    distance = np.abs(fhr[across.row, across.stop] - fhr[across.row, across.start - 1])
    across = across.where(distance >= jump_bpm)
    return np.concatenate([row * samples + before + 1, across.row * samples + across.stop])


def _far_from_block_mean(
    fhr: Float32, block_samples: int, block_bpm: float
) -> npt.NDArray[np.int64]:
    """Return the flat positions of samples too far from the mean of their block."""
    rows, samples = fhr.shape
    whole = samples - samples % block_samples
    found = []
    for first, last, length in (
        (0, whole, block_samples),
        (whole, samples, samples - whole),
    ):
        if first == last:
            continue
        blocks = fhr[:, first:last].reshape(rows, -1, length)
        # Only where the range reaches the threshold can a sample be that far from the mean; so few
        # means are needed, in double precision. Extremes of many short blocks are fastest with
        # the blocks side by side.
        beside = np.ascontiguousarray(blocks.reshape(-1, length).T)
        highest, lowest = np.fmax.reduce(beside, axis=0), np.fmin.reduce(beside, axis=0)
        wide = np.flatnonzero(highest - lowest >= block_bpm)
        values = blocks.reshape(-1, length)[wide].astype(np.float64)
        finite = values == values
        total = np.where(finite, values, 0.0).sum(axis=1)
        mean = total / np.count_nonzero(finite, axis=1)
        reaches = (highest[wide] - mean >= block_bpm) | (mean - lowest[wide] >= block_bpm)
        distance = np.abs(values[reaches] - mean[reaches, None])
        which, within = np.nonzero(distance >= block_bpm)
        row, block = np.divmod(wide[reaches][which], blocks.shape[1])
        found.append(row * samples + first + block * length + within)
    return np.concatenate(found)


def _remove(
    signal: Float32, missing: npt.NDArray[np.bool_], positions: npt.NDArray[np.int64]
) -> Counts:
    """Mark the samples at flat `positions` as missing; return their number in each row."""
    # Both arrays are slices of whole rows, so that reshaping gives views.
    signal.reshape(-1)[positions] = np.nan
    missing.reshape(-1)[positions] = True
    return np.bincount(positions // signal.shape[1], minlength=len(signal))


def _fill(signal: Float32, gaps: Runs) -> None:
    """Interpolate the gaps in place; a row that is one gap is left as it is."""
    samples = signal.shape[1]
    gaps = gaps.where(gaps.length < samples)
    left = np.where(gaps.start > 0, gaps.start - 1, gaps.stop)
    right = np.where(gaps.stop < samples, gaps.stop, left)
    before = signal[gaps.row, np.minimum(left, samples - 1)].astype(np.float64)
    after = signal[gaps.row, right].astype(np.float64)
    slope = (after - before) / (gaps.length + 1)
    # On a line through the flattened array, so that each position need be looked up but once.
    offset = before - slope * (gaps.row * samples + gaps.start - 1)
    positions = samples_of(gaps, samples)
    values = np.repeat(slope, gaps.length)
    values *= positions
    values += np.repeat(offset, gaps.length)
    signal.reshape(-1)[positions] = values


def fill_gaps(signal: Float32, missing: npt.NDArray[np.bool_]) -> Float32:
    """Interpolate missing samples linearly; at the ends take the nearest value.

    Parameters
    ----------
    signal
        float32 (n, samples).
    missing
        bool (n, samples): what is to be filled.

    Returns
    -------
    float32 (n, samples); a row without one sample left is all NaN.
    """
    filled = np.array(signal, dtype=np.float32)
    gaps = runs_of(missing)
    filled[gaps.row[gaps.length == signal.shape[1]]] = np.nan
    _fill(filled, gaps)
    return filled


def clean_uc(uc: Float32, sampling_hz: float, options: SignalOptions | None = None) -> CleanedUc:
    """Remove from UC what is below 0, fill the gaps, and smooth.

    Smoothing is a centred moving average over `uc_average_s`, near the ends over what there is
    of it, and then exponential smoothing with the span `uc_span_s`; 0 seconds leave a step out.

    Parameters
    ----------
    uc
        float32 (n, samples), NaN where there is no value.
    sampling_hz
        Sampling rate, Hz.
    options
        Lengths of the smoothing; by default those of the study grammar.

    Notes
    -----
    As in Hemmi (doi 10.15002/00030779), who leaves the span open.
    """
    options = options or SignalOptions()
    rows, samples = uc.shape
    smoothed = np.empty((rows, samples), np.float32)
    missing = np.empty(rows, np.int64)
    for block in row_blocks(rows, CACHE_ROWS):
        absent = ~(uc[block] >= 0)
        missing[block] = np.count_nonzero(absent, axis=1)
        filled = fill_gaps(uc[block], absent)
        averaged = moving_average(filled, round(options.uc_average_s * sampling_hz))
        smoothed[block] = exponential_smoothing(averaged, options.uc_span_s * sampling_hz)
    return CleanedUc(smoothed, missing)


def moving_average(signal: Float32, window: int) -> Float32:
    """Return the centred moving average; near the ends, of the samples there are.

    An even window reaches one sample further back than ahead.

    Parameters
    ----------
    signal
        float32 (n, samples).
    window
        Number of samples; 0 and 1 change nothing.
    """
    if window <= 1:
        return signal
    from scipy.ndimage import uniform_filter1d

    samples = signal.shape[1]
    # Beyond the ends the filter sees zeros; dividing by the window then weighs them like samples.
    averaged = uniform_filter1d(signal, window, axis=1, mode="constant", cval=0.0)
    position = np.arange(samples)
    first = np.maximum(position - window // 2, 0)
    last = np.minimum(position + (window - 1) // 2, samples - 1)
    averaged *= (window / (last - first + 1)).astype(np.float32)
    return averaged


def exponential_smoothing(signal: Float32, span: float) -> Float32:
    """Return y_t = a x_t + (1 - a) y_(t-1) with a = 2 / (span + 1), starting at the first sample.

    Parameters
    ----------
    signal
        float32 (n, samples).
    span
        In samples; 1 or less changes nothing.
    """
    if span <= 1:
        return signal
    from scipy.signal import lfilter

    rows, samples = signal.shape
    weight = 2.0 / (span + 1.0)
    keep = 1.0 - weight
    # Sample by sample, each value waits for the last one. So all stretches of a row are smoothed
    # side by side, from 0 on, and what the one leaves is then added to the next, fading.
    stretches = -(-samples // STRETCH)
    padded = np.zeros((rows, stretches * STRETCH), np.float32)
    padded[:, :samples] = signal
    steps = padded.reshape(-1, STRETCH).T.astype(np.float64, order="C")
    steps *= weight
    steps[0, ::stretches] = signal[:, 0]
    fading = np.empty(steps.shape[1])
    for earlier, later in itertools.pairwise(steps):
        np.multiply(earlier, keep, out=fading)
        later += fading
    ends = steps[-1].reshape(rows, stretches)
    left = lfilter([0.0, 1.0], [1.0, -(keep**STRETCH)], ends, axis=1).reshape(-1)
    smoothed = np.empty(steps.shape, np.float32)
    for index, step in enumerate(steps):
        np.multiply(left, keep ** (index + 1), out=fading)
        np.add(step, fading, out=smoothed[index], casting="same_kind")
    return np.ascontiguousarray(smoothed.T).reshape(rows, -1)[:, :samples]
