"""Squared distances between many features: bounds in float32, and the truth in float64 on demand.

The product form |a|² + |b|² - 2 a·b is the only fast one, and it cancels: of two copies it leaves
round-off of the size of |a|². Here features are centred first, the product form is computed with a
proven bound of its error, and whatever the bound leaves open is settled by differences in float64.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch

from fewcase.quality.arithmetic import same_width

#: Entries of a block of distances: 16 MB of float32 on a CPU, where caches are small.
_CPU_ENTRIES = 1 << 22
_GPU_ENTRIES = 1 << 24
_ROWS = 2048
#: Numbers of float64 that differences take at once.
_EXACT_NUMBERS = 1 << 21
#: Distances of fewer relative digits than that apart are equal, as sums of squares round off.
TIE = 1e-12


@dataclasses.dataclass(frozen=True)
class Block:
    """Distances between some points of one set (rows) and some of another (columns).

    The squared distance of row i and column j lies between ``lower[i, j]`` and
    ``lower[i, j] + row_slack[i] + column_slack[j]``.
    """

    rows: slice
    columns: slice
    lower: torch.Tensor
    row_slack: torch.Tensor
    column_slack: torch.Tensor


class Pairs:
    """The pairs of two sets of features, by blocks or one by one.

    Parameters
    ----------
    first, second
        (n, d) and (m, d), float32 or float64, on one device; not copied.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        same_width(first, second)
        self.first = first
        self.second = second
        # Any centre gives right bounds; the nearer to the mean, the tighter they are.
        total = first.sum(dim=0).double() + second.sum(dim=0).double()
        self._centre = total / max(len(first) + len(second), 1)

    def row_slices(self) -> Iterator[slice]:
        """Yield the rows of the first set, some at a time."""
        for start in range(0, len(self.first), _ROWS):
            yield slice(start, min(start + _ROWS, len(self.first)))

    def blocks(self, rows: slice, dtype: torch.dtype = torch.float32) -> Iterator[Block]:
        """Yield the blocks of some rows of the first set with all of the second, left to right.

        Parameters
        ----------
        rows
            Of the first set.
        dtype
            In which products are computed: float32, or float64 with a slack 10⁹ times smaller.
        """
        on_gpu = self.first.device.type == "cuda"
        entries = (_GPU_ENTRIES if on_gpu else _CPU_ENTRIES) * 4 // dtype.itemsize
        step = max(1, entries // max(rows.stop - rows.start, 1))
        left = self._centred(self.first[rows], dtype)
        for start in range(0, len(self.second), step):
            columns = slice(start, min(start + step, len(self.second)))
            yield self._block(rows, columns, left, dtype)

    def block(self, rows: slice, columns: slice, dtype: torch.dtype = torch.float32) -> Block:
        """Return the block of some rows and columns; `dtype` as of `blocks`."""
        return self._block(rows, columns, self._centred(self.first[rows], dtype), dtype)

    def exact(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Return squared distances by differences in float64; of copies they are 0.

        Parameters
        ----------
        rows
            (p,) int64, of the first set.
        columns
            (p, c) int64, of the second set: c for each of those.

        Returns
        -------
        torch.Tensor
            float64 (p, c).
        """
        step = max(1, _EXACT_NUMBERS // max(self.first.shape[1] * columns.shape[1], 1))
        parts = [torch.zeros(0, columns.shape[1], dtype=torch.float64, device=rows.device)]
        for ours, theirs in zip(rows.split(step), columns.split(step), strict=True):
            apart = self.second[theirs].double()
            apart -= self.first[ours].double()[:, None]
            parts.append(apart.square_().sum(dim=2))
        return torch.cat(parts)

    def _block(
        self,
        rows: slice,
        columns: slice,
        of_rows: tuple[torch.Tensor, torch.Tensor],
        dtype: torch.dtype,
    ) -> Block:
        left, left_squares = of_rows
        right, right_squares = self._centred(self.second[columns], dtype)
        # Twice a sum of d products is off by d roundings of twice the sum of their magnitudes at
        # most, and that is no more than both sums of squares; the rest is for centring, the sums
        # of squares (by halves), two additions, and rounding what bounds are compared with.
        error = (left.shape[1] + 64) * torch.finfo(dtype).eps / 2
        lower = torch.addmm(right_squares * (1 - error), left, right.T, alpha=-2)
        lower += (left_squares * (1 - error))[:, None]
        return Block(rows, columns, lower, 2 * error * left_squares, 2 * error * right_squares)

    def _centred(
        self, features: torch.Tensor, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features less the common mean, and their sums of squares (n,)."""
        kept = features.dtype if dtype == torch.float32 else torch.float64
        centred = (features.to(kept) - self._centre.to(kept)).to(dtype)
        return centred, centred.square().sum(dim=1)
