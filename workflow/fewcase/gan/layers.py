"""Layers with equalised learning rate, and the convolution modulated by a style.

Weights are drawn from N(0, 1) and scaled at run time, so that Adam's steps are as large for every
layer relative to its weights (Karras et al., Progressive growing of GANs, 2018). The leaky ReLU's
gain √2 goes into weights and biases before the layer, which saves a pass over its activations:
a·leaky(x) = leaky(a·x) for a > 0.

Activations lie in channels-last memory, in which convolutions are fastest on CPUs and on GPUs with
tensor cores; weights, styles and what normalises them are float32, whatever the activations are.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fewcase.gan.resample import Resampler
from fewcase.gan.winograd import convolve

SLOPE = 0.2
GAIN = math.sqrt(2)
#: Added to sums of squares before their root is taken.
TINY = 1e-8


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """Return values of less than float32 as float32, others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def leaky(activations: torch.Tensor, clamp: float | None) -> torch.Tensor:
    """Apply the leaky ReLU in place, and then the bound ±`clamp` where there is one."""
    activations = F.leaky_relu_(activations, SLOPE)
    return activations if clamp is None else activations.clamp(-clamp, clamp)


def normalise_second_moment(vectors: torch.Tensor) -> torch.Tensor:
    """Scale each row of (N, D) so that its squares are 1 on average."""
    return vectors * (vectors.square().mean(1, keepdim=True) + TINY).rsqrt()


class EqualisedLinear(nn.Module):
    """A fully connected layer, with or without leaky ReLU.

    Parameters
    ----------
    inputs, outputs
        Length of the vectors.
    activate
        Whether the leaky ReLU follows.
    bias
        What biases begin with.
    rate
        The layer learns at this multiple of the optimiser's rate.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activate: bool = False,
        bias: float = 0.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self._activate = activate
        gain = GAIN if activate else 1.0
        self._scale = gain * rate / math.sqrt(inputs)
        self._bias_scale = gain * rate

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map (N, inputs) to (N, outputs)."""
        bias = self.bias if self._bias_scale == 1 else self.bias * self._bias_scale
        result = F.linear(vectors, self.weight * self._scale, bias)
        return leaky(result, None) if self._activate else result


class EqualisedConvolution(nn.Module):
    """A convolution of the discriminator, with or without halving, bias and leaky ReLU.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        1 or 3.
    halve
        Whether height and width are halved.
    activate
        Whether there are a bias and the leaky ReLU.
    gain
        What the result is multiplied by, beside the leaky ReLU's own gain.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        halve: bool = False,
        activate: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.resampler = Resampler() if halve else None
        self._gain = gain
        self._bias_gain = gain * (GAIN if activate else 1.0)
        self._scale = self._bias_gain / math.sqrt(inputs * kernel**2)

    def forward(self, images: torch.Tensor, clamp: float | None = None) -> torch.Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), or to (N, outputs, H / 2, W / 2).

        Parameters
        ----------
        images
            Of any floating-point type; the layer computes in it.
        clamp
            Bound of the result before the gain.
        """
        weight = (self.weight * self._scale).to(images.dtype)
        bias = None if self.bias is None else (self.bias * self._bias_gain).to(images.dtype)
        if self.resampler is None and weight.shape[-1] == 1:
            result = F.conv2d(images, weight, bias)
        elif self.resampler is None:
            result = convolve(images, weight, bias)
        else:
            result = self.resampler.convolve_halving(images, weight, bias)
        bound = None if clamp is None else clamp * self._gain
        if bias is not None:
            return leaky(result, bound)
        return result if bound is None else result.clamp(-bound, bound)


class ModulatedConvolution(nn.Module):
    """A 3 × 3 convolution whose input channels are scaled by a style, and its outputs back.

    The outputs are divided by the standard deviation that they would have if the inputs were
    independent and of unit variance (Karras et al. 2020, section 2.2). Scaling activations by the
    style before, and by the divisors after one convolution that the whole batch shares gives the
    same as a convolution with weights of each image's own, which would have to be written to memory
    for every image and differentiated there.

    Parameters
    ----------
    inputs, outputs
        Channels.
    double
        Whether height and width are doubled.
    """

    def __init__(self, inputs: int, outputs: int, *, double: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.resampler = Resampler() if double else None
        self._scale = 1 / math.sqrt(inputs * 9)

    def forward(
        self, images: torch.Tensor, styles: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Convolve scaled images; the division of the outputs is left to the caller.

        Parameters
        ----------
        images
            (N or 1, inputs, H, W).
        styles
            (N, inputs) float32.

        Returns
        -------
        tuple
            The convolved images, (N, outputs, H, W) or twice as high and wide, and the factors
            (N, outputs), float32, by which they are to be multiplied.
        """
        weight = self.weight * self._scale
        if images.dtype in (torch.float16, torch.bfloat16):
            # What both are scaled by cancels in the division, and keeps float16 from overflow.
            weight = weight / weight.abs().amax((1, 2, 3), keepdim=True) * self._scale
            styles = styles / styles.abs().amax(1, keepdim=True)
        variance = styles.square() @ weight.square().sum((2, 3)).t()
        images = images * styles[:, :, None, None].to(images.dtype)
        weight = weight.to(images.dtype)
        if self.resampler is None:
            result = convolve(images, weight)
        else:
            result = self.resampler.convolve_doubling(images, weight)
        return result, (variance + TINY).rsqrt()
