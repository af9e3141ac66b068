"""Summaries, runs and units of arms as the score stage leaves them, made without training."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import write_table
from fewcase.reporting.evidence import Evidence
from fewcase.reporting.experiment_plan import Arm
from fewcase.reporting.experiments import Scores
from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.intervals import Estimate, estimate_auc, mean_over_folds, undefined
from fewcase.statistics.metrics import average_precision

SEEDS, FOLDS = 3, 5


@contextlib.contextmanager
def without_bootstrap() -> Iterator[None]:
    """Score arms in no time: what is bootstrapped has a value and no interval."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewcase.evaluation.measures.bca", lambda *_, **__: undefined("not made"))
        yield


@dataclasses.dataclass
class Arms:
    """Patients of one split with their labels, and the files of the arms that were scored on them.

    Attributes
    ----------
    folder
        Where the files are written.
    split
        Name of the split.
    units, tests
        How many units cross-validation and the test set have.
    repeats
        How many units a patient has.
    prevalence
        Share of positives.
    seed
        Of the labels and of what all arms have in common.
    """

    folder: Path
    split: str = "apgar-patient-none"
    units: int = 300
    tests: int = 200
    repeats: int = 1
    prevalence: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.labels = {
            "cv": (random.random(self.units) < self.prevalence).astype(int),
            "test": (random.random(self.tests) < self.prevalence).astype(int),
        }
        self.common = {name: random.normal(size=len(y)) for name, y in self.labels.items()}
        self.files: dict[str, dict[str, Path]] = {}

    def score(
        self,
        arm: str,
        gain: float = 1.0,
        inner: float | None = None,
        parts: int = 1,
        **changed: Any,
    ) -> Arm:
        """Write the files of an arm whose positives score `gain` higher, and return the arm.

        `inner` is the AUC on all its inner parts; `changed` replaces the factors.
        """
        random = np.random.default_rng([self.seed, *arm.encode()])
        scores = {
            name: self.common[name] + gain * y + 0.5 * random.normal(size=(SEEDS * FOLDS, len(y)))
            for name, y in self.labels.items()
        }
        folds = np.stack([np.arange(self.units) % FOLDS] * SEEDS)
        folds = np.stack([np.roll(row, seed) for seed, row in enumerate(folds)])
        out_of_fold = np.take_along_axis(
            scores["cv"].reshape(SEEDS, FOLDS, -1), folds[:, None], axis=1
        )[:, 0]
        self._write(arm, out_of_fold, folds, scores["test"], inner, parts)
        return Arm(arm, self.split, {"model": arm} | changed, "-image-" in self.split)

    def _write(
        self,
        arm: str,
        out_of_fold: np.ndarray,
        folds: np.ndarray,
        tests: np.ndarray,
        inner: float | None,
        parts: int,
    ) -> None:
        runs = []
        for seed in range(SEEDS):
            for fold in range(FOLDS):
                chosen = folds[seed] == fold
                y, s = self.labels["cv"][chosen], out_of_fold[seed][chosen]
                runs.append(run_row(seed, fold, 0, "validation", s, y))
                if self.tests:
                    y = self.labels["test"]
                    runs.append(run_row(seed, fold, 0, "test", tests[seed * FOLDS + fold], y))
                for part in range(parts if inner is not None else 0):
                    runs.append(
                        run_row(seed, fold, part, "inner", s, self.labels["cv"][chosen])
                        | {"auc": inner}
                    )
        table = pd.DataFrame(runs)
        values = table.loc[table["set"] == "validation", "auc"]
        patients = np.arange(self.units) // self.repeats
        test_patients = np.arange(self.tests) // self.repeats
        rows = [
            self._summary(arm, "cv", "auc_mean", mean_over_folds(values, 1 / (FOLDS - 1))),
            self._summary(
                arm, "cv", "auc_pooled", estimate_auc(out_of_fold, self.labels["cv"], patients)
            ),
        ]
        units = [
            pd.DataFrame(
                {
                    "set": "cv",
                    "unit": [f"u{i}" for i in range(self.units)],
                    "patient": [f"p{i}" for i in patients],
                    "label": self.labels["cv"],
                    "score": out_of_fold.mean(axis=0),
                    **{f"score_seed_{s}": out_of_fold[s] for s in range(SEEDS)},
                }
            )
        ]
        if self.tests:
            y = self.labels["test"]
            ensemble = estimate_auc(tests.mean(axis=0), y, test_patients)
            rows.append(self._summary(arm, "test", "auc_ensemble", ensemble))
            rows.append(self._summary(arm, "test", "auc_mean", estimate_auc(tests, y)))
            units.append(
                pd.DataFrame(
                    {
                        "set": "test",
                        "unit": [f"t{i}" for i in range(self.tests)],
                        "patient": [f"q{i}" for i in test_patients],
                        "label": y,
                        "score": tests.mean(axis=0),
                    }
                )
            )
        self._save(arm, pd.DataFrame(rows), table, pd.concat(units, ignore_index=True))

    def _summary(self, arm: str, name: str, statistic: str, found: Estimate) -> dict[str, Any]:
        y = self.labels[name]
        return {
            "arm": arm,
            "split": self.split,
            "set": name,
            "statistic": statistic,
            "class": "",
            **dataclasses.asdict(found),
            "runs": SEEDS * FOLDS,
            "examples": len(y),
            "patients": len(y) // self.repeats,
            "positives": int(y.sum()),
            "negatives": int(len(y) - y.sum()),
            "weights": "none",
            "precision": "float32",
            "device": "CPU",
        }

    def _save(
        self, arm: str, summary: pd.DataFrame, runs: pd.DataFrame, units: pd.DataFrame
    ) -> None:
        folder = self.folder / self.split
        folder.mkdir(parents=True, exist_ok=True)
        name = "shortcuts" if arm.startswith("shortcut:") else arm
        paths = {
            "scores": folder / f"{name}.csv",
            "runs": folder / f"{name}-runs.csv",
            "units": folder / f"{name}-units.parquet",
        }
        if name == "shortcuts":
            runs.insert(0, "arm", arm)
            units.insert(0, "arm", arm)
            if name in self.files:
                summary = pd.concat([pd.read_csv(paths["scores"]), summary])
                runs = pd.concat([pd.read_csv(paths["runs"]), runs])
                units = pd.concat([pd.read_parquet(paths["units"]), units])
        summary.to_csv(paths["scores"], index=False)
        runs.to_csv(paths["runs"], index=False)
        facts = json.dumps({"classes": 2})
        write_table(paths["units"], units, {"fewcase": facts})
        self.files[name] = paths


