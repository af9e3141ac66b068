"""How the generators of a study were trained: where they start from, how far, how fast."""

from __future__ import annotations

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.gan_table_parts import (
    NOTE_OF_COPIES,
    NOTE_OF_RUNS,
    GanSubject,
    Scale,
    by_split,
    records,
)
from fewcase.reporting.text import count, plain

NUMBERS = {
    "kimg": "Thousand images seen",
    "chosen_kimg": "Thousand images of the chosen snapshot",
    "seconds_per_kimg": "Seconds per thousand images",
}


def lay_out_training(subject: GanSubject, table: pd.DataFrame) -> DisplayTable:
    """Lay out how each generator was trained.

    Parameters
    ----------
    subject
        What is said beyond the numbers.
    table
        Rows of `gan_quality.tabulate_quality`, one or more of each generator and split.
    """
    of_generators = table.drop_duplicates(["gan", "split"])
    found = records(of_generators)
    scales = {name: Scale.of(of_generators[name].tolist()) for name in NUMBERS}
    if of_generators["kimg"].max() >= 10:
        scales |= {name: Scale(0, 0) for name in ("kimg", "chosen_kimg")}
    rows: list[Row] = []
    for places in by_split(found).values():
        for i in places:
            row = found[i]
            texts = [
                plain(row["base"]) or "nothing",
                *(count(row[f"frozen_{network}"] or float("nan")) for network in "dg"),
                *(scale.show(row[name], row[f"{name}_sd"]) for name, scale in scales.items()),
                count(row["runs"]),
                plain(row["device"]) or "–",
            ]
            cells = (*subject.cells(row), *map(Cell, texts))
            rows.append(Row(cells, row["copies"], bool(rows) and i == places[0]))
    notes = [
        NOTE_OF_RUNS,
        "Frozen blocks keep the weights of the generator that training starts from: those of the "
        "discriminator (D) from the full size on, those of the generator (G) from 4 × 4 pixels on.",
        "The chosen snapshot is the one whose Fréchet distance to the training images was smallest "
        "in training; all images are drawn by it.",
        "Seconds are the median over the lines of a history, so that what snapshots take besides "
        "does not count.",
        *([NOTE_OF_COPIES] if table["copies"].any() else []),
        *subject.warnings(),
    ]
    headings = [title + scales[name].heading for name, title in NUMBERS.items()]
    frozen = ("Frozen blocks of D", "Frozen blocks of G")
    columns = ("Generator", "Split", "Starts from", *frozen, *headings, "Runs", "Device")
    return DisplayTable(
        subject.titled("how generators were trained"),
        columns,
        tuple(rows),
        "How to read: each row is a generator; the images that it saw are real ones, shown to the "
        "discriminator again and again.",
        tuple(notes),
        3,
    )
