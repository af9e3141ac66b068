"""Checks that nobody and nothing is shared between the parts of a split, whoever made it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse
import scipy.sparse.csgraph

from fewcase.study.splits import TESTED, SplitOptions

PARTS = ("training", "stopping", "validation", "test")


_TEST_PART = "test"

DISJOINT, LEAKY, UNKNOWN, NOT_APPLICABLE = "disjoint", "leaky", "unknown", "not applicable"

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SPLIT_AGAIN = "Delete the split file and run the split stage again."


@dataclasses.dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    name
        What was checked.
    status
        disjoint, leaky, unknown or not applicable.
    compared, shared
        How many units were compared, and how many are shared between parts.
    detail
        One sentence.
    leak
        The first leak in words: the examples, their patients and parts, the fold and the remedy;
        empty where there is none.
    found
        Examples in use beyond the first of each unit, or that have a near duplicate, whether or not
        they are kept together.
    """

    name: str
    status: str
    compared: int
    shared: int
    detail: str
    leak: str = ""
    found: int = 0


@dataclasses.dataclass(frozen=True)
class Layout:
    """Who is where in a split, as arrays with one place per example.

    Attributes
    ----------
    split
        The table itself.
    fold, inner
        As in the table; a negative fold other than -1 is in every training part.
    tested
        Whether an example is in the test set.
    runs
        (fold, inner part left out) of every network that is trained: part 0 stops it early, and
        networks without another part take part in choosing winners.
    """

    split: pd.DataFrame
    fold: Integers
    inner: Integers
    tested: Mask
    runs: Sequence[tuple[int, int]]

    @property
    def trained(self) -> Mask:
        """Whether an example is in cross-validation, be it in training parts alone."""
        return self.fold != -1

    @property
    def used(self) -> Mask:
        """Whether an example is in any part of any fold."""
        return self.trained | self.tested

    @property
    def judged(self) -> Mask:
        """Whether an example is validated or tested on: what no base generator may have seen."""
        return (self.fold >= 0) | self.tested

    def parts(self, fold: int, inner: int) -> npt.NDArray[np.int8]:
        """Return each example's place in `PARTS` for one network, -1 where it has none."""
        other = self.trained & (self.fold != fold)
        left_out = other & (self.inner == inner)
        parts = np.where(other & ~left_out, 0, np.where(left_out, 1, -1)).astype(np.int8)
        if inner == 0:
            # A network that chooses winners predicts its inner part and nothing else.
            parts[self.fold == fold] = 2
            parts[self.tested] = 3
        return parts

    def name(self, position: int, part: int) -> str:
        """Return an example with its patient and its part, as messages have it."""
        row = self.split.iloc[position]
        return f"example {row['example']!r} (patient {row['patient']!r}, {PARTS[part]})"


def lay_out(split: pd.DataFrame, samples: Mapping[str, pd.DataFrame]) -> Layout:
    """Lay out a split whose networks are those that the samples are drawn for."""
    n_folds = int(split["fold"].max()) + 1
    inner = {0}.union(*(set(t["inner"].tolist()) for t in samples.values() if "inner" in t))
    return Layout(
        split,
        split["fold"].to_numpy(np.int64),
        split["inner"].to_numpy(np.int64),
        split["test_set"].isin(TESTED).to_numpy(bool),
        [(fold, part) for part in sorted(inner) for fold in range(n_folds)],
    )


@dataclasses.dataclass(frozen=True)
class Sets:
    """Examples by their content: those of one set are exact copies of each other.

    Attributes
    ----------
    of_example
        (n,) set of each example of the split.
    first, second
        (near pairs,) the sets that are near copies of each other.
    near
        The near pairs, in the same order.
    total
        Number of sets, those outside the split included.
    of_name
        Set by name of an example, also outside the split.
    """

    of_example: Integers
    first: Integers
    second: Integers
    near: pd.DataFrame
    total: int
    of_name: pd.Series


def gather_sets(split: pd.DataFrame, pairs: pd.DataFrame) -> Sets:
    """Gather sets of exact copies; two copies of an example outside the split are copies too."""
    ends = pd.concat([split["example"], pairs["example_a"], pairs["example_b"]])
    codes, names = pd.factorize(ends.to_numpy(object))
    a, b = np.split(codes[len(split) :], 2)
    exact = (pairs["kind"] == "exact").to_numpy(bool)
    edges = scipy.sparse.coo_array(
        (np.ones(int(exact.sum()), bool), (a[exact], b[exact])), shape=(len(names), len(names))
    )
    total, sets = scipy.sparse.csgraph.connected_components(edges, directed=False)
    sets = sets.astype(np.int64)
    return Sets(
        sets[codes[: len(split)]],
        sets[a[~exact]],
        sets[b[~exact]],
        pairs[~exact].reset_index(drop=True),
        int(total),
        pd.Series(sets, index=names),
    )


