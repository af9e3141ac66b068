"""Arms of a study with several classes, scored from made-up predictions and written to files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.evaluation.scores import Scored, join_scored, score_arm, write_scores
from fewcase.reporting.evidence import Evidence
from fewcase.reporting.experiment_plan import Arm
from fewcase.reporting.experiments import Scores
from fewcase.statistics.intervals import Estimate, undefined
from fewcase.study.words import MEASURES


def _not_made(*_: Any, **__: Any) -> Estimate:
    return undefined("not made")


@contextlib.contextmanager
def without_bootstraps() -> Iterator[None]:
    """Score arms in no time: what is bootstrapped has a value and no interval."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("evaluation.measures", "evaluation.multiclass", "statistics.calibration"):
            patch.setattr(f"fewcase.{module}.bca", _not_made)
        yield


@dataclasses.dataclass
class ClassStudy:
    """Tiles of some images, and the files of the arms that were scored on them.

    Attributes
    ----------
    folder
        Where the files are written.
    classes
        How many there are; an image has one.
    images, tiles
        How many images there are, each of a patient of its own, and tiles of each.
    folds
        One: all images are the one validation set of every seed.
    tests
        Images of a test set besides.
    copies
        How often each tile is there.
    """

    folder: Path
    classes: int = 3
    images: int = 40
    tiles: int = 5
    folds: int = 1
    seeds: int = 3
    tests: int = 0
    copies: int = 1
    split: str = "tissue-patient-none"
    seed: int = 0

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        number = np.arange(self.images + self.tests)
        labels = number % self.classes
        # What all arms find hard about an image, and about a tile.
        self.of_image = random.normal(size=(len(number), self.classes))
        image = np.repeat(number, self.tiles)
        self.of_tile = random.normal(size=(len(image), self.classes))
        self.table = pd.DataFrame(
            {
                "image": image,
                "example": [f"t{i}" for i in range(len(image))],
                "parent": [f"image{i}" for i in image],
                "patient": [f"patient{i}" for i in image],
                "site": "A",
                "label": labels[image],
                "test_set": np.where(image < self.images, "", "external"),
            }
        )
        self.files: dict[str, dict[str, Path]] = {}

    def predictions(self, arm: str, skill: float) -> pd.DataFrame:
        """Return the predictions of all runs of an arm, right more often the larger its skill."""
        parts = []
        tested = self.table["test_set"] != ""
        truth = np.eye(self.classes)[self.table["label"]]
        for seed in range(self.seeds):
            for fold in range(self.folds):
                random = np.random.default_rng([self.seed, seed, fold, *arm.encode()])
                logits = self.of_image[self.table["image"]] + self.of_tile + 2 * skill * truth
                logits = logits + 0.7 * random.normal(size=logits.shape)
                scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                # Every fold, and every part that stops training, has all classes.
                dealt = self.table["image"] // self.classes
                inside = (dealt + seed) % self.folds == fold
                stops = (dealt // self.folds) % 2 == 0
                others = np.where(stops, "inner", "training")
                role = np.where(tested, "test", np.where(inside, "validation", others))
                part = self.table.assign(role=role, seed=seed, fold=fold)
                columns = range(self.classes) if self.classes > 2 else [1]
                part = part.assign(**{f"score_{k}": scores[:, k] for k in columns})
                if self.folds == 1:
                    # The part that stops training is of images that validation has not.
                    part = pd.concat([part, self._inner(part)])
                parts.append(part[part["role"] != "training"])
        table = pd.concat(parts, ignore_index=True).drop(columns="image")
        if self.copies > 1:
            again = [
                table.assign(example=table["example"] + f"-{copy}") for copy in range(self.copies)
            ]
            table = pd.concat(again, ignore_index=True)
        return table

    def _inner(self, part: pd.DataFrame) -> pd.DataFrame:
        kept = part[part["role"] == "validation"].head(12 * self.tiles)
        names = {key: "inner-" + kept[key] for key in ("example", "parent", "patient")}
        return kept.assign(role="inner", **names)

    def scored(self, arm: str, skill: float) -> Scored:
        """Return the scores of an arm."""
        table = self.predictions(arm, skill)
        validated = table.loc[table["role"] == "validation", "example"].unique()
        expected = dict.fromkeys(range(self.seeds), validated.tolist())
        with without_bootstraps():
            return score_arm(table, arm=arm, split=self.split, expected=expected)

    def score(self, arm: str, skill: float, **factors: Any) -> Arm:
        """Write the scores of an arm, or of a shortcut, and return the arm."""
        scored = self.scored(arm, skill)
        name = arm
        if arm.startswith("shortcut:"):
            name, scored = "shortcuts", join_scored({arm: scored})
        folder = self.folder / self.split
        files = {
            "scores": folder / f"{name}.csv",
            "runs": folder / f"{name}-runs.csv",
            "units": folder / f"{name}-units.parquet",
            "curves": folder / f"{name}-curves.csv",
        }
        machine = {"weights": "imagenet", "precision": "float32", "device": "CPU"}
        scored = dataclasses.replace(scored, summary=scored.summary.assign(**machine))
        write_scores(scored, *files.values())
        self.files[name] = files
        return Arm(arm, self.split, factors or {"model": arm}, "-image-" in self.split)

    def read(self, measures: Sequence[str] = MEASURES) -> tuple[Scores, Evidence]:
        """Read what was scored, a shortcut too, as the tabulate stage does."""
        arms = [files for name, files in self.files.items() if name != "shortcuts"]
        shortcuts = [self.files["shortcuts"]] if "shortcuts" in self.files else []
        scores = Scores.read([files["scores"] for files in arms])
        evidence = Evidence.read(
            scores.files,
            runs=[files["runs"] for files in arms],
            units=[files["units"] for files in arms],
            shortcuts=[files["scores"] for files in shortcuts],
            shortcut_runs=[files["runs"] for files in shortcuts],
            shortcut_units=[files["units"] for files in shortcuts],
            measures=measures,
        )
        return scores, evidence
