"""StyleGAN2's residual discriminator, and its heads for classes.

Karras et al., Analyzing and improving the image quality of StyleGAN (2020); minibatch standard
deviation after Karras et al., Progressive growing of GANs (2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from fewcase.gan.architecture import Architecture
from fewcase.gan.layers import TINY, EqualisedConvolution, EqualisedLinear


class Judgement(NamedTuple):
    """What the discriminator says of a batch; float32.

    Attributes
    ----------
    logits
        (N,), above 0 where an image looks real; with ``projection``, real and of its class.
    embeddings, proxies
        (N, embedding), with ``d2dce``: of each image, and of its class; not normalised.
    class_logits
        (N, classes), with ``auxiliary``.
    """

    logits: torch.Tensor
    embeddings: torch.Tensor | None = None
    proxies: torch.Tensor | None = None
    class_logits: torch.Tensor | None = None


class DiscriminatorBlock(nn.Module):
    """Two convolutions that halve the image, beside a 1 × 1 convolution that skips them."""

    def __init__(self, architecture: Architecture, resolution: int) -> None:
        super().__init__()
        width = architecture.width_at(resolution)
        below = architecture.width_at(resolution // 2)
        self.from_image = (
            EqualisedConvolution(architecture.channels, width, 1)
            if resolution == architecture.size
            else None
        )
        # The sum of two independent halves of variance 1/2 has variance 1 again.
        gain = math.sqrt(0.5)
        self.first = EqualisedConvolution(width, width, 3)
        self.second = EqualisedConvolution(width, below, 3, halve=True, gain=gain)
        self.skip = EqualisedConvolution(width, below, 1, halve=True, activate=False, gain=gain)
        self._clamp = architecture.clamp
        #: The type of low precision in which the block computes; None for that of its weights.
        self.low: torch.dtype | None = None

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """Map images or activations (N, C, H, W) to (N, C', H / 2, W / 2)."""
        clamp = None if self.low is None else self._clamp
        activations = activations.to(self.first.weight.dtype if self.low is None else self.low)
        if self.from_image is not None:
            activations = self.from_image(activations, clamp)
        skipped = self.skip(activations, clamp)
        return skipped.add_(self.second(self.first(activations, clamp), clamp))


class Epilogue(nn.Module):
    """From 4 × 4 pixels to one vector of features per image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width_at(4)
        self._group, self._extra = architecture.mbstd_group, architecture.mbstd_channels
        self.convolution = EqualisedConvolution(width + self._extra, width, 3)
        self.linear = EqualisedLinear(width * 16, width, activate=True)

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """Map (N, C, 4, 4) to features (N, C)."""
        deviation = minibatch_deviation(activations, self._group, self._extra)
        extended = torch.cat([activations, deviation], dim=1)
        # Weights of a linear layer know their pixels by channel, row and column, in this order.
        return self.linear(self.convolution(extended).flatten(1))


class Discriminator(nn.Module):
    """All blocks, from the highest resolution down, the epilogue, and the heads.

    Weights are drawn from torch's global generator.

    Parameters
    ----------
    architecture
        Which layers there are; its `conditioning` says which heads.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(architecture, resolution)
            for resolution in reversed(architecture.resolutions[1:])
        )
        self.epilogue = Epilogue(architecture)
        width, classes = architecture.width_at(4), architecture.classes
        self.real = EqualisedLinear(width, 1)
        self.embedding: EqualisedLinear | None = None
        self.class_logits: EqualisedLinear | None = None
        #: A vector for each class: proxies of ``d2dce``, directions of ``projection``.
        self.class_vectors: nn.Parameter | None = None
        conditioning = architecture.conditioning if architecture.conditional else "none"
        if conditioning == "d2dce":
            self.embedding = EqualisedLinear(width, architecture.embedding)
            self.class_vectors = nn.Parameter(torch.randn(classes, architecture.embedding))
        elif conditioning == "projection":
            self.class_vectors = nn.Parameter(torch.randn(classes, width))
        elif conditioning == "auxiliary":
            self.class_logits = EqualisedLinear(width, classes)
        self._conditioning = conditioning

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> Judgement:
        """Judge images.

        Parameters
        ----------
        images
            (N, channels, size, size) float32, about within ±1.
        labels
            (N,) int64; needed with ``d2dce`` and ``projection``.
        """
        activations = images.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            activations = block(activations)
        features = self.epilogue(activations.to(self.real.weight.dtype))
        logits = self.real(features).squeeze(1)
        if self.class_logits is not None:
            return Judgement(logits, class_logits=self.class_logits(features))
        if self.class_vectors is None:
            return Judgement(logits)
        if labels is None:
            raise ValueError(f"labels: None, but {self._conditioning} judges images by class.")
        vectors = self.class_vectors[labels]
        if self.embedding is not None:
            return Judgement(logits, self.embedding(features), vectors)
        # Miyato and Koyama, cGANs with projection discriminator (2018), at equalised rate.
        return Judgement(logits + (vectors * features).sum(1) / math.sqrt(features.shape[1]))

    def use_precision(self, dtype: torch.dtype, blocks: int = 4) -> None:
        """Compute the `blocks` highest resolutions in `dtype`, but never the epilogue."""
        for index, block in enumerate(self.blocks):
            assert isinstance(block, DiscriminatorBlock)
            block.low = dtype if index < blocks and dtype != torch.float32 else None

    def block_parameters(self, number: int) -> list[str]:
        """Return the names of the parameters of a block: 1 is the highest resolution.

        The order is that of Karnaukhov et al. (d1, d2, d3), from the input on, as in Mo et al.,
        Freeze the discriminator (2020). Block 1 includes the layer that takes images in; the
        epilogue and the heads are in no block.
        """
        if not 1 <= number <= len(self.blocks):
            raise ValueError(f"block {number}, but there are {len(self.blocks)}.")
        prefix = f"blocks.{number - 1}."
        return [name for name, _ in self.named_parameters() if name.startswith(prefix)]

    def class_parameters(self) -> list[str]:
        """Return the names of the parameters whose shape depends on the number of classes."""
        if self.class_logits is not None:
            return ["class_logits.weight", "class_logits.bias"]
        return [] if self.class_vectors is None else ["class_vectors"]


