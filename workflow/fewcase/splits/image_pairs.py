"""Find the images that are copies of each other, turned, mirrored, rescaled or compressed ones too.

A perceptual hash proposes pairs and the correlation of the images at 64 × 64 decides on each. Both
are taken from the discrete cosine transform, on which a quarter turn or a mirror image is no more
than a transposition and a change of signs. The hash is that of Zauner (Implementation and
benchmarking of perceptual image hash functions, 2010), signs of low frequencies, with more of them
and without the lowest, which only tell bright halves from dark ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy import fft
from threadpoolctl import threadpool_limits

from fewcase.signal.rows import map_in_order, row_blocks
from fewcase.splits.duplicates import equal_pairs, pairs_table
from fewcase.splits.image_alignment import align
from fewcase.study.errors import InputError

Float32 = npt.NDArray[np.float32]

SIZE = 64
"""Height and width at which images are compared."""

DETAIL_PIXELS = 3.0
"""Standard deviation of the Gaussian whose blur is taken away before images are correlated.

What remains tells one image from another; what goes, such as the dark corners of a microscope or
the band of the retina across a scan, is common to all images of a kind.
"""

LEAST_CORRELATION = 0.9
"""Images whose details correlate at least so well are near duplicates."""

LEAST_ALIGNED = 0.95
"""So well must they correlate if one had to be shifted and stretched first, as after cropping.

More than without, as scans of different eyes come nearer to each other by it, up to 0.94.
"""

ROUGH_PIXELS = 3.0
LEAST_ROUGH = 0.5
MOST_ALIGNED = 20_000
"""Pairs are aligned if they correlate so well when blurred; at most so many, the best of them."""

FREQUENCIES = (3, 15)
"""Sums u + v of the lowest and the highest frequencies whose signs make the hash."""

RADIUS = 36
"""Most signs of 130 in which two hashes may differ for the pair to be looked at."""

GREY_STEP = 6.0
LEAST_BYTES = 256
"""An image is featureless if its details, in steps of so many grey levels, are deflated to less."""

LEAST_SHARE = 1 / 16
"""Featureless images count as exact copies if deflating leaves more of their pixels than this.

Sensor noise does, which is proof enough where each pixel is the same; blank and flat ones do not.
"""

TRANSFORMS = (
    "identity", "rotate 90", "rotate 180", "rotate 270",
    "flip", "flip, rotate 90", "flip, rotate 180", "flip, rotate 270",
)  # fmt: skip
"""What turns image a into image b: mirrored left to right, then turned counter-clockwise."""

METHOD = (
    f"exact: same pixels; near: hash of 130 signs within {RADIUS} in any of 8 orientations, then "
    f"correlation of details at {SIZE} x {SIZE} of at least {LEAST_CORRELATION}, or of at least "
    f"{LEAST_ALIGNED} once aligned"
)

_CHUNK = 256
_FIRST_ROWS = 128
_SECOND_ROWS = 1024
_VERIFIED_AT_ONCE = 2048
_ALIGNED_AT_ONCE = 128

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ReducedImages:
    """What is kept of images to compare them.

    Attributes
    ----------
    digests
        Digest of shape and pixels (n,); empty where equal pixels prove nothing.
    details
        float16 (n, 4096): cosine transform of the image at 64 × 64 without its blur, scaled to
        length 64; 0 for a featureless image.
    featureless
        bool (n,).
    """

    digests: npt.NDArray[np.bytes_]
    details: npt.NDArray[np.float16]
    featureless: npt.NDArray[np.bool_]


def find_image_pairs(
    images: Iterable[npt.NDArray[np.uint8]], *, threads: int = 1
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find exact and near duplicates among images.

    Exact are those of the same pixels, whatever their names; grey and RGB of the same pixels are
    equal. Near are those that differ by scale, compression, brightness, contrast or noise, or by
    margins of some hundredths that were cut off, also when turned by quarters or mirrored. Pairs
    do not chain: a like b and b like c says nothing of a and c. Blank, flat and nearly empty
    images resemble each other without being copies; they are counted as featureless and paired
    with none.

    Parameters
    ----------
    images
        uint8 (n, H, W) or (n, H, W, 3), which may be mapped from a file, or images (H, W) or
        (H, W, 3) of any sizes one after the other. They are read once; 8 kB are kept of each.
    threads
        The result is the same for any number.

    Returns
    -------
    pairs
        See `fewcase.splits.duplicates.read_duplicates`; names are empty.
    facts
        compared, featureless, method.

    Raises
    ------
    InputError
        Naming the row of an image of another type or shape.
    """
    with threadpool_limits(1):
        reduced = reduce_images(images, threads=threads)
        exact = pairs_table(*equal_pairs(reduced.digests), "exact", transform=TRANSFORMS[0])
        near = _near_pairs(reduced, threads)
    pairs = pd.concat([exact, near]).sort_values(["row_a", "row_b"], ignore_index=True)
    facts = {
        "compared": len(reduced.digests),
        "featureless": int(reduced.featureless.sum()),
        "method": METHOD,
    }
    logger.info(
        "%d images: %d exact and %d near pairs, %d featureless",
        facts["compared"],
        len(exact),
        len(near),
        facts["featureless"],
    )
    return pairs, facts


