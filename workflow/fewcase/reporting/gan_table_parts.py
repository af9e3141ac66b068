"""What the tables of generators share: titles, names, groups, and how numbers are printed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, simulated_note
from fewcase.reporting.gan_runs import Key
from fewcase.reporting.text import count, plain, signed

COPIES = "(copies)"
NOTE_OF_RUNS = (
    "Mean ± standard deviation over the generators of all seeds and folds; where there is one, its "
    "value."
)
NOTE_OF_COPIES = (
    "Copies, in red: this generator returns training images (see the table of memorisation), so "
    "that its quality is no merit."
)


@dataclasses.dataclass(frozen=True)
class GanSubject:
    """What the tables of generators say beyond their numbers.

    Attributes
    ----------
    title
        One line.
    simulated
        Whether the records are.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    cohorts
        The cohort that each base generator learned from, by its name.
    """

    title: str
    simulated: bool
    unit: str
    cohorts: Mapping[str, str]

    def titled(self, part: str = "") -> str:
        """Return the title, or that of a part; it says where records are simulated."""
        title = plain(self.title) + (f": {part}" if part else "")
        told = self.simulated and "simulated" not in title.lower()
        return f"{title} (simulated)" if told else title

    def name(self, key: Key) -> tuple[str, str]:
        """Return what a generator is called, and its split, or a base's cohort."""
        gan, split = key
        if split:
            return plain(gan), plain(split)
        cohort = self.cohorts.get(gan, "")
        return plain(gan), f"base: cohort {plain(cohort)}" if cohort else "base"

    def cells(self, row: Mapping[str, Any]) -> tuple[Cell, Cell]:
        """Return the first cells of a generator's row: its name and its split."""
        gan, split = self.name((row["gan"], row["split"]))
        return Cell(f"{gan} {COPIES}" if row["copies"] else gan), Cell(split)

    def warnings(self) -> list[str]:
        """Return what must be said below every table."""
        return [simulated_note(self.unit)] if self.simulated else []


@dataclasses.dataclass(frozen=True)
class Scale:
    """How the numbers of a column are printed: multiplied by a power of ten, with fixed digits."""

    power: int
    digits: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """Return that at which the largest of some numbers has three digits or more."""
        largest = max((abs(value) for value in values if math.isfinite(value)), default=1.0)
        place = math.floor(math.log10(largest)) if largest > 0 else 0
        power = 0 if place >= -1 else 3 * math.ceil(-place / 3)
        return cls(power, min(max(2 - place - power, 1), 3))

    @property
    def heading(self) -> str:
        """What the heading of the column adds, empty where nothing is multiplied."""
        return f" × {10**self.power:,}" if self.power else ""

    def show(self, value: float, sd: float = math.nan) -> str:
        """Return a number and its standard deviation, if it has one."""
        factor = 10.0**self.power
        text = signed(value * factor, self.digits)
        return f"{text} ± {sd * factor:.{self.digits}f}" if math.isfinite(sd) else text


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def means_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are of all runs of a generator together."""
    return table[(table["seed"] == "") & (table["fold"] == "")]


def by_split(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Return the places of the rows of each split, that of base generators being empty."""
    found: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        found.setdefault(row["split"], []).append(i)
    return found


def span_of_counts(low: float, high: float) -> str:
    """Return a number of images, or between which two it lies."""
    return count(low) if low == high else f"{count(low)}–{count(high)}"
