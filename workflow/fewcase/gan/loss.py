"""What generator and discriminator are trained on: logistic losses, R1, and path length.

Goodfellow et al., Generative adversarial nets (2014), in its non-saturating form; Mescheder et al.,
Which training methods for GANs do actually converge? (2018) for R1; Karras et al., Analyzing and
improving the image quality of StyleGAN (2020) for path lengths and lazy regularisation.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fewcase.gan.layers import at_least_float32

#: Share of a batch's mean in the running mean of path lengths.
PATH_DECAY = 0.01


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Return −log of the probability of being real that generated images get, on average."""
    return F.softplus(-at_least_float32(fake_logits)).mean()


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Return the logistic loss of telling real images from generated ones."""
    return (
        F.softplus(-at_least_float32(real_logits)).mean()
        + F.softplus(at_least_float32(fake_logits)).mean()
    )


def r1_penalty(real_logits: torch.Tensor, reals: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return γ/2 times the mean squared gradient of the logits of real images.

    Parameters
    ----------
    real_logits
        (N,), computed from `reals`, through the augmentation where there is one.
    reals
        (N, C, H, W), the images *before* augmentation, with `requires_grad`.
    gamma
        γ.
    """
    (gradient,) = torch.autograd.grad(at_least_float32(real_logits).sum(), reals, create_graph=True)
    return gamma / 2 * at_least_float32(gradient).square().sum((1, 2, 3)).mean()


class PathLength(nn.Module):
    """How far an image moves with its latent, held to its own running mean.

    The length of image i is |Jᵀy|: y is noise from N(0, 1) over √(H·W), J the derivative of the
    image by w; of the layers' own w the mean square is taken. A part of the training state: its
    buffer must be kept to go on.
    """

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        #: Running mean of path lengths, (), float32.
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, images: torch.Tensor, ws: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Update the running mean, and return the mean squared distance from it.

        Parameters
        ----------
        images
            (N, C, H, W), generated.
        ws
            (N, styles, w_dim), from which they were generated; part of the graph.
        noise
            Like `images`, from N(0, 1).
        """
        height, width = images.shape[2:]
        scaled = (images * noise).sum() / math.sqrt(height * width)
        (gradient,) = torch.autograd.grad(scaled, ws, create_graph=True)
        lengths = at_least_float32(gradient).square().sum(2).mean(1).sqrt()
        with torch.no_grad():
            self.mean.lerp_(lengths.mean(), PATH_DECAY)
        # A copy: the buffer itself changes before the graph of this penalty is done with.
        return (lengths - self.mean.clone()).square().mean()


def lazy_optimiser(
    rate: float, betas: tuple[float, float], interval: int
) -> tuple[float, tuple[float, float]]:
    """Return Adam's rate and betas where a regulariser is computed at every k-th step only.

    The regulariser's loss is then multiplied by k, and takes a step of its own: k + 1 steps are
    taken where k were meant, so the rate is multiplied by c = k / (k + 1), and the betas are raised
    to the power of c.

    Parameters
    ----------
    rate, betas
        As they would be if the regulariser were computed at every step.
    interval
        k.
    """
    share = interval / (interval + 1)
    return rate * share, (betas[0] ** share, betas[1] ** share)
