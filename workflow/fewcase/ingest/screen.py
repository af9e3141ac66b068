"""Find the image area on the screen of an ultrasound scanner, and leave text and scales out.

Tissue is textured, a screen is flat between its letters, and letters are thin. The largest textured
region that is thick is the image; its outline is straight or an arc, so it is smoothed without
losing the corners. Above it only the probe's own outline is followed, since curved arrays make a
hollow there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from fewcase.data.image_files import Pixels

FLAT = 5
"""So many pixels of like grey levels, each way, are screen."""

FLAT_RANGE = 2
FLAT_RANGE_JPEG = 8
"""Grey levels are alike if they differ by no more; JPEG leaves ripples beside letters."""

THICK = 0.05
"""What is narrower than this share of the picture's shorter side is no tissue but text."""

LEAST_SHARE = 0.04
"""The image area is at least this share of the picture."""

ROUND = 3.0
"""Stretches of the outline that bend as much as a disc of so many times the radius by which text
is taken off are corners that were rounded."""

BEND = np.deg2rad(6)
"""How far an outline may turn where its bend is measured."""

BULGE = 4.0
"""Letters over a side are shorter along it than so many times the radius."""

STRAIGHT = 0.3
"""A side is straight if so much of the picture's shorter side lies in one line of two pixels."""

DIRECTIONS = 720
"""Directions in which straight sides are looked for."""

NEARLY_ALL = 2
"""An area that leaves out less than so many pixels at each side is taken to be the picture."""

SMALL_HOLE = 0.01
"""Holes up to this share of the picture are filled at once, as vessels are; a frame that a scanner
draws around the image is not filled."""

Mask = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ImageArea:
    """Where the image is in a picture.

    Attributes
    ----------
    box
        Left, top, right, bottom (exclusive), in pixels.
    outline
        Points (x, y) of a polygon in it; what is in the box and outside is no image. Empty where
        all of the box is.
    """

    box: tuple[int, int, int, int]
    outline: tuple[tuple[float, float], ...] = ()


def find_area(
    pixels: Pixels, marked: Mask | None = None, *, jpeg: bool = False
) -> ImageArea | None:
    """Find the image area on a scanner's screen.

    Parameters
    ----------
    pixels
        uint8 (height, width, 1 or 3).
    marked
        bool (height, width): what is known to be image, as by an expert's mask.
    jpeg
        Whether the picture was compressed with loss.

    Returns
    -------
    The area, the whole picture where next to nothing is around it; None where there is none.
    """
    brightness = pixels.max(axis=-1)
    radius = max(4.0, THICK * min(brightness.shape) / 2)
    region = _thick_region(brightness, radius, FLAT_RANGE_JPEG if jpeg else FLAT_RANGE)
    if region is None:
        return None
    return _outlined(region if marked is None else region | marked, radius)


def _thick_region(brightness: npt.NDArray[np.uint8], radius: float, flat_range: int) -> Mask | None:
    """Return the largest textured region without what is thin, None where it is too small."""
    lowest = ndimage.minimum_filter(brightness, FLAT, mode="nearest")
    highest = ndimage.maximum_filter(brightness, FLAT, mode="nearest")
    flat = highest - lowest <= flat_range
    textured = ~ndimage.binary_dilation(flat, np.ones((FLAT, FLAT), bool))
    textured = _holes_filled(textured, SMALL_HOLE * textured.size)
    # Beyond the picture's edge letters are as thin as within.
    margin = int(radius) + 2
    padded = np.pad(textured, margin, mode="symmetric")
    core = ndimage.distance_transform_edt(padded) > radius
    if not core.any():
        return None
    labels, sizes = _components(core)
    opened = ndimage.distance_transform_edt(labels != sizes.argmax()) <= radius
    opened = opened[margin:-margin, margin:-margin]
    return opened if opened.sum() >= LEAST_SHARE * brightness.size else None


def _components(mask: Mask) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the number of every pixel's component, 0 outside, and sizes by number, of 0 as 0."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels, sizes


def _holes_filled(mask: Mask, largest: float) -> Mask:
    labels, sizes = _components(~mask)
    small = sizes <= largest
    small[0] = False
    return mask | small[labels]


