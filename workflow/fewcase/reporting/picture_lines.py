"""Lines of pictures with words beside and below each: what is looked at case by case."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from fewcase.reporting.figures import INCHES_WIDE, LEAKY_COLOUR, STYLE, start_figure
from fewcase.reporting.text import number, plain

LARGEST_SIDE = 224
"""Pixels of a picture's longer side, at most."""

LARGEST_FILE = 850_000
"""Bytes, about, of all pictures of a figure: the more there are, the smaller each."""

Pixels = npt.NDArray[np.uint8]

_SMALLEST_SIDE = 32
# Pixels below which a picture is enlarged, by a whole number, to as many at most.
_SHARP_SIDE = 192
# Inches: a heading with its room, a line of words, and the gaps around pictures.
_HEADING, _LINE, _GAP, _BELOW = 0.28, 0.105, 0.08, 0.1
# Of a line above a picture, which is larger.
_ABOVE = 0.13
_WORDS, _NAMES = 5.8, 6.8


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture with words.

    Attributes
    ----------
    pixels
        uint8 (height, width, 3).
    below, above
        Lines below and above it.
    bold
        Whether the first of each is bold.
    """

    pixels: Pixels
    below: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Line:
    """Pictures beside each other, all as wide.

    Attributes
    ----------
    left
        Lines of words before them.
    pictures
        As many as there are, from the left.
    columns
        How many would fill the line.
    heading
        What stands above the line, where a block of lines begins.
    bold
        How many of the words' lines, from the top, are bold.
    """

    left: tuple[str, ...]
    pictures: tuple[Shown, ...]
    columns: int
    heading: str = ""
    bold: int = 1


def fitted(text: str, inches: float, size: float = _WORDS, bold: bool = False) -> str:
    """Return a name cut in its middle to what fits: its ends tell names of a cohort apart."""
    words = plain(text)
    for kept in range(len(words), 2, -1):
        tail = (kept - 1) * 2 // 3
        cut = words if kept == len(words) else f"{words[: kept - 1 - tail]}…{words[-tail:]}"
        if _width(cut, size, bold) <= inches:
            return cut
    return words[:2]


def wrapped(text: str, inches: float, size: float = _WORDS, lines: int = 2) -> list[str]:
    """Return a name broken where its line is full, and cut in its middle where lines run out."""
    words, broken = plain(text), list[str]()
    while words and len(broken) < lines - 1:
        length = len(words)
        while length > 1 and _width(words[:length], size) > inches:
            length -= 1
        broken.append(words[:length])
        words = words[length:]
    return [*broken, fitted(words, inches, size)] if words else broken


def _width(text: str, size: float, bold: bool = False) -> float:
    """Return the inches of a line of text."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    return width / 72


def score_text(score: float) -> str:
    """Return a score, told apart from 0 and 1 where it is not quite."""
    text = number(score)
    if text in ("0.000", "1.000") and score not in (0.0, 1.0):
        return "< 0.001" if score < 0.5 else "> 0.999"
    return text


def width_of(columns: int, margin: float) -> float:
    """Return the inches that a picture of a line has, beside a margin for words."""
    return (INCHES_WIDE - margin) / columns - _GAP


def draw_lines(title: str, lines: Sequence[Line], margin: float, warns: bool = False) -> Figure:
    """Draw lines of pictures from the top down.

    Parameters
    ----------
    title
        Heading; red where it warns.
    lines
        What is drawn.
    margin
        Inches for the words on the left.
    """
    with matplotlib.rc_context(STYLE):
        rows = start_figure(title, warns, 1).get_suptitle().count("\n") + 1
        head = 0.17 * rows + 0.14
        height = head + sum(_height_of(line, margin) for line in lines) + 0.02
        figure = start_figure(title, warns, height)
        # Pictures are placed in inches: no layout engine may move them.
        figure.set_layout_engine("none")
        style: dict[str, Any] = {"color": LEAKY_COLOUR if warns else "black", "fontsize": 9.5}
        figure.suptitle(figure.get_suptitle(), y=1 - 0.06 / height, va="top", **style)
        top = height - head
        for line in lines:
            _draw_line(figure, line, margin, top)
            top -= _height_of(line, margin)
        return figure


