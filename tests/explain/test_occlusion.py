"""Masked images are what slicing makes of them, and the network is asked about each once."""

import numpy as np
import pytest
import torch
from torch import nn

from fewcase.explain.any_network import explain
from fewcase.explain.fills import FILLS, fill_image
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.occlusion import PlainOccluder, differences_of
from fewcase.study.errors import InputError

CHANNELS = ("fhr-10", "uc-none", "baseline-block10")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, 1, 1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, 4),
    ).eval()


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (3, 42, 42), np.uint8)


def normalised(picture, seed=1):
    image = torch.from_numpy(picture / np.float32(255)) * 2 - 1
    fill = torch.rand(image.shape, generator=torch.Generator().manual_seed(seed))
    return image, fill


@pytest.mark.parametrize("size", [7, 14, 21])
def test_single_grids_agree_with_captum(network, picture, size):
    from captum.attr import Occlusion

    image, fill = normalised(picture)
    (grid,) = square_grids(42, 42, 3, sizes=(size,))
    base, (masked,) = PlainOccluder(network)(image, fill, [grid])
    window = (3, 42 // size, 42 // size)
    for target in range(4):
        theirs = Occlusion(network).attribute(
            image[None],
            window,
            strides=window,
            baselines=fill[None],
            target=target,
            perturbations_per_eval=64,
        )[0]
        ours = (base[target] - masked[:, target]).reshape(size, size)
        at_corners = theirs[:, :: window[1], :: window[2]]
        torch.testing.assert_close(ours.expand(3, -1, -1), at_corners, rtol=0, atol=1e-5)


def test_slits_of_single_channels_agree_with_captum(network, picture):
    from captum.attr import Occlusion

    image, fill = normalised(picture)
    grids = slit_grids(42, 42, 30, CHANNELS, minutes=(5,))[1:]
    base, masked = PlainOccluder(network)(image, fill, grids)
    window = (1, 42, 7)
    theirs = Occlusion(network).attribute(
        image[None], window, strides=window, baselines=fill[None], target=2
    )[0]
    ours = torch.stack([base[2] - cells[:, 2] for cells in masked])
    torch.testing.assert_close(ours, theirs[:, 0, ::7], rtol=0, atol=1e-5)


def test_every_cell_is_blanked_as_a_slice_is(picture):
    image, fill = normalised(picture)
    seen = []

    def network(images):
        seen.append(images.clone())
        return images.mean((2, 3))

    grids = (
        *square_grids(42, 42, 3, sizes=(5, 9)),
        *slit_grids(42, 42, 30, CHANNELS, minutes=(1, 5)),
    )
    base, masked = PlainOccluder(network, 50)(image, fill, grids)
    expected = [image]
    for grid in grids:
        for y0, y1, x0, x1 in grid.boxes:
            one = image.clone()
            for channel in np.flatnonzero(grid.channels):
                one[channel, y0:y1, x0:x1] = fill[channel, y0:y1, x0:x1]
            expected.append(one)
    assert torch.equal(torch.cat(seen), torch.stack(expected))
    assert [len(part) for part in masked] == [grid.cells for grid in grids]
    assert torch.equal(torch.cat([base[None], *masked]), torch.stack(expected).mean((2, 3)))


def test_the_eight_grids_of_the_paper_are_1737_images():
    batches = []

    def network(images):
        batches.append(len(images))
        return images[:, :, ::56, ::56].flatten(1).double()

    image, fill = torch.rand(1, 224, 224), torch.zeros(1, 224, 224)
    base, masked = PlainOccluder(network, 64)(image, fill, square_grids(224, 224, 1))
    assert sum(batches) == 1737
    assert max(batches) <= 64
    assert max(batches) - min(batches) <= 1
    assert {part.dtype for part in (base, *masked)} == {torch.float32}


def test_the_batch_size_changes_nothing(network, picture):
    image, fill = normalised(picture)
    grids = square_grids(42, 42, 3, sizes=(7, 9, 11))
    results = [
        torch.cat([base[None], *masked])
        for base, masked in (
            PlainOccluder(network, size)(image, fill, grids) for size in (1, 13, 64, 5000)
        )
    ]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-6)


def test_planted_evidence_is_found_with_its_sign_in_squares():
    def network(images):
        score = images[:, 0, 4:8, 20:24].mean((1, 2)) - images[:, 1, 30:34, 8:12].mean((1, 2))
        return torch.stack([-score, score, torch.zeros_like(score)], 1)

    image = np.full((3, 42, 42), 200, np.uint8)
    maps = explain(network, image, score="logit")
    for number, grid in enumerate(maps.grids):
        found = maps.of_grid(number)[0]
        for box, (for_one, for_two, for_none) in zip(grid.boxes, found.reshape(-1, 3), strict=True):
            helps = overlap(box, (4, 8, 20, 24)) / 16
            hurts = overlap(box, (30, 34, 8, 12)) / 16
            assert for_two == pytest.approx((helps - hurts) * 200 / 255, abs=1e-6)
            assert for_one == -for_two
            assert for_none == 0


