"""Seeds, precision and normalisation."""

import numpy as np
import pytest
import torch

from fewcase.runtime.determinism import (
    prepare_torch,
    random_states,
    restore_random_states,
    seed_libraries,
    seed_of,
)
from fewcase.runtime.normalisation import DeviceImages
from fewcase.runtime.precision import choose_precision


@pytest.fixture
def restored_settings():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_seeds_of_all_places_differ_and_stay_the_same():
    keys = [(s, b, e) for s in range(5) for b in range(5) for e in range(5)]
    keys += [(s, b) for s in range(5) for b in range(5)] + [(0,), (0, 0, 0, 0)]
    assert len({seed_of(*key) for key in keys}) == len(keys)
    assert all(0 <= seed_of(*key) < 2**63 for key in keys)
    assert seed_of(1, 2) == 1826972086523782664


def test_restored_generators_draw_what_they_would_have_drawn():
    seed_libraries(4)
    torch.randn(5), np.random.normal(size=3)
    states = {key: state.clone() for key, state in random_states().items()}
    expected = torch.randn(5), np.random.normal(size=4)
    seed_libraries(99)
    restore_random_states(states)
    assert torch.equal(torch.randn(5), expected[0])
    np.testing.assert_array_equal(np.random.normal(size=4), expected[1])


def test_torch_uses_the_threads_of_the_study(restored_settings):
    prepare_torch(3, "cpu")
    assert torch.get_num_threads() == 3
    assert torch.are_deterministic_algorithms_enabled()


def test_precision_is_float32_on_a_cpu_unless_another_is_asked_for():
    automatic = choose_precision("auto", "cpu")
    assert automatic.name == "float32"
    assert not automatic.gradient_scaler().is_enabled()
    linear = torch.nn.Linear(4, 4)
    with automatic.autocast():
        assert linear(torch.ones(1, 4)).dtype == torch.float32
    asked = choose_precision("bfloat16", "cpu")
    with asked.autocast():
        assert linear(torch.ones(1, 4)).dtype == torch.bfloat16
    assert not asked.gradient_scaler().is_enabled()
    assert choose_precision("float16", "cpu").gradient_scaler().is_enabled()


@pytest.mark.parametrize(("capable", "name"), [(True, "bfloat16"), (False, "float32")])
def test_precision_is_bfloat16_on_a_gpu_that_has_it(monkeypatch, capable, name):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capable)
    assert choose_precision("auto", "cuda:1").name == name


MEAN, STD = (0.2, 0.5, 0.9), (0.3, 0.5, 1.2)


def reference(images):
    mean, std = np.array(MEAN)[:, None, None], np.array(STD)[:, None, None]
    return ((images / 255 - mean) / std).astype(np.float32)


@pytest.mark.parametrize("channels_last", [False, True])
def test_packed_and_plain_images_give_the_same_normalised_batch(channels_last):
    pixels = np.random.default_rng(0).integers(0, 2, (7, 3, 5, 16), dtype=np.uint8)
    positions = torch.tensor([6, 0, 0, 3])
    expected = reference(pixels[positions.numpy()] * 255)
    for stored, packed in ((np.packbits(pixels, axis=-1), True), (pixels * 255, False)):
        store = DeviceImages(torch.from_numpy(stored), packed, MEAN, STD, channels_last)
        batch = store.batch(positions)
        np.testing.assert_allclose(batch.numpy(), expected, rtol=1e-6, atol=1e-6)
        assert batch.dtype == torch.float32
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert batch.is_contiguous(memory_format=layout)


def test_grey_images_are_normalised():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 7), dtype=np.uint8)
    store = DeviceImages(torch.from_numpy(images), False, MEAN, STD)
    batch = store.batch(torch.arange(4)).numpy()
    np.testing.assert_allclose(batch, reference(images), rtol=1e-5, atol=1e-6)


def test_white_is_the_value_of_a_white_pixel():
    white = np.full((1, 3, 8, 8), 255, np.uint8)
    store = DeviceImages(torch.from_numpy(np.packbits(white, axis=-1)), True, MEAN, STD)
    batch = store.batch(torch.tensor([0]))
    assert torch.equal(batch, store.white[None, :, None, None].expand_as(batch))


def test_means_must_be_those_of_the_channels():
    with pytest.raises(ValueError, match="1 channels, but 3 means"):
        DeviceImages(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), False, MEAN, STD)
