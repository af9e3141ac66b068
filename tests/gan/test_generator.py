"""StyleGAN2's generator: its shapes, what it draws from, and that images can be drawn again."""

import json
import math

import numpy as np
import pytest
import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.generator import Generator
from fewcase.gan.latents import latents_of, noise_of
from fewcase.study.errors import InputError

SMALL = {"channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(size=32, channels=3, **values):
    torch.manual_seed(1)
    generator = Generator(Architecture(size, channels, **{**SMALL, **values}))
    # Trained noise and biases are not 0.
    for name, parameter in generator.named_parameters():
        if name.endswith(("noise_strength", "bias")):
            torch.nn.init.normal_(parameter, parameter.mean().item(), 0.3)
    return generator


def expected_parameters(size, channels=3, classes=1, channel_base=None):
    """Count the weights of the mapping and of the synthesis by the published formulas."""
    base = channel_base or (16384 if size < 512 else 32768)
    embedded = 512 if classes > 1 else 0
    mapping = (512 + embedded) * 512 + 512 + 7 * (512 * 512 + 512)
    if classes > 1:
        mapping += classes * 512 + 512
    synthesis, below = 0, None
    for resolution in [2**k for k in range(2, int(math.log2(size)) + 1)]:
        width = min(base // resolution, 512)
        # The constant, or the convolution that doubles; then a convolution; then the image.
        pairs = [(below, width), (width, width)] if below else [(width, width)]
        synthesis += 0 if below else width * 16
        for inputs, outputs in pairs:
            affine, bias, strength = 512 * inputs + inputs, outputs, 1
            synthesis += 9 * inputs * outputs + affine + bias + strength
        synthesis += width * channels + channels + 512 * width + width
        below = width
    return mapping, synthesis


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "channels", "classes", "base"),
    [(32, 1, 1, None), (64, 3, 9, None), (128, 3, 4, None), (256, 1, 2, None), (512, 3, 1, None),
     (256, 3, 1, 32768)],
)  # fmt: skip
def test_the_number_of_weights_is_that_of_the_published_formulas(size, channels, classes, base):
    with torch.device("meta"):
        generator = Generator(Architecture(size, channels, classes, channel_base=base))
    mapping, synthesis = expected_parameters(size, channels, classes, base)
    assert count(generator.mapping) == mapping
    assert count(generator.synthesis) == synthesis


def test_the_number_of_weights_is_that_of_the_published_networks():
    # Config F at 1024 pixels, and its form with half the channels at 256, as their logs print it.
    for size, published in ((1024, 30_370_060), (256, 24_767_458)):
        assert sum(expected_parameters(size)) == published
        with torch.device("meta"):
            assert count(Generator(Architecture(size, 3))) == published


@pytest.mark.parametrize(("size", "channels"), [(32, 1), (64, 3), (128, 1), (256, 3), (512, 3)])
def test_images_and_layers_have_the_shapes_of_their_resolutions(size, channels):
    architecture = Architecture(size, channels, channel_base=size, channel_max=4, mapping_layers=1)
    generator = Generator(architecture)
    assert architecture.styles == 2 * int(math.log2(size)) - 2
    noise = generator.draw_noise(2, seeded())
    assert [tuple(one.shape[1:]) for one in noise] == [(1, s, s) for s in architecture.noise_sizes]
    assert architecture.noise_sizes[:4] == (4, 8, 8, 16)
    assert architecture.noise_sizes[-2:] == (size, size)
    with torch.no_grad():
        images = generator(torch.randn(2, 512), None, noise)
    assert images.shape == (2, channels, size, size)
    assert images.dtype == torch.float32


def test_widths_are_the_published_ones():
    def widths(size):
        return [Architecture(size, 3).width_at(r) for r in Architecture(size, 3).resolutions]

    assert widths(256) == [512, 512, 512, 512, 256, 128, 64]
    assert widths(512) == [512, 512, 512, 512, 512, 256, 128, 64]


