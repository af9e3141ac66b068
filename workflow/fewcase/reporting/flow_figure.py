"""The flow of a cohort as readers know it from STARD: boxes, side boxes, and arrows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from fewcase.reporting.figures import INCHES_WIDE, LEAKY_COLOUR, STYLE, start_figure
from fewcase.reporting.flow_table import Box, boxes_of
from fewcase.reporting.text import count, plain, shorten
from fewcase.splits.flow import IN_PART, KEPT_APART, LEFT_OUT, REMAINING, TEST
from fewcase.study.words import NOUNS, Nouns

LARGEST_SITES, LARGEST_REASONS, LARGEST_CLASSES = 8, 8, 12
"""A box names no more sites, reasons or classes than this; the tables name all."""

FILLS = {REMAINING: "#FFFFFF", LEFT_OUT: "#F1F1F1", TEST: "#E3EFF8", KEPT_APART: "#F8F4E6"}

# Inches.
MARGIN, TRUNK_WIDTH, SIDE_LEFT, PADDING, GAP, BESIDE = 0.08, 3.3, 3.72, 0.07, 0.2, 0.1
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 8.0, 7.2, 6.3
LINE_SPACING = 1.32
# Dots per inch of the PNG, where letters snap to whole pixels, and as good as those of the SVG.
MEASURED_AT = (200, 720)


@dataclasses.dataclass(frozen=True)
class _Line:
    text: str
    size: float
    bold: bool = False

    @property
    def height(self) -> float:
        return self.size * LINE_SPACING / 72


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """The lines of a box, wrapped to its width, and its fill."""

    lines: tuple[_Line, ...]
    fill: str

    @property
    def height(self) -> float:
        return sum(line.height for line in self.lines) + 2 * PADDING


class _Measure:
    """Breaks text so that it is no wider than a box, as it will be drawn.

    `names_sites` is whether boxes name sites at all: one alone is no news in every box.
    """

    def __init__(self, names_sites: bool) -> None:
        self.names_sites = names_sites
        self._renderers = {
            dots: FigureCanvasAgg(Figure(dpi=dots)).get_renderer() for dots in MEASURED_AT
        }

    def width(self, text: str, size: float, bold: bool) -> float:
        """Return the width of a text in inches."""
        font = FontProperties(size=size, weight="bold" if bold else "normal")
        return max(
            renderer.get_text_width_height_descent(text, font, False)[0] / dots
            for dots, renderer in self._renderers.items()
        )

    def wrap(self, text: str, size: float, width: float, bold: bool = False) -> Iterator[_Line]:
        """Yield the lines of a text; a word wider than the box is cut into pieces."""
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".strip(" ")
            if self.width(longer, size, bold) <= width:
                line = longer
                continue
            if line:
                yield _Line(line, size, bold)
            pieces = list(self._pieces(word, size, width, bold))
            for piece in pieces[:-1]:
                yield _Line(piece, size, bold)
            line = pieces[-1]
        yield _Line(line, size, bold)

    def _pieces(self, word: str, size: float, width: float, bold: bool) -> Iterator[str]:
        while self.width(word, size, bold) > width and len(word) > 1:
            fits = len(word) - 1
            while fits > 1 and self.width(word[:fits], size, bold) > width:
                fits -= 1
            yield word[:fits]
            word = word[fits:]
        yield word


def draw_flow(
    title: str, account: pd.DataFrame, leaky: bool = False, unit: str = "window"
) -> Figure:
    """Draw an account as a flow diagram after STARD and CONSORT.

    What remains stands in the boxes of the trunk on the left, from top to bottom; what leaves, and
    the test sets, stand to the right of the arrow between two of them. The figure is as high as
    its boxes need; text is broken at the width that it is drawn with.
    """
    with matplotlib.rc_context(STYLE):
        return _draw_flow(plain(title), account, leaky, unit)


def _draw_flow(title: str, account: pd.DataFrame, leaky: bool, unit: str) -> Figure:
    boxes = boxes_of(account)
    measure = _Measure(names_sites=len(_sum(boxes)) > 1)
    trunk: list[_Drawn] = []
    sides: list[list[_Drawn]] = []
    waiting: list[Box] = []
    for box in boxes:
        if box.kind == REMAINING:
            trunk.append(_draw_box(measure, [box], TRUNK_WIDTH, unit))
            sides.append(_side_boxes(measure, waiting, unit))
            waiting = []
        else:
            waiting.append(box)
    gaps, above, below = _gaps([box.height for box in trunk], [_height(s) for s in sides[1:]])
    body = sum(box.height for box in trunk) + sum(gaps) + above + below + 2 * MARGIN
    heading = start_figure(title, leaky, 1).get_suptitle().count("\n") + 1
    height = body + heading * 0.17 + 0.1
    figure = start_figure(title, leaky, height)
    # Boxes are placed in inches: no layout engine may move them.
    figure.set_layout_engine("none")
    figure.suptitle(
        figure.get_suptitle(),
        fontsize=9.5,
        color=LEAKY_COLOUR if leaky else "black",
        y=1 - 0.06 / height,
        va="top",
    )
    axes = figure.add_axes((0, 0, 1, body / height))
    axes.set(xlim=(0, INCHES_WIDE), ylim=(0, body))
    axes.axis("off")
    top = body - MARGIN - above
    for number, drawn in enumerate(trunk):
        _place(axes, drawn, MARGIN, top, TRUNK_WIDTH)
        top -= drawn.height
        if number < len(gaps):
            _connect(axes, top, gaps[number], sides[number + 1])
            top -= gaps[number]
    return figure


def _height(side: Sequence[_Drawn]) -> float:
    return sum(box.height for box in side) + BESIDE * max(len(side) - 1, 0)


def _gaps(trunk: Sequence[float], sides: Sequence[float]) -> tuple[list[float], float, float]:
    """Return the gaps between the boxes of the trunk, and the room above and below all of them.

    The side boxes of a gap are centred on it and may reach beside the boxes of the trunk; a gap is
    as wide as they need to keep clear of those of the gap before.
    """
    gaps: list[float] = []
    end = -math.inf  # of the side boxes so far, downwards from the top of the trunk
    top = 0.0
    above = 0.0
    for number, side in enumerate(sides):
        top += trunk[number]
        gap = GAP
        if side:
            gap = max(GAP, 2 * (end + BESIDE + side / 2 - top))
            above = max(above, side / 2 - top - gap / 2)
            end = top + gap / 2 + side / 2
        gaps.append(gap)
        top += gap
    below = end - top - trunk[-1]
    return gaps, above, max(below, 0.0)


def _side_boxes(measure: _Measure, boxes: Sequence[Box], unit: str) -> list[_Drawn]:
    """Return one box for all that was left out, with its reasons, and one for each other part."""
    width = INCHES_WIDE - SIDE_LEFT - MARGIN
    left_out = [box for box in boxes if box.kind in (LEFT_OUT, IN_PART)]
    drawn = [_draw_box(measure, left_out, width, unit)] if left_out else []
    others = [box for box in boxes if box not in left_out]
    return drawn + [_draw_box(measure, [box], width, unit) for box in others]


def _draw_box(measure: _Measure, boxes: Sequence[Box], width: float, unit: str) -> _Drawn:
    inner = width - 2 * PADDING
    left_out = boxes[0].kind in (LEFT_OUT, IN_PART)
    title = "Left out" if left_out else boxes[0].title
    lines = list(measure.wrap(title, TITLE_SIZE, inner, bold=True))
    if left_out:
        for text in _reasons(boxes, NOUNS[unit]):
            lines += measure.wrap(text, TEXT_SIZE, inner)
    else:
        lines += measure.wrap(_size_of(boxes[0], unit), TEXT_SIZE, inner)
        lines += measure.wrap(_classes_text(boxes[0], unit), SMALL_SIZE, inner)
    if measure.names_sites:
        wholly = [box for box in boxes if box.kind != IN_PART]
        lines += measure.wrap(_sites_text(_sum(wholly), NOUNS[unit]), SMALL_SIZE, inner)
    fill = FILLS[LEFT_OUT if left_out else boxes[0].kind]
    return _Drawn(tuple(line for line in lines if line.text), fill)


def _reasons(boxes: Sequence[Box], nouns: Nouns) -> list[str]:
    ordered = sorted(
        boxes, key=lambda box: (box.kind == IN_PART, -(box.records or box.examples or 0))
    )
    shown = ordered if len(ordered) <= LARGEST_REASONS else ordered[: LARGEST_REASONS - 1]
    texts = [f"{_bound(_left(box, nouns))}: {plain(box.reason)}" for box in shown]
    rest = ordered[len(shown) :]
    if rest:
        number = sum(box.records for box in rest if box.kind != IN_PART)
        texts.append(f"{count(number)}: {len(rest)} other reasons (see the table)")
    return texts


def _left(box: Box, nouns: Nouns) -> str:
    if box.kind == IN_PART:
        number = f"some {nouns.examples}"
        if box.examples is not None:
            number = _number(box.examples, nouns.example, nouns.examples, "tile")
        return f"{number} of {_number(box.records, nouns.record, nouns.records, 'tile')}"
    # An example may be refused while its record stays for the sake of another one.
    if box.examples is not None and box.examples != box.records:
        return f"{count(box.records)} ({_called(nouns)}: {count(box.examples)})"
    return count(box.records)


def _called(nouns: Nouns) -> str:
    return "examples" if nouns == NOUNS["window"] else nouns.examples


def _size_of(box: Box, unit: str) -> str:
    nouns = NOUNS[unit]
    text = f"{_bound(_number(box.records, nouns.record, nouns.records, unit))} of "
    text += _bound(_number(box.patients, "patient", "patients", unit))
    if box.examples is not None and box.examples != box.records:
        text += f", {_bound(_number(box.examples, nouns.example, _called(nouns), unit))}"
    return text


def _number(number: int, one: str, several: str, unit: str) -> str:
    """Return a number with its noun; recordings are spoken of in the plural whatever it is."""
    return f"{count(number)} {one if number == 1 and unit != 'window' else several}"


def _classes_text(box: Box, unit: str) -> str:
    """Return how many there are of each class: recordings, images, or tiles once they are cut.

    Before that, nothing is said of images whose tiles are of several classes.
    """
    if unit == "window" or box.examples is None:
        counts = box.labels
        if unit != "window" and sum(counts.values()) != box.records:
            return ""
    else:
        counts = box.examples_by_label
    items = list(counts.items())
    if len(items) > LARGEST_CLASSES:
        largest = sorted(items, key=lambda item: -item[1])[: LARGEST_CLASSES - 1]
        rest = [item for item in items if item not in largest]
        others = (f"{len(rest)} other classes", sum(number for _, number in rest))
        items = [*(item for item in items if item in largest), others]
    return _listed((shorten(plain(name), 40), number) for name, number in items)


def _sum(boxes: Sequence[Box]) -> dict[str, int]:
    sites: dict[str, int] = {}
    for box in boxes:
        for site, number in box.sites.items():
            sites[site] = sites.get(site, 0) + number
    return sites


def _sites_text(sites: dict[str, int], nouns: Nouns) -> str:
    ordered = sorted(sites.items(), key=lambda item: -item[1])
    shown = ordered if len(ordered) <= LARGEST_SITES else ordered[: LARGEST_SITES - 1]
    rest = ordered[len(shown) :]
    items = [(shorten(plain(site) or "no site", 40), number) for site, number in shown]
    text = _listed(sorted(items, key=lambda item: item[0]))
    if rest:
        number = sum(number for _, number in rest)
        text += f"\u00a0· {_bound(f'{len(rest)} other {nouns.sites} {count(number)}')}"
    return text


def _listed(items: Iterable[tuple[str, int]]) -> str:
    # A line ends with the dot, and does not begin with it.
    return "\u00a0· ".join(_bound(f"{name} {count(number)}") for name, number in items)


def _bound(text: str) -> str:
    """Return text that no line is broken within."""
    return text.replace(" ", "\u00a0")


def _place(axes: Axes, box: _Drawn, left: float, top: float, width: float) -> None:
    axes.add_patch(
        matplotlib.patches.Rectangle(
            (left, top - box.height),
            width,
            box.height,
            facecolor=box.fill,
            edgecolor="#404040",
            linewidth=0.8,
        )
    )
    y = top - PADDING
    for line in box.lines:
        axes.text(
            left + PADDING,
            y,
            line.text.replace("\u00a0", " "),
            fontsize=line.size,
            fontweight="bold" if line.bold else "normal",
            color="#404040" if line.size == SMALL_SIZE else "black",
            va="top",
        )
        y -= line.height


def _connect(axes: Axes, top: float, gap: float, sides: Sequence[_Drawn]) -> None:
    """Draw the arrow to the next box of the trunk, and from its middle one to each side box."""
    x, bend = MARGIN + TRUNK_WIDTH / 2, (MARGIN + TRUNK_WIDTH + SIDE_LEFT) / 2
    middle = top - gap / 2
    _arrow(axes, [(x, top), (x, top - gap)])
    y = middle + _height(sides) / 2
    for box in sides:
        centre = y - box.height / 2
        _arrow(axes, [(x, middle), (bend, middle), (bend, centre), (SIDE_LEFT, centre)])
        _place(axes, box, SIDE_LEFT, y, INCHES_WIDE - SIDE_LEFT - MARGIN)
        y -= box.height + BESIDE


def _arrow(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    if len(points) > 2:
        axes.plot(*zip(*points[:-1], strict=True), color="#404040", linewidth=0.8)
    style = {"arrowstyle": "-|>", "color": "#404040", "linewidth": 0.8, "mutation_scale": 7}
    style |= {"shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=points[-1], xytext=points[-2], arrowprops=style)
