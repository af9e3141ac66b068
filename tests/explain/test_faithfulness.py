"""Deletion, insertion and negative deletion against closed forms of planted evidence."""

import numpy as np
import pytest
import torch

from fewcase.explain.areas import CHANNELS, areas_of, evidence_of, laid_elsewhere
from fewcase.explain.dida import brightness_scale, mixed_map
from fewcase.explain.faithfulness import area_under, measure_faithfulness
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.study.errors import InputError

SIDE = 21
GRIDS = square_grids(SIDE, SIDE, 1, sizes=(7,))
AREAS = areas_of(GRIDS)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


class Planted:
    """A score whose log-odds are the sum of a weight per cell, as long as the cell is white."""

    def __init__(self, weights, bias=0.0, areas=AREAS, size=(SIDE, SIDE)):
        index = torch.from_numpy(areas.index(*size))
        shares = torch.bincount(index[index >= 0], minlength=len(areas)).double()
        known = torch.from_numpy(np.append(np.asarray(weights, float), 0.0))
        self.weights = torch.where(index >= 0, (known[:-1] / shares)[index], 0.0)
        self.bias, self.batches = bias, []

    def __call__(self, images):
        self.batches.append(len(images))
        logit = self.bias + (images.double() * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def measured(network, evidence, n=1, shape=(1, SIDE, SIDE), areas=AREAS, **options):
    """Measure n white images with black fills and starts."""
    white, black = torch.ones(n, *shape), torch.zeros(n, *shape)
    evidence = np.broadcast_to(evidence, (n, len(areas)))
    return measure_faithfulness(network, white, black, black, evidence, areas, **options)


@pytest.fixture
def weights():
    """Evidence for and against, of which the former prevails."""
    random = np.random.default_rng(0)
    values = random.normal(0, 0.3, len(AREAS))
    return values + (1 - values.sum()) / len(AREAS)


def test_areas_under_curves_are_those_of_the_trapezoid_rule():
    curve = np.random.default_rng(1).random(21)
    formula = (curve.sum() - (curve[0] + curve[-1]) / 2) / 20
    assert area_under(curve) == pytest.approx(formula)
    shares = np.sort(np.append(np.random.default_rng(2).random(19), (0, 1)))
    assert area_under(curve, shares) == pytest.approx(np.trapezoid(curve, shares))


def test_the_true_order_has_the_areas_under_its_curves_that_follow_from_the_weights(weights):
    ordered = np.sort(weights)[::-1]
    left = sigmoid(weights.sum() - np.append(0, np.cumsum(ordered)))
    put = sigmoid(np.append(0, np.cumsum(ordered)))
    row = measured(Planted(weights), weights, steps=len(AREAS)).table.iloc[0]
    assert row["score"] == pytest.approx(sigmoid(weights.sum()))
    assert row["explained"] == 1
    assert row["deletion"] == pytest.approx(np.trapezoid(left, dx=1 / len(AREAS)))
    assert row["insertion"] == pytest.approx(np.trapezoid(put, dx=1 / len(AREAS)))
    # Seven equal steps take seven cells each.
    row = measured(Planted(weights), weights, steps=7).table.iloc[0]
    assert row["deletion"] == pytest.approx(np.trapezoid(left[::7], dx=1 / 7))


def test_maps_of_the_truth_do_better_and_turned_ones_worse_than_orders_laid_elsewhere(weights):
    true = measured(Planted(weights), weights).table.iloc[0]
    turned = measured(Planted(weights), -weights).table.iloc[0]
    for sign, row in ((1, true), (-1, turned)):
        assert sign * (row["deletion"] - row["deletion_random"]) < -0.05
        assert sign * (row["insertion"] - row["insertion_random"]) > 0.05
        assert sign * (row["negative_deletion"] - row["negative_deletion_random"]) > 0.05


def test_no_order_deletes_a_sum_of_weights_sooner_than_that_of_the_weights(weights):
    random, network = np.random.default_rng(3), Planted(weights)
    best = measured(network, weights).table["deletion"][0]
    others = measured(network, random.normal(size=(20, len(AREAS))), n=20).table["deletion"]
    assert best < others.min()


def test_negative_deletion_raises_the_score_by_what_was_planted_against_it(weights):
    against = np.sort(weights[weights < 0])
    found = measured(Planted(weights), weights, steps=len(AREAS))
    row = found.table.iloc[0]
    curve = sigmoid(weights.sum() - np.append(0, np.cumsum(against)))
    assert row["negative_cells"] == len(against)
    assert row["negative_last"] == pytest.approx(curve[-1] - curve[0])
    assert curve[-1] == pytest.approx(sigmoid(weights[weights > 0].sum()))
    assert row["negative_deletion"] == pytest.approx(np.trapezoid(curve, dx=1 / len(against)))
    assert row["negative_rise"] == pytest.approx(row["negative_deletion"] - curve[0])
    drawn = found.curves.query("measure == 'negative_deletion' and order == 'map'")
    assert (np.diff(drawn["score"]) >= 0).all()
    assert drawn["score"].iloc[-1] == pytest.approx(curve[-1])


def test_where_nothing_speaks_against_a_class_there_is_no_negative_deletion(weights):
    # What float32 leaves of a zero is no evidence.
    found = measured(Planted(abs(weights)), np.maximum(weights, -1e-7))
    row = found.table.iloc[0]
    assert row["negative_cells"] == 0
    assert (
        row[["negative_deletion", "negative_deletion_random", "negative_rise", "negative_last"]]
        .isna()
        .all()
    )
    assert set(found.curves["measure"]) == {"deletion", "insertion"}


def test_a_map_of_zeros_does_as_orders_that_say_nothing(weights):
    table = measured(Planted(weights), np.zeros(len(AREAS)), n=60, steps=10).table
    for name in ("deletion", "insertion"):
        difference = table[name] - table[f"{name}_random"]
        assert abs(difference.mean()) < 3 * difference.sem()
        assert difference.std() > 0


def test_evidence_of_an_area_is_the_mean_of_the_mixed_signed_map_over_it():
    grids = square_grids(50, 64, 3, sizes=(3, 5, 7))
    areas = areas_of(grids)
    differences = np.random.default_rng(4).normal(size=(1, 83, 2)).astype(np.float32)
    scale = brightness_scale(differences[0])
    mixed = mixed_map(grids, differences[0], scale).signed * scale
    found = evidence_of(differences, grids, areas)
    assert len(areas) == 49
    for number, (y0, y1, x0, x1) in enumerate(areas.boxes):
        np.testing.assert_allclose(found[0, number], mixed[y0:y1, x0:x1].mean((0, 1)), atol=1e-5)


def test_orders_laid_elsewhere_keep_neighbours_and_are_never_the_map_itself():
    ranks = np.random.default_rng(5).permutation(len(AREAS))
    laid = laid_elsewhere(ranks, AREAS, 195, np.random.default_rng(6))
    # 49 shifts of 4 mirror images, less the map.
    assert len(np.unique(laid, axis=0)) == 195
    assert not (laid == ranks).all(axis=1).any()

    def neighbours(image):
        image = image.reshape(7, 7)
        beside = [np.roll(image, 1, axis) for axis in (0, 1)]
        pairs = (np.stack([image, other], axis=-1).reshape(-1, 2).tolist() for other in beside)
        return {frozenset(pair) for part in pairs for pair in part}

    assert all(neighbours(image) == neighbours(ranks) for image in laid)


def test_time_slits_are_deleted_in_one_channel_at_a_time():
    grids = slit_grids(4, 24, 12.0, ["FHR", "UC"], minutes=(1.0, 2.0))
    areas = areas_of(grids, CHANNELS)
    assert (areas.rows, areas.columns, len(areas)) == (2, 12, 24)
    weights = np.concatenate([np.linspace(-0.3, 0.6, 12), np.zeros(12)])
    network = Planted(weights, areas=areas, size=(4, 24))
    # The differences of the planted score: a slit's weight, or the sum of the two in it.
    cells = {"FHR": weights[:12], "UC": weights[12:]}
    parts = [
        np.zeros(grid.cells)
        if grid.group == "all"
        else cells[grid.group].reshape(grid.cells, -1).sum(axis=1)
        for grid in grids
    ]
    differences = np.concatenate(parts)[None, :, None]
    evidence = evidence_of(differences, grids, areas)[:, :, 0]
    np.testing.assert_array_equal(evidence[0, 12:], 0)
    row = measured(network, evidence, shape=(2, 4, 24), areas=areas, steps=24).table.iloc[0]
    # What says nothing comes between what speaks for the class and what speaks against it.
    ordered = -np.sort(-weights)
    curve = sigmoid(weights.sum() - np.append(0, np.cumsum(ordered)))
    assert row["deletion"] == pytest.approx(np.trapezoid(curve, dx=1 / 24))
    assert row["negative_cells"] == (weights < 0).sum()


def test_a_map_of_one_channel_leaves_the_others_as_they_are():
    grids = slit_grids(4, 24, 12.0, ["FHR", "UC"], minutes=(1.0,))
    areas = areas_of(grids, "UC")
    seen = []

    def network(images):
        seen.append(images)
        return torch.stack([images.mean((1, 2, 3)), torch.ones(len(images)) / 2], dim=1)

    measured(network, np.arange(12.0), shape=(2, 4, 24), areas=areas)
    images = torch.cat(seen)
    assert (images[:, 0] == 1).all()
    assert {float(value) for value in images[:, 1].mean((1, 2))} >= {0.0, 1.0}


def test_what_is_measured_depends_neither_on_batches_nor_on_other_cases(weights):
    evidence = np.random.default_rng(7).normal(size=(3, len(AREAS)))
    network = Planted(weights)
    at_once = measured(network, evidence, n=3, batch_size=500)
    assert max(network.batches) > 100
    in_parts = measured(Planted(weights), evidence, n=3, batch_size=7).table
    first = measured(Planted(weights), evidence[:1], batch_size=500).table
    np.testing.assert_allclose(at_once.table, in_parts, rtol=1e-12)
    np.testing.assert_array_equal(at_once.table.iloc[:1], first)
    other = measured(Planted(weights), evidence, n=3, seed=1).table
    np.testing.assert_array_equal(other["deletion"], at_once.table["deletion"])
    assert (other["deletion_random"] != at_once.table["deletion_random"]).all()


def test_curves_are_means_over_the_cases(weights):
    evidence = np.random.default_rng(8).normal(size=(4, len(AREAS)))
    evidence[0] = abs(evidence[0])
    found = measured(Planted(weights), evidence, n=4, steps=7)
    curves = found.curves.set_index(["measure", "order"])
    for name in ("deletion", "insertion", "negative_deletion"):
        for order, column in (
            ("map", name),
            ("random", f"{name.removesuffix('_deletion')}_random"),
        ):
            column = f"{name}_random" if order == "random" and column not in found.table else column
            drawn = curves.loc[(name, order)]
            # Negative cells do not divide into seven steps exactly.
            assert area_under(drawn["score"]) == pytest.approx(found.table[column].mean(), abs=2e-3)
            assert set(drawn["cases"]) == {3 if name == "negative_deletion" else 4}


def test_maps_that_do_not_fit_or_have_one_cell_are_refused(weights):
    with pytest.raises(InputError, match="maps of shape"):
        measured(Planted(weights), np.full(len(AREAS), np.nan))
    with pytest.raises(InputError, match="no case to measure"):
        measured(Planted(weights), weights, n=0)
    with pytest.raises(InputError, match="one cell only"):
        areas_of(square_grids(SIDE, SIDE, 1, sizes=(1,)))
    with pytest.raises(InputError, match="no grids of group 'UC'"):
        areas_of(GRIDS, "UC")
