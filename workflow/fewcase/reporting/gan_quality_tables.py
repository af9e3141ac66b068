"""The quality of synthetic images laid out for reading: of all images, and of each class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.gan_quality import ALL, MEASURES
from fewcase.reporting.gan_table_parts import (
    NOTE_OF_COPIES,
    NOTE_OF_RUNS,
    GanSubject,
    Scale,
    by_split,
    means_of,
    records,
    span_of_counts,
)
from fewcase.reporting.gan_training_table import lay_out_training
from fewcase.reporting.performance_tables import Footnotes
from fewcase.reporting.tables import best_of_groups
from fewcase.reporting.text import count, plain

SHARES = {
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
}
DISTANCES = {"frechet": "frechet_name", "kid": "kid_name"}
"""Measures that are named by the extractor of their features, and the column of the name."""

REFERENCES = {"validation": "validation images", "train": "training images"}
FLOOR = "real training images"
FEW, OTHER_MIX = "†", "‡"

NOTE_OF_FLOOR = (
    "Floor: as many real training images, compared in the same way: what a generator would come to "
    "that drew real images of the training patients."
)
NOTE_OF_SHARES = (
    "Precision: the share of synthetic images that are no farther from some real image than its "
    "third nearest real neighbour; recall: the same the other way round. Density counts all such "
    "real images, by their fifth neighbour, and can exceed 1; coverage: the share of real images "
    "with a synthetic one as near as their fifth neighbour."
)
NOTE_OF_COUNTS = (
    "As many synthetic images are compared as there are real ones, class by class, or all of a "
    "class where there are fewer."
)
NOTE_OF_FEW = (
    f"{FEW} Fewer than 2,048 images on one side, or no more than there are features: the "
    "covariance may be singular, and the Fréchet distance depends on the number of images."
)
NOTE_OF_MIX = (
    f"{OTHER_MIX} Fewer synthetic than real images of some class, so that classes are mixed in "
    "another way."
)
NOTE_OF_BEST = (
    "Bold: the best of a column among the generators of one split that do not copy, picked on the "
    "very numbers shown and so too good."
)
NOTE_OF_OTHER_FEATURES = (
    "These are not the features of the standard Inception network, so their distances are no FID "
    "and no KID and cannot be held against published ones."
)
NOTE_OF_CLASSIFIER = (
    "The classifier is that of each fold, which learned from the training images and keeps them "
    "apart from others by itself; distances of different folds are of different features."
)


def lay_out_quality(subject: GanSubject, table: pd.DataFrame) -> list[DisplayTable]:
    """Lay out the quality of generators (see `gan_quality.tabulate_quality`).

    Returns
    -------
    list
        A table for each reference, of all images; two for the classes of each group of generators
        that have the same ones; and how each was trained.
    """
    means = means_of(table)
    whole = means[means["class"] == ALL]
    tables = []
    for reference in REFERENCES:
        part = whole[whole["reference"] == reference]
        if len(part):
            tables.append(_lay_out_whole(subject, part, reference))
    for reference, part in _groups_of_classes(means):
        tables += [_lay_out_classes(subject, part, reference, measure) for measure in DISTANCES]
    return [*tables, lay_out_training(subject, whole)]


# All images --------------------------------------------------------------------------------------


def _lay_out_whole(subject: GanSubject, part: pd.DataFrame, reference: str) -> DisplayTable:
    found, footnotes = records(part), Footnotes()
    scales = {name: _scale_of(part, name) for name in MEASURES}
    best = {name: _best(found, name) for name in MEASURES}
    rows: list[Row] = []
    for places in by_split(found).values():
        for i in places:
            row = found[i]
            cells = [
                Cell(_shown(row, name, scale, footnotes), i in best[name])
                for name, scale in scales.items()
            ]
            last = Cell(_counts(row)), Cell(count(row["runs"]))
            starts = bool(rows) and i == places[0]
            rows.append(Row((*subject.cells(row), *cells, *last), row["copies"], starts))
        if reference == "validation":
            rows += _floors(
                subject,
                [found[i] for i in places],
                [_floor_texts(found[i], scales) for i in places],
            )
    headings = [heading_of(part, name) + scale.heading for name, scale in scales.items()]
    notes = [
        NOTE_OF_RUNS,
        *([NOTE_OF_FLOOR] if reference == "validation" else []),
        *(NOTE_OF_SHARES, NOTE_OF_COUNTS),
        *_notes_of_features(part),
        *([NOTE_OF_FEW] if part["few_images"].any() else []),
        *_notes_of_rows(part, any(best.values())),
        *footnotes.notes,
        *subject.warnings(),
    ]
    return DisplayTable(
        subject.titled(f"against {REFERENCES[reference]}"),
        ("Generator", "Split", *headings, "Images, real / synthetic", "Runs"),
        tuple(rows),
        _reading(reference),
        tuple(notes),
        2,
    )


def _reading(reference: str) -> str:
    text = (
        "How to read: distances are smaller, and shares larger, the more synthetic images are like "
        f"the {REFERENCES[reference]}"
    )
    if reference == "validation":
        return (
            f"{text}, which the generator never saw; nobody can ask more of it than its floor, "
            "below the generators of each split."
        )
    return f"{text}, which the generator learned from; copies of them would be most alike."


def _floor_texts(row: Mapping[str, Any], scales: Mapping[str, Scale]) -> tuple[str, ...]:
    shown = (
        scale.show(row[f"floor_{name}"], row[f"floor_{name}_sd"]) for name, scale in scales.items()
    )
    return (*shown, _counts(row), count(row["runs"]))


def _floors(
    subject: GanSubject,
    rows: Sequence[Mapping[str, Any]],
    texts: Sequence[tuple[str, ...]],
) -> Iterator[Row]:
    """Yield the floors of a split, each once, with the generators whose it is where they differ."""
    floors: dict[tuple[str, ...], list[str]] = {}
    for row, cells in zip(rows, texts, strict=True):
        floors.setdefault(cells, []).append(plain(row["gan"]))
    split = subject.name((rows[0]["gan"], rows[0]["split"]))[1]
    for cells, gans in floors.items():
        of = f" of {', '.join(gans)}" if len(floors) > 1 else ""
        yield Row(tuple(map(Cell, (f"{FLOOR} (floor{of})", split, *cells))))


# Classes -----------------------------------------------------------------------------------------


def _groups_of_classes(means: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of the generators that have the same classes, and what they are held against.

    That is the validation images, or the training images where there are no others.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[pd.DataFrame]] = {}
    for _, of_generator in means.groupby(["gan", "split"], sort=False):
        held_out = (of_generator["reference"] == "validation").any()
        reference = "validation" if held_out else "train"
        part = of_generator[of_generator["reference"] == reference]
        part = part[part["class"] != ALL]
        groups.setdefault((reference, tuple(part["class"])), []).append(part)
    # Those that validation images tell of come first.
    for (reference, classes), parts in sorted(
        groups.items(), key=lambda group: group[0][0] == "train"
    ):
        if len(classes) > 1:
            yield reference, pd.concat(parts, ignore_index=True)


def _lay_out_classes(
    subject: GanSubject, part: pd.DataFrame, reference: str, measure: str
) -> DisplayTable:
    footnotes, scale = Footnotes(), _scale_of(part, measure)
    by_class = {name: records(of) for name, of in part.groupby("class", sort=False)}
    best = {name: _best(rows, measure) for name, rows in by_class.items()}
    first = next(iter(by_class.values()))
    rows: list[Row] = []
    for places in by_split(first).values():
        for i in places:
            cells = [
                Cell(_of_class(of[i], measure, scale, footnotes), i in best[name])
                for name, of in by_class.items()
            ]
            starts = bool(rows) and i == places[0]
            rows.append(Row((*subject.cells(first[i]), *cells), first[i]["copies"], starts))
        if reference == "validation":
            texts = [
                tuple(
                    scale.show(of[i][f"floor_{measure}"], of[i][f"floor_{measure}_sd"])
                    for of in by_class.values()
                )
                for i in places
            ]
            rows += _floors(subject, [first[i] for i in places], texts)
    heading = name_of(part, measure)
    scaled = heading + scale.heading
    notes = [
        NOTE_OF_RUNS,
        *([NOTE_OF_FLOOR] if reference == "validation" else []),
        _sizes_of_classes(part),
        *_notes_of_features(part),
        *([NOTE_OF_FEW] if measure == "frechet" and part["few_images"].any() else []),
        *_notes_of_rows(part, any(best.values())),
        *footnotes.notes,
        "The CSV file has the other measures of each class.",
        *subject.warnings(),
    ]
    return DisplayTable(
        subject.titled(f"{scaled} by class, against {REFERENCES[reference]}"),
        ("Generator", "Split", *(plain(str(name)) for name in by_class)),
        tuple(rows),
        f"How to read: each column is the {heading} between the synthetic and the real images of "
        "one class; the smaller, the more alike.",
        tuple(notes),
        2,
    )


def _of_class(row: Mapping[str, Any], measure: str, scale: Scale, footnotes: Footnotes) -> str:
    text = _shown(row, measure, scale, footnotes)
    return text if row["same_mix"] else f"{text}\u00a0{OTHER_MIX}"


def _sizes_of_classes(part: pd.DataFrame) -> str:
    said = []
    for name, of_class in part.groupby("class", sort=False):
        low, high = of_class["n_real"].min(), of_class["n_real_most"].max()
        said.append(f"{plain(str(name))} {span_of_counts(low, high)}")
    return f"Real images of each class: {', '.join(said)}."


# What both share ---------------------------------------------------------------------------------


def _scale_of(table: pd.DataFrame, name: str) -> Scale:
    if name in SHARES:
        return Scale(0, 3)
    return Scale.of([*table[name].tolist(), *table[f"floor_{name}"].tolist()])


def _best(rows: Sequence[Mapping[str, Any]], name: str) -> set[int]:
    """Return the best row of each split; base generators belong to none."""
    sign = 1 if MEASURES[name] else -1
    values = [sign * row[name] for row in rows]
    left_out = [row["copies"] or not row["split"] for row in rows]
    return best_of_groups([row["split"] for row in rows], values, left_out)


def _shown(row: Mapping[str, Any], name: str, scale: Scale, footnotes: Footnotes) -> str:
    """Return a value with its spread and marks, or why there is none."""
    if not math.isfinite(row[name]):
        return f"– {footnotes.mark(plain(row['reason']) or 'not measured')}"
    text = scale.show(row[name], row[f"{name}_sd"])
    if row[f"{name}_runs"] < row["runs"]:
        text += f" ({count(row[f'{name}_runs'])} of {count(row['runs'])} runs)"
    return f"{text}\u00a0{FEW}" if name == "frechet" and row["few_images"] else text


def _counts(row: Mapping[str, Any]) -> str:
    sides = (span_of_counts(row[name], row[f"{name}_most"]) for name in ("n_real", "n_synthetic"))
    text = " / ".join(sides)
    return text if row["same_mix"] else f"{text}\u00a0{OTHER_MIX}"


def name_of(part: pd.DataFrame, name: str) -> str:
    """Return what a distance is called; of other features than the standard ones, not which."""
    names = [plain(text) for text in dict.fromkeys(part[DISTANCES[name]]) if text]
    titles = [text if is_standard(text) else text.partition(" (")[0] for text in names]
    return " or ".join(dict.fromkeys(titles)) or name


def heading_of(part: pd.DataFrame, name: str) -> str:
    """Return what a column of a measure is called."""
    title = SHARES.get(name) or name_of(part, name)
    return title[:1].upper() + title[1:]


def is_standard(name: str) -> bool:
    """Tell whether a distance is one of the standard features."""
    return name.startswith(("FID ", "KID "))


def _notes_of_features(part: pd.DataFrame) -> list[str]:
    pairs = dict.fromkeys(zip(part["extractor"], part["resizer"], strict=True))
    said = "; ".join(f"{plain(name)} (resizing: {plain(how)})" for name, how in pairs)
    notes = [f"Features: {said}."]
    if not all(map(is_standard, part["frechet_name"])):
        notes.append(NOTE_OF_OTHER_FEATURES)
    if any("classifier of the study" in name for name in part["extractor"]):
        notes.append(NOTE_OF_CLASSIFIER)
    return notes


def _notes_of_rows(part: pd.DataFrame, has_best: bool) -> list[str]:
    return [
        *([] if part["same_mix"].all() else [NOTE_OF_MIX]),
        *([NOTE_OF_COPIES] if part["copies"].any() else []),
        *([NOTE_OF_BEST] if has_best else []),
    ]
