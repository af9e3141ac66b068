"""Resampling, convolutions and equalised layers against slow references in numpy and scipy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import signal

from fewcase.gan.layers import (
    EqualisedConvolution,
    EqualisedLinear,
    ModulatedConvolution,
    normalise_second_moment,
)
from fewcase.gan.resample import Resampler, double
from fewcase.gan.winograd import convolve, convolve_in_tiles

TAPS = np.array([1, 3, 3, 1]) / 8
KERNEL = np.outer(TAPS, TAPS)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filtered(image, up, down, before, after, gain=1.0):
    """Insert zeros, pad, filter by [1, 3, 3, 1], keep every `down`-th pixel of (H, W)."""
    stuffed = np.zeros((image.shape[0] * up, image.shape[1] * up))
    stuffed[::up, ::up] = image
    padded = np.pad(stuffed, (before, after))
    return signal.convolve2d(padded, KERNEL * gain, mode="valid")[::down, ::down]


def correlated(image, weight):
    """Correlate (C, H, W) with (K, C, 3, 3), zeros beyond the border."""
    return np.stack(
        [
            sum(signal.correlate2d(image[c], weight[k, c], mode="same") for c in range(len(image)))
            for k in range(len(weight))
        ]
    )


@pytest.mark.parametrize("size", [4, 7])
def test_doubling_halving_and_blurring_are_what_zero_stuffing_gives(size):
    images, resampler = draw(2, 3, size, size), Resampler().double()
    for image, doubled, blurred in zip(
        images.flatten(0, 1),
        double(images).flatten(0, 1),
        resampler.blur(images, padding=2, gain=4).flatten(0, 1),
        strict=True,
    ):
        expected = filtered(image.numpy(), 2, 1, 2, 1, gain=4)
        np.testing.assert_allclose(doubled.numpy(), expected, atol=1e-12)
        expected = filtered(image.numpy(), 1, 1, 2, 2, gain=4)
        np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-12)
    halved = resampler.halve(draw(1, 2, 2 * size, 2 * size, seed=1))
    source = draw(1, 2, 2 * size, 2 * size, seed=1)
    for image, result in zip(source[0], halved[0], strict=True):
        expected = filtered(image.numpy(), 1, 2, 1, 1)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


def test_a_constant_image_keeps_its_value_when_it_is_resampled():
    ones, resampler = torch.ones(1, 1, 16, 16), Resampler()
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    for result in (double(ones), resampler.halve(ones), resampler.blur(ones, 2)):
        assert torch.allclose(result[inside], torch.ones_like(result[inside]))


def test_convolving_while_doubling_is_zero_stuffing_convolution_and_filter():
    images, weight = draw(1, 2, 5, 5), draw(3, 2, 3, 3, seed=1)
    result = Resampler().double().convolve_doubling(images, weight)[0].numpy()
    stuffed = np.zeros((2, 10, 10))
    stuffed[:, ::2, ::2] = images[0].numpy()
    # A transposed convolution turns its filter; the blur reaches two pixels back and one forward.
    padded = np.pad(stuffed, ((0, 0), (2, 2), (2, 2)))
    turned = weight.numpy()[:, :, ::-1, ::-1]
    convolved = correlated(padded, turned)
    for channel, expected in zip(result, convolved, strict=True):
        blurred = signal.convolve2d(expected, 4 * KERNEL, mode="valid")
        np.testing.assert_allclose(channel, blurred[:10, :10], atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolving_while_halving_is_filter_convolution_and_every_second_pixel(kernel):
    images, weight = draw(1, 2, 8, 8), draw(3, 2, kernel, kernel, seed=1)
    bias = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    result = Resampler().double().convolve_halving(images, weight, bias)[0].numpy()
    pad = 1 if kernel == 1 else 2
    blurred = [filtered(image, 1, 1, pad, pad) for image in images[0].numpy()]
    for k in range(3):
        parts = [
            signal.correlate2d(blurred[c], weight[k, c].numpy(), mode="valid") for c in range(2)
        ]
        np.testing.assert_allclose(result[k], sum(parts)[::2, ::2] + float(bias[k]), atol=1e-12)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 4, 4), (3, 8, 12), (2, 16, 4)])
def test_convolution_in_tiles_is_a_convolution(batch, height, width):
    images, weight = draw(batch, 3, height, width), draw(5, 3, 3, 3, seed=1)
    expected = F.conv2d(images, weight, padding=1)
    torch.testing.assert_close(convolve_in_tiles(images, weight), expected, rtol=0, atol=1e-11)
    lasting = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(convolve_in_tiles(lasting, weight), expected, rtol=0, atol=1e-11)


def test_convolution_in_tiles_is_right_to_five_digits_in_float32_over_several_parts_of_a_batch():
    images = draw(12, 128, 32, 32, dtype=torch.float32)
    weight = draw(128, 128, 3, 3, seed=1, dtype=torch.float32) / math.sqrt(128 * 9)
    exact = F.conv2d(images.double(), weight.double(), padding=1)
    assert (convolve_in_tiles(images, weight) - exact).abs().max() < 1e-4
    gradient = draw(12, 128, 32, 32, seed=2, dtype=torch.float32)

    def by_weight(function, *tensors):
        tensors = [tensor.detach().requires_grad_() for tensor in tensors]
        result = function(*tensors)
        return torch.autograd.grad(result, tensors[1], gradient.to(result))[0]

    found = by_weight(convolve_in_tiles, images, weight)
    exact = by_weight(lambda x, w: F.conv2d(x, w, padding=1), images.double(), weight.double())
    assert (found - exact).abs().max() < 1e-4 * exact.abs().max()


def test_the_way_of_a_convolution_depends_on_one_image_not_on_how_many_there_are():
    images = draw(3, 128, 16, 16, dtype=torch.float32)
    weight = draw(130, 128, 3, 3, seed=1, dtype=torch.float32) / 34
    bias = torch.arange(130.0)
    for batch in (images, images[:1]):
        assert torch.equal(
            convolve(batch, weight, bias),
            convolve_in_tiles(batch, weight) + bias[:, None, None],
        )
    narrow = images[:, :127]
    assert torch.equal(
        convolve(narrow, weight[:, :127]), F.conv2d(narrow, weight[:, :127], padding=1)
    )


DIFFERENTIATED = {
    "double": (double, [(1, 2, 3, 3)]),
    "blur": (lambda x: Resampler().double().blur(x, 2), [(1, 2, 3, 3)]),
    "halve": (lambda x: Resampler().double().halve(x), [(1, 2, 4, 4)]),
    "convolve_doubling": (
        lambda x, w: Resampler().double().convolve_doubling(x, w),
        [(1, 2, 3, 3), (2, 2, 3, 3)],
    ),
    "convolve_halving": (
        lambda x, w, b: Resampler().double().convolve_halving(x, w, b),
        [(1, 2, 4, 4), (2, 2, 3, 3), (2,)],
    ),
    "convolve_in_tiles": (convolve_in_tiles, [(2, 2, 4, 8), (3, 2, 3, 3)]),
    "normalise_second_moment": (normalise_second_moment, [(2, 4)]),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_first_and_second_derivatives_are_right(name):
    function, shapes = DIFFERENTIATED[name]
    inputs = [draw(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize(
    "layer",
    [
        EqualisedLinear(3, 4, activate=True, rate=0.1),
        EqualisedConvolution(2, 3, 3, gain=0.5),
        EqualisedConvolution(2, 3, 3, halve=True),
        EqualisedConvolution(2, 3, 1, halve=True, activate=False),
    ],
)
def test_layers_have_right_derivatives_with_respect_to_inputs_and_weights(layer):
    layer = layer.double()
    shape = (2, 3) if isinstance(layer, EqualisedLinear) else (1, 2, 4, 4)
    names = [name for name, _ in layer.named_parameters()]

    def function(inputs, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), inputs)

    inputs = [draw(*shape).requires_grad_(), *layer.parameters()]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_an_equalised_linear_layer_is_its_formula(rate):
    torch.manual_seed(0)
    layer = EqualisedLinear(6, 5, activate=True, bias=1.0, rate=rate).double()
    inputs = draw(4, 6)
    weight = layer.weight.detach().numpy() * rate / math.sqrt(6)
    sums = inputs.numpy() @ weight.T + layer.bias.detach().numpy() * rate
    expected = np.where(sums > 0, sums, 0.2 * sums) * math.sqrt(2)
    np.testing.assert_allclose(layer(inputs).detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("gain", [1.0, math.sqrt(0.5)])
@pytest.mark.parametrize("clamp", [None, 0.4])
def test_an_equalised_convolution_is_its_formula(gain, clamp):
    torch.manual_seed(0)
    layer = EqualisedConvolution(2, 3, 3, gain=gain).double()
    torch.nn.init.normal_(layer.bias)
    images = draw(1, 2, 6, 6)
    weight = layer.weight.detach().numpy() / math.sqrt(2 * 9)
    sums = correlated(images[0].numpy(), weight) + layer.bias.detach().numpy()[:, None, None]
    expected = np.where(sums > 0, sums, 0.2 * sums) * math.sqrt(2) * gain
    if clamp is not None:
        expected = expected.clip(-clamp * gain, clamp * gain)
    np.testing.assert_allclose(layer(images, clamp)[0].detach().numpy(), expected, atol=1e-10)


def with_weights_per_image(layer, images, styles):
    """Modulate, demodulate and convolve with each image's own weights, as in the paper."""
    weight = layer.weight / math.sqrt(layer.weight[0].numel())
    results = []
    for image, style in zip(images, styles, strict=True):
        own = weight * style[:, None, None]
        own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.resampler is None:
            results.append(F.conv2d(image[None], own, padding=1))
        else:
            results.append(layer.resampler.convolve_doubling(image[None], own))
    return torch.cat(results)


