"""Logistic losses, R1 and path length against loops and finite differences."""

import math

import numpy as np
import pytest
import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.augment import Augmentation
from fewcase.gan.controller import AugmentationController
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.generator import Generator
from fewcase.gan.loss import (
    PathLength,
    discriminator_loss,
    generator_loss,
    lazy_optimiser,
    r1_penalty,
)

SMALL = {"channel_base": 64, "channel_max": 4, "z_dim": 6, "w_dim": 6, "mapping_layers": 1}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def discriminator_of(size, **values):
    torch.manual_seed(2)
    return Discriminator(Architecture(size, 1, **{**SMALL, **values}))


def generator_of(size, **values):
    torch.manual_seed(3)
    return Generator(Architecture(size, 1, **{**SMALL, **values}))


def test_adversarial_losses_are_mean_logarithms_of_probabilities():
    real, fake = torch.tensor([0.3, -2.0, 40.0]), torch.tensor([1.0, -1.5])

    def probability(logits):
        return 1 / (1 + np.exp(-logits.double().numpy()))

    expected = -np.log(probability(fake)).mean()
    assert generator_loss(fake).item() == pytest.approx(expected, rel=1e-6)
    expected = -np.log(probability(real)).mean() - np.log(1 - probability(fake)).mean()
    assert discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-6)
    # Where the probability itself is 0 in float32, the loss still has a gradient.
    hopeless = torch.tensor([-200.0], requires_grad=True)
    generator_loss(hopeless).backward()
    assert hopeless.grad.item() == -1


