"""What the page of a study is made of: sections with their figures and tables."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.text import plain
from fewcase.study.errors import InputError

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure as the page carries it: the file itself in its address."""

    source: str
    alt: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: figures first, then tables.

    `folded` is the line that tables are folded behind, empty where they are open to view. `links`
    are words and addresses of other pages.
    """

    anchor: str
    title: str
    pictures: tuple[Picture, ...] = ()
    tables: tuple[DisplayTable, ...] = ()
    text: str = ""
    leaky: bool = False
    folded: str = ""
    verbatim: str = ""
    links: tuple[tuple[str, str], ...] = ()


Part = tuple[str, list[Section]]


def embed(path: Path, alt: str, caption: str = "") -> Picture:
    """Return a figure with its bytes in a data address."""
    if path.suffix not in MEDIA_TYPES:
        raise InputError(f"{path}: the report shows {sorted(MEDIA_TYPES)} alone.")
    try:
        content = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"{path}: figure cannot be read ({error.strerror}).") from None
    return Picture(f"data:{MEDIA_TYPES[path.suffix]};base64,{content}", plain(alt), plain(caption))


def table_of(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    reading: str,
    words: int,
    widths: Sequence[float] = (),
) -> DisplayTable:
    """Return plain texts as a table of the page."""
    cells = tuple(Row(tuple(Cell(plain(text)) for text in row)) for row in rows)
    columns, widths = tuple(columns), tuple(widths)
    return DisplayTable(plain(title), columns, cells, reading, (), words, widths=widths)
