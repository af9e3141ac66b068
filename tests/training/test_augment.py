"""CutOut and CutMix against slow references that go through a batch image by image."""

import numpy as np
import pytest
import torch
from scipy import stats

from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.training.augment import (
    augment,
    augmentation_of,
    cut_out,
    draw_box,
    draw_partners,
)

WHITE = torch.tensor([0.8, 1.3, 2.1])
SHAPES = [(6, 3, 16, 16), (5, 3, 15, 17), (2, 3, 9, 32)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(shape, seed=0):
    return torch.rand(shape, generator=seeded(seed + 100)) - 5


def run(kind, images, seed=0, sites=None, **factors):
    labels = torch.arange(len(images))
    sites = torch.zeros_like(labels) if sites is None else sites
    recipe = Recipe(augment=kind, **{"augment_probability": 1.0, **factors})
    policy = augmentation_of(recipe, window_minutes=30)
    return augment(images, labels, sites, policy, WHITE, seeded(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full_height", [False, True])
@pytest.mark.parametrize("box", [(6, 6), (7, 3), (40, 40), (0, 5), (1, 1)])
def test_cutout_does_what_a_loop_over_images_does(shape, full_height, box):
    images = some_images(shape)
    result = cut_out(images, box, WHITE, seeded(), full_height)
    generator = seeded()
    batch, _, height, width = shape
    rows = torch.randint(height, (batch, 1), generator=generator)
    columns = torch.randint(width, (batch, 1), generator=generator)
    expected = images.clone()
    for i in range(batch):
        top, left = int(rows[i]) - box[0] // 2, int(columns[i]) - box[1] // 2
        for y in range(height):
            for x in range(width):
                inside = full_height or top <= y < top + box[0]
                if inside and left <= x < left + box[1]:
                    expected[i, :, y, x] = WHITE
    assert torch.equal(result, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["cutmix", "slit_cutmix"])
def test_cutmix_pastes_one_box_from_each_partner_and_shares_labels_by_its_exact_area(shape, kind):
    images = some_images(shape)
    _, _, height, width = shape
    for seed in range(60):
        batch = run(kind, images, seed)
        partners = batch.labels_b
        assert sorted(partners.tolist()) == list(range(len(images)))
        others = (partners != batch.labels_a).nonzero().flatten().tolist()
        if not others:
            continue
        moved = others[0]
        changed = batch.images[moved] != images[moved]
        rows = changed.any(0).any(1).nonzero().flatten().tolist()
        columns = changed.any(0).any(0).nonzero().flatten().tolist()
        expected = images.clone()
        for i in range(len(images)):
            for y in rows:
                for x in columns:
                    expected[i, :, y, x] = images[int(partners[i]), :, y, x]
        assert torch.equal(batch.images, expected)
        area = len(rows) * len(columns)
        assert batch.share.tolist() == pytest.approx([1 - area / (height * width)] * len(images))
        if kind == "slit_cutmix" and columns:
            assert rows == list(range(height))


@pytest.mark.parametrize("kind", ["slit_cutout", "slit_cutmix"])
def test_a_slit_takes_the_same_columns_of_all_channels_at_full_height(kind):
    images = some_images((6, 3, 24, 24))
    for seed in range(20):
        changed = run(kind, images, seed).images != images
        for image in changed:
            columns = image.any(0).any(0)
            assert torch.equal(image, columns.expand_as(image))


def test_cutout_fills_each_channel_with_its_white_and_leaves_labels_alone():
    images = some_images((4, 3, 16, 16))
    batch = run("cutout", images)
    filled = batch.images[batch.images != images]
    assert set(filled.tolist()) <= set(WHITE.tolist())
    assert torch.equal(batch.labels_a, batch.labels_b)
    assert batch.share.tolist() == [1.0] * 4


def test_each_image_of_a_batch_has_its_own_cutout():
    images = torch.zeros(64, 3, 32, 32)
    masks = (run("cutout", images).images != 0).any(1).flatten(1)
    assert len({tuple(mask.tolist()) for mask in masks}) > 50


def test_the_slit_has_the_square_s_area_or_the_minutes_asked_for():
    images = torch.zeros(200, 3, 32, 60)

    def widest(**factors):
        return int((run("slit_cutout", images, **factors).images[:, 0, 0] != 0).sum(1).max())

    assert widest(cutout_side=0.5) == round(16 * 16 / 32)
    assert widest(slit_minutes=7.5) == 15


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_share_of_the_slit_follows_the_beta_distribution(alpha):
    """Boxes wholly inside a very wide image: their width is W·(1−λ), to the pixel."""
    width, generator = 10**9, seeded()
    boxes = [draw_box(4, width, alpha, True, generator) for _ in range(4000)]
    inside = [(r - left) / width for _, _, left, r in boxes if left > 0 and r < width]
    # A box of share s is wholly inside with probability 1−s, which makes Beta(a, a) Beta(a, a+1).
    assert stats.kstest(inside, stats.beta(alpha, alpha + 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("slit", [False, True])
def test_the_pasted_area_has_the_mean_of_clipped_boxes(slit):
    generator, height, width = seeded(), 48, 64
    boxes = [draw_box(height, width, 1.0, slit, generator) for _ in range(5000)]
    areas = [(b - t) * (r - left) / (height * width) for t, b, left, r in boxes]
    share = np.random.default_rng(0).random(400_000)
    centre = np.random.default_rng(1).random((2, 400_000))
    side = share if slit else np.sqrt(share)
    lengths = [
        np.minimum(place + side / 2, 1) - np.maximum(place - side / 2, 0) for place in centre
    ]
    expected = (lengths[0] if slit else lengths[0] * lengths[1]).mean()
    assert np.mean(areas) == pytest.approx(expected, abs=0.015)


def test_a_box_never_leaves_the_image():
    generator = seeded()
    for height, width in [(1, 1), (7, 13), (224, 224)]:
        for slit in (False, True):
            for _ in range(300):
                top, bottom, left, right = draw_box(height, width, 0.5, slit, generator)
                assert 0 <= top <= bottom <= height
                assert 0 <= left <= right <= width


def test_partners_within_a_site_are_of_that_site_and_each_is_used_once():
    sites = torch.tensor([2, 0, 1, 0, 2, 2, 0, 1, 5])
    seen = set()
    for seed in range(50):
        partners = draw_partners(sites, True, seeded(seed))
        assert sorted(partners.tolist()) == list(range(9))
        assert torch.equal(sites[partners], sites)
        seen.add(tuple(partners.tolist()))
    assert len(seen) > 25
    assert any(
        not torch.equal(sites[draw_partners(sites, False, seeded(s))], sites) for s in (0, 1)
    )


def test_the_permutation_within_a_site_is_uniform():
    sites = torch.tensor([0, 1, 0, 1, 0])
    generator, counts = seeded(), {}
    for _ in range(3000):
        partners = draw_partners(sites, True, generator)
        drawn = tuple(partners[sites == 0].tolist())
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["cutout", "slit_cutout", "cutmix", "slit_cutmix"])
def test_the_same_generator_gives_the_same_batch_and_another_seed_another(kind):
    images = some_images((8, 3, 16, 16))
    first, again, other = run(kind, images, 4), run(kind, images, 4), run(kind, images, 5)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.images, other.images)


@pytest.mark.parametrize("kind", ["none", "cutout", "slit_cutout", "cutmix", "slit_cutmix"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_type_shape_and_the_images_passed_in_are_kept(kind, dtype):
    images = some_images((5, 3, 12, 20)).to(dtype)
    before = images.clone()
    batch = run(kind, images)
    assert batch.images.dtype == dtype
    assert batch.images.shape == images.shape
    assert batch.share.shape == (5,)
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", ["cutout", "slit_cutout", "cutmix", "slit_cutmix"])
def test_augmentation_stays_on_the_device_of_the_images(kind):
    images = torch.empty(4, 3, 16, 16, device="meta")
    labels = torch.empty(4, dtype=torch.int64, device="meta")
    policy = augmentation_of(Recipe(augment=kind, augment_probability=1.0), None)
    batch = augment(images, labels, labels, policy, torch.empty(3, device="meta"), seeded())
    assert {tensor.device.type for tensor in batch} == {"meta"}


def test_the_share_of_augmented_batches_is_the_probability():
    images = some_images((4, 3, 16, 16))
    generator = seeded()
    policy = augmentation_of(Recipe(augment="cutmix"), None)
    assert policy.probability == 0.5
    labels = torch.arange(4)
    changed = [
        not torch.equal(augment(images, labels, labels, policy, WHITE, generator).images, images)
        for _ in range(2000)
    ]
    # A box of no pixel or of no partner changes nothing, which happens to few.
    assert 0.42 < np.mean(changed) < 0.53
    assert augmentation_of(Recipe(augment="slit_cutout"), None).probability == 1.0
    assert augmentation_of(Recipe(augment="cutout", augment_probability=0.0), None).probability == 0


def test_a_slit_longer_than_the_window_is_refused():
    with pytest.raises(InputError, match="slit_minutes"):
        augmentation_of(Recipe(augment="slit_cutout", slit_minutes=31.0), 30.0)
    with pytest.raises(InputError, match="slit_minutes"):
        augmentation_of(Recipe(augment="slit_cutout", slit_minutes=5.0), None)
