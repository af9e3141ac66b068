"""Time noise processing, low-pass filter and UC smoothing against pandas and scipy.

Both sides process the same half-hour recordings: fewcase whole arrays, the other one recording at
a time, as one would write it by hand: pandas and scipy, no loop over samples. Their results are
compared before anything is timed. Run as ``python benchmarks/signals.py``; with ``--data FOLDER``
on the recordings of the CTU-UHB database instead of made-up ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import fft

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.signal.lowpass import lowpass
from fewcase.signal.noise import clean_fhr, clean_uc

HZ = 4.0
SAMPLES = 7200
CUTOFF = 10
CHUNK = 256


def by_hand(fhr: np.ndarray, uc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Process one recording with pandas and scipy; return filtered FHR and smoothed UC."""
    x = pd.Series(fhr.astype(np.float64))
    zero = x.eq(0)
    run = zero.ne(zero.shift()).cumsum()
    x[zero & (run.map(run.value_counts()) >= 15 * HZ)] = np.nan
    x[(x <= 50) | (x >= 200)] = np.nan

    finite = x.dropna()
    step = finite.diff().abs()
    missing_between = np.diff(finite.index, prepend=0) - 1
    x[finite.index[(step >= 25) & (missing_between <= 2 * HZ)]] = np.nan

    blocks = x.to_numpy().reshape(-1, int(15 * HZ))
    mean = pd.DataFrame(blocks).mean(axis=1).to_numpy()
    x[(np.abs(blocks - mean[:, None]) >= 25).ravel()] = np.nan
    x = x.interpolate(limit_direction="both")

    spectrum = fft.dct(x.to_numpy(), type=2)
    spectrum[2 * CUTOFF + 1 :] = 0
    filtered = fft.idct(spectrum, type=2)

    u = pd.Series(uc.astype(np.float64))
    u = u.mask(u < 0).interpolate(limit_direction="both")
    u = u.rolling(int(60 * HZ), center=True, min_periods=1).mean()
    return filtered, u.ewm(span=60 * HZ, adjust=False).mean().to_numpy()


def whole_arrays(fhr: np.ndarray, uc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Process many recordings with fewcase."""
    return lowpass(clean_fhr(fhr, HZ).fhr, HZ, CUTOFF), clean_uc(uc, HZ).uc


def on_threads(fhr: np.ndarray, uc: np.ndarray, pool: ThreadPoolExecutor) -> None:
    """Process many recordings with fewcase, a chunk to the thread."""
    chunks = [slice(first, first + CHUNK) for first in range(0, len(fhr), CHUNK)]
    list(pool.map(lambda rows: whole_arrays(fhr[rows], uc[rows]), chunks))


def made_up(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return recordings with drop-outs and artefacts, on the grid of 1/4 bpm of the devices."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLES) / HZ
    fhr = 140 + np.cumsum(rng.normal(0, 0.15, (count, SAMPLES)), axis=1)
    fhr += rng.normal(0, 1.5, (count, SAMPLES))
    uc = 30 + 25 * np.sin(2 * np.pi * time_s / rng.uniform(120, 240, (count, 1)))
    uc += rng.normal(0, 4, (count, SAMPLES))
    for row in range(count):
        for start, length in zip(
            rng.integers(0, SAMPLES, 25), rng.geometric(1 / 40, 25), strict=True
        ):
            fhr[row, start : start + length] = 0
        for start in rng.integers(0, SAMPLES, 8):
            fhr[row, start : start + 6] += 40
    return (np.round(fhr * 4) / 4).astype(np.float32), uc.astype(np.float32)


def ctu_uhb(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the last half hours of real recordings, repeated up to `count`."""
    import wfdb

    headers = sorted(folder.rglob("*.hea"))[:count]
    windows = [wfdb.rdrecord(str(header.with_suffix(""))).p_signal[-SAMPLES:] for header in headers]
    stacked = np.stack([window for window in windows if len(window) == SAMPLES])
    if not len(stacked):
        raise SystemExit(f"{folder}: no recording of half an hour")
    stacked = stacked[np.arange(count) % len(stacked)].astype(np.float32)
    return np.ascontiguousarray(stacked[..., 0]), np.ascontiguousarray(stacked[..., 1])


def check_agreement(fhr: np.ndarray, uc: np.ndarray) -> None:
    """Stop unless both sides give the same signals."""
    ours = whole_arrays(fhr, uc)
    for row in range(len(fhr)):
        for name, mine, other in zip(("FHR", "UC"), ours, by_hand(fhr[row], uc[row]), strict=True):
            difference = np.nanmax(np.abs(mine[row] - other), initial=0)
            if difference > 1e-3 or np.isnan(mine[row]).any() != np.isnan(other).any():
                raise SystemExit(f"recording {row}: {name} differs by {difference}")


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turns(sides: dict[str, tuple[int, Callable[[], object]]], repeats: int) -> dict[str, float]:
    """Return items per second of each side (how many items, and what to call), timed in turns."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, (count, function) in sides.items():
            rate = count / seconds(function)
            # The first round warms up caches and imports.
            if repeat:
                rates[name].append(rate)
    return {name: statistics.median(values) for name, values in rates.items()}


def print_ratios(medians: dict[str, float], unit: str) -> None:
    """Print a row per side, with its ratio to the first."""
    print(f"| | {unit} | ratio |")
    print("| --- | ---: | ---: |")
    first = next(iter(medians.values()))
    for name, rate in medians.items():
        print(f"| {name} | {rate:,.0f} | {rate / first:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the CTU-UHB database")
    parser.add_argument("--recordings", type=int, default=2048)
    parser.add_argument("--by-hand", type=int, default=128, help="how many to process by hand")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()

    fhr, uc = ctu_uhb(chosen.data, chosen.recordings) if chosen.data else made_up(chosen.recordings)
    some = slice(0, chosen.by_hand)
    check_agreement(fhr[some], uc[some])

    with ThreadPoolExecutor(chosen.threads) as pool, ThreadPoolExecutor(1) as single:
        sides: dict[str, tuple[int, Callable[[], object]]] = {
            "pandas and scipy, one by one": (
                len(fhr[some]),
                lambda: [by_hand(*pair) for pair in zip(fhr[some], uc[some], strict=True)],
            ),
            "fewcase, 1 thread": (len(fhr), lambda: on_threads(fhr, uc, single)),
            f"fewcase, {chosen.threads} threads": (len(fhr), lambda: on_threads(fhr, uc, pool)),
        }
        medians = in_turns(sides, chosen.repeats)

    kind = f"CTU-UHB, {len(fhr)} windows" if chosen.data else f"{len(fhr)} made-up windows"
    print(f"Noise, low-pass and UC; {kind} of 30 min at 4 Hz; median of {chosen.repeats}\n")
    print_ratios(medians, "recordings/s")


if __name__ == "__main__":
    main()
