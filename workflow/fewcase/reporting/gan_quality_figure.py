"""The figure of quality: Fréchet distances of all generators, and how each training went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    STYLE,
    height_of_dots,
    level_name,
    start_figure,
)
from fewcase.reporting.gan_quality import ALL
from fewcase.reporting.gan_quality_tables import heading_of
from fewcase.reporting.gan_runs import GanRun, Key, by_generator
from fewcase.reporting.gan_table_parts import COPIES, GanSubject, means_of, records

MOST_PANELS = 12
"""Generators whose training is drawn; of more, those that copy come first."""

BESIDE = 3
"""Panels beside each other."""

REFERENCES = {"train": ("training images", 0), "validation": ("validation images", 1)}
SERIES = {
    "probability": ("probability of augmentation", 6),
    "real_sign": ("mean sign of the discriminator on real images", 3),
}
MOST_POINTS = 150
"""Lines of a history that are drawn."""

_FLOOR = "floor: real training images"
_ROW, _SPREAD = 2.05, 10.0
_CHOSEN: dict[str, Any] = {"marker": "o", "markersize": 5.5, "markerfacecolor": "none"}


def draw_quality(subject: GanSubject, table: pd.DataFrame, runs: Sequence[GanRun]) -> Figure:
    """Draw the quality of generators.

    Parameters
    ----------
    subject
        What is said beyond the numbers.
    table
        See `gan_quality.tabulate_quality`.
    runs
        The same generators, for their histories.
    """
    with matplotlib.rc_context(STYLE):
        return _draw(subject, table, runs)


def choose_panels(table: pd.DataFrame) -> list[Key]:
    """Return the generators that have panels of their own, those that copy first if not all have.

    Parameters
    ----------
    table
        Any table with gan, split and copies.
    """
    rows = means_of(table).drop_duplicates(["gan", "split"])
    if len(rows) > MOST_PANELS:
        rows = rows.sort_values("copies", ascending=False, kind="stable").head(MOST_PANELS)
    return list(zip(rows["gan"], rows["split"], strict=True))


def panel_title(subject: GanSubject, key: Key, keys: Sequence[Key], copies: bool) -> str:
    """Return the heading of a generator's panel.

    A split is named where there are several, and the cohort of a base generator always is.
    """
    gan, where = subject.name(key)
    several = len({split for _, split in keys if split}) > 1
    name = level_name(f"{gan} {COPIES}" if copies else gan, 32, 1)
    return f"{name}\n{level_name(where, 36, 1)}" if several or not key[1] else name


def left_out(table: pd.DataFrame) -> str:
    """Return how many generators have no panel, in words; empty where all have."""
    number = len(means_of(table).drop_duplicates(["gan", "split"]))
    if number <= MOST_PANELS:
        return ""
    return f" Of {number} generators {MOST_PANELS} are drawn, those that copy before others."


def caption_of_quality(subject: GanSubject, table: pd.DataFrame) -> str:
    """Return how to read the figure."""
    heading = heading_of(means_of(table), "frechet")
    word = "simulated " if subject.simulated else ""
    return (
        f"Above: {heading} of each generator to the {word}images that it learned from and to "
        "validation images, which it never saw, mean and standard deviation over seeds and folds; "
        "the floor is what real training images come to against validation images. Below: the "
        "course of each training, a line for each seed and fold. The distance to training images "
        "decides which snapshot is chosen (circles); where that to validation images rises again, "
        "the generator begins to repeat what it saw. The probability of augmentation follows the "
        "mean sign of the discriminator on real images, which rises as it learns them by heart."
        + left_out(table)
    )


def _draw(subject: GanSubject, table: pd.DataFrame, runs: Sequence[GanRun]) -> Figure:
    means = means_of(table)
    whole = means[means["class"] == ALL]
    panels = choose_panels(table)
    keys = list(dict.fromkeys(zip(whole["gan"], whole["split"], strict=True)))
    copying = {
        (row["gan"], row["split"]) for row in records(whole.drop_duplicates(["gan", "split"]))
        if row["copies"]
    }  # fmt: skip
    titles = {key: panel_title(subject, key, keys, key in copying) for key in keys}
    names = [title.replace("\n", " · ") for title in titles.values()]
    lines = math.ceil(len(panels) / BESIDE)
    heights = [height_of_dots(names, 3) + 0.1, lines * _ROW + 0.5]
    figure = start_figure(subject.titled(), False, sum(heights) + 0.3)
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_dots(above, whole, keys, names, copying)
    by_key = by_generator(runs)
    shown = {key: by_key[key] for key in panels}
    _draw_courses(below, shown, titles, heading_of(whole, "frechet"), copying)
    return figure


# Distances ---------------------------------------------------------------------------------------


def _draw_dots(
    figure: SubFigure,
    whole: pd.DataFrame,
    keys: Sequence[Key],
    names: Sequence[str],
    copying: set[Key],
) -> None:
    axes = figure.subplots(1, 1)
    places = {key: i for i, key in enumerate(keys)}
    y = np.array([places[key] for key in zip(whole["gan"], whole["split"], strict=True)], float)
    shown = [("train", "frechet", "o", -0.16), ("validation", "frechet", "s", 0.0)]
    for reference, column, marker, shift in shown:
        title, colour = REFERENCES[reference]
        part = (whole["reference"] == reference).to_numpy()
        style = {"fmt": marker, "color": COLOURS[colour], "label": f"to {title}"}
        _dots(axes, whole[part], column, y[part] + shift, style)
    part = (whole["reference"] == "validation").to_numpy()
    style = {"fmt": "d", "color": "#808080", "label": _FLOOR}
    _dots(axes, whole[part], "floor_frechet", y[part] + 0.16, style)
    _use_logarithm(axes, "x", whole[["frechet", "floor_frechet"]].to_numpy(float))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for label, key in zip(axes.get_yticklabels(), keys, strict=True):
        label.set_color(LEAKY_COLOUR if key in copying else "black")
    axes.set_xlabel(heading_of(whole, "frechet"))
    axes.grid(axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _dots(
    axes: Axes, part: pd.DataFrame, column: str, y: np.ndarray, style: Mapping[str, Any]
) -> None:
    known = part[column].notna().to_numpy()
    if known.any():
        values, spread = part[column][known], part[f"{column}_sd"][known].fillna(0)
        axes.errorbar(values, y[known], xerr=spread, markersize=4, elinewidth=0.9, **style)


def _use_logarithm(axes: Axes, name: str, values: np.ndarray) -> None:
    """Make an axis logarithmic where its values are of different orders of magnitude."""
    known = values[np.isfinite(values) & (values > 0)]
    if not len(known) or known.max() <= _SPREAD * known.min():
        return
    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    # Its own formatter would print powers as mathematics.
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


# Courses of training -----------------------------------------------------------------------------


def _draw_courses(
    figure: SubFigure,
    shown: Mapping[Key, Sequence[GanRun]],
    titles: Mapping[Key, str],
    heading: str,
    copying: set[Key],
) -> None:
    lines = math.ceil(len(shown) / BESIDE)
    grid = figure.add_gridspec(2 * lines, BESIDE, height_ratios=[1.9, 1] * lines)
    first: Axes | None = None
    values = []
    for place, key in enumerate(shown):
        line, column = divmod(place, BESIDE)
        upper = figure.add_subplot(grid[2 * line, column], sharey=first)
        lower = figure.add_subplot(grid[2 * line + 1, column], sharex=upper)
        first = first or upper
        for run in shown[key]:
            history = run.history()
            values += _draw_distances(upper, history, run)
            _draw_augmentation(lower, history)
        upper.set_title(titles[key], loc="left", color=LEAKY_COLOUR if key in copying else "black")
        upper.tick_params(labelbottom=False, labelleft=column == 0)
        lower.tick_params(labelleft=column == 0)
        upper.grid(axis="y")
        lower.grid(axis="y")
        lower.set_ylim(-0.6, 1.05)
        lower.set_yticks([0, 1])
        lower.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        if column == 0:
            upper.set_ylabel(level_name(heading, 18, 2))
        if place + BESIDE >= len(shown):
            lower.set_xlabel("Thousand images")
    if first is not None:
        _use_logarithm(first, "y", np.array(values))
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3)


def _draw_distances(axes: Axes, history: pd.DataFrame, run: GanRun) -> list[float]:
    """Draw the distances of snapshots, a circle around the chosen one, and return them."""
    values: list[float] = []
    for name, (_, colour) in REFERENCES.items():
        column = f"{name}_frechet"
        if column not in history:
            continue
        measured = history[history[column].notna()]
        style: dict[str, Any] = {"color": COLOURS[colour]}
        axes.plot(measured["kimg"], measured[column], linewidth=1, **style)
        chosen = measured[np.isclose(measured["kimg"], float(run.options.get("chosen_kimg", -1)))]
        axes.plot(chosen["kimg"], chosen[column], linestyle="none", **_CHOSEN, **style)
        values += measured[column].tolist()
    return values


def _draw_augmentation(axes: Axes, history: pd.DataFrame) -> None:
    places = np.unique(np.linspace(0, len(history) - 1, MOST_POINTS).round().astype(int))
    drawn = history.iloc[places]
    for column, (_, colour) in SERIES.items():
        known = drawn[drawn[column].notna()]
        axes.plot(known["kimg"], known[column], color=COLOURS[colour], linewidth=0.8)


def _legend() -> list[Line2D]:
    titles = [(f"distance to {title}", colour) for title, colour in REFERENCES.values()]
    lines = [Line2D([], [], color=COLOURS[c], label=title) for title, c in titles]
    chosen = Line2D([], [], color=COLOURS[0], linestyle="none", label="chosen snapshot", **_CHOSEN)
    series = [Line2D([], [], color=COLOURS[c], label=title) for title, c in SERIES.values()]
    return [*lines, chosen, *series]
