"""The figure of explanation maps: scores as cells go and come, and how alike maps are."""

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

from fewcase.reporting.explanation_measures import HALF, mean_curves
from fewcase.reporting.explanation_runs import MapRun, by_arm
from fewcase.reporting.explanation_tables import MapSubject, least_alike_fill
from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    STYLE,
    height_of_dots,
    interval_bars,
    level_name,
    start_figure,
)
from fewcase.reporting.gan_table_parts import records
from fewcase.study.explanations import CURVES

MOST_ARMS = 6
"""Arms and splits whose curves are drawn, the first ones."""

AXES = {
    "deletion": "Share of cells deleted",
    "insertion": "Share of cells inserted",
    "negative_deletion": "Share of negative cells deleted",
}
WANTED = {"deletion": "sooner down", "insertion": "sooner up", "negative_deletion": "up"}
SERIES: dict[str, tuple[str, str, int]] = {
    "stability": ("networks of other folds", "o", 0),
    "fill": ("the least alike fill", "s", 1),
    "randomised": ("weights drawn anew", "D", 2),
    "randomised_magnitude": ("weights drawn anew, without signs", "v", 4),
}
_DASHED = (0, (4, 2))


def draw_explanations(subject: MapSubject, table: pd.DataFrame, runs: Sequence[MapRun]) -> Figure:
    """Draw how faithful maps are.

    Parameters
    ----------
    subject
        What is said beyond the numbers.
    table
        See `explanation_measures.tabulate_explanations`.
    runs
        The same maps, for their curves.
    """
    with matplotlib.rc_context(STYLE):
        return _draw(subject, table, runs)


def caption_of_explanations(subject: MapSubject, table: pd.DataFrame) -> str:
    """Return how to read the figure."""
    word = "simulated " if subject.simulated else ""
    arms = len(_shown(table))
    left = (
        f" Of {arms} arms and splits the first {MOST_ARMS} have curves." if arms > MOST_ARMS else ""
    )
    return (
        f"Above: probability of the explained class, mean over the {word}cases that chance chose, "
        "as cells of the finest grid are deleted, those that speak most for it first; put back "
        "into a blurred image in that order; and deleted where they speak against it, the most "
        "first. Dashed: the same order laid elsewhere on the image, which says nothing of the "
        "network. Maps that tell what the network goes by fall sooner, rise sooner, and rise. "
        "Below: rank correlation of maps, with 95\u00a0% intervals for other patients, with those "
        "of networks of other folds and of the fill that changes them most (to be near 1), and of "
        f"networks with weights drawn anew (to be near 0, and below the dotted line at {HALF})."
        + left
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the first group of areas of each arm and split: all channels, where they are there."""
    return table.drop_duplicates(["arm", "split"])


def _draw(subject: MapSubject, table: pd.DataFrame, runs: Sequence[MapRun]) -> Figure:
    shown = records(_shown(table))
    several = len({row["split"] for row in shown}) > 1
    names = [
        level_name(
            subject.name(row["arm"])
            + (f" · {row['split']}" if several else "")
            + (" (leaky)" if subject.standing(row["split"]).leaky else "")
            + (" (no better than chance)" if 0 < row["judged"] == row["no_better"] else "")
        )
        for row in shown
    ]
    drawn = min(len(shown), MOST_ARMS)
    heights = [2.5 + 0.16 * math.ceil((drawn + 1) / 3), height_of_dots(names, len(SERIES)) + 0.25]
    leaky = all(subject.standing(row["split"]).leaky for row in shown)
    figure = start_figure(subject.titled(), leaky, sum(heights) + 0.3)
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    of_arms = by_arm(runs)
    curves = [
        mean_curves(of_arms[row["arm"], row["split"]], row["group"]) for row in shown[:MOST_ARMS]
    ]
    _draw_curves(above, curves, names[:MOST_ARMS])
    colours = [LEAKY_COLOUR if subject.standing(row["split"]).leaky else "black" for row in shown]
    _draw_correlations(below, shown, names, colours)
    return figure


def _draw_curves(figure: SubFigure, curves: Sequence[pd.DataFrame], names: Sequence[str]) -> None:
    panels = figure.subplots(1, len(CURVES), sharey=True)
    for axes, (measure, title) in zip(panels, CURVES.items(), strict=True):
        for number, table in enumerate(curves):
            colour = COLOURS[number % len(COLOURS)]
            for order, style in (("random", _DASHED), ("map", "-")):
                part = table[(table["measure"] == measure) & (table["order"] == order)]
                axes.plot(
                    part["share"], part["score"], color=colour, linestyle=style, linewidth=1.2
                )
        axes.set_title(f"{title[:1].upper()}{title[1:]}: {WANTED[measure]}", loc="left")
        axes.set_xlabel(AXES[measure])
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.grid(axis="y")
        if not any((table["measure"] == measure).any() for table in curves):
            axes.text(0.5, 0.5, "no cell speaks\nagainst the class", ha="center", va="center",
                      transform=axes.transAxes, color="#707070")  # fmt: skip
    panels[0].set_ylabel("Probability of the class")
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], label=name.replace("\n", " "))
        for i, name in enumerate(names)
    ]
    handles.append(Line2D([], [], color="#707070", linestyle=_DASHED, label="order laid elsewhere"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))


def _draw_correlations(
    figure: SubFigure,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    colours: Sequence[str],
) -> None:
    axes = figure.subplots(1, 1)
    shifts = np.linspace(-0.24, 0.24, len(SERIES))
    for (series, (label, marker, colour)), shift in zip(SERIES.items(), shifts, strict=True):
        columns = [least_alike_fill(row) if series == "fill" else series for row in rows]
        ends = np.array(
            [
                [row.get(f"{name}{end}", math.nan) if name else math.nan
                 for end in ("", "_low", "_high")]
                for row, name in zip(rows, columns, strict=True)
            ]
        ).T  # fmt: skip
        known = np.isfinite(ends[0])
        if known.any():
            axes.errorbar(
                ends[0, known], np.arange(len(rows))[known] + shift,
                xerr=interval_bars(*ends[:, known]), fmt=marker, color=COLOURS[colour],
                markersize=4, elinewidth=0.9, label=label,
            )  # fmt: skip
    _draw_axes(axes, names, colours)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _draw_axes(axes: Axes, names: Sequence[str], colours: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.1), max(high, 1.02))
    axes.axvline(0, color="#909090", linewidth=0.8, zorder=0)
    axes.axvline(HALF, color=COLOURS[2], linewidth=0.8, linestyle=(0, (1.2, 1.8)), zorder=0)
    axes.set_xlabel("Rank correlation with the maps of")
    axes.grid(axis="x")
