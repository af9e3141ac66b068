"""What a study consists of: cohorts, targets, splits, arms, generators, experiments and runs."""

from __future__ import annotations

import dataclasses
from typing import Any

from fewcase.study.explanations import ExplainOptions
from fewcase.study.gans import GanQualityOptions, GanRecipe
from fewcase.study.keys import Subgroup
from fewcase.study.recipe import Recipe
from fewcase.study.settings import ImageOptions, SignalOptions, TrainingOptions
from fewcase.study.sources import UNITS_OF_SOURCES
from fewcase.study.splits import SplitOptions

SPLIT_FACTORS = ("target", "scheme", "hold_out")


@dataclasses.dataclass(frozen=True)
class Cohort:
    """A named set of records of one source."""

    name: str
    source: str
    options: Any

    @property
    def is_simulated(self) -> bool:
        """Whether nothing in it was measured on a person."""
        return self.source.startswith("simulate")

    @property
    def unit(self) -> str:
        """What a network sees of a record: ``window``, ``image`` or ``tile``."""
        return UNITS_OF_SOURCES[self.source]

    @property
    def is_signal(self) -> bool:
        """Whether its records are signals, from which images are drawn."""
        return self.unit == "window"


@dataclasses.dataclass(frozen=True)
class ArmInSplit:
    """One arm of an experiment under one split, with the factors that the experiment varies."""

    arm: str
    split: str
    factors: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Arms that differ in one or two factors, and the table and figure made from them."""

    name: str
    title: str
    layout: str
    vary: dict[str, list[Any]]
    arms: tuple[ArmInSplit, ...]
    reference: dict[str, str]
    """The arm that others are compared with, by split."""
    measure: str = "auc"
    measures: tuple[str, ...] = ()
    columns: str | None = None
    names: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything that a study file says, checked, under one preset."""

    name: str
    title: str
    preset: str
    data: str | None
    seeds: tuple[int, ...]
    folds: int
    selection_folds: int
    unit: str
    cohorts: dict[str, Cohort]
    targets: dict[str, Any]
    target_cohorts: dict[str, str]
    splits: dict[str, SplitOptions]
    shortcuts: tuple[str, ...]
    metadata: tuple[str, ...]
    subgroups: dict[str, Subgroup]
    paper: str | None
    signal: SignalOptions
    images: ImageOptions
    training: TrainingOptions
    gans: dict[str, GanRecipe]
    gan_quality: GanQualityOptions
    explain: ExplainOptions
    default_arm: ArmInSplit
    arms: dict[str, Recipe]
    experiments: dict[str, Experiment]
    effective: dict[str, Any]

    @property
    def default_recipe(self) -> Recipe:
        """The recipe that every arm starts from."""
        return self.arms[self.default_arm.arm]

    @property
    def runs(self) -> list[tuple[str, str]]:
        """Every (arm, split) that is needed, once: those of experiments, and the default arm."""
        arms = [arm for experiment in self.experiments.values() for arm in experiment.arms]
        return list(dict.fromkeys((a.arm, a.split) for a in [*arms, self.default_arm]))

    @property
    def gan_runs(self) -> list[tuple[str, str]]:
        """Every (generator, split) whose synthetic images an arm is trained on, once."""
        pairs = [(self.arms[arm].gan, split) for arm, split in self.runs]
        return list(dict.fromkeys((gan, split) for gan, split in pairs if gan is not None))

    @property
    def base_gans(self) -> list[str]:
        """Every base generator that those start from, once."""
        bases = []
        for gan, _ in self.gan_runs:
            base = self.gans[gan].base
            while base is not None:
                bases.append(base)
                base = self.gans[base].base
        return list(dict.fromkeys(bases))

    @property
    def explained(self) -> list[tuple[str, str]]:
        """Every (arm, split) whose runs are explained, once: networks alone, the default first."""
        if not self.explain.is_wanted:
            return []
        named = [arm for name in self.explain.experiments for arm in self.experiments[name].arms]
        pairs = [(arm.arm, arm.split) for arm in [self.default_arm, *named]]
        # Networks of patches were never asked about whole images.
        recipes = [(pair, self.arms[pair[0]]) for pair in dict.fromkeys(pairs)]
        return [pair for pair, of in recipes if not of.is_classical and of.patch is None]

    @property
    def segmented(self) -> list[tuple[str, str]]:
        """Every (arm, split) whose networks give masks that they were trained on, once."""
        return [pair for pair in self.runs if self.arms[pair[0]].learns_masks]

    def draw_seed(self, split: str, seed: int) -> int:
        """Return the seed that drew a split for one of the study's seeds."""
        drawn = self.splits[split].draw_seed
        return seed if drawn is None else drawn

    def cohort_of(self, split: str) -> str:
        """Return the name of the cohort that a split is made from."""
        return self.target_cohorts[self.splits[split].target]
