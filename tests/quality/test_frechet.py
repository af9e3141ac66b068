"""Claims about Fréchet and kernel distances, against closed forms, scipy and torch-fidelity."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from fewcase.quality import kernel_distance as kernel_module
from fewcase.quality.frechet import (
    Gaussian,
    Moments,
    fit_gaussian,
    frechet_distance,
    moments_of,
)
from fewcase.quality.kernel_distance import default_subset_size, kernel_distance
from fewcase.study.errors import InputError


def rectified(count, width, seed, scale=1.0, shift=0.3, decay=0.5):
    """Features that are never negative, with a few strong directions, as networks have them."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width))
    strength = np.arange(1, width + 1) ** -decay
    hidden = (random.normal(size=(count, width)) * strength) @ mixing
    return np.maximum(scale * hidden + shift, 0).astype(np.float32)


def by_hand(first, second):
    """The formula of Dowson and Landau with scipy's matrix root."""
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    apart = first.mean(axis=0) - second.mean(axis=0)
    return apart @ apart + np.trace(a + b - 2 * sqrtm(a @ b).real)


def distance(first, second, **options):
    return frechet_distance(fit_gaussian(first, **options), fit_gaussian(second, **options))


def by_torch_fidelity(first, second):
    statistics = [fid_features_to_statistics(torch.from_numpy(side)) for side in (first, second)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def test_normal_distributions_of_known_distance():
    """Isotropic ones: |m|² + d (s₁ - s₂)²; commuting ones: sum of (√λ₁ - √λ₂)²."""
    zero, ahead = np.zeros(3), np.array([1.0, -2.0, 2.0])
    narrow = Gaussian(zero, 0.5 * np.eye(3), 0.75)
    wide = Gaussian(ahead, 2.0 * np.eye(3), 12.0)
    assert frechet_distance(narrow, wide) == pytest.approx(9 + 3 * 1.5**2, abs=1e-12)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    one, two = np.diag([1.0, 2.0, 3.0]) @ turn, np.diag([4.0, 0.0, 3.0]) @ turn
    gaussians = [Gaussian(zero, factor, float(np.vdot(factor, factor))) for factor in (one, two)]
    assert frechet_distance(*gaussians) == pytest.approx(9 + 4 + 0, abs=1e-12)


def test_two_sets_of_many_images_agree_with_the_matrix_root_of_scipy():
    first, second = rectified(400, 48, 1), rectified(300, 48, 2, scale=1.4, shift=0.5)
    expected = by_hand(first.astype(np.float64), second.astype(np.float64))
    assert distance(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(700, 500), (90, 120), (60, 600)])
def test_agreement_with_torch_fidelity(counts):
    first, second = rectified(counts[0], 256, 1), rectified(counts[1], 256, 2, scale=1.2)
    expected = by_torch_fidelity(first.astype(np.float64), second.astype(np.float64))
    assert distance(first, second) == pytest.approx(expected, rel=1e-4)


def test_few_images_of_many_features_have_the_distance_of_the_subspace_that_they_span():
    """A set in 12 dimensions, turned into 300: the covariance there is singular."""
    random = np.random.default_rng(0)
    first, second = random.normal(size=(90, 12)), 0.3 + 2 * random.normal(size=(70, 12))
    turn = np.linalg.qr(random.normal(size=(300, 12)))[0].T
    expected = by_hand(first, second)
    assert distance(first @ turn, second @ turn) == pytest.approx(expected, rel=1e-9)
    many = [np.tile(side, (5, 1)) for side in (first, second)]
    turned = distance(*(side @ turn for side in many))
    assert turned == pytest.approx(by_hand(*many), rel=1e-9)


def test_directions_that_only_one_set_has_add_all_their_variance():
    """Uncorrelated features, some of either set alone: each adds (s₁ - s₂)²."""
    random = np.random.default_rng(0)
    columns = np.linalg.qr(random.normal(size=(500, 160)))[0]
    columns -= columns.mean(axis=0)
    columns = np.linalg.qr(columns)[0] * np.sqrt(499)
    strength = 10.0 ** -np.arange(0, 8, 0.1)
    first, second = np.zeros((500, 120)), np.zeros((500, 120))
    first[:, :80] = columns[:, :80] * strength
    second[:, 40:] = columns[:, 80:160] * strength[::-1]
    roots = np.zeros((2, 120))
    roots[0, :80], roots[1, 40:] = strength, strength[::-1]
    assert distance(first, second) == pytest.approx(np.sum((roots[0] - roots[1]) ** 2), abs=1e-7)


def test_features_that_never_change_do_not_count():
    first, second = rectified(200, 16, 1), rectified(200, 16, 2, scale=1.3)
    dead = np.full((200, 5), 0.25, np.float32)
    padded = distance(np.hstack([first, dead]), np.hstack([second, dead]))
    assert padded == pytest.approx(distance(first, second), rel=1e-9)
    moved = distance(np.hstack([first, dead]), np.hstack([second, dead + 1]))
    assert moved == pytest.approx(distance(first, second) + 5, rel=1e-9)


