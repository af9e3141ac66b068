"""Grids cover an image without gaps or overlaps, whatever its side."""

import numpy as np
import pytest

from fewcase.explain.grids import PAPER_SIZES, cells_of, slit_grids, square_grids
from fewcase.study.errors import InputError

CHANNELS = ("fhr-10", "uc-none", "baseline-block10")


def covered(grid):
    """Return how many cells of a grid hold each pixel."""
    count = np.zeros(grid.size, int)
    for y0, y1, x0, x1 in grid.boxes:
        count[y0:y1, x0:x1] += 1
    return count


def test_the_eight_grids_tile_an_image_of_224_pixels_with_rounded_borders():
    grids = square_grids(224, 224, 3)
    assert [grid.name for grid in grids][:2] == ["7 × 7", "9 × 9"]
    assert sum(grid.cells for grid in grids) == 1736
    for size, grid in zip(PAPER_SIZES, grids, strict=True):
        assert (covered(grid) == 1).all()
        borders = [round(i * 224 / size) for i in range(size + 1)]
        for number, box in enumerate(grid.boxes.tolist()):
            row, column = divmod(number, size)
            assert box == [*borders[row : row + 2], *borders[column : column + 2]]


def test_oblong_images_are_tiled_too():
    for grid in square_grids(37, 50, 1, sizes=(1, 5, 36)):
        assert grid.size == (37, 50)
        assert (covered(grid) == 1).all()


def test_finer_grids_weigh_a_little_more_and_all_of_a_group_weigh_one():
    squares = [grid.weight for grid in square_grids(64, 64, 1)]
    assert sum(squares) == pytest.approx(1)
    assert squares[-1] / squares[0] == pytest.approx(3**0.5)
    slits = slit_grids(64, 64, 30, CHANNELS)
    for group in ("all", *CHANNELS):
        weights = [grid.weight for grid in slits if grid.group == group]
        assert sum(weights) == pytest.approx(1)
        assert weights == sorted(weights)


def test_slits_span_the_height_and_blank_all_channels_or_one():
    grids = slit_grids(40, 224, 30, CHANNELS, minutes=(1, 2, 10, 30))
    assert [grid.name for grid in grids] == ["10 min", "2 min", "1 min"] * 4
    assert [grid.columns for grid in grids[:3]] == [3, 15, 30]
    assert [grid.channels.tolist() for grid in grids[::3]] == [
        [True, True, True],
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    for grid in grids:
        assert (covered(grid) == 1).all()
        assert (np.diff(grid.boxes[:, :2]) == 40).all()
    # All channels of an image with one channel are that channel.
    assert {grid.group for grid in slit_grids(40, 60, 30, ["fhr-10"])} == {"all"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: square_grids(20, 224, 1), "21 cells along a side of 20 pixels"),
        (lambda: square_grids(64, 64, 1, sizes=(7, 7)), "once"),
        (lambda: square_grids(64, 64, 1, sizes=()), "once"),
        (lambda: square_grids(64, 64, 1, sizes=(0, 3)), "0 cells"),
        (lambda: slit_grids(64, 64, 30, CHANNELS, minutes=(25,)), "half of the window"),
        (lambda: slit_grids(64, 20, 30, CHANNELS, minutes=(1,)), "slit_minutes: 30 cells"),
        (lambda: slit_grids(64, 64, 30, CHANNELS, minutes=(0, 1)), "above 0"),
    ],
)
def test_grids_that_do_not_fit_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_each_grid_of_a_group_gets_its_own_cells():
    grids = slit_grids(8, 64, 30, CHANNELS, minutes=(5, 10))
    numbers = np.arange(sum(grid.cells for grid in grids), dtype=np.float32)
    assert np.concatenate([part for _, part in cells_of(grids, numbers)]).tolist() == list(numbers)
    (ten, three), (five, six) = cells_of(grids, numbers, "uc-none")
    assert (ten.name, five.name) == ("10 min", "5 min")
    assert three.tolist() == [18, 19, 20]
    assert six.tolist() == [21, 22, 23, 24, 25, 26]
    with pytest.raises(InputError, match=r"'uc-nine'.*Did you mean 'uc-none'"):
        cells_of(grids, numbers, "uc-nine")
    with pytest.raises(InputError, match="5 differences for the 36 cells"):
        cells_of(grids, numbers[:5])
