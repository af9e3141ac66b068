"""Claims about what turns images into features, against torch-fidelity, Pillow, timm and a run."""

import functools
import hashlib
import http.server
import importlib.util
import json
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torch_fidelity.feature_extractor_inceptionv3 as published
from PIL import Image
from safetensors.torch import load_file, save_file

from fewcase.data.stage import run
from fewcase.images.resize import resize_batch
from fewcase.models.registry import build_model, plain_state
from fewcase.quality.features import classifier_of, inception_extractor, timm_extractor
from fewcase.quality.inception import (
    PUBLISHED_SHA256,
    PUBLISHED_URL,
    read_inception,
    write_inception,
)
from fewcase.quality.resizers import resize_clean, resize_legacy
from fewcase.runtime.normalisation import DeviceImages
from fewcase.runtime.precision import choose_precision
from fewcase.study.errors import InputError
from fewcase.study.recipe import read_recipe, resolved
from fewcase.study.settings import TrainingOptions
from fewcase.training.learner import choose_machine
from fewcase.training.loop import describe, predict
from fewcase.training.outputs import Outputs, name_weights, prediction_table, write_outputs

SCRIPT = Path(__file__).parents[2] / "workflow" / "convert_inception.py"


def pictures(count, size=48, channels=3, seed=0):
    """Smooth colours with sharp edges, which resizers treat differently."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, channels, 6, 6), dtype=np.uint8)
    return np.kron(coarse, np.ones((1, 1, size // 6, size // 6), np.uint8))


@pytest.fixture(scope="module")
def state():
    """Weights of the published shapes, drawn so that activations keep their size."""

    class Undone(published.FeatureExtractorInceptionV3):
        def load_state_dict(self, *arguments, **options):
            return None

    with (
        torch.random.fork_rng(),
        mock.patch.object(published, "load_state_dict_from_url"),
    ):
        torch.manual_seed(0)
        network = Undone("inception", ["2048"])
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                # The usual draws have a variance of 1/3 over the inputs; rectifiers need 2.
                module.weight.mul_(6**0.5)
    # As the published file, which was made before batches were counted.
    return {key: value for key, value in network.state_dict().items() if "num_batches" not in key}


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "inception.safetensors"
    write_inception(path, state, PUBLISHED_SHA256)
    return path


def test_legacy_features_are_those_of_torch_fidelity(weights):
    extractor = inception_extractor(weights, "legacy")
    images = pictures(2)
    with torch.inference_mode():
        (expected,) = read_inception(weights)[0](torch.from_numpy(images))
    found = extractor.features(images)
    assert found.dtype == np.float32
    assert found.shape == (2, extractor.dimension) == (2, 2048)
    assert found.std() > 0.1
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_clean_features_are_those_of_images_that_pillow_resized(weights):
    extractor = inception_extractor(weights, "clean")
    images = pictures(1, size=360)
    by_pillow = np.stack([[as_pillow(channel, 299) for channel in image] for image in images])
    trunk = torch.nn.Sequential(*list(read_inception(weights)[0].children())[:-1])
    with torch.inference_mode():
        expected = trunk((torch.from_numpy(by_pillow) - 128) / 128).flatten(1).numpy()
    found = extractor.features(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    legacy = inception_extractor(weights, "legacy").features(images)
    assert np.abs(legacy - found).max() > 10 * np.abs(expected - found).max()


def as_pillow(channel, size):
    image = Image.fromarray(channel.astype(np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 255)


@pytest.mark.parametrize("size", [20, 48, 75])
def test_the_clean_resizer_is_pillows_bicubic_filter_on_floats(size):
    image = pictures(1, channels=1)
    found = resize_clean(torch.from_numpy(image), size)[0, 0].numpy()
    np.testing.assert_allclose(found, as_pillow(image[0, 0], size), atol=1e-3)


def test_the_legacy_resizer_aliases_and_the_clean_one_does_not():
    stripes = np.zeros((1, 1, 48, 48), np.uint8)
    stripes[..., ::2] = 255
    clean = resize_clean(torch.from_numpy(stripes), 24)
    legacy = resize_legacy(torch.from_numpy(stripes), 24)
    assert (legacy == 255).all()
    assert abs(float(clean.mean()) - 127.5) < 3


def test_only_the_published_weights_make_a_fid(weights, state, tmp_path):
    standard = inception_extractor(weights, "legacy")
    assert standard.metric_name("frechet") == "FID (legacy)"
    assert standard.metric_name("kid") == "KID (legacy)"
    assert standard.metric_name("precision") == "precision (Inception 2015-12-05)"
    write_inception(tmp_path / "own.safetensors", state, "0" * 64)
    other = inception_extractor(tmp_path / "own.safetensors")
    name = "Inception, other weights (own.safetensors)"
    assert other.metric_name("frechet") == f"Fréchet distance ({name})"
    assert other.metric_name("kid") == f"kernel distance ({name})"


def test_files_that_are_no_inception_are_refused_with_the_remedy(weights, tmp_path):
    pickled = tmp_path / "weights.pth"
    pickled.touch()
    with pytest.raises(InputError, match=r"weights\.pth: not a \.safetensors file.*convert_inc"):
        inception_extractor(pickled)
    with pytest.raises(InputError, match=r"none\.safetensors: no such file"):
        inception_extractor(tmp_path / "none.safetensors")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"torn\.safetensors: torn or not a safetensors"):
        inception_extractor(torn)
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not the weights of the Inception network"):
        inception_extractor(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="resizer: 'bilinear' is neither clean nor legacy"):
        inception_extractor(weights, "bilinear")


def convert(*arguments):
    """Run the script in this process, and return its exit code."""
    spec = importlib.util.spec_from_file_location("convert_inception", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return run(script.main, script.options(), [str(argument) for argument in arguments])


def test_the_published_file_is_fetched_verified_and_converted(state, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    source = tmp_path / "published" / "weights.pth"
    source.parent.mkdir()
    torch.save(state, source)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    out = tmp_path / "converted" / "inception.safetensors"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(source.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/weights.pth"
        code = convert("--url", url, "--sha256", sha256, "--out", out)
        server.shutdown()
        thread.join()
    assert code == 0
    converted = load_file(out)
    assert all(torch.equal(converted[key], value) for key, value in state.items())
    assert read_inception(out)[1] == sha256


def test_a_file_of_another_sum_is_not_even_read(tmp_path):
    source = tmp_path / "weights.pth"
    source.write_bytes(b"anything")
    log = tmp_path / "convert.log"
    out = tmp_path / "inception.safetensors"
    assert convert("--file", source, "--out", out, "--log", log) == 1
    assert f"expected {PUBLISHED_SHA256}" in log.read_text()
    assert "Traceback" not in log.read_text()
    log.unlink()
    assert list(tmp_path.iterdir()) == [source]


def test_the_published_sum_begins_as_the_name_of_the_file_says():
    """PyTorch's convention: the name holds the first eight digits."""
    assert PUBLISHED_URL.endswith(f"-{PUBLISHED_SHA256[:8]}.pth")
    assert len(PUBLISHED_SHA256) == 64


