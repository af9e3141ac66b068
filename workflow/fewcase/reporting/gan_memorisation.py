"""Whether generators return their training images: as numbers, and as a table of verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.gan_runs import SPACES, GanRun, by_generator
from fewcase.reporting.gan_table_parts import (
    GanSubject,
    by_split,
    means_of,
    records,
    span_of_counts,
)
from fewcase.reporting.text import count, number, percent, plain, with_interval, with_spread

_OF_SPACE = (
    *("median_ratio", "copy_share", "validation_copy_share", "copy_p"),
    *("auc", "auc_low", "auc_high", "auc_p"),
)
_MEANS = ("median_ratio", "copy_share", "validation_copy_share", "auc")
_COUNTS = ("n_synthetic", "n_train", "n_validation")
MOST_TOLD = 6
"""Runs that copy of which a note tells why; the CSV file has all."""

READING = (
    "How to read: a generator copies if its images come closer to training images than real images "
    "of other patients do. An AUC of 0.5 means that they are as near to validation images as to "
    "training images, 1 that all are nearer to training images; a share of copies is to be held "
    "against that among real validation images, in brackets."
)
NOTE_OF_RATIO = (
    "Distance ratio: the distance of a synthetic image to the nearest training image over the "
    "distance of that one to its own nearest other; near 0 it is a copy."
)
NOTE_OF_SPACES = (
    "Features are those of the tables of quality; pixels are compared in small grey images of "
    "standard brightness and contrast, mirrored and turned in all ways."
)


def tabulate_memorisation(runs: Sequence[GanRun], cohorts: Mapping[str, str]) -> pd.DataFrame:
    """Return how close the images of every generator come to training images, full precision.

    Parameters
    ----------
    runs
        See `fewcase.reporting.gan_runs.read_gan_runs`.
    cohorts
        The cohort that each base generator learned from, by its name.

    Returns
    -------
    pandas.DataFrame
        A row for each generator and split (of a base generator ``split`` is empty and ``cohort``
        filled), with ``seed`` and ``fold`` empty: the verdict ``copies`` (of any of its ``runs``,
        ``runs_that_copy`` in all), and ``why``; of each space the mean over runs, with ``…_sd``,
        and the largest AUC with its interval as ``…_largest_auc``, ``…_low`` and ``…_high``. Below
        it a row for each run, with what `fewcase.quality.memorisation` found of it.

    Raises
    ------
    InputError
        For a file that is missing or not as the stage that measures generators writes it.
    """
    rows = []
    for of_generator in by_generator(runs).values():
        found = [{**run.identity(), **run.memorisation()} for run in of_generator]
        cohort = "" if of_generator[0].split else cohorts.get(of_generator[0].gan, "")
        rows.append({**_together(of_generator, found), "cohort": cohort})
        if of_generator[0].split:
            rows += [_of_run(one) for one in found]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame(rows, columns=columns)


def _of_run(found: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: found[name] for name in ("gan", "split", "seed", "fold", "copies", "why")}
    row |= {"runs": 1, "runs_that_copy": int(found["copies"]), "cohort": ""}
    for name in _COUNTS:
        row |= {name: found.get(name, 0), f"{name}_most": found.get(name, 0)}
    for space in SPACES:
        row |= {f"{space}_{name}": found.get(f"{space}_{name}", math.nan) for name in _OF_SPACE}
    return row | {"rule": found["rule"]}


def _together(runs: Sequence[GanRun], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of a generator: of a base generator its only run, else the mean over runs."""
    table = pd.DataFrame([_of_run(one) for one in found])
    copying = table[table["copies"]]
    told = [
        f"{run.place}: {one['why']}" if run.place else one["why"]
        for run, one in zip(runs, found, strict=True)
        if one["copies"]
    ]
    row: dict[str, Any] = {"gan": runs[0].gan, "split": runs[0].split, "seed": "", "fold": ""}
    row |= {"copies": len(copying) > 0, "why": " | ".join(told)}
    row |= {"runs": len(table), "runs_that_copy": len(copying)}
    for name in _COUNTS:
        row |= {name: int(table[name].min()), f"{name}_most": int(table[name].max())}
    for space in SPACES:
        for name in _MEANS:
            values = table[f"{space}_{name}"]
            row[f"{space}_{name}"] = float(values.mean())
            row[f"{space}_{name}_sd"] = float(values.std(ddof=1))
        largest = table.sort_values(f"{space}_auc", ascending=False).iloc[0]
        for end, source in {"auc": "auc", "low": "auc_low", "high": "auc_high"}.items():
            row[f"{space}_largest_{end}"] = float(largest[f"{space}_{source}"])
        for name in ("copy_p", "auc_p"):
            row[f"{space}_{name}"] = float(table[f"{space}_{name}"].min())
    return row | {"rule": " | ".join(dict.fromkeys(table["rule"]))}


