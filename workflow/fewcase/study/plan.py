"""From a study file to its plan: cohorts, splits, arms, runs and experiments, all known at once."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import is_one_of, nearest, read_section
from fewcase.study.keys import ExperimentKeys, StudyKeys, Subgroup
from fewcase.study.recipe import FACTORS, Recipe, name_of, read_recipe
from fewcase.study.settings import ImageOptions, SignalOptions, TrainingOptions
from fewcase.study.sources import SOURCES
from fewcase.study.splits import SCHEMES, HeldOut, SplitOptions
from fewcase.study.targets import OUTCOMES, Target, columns_of, read_target
from fewcase.study.words import METADATA_COLUMNS, SHORTCUTS

SPLIT_FACTORS = ("target", "scheme", "hold_out")
WORD = re.compile(r"[A-Za-z0-9_]+")
RESERVED_TARGETS = ("recordings", "window")
RESERVED_EXPERIMENTS = (
    *("labels", "performance", "shortcuts", "reproduction", "tripod_ai", "claim"),
)
"""Names of files that every study has beside those of its targets and experiments."""
IDENTIFIERS = ("record", "patient", "start")
"""Columns that tell who is who, or in which order records were listed."""


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

    def cohort_of(self, split: str) -> str:
        """Return the name of the cohort that a split is made from."""
        return self.target_cohorts[self.splits[split].target]


def read_study(config: Mapping[str, Any]) -> Study:
    """Check a study file and make its plan.

    Parameters
    ----------
    config
        The study file as plain mappings, with `preset` naming one of its presets.

    Raises
    ------
    InputError
        Naming the key path, the value and what is allowed, wherever the file cannot be right.
    """
    effective = apply_preset(config)
    keys = read_section(StudyKeys, effective, "study")
    for path, word in [("study.study", keys.study), ("study.preset", keys.preset)]:
        _check_word(word, path)
    _check_counts(keys)
    _check_edges(keys)
    cohorts = {name: _read_cohort(name, values) for name, values in keys.cohorts.items()}
    _check_data(keys, cohorts)
    target_cohorts, targets = _read_targets(keys, cohorts)
    _check_groups(keys, targets.values())
    planner = _Planner(keys, targets, target_cohorts)
    default = planner.arm({}, {}, "study.recipe")
    experiments = {name: planner.experiment(name, v) for name, v in keys.experiments.items()}
    if not experiments:
        raise InputError("study.experiments: no experiment. Name at least one, with its `vary`.")
    return Study(
        name=keys.study,
        title=keys.title or keys.study,
        preset=keys.preset,
        data=keys.data,
        seeds=keys.seeds,
        folds=keys.folds,
        selection_folds=keys.selection_folds,
        unit=keys.unit,
        cohorts=cohorts,
        targets=targets,
        target_cohorts=target_cohorts,
        splits=planner.splits,
        shortcuts=SHORTCUTS if keys.shortcuts is None else keys.shortcuts,
        metadata=_metadata(keys, targets.values()),
        subgroups=keys.subgroups,
        paper=keys.paper,
        signal=keys.signal,
        images=keys.images,
        training=keys.training,
        default_arm=default,
        arms=planner.arms,
        experiments=experiments,
        effective=effective,
    )


def apply_preset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the chosen preset over the study file: mappings are merged, all else is replaced."""
    presets = config.get("presets") or {}
    chosen = config.get("preset", "smoke")
    if not isinstance(presets, Mapping):
        raise InputError(f"study.presets: expected a mapping of presets, found {presets!r}.")
    if not is_one_of(chosen, presets):
        remedy = nearest(str(chosen), presets)
        if not presets:
            remedy = " Name it, though it may change nothing: presets: {smoke: {}}."
        raise InputError(f"study.preset: no preset {chosen!r}.{remedy}")
    where = f"study.presets.{chosen}"
    over = presets[chosen] or {}
    for key in ("preset", "presets"):
        if isinstance(over, Mapping) and key in over:
            raise InputError(f"{where}.{key}: a preset chooses no other; drop this key.")
    base = {key: value for key, value in config.items() if key != "presets"}
    return _merged(base, over, where)


def _merged(base: Mapping[str, Any], over: Any, where: str) -> dict[str, Any]:
    if not isinstance(over, Mapping):
        raise InputError(f"{where}: expected a mapping of keys, found {over!r}.")
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        # A model's options belong to its name: a new model replaces the mapping as a whole.
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        if both and key != "model":
            result[key] = _merged(result[key], value, f"{where}.{key}")
        else:
            result[key] = copy.deepcopy(value)
    return result