@pytest.mark.parametrize("probability", [0.0, 0.8])
def test_r1_is_the_squared_slope_by_images_before_augmentation(probability):
    discriminator = discriminator_of(8).double()
    augmentation = Augmentation(8, "bgc").double()
    drawn = augmentation.draw(2, seeded()).double()
    images = (torch.rand(2, 1, 8, 8, generator=seeded(), dtype=torch.float64) * 2 - 1) * 0.9

    def logits(inputs):
        return discriminator(augmentation(inputs, drawn, probability)).logits

    def slow_penalty():
        """Return γ/2 times the mean squared slope for γ = 3, by central differences."""
        total = 0.0
        with torch.no_grad():
            for index in np.ndindex(*images.shape):
                step = torch.zeros_like(images)
                step[index] = 1e-5
                total += ((logits(images + step) - logits(images - step)).sum() / 2e-5).item() ** 2
        return 1.5 * total / len(images)

    reals = images.clone().requires_grad_()
    penalty = r1_penalty(logits(reals), reals, 3.0)
    assert penalty.item() == pytest.approx(slow_penalty(), rel=1e-6)
    penalty.backward()
    # Its own gradient by weights, against central differences again.
    for name in ("blocks.0.first.weight", "epilogue.linear.weight", "real.weight"):
        weight = discriminator.get_parameter(name)
        place = tuple(size // 2 for size in weight.shape)
        slopes = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * 1e-4
                slopes.append(slow_penalty())
                weight[place] -= sign * 1e-4
        expected = (slopes[0] - slopes[1]) / 2e-4
        assert weight.grad[place].item() == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_path_length_is_the_root_mean_square_of_each_image_s_slope_by_its_own_w():
    generator, path = generator_of(8).double(), PathLength().double()
    path.mean.fill_(0.7)
    noise = [one.double() for one in generator.draw_noise(3, seeded())]
    ws = torch.randn(3, 4, 6, generator=seeded(), dtype=torch.float64)
    direction = torch.randn(3, 1, 8, 8, generator=seeded(), dtype=torch.float64)

    def slow_lengths():
        """By central differences of each image by each number of its w."""
        squares = torch.zeros(3, dtype=torch.float64)
        with torch.no_grad():
            for layer, place in np.ndindex(4, 6):
                step = torch.zeros_like(ws)
                step[:, layer, place] = 1e-5
                ahead, behind = (generator.synthesis(ws + s * step, noise) for s in (1, -1))
                slopes = ((ahead - behind) * direction).sum((1, 2, 3)) / 2e-5 / math.sqrt(64)
                squares += slopes**2
        return (squares / 4).sqrt()

    inputs = ws.clone().requires_grad_()
    penalty = path(generator.synthesis(inputs, noise), inputs, direction)
    lengths = slow_lengths()
    mean = 0.99 * 0.7 + 0.01 * lengths.mean().item()
    assert path.mean.item() == pytest.approx(mean, rel=1e-6)
    assert penalty.item() == pytest.approx(((lengths - mean) ** 2).mean().item(), rel=1e-5)
    penalty.backward()
    weight = generator.get_parameter("synthesis.blocks.1.layers.0.convolution.weight")
    place = tuple(size // 2 for size in weight.shape)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * 1e-4
            values.append(((slow_lengths() - mean) ** 2).mean().item())
            weight[place] -= sign * 1e-4
    expected = (values[0] - values[1]) / 2e-4
    assert weight.grad[place].item() == pytest.approx(expected, rel=1e-3)


def test_the_running_mean_of_path_lengths_is_part_of_the_state():
    path = PathLength()
    path.mean.fill_(2.5)
    other = PathLength()
    other.load_state_dict(path.state_dict())
    assert other.mean.item() == 2.5


def gradient_of(penalty, parameters):
    gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def similarity(first, second):
    return torch.nn.functional.cosine_similarity(first, second, dim=0).item()


def test_regularisers_of_low_precision_are_near_those_of_full():
    # Four blocks of bfloat16, whose mantissa has 8 bits: values within 3 %, directions within 1 %.
    size, wide = 64, {"channel_base": 1024, "channel_max": 32, "w_dim": 32}
    discriminator, generator = discriminator_of(size, **wide), generator_of(size, **wide)
    reals = torch.rand(4, 1, size, size, generator=seeded()) * 2 - 1
    noise = generator.draw_noise(4, seeded())
    ws = torch.randn(4, generator.architecture.styles, 32, generator=seeded())
    direction = torch.randn(4, 1, size, size, generator=seeded())
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        discriminator.use_precision(dtype)
        generator.use_precision(dtype)
        images, inputs = reals.clone().requires_grad_(), ws.clone().requires_grad_()
        r1 = r1_penalty(discriminator(images).logits, images, 1.0)
        path = PathLength()(generator.synthesis(inputs, noise), inputs, direction)
        found[dtype] = (
            r1.item(),
            gradient_of(r1, list(discriminator.parameters())),
            path.item(),
            gradient_of(path, list(generator.synthesis.parameters())),
        )
    full, low = found[torch.float32], found[torch.bfloat16]
    assert low[0] == pytest.approx(full[0], rel=0.03)
    assert low[2] == pytest.approx(full[2], rel=0.03)
    assert similarity(full[1], low[1]) > 0.99
    assert similarity(full[3], low[3]) > 0.99


def test_no_step_waits_for_the_device_to_hand_back_a_number():
    # Tensors of the device "meta" have no numbers that could be read. The class loss is left out:
    # it shields itself from autocast, which "meta" has none of.
    batch, random = 5, seeded()
    architecture = Architecture(32, 3, 3, **SMALL)
    generator, discriminator = Generator(architecture), Discriminator(architecture)
    augmentation, path = Augmentation(32, "bgc"), PathLength()
    for module in (generator, discriminator, augmentation, path):
        module.to("meta")
    controller = AugmentationController(0.6, 500, batch, "meta")
    labels = torch.zeros(batch, dtype=torch.int64, device="meta")

    def judged(images):
        drawn = augmentation.draw(batch, random).to("meta", non_blocking=True)
        return discriminator(augmentation(images, drawn, controller.probability), labels)

    w = generator.mapping(torch.empty(batch, 6, device="meta"), labels)
    generator.mapping.update_average(w)
    ws = generator.mix(w, w.flip(0), 0.9, random)
    noise = [one.to("meta") for one in generator.draw_noise(batch, random)]
    fakes = generator.synthesis(ws, noise)
    reals = torch.empty_like(fakes).requires_grad_()
    real, fake = judged(reals), judged(fakes)
    for _ in range(4):
        controller.observe(real.logits)
        controller.step()
    loss = discriminator_loss(real.logits, fake.logits) + r1_penalty(real.logits, reals, 1.0)
    (loss + path(fakes, ws, torch.empty_like(fakes))).backward()


def test_lazy_regularisation_slows_adam_down_by_the_published_factors():
    rate, betas = lazy_optimiser(0.0025, (0.0, 0.99), 16)
    assert rate == pytest.approx(0.0025 * 16 / 17)
    assert betas == (0.0, pytest.approx(0.9906, abs=5e-5))
    assert lazy_optimiser(0.0025, (0.0, 0.99), 4)[0] == pytest.approx(0.002)
