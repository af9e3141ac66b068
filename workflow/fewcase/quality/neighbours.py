"""Nearest neighbours in feature space: the right ones, whatever float32 makes of near ties."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from fewcase.quality.arithmetic import Features, feature_tensor
from fewcase.quality.distances import Block, Pairs
from fewcase.runtime.precision import full_float32

#: So many more candidates than neighbours are taken from float32 to be ranked in float64.
_SPARE = 4


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The nearest points of each query, the nearest first; of equally near ones the first row.

    Attributes
    ----------
    distances
        (n, k) float64, Euclidean; infinite where there are fewer than k points.
    rows
        (n, k) int64: which points; -1 where there are fewer.
    """

    distances: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]


def nearest(
    queries: Features,
    points: Features,
    k: int,
    *,
    groups: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    device: str = "cpu",
) -> Neighbours:
    """Return the k nearest points of each query.

    Distances are exact to the last digits of float64 on the given features, and so is who is
    nearest, but for distances that differ by less than that.

    Parameters
    ----------
    queries, points
        (n, d) and (m, d).
    k
        How many.
    groups
        Of each query and each point: points of the query's own group don't count. To leave out
        the query itself, give each row a group of its own, see `apart`.
    device
        As torch names it.

    Raises
    ------
    InputError
        For features that are no matrix of finite numbers.
    """
    ours = feature_tensor(queries, device, "queries")
    pairs = Pairs(ours, ours if queries is points else feature_tensor(points, device, "points"))
    codes = None
    if groups is not None:
        sides = [torch.from_numpy(np.asarray(side, np.int64)).to(device) for side in groups]
        codes = (sides[0], sides[1])
    squares, places = nearest_of_all(pairs, k, codes)
    return Neighbours(np.sqrt(squares.cpu().numpy()), places.cpu().numpy())


Codes = tuple[torch.Tensor, torch.Tensor] | None


def nearest_of_all(pairs: Pairs, k: int, codes: Codes) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `nearest` does of the points of a second set, on its device.

    Parameters
    ----------
    pairs
        Queries and points; where they are one and the same tensor, half of the products suffice.
    k
        How many.
    codes
        Groups, int64, see `nearest`.

    Returns
    -------
    squares
        (n, k) float64, squared distances.
    places
        (n, k) int64.
    """
    device = pairs.first.device
    every: Iterable[tuple[slice, _Candidates]]
    found = [
        (
            torch.zeros(0, k, dtype=torch.float64, device=device),
            torch.zeros(0, k, dtype=torch.int64, device=device),
        )
    ]
    with full_float32(), torch.inference_mode():
        if pairs.first is pairs.second:
            every = _mutual_candidates(pairs, k, codes)
        else:
            every = ((rows, _candidates(pairs, rows, k, codes)) for rows in pairs.row_slices())
        found += [_settled(pairs, rows, k, codes, candidates) for rows, candidates in every]
    squares, places = (torch.cat(parts) for parts in zip(*found, strict=True))
    return squares, places


def apart(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return groups for the neighbours of points among themselves, each left out of its own."""
    codes = np.arange(count)
    return codes, codes


@dataclasses.dataclass(frozen=True)
class _Candidates:
    """Points that may be among the nearest of some queries, ascending by their lower bounds.

    Attributes
    ----------
    lower, upper
        (r, c): bounds of the squared distances; infinite for points that don't count.
    places
        (r, c) int64: which points.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    places: torch.Tensor

    def joined(self, other: _Candidates, most: int) -> _Candidates:
        """Return those of both whose lower bounds are least."""
        lower = torch.cat([self.lower, other.lower], dim=1)
        upper = torch.cat([self.upper, other.upper], dim=1)
        places = torch.cat([self.places, other.places], dim=1)
        best = lower.topk(min(most, lower.shape[1]), largest=False)
        return _Candidates(
            best.values, upper.gather(1, best.indices), places.gather(1, best.indices)
        )


def _settled(
    pairs: Pairs, rows: slice, k: int, codes: Codes, found: _Candidates
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return squared distances (r, k) and places of the points nearest to some queries."""
    squares, places = _ranked(pairs, rows, k, found)
    if found.places.shape[1] < len(pairs.second):
        # Whoever is no candidate is at least as far as the bound of the last candidate.
        unsettled = torch.nonzero(squares[:, k - 1] > found.lower[:, -1]).flatten()
        if len(unsettled):
            some = Pairs(pairs.first[rows][unsettled], pairs.second)
            own = None if codes is None else (codes[0][rows][unsettled], codes[1])
            every = slice(0, len(unsettled))
            found = _candidates(some, every, k, own, torch.float64)
            squares[unsettled], places[unsettled] = _ranked(some, every, k, found)
    missing = (0, max(0, k - squares.shape[1]))
    squares = torch.nn.functional.pad(squares, missing, value=torch.inf)
    places = torch.nn.functional.pad(places, missing, value=-1)
    return squares[:, :k], places[:, :k]


