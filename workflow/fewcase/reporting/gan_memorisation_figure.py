"""The figure of memorisation: how close synthetic images come to training and validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from fewcase.reporting.figures import COLOURS, LEAKY_COLOUR, STYLE, start_figure
from fewcase.reporting.gan_quality_figure import choose_panels, left_out, panel_title
from fewcase.reporting.gan_runs import SPACES, GanRun, by_generator
from fewcase.reporting.gan_table_parts import GanSubject, means_of

BESIDE = 2
"""Generators beside each other, each with a panel for each space."""

BINS = 36
LOWEST, HIGHEST = 0.02, 100.0
"""Smaller ratios, down to 0 for a perfect copy, and larger ones are drawn here."""

TRAIN, VALIDATION = "to the nearest training image", "to the nearest validation image"
FLAGGED = "counted as copies of training images"
_COARSE, _FINE = (0.02, 0.1, 0.3, 1, 3, 10, 30, 100), (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_FILL, _LINE = "#8FB8DE", COLOURS[0]

Float64 = npt.NDArray[np.float64]


def draw_memorisation(subject: GanSubject, table: pd.DataFrame, runs: Sequence[GanRun]) -> Figure:
    """Draw the distance ratios of the images of every generator, those of all its runs together.

    Parameters
    ----------
    subject
        What is said beyond the numbers.
    table
        See `gan_memorisation.tabulate_memorisation`.
    runs
        The same generators, for the distances of their images.
    """
    with matplotlib.rc_context(STYLE):
        return _draw(subject, table, runs)


def caption_of_memorisation(subject: GanSubject, table: pd.DataFrame) -> str:
    """Return how to read the figure."""
    word = "simulated images" if subject.simulated else "real images"
    return (
        f"Distance ratios of synthetic images to {word}: the distance of an image to the nearest "
        "real one, over the distance of that one to its own nearest other, on a logarithmic axis; "
        f"filled {TRAIN}, as a line {VALIDATION}. Where a generator does not copy, both lie over "
        "each other; one that copies has a filled part to the left of the line, at "
        f"{LOWEST} where copies are perfect. Images that count as copies are red." + left_out(table)
    )


def _draw(subject: GanSubject, table: pd.DataFrame, runs: Sequence[GanRun]) -> Figure:
    means = means_of(table)
    copying = {key for key, of in means.groupby(["gan", "split"]) if of["copies"].any()}
    keys = list(zip(means["gan"], means["split"], strict=True))
    panels, by_key = choose_panels(table), by_generator(runs)
    found = {key: pd.concat([_read(run) for run in by_key[key]]) for key in panels}
    edges = {space: _edges([of[space] for of in found.values()]) for space in SPACES}
    lines = math.ceil(len(panels) / BESIDE)
    figure = start_figure(subject.titled(), False, 0.75 + 1.6 * lines)
    grid = figure.subplots(lines, BESIDE * len(SPACES), squeeze=False, sharex="col")
    for axes in grid.ravel()[len(panels) * len(SPACES) :]:
        axes.set_visible(False)
    for place, key in enumerate(panels):
        line, column = divmod(place, BESIDE)
        for k, (space, title) in enumerate(SPACES.items()):
            axes = grid[line, column * len(SPACES) + k]
            _draw_ratios(axes, found[key], space, edges[space])
            if place + BESIDE >= len(panels):
                axes.tick_params(labelbottom=True)
                axes.set_xlabel(f"Distance ratio, {title}")
        first = grid[line, column * len(SPACES)]
        colour = LEAKY_COLOUR if key in copying else "black"
        heading = panel_title(subject, key, keys, key in copying)
        first.set_title(heading, loc="left", color=colour)
        if column == 0:
            first.set_ylabel("Share of images")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3)
    return figure


def _read(run: GanRun) -> pd.DataFrame:
    """Return the ratios of a run's images to training and validation, and which are copies."""
    table = run.closeness()
    columns: dict[str, Any] = {}
    for space in SPACES:
        columns[space] = table[f"{space}_ratio"]
        columns[f"{space}_copy"] = table[f"{space}_copy"].astype(bool)
        columns[f"{space}_validation"] = table.get(f"{space}_validation_ratio", np.nan)
    return pd.DataFrame(columns)


def _edges(ratios: Sequence[pd.Series]) -> Float64:
    """Return the edges of bins that all panels of a space share."""
    values = np.concatenate([series.to_numpy(float) for series in ratios])
    values = values[np.isfinite(values)].clip(LOWEST)
    if not len(values):
        return np.geomspace(LOWEST, 10, BINS + 1)
    low, high = min(values.min(), 0.5), min(max(values.max(), 2.0), HIGHEST)
    return np.geomspace(low * 0.98, high * 1.02, BINS + 1)


def _draw_ratios(axes: Axes, table: pd.DataFrame, space: str, edges: Float64) -> None:
    of_train = table[space]
    axes.stairs(_shares(of_train, len(of_train), edges), edges, fill=True, color=_FILL)
    copies = of_train[table[f"{space}_copy"]]
    if len(copies):
        drawn = _shares(copies, len(of_train), edges)
        axes.stairs(drawn, edges, fill=True, color=LEAKY_COLOUR)
    held_out = table[f"{space}_validation"].dropna()
    if len(held_out):
        axes.stairs(_shares(held_out, len(held_out), edges), edges, color=_LINE, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.axvline(1, color="#909090", linewidth=0.7, linestyle=(0, (3, 3)), zorder=0)
    axes.set_ylim(bottom=0)
    marks = _FINE if edges[-1] < 20 * edges[0] else _COARSE
    ticks = [tick for tick in marks if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _shares(ratios: pd.Series, number: int, edges: Float64) -> Float64:
    """Return the share of images in each bin; those beyond the ends count in the outer ones."""
    values = ratios.to_numpy(float)
    inside = np.clip(values[~np.isnan(values)], edges[0], edges[-1])
    counts: Float64 = np.histogram(inside, edges)[0] / max(number, 1)
    return counts


def _legend() -> list[Patch]:
    return [
        Patch(color=_FILL, label=TRAIN),
        Patch(facecolor="none", edgecolor=_LINE, label=VALIDATION),
        Patch(color=LEAKY_COLOUR, label=FLAGGED),
    ]
