"""Mini-batches of an epoch: every training row once, at a constant class ratio or shuffled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.runtime.determinism import seed_of
from fewcase.study.errors import InputError


def count_batches(rows: int, batch_size: int, drop_last: bool = False) -> int:
    """Return the number of mini-batches of an epoch; `drop_last` counts full ones alone.

    Raises
    ------
    InputError
        Where a batch is larger than the training part.
    """
    if batch_size > rows:
        raise InputError(
            f"recipe.batch_size: {batch_size} is more than the {rows} examples of the training "
            f"part. Give at most {rows}, or take more recordings or a larger neg_per_pos."
        )
    return rows // batch_size if drop_last else -(-rows // batch_size)


def draw_batches(
    labels: npt.NDArray[np.int64],
    batch_size: int,
    ratio_batches: bool,
    key: tuple[int, ...],
    oversample: bool = False,
    drop_last: bool = False,
) -> list[npt.NDArray[np.int64]]:
    """Divide the training rows into the mini-batches of one epoch.

    Every row is in exactly one batch. Where the rows are no multiple of the batch size, all
    batches get smaller by the same, to one row: none is dropped and none is a short remainder
    with a gradient and batch statistics of its own. With constant ratio the rows of each class
    are spread as evenly as they go, too, so the number of a class in any two batches differs by
    one at most: 648 and 3,942 rows in batches of 85 make 54 batches of 12 and 73.

    Parameters
    ----------
    labels
        (n,), class of each training row.
    batch_size
        Largest size of a batch.
    ratio_batches
        Whether each batch has the class ratio of all rows; else the rows are merely shuffled.
    key
        What the draw is fixed by, such as (seed, bag, epoch).
    oversample
        Whether every class is drawn equally often: as many rows as there are in all, those of
        rarer classes repeated, each as often as any other of its class to within one.
    drop_last
        Whether all batches are full: the rows that are over, other ones in each epoch, are left
        out.

    Returns
    -------
    list of int64 arrays
        Positions in `labels`, in an order drawn at random within the batch and among batches.

    Raises
    ------
    InputError
        Where a batch is larger than the training part, or batches of constant ratio would be left
        without an example of some class.
    """
    rows = len(labels)
    batches = count_batches(rows, batch_size, drop_last)
    if ratio_batches and not oversample:
        _check_ratio(labels, batches, batch_size)
    generator = np.random.default_rng(seed_of(*key))
    order = _balanced(labels, generator) if oversample else generator.permutation(rows)
    if drop_last:
        order = order[: batches * batch_size]
    if ratio_batches:
        order = order[np.argsort(labels[order], kind="stable")]
    # Dealt like cards: a run of any length is spread to within one over all batches.
    dealt = [order[first::batches] for first in range(batches)]
    return [generator.permutation(dealt[index]) for index in generator.permutation(batches)]


def _balanced(
    labels: npt.NDArray[np.int64], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return as many rows as there are, each class equally often to within one, shuffled."""
    classes = np.unique(labels)
    share, rest = divmod(len(labels), len(classes))
    # Whose turn it is to be drawn once more is drawn as well.
    more = np.isin(np.arange(len(classes)), generator.permutation(len(classes))[:rest])
    parts = []
    for number, label in enumerate(classes):
        places = np.flatnonzero(labels == label)
        rounds = -(-(share + int(more[number])) // len(places))
        shuffled = [generator.permutation(places) for _ in range(rounds)]
        parts.append(np.concatenate(shuffled)[: share + int(more[number])])
    return generator.permutation(np.concatenate(parts))


def _check_ratio(labels: npt.NDArray[np.int64], batches: int, batch_size: int) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < batches:
        rare, count = int(classes[counts.argmin()]), int(counts.min())
        smallest = -(-len(labels) // count)
        raise InputError(
            f"recipe.batch_size: {batch_size}: {count} examples of class {rare} cannot be spread "
            f"over {batches} batches, so some would have none. Give at least {smallest}, a smaller "
            "neg_per_pos, or ratio_batches: false."
        )
