"""Learning curves of an experiment's arms side by side: loss above, accuracy and AUC below."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.figures import (
    COLOURS,
    INCHES_WIDE,
    LEAKY_COLOUR,
    STYLE,
    level_name,
    start_figure,
)
from fewcase.reporting.learning_curves import CURVES, LOSSES, MEASURES, Learning
from fewcase.reporting.picture_lines import fitted
from fewcase.reporting.table_parts import names_of_arms, titled, warnings_of
from fewcase.reporting.text import count, number, plain
from fewcase.study.errors import InputError

MOST_ARMS = 12
"""Arms that are shown."""

BESIDE = 3
"""Arms that stand beside each other."""

CURVE_COLOURS = {
    "train_loss": COLOURS[1],
    "inner_loss": COLOURS[2],
    "train_accuracy": COLOURS[1],
    "inner_accuracy": COLOURS[2],
    "inner_auc": COLOURS[3],
}
RULE = "#A8A8A8"
# Inches of the panels of one arm: its name, its losses, its measures.
_NAME, _LOSSES, _MEASURES = 0.3, 1.15, 0.95
# Points of the letters of its name.
_TITLE = 8.0


@dataclasses.dataclass(frozen=True)
class LearningFigure:
    """The learning curves of the arms of an experiment.

    Attributes
    ----------
    experiment
        Which arms, and what readers know them by.
    shown
        The runs of each arm that is shown, in the order of the experiment.
    left_out
        How many trained arms are not shown.
    fitted
        Names of arms that were fitted and not trained, which have no curves.
    """

    experiment: Experiment
    shown: tuple[Learning, ...]
    left_out: int
    fitted: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment, learnings: Sequence[Learning]) -> LearningFigure:
        """Put the runs of an experiment's arms in its order.

        Raises
        ------
        InputError
            For runs that are of none of its arms, or of an arm that was not trained.
        """
        names = names_of_arms(experiment)
        found = {learning.key: learning for learning in learnings}
        if strange := [key for key in found if key not in names]:
            raise InputError(
                f"experiment {experiment.name}: runs of arm {strange[0][0]!r} under split "
                f"{strange[0][1]!r}, which it has not. Give the runs of its own arms."
            )
        ordered = [found[key] for key in names if key in found]
        trained = [learning for learning in ordered if learning.was_trained]
        if not trained:
            raise InputError(f"experiment {experiment.name}: none of its arms was trained.")
        fitted = tuple(names[each.key] for each in ordered if not each.was_trained)
        # Arms for which no folder was given are counted as well, or nobody would miss them.
        absent = len(names) - len(ordered)
        shown = tuple(trained[:MOST_ARMS])
        return cls(experiment, shown, len(trained) - len(shown) + absent, fitted)

    @property
    def title(self) -> str:
        """The heading of the figure and of its table."""
        return f"Learning curves: {titled(self.experiment)}"

    @property
    def measures(self) -> list[str]:
        """Those of `MEASURES` that any run has."""
        tables = [learning.table for learning in self.shown]
        return [name for name in MEASURES if any(table[name].notna().any() for table in tables)]

    def draw(self) -> Figure:
        """Draw it: a thin line for each run, a bold one for their mean."""
        with matplotlib.rc_context(STYLE):
            return self._draw()

    def _draw(self) -> Figure:
        columns = min(BESIDE, len(self.shown))
        lines = math.ceil(len(self.shown) / columns)
        parts = {"losses": list(LOSSES), "measures": self.measures}
        heights = {"losses": _NAME + _LOSSES, "measures": _MEASURES}
        parts = {name: curves for name, curves in parts.items() if curves}
        height = lines * sum(heights[name] for name in parts) + 1.0
        figure = start_figure(self.title, self.experiment.leaky == "all", height)
        grid = figure.subplots(
            lines * len(parts),
            columns,
            sharex="all",
            squeeze=False,
            height_ratios=[heights[name] for name in parts] * lines,
        )
        names, leaky = names_of_arms(self.experiment), self._leaky()
        for p, (part, curves) in enumerate(parts.items()):
            ends = self._ends(curves, part == "measures")
            for place, axes in enumerate(grid[p :: len(parts)].ravel()):
                if place >= len(self.shown):
                    axes.set_visible(False)
                    continue
                learning = self.shown[place]
                _draw_curves(axes, learning, curves)
                axes.set_ylim(*ends)
                axes.grid(axis="y")
                axes.tick_params(labelleft=place % columns == 0, labelsize=7)
                below = place + columns >= len(self.shown)
                axes.tick_params(labelbottom=below and p == len(parts) - 1)
                if place % columns == 0:
                    axes.set_ylabel("Loss" if part == "losses" else self._measured)
                if below and p == len(parts) - 1:
                    axes.set_xlabel("Epoch")
                if p == 0:
                    colour = LEAKY_COLOUR if learning.key in leaky else "black"
                    title = _title(names[learning.key], INCHES_WIDE / columns - 0.35)
                    axes.set_title(title, loc="left", color=colour, fontsize=_TITLE)
                    _write_rates(axes, learning)
        grid[0, 0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        self._draw_legend(figure)
        return figure

    @property
    def _measured(self) -> str:
        kinds = {"accuracy": "Accuracy", "auc": "AUC"}
        names = [name.rpartition("_")[2] for name in self.measures]
        return ", ".join(kinds[name] for name in dict.fromkeys(names))

    def _leaky(self) -> set[tuple[str, str]]:
        return {arm.key for arm in self.experiment.arms if arm.leaky}

    def _ends(self, curves: Sequence[str], bounded: bool) -> tuple[float, float]:
        """Return the ends of the axis that all arms share, so that they can be compared."""
        values = np.concatenate(
            [each.table[list(curves)].to_numpy().ravel() for each in self.shown]
        )
        values = values[np.isfinite(values)]
        low, high = float(values.min()), float(values.max())
        if bounded:
            return max(-0.02, low - 0.05), 1.02
        # A run that leaps in its first epoch would press all others flat.
        usual = float(np.quantile(values, 0.98))
        return 0.0, 1.05 * (high if high <= 2 * usual else 1.3 * usual)

    def _draw_legend(self, figure: Figure) -> None:
        measures = self.measures
        accuracies = [name for name in measures if name.endswith("accuracy")]
        entries = [(CURVE_COLOURS[name], text) for name, text in LOSSES.items()]
        if len(accuracies) < len(measures):
            entries.append((CURVE_COLOURS["inner_auc"], MEASURES["inner_auc"]))
        handles = [Line2D([], [], color=colour, linewidth=1.8) for colour, _ in entries]
        texts = [text for _, text in entries]
        handles.append(Line2D([], [], **_mark(COLOURS[2]), linestyle="none"))
        texts.append("epoch kept")
        if any(learning.steps() for learning in self.shown):
            handles.append(Line2D([], [], color=RULE, linewidth=0.9, linestyle=(0, (2, 2))))
            texts.append("learning rate falls to")
        figure.legend(handles, texts, loc="outside lower center", ncols=len(texts))

    def caption(self) -> str:
        """Return how to read it, and what is not in it."""
        losses = "Loss on the training part, and cross-entropy on the inner validation part"
        measured = [MEASURES[name].replace(", ", " on ", 1) for name in self.measures]
        below = f"; below, {_joined(measured)}" if measured else ""
        said = [
            f"{losses} (above){below}. A thin line is a run, the bold one the mean over runs, "
            "which ends where early stopping has left fewer than half of them. Dots mark the epoch "
            "whose weights a run kept. The axes of all panels are the same."
        ]
        if any(learning.steps() for learning in self.shown):
            said.append("Dotted rules: the learning rate falls in a step, to the value beside it.")
        said.append(
            "Training losses are what an arm is trained on: cross-entropy, or what class_loss "
            "says, with its augmentation and label smoothing and the masks that it learns, so they "
            "may lie above those of inner validation; where these rise while training losses fall, "
            "the arm learns its training examples by heart."
        )
        if self.table()["inner_loss"].isna().all():
            said.append("These arms have no inner validation part: the last epoch is kept.")
        high = max(float(np.nanmax(each.table[list(LOSSES)].to_numpy())) for each in self.shown)
        if high > self._ends(list(LOSSES), False)[1]:
            said.append(f"Losses up to {high:.3g} are cut off above.")
        if self.left_out:
            said.append(f"{count(self.left_out)} more arms of this experiment are not shown.")
        if self.fitted:
            names = _joined([plain(name) for name in dict.fromkeys(self.fitted)])
            said.append(f"Fitted in one go, without epochs: {names}.")
        return " ".join(said)

    def table(self) -> pd.DataFrame:
        """Return each arm at the epochs that its runs kept: means over runs and bags.

        Returns
        -------
        pandas.DataFrame
            arm (as readers know it), runs, epochs (mean), kept (mean), kept_first, kept_last, and
            `CURVES`, NaN where no run has one.
        """
        names, rows = names_of_arms(self.experiment), []
        for learning in self.shown:
            kept = learning.table[learning.table["chosen"]]
            lengths = learning.table.groupby(["run", "bag"])["epoch"].max()
            epochs = {"epochs": lengths.mean(), "kept": kept["epoch"].mean()}
            ends = {"kept_first": kept["epoch"].min(), "kept_last": kept["epoch"].max()}
            about = {"arm": names[learning.key], "runs": learning.runs}
            rows.append({**about, **epochs, **ends, **kept[list(CURVES)].mean()})
        return pd.DataFrame(rows)

    def lay_out(self) -> DisplayTable:
        """Return the table as it stands below the figure."""
        table, measures = self.table(), self.measures
        headings = [*LOSSES.values(), *(MEASURES[name] for name in measures)]
        headings = [f"loss, {name}" for name in headings[:2]] + headings[2:]
        rows = []
        for (_, line), learning in zip(table.iterrows(), self.shown, strict=True):
            ends = f"{count(line['kept_first'])}–{count(line['kept_last'])}"
            kept = f"{line['kept']:.1f}" + (f" ({ends})" if learning.runs > 1 else "")
            texts = [plain(line["arm"]), count(line["runs"]), f"{line['epochs']:.1f}", kept]
            texts += [number(line[name]) for name in (*LOSSES, *measures)]
            leaky = learning.key in self._leaky()
            rows.append(Row(tuple(Cell(text) for text in texts), leaky))
        return DisplayTable(
            title=self.title,
            columns=(
                "Arm",
                "Runs",
                "Epochs",
                "Epoch kept",
                *(h[:1].upper() + h[1:] for h in headings),
            ),
            rows=tuple(rows),
            reading="How far training came: means over runs at the epoch whose weights were kept.",
            notes=tuple(warnings_of(self.experiment)),
            words=1,
            leaky=self.experiment.leaky == "all",
        )


def _title(name: str, inches: float) -> str:
    """Return the name of an arm in two lines at most, which fit above its panels."""
    # About so many letters fit; names without spaces are then cut where they do not.
    lines = level_name(name, int(inches * 14), 2).split("\n")
    return "\n".join(fitted(line, inches, _TITLE) for line in lines)


def _draw_curves(axes: Axes, learning: Learning, curves: Sequence[str]) -> None:
    for epoch in learning.steps():
        axes.axvline(epoch - 0.5, color=RULE, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    mean, lines = learning.mean(), learning.lines
    faint: dict[str, Any] = {"linewidth": 0.6, "alpha": max(0.15, 0.55 / math.sqrt(len(lines)))}
    for name in curves:
        colour = CURVE_COLOURS[name]
        if len(lines) > 1:
            for line in lines:
                axes.plot(line["epoch"], line[name], color=colour, **faint)
        axes.plot(mean.index, mean[name], color=colour, linewidth=1.8)
    # On the curve that the choice goes by, or on what there is.
    judged = [name for name in ("inner_loss", "inner_auc", "train_loss") if name in curves]
    has = [name for name in judged if learning.table[name].notna().any()]
    if has:
        kept = learning.table[learning.table["chosen"]]
        axes.plot(kept["epoch"], kept[has[0]], linestyle="none", **_mark(CURVE_COLOURS[has[0]]))


def _mark(colour: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 3.2,
        "markerfacecolor": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def _write_rates(axes: Axes, learning: Learning) -> None:
    """Write the learning rate after each step beside its rule, where there are few."""
    steps = learning.steps()
    if len(steps) > 4:
        return
    for epoch, rate in steps.items():
        place = (epoch - 0.5, 0.98)
        style: dict[str, Any] = {"fontsize": 5.5, "color": "#707070", "ha": "left", "va": "top"}
        axes.annotate(
            f"{rate:.2g}".replace("e-0", "e-"),
            place,
            (1.5, 0),
            axes.get_xaxis_transform(),
            "offset points",
            **style,
        )


def _joined(names: Sequence[str]) -> str:
    """Return names in a row, the last behind ``and``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