def reduce_images(images: Iterable[npt.NDArray[np.uint8]], *, threads: int = 1) -> ReducedImages:
    """Read images one after the other and keep what it takes to compare them."""
    parts = list(map_in_order(_reduce_chunk, _chunks(images), threads))
    n_images = sum(len(part.digests) for part in parts)
    reduced = ReducedImages(
        np.empty(n_images, "S64"),
        np.empty((n_images, SIZE * SIZE), np.float16),
        np.empty(n_images, bool),
    )
    # From the last on, so that each part is given up once it is copied.
    stop = n_images
    while parts:
        part = parts.pop()
        rows = slice(stop - len(part.digests), stop)
        reduced.digests[rows] = part.digests
        reduced.details[rows] = part.details
        reduced.featureless[rows] = part.featureless
        stop = rows.start
    return reduced


def _chunks(
    images: Iterable[npt.NDArray[np.uint8]],
) -> Iterator[tuple[int, list[npt.NDArray[np.uint8]]]]:
    remaining = iter(images)
    first = 0
    while chunk := list(islice(remaining, _CHUNK)):
        yield first, chunk
        first += len(chunk)


def _reduce_chunk(numbered: tuple[int, list[npt.NDArray[np.uint8]]]) -> ReducedImages:
    first, images = numbered
    grey = [_grey(np.asarray(image), first + place) for place, image in enumerate(images)]
    small = np.stack([_small(image) for image in grey])
    details = _details(small)
    levels = np.rint(_pixels(details) / GREY_STEP).clip(-127, 127).astype(np.int8)
    featureless = np.array([len(zlib.compress(image.tobytes())) < LEAST_BYTES for image in levels])
    digests = [
        b"" if blank and _is_empty(image) else _digest(original)
        for original, image, blank in zip(images, grey, featureless, strict=True)
    ]
    flat = details.reshape(len(details), -1)
    flat[featureless] = 0
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    scaled = np.divide(flat * SIZE, length, out=np.zeros_like(flat), where=length > 0)
    return ReducedImages(np.array(digests, "S64"), scaled.astype(np.float16), featureless)


def _grey(image: npt.NDArray[Any], row: int) -> npt.NDArray[np.uint8]:
    wanted = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not wanted or not image.size:
        raise InputError(
            f"image {row}: {image.dtype} {image.shape}, expected uint8 (height, width) or "
            "(height, width, 3). Convert the images first."
        )
    if image.ndim == 2:
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))


def _small(grey: npt.NDArray[np.uint8]) -> Float32:
    # Pillow's bilinear filter widens with the reduction, so that nothing is aliased.
    image = Image.fromarray(np.ascontiguousarray(grey)).convert("F")
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _is_empty(grey: npt.NDArray[np.uint8]) -> bool:
    return len(zlib.compress(grey.tobytes(), 1)) <= max(LEAST_BYTES, LEAST_SHARE * grey.size)


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    image = np.asarray(image)
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest().encode()


