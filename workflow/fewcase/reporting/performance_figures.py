"""Figures of one arm's performance, and of what shortcuts reach beside it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.scale import FuncTransform

from fewcase.evaluation.curves import Curve
from fewcase.reporting.figures import (
    COLOURS,
    LEAKY_COLOUR,
    STYLE,
    interval_bars,
    level_name,
    start_figure,
)
from fewcase.reporting.performance import Subject
from fewcase.reporting.performance_curves import Picture, Ranking, Rival
from fewcase.reporting.shortcut_table import ARM_TITLE, ShortcutStudy, SplitTitle
from fewcase.reporting.text import count, number, shortcut_title, shorten, with_interval

SET_COLOURS = {"cv": COLOURS[1], "test": COLOURS[2]}
SET_MARKERS = {"cv": "o", "test": "s"}
SHORTCUT_COLOUR = "#7F7F7F"
FAINT = "#909090"
DASHED = (0, (4, 2))
DOTTED = (0, (1.2, 1.8))
FEW = 40
"""A histogram of fewer scores shows its bins' edges only: each score is then a mark."""


def draw_performance(
    subject: Subject, pictures: Sequence[Picture], rival: Rival | None = None
) -> Figure:
    """Draw how an arm does, cross-validation in blue and test in vermilion.

    Parameters
    ----------
    subject
        Which arm.
    pictures
        Of each set, see `performance_curves.pictures`.
    rival
        What the best shortcut in cross-validation reaches.
    """
    with matplotlib.rc_context(STYLE):
        if len(subject.classes) > 2:
            return _draw_several_classes(subject, pictures)
        return _draw_two_classes(subject, pictures, rival)


def _draw_two_classes(subject: Subject, pictures: Sequence[Picture], rival: Rival | None) -> Figure:
    figure = start_figure(subject.titled(), subject.leaky, 8.6)
    grid = figure.add_gridspec(3, 2)
    _draw_rankings(figure.add_subplot(grid[0, 0]), pictures, rival)
    _draw_precision(figure.add_subplot(grid[0, 1]), pictures)
    _draw_reliability(figure, grid[1, 0], pictures)
    _draw_decision(figure.add_subplot(grid[1, 1]), pictures, rival)
    _draw_scores(figure.add_subplot(grid[2, 0]), pictures, subject.classes)
    _draw_confusions(figure, grid[2, 1], pictures, subject.classes)
    return figure


def _draw_several_classes(subject: Subject, pictures: Sequence[Picture]) -> Figure:
    names = [shorten(name, 22) for name in subject.classes]
    columns = max(len(pictures), 1)
    side = 3.2 if columns == 2 else 4.6
    figure = start_figure(subject.titled(), subject.leaky, 0.6 + 2 * side)
    grid = GridSpec(2, columns, figure, height_ratios=[1, 1.1])
    for column, picture in enumerate(pictures):
        axes = figure.add_subplot(grid[0, column])
        _start_roc(axes, f"ROC, one class against the rest: {picture.title}")
        for k, ranking in enumerate(picture.rankings):
            style = "-" if k < len(COLOURS) else DASHED
            colour = COLOURS[k % len(COLOURS)]
            _line(axes, ranking.curve, colour, _area_label(names[k], ranking), style)
        _legend(axes, "lower right", size=5.8 if len(names) > 5 else 6.8)
        below = figure.add_subplot(grid[1, column])
        _draw_counts(below, picture.confusion, names, f"Confusion: {picture.title}")
    return figure


# Panels ------------------------------------------------------------------------------------------


def _line(
    axes: Axes, curve: Curve, colour: str, label: str, style: Any = "-", width: float = 1.4
) -> None:
    axes.plot(curve["x"], curve["y"], color=colour, linewidth=width, linestyle=style, label=label)


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT)


def _area_label(name: str, ranking: Ranking) -> str:
    area = ranking.area
    return f"{name} {with_interval(area.value, area.low, area.high)}"


def _legend(axes: Axes, place: str, size: float = 6.8) -> None:
    style: dict[str, Any] = {"loc": place, "fontsize": size, "handlelength": 1.5}
    frame: dict[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}
    axes.legend(borderpad=0.2, **style, **frame)


def _start_roc(axes: Axes, title: str) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=DASHED, zorder=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("Sensitivity")
    axes.set_title(title, loc="left")
    axes.grid()


