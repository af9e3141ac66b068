"""StyleGAN2's generator: latents and classes to images.

Karras et al., Analyzing and improving the image quality of StyleGAN (2020), with skip connections;
the class enters through the mapping network (Karras et al., Training generative adversarial
networks with limited data, 2020).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn

from fewcase.gan.architecture import Architecture
from fewcase.gan.layers import (
    GAIN,
    EqualisedLinear,
    ModulatedConvolution,
    leaky,
    normalise_second_moment,
)
from fewcase.gan.resample import double

#: Share of the old mean in the running mean of intermediate latents.
AVERAGE_DECAY = 0.995
MAPPING_RATE = 0.01


class Mapping(nn.Module):
    """The network from latents and classes to the intermediate latents w."""

    average: torch.Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.w_dim
        self._classes = architecture.classes
        self.embedding = (
            EqualisedLinear(architecture.classes, width) if architecture.conditional else None
        )
        inputs = architecture.z_dim + (width if architecture.conditional else 0)
        widths = [inputs] + [width] * architecture.mapping_layers
        self.layers = nn.Sequential(
            *(
                EqualisedLinear(before, after, activate=True, rate=MAPPING_RATE)
                for before, after in itertools.pairwise(widths)
            )
        )
        #: Running mean of w over all classes, (w_dim,): the centre of truncation.
        self.register_buffer("average", torch.zeros(width))

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map latents (N, z_dim) and classes (N,) int64 to w, (N, w_dim)."""
        vectors = normalise_second_moment(latents)
        if self.embedding is not None:
            if labels is None:
                raise ValueError("labels: None, but this generator draws images by class.")
            classes = torch.arange(self._classes, device=latents.device)
            embedded = self.embedding((labels[:, None] == classes).to(latents.dtype))
            vectors = torch.cat([vectors, normalise_second_moment(embedded)], dim=1)
        return self.layers(vectors)

    @torch.no_grad()
    def update_average(self, w: torch.Tensor) -> None:
        """Let the running mean follow the w of a training batch, (N, w_dim)."""
        self.average.lerp_(w.detach().mean(0), 1 - AVERAGE_DECAY)


class SynthesisLayer(nn.Module):
    """A modulated convolution, its noise, bias and leaky ReLU."""

    def __init__(self, w_dim: int, inputs: int, outputs: int, *, double: bool = False) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.convolution = ModulatedConvolution(inputs, outputs, double=double)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self,
        images: torch.Tensor,
        w: torch.Tensor,
        noise: torch.Tensor | None,
        clamp: float | None,
    ) -> torch.Tensor:
        """Map (N, inputs, H, W) and w (N, w_dim) to (N, outputs, H, W), or twice the size."""
        result, factors = self.convolution(images, self.affine(w))
        dtype = result.dtype
        bias = (self.bias * GAIN).to(dtype)[:, None, None]
        result = torch.addcmul(bias, result, (factors * GAIN).to(dtype)[:, :, None, None])
        if noise is not None:
            result = result.add_((noise * (self.noise_strength * GAIN)).to(dtype))
        return leaky(result, None if clamp is None else clamp * GAIN)


class ToImage(nn.Module):
    """The 1 × 1 convolution, modulated but not divided, from activations to an image."""

    def __init__(self, w_dim: int, inputs: int, channels: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs))
        self.bias = nn.Parameter(torch.zeros(channels))
        self._scale = 1 / math.sqrt(inputs)

    def forward(self, images: torch.Tensor, w: torch.Tensor, clamp: float | None) -> torch.Tensor:
        """Map (N, inputs, H, W) and w (N, w_dim) to (N, channels, H, W) float32."""
        batch, inputs, height, width = images.shape
        # With so few outputs each image's own weights are small, and the matrix product with them
        # reads the activations just once.
        weights = self.affine(w)[:, :, None] * (self.weight.t() * self._scale)
        pixels = images.permute(0, 2, 3, 1).reshape(batch, height * width, inputs)
        drawn = torch.baddbmm(self.bias.to(pixels.dtype), pixels, weights.to(pixels.dtype))
        if clamp is not None:
            drawn = drawn.clamp(-clamp, clamp)
        return drawn.view(batch, height, width, -1).permute(0, 3, 1, 2).to(self.weight.dtype)


