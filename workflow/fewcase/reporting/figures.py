"""Figures of experiments, readable at column width and by the colour-blind."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.data.files import atomic_path
from fewcase.reporting.audit_tables import comparison_of_schemes
from fewcase.reporting.experiments import Experiment
from fewcase.reporting.site_tables import comparison_of_sites
from fewcase.reporting.tables import titled
from fewcase.reporting.text import (
    VALUE_TITLES,
    factor_title,
    plain,
    shortcut_title,
    shorten,
    with_bound_options,
)

# Okabe and Ito's colours, told apart by colour-blind readers, black first and yellow left out.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LEAKY_COLOUR = "#C00000"
SHORTCUT_COLOUR = "#B07000"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#D8D8D8",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "fewcase",
    # Names from data may hold a dollar sign, which is no mathematics.
    "text.parse_math": False,
}
INCHES_WIDE = 6.9


def draw(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw the numbers of an experiment (see `experiments.tabulate`) in its layout."""
    with matplotlib.rc_context(STYLE):
        if experiment.layout == "sites":
            return _draw_sites(experiment, table)
        if experiment.layout == "audit":
            return _draw_audit(experiment, table)
        if experiment.layout == "sweep":
            return _draw_sweep(experiment, table)
        return _draw_dots(experiment, table)


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to each path, SVG or PNG; the same figure gives the same bytes."""
    metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }
    with matplotlib.rc_context(STYLE):
        for path in paths:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=200, metadata=metadata[path.suffix])


def level_name(text: str, width: int = 28, lines: int = 3) -> str:
    """Return a level of a factor as figures print it: in a few lines where it is long."""
    words = plain(VALUE_TITLES.get(text, text)) or "–"
    wrapped = textwrap.wrap(with_bound_options(shorten(words, width * lines)), width)
    return "\n".join(wrapped).replace("\u00a0", " ")


def start_figure(title: str, leaky: bool, height: float) -> Figure:
    """Return an empty figure of column width with its title."""
    figure = Figure(figsize=(INCHES_WIDE, height), layout="constrained")
    colour = LEAKY_COLOUR if leaky else "black"
    # Matplotlib's own wrapping would read dollar signs as mathematics.
    lines = textwrap.fill(shorten(title, 220), 88)
    figure.suptitle(lines, fontsize=9.5, color=colour)
    return figure


Levels = tuple[str, ...]


def _levels(table: pd.DataFrame, factors: Sequence[str]) -> list[Levels]:
    """Return the levels of some factors in each row: what tells rows and series apart."""
    return [tuple(levels) for levels in table[list(factors)].to_numpy(str).tolist()]


def _label(levels: Levels, width: int = 28) -> str:
    """Return levels as one text; those that say nothing about an arm are left out."""
    told = [VALUE_TITLES.get(text, text) for text in levels if text]
    return level_name(" · ".join(told), width) if told else ""


def _bars(values: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """Return error bar lengths from the ends of intervals, none where there is no interval."""
    centre = np.asarray(values, float)
    ends = np.stack([centre - np.asarray(low, float), np.asarray(high, float) - centre])
    return np.where(np.isfinite(ends), np.maximum(ends, 0), 0)


def _chance(axes: Axes, vertical: bool) -> None:
    """Draw the line of chance where it lies within, or next to, what is shown."""
    low, high = axes.get_xlim() if vertical else axes.get_ylim()
    if low < 0.56 and high > 0.5:
        line = axes.axvline if vertical else axes.axhline
        line(0.5, color="#909090", linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)


# Dot plots ---------------------------------------------------------------------------------------


def _draw_dots(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Rows are the levels of the first factor, colours those of the others."""
    factors = experiment.factors
    rows, series = _levels(table, factors or ["arm"]), _levels(table, [])
    if len(experiment.vary) > 1:
        rows, series = _levels(table, factors[:1]), _levels(table, factors[1:])
    row_levels, series_levels = list(dict.fromkeys(rows)), list(dict.fromkeys(series))
    panels = [("cv_mean", "cv_low", "cv_high", "Cross-validation: mean")]
    if table["test_auc"].notna().any():
        panels.append(("test_auc", "test_low", "test_high", "Test: averaged score"))
    names = [_label(levels) or "–" for levels in row_levels]
    figure = start_figure(
        titled(experiment), experiment.leaky == "all", _height_of_dots(names, len(series_levels))
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
        _shortcut_lines(axes, table, *shortcuts, value)
        published = {"cv_mean": "published_cv_mean", "test_auc": "published_test"}[value]
        if published in table:
            _published_dots(axes, table[published], y)
        axes.set_title(title, loc="left")
        axes.set_xlabel("ROC-AUC, 95 % interval")
        axes.grid(axis="x")
        _chance(axes, vertical=True)
    all_axes[0].set_yticks(range(len(names)), names)
    all_axes[0].set_ylim(len(names) - 0.5, -0.5)
    marked = "published_test" in table or experiment.leaky == "some"
    marked |= bool(table["shortcut_auc"].notna().any())
    _legend_below(figure, all_axes[0], len(series_levels) > 1 or marked)
    return figure


def _height_of_dots(names: Sequence[str], series: int) -> float:
    """Return the height in inches that rows of dots need, with room for the lines of a name."""
    lines = max(name.count("\n") + 1 for name in names)
    return 1.1 + len(names) * max(0.16 + 0.14 * lines, 0.115 * series) + 0.3 * (series > 1)


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
        xerr=_bars(part[value], part[low], part[high]),
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


def _shortcut_lines(
    axes: Axes,
    table: pd.DataFrame,
    places: np.ndarray,
    half: float,
    value: str,
    vertical: bool = True,
) -> None:
    """Draw the best shortcut of each split, dashed, with the band of its interval.

    It runs through the panel where all arms share a split, else beside the arms of its split.
    """
    prefix = "shortcut_test_" if value == "test_auc" else "shortcut_"
    known = table[table[f"{prefix}auc"].notna()]
    if known.empty:
        return
    style: dict[str, Any] = {"color": SHORTCUT_COLOUR, "linewidth": 1, "linestyle": (0, (4, 2))}
    band: dict[str, Any] = {"color": SHORTCUT_COLOUR, "alpha": 0.13, "linewidth": 0, "zorder": 0}
    if table["split"].nunique() == 1:
        row = known.iloc[0]
        name = f"best shortcut, 95 % interval: {level_name(shortcut_title(row['shortcut']), 40, 1)}"
        line, area = (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
        line(row[f"{prefix}auc"], label=name, zorder=0.5, **style)
        if math.isfinite(row[f"{prefix}low"]):
            area(row[f"{prefix}low"], row[f"{prefix}high"], **band)
        return
    label: str | None = "best shortcut under the same split, 95 % interval"
    known = known.assign(place=places[table.index.get_indexer(known.index)])
    for _, row in known.drop_duplicates(["place", "split"]).iterrows():
        along, at = [row["place"] - half, row["place"] + half], [row[f"{prefix}auc"]] * 2
        axes.plot(*((at, along) if vertical else (along, at)), label=label, zorder=0.5, **style)
        fill = axes.fill_betweenx if vertical else axes.fill_between
        if math.isfinite(row[f"{prefix}low"]):
            fill(along, row[f"{prefix}low"], row[f"{prefix}high"], **band)
        label = None


def _legend_below(figure: Figure, axes: Axes, wanted: bool) -> None:
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    # Series in their order, then what was published: scatter plots would come first.
    last = ("published", "leaky split", "best shortcut")
    ordered = sorted(entries, key=lambda entry: entry[1].startswith(last))
    handles, labels = zip(*ordered, strict=True) if ordered else ((), ())
    if wanted and handles:
        longest = max(len(line) for label in labels for line in label.splitlines())
        columns = min(len(labels), 6 if longest < 16 else 3)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


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
    swept = swept_factor(experiment)
    others = [name for name in experiment.factors if name != swept]
    lines = _levels(table, others)
    levels = [level for level in dict.fromkeys(table[swept]) if level != ""]
    place = _positions(levels)
    has_test = bool(table["test_auc"].notna().any())
    figure = start_figure(titled(experiment), experiment.leaky == "all", 4.6 if has_test else 2.9)
    panels = figure.subplots(2 if has_test else 1, 1, sharex=True, squeeze=False)[:, 0]
    series = list(dict.fromkeys(lines))
    width = min(np.diff(sorted(place.values())), default=1.0)
    for k, of_series in enumerate(series):
        part = table[np.array([line == of_series for line in lines])]
        shift = (k - (len(series) - 1) / 2) * 0.12 * width
        x = part[swept].map(place).to_numpy(float) + shift
        name = _label(of_series)
        _sweep_line(panels[0], part, swept, x, ("cv_mean", "cv_sd"), k, name)
        if has_test:
            columns = ("test_auc", "test_low", "test_high")
            _sweep_line(panels[1], part, swept, x, columns, k, name)
    for axes, value in zip(panels, ("cv_mean", "test_auc"), strict=False):
        x = table[swept].map(place).to_numpy(float)
        of_splits = table[np.isfinite(x)]
        _shortcut_lines(axes, of_splits, x[np.isfinite(x)], 0.3 * width, value, vertical=False)
    panels[0].set_title("Cross-validation: mean ± standard deviation over runs", loc="left")
    if has_test:
        panels[1].set_title("Test: averaged score with 95 % interval", loc="left")
    for axes in panels:
        axes.set_ylabel("ROC-AUC")
        axes.grid(axis="y")
        _chance(axes, vertical=False)
    names = [level_name(level, 18) for level in levels]
    panels[-1].set_xticks([place[level] for level in levels], names)
    if sum(max(map(len, name.splitlines())) for name in names) > 70:
        panels[-1].tick_params(axis="x", rotation=30)
    panels[-1].set_xlabel(factor_title(swept))
    marked = bool(table["shortcut_auc"].notna().any())
    _legend_below(figure, panels[0], len(series) > 1 or marked)
    return figure


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
        bars = _bars(part[columns[0]], part[columns[1]], part[columns[2]])
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


# Sites -------------------------------------------------------------------------------------------


def _draw_sites(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Rows are hospitals, once for every hold-out that they are tested by."""
    found = comparison_of_sites(experiment, table)
    recipes = list(dict.fromkeys(found["recipe"]))
    tests = list(found[["site", "hold_out", "kind"]].itertuples(index=False, name=None))
    rows = sorted(set(tests), key=lambda row: (row[0], tests.index(row)))
    figure = start_figure(
        titled(experiment),
        experiment.leaky == "all",
        1.5 + 0.42 * len(rows) * max(1, len(recipes) * 0.6),
    )
    axes = figure.subplots()
    place = np.array([rows.index(test) for test in tests], float)
    slots = len(recipes) * 2
    for r, recipe in enumerate(recipes):
        chosen = (found["recipe"] == recipe).to_numpy()
        for s, side in enumerate(("cv", "test")):
            shift = (2 * r + s - (slots - 1) / 2) * 0.72 / slots
            # One recipe: a colour for each side; several: one for each recipe, told by its mark.
            k = 1 + s if len(recipes) == 1 else r
            name = recipe if len(recipes) > 1 else ""
            _site_dots(axes, found[chosen], place[chosen] + shift, side, k, name)
    axes.set_yticks(range(len(rows)), [_test_name(*row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("ROC-AUC with 95 % interval")
    axes.grid(axis="x")
    _chance(axes, vertical=True)
    _legend_below(figure, axes, True)
    return figure


def _site_dots(
    axes: Axes, part: pd.DataFrame, y: np.ndarray, side: str, k: int, recipe: str
) -> None:
    value = part[f"{side}_auc"]
    colour = COLOURS[k % len(COLOURS)]
    words = {"cv": "within cross-validation", "test": "held out"}[side]
    axes.errorbar(
        value,
        y,
        xerr=_bars(value, part[f"{side}_low"], part[f"{side}_high"]),
        fmt={"cv": "o", "test": "s"}[side],
        color=colour,
        markerfacecolor="white" if recipe and side == "test" else colour,
        markersize=4.5,
        elinewidth=1,
        label=level_name(f"{recipe} · {words}" if recipe else words),
    )


def _test_name(site: str, hold_out: str, kind: str) -> str:
    """Return the name of a row: the hospital, and how it is tested by which hold-out."""
    name = level_name(site, 30) if site else "all hospitals"
    by = f"{kind} test, {hold_out}" if kind else hold_out
    return f"{name}\n({level_name(by, 30)})" if by else name


# Audits ------------------------------------------------------------------------------------------


def _draw_audit(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Rows are recipes: a dot under patient-level folds, a square under image-level ones."""
    found = comparison_of_schemes(experiment, table)
    names = [level_name(recipe) for recipe in found["recipe"]] if len(found) > 1 else [""]
    panels = [("cv_mean", "cv", "Cross-validation: mean")]
    if found[["patient_test_auc", "image_test_auc"]].notna().any(axis=None):
        panels.append(("test_auc", "test", "Test: averaged score"))
    leaky = experiment.leaky == "all"
    figure = start_figure(titled(experiment), leaky, _height_of_dots(names, 2) + 0.2)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    y = np.arange(len(found), dtype=float)
    of_patients = "patient-level folds" + (" (leaky)" if leaky else "")
    sides = [("patient", "o", LEAKY_COLOUR if leaky else "black", of_patients, -0.12)]
    sides += [("image", "s", LEAKY_COLOUR, "image-level folds (leaky)", 0.12)]
    for axes, (value, stem, title) in zip(all_axes, panels, strict=True):
        ends = [found[f"{side}_{value}"] for side, *_ in sides]
        axes.hlines(y, *ends, color="#B0B0B0", linewidth=3, zorder=1)
        for side, marker, colour, label, shift in sides:
            values = found[f"{side}_{value}"]
            low, high = found[f"{side}_{stem}_low"], found[f"{side}_{stem}_high"]
            # The line of the interval stands beside the bar between the two dots.
            axes.hlines(y + shift, low, high, color=colour, linewidth=0.9)
            axes.plot(values, y, marker, color=colour, markersize=5, label=label, zorder=3)
        axes.set_title(title, loc="left")
        axes.set_xlabel("ROC-AUC, 95 % interval")
        axes.grid(axis="x")
        _chance(axes, vertical=True)
    all_axes[0].set_yticks(y if len(found) > 1 else [], names if len(found) > 1 else [])
    all_axes[0].set_ylim(len(found) - 0.5, -0.5)
    _legend_below(figure, all_axes[0], True)
    return figure


# Label counts ------------------------------------------------------------------------------------


def draw_labels(title: str, table: pd.DataFrame) -> Figure:
    """Draw label counts (see `labels.count_labels`): sets and sites, and the folds of one seed."""
    with matplotlib.rc_context(STYLE):
        return _draw_labels(plain(title), table)


def _draw_labels(title: str, table: pd.DataFrame) -> Figure:
    sets = table[(table["seed"] == "") & (table["site"] != "")]
    folds = table[(table["seed"] != "") & table["bag"].isin(("", 0, "0"))]
    folds = folds[folds["seed"] == folds["seed"].iloc[0]]
    folds = folds[folds["part"].str.startswith("training part")]
    leaky = "yes" in set(table["leaky"])
    figure = start_figure(title, leaky, 1.4 + 0.2 * max(len(sets), len(folds), 6))
    left, right = figure.subplots(1, 2)
    names = [
        f"{level_name(site, 20, 1)}, {part.partition(':')[0]}"
        for site, part in zip(sets["site"], sets["part"], strict=True)
    ]
    _count_bars(left, names, sets, "Sets by site")
    sampled = folds["part"].str.contains("under-sampled")
    names = [
        "   under-sampled" if after else f"fold {fold}"
        for fold, after in zip(folds["fold"], sampled, strict=True)
    ]
    _count_bars(right, names, folds, f"Training parts, seed {folds['seed'].iloc[0]}")
    _legend_below(figure, left, True)
    return figure


def _count_bars(axes: Axes, names: Sequence[str], table: pd.DataFrame, title: str) -> None:
    y = np.arange(len(names))
    for shift, label, colour in [(-0.2, "positive", COLOURS[2]), (0.2, "negative", COLOURS[1])]:
        bars = axes.barh(y + shift, table[label], 0.38, color=colour, label=label)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=6.5, padding=2)
    # Positives are few: on a linear axis they would vanish.
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(0, max(10, table[["positive", "negative"]].to_numpy().max()) * 6)
    axes.set_yticks(y, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("Recordings, logarithmic above 10")
    axes.set_title(title, loc="left")
