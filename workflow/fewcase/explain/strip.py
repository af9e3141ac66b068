"""A stretch of cardiotocogram on its paper, with what speaks for and against a class along it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fewcase.explain.dida import brightness_scale, mixed_map, paint
from fewcase.explain.grids import WHOLE, Grid, cells_of
from fewcase.explain.map_files import MapSet
from fewcase.explain.pictures import top_classes
from fewcase.explain.strip_paper import (
    INK,
    PAPER,
    STRONG_GRID,
    Float32,
    Picture,
    Range,
    draw_lines,
    rule_paper,
    shade,
    signal_of,
)
from fewcase.study.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


# On white, red and blue are told apart with any colour vision, and in bands they lie on different
# sides of a line besides.
FOR = "#c8372d"
AGAINST = "#1f5fa8"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.linewidth": 0.8,
    # Names from data may hold a dollar sign, which is no mathematics.
    "text.parse_math": False,
    "svg.hashsalt": "fewcase",
}
FHR_RANGE = (50.0, 200.0)
UC_RANGE = (0.0, 120.0)
_SCORES = {"probability": "probability", "logit": "logit", "log_odds": "log-odds"}
_SIGNALS = {"fhr": "FHR", "uc": "UC", "baseline": "baseline"}

# Millimetres: per minute and per 20 bpm half of FIGO's 10 and 10, then parts of the figure.
_MINUTE, _20_BPM = 8.0, 6.0
_LEFT, _RIGHT, _TOP, _GAP, _FOOT = 27.0, 8.0, 16.0, 3.0, 24.0
_UC, _BAND, _ROW = 26.0, 13.0, 2.4


def draw_strip(
    picture: Picture,
    grids: Sequence[Grid],
    differences: Float32,
    *,
    channels: Sequence[str],
    window_minutes: float,
    scale: float,
    class_name: str,
    score: str = "probability",
    title: str = "",
    fhr_range: Range = FHR_RANGE,
    uc_range: Range = UC_RANGE,
) -> Figure:
    """Draw the record as the network sees it on CTG paper, and the evidence for one class.

    The paper is shaded with what all channels together say, for and against having cancelled.
    Below it, a band for each group of slits (all channels, then each one) shows the weighted mean
    over all widths of slits: what speaks for the class upwards, what speaks against it downwards,
    neither cancelling the other. Under each band is a row of colour for each width.

    Parameters
    ----------
    picture
        uint8 (C, H, W): lines, black on white.
    grids
        Grids of slits.
    differences
        (cells of all grids,) of one case and class.
    channels
        Names of the channels, such as fhr-10, uc-none, baseline-block10.
    window_minutes
        What the width of the picture spans.
    scale
        The difference that has the full colour, in units of the score; see
        `fewcase.explain.dida.brightness_scale`.
    class_name
        The class.
    score
        What differences are of: probability, logit, log_odds.
    title
        What is shown, such as the recording's name.
    fhr_range, uc_range
        Values at the centres of the lowest and the uppermost pixel row, bpm and units of UC.

    Raises
    ------
    InputError
        Where grids are not of slits, or no channel is of FHR or UC.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if any(grid.rows != 1 for grid in grids):
        raise InputError("explain: a strip shows time slits; its grids have rows of cells.")
    if len(channels) != len(picture) or not {"fhr", "uc"} & set(map(signal_of, channels)):
        raise InputError(
            f"explain: channels {list(channels)} of a picture with {len(picture)}; a strip needs "
            "the name of each, and one of FHR or UC."
        )
    with mpl.rc_context(STYLE):
        sheet = _Sheet(_heights(grids, channels, fhr_range), window_minutes)
        FigureCanvasAgg(sheet.figure)
        sheet.write_title(title, f"for and against: {class_name}")
        colours = _colours()
        whole = next((grid.group for grid in grids if grid.group == WHOLE), grids[0].group)
        mixed = mixed_map(grids, differences, scale, group=whole)
        for signal, limits in (("fhr", fhr_range), ("uc", uc_range)):
            if signal in map(signal_of, channels):
                axes = sheet.next_axes()
                rule_paper(axes, window_minutes, limits, signal)
                shade(axes, mixed.signed[:1], window_minutes, limits, colours)
                draw_lines(axes, picture, channels, signal, window_minutes, limits)
        _draw_bands(sheet, grids, differences, channels, scale, colours)
        sheet.draw_legend(colours, scale, _SCORES.get(score, score))
        return sheet.figure


def draw_case(
    maps: MapSet,
    case: int,
    class_number: int | None = None,
    *,
    absolute: float | None = None,
    fhr_range: Range = FHR_RANGE,
    uc_range: Range = UC_RANGE,
) -> Figure:
    """Draw the strip of one case of a set of maps; by default for the likeliest class.

    See `draw_strip`, and `fewcase.explain.dida.brightness_scale` for `absolute`.

    Raises
    ------
    InputError
        Where the set is not of stretches of cardiotocogram.
    """
    if not maps.about.get("window_minutes"):
        raise InputError(
            "explain: a strip needs maps of stretches of time, about which window_minutes is known."
        )
    changes, scores = maps.differences[case], maps.scores[case]
    number = top_classes(scores, 1)[0] if class_number is None else class_number
    name = maps.class_names[number]
    line = maps.cases.iloc[case]
    title = str(line["example"])
    if "label" in line and 0 <= int(line["label"]) < len(maps.class_names):
        title = f"{title}, labelled {maps.class_names[int(line['label'])]}"
    return draw_strip(
        np.asarray(maps.pictures[case]),
        maps.grids,
        changes[:, number],
        channels=maps.about["channels"],
        window_minutes=maps.about["window_minutes"],
        scale=brightness_scale(changes, absolute=absolute),
        class_name=f"{name}, probability {scores[number]:.3f}",
        score=maps.about["score"],
        title=title,
        fhr_range=fhr_range,
        uc_range=uc_range,
    )