def minibatch_deviation(activations: torch.Tensor, group: int, channels: int = 1) -> torch.Tensor:
    """Return how much the images of a batch differ, as channels to be added to each.

    Images i with the same i mod (number of groups) form a group, of `group` images or, where that
    does not divide the batch, as few more as need be: nobody is left alone, which would look as if
    all images were the same.

    Parameters
    ----------
    activations
        (N, C, H, W).
    group
        Least images in a group, but for batches that are smaller.
    channels
        Over so many parts of the C channels deviations are averaged one by one.

    Returns
    -------
    torch.Tensor
        (N, channels, H, W): constant over a group, and over H and W.
    """
    batch, _, height, columns = activations.shape
    groups = max(batch // group, 1)
    size, rest = divmod(batch, groups)
    whole = activations[: size * groups].unflatten(0, (size, groups))
    parts = [_deviation(whole[:, rest:], channels)]
    if rest:
        larger = torch.cat([whole[:, :rest], activations[size * groups :][None]])
        parts.insert(0, _deviation(larger, channels))
    of_group = torch.cat(parts)
    of_image = of_group.repeat(size + 1, 1)[:batch]
    return of_image[:, :, None, None].expand(batch, channels, height, columns)


def _deviation(grouped: torch.Tensor, channels: int) -> torch.Tensor:
    """Return (groups, channels) from (images of a group, groups, C, H, W)."""
    centred = grouped - grouped.mean(0)
    deviation = (centred.square().mean(0) + TINY).sqrt()
    return deviation.unflatten(1, (channels, -1)).mean((2, 3, 4))
