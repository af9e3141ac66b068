"""Hand-made cohorts of images and tiles, without any pixels, as the stages before leave them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from fewcase.splits.cohort import make_cohort
from fewcase.splits.flow import REFUSAL_COLUMNS, make_flow
from fewcase.study.splits import SplitOptions
from fewcase.study.targets import Target, read_target

TISSUES = ("AT", "BG", "TUM")
TISSUE = read_target({"rule": "classes", "classes": list(TISSUES), "column": "class"}, "target")
DIAGNOSIS = read_target(
    {"rule": "classes", "classes": ["Benign", "Invasive"], "column": "class"}, "target"
)

GIVEN = SplitOptions("tissue", folds=1, inner_folds=2, given=True)

# Slide, patient, site, part, and its tiles by class ("" for a tile without one).
SLIDES = [
    ("s1", "p1", "north", "train", {"AT": 3, "TUM": 2}),
    ("s2", "p1", "north", "train", {"BG": 2}),
    ("s3", "p2", "north", "validation", {"AT": 2, "BG": 1, "TUM": 1, "": 1}),
    ("s4", "p3", "south", "train", {"AT": 1, "BG": 2, "TUM": 1, "artefact": 2}),
    ("s5", "p4", "south", "test", {"AT": 2, "BG": 2, "TUM": 1}),
    ("s6", "p5", "south", "train", {"": 2}),
    ("s7", "p6", "north", "train", {}),
]
AT_INGEST = [
    ("s8", "p7", "north", "ingest", "torn file", "s8.tif ends early"),
    ("s9", "", "south", "ingest", "no class", "row 9 of table.csv"),
    ("s9", "", "south", "ingest", "no class", "row 11 of table.csv"),
]
AT_TILE = [
    ("s1", "p1", "north", "tile", "too little tissue", "40 of 45 tiles hold less than 0.5."),
    ("s3", "p2", "north", "tile", "too little tissue", "7 of 12 tiles hold less than 0.5."),
    ("s3", "p2", "north", "tile", "no annotation", "3 of 12 tiles are not covered."),
    ("s7", "p6", "north", "tile", "no tile left", "too little tissue: 9 of 9 tiles hold less."),
]


@dataclasses.dataclass(frozen=True)
class Made:
    """The tables of a cohort: records, examples before and after labelling, refusals, and flow."""

    records: pd.DataFrame
    examples: pd.DataFrame
    cohort: pd.DataFrame
    refusals: list[pd.DataFrame]
    rejected: pd.DataFrame
    flow: pd.DataFrame


def refusals(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=REFUSAL_COLUMNS, dtype=str)


def records_of(rows: list[tuple[str, str, str, str, str]]) -> pd.DataFrame:
    """Return records given as record, patient, site, part and class."""
    table = pd.DataFrame(rows, columns=["record", "patient", "site", "part", "class"])
    return table.assign(
        date=pd.NaT,
        patient_known=True,
        file_type="png",
        file_bytes=1000,
        path=table["record"] + ".png",
        width=64,
        height=64,
        channels=3,
    )


def examples_of(rows: list[tuple[str, str, str, str, str]], own_class: bool) -> pd.DataFrame:
    """Return examples given as parent, patient, site, part and class."""
    table = pd.DataFrame(rows, columns=["parent", "patient", "site", "part", "class"])
    number = table.groupby("parent").cumcount()
    table.insert(0, "example", table["parent"] + (" " + number.astype(str) if own_class else ""))
    table.insert(0, "row", np.arange(len(table)))
    table["date"] = pd.NaT
    return table if own_class else table.drop(columns="class")


def made(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    earlier: list[pd.DataFrame],
    target: Target,
    unit: str,
) -> Made:
    cohort, unlabelled = make_cohort(examples, None, records, target)
    tables = [*earlier, unlabelled]
    rejected, flow = make_flow(records, cohort, tables, target, unit)
    return Made(records, examples, cohort, tables, rejected, flow)


def tile_cohort(slides=SLIDES, at_tile=AT_TILE) -> Made:
    """Slides cut into tiles that have a class each."""
    records = records_of([(name, *who, "") for name, *who, _ in slides])
    rows = [
        (name, *who, kind)
        for name, *who, tiles in slides
        for kind, number in tiles.items()
        for _ in range(number)
    ]
    examples = examples_of(rows, own_class=True)
    earlier = [refusals(AT_INGEST), refusals(at_tile)]
    return made(records, examples, earlier, TISSUE, "tile")


def image_cohort(number: int = 40) -> Made:
    """Whole images of two sites, of which every tenth has an unknown class."""
    kinds = ["Benign", "Invasive", "Benign"]
    rows = [
        (
            f"i{i:02d}",
            f"p{i // 2}",
            ("north", "south")[i % 3 > 0],
            "",
            "" if i % 10 == 9 else kinds[i // 2 % 3],
        )
        for i in range(number)
    ]
    examples = examples_of([(name, *who, "") for name, *who, _ in rows], own_class=False)
    earlier = [refusals(AT_INGEST), refusals([])]
    return made(records_of(rows), examples, earlier, DIAGNOSIS, "image")


def given_split(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the split of a cohort by its given parts, made by hand: one inner part is kept."""
    part = cohort["part"]
    split = cohort.assign(group=cohort["patient"], reason="")
    split["fold"] = part.map({"train": -2, "validation": 0, "test": -1}).astype(np.int16)
    inner = pd.factorize(split["patient"].where(part == "train"))[0] % 2
    split["inner"] = np.where(part == "train", inner, -1).astype(np.int16)
    trained = set(split["site"][split["fold"] != -1])
    kinds = split["site"].map(lambda site: "internal" if site in trained else "external")
    split["test_set"] = np.where(part == "test", kinds, "")
    return split
