"""Claims about where tiles lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewcase.images.grid import lay_grid
from fewcase.study.errors import InputError

lengths = st.integers(1, 400)
sizes = st.tuples(st.integers(16, 120), st.integers(0, 119)).filter(lambda s: s[1] < s[0])


def test_half_overlapping_tiles_of_512_pixels_make_35_of_an_image_of_2048_by_1536():
    grid = lay_grid(2048, 1536, size=512, overlap=256, edge="drop")
    assert len(grid.x) == 7 * 5
    assert sorted(set(grid.x)) == list(range(0, 1792, 256))
    assert sorted(set(grid.y)) == list(range(0, 1280, 256))
    assert grid.extent == 512


def test_tiles_go_row_by_row():
    grid = lay_grid(448, 448, size=224, overlap=0, edge="drop")
    assert list(zip(grid.y, grid.x, strict=True)) == [(0, 0), (0, 224), (224, 0), (224, 224)]


@settings(max_examples=150, deadline=None)
@given(lengths, lengths, sizes, st.sampled_from(["drop", "shift", "pad"]), st.floats(1, 4))
def test_edges_keep_what_they_promise(width, height, of_tile, edge, downsample):
    size, overlap = of_tile
    grid = lay_grid(width, height, size=size, overlap=overlap, edge=edge, downsample=downsample)
    assert grid.extent == round(size * downsample)
    covered = np.zeros((height, width), bool)
    for x, y in zip(grid.x, grid.y, strict=True):
        covered[y : y + grid.extent, x : x + grid.extent] = True
    fits = min(width, height) >= grid.extent
    if edge != "pad":
        assert (grid.x >= 0).all()
        assert (grid.x + grid.extent <= width).all()
        assert (grid.y + grid.extent <= height).all()
        assert (len(grid.x) > 0) == fits
    if edge == "pad" or (edge == "shift" and fits):
        assert covered.all()
        assert (grid.x < width).all()
        assert (grid.y < height).all()
    assert len(set(zip(grid.x, grid.y, strict=True))) == len(grid.x)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), sizes)
def test_as_many_tiles_as_the_formula_says(length, of_tile):
    size, overlap = of_tile
    grid = lay_grid(length, size, size=size, overlap=overlap, edge="drop")
    assert len(grid.x) == max(0, (length - size) // (size - overlap) + 1)


def test_a_coarser_tile_covers_more_of_the_slide():
    grid = lay_grid(1000, 1000, size=100, overlap=50, edge="drop", downsample=2.5)
    assert grid.extent == 250
    assert sorted(set(grid.x)) == [0, 125, 250, 375, 500, 625, 750]


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(InputError, match=r"overlap: 224 .* at most 223"):
        lay_grid(500, 500, size=224, overlap=224, edge="drop")