def _draw_rankings(axes: Axes, pictures: Sequence[Picture], rival: Rival | None) -> None:
    _start_roc(axes, "A  ROC, area with 95 % interval")
    for picture in pictures:
        colour, name = SET_COLOURS[picture.name], picture.title
        ranking = picture.rankings[0]
        _line(axes, ranking.curve, colour, _area_label(name, ranking))
        if picture.operating_point is not None:
            style: dict[str, Any] = {"markeredgecolor": "white", "markersize": 7, "zorder": 4}
            axes.plot(*picture.operating_point, SET_MARKERS[picture.name], color=colour, **style)
    if any(picture.operating_point is not None for picture in pictures):
        label = "at the fixed threshold"
        axes.plot([], [], "o", color="black", markersize=4.5, linestyle="none", label=label)
    if rival is not None:
        name = shortcut_title(rival.ranking.name.removeprefix("shortcut:"))
        label = textwrap.fill(_area_label(f"best shortcut: {name}", rival.ranking), 27)
        _line(axes, rival.ranking.curve, SHORTCUT_COLOUR, label, width=0.9)
    _legend(axes, "lower right")


def _draw_precision(axes: Axes, pictures: Sequence[Picture]) -> None:
    axes.set_title("B  Precision and recall", loc="left")
    for picture in pictures:
        colour, name = SET_COLOURS[picture.name], picture.title
        curve = picture.precision_recall
        # Constant up to each positive: average precision is the area of just these steps.
        label = f"{name}, average precision {number(picture.average_precision)}"
        x, y = (
            np.append(np.zeros(len(curve[:1])), curve["x"]),
            np.append(curve["y"][:1], curve["y"]),
        )
        axes.step(x, y, where="pre", color=colour, linewidth=1.4, label=label)
        axes.axhline(picture.prevalence, color=colour, linewidth=0.8, linestyle=DOTTED)
    axes.plot([], [], color="black", linewidth=0.8, linestyle=DOTTED, label="share of positives")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel("Recall (sensitivity)")
    axes.set_ylabel("Precision (predictive value)")
    axes.grid()
    _legend(axes, "upper right")


def _draw_reliability(figure: Figure, place: SubplotSpec, pictures: Sequence[Picture]) -> None:
    inner = place.subgridspec(2, 1, height_ratios=[3.2, 1], hspace=0.03)
    axes = figure.add_subplot(inner[0])
    below = figure.add_subplot(inner[1], sharex=axes)
    axes.set_title("C  Reliability: predicted and observed", loc="left")
    lines = []
    for picture in pictures:
        name = picture.title
        corrected = SET_COLOURS[picture.name], picture.probabilities
        lines.append((picture.name, picture.reliability, name, *corrected))
        # The line of the test set before correction would only crowd the panel.
        if picture.name == "cv" and not picture.reliability_raw.equals(picture.reliability):
            raw = SHORTCUT_COLOUR, picture.scores
            lines.append((picture.name, picture.reliability_raw, f"{name}, uncorrected", *raw))
    lines = [line for line in lines if len(line[1])]
    ends = [[line[1][["x", "y"]].to_numpy().max(), line[4].max()] for line in lines]
    top = min(1.0, 1.06 * float(np.max(ends))) if lines else 1.0
    # Rare outcomes put all corrected scores near 0, the uncorrected ones anywhere.
    if lines and lines[0][1]["x"].max() < 0.3 * top:
        _stretch(axes, below)
    for set_name, curve, label, colour, values in lines:
        _reliability_line(axes, set_name, curve, label, colour)
        _score_outline(below, values, colour, top)
    if not lines:
        _nothing(axes, "no scores of both classes")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=DASHED, zorder=0)
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.tick_params(labelbottom=False)
    axes.set_ylabel("Observed share")
    axes.grid()
    below.set_yticks([])
    below.set_ylabel("scores", labelpad=12)
    below.set_xlabel("Predicted probability")
    _legend(axes, "upper left")


def _reliability_line(axes: Axes, set_name: str, curve: Curve, label: str, colour: str) -> None:
    axes.errorbar(
        curve["x"],
        curve["y"],
        yerr=interval_bars(curve["y"], curve["low"], curve["high"]),
        fmt=SET_MARKERS[set_name] + "-",
        color=colour,
        markerfacecolor="white" if colour == SHORTCUT_COLOUR else colour,
        markersize=3.4,
        linewidth=1,
        elinewidth=0.7,
        label=label,
    )


