"""The kernel distance (KID): squared maximum mean discrepancy of features, over random subsets."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from fewcase.quality.arithmetic import Features, feature_tensor, same_width
from fewcase.runtime.precision import full_float32

SUBSETS = 100
MOST_IN_SUBSET = 1000
SEED = 2020

#: Entries of a kernel matrix that are in memory at once.
_ENTRIES = 1 << 22


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """A kernel distance.

    Attributes
    ----------
    value
        Mean over subsets; its expectation is 0 for sets of one distribution, so it may be less.
    sd
        Standard deviation over subsets.
    subset_size
        Images of each set in a subset.
    """

    value: float
    sd: float
    subset_size: int


def default_subset_size(first: int, second: int) -> int:
    """Return how many of so many images a subset has: 1,000, or half of the smaller set if less.

    Subsets of all images would be one and the same, and their spread nought. The spread over
    random halves is about the standard error of the whole (the jackknife that deletes half:
    Shao and Wu, The Annals of Statistics 17, 1176-1197, 1989).
    """
    return min(MOST_IN_SUBSET, min(first, second) // 2)


def kernel_distance(
    first: Features,
    second: Features,
    *,
    subsets: int = SUBSETS,
    subset_size: int | None = None,
    seed: int = SEED,
    device: str = "cpu",
) -> KernelDistance:
    """Return the kernel distance of two sets of features with the kernel (x·y / d + 1)³.

    The draws of subsets are those of torch-fidelity for the same seed (numpy's generator of old,
    whose stream never changes).

    Parameters
    ----------
    first, second
        (n, d) and (m, d). Products are computed in their type and summed in float64.
    subsets
        How many are drawn, each without replacement.
    subset_size
        By default that of `default_subset_size`.
    seed
        Of the draws.
    device
        As torch names it.

    Raises
    ------
    ValueError
        Where a subset has fewer than two images, or more than a set.

    References
    ----------
    Bińkowski, Sutherland, Arbel and Gretton, Demystifying MMD GANs, ICLR 2018.
    """
    a = feature_tensor(first, device, "first features")
    b = feature_tensor(second, device, "second features").to(a.dtype)
    same_width(a, b)
    size = default_subset_size(len(a), len(b)) if subset_size is None else subset_size
    if not 2 <= size <= min(len(a), len(b)):
        raise ValueError(f"subsets of {size} cannot be drawn from {len(a)} and {len(b)} images")
    random = np.random.RandomState(seed)
    drawn = [
        (random.choice(len(a), size, replace=False), random.choice(len(b), size, replace=False))
        for _ in range(subsets)
    ]
    rows_a, rows_b = (
        torch.from_numpy(np.stack(rows)).to(device) for rows in zip(*drawn, strict=True)
    )
    whole = len(a) ** 2 / 2 + len(b) ** 2 / 2 + len(a) * len(b)
    summed = _sums_of_whole if whole <= 2 * subsets * size**2 else _sums_of_subsets
    with full_float32():
        within_a = summed(a, rows_a, a, rows_a)
        within_b = summed(b, rows_b, b, rows_b)
        between = summed(a, rows_a, b, rows_b)
    within_a -= _diagonal(a)[rows_a].sum(dim=1)
    within_b -= _diagonal(b)[rows_b].sum(dim=1)
    values = (within_a + within_b) / (size * (size - 1)) - 2 * between / size**2
    return KernelDistance(float(values.mean()), float(values.std(correction=0)), size)


def _kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the kernel matrix (n, m) in float64, of products in the type of the features."""
    base = (a @ b.T).double().div_(a.shape[1]).add_(1)
    return base * base * base


def _diagonal(features: torch.Tensor) -> torch.Tensor:
    base = features.double().square().sum(dim=1) / features.shape[1] + 1
    return base**3


def _sums_of_subsets(
    a: torch.Tensor, rows_a: torch.Tensor, b: torch.Tensor, rows_b: torch.Tensor
) -> torch.Tensor:
    """Return (subsets,) sums of the kernel over all pairs of a subset, one subset at a time."""
    pairs = zip(rows_a, rows_b, strict=True)
    return torch.stack([_kernel(a[ours], b[theirs]).sum() for ours, theirs in pairs])


def _sums_of_whole(
    a: torch.Tensor, rows_a: torch.Tensor, b: torch.Tensor, rows_b: torch.Tensor
) -> torch.Tensor:
    """Return the same from the kernel matrix of the whole sets, some of its rows at a time.

    A sum over the pairs of a subset is a quadratic form of the matrix and the indicator of the
    subset, so each entry of the matrix is computed once, however many subsets hold it.
    """
    symmetric = a is b
    ours, theirs = _indicators(rows_a, len(a)), _indicators(rows_b, len(b))
    sums = torch.zeros(len(rows_a), dtype=torch.float64, device=a.device)
    step = max(1, _ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        kernel = _kernel(a[rows], b[start:] if symmetric else b)
        if symmetric:
            # Entries right of the diagonal block stand for those below it as well.
            kernel[:, rows.stop - start :] *= 2
        sums += ((ours[:, rows] @ kernel) * theirs[:, start if symmetric else 0 :]).sum(dim=1)
    return sums


def _indicators(rows: torch.Tensor, count: int) -> torch.Tensor:
    found = torch.zeros(len(rows), count, dtype=torch.float64, device=rows.device)
    return found.scatter_(1, rows, 1.0)
