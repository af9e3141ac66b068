"""Training as a whole: it learns, honours its recipe, and says what is wrong."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewcase.data.image_store import ImageStore
from fewcase.models.registry import build_model
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import seed_libraries, seed_of
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import read_samples
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.batches import draw_batches
from fewcase.training.loop import train
from fewcase.training.optimisation import learning_rate
from fewcase.training.run_data import gather_run
from fewcase.training.run_images import load_run_images

LOG = logging.getLogger("fewcase.test")
BASE = Recipe(
    model="test_resnet",
    weights="none",
    batch_size=16,
    epochs=2,
    neg_per_pos=2.0,
    learning_rate=1e-3,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images(study):
    return ImageStore.open([study / f"{name}.npy" for name in ("fhr", "uc", "baseline")])


@pytest.fixture(scope="module")
def data(study):
    split = read_split(study / "split.parquet")
    return gather_run(split, read_samples(study / "sample.parquet", split), 0, bags=1)


@pytest.fixture
def fit(data, images, tmp_path):
    def run(data=data, options=None, window_minutes=30.0, seed=1, **factors):
        recipe = dataclasses.replace(BASE, **factors)
        resume = ResumeFolder(tmp_path / "state", {}, "", True, LOG)
        options = options or TrainingOptions(checkpoint_minutes=100)
        try:
            loaded = load_run_images(images, data.rows, recipe, "cpu")
            return train(recipe, options, data, loaded, seed, "cpu", resume, LOG, window_minutes)
        finally:
            resume.delete()

    return run


def test_a_network_learns_what_there_is_to_learn(fit):
    outputs = fit(epochs=12, patience=None, learning_rate=3e-3, augment="cutout")
    held_out = outputs.predictions[outputs.predictions["role"] != "inner"]
    positive = held_out["score_1"][held_out["label"] == 1].to_numpy()
    negative = held_out["score_1"][held_out["label"] == 0].to_numpy()
    assert (positive[:, None] > negative).mean() > 0.8
    assert outputs.history["train_loss"].iloc[-1] < 0.6 * outputs.history["train_loss"].iloc[0]


def test_the_loop_does_what_a_plain_one_does(fit, data, images):
    """Against a loop of ten lines without anything that the recipe leaves out."""
    outputs = fit(patience=None, optimizer="adamw", model="test_vit", warmup_epochs=0.5)
    recipe = dataclasses.replace(BASE, model="test_vit", warmup_epochs=0.5)
    seed_libraries(seed_of(1, 0))
    network = build_model("test_vit", {}, 2, 3, 32, "none").network
    decay = [
        p
        for n, p in network.named_parameters()
        if p.ndim > 1 and n not in ("cls_token", "pos_embed")
    ]
    rest = [p for p in network.parameters() if not any(p is q for q in decay)]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    )
    pixels = torch.from_numpy(images.read(data.rows)).float() / 255 * 2 - 1
    labels = torch.from_numpy(data.labels)
    for epoch in range(2):
        network.train()
        batches = draw_batches(data.labels[data.bags[0]], 16, True, (1, 0, epoch, 1))
        for step, batch in enumerate(batches):
            chosen = data.bags[0][batch]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, epoch * len(batches) + step, len(batches))
            optimizer.zero_grad()
            F.cross_entropy(network(pixels[chosen]), labels[chosen]).backward()
            optimizer.step()
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(outputs.weights[name], tensor.numpy(), atol=2e-4, err_msg=name)


def test_the_scores_are_those_of_the_weights_that_are_kept(fit, data, images):
    outputs = fit(epochs=3)
    network = build_model("test_resnet", {}, 2, 3, 32, "none").network.eval()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in outputs.weights.items()})
    pixels = torch.from_numpy(images.read(outputs.predictions["row"])).float() / 255
    mean, std = (torch.tensor(outputs.about[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = network((pixels - mean) / std).softmax(1)
    np.testing.assert_allclose(outputs.predictions["score_1"], expected[:, 1], atol=1e-5)


def test_the_best_epoch_by_inner_validation_is_kept_and_training_stops(fit, data):
    outputs = fit(epochs=60, patience=2, learning_rate=3e-3)
    history, predictions = outputs.history, outputs.predictions
    best = history["inner_auc"].idxmax()
    assert len(history) == best + 3 < 60
    inner = predictions[predictions["role"] == "inner"]
    positive, negative = (inner["score_1"][inner["label"] == k].to_numpy() for k in (1, 0))
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    assert pairs.mean() == pytest.approx(history["inner_auc"].max(), abs=0.01)


@pytest.mark.parametrize("kept", ["one class", "none"])
def test_an_inner_part_without_an_auc_is_no_obstacle(fit, data, kept):
    scored = data.scored
    inner = scored["role"] == "inner"
    dropped = inner & (scored["label"] == 1) if kept == "one class" else inner
    bare = dataclasses.replace(data, scored=scored[~dropped].reset_index(drop=True))
    history = fit(bare, epochs=3, patience=1).history
    assert history["inner_auc"].isna().all()
    assert history["inner_loss"].isna().all() == (kept == "none")


def test_bags_are_networks_of_their_own_whose_logits_are_averaged(study, fit):
    split = read_split(study / "split.parquet")
    samples = read_samples(study / "sample.parquet", split)
    both = gather_run(split, samples, 0, bags=2)
    outputs = fit(both, bags=2)
    assert sorted(set(outputs.history["bag"])) == [0, 1]
    single = fit(gather_run(split, samples, 0, bags=1))
    key = next(iter(single.weights))
    np.testing.assert_array_equal(outputs.weights[f"bag-0.{key}"], single.weights[key])
    assert (outputs.weights[f"bag-1.{key}"] != single.weights[key]).any()
    assert (outputs.predictions["score_1"] != single.predictions["score_1"]).any()


FACTORS = [
    {"augment": "cutout"},
    {"augment": "slit_cutout"},
    {"augment": "cutmix"},
    {"augment": "slit_cutmix"},
    {"optimizer": "adam"},
    {"optimizer": "sgd"},
    {"schedule": "step", "step_epochs": 1},
    {"schedule": "constant"},
    {"warmup_epochs": 0.0},
    {"learning_rate": 2e-3},
    {"weight_decay": 5.0},
    {"batch_size": 12},
    {"ratio_batches": False},
    {"ema": 0.9},
    {"label_smoothing": 0.1},
    {"model_options": {"drop_rate": 0.3}},
    {"epochs": 3},
]


@pytest.mark.parametrize("factor", FACTORS, ids=str)
def test_every_factor_of_a_recipe_counts(fit, factor):
    plain, other = fit(patience=None), fit(patience=None, **factor)
    assert any((plain.weights[key] != other.weights[key]).any() for key in plain.weights)


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("cutout", {"cutout_side": 0.2}),
        ("slit_cutout", {"slit_minutes": 20.0}),
        ("cutmix", {"cutmix_alpha": 0.2}),
        ("cutmix", {"cutmix_within_site": True}),
        ("cutmix", {"augment_probability": 1.0}),
        ("sgd", {"momentum": 0.1}),
    ],
    ids=str,
)
def test_every_factor_of_augmentation_and_sgd_counts(fit, kind, factor):
    base = {"optimizer": kind} if kind == "sgd" else {"augment": kind}
    plain, other = fit(patience=None, **base), fit(patience=None, **base, **factor)
    assert any((plain.weights[key] != other.weights[key]).any() for key in plain.weights)


def test_the_mean_target_is_logged(fit):
    assert fit(augment="cutmix").history["mean_target"].to_numpy() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_trains_and_is_named(fit, precision):
    options = TrainingOptions(precision=precision, channels_last="yes", checkpoint_minutes=100)
    outputs = fit(options=options)
    assert outputs.about["precision"] == precision
    assert outputs.about["channels_last"] is True
    assert all(array.dtype != np.float16 for array in outputs.weights.values())
    assert np.isfinite(outputs.predictions["score_1"]).all()


def test_a_diverging_training_stops_and_says_what_to_do(fit):
    with pytest.raises(InputError, match="learning_rate"):
        fit(optimizer="sgd", learning_rate=1e20, epochs=4, warmup_epochs=0.0, model="test_vit")


def test_a_batch_larger_than_the_training_part_stops_before_training(fit):
    with pytest.raises(InputError, match="batch_size: 500"):
        fit(batch_size=500)


def test_a_slit_needs_the_window_s_length(fit):
    with pytest.raises(InputError, match="slit_minutes"):
        fit(augment="slit_cutout", slit_minutes=5.0, window_minutes=None)


def test_the_seed_decides(fit):
    key = "fc.weight"
    assert (fit(seed=1).weights[key] == fit(seed=1).weights[key]).all()
    assert (fit(seed=1).weights[key] != fit(seed=2).weights[key]).any()
