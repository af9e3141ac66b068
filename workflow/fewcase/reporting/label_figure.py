"""Label counts of images by class: the sets beside each other, and one training part."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.reporting.figures import COLOURS, STYLE, level_name, start_figure
from fewcase.reporting.labels import AFTER, BEFORE, label_columns
from fewcase.reporting.text import plain
from fewcase.study.words import NOUNS

_LEFT_OUT = "left out"


def draw_class_counts(title: str, table: pd.DataFrame, unit: str) -> Figure:
    """Draw label counts (see `labels.count_labels`), one row per class on a logarithmic axis.

    Left are the sets, right the training part of the first fold of the first seed, before and
    after under-sampling where there is any.
    """
    with matplotlib.rc_context(STYLE):
        return _draw(plain(title), table, unit)


def _draw(title: str, table: pd.DataFrame, unit: str) -> Figure:
    labels = label_columns(table)
    sets = table[(table["seed"] == "") & (table["site"] == "")]
    sets = sets[~sets["part"].str.startswith(_LEFT_OUT)]
    folds = table[(table["seed"] != "") & table["part"].isin([BEFORE, AFTER])]
    first = folds.iloc[0]
    folds = folds[(folds["seed"] == first["seed"]) & (folds["fold"] == first["fold"])]
    folds = folds[folds["bag"].isin(("", 0, "0"))]
    bars = max(len(sets), len(folds))
    leaky = "yes" in set(table["leaky"])
    figure = start_figure(title, leaky, 1.5 + len(labels) * (0.12 + 0.13 * bars))
    left, right = figure.subplots(1, 2, sharey=True)
    largest = int(table[labels].to_numpy().max())
    _bars(left, sets, labels, "Sets", largest)
    _bars(right, folds, labels, f"Fold {first['fold']} of seed {first['seed']}", largest)
    left.set_yticks(range(len(labels)), [level_name(name, 24, 2) for name in labels])
    left.set_ylim(len(labels) - 0.5, -0.5)
    for axes in (left, right):
        axes.set_xlabel(f"{NOUNS[unit].examples.capitalize()}, logarithmic above 10")
    return figure


def _bars(axes: Axes, table: pd.DataFrame, labels: Sequence[str], title: str, largest: int) -> None:
    y, height = np.arange(len(labels)), 0.8 / len(table)
    for k, row in enumerate(table.to_dict("records")):
        place = y + (k - (len(table) - 1) / 2) * height
        counts = [row[name] for name in labels]
        colour = COLOURS[(k + 1) % len(COLOURS)]
        drawn = axes.barh(place, counts, 0.9 * height, color=colour, label=plain(row["part"]))
        axes.bar_label(drawn, fmt="{:,.0f}", fontsize=6.5, padding=2)
    # Rare classes would vanish on a linear axis.
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(0, max(10, largest) * 6)
    axes.set_title(title, loc="left")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=2)
