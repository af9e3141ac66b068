import dataclasses
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewcase.explain.engine.convolutional import ConvolutionalOccluder
from fewcase.explain.engine.fusion import trace
from fewcase.explain.engine.making import make_occluder
from fewcase.explain.engine.tokens import TokenOccluder
from fewcase.explain.engine.windows import WindowOccluder
from fewcase.explain.engine.winograd import Winograd
from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.occlusion import PlainOccluder
from fewcase.models.registry import build_model
from fewcase.study.errors import InputError

NETWORKS = [
    ("test_resnet", {}, 64, ConvolutionalOccluder),
    ("resnet18", {}, 72, ConvolutionalOccluder),
    ("resnet50", {"layers": (1, 1, 1, 1), "base_width": 16}, 64, ConvolutionalOccluder),
    ("densenet121", {"growth_rate": 8, "block_config": (2, 3, 2)}, 64, ConvolutionalOccluder),
    ("test_efficientnet", {}, 64, ConvolutionalOccluder),
    ("efficientnet_b0", {}, 64, ConvolutionalOccluder),
    ("poolformerv2_s12", {}, 48, ConvolutionalOccluder),
    ("test_vit", {}, 64, TokenOccluder),
    ("vit_small_patch16_224", {"depth": 3, "embed_dim": 48, "num_heads": 3}, 64, TokenOccluder),
    ("vit_small_patch16_224", {"depth": 2, "embed_dim": 48, "num_heads": 3, "global_pool": "avg"},
     64, TokenOccluder),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": (2, 2, 2)}, 224, WindowOccluder),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": (2, 2)}, 72, WindowOccluder),
]  # fmt: skip


def lively(network, seed=1):
    """Draw weights with which each pixel counts, and batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            deviation = (2 / module.weight[0].numel()) ** 0.5
            nn.init.normal_(module.weight, std=deviation, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.7, 1.3, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
    return network.eval()


def picture(channels, height, width, seed=2):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(channels, height, width, generator=generator)
    return image, torch.full_like(image, -0.5)


@torch.inference_mode()
def one_by_one(network, image, fill, grids):
    """Blank each cell with a slice and ask the network about it alone."""
    logits = []
    for grid in grids:
        for y0, y1, x0, x1 in grid.boxes.tolist():
            masked = image.clone()
            for channel in np.flatnonzero(grid.channels):
                masked[channel, y0:y1, x0:x1] = fill[channel, y0:y1, x0:x1]
            logits.append(network(masked[None])[0])
    return network(image[None])[0], torch.stack(logits)


def assert_same(occluder, network, image, fill, grids):
    """Logits within 1e-5 of the plain way's, by far less than what blanking changes."""
    base, masked = occluder(image, fill, grids)
    expected_base, expected = one_by_one(network, image, fill, grids)
    assert [len(each) for each in masked] == [grid.cells for grid in grids]
    scale = max(1.0, float(expected.abs().max()))
    difference = float((torch.cat(masked) - expected).abs().max())
    assert difference <= 1e-5 * scale
    assert float((base - expected_base).abs().max()) <= 1e-5 * scale
    assert difference <= 0.01 * float((expected - expected_base).abs().max())


@pytest.mark.parametrize(("name", "options", "size", "way"), NETWORKS)
def test_logits_are_those_of_the_plain_way(name, options, size, way):
    network = lively(build_model(name, options, 4, 3, size, "none").network)
    occluder = make_occluder(network, (3, size, size), "cpu")
    assert type(occluder) is way
    image, fill = picture(3, size, size)
    grids = square_grids(size, size, 3, sizes=(2, 5) if size < 200 else (6,))
    assert_same(occluder, network, image, fill, grids)


@pytest.mark.parametrize("seed", range(6))
def test_any_stack_of_sliding_windows_is_followed_exactly(seed):
    generator = np.random.default_rng(seed)
    layers, channels = [], 3
    for _ in range(5):
        kernel, dilation = int(generator.integers(1, 5)), int(generator.integers(1, 3))
        geometry = {
            "stride": int(generator.integers(1, 3)),
            "padding": int(generator.integers(0, 2)),
        }
        if generator.random() < 0.3 and kernel > 1:
            pool = nn.MaxPool2d if generator.random() < 0.5 else nn.AvgPool2d
            layers.append(pool(kernel, **geometry))
        else:
            groups = 3 if generator.random() < 0.3 else 1
            bias = bool(generator.random() < 0.5)
            geometry |= {"dilation": dilation, "groups": groups, "bias": bias}
            layers += [nn.Conv2d(channels, 6, kernel, **geometry), nn.BatchNorm2d(6), nn.SiLU()]
            channels = 6
        if generator.random() < 0.3:
            layers.append(nn.Tanh())
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))
    lively(network, seed)
    image, fill = picture(3, 75, 93, seed)
    grids = square_grids(75, 93, 3, sizes=(1, 4, 7))
    occluder = ConvolutionalOccluder(trace(network, (3, 75, 93)), (3, 75, 93), group=5)
    assert_same(occluder, network, image, fill, grids)


