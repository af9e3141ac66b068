"""Random orientations and colours, against torchvision and against what each should keep."""

import pytest
import torch
from torchvision.transforms import functional

from fewcase.study.errors import InputError
from fewcase.training.appearance import jitter_colours, orient

MEAN = torch.tensor([0.7, 0.5, 0.6])[:, None, None]
STD = torch.tensor([0.2, 0.3, 0.25])[:, None, None]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_dihedral_gives_all_eight_orientations_equally_often():
    image = torch.arange(9.0).reshape(1, 3, 3)
    turned = orient(image.expand(8000, 1, 3, 3), "dihedral", generator())
    found, counts = torch.unique(turned.reshape(8000, -1), dim=0, return_counts=True)
    expected = {
        tuple(torch.rot90(side, k, (-2, -1)).flatten().tolist())
        for side in (image, image.flip(-1))
        for k in range(4)
    }
    assert {tuple(row.tolist()) for row in found} == expected
    assert counts.min() > 880
    assert counts.max() < 1120


def test_flips_turn_nothing_by_a_quarter():
    image = torch.arange(6.0).reshape(1, 2, 3)
    flipped = orient(image.expand(400, 1, 2, 3), "flips", generator())
    assert len(torch.unique(flipped.reshape(400, -1), dim=0)) == 4
    with pytest.raises(InputError, match="orient: flips"):
        orient(image[None], "dihedral", generator())


def test_colours_change_as_torchvision_changes_them_one_factor_after_the_other():
    pixels = torch.rand(16, 3, 8, 8, generator=generator(1))
    found = jitter_colours((pixels - MEAN) / STD, 0.2, MEAN, STD, generator()) * STD + MEAN
    factors = 1 + 0.2 * (2 * torch.rand(3, 16, generator=generator()) - 1)
    for image, result, (bright, contrast, saturation) in zip(pixels, found, factors.T, strict=True):
        expected = functional.adjust_brightness(image, bright.item())
        expected = functional.adjust_contrast(expected, contrast.item())
        expected = functional.adjust_saturation(expected, saturation.item())
        torch.testing.assert_close(result, expected, atol=2e-3, rtol=0)


def test_factors_spread_over_the_whole_range_and_differ_between_images():
    grey = torch.full((500, 1, 4, 4), 0.5)
    zero, one = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    bright = jitter_colours(grey, 0.2, zero, one, generator()).mean(dim=(1, 2, 3)) / 0.5
    assert 0.8 <= bright.min() < 0.81
    assert 1.19 < bright.max() <= 1.2


def test_nothing_is_drawn_where_nothing_changes():
    images, source = torch.rand(4, 3, 8, 8), generator()
    before = source.get_state()
    assert orient(images, "none", source) is images
    assert jitter_colours(images, 0.0, MEAN, STD, source) is images
    assert torch.equal(source.get_state(), before)
