"""A U-Net whose contracting path is a network of timm, with a class head and masks."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import nn

from fewcase.models.unet_classifier import (
    MASK_LEVELS,
    ClassHead,
    MaskDecoder,
    Masks,
    check_size,
    level_dropouts,
    level_widths,
)

#: Options of the decoder and the head; all others are the encoder's.
OPTIONS = ("width", "dropout", "deep_dropout", "norm")


class EncoderUNet(nn.Module):
    """The features of a classifier, a new class head on the deepest, and the decoder of our U-Net.

    The head is the average over the image and one fully connected layer. The decoder is that of
    `FibrosisUNet`, joined to the encoder's features where the encoder has some of the level's size;
    on the full size most have none. Level l has ``width · 2^l`` filters, of which maxout passes
    half. With resnet34 at 512 pixels, one channel and 3 classes: encoder 64 channels at 256 and
    128, 128 at 64, 256 at 32, 512 at 16 pixels; 28,282,022 parameters.

    Parameters
    ----------
    network
        A network of timm as `timm.create_model` makes it, whose features halve in size from one
        to the next; what it doesn't need for them is dropped.
    channels, classes, image_size
        Of the input, of the output, and its height and width in pixels.
    width
        Filters of the decoder's stage on the full size, even.
    dropout, deep_dropout
        Probability that a value is dropped in the decoder's stages; in its deepest one and before
        the class head.
    norm
        ``batch``, ``group`` or ``none``, of the decoder.

    Raises
    ------
    ValueError
        For a network that has no such features, a size that it doesn't halve without rest, or a
        value out of its range.
    """

    def __init__(
        self,
        network: Any,
        channels: int,
        classes: int,
        image_size: int,
        width: int = 32,
        dropout: float = 0.2,
        deep_dropout: float = 0.5,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        features = feature_levels(network)
        depth = max(features)
        if depth < MASK_LEVELS:
            raise ValueError(f"its features reach 1/{2**depth} of the size, not 1/8")
        self.stride = 2**depth
        check_size(image_size, self.stride)
        counts = [count for _, count in features.values()]
        self.encoder: Any = network
        # What comes after the features that are taken goes; so do its weights.
        indices = [index for index, _ in features.values()]
        self.taken = network.prune_intermediate_layers(indices, prune_norm=True)
        check_features(network, self.taken, list(features), counts, channels, image_size)
        #: Where the features of each level are among those that are taken.
        self.places = [
            list(features).index(level) if level in features else None for level in range(depth)
        ]
        skips = [0 if place is None else counts[place] for place in self.places]
        filters = level_widths(width, depth)
        rates = level_dropouts(depth, dropout, deep_dropout)
        side = image_size // self.stride
        self.head = ClassHead(counts[-1], classes, "average", side, deep_dropout)
        self.decoder = MaskDecoder(counts[-1], skips, filters, rates[:-1], norm)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, classes) of images (B, C, H, W): the contracting path alone."""
        logits: torch.Tensor = self.head(read_features(self.encoder, images, self.taken)[-1])
        return logits

    def segment(self, images: torch.Tensor) -> tuple[torch.Tensor, Masks]:
        """Return the logits (B, classes), and those of the masks, full size first."""
        features = read_features(self.encoder, images, self.taken)
        skips = [None if place is None else features[place] for place in self.places]
        return self.head(features[-1]), self.decoder(features[-1], skips)


def read_features(network: Any, images: torch.Tensor, indices: list[int]) -> list[torch.Tensor]:
    """Return the features (B, C, h, w) of a network of timm that `indices` name, large first."""
    features: list[torch.Tensor] = network.forward_intermediates(
        images, indices=indices, intermediates_only=True
    )
    return features


def feature_levels(network: Any) -> dict[int, tuple[int, int]]:
    """Return for each level l, of 1 / 2^l of the image, the last features that a network has of it.

    Levels rise; to each belong the index of its features and their number of channels.
    """
    known = getattr(network, "feature_info", None)
    if not known or not hasattr(network, "forward_intermediates"):
        raise ValueError("it gives no features of several sizes")
    levels: dict[int, tuple[int, int]] = {}
    for index, feature in enumerate(known):
        level = int(feature["reduction"]).bit_length() - 1
        if feature["reduction"] != 2**level:
            raise ValueError(f"its features are 1/{feature['reduction']} of the size")
        levels[level] = index, feature["num_chs"]
    halved = all(second == first + 1 for first, second in itertools.pairwise(levels))
    if not halved or min(levels) >= MASK_LEVELS:
        raise ValueError(
            f"its features are 1/2^l of the size for l = {', '.join(map(str, levels))}"
        )
    return levels


def check_features(
    network: Any,
    indices: list[int],
    levels: list[int],
    counts: list[int],
    channels: int,
    image_size: int,
) -> None:
    """Raise a `ValueError` where features are not of the sizes that their network gives."""
    # Without numbers, and so at no cost.
    empty = copy.deepcopy(network).to("meta").eval()
    images = torch.zeros(1, channels, image_size, image_size, device="meta")
    features = read_features(empty, images, indices)
    for found, level, count in zip(features, levels, counts, strict=True):
        side = image_size // 2**level
        if found.shape != (1, count, side, side):
            raise ValueError(f"its features are {tuple(found.shape[1:])} where {side} pixels fit")