def overlap(box, other):
    height = min(box[1], other[1]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[2], other[2])
    return max(height, 0) * max(width, 0)


def test_planted_evidence_is_found_in_its_channel_and_minutes():
    def network(images):
        ink = 1 - images
        # Ink in FHR between minutes 10 and 15 speaks for, ink in UC from 20 on against.
        score = ink[:, 0, :, 20:30].sum((1, 2)) - ink[:, 1, :, 40:].sum((1, 2))
        return torch.stack([torch.zeros_like(score), score], 1)

    image = np.full((3, 16, 60), 255, np.uint8)
    image[:, 8] = 0
    grids = slit_grids(16, 60, 30, CHANNELS, minutes=(5, 1))
    maps = explain(network, image, grids=grids, fill="white", score="log_odds")
    wide, narrow = [10.0, -20.0], [2.0] * 5 + [-2.0] * 10
    expected = {
        ("all", 6): [0, 0, wide[0], 0, -10, -10],
        ("all", 30): [0] * 10 + narrow[:5] + [0] * 5 + narrow[5:],
        ("fhr-10", 6): [0, 0, 10, 0, 0, 0],
        ("fhr-10", 30): [0] * 10 + [2] * 5 + [0] * 15,
        ("uc-none", 6): [0, 0, 0, 0, -10, -10],
        ("uc-none", 30): [0] * 20 + [-2] * 10,
        ("baseline-block10", 6): [0] * 6,
        ("baseline-block10", 30): [0] * 30,
    }
    for number, grid in enumerate(grids):
        found = maps.of_grid(number)[0, 0, :, 1]
        np.testing.assert_allclose(found, expected[grid.group, grid.columns], atol=1e-5)


def test_black_is_pixel_0_before_normalisation():
    seen = []

    def network(images):
        seen.append(images)
        return images.mean((2, 3))

    picture = np.full((2, 8, 8), 255, np.uint8)
    grids = square_grids(8, 8, 2, sizes=(2,))
    for fill, level in (("black", 0.0), ("white", 1.0)):
        seen.clear()
        differences_of(
            PlainOccluder(network), picture, grids, fill=fill, mean=(0.5, 0.2), std=(0.5, 0.1)
        )
        first = torch.cat(seen)[1, :, 0, 0]
        torch.testing.assert_close(
            first, torch.tensor([level - 0.5, level - 0.2]) / torch.tensor([0.5, 0.1])
        )


def test_fills_are_what_they_are_called():
    picture = np.random.default_rng(0).integers(0, 256, (2, 84, 105), np.uint8)
    fills = {name: fill_image(picture, name) for name in FILLS}
    assert all(fill.shape == picture.shape and fill.dtype == np.uint8 for fill in fills.values())
    assert not fills["black"].any()
    assert (fills["white"] == 255).all()
    for channel in range(2):
        assert (fills["mean"][channel] == round(picture[channel].mean())).all()
    # The blur against the definition of a Gaussian, away from the borders: 84 / 21 = 4 pixels.
    away = np.arange(-16, 17)
    weights = np.exp(-(away**2) / (2 * 4.0**2))
    around = picture[1, 42 - 16 : 42 + 17, 50 - 16 : 50 + 17]
    expected = weights @ around @ weights / weights.sum() ** 2
    assert abs(fills["blur"][1, 42, 50] - expected) <= 0.5 + 1e-6
    assert (fill_image(np.full((1, 30, 30), 77, np.uint8), "blur") == 77).all()
    with pytest.raises(InputError, match=r"'blakc'.*Did you mean 'black'"):
        fill_image(picture, "blakc")
    with pytest.raises(InputError, match="not normalised"):
        fill_image(picture.astype(np.float32))


def test_what_does_not_go_together_is_refused(picture):
    image, fill = normalised(picture)
    with pytest.raises(InputError, match="training mode"):
        PlainOccluder(nn.Sequential(nn.Dropout()))
    with pytest.raises(InputError, match=r"made for images of shape \(3, 40, 40\)"):
        PlainOccluder(nn.Identity().eval())(image, fill, square_grids(40, 40, 3, sizes=(2,)))
    grids = square_grids(42, 42, 3, sizes=(2,))
    with pytest.raises(InputError, match="fill of type torch"):
        PlainOccluder(nn.Identity().eval())(image, fill.double(), grids)
    with pytest.raises(InputError, match=r"array of shape \(5,\); expected \(images, classes\)"):
        PlainOccluder(lambda images: images.mean((1, 2, 3)))(image, fill, grids)
