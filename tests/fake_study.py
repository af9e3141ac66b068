"""Predictions as trained runs would leave them, without training, and fixtures made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import write_table
from fewcase.evaluation.predictions import RunFile
from fewcase.evaluation.scores import score_arm
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.experiments import Scores
from fewcase.splits.folds import make_split, write_split
from fewcase.splits.sampling import draw_samples, write_samples
from fewcase.study.splits import HeldOut, SplitOptions

SMALL: dict[str, Any] = {
    "sites": {"Ibi": 120, "Fukuda": 180},
    "held_out": {"Nakagawa": ("external", 60), "Ibi": ("temporal", 40)},
}


class FakeStudy:
    """Examples of some sites and patients, and the predictions of an arm of a given quality."""

    def __init__(
        self,
        folder: Path,
        *,
        sites: dict[str, int],
        held_out: dict[str, tuple[str, int]] | None = None,
        prevalence: float = 0.2,
        repeats: bool = False,
        folds: int = 5,
        seeds: tuple[int, ...] = (0, 1, 2),
        leaky: bool = False,
    ) -> None:
        self.folder, self.folds, self.seeds = folder, folds, seeds
        random = np.random.default_rng(7)
        parts = [(site, 2015, count) for site, count in sites.items()]
        parts += [(site, 2020, count) for site, (_, count) in (held_out or {}).items()]
        table = pd.DataFrame(
            [(f"{site}-{year}-{i:04d}", site, year) for site, year, n in parts for i in range(n)],
            columns=["example", "site", "year"],
        )
        table["date"] = pd.to_datetime(table.pop("year").astype(str) + "-06-01")
        table["parent"] = table["example"]
        number = np.arange(len(table))
        table["patient"] = [f"p{i // 2 if repeats else i}" for i in number]
        table["label"] = (random.random(len(table)) < prevalence).astype(np.int8)
        table["row"] = number.astype(np.int64)
        self.examples = table
        periods = {"temporal": 2020, "external": None}
        self.options = SplitOptions(
            target="apgar",
            scheme="image" if leaky else "patient",
            hold_out=tuple(
                HeldOut(site, since=periods[kind]) for site, (kind, _) in (held_out or {}).items()
            ),
            folds=folds,
            inner_folds=5,
        )

    def split(self, seed: int) -> pd.DataFrame:
        return make_split(self.examples, self.options, seed)

    def write_split(self, seed: int) -> tuple[Path, Path]:
        """Write split and samples of a seed."""
        split = self.split(seed)
        path = self.folder / "split" / f"seed-{seed}.parquet"
        sample_path = self.folder / "split" / "ratio-2" / f"seed-{seed}.parquet"
        write_split(path, split, self.options, seed)
        write_samples(sample_path, draw_samples(split, 2.0, 2, seed), 2.0, 2, seed)
        return path, sample_path

    def scored(self, arm: str, separation: float = 1.0, split: str = "split") -> pd.DataFrame:
        """Return the summary of an arm, without writing its predictions."""
        runs = [
            self.predictions(table, arm, seed, fold, separation).assign(seed=seed, fold=fold)
            for seed in self.seeds
            for table in [self.split(seed)]
            for fold in range(self.folds)
        ]
        found = score_arm(pd.concat(runs, ignore_index=True), arm=arm, split=split)
        return found.summary.assign(weights="none", precision="float32", device="CPU")

    def runs(self, arm: str, separation: float = 1.0) -> list[RunFile]:
        files = []
        for seed in self.seeds:
            split = self.split(seed)
            for fold in range(self.folds):
                path = self.folder / arm / f"seed-{seed}" / f"fold-{fold}" / "predictions.parquet"
                write_table(path, self.predictions(split, arm, seed, fold, separation))
                files.append(RunFile(seed, fold, path))
        return files

    @staticmethod
    def predictions(
        split: pd.DataFrame, arm: str, seed: int, fold: int, separation: float
    ) -> pd.DataFrame:
        own = np.random.default_rng([seed, fold, *arm.encode()])
        latent = np.random.default_rng(3).normal(size=len(split)) + separation * split["label"]
        logit = latent + 0.5 * own.normal(size=len(split)) - 2
        score = 1 / (1 + np.exp(-logit.to_numpy()))
        role = np.where(
            split["fold"] == fold, "validation", np.where(split["inner"] == 0, "inner", "training")
        )
        role = np.where(split["test_set"].isin(("temporal", "external")), "test", role)
        table = split.assign(
            role=role,
            score_0=(1 - score).astype(np.float32),
            score_1=score.astype(np.float32),
        )
        used = (table["role"] != "training") & (table["test_set"] != "excluded")
        return table[used].drop(columns=["fold", "inner", "date"])


@pytest.fixture(scope="module")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FakeStudy]:
    """Return a function that makes a study of given sites, each in a folder of its own."""
    return lambda **options: FakeStudy(tmp_path_factory.mktemp("study"), **options)


@pytest.fixture(scope="module")
def shared_study(make_study: Callable[..., FakeStudy]) -> FakeStudy:
    """Two training sites, one external and one temporal test site, three seeds, five folds.

    Tests that change its files take `small_study`.
    """
    return make_study(**SMALL)


@pytest.fixture
def small_study(make_study: Callable[..., FakeStudy]) -> FakeStudy:
    """Return a study as `shared_study`, whose files are the test's own."""
    return make_study(**SMALL)


@pytest.fixture(scope="module")
def university_c(make_study: Callable[..., FakeStudy]) -> tuple[Experiment, Scores]:
    """Return one arm under three splits: all hospitals, `new` held out, and hospital C as a whole.

    `new` holds out C's later years, a temporal test, and G, an external one.
    """
    held_out = {
        "none": ({"A": 120, "C": 120, "G": 60}, None),
        "new": ({"A": 120, "C": 120}, {"C": ("temporal", 60), "G": ("external", 60)}),
        "university_c": ({"A": 120, "G": 60}, {"C": ("external", 180)}),
    }
    parts, arms = [], []
    for name, (sites, held) in held_out.items():
        split = f"apgar-patient-{name}"
        study = make_study(sites=sites, held_out=held, folds=3, seeds=(0,))
        parts.append(study.scored("vit", 1.0 + 0.5 * len(arms), split))
        arms.append(Arm("vit", split, {"hold_out": name}, False))
    vary = {"hold_out": list(held_out)}
    plan = Experiment("sites", "Figure 4", "sites", vary, tuple(arms), True, None)
    return plan, Scores(pd.concat(parts))
