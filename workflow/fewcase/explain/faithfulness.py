"""Whether maps tell what the network goes by: its score as cells are deleted or inserted in order.

Areas of the image are replaced by the fill, those that speak most for the class first, and its
probability must fall sooner than in an order that says nothing of the network (deletion); put back
into a blurred image in the same order they must raise it sooner (insertion). A signed map also
promises that the score rises where areas that speak against the class are deleted (negative
deletion), as long as there are any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.explain.areas import Areas, FloatArray, laid_elsewhere
from fewcase.explain.dida import LEAST_SCALE, scores_of
from fewcase.explain.occlusion import Network
from fewcase.study.errors import InputError
from fewcase.study.explanations import CURVES

STEPS = 20
"""Into how many equal steps the areas of an image are divided."""
DRAWS = 5
"""Orders that say nothing of the network, for each case."""

CURVE_COLUMNS = ("measure", "order", "share", "score", "cases")


@dataclasses.dataclass(frozen=True)
class Faithfulness:
    """What was measured of maps.

    Attributes
    ----------
    table
        One line per case: explained (class number), score (its probability, nothing deleted), and
        the areas under the curves ``deletion``, ``insertion``, ``negative_deletion``, each with
        ``…_random`` (mean over the orders that say nothing). ``negative_cells`` are how many areas
        speak against the class; ``negative_rise`` is the mean rise of the score as they are
        deleted, and ``negative_last`` the rise when all of them are gone. What is of negative
        deletion is NaN where there are none; its orders that say nothing delete as many areas.
    curves
        Means over the cases: measure, order (``map`` or ``random``), share (of the areas deleted
        or inserted, of negative deletion those that speak against the class), score (probability),
        cases (how many the mean is of).
    """

    table: pd.DataFrame
    curves: pd.DataFrame


def area_under(scores: npt.ArrayLike, shares: npt.ArrayLike | None = None) -> float:
    """Return the area under a curve over an axis from 0 to 1, by trapezoids.

    With n equal steps that is ``(sum - (first + last) / 2) / n``.

    Parameters
    ----------
    scores
        Shape (n + 1,).
    shares
        Shape (n + 1,), rising from 0 to 1; equal steps by default.
    """
    scores = np.asarray(scores, np.float64)
    shares = np.linspace(0, 1, scores.size) if shares is None else np.asarray(shares, np.float64)
    return float(np.trapezoid(scores, shares))


def measure_faithfulness(
    network: Network,
    images: torch.Tensor,
    fills: torch.Tensor,
    starts: torch.Tensor,
    evidence: npt.ArrayLike,
    areas: Areas,
    *,
    steps: int = STEPS,
    draws: int = DRAWS,
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    counted: npt.ArrayLike | None = None,
) -> Faithfulness:
    """Measure deletion, insertion and negative deletion of maps.

    Parameters
    ----------
    network
        In evaluation mode, on the device.
    images, fills, starts
        float32 (n, C, H, W), normalised: the images, what areas are replaced by when they are
        deleted, and the blurred images that insertion begins with.
    evidence
        Shape (n, areas): what the map says for the explained class in each area (see
        `areas.evidence_of`), or (n, areas, K): the class with the highest score is explained.
    areas
        What is deleted as a whole. Equal evidence comes in random order.
    steps
        Equal steps that all areas are divided into, at most one for each area.
    draws
        Orders that say nothing of the network, see `areas.laid_elsewhere`.
    seed
        Of these, and of the order of equal evidence; a case's own do not depend on how many others
        there are.
    batch_size
        Images in a forward pass.
    device
        Where the network is.
    counted
        bool (n,): which cases the curves are means of, all by default.

    References
    ----------
    Petsiuk, Das and Saenko, BMVC 2018 (deletion and insertion, by pixels); Samek et al., IEEE
    Transactions on Neural Networks and Learning Systems 28, 2017 (regions, against random orders).
    Negative deletion, and orders laid elsewhere in place of random ones, are ours.
    """
    values = np.asarray(evidence, np.float64)
    _check(images, fills, starts, values, areas, steps, draws)
    index = torch.from_numpy(areas.index(*images.shape[-2:])).to(device)
    # What belongs to no area comes after all of them, and so never.
    index = torch.where(index < 0, len(areas), index)
    axis = np.linspace(0, 1, steps + 1)
    lines, drawn = [], []
    for case, (image, fill, start) in enumerate(zip(images, fills, starts, strict=True)):
        meter = _Meter(network, image.to(device), index, batch_size)
        explained, score = meter.explained, meter.score
        of_class = values[case] if values.ndim == 2 else values[case, :, explained]
        random = np.random.default_rng([seed, case])
        ranks = _ranks(-of_class, random)
        orders = np.stack([ranks, *laid_elsewhere(ranks, areas, draws, random)])
        against = int((of_class < -LEAST_SCALE).sum())
        reverse = _ranks(of_class, random)
        elsewhere = np.stack([reverse, *laid_elsewhere(reverse, areas, draws, random)])
        found = {
            "deletion": meter.delete(fill.to(device), orders, len(areas), steps),
            "insertion": meter.insert(start.to(device), orders, len(areas), steps),
        }
        if against:
            found["negative_deletion"] = meter.delete(fill.to(device), elsewhere, against, steps)
        lines.append({"explained": explained, "score": score, **_summary(found, score, against)})
        drawn.append({name: _on_axis(*curve, axis) for name, curve in found.items()})
    if counted is not None:
        drawn = [
            curves for curves, counts in zip(drawn, np.asarray(counted), strict=True) if counts
        ]
    return Faithfulness(
        pd.DataFrame(lines), pd.DataFrame(_means(drawn, axis), columns=CURVE_COLUMNS)
    )


def _check(
    images: torch.Tensor,
    fills: torch.Tensor,
    starts: torch.Tensor,
    evidence: FloatArray,
    areas: Areas,
    steps: int,
    draws: int,
) -> None:
    if not images.shape == fills.shape == starts.shape or images.ndim != 4:
        raise ValueError(
            f"measure_faithfulness: images {tuple(images.shape)}, fills {tuple(fills.shape)} and "
            f"starts {tuple(starts.shape)} must have one shape (n, C, H, W)."
        )
    if evidence.shape[:2] != (len(images), len(areas)) or not np.isfinite(evidence).all():
        raise InputError(
            f"explain: maps of shape {evidence.shape} for {len(images)} images and {len(areas)} "
            "areas, or not finite. Run the explain stage again."
        )
    if not len(images):
        raise InputError("explain: no case to measure maps of; explain one at least by chance.")
    if steps < 1 or draws < 1:
        raise InputError(f"explain: {steps} steps and {draws} draws; give at least one of each.")


def _ranks(keys: FloatArray, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the place of each area in ascending order of keys, equal ones in random order."""
    order = np.lexsort((random.random(keys.size), keys))
    ranks = np.empty(keys.size, np.int64)
    ranks[order] = np.arange(keys.size)
    return ranks


