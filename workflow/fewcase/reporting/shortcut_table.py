"""What shortcuts reach beside a study's default arm: under each split, as numbers and a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.evidence import best_shortcut
from fewcase.reporting.headline import HEADLINES, Headline, judged_by_all
from fewcase.reporting.performance import read_content, records
from fewcase.reporting.performance_tables import Footnotes, cell_text
from fewcase.reporting.text import plain, shortcut_title, with_interval
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS, SHORTCUT_PREFIX

ARM_TITLE = "the study's default arm"
CAPTION = (
    "Each row is a shortcut, with 95\u00a0% intervals; the shaded row is the study's default arm. "
    "{guessing}: an arm that is not clearly to its right may have learnt no more than the shortcut."
)
GUESSING = {
    True: "The dashed line at 0.5 is guessing, the dotted one the best shortcut",
    False: "The dotted line is the best shortcut",
}
"""What lines a figure has, by whether guessing has one."""
READING = (
    "How to read: each shortcut guesses the label from something that is not the patient's "
    f"condition; {ARM_TITLE}, last under each split, has to beat the best of them, not 0.5."
)
LOOKS_AT = {
    "prior": "nothing at all: everybody gets the share of positives",
    "file": "how the file was stored: its type, its size, the size of the image",
    "signal": "how long the recording is and how much of it is missing",
    "four_features": "lowest and highest baseline, area of accelerations and of decelerations",
    "pixels": "mean colours, their histogram and the border, not what the image shows",
    "metadata": "what is known without the {record}: site, year, age and the like",
}
NOUNS_WITH_ARTICLE = {"window": "a recording", "image": "an image", "tile": "an image"}
NUMBERS = ("value", "sd", "low", "high", "method", "examples", "positives")


@dataclasses.dataclass(frozen=True)
class SplitTitle:
    """A split as it is shown.

    Attributes
    ----------
    name
        As in the scores.
    title
        One line.
    leaky
        Whether the same people or copies are on two sides of it.
    default
        Whether it is the study's own.
    notes
        What its certificates say of its numbers.
    """

    name: str
    title: str
    leaky: bool
    default: bool
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The title, which says where the split leaks."""
        return plain(self.title) + (" (leaky)" if self.leaky else "")


@dataclasses.dataclass(frozen=True)
class ShortcutStudy:
    """Which splits are shown, and the arm that the shortcuts stand beside."""

    title: str
    simulated: bool
    arm: str
    splits: tuple[SplitTitle, ...]
    measure: str = "auc"
    unit: str = "window"

    @property
    def headline(self) -> Headline:
        """The measure that the study is about."""
        return HEADLINES[self.measure]

    @property
    def value_column(self) -> str:
        """How columns of values end."""
        return "auc" if self.headline.is_auc else "value"

    @property
    def guessing(self) -> float | None:
        """What guessing reaches, where that is known from the measure alone."""
        return 0.5 if self.headline.is_auc else None

    @property
    def leaky(self) -> bool:
        """Whether all splits are."""
        return all(split.leaky for split in self.splits)

    def certified(self, standings: Mapping[str, Standing]) -> ShortcutStudy:
        """Return the same study with what the certificates of its splits say."""
        splits = []
        for split in self.splits:
            found = standing_in(standings, split.name)
            leaky = split.leaky or found.leaky
            splits.append(dataclasses.replace(split, leaky=leaky, notes=found.notes))
        return dataclasses.replace(self, splits=tuple(splits))

    def titled(self) -> str:
        """Return the title; it says where recordings are simulated or all splits leak."""
        title = plain(self.title)
        if self.simulated and "simulated" not in title.lower():
            title += " (simulated)"
        return title + (" (leaky)" if self.leaky else "")


