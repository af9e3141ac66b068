"""Classical features of a window: baseline, accelerations, decelerations and variability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table, write_table
from fewcase.data.parallel import map_in_order
from fewcase.signal.baseline import running_baseline
from fewcase.signal.excursions import above_baseline, area_of, find_excursions, mark
from fewcase.signal.rows import CACHE_ROWS, minutes_of, row_blocks
from fewcase.signal.windows import CHUNK_ROWS, Windows

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WINDOW_MINUTES = 30.0
# Dawes and Redman divide a minute into 16 epochs.
EPOCHS_PER_MINUTE = 16

FEATURES = (
    "baseline_min",
    "baseline_max",
    "acceleration_area",
    "deceleration_area",
    "accelerations",
    "decelerations",
    "short_term_variability",
    "long_term_variability",
)


def compute_features(
    fhr: Float32, sampling_hz: float, missing: Mask | None = None
) -> dict[str, Float64]:
    """Return the features of the last 30 minutes of each row.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm, cleaned and without gaps.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that were filled in. They count neither for the baseline nor
        for variability.

    Returns
    -------
    dict of float64 (n,)
        ``baseline_min`` and ``baseline_max``, bpm, of the running baseline;
        ``acceleration_area`` and ``deceleration_area``, bpm times min, between FHR and baseline,
        and the numbers ``accelerations`` and ``decelerations`` (see
        `fewcase.signal.excursions.find_excursions`); ``short_term_variability`` and
        ``long_term_variability``, ms, NaN where too little was measured. All are NaN for a row
        of NaN.

    Notes
    -----
    The first four are the features of DeepCTG 1.0 (Ben M'Barek et al., 2023). Variability is
    that of Dawes and Redman (1996): pulse intervals averaged over 1/16 min; short-term, the mean
    absolute difference of neighbouring epochs; long-term, the mean range of the epochs within a
    minute; minutes with a deceleration, or less than half measured, are left out.
    """
    rows = len(fhr)
    last = slice(-round(WINDOW_MINUTES * 60 * sampling_hz), None)
    fhr = fhr[:, last]
    missing = np.zeros(fhr.shape, bool) if missing is None else missing[:, last]
    features = {name: np.empty(rows) for name in FEATURES}
    for block in row_blocks(rows, CACHE_ROWS):
        for name, values in _features_of_block(fhr[block], sampling_hz, missing[block]).items():
            features[name][block] = values
    return features


def _features_of_block(fhr: Float32, sampling_hz: float, missing: Mask) -> dict[str, Float64]:
    line = running_baseline(fhr, sampling_hz, missing)
    difference = above_baseline(fhr, line, sampling_hz)
    accelerations = find_excursions(difference, sampling_hz, missing)
    decelerations = find_excursions(-difference, sampling_hz, missing)
    within = mark(decelerations, fhr.shape)
    short, long = variability(fhr, sampling_hz, missing, within)
    features = {
        "baseline_min": line.min(axis=1).astype(np.float64),
        "baseline_max": line.max(axis=1).astype(np.float64),
        "acceleration_area": area_of(difference, accelerations, sampling_hz),
        "deceleration_area": area_of(-difference, decelerations, sampling_hz),
        "accelerations": np.bincount(accelerations.row, minlength=len(fhr)).astype(np.float64),
        "decelerations": np.bincount(decelerations.row, minlength=len(fhr)).astype(np.float64),
        "short_term_variability": short,
        "long_term_variability": long,
    }
    unknown = np.isnan(features["baseline_min"])
    for values in features.values():
        values[unknown] = np.nan
    return features


def variability(
    fhr: Float32, sampling_hz: float, missing: Mask, excluded: Mask
) -> tuple[Float64, Float64]:
    """Return short-term and long-term variability of each row, ms.

    Parameters
    ----------
    fhr
        float32 (n, samples), bpm.
    sampling_hz
        Sampling rate, Hz.
    missing
        bool (n, samples): samples that do not count; an epoch needs half of its samples.
    excluded
        bool (n, samples): a minute with any of these is left out.

    Returns
    -------
    two float64 (n,), NaN where no minute is left
    """
    interval, known = _epochs(fhr, sampling_hz, missing)
    minutes = interval.shape[1]
    touched = np.zeros((len(fhr), minutes), bool)
    for index, minute in enumerate(minutes_of(fhr.shape[1], sampling_hz, 1)[:minutes]):
        touched[:, index] = excluded[:, minute].any(axis=1)
    usable = (known.sum(axis=2) >= EPOCHS_PER_MINUTE / 2) & ~touched

    highest = np.where(known, interval, -np.inf).max(axis=2, initial=-np.inf)
    lowest = np.where(known, interval, np.inf).min(axis=2, initial=np.inf)
    spread = np.where(usable, highest - lowest, 0.0)
    pairs = known[:, :, 1:] & known[:, :, :-1] & usable[:, :, None]
    steps = np.where(pairs, np.abs(np.diff(interval, axis=2)), 0.0)
    return (
        _mean(steps.sum(axis=(1, 2)), pairs.sum(axis=(1, 2))),
        _mean(spread.sum(axis=1), usable.sum(axis=1)),
    )


def _epochs(fhr: Float32, sampling_hz: float, missing: Mask) -> tuple[Float64, Mask]:
    """Return mean pulse intervals, ms, (n, minutes, 16) and which of them are known."""
    samples = fhr.shape[1]
    minutes = int(samples / (60 * sampling_hz) + 1e-9)
    epochs = minutes * EPOCHS_PER_MINUTE
    epoch_samples = 60 * sampling_hz / EPOCHS_PER_MINUTE
    edges = np.round(np.arange(epochs + 1) * epoch_samples).astype(np.int64)
    measured = ~missing & (fhr > 0)
    interval = np.divide(60_000.0, fhr, out=np.zeros(fhr.shape), where=measured)
    if epochs == 0:
        return np.zeros((len(fhr), 0, EPOCHS_PER_MINUTE)), np.zeros(
            (len(fhr), 0, EPOCHS_PER_MINUTE), bool
        )
    # What lies behind the last whole minute would join the last epoch.
    whole = slice(0, edges[-1])
    total = np.add.reduceat(interval[:, whole], edges[:-1], axis=1)
    count = np.add.reduceat(measured[:, whole].astype(np.int64), edges[:-1], axis=1)
    known = (count >= np.diff(edges) / 2) & (count > 0)
    mean = np.divide(total, count, out=np.zeros(total.shape), where=known)
    shape = (len(fhr), minutes, EPOCHS_PER_MINUTE)
    return mean.reshape(shape), known.reshape(shape)


def _mean(total: Float64, count: npt.NDArray[np.int64]) -> Float64:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def write_features(folder: Path, out: Path, *, chunk: int = CHUNK_ROWS, threads: int = 1) -> None:
    """Write the features of all windows of a cohort as a table.

    Parameters
    ----------
    folder
        Where `fewcase.signal.windows.process_windows` wrote.
    out
        The table: row, example, the features of `compute_features`, and from the quality table
        missing (share) and longest_gap_s.
    chunk
        Windows held in memory at once by each thread.
    threads
        The table is the same for any number.

    Raises
    ------
    InputError
        Where the windows cannot be read.
    """
    folder = Path(folder)
    windows = Windows.open(folder)

    def compute(rows: slice) -> dict[str, Float64]:
        fhr = np.asarray(windows.fhr[rows])
        return compute_features(fhr, windows.sampling_hz, windows.missing(rows))

    parts = list(map_in_order(compute, row_blocks(len(windows.fhr), chunk), threads))
    table = read_table(folder / "examples.parquet", ["row", "example"])
    for name in FEATURES:
        table[name] = np.concatenate([part[name] for part in parts])
    quality: pd.DataFrame = read_table(folder / "quality.parquet")
    for name in ("missing", "longest_gap_s"):
        table[name] = quality[name].to_numpy()
    write_table(out, table)
