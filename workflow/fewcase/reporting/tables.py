"""Grids and sweeps laid out for reading, one row for each arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.experiments import TEST_SETS
from fewcase.reporting.table_parts import (
    DAGGER,
    groups_of,
    is_constant,
    level_title,
    machine_note,
    machines,
    notes_of_differences,
    notes_of_power,
    notes_of_sets,
    notes_of_shortcuts,
    side_title,
    titled,
    warnings_of,
    with_names,
)
from fewcase.reporting.text import (
    count,
    difference,
    factor_title,
    number,
    p_value,
    plain,
    span,
    with_interval,
    with_spread,
)

DIFFERENCES_TO_READ = (
    "; an arm is shown to differ from the reference only where p, adjusted for the number of "
    "comparisons, is below 0.05"
)

# A heading, the cells below it, and the values by which the best cell is found (None: by none).
NumberColumn = tuple[str, list[str], list[float] | None]


def _machine_columns(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return weights and precision as columns where they differ between the rows that have any.

    A classical arm has neither. Weights that an experiment varies have their column already.
    """
    columns = []
    for key, title in [("weights", "Weights"), ("precision", "Precision")]:
        if key not in table and len(machines(table, key)) > 1:
            columns.append((title, [plain(text) or "–" for text in table[f"run_{key}"]]))
    return columns


def _count_column(
    experiment: Experiment, name: str, title: str, table: pd.DataFrame
) -> list[NumberColumn]:
    """Return how many examples and positives each row has of a set, where rows differ."""
    if experiment.has_several_classes:
        if is_constant(table, (f"{name}_examples",)):
            return []
        return [(f"{title} n", [count(n) for n in table[f"{name}_examples"]], None)]
    if is_constant(table, (f"{name}_examples", f"{name}_positives")):
        return []
    return [(f"{title} n / positive", _count_cells(name, table), None)]


def _count_cells(name: str, table: pd.DataFrame) -> list[str]:
    pairs = zip(table[f"{name}_examples"], table[f"{name}_positives"], strict=True)
    return [examples_and_positives(n, positives) for n, positives in pairs]


def examples_and_positives(examples: float, positives: float) -> str:
    """Return ``examples / positives``, or a dash where there are none."""
    return f"{count(examples)} / {count(positives)}" if math.isfinite(examples) else "–"


