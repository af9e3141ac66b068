"""A matrix of arms laid out for reading: rows by columns, and differences from one row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Experiment, Levels
from fewcase.reporting.headline import HEADLINES, Headline
from fewcase.reporting.table_parts import (
    DAGGER,
    machine_note,
    notes_of_differences,
    notes_of_power,
    notes_of_sets,
    notes_of_shortcuts,
    titled,
    validation_title,
    warnings_of,
)
from fewcase.reporting.tables import DIFFERENCES_TO_READ, best_of_groups, shown_tests
from fewcase.reporting.text import (
    difference,
    factor_title,
    number,
    p_value,
    plain,
    span,
    with_spread,
)

NONE = "–"
REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class Matrix:
    """The numbers of a matrix by row, column and measure.

    Attributes
    ----------
    rows
        Title of each row, by the levels that its arms share: the reference's first, then the
        others in the order of the arms.
    columns
        Title of each column, by the level of its factor.
    leaky_rows
        Rows all of whose arms are under leaky splits.
    """

    rows: Mapping[Levels, str]
    columns: Mapping[str, str]
    leaky_rows: frozenset[Levels]
    _cells: Mapping[tuple[Levels, str, str], Mapping[str, Any]]

    @classmethod
    def of(cls, experiment: Experiment, table: pd.DataFrame) -> Matrix:
        """Arrange the numbers of an experiment (see `experiments.tabulate`)."""
        keys = {arm.key: arm for arm in experiment.arms}
        rows, columns = {}, {}
        references = experiment.references_of_arms
        for arm in sorted(experiment.arms, key=lambda arm: references.get(arm.key) != arm.key):
            levels, column = experiment.row_of(arm), arm.level(experiment.column_factor)
            told = [plain(word) for level in levels if level and (word := experiment.word(level))]
            # A row of which no factor says anything may be named by the empty level.
            rows[levels] = " · ".join(told) or plain(experiment.names.get("", NONE))
            columns[column] = plain(experiment.word(column)) or NONE
        cells: dict[tuple[Levels, str, str], Mapping[str, Any]] = {}
        for row in table.to_dict("records"):
            arm = keys[row["arm"], row["split"]]
            place = experiment.row_of(arm), arm.level(experiment.column_factor)
            cells[(*place, row["measure"])] = {str(name): value for name, value in row.items()}
        honest = {experiment.row_of(arm) for arm in experiment.arms if not arm.leaky}
        return cls(rows, columns, frozenset(rows.keys() - honest), cells)

    def cell(self, row: Levels, column: str, measure: str) -> Mapping[str, Any] | None:
        """Return the numbers of an arm, or None where there is none."""
        return self._cells.get((row, column, measure))

    def of_column(self, column: str, measure: str) -> list[Mapping[str, Any] | None]:
        """Return the numbers of each row in one column."""
        return [self.cell(row, column, measure) for row in self.rows]


@dataclasses.dataclass(frozen=True)
class Side:
    """Where the numbers of a cell come from: cross-validation, or a test set.

    Attributes
    ----------
    name
        ``cv``, ``test``, ``external`` or ``temporal``.
    value, low, high, sd, published
        Their columns; without a standard deviation its name is empty.
    """

    name: str
    value: str
    low: str
    high: str
    sd: str
    published: str

    @property
    def compared(self) -> str:
        """The set whose differences are shown: the only kind of held-out site is all of it."""
        return "cv" if self.name == "cv" else "test"


OF_CV = Side("cv", "cv_mean", "cv_low", "cv_high", "cv_sd", "published_cv_mean")


def sides_of(table: pd.DataFrame) -> list[Side]:
    """Return cross-validation and the whole test set, as far as any arm was scored on them."""
    sides = [OF_CV] if table["cv_mean"].notna().any() else []
    for name in shown_tests(table)[:1]:
        value, low, high = (f"{name}_{end}" for end in ("value", "low", "high"))
        sides.append(Side(name, value, low, high, "", "published_test"))
    return sides


def lay_out_matrix(experiment: Experiment, table: pd.DataFrame) -> list[DisplayTable]:
    """Lay out a matrix (see `experiments.tabulate`): for each set its values, then differences.

    Cells are means over runs with their standard deviation, on a test set the value of the score
    averaged over runs.
    """
    matrix = Matrix.of(experiment, table)
    tables = []
    for side in sides_of(table) or [OF_CV]:
        tables.append(_lay_out_values(experiment, table, matrix, side))
        if table[f"{side.compared}_difference"].notna().any():
            tables.append(_lay_out_differences(experiment, table, matrix, side))
    return tables


def _by_measure(
    experiment: Experiment, table: pd.DataFrame
) -> Iterator[tuple[Experiment, pd.DataFrame]]:
    """Yield the experiment with one measure at a time, and the rows of it."""
    for name in experiment.measures:
        yield dataclasses.replace(experiment, measures=(name,)), table[table["measure"] == name]


def _first_heading(experiment: Experiment) -> str:
    others = [name for name in experiment.factors if name != experiment.column_factor]
    return " · ".join(map(factor_title, others)) or "Arm"


def _title_of_side(table: pd.DataFrame, side: Side) -> str:
    if side.name != "cv":
        return f"{side.name} set" if side.name == "test" else f"{side.name} test"
    return validation_title(table)


def _heading(matrix: Matrix, column: str, headline: Headline, several: bool) -> str:
    return f"{matrix.columns[column]}: {headline.words}" if several else matrix.columns[column]


Column = tuple[str, list[Cell]]


def _lay_out_values(
    experiment: Experiment, table: pd.DataFrame, matrix: Matrix, side: Side
) -> DisplayTable:
    several = len(experiment.measures) > 1
    columns: list[Column] = []
    for column in matrix.columns:
        for measure in experiment.measures:
            heading = _heading(matrix, column, HEADLINES[measure], several)
            cells = matrix.of_column(column, measure)
            columns.append((heading, _values(cells, side)))
            published = [_number(cell, side.published) for cell in cells]
            if any(map(math.isfinite, published)):
                texts = [number(value, 4) for value in published]
                columns.append((f"{heading}, paper", [Cell(text) for text in texts]))
    readings = [HEADLINES[measure].reading for measure in experiment.measures]
    notes = [
        *_notes_of_values(experiment, table, side),
        *machine_note(table),
        *warnings_of(experiment),
    ]
    what = "" if len(sides_of(table)) < 2 and side.name == "cv" else _title_of_side(table, side)
    return _table(experiment, matrix, columns, what, "; ".join(readings), notes)


def _number(cell: Mapping[str, Any] | None, name: str) -> float:
    value = float("nan") if cell is None else cell.get(name, float("nan"))
    return float(value) if value != "" else float("nan")


def _values(cells: Sequence[Mapping[str, Any] | None], side: Side) -> list[Cell]:
    """Return mean ± SD and interval of each row, the largest of a split in bold."""
    values = [_number(cell, side.value) for cell in cells]
    splits = ["" if cell is None else cell["split"] for cell in cells]
    leaky = [cell is not None and cell["leaky"] == "yes" for cell in cells]
    best = best_of_groups(splits, values, leaky)
    shown = []
    for i, cell in enumerate(cells):
        if cell is None or not math.isfinite(values[i]):
            shown.append(Cell(NONE, leaky=leaky[i]))
            continue
        text = with_spread(values[i], _number(cell, side.sd) if side.sd else float("nan"))
        low, high = _number(cell, side.low), _number(cell, side.high)
        # Two digits: the interval says where the mean may lie, and takes half of a wide table.
        text += f" [{span(low, high, digits=2)}]" if math.isfinite(low) else ""
        if side.name == "cv" and cell["beats_shortcut"] == "no":
            text += f"\u00a0{DAGGER}"
        shown.append(Cell(text, i in best, leaky[i]))
    return shown


def _lay_out_differences(
    experiment: Experiment, table: pd.DataFrame, matrix: Matrix, side: Side
) -> DisplayTable:
    several = len(experiment.measures) > 1
    stem = f"{side.compared}_difference"
    columns: list[Column] = []
    for column in matrix.columns:
        for measure in experiment.measures:
            heading = _heading(matrix, column, HEADLINES[measure], several)
            cells = [_difference(cell, stem) for cell in matrix.of_column(column, measure)]
            columns.append((f"Δ {heading} [95\u00a0%], p", cells))
    notes = notes_of_differences(experiment, table, [side.compared])
    for of_measure, part in _by_measure(experiment, table):
        notes += notes_of_power(of_measure, part, side.compared)
    notes += warnings_of(experiment)
    what = f"differences from the reference, {_title_of_side(table, side)}"
    reading = "each cell is the row less the reference row, in the same column"
    return _table(experiment, matrix, columns, what, reading + DIFFERENCES_TO_READ, notes)


def _difference(cell: Mapping[str, Any] | None, stem: str) -> Cell:
    if cell is None:
        return Cell(NONE)
    leaky = cell["leaky"] == "yes"
    if cell["reference"] == "yes":
        return Cell(REFERENCE, leaky=leaky)
    value, low, high, p = (cell[f"{stem}{end}"] for end in ("", "_low", "_high", "_holm"))
    text = f"{difference(value, low, high)}, {p_value(p)}" if math.isfinite(value) else NONE
    return Cell(text, leaky=leaky)


def _notes_of_values(experiment: Experiment, table: pd.DataFrame, side: Side) -> list[str]:
    said = " and ".join(HEADLINES[name].sentence for name in experiment.measures)
    # Each set has a table of its own.
    shown = table if side.name == "cv" else table.assign(cv_mean=float("nan"))
    notes = notes_of_sets(experiment, shown, [] if side.name == "cv" else [side.name], said)
    told = (HEADLINES[name].note for name in experiment.measures)
    notes += dict.fromkeys(note for note in told if note)
    notes.append("Bold: the largest of a column, picked on the very numbers shown and so too good.")
    if side.published in table and table[side.published].notna().any():
        notes.append("Paper: its value, of its own data and runs.")
    for of_measure, part in _by_measure(experiment, table):
        notes += notes_of_shortcuts(of_measure, part) if side.name == "cv" else []
    return notes


def _table(
    experiment: Experiment,
    matrix: Matrix,
    columns: Sequence[Column],
    what: str,
    reading: str,
    notes: Sequence[str],
) -> DisplayTable:
    rows = []
    for i, (levels, title) in enumerate(matrix.rows.items()):
        leaky = levels in matrix.leaky_rows
        first = Cell(f"{title} (leaky)" if leaky else title)
        rows.append(Row((first, *(of_column[i] for _, of_column in columns)), leaky))
    return DisplayTable(
        titled(experiment, what),
        (_first_heading(experiment), *(heading for heading, _ in columns)),
        tuple(rows),
        f"How to read: {reading}.",
        tuple(notes),
        1,
        experiment.leaky == "all",
    )