def read_shortcut_study(text: str) -> ShortcutStudy:
    """Read a study from JSON: title, simulated, arm, splits (name, title, leaky, default).

    Of a split the name alone is required. Optionally measure (auc where it is not named) and unit
    (window, image or tile).

    Raises
    ------
    InputError
        Where the text is no JSON, a key is missing or unknown, or there is no split.
    """
    required = {"title", "simulated", "arm", "splits"}
    values = read_content(text, required, {"measure", "unit"})
    splits = []
    for i, split in enumerate(values["splits"]):
        if not isinstance(split, Mapping) or "name" not in split:
            raise InputError(
                f"--content: splits[{i}] is {split!r}; expected an object with a name."
            )
        name = str(split["name"])
        splits.append(
            SplitTitle(
                name,
                str(split.get("title") or name),
                bool(split.get("leaky", False)),
                bool(split.get("default", False)),
            )
        )
    if not splits:
        raise InputError("--content: splits is empty; name at least the study's default split.")
    return ShortcutStudy(
        str(values["title"]),
        bool(values["simulated"]),
        str(values["arm"]),
        tuple(splits),
        str(values.get("measure") or "auc"),
        str(values.get("unit") or "window"),
    )


def tabulate_shortcuts(
    study: ShortcutStudy, shortcuts: pd.DataFrame, arms: pd.DataFrame
) -> pd.DataFrame:
    """Return the value of every shortcut, and of the study's arm, under each split.

    Parameters
    ----------
    study
        Which splits and arm.
    shortcuts, arms
        Summaries of the shortcuts and of the arm under all splits, see
        `performance.read_summary`; an arm need not have been scored under every split.

    Returns
    -------
    pandas.DataFrame
        Columns split, leaky, shortcut (empty for the arm, which comes last under each split), arm,
        best (yes for the shortcut with the highest value in cross-validation), looks_at, and, with
        the prefixes ``cv_`` and ``test_``, auc (value, of another measure), sd, low, high, method,
        examples, positives. In cross-validation the value is the mean over runs, or that of all
        folds together where there is no mean; on the test set that of the score averaged over runs.

    Raises
    ------
    InputError
        Where a split has no shortcut.
    """
    arms = arms[arms["arm"] == study.arm]
    rows = []
    for split in study.splits:
        found = [
            _row(study, split, str(arm), part)
            for arm, part in shortcuts[shortcuts["split"] == split.name].groupby("arm", sort=False)
        ]
        if not found:
            raise InputError(
                f"shortcuts: no scores under split {split.name!r}; give the shortcuts' scores of "
                "every split that --content names."
            )
        best = best_shortcut(shortcuts, split.name, study.headline.mean)
        for row in found:
            row["best"] = "yes" if best is not None and row["arm"] == best["arm"] else "no"
        rows += found
        of_arm = arms[arms["split"] == split.name]
        if len(of_arm):
            rows.append(_row(study, split, study.arm, of_arm))
    return pd.DataFrame(rows)


def _row(study: ShortcutStudy, split: SplitTitle, arm: str, part: pd.DataFrame) -> dict[str, Any]:
    headline = study.headline
    sides = {"cv": (headline.mean, headline.pooled), "test": (headline.ensemble, headline.mean)}
    name = arm.removeprefix(SHORTCUT_PREFIX) if arm.startswith(SHORTCUT_PREFIX) else ""
    row: dict[str, Any] = {
        "split": split.name,
        "leaky": "yes" if split.leaky else "no",
        "shortcut": name,
        "arm": arm,
        "best": "no" if name else "",
        "looks_at": LOOKS_AT.get(name, "").format(record=NOUNS[study.unit].record),
    }
    for side, statistics in sides.items():
        found = _first_known(part[part["set"] == side], statistics)
        keys = [study.value_column if key == "value" else key for key in NUMBERS]
        row |= {f"{side}_{new}": found[old] for new, old in zip(keys, NUMBERS, strict=True)}
    return row


def _first_known(rows: pd.DataFrame, statistics: Sequence[str]) -> dict[str, Any]:
    """Return the first of some statistics that has a value; else the first, with its reason."""
    overall = {row["statistic"]: row for row in records(rows[rows["class"] == ""])}
    there = [overall[name] for name in statistics if name in overall]
    known = [row for row in there if math.isfinite(row["value"])]
    nothing = dict.fromkeys(NUMBERS, np.nan) | {"method": ""}
    return next(iter([*known, *there]), nothing)