@pytest.mark.parametrize("doubled", [False, True])
def test_modulating_activations_is_modulating_the_weights_of_each_image(doubled):
    torch.manual_seed(0)
    layer = ModulatedConvolution(3, 5, double=doubled).double()
    images, styles = draw(4, 3, 6, 6).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    tensors = (images, styles, layer.weight)
    result, factors = layer(images, styles)
    result = result * factors[:, :, None, None]
    expected = with_weights_per_image(layer, images, styles)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)
    weights = draw(*result.shape, seed=2)
    for found, right in zip(
        torch.autograd.grad((result * weights).sum(), tensors),
        torch.autograd.grad((expected * weights).sum(), tensors),
        strict=True,
    ):
        torch.testing.assert_close(found, right, rtol=1e-8, atol=1e-8)


def test_modulation_has_right_second_derivatives():
    layer = ModulatedConvolution(2, 2, double=True).double()

    def function(images, styles, weight):
        parameters = {"weight": weight}
        result, factors = torch.func.functional_call(layer, parameters, (images, styles))
        return result * factors[:, :, None, None]

    inputs = [draw(2, 2, 2, 2), draw(2, 2, seed=1), draw(2, 2, 3, 3, seed=2)]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_outputs_of_a_modulated_convolution_have_unit_variance_whatever_the_style():
    torch.manual_seed(0)
    layer = ModulatedConvolution(32, 32)
    images = draw(64, 32, 8, 8, dtype=torch.float32)
    styles = 50 * draw(64, 32, seed=1, dtype=torch.float32)
    result, factors = layer(images, styles)
    inside = (result * factors[:, :, None, None])[:, :, 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.005)])