def _check_word(word: str, path: str) -> None:
    if not WORD.fullmatch(word):
        raise InputError(
            f"{path}: {word!r} names a folder; use letters, digits and underscores alone."
        )


def _check_counts(keys: StudyKeys) -> None:
    if keys.folds < 2:
        raise InputError(
            f"study.folds: {keys.folds} is no cross-validation; give 2 or more (the papers: 10)."
        )
    if keys.selection_folds > max(keys.inner_folds, 1):
        raise InputError(
            f"study.selection_folds: {keys.selection_folds} inner parts, but inner_folds has "
            f"{keys.inner_folds}; give at most as many."
        )
    if not keys.seeds:
        raise InputError("study.seeds: the list is empty; give at least one seed, such as [0].")
    if len(set(keys.seeds)) != len(keys.seeds):
        raise InputError(f"study.seeds: {list(keys.seeds)} names a seed twice.")
    if min(keys.seeds) < 0:
        raise InputError(f"study.seeds: {min(keys.seeds)} is negative; seeds are 0 or more.")
    if keys.images.size % 8:
        raise InputError(
            f"study.images.size: {keys.images.size} is no multiple of 8, as packed pixels are."
        )


def _check_edges(keys: StudyKeys) -> None:
    edges = [
        ("signal.fhr", keys.signal.fhr_low, keys.signal.fhr_high),
        ("images.fhr", keys.images.fhr_low, keys.images.fhr_high),
        ("images.uc", keys.images.uc_low, keys.images.uc_high),
    ]
    for name, low, high in edges:
        if not low < high:
            raise InputError(
                f"study.{name}_low: {low:g} is not below {name}_high, {high:g}; exchange or mend "
                "them."
            )


def _check_groups(keys: StudyKeys, targets: Iterable[Target]) -> None:
    for i, name in enumerate(keys.shortcuts or ()):
        if name not in SHORTCUTS:
            raise InputError(
                f"study.shortcuts[{i}]: no shortcut {name!r}.{nearest(name, SHORTCUTS)}"
            )
    outcomes = {*OUTCOMES, *_target_columns(targets)}
    for i, name in enumerate(keys.metadata or ()):
        if name in outcomes:
            raise InputError(
                f"study.metadata[{i}]: {name!r} is an outcome and would give the label away; "
                "name columns that are known before it."
            )
        if name in IDENTIFIERS:
            raise InputError(
                f"study.metadata[{i}]: {name!r} tells one record from another and nothing of a "
                "person; name columns such as site or maternal_age."
            )
    for name, group in keys.subgroups.items():
        _check_word(name, f"study.subgroups.{name}")
        if list(group.edges) != sorted(set(group.edges)):
            raise InputError(
                f"study.subgroups.{name}.edges: {list(group.edges)} do not rise; sort them, each "
                "once."
            )


def _target_columns(targets: Iterable[Target]) -> set[str]:
    """Return the columns that any target is made from; with a date, the year is one too."""
    columns = {name for target in targets for name in columns_of(target)}
    return columns | {"year"} if "date" in columns else columns