# The printed table -------------------------------------------------------------------------------


def lay_out_memorisation(subject: GanSubject, table: pd.DataFrame) -> DisplayTable:
    """Lay out the verdicts on generators (see `tabulate_memorisation`), one row each."""
    found = records(means_of(table))
    several = any(row["runs"] > 1 for row in found)
    rows: list[Row] = []
    for places in by_split(found).values():
        for i in places:
            row = found[i]
            cells = [Cell(text) for text in (_verdict(row), *_numbers(row, several))]
            starts = bool(rows) and i == places[0]
            rows.append(Row((*subject.cells(row), *cells), row["copies"], starts))
    headings = [f"Copies, {name} (among validation)" for name in SPACES.values()]
    for name in SPACES.values():
        headings += [f"AUC, {name}", f"Largest AUC [95\u00a0%], {name}"] if several else []
        headings += [] if several else [f"AUC [95\u00a0%], {name}"]
    headings += [f"Median distance ratio, {name}" for name in SPACES.values()]
    counts = "Images, synthetic / training / validation"
    return DisplayTable(
        subject.titled(),
        ("Generator", "Split", "Verdict", *headings, counts),
        tuple(rows),
        READING,
        tuple(_notes(subject, table, several)),
        3,
    )


def _verdict(row: Mapping[str, Any]) -> str:
    if not row["copies"]:
        return "no copies found" if row["runs"] == 1 else f"no copies found in {row['runs']} runs"
    if row["runs"] == 1:
        return "copies"
    return f"copies in {count(row['runs_that_copy'])} of {count(row['runs'])} runs"


def _numbers(row: Mapping[str, Any], several: bool) -> list[str]:
    texts = []
    for space in SPACES:
        shares = (row[f"{space}_{name}"] for name in ("copy_share", "validation_copy_share"))
        texts.append("{} ({})".format(*map(percent, shares)))
    for space in SPACES:
        largest = (row[f"{space}_largest_{end}"] for end in ("auc", "low", "high"))
        if several:
            texts.append(with_spread(row[f"{space}_auc"], row[f"{space}_auc_sd"]))
        texts.append(with_interval(*largest, digits=2 if several else 3))
    texts += [number(row[f"{space}_median_ratio"], 2) for space in SPACES]
    sizes = (span_of_counts(row[name], row[f"{name}_most"]) for name in _COUNTS)
    return [*texts, " / ".join(sizes)]


def _notes(subject: GanSubject, table: pd.DataFrame, several: bool) -> list[str]:
    found = records(means_of(table))
    rules = list(dict.fromkeys(text for row in found for text in row["rule"].split(" | ")))
    notes = [f"{rule[:1].upper()}{rule[1:]}." for rule in map(plain, rules)]
    if not all(row["n_validation"] for row in found):
        notes.append(
            "Where there are no validation images, as of a base generator, only (a) can be asked."
        )
    if several:
        notes.append(
            "Mean ± standard deviation over the generators of all seeds and folds; the verdict is "
            "on each, and one that copies is enough. The CSV file has all of them."
        )
    notes += [NOTE_OF_RATIO, NOTE_OF_SPACES]
    notes.append(
        "AUC: how often a synthetic image is nearer to a training than to a validation image, if "
        "there were as many of both; its interval takes each patient as one trial."
    )
    return [*notes, *_reasons(subject, found), *subject.warnings()]


def _reasons(subject: GanSubject, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why generators are said to copy, of some of them."""
    told = [
        f"{' under '.join(filter(None, (plain(row['gan']), plain(row['split']))))}"
        f"{', ' if row['split'] else ': '}{plain(why)}"
        for row in found
        if row["copies"]
        for why in row["why"].split(" | ")
    ]
    if not told:
        return []
    more = f"; and {len(told) - MOST_TOLD} more runs" if len(told) > MOST_TOLD else ""
    return [f"Copies, in red: {'; '.join(told[:MOST_TOLD])}{more}."]
