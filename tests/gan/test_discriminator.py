"""StyleGAN2's discriminator: its shapes, its formulas, and its heads for classes."""

import math

import numpy as np
import pytest
import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.discriminator import Discriminator, minibatch_deviation

SMALL = {"channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "embedding": 6}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(size=32, channels=3, **values):
    torch.manual_seed(1)
    discriminator = Discriminator(Architecture(size, channels, **{**SMALL, **values}))
    for name, parameter in discriminator.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, 0, 0.3)
    return discriminator


def some_images(batch, size=32, channels=3, seed=0):
    return torch.rand(batch, channels, size, size, generator=seeded(seed)) * 2 - 1


def expected_parameters(size, channels, channel_base=None):
    base = channel_base or (16384 if size < 512 else 32768)
    width = {2**k: min(base // 2**k, 512) for k in range(2, int(math.log2(size)) + 1)}
    total = channels * width[size] + width[size]
    for resolution in [r for r in width if r > 4]:
        inputs, outputs = width[resolution], width[resolution // 2]
        total += 9 * inputs * inputs + inputs + 9 * inputs * outputs + outputs + inputs * outputs
    total += 9 * (width[4] + 1) * width[4] + width[4] + 16 * width[4] ** 2 + width[4]
    return total + width[4] + 1


def count(architecture):
    with torch.device("meta"):
        return sum(p.numel() for p in Discriminator(architecture).parameters())


@pytest.mark.parametrize(
    ("size", "channels"), [(32, 1), (64, 3), (128, 1), (256, 3), (512, 3), (1024, 3)]
)
def test_the_number_of_weights_is_that_of_the_published_formulas(size, channels):
    assert count(Architecture(size, channels)) == expected_parameters(size, channels)


def test_the_number_of_weights_is_that_of_the_published_networks():
    # Config F at 1024 pixels, and its form with half the channels at 256, as their logs print it.
    assert expected_parameters(1024, 3) == count(Architecture(1024, 3)) == 29_012_513
    assert expected_parameters(256, 3) == count(Architecture(256, 3)) == 24_001_089


def test_heads_add_their_weights_and_nothing_else():
    plain = expected_parameters(64, 3)
    extra = {
        "none": 0,
        "d2dce": 512 * 512 + 512 + 9 * 512,
        "projection": 9 * 512,
        "auxiliary": 9 * 512 + 9,
    }
    for conditioning, weights in extra.items():
        assert count(Architecture(64, 3, 9, conditioning)) == plain + weights
    assert count(Architecture(64, 3, 1, "d2dce")) == plain


def slow_logits(discriminator, images, group):
    """Judge images in numpy's float64, layer by layer."""
    network = {k: v.detach().double().numpy() for k, v in discriminator.named_parameters()}
    taps = np.array([1, 3, 3, 1]) / 8

    def convolve(image, weight):
        windows = np.lib.stride_tricks.sliding_window_view(image, weight.shape[2:], axis=(1, 2))
        return np.einsum("chwij,kcij->khw", windows, weight)

    def blur(image, pad):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(1, 2))
        return np.einsum("chwij,i,j->chw", windows, taps, taps)

    def scaled(prefix):
        weight = network[f"{prefix}.weight"]
        return weight / math.sqrt(weight[0].size)

    def activated(image, prefix):
        bias = network[f"{prefix}.bias"]
        image = image + bias.reshape(-1, *[1] * (image.ndim - 1))
        return np.where(image > 0, image, 0.2 * image) * math.sqrt(2)

    def block(image, prefix):
        if f"{prefix}.from_image.weight" in network:
            image = activated(
                convolve(image, scaled(f"{prefix}.from_image")), f"{prefix}.from_image"
            )
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        inner = activated(convolve(padded, scaled(f"{prefix}.first")), f"{prefix}.first")
        inner = convolve(blur(inner, 2), scaled(f"{prefix}.second"))[:, ::2, ::2]
        inner = activated(inner, f"{prefix}.second")
        skipped = convolve(blur(image, 1), scaled(f"{prefix}.skip"))[:, ::2, ::2]
        return (inner + skipped) * math.sqrt(0.5)

    activations = []
    for image in images.double().numpy():
        for index in range(len(discriminator.blocks)):
            image = block(image, f"blocks.{index}")
        activations.append(image)
    groups = len(images) // group
    logits = []
    for index, image in enumerate(activations):
        company = np.stack([activations[j] for j in range(index % groups, len(images), groups)])
        deviation = np.sqrt(company.var(0) + 1e-8).mean()
        extended = np.concatenate([image, np.full((1, 4, 4), deviation)])
        padded = np.pad(extended, ((0, 0), (1, 1), (1, 1)))
        image = convolve(padded, scaled("epilogue.convolution"))
        image = activated(image, "epilogue.convolution")
        features = scaled("epilogue.linear") @ image.ravel()
        features = activated(features, "epilogue.linear")
        logits.append(scaled("real") @ features + network["real.bias"])
    return np.concatenate(logits)


@pytest.mark.parametrize("channels", [1, 3])
def test_logits_are_those_of_the_published_formulas(channels):
    discriminator, images = small(16, channels), some_images(8, 16, channels)
    found = discriminator(images).logits.detach().numpy()
    np.testing.assert_allclose(found, slow_logits(discriminator, images, 4), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [32, 64, 256, 512])
def test_every_size_is_judged(size):
    architecture = Architecture(size, 1, channel_base=size, channel_max=4)
    assert Discriminator(architecture)(some_images(3, size, 1)).logits.shape == (3,)


@pytest.mark.parametrize(
    ("batch", "group", "members"),
    [
        (8, 4, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        (3, 4, [[0, 1, 2]]),
        (7, 4, [[0, 1, 2, 3, 4, 5, 6]]),
        (9, 4, [[0, 2, 4, 6, 8], [1, 3, 5, 7]]),
        (11, 3, [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8]]),
        (1, 4, [[0]]),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_minibatch_deviation_is_that_of_each_image_s_group(batch, group, members, channels):
    activations = torch.randn(batch, 6, 4, 4, generator=seeded(), dtype=torch.float64)
    found = minibatch_deviation(activations, group, channels)
    assert found.shape == (batch, channels, 4, 4)
    for own in members:
        deviation = np.sqrt(activations[own].numpy().var(0) + 1e-8)
        expected = deviation.reshape(channels, -1).mean(1)
        for index in own:
            np.testing.assert_allclose(found[index, :, 0, 0], expected)
            assert (found[index] == found[index][:, :1, :1]).all()


def test_minibatch_deviation_has_right_first_and_second_derivatives():
    activations = torch.randn(5, 2, 1, 2, generator=seeded(), dtype=torch.float64)
    inputs = activations.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: minibatch_deviation(x, 2), inputs)
    assert torch.autograd.gradgradcheck(lambda x: minibatch_deviation(x, 2), inputs)


def test_minibatch_deviation_of_equal_images_has_a_finite_gradient():
    activations = torch.ones(4, 2, 4, 4, requires_grad=True)
    minibatch_deviation(activations, 4).sum().backward()
    assert torch.isfinite(activations.grad).all()


def features_of(discriminator, images):
    activations = images
    for block in discriminator.blocks:
        activations = block(activations)
    return discriminator.epilogue(activations).detach().double().numpy()


def test_data_to_data_heads_are_an_embedding_of_the_image_and_a_vector_of_the_class():
    discriminator, images = small(16, classes=3), some_images(4, 16)
    labels = torch.tensor([2, 0, 2, 1])
    judged = discriminator(images, labels)
    features = features_of(discriminator, images)
    weight = discriminator.embedding.weight.detach().double().numpy() / math.sqrt(16)
    expected = features @ weight.T + discriminator.embedding.bias.detach().double().numpy()
    np.testing.assert_allclose(judged.embeddings.detach(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(judged.proxies, discriminator.class_vectors[labels])
    # The logit knows nothing of the class.
    other = discriminator(images, torch.tensor([0, 1, 1, 0]))
    assert torch.equal(judged.logits, other.logits)
    with pytest.raises(ValueError, match="labels"):
        discriminator(images)


def test_projection_adds_the_product_of_features_and_class_to_the_logit():
    discriminator = small(16, classes=3, conditioning="projection")
    images, labels = some_images(4, 16), torch.tensor([2, 0, 2, 1])
    features = features_of(discriminator, images)
    vectors = discriminator.class_vectors.detach().double().numpy()[labels]
    weight = discriminator.real.weight.detach().double().numpy()[0] / math.sqrt(16)
    expected = features @ weight + discriminator.real.bias.item()
    expected = expected + (features * vectors).sum(1) / math.sqrt(16)
    found = discriminator(images, labels)
    np.testing.assert_allclose(found.logits.detach(), expected, rtol=1e-4, atol=1e-5)
    assert found.embeddings is found.class_logits is None


def test_the_auxiliary_classifier_reads_the_features_and_needs_no_label():
    discriminator = small(16, classes=3, conditioning="auxiliary")
    images = some_images(4, 16)
    weight = discriminator.class_logits.weight.detach().double().numpy() / math.sqrt(16)
    expected = features_of(discriminator, images) @ weight.T
    expected = expected + discriminator.class_logits.bias.detach().double().numpy()
    found = discriminator(images).class_logits.detach()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_blocks_are_counted_from_the_highest_resolution_on():
    discriminator = small(classes=2)
    # Layers: the first block has four of them, the others three.
    for blocks, layers in ((1, 4), (2, 7), (3, 10)):
        names = [
            n for number in range(1, blocks + 1) for n in discriminator.block_parameters(number)
        ]
        assert sum(name.endswith(".weight") for name in names) == layers
    assert discriminator.block_parameters(1)[0].startswith("blocks.0.from_image")
    parameters = dict(discriminator.named_parameters())
    blocks = [set(discriminator.block_parameters(number)) for number in (1, 2, 3)]
    assert set.union(*blocks) == {name for name in parameters if name.startswith("blocks.")}
    widths = [Architecture(32, 3, **SMALL).width_at(size) for size in (32, 16, 8)]
    assert [parameters[f"blocks.{i}.first.weight"].shape[0] for i in range(3)] == widths
    for number in (0, 4):
        with pytest.raises(ValueError, match=f"block {number}"):
            discriminator.block_parameters(number)


@pytest.mark.parametrize("conditioning", ["d2dce", "projection", "auxiliary", "none"])
def test_only_what_has_the_shape_of_the_classes_is_named_so(conditioning):
    shapes = [
        {
            name: value.shape
            for name, value in small(classes=classes, conditioning=conditioning)
            .state_dict()
            .items()
        }
        for classes in (2, 5)
    ]
    different = [name for name in shapes[0] if shapes[0][name] != shapes[1][name]]
    assert small(classes=2, conditioning=conditioning).class_parameters() == different


def test_first_and_second_derivatives_are_right():
    discriminator = small(8, 1, channel_base=32, channel_max=3, classes=2).double()
    images, labels = some_images(2, 8, 1).double().requires_grad_(), torch.tensor([0, 1])

    def function(inputs):
        judged = discriminator(inputs, labels)
        return judged.logits, judged.embeddings.sum(1)

    assert torch.autograd.gradcheck(function, images)
    assert torch.autograd.gradgradcheck(function, images)


def test_judgements_of_low_precision_are_near_those_of_full_in_float32():
    discriminator, images = small(64, classes=3), some_images(8, 64)
    labels = torch.arange(8) % 3
    full = discriminator(images, labels)
    discriminator.use_precision(torch.bfloat16, blocks=3)
    assert [block.low for block in discriminator.blocks] == [torch.bfloat16] * 3 + [None]
    low = discriminator(images, labels)
    for before, after in zip(full[:2], low[:2], strict=True):
        assert after.dtype == torch.float32
        assert not torch.equal(after, before)
        assert (after - before).abs().max() < 0.02 * before.abs().max()
    discriminator.use_precision(torch.float32)
    assert torch.equal(discriminator(images, labels).logits, full.logits)


def test_activations_of_low_precision_are_bounded():
    discriminator = small(32)
    discriminator.use_precision(torch.bfloat16)
    judged = discriminator(1e6 * some_images(4))
    assert torch.isfinite(judged.logits).all()
    block = discriminator.blocks[0]
    inner = block.first(1e6 * some_images(4, channels=8), discriminator.architecture.clamp)
    assert float(inner.detach().abs().max()) == 256


def test_the_discriminator_compiles_without_a_break():
    discriminator, images = small(16, classes=2), some_images(5, 16)
    labels = torch.tensor([0, 1, 1, 0, 1])
    compiled = torch.compile(discriminator, fullgraph=True, backend="aot_eager")
    for found, expected in zip(
        compiled(images, labels)[:3], discriminator(images, labels)[:3], strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
