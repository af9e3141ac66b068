"""How alike maps are: rank correlations, fills, runs, networks drawn anew, and their files."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from torch import nn

from fewcase.explain.areas import areas_of
from fewcase.explain.dida import differences
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.map_files import MapSet
from fewcase.explain.measures import measure_maps, write_faithfulness
from fewcase.explain.occlusion import PlainOccluder
from fewcase.explain.randomisation import compare_randomised, layers_of, randomise
from fewcase.explain.stability import (
    chance_correlation,
    compare_fills,
    compare_runs,
    magnitude_correlation,
    rank_correlation,
)
from fewcase.study.errors import InputError

GRIDS = square_grids(14, 14, 1, sizes=(7,))
AREAS = areas_of(GRIDS)


def a_run(maps, examples, scores, grids=GRIDS, **about):
    """Maps (n, cells, 2) of some examples."""
    n = len(examples)
    cases = pd.DataFrame(
        {
            "case": range(n),
            "example": examples,
            "patient": [f"p-{name}" for name in examples],
            "drawn": True,
            "score_0": 1 - np.asarray(scores, np.float32),
            "score_1": np.asarray(scores, np.float32),
        }
    )
    pictures = np.zeros((n, 1, 14, 14), np.uint8)
    return MapSet(
        cases, pictures, np.float32(maps), grids, ("no", "yes"), {"fill": "black"} | about
    )


def test_rank_correlations_are_those_of_scipy_ties_included():
    random = np.random.default_rng(0)
    a = random.integers(-4, 5, (6, 40)).astype(float)
    b = a + random.normal(0, 3, a.shape).round()
    for x, y, found in zip(a, b, rank_correlation(a, b), strict=True):
        told = (x != 0) | (y != 0)
        assert found == pytest.approx(scipy.stats.spearmanr(x[told], y[told]).statistic)
    np.testing.assert_allclose(magnitude_correlation(a, -a), 1)
    np.testing.assert_allclose(rank_correlation(a, -a), -1)


def test_areas_that_no_fill_changes_make_maps_no_more_alike():
    random = np.random.default_rng(1)
    a, b = random.random((2, 1, 30))
    empty = np.zeros((1, 70))
    without, filled = (
        rank_correlation(a, b),
        rank_correlation(*(np.hstack([x, empty]) for x in (a, b))),
    )
    assert filled == pytest.approx(without)
    assert np.isnan(rank_correlation(np.zeros((1, 9)), np.ones((1, 9)))).all()


def test_maps_of_other_fills_are_compared_with_those_of_the_first():
    black = np.random.default_rng(2).normal(size=(3, 49))
    found = compare_fills({"black": black, "white": -black, "mean": np.exp(black)}, "black")
    assert list(found) == ["fill_white", "fill_mean"]
    np.testing.assert_allclose(found, [[-1, 1]] * 3)
    with pytest.raises(InputError, match="no maps of 'blur'"):
        compare_fills({"black": black}, "blur")


def test_runs_are_compared_on_the_examples_and_the_class_that_they_share():
    random = np.random.default_rng(3)
    one, noise = random.normal(size=(2, 3, 49, 2))
    # Of the second run the order of examples is another, and its map of class 0 is turned.
    other = np.stack([one[2] * (-1, 2), one[0] * (-1, 2), noise[0]])
    runs = [
        a_run(one, ["a", "b", "c"], [0.9, 0.5, 0.2]),
        a_run(other, ["c", "a", "d"], [0.4, 0.4, 0.9]),
    ]
    found = compare_runs(runs).set_index("example")
    assert list(found.index) == ["a", "c"]
    # Mean scores are 0.65 and 0.3: class 1 is explained of a, class 0 of c.
    assert found["stability"].to_dict() == pytest.approx({"a": 1.0, "c": -1.0})
    assert found.loc["a", "patient"] == "p-a"
    assert abs(found["stability_control"]).max() < 0.15
    assert (found["runs"] == 2).all()
    # Of the first run c was picked for its score; a is one that all runs share.
    runs[0].cases["drawn"] = [False, True, False]
    runs[0].cases["shared"] = [True, False, False]
    assert compare_runs(runs)["drawn"].tolist() == [True, False]
    with pytest.raises(InputError, match="different grids"):
        compare_runs([runs[0], a_run(one[:, :25], ["a", "b", "c"], [0, 0, 0],
                                     square_grids(14, 14, 1, sizes=(5,)))])  # fmt: skip


def test_maps_laid_elsewhere_are_the_control_of_smooth_maps():
    rows, columns = np.indices((7, 7))
    left = np.exp(-((rows - 3) ** 2 + (columns - 1) ** 2) / 4).reshape(1, -1)
    assert rank_correlation(left, left)[0] == pytest.approx(1)
    assert abs(chance_correlation(left, left, AREAS, draws=195)[0]) < 0.05


# Networks drawn anew ------------------------------------------------------------------------------


class Small(nn.Module):
    """A convolution, batch normalisation and a linear layer, with positions of its own."""

    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.arange(196.0).reshape(1, 1, 14, 14) / 196)
        self.convolution = nn.Conv2d(1, 4, 2, 2)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(196, 2)

    def forward(self, x):
        return self.head(self.norm(self.convolution(x + self.position)).relu().flatten(1))


def maps_of(network, images):
    """The log-odds maps of some images under black fill, (n, cells, 2)."""
    occluder = PlainOccluder(network)
    found = []
    for image in images:
        base, masked = occluder(image, torch.zeros_like(image), GRIDS)
        found.append(differences(base, torch.cat(masked), "log_odds"))
    return np.stack(found)


@pytest.fixture
def images():
    return torch.rand((4, 1, 14, 14), generator=torch.Generator().manual_seed(0)) + 0.5


def test_maps_of_networks_drawn_anew_are_not_like_those_before(images):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(196, 2)).eval()
    own = maps_of(network, images)[..., 1]
    drawn = [maps_of(randomise(network, images, seed=seed), images)[..., 1] for seed in range(20)]
    found = compare_randomised(own, drawn, AREAS)
    # Twenty correlations of 49 cells have a mean within 3 · 0.032.
    assert abs(found["randomised"]).max() < 0.1
    assert (found["randomised"] < rank_correlation(own, own) - 0.8).all()


def test_maps_that_weights_do_not_matter_to_are_found_out(images):
    class Edges(nn.Module):
        """Looks at brightness, whatever its weights."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5))

        def forward(self, x):
            bright = x.mean((1, 2, 3))
            return torch.stack([bright, 0 * self.weight.sum() + 1 - bright], dim=1)

    network = Edges().eval()
    own = maps_of(network, images)[..., 1]
    drawn = [maps_of(randomise(network, images, seed=0), images)[..., 1]]
    found = compare_randomised(own, drawn, AREAS)
    np.testing.assert_allclose(found[["randomised", "randomised_magnitude"]], 1)
    assert abs(found["randomised_control"]).max() < 0.2


