"""Masks, images and maps as runs of a liver study would leave them, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fewcase.data.files import write_json
from fewcase.evaluation.masks import measure_masks
from fewcase.explain.grids import square_grids
from fewcase.explain.map_files import MapSet, write_maps
from fewcase.segmentation.run import write_masks

CLASSES = ("F0/F1", "F2/F3", "F4")
SIZE = 64


class FakeLivers:
    """Images of some patients, each with a bright organ, its mask, and runs that segment them."""

    def __init__(
        self, folder: Path, number: int = 36, folds: int = 3, size: int = SIZE, empty: int = 0
    ) -> None:
        self.folder, self.folds, self.size = folder, folds, size
        random = np.random.default_rng(5)
        self.label = np.arange(number) // 2 % len(CLASSES)
        y, x = np.mgrid[:size, :size] / size
        self.masks = np.zeros((number, 1, size, size), np.uint8)
        images = np.zeros((number, 1, size, size), np.float64)
        sector = np.hypot(y + 0.2, x - 0.5) < 1.1 * (np.abs(x - 0.5) < 0.2 + 0.4 * y)
        for i, (mask, label) in enumerate(zip(self.masks, self.label, strict=True)):
            cy, cx = random.uniform(0.45, 0.6), random.uniform(0.4, 0.6)
            angle = np.arctan2(y - cy, x - cx)
            radius = 0.26 + 0.05 * np.sin(angle * random.integers(1, 4) + random.uniform(0, 6))
            inside = (np.hypot(y - cy, x - cx) < radius) & (i < number - empty)
            mask[0] = 255 * inside
            grain = random.gamma(4 - label, 1 / (4 - label), (size, size))
            images[i, 0] = np.clip(sector * grain * (40 + 60 * inside), 0, 255)
        self.images = images.astype(np.uint8)
        for name, array in (("512", self.images), ("512-mask", self.masks)):
            self.store(name).parent.mkdir(parents=True, exist_ok=True)
            np.save(self.store(name), array)
            facts = {"shape": list(array.shape), "packed": False}
            write_json(self.store(name).with_suffix(".hash"), facts)

    def store(self, name: str = "512") -> Path:
        """Return the file of the images, or of the masks (512-mask)."""
        return self.folder / "images" / "livers" / "image" / f"{name}.npy"

    def place(self, kind: str, arm: str, fold: int, split: str, seed: int = 0) -> Path:
        return self.folder / kind / arm / split / f"seed-{seed}" / f"fold-{fold}"

    def cases(self, fold: int, seed: int = 0) -> pd.DataFrame:
        """Return the validation examples of a fold; two images of a patient are in one."""
        rows = np.flatnonzero((np.arange(len(self.label)) // 2 + seed) % self.folds == fold)
        return pd.DataFrame(
            {
                "row": rows,
                "example": [f"liver-{i:03d}" for i in rows],
                "parent": [f"liver-{i:03d}" for i in rows],
                "patient": [f"p{i // 2:02d}" for i in rows],
                "site": "A",
                "role": "validation",
                "label": self.label[rows],
            }
        )

    def scored(self, arm: str, fold: int, bond: float, seed: int = 0) -> pd.DataFrame:
        """Return those with scores and how far off each mask will be, which go together."""
        cases = self.cases(fold, seed)
        random = np.random.default_rng([seed, fold, *arm.encode()])
        off = random.beta(1.2, 4, len(cases))
        logits = random.normal(0, 0.8, (len(cases), len(CLASSES)))
        logits[np.arange(len(cases)), cases["label"]] += 1.2 + bond * 5 * (0.2 - off)
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        named = {f"score_{k}": scores[:, k].astype(np.float32) for k in range(len(CLASSES))}
        return cases.assign(**named, off=off)

    def write_run(
        self, arm: str, fold: int, split: str = "stage-patient", bond: float = 1.0, seed: int = 0
    ) -> Path:
        """Write masks.npy and masks.parquet of a run; returns the latter."""
        scored = self.scored(arm, fold, bond, seed)
        truth = self.masks[scored["row"], 0] > 0
        shift = np.rint(scored["off"].to_numpy() * self.size * 0.4).astype(int)
        moved = np.stack([np.roll(mask, by, axis=1) for mask, by in zip(truth, shift, strict=True)])
        soft = moved.astype(np.float64)
        for axis in (1, 2):
            soft = (np.roll(soft, 1, axis) + soft + np.roll(soft, -1, axis)) / 3
        predicted = np.rint(255 * soft).astype(np.uint8)
        table = pd.concat([scored.drop(columns="off"), measure_masks(predicted, truth)], axis=1)
        place = self.place("runs", arm, fold, split, seed)
        write_masks(place / "masks.npy", place / "masks.parquet", predicted, table)
        return place / "masks.parquet"

    def write_runs(self, arm: str, split: str = "stage-patient", bond: float = 1.0) -> list[Path]:
        return [self.write_run(arm, fold, split, bond) for fold in range(self.folds)]

    def write_maps(
        self, arm: str, fold: int, split: str = "stage-patient", grids: Sequence[int] = (4, 8)
    ) -> Path:
        """Write maps of a run, whose evidence lies about the organ, by and large."""
        scored, random = self.scored(arm, fold, 1.0), np.random.default_rng(fold)
        rows, made = scored["row"].to_numpy(), square_grids(self.size, self.size, 1, sizes=grids)
        boxes = np.concatenate([grid.boxes for grid in made])
        shares = np.array(
            [[self.masks[row, 0, a:b, c:d].mean() / 255 for a, b, c, d in boxes] for row in rows]
        )
        told = random.normal(0, 0.3, (*shares.shape, len(CLASSES))) + shares[..., None] - 0.2
        cases = scored.drop(columns="off").assign(
            case=range(len(scored)), fold=fold, drawn=True, shared=False
        )
        about = {"score": "log_odds", "fill": "black", "arm": arm, "split": split}
        about |= {"seed": 0, "fold": fold, "mix": "rgb", "window_minutes": None}
        place = self.place("maps", arm, fold, split)
        maps = MapSet(
            cases, self.images[rows], told.astype(np.float32), tuple(made), CLASSES, about
        )
        write_maps(place, maps)
        return place / "grids.json"


def content(arm: str = "fibrosis_unet", split: str = "stage-patient", **more: object) -> str:
    """Return what a stage that draws an arm is told of it."""
    known = {"title": "Cases", "simulated": True, "arm": arm, "split": split, "leaky": False}
    return json.dumps({**known, "classes": list(CLASSES), "unit": "image", **more})
