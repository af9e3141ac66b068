"""Networks whose weights are drawn anew: a map that they leave as it was is not about the model."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from fewcase.explain.areas import Areas, FloatArray
from fewcase.explain.stability import (
    chance_correlation,
    magnitude_correlation,
    rank_correlation,
)
from fewcase.study.errors import InputError

NORMS = nn.modules.batchnorm._BatchNorm


def layers_of(network: nn.Module) -> list[str]:
    """Return the names of the modules that hold weights of their own, from input to output.

    That is the order in which they were registered, which is the order of use in timm's networks.
    """
    return [
        name
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]


def randomise(
    network: nn.Module, images: torch.Tensor, *, seed: int, top: int | None = None
) -> nn.Module:
    """Return a copy of a network in which the uppermost layers, or all, are drawn anew.

    Layers draw their weights as they do before training. What is held by a module that cannot
    draw, such as position embeddings, has its values shuffled (a scale of one value stays).
    Running statistics of batch normalisation in these layers are those of the given images, as the
    first batches of a training would leave them; those of the trained network, or none, would let
    activations vanish or explode.

    Parameters
    ----------
    network
        The trained network; it stays as it is.
    images
        float32 (n, C, H, W), normalised, on the network's device.
    seed
        Of the drawing; the same on every device. torch's own generators stay as they are.
    top
        How many layers, counted from the output (see `layers_of`); all by default. From one to all
        of them it is the cascade of Adebayo et al.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the device of `network`.

    References
    ----------
    Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
    """
    names = layers_of(network)
    if top is not None and not 1 <= top <= len(names):
        raise InputError(f"explain: {top} layers of {len(names)}; give 1 to {len(names)}.")
    device = next(network.parameters()).device
    drawn = copy.deepcopy(network).cpu()
    modules = dict(drawn.named_modules())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name in names if top is None else names[-top:]:
            _draw(modules[name])
    drawn = drawn.to(device).eval()
    every = list(modules)
    first = 0 if top is None else every.index(names[-top])
    _estimate_statistics(drawn, [modules[name] for name in every[first:]], images)
    return drawn


def _draw(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in module.parameters(recurse=False):
        order = torch.randperm(parameter.numel())
        parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _estimate_statistics(
    network: nn.Module, parts: Sequence[nn.Module], images: torch.Tensor
) -> None:
    """Set the running statistics of batch normalisation in some parts to those of some images."""
    norms = [part for part in parts if isinstance(part, NORMS) and part.running_mean is not None]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        # The whole of the new, nothing of the old.
        norm.momentum = 1.0
        norm.train()
    if len(images) == 1:
        # Of one image, a map of one pixel has no spread: torch refuses to take its statistics.
        images = torch.cat([images, images])
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def compare_randomised(
    maps: FloatArray, randomised: Sequence[FloatArray], areas: Areas, *, seed: int = 0
) -> pd.DataFrame:
    """Return how alike maps are to those of randomised networks, case by case.

    One randomised network may happen to see an image as the trained one does, and then most of
    them: several should be drawn.

    Parameters
    ----------
    maps
        Shape (n, areas): of the trained network.
    randomised
        The same of each network that was drawn, for the same cases and classes.
    areas
        See `fewcase.explain.areas.areas_of`.
    seed
        Of the control.

    Returns
    -------
    pandas.DataFrame
        Means over the networks of Spearman's rank correlation: ``randomised``,
        ``randomised_magnitude`` (without signs) and ``randomised_control`` (maps laid elsewhere,
        see `fewcase.explain.stability.chance_correlation`).
    """
    if not randomised:
        raise InputError("explain: no maps of randomised networks; give those of one at least.")
    return pd.DataFrame(
        {
            "randomised": _mean([rank_correlation(maps, other) for other in randomised]),
            "randomised_magnitude": _mean(
                [magnitude_correlation(maps, other) for other in randomised]
            ),
            "randomised_control": _mean(
                [chance_correlation(maps, other, areas, seed=seed) for other in randomised]
            ),
        }
    )


def _mean(values: Sequence[FloatArray]) -> FloatArray:
    """Return means over the first axis, of what is known."""
    table = np.stack(values)
    known = np.isfinite(table)
    total: FloatArray = np.where(known, table, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(known.any(axis=0), total / known.sum(axis=0), np.nan)
