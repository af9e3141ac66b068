"""DiDA: what each part of an image says for and against each class, in grids of several sizes.

Y. Ayatsuka, T. Uta, T. Yasukawa, A. Yoshitaka: DiDA, Differential Image Diagnostic Analysis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp, softmax

from fewcase.explain.grids import WHOLE, Grid, cells_of
from fewcase.study.errors import InputError
from fewcase.study.explanations import SCORES
from fewcase.study.fields import nearest

if TYPE_CHECKING:
    import torch

LEAST_SCALE = 1e-5
"""No scale is finer: what float32 networks leave of rounding errors stays black."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
Numbers: TypeAlias = "npt.NDArray[np.floating] | torch.Tensor"


def scores_of(logits: Numbers, score: str = "probability") -> Float64:
    """Return the scores C_k of logits, in double precision.

    Parameters
    ----------
    logits
        (…, K).
    score
        ``probability`` is the softmax, which no longer moves where a network is very sure;
        ``logit`` the raw output; ``log_odds`` is log p / (1 - p), which neither saturates nor, as
        raw outputs do, moves with a number added to all classes.

    Returns
    -------
    float64 (…, K).

    Raises
    ------
    InputError
        Where there is no such score, an output is no finite number, or one class has no other.
    """
    if not isinstance(logits, np.ndarray):
        logits = logits.detach().cpu().numpy()
    z: Float64 = np.asarray(logits, np.float64)
    if score not in SCORES:
        raise InputError(f"explain.score: {score!r}.{nearest(score, SCORES)}")
    if not np.isfinite(z).all():
        raise InputError("explain: the network's outputs are not all finite numbers.")
    if score == "logit":
        return z
    if z.shape[-1] < 2:
        raise InputError(
            f"explain.score: {score} needs a logit of each class, two at least; the network has "
            "one. Give it a second output of 0, or take the score logit."
        )
    probabilities: Float64 = softmax(z, axis=-1)
    if score == "probability":
        return probabilities
    # 1 - p_k cancels for the likeliest class alone: there, the odds are against the sum of others.
    top = z.argmax(axis=-1, keepdims=True)
    others = z.copy()
    np.put_along_axis(others, top, -np.inf, axis=-1)
    np.put_along_axis(probabilities, top, 0.0, axis=-1)
    log_odds: Float64 = log_softmax(z, axis=-1) - np.log1p(-probabilities)
    odds_of_top = z.max(axis=-1, keepdims=True) - logsumexp(others, axis=-1, keepdims=True)
    np.put_along_axis(log_odds, top, odds_of_top, axis=-1)
    return log_odds


def differences(base: Numbers, masked: Numbers, score: str = "probability") -> Float32:
    """Return d = C_k(I) - C_k(M): positive where a cell speaks for class k, negative against it.

    Parameters
    ----------
    base
        Logits of the image, (K,).
    masked
        Logits with each cell blanked, (cells, K).
    score
        See `scores_of`.

    Returns
    -------
    float32 (cells, K), subtracted in double precision.
    """
    return (scores_of(base, score) - scores_of(masked, score)).astype(np.float32)


def brightness_scale(
    differences: npt.ArrayLike, *, absolute: float | None = None, quantile: float = 1.0
) -> float:
    """Return the difference that is drawn at full brightness: one number for an image.

    Maps of several classes are looked at side by side, and coarse grids against fine ones, whose
    darkness tells that a feature is larger than their cells. Both only make sense on one scale, so
    that all classes and all grids of an image share it. The paper leaves open which.

    Parameters
    ----------
    differences
        (cells of all grids, K) of one image.
    absolute
        A scale of one's own, in units of the score. To compare images, give it to all of them.
    quantile
        By default the scale is the largest \\|d\\|, and nothing is clipped. A smaller share is
        taken among the cells of each class, and of those the largest over classes: the many
        classes that nothing in an image bears on make it no brighter. Where little of an image
        matters, a quantile may miss it.

    Raises
    ------
    InputError
        For a scale that is not above 0, or a quantile that is not in (0, 1].
    """
    if absolute is not None:
        if not 0 < absolute < np.inf:
            raise InputError(f"explain.absolute: {absolute}; give a number above 0.")
        return float(absolute)
    if not 0 < quantile <= 1:
        raise InputError(f"explain.quantile: {quantile}; give a number above 0, at most 1.")
    values = np.abs(np.asarray(differences, np.float32))
    return max(float(np.quantile(values, quantile, axis=0).max(initial=0.0)), LEAST_SCALE)


