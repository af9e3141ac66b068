import urllib.error

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from fewcase.models import registry
from fewcase.models.registry import (
    PAPER_MODELS,
    build_model,
    count_parameters,
    is_convolutional,
    plain_state,
)
from fewcase.study.errors import InputError


def build(name, weights="none", classes=2, channels=3, image_size=64, **options):
    return build_model(name, options, classes, channels, image_size, weights)


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory):
    """Weights of a tiny ViT as timm writes them: 1,000 classes, 3 channels, 160 pixels."""
    torch.manual_seed(5)
    state = plain_state(build("test_vit", classes=1000, image_size=160).network)
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(state, path)
    return path, state


@pytest.mark.parametrize(("name", "millions"), PAPER_MODELS.items())
def test_a_model_of_table_5_has_the_parameters_that_the_paper_gives(name, millions):
    with torch.device("meta"):
        network = build(name, classes=1000, image_size=224).network
    assert abs(count_parameters(network) / 1e6 - millions) < 1


@pytest.mark.parametrize(
    "name", ["test_vit", "test_resnet", "test_efficientnet", "swin_s3_tiny_224"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_takes_images_of_the_study_s_size_and_channels(name, channels):
    network = build(name, classes=3, channels=channels, image_size=96).network
    assert network(torch.zeros(2, channels, 96, 96)).shape == (2, 3)


def test_options_reach_the_model():
    shallow = build("vit_small_patch16_224", image_size=32, depth=2, embed_dim=48, num_heads=2)
    assert len(shallow.network.blocks) == 2


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="resnet50"):
        build("resnet5O")
    with pytest.raises(InputError, match="list_models"):
        build("zzzzzzzzzzzzzzzz")


def test_an_unknown_tag_of_weights_is_refused():
    with pytest.raises(InputError, match="a1_in1k"):
        build("resnet50.a1_in1")


def test_an_option_or_a_size_that_the_model_does_not_take_is_refused():
    with pytest.raises(InputError, match="banana=3"):
        build("test_resnet", banana=3)
    with pytest.raises(InputError, match="num_heads=7"):
        build("test_vit", num_heads=7)


def test_weights_of_a_file_are_loaded_and_adapted_to_size_channels_and_classes(vit_file):
    path, state = vit_file
    built = build("test_vit", weights=str(path), classes=2, channels=1, image_size=64)
    loaded = built.network.state_dict()
    assert torch.equal(loaded["blocks.0.mlp.fc1.weight"], state["blocks.0.mlp.fc1.weight"])
    summed = state["patch_embed.proj.weight"].sum(1, keepdim=True)
    assert torch.allclose(loaded["patch_embed.proj.weight"], summed, atol=1e-6)
    assert loaded["pos_embed"].shape[1] < state["pos_embed"].shape[1]
    assert built.network(torch.zeros(1, 1, 64, 64)).shape == (1, 2)
    assert path.name in built.weights
    assert "SHA-256" in built.weights


def test_our_own_weights_with_two_classes_can_start_another_training(tmp_path):
    state = plain_state(build("test_resnet", classes=2).network)
    save_file(state, tmp_path / "ours.safetensors")
    built = build("test_resnet", weights=str(tmp_path / "ours.safetensors"), classes=3)
    key = next(key for key in state if key.endswith("conv1.weight"))
    assert torch.equal(built.network.state_dict()[key], state[key])
    assert built.network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_weights_that_cannot_be_used_are_refused(vit_file, tmp_path):
    path, state = vit_file
    with pytest.raises(InputError, match="do not fit test_vit"):
        build("test_vit", weights=str(path), depth=9)
    with pytest.raises(InputError, match=r"fc\.weight"):
        build("test_resnet", weights=str(path))
    with pytest.raises(InputError, match="no such file"):
        build("test_vit", weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="neither imagenet nor none"):
        build("test_vit", weights="imagnet")
    with pytest.raises(InputError, match="convert them first"):
        build("test_vit", weights=str(tmp_path / "weights.pth"))
    (tmp_path / "torn.safetensors").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a safetensors file"):
        build("test_vit", weights=str(tmp_path / "torn.safetensors"))
    del state


def test_imagenet_weights_out_of_reach_are_refused_at_once_with_what_else_there_is(monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(registry.urllib.request, "urlopen", unreachable)
    with pytest.raises(InputError) as refusal:
        build("resnet50", weights="imagenet")
    for part in ("timm/resnet50.a1_in1k", "no route to host", "weights: none", ".safetensors"):
        assert part in str(refusal.value)


def test_imagenet_weights_in_the_cache_need_no_network(monkeypatch, vit_file):
    path, state = vit_file
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(path))
    monkeypatch.setattr(registry, "_hub_problem", lambda: pytest.fail("asked the network"))
    built = build("test_vit", weights="imagenet", image_size=160)
    assert built.weights == "ImageNet (timm/test_vit.r160_in1k)"
    assert torch.equal(built.network.state_dict()["pos_embed"], state["pos_embed"])


def test_a_model_without_imagenet_weights_says_so():
    with pytest.raises(InputError, match="no ImageNet weights"):
        build("test_maxvit", weights="imagenet")


def test_normalisation_is_that_of_the_weights_and_the_average_for_other_channels():
    assert build("test_vit").mean == (0.5, 0.5, 0.5)
    assert build("test_resnet").mean == pytest.approx(build("test_resnet", channels=3).mean)
    colours = registry.timm.get_pretrained_cfg("resnet18").mean
    assert build("resnet18", channels=1).mean == pytest.approx((sum(colours) / 3,))


def test_convolutional_networks_are_told_from_transformers():
    assert is_convolutional(build("test_resnet").network)
    assert not is_convolutional(build("test_vit").network)


def test_the_same_seed_builds_the_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(plain_state(build("test_vit").network))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