def write_certificate(folder: Path, split: str, status: str, seed: int = 0) -> Path:
    """Write the certificate of a patient-level split whose copies, or patients, are so."""
    kind = "patients" if status == "unknown" else "exact duplicates"
    check = {"name": kind, "status": status, "compared": 9, "shared": 1, "detail": ""}
    content = {
        "split": split,
        "seed": seed,
        "scheme": "patient",
        "duplicates": "ignore",
        "status": status,
        "checks": [check],
        **{key: [] for key in ("folds", "notes")},
        **{key: {} for key in ("test", "sites", "excluded")},
    }
    path = folder / f"certificate-{split}-{seed}.json"
    path.write_text(json.dumps(content))
    return path


def run_row(
    seed: int, fold: int, inner: int, name: str, scores: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    return {
        "seed": seed,
        "fold": fold,
        "inner": inner,
        "set": name,
        "n": len(labels),
        "positives": int(labels.sum()),
        "auc": roc_auc(scores, labels),
        "average_precision": average_precision(scores, labels),
    }


def read_scored(*studies: Arms) -> tuple[Scores, Evidence]:
    """Read what was scored, shortcuts too, as the tabulate stage does."""
    arms = [f for s in studies for name, f in s.files.items() if name != "shortcuts"]
    shortcuts = [s.files["shortcuts"] for s in studies if "shortcuts" in s.files]
    scores = Scores.read([files["scores"] for files in arms])
    evidence = Evidence.read(
        scores.files,
        runs=[files["runs"] for files in arms],
        units=[files["units"] for files in arms],
        shortcuts=[files["scores"] for files in shortcuts],
        shortcut_runs=[files["runs"] for files in shortcuts],
        shortcut_units=[files["units"] for files in shortcuts],
    )
    return scores, evidence