# Rows are the orthonormal cosines: COSINES @ image @ COSINES.T is the transform.
COSINES = fft.dct(np.eye(SIZE), axis=0, norm="ortho").astype(np.float32)


def _details(small: Float32) -> Float32:
    """Return the cosine transform of images (n, 64, 64) less that of their blur."""
    return (COSINES @ small @ COSINES.T) * (1 - _blur(DETAIL_PIXELS))


def _blur(pixels: float) -> Float32:
    """Return what a Gaussian of so many pixels leaves of each coefficient, (64, 64)."""
    left = np.exp(-((pixels * np.pi / SIZE * np.arange(SIZE)) ** 2) / 2)
    return np.outer(left, left).astype(np.float32)


def _pixels(details: Float32) -> Float32:
    return COSINES.T @ details @ COSINES


def _orientations() -> tuple[npt.NDArray[np.int64], Float32]:
    """Return which coefficient goes where, and its sign, in each of `TRANSFORMS`, (8, 4096)."""
    alternating = np.where(np.arange(SIZE) % 2, -1.0, 1.0).astype(np.float32)
    places, signs = [], []
    for mirrored in (False, True):
        place = np.arange(SIZE * SIZE).reshape(SIZE, SIZE)
        sign = np.broadcast_to(alternating if mirrored else np.float32(1), (SIZE, SIZE))
        for _ in range(4):
            places.append(place.ravel())
            signs.append(sign.ravel())
            place, sign = place.T, sign.T * alternating[:, None]
    return np.stack(places), np.stack(signs).astype(np.float32)


PLACES, SIGNS = _orientations()


def _hash_places() -> npt.NDArray[np.int64]:
    order = np.add.outer(np.arange(SIZE), np.arange(SIZE)).ravel()
    return np.flatnonzero((order >= FREQUENCIES[0]) & (order <= FREQUENCIES[1]))


HASHED = _hash_places()

# A hash has all frequencies up to a sum, so turning an image permutes its hash.
TURNED_HASH = np.searchsorted(HASHED, PLACES[:, HASHED])


def _parities() -> list[npt.NDArray[np.int64]]:
    odd = np.stack(np.divmod(HASHED, SIZE)) % 2
    return [np.flatnonzero(2 * odd[0] + odd[1] == parity) for parity in range(4)]


PARITIES = _parities()
"""Places in a hash of frequencies even in height and width, odd in width, in height, in both."""


def _near_pairs(reduced: ReducedImages, threads: int) -> pd.DataFrame:
    rows = np.flatnonzero(~reduced.featureless)
    codes = np.where(reduced.details[:, HASHED] > 0, np.float32(1), np.float32(-1))[rows]

    def compare(blocks: tuple[slice, slice]) -> tuple[npt.NDArray[Any], ...]:
        first, second = blocks
        a, b = _alike(codes[first], codes[second])
        a, b = a + first.start, b + second.start
        a, b = a[a < b], b[a < b]
        proposed = [_within_radius(codes[a], codes[b], turn) for turn in range(len(TRANSFORMS))]
        turn, pair = np.nonzero(proposed)
        return _verified(reduced, rows[a[pair]], rows[b[pair]], turn)

    blocks = (
        (first, slice(second.start + first.start, second.stop + first.start))
        for first in row_blocks(len(rows), _FIRST_ROWS)
        for second in row_blocks(len(rows) - first.start, _SECOND_ROWS)
    )
    found = list(map_in_order(compare, blocks, threads))
    if not found:
        return pairs_table()
    a, b, turn, correlation, rough = (np.concatenate(part) for part in zip(*found, strict=True))
    unlike = np.flatnonzero(correlation < LEAST_CORRELATION)
    chosen = unlike[np.argsort(-rough[unlike], kind="stable")[:MOST_ALIGNED]]
    correlation[unlike] = 0
    correlation[chosen] = _aligned(reduced, a[chosen], b[chosen], turn[chosen], threads)
    kept = np.flatnonzero(correlation >= LEAST_CORRELATION)
    names = np.array(TRANSFORMS)[turn[kept]]
    table = pairs_table(a[kept], b[kept], "near", correlation[kept], transform=names)
    # A symmetric image is like the other in several orientations: the best, then the plainest.
    best = table.assign(turn=table["transform"].map(TRANSFORMS.index)).sort_values(
        ["row_a", "row_b", "correlation", "turn"], ascending=[True, True, False, True]
    )
    return best.drop_duplicates(["row_a", "row_b"])[list(table.columns)].reset_index(drop=True)


