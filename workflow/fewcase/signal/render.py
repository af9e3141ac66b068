"""Draw windows as two-valued pictures: one vertical span per column, joined to its neighbours."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from fewcase.signal.rows import row_blocks
from fewcase.study.errors import InputError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
PixelRows = npt.NDArray[np.int32]
Packed = npt.NDArray[np.uint8]

# Pictures drawn at once: many, to share the cost of each call, but few enough for the cache.
BLOCK_ROWS = 64


def render(signal: Float32, *, low: float, high: float, size: int, line_width: int = 1) -> Packed:
    """Draw each row as a black line on white.

    A sample belongs to the column ``sample * size // samples`` and to the pixel row that is
    nearest to it, `high` being the centre of the uppermost row and `low` of the lowest; what is
    beyond them is drawn at the edge. A column is black from its lowest to its highest sample, and
    neighbouring columns are joined by the line from the last sample of the one to the first of the
    other, as Bresenham draws it. From the pixel rows on, all is integer arithmetic; before, there
    are four operations in double precision, each rounded as IEEE 754 demands: the bytes are the
    same on every platform.

    Parameters
    ----------
    signal
        float32 (n, samples). Columns with a NaN stay white. With fewer samples than columns, the
        signal is interpolated linearly to one sample per column first.
    low, high
        Values at the lower and the upper edge.
    size
        Height and width in pixels, a multiple of 8.
    line_width
        Thickness in pixels: the line is drawn with a square of this side.

    Returns
    -------
    uint8 (n, size, size // 8), eight pixels to the byte, the leftmost in the highest bit; 1 is
    white and 0 black.

    Raises
    ------
    InputError
        Where the size is no multiple of 8 or the edges are not in order.
    """
    if size % 8:
        raise InputError(
            f"images.size: {size} is no multiple of 8. Nearest: {round(size / 8) * 8}."
        )
    if not high > low:
        raise InputError(f"images: the upper edge {high} must be above the lower edge {low}.")
    packed = np.empty((len(signal), size, size // 8), np.uint8)
    for block in row_blocks(len(signal), BLOCK_ROWS):
        top, bottom = _spans(signal[block], low, high, size)
        if line_width > 1:
            top, bottom = _thicken(top, bottom, line_width)
        packed[block] = _fill_spans(top, bottom)
    return packed


def _spans(signal: Float32, low: float, high: float, size: int) -> tuple[PixelRows, PixelRows]:
    """Return the first and last black pixel row of every column; a blank one is (size, -1)."""
    if signal.shape[1] < size:
        signal = _interpolate(signal, size)
    # To round is monotone, so the extremes of the values give the extremes of the pixel rows.
    columns = _columns(signal, size)
    blank = np.isnan(columns[0])
    top, bottom, first, last = _pixel_rows(columns, low, high, size)

    # Of the steps from one column's last row to the next one's first, the first half is drawn in
    # the one column and the rest, the middle included, in the other.
    step = first[:, 1:] - last[:, :-1]
    half = np.sign(step) * ((np.abs(step) + 1) // 2)
    reach_right = last[:, :-1] + half
    reach_left = reach_right - np.sign(step)
    any_blank = blank.any()
    if any_blank:
        apart = blank[:, 1:] | blank[:, :-1]
        reach_left = np.where(apart, last[:, :-1], reach_left)
        reach_right = np.where(apart, first[:, 1:], reach_right)
    for span, extreme in ((top, np.minimum), (bottom, np.maximum)):
        extreme(span[:, :-1], reach_left, out=span[:, :-1])
        extreme(span[:, 1:], reach_right, out=span[:, 1:])
    if any_blank:
        top[blank], bottom[blank] = size, -1
    return top, bottom


def _columns(signal: Float32, size: int) -> Float32:
    """Return the highest, lowest, first and last value of every column, float32 (4, n, size).

    A column with a NaN has NaN for its highest value.
    """
    rows, samples = signal.shape
    # The borders of columns fall on the same places in every period. With the periods of all rows
    # side by side, each column of the period is found for all of them at once.
    periods = math.gcd(samples, size)
    samples_each, columns_each = samples // periods, size // periods
    beside = np.ascontiguousarray(signal.reshape(-1, samples_each).T)
    found = np.empty((4, columns_each, rows * periods), np.float32)
    # The first sample of column c is the smallest with sample * size // samples == c.
    borders = [-(-column * samples // size) for column in range(columns_each + 1)]
    for column, (start, stop) in enumerate(itertools.pairwise(borders)):
        np.maximum.reduce(beside[start:stop], axis=0, out=found[0, column])
        np.minimum.reduce(beside[start:stop], axis=0, out=found[1, column])
        found[2, column] = beside[start]
        found[3, column] = beside[stop - 1]
    in_rows = found.reshape(4, columns_each, rows, periods).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(in_rows).reshape(4, rows, size)


def _pixel_rows(values: Float32, low: float, high: float, size: int) -> PixelRows:
    """Return the nearest pixel rows, counted from the top; NaN gives any."""
    rows = np.subtract(high, values, dtype=np.float64)
    rows *= (size - 1) / (high - low)
    rows += 0.5
    np.floor(rows, out=rows)
    np.fmax(rows, 0, out=rows)
    np.fmin(rows, size - 1, out=rows)
    return rows.astype(np.int32)


def _interpolate(signal: Float32, size: int) -> Float32:
    """Interpolate a short signal linearly to the centres of `size` columns."""
    samples = signal.shape[1]
    position = np.clip((np.arange(size) + 0.5) * samples / size - 0.5, 0, samples - 1)
    before = np.minimum(position.astype(np.int64), max(samples - 2, 0))
    after = np.minimum(before + 1, samples - 1)
    share = position - before
    values = signal.astype(np.float64)
    between = values[:, before] + (values[:, after] - values[:, before]) * share
    return between.astype(np.float32)


def _thicken(top: PixelRows, bottom: PixelRows, line_width: int) -> tuple[PixelRows, PixelRows]:
    """Draw with a square; spans of neighbours touch, so that their union is one span again."""
    left, right = (line_width - 1) // 2, line_width // 2
    size = top.shape[1]
    # One row and column more below and to the right than above and to the left, if even.
    wide_top, wide_bottom = top.copy(), bottom.copy()
    for shift in range(-right, left + 1):
        source = slice(max(0, shift), size + min(0, shift))
        target = slice(max(0, -shift), size + min(0, -shift))
        np.minimum(wide_top[:, target], top[:, source], out=wide_top[:, target])
        np.maximum(wide_bottom[:, target], bottom[:, source], out=wide_bottom[:, target])
    blank = wide_bottom < 0
    wide_top, wide_bottom = wide_top - left, wide_bottom + right
    np.clip(wide_top, 0, size - 1, out=wide_top)
    np.clip(wide_bottom, 0, size - 1, out=wide_bottom)
    wide_top[blank], wide_bottom[blank] = size, -1
    return wide_top, wide_bottom


def _fill_spans(top: PixelRows, bottom: PixelRows) -> Packed:
    """Return packed pictures that are white outside of the spans."""
    rows, size = top.shape
    width = size // 8
    # Set the bits of the first row to white, and those of each later row where a column changes;
    # going down, every row then is the one above with its changes. One bit of all bytes at a time,
    # so that no byte is met twice at once.
    changes = np.zeros((size + 1, rows, width), np.uint8)
    changes[0] = 0xFF
    # A blank column changes twice below the picture.
    after = np.where(bottom < 0, size, bottom + 1)
    flat, byte = changes.reshape(-1), np.arange(rows * width).reshape(rows, width)
    for bit in range(8):
        for change in (top, after):
            flat[change[:, bit::8] * (rows * width) + byte] ^= np.uint8(0x80 >> bit)
    for above, row in itertools.pairwise(changes[:-1]):
        np.bitwise_xor(above, row, out=row)
    return changes[:-1].transpose(1, 0, 2)