def lay_out_shortcuts(study: ShortcutStudy, table: pd.DataFrame) -> DisplayTable:
    """Lay out shortcuts (see `tabulate_shortcuts`) for reading."""
    has_test = bool(table["test_examples"].notna().any())
    sides = ["cv", "test"] if has_test else ["cv"]
    titles = {split.name: split.heading for split in study.splits}
    several = len(study.splits) > 1
    footnotes = Footnotes()
    rows, last = [], None
    for row in records(table):
        name, leaky = row["shortcut"], row["leaky"] == "yes"
        cells = [Cell(titles[row["split"]])] if several else []
        cells.append(Cell(shortcut_title(name) if name else ARM_TITLE))
        for side in sides:
            cells.append(
                Cell(_text(study, row, side, footnotes), side == "cv" and row["best"] == "yes")
            )
        rows.append(Row(tuple(cells), leaky, last is not None and row["split"] != last))
        last = row["split"]
    cv = "Validation" if judged_by_all(table["cv_method"]) else "CV"
    headings = {
        side: f"{title} {study.headline.words} [95\u00a0%]"
        for side, title in (("cv", cv), ("test", "Test"))
    }
    words = ["Split", "Shortcut"] if several else ["Shortcut"]
    notes = [*_notes(study, table), *footnotes.notes]
    return DisplayTable(
        study.titled(),
        (*words, *(headings[side] for side in sides)),
        tuple(rows),
        READING if study.headline.is_auc else READING.replace(", not 0.5", ""),
        tuple(notes),
        words=len(words),
        leaky=study.leaky,
    )


def caption_of(study: ShortcutStudy) -> str:
    """Return how to read the figure of shortcuts."""
    return CAPTION.format(guessing=GUESSING[study.guessing is not None])


def _text(study: ShortcutStudy, row: Mapping[str, Any], side: str, footnotes: Footnotes) -> str:
    numbers = {key: row[f"{side}_{key}"] for key in ("low", "high", "method")}
    value = row[f"{side}_{study.value_column}"]
    return cell_text({"statistic": study.measure, "value": value, **numbers}, footnotes)


def _notes(study: ShortcutStudy, table: pd.DataFrame) -> list[str]:
    known = table.drop_duplicates("shortcut")
    told = [
        f"{shortcut_title(r['shortcut'])}: {r['looks_at']}" for r in records(known) if r["looks_at"]
    ]
    notes = [f"What they look at. {'; '.join(told)}."] if told else []
    for split in study.splits:
        notes += _note_of_best(study, split, table)
    chance = "0.5" if study.headline.is_auc else "the class prior"
    notes.append(
        f"A shortcut far above {chance} means that labels may be guessed in part from how, where "
        f"or when {NOUNS_WITH_ARTICLE[study.unit]} was made; what a model has learnt is then only "
        "what it adds to that."
    )
    if study.headline.note:
        notes.append(study.headline.note)
    if "four_features" in set(table["shortcut"]):
        notes.append("The four CTG features are no artefact: they are the simple clinical rival.")
    arms = table.loc[table["shortcut"] == "", "arm"]
    if len(arms):
        notes.append(f"Default arm: {plain(arms.iloc[0])}. Bold: the best shortcut of a split.")
    splits = [(split.title, split.leaky, split.notes) for split in study.splits]
    return [*notes, *warnings_below(study.simulated, splits, study.unit)]


def _note_of_best(study: ShortcutStudy, split: SplitTitle, table: pd.DataFrame) -> list[str]:
    best = table[(table["split"] == split.name) & (table["best"] == "yes")]
    if best.empty:
        return []
    row = best.iloc[0]
    where = f" under {plain(split.title)}" if len(study.splits) > 1 else ""
    value = row[f"cv_{study.value_column}"]
    over = "on validation" if judged_by_all([row["cv_method"]]) else "in cross-validation"
    text = (
        f"Best shortcut{where}: {shortcut_title(row['shortcut'])}, "
        f"{with_interval(value, row['cv_low'], row['cv_high'])} {over}"
    )
    if math.isfinite(row["cv_low"]) and study.headline.is_auc:
        text += ", above chance" if row["cv_low"] > 0.5 else ", not shown to be above chance"
    return [text + "."]
