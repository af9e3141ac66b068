"""A gallery of errors: what an arm calls wrongly and is surest of, by pair of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fewcase.data.image_store import ImageStore
from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.error_cases import (
    NUMBER,
    PAIRS,
    SETS,
    choose_errors,
    count_pairs,
    where_of,
)
from fewcase.reporting.figures import level_name
from fewcase.reporting.performance import Subject, records
from fewcase.reporting.picture_lines import (
    Line,
    Shown,
    draw_lines,
    fitted,
    in_colours,
    reduced,
    score_text,
    width_of,
)
from fewcase.reporting.text import count, percent, plain, shorten
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

WINDOW_COLOURS = (
    "FHR, UC and baseline are the red, the green and the blue channel, so that their lines are "
    "cyan, magenta and yellow."
)
"""What colours mean in windows of three channels."""

MARGIN = 1.3
"""Inches for what a pair is called."""


@dataclasses.dataclass(frozen=True)
class ErrorGallery:
    """The errors of an arm, and those that are shown.

    Attributes
    ----------
    subject
        Which arm.
    cases
        What each example is called, see `error_cases.judge`.
    pairs
        The pairs that are shown, see `error_cases.count_pairs`.
    others
        Pairs, and their examples, that are not shown.
    chosen
        The examples of each pair.
    thresholds
        By role, of two classes; empty where the highest score decides.
    """

    subject: Subject
    cases: pd.DataFrame
    pairs: pd.DataFrame
    others: tuple[int, int]
    chosen: tuple[pd.DataFrame, ...]
    thresholds: Mapping[str, float]

    @classmethod
    def of(
        cls,
        subject: Subject,
        cases: pd.DataFrame,
        thresholds: Mapping[str, float] | None = None,
        pairs: int = PAIRS,
        number: int = NUMBER,
    ) -> ErrorGallery:
        """Choose what is shown: `number` examples of each of the `pairs` most frequent pairs.

        Raises
        ------
        InputError
            For a class without a name.
        """
        largest = int(max(cases["label"].max(), cases["called"].max()))
        if largest >= len(subject.classes):
            raise InputError(
                f"classes: label {largest} has no name among {list(subject.classes)}; name all "
                "classes."
            )
        every = count_pairs(cases)
        shown, others = every.head(pairs), every.iloc[pairs:]
        chosen = tuple(
            choose_errors(cases, label, called, number)
            for label, called in zip(shown["label"], shown["called"], strict=True)
        )
        left = len(others), int(others["errors"].sum())
        return cls(subject, cases, shown, left, chosen, dict(thresholds or {}))

    @property
    def title(self) -> str:
        """The heading."""
        return self.subject.titled()

    def draw(self, images: ImageStore) -> Figure:
        """Draw it.

        Raises
        ------
        InputError
            For an example without an image.
        """
        rows = [row for chosen in self.chosen for row in chosen["row"]]
        if rows and max(rows) >= images.shape[0]:
            raise InputError(
                f"predictions: row {max(rows)}, but there are {images.shape[0]} images. The two "
                "are of different runs: make the images again, or train the runs."
            )
        pictures = iter(reduced([in_colours(image) for image in images.read(rows)]))
        columns = max([NUMBER, *map(len, self.chosen)])
        lines = []
        for pair, chosen in zip(records(self.pairs), self.chosen, strict=True):
            shown = [
                Shown(next(pictures), self._below(case, columns), bold=True)
                for case in records(chosen)
            ]
            names = self._names(pair)
            told = (*names, *self._counts(pair))
            lines.append(Line(told, tuple(shown), columns, bold=len(names)))
        if not lines:
            lines = [Line(("No example is called wrongly.",), (), columns)]
        return draw_lines(self.title, lines, MARGIN, self.subject.leaky)

    def _names(self, pair: Mapping[str, int]) -> tuple[str, ...]:
        truth, called = (self.subject.classes[pair[key]] for key in ("label", "called"))
        texts = level_name(truth, 18, 2), level_name(f"→ {called}", 18, 2)
        return tuple(line for text in texts for line in text.split("\n"))

    def _counts(self, pair: Mapping[str, int]) -> tuple[str, ...]:
        share = percent(pair["errors"] / pair["of"])
        told = [f"{count(pair['errors'])} of {count(pair['of'])} ({share})"]
        sets = [f"{count(pair[role])} in {role}" for role in SETS.values() if self._has(role)]
        return (*told, *(sets if len(sets) > 1 else ()))

    def _has(self, role: str) -> bool:
        return bool((self.cases["role"] == role).any())

    def _below(self, case: Mapping[str, Any], columns: int) -> tuple[str, ...]:
        width = width_of(columns, MARGIN)
        name, patient = (plain(case[key]) for key in ("example", "patient"))
        scores = f"{score_text(case['score'])}, true class {score_text(case['true_score'])}"
        who = [f"patient {patient}"] if patient != name else []
        return fitted(scores, width, bold=True), *(
            fitted(text, width) for text in (name, *who, where_of(case))
        )

    def caption(self) -> str:
        """Return how to read it."""
        nouns, subject = NOUNS[self.subject.unit], self.subject
        word = "simulated " if subject.simulated else ""
        wrong, total = int((self.cases["label"] != self.cases["called"]).sum()), len(self.cases)
        said = [
            f"{word.capitalize()}{nouns.examples} that arm {plain(subject.arm)} under split "
            f"{plain(subject.split)} calls wrongly, as networks see them: "
            f"{count(wrong)} of {count(total)} ({percent(wrong / max(total, 1))}). Each row is a "
            "true class → what it was called, the most frequent pair first, with how many of the "
            f"class these are; in it stand the {nouns.examples} whose wrong class has the highest "
            "score, one of each patient before the second of any."
        ]
        if self.others[0]:
            pairs = "one more pair" if self.others[0] == 1 else f"{self.others[0]} more pairs"
            said.append(f"Not shown: {pairs} with {count(self.others[1])} errors.")
        validated, tested = (self._has(role) for role in SETS.values())
        means = "seeds" if validated else "runs"
        means += " (in test over all runs)" if validated and tested else ""
        said.append(
            "Below an image are the score of the class called and that of the true class, means "
            f"over {means}; then the example, its patient, and out of which fold it was judged "
            f"(several: of each seed). Every {nouns.example} counts by itself."
        )
        if self.thresholds:
            told = [f"{value:.3g} in {role}" for role, value in self.thresholds.items()]
            said.append(
                f"{plain(subject.classes[1])} is called from a score of {' and '.join(told)}, the "
                "mean over runs of thresholds fixed on other examples."
            )
        if subject.unit == "window":
            said.append(WINDOW_COLOURS)
        return " ".join(said)

    def lay_out(self) -> DisplayTable:
        """Return the examples that are shown as a table, with their names in full."""
        rows: list[Row] = []
        for pair, chosen in zip(records(self.pairs), self.chosen, strict=True):
            names = [shorten(self.subject.classes[pair[key]]) for key in ("label", "called")]
            for k, case in enumerate(records(chosen)):
                texts = [*names, count(pair["errors"]), str(case["example"]), str(case["patient"])]
                texts += [where_of(case), score_text(case["score"]), score_text(case["true_score"])]
                cells = tuple(Cell(plain(text)) for text in texts)
                rows.append(Row(cells, self.subject.leaky, starts_group=k == 0 and bool(rows)))
        headings = ("True class", "Called", "Errors", "Example", "Patient", "Judged in")
        return DisplayTable(
            title=self.title,
            columns=(*headings, "Score", "True class's"),
            rows=tuple(rows),
            reading="The errors that the arm was surest of, as in the figure; errors counts all of "
            "a pair.",
            notes=tuple(self.subject.warnings),
            words=2,
            leaky=self.subject.leaky,
        )


def thresholds_of(summary: pd.DataFrame) -> dict[str, float]:
    """Return the fixed thresholds of an arm by role, from the summary of its scores."""
    fixed = summary[(summary["statistic"] == "threshold") & (summary["class"] == "")]
    found = {
        SETS[name]: float(value)
        for name, value in zip(fixed["set"], fixed["value"], strict=True)
        if name in SETS
    }
    return {role: value for role, value in found.items() if pd.notna(value)}
