"""The figure of masks: Dice against the probability of the true class, and its histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fewcase.reporting.explanation_tables import MapSubject
from fewcase.reporting.figures import COLOURS, LEAKY_COLOUR, STYLE, level_name, start_figure
from fewcase.reporting.gan_table_parts import records
from fewcase.reporting.mask_runs import MaskRun, by_arm, lines_of
from fewcase.reporting.mask_table import TITLE
from fewcase.reporting.performance import SETS
from fewcase.reporting.text import count, plain, signed, with_interval

MOST_PANELS = 6
"""Arms, splits and sets that are drawn, the first ones."""

ACROSS = 3
BINS = 16

CALLS = {True: ("called rightly", "o", COLOURS[1]), False: ("called wrongly", "X", COLOURS[2])}


def draw_masks(subject: MapSubject, table: pd.DataFrame, runs: Sequence[MaskRun]) -> Figure:
    """Draw Dice against the probability of the true class, for each arm, split and set.

    Parameters
    ----------
    subject
        What is said beyond the numbers.
    table
        See `mask_measures.tabulate_masks`.
    runs
        The same masks.
    """
    with matplotlib.rc_context(STYLE):
        return _draw(subject, records(table), by_arm(runs))


def caption_of_masks(subject: MapSubject, table: pd.DataFrame) -> str:
    """Return how to read the figure."""
    word = "simulated " if subject.simulated else ""
    more = len(table) - MOST_PANELS
    left = f" Of {count(len(table))} the first {MOST_PANELS} are drawn." if more > 0 else ""
    return (
        f"Above: each {word}image outside of training by the Dice of its mask and the probability "
        "that it was given for its true class; below: how many images have a Dice within each "
        "range, those that were called rightly on top of those that were called wrongly. Where a "
        "good mask goes with a right class, points rise to the right, and wrong calls lie to the "
        "left. AUC of Dice for right calls, and Spearman's correlation ρ, with 95\u00a0% intervals "
        f"for other patients; images without a true mask are not drawn.{left}"
    )


def _draw(
    subject: MapSubject,
    rows: Sequence[Mapping[str, Any]],
    of_arms: Mapping[tuple[str, str], Sequence[MaskRun]],
) -> Figure:
    shown = rows[:MOST_PANELS]
    leaky = all(subject.standing(row["split"]).leaky for row in shown)
    across = min(len(shown), ACROSS)
    down = -(-len(shown) // across)
    # One panel alone would be as wide as the page.
    across = max(across, 2)
    names = [_name(subject, row, rows) for row in shown]
    lines = max(name.count("\n") + 1 for name in names)
    figure = start_figure(subject.titled(TITLE), leaky, down * (3.3 + 0.13 * lines) + 0.75)
    ratios = [2.2, 1] * down
    panels = figure.subplots(2 * down, across, gridspec_kw={"height_ratios": ratios}, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    found = [lines_of(of_arms[row["arm"], row["split"]], row["set"]) for row in shown]
    found = [part[part["true_area"] > 0] for part in found]
    lowest = min((float(part["dice"].min()) for part in found if len(part)), default=0.0)
    edges = np.linspace(np.floor(10 * min(lowest, 0.9)) / 10, 1, BINS + 1)
    for number, (row, part) in enumerate(zip(shown, found, strict=True)):
        place = 2 * (number // across), number % across
        pair = panels[place], panels[place[0] + 1, place[1]]
        colour = LEAKY_COLOUR if subject.standing(row["split"]).leaky else "black"
        _draw_points(pair[0], part)
        title = f"{names[number]}\n{_relation(row)}"
        pair[0].set_title(title, loc="left", fontsize=7.2, color=colour)
        _draw_histogram(pair[1], part, edges)
        for axes in pair:
            axes.axis("on")
            axes.set_xlim(edges[0] - 0.01, 1.01)
            axes.grid()
        pair[0].tick_params(labelbottom=False)
        if place[1] == 0:
            pair[0].set_ylabel("Probability of the true class")
            pair[1].set_ylabel("Images")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=label)
        for label, marker, colour in CALLS.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _name(subject: MapSubject, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    words = [subject.name(row["arm"])]
    if len({one["split"] for one in rows}) > 1:
        words.append(plain(row["split"]))
    if len({one["set"] for one in rows}) > 1:
        words.append(SETS[row["set"]])
    leaky = " (leaky)" if subject.standing(row["split"]).leaky else ""
    return level_name(" · ".join(words) + leaky, 34, 2)


def _draw_points(axes: Axes, part: pd.DataFrame) -> None:
    # Wrong calls are fewer as a rule, and lie above the others.
    for right, (_, marker, of_call) in CALLS.items():
        chosen = part[part["right"] == right]
        style: dict[str, Any] = {"marker": marker, "color": of_call, "linewidths": 0}
        axes.scatter(
            chosen["dice"], chosen["true_score"], s=14 if right else 20, alpha=_alpha(part), **style
        )
    axes.set_ylim(-0.02, 1.02)


def _alpha(part: pd.DataFrame) -> float:
    """Return how opaque points are: many lie over each other."""
    return float(np.clip(8 / np.sqrt(max(len(part), 1)), 0.25, 0.8))


def _draw_histogram(axes: Axes, part: pd.DataFrame, edges: npt.NDArray[np.float64]) -> None:
    below = np.zeros(len(edges) - 1)
    for right, (_, _, colour) in reversed(CALLS.items()):
        dice = part.loc[part["right"] == right, "dice"]
        counts = np.histogram(np.clip(dice, edges[0], 1), edges)[0]
        axes.stairs(below + counts, edges, baseline=below, fill=True, color=colour)
        below = below + counts
    axes.set_xlabel("Dice")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _relation(row: Mapping[str, Any]) -> str:
    auc = with_interval(row["auc"], row["auc_low"], row["auc_high"], digits=2)
    value, low, high = (row[f"spearman{end}"] for end in ("", "_low", "_high"))
    ends = f" [{signed(low, 2)} to {signed(high, 2)}]" if np.isfinite(low) else ""
    return f"AUC {auc}\nρ {signed(value, 2)}{ends}"