def _outlined(region: Mask, radius: float) -> ImageArea | None:
    height, width = region.shape
    convex = _sharpened(_hull(region), region, radius)
    left, top = np.floor(convex.min(axis=0) + 0.5).astype(int)
    right, bottom = np.ceil(convex.max(axis=0) - 0.5).astype(int)
    box = (int(left), int(top), int(right), int(bottom))
    if right - left < 1 or bottom - top < 1:
        return None
    # Whole pictures stay whole, to the last row.
    if max(left, top, width - right, height - bottom) <= NEARLY_ALL:
        box = (0, 0, width, height)
    outline = _below_probe(convex, region, box, radius)
    return ImageArea(box, () if _fills(outline, box) else tuple(map(_point, outline)))


def _point(point: Sequence[float]) -> tuple[float, float]:
    return round(float(point[0]), 1), round(float(point[1]), 1)


def _hull(region: Mask) -> Float64:
    """Return the corners of the convex hull of all pixels, in the order of the hull."""
    rows = np.flatnonzero(region.any(axis=1))
    first = region[rows].argmax(axis=1)
    last = region.shape[1] - region[rows, ::-1].argmax(axis=1)
    ends = [(x, y + d) for y, a, b in zip(rows, first, last, strict=True)
            for x in (a, b) for d in (0, 1)]  # fmt: skip
    points = np.asarray(ends, np.float64)
    return points[spatial.ConvexHull(points).vertices]


def _sharpened(hull: Float64, region: Mask, radius: float) -> Float64:
    """Return a convex polygon whose corners, rounded when text was taken off, are sharp again.

    A straight side or a wide arc is kept as it is and extended; stretches that bend about as a
    disc of the radius does are dropped, so that their neighbours meet, and so are lines across the
    hollow of a curved array.
    """
    height, width = region.shape
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.hypot(*edges.T)
    normals = np.arctan2(-edges[:, 0], edges[:, 1])
    turn = np.abs((normals[:, None] - normals[None] + np.pi) % (2 * np.pi) - np.pi)
    # Length of outline within so small a turn, per angle: the radius by which it bends.
    bends = (lengths[None] * (turn <= BEND)).sum(axis=1) / (2 * BEND)
    middles = hull + edges / 2 - 1.5 * np.stack([np.cos(normals), np.sin(normals)], axis=1)
    column, row = np.clip(middles.astype(int), 0, (width - 1, height - 1)).T
    hollow = ~region[row, column] & (lengths > 2 * radius) & (np.sin(normals) < -0.5)
    kept = np.flatnonzero((bends > ROUND * radius) & ~hollow)
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    if len(kept) < 3:
        return hull
    reach = hull.min(axis=0) - radius, hull.max(axis=0) + radius
    if hollow.any():
        # Nothing crosses the ends of a curved array: a right angle loses so much.
        reach[0][1] += radius * (2 - np.sqrt(2))
    polygon = np.clip(frame, *reach)
    for i in kept:
        outward = np.array([np.cos(normals[i]), np.sin(normals[i])])
        polygon = _cut(polygon, outward, float(hull[i] @ outward))
        if len(polygon) < 3:
            return hull
    for outward, limit in _straight_sides(region, radius):
        cut = _cut(polygon, outward, limit)
        polygon = cut if len(cut) >= 3 else polygon
    return polygon


