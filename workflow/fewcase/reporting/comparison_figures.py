"""Figures that hold two kinds of folds, or two ways to see a hospital, beside each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewcase.reporting.audit_tables import comparison_of_schemes
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    draw_guessing,
    height_of_dots,
    interval_bars,
    legend_below,
    level_name,
    start_figure,
)
from fewcase.reporting.site_tables import comparison_of_sites
from fewcase.reporting.table_parts import titled


def draw_sites(experiment: Experiment, table: pd.DataFrame) -> Figure:
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
    draw_guessing(axes, experiment.guessing, vertical=True)
    legend_below(figure, axes, True)
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
        xerr=interval_bars(value, part[f"{side}_low"], part[f"{side}_high"]),
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


def draw_audit(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Rows are recipes: a dot under patient-level folds, a square under image-level ones."""
    found = comparison_of_schemes(experiment, table)
    names = [level_name(recipe) for recipe in found["recipe"]] if len(found) > 1 else [""]
    panels = [("cv_mean", "cv", "Cross-validation: mean")]
    tested = f"test_{experiment.value_column}"
    if found[[f"patient_{tested}", f"image_{tested}"]].notna().any(axis=None):
        panels.append((tested, "test", "Test: averaged score"))
    leaky = experiment.leaky == "all"
    figure = start_figure(titled(experiment), leaky, height_of_dots(names, 2) + 0.2)
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
        axes.set_xlabel(f"{experiment.headline.title}, 95 % interval")
        axes.grid(axis="x")
        draw_guessing(axes, experiment.guessing, vertical=True)
    all_axes[0].set_yticks(y if len(found) > 1 else [], names if len(found) > 1 else [])
    all_axes[0].set_ylim(len(found) - 0.5, -0.5)
    legend_below(figure, all_axes[0], True)
    return figure
