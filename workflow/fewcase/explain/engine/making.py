"""Choose the fastest exact way to blank cells in a given network, and prove it before use."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from fewcase.explain.engine.convolutional import ConvolutionalOccluder
from fewcase.explain.engine.fusion import trace
from fewcase.explain.engine.tokens import TokenOccluder
from fewcase.explain.engine.windows import WindowOccluder
from fewcase.explain.grids import Grid, square_grids
from fewcase.explain.occlusion import Occluder, PlainOccluder

TOLERANCE = 1e-5
"""Largest difference of logits from the plain way, as a share of the larger of 1 and the logits."""
ROUNDING = 1e-6
"""Difference, on the same scale, that rounding alone can make."""
CHECKED_SIZES = (4, 9)
"""Cells along a side of the grids of which some cells are compared."""
Shape = tuple[int, int, int]


def make_occluder(
    network: nn.Module,
    shape: Shape,
    device: str | torch.device,
    log: logging.Logger | None = None,
    *,
    group: int | None = None,
) -> Occluder:
    """Return the fastest way known to blank cells in a network, exact to rounding.

    Convolutional networks recompute of each map only what a cell changes (large convolutions of
    3 × 3 on a CPU by `fewcase.explain.engine.winograd`), vision transformers the tokens and Swin
    transformers the windows that it reaches. The way is tried on an image of noise first; where it
    cannot take the network, or its logits differ from the network's by more than `TOLERANCE`, the
    plain way is taken and the log says why.

    Parameters
    ----------
    network
        In evaluation mode, float32. It is moved to the device; a copy of it may be changed.
    shape
        (C, H, W) of the images that it will be asked about.
    device
        Where to compute.
    log
        Told which way was taken; by default the module's logger.
    group
        Cells computed at once; by default as many as suit the device.

    Raises
    ------
    InputError
        Where the network or a part of it is in training mode.
    """
    log = log or logging.getLogger(__name__)
    network = network.to(device)
    on_cpu = torch.device(device).type == "cpu"
    plain = PlainOccluder(network, batch_size=group or (8 if on_cpu else 128))
    for way, make in _ways(network, shape, group, on_cpu):
        try:
            occluder = make()
            difference, effect = largest_difference(occluder, plain, shape, device)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else ""
            log.info("occlusion: not by %s: %s: %s", way, type(error).__name__, reason)
            continue
        # Blanking changes the logits of an untrained network so little that the tolerance alone
        # would let anything pass.
        if difference <= TOLERANCE and difference <= max(ROUNDING, 0.02 * effect):
            log.info("occlusion by %s; differs from the plain way by %.1e", way, difference)
            return occluder
        log.warning(
            "occlusion: not by %s: its logits differ from the network's by %.1e of their size "
            "(blanking changes them by %.1e; tolerated: %.0e).",
            way, difference, effect, TOLERANCE,
        )  # fmt: skip
    log.info("occlusion the plain way: every masked image through the whole network")
    return plain


def largest_difference(
    occluder: Occluder, reference: Occluder, shape: Shape, device: str | torch.device
) -> tuple[float, float]:
    """Compare two ways on an image of noise, a part of which is the fill already.

    Returns
    -------
    difference
        The largest of all logits, as a share of the larger of 1 and the largest logit.
    effect
        By how much blanking changes the logits, on the same scale.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(shape, generator=generator).to(device)
    fill = torch.randn(shape[0], 1, 1, generator=generator).expand(shape).contiguous().to(device)
    image[:, : shape[1] // 3, : shape[2] // 3] = fill[:, : shape[1] // 3, : shape[2] // 3]
    sizes = sorted({min(side, *shape[1:]) for side in CHECKED_SIZES})
    grids = [_thinned(grid) for grid in square_grids(shape[1], shape[2], shape[0], sizes=sizes)]
    ours, theirs = (
        torch.cat([logits[None], *masked])
        for logits, masked in (each(image, fill, grids) for each in (occluder, reference))
    )
    if not bool(torch.isfinite(theirs).all()):
        raise ValueError("the network's logits of noise are not finite")
    scale = theirs.abs().max().clamp(min=1.0)
    effect = (theirs - theirs[0]).abs().max() / scale
    return float((ours - theirs).abs().max() / scale), float(effect)


def _thinned(grid: Grid) -> Grid:
    """Return a few cells of a grid: corners, borders, and some within."""
    chosen = np.unique(np.linspace(0, grid.cells - 1, 7).round().astype(np.int64))
    return dataclasses.replace(grid, rows=1, columns=len(chosen), boxes=grid.boxes[chosen])


def _ways(
    network: nn.Module, shape: Shape, group: int | None, on_cpu: bool
) -> Iterator[tuple[str, Callable[[], Occluder]]]:
    """Yield names of ways that may suit a network, and what makes them, the fastest first."""
    few = group or (8 if on_cpu else 128)
    if isinstance(network, VisionTransformer):
        yield "changed tokens", partial(TokenOccluder, network, shape, few)
    if isinstance(network, SwinTransformer):
        yield "changed windows", partial(WindowOccluder, network, shape, few)
    for winograd in (True, False) if on_cpu else (False,):
        name = "changed patches, Winograd" if winograd else "changed patches"
        yield name, partial(_convolutional, network, shape, group, winograd)


def _convolutional(network: nn.Module, shape: Shape, group: int | None, winograd: bool) -> Occluder:
    return ConvolutionalOccluder(trace(network, shape, winograd), shape, group)