def brightness(differences: npt.ArrayLike, scale: float, exponent: float = 1.0) -> Float32:
    """Return a(\\|d\\|) in [0, 1]: it grows with \\|d\\| up to `scale`, and stays 1 beyond.

    Parameters
    ----------
    differences
        Of any shape.
    scale
        See `brightness_scale`.
    exponent
        Of \\|d\\| / scale: below 1, what is weak is seen better.
    """
    share = np.abs(np.asarray(differences, np.float32)) / np.float32(scale)
    return np.minimum(share, np.float32(1)) ** np.float32(exponent)


@dataclasses.dataclass(frozen=True, eq=False)
class SignedMap:
    """What speaks for and what speaks against a class at each pixel, kept apart.

    Attributes
    ----------
    positive, negative
        float32 (H, W) in [0, 1]: weighted sums of brightness over the grids whose cell at this
        pixel speaks for the class, and over those whose cell speaks against it.
    """

    positive: Float32
    negative: Float32

    @property
    def signed(self) -> Float32:
        """The sum in which both cancel, (H, W) in [-1, 1]."""
        return self.positive - self.negative

    @property
    def conflict(self) -> Float32:
        """How much grids disagree, (H, W) in [0, 1]: the brightness that cancels in `signed`.

        1 is where half of the weight speaks for the class and half against it, both at full
        brightness; 0 where all grids are of one mind, or see nothing.
        """
        return 2 * np.minimum(self.positive, self.negative)


def paint(grid: Grid, values: npt.NDArray[np.float32]) -> Float32:
    """Return the pixels of cell values: (cells, …) becomes (H, W, …)."""
    cells = values.reshape(grid.rows, grid.columns, *values.shape[1:])
    y0, y1, x0, x1 = grid.boxes.T
    rows = np.repeat(cells, (y1 - y0)[:: grid.columns], axis=0)
    return np.repeat(rows, (x1 - x0)[: grid.columns], axis=1)


def grid_map(grid: Grid, differences: Float32, scale: float, exponent: float = 1.0) -> SignedMap:
    """Return the grid image of one class (the paper's DiDA Grid Image), uncoloured.

    Parameters
    ----------
    grid
        The grid.
    differences
        Of its cells, (cells,); with further axes, so has the map.
    scale, exponent
        See `brightness`.
    """
    bright = brightness(differences, scale, exponent)
    # d = 0 is red in the paper, at a brightness of 0.
    return SignedMap(
        paint(grid, np.where(differences >= 0, bright, 0)),
        paint(grid, np.where(differences < 0, bright, 0)),
    )


def mixed_map(
    grids: Sequence[Grid],
    differences: Float32,
    scale: float,
    *,
    group: str = WHOLE,
    exponent: float = 1.0,
) -> SignedMap:
    """Return the weighted sum of the grid images of a group (the paper's DiDA Mixed Image).

    With an exponent of 1, its values times `scale` are in units of the score.

    Parameters
    ----------
    grids
        All grids, in the order of the cells.
    differences
        Of one class, (cells of all grids,); with further axes, so has the map.
    scale, exponent
        See `brightness`.
    group
        Which grids to mix; their weights have the sum 1.

    Raises
    ------
    InputError
        Where there is no such group, or grids and differences do not go together.
    """
    parts = cells_of(grids, differences, group)
    height, width = parts[0][0].size
    positive = np.zeros((height, width, *differences.shape[1:]), np.float32)
    negative = np.zeros_like(positive)
    for grid, part in parts:
        one = grid_map(grid, part, scale, exponent)
        positive += np.float32(grid.weight) * one.positive
        negative += np.float32(grid.weight) * one.negative
    return SignedMap(positive, negative)