def _presence(units: Integers, total: int, parts: npt.NDArray[np.int8]) -> Mask:
    """Return (units, parts): whether a unit has an example in a part."""
    present = np.zeros((total, len(PARTS)), bool)
    placed = parts >= 0
    present[units[placed], parts[placed]] = True
    return present


def check_units(layout: Layout, name: str, units: Integers, unit: str, remedy: str) -> Finding:
    """Check that no unit (patient, parent, set of exact copies) is in two parts of a network.

    Parameters
    ----------
    layout
        The split.
    name
        Name of the check.
    units
        (n,) the unit of each example, a number from 0.
    unit
        What a message calls a unit: a column of the split, or words.
    remedy
        What to do about a leak, one sentence.
    """
    total = int(units.max(initial=-1)) + 1
    torn = np.zeros(total, bool)
    leak = ""
    for fold, inner in layout.runs:
        parts = layout.parts(fold, inner)
        present = _presence(units, total, parts)
        here = present.sum(axis=1) > 1
        if here.any() and not leak:
            first = int(np.argmax(here))
            low, high = np.flatnonzero(present[first])[:2].tolist()
            places = [_position(units == first, parts, part) for part in (low, high)]
            row = layout.split.iloc[places[0]]
            called = f"{unit} {row[unit]!r}" if unit in row else unit
            leak = (
                f"fold {fold}: {layout.name(places[0], low)} and {layout.name(places[1], high)} "
                f"share the {called}. {remedy}"
            )
        torn |= here
    compared = len(np.unique(units[layout.used]))
    shared = int(torn.sum())
    detail = f"{shared} of {compared} are in two parts of a fold."
    found = int(layout.used.sum()) - compared
    return Finding(name, LEAKY if shared else DISJOINT, compared, shared, detail, leak, found)


def _position(chosen: Mask, parts: npt.NDArray[np.int8], part: int) -> int:
    return int(np.flatnonzero(chosen & (parts == part))[0])


def check_near(layout: Layout, sets: Sets, remedy: str) -> Finding:
    """Check that no near pair has its examples, or exact copies of them, in two parts."""
    torn = np.zeros(len(sets.near), bool)
    leak = ""
    for fold, inner in layout.runs:
        parts = layout.parts(fold, inner)
        present = _presence(sets.of_example, sets.total, parts)
        a, b = present[sets.first], present[sets.second]
        here = a.sum(axis=1) * b.sum(axis=1) > (a & b).sum(axis=1)
        if here.any() and not leak:
            leak = _near_leak(layout, sets, int(np.argmax(here)), fold, parts, remedy)
        torn |= here
    # Of a dropped copy nothing is left: both ends of a pair must be in use.
    used = np.unique(sets.of_example[layout.used])
    kept = np.isin(sets.first, used) & np.isin(sets.second, used)
    paired = np.concatenate([sets.first[kept], sets.second[kept]])
    inside = np.isin(sets.of_example, paired) & layout.used
    shared = int(torn.sum())
    found = int(inside.sum())
    detail = f"{shared} pairs are in two parts of a fold; {found} examples have a near duplicate."
    compared, status = int(layout.used.sum()), LEAKY if shared else DISJOINT
    return Finding("near duplicates", status, compared, shared, detail, leak, found)


def _near_leak(
    layout: Layout, sets: Sets, i: int, fold: int, parts: npt.NDArray[np.int8], remedy: str
) -> str:
    of_first, of_second = (sets.of_example == ends[i] for ends in (sets.first, sets.second))
    part_a, part_b = next(
        (a, b)
        for a in np.unique(parts[of_first & (parts >= 0)]).tolist()
        for b in np.unique(parts[of_second & (parts >= 0)]).tolist()
        if a != b
    )
    a, b = _position(of_first, parts, part_a), _position(of_second, parts, part_b)
    pair = sets.near.iloc[i]
    turned = "" if pair["transform"] in ("", "identity") else f"{pair['transform']}, "
    return (
        f"fold {fold}: {layout.name(a, part_a)} and {layout.name(b, part_b)} are near duplicates "
        f"({turned}correlation {pair['correlation']:.3f}). {remedy}"
    )


_NAMES_OF_TESTS = (
    "is temporal only if its site is trained on, internal only if it is given for testing, and "
    "else external"
)


