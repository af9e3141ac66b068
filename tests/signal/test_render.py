"""Rendering against pictures drawn by Pillow."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from fewcase.signal.render import render
from fewcase.study.errors import InputError

AXES = {"low": 50, "high": 200}


def signals(rows=6, samples=7200, seed=0):
    """Slow ones, noisy ones, steps, and one that leaves the picture."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / samples
    signal = 120 + 40 * np.sin(2 * np.pi * time * np.arange(1, rows + 1)[:, None])
    signal += rng.normal(0, 1, signal.shape) * rng.choice([0, 3, 15], (rows, 1))
    signal += 40 * (rng.random((rows, 1)) < time)
    signal[0] *= 2
    return signal.astype(np.float32)


def unpacked(packed):
    return np.unpackbits(packed, axis=-1).astype(bool)


def drawn_by_pillow(row, low, high, size):
    """Join all samples, each at its pixel, by a polyline; true is white."""
    samples = len(row)
    column = np.arange(samples) * size // samples
    height = np.clip(
        np.floor((high - row.astype(float)) * (size - 1) / (high - low) + 0.5), 0, size - 1
    )
    picture = Image.new("1", (size, size), 1)
    draw = ImageDraw.Draw(picture)
    points = list(zip(column.tolist(), height.astype(int).tolist(), strict=True))
    draw.line(points, fill=0, width=1)
    return picture


@pytest.mark.parametrize("size", [64, 224, 256, 304])
@pytest.mark.parametrize("samples", [7200, 1111])
def test_every_pixel_is_that_of_pillows_polyline(size, samples):
    signal = signals(samples=samples)
    pictures = unpacked(render(signal, size=size, **AXES))
    for picture, row in zip(pictures, signal, strict=True):
        np.testing.assert_array_equal(picture, np.asarray(drawn_by_pillow(row, 50, 200, size)))


@pytest.mark.parametrize("width", [3, 5])
def test_thick_lines_are_pillows_drawn_with_a_square(width):
    signal = signals()
    pictures = unpacked(render(signal, size=224, line_width=width, **AXES))
    for picture, row in zip(pictures, signal, strict=True):
        thin = drawn_by_pillow(row, 50, 200, 224).convert("L")
        # The filter leaves the border as it is, so the paper is made larger for it.
        border = 8
        paper = Image.new("L", (224 + 2 * border,) * 2, 255)
        paper.paste(thin, (border, border))
        thick = np.asarray(paper.filter(ImageFilter.MinFilter(width)))
        expected = thick[border:-border, border:-border] > 0
        np.testing.assert_array_equal(picture, expected)


def test_an_even_width_is_as_thick_as_it_says():
    flat = np.full((1, 500), 125, np.float32)
    for width in (1, 2, 3, 4):
        picture = unpacked(render(flat, size=64, line_width=width, **AXES))[0]
        assert ((~picture).sum(axis=0) == width).all()


def test_bytes_are_those_of_every_platform():
    # Made of integers alone, so that no library's random numbers or sines take part.
    steps = (np.arange(5 * 7200, dtype=np.int64) * 7919 % 2011).reshape(5, 7200)
    signal = (50 + steps % 601 / 4 * (np.arange(7200) % 97 > 3)).astype(np.float32)
    packed = render(signal, size=224, **AXES)
    assert hashlib.sha256(packed.tobytes()).hexdigest() == DIGEST


DIGEST = "8a20dda7eb0602cc26b3f4740e51bb55b15511365cd67fbb74315a931f0d2c4c"


def test_pictures_do_not_depend_on_their_neighbours():
    signal = signals(rows=40)
    together = render(signal, size=224, **AXES)
    for row in (0, 11, 12, 39):
        np.testing.assert_array_equal(
            render(signal[row : row + 1], size=224, **AXES)[0], together[row]
        )


def test_edges_of_the_axis_are_the_outer_rows_and_what_is_beyond_is_drawn_there():
    values = np.array([200, 50, 500, -3, 1e30], np.float32)
    pictures = unpacked(render(np.repeat(values[:, None], 300, axis=1), size=32, **AXES))
    assert [int(np.flatnonzero(~picture[:, 0])[0]) for picture in pictures] == [0, 31, 0, 31, 0]


def test_a_missing_row_is_a_white_picture():
    signal = signals(rows=3)
    signal[1] = np.nan
    pictures = unpacked(render(signal, size=224, line_width=3, **AXES))
    assert pictures[1].all()
    assert not pictures[[0, 2]].all(axis=(1, 2)).any()


def test_a_gap_stays_white_and_nothing_is_joined_across_it():
    signal = np.full((1, 320), 100, np.float32)
    signal[0, 160:] = 180
    signal[0, 100:200] = np.nan
    picture = unpacked(render(signal, size=32, **AXES))[0]
    assert picture[:, 10:20].all()
    assert ((~picture).sum(axis=0)[[9, 20]] == 1).all()


def test_fewer_samples_than_columns_still_make_a_whole_line():
    signal = np.linspace(50, 200, 20, dtype=np.float32)[None]
    picture = unpacked(render(signal, size=64, **AXES))[0]
    black = ~picture
    assert black.any(axis=0).all()
    assert black[63, 0]
    assert black[0, 63]
    top = black.argmax(axis=0)
    assert (np.diff(top) <= 0).all()


def test_sizes_that_do_not_fill_bytes_are_refused():
    with pytest.raises(InputError, match=r"100 is no multiple of 8.*Nearest: 96"):
        render(signals(), size=100, **AXES)


def test_edges_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match="upper edge 50"):
        render(signals(), size=64, low=200, high=50)