def test_an_architecture_survives_json_and_refuses_what_it_does_not_know():
    architecture = Architecture(64, 1, 9, "projection", channel_base=4096)
    values = json.loads(json.dumps(architecture.to_dict()))
    assert Architecture.from_dict(values) == architecture
    with pytest.raises(InputError, match="unknown keys depth"):
        Architecture.from_dict({**values, "depth": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [({"size": 224}, "size: 224"), ({"size": 4}, "size: 4"), ({"channels": 2}, "channels: 2"),
     ({"conditioning": "d2d"}, "'d2d'"), ({"classes": 0}, "classes: 0"),
     ({"channel_base": 16}, "channel_base: 16"), ({"mbstd_channels": 3}, "mbstd_channels: 3")],
)  # fmt: skip
def test_an_impossible_architecture_is_refused_by_name(values, message):
    with pytest.raises(InputError, match=message):
        Architecture(**{"size": 32, "channels": 3, **values})


def test_the_same_seed_makes_the_same_weights_and_all_begin_as_published():
    architecture = Architecture(32, 3, 4)
    torch.manual_seed(5)
    first = Generator(architecture).state_dict()
    torch.manual_seed(5)
    second = Generator(architecture).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name, value in first.items():
        if "affine.bias" in name:
            assert torch.equal(value, torch.ones_like(value))
        elif name.endswith(("noise_strength", "bias", "average")):
            assert not value.any()
        elif value.numel() > 2000:
            deviation = 100 if name.startswith("mapping.layers") else 1
            assert float(value.std()) == pytest.approx(deviation, rel=0.1), name


def slow_image(generator, w, noise):
    """Draw one image with weights of its own in numpy's float64, layer by layer."""
    network = {k: v.double().numpy() for k, v in generator.state_dict().items()}
    layers = iter(noise)

    def styles(prefix, inputs):
        weight = network[f"{prefix}.affine.weight"] / math.sqrt(w.shape[-1])
        return weight @ inputs + network[f"{prefix}.affine.bias"]

    def convolve(image, weight):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.einsum("chwij,kcij->khw", windows, weight)

    def layer(image, prefix, inputs, is_doubled):
        weight = network[f"{prefix}.convolution.weight"] * styles(prefix, inputs)[:, None, None]
        weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
        if is_doubled:
            stuffed = np.zeros((image.shape[0], 2 * image.shape[1] + 4, 2 * image.shape[2] + 4))
            stuffed[:, 2:-2:2, 2:-2:2] = image
            image = convolve(stuffed, weight[:, :, ::-1, ::-1])
            image = blur(image)[:, : stuffed.shape[1] - 4, : stuffed.shape[2] - 4]
        else:
            image = convolve(image, weight)
        image = image + next(layers)[0] * network[f"{prefix}.noise_strength"]
        image = image + network[f"{prefix}.bias"][:, None, None]
        return np.where(image > 0, image, 0.2 * image) * math.sqrt(2)

    def blur(image):
        taps = np.array([1, 3, 3, 1]) / 4
        kernel = np.outer(taps, taps)
        windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4), axis=(1, 2))
        return np.einsum("chwij,ij->chw", windows, kernel)

    def double(image):
        stuffed = np.zeros((image.shape[0], 2 * image.shape[1] + 3, 2 * image.shape[2] + 3))
        stuffed[:, 2:-1:2, 2:-1:2] = image
        return blur(stuffed)

    image, drawn = network["synthesis.blocks.0.constant"][0], None
    for index in range(len(generator.synthesis.blocks)):
        prefix = f"synthesis.blocks.{index}"
        first = max(2 * index - 1, 0)
        if index:
            image = layer(image, f"{prefix}.layers.0", w[first], True)
        image = layer(image, f"{prefix}.layers.{1 if index else 0}", w[2 * index], False)
        scale = styles(f"{prefix}.to_image", w[2 * index + 1]) / math.sqrt(len(image))
        part = np.einsum("chw,kc->khw", image, network[f"{prefix}.to_image.weight"] * scale)
        part = part + network[f"{prefix}.to_image.bias"][:, None, None]
        drawn = part if drawn is None else double(drawn) + part
    return drawn


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_those_of_the_published_formulas(channels):
    generator = small(32, channels)
    w = torch.randn(2, generator.architecture.styles, 8, generator=seeded())
    noise = generator.draw_noise(2, seeded())
    with torch.no_grad():
        images = generator.synthesis(w, noise).numpy()
    for index, image in enumerate(images):
        own = [one[index].double().numpy() for one in noise]
        expected = slow_image(generator, w[index].double().numpy(), own)
        np.testing.assert_allclose(image, expected, rtol=1e-4, atol=1e-4)


def test_the_mapping_normalises_latents_and_class_embeddings_one_by_one():
    generator = small(classes=3)
    mapping = generator.mapping
    latents, labels = torch.randn(4, 8, generator=seeded()), torch.tensor([0, 2, 1, 2])
    embedded = mapping.embedding.weight.detach()[:, labels].t() / math.sqrt(3)
    embedded = embedded + mapping.embedding.bias.detach()
    vectors = [
        rows / np.sqrt((rows**2).mean(1, keepdims=True) + 1e-8)
        for rows in (latents.numpy().astype(float), embedded.numpy().astype(float))
    ]
    values = np.concatenate(vectors, axis=1)
    for layer in mapping.layers:
        weight = layer.weight.detach().double().numpy() * 0.01 / math.sqrt(values.shape[1])
        values = values @ weight.T + layer.bias.detach().double().numpy() * 0.01
        values = np.where(values > 0, values, 0.2 * values) * math.sqrt(2)
    found = mapping(latents, labels).detach().numpy()
    np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mapping(3 * latents, labels).detach().numpy(), found, rtol=1e-5)


