"""Claims about the verdict on copies: generators that copy, and real images that do not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from fewcase.quality.closeness import SMALL, ImageSet, shrink
from fewcase.quality.memorisation import LEVEL, measure_memorisation

PROJECTION = np.random.default_rng(7).normal(size=(1024, 24))


def tissue(count, seed, size=32):
    """Blobs of several sizes."""
    noise = np.random.default_rng(seed).normal(size=(count, size, size))
    blobs = 4 * gaussian_filter(noise, (0, 2, 2)) + 10 * gaussian_filter(noise, (0, 5, 5))
    return (128 + 40 * blobs).clip(0, 255).astype(np.uint8)[:, None]


def as_set(images, **options):
    flat = images.reshape(len(images), 1024).astype(np.float32) / 255 - 0.5
    features = np.maximum(flat @ PROJECTION, 0).astype(np.float32)
    return ImageSet(features, shrink(images), **options)


def noisy(images, seed, levels=6):
    noise = np.random.default_rng(seed).normal(0, levels, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


TRAIN, VALIDATION, OTHERS = tissue(200, 0), tissue(40, 1), tissue(150, 2)


def copies_of_train(count, seed):
    chosen = np.random.default_rng(seed).integers(0, len(TRAIN), count)
    return noisy(TRAIN[chosen], seed), chosen


def measure(synthetic, validation=VALIDATION, train=TRAIN, **options):
    held_out = None if validation is None else as_set(validation)
    return measure_memorisation(as_set(train), as_set(synthetic), held_out, 0, **options)


def verdict(found):
    return found.summary.iloc[0]


def test_a_generator_of_the_same_distribution_copies_nothing():
    found = measure(OTHERS)
    summary = verdict(found)
    assert not summary["copies"]
    assert summary["why"] == ""
    for space in ("feature", "pixel"):
        assert summary[f"{space}_auc_low"] < 0.5 < summary[f"{space}_auc_high"]
        assert summary[f"{space}_median_ratio"] == pytest.approx(1, abs=0.15)
        assert summary[f"{space}_copy_share"] == summary[f"{space}_validation_copy_share"] == 0
    assert found.images["odd"].mean() < 0.1
    assert (summary["n_train"], summary["n_synthetic"], summary["n_validation"]) == (200, 150, 40)


def test_training_images_with_slight_noise_are_copies():
    images, chosen = copies_of_train(150, 3)
    found = measure(images)
    summary = verdict(found)
    assert summary["copies"]
    np.testing.assert_array_equal(found.images["feature_train_row"], chosen)
    np.testing.assert_array_equal(found.images["pixel_train_row"], chosen)
    assert found.images["copy"].all()
    assert summary["feature_auc"] == summary["pixel_auc"] == 1
    assert summary["feature_auc_p"] <= LEVEL / 4
    assert found.images["feature_copy"].mean() > 0.8
    assert "150 of 150 images are copies in pixel space" in summary["why"]


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_training_images_are_copies_too(turn, mirrored):
    images, chosen = copies_of_train(60, 4)
    images = np.rot90(images[..., ::-1] if mirrored else images, turn, axes=(2, 3))
    found = measure(images)
    assert verdict(found)["copies"]
    assert found.images["pixel_copy"].all()
    np.testing.assert_array_equal(found.images["pixel_train_row"], chosen)
    assert not found.images["feature_copy"].any()


def test_a_copy_is_one_in_other_brightness_and_contrast():
    images, chosen = copies_of_train(60, 4)
    found = measure((images * 0.6 + 70).astype(np.uint8))
    assert found.images["pixel_copy"].all()
    np.testing.assert_array_equal(found.images["pixel_train_row"], chosen)


def test_one_image_again_and_again_is_copied():
    summary = verdict(measure(noisy(np.repeat(TRAIN[:1], 100, axis=0), 5)))
    assert summary["copies"]
    # One image proves nothing by exchange, whose share in either set is a matter of chance.
    assert summary["feature_auc_p"] > 0.1


def test_some_copies_among_many_images_are_found():
    images, chosen = copies_of_train(12, 6)
    mixed = np.concatenate([tissue(288, 7), images])
    found = measure(mixed)
    assert verdict(found)["copies"]
    assert np.flatnonzero(found.images["copy"]).tolist() == list(range(288, 300))
    closest = found.closest_pairs(12)
    assert len(closest) == 24
    for space in ("feature", "pixel"):
        part = closest[closest["space"] == space]
        assert part["ratio"].is_monotonic_increasing
        assert set(part["synthetic"]) == set(range(288, 300))
        assert dict(zip(part["synthetic"], part["train_row"], strict=True)) == dict(
            zip(range(288, 300), chosen, strict=True)
        )


def test_without_validation_images_copies_are_found_all_the_same():
    found = measure(copies_of_train(60, 8)[0], validation=None)
    assert verdict(found)["copies"]
    assert "feature_auc" not in found.summary
    assert "feature_validation_row" not in found.images
    assert not verdict(measure(OTHERS, validation=None))["copies"]


def test_variations_of_training_images_are_nearer_to_them_than_to_others():
    """Half of each is another image: no copy by its ratio, but the rate gives it away."""
    images, _ = copies_of_train(150, 9)
    varied = (0.62 * images + 0.38 * tissue(150, 10)).astype(np.uint8)
    summary = verdict(measure(varied))
    assert summary["feature_copy_share"] < 0.05
    assert summary["feature_auc"] > 0.6
    assert summary["copies"]
    assert "nearer to training images" in summary["why"]


def test_unequal_sets_do_not_make_a_generator_seem_to_copy():
    """With ten times as many training images, nine in ten of the nearest are of these."""
    summary = verdict(measure(OTHERS, VALIDATION[:20]))
    nearer = measure(OTHERS, VALIDATION[:20]).images
    share = (nearer["feature_train_distance"] < nearer["feature_validation_distance"]).mean()
    assert share > 0.8
    assert abs(summary["feature_auc"] - 0.5) < 0.2
    assert summary["feature_auc_p"] > LEVEL


def test_distances_and_ratios_are_those_of_brute_force():
    train, fakes, others = as_set(TRAIN), as_set(OTHERS), as_set(VALIDATION)
    found = measure(OTHERS).images
    apart = cdist(fakes.features, train.features)
    own = cdist(train.features, train.features)
    np.fill_diagonal(own, np.inf)
    rows = apart.argmin(axis=1)
    np.testing.assert_array_equal(found["feature_train_row"], rows)
    np.testing.assert_allclose(found["feature_train_distance"], apart.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        found["feature_ratio"], apart.min(axis=1) / own.min(axis=1)[rows], rtol=1e-6
    )
    held_out = cdist(fakes.features, others.features)
    np.testing.assert_array_equal(found["feature_validation_row"], held_out.argmin(axis=1))
    turned = np.min(
        [
            cdist(np.rot90(start, turn, axes=(1, 2)).reshape(150, -1), train.small.reshape(200, -1))
            for start in (fakes.small, fakes.small[:, :, ::-1])
            for turn in range(4)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found["pixel_train_distance"], turned.min(axis=1), rtol=1e-5)
    nearer = (apart.min(axis=1) < held_out.min(axis=1)).mean()
    rates = nearer / 200, (1 - nearer) / 40
    summary = verdict(measure(OTHERS))
    assert summary["feature_auc"] == pytest.approx(rates[0] / sum(rates))


def test_images_of_a_patient_do_not_count_as_proof_of_how_close_images_come():
    """Each patient has eight tiles that are nearly alike; the fakes are of other patients."""

    def tiles(patients, seed):
        return noisy(np.repeat(tissue(patients, seed), 8, axis=0), seed + 100, levels=12)

    train, validation, others = tiles(30, 0), tiles(8, 1), tissue(100, 2)
    known = as_set(train, patients=np.repeat(np.arange(30), 8))
    held_out = as_set(validation, patients=np.repeat(np.arange(8), 8))
    found = measure_memorisation(known, as_set(others), held_out, 0)
    assert not verdict(found)["copies"]
    # Nor are those of other patients odd for being farther away than a patient's own.
    assert found.images["odd"].mean() < 0.2
    copied = measure_memorisation(known, as_set(noisy(train[::3], 9, levels=3)), held_out, 0)
    assert verdict(copied)["copies"]


def test_rows_are_called_as_the_image_store_calls_them():
    train = as_set(TRAIN, rows=np.arange(200) * 10 + 5)
    images, chosen = copies_of_train(20, 3)
    names = np.arange(20) + 1000
    found = measure_memorisation(train, as_set(images, rows=names), None, 0).images
    np.testing.assert_array_equal(found["feature_train_row"], chosen * 10 + 5)
    np.testing.assert_array_equal(found["synthetic"], names)


def test_odd_images_are_farther_away_than_real_ones():
    strange = np.random.default_rng(0).integers(0, 256, (30, 1, 32, 32)).astype(np.uint8)
    strange[:, :, 16:] = 255
    assert measure(strange).images["odd"].mean() > 0.8


def test_copies_among_training_images_do_not_blind_the_verdict():
    """A tenth of the training images stand there twice; the fakes are copies of the others."""
    train = np.concatenate([TRAIN[:180], TRAIN[:20]])
    images = noisy(TRAIN[100:160], 3)
    assert verdict(measure(images, validation=None, train=train))["copies"]
    assert not verdict(measure(OTHERS, validation=None, train=train))["copies"]


def test_copies_are_held_against_a_generator_only_beyond_those_among_real_images():
    """An eighth of the held-out images stand in the training set as well: the cohort repeats."""
    repeated = np.concatenate([VALIDATION[:35], noisy(TRAIN[:5], 4)])
    as_many = np.concatenate([OTHERS[:130], copies_of_train(20, 5)[0]])
    summary = verdict(measure(as_many, repeated))
    assert summary["pixel_validation_copy_share"] == 5 / 40
    assert summary["pixel_copy_share"] == pytest.approx(20 / 150)
    assert not summary["copies"]
    more = np.concatenate([OTHERS[:60], copies_of_train(90, 5)[0]])
    assert verdict(measure(more, repeated))["copies"]


def test_held_out_images_are_said_to_be_copies_as_rarely_as_stated():
    """In three dimensions, where a small set comes close by chance most easily."""
    random = np.random.default_rng(0)
    patterns = random.normal(size=(3, SMALL, SMALL))

    def images(count):
        hidden = random.normal(size=(count, 3))
        small = np.tensordot(hidden, patterns, 1) + 0.3 * random.normal(size=(count, SMALL, SMALL))
        small /= np.linalg.norm(small, axis=(1, 2), keepdims=True)
        return ImageSet(hidden, small.astype(np.float32))

    found = [
        verdict(measure_memorisation(images(50), images(60), images(25), seed))
        for seed in range(40)
    ]
    assert sum(summary["copies"] for summary in found) <= 2
    # The exchange is exact: a tenth at a level of a tenth, give or take its error.
    for space in ("feature", "pixel"):
        assert sum(summary[f"{space}_auc_p"] <= 0.1 for summary in found) <= 9


def test_shrunk_images_are_compared_by_their_correlation():
    images = np.concatenate([tissue(1, 0, 96), tissue(1, 1, 96)])
    small = shrink(images)
    assert small.shape == (2, SMALL, SMALL)
    flat = small.reshape(2, -1)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), 1, rtol=1e-5)
    colours = shrink(np.repeat(images, 3, axis=1))
    np.testing.assert_allclose(colours, small, atol=1e-5)
    brighter = shrink((images * 0.5 + 100).astype(np.uint8))
    assert (np.sum(brighter * small, axis=(1, 2)) > 0.99).all()
    assert np.corrcoef(flat)[0, 1] == pytest.approx(flat[0] @ flat[1], abs=1e-3)
    blank = shrink(noisy(np.full((1, 1, 96, 96), 240, np.uint8), 0, levels=1))
    assert np.linalg.norm(blank) < 0.5
    assert shrink(images[:0]).shape == (0, SMALL, SMALL)


def test_sets_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="2 training and 150 synthetic images"):
        measure(OTHERS, train=TRAIN[:2])
    with pytest.raises(ValueError, match="200 training and 0 synthetic images"):
        measure(OTHERS[:0])
    with pytest.raises(ValueError, match="2 features, but 3 of small"):
        ImageSet(np.zeros((2, 1)), np.zeros((3, SMALL, SMALL), np.float32))
