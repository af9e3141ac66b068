"""The certificate of a split: what its parts share, counted anew and independently of its maker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse
import scipy.sparse.csgraph

from fewcase.splits.disjointness import (
    LEAKY,
    NOT_APPLICABLE,
    UNKNOWN,
    Finding,
    Integers,
    Layout,
    Mask,
    Sets,
    check_held_out,
    check_near,
    check_samples,
    check_units,
    gather_sets,
    lay_out,
)
from fewcase.splits.folds import digest_split
from fewcase.splits.generators import check_bases, check_synthetic
from fewcase.splits.holdout import reason_codes
from fewcase.splits.provenance import Provenance
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions
from fewcase.study.words import NOUNS, Nouns

TOLERATED = {
    "image": ("patients", "parents", "exact duplicates", "near duplicates", "base generators"),
    "ignore": ("exact duplicates", "near duplicates"),
}
"""What ``scheme: image`` and ``duplicates: ignore`` let leak; any other leak stops the study."""

_NO_PAIRS = pd.DataFrame(
    {
        "example_a": pd.Series(dtype=str),
        "example_b": pd.Series(dtype=str),
        "kind": pd.Series(dtype=str),
        "transform": pd.Series(dtype=str),
        "correlation": pd.Series(dtype=float),
    }
)


def certify(
    split: pd.DataFrame,
    options: SplitOptions,
    seed: int,
    pairs: pd.DataFrame | None,
    facts: Mapping[str, Any],
    samples: Mapping[str, pd.DataFrame],
    records: pd.DataFrame,
    synthetic: Sequence[Provenance] = (),
    base_cohorts: Mapping[str, pd.DataFrame] | None = None,
    name: str = "",
    unit: str = "window",
) -> dict[str, Any]:
    """Certify what the parts of a split share, in every fold.

    The column `group`, by which the split was dealt, is not trusted: patients, parents and copies
    are compared anew. A network's parts are training, stopping (inner part 0 of the other folds),
    validation and test, and for a network that takes part in choosing winners training and the
    inner part that it leaves out.

    Parameters
    ----------
    split, options, seed
        The split, what it was made with, and its seed.
    pairs, facts
        Duplicate pairs of the cohort and what their list says of itself, as
        `fewcase.splits.duplicates.read_duplicates` returns them; further pairs may name examples
        of base cohorts. None where copies were not looked for, which leaves that unknown.
    samples
        Under-sampled training rows by file: fold, bag, row and, where networks choose winners,
        inner.
    records
        record and patient_known of every record.
    synthetic
        Where synthetic images come from.
    base_cohorts
        By name, the examples (example, parent, patient) that base generators had learned from.
    name
        Name of the split.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.

    Returns
    -------
    dict
        For JSON: split, seed, scheme, duplicates, status ("clean", "leaky" or "unknown"), digest
        (SHA-256 of everything else, the split and the pairs), checks, folds, test, sites,
        excluded, notes and, unless it is ``window``, unit. Counts of a part are examples, parents,
        patients, groups and by_label.

    Raises
    ------
    InputError
        At a leak that the scheme and the policy do not admit, naming both examples, their
        patients and parts, the fold and the remedy; or where the list of duplicates does not say
        that it compared as many examples as the split has.
    """
    bases = base_cohorts or {}
    where = f"certificate of split {name or options.target!r}, seed {seed}"
    known = _known_patients(split, records, where)
    _check_names(split, where)
    if pairs is not None:
        _check_facts(split, facts, where)
    layout = lay_out(split, samples)
    sets = gather_sets(split, _NO_PAIRS if pairs is None else pairs)
    findings = _check_all(layout, sets, options, samples, synthetic, bases)
    copies = _check_owners_of_copies(layout, sets, options)
    if pairs is None:
        findings = [_unsearched(finding) for finding in findings]
    tolerated = _tolerated(options)
    for finding in findings:
        if finding.leak and finding.name not in tolerated:
            raise InputError(f"{where}: {finding.leak}")
    if copies.shared:
        findings = [_doubtful(finding, copies.detail) for finding in findings]
    if not known.all():
        detail = (
            f"Patients are not known: each {NOUNS[unit].record} counts as a patient of its own."
        )
        findings = [_doubtful(finding, detail) for finding in findings]
    certificate = {
        "split": name,
        "seed": seed,
        "scheme": options.scheme,
        "duplicates": options.duplicates,
        "status": _status(findings, options),
        "checks": [
            {
                "name": finding.name,
                "status": finding.status,
                "compared": finding.compared,
                "shared": finding.shared,
                "found": finding.found,
                "detail": finding.detail,
            }
            for finding in findings
        ],
        **_counts(layout, sets, options),
        "notes": _notes(layout, sets, options, facts, known, bases, copies, NOUNS[unit]),
        **({} if unit == "window" else {"unit": unit}),
    }
    return {**certificate, "digest": _digest(certificate, split, options, seed, pairs)}


def _tolerated(options: SplitOptions) -> tuple[str, ...]:
    if options.is_leaky:
        return TOLERATED["image"]
    return TOLERATED.get(options.duplicates, ())


def _check_all(
    layout: Layout,
    sets: Sets,
    options: SplitOptions,
    samples: Mapping[str, pd.DataFrame],
    synthetic: Sequence[Provenance],
    bases: Mapping[str, pd.DataFrame],
) -> list[Finding]:
    again = "Delete the split file and run the split stage again."
    mend = f"{again} Its policy must be duplicates: group, drop or fail."
    patients, parents = (_codes(layout.split[column]) for column in ("patient", "parent"))
    return [
        check_units(layout, "patients", patients, "patient", again),
        check_units(layout, "parents", parents, "parent", again),
        check_units(layout, "exact duplicates", sets.of_example, "very same content", mend),
        check_near(layout, sets, mend),
        check_held_out(layout, options),
        check_synthetic(layout, synthetic),
        check_bases(layout, sets, bases),
        check_samples(layout, samples),
    ]


def _codes(values: pd.Series) -> Integers:
    return pd.factorize(values.to_numpy(object))[0].astype(np.int64)


def _unsearched(finding: Finding) -> Finding:
    if finding.name not in ("exact duplicates", "near duplicates"):
        return finding
    return Finding(finding.name, UNKNOWN, 0, 0, "Copies were not looked for.")


def _doubtful(finding: Finding, detail: str) -> Finding:
    """Return the check of patients as unknown, as names do not tell who is one person."""
    if finding.name != "patients" or finding.status == LEAKY:
        return finding
    return dataclasses.replace(finding, status=UNKNOWN, detail=detail)


def _check_owners_of_copies(layout: Layout, sets: Sets, options: SplitOptions) -> Finding:
    """Check that patients with a copy in common, who may be one person, are in one part.

    Under ``duplicates: group`` they are kept together. Where copies were dropped or ignored, the
    other records of such patients may be anywhere; `found` counts the groups that they form.
    """
    name = "patients who share a copy"
    if options.is_leaky or options.duplicates not in ("drop", "ignore"):
        return Finding(name, NOT_APPLICABLE, 0, 0, "")
    joined = _groups(layout, sets, dataclasses.replace(options, duplicates="group"))
    apart = _groups(layout, sets, options)
    used = layout.used
    members = np.bincount(np.unique(np.stack([joined[used], apart[used]]), axis=1)[0])
    torn = check_units(layout, name, joined, "copy", "")
    detail = (
        f"{torn.shared} groups of patients who share a copy, and may be one person each, are in "
        "two parts of a fold."
    )
    return dataclasses.replace(torn, detail=detail, found=int((members > 1).sum()))


def _status(findings: Sequence[Finding], options: SplitOptions) -> str:
    found = {finding.status for finding in findings}
    if LEAKY in found or options.is_leaky:
        return LEAKY
    return UNKNOWN if UNKNOWN in found else "clean"


def _known_patients(split: pd.DataFrame, records: pd.DataFrame, where: str) -> Mask:
    for column in ("record", "patient_known"):
        if column not in records:
            raise InputError(
                f"{where}: the records have no column {column!r}. Run the ingest stage again."
            )
    known = records.set_index("record")["patient_known"].reindex(split["parent"])
    if known.isna().any():
        raise InputError(
            f"{where}: the records have no {split['parent'][known.isna().to_numpy()].iloc[0]!r}, "
            "which the split has. Run the stages from ingest on again."
        )
    return known.to_numpy(bool)


def _check_names(split: pd.DataFrame, where: str) -> None:
    for column in ("example", "row"):
        twice = split[column][split[column].duplicated()].tolist()
        if twice:
            raise InputError(
                f"{where}: two examples have the {column} {twice[0]!r}. Every image needs a "
                "name of its own; mend the source and run the stages again."
            )


def _check_facts(split: pd.DataFrame, facts: Mapping[str, Any], where: str) -> None:
    compared = facts.get("compared")
    if not isinstance(compared, int):
        raise InputError(
            f"{where}: its list of duplicates says {compared!r} of how many examples were "
            "compared, expected a number. Delete the list and run the stage duplicates again."
        )
    if compared < len(split):
        raise InputError(
            f"{where}: its list of duplicates compared {compared} examples, but the split has "
            f"{len(split)}. It is of other examples: delete it and run the stage again."
        )


def _counts(layout: Layout, sets: Sets, options: SplitOptions) -> dict[str, Any]:
    split = layout.split
    units = {
        "parents": _codes(split["parent"]),
        "patients": _codes(split["patient"]),
        "groups": _groups(layout, sets, options),
    }
    label = split["label"].to_numpy(np.int64)
    classes = int(label.max()) + 1

    def count(chosen: Mask) -> dict[str, Any]:
        by_label = np.bincount(label[chosen], minlength=classes)
        return {
            "examples": int(chosen.sum()),
            **{unit: int((np.bincount(codes[chosen]) > 0).sum()) for unit, codes in units.items()},
            "by_label": {str(k): int(n) for k, n in enumerate(by_label)},
        }

    folds: list[dict[str, Any]] = []
    for fold in range(int(layout.fold.max()) + 1):
        parts = layout.parts(fold, 0)
        named = enumerate(("training", "stopping", "validation"))
        folds.append({"fold": fold, **{part: count(parts == i) for i, part in named}})
    reasons = reason_codes(split["reason"]).to_numpy(object)
    left_out = sorted(set(reasons) - {""})
    return {
        "folds": folds,
        "test": count(layout.tested),
        "sites": _sites(layout),
        "excluded": {reason: count(reasons == reason) for reason in left_out},
    }


def _sites(layout: Layout) -> dict[str, str]:
    site = layout.split["site"].to_numpy(object)
    trained, tested = set(site[layout.trained]), set(site[layout.tested])
    internal = set(site[(layout.split["test_set"] == "internal").to_numpy(bool)])
    kinds = {}
    for name in sorted(set(site)):
        if name in internal:
            kinds[name] = "internal"
        elif name in tested:
            kinds[name] = "temporal" if name in trained else "external"
        else:
            kinds[name] = "training" if name in trained else "excluded"
    return kinds


def _groups(layout: Layout, sets: Sets, options: SplitOptions) -> Integers:
    """Return the group of each example: patients joined by parents and, if grouped, by copies."""
    patients = _codes(layout.split["patient"])
    if options.is_leaky:
        return patients
    parents = _codes(layout.split["parent"])
    n_patients, n_parents = int(patients.max()) + 1, int(parents.max()) + 1
    joined: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = [
        (patients, n_patients + parents)
    ]
    if options.duplicates == "group":
        start = n_patients + n_parents
        present = np.zeros(sets.total, bool)
        present[sets.of_example] = True
        both = present[sets.first] & present[sets.second]
        joined += [
            (patients, start + sets.of_example),
            (start + sets.first[both], start + sets.second[both]),
        ]
    ends = [np.concatenate(end) for end in zip(*joined, strict=True)]
    size = n_patients + n_parents + sets.total
    edges = scipy.sparse.coo_array((np.ones(len(ends[0]), bool), tuple(ends)), shape=(size, size))
    groups = scipy.sparse.csgraph.connected_components(edges, directed=False)[1]
    return groups[patients].astype(np.int64)


def _notes(
    layout: Layout,
    sets: Sets,
    options: SplitOptions,
    facts: Mapping[str, Any],
    known: Mask,
    bases: Mapping[str, pd.DataFrame],
    copies: Finding,
    nouns: Nouns,
) -> list[str]:
    split, notes = layout.split, []
    if options.is_leaky:
        notes.append("scheme: image deals images without regard to patients: results are leaky.")
    elif options.duplicates == "ignore":
        notes.append("duplicates: ignore leaves copies where they fall.")
    if not known.all():
        notes.append(
            f"{int((~known).sum())} of {len(split)} examples are of {nouns.records} whose patient "
            f"is not known: each such {nouns.record} counts as a patient of its own, and whether "
            "one person is in two parts cannot be known."
        )
    sites = split.groupby("patient")["site"].nunique()
    wandering = sites.index[sites > 1]
    if len(wandering):
        notes.append(
            f"{len(wandering)} patients are seen at two sites or more, the first "
            f"{wandering[0]!r}: one name is taken for one person."
        )
    if copies.found:
        what = "left where it fell" if options.duplicates == "ignore" else "dropped"
        notes.append(
            f"{copies.found} groups of patients share a copy, which was {what}, and may be one "
            f"person each; {copies.shared} of them are in two parts of a fold. duplicates: group "
            "keeps them together."
        )
    notes += _contradictions(split, sets)
    if facts.get("featureless"):
        notes.append(
            f"{facts['featureless']} of {facts['compared']} examples show too little to be told "
            "apart and were not compared for near duplicates."
        )
    if bases:
        notes.append(
            "Base cohorts are compared by the names of patients, parents and examples, and for "
            "copies as far as a list of duplicates names them."
        )
    return notes


def _contradictions(split: pd.DataFrame, sets: Sets) -> list[str]:
    """Tell of copies with different labels: sets by their range of labels, then near pairs."""
    label = split["label"].to_numpy(np.int64)
    low = np.full(sets.total, np.iinfo(np.int64).max)
    high = np.full(sets.total, -1)
    np.minimum.at(low, sets.of_example, label)
    np.maximum.at(high, sets.of_example, label)
    torn = (high >= 0) & (low != high)
    present = (high[sets.first] >= 0) & (high[sets.second] >= 0)
    near = present & (
        (low[sets.first] != low[sets.second]) | (high[sets.first] != high[sets.second])
    )
    count = int(torn.sum() + near.sum())
    if not count:
        return []
    if torn.any():
        first = split["example"].to_numpy(object)[torn[sets.of_example]]
        names = sorted(first.tolist())[0], "its copy"
    else:
        pair = sets.near.iloc[int(np.argmax(near))]
        names = pair["example_a"], repr(pair["example_b"])
    return [
        f"{count} duplicates have different labels, the first {names[0]!r} and {names[1]}: check "
        "who labelled them."
    ]


def _digest(
    certificate: Mapping[str, Any],
    split: pd.DataFrame,
    options: SplitOptions,
    seed: int,
    pairs: pd.DataFrame | None,
) -> str:
    columns = ["example_a", "example_b", "kind", "transform", "correlation"]
    rows = [] if pairs is None else pairs[columns].astype({"correlation": str}).values.tolist()
    content = {
        "certificate": certificate,
        "split": digest_split(split, options, seed),
        "pairs": sorted(rows),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
