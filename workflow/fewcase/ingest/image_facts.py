"""What table, path and folders say of one image."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import pandas as pd

from fewcase.ingest.metadata_table import as_number, as_text, as_time
from fewcase.study.fields import nearest
from fewcase.study.image_sources import ImageFolder
from fewcase.study.spelling import plain_name

PART_WORDS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
"""What folders and tables call the parts of a partition, in any case."""


class Refused(Exception):
    """Why a listed image is refused: a short fixed reason, and one clause with a full stop."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Facts:
    """What table, path and folders say of an image; the first of them that names a key counts.

    Attributes
    ----------
    is_unicode
        Whether the name of the file is text.
    below
        The path below the folder, spelled plainly; escaped where it is no text.
    fits
        Whether the pattern, if there is one, is found in it.
    """

    def __init__(
        self,
        options: ImageFolder,
        raw: str,
        cells: Mapping[str, object],
        pattern: re.Pattern[str] | None,
    ) -> None:
        """Take the path below the folder as it is on disk, and cells of a table by our names."""
        self.is_unicode = _is_unicode(raw)
        self.below = plain_name(raw) if self.is_unicode else ascii(raw)
        match = pattern.search(self.below) if pattern is not None else None
        self.fits = pattern is None or match is not None
        self._options = options
        self._cells = cells
        self._missing = {str(word) for word in options.missing}
        self._groups: Mapping[str, str | None] = match.groupdict() if match else {}
        self._folders = PurePosixPath(self.below).parts[:-1]

    def word(self, key: str) -> str | None:
        """The word for a key; empty where it is unknown, None where nothing names the key."""
        meanings = self._options.values.get(key, {})
        if key in self._options.columns:
            word = as_text(self._cells[key])
            if word not in meanings and word in self._missing:
                return ""
        elif key in self._groups:
            word = self._groups[key] or ""
        elif key in ("part", "class"):
            word = self._folder_word(key)
        else:
            return None
        meaning = meanings.get(word, word)
        return "" if meaning is None else str(meaning)

    def _folder_word(self, key: str) -> str:
        """The innermost folder that is a part, or that is none and so the class."""
        for name in reversed(self._folders):
            if (name.lower() in PART_WORDS) is (key == "part"):
                return name
        return ""

    def part(self) -> str:
        """train, validation, test, or empty where the data do not come divided."""
        word = self.word("part")
        if not word:
            return ""
        if word.lower() not in PART_WORDS:
            raise Refused(
                "unknown part",
                f"the part is {word!r}, expected train, validation or test. Name it under "
                "values.part.",
            )
        return PART_WORDS[word.lower()]

    def class_name(self) -> str:
        """Our name of the class, empty where there is none."""
        word, classes = self.word("class") or "", self._options.classes
        if classes and word not in classes:
            raise Refused(
                "unknown class",
                f"the class is {word!r}, which the option classes leaves out."
                f"{nearest(word, classes)}",
            )
        return classes.get(word, word)

    def time(self) -> datetime.datetime | None:
        """The date, with its time where it has one; None where it is unknown."""
        cell = self._cells.get("date")
        if isinstance(cell, pd.Timestamp) and cell is not pd.NaT:
            return cell.tz_localize(None)
        text = self.word("date")
        if not text:
            return None
        time = as_time(text, self._options.date_format)
        if time is None:
            expected = self._options.date_format or "year, month, day in this order"
            raise Refused(
                "unreadable date", f"the date is {text!r}, expected {expected} (date_format)."
            )
        return time

    def value(self, name: str) -> float | str | None:
        """An outcome as a number or text; None where it is unknown."""
        text = as_text(self._cells[name])
        meanings = self._options.values.get(name, {})
        if text in meanings:
            meaning = meanings[text]
            return meaning if meaning is None or isinstance(meaning, str) else float(meaning)
        if text in self._missing:
            return None
        number = as_number(text)
        return text if number is None else number


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
