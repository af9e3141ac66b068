"""The U-Net of the liver study: a class from the contracting path, masks from the expanding one.

Kang, You, Lee and Ahn, A Fully Convolutional Network Model for Classifying Liver Fibrosis Stages
from Ultrasound B-mode Images, Journal of Biomedical Engineering Research (2020), after Ronneberger
et al., U-Net (2015) and Goodfellow et al., Maxout Networks (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

Masks = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Mask logits (B, 1, H, W), (B, 1, H / 2, W / 2) and (B, 1, H / 4, W / 4)."""

NORMS = ("batch", "group", "none")
HEADS = ("average", "flatten")
MASK_LEVELS = 3
_GROUPS = 8


class FibrosisUNet(nn.Module):
    """A U-Net with a class head, maxout and dropout in every stage, and masks at three sizes.

    The paper gives the architecture as a figure and says of it: a fully connected layer at the end
    of the contracting path, outputs of the last three levels of the expanding path, dropout and
    maxout in every stage block, otherwise a U-Net. It is read so: level l of 0 … `depth` has
    ``width · 2^l`` filters and images of 1 / 2^l of the side. A stage is two 3 × 3 convolutions
    of that many filters, a ReLU after the first, then maxout over pairs of channels, so that half
    as many leave it, then dropout. 2 × 2 max-pooling leads down; a 2 × 2 transposed convolution
    leads up, and what the contracting path has on the same level is joined on.

    With 512 × 512 pixels and the defaults, channels that leave each stage: 32 at 512, 64 at 256,
    128 at 128, 256 at 64 and 512 at 32 pixels on the way down, the same at 64 … 512 on the way
    up. For one input channel and 3 classes that is 22,675,974 parameters (U-Net itself: 31.0
    million), 1,571,328 more with ``head: flatten``.

    Parameters
    ----------
    channels, classes
        Numbers of input channels and of classes.
    width
        Filters of the first level's convolutions, even.
    depth
        How many times the side is halved; at least 3, for masks come from levels 0, 1 and 2.
    dropout, deep_dropout
        Probability that a value is dropped, in all stages and in those of the two deepest levels.
    norm
        After each convolution: ``none``, for neither the paper nor U-Net has one; ``batch``, whose
        running statistics count what dropout adds to the variance, which is gone when the network
        is used (Li et al., 2018); or ``group``, of 8 channels.
    head
        ``average``: the fully connected layer sees the mean of each channel over the image, and
        any size will do. ``flatten``: it sees every value, which binds it to `image_size`.
    image_size
        Height and width in pixels, a multiple of `stride`.

    Raises
    ------
    ValueError
        For a value out of its range or a size that cannot be halved so often.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 3,
        width: int = 64,
        depth: int = 4,
        dropout: float = 0.2,
        deep_dropout: float = 0.5,
        norm: str = "none",
        head: str = "average",
        image_size: int = 512,
    ) -> None:
        super().__init__()
        if depth < MASK_LEVELS:
            raise ValueError(f"depth {depth} is below {MASK_LEVELS}")
        #: How many pixels of the image a pixel of the deepest stage spans.
        self.stride = 2**depth
        check_size(image_size, self.stride)
        filters = level_widths(width, depth + 1)
        rates = level_dropouts(depth, dropout, deep_dropout)
        inputs = (channels, *(count // 2 for count in filters[:-1]))
        self.pool = nn.MaxPool2d(2)
        self.encoder = nn.ModuleList(
            make_stage(*sizes, norm) for sizes in zip(inputs, filters, rates, strict=True)
        )
        passed = [count // 2 for count in filters]
        self.head = ClassHead(passed[-1], classes, head, image_size // self.stride)
        self.decoder = MaskDecoder(passed[-1], passed[:-1], filters[:-1], rates[:-1], norm)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, classes) of images (B, C, H, W): the contracting path alone."""
        logits: torch.Tensor = self.head(self._contract(images)[-1])
        return logits

    def segment(self, images: torch.Tensor) -> tuple[torch.Tensor, Masks]:
        """Return the logits (B, classes), and those of the masks, full size first."""
        check_size(images.shape[-2], self.stride)
        check_size(images.shape[-1], self.stride)
        *skips, deepest = self._contract(images)
        return self.head(deepest), self.decoder(deepest, skips)

    def _contract(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return what leaves the stage of every level, full size first."""
        stages = [self.encoder[0](images)]
        for stage in self.encoder[1:]:
            stages.append(stage(self.pool(stages[-1])))
        return stages


class ClassHead(nn.Module):
    """One fully connected layer over the deepest features (B, C, h, w): logits (B, classes).

    Parameters
    ----------
    channels, classes
        C and the number of classes.
    kind
        ``average`` over the image first, or ``flatten``.
    side
        Height and width of the features; counts for ``flatten`` alone.
    dropout
        Probability that a value is dropped before the layer.
    """

    def __init__(
        self, channels: int, classes: int, kind: str, side: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if kind not in HEADS:
            raise ValueError(f"head {kind!r} is not one of {', '.join(HEADS)}")
        self.average = kind == "average"
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels if self.average else channels * side**2, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        pooled = features.mean(dim=(2, 3)) if self.average else features.flatten(1)
        logits: torch.Tensor = self.linear(self.dropout(pooled))
        return logits


class MaskDecoder(nn.Module):
    """An expanding path: from the deepest features and the skips to masks at three sizes.

    Parameters
    ----------
    deepest
        Channels of the deepest features.
    skips
        Channels that the encoder has on each level, full size first; 0 where it has none.
    filters, dropouts
        Of the stage of each level, full size first.
    norm
        As of `make_stage`.
    """

    def __init__(
        self,
        deepest: int,
        skips: Sequence[int],
        filters: Sequence[int],
        dropouts: Sequence[float],
        norm: str,
    ) -> None:
        super().__init__()
        below = (*(count // 2 for count in filters[1:]), deepest)
        ups, stages = nn.ModuleList(), nn.ModuleList()
        for source, skip, count, rate in zip(below, skips, filters, dropouts, strict=True):
            up = nn.ConvTranspose2d(source, count // 2, kernel_size=2, stride=2)
            # Each pixel that comes out is made from one that comes in.
            nn.init.normal_(up.weight, std=source**-0.5)
            nn.init.constant_(up.get_parameter("bias"), 0)
            ups.append(up)
            stages.append(make_stage(count // 2 + skip, count, rate, norm))
        self.ups, self.stages = ups, stages
        self.masks = nn.ModuleList(
            _make_convolution(count // 2, 1, 1) for count in filters[:MASK_LEVELS]
        )

    def forward(self, deepest: torch.Tensor, skips: Sequence[torch.Tensor | None]) -> Masks:
        """Return the mask logits; `skips` (B, C, h, w) are given full size first."""
        features = deepest
        masks: list[torch.Tensor] = []
        for level in reversed(range(len(self.stages))):
            features, skip = self.ups[level](features), skips[level]
            if skip is not None:
                features = torch.cat([features, skip], dim=1)
            features = self.stages[level](features)
            if level < MASK_LEVELS:
                masks.append(self.masks[level](features))
        quarter, half, full = masks
        return full, half, quarter


class Maxout(nn.Module):
    """The larger of each pair of channels: (B, 2 C, H, W) to (B, C, H, W).

    Channel c is paired with channel C + c: both halves are then runs of memory.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the larger ones."""
        larger: torch.Tensor = _PairMaximum.apply(features)
        return larger


class _PairMaximum(torch.autograd.Function):
    """Remembers one truth value per pair, where torch's own keeps both numbers of it.

    On a CPU with 64 channels, its backward pass takes a fifth of the time of `torch.maximum`'s.
    """

    @staticmethod
    def forward(context: Any, features: torch.Tensor) -> torch.Tensor:
        first, second = features.chunk(2, dim=1)
        context.save_for_backward(first >= second)
        return torch.maximum(first, second)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        (chosen,) = context.saved_tensors
        to_first = gradient * chosen
        return torch.cat([to_first, gradient - to_first], dim=1)


def make_stage(inputs: int, filters: int, dropout: float, norm: str) -> nn.Sequential:
    """Make a stage: convolution, ReLU, convolution, maxout, dropout; `filters // 2` leave it."""
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r} is not one of {', '.join(NORMS)}")
    # A norm that follows takes off the mean, and a bias with it.
    bias = norm == "none"
    layers: list[nn.Module] = [
        _make_convolution(inputs, filters, 3, bias=bias),
        _make_norm(norm, filters),
        nn.ReLU(inplace=True),
        # Half of its inputs are 0.
        _make_convolution(filters, filters, 3, bias=bias, gain=2),
        _make_norm(norm, filters),
        Maxout(),
        nn.Dropout(dropout),
    ]
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Identity)))


def _make_convolution(
    inputs: int, outputs: int, side: int, bias: bool = True, gain: float = 1.0
) -> nn.Conv2d:
    """Make a convolution that keeps the mean square of its inputs, times `gain` (He et al., 2015).

    Maxout keeps it too: so squares neither grow nor fade on the way through the stages.
    """
    layer = nn.Conv2d(inputs, outputs, kernel_size=side, padding=side // 2, bias=bias)
    nn.init.normal_(layer.weight, std=(gain / (inputs * side**2)) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _make_norm(norm: str, filters: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(filters)
    if norm == "group":
        if filters % _GROUPS:
            raise ValueError(f"norm 'group' needs a width that is a multiple of {_GROUPS}")
        return nn.GroupNorm(filters // _GROUPS, filters)
    return nn.Identity()


def level_widths(width: int, levels: int) -> tuple[int, ...]:
    """Return the filters of each level, full size first; maxout needs an even width."""
    if width < 2 or width % 2:
        raise ValueError(f"width {width} is not an even number from 2 on")
    return tuple(width * 2**level for level in range(levels))


def level_dropouts(depth: int, dropout: float, deep_dropout: float) -> tuple[float, ...]:
    """Return the dropout of levels 0 … `depth`; the two deepest have one of their own."""
    return (dropout,) * (depth - 1) + (deep_dropout,) * 2


def check_size(size: int, stride: int) -> None:
    """Raise a `ValueError` where a side cannot be halved down to 1 / `stride` without rest."""
    if size % stride:
        raise ValueError(f"{size} pixels are not a multiple of {stride}")
