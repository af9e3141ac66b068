"""What a split does with copies: examples that are exact or near duplicates of each other."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse
import scipy.sparse.csgraph

from fewcase.splits.duplicates import group_patients
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions

PAIR_COLUMNS = ["example_a", "example_b", "kind", "transform", "correlation"]

logger = logging.getLogger(__name__)

Positions = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Copies:
    """The duplicate pairs of a cohort's examples.

    Attributes
    ----------
    pairs
        example_a, example_b, kind, transform and correlation. Examples with the very same content
        form a set, each paired with the next; a near pair stands between the first examples of two
        such sets, as what is near one is near all.
    first, second
        (pairs,) int64: where their examples stand in the cohort.
    sets
        (n,) int64, per example of the cohort: the set of exact copies that it is in, a number of
        its own where it has none.
    """

    pairs: pd.DataFrame
    first: Positions
    second: Positions
    sets: Positions


def copies_among(examples: pd.DataFrame, pairs: pd.DataFrame | None) -> Copies:
    """Find the copies among a cohort's examples.

    Parameters
    ----------
    examples
        The cohort.
    pairs
        As `fewcase.splits.duplicates.read_duplicates` returns them, also of examples that are not
        in the cohort: two copies of such a one are copies of each other. None stands for none.
    """
    if pairs is None:
        pairs = pd.DataFrame({column: [] for column in PAIR_COLUMNS})
    ends = pd.concat([examples["example"], pairs["example_a"], pairs["example_b"]])
    codes, _ = pd.factorize(ends.to_numpy(object))
    n, n_pairs = len(examples), len(pairs)
    end_a, end_b = codes[n : n + n_pairs], codes[n + n_pairs :]
    exact = (pairs["kind"] == "exact").to_numpy(bool)
    size = int(codes.max(initial=-1)) + 1
    edges = scipy.sparse.coo_array(
        (np.ones(int(exact.sum()), bool), (end_a[exact], end_b[exact])), shape=(size, size)
    )
    sets = scipy.sparse.csgraph.connected_components(edges, directed=False)[1].astype(np.int64)

    of_example = sets[codes[:n]]
    order = np.argsort(of_example, kind="stable")
    follows = np.flatnonzero(of_example[order][1:] == of_example[order][:-1])
    same = _table(examples, order[follows], order[follows + 1], "exact", "identity", 1.0)

    first_of = np.full(size, -1, np.int64)
    first_of[of_example[order[::-1]]] = order[::-1]
    first, second = first_of[sets[end_a]], first_of[sets[end_b]]
    near = ~exact & (first >= 0) & (second >= 0) & (first != second)
    alike = _table(
        examples,
        first[near],
        second[near],
        *(pairs[column][near].to_numpy() for column in ("kind", "transform", "correlation")),
    )
    found = pd.concat([same, alike], ignore_index=True)
    place = pd.Index(examples["example"])
    ends_a, ends_b = (place.get_indexer(found[column]) for column in ("example_a", "example_b"))
    return Copies(found, ends_a.astype(np.int64), ends_b.astype(np.int64), of_example)


def _table(
    examples: pd.DataFrame,
    first: Positions,
    second: Positions,
    kind: Any,
    transform: Any,
    correlation: Any,
) -> pd.DataFrame:
    names = examples["example"].to_numpy(object)
    table = pd.DataFrame({"example_a": names[first], "example_b": names[second]})
    return table.assign(kind=kind, transform=transform, correlation=correlation)


def group_names(
    examples: pd.DataFrame, copies: Copies, options: SplitOptions
) -> npt.NDArray[np.object_]:
    """Return the group of each example, which a split keeps together.

    Patients with a parent in common (a slide that holds tissue of several) are one group under
    any policy; patients joined by a pair are under ``duplicates: group``. A group bears the name
    of its alphabetically first patient. Under ``scheme: image`` each patient is its own.

    Returns
    -------
    object, (n,)
        Names.
    """
    if options.is_leaky:
        return examples["patient"].to_numpy(object)
    links = _parent_links(examples)
    if options.duplicates == "group":
        links = pd.concat([links, _links(examples, copies.first, copies.second)])
    return np.asarray(group_patients(examples, links.reset_index(drop=True)), dtype=object)


def _parent_links(examples: pd.DataFrame) -> pd.DataFrame:
    """Link the first example of each parent that has several patients with all its others."""
    first_of = pd.Series(np.arange(len(examples))).groupby(examples["parent"].to_numpy())
    first = first_of.transform("min").to_numpy(np.int64)
    patient = examples["patient"].to_numpy(object)
    torn = np.flatnonzero(patient[first] != patient)
    return _links(examples, first[torn], torn)


def _links(examples: pd.DataFrame, first: Positions, second: Positions) -> pd.DataFrame:
    rows, names = examples["row"].to_numpy(np.int64), examples["example"].to_numpy(object)
    return pd.DataFrame(
        {
            "row_a": rows[first],
            "row_b": rows[second],
            "example_a": names[first],
            "example_b": names[second],
        }
    )


def refuse_shared(examples: pd.DataFrame, copies: Copies) -> None:
    """Stop at the first pair that joins two patients, for ``duplicates: fail``.

    Raises
    ------
    InputError
        Naming both examples, both patients, the kind of the pair and its correlation.
    """
    patient = examples["patient"].to_numpy(object)
    shared = np.flatnonzero(patient[copies.first] != patient[copies.second])
    if not len(shared):
        return
    i = shared[0]
    pair = copies.pairs.iloc[i]
    raise InputError(
        f"duplicates: {describe(pair)}: example {pair['example_a']!r} of patient "
        f"{patient[copies.first[i]]!r} and example {pair['example_b']!r} of patient "
        f"{patient[copies.second[i]]!r} ({len(shared)} such). Mend the cohort, or set "
        "duplicates: to group or drop."
    )


def describe(pair: pd.Series) -> str:
    """Return a pair's kind in words, such as ``near duplicates (rotate 90, correlation 0.998)``."""
    transform = "" if pair["transform"] in ("", "identity") else f"{pair['transform']}, "
    return f"{pair['kind']} duplicates ({transform}correlation {pair['correlation']:.3f})"


