"""The screen of a simulated scanner: a sector on black, and text, scales and marks around it."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fewcase.ingest.simulate.fields import Shape
from fewcase.ingest.simulate.ultrasound_scanner import Scanner
from fewcase.ingest.simulate.ultrasound_sector import Sector, fit_sector

Pixels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things are on a scanner's screen.

    Attributes
    ----------
    left, top, right, bottom
        Of the window that the sector fits, as shares of the screen.
    text
        Grey of letters.
    letters
        Height of a line as a share of the screen's.
    settings_left
        Whether settings are written at the left, else at the right.
    band
        Grey of the band across the top; 0 for none.
    """

    left: float
    top: float
    right: float
    bottom: float
    text: int
    letters: float
    settings_left: bool
    band: int


def layout(style: float) -> Layout:
    """Return the layout of a scanner by its style, from 0 to 1."""
    places = [(style * factor) % 1 for factor in (1, 3.7, 7.3, 13.1)]
    settings_left = places[0] < 0.5
    wide, narrow = 0.15 + 0.04 * places[1], 0.08
    left, right = (wide, narrow) if settings_left else (narrow, wide)
    return Layout(
        left=left,
        top=0.11 + 0.03 * places[2],
        right=1 - right,
        bottom=0.93 - 0.03 * places[3],
        text=int(150 + 90 * places[2]),
        letters=0.03 + 0.008 * places[1],
        settings_left=settings_left,
        band=int(46 * places[3]) if places[3] > 0.55 else 0,
    )


def place_sector(scanner: Scanner, shape: Shape, depth: float) -> Sector:
    """Return the sector on the screen of a scanner, at a depth in mm."""
    height, width = shape
    at = layout(scanner.style)
    window = (at.left * width, at.top * height, at.right * width, at.bottom * height)
    return fit_sector(shape, window, scanner.radius, scanner.half, depth)


def show(
    picture: Pixels, sector: Sector, inside: npt.NDArray[np.bool_]
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Put the picture of a sector's box on a black screen; return it and where the sector is."""
    left, top, right, bottom = sector.box()
    screen = np.zeros(sector.shape, np.uint8)
    screen[top:bottom, left:right] = np.where(inside, picture, 0)
    covered = np.zeros(sector.shape, bool)
    covered[top:bottom, left:right] = inside
    return screen, covered


def annotate(
    screen: Pixels, sector: Sector, scanner: Scanner, patient: str, number: int, gain: float
) -> None:
    """Write around the sector what scanners write: who, when, how, scales and marks.

    Everything is outside of the sector's box but the mark of the probe's side, which is beside the
    sector in a corner of its box.
    """
    height, width = screen.shape
    at = layout(scanner.style)
    box = sector.box()
    image = Image.fromarray(screen)
    letters = max(6, round(at.letters * height))
    font = ImageFont.load_default(letters)
    pen = _Pen(ImageDraw.Draw(image), letters, at.text, font)
    if at.band:
        bottom = min(round(0.085 * height), box[1] - 2)
        pen.draw.rectangle((0, 0, width, bottom), fill=at.band)
    _headings(pen, image.size, patient, number)
    _settings(pen, image.size, box, at, scanner, sector, gain)
    _scales(pen, image.size, box, at, sector, scanner)
    pen.write((0.02 * width, height - 1.35 * pen.size), "ABDOMEN", box[3] + 1, height)
    _logo(pen, image.size, box[3])
    screen[:] = np.asarray(image)


@dataclasses.dataclass(frozen=True)
class _Pen:
    """Writes lines of text that fit between two rows."""

    draw: ImageDraw.ImageDraw
    size: int
    grey: int
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont

    def write(
        self, place: tuple[float, float], text: str, first: float, last: float, limit: float = 0
    ) -> None:
        """Write a line if it fits between rows and, with a limit, ends before that column."""
        if place[1] < first or place[1] + 1.2 * self.size > last:
            return
        while limit and text and place[0] + self.font.getlength(text) >= limit:
            text = text[:-1]
        self.draw.text(place, text, fill=self.grey, font=self.font)


def _logo(pen: _Pen, size: tuple[int, int], first: int) -> None:
    """Draw the sign of a maker that does not exist: a disc in a ring, in the lower right corner."""
    half = 0.022 * size[1]
    row, column = size[1] - 1.5 * half, size[0] - 2 * half
    if row - half > first:
        pen.draw.ellipse((column - half, row - half, column + half, row + half), outline=pen.grey)
        half *= 0.5
        pen.draw.ellipse((column - half, row - half, column + half, row + half), fill=pen.grey)


def _headings(pen: _Pen, size: tuple[int, int], patient: str, number: int) -> None:
    width, height = size
    last = 0.105 * height
    row = 0.012 * height
    for column, lines in (
        (0.02, ("SIMULATED^LIVER", f"ID {patient}")),
        (0.40, ("SIMULATED DATA", "NOT OF A PERSON")),
        (0.68, (f"01/01/2000  10:{number:02d}:00", "Abd C5-1   MI 1.1  TIs 0.4")),
    ):
        for line, text in enumerate(lines):
            place = (column * width, row + 1.25 * line * pen.size)
            pen.write(place, text, 0, last, (column + 0.36) * width if column < 0.6 else width)


def _settings(
    pen: _Pen,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    at: Layout,
    scanner: Scanner,
    sector: Sector,
    gain: float,
) -> None:
    width, height = size
    lines = (
        "2D",
        f"{scanner.frequency:.1f} MHz",
        f"Gn {50 + gain:.0f}",
        f"DR {scanner.range:.0f}",
        f"D {sector.depth / 10:.1f} cm",
        f"F {scanner.focus / 10:.1f} cm",
        "FR 31 Hz",
        "Map 4",
        "Persist Med",
        "AO 100%",
    )
    column = 0.012 * width if at.settings_left else box[2] + 0.035 * width
    limit = box[0] - 2 if at.settings_left else width
    for number, text in enumerate(lines):
        row = (0.16 + 0.045 * number) * height
        pen.write((column, row), text, 0, height, limit)


def _scales(
    pen: _Pen,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    at: Layout,
    sector: Sector,
    scanner: Scanner,
) -> None:
    """Draw the grey bar, ticks for each centimetre of depth, the focus and the probe's mark."""
    width, height = size
    left, top, right, _ = box
    column = right + max(2, round(0.008 * width))
    face = sector.apex[0] + sector.radius / sector.scale
    for centimetre in range(int(sector.depth / 10) + 1):
        row = round(face + 10 * centimetre / sector.scale)
        long = 0.012 if centimetre % 5 == 0 else 0.005
        pen.draw.line((column, row, column + max(1, round(long * width)), row), fill=pen.grey)
    row = round(face + scanner.focus / sector.scale)
    half = max(2, round(0.008 * height))
    tip = column + round(0.014 * width)
    pen.draw.polygon(
        [(tip, row), (tip + half, row - half), (tip + half, row + half)], fill=pen.grey
    )
    # The grey bar is on the side that has more room.
    bar = max(3, round(0.014 * width))
    start = 0.06 * width if at.settings_left else width - 0.06 * width
    if not at.settings_left or start + bar < left - 2:
        first, last = round(0.66 * height), round(0.9 * height)
        for row in range(first, last):
            grey = round(255 * (last - row) / (last - first))
            pen.draw.line((start, row, start + bar, row), fill=grey)
    # The mark of the probe's side, in the corner beside the sector.
    radius = max(2, round(0.012 * height))
    centre = (left + 4 * radius, top + 2 * radius)
    pen.draw.ellipse(
        (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius),
        outline=pen.grey,
    )
