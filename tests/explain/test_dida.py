"""Differences, brightness and mixing, against direct evaluations of what the paper says."""

import decimal
import doctest

import numpy as np
import pytest
import torch
from scipy.special import logit

from fewcase.explain import any_network
from fewcase.explain.any_network import explain
from fewcase.explain.dida import (
    LEAST_SCALE,
    brightness,
    brightness_scale,
    differences,
    grid_map,
    mixed_map,
    scores_of,
)
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.study.errors import InputError


def random_differences(grids, classes=(), seed=0):
    cells = sum(grid.cells for grid in grids)
    return np.random.default_rng(seed).normal(0, 0.3, (cells, *classes)).astype(np.float32)


def test_log_odds_are_the_logit_of_the_probability():
    z = np.random.default_rng(0).normal(0, 3, (50, 5))
    probabilities = torch.softmax(torch.from_numpy(z), -1).numpy()
    np.testing.assert_allclose(scores_of(z, "probability"), probabilities, rtol=1e-12)
    np.testing.assert_allclose(scores_of(z, "log_odds"), logit(probabilities), rtol=1e-9)
    np.testing.assert_array_equal(scores_of(torch.from_numpy(z), "logit"), z)


@pytest.mark.parametrize("z", [[40.0, 0.0, -60.0], [700.0, -700.0, -701.0], [0.0, 0.0, 0.0]])
def test_log_odds_are_exact_where_the_softmax_saturates(z):
    with decimal.localcontext(prec=1000):
        powers = [decimal.Decimal(value).exp() for value in z]
        expected = [float((power / (sum(powers) - power)).ln()) for power in powers]
    np.testing.assert_allclose(scores_of(np.array(z), "log_odds"), expected, rtol=1e-14)


def test_log_odds_move_where_the_softmax_no_longer_does():
    base, masked = torch.tensor([60.0, 0.0]), torch.tensor([[50.0, 0.0], [70.0, 0.0]])
    assert np.abs(differences(base, masked, "probability")).max() < 1e-20
    np.testing.assert_allclose(
        differences(base, masked, "log_odds"), [[10, -10], [-10, 10]], rtol=1e-6
    )


def test_a_difference_is_positive_where_the_score_falls_without_the_cell():
    base, masked = torch.tensor([0.0, 0.0]), torch.tensor([[0.0, -1.0], [0.0, 2.0]])
    found = differences(base, masked)
    assert found.dtype == np.float32
    expected = 0.5 - 1 / (1 + np.exp([1.0, -2.0]))
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(1), 0, atol=1e-7)
    # In float32 the two probabilities would be the same number.
    near = differences(base, torch.tensor([[0.0, 1e-9]]))
    np.testing.assert_allclose(near, [[2.5e-10, -2.5e-10]], rtol=1e-6)


def test_scores_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"'log-odds'.*Did you mean 'log_odds'"):
        scores_of(np.zeros(3), "log-odds")
    with pytest.raises(InputError, match="not all finite"):
        scores_of(np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="two at least"):
        scores_of(np.zeros((4, 1)), "probability")


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_brightness_grows_with_the_size_of_the_difference_up_to_its_maximum(exponent):
    sizes = np.linspace(0, 0.8, 30)
    bright = brightness(sizes, 0.5, exponent)
    assert bright[0] == 0
    assert (np.diff(bright[sizes <= 0.5]) > 0).all()
    assert (bright[sizes >= 0.5] == 1).all()
    np.testing.assert_array_equal(brightness(-sizes, 0.5, exponent), bright)


def test_all_classes_and_grids_of_an_image_are_drawn_on_one_scale():
    grids = square_grids(24, 24, 1, sizes=(2, 3))
    values = random_differences(grids, (3,))
    values[1, 2] = -2.0
    scale = brightness_scale(values)
    assert scale == 2.0
    both = mixed_map(grids, values, scale)
    for number in range(3):
        alone = mixed_map(grids, values[:, number], scale)
        np.testing.assert_array_equal(both.positive[..., number], alone.positive)
        np.testing.assert_array_equal(both.negative[..., number], alone.negative)
    coarse = grid_map(grids[0], values[:4, 2], scale)
    assert coarse.negative.max() == 1
    fine = grid_map(grids[1], values[4:, 2], scale)
    assert fine.negative.max() == np.float32(-values[4:, 2].min() / 2)


def test_images_are_compared_on_a_scale_that_is_given():
    weak, strong = np.full((4, 2), 0.1), np.full((4, 2), 0.4)
    assert brightness_scale(weak) == pytest.approx(0.1)
    for values in (weak, strong):
        assert brightness_scale(values, absolute=0.5) == 0.5
    with pytest.raises(InputError, match="absolute: 0"):
        brightness_scale(weak, absolute=0)