def _score_outline(axes: Axes, values: np.ndarray, colour: str, top: float) -> None:
    """Draw a histogram of probabilities, bins as wide on paper as each other."""
    roots = isinstance(axes.xaxis.get_transform(), FuncTransform)
    edges = np.linspace(0, math.sqrt(top), 31) ** 2 if roots else np.linspace(0, top, 31)
    heights = np.histogram(np.clip(values, 0, top), edges)[0]
    heights = heights / max(heights.max(), 1)
    filled = colour == SET_COLOURS["cv"]
    axes.stairs(heights, edges, color=colour, fill=filled, alpha=0.45 if filled else 1)


def _stretch(axes: Axes, below: Axes) -> None:
    """Show probabilities on a scale of square roots, which opens up the low ones."""
    scale: dict[str, Any] = {"functions": (lambda p: np.sqrt(np.maximum(p, 0)), np.square)}
    ticks = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
    axes.set_xscale("function", **scale)
    axes.set_yscale("function", **scale)
    below.set_xscale("function", **scale)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    below.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _draw_decision(axes: Axes, pictures: Sequence[Picture], rival: Rival | None) -> None:
    axes.set_title("D  Decision curve: net benefit", loc="left")
    shown = [picture for picture in pictures if len(picture.decision)]
    for picture in shown:
        colour, name = SET_COLOURS[picture.name], picture.title
        _line(axes, picture.decision, colour, f"model, {name}")
        _line(axes, picture.treat_all, colour, f"treat all, {name}", DASHED, 0.9)
    if shown and rival is not None:
        _line(axes, rival.decision, SHORTCUT_COLOUR, "best shortcut, CV", width=0.9)
    axes.axhline(0, color="black", linewidth=0.9, label="treat nobody")
    if not shown:
        _nothing(axes, "no scores of both classes")
    highest = max([picture.prevalence for picture in shown], default=0.1)
    furthest = max([float(picture.decision["x"].max()) for picture in shown], default=1.0)
    axes.set(xlim=(0, furthest), ylim=(-0.35 * highest, 1.1 * highest))
    axes.set_xlabel("Threshold probability, from which one acts")
    axes.set_ylabel("Net benefit")
    axes.grid()
    _legend(axes, "upper right")


def _draw_scores(axes: Axes, pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    axes.set_title("E  Scores by label, line at the threshold", loc="left")
    rows = [(p, k) for p in pictures for k in range(2)]
    everything = np.concatenate([p.scores_by_class[k] for p, k in rows] or [np.empty(0)])
    low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0, 1)
    margin = 0.04 * (high - low) or 0.05
    bins = np.linspace(low - margin / 2, high + margin / 2, 41)
    for row, (picture, k) in enumerate(rows):
        base = len(rows) - 1 - row
        scores, colour = picture.scores_by_class[k], SET_COLOURS[picture.name]
        alpha = 1.0 if k else 0.45
        if 0 < len(scores) < FEW:
            axes.plot(scores, np.full(len(scores), base + 0.15), "|", color=colour, alpha=alpha)
        elif len(scores):
            heights = np.histogram(scores, bins)[0] / len(scores)
            heights = heights / heights.max() * 0.85
            axes.stairs(base + heights, bins, baseline=base, fill=True, color=colour, alpha=alpha)
        axes.axhline(base, color="#B0B0B0", linewidth=0.5, zorder=0)
        if k == 0 and math.isfinite(picture.threshold):
            ends = [base - 1, base + 0.95]
            axes.plot([picture.threshold] * 2, ends, color="black", linewidth=1, linestyle=DASHED)
    names = [
        f"{p.title}, {level_name(classes[k], 16, 2)}\nn = {count(len(p.scores_by_class[k]))}"
        for p, k in rows
    ]
    places = [len(rows) - 1 - row + 0.3 for row in range(len(rows))]
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(low - margin, high + margin), ylim=(-0.1, len(rows)))
    axes.set_xlabel("Score of the model")


# Counts ------------------------------------------------------------------------------------------


def _draw_confusions(
    figure: Figure, place: SubplotSpec, pictures: Sequence[Picture], classes: Sequence[str]
) -> None:
    inner = place.subgridspec(1, max(len(pictures), 1), wspace=0.08)
    names = [level_name(name, 10, 2) for name in classes]
    for column, picture in enumerate(pictures):
        axes = figure.add_subplot(inner[0, column])
        title = picture.title
        _draw_counts(axes, picture.confusion, names, title if column else f"F  Decisions, {title}")
        if column:
            axes.set_ylabel("")
            axes.set_yticklabels([])