def test_a_conditional_generator_needs_classes_and_draws_them_apart():
    generator = small(classes=3)
    latents = torch.randn(2, 8, generator=seeded())
    with pytest.raises(ValueError, match="labels"):
        generator(latents)
    first = generator(latents, torch.tensor([0, 0]))
    second = generator(latents, torch.tensor([1, 0]))
    assert not torch.allclose(first[0], second[0])
    assert torch.allclose(first[1], second[1], atol=1e-5)


def test_truncation_moves_w_towards_its_running_mean():
    generator = small()
    latents = torch.randn(64, 8, generator=seeded())
    w = generator.mapping(latents)
    generator.mapping.update_average(w)
    expected = 0.005 * w.detach().mean(0)
    torch.testing.assert_close(generator.mapping.average, expected)
    generator.mapping.update_average(w)
    torch.testing.assert_close(generator.mapping.average, (0.995 + 1) * expected)
    middle = generator.synthesis(generator.repeat(generator.mapping.average[None]))
    torch.testing.assert_close(generator(latents[:1], truncation=0.0), middle)
    halfway = generator.repeat((w[:1] + generator.mapping.average) / 2)
    torch.testing.assert_close(generator(latents[:1], truncation=0.5), generator.synthesis(halfway))


def test_mixed_styles_cross_once_at_a_layer_of_each_image_s_own():
    generator = small(64)
    batch, styles = 4000, generator.architecture.styles
    w, other = torch.zeros(batch, 8), torch.ones(batch, 8)
    mixed = generator.mix(w, other, 0.9, seeded())[:, :, 0]
    crossings = (mixed == 0).sum(1)
    assert torch.equal(mixed, (torch.arange(styles) >= crossings[:, None]).float())
    counts = torch.bincount(crossings, minlength=styles + 1) / batch
    assert counts[0] == 0
    assert float(counts[styles]) == pytest.approx(0.1, abs=0.02)
    assert counts[1:styles].tolist() == pytest.approx([0.9 / (styles - 1)] * (styles - 1), abs=0.02)
    assert not generator.mix(w, other, 0.0, seeded()).any()


def test_noise_is_random_constant_or_none():
    generator = small()
    w = generator.repeat(torch.randn(1, 8, generator=seeded()).expand(2, -1))
    with torch.no_grad():
        without = generator.synthesis(w)
        constant = generator.synthesis(w, generator.synthesis.constant_noise())
        drawn = generator.synthesis(w, generator.draw_noise(2, seeded()))
        again = generator.synthesis(w, generator.draw_noise(2, seeded()))
    for images in (without, constant):
        torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(without, constant, atol=0.01)
    assert not torch.allclose(drawn[0], drawn[1], atol=0.01)
    assert torch.equal(drawn, again)
    with pytest.raises(ValueError, match="noise: 1 tensors"):
        generator.synthesis(w, [torch.zeros(1, 1, 4, 4)])


def test_seeds_give_independent_latents_and_noise_of_unit_variance_by_all_their_bits():
    seeds = [*range(400), 5 + 2**32, 5 + 2**62]
    latents = latents_of(seeds, 512)
    assert latents.dtype == torch.float32
    assert len({row.tobytes() for row in latents.numpy()}) == len(seeds)
    assert float(latents.std()) == pytest.approx(1, abs=0.01)
    correlations = np.corrcoef(latents.numpy()) - np.eye(len(seeds))
    assert np.abs(correlations).max() < 0.3
    noise = noise_of(seeds, (4, 8, 8))
    assert [tuple(one.shape) for one in noise] == [(402, 1, 4, 4), (402, 1, 8, 8), (402, 1, 8, 8)]
    assert float(noise[1].std()) == pytest.approx(1, abs=0.02)
    flat = torch.cat([one.flatten(1) for one in noise], dim=1)
    assert abs(np.corrcoef(flat.flatten(), latents[:, :144].flatten())[0, 1]) < 0.02
    assert torch.equal(latents_of([7, 300], 512), latents[[7, 300]])
    assert torch.equal(noise_of([300], (4, 8, 8))[2][0], noise[2][300])
    with pytest.raises(ValueError, match="non-negative"):
        latents_of([-1], 4)