@pytest.mark.parametrize("count", [40, 199, 800])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_equal_sets_are_at_distance_nought_in_whatever_order(count, offset):
    features = rectified(count, 200, 3, decay=2.0).astype(np.float64) + offset
    order = np.random.default_rng(0).permutation(count)
    assert distance(features, features) < 1e-6
    assert distance(features, features[order]) < 1e-6


def test_moments_do_not_depend_on_how_the_images_are_divided():
    features = rectified(501, 20, 0) + np.float32(1e4)
    whole = moments_of(features, chunk=64)
    merged = Moments(0, np.zeros(20), np.zeros((20, 20)))
    for part in np.array_split(features, [3, 100, 350, 500]):
        merged = merged.merged(moments_of(part))
    wide = features.astype(np.float64)
    for found in (whole, merged):
        assert found.count == 501
        np.testing.assert_allclose(found.mean, wide.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(found.covariance(), np.cov(wide, rowvar=False), atol=1e-9)
    with pytest.raises(ValueError, match="1 images have no covariance"):
        moments_of(features[:1]).covariance()


def test_more_noise_and_more_shift_are_farther():
    real = rectified(300, 32, 1)
    noises = [distance(real, real + np.float32(s) * rectified(300, 32, 5)) for s in (0.1, 0.3, 1)]
    assert noises == sorted(noises)
    assert distance(real, rectified(300, 32, 2)) < noises[-1]


def test_what_is_no_matrix_of_numbers_is_named():
    features = rectified(20, 8, 0)
    with pytest.raises(InputError, match=r"features: int64 \(20, 8\), expected floating-point"):
        moments_of(features.astype(np.int64))
    features[7, 2] = np.nan
    with pytest.raises(InputError, match="row 7 holds NaN or infinity"):
        moments_of(features)
    with pytest.raises(ValueError, match="8 and of 9 numbers"):
        distance(rectified(20, 8, 0), rectified(20, 9, 0))


def kernel_by_hand(first, second):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(first), len(second)
    within = kernel(first, first), kernel(second, second)
    return (
        (within[0].sum() - np.trace(within[0])) / (n * (n - 1))
        + (within[1].sum() - np.trace(within[1])) / (m * (m - 1))
        - 2 * kernel(first, second).mean()
    )


@pytest.mark.parametrize(("counts", "size"), [((150, 200), 100), ((900, 700), 60)])
def test_the_kernel_distance_is_that_of_torch_fidelity_on_the_same_draws(counts, size):
    """For few images of large subsets, and many images of small ones, whose ways differ."""
    first, second = rectified(counts[0], 64, 1), rectified(counts[1], 64, 2, scale=1.2)
    found = kernel_distance(first, second, subsets=20, subset_size=size, seed=7)
    sides = [torch.from_numpy(side.astype(np.float64)) for side in (first, second)]
    expected = kid_features_to_metric(
        *sides, kid_subsets=20, kid_subset_size=size, rng_seed=7, verbose=False
    )
    scale = expected["kernel_inception_distance_mean"]
    assert found.value == pytest.approx(scale, rel=1e-4)
    assert found.sd == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-3)
    assert found.subset_size == size


def test_the_whole_is_summed_in_parts_to_the_same(monkeypatch):
    first, second = (
        rectified(count, 16, count, scale=count / 150).astype(np.float64) for count in (150, 200)
    )
    at_once = kernel_distance(first, second, subsets=30, subset_size=100)
    monkeypatch.setattr(kernel_module, "_ENTRIES", 200 * 7)
    in_parts = kernel_distance(first, second, subsets=30, subset_size=100)
    assert in_parts.value == pytest.approx(at_once.value, rel=1e-9)


def test_a_subset_of_everything_gives_the_unbiased_estimate():
    first, second = rectified(80, 32, 1).astype(np.float64), rectified(80, 32, 2).astype(np.float64)
    found = kernel_distance(first, second, subset_size=80)
    assert found.value == pytest.approx(kernel_by_hand(first, second), rel=1e-9)
    assert found.sd == pytest.approx(0, abs=1e-12)


def test_the_kernel_distance_of_one_distribution_is_nought_on_average():
    values = [
        kernel_distance(rectified(60, 16, seed), rectified(60, 16, 1000 + seed), subsets=20).value
        for seed in range(60)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert min(values) < 0


def test_the_spread_over_halves_is_about_the_standard_error():
    """Of sets that differ, each drawn anew."""
    found = [
        kernel_distance(rectified(100, 16, seed), rectified(100, 16, 500 + seed, shift=0.8))
        for seed in range(60)
    ]
    error = np.std([each.value for each in found])
    assert 0.7 < np.mean([each.sd for each in found]) / error < 1.4


def test_subsets_are_of_a_thousand_or_half_of_the_smaller_set():
    assert default_subset_size(50_000, 5_000) == 1000
    assert default_subset_size(300, 1_000) == 150
    with pytest.raises(ValueError, match="subsets of 1 cannot be drawn from 3 and 9 images"):
        kernel_distance(rectified(3, 8, 0), rectified(9, 8, 1))
