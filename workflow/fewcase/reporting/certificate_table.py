"""The certificates of all splits as tables, and what they come to in a sentence or two."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewcase.data.files import read_json
from fewcase.reporting.display import (
    COPIES_NOTE,
    Cell,
    DisplayTable,
    Row,
    leaky_note,
    unknown_note,
    warnings_below,
)
from fewcase.reporting.text import count, plain
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

CLEAN, LEAKY, UNKNOWN, DISJOINT, NONE = "clean", "leaky", "unknown", "disjoint", "not applicable"
COPIES = ("exact duplicates", "near duplicates")
PARTS = {
    "training": "Training",
    "stopping": "Early stopping",
    "validation": "Validation",
    "test": "Test",
}
READING = (
    "How to read: each row is a split, all its seeds together; disjoint means that nothing of the "
    "kind (in brackets how many were compared) is on two sides of any fold, shared how many are."
)
READING_OF_PARTS = (
    "How to read: each row is a split; a cell has the examples and, in brackets, the patients of "
    "one part, from the smallest to the largest fold."
)
KEYS = ("split", "seed", "scheme", "duplicates", "status", "checks", "folds", "test", "sites")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One sentence on the splits of a study, and whether it is a warning, to be shown in red."""

    text: str
    warns: bool


@dataclasses.dataclass(frozen=True)
class Standing:
    """What the certificates of a split say of all numbers under it.

    Attributes
    ----------
    leaky
        Whether the same people or content are on two sides.
    notes
        What has to be said wherever such numbers stand: sentences that begin with one of
        `display.RED_NOTES`.
    """

    leaky: bool = False
    notes: tuple[str, ...] = ()


