"""From a study file to its plan: cohorts, splits, arms, runs and experiments, all known at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fewcase.study.checks import (
    check_arm,
    check_counts,
    check_data,
    check_edges,
    check_explained,
    check_extractor,
    check_groups,
    check_reserved,
    check_word,
    target_columns,
)
from fewcase.study.contents import Cohort, Study
from fewcase.study.errors import InputError
from fewcase.study.fields import is_one_of, nearest, read_section
from fewcase.study.gans import read_gans
from fewcase.study.keys import StudyKeys
from fewcase.study.planner import Planner
from fewcase.study.presets import apply_preset
from fewcase.study.sources import SOURCES
from fewcase.study.targets import Target, read_target
from fewcase.study.words import METADATA_COLUMNS, SHORTCUTS, shortcuts_of

RESERVED_TARGETS = ("records", "files", "window", "image", "tile")


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
        check_word(word, path)
    check_counts(keys)
    check_edges(keys)
    cohorts = {name: _read_cohort(name, values) for name, values in keys.cohorts.items()}
    check_data(keys, cohorts)
    target_cohorts, targets = _read_targets(keys, cohorts)
    check_groups(keys, targets.values())
    gans = read_gans(keys.gan, keys.gans, targets)
    planner = Planner(keys, targets, target_cohorts)
    default = planner.arm({}, {}, "study.recipe")
    experiments = {name: planner.experiment(name, v) for name, v in keys.experiments.items()}
    if not experiments:
        raise InputError("study.experiments: no experiment. Name at least one, with its `vary`.")
    study = Study(
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
        shortcuts=_shortcuts(keys, cohorts),
        metadata=_metadata(keys, targets.values()),
        subgroups=keys.subgroups,
        paper=keys.paper,
        signal=keys.signal,
        images=keys.images,
        training=keys.training,
        gans=gans,
        gan_quality=keys.gan_quality,
        explain=keys.explain,
        default_arm=default,
        arms=planner.arms,
        experiments=experiments,
        effective=effective,
    )
    for arm, split in study.runs:
        check_arm(study, arm, split)
    check_extractor(study)
    check_explained(study)
    return study


def _shortcuts(keys: StudyKeys, cohorts: Mapping[str, Cohort]) -> tuple[str, ...]:
    """Return the shortcut baselines of the study, of which those of some cohorts may be fewer."""
    known = {name for cohort in cohorts.values() for name in shortcuts_of(cohort.unit)}
    if keys.shortcuts is None:
        return tuple(name for name in SHORTCUTS if name in known)
    for i, name in enumerate(keys.shortcuts):
        if name not in known:
            raise InputError(
                f"study.shortcuts[{i}]: {name!r} looks at signals, and the study has none; drop it."
            )
    return keys.shortcuts


def _metadata(keys: StudyKeys, targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the columns of the shortcut `metadata`, of which none may hold a label."""
    if keys.metadata is not None:
        return keys.metadata
    labels = target_columns(targets)
    return tuple(name for name in METADATA_COLUMNS if name not in labels)


def _read_cohort(name: str, values: Mapping[str, Any]) -> Cohort:
    where = f"study.cohorts.{name}"
    check_word(name, where)
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
        check_word(name, where)
        check_reserved(name, RESERVED_TARGETS, where)
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
