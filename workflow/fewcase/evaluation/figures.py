"""Figures of experiments, readable at column width and by the colour-blind."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.data.files import atomic_path
from fewcase.evaluation.experiments import Experiment
from fewcase.evaluation.tables import comparison_of_sites, titled
from fewcase.evaluation.text import VALUE_TITLES, factor_title, plain, shorten

# Okabe and Ito's colours, told apart by colour-blind readers, black first and yellow left out.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LEAKY_COLOUR = "#C00000"
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


def level_name(text: str, length: int = 34) -> str:
    """Return a level of a factor as figures print it."""
    return shorten(plain(VALUE_TITLES.get(text, text) or "–"), length)


def start_figure(title: str, leaky: bool, height: float) -> Figure:
    """Return an empty figure of column width with its title."""
    figure = Figure(figsize=(INCHES_WIDE, height), layout="constrained")
    colour = LEAKY_COLOUR if leaky else "black"
    # Matplotlib's own wrapping would read dollar signs as mathematics.
    lines = textwrap.fill(shorten(title, 220), 88)
    figure.suptitle(lines, fontsize=9.5, color=colour)
    return figure


def _labels(table: pd.DataFrame, factors: Sequence[str]) -> pd.Series:
    """Return the levels of some factors in one text per row."""
    texts = [" · ".join(map(level_name, levels)) for levels in table[list(factors)].to_numpy()]
    return pd.Series(texts, index=table.index, dtype=object)


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
    rows = _labels(table, factors or ["arm"])
    series = pd.Series("", index=table.index)
    if len(experiment.vary) > 1:
        rows, series = _labels(table, factors[:1]), _labels(table, factors[1:])
    row_names, series_names = list(dict.fromkeys(rows)), list(dict.fromkeys(series))
    panels = [("cv_mean", "cv_low", "cv_high", "Cross-validation: mean")]
    if table["test_auc"].notna().any():
        panels.append(("test_auc", "test_low", "test_high", "Test: averaged score"))
    step = min(0.8 / len(series_names), 0.22)
    height = 1.1 + max(0.3 * len(row_names), 0.115 * len(series_names) * len(row_names))
    if len(series_names) > 1:
        height += 0.3
    figure = start_figure(titled(experiment), experiment.leaky == "all", height)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    position = {name: i for i, name in enumerate(row_names)}
    for axes, (value, low, high, title) in zip(all_axes, panels, strict=True):
        for k, name in enumerate(series_names):
            part = table[(series == name).to_numpy()]
            y = np.array([position[r] for r in rows[part.index]], float)
            y += (k - (len(series_names) - 1) / 2) * step
            _dots(axes, part, y, (value, low, high), k, name)
        published = {"cv_mean": "published_cv_mean", "test_auc": "published_test"}[value]
        if published in table:
            _published_dots(axes, table, published, rows, series, position, series_names, step)
        axes.set_title(title, loc="left")
        axes.set_xlabel("ROC-AUC, 95 % interval")
        axes.grid(axis="x")
        _chance(axes, vertical=True)
    all_axes[0].set_yticks(range(len(row_names)), row_names)
    all_axes[0].set_ylim(len(row_names) - 0.5, -0.5)
    marked = "published_test" in table or experiment.leaky == "some"
    _legend_below(figure, all_axes[0], len(series_names) > 1 or marked)
    return figure


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


def _published_dots(
    axes: Axes,
    table: pd.DataFrame,
    column: str,
    rows: pd.Series,
    series: pd.Series,
    position: dict[str, int],
    series_names: list[str],
    step: float,
) -> None:
    offset = {n: (k - (len(series_names) - 1) / 2) * step for k, n in enumerate(series_names)}
    y = [position[r] + offset[s] for r, s in zip(rows, series, strict=True)]
    axes.scatter(
        table[column],
        y,
        marker="|",
        s=30,
        color="#888888",
        linewidths=1.2,
        label="published",
        zorder=1,
    )


def _legend_below(figure: Figure, axes: Axes, wanted: bool) -> None:
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    # Series in their order, then what was published: scatter plots would come first.
    ordered = sorted(entries, key=lambda entry: entry[1] in ("published", "leaky split"))
    handles, labels = zip(*ordered, strict=True) if ordered else ((), ())
    if wanted and handles:
        columns = min(len(labels), 6 if max(map(len, labels)) < 16 else 3)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


# Sweeps ------------------------------------------------------------------------------------------


def swept_factor(experiment: Experiment) -> str:
    """Return the factor on the horizontal axis: the first one whose levels are numbers or null."""

    def is_number(level: Any) -> bool:
        return level is None or (isinstance(level, (int, float)) and not isinstance(level, bool))

    for name, levels in experiment.vary.items():
        if all(map(is_number, levels)) and any(level is not None for level in levels):
            return name
    return next(iter(experiment.vary), experiment.factors[0] if experiment.factors else "arm")


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
    lines = _labels(table, others)
    levels = [level for level in dict.fromkeys(table[swept]) if level != ""]
    place = _positions(levels)
    has_test = bool(table["test_auc"].notna().any())
    figure = start_figure(titled(experiment), experiment.leaky == "all", 4.6 if has_test else 2.9)
    panels = figure.subplots(2 if has_test else 1, 1, sharex=True, squeeze=False)[:, 0]
    names = list(dict.fromkeys(lines))
    width = min(np.diff(sorted(place.values())), default=1.0)
    for k, name in enumerate(names):
        part = table[(lines == name).to_numpy()]
        shift = (k - (len(names) - 1) / 2) * 0.12 * width
        _sweep_line(panels[0], part, swept, place, shift, ("cv_mean", "cv_sd"), k, name)
        if has_test:
            columns = ("test_auc", "test_low", "test_high")
            _sweep_line(panels[1], part, swept, place, shift, columns, k, name)
    panels[0].set_title("Cross-validation: mean ± standard deviation over runs", loc="left")
    if has_test:
        panels[1].set_title("Test: averaged score with 95 % interval", loc="left")
    for axes in panels:
        axes.set_ylabel("ROC-AUC")
        axes.grid(axis="y")
        _chance(axes, vertical=False)
    panels[-1].set_xticks([place[level] for level in levels], list(map(level_name, levels)))
    if sum(map(len, levels)) > 70:
        panels[-1].tick_params(axis="x", rotation=30)
    panels[-1].set_xlabel(factor_title(swept))
    _legend_below(figure, panels[0], len(names) > 1)
    return figure


def _sweep_line(
    axes: Axes,
    part: pd.DataFrame,
    swept: str,
    place: dict[str, float],
    shift: float,
    columns: tuple[str, ...],
    k: int,
    name: str,
) -> None:
    """Draw one line over the numeric levels; a level in words is a point by itself."""
    part = part[part[swept] != ""]
    x = part[swept].map(place).to_numpy(float)
    order = np.argsort(x, kind="stable")
    part, x = part.iloc[order], x[order]
    y = part[columns[0]].to_numpy(float)
    if len(columns) == 2:
        spread = np.nan_to_num(part[columns[1]].to_numpy(float))
        bars = np.stack([spread, spread])
    else:
        bars = _bars(part[columns[0]], part[columns[1]], part[columns[2]])
    colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
    if (part["leaky"] == "yes").any():
        colour = LEAKY_COLOUR
    axes.errorbar(
        x + shift,
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
    axes.plot(x[numeric] + shift, y[numeric], color=colour, linewidth=1.2)


def _is_numeric(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# Sites -------------------------------------------------------------------------------------------


def _draw_sites(experiment: Experiment, table: pd.DataFrame) -> Figure:
    found = comparison_of_sites(experiment, table)
    recipes = list(dict.fromkeys(found["recipe"]))
    sites = sorted(set(found["site"]))
    figure = start_figure(
        titled(experiment),
        experiment.leaky == "all",
        1.5 + 0.42 * len(sites) * max(1, len(recipes) * 0.6),
    )
    axes = figure.subplots()
    sides = [("cv", "within cross-validation", "o"), ("test", "held out", "s")]
    slots = len(recipes) * 2
    for r, recipe in enumerate(recipes):
        part = found[(found["recipe"] == recipe).to_numpy()]
        y = np.array([sites.index(site) for site in part["site"]], float)
        for s, (side, words, marker) in enumerate(sides):
            shift = (2 * r + s - (slots - 1) / 2) * 0.72 / slots
            colour = COLOURS[(1 + r * 2 + s) % len(COLOURS)]
            axes.errorbar(
                part[f"{side}_auc"],
                y + shift,
                xerr=_bars(part[f"{side}_auc"], part[f"{side}_low"], part[f"{side}_high"]),
                fmt=marker,
                color=colour,
                markersize=4.5,
                elinewidth=1,
                label=f"{level_name(recipe)} · {words}" if len(recipes) > 1 else words,
            )
    kinds = {row["site"]: row["kind"] for row in found.to_dict("records") if row["kind"]}
    names = [
        f"{level_name(site, 30)} ({kinds[site]})" if site in kinds else level_name(site, 30)
        for site in sites
    ]
    names = ["all hospitals" if not site else n for site, n in zip(sites, names, strict=True)]
    axes.set_yticks(range(len(sites)), names)
    axes.set_ylim(len(sites) - 0.5, -0.5)
    axes.set_xlabel("ROC-AUC with 95 % interval")
    axes.grid(axis="x")
    _chance(axes, vertical=True)
    _legend_below(figure, axes, True)
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
        f"{level_name(site, 20)}, {part.partition(':')[0]}"
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
