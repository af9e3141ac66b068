"""Cases of an arm that segments: image, true and predicted mask, classes, and the evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.ndimage
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import as_masks, true_masks
from fewcase.explain.dida import SignedMap
from fewcase.explain.inside import share_inside
from fewcase.explain.map_files import MapSet
from fewcase.explain.pictures import Look, colour_map, map_of_class, overlay
from fewcase.images.resize import resize_batch
from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.map_sheet import COLOURS as MIXES
from fewcase.reporting.mask_choice import chosen_cases
from fewcase.reporting.mask_runs import MaskRun
from fewcase.reporting.performance import Subject, records
from fewcase.reporting.picture_lines import (
    Line,
    Pixels,
    Shown,
    draw_lines,
    fitted,
    in_colours,
    reduced,
    score_text,
    width_of,
    wrapped,
)
from fewcase.reporting.text import number, percent, plain, shorten
from fewcase.study.errors import InputError

KINDS = {"good": "Good mask", "median": "Median mask", "bad": "Bad mask"}
MOST_CLASSES = 3
"""Classes whose probabilities stand below a mask: the likeliest."""

TRUE, PREDICTED, BOTH = "#009E73", "#D55E00", "#F0E442"
"""Green, vermilion, and yellow where they meet: outlines of masks."""

MARGIN = 1.25
"""Inches for what a case is called."""


@dataclasses.dataclass(frozen=True)
class MaskCases:
    """The cases of an arm that are shown.

    Attributes
    ----------
    subject
        Which arm.
    runs
        Its runs.
    maps
        By number of a run, its explanation maps, of those that have any.
    images, masks
        The stores of the images that networks saw, and of the true masks.
    cases
        See `fewcase.reporting.mask_choice.chosen_cases`.
    """

    subject: Subject
    runs: tuple[MaskRun, ...]
    maps: Mapping[int, MapSet]
    images: ImageStore
    masks: ImageStore
    cases: pd.DataFrame

    @classmethod
    def of(
        cls,
        subject: Subject,
        runs: Sequence[MaskRun],
        images: ImageStore,
        masks: ImageStore,
        maps: Sequence[MapSet] = (),
    ) -> MaskCases:
        """Choose what is shown: of each class a good, a median and a bad mask.

        Raises
        ------
        InputError
            Where there is no case, runs are of several arms, maps are of none of the runs, a class
            has no name, or images are not those of the masks.
        """
        if len({(run.arm, run.split) for run in runs}) != 1:
            raise InputError("--masks: give runs of one arm under one split.")
        if images.shape[0] != masks.shape[0]:
            raise InputError(
                f"--true-masks: {masks.shape[0]} masks for {images.shape[0]} images. Prepare both "
                "again."
            )
        places = {(run.seed, run.fold): number for number, run in enumerate(runs)}
        of_runs = {}
        for each in maps:
            key = each.about.get("seed"), each.about.get("fold")
            if key not in places:
                raise InputError(
                    f"--maps: seed {key[0]}, fold {key[1]} is none of the runs whose masks are "
                    "given; give maps of the same runs."
                )
            of_runs[places[key]] = each
        cases = chosen_cases(runs, of_runs)
        if (largest := int(cases["label"].max())) >= len(subject.classes):
            raise InputError(
                f"classes: label {largest} has no name among {list(subject.classes)}; name all "
                "classes."
            )
        return cls(subject, tuple(runs), of_runs, images, masks, cases)

    @property
    def title(self) -> str:
        """The heading."""
        return self.subject.titled()

    @property
    def _look(self) -> Look:
        mixes = [maps.about.get("mix") for maps in self.maps.values()]
        return Look(mix=str(next(filter(None, mixes), Look.mix)))

    def draw(self) -> Figure:
        """Draw it, a case a row; the title is red where the split leaks."""
        cases = [(case, self._evidence(case)) for case in records(self.cases)]
        drawn = [self._pictures(case, evidence) for case, evidence in cases]
        pictures = iter(reduced([picture for row in drawn for picture in row]))
        lines, label = [], -1
        for case, evidence in cases:
            name = plain(self.subject.classes[case["label"]])
            heading = f"True class {shorten(name, 60)}" if case["label"] != label else ""
            label = case["label"]
            lines.append(self._line(case, evidence, pictures, heading))
        return draw_lines(self.title, lines, MARGIN, self.subject.leaky)

    def _evidence(self, case: Mapping[str, Any]) -> SignedMap | None:
        """Return the map of the class called, where there is one."""
        if case["map_case"] < 0:
            return None
        maps = self.maps[case["run"]]
        return map_of_class(maps, case["map_case"], case["called"], self._look)

    def _truth(self, case: Mapping[str, Any], size: int) -> npt.NDArray[np.bool_]:
        return true_masks(self.masks, [case["row"]], size)[0]

    def _pictures(self, case: Mapping[str, Any], evidence: SignedMap | None) -> list[Pixels]:
        run = self.runs[case["run"]]
        predicted = np.asarray(run.masks()[case["line"]])
        image = self.images.read([case["row"]])
        image = image if image.shape[2] == run.size else resize_batch(image, run.size)
        shown, truth = in_colours(image[0]), self._truth(case, run.size)
        edges = [_edge(mask) for mask in (truth, as_masks(predicted))]
        both = painted(painted(shown, edges[0], TRUE), edges[1], PREDICTED)
        both = painted(both, edges[0] & edges[1], BOTH)
        found = [shown, _grey(255 * truth.astype(np.uint8)), _grey(predicted), both]
        if evidence is not None:
            maps, look = self.maps[case["run"]], self._look
            picture = np.asarray(maps.pictures[case["map_case"]])
            laid = overlay(picture, colour_map(evidence, look.mix, look.palette), look.opacity)
            found.append(painted(laid, _edge(self._truth(case, len(laid))), "white"))
        return found

    def _line(
        self,
        case: Mapping[str, Any],
        evidence: SignedMap | None,
        pictures: Iterator[Pixels],
        heading: str,
    ) -> Line:
        columns = 5 if self.maps else 4
        width, room = width_of(columns, MARGIN), MARGIN - 0.12
        names = self.subject.classes
        called = "rightly" if case["right"] else "wrongly"
        texts = [f"called {called}", *self._who(case), self._where(case)]
        left = [KINDS[case["kind"]], *(line for text in texts for line in wrapped(text, room, 6.8))]
        scores = np.array([case[f"score_{k}"] for k in range(len(names)) if f"score_{k}" in case])
        told = []
        for place, k in enumerate(np.argsort(-scores, kind="stable")[:MOST_CLASSES]):
            name = fitted(plain(names[k]), width - 0.45, bold=place == 0)
            told.append(f"{name} {score_text(scores[k])}")
        quality = [f"Dice {number(case['dice'])}", f"boundary {self._distance(case)}"]
        words = [
            ("image",),
            ("true mask", fitted(plain(names[case["label"]]), width)),
            ("predicted mask", *told),
            ("both outlines", *quality),
        ]
        if evidence is not None:
            of = fitted(f"evidence for {plain(names[case['called']])}", width, bold=True)
            inside, area = self._inside(case, evidence)
            words.append((of, f"{percent(inside)} inside", f"mask: {percent(area)} of image"))
        shown = tuple(Shown(next(pictures), text, bold=True) for text in words)
        return Line(tuple(left), shown, columns, heading)

    def _inside(self, case: Mapping[str, Any], evidence: SignedMap) -> tuple[float, float]:
        """Return the share of the evidence that is inside the true mask, and the mask's area."""
        truth = self._truth(case, evidence.positive.shape[-1])
        return share_inside(evidence, truth), float(truth.mean())

    def _distance(self, case: Mapping[str, Any]) -> str:
        distance = case["boundary_distance"]
        return f"{number(distance, 1)}\u00a0px" if np.isfinite(distance) else "–"

    def _who(self, case: Mapping[str, Any]) -> list[str]:
        name, patient = plain(case["example"]), plain(case["patient"])
        return [name, *([f"patient {patient}"] if patient not in (name, "") else [])]

    def _where(self, case: Mapping[str, Any]) -> str:
        run = self.runs[case["run"]]
        return f"seed {run.seed}, fold {run.fold}" + (", test" if case["role"] == "test" else "")

    def caption(self) -> str:
        """Return how to read it."""
        subject = self.subject
        word = "simulated " if subject.simulated else ""
        said = [
            f"Of each class the {word}images with the best, the median and the worst mask (by "
            f"Dice) by arm {plain(subject.arm)} under split {plain(subject.split)}, all outside of "
            "training; of several patients where there are any. From the left: the image as the "
            "network sees it; the true mask and class; the predicted mask, the lighter the "
            "likelier, and the likeliest classes with their probabilities; the outlines of the "
            "true mask (green) and of the predicted one (vermilion; yellow where both meet), with "
            "the mean distance between them in pixels."
        ]
        if self.maps:
            said.append(
                "On the right the explanation map of the class called, with the outline of the "
                f"true mask in white: {MIXES[self._look.mix]}. Inside: how much of what speaks for "
                "the class lies inside the true mask; a map that knows nothing of it has, on "
                "average, the mask's share of the image."
            )
            if (self.cases["map_case"] < 0).any():
                said.append("Cases without a map were not explained.")
        return " ".join(said)

    def lay_out(self) -> DisplayTable:
        """Return the cases that are shown as a table, with their names in full."""
        rows: list[Row] = []
        label = -1
        for case in records(self.cases):
            classes = [shorten(self.subject.classes[case[key]]) for key in ("label", "called")]
            texts = [classes[0], KINDS[case["kind"]], case["example"], case["patient"]]
            texts += [self._where(case), classes[1], score_text(case["true_score"])]
            texts += [number(case["dice"]), self._distance(case).removesuffix("\u00a0px")]
            if self.maps:
                evidence = self._evidence(case)
                shares = ("–", "–") if evidence is None else self._inside(case, evidence)
                texts += [each if isinstance(each, str) else percent(each) for each in shares]
            starts = bool(rows) and case["label"] != label
            label = case["label"]
            cells = tuple(Cell(plain(text)) for text in texts)
            rows.append(Row(cells, self.subject.leaky, starts_group=starts))
        words = ("True class", "Case", "Example", "Patient", "Run", "Called")
        of_maps = ("Evidence inside", "Mask's share of the image") if self.maps else ()
        return DisplayTable(
            title=self.title,
            columns=(*words, "True class's probability", "Dice", "Boundary, px", *of_maps),
            rows=tuple(rows),
            reading="The cases of the figure, from the best mask of a class to the worst.",
            notes=tuple(self.subject.warnings),
            words=6,
            leaky=self.subject.leaky,
        )


def painted(picture: Pixels, where: npt.NDArray[np.bool_], colour: str) -> Pixels:
    """Return a picture (H, W, 3) with some pixels in one colour."""
    drawn = picture.copy()
    drawn[where] = np.rint(255 * np.array(to_rgb(colour))).astype(np.uint8)
    return drawn


def _edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the outline of a mask, so wide that it outlasts reduction."""
    width = max(1, round(min(mask.shape) / 100))
    edge: npt.NDArray[np.bool_] = mask & ~scipy.ndimage.binary_erosion(mask, iterations=width)
    return edge


def _grey(mask: npt.NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(np.repeat(mask[..., None], 3, axis=-1))