def superseded_by(
    examples: pd.DataFrame, copies: Copies, used: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]
) -> npt.NDArray[np.object_]:
    """Choose which copies ``duplicates: drop`` leaves out.

    Sets of exact copies are taken one by one, those with an example of the test set first, so that
    a copy in training never costs the test set a row, and then by name. Of each set one example
    is kept, again of the test set first and then by name, unless the set is a near copy of one
    that is kept. So every example left out has a copy that is kept, and no two that are kept are
    a pair. The choice is the same for every seed.

    Parameters
    ----------
    examples
        The cohort.
    copies
        Its pairs.
    used, test
        (n,) whether the split uses an example at all, and in the test set.

    Returns
    -------
    object, (n,)
        The name of the copy that is kept in place of an example, empty where it stays.
    """
    names = examples["example"].to_numpy(object)
    kept_copy = np.full(len(examples), "", dtype=object)
    candidates = np.flatnonzero(used)
    members: dict[int, list[int]] = {}
    for i in sorted(candidates.tolist(), key=lambda i: (not test[i], str(names[i]))):
        members.setdefault(int(copies.sets[i]), []).append(i)
    near: dict[int, set[int]] = {}
    ends = (copies.sets[copies.first].tolist(), copies.sets[copies.second].tolist())
    for a, b in zip(*ends, strict=True):
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    kept: dict[int, int] = {}
    # The sets stand in the order of their first examples, as those were sorted.
    for number, own in members.items():
        rivals = [kept[other] for other in sorted(near.get(number, ())) if other in kept]
        if not rivals:
            kept[number] = own[0]
        for i in own:
            keeper = rivals[0] if rivals else own[0]
            kept_copy[i] = "" if i == keeper else names[keeper]
    return kept_copy


def contradictory(examples: pd.DataFrame, copies: Copies) -> npt.NDArray[np.bool_]:
    """Return, per pair, whether its two examples have different labels."""
    label = examples["label"].to_numpy()
    return np.asarray(label[copies.first] != label[copies.second])


def warn_of_contradictions(examples: pd.DataFrame, copies: Copies) -> None:
    """Log the first pair of copies with different labels, and how many there are."""
    found = np.flatnonzero(contradictory(examples, copies))
    if not len(found):
        return
    pair = copies.pairs.iloc[found[0]]
    logger.warning(
        "%d pairs of duplicates have different labels, the first %r and %r: check who labelled "
        "them",
        len(found), pair["example_a"], pair["example_b"],
    )  # fmt: skip
