"""A contact sheet of explanation maps: the surest right, the surest wrong, the most divided."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fewcase.explain.dida import brightness_scale
from fewcase.explain.grids import WHOLE, cells_of
from fewcase.explain.map_files import MapSet
from fewcase.explain.pictures import (
    Look,
    as_rgb,
    colour_map,
    map_of_class,
    overlay,
    top_classes,
)
from fewcase.explain.strip import FHR_RANGE, UC_RANGE, draw_strip
from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.figures import level_name
from fewcase.reporting.map_cases import (
    CASES,
    DIVIDED,
    RIGHT,
    WRONG,
    Block,
    choose_cases,
    list_cases,
)
from fewcase.reporting.performance import Subject, records
from fewcase.reporting.picture_lines import (
    LARGEST_SIDE,
    Line,
    Pixels,
    Shown,
    draw_lines,
    fitted,
    reduced,
    score_text,
    width_of,
    wrapped,
)
from fewcase.reporting.text import count, plain, shorten
from fewcase.study.words import NOUNS

HEADINGS = {
    RIGHT: "Surest and right",
    WRONG: "Surest and wrong",
    DIVIDED: "Most divided",
}
SCORES = {"probability": "probability", "logit": "logit", "log_odds": "log-odds"}
COLOURS = {
    "rgb": "red speaks for the class, blue against it, purple both",
    "signed": "red speaks for the class, blue against it, what is said for both having cancelled",
    "conflict": "light is where cells of some sizes speak for the class and others against it",
}
"""What colours mean, by mix."""

STRIPS = 2
"""Cases of a block where each is a strip as wide as the page."""

STRIP_SIDE = 1300
"""Pixels of a strip's width, at most."""

MARGIN = 1.45
"""Inches for what a case is called."""


FAINT = 0.02
"""A score change below which readers are told that it is small."""


