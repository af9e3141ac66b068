"""Time the search for copies against perceptual hashes and cross-correlation of every pair.

For images the other side is what one would write today: the 64-bit perceptual hash of the package
imagehash (``uv pip install imagehash``; without it, the same hash from scipy), of all eight
orientations, and the Hamming distance of every pair, a row of numpy at a time. For signals it is
the cross-correlation of every pair of windows by FFT at 1 Hz. On smaller sets, where the other side
can be run to the end, both must find the planted copies before anything is timed. Run as ``python
benchmarks/duplicates.py``; 100,000 images take some minutes, ``--images 10000`` some seconds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import fft, ndimage, signal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.signal.windows import Windows
from fewcase.splits.image_pairs import find_image_pairs
from fewcase.splits.signal_pairs import find_signal_pairs

HZ = 4.0
SAMPLES = 7200
HASH_RADIUS = 10
COPIES = 20

try:
    import imagehash
except ImportError:
    imagehash = None


def textures(count: int, size: int = 64) -> Iterator[np.ndarray]:
    """Yield distinct grey images; the last `COPIES` are the first ones turned by 90 degrees."""
    rng = np.random.default_rng(0)
    first: list[np.ndarray] = []
    for start in range(0, count - COPIES, 1000):
        rows = min(1000, count - COPIES - start)
        noise = rng.normal(size=(rows, size, size)).astype(np.float32)
        smooth = ndimage.gaussian_filter(noise, (0, 2, 2), mode="wrap")
        images = (128 + 45 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)
        first = first or list(images[:COPIES])
        yield from images
    yield from (np.rot90(image) for image in first)


def perceptual_hash(image: np.ndarray) -> int:
    """Return the 64-bit hash of one image, by imagehash or as imagehash does it."""
    if imagehash is not None:
        bits = imagehash.phash(Image.fromarray(image)).hash
    else:
        small = Image.fromarray(image).resize((32, 32), Image.Resampling.LANCZOS)
        low = fft.dct(fft.dct(np.asarray(small, np.float64), axis=0), axis=1)[:8, :8]
        bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_pairs(images: list[np.ndarray]) -> set[tuple[int, int]]:
    """Return pairs whose hashes are near in any orientation, as one would write it by hand."""
    turned = np.array(
        [
            [perceptual_hash(np.rot90(start, turn)) for turn in range(4)]
            for image in images
            for start in (image, image[:, ::-1])
        ],
        np.uint64,
    ).reshape(len(images), 8)
    plain = turned[:, 0].copy()
    pairs = set()
    for row in range(len(images) - 1):
        distance = np.bitwise_count(turned[row, :, None] ^ plain[None, row + 1 :]).min(axis=0)
        pairs |= {(row, row + 1 + int(other)) for other in np.flatnonzero(distance <= HASH_RADIUS)}
    return pairs


def our_image_pairs(images: list[np.ndarray], threads: int) -> set[tuple[int, int]]:
    """Return the pairs of rows that fewcase finds among images."""
    pairs, _ = find_image_pairs(images, threads=threads)
    return set(pairs[["row_a", "row_b"]].itertuples(index=False, name=None))


def windows_of(count: int) -> Windows:
    """Return made-up windows with gaps; the last `COPIES` are the first ones 5 min later."""
    rng = np.random.default_rng(0)
    shift = 300 * int(HZ)
    fhr = np.empty((count, SAMPLES), np.float32)
    missing = np.zeros((count, SAMPLES), bool)
    for row in range(count - COPIES):
        seconds = (SAMPLES + shift) // int(HZ)
        slow = signal.lfilter([1], [1, -0.99], rng.normal(0, 1.5, seconds))
        rate = np.repeat(140 + slow + rng.normal(0, 1, seconds), int(HZ))
        lost = np.zeros(len(rate), bool)
        for start in rng.integers(0, len(rate), 15):
            lost[start : start + rng.integers(4, 200)] = True
        rate[lost] = np.interp(np.flatnonzero(lost), np.flatnonzero(~lost), rate[~lost])
        fhr[row], missing[row] = rate[:SAMPLES], lost[:SAMPLES]
        if row < COPIES:
            copy = count - COPIES + row
            fhr[copy], missing[copy] = rate[shift:], lost[shift:]
    uc = np.zeros((count, SAMPLES), np.float32)
    return Windows(fhr, uc, HZ, np.packbits(missing, axis=1))


def correlated_pairs(windows: Windows) -> set[tuple[int, int]]:
    """Return pairs of windows that correlate at some lag, by FFT at 1 Hz, a row at a time."""
    count = len(windows.fhr)
    rate = windows.fhr.reshape(count, -1, int(HZ)).mean(axis=2)
    moves = rate[:, 4:] - rate[:, :-4]
    moves -= moves.mean(axis=1, keepdims=True)
    moves /= np.linalg.norm(moves, axis=1, keepdims=True)
    length = fft.next_fast_len(2 * moves.shape[1], real=True)
    spectrum = fft.rfft(moves, length, axis=1)
    pairs = set()
    for row in range(count - 1):
        products = spectrum[row].conj() * spectrum[row + 1 :]
        best = fft.irfft(products, length, axis=1).max(axis=1)
        pairs |= {(row, row + 1 + int(other)) for other in np.flatnonzero(best > 0.5)}
    return pairs


def our_signal_pairs(windows: Windows, threads: int) -> set[tuple[int, int]]:
    """Return the pairs of rows that fewcase finds among windows."""
    pairs, _ = find_signal_pairs(windows, threads=threads)
    return set(pairs[["row_a", "row_b"]].itertuples(index=False, name=None))


def check_agreement(
    ours: set[tuple[int, int]], others: set[tuple[int, int]], count: int, kind: str
) -> None:
    """Stop unless both find the planted copies, and ours nothing else."""
    planted = {(row, count - COPIES + row) for row in range(COPIES)}
    if ours != planted:
        raise SystemExit(f"{kind}: {len(ours ^ planted)} pairs missed or invented")
    if not planted <= others:
        raise SystemExit(f"{kind}: the other side misses {len(planted - others)} copies")


def in_turns(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each side, timed in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, function in sides.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def print_ratios(medians: dict[str, float], title: str) -> None:
    """Print a row per side: seconds, and how many times faster than the first."""
    print(f"\n| {title} | seconds | ratio |")
    print("| --- | ---: | ---: |")
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:,.1f} | {first / seconds:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--windows", type=int, default=34_266)
    parser.add_argument("--both-images", type=int, default=5_000, help="how many for both sides")
    parser.add_argument("--both-windows", type=int, default=1_000, help="how many for both sides")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    threads = chosen.threads

    images = list(textures(chosen.both_images))
    check_agreement(our_image_pairs(images, threads), hash_pairs(images), len(images), "images")
    windows = windows_of(chosen.both_windows)
    check_agreement(
        our_signal_pairs(windows, threads), correlated_pairs(windows), len(windows.fhr), "windows"
    )

    hashed = "imagehash" if imagehash is not None else "perceptual hash"
    medians = in_turns(
        {
            f"{hashed}, every pair": lambda: hash_pairs(images),
            "fewcase, 1 thread": lambda: our_image_pairs(images, 1),
            f"fewcase, {threads} threads": lambda: our_image_pairs(images, threads),
        },
        chosen.repeats,
    )
    print_ratios(medians, f"{len(images):,} images, 8 orientations")
    medians = in_turns(
        {
            "cross-correlation, every pair": lambda: correlated_pairs(windows),
            "fewcase, 1 thread": lambda: our_signal_pairs(windows, 1),
            f"fewcase, {threads} threads": lambda: our_signal_pairs(windows, threads),
        },
        chosen.repeats,
    )
    print_ratios(medians, f"{len(windows.fhr):,} windows of 30 min")

    start = time.perf_counter()
    found, _ = find_image_pairs(textures(chosen.images), threads=threads)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{chosen.images:,} images (drawn on the way): {seconds:,.0f} s, {memory:,.0f} MiB at")
    print(f"most; {len(found)} pairs, {COPIES} planted")

    many = windows_of(chosen.windows)
    start = time.perf_counter()
    found, _ = find_signal_pairs(many, threads=threads)
    seconds = time.perf_counter() - start
    print(f"{chosen.windows:,} windows: {seconds:,.0f} s; {len(found)} pairs, {COPIES} planted")


if __name__ == "__main__":
    main()
