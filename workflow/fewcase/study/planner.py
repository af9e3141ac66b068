"""Arms and splits that the experiments of a study name, each collected once."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from fewcase.study.checks import check_reserved, check_word
from fewcase.study.contents import SPLIT_FACTORS, ArmInSplit, Experiment
from fewcase.study.errors import InputError
from fewcase.study.fields import is_one_of, nearest, read_section
from fewcase.study.keys import ExperimentKeys, StudyKeys
from fewcase.study.recipe import FACTORS, Recipe, name_of, read_recipe
from fewcase.study.splits import SCHEMES, HeldOut, SplitOptions
from fewcase.study.targets import class_names
from fewcase.study.words import TOP, measures_of

RESERVED_EXPERIMENTS = (
    *("labels", "performance", "shortcuts", "reproduction", "tripod_ai", "claim"),
    *("learning", "errors", "explanations", "maps", "folds", "segmentation", "cases"),
)
"""Names of files that every study has beside those of its targets and experiments."""


class Planner:
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
        check_word(name, where)
        if name == "none":
            raise InputError(f"{where}: none holds out nothing; choose another name.")
        if not parts:
            raise InputError(f"{where}: the list is empty; name a site, as in [{{site: north}}].")
        for i, part in enumerate(parts):
            read_section(HeldOut, part, f"{where}[{i}]")

    def experiment(self, name: str, values: Mapping[str, Any]) -> Experiment:
        where = f"study.experiments.{name}"
        check_word(name, where)
        check_reserved(name, RESERVED_EXPERIMENTS, where)
        spec = read_section(ExperimentKeys, values, where)
        spec.check(where)
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
        if spec.layout == "matrix" or not vary:
            # Rows are told apart by all factors that any of them has.
            named = dict.fromkeys([*vary, *(key for extra in spec.also for key in extra)])
            arms = [
                dataclasses.replace(arm, factors=self._factors_of(arm, named, arm.factors))
                for arm in arms
            ]
        unique = {(a.arm, a.split): a for a in arms}
        if len(unique) < len(arms):
            raise InputError(f"{where}: two of its {len(arms)} arms are the same; drop one value.")
        self._check_measures(spec, unique, where)
        return Experiment(
            name,
            spec.title or name,
            spec.layout,
            vary,
            tuple(unique.values()),
            self._references(spec, tuple(unique.values()), where),
            spec.measure,
            spec.measures,
            spec.columns,
            spec.names,
        )

    def _check_measures(
        self, spec: ExperimentKeys, keys: Iterable[tuple[str, str]], where: str
    ) -> None:
        """Check that what an experiment is about means something for each of its targets."""
        named = {f"measures[{i}]": name for i, name in enumerate(spec.measures)}
        for target in dict.fromkeys(self.splits[split].target for _, split in keys):
            names = class_names(self.targets[target])
            for key, measure in {"measure": spec.measure, **named}.items():
                if measure not in measures_of(len(names)):
                    raise InputError(
                        f"{where}.{key}: {measure!r}, but target {target!r} has {len(names)} "
                        f"classes, so that {'all' if len(names) == TOP else 'both'} are among the "
                        "three with the highest scores; take accuracy or balanced_accuracy."
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
        # Where the generator is what is varied, the arm of real images is the default one.
        fix = {"gan": self.keys.recipe.get("gan"), **spec.fix}
        default = None if given else name_of(self._recipe(fix, {}, where)[0])

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
            elif factor == "training_set":
                factors.setdefault(factor, recipe.trained_on)
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
                "given": default.given,
                "validation_share": default.validation_share,
                "test_share": default.test_share,
                "draw_seed": default.draw_seed,
            },
            where,
        )
        return name
