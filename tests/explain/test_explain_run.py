"""Claims about what the explain stage makes of a run: whom it explains, and with which networks."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from fewcase.data.files import content_digest, write_digest
from fewcase.data.image_store import ImageStore
from fewcase.explain.choose import choose_cases, extreme_places
from fewcase.explain.grids import PAPER_SIZES
from fewcase.explain.map_files import TRAINING
from fewcase.explain.randomisation import randomise
from fewcase.explain.run import CHANNELS, explain_run, grids_for
from fewcase.models.registry import build_model
from fewcase.models.trained import load_run
from fewcase.study.errors import InputError
from fewcase.study.explanations import ExplainOptions

OPTIONS = ExplainOptions(
    cases=4, extremes=1, shared=2, checks=2, grids=(2, 3), steps=2, orders=1, randomised=1
)


def split_of(labels, folds, test=()):
    rows = np.arange(len(labels))
    table = pd.DataFrame({"row": rows, "label": labels, "fold": rows % folds, "site": "north"})
    for name in ("example", "parent", "patient"):
        table[name] = [f"{name} {row}" for row in rows]
    table["test_set"] = np.where(table["row"].isin(test), "external", "")
    return table.assign(fold=table["fold"].where(table["test_set"] == "", -1))


def predictions_of(split, fold, scores):
    rows = split[(split["fold"] == fold) | (split["test_set"] != "")]
    role = np.where(rows["test_set"] == "", "validation", "test")
    columns = {f"score_{k}": scores[rows["row"], k] for k in range(scores.shape[1])}
    return rows.assign(role=role, **columns)


def test_drawn_cases_take_the_classes_in_turns_and_are_validated_by_the_fold():
    labels = np.array([0] * 24 + [1] * 4 + [2] * 2)
    split = split_of(labels, folds=2)
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], len(labels))
    options = ExplainOptions(cases=5, extremes=0, shared=0)
    cases = choose_cases(predictions_of(split, 1, scores), split, options, 0, 1)
    assert (cases["row"] % 2 == 1).all()
    assert sorted(cases["label"].iloc[:3]) == [0, 1, 2]
    assert cases["label"].tolist().count(1) == 2
    again = choose_cases(predictions_of(split, 1, scores), split, options, 0, 1)
    pd.testing.assert_frame_equal(cases, again)
    other = choose_cases(predictions_of(split, 1, scores), split, options, 1, 1)
    assert set(other["row"]) != set(cases["row"])


def test_extremes_are_the_surest_right_the_surest_wrong_and_the_most_divided():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.05, 0.95], [0.49, 0.51], [0.3, 0.7]])
    table = pd.DataFrame(scores, columns=["score_0", "score_1"]).assign(label=[0, 0, 0, 1, 0])
    assert extreme_places(table, 1) == [0, 2, 3]


def test_shared_cases_are_the_same_for_all_folds_and_say_whose_network_learned_from_them():
    labels = np.arange(30) % 2
    scores = np.random.default_rng(0).dirichlet([1, 1], 30)
    options = ExplainOptions(cases=1, extremes=0, shared=6)
    shared = []
    for split in (split_of(labels, 3), split_of(labels, 3, test=range(20, 30))):
        of_folds = [
            choose_cases(predictions_of(split, fold, scores), split, options, 0, fold)
            for fold in range(3)
        ]
        shared.append([cases[cases["shared"]] for cases in of_folds])
    for of_folds in shared:
        assert len({frozenset(cases["row"]) for cases in of_folds}) == 1
    for fold, cases in enumerate(shared[0]):
        assert ((cases["role"] == TRAINING) == (cases["row"] % 3 != fold)).all()
    assert all((cases["row"] >= 20).all() and set(cases["role"]) == {"test"} for cases in shared[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two bags that were never trained, and twelve images of 40 pixels."""
    folder = tmp_path_factory.mktemp("run")
    state, networks = {}, []
    for bag in range(2):
        torch.manual_seed(bag)
        network = build_model("test_resnet", {}, 2, 1, 32, "none").network.eval()
        networks.append(network)
        state |= {f"bag-{bag}.{key}": value for key, value in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    recipe = {"model": "test_resnet", "model_options": {}, "bags": 2, "input_size": 32}
    facts = {"recipe": recipe, "mean": [0.5], "std": [0.25], "prevalence": [0.5, 0.5]}
    (folder / "options.json").write_text(json.dumps(facts))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 1, 40, 40), np.uint8)
    np.save(folder / "images.npy", pixels)
    info = {"content": content_digest(pixels), "shape": list(pixels.shape), "packed": False}
    write_digest(folder / "images.hash", info)
    return folder, networks


def test_maps_are_what_all_bags_of_the_run_say_of_the_images_that_they_saw(run):
    folder, networks = run
    split = split_of(np.arange(12) % 2, folds=2)
    scores = np.random.default_rng(0).dirichlet([1, 1], 12)
    cases = choose_cases(predictions_of(split, 0, scores), split, OPTIONS, 0, 0)
    store = ImageStore.open([folder / "images.npy"])
    trained = load_run(folder, 40, "cpu")
    maps, found = explain_run(
        *(trained, store, cases, ("no", "yes"), OPTIONS, "cpu", {"fold": 0, "seed": 0})
    )
    assert maps.pictures.shape == (len(cases), 1, 32, 32)
    assert [grid.cells for grid in maps.grids] == [4, 9]
    assert set(found.table["case"]) == {0, 1}
    case = 1
    image = torch.from_numpy(np.array(maps.pictures[case]))
    masked = image.clone()
    masked[:, 16:, :16] = 0  # The third cell of two by two, black.
    with torch.inference_mode():
        logits = [
            torch.stack([network(((one / 255 - 0.5) / 0.25)[None]) for network in networks]).mean(0)
            for one in (image, masked)
        ]
    before, after = (torch.softmax(one.double(), 1)[0].numpy() for one in logits)
    np.testing.assert_allclose(maps.differences[case, 2], before - after, atol=1e-6)
    np.testing.assert_allclose(maps.scores[case], before, atol=1e-6)


def test_signals_are_explained_by_slits_of_each_channel_and_images_by_squares_that_fit():
    slits = grids_for(ExplainOptions(), 32, 32, 3, window_minutes=30)
    assert [grid.group for grid in slits].count("all") == 4  # 0.5 minutes are below a pixel.
    assert {grid.group for grid in slits} == {"all", *CHANNELS}
    squares = grids_for(ExplainOptions(), 16, 16, 1, window_minutes=None)
    assert [grid.rows for grid in squares] == [size for size in PAPER_SIZES if size <= 16]
    with pytest.raises(InputError, match="images have 6 pixels"):
        grids_for(ExplainOptions(), 6, 6, 1, window_minutes=None)


def test_one_image_is_enough_to_randomise_a_network_by(run):
    _, networks = run
    drawn = randomise(networks[0], torch.zeros(1, 1, 8, 8), seed=0)
    with torch.inference_mode():
        assert torch.isfinite(drawn(torch.ones(1, 1, 8, 8))).all()