def read_certificates(paths: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """Read certificates (see `fewcase.splits.certificate.certify`) by split, in order of seeds.

    Raises
    ------
    InputError
        Naming a file that is no certificate.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        values = read_json(path)
        missing = [key for key in KEYS if not isinstance(values, dict) or key not in values]
        if missing:
            raise InputError(
                f"{path}: not a certificate (no key {missing[0]!r}). Delete it and run the "
                "certify stage again."
            )
        found.setdefault(str(values["split"]), []).append(values)
    return {split: sorted(of_split, key=lambda c: c["seed"]) for split, of_split in found.items()}


def status_of(of_split: Sequence[Mapping[str, Any]]) -> str:
    """Return the worst status of the seeds of a split."""
    found = {certificate["status"] for certificate in of_split}
    return next((status for status in (LEAKY, UNKNOWN) if status in found), CLEAN)


def standing_of(of_split: Sequence[Mapping[str, Any]]) -> Standing:
    """Return what the certificates of all seeds of a split come to."""
    leaky = status_of(of_split) == LEAKY
    unit = _unit(of_split)
    notes = []
    if leaky:
        notes.append(leaky_note(unit) if of_split[0]["scheme"] == "image" else COPIES_NOTE)
    unknown = _unknown(of_split)
    if "patients" in unknown:
        notes.append(unknown_note(unit))
    if others := [plain(name) for name in unknown if name != "patients"]:
        notes.append(
            f"Unknown: {', '.join(others)} were not looked for, so some may be on both sides."
        )
    return Standing(leaky, tuple(notes))


def _unit(of_split: Sequence[Mapping[str, Any]]) -> str:
    """Return the unit of the split's cohort; certificates of recordings do not name it."""
    return str(of_split[0].get("unit", "window"))


def _unknown(of_split: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the checks of which nobody knows what they would find."""
    return [name for name in _names(of_split) if _check(of_split, name)[0] == UNKNOWN]


def read_standings(paths: Iterable[Path]) -> dict[str, Standing]:
    """Read certificates (see `read_certificates`) as what they come to, by split."""
    return {name: standing_of(of_split) for name, of_split in read_certificates(paths).items()}


def standing_in(standings: Mapping[str, Standing], split: str) -> Standing:
    """Return how a split stands; where no certificates were given at all, nothing is said.

    Raises
    ------
    InputError
        Where there are certificates, but none of this split.
    """
    if standings and split not in standings:
        raise InputError(
            f"--certificates: none is of split {split!r}, whose numbers are shown; give those of "
            "every split and seed."
        )
    return standings.get(split, Standing())


def verdicts(certificates: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Verdict]:
    """Return what the certificates come to: how many are clean, what leaks, what is not known."""
    by_status: dict[str, list[str]] = {CLEAN: [], LEAKY: [], UNKNOWN: []}
    for split, of_split in certificates.items():
        by_status[status_of(of_split)].append(split)
    total, clean = len(certificates), len(by_status[CLEAN])
    said = []
    if clean:
        number = f"{clean} of {total}" if clean < total else f"{total}"
        splits = "split" if total == 1 else "splits"
        of_clean = (_unit(certificates[split]) for split in by_status[CLEAN])
        records = ", ".join(dict.fromkeys(NOUNS[unit].record for unit in of_clean))
        text = f"{number} {splits} certified: no patient, {records} or copy on two sides."
        said.append(Verdict(text, False))
    for split in by_status[LEAKY]:
        said.append(Verdict(_leak(split, certificates[split]), True))
    unknown = [
        (split, name) for split, of_split in certificates.items() for name in _unknown(of_split)
    ]
    anonymous = [plain(split) for split, name in unknown if name == "patients"]
    if anonymous:
        where = "" if len(anonymous) == total else f" under {', '.join(anonymous)}"
        text = f"Patients are not known{where}: one person may be on two sides, and nobody can tell"
        said.append(Verdict(f"{text}.", True))
    others = list(dict.fromkeys(plain(name) for _, name in unknown if name != "patients"))
    if others:
        said.append(Verdict(f"Not looked for, and so not known: {', '.join(others)}.", True))
    return [*said, *_copies(certificates)]


def _leak(split: str, of_split: Sequence[Mapping[str, Any]]) -> str:
    shared = [
        f"{count(number)} {plain(name)}"
        for name in _names(of_split)
        for status, _, number in [_check(of_split, name)]
        if status == LEAKY
    ]
    unknown = _check(of_split, "patients")[0] == UNKNOWN
    none = "who is on two sides cannot be known" if unknown else "nobody happens to be on two sides"
    told = f"{', '.join(shared)} are on two sides" if shared else none
    by_image = of_split[0]["scheme"] == "image"
    why = "was drawn by image, whatever the patient" if by_image else "ignores copies"
    return f"Split {plain(split)} is leaky: it {why}; {told}."


def _copies(certificates: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Verdict]:
    """Return how many copies were found, the most of any split."""
    found = [
        max((_found(c, name) for cs in certificates.values() for c in cs), default=0)
        for name in COPIES
    ]
    if not any(found):
        return []
    told = f"{count(found[0])} exact copies and {count(found[1])} examples with a near copy"
    return [Verdict(f"Among the examples in use are {told}.", False)]


def _found(certificate: Mapping[str, Any], name: str) -> int:
    return sum(check["found"] for check in certificate["checks"] if check["name"] == name)


def _parts(certificate: Mapping[str, Any], fold: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((n, p) for n, p in certificate["folds"][fold].items() if n != "fold")
    yield "test", certificate["test"]


def _names(of_split: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(c["name"] for one in of_split for c in one["checks"]))


def _check(of_split: Sequence[Mapping[str, Any]], name: str) -> tuple[str, int, int]:
    """Return the worst status of a check over seeds, and the most compared and shared."""
    found = [check for one in of_split for check in one["checks"] if check["name"] == name]
    statuses = {check["status"] for check in found}
    order = (LEAKY, UNKNOWN, DISJOINT, NONE)
    worst = next((status for status in order if status in statuses), NONE)
    numbers = [(check["compared"], check["shared"]) for check in found] or [(0, 0)]
    return worst, max(n for n, _ in numbers), max(n for _, n in numbers)


# Tables ------------------------------------------------------------------------------------------


def lay_out_certificates(
    certificates: Mapping[str, Sequence[Mapping[str, Any]]], *, simulated: bool = False
) -> list[DisplayTable]:
    """Lay out certificates for reading: what parts share, and how large they are.

    Parameters
    ----------
    certificates
        As from `read_certificates`.
    simulated
        Whether the records are, which the titles then say.
    """
    if not certificates:
        return []
    word = " (simulated)" if simulated else ""
    return [_lay_out_checks(certificates, word), _lay_out_parts(certificates, word)]


def _lay_out_checks(
    certificates: Mapping[str, Sequence[Mapping[str, Any]]], word: str
) -> DisplayTable:
    names = list(dict.fromkeys(name for cs in certificates.values() for name in _names(cs)))
    applies = [n for n in names if any(_check(cs, n)[0] != NONE for cs in certificates.values())]
    rows = []
    for split, of_split in certificates.items():
        status = status_of(of_split)
        cells = [Cell(plain(split), leaky=status == LEAKY), Cell(status, leaky=status != CLEAN)]
        cells += [Cell(str(of_split[0]["duplicates"]))]
        cells += [_cell_of_check(*_check(of_split, name)) for name in applies]
        digests = [plain(one.get("digest", ""))[:8] for one in of_split]
        cells += [Cell(", ".join(digests[:3]) + (" …" if len(digests) > 3 else ""))]
        rows.append(Row(tuple(cells)))
    notes = [
        "Two sides: training, early stopping, validation and test of a fold, and the inner parts "
        "that choose winners. The digest is over the split, its copies and this certificate: the "
        "same digest, the same split.",
        *_notes(certificates),
    ]
    if missing := [name for name in names if name not in applies]:
        notes.append(f"Nothing to check here: {', '.join(map(plain, missing))}.")
    standings = {split: standing_of(of_split) for split, of_split in certificates.items()}
    notes += warnings_below(False, [(name, s.leaky, s.notes) for name, s in standings.items()])
    columns = ["Split", "Status", "Policy on copies"]
    columns += [plain(name)[:1].upper() + plain(name)[1:] for name in applies]
    return DisplayTable(
        f"Certificates of the splits{word}",
        (*columns, "Digest"),
        tuple(rows),
        READING,
        tuple(notes),
        len(columns) + 1,
    )


def _cell_of_check(status: str, compared: int, shared: int) -> Cell:
    if status == LEAKY:
        return Cell(f"shared {count(shared)} of {count(compared)}", leaky=True)
    if status == UNKNOWN:
        return Cell(UNKNOWN, leaky=True)
    return Cell("–" if status == NONE else f"{DISJOINT} ({count(compared)})")


def _notes(certificates: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the notes of all certificates, each once, with its splits where it is not of all."""
    splits: dict[str, list[str]] = {}
    for split, of_split in certificates.items():
        for note in dict.fromkeys(plain(note) for one in of_split for note in one.get("notes", ())):
            splits.setdefault(note, []).append(plain(split))
    everywhere = len(certificates)
    return [
        note if len(named) == everywhere else f"{', '.join(named)}: {note}"
        for note, named in splits.items()
    ]


def _lay_out_parts(
    certificates: Mapping[str, Sequence[Mapping[str, Any]]], word: str
) -> DisplayTable:
    given = any("internal" in of_split[0]["sites"].values() for of_split in certificates.values())
    tests = ("temporal", "external", *(["internal"] if given else []))
    rows = []
    for split, of_split in certificates.items():
        leaky = status_of(of_split) == LEAKY
        one = of_split[0]
        sizes: dict[str, list[Mapping[str, Any]]] = {name: [] for name in PARTS}
        for certificate in of_split:
            for fold in range(len(certificate["folds"])):
                for name, part in _parts(certificate, fold):
                    sizes[name].append(part)
        # A site with an internal test is trained on as well.
        also = {"training": ("training", "internal")}
        kinds = {
            kind: [
                plain(site) or "no site"
                for site, of in one["sites"].items()
                if of in also.get(kind, (kind,))
            ]
            for kind in ("training", *tests)
        }
        left = {str(k): v for k, v in one.get("excluded", {}).items()}
        cells = [
            Cell(plain(split)),
            Cell(f"{len(of_split)} × {len(one['folds'])}"),
            *(Cell(", ".join(names) or "–") for names in kinds.values()),
            *(Cell(_span(parts)) for parts in sizes.values()),
            Cell(", ".join(f"{count(v['examples'])} {plain(k)}" for k, v in left.items()) or "–"),
        ]
        rows.append(Row(tuple(cells), leaky))
    note = "Temporal: a test site whose other period is trained on; external: one never seen in "
    note += "training"
    if given:
        note += "; internal: one of which the data give another part for training"
    words = (
        "Split",
        "Seeds × folds",
        "Sites trained on",
        *(f"{t.capitalize()} test" for t in tests),
    )
    columns = (*words, *PARTS.values(), "Left out")
    title = f"Parts of the splits{word}"
    return DisplayTable(title, columns, tuple(rows), READING_OF_PARTS, (f"{note}.",), len(words))


def _span(parts: Sequence[Mapping[str, Any]]) -> str:
    texts = []
    for unit in ("examples", "patients"):
        numbers = [part[unit] for part in parts]
        low, high = min(numbers), max(numbers)
        texts.append(count(low) if low == high else f"{count(low)}–{count(high)}")
    return "–" if texts[0] == "0" else f"{texts[0]} ({texts[1]})"
