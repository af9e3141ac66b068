"""Find the images that are copies of each other, turned, mirrored, rescaled or compressed ones too.

A perceptual hash proposes pairs and the correlation of the images at 64 × 64 decides on each. Both
are taken from the discrete cosine transform, see `fewcase.splits.image_hash`.
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

from fewcase.data.parallel import map_in_order
from fewcase.signal.rows import row_blocks
from fewcase.splits.duplicates import equal_pairs, pairs_table
from fewcase.splits.image_alignment import align
from fewcase.splits.image_hash import (
    HASHED,
    PLACES,
    RADIUS,
    SIGNS,
    SIZE,
    TRANSFORMS,
    alike,
    within_radius,
)
from fewcase.study.errors import InputError

Float32 = npt.NDArray[np.float32]

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

GREY_STEP = 6.0
LEAST_BYTES = 256
"""An image is featureless if its details, in steps of so many grey levels, are deflated to less."""

LEAST_SHARE = 1 / 16
"""Featureless images count as exact copies if deflating leaves more of their pixels than this.

Sensor noise does, which is proof enough where each pixel is the same; blank and flat ones do not.
"""

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
    images: Iterable[npt.NDArray[np.uint8]],
    *,
    threads: int = 1,
    parents: npt.NDArray[np.int64] | None = None,
    between: int | None = None,
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
    parents
        The parent of each image, as a number. Pairs of one parent, such as tiles of one slide, say
        nothing of what a split shares; they are counted and left out, but for those of exact copies
        that another parent has as well.
    between
        Pairs are looked for between the first so many images and the others alone.

    Returns
    -------
    pairs
        See `fewcase.splits.duplicates.read_duplicates`; names are empty.
    facts
        compared, featureless, method; and with `parents` within_parents, the pairs left out.

    Raises
    ------
    InputError
        Naming the row of an image of another type or shape.
    """
    with threadpool_limits(1):
        reduced = reduce_images(images, threads=threads)
        sought = _Sought(len(reduced.digests), parents, between)
        exact, of_one_parent = _exact_pairs(reduced, sought)
        near, more_of_one_parent = _near_pairs(reduced, sought, threads)
    pairs = pd.concat([exact, near]).sort_values(["row_a", "row_b"], ignore_index=True)
    facts: dict[str, Any] = {
        "compared": len(reduced.digests),
        "featureless": int(reduced.featureless.sum()),
        "method": METHOD,
    }
    if parents is not None:
        facts["within_parents"] = of_one_parent + more_of_one_parent
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


@dataclasses.dataclass(frozen=True)
class _Sought:
    """Which pairs of rows are listed, see `find_image_pairs`."""

    images: int
    parents: npt.NDArray[np.int64] | None
    between: int | None

    def crosses(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return whether a pair of rows a < b is between what is to be compared."""
        if self.between is None:
            return np.ones(len(a), bool)
        return (a < self.between) & (b >= self.between)

    def within(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return whether a pair of rows is of one parent."""
        if self.parents is None:
            return np.zeros(len(a), bool)
        return self.parents[a] == self.parents[b]

    def blocks(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
        """Yield blocks of places in `rows`, ascending, that hold every pair to be compared."""
        if self.between is None:
            for first in row_blocks(len(rows), _FIRST_ROWS):
                for second in row_blocks(len(rows) - first.start, _SECOND_ROWS):
                    yield first, slice(second.start + first.start, second.stop + first.start)
            return
        ends = int(np.searchsorted(rows, self.between))
        for first in row_blocks(ends, _FIRST_ROWS):
            for second in row_blocks(len(rows) - ends, _SECOND_ROWS):
                yield first, slice(second.start + ends, second.stop + ends)


def _exact_pairs(reduced: ReducedImages, sought: _Sought) -> tuple[pd.DataFrame, int]:
    """Return pairs of equal images, and how many were left out as of one parent."""
    a, b = equal_pairs(reduced.digests)
    crossing = sought.crosses(a, b)
    a, b = a[crossing], b[crossing]
    left_out = np.zeros(len(a), bool)
    if sought.parents is not None and len(a):
        # What two parents have in common is listed whole: its copies are one set.
        _, content = np.unique(reduced.digests, return_inverse=True)
        low = np.full(content.max() + 1, np.iinfo(np.int64).max)
        high = np.full(content.max() + 1, -1)
        np.minimum.at(low, content, sought.parents)
        np.maximum.at(high, content, sought.parents)
        left_out = (low == high)[content[a]]
    kept = ~left_out
    table = pairs_table(a[kept], b[kept], "exact", transform=TRANSFORMS[0])
    return table, int(left_out.sum())


def _near_pairs(reduced: ReducedImages, sought: _Sought, threads: int) -> tuple[pd.DataFrame, int]:
    """Return pairs of like images, and how many were left out as of one parent."""
    rows = np.flatnonzero(~reduced.featureless)
    codes = np.where(reduced.details[:, HASHED] > 0, np.float32(1), np.float32(-1))[rows]

    def compare(blocks: tuple[slice, slice]) -> tuple[npt.NDArray[Any], ...]:
        first, second = blocks
        a, b = alike(codes[first], codes[second])
        a, b = a + first.start, b + second.start
        a, b = a[a < b], b[a < b]
        proposed = [within_radius(codes[a], codes[b], turn) for turn in range(len(TRANSFORMS))]
        turn, pair = np.nonzero(proposed)
        return _without(sought, *_verified(reduced, rows[a[pair]], rows[b[pair]], turn))

    found = list(map_in_order(compare, sought.blocks(rows), threads))
    if not found:
        return pairs_table(), 0
    *parts, of_one_parent = zip(*found, strict=True)
    a, b, turn, correlation, rough = (np.concatenate(part) for part in parts)
    left_out = int(np.sum(np.concatenate(of_one_parent)))
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
    listed = best.drop_duplicates(["row_a", "row_b"])[list(table.columns)].reset_index(drop=True)
    return listed, left_out


def _without(
    sought: _Sought,
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    turn: npt.NDArray[np.int64],
    correlation: Float32,
    rough: Float32,
) -> tuple[npt.NDArray[Any], ...]:
    """Return verified pairs without those of one parent, and how many of these are near copies."""
    within = sought.within(a, b)
    near = within & (correlation >= LEAST_CORRELATION)
    pairs = np.unique(np.stack([a[near], b[near]]), axis=1).shape[1]
    kept = ~within
    return a[kept], b[kept], turn[kept], correlation[kept], rough[kept], np.array([pairs])


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
