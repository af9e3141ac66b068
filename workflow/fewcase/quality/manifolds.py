"""Precision, recall, density and coverage of synthetic images among real ones in feature space.

The manifold of a set is the union of balls around its features, each as wide as the k-th nearest
other feature is away. Precision is the share of synthetic images inside the real manifold, recall
that of real ones inside the synthetic manifold (Kynkäänniemi et al., Improved precision and recall
metric for assessing generative models, NeurIPS 2019). Density counts in how many real balls a
synthetic image lies, over k; coverage is the share of real balls with a synthetic image in them
(Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML 2020).
"""

from __future__ import annotations

import dataclasses

import torch

from fewcase.quality.arithmetic import Features, feature_tensor
from fewcase.quality.distances import TIE, Block, Pairs
from fewcase.quality.neighbours import nearest_of_all
from fewcase.runtime.precision import full_float32

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5

#: With more open pairs than that per row, a block is computed again in float64 as a whole.
_OPEN_PER_ROW = 16


@dataclasses.dataclass(frozen=True)
class Manifolds:
    """How far synthetic and real images share their manifolds.

    Attributes
    ----------
    precision, recall, coverage
        Shares, 0 to 1.
    density
        From 0; about 1 for sets of one distribution, and more where synthetic images crowd where
        real ones are dense.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def compare_manifolds(
    real: Features,
    synthetic: Features,
    *,
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    density_neighbours: int = DENSITY_NEIGHBOURS,
    inclusive: bool = False,
    device: str = "cpu",
) -> Manifolds:
    """Return precision and recall with one k, density and coverage with another.

    Distances are taken in blocks, so that memory does not grow with the number of pairs. Whether
    a feature lies inside a ball is decided as exact arithmetic would, ties included.

    Parameters
    ----------
    real, synthetic
        (n, d) and (m, d); n more than both k, m more than that of precision.
    precision_neighbours, density_neighbours
        k, the feature itself not counted.
    inclusive
        Whether what lies on the surface of a ball is inside it, as in the metrics of StyleGAN2;
        by default it is not, as in the package prdc.
    device
        As torch names it.

    Raises
    ------
    ValueError
        Where there are too few images for a k-th neighbour.
    """
    fewest = {
        "real": (len(real), max(precision_neighbours, density_neighbours)),
        "synthetic": (len(synthetic), precision_neighbours),
    }
    for name, (count, neighbours) in fewest.items():
        if count <= neighbours:
            raise ValueError(f"{count} {name} images have no neighbour number {neighbours}")
    pairs = Pairs(
        feature_tensor(real, device, "real features"),
        feature_tensor(synthetic, device, "synthetic features"),
    )
    around_real = _squared_radii(pairs.first, fewest["real"][1])
    around_synthetic = _squared_radii(pairs.second, precision_neighbours)
    balls = _Balls(
        pairs,
        around_real[:, precision_neighbours - 1],
        around_real[:, density_neighbours - 1],
        around_synthetic[:, precision_neighbours - 1],
        inclusive,
    )
    with full_float32(), torch.inference_mode():
        for rows in pairs.row_slices():
            for block in pairs.blocks(rows):
                balls.count(block)
    return Manifolds(
        precision=float(balls.precise.double().mean()),
        recall=float(balls.recalled.double().mean()),
        density=float(balls.inside) / (density_neighbours * len(synthetic)),
        coverage=float(balls.covered.double().mean()),
    )


def _squared_radii(features: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Return the squared distances (n, k) of each feature to its nearest others."""
    codes = torch.arange(len(features), device=features.device)
    return nearest_of_all(Pairs(features, features), neighbours, (codes, codes))[0]


class _Balls:
    """What is known after some blocks of who lies in whose ball."""

    def __init__(
        self,
        pairs: Pairs,
        precision_radii: torch.Tensor,
        density_radii: torch.Tensor,
        recall_radii: torch.Tensor,
        inclusive: bool,
    ) -> None:
        device = pairs.first.device
        self._pairs = pairs
        self._inclusive = inclusive
        # Squared: of balls around real features for two measures, and around synthetic ones.
        self._precision, self._density, self._recall = precision_radii, density_radii, recall_radii
        self.precise = torch.zeros(len(pairs.second), dtype=torch.bool, device=device)
        self.recalled = torch.zeros(len(pairs.first), dtype=torch.bool, device=device)
        self.covered = torch.zeros(len(pairs.first), dtype=torch.bool, device=device)
        self.inside = 0

    def count(self, block: Block) -> None:
        """Take the pairs of a block into account."""
        rows, columns, low = self._within_reach(block)
        real, synthetic = rows + block.rows.start, columns + block.columns.start
        limits = [self._precision[real], self._density[real], self._recall[synthetic]]
        high = low + block.row_slack[rows] + block.column_slack[columns]
        inside = [high < limit for limit in limits]
        still_open = [(low <= limit) & ~sure for limit, sure in zip(limits, inside, strict=True)]
        unknown = torch.nonzero(torch.stack(still_open).any(dim=0)).flatten()
        if block.lower.dtype == torch.float64:
            # What float64 leaves open differs by round-off: it is a tie.
            if self._inclusive:
                inside = [low <= limit for limit in limits]
        elif len(unknown) > _OPEN_PER_ROW * len(block.lower):
            self.count(self._pairs.block(block.rows, block.columns, torch.float64))
            return
        else:
            squares = self._pairs.exact(real[unknown], synthetic[unknown, None])[:, 0]
            for limit, sure in zip(limits, inside, strict=True):
                sure[unknown] = self._compare(squares, limit[unknown])
        in_precision, in_density, in_recall = inside
        self.precise[synthetic[in_precision]] = True
        self.recalled[real[in_recall]] = True
        self.covered[real[in_density]] = True
        self.inside += int(in_density.sum())

    def _within_reach(self, block: Block) -> tuple[torch.Tensor, ...]:
        """Return rows, columns and lower bounds of the few pairs that may share any ball."""
        around_real = torch.maximum(self._precision, self._density)[block.rows]
        # Rounded to float32, and up.
        reach, back = (
            (radii * (1 + 1e-6)).to(block.lower.dtype)
            for radii in (around_real, self._recall[block.columns])
        )
        near = (block.lower <= reach[:, None]).logical_or_(block.lower <= back)
        rows, columns = torch.nonzero(near, as_tuple=True)
        return rows, columns, block.lower[rows, columns]

    def _compare(self, squares: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
        """Return whether true squared distances are within limits; near enough is equal."""
        if self._inclusive:
            return squares <= limits * (1 + TIE)
        return squares < limits * (1 - TIE)