def _metadata(keys: StudyKeys, targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the columns of the shortcut `metadata`, of which none may hold a label."""
    if keys.metadata is not None:
        return keys.metadata
    labels = _target_columns(targets)
    return tuple(name for name in METADATA_COLUMNS if name not in labels)


def _check_data(keys: StudyKeys, cohorts: Mapping[str, Cohort]) -> None:
    for name, cohort in cohorts.items():
        if not (cohort.is_simulated or keys.data or getattr(cohort.options, "folder", None)):
            raise InputError(
                f"study.data: {keys.data!r}, but cohort {name!r} is read from files. Give their "
                "folder in the study file or on the command line: --config data=FOLDER"
            )


def _check_reserved(name: str, reserved: tuple[str, ...], path: str) -> None:
    if name in reserved:
        raise InputError(f"{path}: the results have {name!r} of their own; choose another name.")


def _read_cohort(name: str, values: Mapping[str, Any]) -> Cohort:
    where = f"study.cohorts.{name}"
    _check_word(name, where)
    values = dict(values)
    source = values.pop("source", None)
    if not is_one_of(source, SOURCES):
        raise InputError(f"{where}.source: no source {source!r}.{nearest(str(source), SOURCES)}")
    return Cohort(name, source, read_section(SOURCES[source], values, where))


def _read_targets(
    keys: StudyKeys, cohorts: Mapping[str, Cohort]
) -> tuple[dict[str, str], dict[str, Any]]:
    if not cohorts:
        raise InputError("study.cohorts: no cohort. Name at least one, with its `source`.")
    of_cohort, targets = {}, {}
    for name, values in keys.targets.items():
        where = f"study.targets.{name}"
        _check_word(name, where)
        _check_reserved(name, RESERVED_TARGETS, where)
        values = dict(values)
        cohort = values.pop("cohort", None)
        if cohort is None and len(cohorts) == 1:
            cohort = next(iter(cohorts))
        if not is_one_of(cohort, cohorts):
            raise InputError(
                f"{where}.cohort: no cohort {cohort!r}.{nearest(str(cohort), cohorts)}"
            )
        of_cohort[name] = cohort
        targets[name] = read_target(values, where)
    if not targets:
        raise InputError("study.targets: no target. Name at least one rule that makes a label.")
    return of_cohort, targets


class _Planner:
    """Collects the arms and splits that the experiments of a study name."""

    def __init__(
        self, keys: StudyKeys, targets: Mapping[str, Any], target_cohorts: Mapping[str, str]
    ) -> None:
        self.keys = keys
        self.targets = targets
        self.hold_outs = {"none": (), **keys.hold_out}
        for name, parts in keys.hold_out.items():
            self._check_hold_out(name, parts, f"study.hold_out.{name}")
        self.arms: dict[str, Recipe] = {}
        self.splits: dict[str, SplitOptions] = {}

    @staticmethod
    def _check_hold_out(name: str, parts: tuple[dict[str, Any], ...], where: str) -> None:
        _check_word(name, where)
        if name == "none":
            raise InputError(f"{where}: none holds out nothing; choose another name.")
        if not parts:
            raise InputError(f"{where}: the list is empty; name a site, as in [{{site: north}}].")
        for i, part in enumerate(parts):
            read_section(HeldOut, part, f"{where}[{i}]")

    def experiment(self, name: str, values: Mapping[str, Any]) -> Experiment:
        where = f"study.experiments.{name}"
        _check_word(name, where)
        _check_reserved(name, RESERVED_EXPERIMENTS, where)
        spec = read_section(ExperimentKeys, values, where)
        if spec.layout == "audit":
            spec = self._audited(spec, where)
        vary = {factor: self._levels(factor, v, f"{where}.vary") for factor, v in spec.vary.items()}
        arms = [
            self.arm(spec.fix, dict(zip(vary, levels, strict=True)), where)
            for levels in itertools.product(*vary.values())
        ]
        for i, extra in enumerate(spec.also):
            arm = self.arm(spec.fix, extra, f"{where}.also[{i}]")
            arms.append(dataclasses.replace(arm, factors=self._factors_of(arm, vary, extra)))
        unique = {(a.arm, a.split): a for a in arms}
        if len(unique) < len(arms):
            raise InputError(f"{where}: two of its {len(arms)} arms are the same; drop one value.")
        return Experiment(
            name,
            spec.title or name,
            spec.layout,
            vary,
            tuple(unique.values()),
            self._references(spec, tuple(unique.values()), where),
        )

    @staticmethod
    def _audited(spec: ExperimentKeys, where: str) -> ExperimentKeys:
        """Return an audit with the two schemes that it compares, which need not be written out."""
        schemes = spec.vary.get("scheme", list(SCHEMES))
        if not isinstance(schemes, (list, tuple)) or sorted(map(str, schemes)) != sorted(SCHEMES):
            raise InputError(
                f"{where}.vary.scheme: {schemes!r}, but an audit compares {list(SCHEMES)}; leave "
                "the key out."
            )
        others = {key: values for key, values in spec.vary.items() if key != "scheme"}
        if any("scheme" in extra for extra in (spec.fix, *spec.also)):
            raise InputError(f"{where}: an audit varies the scheme itself; do not fix it.")
        also = tuple({**extra, "scheme": scheme} for extra in spec.also for scheme in SCHEMES)
        vary = {**others, "scheme": list(SCHEMES)}
        return dataclasses.replace(spec, vary=vary, also=also)

    def _references(
        self, spec: ExperimentKeys, arms: tuple[ArmInSplit, ...], where: str
    ) -> dict[str, str]:
        """Return the arm of each split that the others under it are compared with."""
        given = spec.reference or {}
        default = None if given else name_of(self._recipe(spec.fix, {}, where)[0])
        references: dict[str, str] = {}
        for arm in arms:
            if given and all(self._has(arm, *item) for item in given.items()):
                references.setdefault(arm.split, arm.arm)
            elif arm.arm == default:
                references[arm.split] = arm.arm
        if given and not references:
            raise InputError(
                f"{where}.reference: no arm of the experiment has {spec.reference!r}; name factors "
                "and levels that it varies."
            )
        for arm in arms:
            references.setdefault(arm.split, arm.arm)
        return references

    def _has(self, arm: ArmInSplit, factor: str, level: Any) -> bool:
        if factor not in (*FACTORS, *SPLIT_FACTORS):
            return False
        if factor in SPLIT_FACTORS:
            return dict(zip(SPLIT_FACTORS, arm.split.split("-"), strict=True))[factor] == level
        return bool(getattr(self.arms[arm.arm], factor) == level)

    def _factors_of(
        self, arm: ArmInSplit, varied: Iterable[str], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what an arm has of the varied factors, whether it was given or is the study's."""
        recipe, split = (
            self.arms[arm.arm],
            dict(zip(SPLIT_FACTORS, arm.split.split("-"), strict=True)),
        )
        factors = dict(given)
        for factor in varied:
            if factor in split:
                factors.setdefault(factor, split[factor])
            elif not recipe.is_classical:
                factors.setdefault(factor, getattr(recipe, factor))
        return factors

    def _levels(self, factor: str, values: Any, where: str) -> list[Any]:
        known = (*FACTORS, *SPLIT_FACTORS)
        if factor not in known:
            raise InputError(f"{where}.{factor}: no such factor.{nearest(factor, known)}")
        if not isinstance(values, (list, tuple)) or not values:
            raise InputError(f"{where}.{factor}: expected a list of values, found {values!r}.")
        # A number that YAML takes for text, such as 1e-4, is a number in tables and figures too.
        return [
            getattr(read_section(Recipe, {factor: value}, where), factor)
            if isinstance(value, str) and factor in FACTORS
            else value
            for value in values
        ]

    def arm(self, fix: Mapping[str, Any], varied: Mapping[str, Any], where: str) -> ArmInSplit:
        recipe, split = self._recipe(fix, varied, where)
        name = name_of(recipe)
        if self.arms.setdefault(name, recipe) != recipe:
            raise InputError(f"{where}: two different recipes would both be named {name!r}.")
        return ArmInSplit(name, self._split(split, where), dict(varied))

    def _recipe(
        self, fix: Mapping[str, Any], varied: Mapping[str, Any], where: str
    ) -> tuple[Recipe, dict[str, Any]]:
        """Return the recipe that some factors make of the study's own, and those of its split."""
        known = (*FACTORS, *SPLIT_FACTORS)
        for key in (*fix, *varied):
            if key not in known:
                raise InputError(f"{where}.{key}: no such factor.{nearest(key, known)}")
        factors: dict[str, Any] = {}
        for layer in (self.keys.recipe, fix, varied):
            if "model" in layer:
                # Options belong to their model: another one must not inherit them.
                factors.pop("model_options", None)
            factors.update(layer)
        split = {key: factors.pop(key) for key in SPLIT_FACTORS if key in factors}
        return read_recipe(factors, where), split

    def _split(self, varied: Mapping[str, Any], where: str) -> str:
        default = self.keys.split
        chosen = {
            "target": default.target,
            "scheme": default.scheme,
            "hold_out": default.hold_out,
            **varied,
        }
        if chosen["target"] is None:
            if len(self.targets) > 1:
                raise InputError(f"study.split.target: choose one of {sorted(self.targets)}.")
            chosen["target"] = next(iter(self.targets))
        for key, known in [("target", self.targets), ("hold_out", self.hold_outs)]:
            if not is_one_of(chosen[key], known):
                named = where if key in varied else "study.split"
                raise InputError(
                    f"{named}: {key} {chosen[key]!r} is not in the study's "
                    f"{key + 's' if key == 'target' else key}.{nearest(str(chosen[key]), known)}"
                )
        name = "{target}-{scheme}-{hold_out}".format(**chosen)
        self.splits[name] = read_section(
            SplitOptions,
            {
                **chosen,
                "hold_out": self.hold_outs[chosen["hold_out"]],
                "folds": self.keys.folds,
                "inner_folds": self.keys.inner_folds,
                "duplicates": self.keys.duplicates,
            },
            where,
        )
        return name
