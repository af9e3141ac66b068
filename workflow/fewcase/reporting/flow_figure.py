"""The flow of a cohort as readers know it from STARD: boxes, side boxes, and tables of counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from fewcase.reporting.display import LEAKY_NOTE, SIMULATED_NOTE, Cell, DisplayTable, Row
from fewcase.reporting.figures import INCHES_WIDE, LEAKY_COLOUR, STYLE, start_figure
from fewcase.reporting.text import count, plain, shorten
from fewcase.splits.flow import ACCOUNT_COLUMNS, ALL, KEPT_APART, LEFT_OUT, REMAINING, TEST
from fewcase.study.errors import InputError

STEP_TITLES = {
    "recorded": "Recorded",
    "ingested": "Readable",
    "window long enough": "Window long enough",
    "signal quality": "Enough signal",
    "labelled": "With a label",
    "assigned by the split": "Used by the split",
    "cross-validation": "Cross-validation",
}
CAPTION = (
    "From top to bottom what is left after each step, as in a STARD or CONSORT diagram; grey boxes "
    "beside the arrows say what left and why, and blue ones what was set apart for testing."
)
READING = (
    "How to read: a step in bold holds what is left after it, and the rows above it say what left "
    "on the way and why."
)
READING_OF_SITES = (
    "How to read: the same steps hospital by hospital, counted in recordings, with the positive "
    "ones in brackets."
)
SITES_PER_TABLE = 8
"""A table of more hospitals is cut into several, side by side on no page."""

LARGEST_SITES, LARGEST_REASONS = 8, 8
"""A box names no more hospitals or reasons than this; the tables name all."""

FILLS = {REMAINING: "#FFFFFF", LEFT_OUT: "#F1F1F1", TEST: "#E3EFF8", KEPT_APART: "#F8F4E6"}

# Inches.
MARGIN, TRUNK_WIDTH, SIDE_LEFT, PADDING, GAP, BESIDE = 0.08, 3.3, 3.72, 0.07, 0.2, 0.1
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 8.0, 7.2, 6.3
LINE_SPACING = 1.32
# Dots per inch of the PNG, where letters snap to whole pixels, and as good as those of the SVG.
MEASURED_AT = (200, 720)


def read_account(path: Path) -> pd.DataFrame:
    """Read back the CSV file of `fewcase.splits.flow.follow`.

    Raises
    ------
    InputError
        Where the file is missing or has other columns.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
        table[["recordings", "patients"]] = table[["recordings", "patients"]].apply(pd.to_numeric)
        table["examples"] = pd.to_numeric(table["examples"]).astype("Int64")
        return table[ACCOUNT_COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not an account of a cohort's flow ({error}).") from None


@dataclasses.dataclass(frozen=True)
class Box:
    """The counts of one box, in all and by site and label.

    `examples` is None before windows are cut. Sites without any recording are left out.
    """

    step: str
    kind: str
    reason: str
    recordings: int
    patients: int
    examples: int | None
    labels: dict[str, int]
    sites: dict[str, int]
    by_site: dict[str, dict[str, int]]

    @property
    def title(self) -> str:
        """The step in words, or why these went another way."""
        text = plain(self.reason or STEP_TITLES.get(self.step, self.step))
        return text[:1].upper() + text[1:]


def boxes_of(account: pd.DataFrame) -> list[Box]:
    """Return the boxes of an account (see `fewcase.splits.flow.follow`) in its order."""
    keys = account[["step", "kind", "reason"]].apply(tuple, axis=1)
    boxes = []
    for key in dict.fromkeys(keys):
        rows = account[keys == key]
        # A hospital may be called "all" as well: the total is the later of the two.
        n_labels = rows["label"].nunique()
        total, sites = rows.iloc[-n_labels:], rows.iloc[:-n_labels]
        whole = total[total["label"] == ALL].iloc[-1]
        each = sites[sites["label"] == ALL]
        by_site = {
            str(site): dict(zip(part["label"], part["recordings"], strict=True))
            for site, part in sites[sites["label"] != ALL].groupby("site", sort=False)
        }
        boxes.append(
            Box(
                step=str(key[0]),
                kind=str(key[1]),
                reason=str(key[2]),
                recordings=int(whole["recordings"]),
                patients=int(whole["patients"]),
                examples=None if pd.isna(whole["examples"]) else int(whole["examples"]),
                labels=_counts(total[total["label"] != ALL], "label"),
                sites=_counts(each, "site"),
                by_site=by_site,
            )
        )
    return boxes


def _counts(rows: pd.DataFrame, column: str) -> dict[str, int]:
    pairs = zip(rows[column].astype(str), rows["recordings"].astype(int), strict=True)
    return {name: number for name, number in pairs if number}


# Tables ------------------------------------------------------------------------------------------


def lay_out_flow(
    title: str, account: pd.DataFrame, *, simulated: bool, leaky: bool = False
) -> list[DisplayTable]:
    """Lay out an account for reading: all hospitals by label, then the hospitals side by side."""
    boxes = boxes_of(account)
    labels = [label for label in dict.fromkeys(account["label"]) if label != ALL]
    sites = list(dict.fromkeys(site for box in boxes for site in box.sites))
    notes = [
        "Recordings add up until windows are assigned, examples from there on; patients do not, as "
        "one may have several recordings. Fold 1 of the first seed stands for all folds.",
        *([SIMULATED_NOTE] if simulated else []),
        *([LEAKY_NOTE] if leaky else []),
    ]
    columns = (
        "Step",
        "Recordings",
        "Patients",
        "Examples",
        *(name.capitalize() for name in labels),
    )
    rows = [
        _row(
            box,
            [
                count(box.recordings),
                count(box.patients),
                "–" if box.examples is None else count(box.examples),
                *(count(box.labels.get(label, 0)) for label in labels),
            ],
            leaky,
        )
        for box in boxes
    ]
    tables = [DisplayTable(plain(title), columns, tuple(rows), READING, tuple(notes), 1, leaky)]
    for start in range(0, len(sites), SITES_PER_TABLE):
        chosen = sites[start : start + SITES_PER_TABLE]
        part = "" if len(sites) <= SITES_PER_TABLE else f" ({start // SITES_PER_TABLE + 1})"
        tables.append(_table_of_sites(f"{plain(title)}: by hospital{part}", boxes, chosen, leaky))
    return tables


def _row(box: Box, numbers: Iterable[str], leaky: bool) -> Row:
    remains = box.kind == REMAINING
    words = {LEFT_OUT: "left out", TEST: "test", KEPT_APART: "kept apart"}
    name = box.title if remains else f"{words[box.kind]}: {plain(box.reason)}"
    return Row((Cell(name, remains), *(Cell(text) for text in numbers)), leaky)


def _table_of_sites(
    title: str, boxes: Sequence[Box], sites: Sequence[str], leaky: bool
) -> DisplayTable:
    def cell(box: Box, site: str) -> str:
        labels = box.by_site.get(site, {})
        positive = labels.get("positive")
        number = count(box.sites.get(site, 0))
        return number if positive is None or number == "0" else f"{number} ({count(positive)})"

    rows = [_row(box, [cell(box, site) for site in sites], leaky) for box in boxes]
    names = [shorten(plain(site) or "no site", 40) for site in sites]
    notes = (LEAKY_NOTE,) if leaky else ()
    columns = ("Step", *names)
    return DisplayTable(title, columns, tuple(rows), READING_OF_SITES, notes, 1, leaky)


# Figure ------------------------------------------------------------------------------------------


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

    `names_sites` is whether boxes name hospitals at all: one alone is no news in every box.
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


def draw_flow(title: str, account: pd.DataFrame, leaky: bool = False) -> Figure:
    """Draw an account as a flow diagram after STARD and CONSORT.

    What remains stands in the boxes of the trunk on the left, from top to bottom; what leaves, and
    the test sets, stand to the right of the arrow between two of them. The figure is as high as
    its boxes need; text is broken at the width that it is drawn with.
    """
    with matplotlib.rc_context(STYLE):
        return _draw_flow(plain(title), account, leaky)


def _draw_flow(title: str, account: pd.DataFrame, leaky: bool) -> Figure:
    boxes = boxes_of(account)
    measure = _Measure(names_sites=len(_sum(boxes)) > 1)
    trunk: list[_Drawn] = []
    sides: list[list[_Drawn]] = []
    waiting: list[Box] = []
    for box in boxes:
        if box.kind == REMAINING:
            trunk.append(_draw_box(measure, [box], TRUNK_WIDTH))
            sides.append(_side_boxes(measure, waiting))
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


def _side_boxes(measure: _Measure, boxes: Sequence[Box]) -> list[_Drawn]:
    """Return one box for all that was left out, with its reasons, and one for each other part."""
    width = INCHES_WIDE - SIDE_LEFT - MARGIN
    left_out = [box for box in boxes if box.kind == LEFT_OUT]
    drawn = [_draw_box(measure, left_out, width)] if left_out else []
    return drawn + [_draw_box(measure, [box], width) for box in boxes if box.kind != LEFT_OUT]


def _draw_box(measure: _Measure, boxes: Sequence[Box], width: float) -> _Drawn:
    inner = width - 2 * PADDING
    left_out = boxes[0].kind == LEFT_OUT
    title = "Left out" if left_out else boxes[0].title
    lines = list(measure.wrap(title, TITLE_SIZE, inner, bold=True))
    if left_out:
        for text in _reasons(boxes):
            lines += measure.wrap(text, TEXT_SIZE, inner)
    else:
        lines += measure.wrap(_size_of(boxes[0]), TEXT_SIZE, inner)
        lines += measure.wrap(_listed(boxes[0].labels.items()), SMALL_SIZE, inner)
    if measure.names_sites:
        lines += measure.wrap(_sites_text(_sum(boxes)), SMALL_SIZE, inner)
    return _Drawn(tuple(line for line in lines if line.text), FILLS[boxes[0].kind])


def _reasons(boxes: Sequence[Box]) -> list[str]:
    ordered = sorted(boxes, key=lambda box: -(box.recordings or box.examples or 0))
    shown = ordered if len(ordered) <= LARGEST_REASONS else ordered[: LARGEST_REASONS - 1]
    texts = [f"{_bound(_left(box))}: {plain(box.reason)}" for box in shown]
    rest = ordered[len(shown) :]
    if rest:
        number = sum(box.recordings for box in rest)
        texts.append(f"{count(number)}: {len(rest)} other reasons (see the table)")
    return texts


def _left(box: Box) -> str:
    # A window may be refused while its recording stays for the sake of another one.
    if box.examples is not None and box.examples != box.recordings:
        return f"{count(box.recordings)} (examples: {count(box.examples)})"
    return count(box.recordings)


def _size_of(box: Box) -> str:
    text = f"{_bound(count(box.recordings) + ' recordings')} of "
    text += _bound(f"{count(box.patients)} patients")
    if box.examples is not None and box.examples != box.recordings:
        text += f", {_bound(count(box.examples) + ' examples')}"
    return text


def _sum(boxes: Sequence[Box]) -> dict[str, int]:
    sites: dict[str, int] = {}
    for box in boxes:
        for site, number in box.sites.items():
            sites[site] = sites.get(site, 0) + number
    return sites


def _sites_text(sites: dict[str, int]) -> str:
    ordered = sorted(sites.items(), key=lambda item: -item[1])
    shown = ordered if len(ordered) <= LARGEST_SITES else ordered[: LARGEST_SITES - 1]
    rest = ordered[len(shown) :]
    items = [(shorten(plain(site) or "no site", 40), number) for site, number in shown]
    text = _listed(sorted(items, key=lambda item: item[0]))
    if rest:
        number = sum(number for _, number in rest)
        text += f"\u00a0· {_bound(f'{len(rest)} other hospitals {count(number)}')}"
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
