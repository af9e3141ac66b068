"""Certificates as tables and sentences: nothing that leaks or is not known goes by unseen."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fewcase.reporting.certificate_table import (
    Standing,
    lay_out_certificates,
    read_certificates,
    standing_of,
    verdicts,
)
from fewcase.reporting.display import (
    COPIES_NOTE,
    LEAKY_NOTE,
    UNKNOWN_NOTE,
    DisplayTable,
    leaky_note,
    unknown_note,
)
from fewcase.splits.certificate import certify
from fewcase.splits.folds import make_split
from fewcase.study.errors import InputError
from fewcase.study.splits import HeldOut, SplitOptions
from image_cohorts import GIVEN, given_split, tile_cohort

FACTS = {"compared": 60, "featureless": 0}
NO_PAIRS = pd.DataFrame(
    {
        name: pd.Series(dtype=kind)
        for name, kind in [
            ("example_a", str),
            ("example_b", str),
            ("kind", str),
            ("transform", str),
            ("correlation", float),
        ]
    }
)


def examples() -> pd.DataFrame:
    n = 60
    return pd.DataFrame(
        {
            "example": [f"e{i}" for i in range(n)],
            "parent": [f"e{i}" for i in range(n)],
            "patient": [f"p{i // 2}" for i in range(n)],
            "site": ["Ibi" if i < 44 else "Gifu" for i in range(n)],
            "date": pd.Timestamp("2020-01-01"),
            "label": [i // 2 % 3 == 0 for i in range(n)],
            "row": range(n),
        }
    ).astype({"label": "int8", "row": "int64"})


def certificate(
    name: str,
    seed: int = 0,
    *,
    scheme: str = "patient",
    known: bool = True,
    pairs: pd.DataFrame = NO_PAIRS,
    hold_out: bool = False,
) -> dict[str, Any]:
    held = (HeldOut("Gifu"),) if hold_out else ()
    options = SplitOptions(
        target="apgar", scheme=scheme, hold_out=held, folds=2, inner_folds=2, duplicates="group"
    )
    table = examples()
    split = make_split(table, options, seed)
    records = pd.DataFrame({"record": table["parent"], "patient_known": known})
    return certify(split, options, seed, pairs, FACTS, {}, records, name=name)


def written(folder: Path, *found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    paths = []
    for i, values in enumerate(found):
        paths.append(folder / f"certificate-{i}.json")
        paths[-1].write_text(json.dumps(values))
    return read_certificates(paths)


def column(table: DisplayTable, title: str) -> list[Any]:
    place = table.columns.index(title)
    return [row.cells[place] for row in table.rows]


def test_a_row_holds_all_seeds_of_a_split(tmp_path: Path) -> None:
    found = written(
        tmp_path, certificate("a", 1), certificate("a", 0), certificate("b", hold_out=True)
    )
    assert {split: [c["seed"] for c in of] for split, of in found.items()} == {
        "a": [0, 1],
        "b": [0],
    }
    checks, parts = lay_out_certificates(found, simulated=True)
    assert [cell.text for cell in column(checks, "Split")] == ["a", "b"]
    assert [cell.text for cell in column(checks, "Status")] == ["clean", "clean"]
    assert [cell.text for cell in column(checks, "Patients")] == ["disjoint (30)"] * 2
    assert [cell.text for cell in column(checks, "Held-out sites")] == ["–", "disjoint (16)"]
    assert [cell.text for cell in column(parts, "Seeds × folds")] == ["2 × 2", "1 × 2"]
    assert [cell.text for cell in column(parts, "Test")] == ["–", "16 (8)"]
    assert [cell.text for cell in column(parts, "External test")] == ["–", "Gifu"]
    for table in (checks, parts):
        assert "(simulated)" in table.title
        assert table.reading.startswith("How to read: ")
        assert not any(cell.leaky for row in table.rows for cell in row.cells)
    assert "Synthetic images" not in checks.columns
    assert any("Nothing to check here: synthetic images" in note for note in checks.notes)


def test_the_parts_add_up_to_the_examples(tmp_path: Path) -> None:
    values = certificate("a", hold_out=True)
    _, parts = lay_out_certificates(written(tmp_path, values))
    for i, fold in enumerate(values["folds"]):
        total = sum(fold[part]["examples"] for part in ("training", "stopping", "validation"))
        assert total + values["test"]["examples"] == 60, i
    sizes = {fold["validation"]["examples"] for fold in values["folds"]}
    shown = column(parts, "Validation")[0].text.partition(" ")[0]
    assert shown == "–".join(str(n) for n in sorted(sizes))


def test_clean_splits_are_certified_in_one_sentence(tmp_path: Path) -> None:
    (verdict,) = verdicts(written(tmp_path, certificate("a"), certificate("b")))
    assert verdict.text == "2 splits certified: no patient, recording or copy on two sides."
    assert not verdict.warns


def test_a_leaky_split_is_red_with_what_it_shares(tmp_path: Path) -> None:
    leaky = certificate("img", scheme="image")
    shared = next(check["shared"] for check in leaky["checks"] if check["name"] == "patients")
    assert shared > 0
    found = written(tmp_path, certificate("a"), leaky)
    checks, parts = lay_out_certificates(found)
    status = column(checks, "Status")
    assert [(cell.text, cell.leaky) for cell in status] == [("clean", False), ("leaky", True)]
    patients = column(checks, "Patients")[1]
    assert (patients.text, patients.leaky) == (f"shared {shared} of 30", True)
    assert [row.leaky for row in parts.rows] == [False, True]
    assert any(note.startswith("Leaky") for note in checks.notes)
    clean, warning = verdicts(found)
    assert clean.text.startswith("1 of 2 splits certified")
    assert warning.warns
    assert "img is leaky" in warning.text
    assert f"{shared} patients are on two sides" in warning.text


def test_unknown_patients_are_told_in_red(tmp_path: Path) -> None:
    found = written(tmp_path, certificate("a", known=False))
    (verdict,) = verdicts(found)
    assert verdict.warns
    assert verdict.text.startswith("Patients are not known: one person may be on two sides")
    checks, _ = lay_out_certificates(found)
    assert [cell.leaky for cell in column(checks, "Patients")] == [True]
    assert column(checks, "Status")[0].text == "unknown"
    assert any("60 of 60 examples are of recordings whose patient is" in n for n in checks.notes)
    both = written(tmp_path, certificate("a", known=False), certificate("b"))
    assert "not known under a: " in verdicts(both)[1].text


def test_copies_that_were_found_are_counted(tmp_path: Path) -> None:
    pairs = pd.DataFrame(
        [
            ("e0", "e2", "exact", "identity", 1.0),
            ("e0", "e4", "exact", "identity", 1.0),
            ("e6", "e8", "near", "rotate 90", 0.99),
        ],
        columns=NO_PAIRS.columns,
    )
    values = certificate("a", scheme="image", pairs=pairs)
    told = verdicts(written(tmp_path, values))[-1]
    assert (
        told.text == "Among the examples in use are 2 exact copies and 2 examples with a near copy."
    )
    assert not told.warns


def test_copies_that_nobody_looked_for_are_not_certified(tmp_path: Path) -> None:
    values = copy.deepcopy(certificate("a"))
    values["status"] = "unknown"
    for check in values["checks"]:
        if "duplicates" in check["name"]:
            check |= {"status": "unknown", "compared": 0}
    (verdict,) = verdicts(written(tmp_path, values))
    (note,) = standing_of([values]).notes
    assert note.startswith("Unknown: exact duplicates, near duplicates were not looked for")
    assert verdict.warns
    assert verdict.text == "Not looked for, and so not known: exact duplicates, near duplicates."


def test_how_a_split_stands_is_the_worst_of_its_seeds(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        *(certificate("a", seed) for seed in range(2)),
        certificate("b", scheme="image"),
        certificate("c"),
        certificate("c", 1, known=False),
        {**certificate("d"), "status": "leaky"},
        {**certificate("e", known=False), "status": "leaky"},
    )
    assert {split: standing_of(of_split) for split, of_split in found.items()} == {
        "a": Standing(),
        "b": Standing(True, (LEAKY_NOTE,)),
        "c": Standing(False, (UNKNOWN_NOTE,)),
        "d": Standing(True, (COPIES_NOTE,)),
        "e": Standing(True, (COPIES_NOTE, UNKNOWN_NOTE)),
    }
    notes = lay_out_certificates(found)[0].notes
    assert {LEAKY_NOTE, COPIES_NOTE} <= set(notes)
    assert any(note.startswith("Unknown under c, e: patients are not known") for note in notes)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"certificate-0.json: not a certificate \(no key 'split'"):
        written(tmp_path, {"seed": 0})


def test_without_certificates_there_is_no_table() -> None:
    assert lay_out_certificates({}) == []
    assert verdicts({}) == []


def certificate_of_tiles(known: bool = True, **options: Any) -> dict[str, Any]:
    """Return the certificate of a hand-made split of tiles by given parts."""
    split = given_split(tile_cohort().cohort)
    records = pd.DataFrame({"record": split["parent"].unique(), "patient_known": known})
    chosen = dataclasses.replace(GIVEN, **options)
    return certify(split, chosen, 0, NO_PAIRS, FACTS, {}, records, name="tissue", unit="tile")


def test_certificates_of_images_say_so_without_being_asked(tmp_path: Path) -> None:
    found = written(tmp_path, certificate_of_tiles())
    (verdict,) = verdicts(found)
    assert verdict.text == "1 split certified: no patient, image or copy on two sides."
    both = written(tmp_path, certificate_of_tiles(), certificate("a"))
    assert verdicts(both)[0].text.endswith("no patient, image, recording or copy on two sides.")
    unknown = standing_of([certificate_of_tiles(known=False)])
    assert unknown.notes == (unknown_note("tile"),)
    leaky = standing_of([certificate_of_tiles(scheme="image")])
    assert leaky.notes == (leaky_note("tile"),)
    text = json.dumps([certificate_of_tiles(known=False), certificate_of_tiles(scheme="image")])
    assert "recording" not in text + " ".join((*unknown.notes, *leaky.notes))


def test_an_internal_test_has_a_column_and_its_site_is_trained_on_too(tmp_path: Path) -> None:
    _, parts = lay_out_certificates(written(tmp_path, certificate_of_tiles()))
    assert [cell.text for cell in column(parts, "Internal test")] == ["south"]
    assert [cell.text for cell in column(parts, "Sites trained on")] == ["north, south"]
    assert [cell.text for cell in column(parts, "Seeds × folds")] == ["1 × 1"]
    assert [cell.text for cell in column(parts, "Validation")] == ["4 (1)"]
    assert [cell.text for cell in column(parts, "Test")] == ["5 (1)"]
    assert "internal: one of which the data give another part" in parts.notes[0]
    assert parts.words == 6
    _, parts = lay_out_certificates(written(tmp_path, certificate("a")))
    assert "Internal test" not in parts.columns
