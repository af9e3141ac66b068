"""Networks of class and masks: shapes and parameters by hand, gradients, what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fewcase.models.registry import build_model, count_parameters, is_convolutional, plain_state
from fewcase.models.unet_classifier import FibrosisUNet, Maxout
from fewcase.study.errors import InputError
from fewcase.study.models import check_models, gives_masks
from fewcase.study.recipe import Recipe
from fewcase.training.mask_loss import segmentation_loss

SMALL = {"width": 8, "depth": 3}


def build(name="fibrosis_unet", weights="none", channels=1, image_size=32, **options):
    if name == "fibrosis_unet":
        options = {**SMALL, **options}
    return build_model(name, options, 3, channels, image_size, weights)


def stage(inputs, filters, extra):
    """Weights of two 3 x 3 convolutions, and `extra` numbers for each filter beside them."""
    return 9 * filters * (inputs + filters) + extra * filters


def decoder(passed, skips, filters, extra):
    """Transposed convolutions, stages and three mask outputs, from the deepest level's channels."""
    below = [f // 2 for f in filters[1:]] + [passed]
    ups = sum(4 * b * (f // 2) + f // 2 for b, f in zip(below, filters, strict=True))
    stages = sum(stage(f // 2 + s, f, extra) for s, f in zip(skips, filters, strict=True))
    return ups + stages + sum(f // 2 + 1 for f in filters[:3])


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_paper_s_network_has_the_parameters_of_its_layers(norm):
    extra = 2 if norm == "none" else 4  # Two biases, or two factors and two shifts.
    filters = [64, 128, 256, 512, 1024]
    passed = [32, 64, 128, 256, 512]
    down = sum(stage(i, f, extra) for i, f in zip([1, *passed], filters, strict=False))
    expected = down + decoder(512, passed[:4], filters[:4], extra) + 512 * 3 + 3
    with torch.device("meta"):
        network = FibrosisUNet(norm=norm)
        flat = FibrosisUNet(norm=norm, head="flatten")
    assert count_parameters(network) == expected
    assert count_parameters(flat) == expected + (32 * 32 - 1) * 512 * 3
    if norm == "none":
        assert expected == 22_675_974
        assert f"{expected:,}" in FibrosisUNet.__doc__


def test_the_paper_s_network_gives_masks_of_512_256_and_128_pixels():
    shapes = {}
    with torch.device("meta"):
        network = FibrosisUNet()
        for name, module in network.named_modules():
            if name.rpartition(".")[0] in ("encoder", "decoder.stages"):
                module.register_forward_hook(
                    lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])})
                )
        logits, masks = network.segment(torch.zeros(2, 1, 512, 512))
    assert logits.shape == (2, 3)
    assert [tuple(mask.shape) for mask in masks] == [(2, 1, s, s) for s in (512, 256, 128)]
    for level in range(5):
        assert shapes[f"encoder.{level}"] == (32 * 2**level, 512 // 2**level, 512 // 2**level)
    for level in range(4):
        assert shapes[f"decoder.stages.{level}"] == shapes[f"encoder.{level}"]


def test_every_stage_has_maxout_and_dropout_and_the_two_deepest_levels_more_of_it():
    with torch.device("meta"):
        network = FibrosisUNet()
    for stages, rates in (
        (network.encoder, [0.2, 0.2, 0.2, 0.5, 0.5]),
        (network.decoder.stages, [0.2, 0.2, 0.2, 0.5]),
    ):
        layers = [{type(layer): layer for layer in stage} for stage in stages]
        assert all(Maxout in kinds for kinds in layers)
        assert [kinds[nn.Dropout].p for kinds in layers] == rates


def test_the_unet_of_resnet34_has_the_parameters_of_its_layers():
    # torchvision's resnet34 has 21,797,672, of them 513,000 in its classifier, and sees colours.
    encoder = 21_797_672 - 513_000 - 2 * 64 * 49
    skips, filters = [0, 64, 64, 128, 256], [32, 64, 128, 256, 512]
    network = build("unet_resnet34", image_size=64).network
    expected = encoder + 512 * 3 + 3 + decoder(512, skips, filters, 4)
    assert count_parameters(network) == expected
    assert f"{expected:,}" in type(network).__doc__
    assert is_convolutional(network)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fibrosis_unet", {}),
        ("fibrosis_unet", {"norm": "group", "width": 16, "head": "flatten"}),
        # Whose blocks begin as nothing otherwise, with no gradient inside them.
        ("unet_test_resnet", {"width": 8, "zero_init_last": False}),
        ("unet_test_efficientnet", {"width": 8, "norm": "group"}),
    ],
)
def test_a_gradient_reaches_every_parameter_and_each_output_has_its_own(name, options):
    torch.manual_seed(0)
    network = build(name, image_size=64, channels=3, **options).network
    images, truth = torch.randn(4, 3, 64, 64), (torch.rand(4, 1, 64, 64) > 0.5).float()
    logits, masks = network.segment(images)
    outputs = [logits, *masks]
    for output in outputs:
        output.retain_grad()
    labels, known = torch.tensor([0, 1, 2, 0]), torch.ones(4, dtype=torch.bool)
    segmentation_loss(logits, masks, labels, truth, known).total.backward()
    for output in outputs:
        assert (output.grad != 0).float().mean() > 0.99
    missed = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert not missed


@pytest.mark.parametrize("name", ["fibrosis_unet", "unet_test_resnet"])
def test_the_class_path_alone_gives_the_same_logits_and_needs_no_decoder(name):
    network = build(name, image_size=64).network.eval()
    images = torch.randn(2, 1, 64, 96 if name == "unet_test_resnet" else 48)
    with torch.no_grad():
        logits, masks = network.segment(images)
        assert masks[0].shape == (2, 1, *images.shape[2:])
        network.decoder = None
        assert torch.equal(network(images), logits)


def test_a_mask_looks_at_the_image_through_the_skips():
    """A pixel's mask depends on that pixel, also where the deepest level has forgotten it."""
    network = build(image_size=32).network.eval()
    image = torch.randn(1, 1, 32, 32, requires_grad=True)
    network.segment(image)[1][0][0, 0, 5, 9].backward()
    around = image.grad[0, 0, 4:7, 8:11].abs().mean()
    assert around > 5 * image.grad[0, 0, 20:, 20:].abs().mean()


def test_maxout_and_its_gradient_are_those_of_torch():
    features = torch.randn(2, 6, 5, 4, dtype=torch.float64, requires_grad=True)
    expected = features.unflatten(1, (2, 3)).amax(1)
    assert torch.equal(Maxout()(features), expected)
    assert torch.autograd.gradcheck(Maxout(), features)
    for memory in (torch.contiguous_format, torch.channels_last):
        ours = Maxout()(features.contiguous(memory_format=memory))
        assert ours.is_contiguous(memory_format=memory)


def test_squares_neither_grow_nor_fade_through_the_stages():
    torch.manual_seed(1)
    network = FibrosisUNet(width=16, dropout=0, deep_dropout=0, image_size=64)
    logits, masks = network.segment(torch.randn(4, 1, 64, 64))
    assert 0.1 < logits.square().mean() < 10
    assert all(0.1 < mask.square().mean() < 10 for mask in masks)


def test_grey_levels_are_normalised_as_each_network_wants_them():
    assert build().mean == build().std == (0.5,)
    plain = build_model("test_resnet", {}, 3, 1, 32, "none")
    assert build("unet_test_resnet", image_size=64).mean == plain.mean


def test_weights_of_a_file_go_to_the_encoder(tmp_path):
    plain = build_model("test_resnet", {}, 7, 3, 64, "none").network
    save_file(plain_state(plain), tmp_path / "encoder.safetensors")
    built = build("unet_test_resnet", str(tmp_path / "encoder.safetensors"), 3, 64)
    images = torch.randn(2, 3, 64, 64)
    expected = plain.eval().forward_features(images)
    found = built.network.eval().encoder.forward_features(images)
    assert torch.equal(found, expected)
    assert "encoder.safetensors" in built.weights


def test_the_paper_s_network_continues_from_its_own_file_with_a_new_class_layer(tmp_path):
    first = build().network
    save_file(plain_state(first), tmp_path / "ours.safetensors")
    second = build(weights=str(tmp_path / "ours.safetensors")).network
    states = first.state_dict(), second.state_dict()
    drawn = {key for key in states[0] if not torch.equal(states[0][key], states[1][key])}
    assert drawn == {"head.linear.weight", "head.linear.bias"}
    with pytest.raises(InputError, match="do not fit fibrosis_unet"):
        build(weights=str(tmp_path / "ours.safetensors"), width=16)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("fibrosis_unet", {"image_size": 36}, "36 pixels are not a multiple of 8"),
        ("fibrosis_unet", {"width": 7}, "width 7"),
        ("fibrosis_unet", {"depth": 2}, "depth 2"),
        ("fibrosis_unet", {"norm": "layer"}, "batch, group"),
        ("fibrosis_unet", {"head": "mean"}, "average, flatten"),
        ("fibrosis_unet", {"weights": "imagenet"}, "no ImageNet weights of fibrosis_unet"),
        ("fibrosis_unet", {"banana": 1}, "banana"),
        ("unet_test_resnet", {"image_size": 80}, "multiple of 32"),
        ("unet_test_vit", {"image_size": 64}, "l = 4"),
        ("unet_inception_v3", {"image_size": 96}, "where 48 pixels fit"),
        ("unet_resnet3O", {}, "resnet3"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name, options, said):
    with pytest.raises(InputError, match=said):
        build(name, **options)


def test_a_study_may_name_them_and_a_misspelt_encoder_is_found():
    ours = [Recipe(model=name) for name in ("fibrosis_unet", "unet_resnet34.a1_in1k")]
    check_models({recipe.model: recipe for recipe in ours})
    assert all(gives_masks(recipe.model) for recipe in ours)
    assert not gives_masks("resnet34")
    for name, hint in (("unet_resnet3O", "whose encoder timm"), ("fibrosis_net", "fibrosis_unet")):
        with pytest.raises(InputError, match=hint):
            check_models({"arm": Recipe(model=name)})
