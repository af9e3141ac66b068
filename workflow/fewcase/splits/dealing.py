"""Dealing groups of examples into parts of equal class mix, with every group kept whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def deal_groups(
    counts: npt.NDArray[np.int64],
    strata: npt.NDArray[np.int64],
    parts: int,
    generator: np.random.Generator,
    within: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int16]:
    """Deal groups into parts so that each class is spread evenly, then each class of each stratum.

    Groups with the rarest class come first, those with most examples of it ahead, and each goes to
    the part that holds fewest of that class so far: the rule of longest processing time first
    (Graham 1969) taken class by class. Groups of one example, the bulk of clinical data, come last
    and level what the larger ones left uneven, so that a class differs by at most one between two
    parts wherever it has enough of them. Equal groups are shuffled by `generator`; the order of
    the input matters to nothing else.

    Parameters
    ----------
    counts
        Examples by class, (groups, classes).
    strata
        A number from 0 for each group, such as its site.
    parts
        Number of parts.
    generator
        Source of the shuffle.
    within
        An earlier division of the groups, numbered from 0; each of its parts is then dealt evenly
        by itself as well as all together.

    Returns
    -------
    int16, (groups,)
        The part of each group, from 0.
    """
    n_groups, n_classes = counts.shape
    if within is None:
        within = np.zeros(n_groups, np.int64)
    rarity = np.argsort(counts.sum(axis=0), kind="stable")
    rank = np.argmax(counts[:, rarity] > 0, axis=1)
    leading = rarity[rank]
    leading_count = counts[np.arange(n_groups), leading]
    shuffled = generator.permutation(n_groups)
    order = np.lexsort((shuffled, strata, -counts.sum(axis=1), -leading_count, rank))

    n_cells, n_strata = int(within.max(initial=0)) + 1, int(strata.max(initial=0)) + 1
    in_cell = _zeros(n_cells, n_classes, parts)
    in_part = _zeros(1, n_classes, parts)[0]
    in_stratum = _zeros(n_strata, n_classes, parts)
    size = [0] * parts
    dealt = np.empty(n_groups, np.int16)
    # Plain lists: a choice among a few parts is several times slower with arrays.
    of_group, cells, stratum_of, class_of = (
        values.tolist() for values in (counts, within, strata, leading)
    )
    for group in order.tolist():
        cell, stratum, klass = in_cell[cells[group]], in_stratum[stratum_of[group]], class_of[group]
        part = min(
            zip(cell[klass], in_part[klass], stratum[klass], size, range(parts), strict=True)
        )[-1]
        dealt[group] = part
        for k, count in enumerate(of_group[group]):
            cell[k][part] += count
            in_part[k][part] += count
            stratum[k][part] += count
            size[part] += count
    return dealt


def _zeros(outer: int, middle: int, inner: int) -> list[list[list[int]]]:
    return [[[0] * inner for _ in range(middle)] for _ in range(outer)]


def gather_groups(
    kept: pd.DataFrame, column: str
) -> tuple[
    npt.NDArray[np.object_], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]:
    """Return what `deal_groups` takes of examples.

    Parameters
    ----------
    kept
        label, site, and `column`: what tells who is dealt together.

    Returns
    -------
    names, group_of, counts, strata
        Names of the groups, the group of each example, examples of each label (groups, labels), and
        the site of each group as a number.
    """
    groups, group_of = np.unique(kept[column].to_numpy(object), return_inverse=True)
    labels = kept["label"].to_numpy(np.int64)
    counts = np.zeros((len(groups), labels.max() + 1), np.int64)
    np.add.at(counts, (group_of, labels), 1)
    _, site = np.unique(kept["site"].to_numpy(object), return_inverse=True)
    # A group seen at two sites counts for the first of them by name.
    strata = np.full(len(groups), len(kept), np.int64)
    np.minimum.at(strata, group_of, site)
    return groups, group_of, counts, strata
