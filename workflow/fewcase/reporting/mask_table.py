"""Masks laid out for reading: how good they are, whether classes go with them, and the evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.explanation_measures import NO
from fewcase.reporting.explanation_tables import PICKED, MapSubject
from fewcase.reporting.gan_table_parts import records
from fewcase.reporting.performance import SETS
from fewcase.reporting.performance_tables import Footnotes
from fewcase.reporting.text import count, difference, number, percent, plain, signed, with_interval

TITLE = "Masks, and whether a good mask goes with a right class"
TITLE_OF_EVIDENCE = "How much of the evidence lies inside the mask"
READING = (
    "How to read: Dice is 1 where a predicted mask is the true one and 0 where they share nothing. "
    "The last columns compare the Dice of images that were given their own class with that of the "
    "others: where masks say nothing of classes, the difference and the correlation are 0, and the "
    "AUC is 0.5."
)
READING_OF_EVIDENCE = (
    "How to read: of all that speaks for the class called in an explanation map, the share that "
    "lies inside the true mask; a map that knows nothing of it has, on average, the share that "
    "the mask has of the image."
)
NOTE_OF_MASKS = (
    "A pixel belongs to a predicted mask from a probability of one half on. Boundary distance: "
    "mean symmetric surface distance, from each boundary pixel of either mask to the nearest of "
    "the other; of images where one of the two is empty it is not known."
)
NOTE_OF_INTERVALS = (
    "In brackets 95\u00a0% intervals for other patients: of means, differences and correlations by "
    "the BCa bootstrap of patients (Efron, 1987), of accuracy by Wilson's, of the AUC by "
    "Obuchowski's variance; the networks are taken as given."
)
NOTE_OF_RELATION = (
    "Dice, right less wrong: difference of means. AUC of Dice: how often, of an image called "
    "rightly and one called wrongly, the former has the better mask. Correlation: Spearman's, of "
    "Dice with the probability of the true class. A relation is no proof that a mask makes a class "
    "right: images of poor quality may be hard for both."
)
NOTE_OF_VERDICT = (
    "Good mask, right class: yes, if the interval of the AUC lies above 0.5; no, if below it; not "
    "shown otherwise."
)
NOTE_OF_EVIDENCE = (
    "Positive parts of mixed maps (DiDA) of the class with the highest score, by their brightness. "
    "Beyond the mask's share: the mean difference of the two shares by image. Masks lie where "
    "images show anything at all, so that a network may look at tissue and at no margin without "
    "knowing what it is of."
)
NOTE_OF_PICKED = f"{PICKED} Picked for their scores: chance chose none of these cases."


def lay_out_masks(subject: MapSubject, table: pd.DataFrame) -> DisplayTable:
    """Lay out how good masks are (see `mask_measures.tabulate_masks`)."""
    found, footnotes = records(table), Footnotes()
    several = table["set"].nunique() > 1
    rows: list[Row] = []
    for row in found:
        words = [SETS[row["set"]]] if several else []
        cells = [Cell(text) for text in (*words, *_quality(row, footnotes))]
        verdict = Cell(row["goes_together"], leaky=row["goes_together"] == NO)
        rows.append(_line(subject, row, [*cells, *_relation(row, footnotes), verdict], rows, found))
    notes = (NOTE_OF_MASKS, *_notes_of_sizes(table), *_notes_of_empty(subject, table))
    notes += (NOTE_OF_INTERVALS, NOTE_OF_RELATION, NOTE_OF_VERDICT, *footnotes.notes)
    return DisplayTable(
        subject.titled(TITLE),
        ("Arm", "Split", *(["Set"] if several else []), *_HEADINGS),
        tuple(rows),
        READING,
        (*notes, *_warnings(subject, table)),
        3 if several else 2,
        all(row.leaky for row in rows),
    )


_HEADINGS = (
    "Images / patients",
    "Dice [95\u00a0%]",
    "IoU [95\u00a0%]",
    "Boundary distance, px [95\u00a0%]",
    "Accuracy [95\u00a0%]",
    "Dice, right less wrong [95\u00a0%]",
    "AUC of Dice [95\u00a0%]",
    "Correlation [95\u00a0%]",
    "Good mask, right class",
)


def _line(
    subject: MapSubject,
    row: Mapping[str, Any],
    cells: Sequence[Cell],
    before: Sequence[Row],
    found: Sequence[Mapping[str, Any]],
) -> Row:
    """Return a row with its arm and split in front; a split after another begins a group."""
    standing = subject.standing(row["split"])
    name = subject.name(row["arm"]) + (" (leaky)" if standing.leaky else "")
    starts = bool(before) and row["split"] != found[len(before) - 1]["split"]
    return Row((Cell(name), Cell(plain(row["split"])), *cells), standing.leaky, starts)


def _quality(row: Mapping[str, Any], footnotes: Footnotes) -> list[str]:
    means = [
        _cell(row, name, footnotes, digits=digits)
        for name, digits in (("dice", 3), ("iou", 3), ("boundary_distance", 1), ("accuracy", 3))
    ]
    return [f"{count(row['images'])} / {count(row['patients'])}", *means]


def _cell(row: Mapping[str, Any], name: str, footnotes: Footnotes, digits: int = 3) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return _missing(row, name, footnotes)
    if not math.isfinite(low):
        footnotes.without_interval(plain(row[f"{name}_method"]))
    return with_interval(value, low, high, digits=digits)


def _missing(row: Mapping[str, Any], name: str, footnotes: Footnotes) -> str:
    reason = plain(row[f"{name}_method"]).removeprefix("undefined: ")
    if name == "boundary_distance":
        reason = "one of two masks is always empty"
    return f"– {footnotes.mark(reason)}"


def _relation(row: Mapping[str, Any], footnotes: Footnotes) -> list[Cell]:
    texts = [_signed(row, "difference", footnotes), _cell(row, "auc", footnotes, digits=2)]
    return [Cell(text) for text in (*texts, _signed(row, "spearman", footnotes))]


def _signed(row: Mapping[str, Any], name: str, footnotes: Footnotes) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return _missing(row, name, footnotes)
    if not math.isfinite(low):
        footnotes.without_interval(plain(row[f"{name}_method"]))
    if name == "difference":
        return difference(value, low, high)
    text = signed(value, 2)
    return f"{text} [{signed(low, 2)} to {signed(high, 2)}]" if math.isfinite(low) else text


def _notes_of_sizes(table: pd.DataFrame) -> list[str]:
    sizes = sorted(set(table["size"]))
    told = " or ".join(f"{size} × {size}" for size in sizes)
    more = "; of other sizes, distances are not comparable" if len(sizes) > 1 else ""
    judged = (table["judgements"] > table["images"]).any()
    seeds = " Several runs judge an image; each of their judgements counts." if judged else ""
    return [f"Distances are in pixels of images as networks see them, {told} pixels{more}.{seeds}"]


def _notes_of_empty(subject: MapSubject, table: pd.DataFrame) -> list[str]:
    told = [
        f"{subject.name(row['arm'])}, {plain(row['split'])}: {count(row['without_mask'])} of "
        f"{count(row['images'])} images ({percent(row['rightly_without'])} of their masks are "
        "rightly empty)"
        for row in records(table)
        if row["without_mask"]
    ]
    if not told:
        return []
    return [
        "Images without a true mask have a Dice and an IoU of 1 where none is predicted, and of 0 "
        f"where one is; they do not count in the last four columns. {'; '.join(told)}."
    ]


def lay_out_evidence(subject: MapSubject, table: pd.DataFrame) -> DisplayTable:
    """Lay out what of the evidence lies inside masks (see `mask_measures.tabulate_evidence`)."""
    found, footnotes = records(table), Footnotes()
    rows: list[Row] = []
    for row in found:
        maps = f"{count(row['maps'])} / {count(row['map_patients'])}"
        maps += f"\u00a0{PICKED}" if row["picked"] else ""
        inside, area = _cell(row, "inside", footnotes), number(row["mask_area"])
        texts = (maps, inside, area, _excess(row, footnotes))
        rows.append(_line(subject, row, [Cell(text) for text in texts], rows, found))
    return DisplayTable(
        subject.titled(TITLE_OF_EVIDENCE),
        (
            *("Arm", "Split", "Maps / patients", "Evidence inside [95\u00a0%]"),
            *("Mask's share of the image", "Beyond the mask's share [95\u00a0%]"),
        ),
        tuple(rows),
        READING_OF_EVIDENCE,
        (
            NOTE_OF_EVIDENCE,
            "In brackets 95\u00a0% intervals for other patients, BCa bootstrap of patients.",
            *([NOTE_OF_PICKED] if table["picked"].any() else []),
            *footnotes.notes,
            *_warnings(subject, table),
        ),
        2,
        all(row.leaky for row in rows),
    )


def _excess(row: Mapping[str, Any], footnotes: Footnotes) -> str:
    value, low, high = (row[f"excess{end}"] for end in ("", "_low", "_high"))
    if not math.isfinite(low):
        footnotes.without_interval(plain(row["excess_method"]))
    return difference(value, low, high)


def _warnings(subject: MapSubject, table: pd.DataFrame) -> list[str]:
    splits = [
        (split, standing.leaky, standing.notes)
        for split in dict.fromkeys(table["split"])
        for standing in [subject.standing(split)]
    ]
    return warnings_below(subject.simulated, splits, subject.unit)


def join_tables(masks: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """Return both as one table: the evidence of an arm and split in each of its rows.

    Arms that have maps and no masks have rows of their own below.
    """
    if evidence.empty:
        return masks
    keys = ["arm", "split"]
    joined = masks.merge(evidence, how="left", on=keys)
    known = set(masks[keys].itertuples(index=False, name=None))
    others = [key not in known for key in evidence[keys].itertuples(index=False, name=None)]
    return pd.concat([joined, evidence[others]], ignore_index=True)