Curves: TypeAlias = tuple[FloatArray, FloatArray]
"""Shares (points,), and scores (orders, points), the map's own order first."""


class _Meter:
    """Follows the probability of the likeliest class of one image as areas are replaced."""

    def __init__(
        self, network: Network, image: torch.Tensor, index: torch.Tensor, batch_size: int
    ) -> None:
        self._network, self._image, self._batch_size = network, image, batch_size
        self._index = index
        with torch.inference_mode():
            probabilities = scores_of(network(image[None]))[0]
        self.explained = int(probabilities.argmax())
        self.score = float(probabilities[self.explained])

    def delete(
        self, fill: torch.Tensor, orders: npt.NDArray[np.int64], last: int, steps: int
    ) -> Curves:
        """Replace the first `last` areas of each order by the fill."""
        return self._follow(self._image, fill, orders, last, steps)

    def insert(
        self, start: torch.Tensor, orders: npt.NDArray[np.int64], last: int, steps: int
    ) -> Curves:
        """Put the first `last` areas of each order of the image into another."""
        # What is in no area, as the other channels of a map of one channel, is there throughout.
        start = torch.where(self._index == orders.shape[1], self._image, start)
        return self._follow(start, self._image, orders, last, steps)

    def _follow(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        orders: npt.NDArray[np.int64],
        last: int,
        steps: int,
    ) -> Curves:
        counts = np.rint(np.linspace(0, last, min(steps, last) + 1)).astype(np.int64)
        which = np.repeat(np.arange(len(orders)), counts.size)
        # Of each picture, which areas are replaced; what is in none of them never is.
        replaced = orders[which] < np.tile(counts, len(orders))[:, None]
        replaced = np.concatenate([replaced, np.zeros((len(replaced), 1), bool)], axis=1)
        scores = []
        with torch.inference_mode():
            for part in torch.from_numpy(replaced).split(self._batch_size):
                chosen = part.to(self._image.device)[:, self._index]
                logits = self._network(torch.where(chosen, second, first))
                scores.append(scores_of(logits)[:, self.explained])
        return counts / last, np.concatenate(scores).reshape(len(orders), -1)


def _summary(found: dict[str, Curves], score: float, against: int) -> dict[str, float]:
    """Return the areas under the curves of a case."""
    row: dict[str, float] = {}
    for name in CURVES:
        if name in found:
            shares, curves = found[name]
            own, *others = (area_under(curve, shares) for curve in curves)
            row |= {name: own, f"{name}_random": float(np.mean(others))}
        else:
            row |= {name: np.nan, f"{name}_random": np.nan}
    row["negative_cells"] = against
    # The area under a curve is its mean, for its axis runs from 0 to 1.
    row["negative_rise"] = row["negative_deletion"] - score
    last = found["negative_deletion"][1][0, -1] if against else np.nan
    row["negative_last"] = float(last) - score
    return row


def _on_axis(shares: FloatArray, curves: FloatArray, axis: FloatArray) -> FloatArray:
    """Return the map's curve and the mean of the others at the places of an axis, (2, points)."""
    both = np.stack([curves[0], curves[1:].mean(axis=0)])
    return np.stack([np.interp(axis, shares, curve) for curve in both])


def _means(
    drawn: list[dict[str, FloatArray]], axis: FloatArray
) -> Iterator[tuple[str, str, float, float, int]]:
    """Yield the mean curves point by point, see `CURVE_COLUMNS`."""
    for name in CURVES:
        of_cases = [curves[name] for curves in drawn if name in curves]
        if of_cases:
            for order, curve in zip(("map", "random"), np.mean(of_cases, axis=0), strict=True):
                for share, score in zip(axis, curve, strict=True):
                    yield name, order, float(share), float(score), len(of_cases)