def test_a_timm_model_gives_what_it_hands_to_its_classifier():
    extractor = timm_extractor("test_resnet", "none", image_size=64, seed=5)
    images = pictures(4, size=64 - 64 % 6)
    assert extractor.name == "test_resnet, none (random)"
    torch.manual_seed(5)
    network = timm.create_model("test_resnet", num_classes=1).eval()
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    resized = resize_clean(torch.from_numpy(images), 64)
    with torch.inference_mode():
        expected = network.global_pool(network.forward_features((resized / 255 - mean) / std))
    np.testing.assert_allclose(extractor.features(images), expected.numpy(), rtol=1e-4, atol=1e-5)
    assert extractor.dimension == expected.shape[1]
    again = timm_extractor("test_resnet", "none", image_size=64, seed=5)
    np.testing.assert_array_equal(again.features(images), extractor.features(images))


def test_making_an_extractor_leaves_the_global_generator_alone(weights):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    timm_extractor("test_vit", "none", image_size=64)
    read_inception(weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_grey_images_count_as_colours_and_mapped_files_as_arrays(tmp_path):
    extractor = timm_extractor("test_vit", "none", image_size=48)
    grey = pictures(70, channels=1)
    np.save(tmp_path / "images.npy", np.repeat(grey, 3, axis=1))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    features = extractor.features(grey)
    np.testing.assert_array_equal(features, extractor.features(mapped))
    parts = list(extractor.chunks(mapped))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), features)
    # An image's features do not depend on the others of its chunk.
    np.testing.assert_allclose(extractor.features(grey[40:41])[0], features[40], atol=1e-5)
    assert extractor.features(grey[:0]).shape == (0, extractor.dimension)


