"""Sheets of pictures: panels of small images in rows and columns, with names around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fewcase.reporting.figures import INCHES_WIDE, LEAKY_COLOUR, STYLE, start_figure

LETTERS = "abcdefghijklmnop"
CELL = 0.43
"""Inches of an image with its gap, where it need not be smaller."""

Pixels = npt.NDArray[np.uint8]

# Inches: a heading and a letter of it, a line of names, and room around and before panels.
_HEADING, _LETTER, _LINE, _AROUND, _MARGIN = 0.2, 0.068, 0.11, 0.14, 0.06
_GAP = 0.06


@dataclasses.dataclass(frozen=True)
class Panel:
    """Images in rows and columns with names around them.

    Attributes
    ----------
    title
        Heading, without its letter.
    cells
        uint8 (rows, columns, height, width, 3), height being the side of a single image.
    left, above, below
        Names of rows and of columns.
    margin
        Inches for the names of rows.
    bold
        Rows whose names are bold.
    red
        Columns whose names below are red.
    gap_share
        Gap between images as a share of their height.
    says
        What the caption says of it.
    """

    title: str
    cells: Pixels
    left: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    margin: float = 0.0
    bold: frozenset[int] = frozenset()
    red: frozenset[int] = frozenset()
    gap_share: float = _GAP
    says: str = ""

    @property
    def gap(self) -> int:
        """Pixels between images."""
        return max(1, round(self.gap_share * self.cells.shape[2]))

    @property
    def inches_per_pixel(self) -> float:
        """At which an image has the size of `CELL`, or all columns just fit the page."""
        columns, side, width = self.cells.shape[1:4]
        room = INCHES_WIDE - _MARGIN - _AROUND - self.margin
        return min(CELL / (side + self.gap), room / (columns * (width + self.gap) - self.gap))

    @property
    def images(self) -> tuple[float, float]:
        """Width and height of all images in inches."""
        rows, columns, height, width = self.cells.shape[:4]
        size = columns * (width + self.gap) - self.gap, rows * (height + self.gap) - self.gap
        return size[0] * self.inches_per_pixel, size[1] * self.inches_per_pixel

    @property
    def head(self) -> float:
        """Inches above the images."""
        return _HEADING + _LINE * max((name.count("\n") + 1 for name in self.above), default=0)

    @property
    def width(self) -> float:
        """Inches of all of it, its heading included."""
        heading = _LETTER * (len(self.title) + len("(a) "))
        return max(self.margin + self.images[0], heading) + _AROUND

    @property
    def height(self) -> float:
        """Inches of all of it."""
        return self.head + self.images[1] + (1.3 * _LINE if self.below else 0.0) + _AROUND

    def mosaic(self) -> Pixels:
        """Return all images as one, white between them."""
        rows, columns, height, width = self.cells.shape[:4]
        shape = rows * (height + self.gap) - self.gap, columns * (width + self.gap) - self.gap
        mosaic = np.full((*shape, 3), 255, np.uint8)
        for row in range(rows):
            for column in range(columns):
                top, left = row * (height + self.gap), column * (width + self.gap)
                mosaic[top : top + height, left : left + width] = self.cells[row, column]
        return mosaic


def on_shelves(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Return the panels of each line of a sheet: each stands on the first with room for it."""
    shelves: list[list[Panel]] = []
    room: list[float] = []
    for panel in panels:
        place = next((i for i, left in enumerate(room) if panel.width <= left), len(shelves))
        if place == len(shelves):
            shelves.append([])
            room.append(INCHES_WIDE - _MARGIN)
        shelves[place].append(panel)
        room[place] -= panel.width
    return shelves


def draw_sheet(title: str, shelves: Sequence[Sequence[Panel]], warns: bool = False) -> Figure:
    """Draw panels line by line, with letters in the order of reading; a warning title is red."""
    with matplotlib.rc_context(STYLE):
        lines = start_figure(title, warns, 1).get_suptitle().count("\n") + 1
        heights = [max(panel.height for panel in shelf) for shelf in shelves]
        head = 0.17 * lines + 0.12
        height = sum(heights) + head
        figure = start_figure(title, warns, height)
        # Images are placed in inches: no layout engine may move them.
        figure.set_layout_engine("none")
        style: dict[str, Any] = {"color": LEAKY_COLOUR if warns else "black", "fontsize": 9.5}
        figure.suptitle(figure.get_suptitle(), y=1 - 0.06 / height, va="top", **style)
        letters, top = iter(LETTERS), height - head
        for shelf, tall in zip(shelves, heights, strict=True):
            left = _MARGIN
            for panel in shelf:
                _draw_panel(figure, panel, next(letters), left, top)
                left += panel.width
            top -= tall
        return figure


def _draw_panel(figure: Figure, panel: Panel, letter: str, left: float, top: float) -> None:
    wide, high = figure.get_size_inches()

    def write(x: float, y: float, text: str, style: Mapping[str, Any]) -> None:
        figure.text(x / wide, y / high, text, **{"fontsize": 6.5, **style})

    write(left, top - 0.03, f"({letter}) {panel.title}", {"fontsize": 8, "va": "top"})
    x, y = left + panel.margin, top - panel.head
    width, height = panel.images
    side, wide_side = panel.cells.shape[2:4]
    step, step_across = (
        (length + panel.gap) * panel.inches_per_pixel for length in (side, wide_side)
    )
    gap = panel.gap * panel.inches_per_pixel
    for k, name in enumerate(panel.left):
        weight = {"fontweight": "bold" if k in panel.bold else "normal", "va": "center"}
        write(x - 0.05, y - (k + 0.5) * step + gap / 2, name, weight | {"ha": "right"})
    for k, name in enumerate(panel.above):
        middle = x + (k + 0.5) * step_across - gap / 2
        write(middle, y + 0.02, name, {"ha": "center", "va": "bottom"})
    for k, name in enumerate(panel.below):
        colour = LEAKY_COLOUR if k in panel.red else "black"
        middle = x + (k + 0.5) * step_across - gap / 2
        write(middle, y - height - 0.02, name, {"ha": "center", "va": "top", "color": colour})
    box = x / wide, (y - height) / high, width / wide, height / high
    axes = figure.add_axes(box)
    axes.imshow(panel.mosaic(), aspect="auto", interpolation="none")
    axes.axis("off")
