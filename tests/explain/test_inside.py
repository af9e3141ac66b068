"""The share of positive evidence inside a mask, counted by hand and from maps of known places."""

import numpy as np
import pytest

from fewcase.explain.dida import SignedMap, brightness_scale, mixed_map
from fewcase.explain.grids import square_grids
from fewcase.explain.inside import share_inside


def test_only_what_speaks_for_the_class_counts_each_pixel_by_its_brightness():
    positive = np.array([[0.5, 0.0], [0.25, 0.25]], np.float32)
    negative = np.array([[0.0, 0.9], [0.9, 0.0]], np.float32)
    mask = np.array([[True, True], [False, False]])
    assert share_inside(SignedMap(positive, negative), mask) == 0.5
    assert share_inside(positive - np.array([[0, 0.9], [0, 0]]), mask) == 0.5
    # Pixels that lie inside by half count by half.
    assert share_inside(positive, np.full((2, 2), 0.5)) == 0.5
    assert share_inside(positive, ~mask) == 0.5
    assert share_inside(positive, np.ones((2, 2), bool)) == 1.0
    assert np.isnan(share_inside(np.zeros((2, 2)), mask))
    with pytest.raises(ValueError, match=r"a map \(2, 2\) and a mask \(2, 3\)"):
        share_inside(positive, np.ones((2, 3)))
    with pytest.raises(ValueError, match="from 0 to 1"):
        share_inside(positive, np.full((2, 2), 255, np.uint8))


def test_a_mixed_map_of_chance_has_on_average_the_share_that_the_mask_has_of_the_image():
    random, grids = np.random.default_rng(0), square_grids(32, 32, 1, sizes=(4, 8))
    cells = sum(grid.cells for grid in grids)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 4:28] = True
    shares = []
    for _ in range(200):
        changes = random.normal(size=(cells, 1)).astype(np.float32)
        mixed = mixed_map(grids, changes[:, 0], brightness_scale(changes))
        shares.append(share_inside(mixed, mask))
    assert np.mean(shares) == pytest.approx(mask.mean(), abs=4 * np.std(shares) / np.sqrt(200))
    # All that speaks for the class in cells within the mask, all else against it.
    centres = [
        np.stack([grid.boxes[:, :2].mean(axis=1), grid.boxes[:, 2:].mean(axis=1)]) for grid in grids
    ]
    y, x = np.concatenate(centres, axis=1)
    within = (y >= 8) & (y < 24) & (x >= 4) & (x < 28)
    told = np.where(within, 1.0, -1.0).astype(np.float32)
    fine = [grid for grid in grids if grid.rows == 8]
    told_fine = told[-fine[0].cells :]
    assert share_inside(mixed_map(fine, told_fine, 1.0), mask) == 1.0