def test_slits_that_blank_one_channel_are_exact():
    network = lively(build_model("test_resnet", {}, 2, 3, 64, "none").network)
    occluder = make_occluder(network, (3, 64, 64), "cpu")
    grids = slit_grids(64, 64, 8.0, ("fhr", "uc", "baseline"), minutes=(1.0, 2.0))
    assert_same(occluder, network, *picture(3, 64, 64), grids)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_cells_that_are_the_fill_already_cost_nothing_and_change_nothing(name):
    network = lively(build_model(name, {}, 2, 3, 64, "none").network)
    occluder = make_occluder(network, (3, 64, 64), "cpu")
    image, fill = picture(3, 64, 64)
    image[:, :40] = fill[:, :40]
    image[0] = fill[0]
    grids = square_grids(64, 64, 3, sizes=(4,))
    # All but the first channel; and the first one alone, which nowhere differs from the fill.
    alone = dataclasses.replace(grids[0], channels=np.array([True, False, False]))
    base, (masked, of_channel) = occluder(image, fill, [*grids, alone])
    assert torch.equal(masked[:8], base.expand(8, -1))
    assert torch.equal(of_channel, base.expand(16, -1))
    assert not torch.equal(masked[8:], base.expand(8, -1))
    assert torch.equal(occluder(fill, fill, grids)[1][0][3], occluder(fill, fill, grids)[0])
    if isinstance(occluder, ConvolutionalOccluder):
        assert occluder.work(image, fill, [*grids, alone]).passes == 8


def test_small_cells_cost_a_small_part_of_the_early_layers():
    network = lively(build_model("resnet18", {}, 2, 3, 224, "none").network)
    occluder = ConvolutionalOccluder(trace(network, (3, 224, 224)), (3, 224, 224))
    work = occluder.work(*picture(3, 224, 224), square_grids(224, 224, 3, sizes=(21,)))
    # 1.814 billion multiplications for one image at 224 × 224 [He et al. 2016, Table 1: 1.8 · 10⁹].
    assert work.plain / work.cells == pytest.approx(1.814e9, rel=0.01)
    assert work.exact <= work.done <= 0.4 * work.plain


@pytest.mark.parametrize(
    ("size", "padding"), [((7, 7), (1, 1)), ((9, 13), (0, 1)), ((4, 4), (0, 0))]
)
def test_winograd_s_convolution_is_the_convolution(size, padding):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 20, *size, generator=generator)
    weight = torch.randn(30, 20, 3, 3, generator=generator)
    expected = F.conv2d(x.double(), weight.double(), padding=padding)
    made = Winograd(weight)(x.contiguous(memory_format=torch.channels_last), padding)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=2e-4)


class LooksAtItsImage(nn.Module):
    """Decides by what it sees."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.layers(x if x.max() < 1e9 else -x)


class WritesOver(nn.Module):
    """Uses a value after it has been overwritten."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        y = F.relu(x, inplace=True)
        return (x * 3 + self.second(y)).mean((2, 3))


def test_a_network_that_cannot_be_traced_is_asked_the_plain_way_and_the_log_says_why(caplog):
    network = lively(LooksAtItsImage())
    with caplog.at_level(logging.INFO):
        occluder = make_occluder(network, (3, 32, 32), "cpu")
    assert type(occluder) is PlainOccluder
    assert "not by changed patches: TraceError" in caplog.text
    assert_same(occluder, network, *picture(3, 32, 32), square_grids(32, 32, 3, sizes=(3,)))


def test_a_way_that_is_wrong_is_found_out_and_not_taken(caplog):
    network = lively(WritesOver())
    occluder = make_occluder(network, (3, 32, 32), "cpu")
    assert type(occluder) is PlainOccluder
    assert "its logits differ" in caplog.text
    assert_same(occluder, network, *picture(3, 32, 32), square_grids(32, 32, 3, sizes=(3,)))


def test_the_network_itself_stays_as_it_was():
    network = lively(build_model("test_resnet", {}, 2, 3, 64, "none").network)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    make_occluder(network, (3, 64, 64), "cpu")
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


def test_a_network_in_training_mode_and_images_of_another_size_are_refused():
    network = lively(build_model("test_resnet", {}, 2, 3, 64, "none").network)
    occluder = make_occluder(network, (3, 64, 64), "cpu")
    with pytest.raises(InputError, match="made ready for"):
        occluder(*picture(3, 32, 32), square_grids(32, 32, 3, sizes=(2,)))
    with pytest.raises(InputError, match="training mode"):
        make_occluder(network.train(), (3, 64, 64), "cpu")