def _draw_counts(axes: Axes, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draw a confusion matrix: counts, and the share of each true class."""
    axes.set_title(title, loc="left")
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1.25, aspect="auto")
    size = {2: 8.5, 3: 8, 4: 7.5}.get(len(names), 6.5)
    for i, j in np.ndindex(counts.shape):
        text = f"{count(float(counts[i, j]))}\n{share[i, j]:.0%}" if total[i] else "–"
        colour = "white" if share[i, j] > 0.7 else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    turned: dict[str, Any] = (
        {"rotation": 35, "ha": "right"} if max(map(len, names)) * len(names) > 34 else {}
    )
    axes.set_xticks(range(len(names)), names, **turned)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")


# Shortcuts ---------------------------------------------------------------------------------------

MOST_PANELS = 6


def draw_shortcuts(study: ShortcutStudy, table: pd.DataFrame) -> Figure:
    """Draw what shortcuts reach (see `shortcut_table.tabulate_shortcuts`), a panel for each split.

    Of more than six splits only the study's own is drawn.
    """
    with matplotlib.rc_context(STYLE):
        return _draw_shortcuts(study, table)


def shown_splits(study: ShortcutStudy) -> list[SplitTitle]:
    """Return the splits that have a panel."""
    splits = list(study.splits)
    if len(splits) <= MOST_PANELS:
        return splits
    return [split for split in splits if split.default] or splits[:1]


def _draw_shortcuts(study: ShortcutStudy, table: pd.DataFrame) -> Figure:
    splits = shown_splits(study)
    columns = min(len(splits), 2 if len(splits) in (2, 4) else 3)
    lines = math.ceil(len(splits) / columns)
    names = list(dict.fromkeys(table["shortcut"]))
    # The arm's row carries no shortcut and stands last.
    names = [*(name for name in names if name), *([""] if "" in names else [])]
    height = 1.1 + lines * (0.6 + 0.27 * len(names))
    figure = start_figure(study.titled(), study.leaky, height)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    has_test = False
    for axes, split in zip(panels.flat, splits, strict=False):
        part = table[table["split"] == split.name]
        has_test |= _shortcut_panel(axes, study, split, part, names)
    for axes in panels.flat[len(splits) :]:
        axes.set_visible(False)
    labels = [shortcut_title(name) if name else ARM_TITLE for name in names]
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(names)), [level_name(label, 22, 2) for label in labels])
        axes.set_ylim(len(names) - 0.5, -0.5)
    for axes in panels.flat[::1][max(0, len(splits) - columns) : len(splits)]:
        axes.set_xlabel(f"{study.headline.title}, 95 % interval")
        axes.tick_params(labelbottom=True)
    handles = [_key(side) for side in (["cv", "test"] if has_test else ["cv"])]
    handles.append(
        Line2D(
            [], [], color=SHORTCUT_COLOUR, linewidth=0.8, linestyle=DOTTED, label="best shortcut"
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _key(side: str) -> Line2D:
    label = {"cv": "cross-validation: mean of runs", "test": "test: averaged score"}[side]
    colour = SET_COLOURS[side]
    return Line2D([], [], color=colour, marker=SET_MARKERS[side], markersize=4, label=label)


def _shortcut_panel(
    axes: Axes, study: ShortcutStudy, split: SplitTitle, part: pd.DataFrame, names: Sequence[str]
) -> bool:
    """Draw the dots of one split; return whether any is of a test set."""
    value = study.value_column
    has_test = bool(part[f"test_{value}"].notna().any())
    places = np.array([names.index(name) for name in part["shortcut"]], float)
    for side, shift in [("cv", -0.14), ("test", 0.14)] if has_test else [("cv", 0.0)]:
        axes.errorbar(
            part[f"{side}_{value}"],
            places + shift,
            xerr=interval_bars(part[f"{side}_{value}"], part[f"{side}_low"], part[f"{side}_high"]),
            fmt=SET_MARKERS[side],
            color=SET_COLOURS[side],
            markersize=4,
            elinewidth=0.9,
        )
    best = part.loc[part["best"] == "yes", f"cv_{value}"]
    if len(best):
        axes.axvline(float(best.iloc[0]), color=SHORTCUT_COLOUR, linewidth=0.8, linestyle=DOTTED)
    if study.guessing is not None:
        axes.axvline(study.guessing, color=FAINT, linewidth=0.8, linestyle=DASHED, zorder=0)
    if "" in names:
        axes.axhspan(len(names) - 1.5, len(names) - 0.5, color="#F2F2F2", zorder=-1)
    colour = LEAKY_COLOUR if split.leaky else "black"
    axes.set_title(level_name(split.heading, 34, 2), loc="left", color=colour)
    axes.grid(axis="x")
    return has_test
