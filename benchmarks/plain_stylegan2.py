"""StyleGAN2's networks as one writes them from the papers, on the weights of ours.

Filters go over stuffed zeros and padded images, and each image is convolved with weights of its own
as groups of one convolution (Karras et al., Analyzing and improving the image quality of StyleGAN,
2020). `gan_training` times it beside ours.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from fewcase.gan.discriminator import DiscriminatorBlock
from fewcase.gan.generator import SynthesisBlock, SynthesisLayer, ToImage
from fewcase.gan.layers import EqualisedConvolution


def make_plain(network: nn.Module) -> None:
    """Let a generator or discriminator compute the plain way, in place."""
    forwards: dict[type, Callable[..., Any]] = {
        SynthesisLayer: plain_layer,
        ToImage: plain_image,
        SynthesisBlock: plain_block,
        EqualisedConvolution: plain_convolution,
        DiscriminatorBlock: plain_discriminator_block,
    }
    for module in network.modules():
        if type(module) in forwards:
            module.forward = functools.partial(forwards[type(module)], module)


def filtered(
    images: torch.Tensor, pad: tuple[int, int], gain: float = 1.0, up: int = 1, down: int = 1
) -> torch.Tensor:
    """Stuff images with zeros, pad them, filter them with [1, 3, 3, 1], and drop pixels."""
    batch, channels, height, width = images.shape
    if up > 1:
        stuffed = F.pad(images[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
        images = stuffed.reshape(batch, channels, height * up, width * up)
    taps = images.new_tensor([1, 3, 3, 1]) / 8
    kernel = (taps[:, None] * taps * gain).expand(channels, 1, 4, 4)
    return F.conv2d(F.pad(images, pad * 2), kernel, groups=channels)[:, :, ::down, ::down]


def modulated(
    images: torch.Tensor,
    weight: torch.Tensor,
    styles: torch.Tensor,
    demodulate: bool,
    double: bool,
) -> torch.Tensor:
    """Convolve each image with weights of its own, as groups of one convolution."""
    batch, (outputs, inputs, side, _) = len(styles), weight.shape
    weights = weight / math.sqrt(inputs * side**2) * styles[:, None, :, None, None]
    if demodulate:
        weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    weights = weights.to(images.dtype)
    images = images.expand(batch, -1, -1, -1)
    images = images.reshape(1, batch * inputs, *images.shape[2:])
    if double:
        weights = weights.transpose(1, 2).reshape(batch * inputs, outputs, side, side)
        result = F.conv_transpose2d(images, weights, stride=2, groups=batch)
        result = result.reshape(batch, outputs, *result.shape[2:])
        return filtered(result, (1, 1), gain=4)
    weights = weights.reshape(batch * outputs, inputs, side, side)
    result = F.conv2d(images, weights, padding=side // 2, groups=batch)
    return result.reshape(batch, outputs, *result.shape[2:])


def activated(images: torch.Tensor, bias: torch.Tensor, clamp: float | None) -> torch.Tensor:
    """Add the bias and apply the leaky ReLU with its gain."""
    result = F.leaky_relu(images + bias.to(images.dtype)[:, None, None], 0.2) * math.sqrt(2)
    return result if clamp is None else result.clamp(-clamp, clamp)


def plain_layer(
    layer: SynthesisLayer,
    images: torch.Tensor,
    w: torch.Tensor,
    noise: torch.Tensor | None,
    clamp: float | None,
) -> torch.Tensor:
    convolution = layer.convolution
    double = convolution.resampler is not None
    result = modulated(images, convolution.weight, layer.affine(w), True, double)
    if noise is not None:
        result = result + (noise * layer.noise_strength).to(result.dtype)
    return activated(result, layer.bias, clamp)


def plain_image(
    layer: ToImage, images: torch.Tensor, w: torch.Tensor, clamp: float | None
) -> torch.Tensor:
    result = modulated(images, layer.weight[:, :, None, None], layer.affine(w), False, False)
    result = result + layer.bias.to(result.dtype)[:, None, None]
    return (result if clamp is None else result.clamp(-clamp, clamp)).float()


def plain_block(
    block: SynthesisBlock,
    activations: torch.Tensor | None,
    image: torch.Tensor | None,
    ws: Sequence[torch.Tensor],
    noise: Sequence[torch.Tensor | None],
) -> tuple[torch.Tensor, torch.Tensor]:
    clamp = None if block.low is None else block._clamp
    activations = block.constant if activations is None else activations
    activations = activations.to(block.low or torch.float32)
    for layer, w, layer_noise in zip(block.layers, ws, noise, strict=False):
        activations = layer(activations, w, layer_noise, clamp)
    drawn = block.to_image(activations, ws[-1], clamp)
    return activations, drawn if image is None else filtered(image, (2, 1), 4, up=2) + drawn


def plain_convolution(
    layer: EqualisedConvolution, images: torch.Tensor, clamp: float | None = None
) -> torch.Tensor:
    weight = (layer.weight / math.sqrt(layer.weight[0].numel())).to(images.dtype)
    side = weight.shape[-1]
    if layer.resampler is None:
        result = F.conv2d(images, weight, padding=side // 2)
    elif side == 1:
        result = F.conv2d(filtered(images, (1, 1), down=2), weight)
    else:
        result = F.conv2d(filtered(images, (2, 2)), weight, stride=2)
    return result if layer.bias is None else activated(result, layer.bias, clamp)


def plain_discriminator_block(block: DiscriminatorBlock, activations: torch.Tensor) -> torch.Tensor:
    clamp = None if block.low is None else block._clamp
    activations = activations.to(block.low or torch.float32).contiguous()
    if block.from_image is not None:
        activations = block.from_image(activations, clamp)
    result = block.second(block.first(activations, clamp), clamp) + block.skip(activations, clamp)
    return result * math.sqrt(0.5)
