"""Figures of experiments, readable at column width and by the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.reporting.comparison_figures import draw_audit, draw_sites
from fewcase.reporting.experiment_plan import Experiment, Levels
from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    MARKERS,
    SHORTCUT_COLOUR,
    STYLE,
    draw_guessing,
    height_of_dots,
    interval_bars,
    legend_below,
    level_name,
    start_figure,
)
from fewcase.reporting.matrix_figure import draw_matrix
from fewcase.reporting.table_parts import side_title, titled, with_names
from fewcase.reporting.text import VALUE_TITLES, factor_title, factor_value, shortcut_title

REFERENCE_COLOUR = "#555555"


def draw(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw the numbers of an experiment (see `experiments.tabulate`) in its layout."""
    with matplotlib.rc_context(STYLE):
        if experiment.layout == "sites":
            return draw_sites(experiment, table)
        if experiment.layout == "audit":
            return draw_audit(experiment, table)
        if experiment.layout == "matrix":
            return draw_matrix(experiment, table)
        if experiment.layout == "sweep":
            return _draw_sweep(experiment, table)
        return _draw_dots(experiment, table)


def _levels(table: pd.DataFrame, factors: Sequence[str]) -> list[Levels]:
    """Return the levels of some factors in each row: what tells rows and series apart."""
    return [tuple(levels) for levels in table[list(factors)].to_numpy(str).tolist()]


def _label(levels: Levels, width: int = 28) -> str:
    """Return levels as one text; those that say nothing about an arm are left out."""
    told = [VALUE_TITLES.get(text, text) for text in levels if text]
    return level_name(" · ".join(told), width) if told else ""


# Dot plots ---------------------------------------------------------------------------------------


