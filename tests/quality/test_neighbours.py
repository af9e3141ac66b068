"""Claims about neighbours and manifolds, against scikit-learn, prdc, torch-fidelity and by plan."""

import contextlib
import io

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from sklearn.neighbors import NearestNeighbors
from torch_fidelity.metric_prc import prc_features_to_metric

from fewcase.quality import distances
from fewcase.quality.distances import Pairs
from fewcase.quality.manifolds import Manifolds, compare_manifolds
from fewcase.quality.neighbours import apart, nearest
from fewcase.study.errors import InputError


def normal(count, width, seed, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(dtype)


def by_prdc(real, synthetic, precision_neighbours=3, density_neighbours=5):
    with contextlib.redirect_stdout(io.StringIO()):
        three = compute_prdc(real, synthetic, precision_neighbours)
        five = compute_prdc(real, synthetic, density_neighbours)
    return Manifolds(three["precision"], three["recall"], five["density"], five["coverage"])


def assert_same(found, expected):
    for measure in ("precision", "recall", "density", "coverage"):
        assert getattr(found, measure) == pytest.approx(getattr(expected, measure), abs=1e-4)


def small_blocks(monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 17)
    monkeypatch.setattr(distances, "_CPU_ENTRIES", 17 * 23)
    monkeypatch.setattr(distances, "_EXACT_NUMBERS", 50)


@pytest.mark.parametrize(("width", "offset"), [(3, 0.0), (64, 0.0), (64, 1e4), (700, -50.0)])
def test_neighbours_are_those_of_scikit_learn(width, offset):
    queries, points = normal(60, width, 1) + offset, normal(250, width, 2) + offset
    found = nearest(queries, points, 4)
    wide = [side.astype(np.float64) - offset for side in (queries, points)]
    expected = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(wide[1])
    sizes, rows = expected.kneighbors(wide[0])
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, sizes, rtol=1e-9)


def test_blocks_of_any_size_give_the_same_neighbours_and_manifolds(monkeypatch):
    real, synthetic = normal(70, 8, 1), normal(90, 8, 2)
    before = nearest(real, synthetic, 3), compare_manifolds(real, synthetic)
    small_blocks(monkeypatch)
    after = nearest(real, synthetic, 3), compare_manifolds(real, synthetic)
    np.testing.assert_array_equal(before[0].rows, after[0].rows)
    np.testing.assert_array_equal(before[0].distances, after[0].distances)
    assert before[1] == after[1]


def test_a_copy_is_at_distance_nought_however_far_from_the_origin():
    points = normal(300, 40, 0) + np.float32(1e5)
    copies = points[[7, 250, 31]]
    found = nearest(copies, points, 2)
    assert found.rows[:, 0].tolist() == [7, 250, 31]
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, 1] > 1).all()


def test_near_copies_are_told_apart_where_float32_products_cannot():
    """Steps of a millionth of the features' size; the product form is off by far more."""
    points = np.tile(normal(1, 512, 0), (40, 1))
    points[:, 0] += np.arange(40, dtype=np.float32) * 1e-5
    others = normal(400, 512, 1)
    found = nearest(points, np.vstack([points, others]), 4, groups=(np.arange(40), np.arange(440)))
    expected = NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(points.astype(np.float64))
    sizes, _ = expected.kneighbors(points.astype(np.float64))
    np.testing.assert_allclose(found.distances, sizes[:, 1:], rtol=1e-6)
    # Those beside it, except at the ends.
    assert set(found.rows[20, :2]) == {19, 21}


def test_equally_near_points_come_in_the_order_of_their_rows():
    points = np.array([[2.0], [0.0], [2.0], [0.0], [9.0]])
    found = nearest(np.array([[1.0]]), points, 5)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4]]
    assert found.distances.tolist() == [[1, 1, 1, 1, 8]]


def test_points_of_the_own_group_do_not_count():
    points = normal(120, 6, 0)
    patients = np.repeat(np.arange(12), 10)
    found = nearest(points, points, 3, groups=(patients, patients))
    apart_from_all = np.linalg.norm(
        points[:, None].astype(np.float64) - points[None].astype(np.float64), axis=2
    )
    apart_from_all[patients[:, None] == patients[None]] = np.inf
    np.testing.assert_array_equal(found.rows, np.argsort(apart_from_all, axis=1)[:, :3])
    alone = nearest(points, points, 1, groups=(np.zeros(120, int), np.zeros(120, int)))
    assert np.isinf(alone.distances).all()
    assert (alone.rows == -1).all()


