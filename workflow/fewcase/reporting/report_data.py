"""What the page of a study says of its data: cohorts, refused records, and steps to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_table
from fewcase.reporting.display import DisplayTable
from fewcase.reporting.report_sections import Section, embed, table_of
from fewcase.reporting.text import count, plain, shorten
from fewcase.splits.steps import ALL, YES_OR_NO
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS, records_of


def units_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of each cohort; one that the page is not told of is of signals."""
    told = content.get("unit_kinds", {})
    return {str(cohort): str(told.get(cohort, "window")) for cohort in content["cohorts"]}


def _cohort_and_target(path: Path) -> tuple[str, str]:
    return path.parent.parent.name, path.parent.name


def _read_flow(path: Path, unit: str) -> pd.DataFrame:
    records = NOUNS[unit].records
    try:
        flow = pd.read_csv(path, keep_default_na=False, dtype=str)
        numbers = [name for name in (records, "patients", "examples") if name in flow]
        flow[numbers] = flow[numbers].apply(pd.to_numeric)
        return flow[["step", "site", "label", records, "patients", *numbers[2:]]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a table of the cohort's flow ({error}).") from None


def _everywhere(flow: pd.DataFrame) -> pd.DataFrame:
    """Return the rows over all sites: those of the site ``all``, which come after real ones."""
    rows = flow[flow["site"] == ALL]
    # A site may be called "all" as well: the total is the later of the two.
    return rows.drop_duplicates(["step", "label"], keep="last")


def describe_cohorts(content: Mapping[str, Any], flows: Sequence[Path]) -> list[str]:
    """Return a sentence on each cohort and target: what it is, and how much of it is used."""
    units, notes = units_of(content), []
    for path in flows:
        cohort, target = _cohort_and_target(path)
        unit = units.get(cohort, "window")
        nouns, flow = NOUNS[unit], _read_flow(path, unit)
        source = str(content["cohorts"].get(cohort, "unknown source"))
        total = _everywhere(flow).set_index(["step", "label"])
        first, last = flow["step"].iloc[0], flow["step"].iloc[-1]
        kept = total.loc[(last, ALL)]
        kind = "Simulated" if source.startswith("simulate") else "Real"
        tiles = f", cut into {count(kept['examples'])} tiles" if unit == "tile" else ""
        notes.append(
            f"{kind} {nouns.records}: cohort {plain(cohort)} (source {plain(source)}), target "
            f"{plain(target)}: {count(kept[nouns.records])} of "
            f"{count(total.loc[(first, ALL), nouns.records])} {nouns.records} are used, of "
            f"{count(kept['patients'])} patients{tiles}; {_by_label(total.loc[last], unit)}."
        )
    return notes


def _by_label(used: pd.DataFrame, unit: str) -> str:
    """Return how many are positive, or of each class: tiles where records are cut into some."""
    counts = used["examples" if unit == "tile" else NOUNS[unit].records]
    if "positive" in counts:
        return f"{count(counts['positive'])} are positive"
    classes = counts[[name for name in counts.index if name not in (ALL, *YES_OR_NO.values())]]
    return "by class " + ", ".join(f"{plain(name)} {count(n)}" for name, n in classes.items())


def has_classes(flows: Sequence[Path], content: Mapping[str, Any]) -> bool:
    """Return whether any target has classes of its own instead of positive and negative."""
    units = units_of(content)
    tables = (_read_flow(path, units.get(_cohort_and_target(path)[0], "window")) for path in flows)
    return any(not set(flow["label"]) <= {ALL, *YES_OR_NO.values()} for flow in tables)


def describe_preset(content: Mapping[str, Any]) -> str:
    """Return what the preset makes of the study's numbers."""
    runs = f"{count(content['runs'])} models were trained"
    if content["preset"] == "full":
        return f"Preset full: the study at its own size; {runs}."
    if content["preset"] == "smoke":
        few = records_of(units_of(content).values())
        return (
            f"Preset smoke: {runs}, on few {few}, for few epochs or at reduced size, to show "
            "that every stage works. Its numbers are no evidence of how good a method is."
        )
    return (
        f"Preset {plain(content['preset'])}: {runs}; the study is cut short, and its numbers are "
        "not those of its full size."
    )


def data_sections(
    content: Mapping[str, Any], rejected: Sequence[Path], steps: Sequence[Path]
) -> list[Section]:
    """Return what was refused, and figures of a recording at each step, where there are any."""
    word = " (simulated)" if content["simulated"] else ""
    units = units_of(content)
    refusals = []
    for path in rejected:
        cohort, target = _cohort_and_target(path)
        title = f"Cohort {cohort}, target {target}{word}"
        refusals.append(_rejected_table(path, title, units.get(cohort, "window")))
    figures = tuple(
        embed(
            path,
            f"A recording at each step, {path.stem}",
            f"One recording{word} at each step: as recorded, cleaned, filtered, and drawn for the "
            f"network ({path.stem.removeprefix('steps-')}).",
        )
        for path in steps
    )
    records = records_of(units.values())
    sections = [
        Section("rejected", f"Refused {records}", tables=tuple(refusals)),
        Section("steps", "From recording to image", pictures=figures),
    ]
    return [section for section in sections if section.tables or section.pictures]


def _rejected_table(path: Path, title: str, unit: str) -> DisplayTable:
    nouns = NOUNS[unit]
    table = read_table(path, columns=("record", "stage", "reason", "detail"))
    rows = []
    for (stage, reason), group in table.groupby(["stage", "reason"], sort=False):
        record, detail = str(group["record"].iloc[0]), str(group["detail"].iloc[0])
        # Most details name their record themselves.
        example = detail if record in detail else f"{record}: {detail}"
        number = group["record"].nunique() if unit == "tile" else len(group)
        rows.append((number, str(stage), str(reason), shorten(plain(example), 160)))
    rows.sort(key=lambda row: -row[0])
    rows = rows or [(0, "–", f"no {nouns.record} was refused", "–")]
    refused = f"{nouns.records} were refused, the most frequent first"
    if unit == "tile":
        refused = f"{nouns.records}, or {nouns.examples} of theirs, were refused; {nouns.records} "
        refused += "are counted, the most frequent first"
    return table_of(
        title,
        ("Stage", "Reason", "For example", nouns.records.capitalize()),
        [[stage, reason, example, count(number)] for number, stage, reason, example in rows],
        f"How to read: each row is a reason why {refused}; rejected.parquet lists every one.",
        3,
        (0.12, 0.22, 0.5, 0.1),
    )