@dataclasses.dataclass(frozen=True)
class MapSheet:
    """The explained cases of an arm, and those that are shown.

    Attributes
    ----------
    subject
        Which arm.
    maps
        Its sets of maps, one of each run.
    cases
        All of their cases, see `map_cases.list_cases`.
    blocks
        What is shown.
    """

    subject: Subject
    maps: tuple[MapSet, ...]
    cases: pd.DataFrame
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, subject: Subject, maps: Sequence[MapSet], number: int | None = None) -> MapSheet:
        """Choose what is shown, `number` cases of each block.

        Raises
        ------
        InputError
            Where there is no case, or sets are of different classes or scores.
        """
        cases = list_cases(maps)
        wanted = number or (STRIPS if _are_strips(maps) else CASES)
        return cls(subject, tuple(maps), cases, tuple(choose_cases(cases, wanted)))

    @property
    def title(self) -> str:
        """The heading."""
        return self.subject.titled()

    @property
    def are_strips(self) -> bool:
        """Whether pictures are stretches of time."""
        return _are_strips(self.maps)

    @property
    def _mix(self) -> str:
        return str(self.maps[0].about.get("mix") or Look.mix)

    @property
    def chance(self) -> tuple[int, int]:
        """How many runs do no better than chance, and how many there are."""
        flags = [maps.about.get("no_better_than_chance") is True for maps in self.maps]
        return sum(flags), len(flags)

    def draw(self) -> Figure:
        """Draw it, a case a row; the title is red where the split leaks."""
        chosen = [case for block in self.blocks for case in records(block.cases)]
        drawn = [self._strip(case) if self.are_strips else self._overlays(case) for case in chosen]
        largest = STRIP_SIDE if self.are_strips else LARGEST_SIDE
        pictures = iter(reduced([picture for row in drawn for picture in row], largest=largest))
        margin = 0.05 if self.are_strips else MARGIN
        lines = []
        for block in self.blocks:
            heading = HEADINGS[block.kind]
            for case in records(block.cases):
                lay = self._line_of_strip if self.are_strips else self._line_of_overlays
                lines.append(lay(case, pictures, heading))
                heading = ""
            if block.cases.empty:
                lines.append(Line(("No such case.",), (), 1, heading, bold=0))
        return draw_lines(self.title, lines, margin, self.subject.leaky)

    def _line_of_overlays(
        self, case: Mapping[str, Any], pictures: Iterator[Pixels], heading: str
    ) -> Line:
        maps = self.maps[case["set"]]
        scores = maps.scores[case["case"]]
        top = top_classes(scores)
        columns, room = 1 + len(top), MARGIN - 0.12
        width = width_of(columns, MARGIN)
        names = [fitted(plain(maps.class_names[k]), width - 0.4) for k in top]
        told = [f"{name} {score_text(scores[k])}" for name, k in zip(names, top, strict=True)]
        texts = (f"called {self._called(case)}", *self._who(case), self._run(case))
        beside = [line for text in texts for line in wrapped(text, room, 6.8)]
        label = level_name(self._label(case), 22, 2).split("\n")
        below = ["original", *told]
        shown = tuple(Shown(next(pictures), (text,)) for text in below)
        return Line((*label, *beside), shown, columns, heading, bold=len(label))

    def _line_of_strip(
        self, case: Mapping[str, Any], pictures: Iterator[Pixels], heading: str
    ) -> Line:
        labelled = "labelled " if case["label"] >= 0 else ""
        about = f"{labelled}{self._label(case)}, called {self._called(case)}"
        above = (about, " · ".join([*self._who(case), self._run(case)]))
        width = width_of(1, 0.05)
        above = (fitted(above[0], width, 6.8, bold=True), fitted(above[1], width, 6.8))
        return Line((), (Shown(next(pictures), above=above, bold=True),), 1, heading)

    def _overlays(self, case: Mapping[str, Any]) -> list[Pixels]:
        maps, number = self.maps[case["set"]], case["case"]
        picture = np.asarray(maps.pictures[number])
        shown = [as_rgb(picture)]
        look = Look(mix=self._mix)
        for k in top_classes(maps.scores[number]):
            signed = map_of_class(maps, number, k, look)
            shown.append(overlay(picture, colour_map(signed, look.mix, look.palette)))
        return shown

    def _strip(self, case: Mapping[str, Any]) -> list[Pixels]:
        """Return the strip of what all channels together say for the class called."""
        maps, number = self.maps[case["set"]], case["case"]
        changes, called = np.asarray(maps.differences[number]), case["called"]
        whole = WHOLE if WHOLE in maps.groups else maps.groups[0]
        parts = cells_of(maps.grids, changes, whole)
        of_whole = np.concatenate([part for _, part in parts])
        figure = draw_strip(
            np.asarray(maps.pictures[number]),
            [grid for grid, _ in parts],
            of_whole[:, called],
            channels=maps.about["channels"],
            window_minutes=maps.about["window_minutes"],
            scale=brightness_scale(of_whole),
            class_name=plain(maps.class_names[called]),
            score=str(maps.about.get("score", "")),
            fhr_range=tuple(maps.about.get("fhr_range") or FHR_RANGE),
            uc_range=tuple(maps.about.get("uc_range") or UC_RANGE),
        )
        figure.set_dpi(STRIP_SIDE / figure.get_size_inches()[0])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return [_trimmed(np.asarray(canvas.buffer_rgba())[..., :3])]

    def _label(self, case: Mapping[str, Any]) -> str:
        names = self.maps[case["set"]].class_names
        return plain(names[case["label"]]) if case["label"] >= 0 else "not labelled"

    def _called(self, case: Mapping[str, Any]) -> str:
        name = self.maps[case["set"]].class_names[case["called"]]
        return f"{plain(name)} {score_text(case['score'])}"

    def _who(self, case: Mapping[str, Any]) -> list[str]:
        name, patient = plain(case["example"]), plain(case["patient"])
        return [name, *([f"patient {patient}"] if patient not in (name, "") else [])]

    def _run(self, case: Mapping[str, Any]) -> str:
        about = self.maps[case["set"]].about
        parts = [f"{key} {plain(about[key])}" for key in ("seed", "fold") if key in about]
        return ", ".join([*parts, *(["test"] if case["role"] == "test" else [])])

    def caption(self) -> str:
        """Return how to read it, and whether to believe it."""
        subject, about = self.subject, self.maps[0].about
        nouns = NOUNS[subject.unit]
        word = "simulated " if subject.simulated else ""
        score = SCORES.get(str(about.get("score")), plain(about.get("score", "score")))
        fill = plain(about.get("fill", ""))
        said = [
            f"Explanation maps of {count(self.cases['example'].nunique())} {word}{nouns.examples} "
            f"by arm {plain(subject.arm)} under split {plain(subject.split)}. Of these the ones "
            "called rightly with the highest score, those called wrongly with the highest score, "
            "and of the others the most divided: where what speaks for the class called and what "
            "speaks against it are both strong (the smaller of the two, each the mean over the "
            f"mixed map, is largest). One of each patient comes before the second of any."
        ]
        blanked = f"Cells are blanked with {fill}; " if fill else ""
        if self.are_strips:
            said.append(
                f"{blanked}red speaks for the class called, blue against it, by the change of its "
                f"{score}; in the paper both cancel, in the band below they do not."
            )
        else:
            said.append(
                "On the left the image as the network sees it, with its true class; then the mixed "
                "map over it for each of the likeliest classes, with their scores. "
                f"{blanked}{COLOURS[self._mix]}, by the change "
                f"of its {score}; brightness has one scale for all classes of an image, and does "
                "not compare images."
            )
        said.append(
            "A map shows what the network goes by, and not whether it is right to go by it."
        )
        largest = max(float(np.abs(maps.differences).max(initial=0)) for maps in self.maps)
        if largest < FAINT:
            said.append(
                f"Full colour stands for a change of less than {FAINT:g} in all of these maps: no "
                "cell matters to this network."
            )
        chance, runs = self.chance
        if chance:
            which = f"{count(chance)} of {count(runs)} runs {'is' if chance == 1 else 'are'}"
            which = {1: "This network is"}.get(runs, which)
            said.append(
                f"{which} no better than chance on examples outside of training: maps of such a "
                "network explain nothing."
            )
        return " ".join(said)

    def lay_out(self) -> DisplayTable:
        """Return the cases that are shown as a table, with their names in full."""
        rows: list[Row] = []
        for block in self.blocks:
            for k, case in enumerate(records(block.cases)):
                names = self.maps[case["set"]].class_names
                label = names[case["label"]] if case["label"] >= 0 else "–"
                texts = [HEADINGS[block.kind] if k == 0 else "", case["example"], case["patient"]]
                texts += [self._run(case), shorten(label), shorten(names[case["called"]])]
                texts += [score_text(case["score"])]
                texts += [f"{case[key]:.2g}" for key in ("speaks_for", "speaks_against")]
                cells = tuple(Cell(plain(text)) for text in texts)
                rows.append(Row(cells, self.subject.leaky, starts_group=k == 0 and bool(rows)))
        chance, _ = self.chance
        warning = ["No better than chance: maps of such a run explain nothing."] if chance else []
        words = ("Cases", "Example", "Patient", "Run", "True class", "Called")
        return DisplayTable(
            title=self.title,
            columns=(*words, "Score", "For", "Against"),
            rows=tuple(rows),
            reading="The cases of the sheet; what speaks for the class called and against it, in "
            "units of the score that maps are of.",
            notes=(*warning, *self.subject.warnings),
            words=6,
            leaky=self.subject.leaky,
        )


def _are_strips(maps: Sequence[MapSet]) -> bool:
    return all(each.about.get("window_minutes") and _has_slits(each) for each in maps)


def _has_slits(maps: MapSet) -> bool:
    return all(grid.rows == 1 for grid in maps.grids)


def _trimmed(picture: Pixels) -> Pixels:
    """Return a picture without white rows above and below."""
    inked = np.flatnonzero((picture < 255).any(axis=(1, 2)))
    return np.ascontiguousarray(picture[inked[0] : inked[-1] + 1]) if len(inked) else picture