def _straight_sides(region: Mask, radius: float) -> Iterator[tuple[Float64, float]]:
    """Yield the directions of long straight sides, and where the region ends in each.

    Letters over a side bulge beyond it and bend the hull; but seen along the side they are short.
    """
    step = max(1, round(min(region.shape) / 240))
    rows, columns = np.nonzero(region[::step, ::step])
    points = np.stack([columns, rows], axis=1).astype(np.float32) * step
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    ends, lengths = np.empty(DIRECTIONS), np.empty(DIRECTIONS)
    for i, angle in enumerate(angles):
        offsets = points @ np.array([np.cos(angle), np.sin(angle)], np.float32)
        farthest = float(offsets.max())
        counts = np.bincount(((farthest - offsets) / step).astype(np.int64))
        # Sampled every so many pixels both ways, a line so wide holds one point per step.
        widths = counts * step
        first = int(np.argmax(widths >= BULGE * radius))
        ends[i] = farthest - first * step
        lengths[i] = widths[first : first + 2].max()
    sharp = lengths == ndimage.maximum_filter1d(lengths, DIRECTIONS // 36, mode="wrap")
    found = sharp & (lengths >= STRAIGHT * min(region.shape))
    for angle, end in zip(angles[found], ends[found], strict=True):
        yield np.array([np.cos(angle), np.sin(angle)]), float(end + step + 1)


def _cut(polygon: Float64, outward: Float64, limit: float) -> Float64:
    """Return the part of a convex polygon that lies inside of a line."""
    beyond = polygon @ outward - limit
    points = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if beyond[i] <= 1e-9:
            points.append(polygon[i])
        if (beyond[i] <= 1e-9) != (beyond[j] <= 1e-9):
            share = beyond[i] / (beyond[i] - beyond[j])
            points.append(polygon[i] + share * (polygon[j] - polygon[i]))
    return np.asarray(points, np.float64).reshape(-1, 2)


def _below_probe(
    convex: Float64, region: Mask, box: tuple[int, int, int, int], radius: float
) -> list[tuple[float, float]]:
    """Return an outline that follows the region above and the convex polygon elsewhere."""
    left, _, right, _ = box
    x = np.arange(left, right, dtype=np.float64) + 0.5
    upper, lower = _chains(convex, x)
    inside = region[:, left:right]
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), np.inf)
    # Columns of a narrow shadow begin where their neighbours do; ends were rounded.
    span = int(2 * radius) | 1
    probe = ndimage.grey_opening(np.where(np.isfinite(first), first, upper), span, mode="nearest")
    hollow = np.maximum(upper, probe)
    # At its ends the region begins lower than the image: corners were rounded.
    hollow = np.where(hollow - upper > radius / 2, hollow, upper)
    hollow = np.minimum(hollow, lower)
    xs = [float(left), *x.tolist(), float(right)]
    above = [hollow[0], *hollow.tolist(), hollow[-1]]
    below = [lower[0], *lower.tolist(), lower[-1]]
    top = _thinned(list(zip(xs, map(float, above), strict=True)))
    return top + _thinned(list(zip(xs, map(float, below), strict=True)))[::-1]


def _chains(convex: Float64, x: Float64) -> tuple[Float64, Float64]:
    """Return where vertical lines enter and leave a convex polygon."""
    upper, lower = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    for (x0, y0), (x1, y1) in zip(convex, np.roll(convex, -1, axis=0), strict=True):
        if x0 == x1:
            continue
        met = (x >= min(x0, x1)) & (x <= max(x0, x1))
        y = y0 + (x[met] - x0) * (y1 - y0) / (x1 - x0)
        upper[met], lower[met] = np.minimum(upper[met], y), np.maximum(lower[met], y)
    missed = ~np.isfinite(upper)
    if missed.any():
        # The last half pixel of a box may stand beyond a sharp corner.
        nearest = np.clip(x, convex[:, 0].min() + 1e-6, convex[:, 0].max() - 1e-6)
        upper, lower = _chains(convex, nearest.astype(np.float64))
    return upper, lower


def _thinned(
    points: list[tuple[float, float]], tolerance: float = 0.5
) -> list[tuple[float, float]]:
    """Leave out points of a line that the line through the others passes closely (Douglas and
    Peucker, Cartographica 10:112-122, 1973)."""
    kept = {0, len(points) - 1}
    stretches = [(0, len(points) - 1)]
    path = np.asarray(points)
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        along = path[last] - path[first]
        away = path[first + 1 : last] - path[first]
        off = np.abs(away[:, 0] * along[1] - away[:, 1] * along[0]) / max(np.hypot(*along), 1e-9)
        worst = int(off.argmax())
        if off[worst] > tolerance:
            middle = first + 1 + worst
            kept.add(middle)
            stretches += [(first, middle), (middle, last)]
    return [points[i] for i in sorted(kept)]


def _fills(outline: Sequence[tuple[float, float]], box: tuple[int, int, int, int]) -> bool:
    """Return whether an outline leaves nothing out of a box but its corner pixels."""
    left, top, right, bottom = box
    x, y = np.asarray(outline).T
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    missing = (right - left) * (bottom - top) - area
    return bool(missing <= NEARLY_ALL * (right - left + bottom - top))
