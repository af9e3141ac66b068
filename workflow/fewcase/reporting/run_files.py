"""The files of a run that reporting checklists are filled from, and what an answer is."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json
from fewcase.reporting.flow_table import Box, boxes_of, read_account
from fewcase.reporting.reproduction import study_in_effect
from fewcase.reporting.text import plain, with_interval
from fewcase.splits.flow import CROSS_VALIDATION, GIVEN_PARTS, KEPT_APART, REMAINING, TEST
from fewcase.splits.steps import names_of_classes
from fewcase.study.contents import Cohort, Study
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS, Nouns, records_of

MEASURE_TITLES = {
    "auc_mean": "ROC-AUC, mean over seeds and folds",
    "auc_pooled": "ROC-AUC, out-of-fold scores pooled",
    "auc_ensemble": "ROC-AUC of the score averaged over all runs",
    "average_precision": "average precision",
    "sensitivity": "sensitivity at a threshold fixed on other examples",
    "specificity": "specificity at a threshold fixed on other examples",
    "sensitivity_at_specificity_90": "sensitivity at 90 % specificity",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top3_accuracy": "top-3 accuracy",
    "quadratic_kappa": "quadratically weighted kappa",
}
SETS = {"cv": "cross-validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a run says to an item, and the files that it says so in."""

    text: str
    sources: tuple[Path, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files of a run that answers are taken from; what is None or empty answers nothing.

    Attributes
    ----------
    study, arms
        study.json and arms.csv of the plan.
    account
        CSV of the flow of the default cohort and target.
    flow_figure
        Its figure, which is only pointed to.
    records
        records.parquet of the default cohort.
    certificates
        Certificates of the default split, one per seed.
    scores
        Summary of the scores of the default arm.
    tables
        CSV of the experiments.
    options
        options.json of the default arm's runs.
    """

    study: Path
    arms: Path | None = None
    account: Path | None = None
    flow_figure: Path | None = None
    records: Path | None = None
    certificates: tuple[Path, ...] = ()
    scores: Path | None = None
    tables: tuple[Path, ...] = ()
    options: tuple[Path, ...] = ()

    @functools.cached_property
    def plan(self) -> Study:
        """The plan of the study in effect."""
        return study_in_effect(read_json(self.study))

    @functools.cached_property
    def boxes(self) -> list[Box]:
        """The boxes of the flow; none where there is no account."""
        return [] if self.account is None else boxes_of(read_account(self.account))

    @functools.cached_property
    def run_options(self) -> Mapping[str, Any]:
        """What the first run of the default arm was done with; empty where there is none."""
        found = read_json(self.options[0]) if self.options else {}
        return found if isinstance(found, dict) else {}

    @functools.cached_property
    def score_table(self) -> pd.DataFrame:
        """The summary of the default arm's scores; empty where there is none."""
        columns = ["set", "statistic", "class", "value", "low", "high", "method", "runs"]
        if self.scores is None:
            return pd.DataFrame(columns=columns)
        try:
            table = pd.read_csv(self.scores, keep_default_na=False, dtype=str)
            if "class" not in table:
                table["class"] = ""
            numbers = ["value", "low", "high", "runs"]
            table[numbers] = table[numbers].apply(pd.to_numeric)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.scores}: no summary of scores ({error}).") from None
        overall = table["class"] == ""
        own = (table["arm"] == self.plan.default_arm.arm) if "arm" in table else True
        return table[overall & own]

    @property
    def cohort(self) -> Cohort:
        """The cohort of the default arm."""
        return self.plan.cohorts[self.plan.cohort_of(self.plan.default_arm.split)]

    @property
    def unit(self) -> str:
        """Unit of that cohort."""
        return self.cohort.unit

    @property
    def nouns(self) -> Nouns:
        """What sentences call the things of that cohort."""
        return NOUNS[self.unit]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the default arm's target; none where it says yes or no."""
        target = self.plan.targets[self.plan.splits[self.plan.default_arm.split].target]
        return names_of_classes(target) or ()

    @property
    def simulated(self) -> bool:
        """Whether any record of the study was simulated."""
        return any(cohort.is_simulated for cohort in self.plan.cohorts.values())

    @property
    def all_simulated(self) -> str:
        """That records are simulated, in a sentence; empty where none are."""
        cohorts = self.plan.cohorts.values()
        records = records_of(cohort.unit for cohort in cohorts if cohort.is_simulated)
        return f"All {records} are simulated." if records else ""

    @property
    def parts(self) -> list[tuple[str, Box]]:
        """What is trained and tested on, by name: cross-validation or given parts, then tests."""
        crossed = [b for b in self.boxes if b.step == CROSS_VALIDATION and b.kind == REMAINING]
        named = [("cross-validation", box) for box in crossed]
        if any(box.step == GIVEN_PARTS for box in self.boxes):
            training = [box for box in self.boxes if box.step == "training part"]
            named = [("training", box) for box in training if box.kind == REMAINING]
            named += [
                (plain(box.reason).partition(" (")[0], box)
                for box in training
                if box.kind == KEPT_APART
            ]
        return named + [(plain(box.reason), box) for box in self.boxes if box.kind == TEST]

    def estimates(self, name: str, statistics: Sequence[str]) -> list[str]:
        """Return statistics of a set as text with intervals, those that it has."""
        table = self.score_table[self.score_table["set"] == name]
        rows = {row["statistic"]: row for row in table.to_dict("records")}
        return [
            f"{MEASURE_TITLES.get(statistic, statistic)} "
            + with_interval(*(float(rows[statistic][key]) for key in ("value", "low", "high")))
            for statistic in statistics
            if statistic in rows and math.isfinite(float(rows[statistic]["value"]))
        ]


def known(*paths: Path | None) -> tuple[Path, ...]:
    """Return those of some files that there are."""
    return tuple(path for path in paths if path is not None)
