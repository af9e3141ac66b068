"""The figure of a matrix: a panel for each column, a dot for each row and measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    MARKERS,
    SHORTCUT_COLOUR,
    draw_guessing,
    height_of_dots,
    interval_bars,
    legend_below,
    level_name,
    start_figure,
)
from fewcase.reporting.headline import HEADLINES
from fewcase.reporting.matrix_tables import OF_CV, Matrix, Side, sides_of
from fewcase.reporting.table_parts import side_title, titled
from fewcase.reporting.text import shortcut_title

MOST_BESIDE = 3
"""Panels that stand beside each other; of more columns the others follow below."""

NAN = float("nan")


def draw_matrix(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw a matrix (see `experiments.tabulate`), cross-validation above the test set."""
    matrix = Matrix.of(experiment, table)
    sides = sides_of(table) or [OF_CV]
    columns = list(matrix.columns)
    beside = min(len(columns), MOST_BESIDE)
    lines = math.ceil(len(columns) / beside)
    names = [level_name(title, 30 if beside > 1 else 40) for title in matrix.rows.values()]
    height = height_of_dots(names, len(experiment.measures)) + 0.15
    figure = start_figure(
        titled(experiment), experiment.leaky == "all", 0.4 + height * lines * len(sides)
    )
    grid = figure.subplots(lines * len(sides), beside, sharey=True, sharex="all", squeeze=False)
    measured = " and ".join(HEADLINES[name].sentence for name in experiment.measures)
    for s, side in enumerate(sides):
        panels = grid[s * lines : (s + 1) * lines].ravel()
        for axes in panels[len(columns) :]:
            axes.set_visible(False)
        for axes, column in zip(panels, columns, strict=False):
            _draw_panel(axes, experiment, matrix, column, side)
            told = matrix.columns[column] if len(columns) > 1 else ""
            axes.set_title(_title(told, side, table, len(sides)), loc="left")
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(names)), names)
    grid[0, 0].set_ylim(len(names) - 0.5, -0.5)
    for axes in grid.ravel():
        draw_guessing(axes, experiment.guessing, vertical=True)
        axes.tick_params(labelbottom=True)
    last = grid[-1, min(beside // 2, (len(columns) - 1) % beside)]
    last.set_xlabel(f"{measured[:1].upper()}{measured[1:]}, 95 % interval")
    legend_below(figure, grid[0, 0], bool(grid[0, 0].get_legend_handles_labels()[1]))
    return figure


def _title(column: str, side: Side, table: pd.DataFrame, sides: int) -> str:
    of_side = "test" if side.name != "cv" else side_title(table)
    parts = [level_name(column, 26, 2)] if column else []
    return "\n".join([*parts, *([of_side] if sides > 1 or not column else [])])


def _draw_panel(
    axes: Axes, experiment: Experiment, matrix: Matrix, column: str, side: Side
) -> None:
    measures = experiment.measures
    for k, measure in enumerate(measures):
        cells = matrix.of_column(column, measure)
        y = np.arange(len(cells)) + (k - (len(measures) - 1) / 2) * 0.24
        value, low, high = (_numbers(cells, name) for name in (side.value, side.low, side.high))
        colour = COLOURS[k % len(COLOURS)]
        label = HEADLINES[measure].sentence if len(measures) > 1 else None
        style: dict[str, Any] = {"markersize": 3.8, "elinewidth": 0.9, "color": colour}
        bars = interval_bars(value, low, high)
        axes.errorbar(value, y, xerr=bars, fmt=MARKERS[k % len(MARKERS)], label=label, **style)
        published = _numbers(cells, side.published)
        if np.isfinite(published).any():
            mark: dict[str, Any] = {"marker": "|", "color": "#888888", "linewidths": 1.2}
            axes.scatter(published, y, s=34, label=None if k else "published", **mark)
        leaky = np.array([cell is not None and cell["leaky"] == "yes" for cell in cells])
        if leaky.any():
            ring: dict[str, Any] = {"facecolors": "none", "edgecolors": LEAKY_COLOUR}
            axes.scatter(
                value[leaky],
                y[leaky],
                s=46,
                linewidths=1.1,
                label=None if k else "leaky split",
                **ring,
            )
    if side.name == "cv":
        _draw_shortcut(axes, matrix.of_column(column, measures[0]))
    axes.grid(axis="x")


def _numbers(cells: Sequence[Mapping[str, Any] | None], name: str) -> np.ndarray:
    values = [NAN if cell is None else cell.get(name, NAN) for cell in cells]
    return np.array([NAN if value == "" else float(value) for value in values])


def _draw_shortcut(axes: Axes, cells: Sequence[Mapping[str, Any] | None]) -> None:
    """Draw the best shortcut of the headline where all arms of a column share a split."""
    known = [cell for cell in cells if cell is not None]
    if len({cell["split"] for cell in known}) != 1 or not math.isfinite(known[0]["shortcut_value"]):
        return
    row = known[0]
    name = f"best shortcut, 95 % interval: {level_name(shortcut_title(row['shortcut']), 40, 1)}"
    axes.axvline(
        row["shortcut_value"], color=SHORTCUT_COLOUR, linewidth=1, linestyle=(0, (4, 2)), label=name
    )
    if math.isfinite(row["shortcut_low"]):
        ends = row["shortcut_low"], row["shortcut_high"]
        axes.axvspan(*ends, color=SHORTCUT_COLOUR, alpha=0.13, linewidth=0, zorder=0)
