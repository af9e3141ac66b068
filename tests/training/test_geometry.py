"""Images and masks moved together, against scipy, and what must stay as it is."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from fewcase.training.geometry import draw_affine, move_together

FILL = torch.tensor([-1.0, 2.0])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made_up(count=6, height=24, width=36):
    """Smooth images of two channels and a blob in each as mask."""
    noise = torch.randn(count, 2, height, width, generator=generator(9)).numpy()
    images = torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 1, 1)))
    return images, (images[:, :1] > 0).float()


def move(images, masks, seed=0, shift=0.0, degrees=0.0, zoom=0.0, fill=FILL):
    return move_together(
        images, masks, shift=shift, degrees=degrees, zoom=zoom, generator=generator(seed), fill=fill
    )


def by_scipy(image, channel_fill, draws, shift, degrees, zoom):
    """Scale and turn about the centre, then shift, in pixels, with scipy's own interpolation."""
    across, down, turn, scale = draws
    height, width = image.shape
    angle, factor = turn * math.radians(degrees), 1 + scale * zoom
    # Rows and columns here: y goes down, so a positive angle turns x towards y.
    forward = factor * np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    back = np.linalg.inv(forward)
    centre = (np.array([height, width]) - 1) / 2
    shifted = np.array([down * shift * height, across * shift * width])
    offset = centre - back @ (centre + shifted)
    return ndimage.affine_transform(
        image, back, offset, order=1, mode="grid-constant", cval=channel_fill
    )


@pytest.mark.parametrize(
    "ranges",
    [
        {"shift": 0.3},
        {"degrees": 40.0},
        {"zoom": 0.4},
        {"shift": 0.2, "degrees": 170.0, "zoom": 0.3},
    ],
)
def test_images_and_masks_move_as_scipy_moves_them(ranges):
    images, masks = made_up()
    moved, moved_masks = move(images, masks, seed=3, **ranges)
    draws = 2 * torch.rand(4, len(images), generator=generator(3), dtype=torch.float64) - 1
    ranges = {"shift": 0.0, "degrees": 0.0, "zoom": 0.0, **ranges}
    for i, drawn in enumerate(draws.T.tolist()):
        for channel in range(2):
            expected = by_scipy(
                images[i, channel].double().numpy(), FILL[channel].item(), drawn, **ranges
            )
            np.testing.assert_allclose(moved[i, channel].numpy(), expected, atol=2e-4)
        share = by_scipy(masks[i, 0].double().numpy(), 0.0, drawn, **ranges)
        clear = abs(share - 0.5) > 1e-4
        np.testing.assert_array_equal(moved_masks[i, 0].numpy()[clear], (share >= 0.5)[clear])
        assert clear.mean() > 0.95


def test_a_mask_stays_on_what_it_outlines():
    """A white square in black: after any move, mask and what is whiter than half agree."""
    square = torch.zeros(40, 1, 64, 64)
    square[:, :, 20:44, 18:40] = 1
    moved, masks = move(
        square, square, shift=0.3, degrees=180.0, zoom=0.5, fill=torch.tensor([0.0])
    )
    assert torch.equal(masks, (moved >= 0.5).float())
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert len(torch.unique(masks.flatten(1), dim=0)) == 40


def test_without_ranges_nothing_is_drawn_and_every_bit_stays():
    images, masks = made_up()
    source = generator()
    before = source.get_state()
    found = move_together(images, masks, shift=0, degrees=0, zoom=0, generator=source, fill=FILL)
    assert found[0] is images
    assert found[1] is masks
    assert torch.equal(source.get_state(), before)


def test_the_same_seed_moves_the_same_and_masks_change_nothing_of_it():
    images, masks = made_up()
    ranges = {"shift": 0.1, "degrees": 10.0, "zoom": 0.1}
    first, second = move(images, masks, 5, **ranges), move(images, None, 5, **ranges)
    assert torch.equal(first[0], second[0])
    assert second[1] is None
    assert not torch.equal(first[0], move(images, None, 6, **ranges)[0])
    last = images.contiguous(memory_format=torch.channels_last)
    moved = move(last, None, 5, **ranges)[0]
    assert moved.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved, first[0])


def test_draws_spread_evenly_over_their_ranges():
    back = draw_affine(4000, (32, 32), 0.1, 20.0, 0.25, generator())
    turned, offset = back[:, :, :2], back[:, :, 2]
    factor = turned.det().rsqrt()
    angle = torch.rad2deg(torch.atan2(turned[:, 0, 1], turned[:, 0, 0]))
    shift = torch.linalg.solve(turned, offset) / 2
    for drawn, low, high in ((factor, 0.75, 1.25), (angle, -20, 20), (shift, -0.1, 0.1)):
        assert low <= drawn.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