class SynthesisBlock(nn.Module):
    """All layers of one resolution; the first begins with the constant, the others double."""

    def __init__(self, architecture: Architecture, resolution: int) -> None:
        super().__init__()
        w_dim, width = architecture.w_dim, architecture.width_at(resolution)
        self.constant: nn.Parameter | None = None
        layers = []
        if resolution == 4:
            self.constant = nn.Parameter(torch.randn(1, width, 4, 4))
        else:
            below = architecture.width_at(resolution // 2)
            layers.append(SynthesisLayer(w_dim, below, width, double=True))
        layers.append(SynthesisLayer(w_dim, width, width))
        self.layers = nn.ModuleList(layers)
        self.to_image = ToImage(w_dim, width, architecture.channels)
        self._clamp = architecture.clamp
        #: The type of low precision in which the block computes; None for that of its weights.
        self.low: torch.dtype | None = None

    def forward(
        self,
        activations: torch.Tensor | None,
        image: torch.Tensor | None,
        ws: Sequence[torch.Tensor],
        noise: Sequence[torch.Tensor | None],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return this resolution's activations and image from those of the one below.

        Parameters
        ----------
        activations, image
            None for the first block.
        ws
            w (N, w_dim) of each layer and of the image.
        noise
            (N or 1, 1, H, W) of each layer.
        """
        clamp = None if self.low is None else self._clamp
        if activations is None:
            assert self.constant is not None
            activations = self.constant.contiguous(memory_format=torch.channels_last)
        activations = activations.to(self.to_image.weight.dtype if self.low is None else self.low)
        for layer, w, layer_noise in zip(self.layers, ws, noise, strict=False):
            activations = layer(activations, w, layer_noise, clamp)
        drawn = self.to_image(activations, ws[-1], clamp)
        return activations, drawn if image is None else double(image) + drawn


class Synthesis(nn.Module):
    """The network from intermediate latents to images."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SynthesisBlock(architecture, resolution) for resolution in architecture.resolutions
        )
        # The noise of images that are to show nothing but their latent.
        for index, size in enumerate(architecture.noise_sizes):
            self.register_buffer(f"noise_{index}", torch.randn(1, 1, size, size))
        self._noises = len(architecture.noise_sizes)

    def constant_noise(self) -> list[torch.Tensor]:
        """Return the noise that is the same for all images: a (1, 1, H, W) for each layer."""
        return [self.get_buffer(f"noise_{index}") for index in range(self._noises)]

    def forward(
        self, ws: torch.Tensor, noise: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Draw images.

        Parameters
        ----------
        ws
            (N, styles, w_dim) float32.
        noise
            (N or 1, 1, H, W) float32 for each layer, as `draw_noise`, `fewcase.gan.latents` or
            `constant_noise` return it; None for none at all.

        Returns
        -------
        torch.Tensor
            (N, channels, size, size) float32, about within ±1, in channels-last memory.
        """
        activations = image = None
        noises = [None] * self._noises if noise is None else list(noise)
        if len(noises) != self._noises:
            raise ValueError(f"noise: {len(noises)} tensors, but {self._noises} layers take one.")
        each = ws.unbind(1)
        for index, block in enumerate(self.blocks):
            # A block has one style for its image beside its layers'; the next block's first layer
            # shares it.
            first = max(2 * index - 1, 0)
            last = 2 * index + 1
            activations, image = block(
                activations, image, each[first : last + 1], noises[first:last]
            )
        assert image is not None
        return image


class Generator(nn.Module):
    """Mapping and synthesis together.

    Weights are drawn from torch's global generator; with two calls of one seed they are the same.

    Parameters
    ----------
    architecture
        Which layers there are.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.mapping = Mapping(architecture)
        self.synthesis = Synthesis(architecture)

    def forward(
        self,
        latents: torch.Tensor,
        labels: torch.Tensor | None = None,
        noise: Sequence[torch.Tensor] | None = None,
        truncation: float = 1.0,
    ) -> torch.Tensor:
        """Draw images (N, channels, size, size), float32, about within ±1.

        Parameters
        ----------
        latents
            (N, z_dim), from N(0, 1).
        labels
            (N,) int64, the classes; unused where the generator is not conditional.
        noise
            As `Synthesis.forward` takes it.
        truncation
            ψ: w is moved towards its mean until this share of the distance is left.
        """
        w = self.mapping(latents, labels)
        if truncation != 1:
            w = self.mapping.average.lerp(w, truncation)
        return self.synthesis(self.repeat(w), noise)

    def repeat(self, w: torch.Tensor) -> torch.Tensor:
        """Give all layers the same w: (N, w_dim) to (N, styles, w_dim)."""
        return w[:, None].expand(-1, self.architecture.styles, -1)

    def mix(
        self,
        w: torch.Tensor,
        other: torch.Tensor,
        probability: float,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Mix styles: give the layers from a random one on the w of another latent.

        Parameters
        ----------
        w, other
            (N, w_dim) each.
        probability
            Share of images for which it is done, 0.9 in the paper. Each image has its own
            crossing, anywhere between the first layer and the last.
        generator
            Of the CPU.

        Returns
        -------
        torch.Tensor
            (N, styles, w_dim).
        """
        batch, styles = len(w), self.architecture.styles
        mixed = torch.rand(batch, generator=generator) < probability
        crossing = torch.randint(1, styles, (batch,), generator=generator)
        crossing = torch.where(mixed, crossing, styles)
        own = torch.arange(styles) < crossing[:, None]
        own = own.to(w.device, non_blocking=True)
        return torch.where(own[:, :, None], w[:, None], other[:, None])

    def draw_noise(self, batch: int, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the noise of a training batch on the generator's device, one tensor per layer."""
        return [
            torch.randn(batch, 1, size, size, generator=generator, device=generator.device)
            for size in self.architecture.noise_sizes
        ]

    def use_precision(self, dtype: torch.dtype, blocks: int = 4) -> None:
        """Compute the `blocks` highest resolutions in `dtype`, but never 4 × 4 pixels.

        Weights and images stay float32.
        """
        for index, block in enumerate(self.synthesis.blocks):
            assert isinstance(block, SynthesisBlock)
            is_low = index > 0 and index >= len(self.synthesis.blocks) - blocks
            block.low = dtype if is_low and dtype != torch.float32 else None

    def block_parameters(self, number: int) -> list[str]:
        """Return the names of the parameters of a block: 1 is 4 × 4 pixels, 2 is 8 × 8, …

        The order is that of Karnaukhov et al. (g1, g2, g3), from the input on: a generator whose
        first blocks are frozen keeps their styles' affine layers, noise strengths and images too.
        The mapping network is in no block.
        """
        if not 1 <= number <= len(self.synthesis.blocks):
            raise ValueError(f"block {number}, but there are {len(self.synthesis.blocks)}.")
        prefix = f"synthesis.blocks.{number - 1}."
        return [name for name, _ in self.named_parameters() if name.startswith(prefix)]

    def class_parameters(self) -> list[str]:
        """Return the names of the parameters whose shape depends on the number of classes."""
        return ["mapping.embedding.weight"] if self.architecture.conditional else []