def _candidates(
    pairs: Pairs, rows: slice, k: int, codes: Codes, dtype: torch.dtype = torch.float32
) -> _Candidates:
    """Return the points of the least lower bounds, k and some to spare where there are so many."""
    most = min(k + _SPARE, len(pairs.second))
    found = _nothing(rows, dtype, pairs.first.device)
    for block in pairs.blocks(rows, dtype):
        _leave_out(block, codes)
        found = found.joined(_of_rows(block, most), most)
    return found


def _mutual_candidates(pairs: Pairs, k: int, codes: Codes) -> Iterator[tuple[slice, _Candidates]]:
    """Yield the same for all rows of a set among itself, each block being used for both sides."""
    most = min(k + _SPARE, len(pairs.second))
    slices = list(pairs.row_slices())
    found = [_nothing(rows, torch.float32, pairs.first.device) for rows in slices]
    for first, rows in enumerate(slices):
        for second, columns in enumerate(slices[first:], start=first):
            block = pairs.block(rows, columns)
            _leave_out(block, codes)
            found[first] = found[first].joined(_of_rows(block, most), most)
            if second > first:
                turned = Block(columns, rows, block.lower.T, block.column_slack, block.row_slack)
                found[second] = found[second].joined(_of_rows(turned, most), most)
        yield rows, found[first]


def _nothing(rows: slice, dtype: torch.dtype, device: torch.device) -> _Candidates:
    none = torch.empty(rows.stop - rows.start, 0, dtype=dtype, device=device)
    return _Candidates(none, none, none.long())


def _leave_out(block: Block, codes: Codes) -> None:
    """Put points of the query's own group infinitely far."""
    if codes is None:
        return
    ours, theirs = codes[0][block.rows], codes[1][block.columns]
    # Groups mostly lie together, so that few blocks have any in common.
    if ours.max() >= theirs.min() and theirs.max() >= ours.min():
        block.lower.masked_fill_(ours[:, None] == theirs, torch.inf)


def _of_rows(block: Block, most: int) -> _Candidates:
    least = block.lower.topk(min(most, block.lower.shape[1]), largest=False)
    upper = least.values + block.row_slack[:, None] + block.column_slack[least.indices]
    return _Candidates(least.values, upper, least.indices + block.columns.start)


def _ranked(
    pairs: Pairs, rows: slice, k: int, found: _Candidates
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the true squared distances of candidates, ascending, equal ones by their rows.

    Those that cannot be among the k nearest are infinitely far.
    """
    places, order = found.places.sort(dim=1)
    lower = found.lower.gather(1, order)
    squares = torch.full_like(lower, torch.inf, dtype=torch.float64)
    if lower.shape[1]:
        limit = found.upper.sort(dim=1).values[:, :k][:, -1:]
        ours, which = torch.nonzero((lower <= limit) & lower.isfinite(), as_tuple=True)
        near = places[ours, which]
        squares[ours, which] = pairs.exact(ours + rows.start, near[:, None])[:, 0]
    squares, order = squares.sort(dim=1, stable=True)
    places = places.gather(1, order)
    return squares, places.masked_fill(squares.isinf(), -1)