def test_the_cascade_draws_layers_from_the_output_down_and_leaves_the_network_alone(images):
    torch.manual_seed(1)
    network = Small().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert layers_of(network) == ["", "convolution", "norm", "head"]
    for top, changed in ((1, {"head"}), (3, {"head", "convolution"}), (None, {"head", "position"})):
        drawn = randomise(network, images, seed=0, top=top)
        after = drawn.state_dict()
        differ = {
            name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])
        }
        assert changed <= differ
        assert top == 3 or "position" in differ or differ == changed
        assert not drawn.training
    # Positions cannot be drawn: the same values stand elsewhere.
    assert torch.equal(after["position"].flatten().sort().values, before["position"].flatten())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    again = randomise(network, images, seed=0).state_dict()
    assert all(torch.equal(after[name], again[name]) for name in after)
    other = randomise(network, images, seed=1).state_dict()
    assert not torch.equal(after["head.weight"], other["head.weight"])
    with pytest.raises(InputError, match="5 layers of 4"):
        randomise(network, images, seed=0, top=5)


def test_batch_statistics_of_networks_drawn_anew_are_those_of_the_images(images):
    network = Small().eval()
    network.norm.running_mean.fill_(50)
    drawn = randomise(network, images, seed=3)
    with torch.no_grad():
        inner = drawn.convolution(images + drawn.position)
        found = drawn.norm(inner)
    np.testing.assert_allclose(drawn.norm.running_mean, inner.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.mean((0, 2, 3)), 0, atol=1e-5)
    assert drawn.norm.momentum == network.norm.momentum


# All of it ----------------------------------------------------------------------------------------


def test_each_group_of_time_slits_has_a_line_per_case_in_the_files(tmp_path):
    grids = slit_grids(6, 24, 12.0, ["FHR", "UC"], minutes=(1.0, 3.0))
    random = np.random.default_rng(6)
    images = torch.from_numpy(random.random((3, 2, 6, 24), np.float32))
    torch.manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(288, 3)).eval()

    def said(network, value):
        occluder = PlainOccluder(network)
        found = []
        for image in images:
            base, masked = occluder(image, torch.full_like(image, value), grids)
            found.append(differences(base, torch.cat(masked), "log_odds"))
        return np.stack(found)

    scores = torch.softmax(network(images), dim=1).detach().numpy()
    cases = pd.DataFrame({"case": range(3), "example": list("abc"), "patient": ["p", "p", "q"]})
    cases = cases.assign(drawn=True, **{f"score_{k}": scores[:, k] for k in range(3)})
    pictures = np.zeros((3, 2, 6, 24), np.uint8)
    maps = MapSet(cases, pictures, said(network, 0), grids, ("0", "1", "2"), {"fill": "black"})
    drawn = [said(randomise(network, images, seed=seed), 0) for seed in range(3)]
    found = measure_maps(
        maps, network, images, torch.zeros_like(images), images * 0 + images.mean(),
        other_fills={"white": said(network, 1)}, randomised=drawn, steps=6,
    )  # fmt: skip
    write_faithfulness(tmp_path, found)
    table = pd.read_csv(tmp_path / "faithfulness.csv")
    assert table["group"].tolist() == ["all"] * 3 + ["channels"] * 3
    assert table["patient"].tolist() == ["p", "p", "q"] * 2
    np.testing.assert_array_equal(table["explained"][:3], scores.argmax(axis=1))
    assert (table["deletion"] < table["deletion_random"]).all()
    assert (table["negative_rise"] > 0).all()
    assert (table["fill_white"].abs() < 1).all()
    assert (table["randomised"].abs() < 0.9).all()
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert len(curves) == 2 * 3 * 2 * 7
    assert list(curves) == ["group", "measure", "order", "share", "score", "cases"]