def test_fewer_points_than_asked_for_leave_the_rest_open():
    found = nearest(np.zeros((2, 1)), np.array([[3.0], [1.0]]), 4)
    assert found.rows.tolist() == [[1, 0, -1, -1]] * 2
    assert found.distances.tolist() == [[1, 3, np.inf, np.inf]] * 2
    assert nearest(np.zeros((2, 1)), np.zeros((0, 1)), 1).rows.tolist() == [[-1], [-1]]
    assert nearest(np.zeros((0, 1)), np.zeros((3, 1)), 2).rows.shape == (0, 2)


def test_the_own_row_alone_is_left_out_not_its_copies():
    points = np.array([[0.0], [0.0], [5.0]])
    found = nearest(points, points, 1, groups=apart(3))
    assert found.rows[:, 0].tolist() == [1, 0, 0]
    assert found.distances[:, 0].tolist() == [0, 0, 5]


def test_bounds_hold_the_true_distance_and_blocks_stay_small():
    first, second = torch.from_numpy(normal(50, 300, 0) + 30), torch.from_numpy(normal(80, 300, 1))
    second[:20] *= 1e3
    pairs = Pairs(first, second)
    true = (first.double()[:, None] - second.double()[None]).square().sum(dim=2)
    for dtype, widest in ((torch.float32, 1e-4), (torch.float64, 1e-12)):
        (block,) = pairs.blocks(slice(0, 50), dtype)
        slack = block.row_slack[:, None] + block.column_slack
        assert (block.lower.double() <= true).all()
        assert (block.lower.double() + slack.double() >= true).all()
        assert (slack <= widest * true * 2).all()
    away = Pairs(first[:, :100] + 1000, second[20:, :100] + 1000)
    (block,) = away.blocks(slice(0, 50))
    true = (away.first.double()[:, None] - away.second.double()[None]).square().sum(dim=2)
    assert (block.row_slack[:, None] + block.column_slack <= 1e-4 * true).all()
    many = Pairs(torch.zeros(3000, 1), torch.zeros(50_000, 1))
    sizes = [block.lower.numel() for block in many.blocks(next(many.row_slices()))]
    assert max(sizes) <= 1 << 22
    assert sum(sizes) == 2048 * 50_000


@pytest.mark.parametrize("width", [2, 16, 300])
@pytest.mark.parametrize("counts", [(200, 200), (150, 60), (30, 260)])
def test_manifolds_are_those_of_prdc(width, counts):
    real, synthetic = normal(counts[0], width, 1), 0.8 * normal(counts[1], width, 2) + 0.1
    assert_same(compare_manifolds(real, synthetic), by_prdc(real, synthetic))
    swapped = compare_manifolds(real, synthetic, precision_neighbours=5, density_neighbours=2)
    assert_same(swapped, by_prdc(real, synthetic, 5, 2))


def test_copies_among_the_sets_count_as_in_prdc():
    """On whole numbers, where prdc's distances are exact: there are ties and radii of nought."""
    random = np.random.default_rng(0)
    real = random.integers(0, 3, (150, 4)).astype(np.float32)
    synthetic = np.vstack([real[:50], random.integers(0, 4, (100, 4)).astype(np.float32)])
    assert_same(compare_manifolds(real, synthetic), by_prdc(real, synthetic))


def test_features_far_from_the_origin_count_as_those_around_it():
    real, synthetic = normal(150, 100, 1, np.float64), normal(120, 100, 2, np.float64)
    synthetic[:30] = real[:30]
    # Rounded to a grid that float32 holds at the offset too.
    near = [np.round(side * 64) / 64 for side in (real, synthetic)]
    far = [(side + 1000).astype(np.float32) for side in near]
    around = compare_manifolds(*near)
    assert compare_manifolds(*far) == around
    assert_same(around, by_prdc(*near))


def test_a_surface_counts_as_inside_only_where_asked():
    """Whole numbers on a line: neighbours at 1 and 2, so that all radii are met by ties."""
    real = np.arange(0, 40, 2, dtype=np.float32)[:, None]
    ends = np.array([[-2.0], [40.0], [-2.0], [40.0]], np.float32)
    strict = compare_manifolds(real, ends, precision_neighbours=1, density_neighbours=1)
    inclusive = compare_manifolds(
        real, ends, precision_neighbours=1, density_neighbours=1, inclusive=True
    )
    assert (strict.precision, strict.density, strict.coverage) == (0, 0, 0)
    assert (inclusive.precision, inclusive.density) == (1, 1)
    assert inclusive.coverage == pytest.approx(2 / 20)