def _height_of(line: Line, margin: float) -> float:
    beside = len(line.left) * _LINE * 1.2 + 0.05
    below = max((len(shown.below) for shown in line.pictures), default=0) * _LINE
    tallest = max((_tall(shown, line, margin) for shown in line.pictures), default=0.0)
    return _head_of(line) + max(tallest + below, beside) + _BELOW


def _head_of(line: Line) -> float:
    above = max((len(shown.above) for shown in line.pictures), default=0)
    return (_HEADING if line.heading else 0.0) + _ABOVE * above


def _tall(shown: Shown, line: Line, margin: float) -> float:
    height, width = shown.pixels.shape[:2]
    return width_of(line.columns, margin) * height / width


def _draw_line(figure: Figure, line: Line, margin: float, top: float) -> None:
    wide, high = figure.get_size_inches()

    def write(x: float, y: float, text: str, size: float, **style: Any) -> None:
        figure.text(x / wide, y / high, text, fontsize=size, va="top", **style)

    if line.heading:
        write(0.05, top - 0.06, line.heading, 8.0, fontweight="bold")
    top -= _head_of(line)
    for k, text in enumerate(line.left):
        weight = "bold" if k < line.bold else "normal"
        write(0.05, top - 0.01 - k * _LINE * 1.2, text, _NAMES, fontweight=weight)
    width = width_of(line.columns, margin)
    for k, shown in enumerate(line.pictures):
        left, tall = margin + k * (width + _GAP), _tall(shown, line, margin)
        axes = figure.add_axes((left / wide, (top - tall) / high, width / wide, tall / high))
        axes.imshow(shown.pixels, aspect="auto", interpolation="none")
        axes.axis("off")
        highest = top + _ABOVE * len(shown.above)
        for i, text in enumerate(shown.above):
            weight = "bold" if shown.bold and i == 0 else "normal"
            write(left, highest - i * _ABOVE, text, _NAMES, fontweight=weight)
        for i, text in enumerate(shown.below):
            weight = "bold" if shown.bold and i == 0 else "normal"
            write(left, top - tall - 0.025 - i * _LINE, text, _WORDS, fontweight=weight)


# Pixels ------------------------------------------------------------------------------------------


def in_colours(image: npt.NDArray[np.uint8]) -> Pixels:
    """Return an image (channels, height, width) as (height, width, 3), grey unless it has three."""
    colours = image if len(image) == 3 else image[:1].repeat(3, axis=0)
    return np.ascontiguousarray(np.moveaxis(colours, 0, -1))


def reduced(
    pictures: Sequence[Pixels], most_bytes: int = LARGEST_FILE, largest: int = LARGEST_SIDE
) -> list[Pixels]:
    """Return pictures so large that all of them together fit an SVG file.

    Large ones are reduced; small ones are enlarged by a whole number, so that viewers do not blur
    them.

    Parameters
    ----------
    pictures
        uint8 (height, width, 3).
    most_bytes
        Of all of them in the file.
    largest
        Pixels of a picture's longer side.
    """
    shown = [_resized(picture, largest) for picture in pictures]
    while largest > _SMALLEST_SIDE and (size := sum(map(_bytes_of, shown))) > most_bytes:
        # Bytes grow with the area; a little less makes sure of progress.
        largest = max(_SMALLEST_SIDE, int(0.97 * largest * math.sqrt(most_bytes / size)))
        shown = [_resized(picture, largest) for picture in pictures]
    return shown


def _resized(picture: Pixels, largest: int) -> Pixels:
    times = min(largest, _SHARP_SIDE) // max(picture.shape[:2])
    if times > 1:
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    image = Image.fromarray(picture)
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _bytes_of(picture: Pixels) -> float:
    """Return the bytes that a picture takes in an SVG file: a PNG file in base 64."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    return stream.tell() * 4 / 3
