"""The shape of a StyleGAN2: everything that fixes which weights a generator and its critic have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fewcase.study.errors import InputError

#: How the discriminator learns of the class; ``none`` draws and judges images without one.
CONDITIONINGS = ("d2dce", "projection", "auxiliary", "none")

SMALLEST, LARGEST = 8, 1024


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of both networks; the values of Karras et al. (2020) where nothing else is given.

    Attributes
    ----------
    size
        Height and width of an image in pixels, a power of two.
    channels
        1 (grey) or 3 (colour).
    classes
        How many classes; with one there is nothing to condition on, whatever `conditioning` says.
    conditioning
        ``d2dce`` (ReACGAN), ``projection``, ``auxiliary`` (AC-GAN) or ``none``.
    z_dim, w_dim
        Length of a latent and of the intermediate latent that controls a layer's styles.
    mapping_layers
        Layers of the mapping network.
    channel_base
        A layer of r × r pixels has min(channel_base // r, channel_max) channels; None is 16384
        below 512 pixels, 32768 from there on.
    channel_max
        Most channels of a layer.
    embedding
        Length of the embedding in which ``d2dce`` compares images.
    mbstd_group, mbstd_channels
        Images that share a minibatch standard deviation, and how many channels hold it.
    clamp
        Bound of activations in blocks of low precision, before a layer's gain.
    """

    size: int
    channels: int
    classes: int = 1
    conditioning: str = "d2dce"
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int | None = None
    channel_max: int = 512
    embedding: int = 512
    mbstd_group: int = 4
    mbstd_channels: int = 1
    clamp: float = 256.0

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST or self.size & (self.size - 1):
            raise InputError(
                f"size: {self.size} pixels, but images are squares of a power of two between "
                f"{SMALLEST} and {LARGEST}; prepare them at one of these sizes."
            )
        if self.channels not in (1, 3):
            raise InputError(f"channels: {self.channels}, but images have 1 (grey) or 3 (colour).")
        if self.conditioning not in CONDITIONINGS:
            raise InputError(
                f"conditioning: {self.conditioning!r} is none of {', '.join(CONDITIONINGS)}."
            )
        for name in ("classes", "z_dim", "w_dim", "mapping_layers", "channel_max", "embedding",
                     "mbstd_group", "mbstd_channels"):  # fmt: skip
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)}, but it must be at least 1.")
        if self.channel_base is not None and self.channel_base < self.size:
            raise InputError(
                f"channel_base: {self.channel_base} leaves no channel at {self.size} pixels; "
                f"give at least {self.size}."
            )
        if self.width_at(4) % self.mbstd_channels:
            raise InputError(
                f"mbstd_channels: {self.mbstd_channels} do not divide the {self.width_at(4)} "
                "channels at 4 pixels."
            )

    @property
    def conditional(self) -> bool:
        """Whether images are drawn and judged by class."""
        return self.classes > 1 and self.conditioning != "none"

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, … up to the size of an image: one block of the generator each."""
        return tuple(2**power for power in range(2, self.size.bit_length()))

    @property
    def styles(self) -> int:
        """How many intermediate latents control one image: one per convolution, and one more."""
        return 2 * len(self.resolutions)

    @property
    def noise_sizes(self) -> tuple[int, ...]:
        """Height and width of the noise of each layer that takes some: 4, 8, 8, 16, 16, …"""
        return tuple(size for size in self.resolutions for _ in range(1 if size == 4 else 2))

    def width_at(self, resolution: int) -> int:
        """Return the number of channels of the layers of `resolution` pixels."""
        base = self.channel_base
        if base is None:
            base = 16384 if self.size < 512 else 32768
        return min(base // resolution, self.channel_max)

    def to_dict(self) -> dict[str, Any]:
        """Return all values, as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Make the architecture that `to_dict` described; unknown keys are an error."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"architecture: unknown keys {', '.join(unknown)}. "
                f"Known: {', '.join(sorted(known))}."
            )
        return cls(**values)