def test_a_tie_is_one_though_its_sums_round_otherwise():
    """The same coordinates in another order are as far from the origin."""
    random = np.random.default_rng(0)
    differ = 0
    for _ in range(40):
        place = random.normal(size=37)
        neighbour, other = random.permutation(place), random.permutation(place)
        differ += np.sum(neighbour**2) != np.sum(other**2)
        real = np.stack([np.zeros(37), neighbour])
        for inclusive in (False, True):
            found = compare_manifolds(
                real,
                np.stack([other, other + 1000]),
                precision_neighbours=1,
                density_neighbours=1,
                inclusive=inclusive,
            )
            # Of the ball around the origin; that around the neighbour is as wide.
            reached = np.sum((other - neighbour) ** 2) < np.sum(place**2)
            assert found.density * 2 == reached + inclusive
    assert differ > 5


def test_with_surfaces_precision_and_recall_are_those_of_torch_fidelity():
    random = np.random.default_rng(0)
    real = random.integers(0, 5, (200, 4)).astype(np.float32)
    synthetic = random.integers(0, 6, (180, 4)).astype(np.float32)
    found = compare_manifolds(real, synthetic, inclusive=True)
    expected = prc_features_to_metric(
        torch.from_numpy(synthetic).double(),
        torch.from_numpy(real).double(),
        prc_neighborhood=3,
        prc_batch_size=10000,
        save_cpu_ram=False,
        verbose=False,
    )
    assert found.precision == pytest.approx(expected["precision"], abs=1e-6)
    assert found.recall == pytest.approx(expected["recall"], abs=1e-6)
    strict = compare_manifolds(real, synthetic)
    assert strict.precision < found.precision
    assert strict.recall < found.recall


def test_a_collapsed_generator_has_no_recall():
    """All its images are one: every radius is nought, and every comparison a tie."""
    real = normal(400, 64, 0)
    collapsed = np.repeat(real.mean(axis=0, keepdims=True), 300, axis=0)
    found = compare_manifolds(real, collapsed)
    assert (found.recall, found.precision) == (0, 1)
    almost = compare_manifolds(real, collapsed + 1e-7 * normal(300, 64, 1))
    assert (almost.recall, almost.precision) == (0, 1)
    twins = np.vstack([real, collapsed[:100]])
    assert compare_manifolds(twins, collapsed).recall == 0
    assert compare_manifolds(twins, collapsed, inclusive=True).recall == pytest.approx(0.2)
    # Copies of a real image cover its own ball and those that it lies in.
    copied = compare_manifolds(real, np.repeat(real[:1], 300, axis=0))
    assert copied.precision == 1
    assert copied.coverage <= 20 / 400


def modes(count, kinds, seed):
    random = np.random.default_rng(seed)
    return (10 * random.integers(0, kinds, (count, 1)) + random.normal(size=(count, 4))).astype(
        np.float32
    )


def test_a_dropped_mode_lowers_recall_and_coverage_and_not_precision():
    real = modes(600, 4, 0)
    whole, dropped = (compare_manifolds(real, modes(600, kinds, 1)) for kinds in (4, 2))
    assert dropped.recall < 0.6 * whole.recall
    assert dropped.coverage < 0.6 * whole.coverage
    assert dropped.precision > whole.precision - 0.05
    assert dropped.density > whole.density - 0.1


def test_an_outlier_among_real_images_lifts_precision_and_hardly_density():
    """Its ball reaches all over: poor images fall into it (Naeem et al. 2020)."""
    real, poor = normal(400, 8, 0), normal(400, 8, 1) + 12
    outlier = np.full((1, 8), 40.0, np.float32)
    before = compare_manifolds(real, poor)
    after = compare_manifolds(np.vstack([real, outlier]), poor)
    assert (before.precision, before.density) == (0, 0)
    assert after.precision == 1
    assert after.density == pytest.approx(1 / 5)
    assert after.coverage == pytest.approx(1 / 401)


def test_sets_of_one_distribution_have_density_and_coverage_of_about_one():
    found = compare_manifolds(normal(800, 6, 0), normal(800, 6, 1))
    assert found.density == pytest.approx(1, abs=0.1)
    # 1 - 2^-k for k = 5.
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.03)


def test_too_few_images_and_features_of_other_length_are_refused():
    with pytest.raises(ValueError, match="5 real images have no neighbour number 5"):
        compare_manifolds(normal(5, 2, 0), normal(9, 2, 1))
    with pytest.raises(ValueError, match="3 synthetic images have no neighbour number 3"):
        compare_manifolds(normal(9, 2, 0), normal(3, 2, 1))
    with pytest.raises(ValueError, match="2 and of 3 numbers"):
        compare_manifolds(normal(9, 2, 0), normal(9, 3, 1))
    bad = normal(9, 2, 0)
    bad[4, 1] = np.inf
    with pytest.raises(InputError, match="synthetic features: row 4 holds NaN or infinity"):
        compare_manifolds(normal(9, 2, 0), bad)
