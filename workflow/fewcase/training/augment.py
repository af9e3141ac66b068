"""CutOut and CutMix, in their square and slit forms, for whole batches on the device.

DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017);
Yun et al., CutMix (2019). The slit forms, which span the full height so that all that was recorded
at the same moment goes together, are those of Hemmi, Prediction of high-risk births from
cardiotocogram data using Transformer-based models (2024).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch

from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training batches.

    Attributes
    ----------
    kind
        ``none``, ``cutout``, ``slit_cutout``, ``cutmix`` or ``slit_cutmix``.
    probability
        Share of batches to which it is done.
    side
        Side of CutOut's square as a share of the image's shorter side.
    slit
        Width of CutOut's slit as a share of the image's width; None for the square's area.
    alpha
        Both parameters of CutMix's beta distribution.
    within_site
        Whether CutMix pastes only between examples of one site.
    """

    kind: str
    probability: float
    side: float
    slit: float | None
    alpha: float
    within_site: bool


class AugmentedBatch(NamedTuple):
    """A batch whose image i is `share[i]` of label `labels_a[i]`, the rest of `labels_b[i]`.

    images (B, C, H, W); labels (B,) int64; share (B,) float32.
    """

    images: torch.Tensor
    labels_a: torch.Tensor
    labels_b: torch.Tensor
    share: torch.Tensor


def augmentation_of(recipe: Recipe, window_minutes: float | None) -> Augmentation:
    """Return the augmentation that a recipe asks for.

    Parameters
    ----------
    recipe
        Its factors ``augment``, ``augment_probability``, ``cutout_side``, ``slit_minutes``,
        ``cutmix_alpha`` and ``cutmix_within_site`` count.
    window_minutes
        What the width of an image spans; needed where ``slit_minutes`` is given.
    """
    slit = None
    if recipe.slit_minutes is not None:
        if window_minutes is None or not 0 < recipe.slit_minutes <= window_minutes:
            raise InputError(
                f"recipe.slit_minutes: {recipe.slit_minutes} must be above 0 and at most the "
                f"window's length, {window_minutes} minutes."
            )
        slit = recipe.slit_minutes / window_minutes
    probability = recipe.augment_probability
    if probability is None:
        probability = 0.5 if recipe.augment.endswith("cutmix") else 1.0
    return Augmentation(
        kind=recipe.augment,
        probability=probability,
        side=recipe.cutout_side,
        slit=slit,
        alpha=recipe.cutmix_alpha,
        within_site=recipe.cutmix_within_site,
    )


def augment(
    images: torch.Tensor,
    labels: torch.Tensor,
    sites: torch.Tensor,
    augmentation: Augmentation,
    white: torch.Tensor,
    generator: torch.Generator,
) -> AugmentedBatch:
    """Augment one batch; the images passed in stay as they are.

    Parameters
    ----------
    images
        (B, C, H, W), normalised, on any device.
    labels, sites
        (B,) int64, class and site of each image, on the device of the images.
    augmentation
        What to do.
    white
        (C,), the value of white after normalisation, which CutOut fills in.
    generator
        A generator of the CPU: all that is drawn is small, and the same on every device.
    """
    batch, _, height, width = images.shape
    whole = torch.ones(batch, dtype=torch.float32, device=images.device)
    # Drawn in any case, so that kinds and probabilities see the same chances later on.
    applies = torch.rand((), generator=generator).item() < augmentation.probability
    if augmentation.kind == "none" or not applies:
        return AugmentedBatch(images, labels, labels, whole)
    if augmentation.kind in ("cutout", "slit_cutout"):
        side = augmentation.side * min(height, width)
        if augmentation.kind == "cutout":
            box = round(side), round(side)
        else:
            share = side**2 / (height * width) if augmentation.slit is None else augmentation.slit
            box = height, round(share * width)
        slit = augmentation.kind == "slit_cutout"
        return AugmentedBatch(cut_out(images, box, white, generator, slit), labels, labels, whole)
    partners = draw_partners(sites, augmentation.within_site, generator)
    slit = augmentation.kind == "slit_cutmix"
    top, bottom, left, right = draw_box(height, width, augmentation.alpha, slit, generator)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partners, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return AugmentedBatch(mixed, labels, labels[partners], whole * kept)


def cut_out(
    images: torch.Tensor,
    box: tuple[int, int],
    white: torch.Tensor,
    generator: torch.Generator,
    full_height: bool = False,
) -> torch.Tensor:
    """Fill one box in each image with white, each at a place of its own.

    The centre is a pixel drawn uniformly from the image, so that the box may stick out.

    Parameters
    ----------
    images
        (B, C, H, W).
    box
        Height and width in pixels.
    white
        (C,), the value to fill in.
    generator
        Of the CPU.
    full_height
        Whether the box spans all rows; its height does not count then.
    """
    batch, _, height, width = images.shape
    rows = _inside(height, box[0], torch.randint(height, (batch, 1), generator=generator))
    columns = _inside(width, box[1], torch.randint(width, (batch, 1), generator=generator))
    if full_height:
        rows = torch.ones_like(rows)
    rows, columns = rows.to(images.device), columns.to(images.device)
    covered = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(covered, white.to(images.dtype)[:, None, None], images)


def _inside(length: int, size: int, centres: torch.Tensor) -> torch.Tensor:
    """Return (B, length), true where a place lies within `size` places about its centre (B, 1)."""
    places = torch.arange(length)
    first = centres - size // 2
    return (places >= first) & (places < first + size)


def draw_box(
    height: int, width: int, alpha: float, slit: bool, generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Draw CutMix's box: top, bottom, left, right, in pixels, clipped to the image.

    With λ from Beta(alpha, alpha) the box is H·√(1−λ) high and W·√(1−λ) wide, the slit H high and
    W·(1−λ) wide, about a centre drawn uniformly.
    """
    row, column = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    # torch's own beta distribution takes no generator: numpy's does, seeded by ours.
    seed = int(torch.randint(2**62, (), generator=generator))
    share = 1 - float(np.random.default_rng(seed).beta(alpha, alpha))
    box_height = height if slit else round(height * share**0.5)
    box_width = round(width * share) if slit else round(width * share**0.5)
    top = 0 if slit else int(row * height) - box_height // 2
    left = int(column * width) - box_width // 2
    bottom, right = top + box_height, left + box_width
    return max(top, 0), min(bottom, height), max(left, 0), min(right, width)


def draw_partners(
    sites: torch.Tensor, within_site: bool, generator: torch.Generator
) -> torch.Tensor:
    """Draw the permutation (B,) that says from which image each one's box is pasted.

    Within sites, the examples of each site are permuted among themselves.
    """
    permutation = torch.randperm(len(sites), generator=generator).to(sites.device)
    if not within_site:
        return permutation
    # The k-th example of a site in order gets the k-th of the same site in the drawn order.
    partners = torch.empty_like(permutation)
    ordered = torch.argsort(sites, stable=True)
    drawn = permutation[torch.argsort(sites[permutation], stable=True)]
    partners[ordered] = drawn
    return partners