def test_a_quantile_is_that_of_the_class_with_most_to_show():
    values = np.zeros((100, 40), np.float32)
    values[:, 7] = np.arange(1, 101)
    assert brightness_scale(values, quantile=0.9) == pytest.approx(
        brightness_scale(values[:, 7:8], quantile=0.9)
    )
    assert 89 < brightness_scale(values, quantile=0.9) < 92
    with pytest.raises(InputError, match="quantile: 0"):
        brightness_scale(values, quantile=0)


def test_rounding_errors_stay_dark():
    noise = np.full((9, 2), 1e-8, np.float32)
    assert brightness_scale(noise) == LEAST_SCALE
    assert brightness(noise, brightness_scale(noise)).max() < 0.002


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_mixing_is_the_weighted_sum_of_each_pixel_of_each_grid(exponent):
    grids = square_grids(23, 31, 1, sizes=(2, 3, 5, 7))
    values = random_differences(grids)
    scale = 0.4
    mixed = mixed_map(grids, values, scale, exponent=exponent)
    for y, x in np.random.default_rng(1).integers(0, (23, 31), (60, 2)):
        red = blue = 0.0
        cell = 0
        for grid in grids:
            for y0, y1, x0, x1 in grid.boxes:
                if y0 <= y < y1 and x0 <= x < x1:
                    light = grid.weight * min(abs(float(values[cell])) / scale, 1) ** exponent
                    if values[cell] >= 0:
                        red += light
                    else:
                        blue += light
                cell += 1
        assert mixed.positive[y, x] == pytest.approx(red, abs=1e-6)
        assert mixed.negative[y, x] == pytest.approx(blue, abs=1e-6)
        assert mixed.signed[y, x] == pytest.approx(red - blue, abs=1e-6)
        assert mixed.conflict[y, x] == pytest.approx(red + blue - abs(red - blue), abs=1e-6)


def test_grids_that_disagree_cancel_in_the_signed_map_and_are_a_conflict():
    grids = square_grids(8, 8, 1, sizes=(1, 2), power=0)
    agree = mixed_map(grids, np.array([1, 1, 1, 1, 1], np.float32), 1.0)
    assert (agree.signed == 1).all()
    assert not agree.conflict.any()
    disagree = mixed_map(grids, np.array([1, -1, -1, -1, -1], np.float32), 1.0)
    assert not disagree.signed.any()
    assert (disagree.positive == 0.5).all()
    assert (disagree.conflict == 1).all()


def test_groups_are_mixed_apart():
    grids = slit_grids(4, 30, 30, ("fhr-10", "uc-none"), minutes=(10, 5))
    values = np.zeros(27, np.float32)
    values[[9, 18]] = 1, -1
    assert not mixed_map(grids, values, 1.0).positive.any()
    heart = mixed_map(grids, values, 1.0, group="fhr-10")
    weight = 3**0.5 / (3**0.5 + 6**0.5)
    np.testing.assert_allclose(heart.positive[:, :10], weight, rtol=1e-6)
    assert not heart.positive[:, 10:].any()
    assert not heart.negative.any()
    np.testing.assert_array_equal(
        mixed_map(grids, values, 1.0, group="uc-none").negative, heart.positive
    )


def test_the_example_of_explain_is_true():
    finder = doctest.DocTestFinder()
    (example,) = finder.find(any_network.explain, globs={})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_explaining_normalises_as_it_is_told_and_reports_probabilities():
    def network(images):
        return images[:, :, 0, 0]

    image = np.array([[[255]], [[51]], [[0]]], np.uint8).repeat(8, 1).repeat(8, 2)
    grids = square_grids(8, 8, 3, sizes=(2,))
    maps = explain(network, image, grids=grids, mean=0.2, std=(0.1, 0.2, 0.4), score="logit")
    logits = np.array([8.0, 0.0, -0.5])
    np.testing.assert_allclose(maps.scores[0], scores_of(logits), rtol=1e-5)
    np.testing.assert_allclose(maps.differences[0, 0], [10, 1, 0], atol=1e-5)
    assert not maps.differences[0, 1:].any()
    assert maps.class_names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("image", "given", "message"),
    [
        (np.zeros((3, 8, 8), np.float32), {}, "expected uint8"),
        (np.zeros((64, 64, 3), np.uint8), {}, r"transpose\(2, 0, 1\)"),
        (np.zeros((1, 32, 32), np.uint8), {"class_names": ["a", "b", "c"]}, "3 class names for 2"),
    ],
)
def test_images_that_cannot_be_explained_are_refused(image, given, message):
    with pytest.raises(InputError, match=message):
        explain(lambda images: images[:, 0, 0, :2], image, **given)