class _Sheet:
    """A figure laid out in millimetres, so that the paper has its proportions."""

    def __init__(self, heights: Sequence[float], minutes: float) -> None:
        from matplotlib.figure import Figure

        self.minutes = minutes
        self._width = max(minutes, 15) * _MINUTE
        self._heights = iter(heights)
        self._whole = (
            _LEFT + self._width + _RIGHT,
            _TOP + sum(heights) + _GAP * len(heights) + _FOOT,
        )
        self._top = _TOP
        self.figure = Figure(
            figsize=(self._whole[0] / 25.4, self._whole[1] / 25.4), facecolor="white"
        )

    def next_axes(self, gap: float = _GAP) -> Axes:
        """Return axes of the whole width below the last ones."""
        height = next(self._heights)
        axes = self._place(_LEFT, self._top, self._width, height)
        axes.set_xlim(0, self.minutes)
        axes.tick_params(length=0, labelbottom=False)
        axes.set_xticks(np.arange(0, self.minutes + 1e-9, 5))
        self._top += height + gap
        return axes

    def write_title(self, title: str, what: str) -> None:
        """Write two lines above all axes."""
        for text, down, size in ((title, 5.0, 11.0), (what, 11.0, 9.0)):
            # A letter is about a fifth of a millimetre wide for each point of its size.
            room = int(self._width / (0.2 * size))
            short = text if len(text) <= room else text[: room - 1] + "…"
            x, y = _LEFT / self._whole[0], 1 - down / self._whole[1]
            self.figure.text(x, y, short, size=size, va="center")

    def draw_legend(self, colours: Colormap, scale: float, score: str) -> None:
        """Draw the bar of colours at the foot, in units of the score."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        width = min(90.0, self._width)
        axes = self._place(_LEFT + (self._width - width) / 2, self._top + 9, width, 3)
        bar = self.figure.colorbar(
            ScalarMappable(Normalize(-scale, scale), colours), cax=axes, orientation="horizontal"
        )
        bar.set_ticks([-scale, -scale / 2, 0, scale / 2, scale])
        bar.ax.xaxis.set_major_formatter(lambda value, _: _number(value))
        bar.ax.tick_params(length=2, labelsize=7)
        bar.set_label(f"against  ←  {score} that a slit adds  →  for", size=8)

    def _place(self, x: float, top: float, width: float, height: float) -> Axes:
        whole = self._whole
        box = (x / whole[0], 1 - (top + height) / whole[1], width / whole[0], height / whole[1])
        return self.figure.add_axes(box)


def _heights(grids: Sequence[Grid], channels: Sequence[str], fhr_range: Range) -> list[float]:
    signals = set(map(signal_of, channels))
    heights = [(fhr_range[1] - fhr_range[0]) / 20 * _20_BPM] if "fhr" in signals else []
    heights += [_UC] if "uc" in signals else []
    for group in dict.fromkeys(grid.group for grid in grids):
        heights += [_BAND, _ROW * sum(grid.group == group for grid in grids)]
    return heights


def _draw_bands(
    sheet: _Sheet,
    grids: Sequence[Grid],
    differences: Float32,
    channels: Sequence[str],
    scale: float,
    colours: Colormap,
) -> None:
    """Draw what speaks for and against along each group of slits, and the rows of each width."""
    groups = list(dict.fromkeys(grid.group for grid in grids))
    maps = {group: mixed_map(grids, differences, scale, group=group) for group in groups}
    highest = max(float(max(one.positive.max(), one.negative.max())) for one in maps.values())
    limit = scale * max(highest, 1e-3)
    for group, one in maps.items():
        axes = sheet.next_axes(gap=0.0)
        edges = np.linspace(0, sheet.minutes, one.positive.shape[1] + 1)
        axes.stairs(scale * one.positive[0], edges, fill=True, color=FOR)
        axes.stairs(-scale * one.negative[0], edges, fill=True, color=AGAINST)
        axes.axhline(0, color=INK, lw=0.6)
        axes.set_ylim(-1.4 * limit, 1.4 * limit)
        axes.set_yticks([-limit, 0, limit], [_number(-limit), "0", _number(limit)])
        _rule_minutes(axes)
        _label(axes, _in_words(group, channels))
        rows = cells_of(grids, differences, group)
        axes = sheet.next_axes(gap=2 * _GAP)
        axes.imshow(
            np.stack([paint(grid, part)[0] for grid, part in rows]),
            cmap=colours,
            vmin=-scale,
            vmax=scale,
            extent=(0, sheet.minutes, len(rows), 0),
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_yticks(np.arange(len(rows)) + 0.5, [grid.name for grid, _ in rows], size=5)
        _rule_minutes(axes)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("minutes", labelpad=1)


def _rule_minutes(axes: Axes) -> None:
    axes.grid(axis="x", color=STRONG_GRID, lw=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", pad=2, labelsize=5.5)
    for spine in axes.spines.values():
        spine.set_color(STRONG_GRID)


def _label(axes: Axes, text: str) -> None:
    # Beside the border of band and rows, which is about the middle of both.
    axes.text(-0.075, 0.0, text, transform=axes.transAxes, ha="center", va="center", rotation=90)


def _colours() -> Colormap:
    """Return the colours from all against over none to all for; none is the paper."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("evidence", [AGAINST, PAPER, FOR], N=511)


def _in_words(group: str, channels: Sequence[str]) -> str:
    if group == WHOLE:
        return "all channels"
    alone = [signal_of(name) for name in channels].count(signal_of(group)) == 1
    return _SIGNALS.get(signal_of(group), group) if alone else group


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:+.2g}".replace("-", "−")