@pytest.mark.parametrize("width", [16, 128])
def test_an_image_depends_on_its_own_seed_and_class_not_on_its_company(width):
    generator = small(classes=3, channel_base=32 * width, channel_max=width)

    @torch.no_grad()
    def drawn(seeds, labels):
        noise = noise_of(seeds, generator.architecture.noise_sizes)
        return generator(latents_of(seeds, 8), torch.tensor(labels), noise, truncation=0.8)

    seeds, labels = list(range(10, 19)), [0, 1, 2] * 3
    together = drawn(seeds, labels)
    # Sums of a matrix product may be taken in another order for another number of rows.
    torch.testing.assert_close(
        drawn(seeds[::-1], labels[::-1]).flip(0), together, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(drawn(seeds[4:5], labels[4:5]), together[4:5], rtol=0, atol=1e-4)
    bytes_apart = [
        (((images + 1) * 127.5).clamp(0, 255).to(torch.uint8).int())
        for images in (together[4], drawn(seeds[4:5], labels[4:5])[0])
    ]
    assert (bytes_apart[0] - bytes_apart[1]).abs().max() <= 1


def test_blocks_are_counted_from_four_pixels_on():
    generator = small(classes=2)
    first = generator.block_parameters(1)
    assert {name.removeprefix("synthesis.blocks.0.") for name in first} == {
        "constant", "layers.0.affine.weight", "layers.0.affine.bias", "layers.0.bias",
        "layers.0.convolution.weight", "layers.0.noise_strength", "to_image.affine.weight",
        "to_image.affine.bias", "to_image.weight", "to_image.bias",
    }  # fmt: skip
    parameters = dict(generator.named_parameters())
    assert parameters[first[0]].shape[-1] == 4
    blocks = [set(generator.block_parameters(number)) for number in (1, 2, 3, 4)]
    synthesis = {name for name in parameters if name.startswith("synthesis.")}
    assert set.union(*blocks) == synthesis
    assert sum(map(len, blocks)) == len(synthesis)
    assert "synthesis.blocks.1.layers.1.bias" in blocks[1]
    for number in (0, 5):
        with pytest.raises(ValueError, match=f"block {number}"):
            generator.block_parameters(number)


def test_only_what_has_the_shape_of_the_classes_is_named_so():
    shapes = [
        {name: value.shape for name, value in small(classes=classes).state_dict().items()}
        for classes in (2, 5)
    ]
    different = [name for name in shapes[0] if shapes[0][name] != shapes[1][name]]
    assert small(classes=2).class_parameters() == different
    assert small(classes=1).class_parameters() == []
    assert small(classes=3, conditioning="none").mapping.embedding is None


def test_the_synthesis_has_right_first_and_second_derivatives():
    generator = small(8, channel_base=32, channel_max=2).double()
    noise = [one.double() for one in generator.draw_noise(1, seeded())]
    w = torch.randn(1, 4, 8, generator=seeded(), dtype=torch.float64).requires_grad_()

    def function(ws):
        return generator.synthesis(ws, noise).mean((2, 3))

    assert torch.autograd.gradcheck(function, w)
    assert torch.autograd.gradgradcheck(function, w)


def test_the_mapping_has_right_first_and_second_derivatives():
    generator = small(classes=2, z_dim=3, w_dim=3).double()
    latents = torch.randn(2, 3, generator=seeded(), dtype=torch.float64).requires_grad_()

    def function(inputs):
        return generator.mapping(inputs, torch.tensor([0, 1]))

    assert torch.autograd.gradcheck(function, latents)
    assert torch.autograd.gradgradcheck(function, latents)


def test_images_of_low_precision_are_near_those_of_full_and_weights_stay_float32():
    generator = small(64)
    latents, noise = torch.randn(4, 8, generator=seeded()), generator.draw_noise(4, seeded())
    full = generator(latents, None, noise)
    generator.use_precision(torch.bfloat16, blocks=3)
    low = generator(latents, None, noise)
    assert [block.low for block in generator.synthesis.blocks] == [None] * 2 + [torch.bfloat16] * 3
    assert low.dtype == torch.float32
    # bfloat16 has 8 bits of mantissa.
    assert (low - full).std() < 0.02 * full.std()
    assert not torch.equal(low, full)
    low.square().mean().backward()
    assert {p.grad.dtype for p in generator.parameters()} == {torch.float32}
    generator.use_precision(torch.bfloat16, blocks=9)
    assert generator.synthesis.blocks[0].low is None
    generator.use_precision(torch.float32)
    torch.testing.assert_close(generator(latents, None, noise), full, rtol=0, atol=0)


def test_the_synthesis_compiles_without_a_break():
    generator = small(16)
    w = generator.repeat(torch.randn(2, 8, generator=seeded()))
    noise = generator.draw_noise(2, seeded())
    expected = generator.synthesis(w, noise)
    compiled = torch.compile(generator.synthesis, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(w, noise), expected, rtol=1e-4, atol=1e-4)
