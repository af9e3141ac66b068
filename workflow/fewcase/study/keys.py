"""The keys of a study file: at its top, of its experiments, and of its default split."""

from __future__ import annotations

import dataclasses
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.explanations import ExplainOptions
from fewcase.study.fields import nearest, setting
from fewcase.study.gans import GanQualityOptions
from fewcase.study.settings import ImageOptions, SignalOptions, TrainingOptions
from fewcase.study.words import DUPLICATE_POLICIES, LAYOUTS, MEASURES, UNITS


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """Groups of records by one of their columns: its words, or its numbers between edges."""

    column: str = setting(help="Column of the record, such as gestational_weeks.")
    edges: tuple[float, ...] = setting(
        (), help="Numbers that divide it; an edge belongs to the group above. Empty for words."
    )


@dataclasses.dataclass(frozen=True)
class ExperimentKeys:
    """The keys of an experiment, as a study file writes them."""

    title: str = setting("", help="Heading of the table and figure.")
    layout: str = setting("grid", choices=LAYOUTS, help="Form of the table and figure.")
    vary: dict[str, Any] = setting(
        {}, help="Lists of values by factor; every combination is an arm."
    )
    fix: dict[str, Any] = setting(
        {}, help="Factors that differ from the study's recipe in all arms."
    )
    also: tuple[dict[str, Any], ...] = setting((), help="Further arms, each a mapping of factors.")
    reference: dict[str, Any] | None = setting(
        None,
        help="Factors of the arm that the others are compared with; null: the study's default arm, "
        "or the first of a split that has it not.",
    )
    measure: str = setting(
        "auc",
        choices=MEASURES,
        help="What table, figure, comparisons and selection are about; accuracies are of the class "
        "with the highest score, top3_accuracy of the three with the highest, which needs a target "
        "of more.",
    )
    measures: tuple[str, ...] = setting(
        (),
        help="Of a matrix: the measures of each cell, the first being its headline; empty: "
        "measure alone.",
    )
    columns: str | None = setting(
        None, help="Of a matrix: the factor whose levels are its columns; null: the last of vary."
    )
    names: dict[str, str] = setting(
        {}, help="What tables and figures call levels of factors; empty words leave a level out."
    )

    def check(self, where: str) -> None:
        """Check that measures, columns and layout go together.

        Raises
        ------
        InputError
            Naming the key under the key path `where`.
        """
        for i, name in enumerate(self.measures):
            if name not in MEASURES:
                raise InputError(
                    f"{where}.measures[{i}]: no measure {name!r}.{nearest(name, MEASURES)}"
                )
            if name in self.measures[:i]:
                raise InputError(f"{where}.measures[{i}]: {name!r} stands twice; drop one.")
        if self.layout == "sites" and self.measure != "auc":
            raise InputError(
                f"{where}.measure: {self.measure!r}, but layout sites knows auc alone; drop the "
                "key, or take another layout."
            )
        if self.layout != "matrix":
            for key in ("measures", "columns"):
                value = getattr(self, key)
                if value:
                    shown = list(value) if isinstance(value, tuple) else value
                    raise InputError(
                        f"{where}.{key}: {shown!r}, but layout {self.layout} has no such key. Say "
                        "layout: matrix, or drop it."
                    )
            return
        if not self.vary:
            raise InputError(
                f"{where}.vary: a matrix needs a factor for its columns, such as "
                "{model: [resnet34, densenet169]}."
            )
        if self.columns is not None and self.columns not in self.vary:
            hint = nearest(self.columns, self.vary)
            raise InputError(f"{where}.columns: {self.columns!r} is not varied.{hint}")


@dataclasses.dataclass(frozen=True)
class DefaultSplit:
    """The split that arms use where an experiment does not vary it."""

    target: str | None = setting(None, help="Which target; null where there is one.")
    scheme: str = setting(
        "patient", choices=("patient", "image"), help="patient, or image (leaky)."
    )
    hold_out: str = setting("none", help="Which entry of hold_out is test only.")
    given: bool = setting(
        False,
        help="Take the parts that the data come with (train, validation, test) as the one fold.",
    )
    validation_share: float = setting(
        0.2, minimum=0.01, maximum=0.9, help="Share drawn for it where the data give no parts."
    )
    test_share: float = setting(0.0, minimum=0, maximum=0.9, help="The same for testing.")
    draw_seed: int | None = setting(
        None, minimum=0, help="One split for all seeds, drawn by this; null: one for each seed."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyKeys:
    """The keys at the top of a study file."""

    study: str = setting(help="Name of the study: a folder under results/.")
    title: str = setting("", help="Title of the report.")
    preset: str = setting("smoke", help="Which of the presets to run.")
    data: str | None = setting(None, help="Folder of the raw data.")
    seeds: tuple[int, ...] = setting((0, 1, 2), help="Seeds; each makes its own splits.")
    folds: int = setting(10, help="Folds of cross-validation.")
    inner_folds: int = setting(
        10, minimum=0, help="Parts of a training fold; one is kept for early stopping. 0: none."
    )
    selection_folds: int = setting(
        1,
        minimum=1,
        help="Inner parts by which the winner of an experiment is chosen for its nested value. 1 "
        "takes the part that every run keeps for early stopping; more train every arm again.",
    )
    unit: str = setting("example", choices=UNITS, help="What a score is averaged over.")
    cohorts: dict[str, dict[str, Any]] = setting(help="Sets of records by name.")
    targets: dict[str, dict[str, Any]] = setting(help="Rules that make a label from outcomes.")
    hold_out: dict[str, tuple[dict[str, Any], ...]] = setting(
        {}, help="Named lists of sites and periods that are test only."
    )
    split: DefaultSplit = setting(DefaultSplit(), help="The split that arms use unless varied.")
    duplicates: str = setting(
        "group",
        choices=DUPLICATE_POLICIES,
        help="What is done with copies under other names: group keeps them on one side of every "
        "split, drop keeps one of them, fail stops, ignore leaks.",
    )
    shortcuts: tuple[str, ...] | None = setting(
        None, help="Shortcut baselines beside every model; null: all of them."
    )
    metadata: tuple[str, ...] | None = setting(
        None,
        help="Columns of a record that the shortcut `metadata` looks at; null: site, year, "
        "maternal_age and gestational_weeks, as far as they are known and no target is made from "
        "them.",
    )
    subgroups: dict[str, Subgroup] = setting(
        {}, help="Groups of records for which performance is reported apart."
    )
    signal: SignalOptions = setting(SignalOptions(), help="Windows, cleaning and filtering.")
    images: ImageOptions = setting(ImageOptions(), help="Drawing.")
    training: TrainingOptions = setting(TrainingOptions(), help="How training runs.")
    recipe: dict[str, Any] = setting({}, help="The study's default arm.")
    gan: dict[str, Any] = setting(
        {}, help="What all generators have unless they say otherwise; keys of gans."
    )
    gans: dict[str, dict[str, Any]] = setting({}, help="Generators of synthetic images by name.")
    gan_quality: GanQualityOptions = setting(
        GanQualityOptions(), help="How synthetic images are measured."
    )
    experiments: dict[str, dict[str, Any]] = setting(help="Tables and figures.")
    explain: ExplainOptions = setting(
        ExplainOptions(), help="Explanation maps of held-out examples."
    )
    paper: str | None = setting(
        None,
        help="YAML of a paper's settings and numbers, for the reproduction sheet and beside ours "
        "in the tables of experiments that the paper has.",
    )
    presets: dict[str, dict[str, Any]] = setting({}, help="Overrides by preset.")