def test_images_that_do_not_fit_are_named():
    extractor = timm_extractor("test_vit", "none", image_size=48)
    with pytest.raises(InputError, match=r"images: float32 \(1, 3, 48, 48\), expected uint8"):
        extractor.features(np.zeros((1, 3, 48, 48), np.float32))
    with pytest.raises(InputError, match=r"2 channels, but test_vit, none .* takes 3"):
        extractor.features(np.zeros((1, 2, 48, 48), np.uint8))


def make_run(folder, bags=1, model="test_vit", channels=3, size=48):
    """The files of a run, written as training writes them, and the networks in them."""
    factors = {"model": model, "weights": "none", "bags": bags}
    recipe = read_recipe(factors, "recipe")
    torch.manual_seed(1)
    built = [build_model(model, {}, 3, channels, size, "none") for _ in range(bags)]
    machine = choose_machine(TrainingOptions(), built[0].network, 10, "cpu")
    weights = [
        {key: tensor.numpy() for key, tensor in plain_state(each.network).items()} for each in built
    ]
    outputs = Outputs(
        name_weights(weights),
        pd.DataFrame(),
        pd.DataFrame({"row": [0]}),
        {**describe(built[0], machine), "prevalence": [0.5, 0.3, 0.2]},
    )
    names = ("weights.safetensors", "history.csv", "predictions.parquet", "options.json")
    write_outputs(outputs, resolved(recipe), *(folder / name for name in names))
    return [each.network.eval() for each in built], built[0]


@pytest.mark.parametrize("bags", [1, 2])
def test_the_classifier_of_a_run_predicts_as_the_run_did(tmp_path, bags):
    networks, built = make_run(tmp_path / "run", bags)
    classifier = classifier_of(tmp_path / "run", 48)
    images = pictures(5)
    store = DeviceImages(torch.from_numpy(images), False, built.mean, built.std)
    precision = choose_precision("float32", "cpu")
    logits = [predict(network, store, np.arange(5), 3, precision) for network in networks]
    expected = prediction_table(pd.DataFrame({"row": np.arange(5)}), np.stack(logits))
    scores = expected[["score_0", "score_1", "score_2"]].to_numpy()
    np.testing.assert_allclose(classifier.probabilities(images), scores, atol=1e-5)
    with torch.inference_mode():
        hidden = networks[0].forward_features(store.batch(torch.arange(5)))
        head = networks[0].forward_head(hidden, pre_logits=True)
    np.testing.assert_allclose(classifier.features(images), head.numpy(), rtol=1e-4, atol=1e-5)
    assert classifier.metric_name("frechet").startswith("Fréchet distance (test_vit, classifier")


def test_a_run_says_itself_how_large_it_saw_images(tmp_path):
    """Real images go through the size of the generator, whose own have it already."""
    (network,), built = make_run(tmp_path / "run", model="test_resnet")
    path = tmp_path / "run" / "options.json"
    options = json.loads(path.read_text())
    real = pictures(3)
    drawn = resize_batch(real, 24)
    plain = classifier_of(tmp_path / "run", 48).features(real)
    for factors, images, seen in (
        ({"input_size": 96}, real, resize_batch(real, 96)),
        ({"through_size": 24}, real, resize_batch(drawn, 48)),
        ({"through_size": 24}, drawn, resize_batch(drawn, 48)),
    ):
        changed = {**options, "recipe": {**options["recipe"], **factors}}
        path.write_text(json.dumps(changed))
        store = DeviceImages(torch.from_numpy(seen), False, built.mean, built.std)
        with torch.inference_mode():
            expected = network.forward_head(
                network.forward_features(store.batch(torch.arange(3))), pre_logits=True
            ).numpy()
        found = classifier_of(tmp_path / "run", 48).features(images)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert np.abs(expected - plain).max() > 1e-3


def test_a_run_of_grey_images_takes_grey_images_alone(tmp_path):
    make_run(tmp_path / "run", channels=1)
    classifier = classifier_of(tmp_path / "run", 48)
    assert classifier.features(pictures(2, channels=1)).shape == (2, classifier.dimension)
    with pytest.raises(InputError, match=r"3 channels, but test_vit.* takes 1"):
        classifier.features(pictures(2))


def test_a_folder_that_is_no_run_of_a_network_is_refused(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(InputError, match="the weights do not fit test_vit at 96 pixels"):
        classifier_of(tmp_path / "run", 96)
    options = tmp_path / "run" / "options.json"
    options.write_text(json.dumps({"recipe": {"model": "logistic"}}))
    with pytest.raises(InputError, match="not the options of a trained network"):
        classifier_of(tmp_path / "run", 48)
    with pytest.raises(InputError, match=r"options\.json: no such file"):
        classifier_of(tmp_path / "none", 48)