def check_held_out(layout: Layout, options: SplitOptions) -> Finding:
    """Check that held-out sites and periods are test only, and that test sites are named rightly.

    A site is external where nothing of it is trained on, temporal where another period is, and
    internal where the data give one part of it for training and another for testing.
    """
    name = "held-out sites"
    split, trained = layout.split, layout.trained
    covered, doubtful = _held_out(split, options)
    given = np.zeros(len(split), bool)
    if options.given:
        given = (split["part"] == _TEST_PART).to_numpy(bool)
    known = split["site"].isin(split["site"][trained].unique()).to_numpy(bool)
    kinds = np.where(known, np.where(covered, "temporal", "internal"), "external")
    wrong = layout.tested & (kinds != split["test_set"].to_numpy(object))
    for broken, complaint in [
        (covered & trained, "is of a held-out site or period but in a fold"),
        (doubtful & trained, "has no date and may be of a held-out period, but is in a fold"),
        (layout.tested & ~covered & ~given, "is in the test set but of no held-out site or period"),
        (given & trained, "is given for testing but in a fold"),
        (wrong, _NAMES_OF_TESTS),
    ]:
        if broken.any():
            row = split.iloc[int(np.argmax(broken))]
            leak = (
                f"example {row['example']!r} (patient {row['patient']!r}, site {row['site']!r}, "
                f"fold {row['fold']}, test set {row['test_set']!r}) {complaint}. {_SPLIT_AGAIN}"
            )
            detail = f"{int(broken.sum())} examples are where they must not be."
            return Finding(name, LEAKY, int(covered.sum()), int(broken.sum()), detail, leak)
    named = [
        *map(str, options.hold_out),
        *(["what the data give for testing"] if given.any() else []),
    ]
    if not named:
        return Finding(name, NOT_APPLICABLE, 0, 0, "No site is held out.")
    compared = int((covered | given).sum())
    return Finding(name, DISJOINT, compared, 0, f"Test only: {', '.join(named)}.")


def _held_out(split: pd.DataFrame, options: SplitOptions) -> tuple[Mask, Mask]:
    """Return which examples are held out, and which may be, as they have no date."""
    site = split["site"].to_numpy(object)
    day = pd.to_datetime(split["date"]).to_numpy().astype("datetime64[D]")
    covered = np.zeros(len(split), bool)
    doubtful = np.zeros(len(split), bool)
    for held_out in options.hold_out:
        inside = site == held_out.site
        if held_out.is_dated:
            doubtful |= inside & np.isnat(day)
            # A comparison with no date is false.
            if held_out.since:
                inside = inside & (day >= np.datetime64(held_out.since))
            if held_out.until:
                inside = inside & (day <= np.datetime64(held_out.until))
        covered |= inside
    return covered, doubtful


def check_samples(layout: Layout, samples: Mapping[str, pd.DataFrame]) -> Finding:
    """Check that under-sampled sets hold training rows of their fold and inner part alone."""
    name = "under-samples"
    if not samples:
        return Finding(name, NOT_APPLICABLE, 0, 0, "Nothing is under-sampled.")
    compared, outside, leak = 0, 0, ""
    places = pd.Series(np.arange(len(layout.split)), index=layout.split["row"].to_numpy())
    for file, table in samples.items():
        position = places.reindex(table["row"]).fillna(-1).to_numpy(np.int64)
        fold = table["fold"].to_numpy(np.int64)
        inner = table["inner"].to_numpy(np.int64) if "inner" in table else np.zeros_like(fold)
        own = layout.fold[position]
        training = (own != -1) & (own != fold) & (layout.inner[position] != inner)
        training &= np.isin(fold, layout.fold) & (fold >= 0)
        wrong = np.flatnonzero((position < 0) | ~training)
        compared, outside = compared + len(table), outside + len(wrong)
        if len(wrong) and not leak:
            i = wrong[0]
            where = f"{file}: fold {fold[i]}"
            if inner[i] > 0:
                where += f" without inner part {inner[i]}"
            if position[i] < 0:
                what = f"row {table['row'].iloc[i]}, which the split has not,"
            else:
                part = layout.parts(int(fold[i]), int(inner[i]))[position[i]]
                row = layout.split.iloc[position[i]]
                part_name = PARTS[part] if part >= 0 else "in no part"
                what = f"example {row['example']!r} (patient {row['patient']!r}, {part_name})"
            leak = (
                f"{where}: {what} is among the training rows. Delete the file and run the sample "
                "stage again."
            )
    detail = f"{outside} of {compared} sampled rows are outside the training part of their fold."
    return Finding(name, LEAKY if outside else DISJOINT, compared, outside, detail, leak)
