"""What all figures share: colours, style and sizes; and the figure of label counts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.data.files import atomic_path
from fewcase.reporting.text import VALUE_TITLES, plain, shorten, with_bound_options

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


def interval_bars(values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> np.ndarray:
    """Return error bar lengths from the ends of intervals, shape (2, n), 0 where there is none."""
    centre = np.asarray(values, float)
    ends = np.stack([centre - np.asarray(low, float), np.asarray(high, float) - centre])
    return np.where(np.isfinite(ends), np.maximum(ends, 0), 0)


def draw_guessing(axes: Axes, level: float | None, vertical: bool) -> None:
    """Draw the line of what guessing reaches where it lies within, or next to, what is shown."""
    low, high = axes.get_xlim() if vertical else axes.get_ylim()
    if level is not None and low < level + 0.06 and high > level:
        line = axes.axvline if vertical else axes.axhline
        line(level, color="#909090", linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)


def height_of_dots(names: Sequence[str], series: int) -> float:
    """Return the height in inches that rows of dots need, with room for the lines of a name."""
    lines = max(name.count("\n") + 1 for name in names)
    return 1.1 + len(names) * max(0.16 + 0.14 * lines, 0.115 * series) + 0.3 * (series > 1)


def legend_below(figure: Figure, axes: Axes, wanted: bool) -> None:
    """Draw the legend of some axes below all of them, where it is wanted and has any entry."""
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    # Series in their order, then what was published: scatter plots would come first.
    last = ("published", "leaky split", "best shortcut")
    ordered = sorted(entries, key=lambda entry: entry[1].startswith(last))
    handles, labels = zip(*ordered, strict=True) if ordered else ((), ())
    if wanted and handles:
        longest = max(len(line) for label in labels for line in label.splitlines())
        columns = min(len(labels), 6 if longest < 16 else 3)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


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
    legend_below(figure, left, True)
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