def lay_out_arms(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the arms of a grid or sweep (see `experiments.tabulate`), one row each."""
    shown = with_names(experiment, table)
    words: list[tuple[str, list[str]]] = [
        (factor_title(name), [level_title(text) for text in shown[name]])
        for name in experiment.factors
    ]
    words = words or [("Arm", [plain(name) for name in table["arm"]])]
    words += _machine_columns(table)
    numbers: list[NumberColumn] = []
    if table["cv_mean"].notna().any():
        numbers += _validation_columns(experiment, table)
    names = shown_tests(table)
    for name in names:
        numbers += _test_columns(experiment, table, name, over_runs=name == names[0])
    numbers += _published_columns(table)
    rows = _rows_of(experiment, table, words, numbers)
    return DisplayTable(
        title=titled(experiment),
        columns=tuple([title for title, _ in words] + [title for title, _, _ in numbers]),
        rows=rows,
        reading=_reading_of_arms(experiment, table),
        notes=tuple(_notes_of_arms(experiment, table, names)),
        words=len(words),
        leaky=experiment.leaky == "all",
    )


def shown_tests(table: pd.DataFrame) -> list[str]:
    """Return the names of the test sets to show."""
    names = [n for n in TEST_SETS if table[f"{n}_examples"].notna().any()]
    # One kind of held-out site only: the whole test set is that kind, and is shown once.
    return names[1:] if len(names) == 2 else names


def _zip_cells(table: pd.DataFrame, columns: Sequence[str], form: Any) -> list[str]:
    return [form(*values) for values in zip(*(table[c] for c in columns), strict=True)]


def _validation_columns(experiment: Experiment, table: pd.DataFrame) -> list[NumberColumn]:
    means = table["cv_mean"].tolist()
    spread = _zip_cells(table, ("cv_mean", "cv_sd"), with_spread)
    marks = [f"\u00a0{DAGGER}" if beats == "no" else "" for beats in table["beats_shortcut"]]
    title = side_title(table)
    heading = f"{title} {experiment.headline.words}, mean ± SD"
    columns: list[NumberColumn] = [
        (heading, [a + b for a, b in zip(spread, marks, strict=True)], means),
        ("95\u00a0% interval", _zip_cells(table, ("cv_low", "cv_high"), span), None),
        *_difference_columns(table, "cv", title),
    ]
    return [*columns, *_count_column(experiment, "cv", title, table)]


def _test_columns(
    experiment: Experiment, table: pd.DataFrame, name: str, over_runs: bool
) -> list[NumberColumn]:
    title, words = name.capitalize(), experiment.headline.words
    value = f"{name}_{experiment.value_column}"
    interval = (value, f"{name}_low", f"{name}_high")
    spread = (f"{name}_mean", f"{name}_sd")
    columns: list[NumberColumn] = [
        (
            f"{title} {words} [95\u00a0%]",
            _zip_cells(table, interval, with_interval),
            table[value].tolist(),
        )
    ]
    if over_runs:
        cells = _zip_cells(table, spread, with_spread)
        columns.append((f"{title} {words}, mean of runs ± SD", cells, None))
        # The only kind of held-out site is the whole test set, by the name of its kind.
        columns += _difference_columns(table, "test", title)
    return [*columns, *_count_column(experiment, name, title, table)]


def _difference_columns(table: pd.DataFrame, side: str, title: str) -> list[NumberColumn]:
    """Return differences from the reference arm as one column, where there are any."""
    if table[f"{side}_difference"].isna().all():
        return []
    ends = [f"{side}_difference{end}" for end in ("", "_low", "_high", "_holm")]
    cells = []
    compared = set(table.loc[table["reference"] == "no", "split"])
    for reference, split, value, low, high, p in zip(
        table["reference"], table["split"], *(table[c] for c in ends), strict=True
    ):
        known = math.isfinite(value)
        text = f"{difference(value, low, high)}, {p_value(p)}" if known else "–"
        cells.append("reference" if reference == "yes" and split in compared else text)
    return [(f"{title} Δ [95\u00a0%], p", cells, None)]


def _published_columns(table: pd.DataFrame) -> list[NumberColumn]:
    columns: list[NumberColumn] = []
    if "published_cv_mean" not in table:
        return columns
    if table["published_cv_mean"].notna().any():
        spread = ("published_cv_mean", "published_cv_sd")
        columns.append(("Published CV", _zip_cells(table, spread, with_spread), None))
    if table["published_test"].notna().any():
        columns.append(("Published test", [number(v) for v in table["published_test"]], None))
    return columns


def best_of_groups(
    groups: Sequence[Any], values: Sequence[float], leaky: Sequence[bool]
) -> set[int]:
    """Return the row with the largest value in each group of two rows or more.

    A leaky row never wins against honest ones.
    """
    best: dict[Any, int] = {}
    sizes: dict[Any, int] = {}
    for i, (group, value) in enumerate(zip(groups, values, strict=True)):
        if not math.isfinite(value) or leaky[i]:
            continue
        sizes[group] = sizes.get(group, 0) + 1
        if group not in best or value > values[best[group]]:
            best[group] = i
    return {row for group, row in best.items() if sizes[group] > 1}


def _rows_of(
    experiment: Experiment,
    table: pd.DataFrame,
    words: Sequence[tuple[str, list[str]]],
    numbers: Sequence[NumberColumn],
) -> tuple[Row, ...]:
    leaky = [text == "yes" for text in table["leaky"]]
    groups = groups_of(experiment, table)
    # Other labels or other hospitals held out are another question: no arm wins across splits.
    rivals = list(zip(groups or [""] * len(table), table["split"], strict=True))
    best = [
        best_of_groups(rivals, values, leaky) if values is not None else set()
        for _, _, values in numbers
    ]
    rows = []
    for i in range(len(table)):
        cells = [Cell(texts[i]) for _, texts in words]
        if leaky[i]:
            cells[0] = Cell(f"{cells[0].text} (leaky)")
        cells += [Cell(texts[i], i in best[c]) for c, (_, texts, _) in enumerate(numbers)]
        starts = groups is not None and i > 0 and groups[i] != groups[i - 1]
        rows.append(Row(tuple(cells), leaky[i], starts))
    return tuple(rows)


def _reading_of_arms(experiment: Experiment, table: pd.DataFrame) -> str:
    compared = table[["cv_difference", "test_difference"]].notna().any(axis=None)
    reading = f"How to read: {experiment.headline.reading}"
    return reading + (DIFFERENCES_TO_READ if compared else "") + "."


def _notes_of_arms(experiment: Experiment, table: pd.DataFrame, tests: Sequence[str]) -> list[str]:
    notes = notes_of_sets(experiment, table, tests, experiment.headline.sentence)
    if experiment.headline.note:
        notes.append(experiment.headline.note)
    if len(experiment.arms) > 1:
        group = "the table" if groups_of(experiment, table) is None else "each group"
        split = "" if is_constant(table, ["split"]) else " under one split"
        notes.append(
            f"Bold: the largest of {group}{split}, picked on the very numbers shown and so too "
            "good."
        )
    notes += [*notes_of_differences(experiment, table), *notes_of_shortcuts(experiment, table)]
    notes += [*notes_of_power(experiment, table), *machine_note(table)]
    return [*notes, *warnings_of(experiment)]