def _alike(first: Float32, second: Float32) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the places of hashes (n, 130), (m, 130) that are within the radius in any orientation.

    Mirroring changes the signs of odd frequencies. Among those that are even or odd in height and
    in width the agreement is therefore counted apart; sums and differences of the four counts are
    the agreements with the four mirror images, and of the transposed hash those with the rest.
    """
    least = len(HASHED) - 2 * RADIUS
    found = np.zeros((len(first), len(second)), bool)
    for turned in (first, first[:, TURNED_HASH[1]]):
        even, wide, high, both = (turned[:, kind] @ second[:, kind].T for kind in PARITIES)
        straight = np.abs(wide + high)
        straight += even
        straight += both
        mirrored = np.abs(np.subtract(wide, high, out=wide), out=wide)
        mirrored += even
        mirrored -= both
        found |= np.maximum(straight, mirrored, out=straight) >= least
    return np.nonzero(found)


def _within_radius(first: Float32, second: Float32, turn: int) -> npt.NDArray[np.bool_]:
    turned = first[:, TURNED_HASH[turn]] * SIGNS[turn, HASHED]
    agreement = np.einsum("ij,ij->i", turned, second)
    return agreement >= len(HASHED) - 2 * RADIUS


def _verified(
    reduced: ReducedImages,
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    turn: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[Any], ...]:
    """Return those of the proposed pairs that correlate, sharp or blurred, but for exact copies."""
    blur = _blur(ROUGH_PIXELS).ravel() ** 2
    sharp, rough = np.zeros(len(a), np.float32), np.zeros(len(a), np.float32)
    for orientation in np.unique(turn):
        chosen = np.flatnonzero(turn == orientation)
        for part in row_blocks(len(chosen), _VERIFIED_AT_ONCE):
            some = chosen[part]
            first = _turned(reduced.details[a[some]], orientation)
            second = reduced.details[b[some]].astype(np.float32)
            product = first * second
            sharp[some] = product.sum(axis=1) / SIZE**2
            spread = np.sqrt((first**2 @ blur) * (second**2 @ blur))
            rough[some] = (product @ blur) / np.maximum(spread, 1e-12)
    equal = (reduced.digests[a] == reduced.digests[b]) & (reduced.digests[a] != b"")
    kept = np.flatnonzero(((sharp >= LEAST_CORRELATION) | (rough >= LEAST_ROUGH)) & ~equal)
    return a[kept], b[kept], turn[kept], sharp[kept].clip(-1, 1), rough[kept]


def _turned(details: npt.NDArray[np.float16], turn: int) -> Float32:
    return details.astype(np.float32)[:, PLACES[turn]] * SIGNS[turn]


def _aligned(
    reduced: ReducedImages,
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    turn: npt.NDArray[np.int64],
    threads: int,
) -> Float32:
    """Return the correlation of aligned pairs, 0 where it is below `LEAST_ALIGNED`."""
    blurs = [_blur(pixels) for pixels in (2, 1, 0)]

    def correlate(some: slice) -> Float32:
        first = np.stack(
            [
                _turned(reduced.details[[row]], how)[0]
                for row, how in zip(a[some], turn[some], strict=True)
            ]
        ).reshape(-1, SIZE, SIZE)
        second = reduced.details[b[some]].astype(np.float32).reshape(-1, SIZE, SIZE)
        return align(
            [_pixels(first * blur) for blur in blurs], [_pixels(second * blur) for blur in blurs]
        )

    blocks = row_blocks(len(a), _ALIGNED_AT_ONCE)
    parts = [np.empty(0, np.float32), *map_in_order(correlate, blocks, threads)]
    correlation = np.concatenate(parts).clip(-1, 1)
    return np.where(correlation >= LEAST_ALIGNED, correlation, 0)