def _draw_dots(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Rows are the levels of the first factor, colours those of the others."""
    factors = experiment.factors
    table = with_names(experiment, table)
    rows, series = _levels(table, factors or ["arm"]), _levels(table, [])
    if len(experiment.vary) > 1:
        rows, series = _levels(table, factors[:1]), _levels(table, factors[1:])
    row_levels, series_levels = list(dict.fromkeys(rows)), list(dict.fromkeys(series))
    tested = f"test_{experiment.value_column}"
    panels = [("cv_mean", "cv_low", "cv_high", f"{_validation(table)}: mean")]
    if table[tested].notna().any():
        panels.append((tested, "test_low", "test_high", "Test: averaged score"))
    names = [_label(levels) or "–" for levels in row_levels]
    figure = start_figure(
        titled(experiment), experiment.leaky == "all", height_of_dots(names, len(series_levels))
    )
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    shifts = _shifts(series_levels)
    of_rows = np.array([row_levels.index(levels) for levels in rows], float)
    y = of_rows + np.array([shifts[levels] for levels in series])
    shortcuts = _place_of_shortcuts(table, of_rows, y, shifts)
    for axes, (value, low, high, title) in zip(all_axes, panels, strict=True):
        for k, levels in enumerate(series_levels):
            chosen = np.array([other == levels for other in series])
            _dots(axes, table[chosen], y[chosen], (value, low, high), k, _label(levels))
        _shortcut_lines(axes, table, _shortcut_columns(experiment, value), *shortcuts)
        published = "published_cv_mean" if value == "cv_mean" else "published_test"
        if published in table:
            _published_dots(axes, table[published], y)
        axes.set_title(title, loc="left")
        axes.set_xlabel(f"{experiment.headline.title}, 95 % interval")
        axes.grid(axis="x")
        draw_guessing(axes, experiment.guessing, vertical=True)
    all_axes[0].set_yticks(range(len(names)), names)
    all_axes[0].set_ylim(len(names) - 0.5, -0.5)
    marked = "published_test" in table or experiment.leaky == "some"
    marked |= bool(table[f"shortcut_{experiment.value_column}"].notna().any())
    legend_below(figure, all_axes[0], len(series_levels) > 1 or marked)
    return figure


def _shifts(series: Sequence[Levels]) -> dict[Levels, float]:
    """Return how far the dots of each series stand from the middle of a row.

    The series without a level, a classical arm without augmentation say, stands in the middle.
    """
    named = [levels for levels in series if any(levels)]
    step = min(0.8 / max(len(named), 1), 0.22)
    shifts = {levels: (k - (len(named) - 1) / 2) * step for k, levels in enumerate(named)}
    return {levels: shifts.get(levels, 0.0) for levels in series}


def _dots(
    axes: Axes,
    part: pd.DataFrame,
    y: np.ndarray,
    columns: tuple[str, str, str],
    k: int,
    name: str,
) -> None:
    value, low, high = columns
    colour = COLOURS[k % len(COLOURS)]
    axes.errorbar(
        part[value],
        y,
        xerr=interval_bars(part[value], part[low], part[high]),
        fmt=MARKERS[k % len(MARKERS)],
        color=colour,
        markersize=3.6,
        elinewidth=0.9,
        label=name or None,
    )
    leaky = (part["leaky"] == "yes").to_numpy()
    if leaky.any():
        axes.scatter(
            part[value][leaky],
            y[leaky],
            s=46,
            facecolors="none",
            edgecolors=LEAKY_COLOUR,
            linewidths=1.1,
            label="leaky split",
        )


def _published_dots(axes: Axes, values: pd.Series, y: np.ndarray) -> None:
    style: dict[str, Any] = {"marker": "|", "s": 30, "color": "#888888", "linewidths": 1.2}
    axes.scatter(values, y, label="published", zorder=1, **style)


# Shortcuts ---------------------------------------------------------------------------------------


def _place_of_shortcuts(
    table: pd.DataFrame, rows: np.ndarray, dots: np.ndarray, shifts: Mapping[Levels, float]
) -> tuple[np.ndarray, float]:
    """Return where the shortcut of each arm's split stands, and half the height of its line.

    A row of one split has one line; where splits share a row, each dot has its own.
    """
    if len(set(zip(rows, table["split"], strict=True))) == len(set(rows)):
        return rows, 0.42
    return dots, 0.45 * float(min(np.diff(sorted(shifts.values())), default=1.0))


def _validation(table: pd.DataFrame) -> str:
    return "Cross-validation" if side_title(table) == "CV" else "Validation"


def _shortcut_columns(experiment: Experiment, value: str) -> tuple[str, str, str]:
    """Return the columns of the best shortcut, and of its interval, beside those of arms."""
    prefix = "shortcut_" if value == "cv_mean" else "shortcut_test_"
    return f"{prefix}{experiment.value_column}", f"{prefix}low", f"{prefix}high"


def _shortcut_lines(
    axes: Axes,
    table: pd.DataFrame,
    columns: tuple[str, str, str],
    places: np.ndarray,
    half: float,
    vertical: bool = True,
) -> None:
    """Draw the best shortcut of each split, dashed, with the band of its interval.

    It runs through the panel where all arms share a split, else beside the arms of its split.
    """
    value, low, high = columns
    known = table[table[value].notna()]
    if known.empty:
        return
    style: dict[str, Any] = {"color": SHORTCUT_COLOUR, "linewidth": 1, "linestyle": (0, (4, 2))}
    band: dict[str, Any] = {"color": SHORTCUT_COLOUR, "alpha": 0.13, "linewidth": 0, "zorder": 0}
    if table["split"].nunique() == 1:
        row = known.iloc[0]
        name = f"best shortcut, 95 % interval: {level_name(shortcut_title(row['shortcut']), 40, 1)}"
        line, area = (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
        line(row[value], label=name, zorder=0.5, **style)
        if math.isfinite(row[low]):
            area(row[low], row[high], **band)
        return
    label: str | None = "best shortcut under the same split, 95 % interval"
    known = known.assign(place=places[table.index.get_indexer(known.index)])
    for _, row in known.drop_duplicates(["place", "split"]).iterrows():
        along, at = [row["place"] - half, row["place"] + half], [row[value]] * 2
        axes.plot(*((at, along) if vertical else (along, at)), label=label, zorder=0.5, **style)
        fill = axes.fill_betweenx if vertical else axes.fill_between
        if math.isfinite(row[low]):
            fill(along, row[low], row[high], **band)
        label = None


# Sweeps ------------------------------------------------------------------------------------------


def swept_factor(experiment: Experiment) -> str:
    """Return the factor on the horizontal axis: the first one whose levels are numbers or null."""

    def is_number(level: Any) -> bool:
        return level is None or (isinstance(level, (int, float)) and not isinstance(level, bool))

    varied = [name for name in experiment.factors if name in experiment.vary]
    for name in varied:
        levels = experiment.vary[name]
        if all(map(is_number, levels)) and any(level is not None for level in levels):
            return name
    return next(iter([*varied, *experiment.factors]), "arm")


def _positions(levels: Sequence[str]) -> dict[str, float]:
    """Return where each level stands: numbers to scale, words to their right, apart."""
    numbers = {}
    for level in levels:
        try:
            numbers[level] = float(level)
        except ValueError:
            continue
    ordered = sorted(numbers.values())
    step = float(np.median(np.diff(ordered))) if len(ordered) > 1 else 1.0
    behind = ordered[-1] + 1.5 * step if ordered else 0.0
    words = [level for level in levels if level not in numbers]
    return numbers | {level: behind + i * step for i, level in enumerate(words)}


def _draw_sweep(experiment: Experiment, table: pd.DataFrame) -> Figure:
    swept, tested = swept_factor(experiment), f"test_{experiment.value_column}"
    table = with_names(experiment, table, but=swept)
    across = _stands_apart(experiment, table, swept)
    apart, table = table[across], table[~across]
    others = [name for name in experiment.factors if name != swept]
    lines = _levels(table, others)
    levels = [level for level in dict.fromkeys(table[swept]) if level != ""]
    place = _positions(levels)
    has_test = bool(table[tested].notna().any())
    figure = start_figure(titled(experiment), experiment.leaky == "all", 4.6 if has_test else 2.9)
    panels = figure.subplots(2 if has_test else 1, 1, sharex=True, squeeze=False)[:, 0]
    series = list(dict.fromkeys(lines))
    width = min(np.diff(sorted(place.values())), default=1.0)
    shown = [("cv_mean", "cv_sd"), (tested, "test_low", "test_high")]
    for k, of_series in enumerate(series):
        part = table[np.array([line == of_series for line in lines])]
        shift = (k - (len(series) - 1) / 2) * 0.12 * width
        x = part[swept].map(place).to_numpy(float) + shift
        for axes, columns in zip(panels, shown, strict=False):
            _sweep_line(axes, part, swept, x, columns, k, _label(of_series))
    for axes, (value, *spread) in zip(panels, shown, strict=False):
        x = table[swept].map(place).to_numpy(float)
        of_splits, columns = table[np.isfinite(x)], _shortcut_columns(experiment, value)
        _shortcut_lines(axes, of_splits, columns, x[np.isfinite(x)], 0.3 * width, vertical=False)
        names = [_label(row) for row in _levels(apart, others)]
        _reference_lines(axes, apart, (value, *spread), names)
    title = f"{_validation(table)}: mean ± standard deviation over runs"
    panels[0].set_title(title, loc="left")
    if has_test:
        panels[1].set_title("Test: averaged score with 95 % interval", loc="left")
    for axes in panels:
        axes.set_ylabel(experiment.headline.title)
        axes.grid(axis="y")
        draw_guessing(axes, experiment.guessing, vertical=False)
    names = [level_name(experiment.names.get(level, level), 18) for level in levels]
    panels[-1].set_xticks([place[level] for level in levels], names)
    if sum(max(map(len, name.splitlines())) for name in names) > 70:
        panels[-1].tick_params(axis="x", rotation=30)
    panels[-1].set_xlabel(factor_title(swept))
    marked = bool(table[f"shortcut_{experiment.value_column}"].notna().any()) or len(apart) > 0
    legend_below(figure, panels[0], len(series) > 1 or marked)
    return figure


def _stands_apart(experiment: Experiment, table: pd.DataFrame, swept: str) -> np.ndarray:
    """Return which rows are a reference that is no part of the sweep, and so a line across.

    It has a factor that is not varied, such as real images alone beside numbers of synthetic ones,
    or a level that is not among those of the sweep.
    """
    varied = set(map(factor_value, experiment.vary.get(swept, [])))
    extra = [name for name in experiment.factors if name not in experiment.vary]
    apart = np.zeros(len(table), bool)
    if not varied or "reference" not in table:
        return apart
    for i, row in enumerate(table.to_dict("records")):
        outside = any(row[name] != "" for name in extra) or row[swept] not in varied
        apart[i] = row["reference"] == "yes" and row[swept] != "" and outside
    return apart if not apart.all() else np.zeros(len(table), bool)


def _reference_lines(
    axes: Axes, rows: pd.DataFrame, columns: Sequence[str], names: Sequence[str]
) -> None:
    """Draw references as lines across, with a band as wide as the bars of other arms."""
    for name, row in zip(names, rows.to_dict("records"), strict=True):
        colour = LEAKY_COLOUR if row["leaky"] == "yes" else REFERENCE_COLOUR
        label = f"reference: {name}" if name else "reference"
        value = row[columns[0]]
        axes.axhline(value, color=colour, linewidth=1.2, label=label, zorder=0.6)
        spread = [row[name] for name in columns[1:]]
        low, high = spread if len(spread) == 2 else (value - spread[0], value + spread[0])
        if math.isfinite(low):
            axes.axhspan(low, high, color=colour, alpha=0.15, linewidth=0, zorder=0)


def _sweep_line(
    axes: Axes,
    part: pd.DataFrame,
    swept: str,
    x: np.ndarray,
    columns: tuple[str, ...],
    k: int,
    name: str,
) -> None:
    """Draw one line over the numeric levels.

    A level in words is a point by itself, and an arm without a level, such as a classical one, a
    line across.
    """
    colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
    if (part["leaky"] == "yes").any():
        colour = LEAKY_COLOUR
    placed = np.isfinite(x)
    for value in part[columns[0]][~placed]:
        axes.axhline(value, color=colour, linewidth=1, linestyle=(0, (5, 2)), label=name or None)
    if not placed.any():
        return
    part, x = part[placed], x[placed]
    order = np.argsort(x, kind="stable")
    part, x = part.iloc[order], x[order]
    y = part[columns[0]].to_numpy(float)
    if len(columns) == 2:
        spread = np.nan_to_num(part[columns[1]].to_numpy(float))
        bars = np.stack([spread, spread])
    else:
        bars = interval_bars(part[columns[0]], part[columns[1]], part[columns[2]])
    axes.errorbar(
        x,
        y,
        yerr=bars,
        fmt=marker,
        color=colour,
        markersize=4,
        elinewidth=0.9,
        capsize=2,
        label=name or None,
    )
    numeric = np.array([_is_numeric(level) for level in part[swept]])
    axes.plot(x[numeric], y[numeric], color=colour, linewidth=1.2)


def _is_numeric(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