def test_low_precision_neither_overflows_nor_changes_what_is_modulated(dtype, tolerance):
    torch.manual_seed(0)
    layer = ModulatedConvolution(64, 16)
    images, styles = (
        draw(2, 64, 8, 8, dtype=torch.float32),
        draw(2, 64, seed=1, dtype=torch.float32),
    )
    full, factors = layer(images, styles)
    expected = full * factors[:, :, None, None]
    # 70,000 is beyond float16.
    low, factors = layer(images.to(dtype), 70_000 * styles)
    assert low.dtype == dtype
    found = low.float() * factors[:, :, None, None]
    assert (found - expected).abs().max() < tolerance * expected.abs().max()


def test_weights_begin_as_published():
    torch.manual_seed(0)
    mapping = EqualisedLinear(300, 300, activate=True, rate=0.01)
    assert mapping.weight.std().item() == pytest.approx(100, rel=0.02)
    assert not mapping.bias.any()
    assert torch.equal(EqualisedLinear(3, 4, bias=1.0).bias, torch.ones(4))
    for layer in (EqualisedConvolution(64, 64, 3), ModulatedConvolution(64, 64)):
        assert layer.weight.std().item() == pytest.approx(1, rel=0.02)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.02)
    assert not EqualisedConvolution(4, 4, 3).bias.any()
