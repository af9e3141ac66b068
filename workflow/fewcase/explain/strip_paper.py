"""CTG paper with the lines that a network sees, shaded by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

Picture = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Range = tuple[float, float]

PAPER = "#fffdf8"
GRID = "#f7dccd"
STRONG_GRID = "#e3ab8e"
INK = "#1b1b1e"
BASELINE_INK = "#4c7a4c"


def rule_paper(axes: Axes, minutes: float, limits: Range, signal: str) -> None:
    """Rule the axes as CTG paper: a line per minute and per 5 bpm, or per 10 units of UC."""
    axes.set_facecolor(PAPER)
    axes.set_ylim(*limits)
    axes.set_axisbelow(False)
    step, strong = (5, 30) if signal == "fhr" else (10, 20)
    for x in np.arange(0, minutes + 1e-9, 1):
        heavy = x % 5 == 0
        axes.axvline(x, color=STRONG_GRID if heavy else GRID, lw=0.8 if heavy else 0.5, zorder=1)
    values = np.arange(np.ceil(limits[0] / step) * step, limits[1] + 1e-9, step)
    for y in values:
        heavy = y % strong == 0
        axes.axhline(y, color=STRONG_GRID if heavy else GRID, lw=0.8 if heavy else 0.4, zorder=1)
    axes.set_yticks([y for y in values if y % strong == 0])
    axes.set_ylabel("FHR, bpm" if signal == "fhr" else "UC", labelpad=4)
    for spine in axes.spines.values():
        spine.set_color(STRONG_GRID)


def shade(axes: Axes, signed: Float32, minutes: float, limits: Range, colours: Colormap) -> None:
    """Colour the paper by a map (1, W) in [-1, 1] along its minutes."""
    axes.imshow(
        signed,
        cmap=colours,
        vmin=-1,
        vmax=1,
        extent=(0, minutes, *limits),
        aspect="auto",
        interpolation="nearest",
        zorder=0,
    )


def draw_lines(
    axes: Axes,
    picture: Picture,
    channels: Sequence[str],
    signal: str,
    minutes: float,
    limits: Range,
) -> None:
    """Draw the lines of the picture, pixel by pixel: the baseline is on the paper of FHR."""
    from matplotlib.colors import to_rgb

    # The limits are the centres of the outermost pixel rows.
    half = (limits[1] - limits[0]) / (picture.shape[1] - 1) / 2
    inks = {signal: INK} | ({"baseline": BASELINE_INK} if signal == "fhr" else {})
    names = [name for ink in ("baseline", signal) for name in channels if signal_of(name) == ink]
    for name in names:
        if signal_of(name) in inks:
            pixels = np.empty((*picture.shape[1:], 4), np.float32)
            pixels[..., :3] = to_rgb(inks[signal_of(name)])
            pixels[..., 3] = 1 - picture[list(channels).index(name)] / np.float32(255)
            axes.imshow(
                pixels,
                extent=(0, minutes, limits[0] - half, limits[1] + half),
                aspect="auto",
                interpolation="nearest",
                zorder=2,
            )
    axes.set_ylim(*limits)


def signal_of(channel: str) -> str:
    """Return what a channel shows: fhr, uc or baseline of names such as fhr-10."""
    return channel.partition("-")[0].lower()
