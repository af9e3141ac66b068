"""What a study file must hold beyond the types of its keys: counts, names, what goes together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fewcase.study.contents import Cohort, Study
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.keys import StudyKeys
from fewcase.study.names import images_of
from fewcase.study.recipe import IMAGE_FACTORS, SIGNAL_FACTORS, Recipe
from fewcase.study.sources import MASKED_SOURCES
from fewcase.study.targets import OUTCOMES, Target, columns_of
from fewcase.study.words import NOUNS, SHORTCUTS

WORD = re.compile(r"[A-Za-z0-9_]+")
IDENTIFIERS = ("record", "patient", "start", "part")
"""Columns that tell who is who, or in which order records were listed."""


def check_word(word: str, path: str) -> None:
    """Refuse a name that cannot name a folder."""
    if not WORD.fullmatch(word):
        raise InputError(
            f"{path}: {word!r} names a folder; use letters, digits and underscores alone."
        )


def check_reserved(name: str, reserved: tuple[str, ...], path: str) -> None:
    """Refuse a name that the results have of their own."""
    if name in reserved:
        raise InputError(f"{path}: the results have {name!r} of their own; choose another name.")


def check_counts(keys: StudyKeys) -> None:
    """Check folds, seeds, and the size of images."""
    if keys.folds < 2 and not keys.split.given:
        raise InputError(
            f"study.folds: {keys.folds} is no cross-validation; give 2 or more (the papers: 10), "
            "or 1 with split: {given: true}."
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


def check_edges(keys: StudyKeys) -> None:
    """Check that lower edges lie below upper ones."""
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


def check_groups(keys: StudyKeys, targets: Iterable[Target]) -> None:
    """Check shortcuts, the columns of metadata, and subgroups."""
    for i, name in enumerate(keys.shortcuts or ()):
        if name not in SHORTCUTS:
            raise InputError(
                f"study.shortcuts[{i}]: no shortcut {name!r}.{nearest(name, SHORTCUTS)}"
            )
    outcomes = {*OUTCOMES, *target_columns(targets)}
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
        check_word(name, f"study.subgroups.{name}")
        if list(group.edges) != sorted(set(group.edges)):
            raise InputError(
                f"study.subgroups.{name}.edges: {list(group.edges)} do not rise; sort them, each "
                "once."
            )


def target_columns(targets: Iterable[Target]) -> set[str]:
    """Return the columns that any target is made from; with a date, the year is one too."""
    columns = {name for target in targets for name in columns_of(target)}
    return columns | {"year"} if "date" in columns else columns


def check_data(keys: StudyKeys, cohorts: Mapping[str, Cohort]) -> None:
    """Check that what is read from files has a folder."""
    for name, cohort in cohorts.items():
        if not (cohort.is_simulated or keys.data or getattr(cohort.options, "folder", None)):
            raise InputError(
                f"study.data: {keys.data!r}, but cohort {name!r} is read from files. Give their "
                "folder in the study file or on the command line: --config data=FOLDER"
            )


def check_arm(study: Study, arm: str, split: str) -> None:
    """Check that an arm suits the records of its split, and its generator the arm."""
    recipe, cohort = study.arms[arm], study.cohorts[study.cohort_of(split)]
    where = f"study: arm {arm!r}"
    if not cohort.is_signal:
        if recipe.is_classical:
            raise InputError(
                f"{where}: {recipe.model} is fitted to features of signals, which the images of "
                f"cohort {cohort.name!r} do not have. Name a network of timm."
            )
        for factor in SIGNAL_FACTORS:
            if getattr(recipe, factor) != getattr(Recipe(), factor):
                raise InputError(
                    f"{where}: {factor} says how signals are drawn, but cohort {cohort.name!r} is "
                    "of images; drop it."
                )
    for factor in IMAGE_FACTORS if cohort.unit != "image" else ():
        if getattr(recipe, factor) != getattr(Recipe(), factor):
            raise InputError(
                f"{where}: {factor} says how images are cut out, but cohort {cohort.name!r} has "
                f"{NOUNS[cohort.unit].examples}; drop it."
            )
    if recipe.needs_masks:
        _check_masks(recipe, where, cohort)
    if recipe.crop is not None and study.images.width_factor != 1:
        raise InputError(
            f"{where}: crop keeps the resolution of images, which images.width_factor, "
            f"{study.images.width_factor:g}, changes; give one of them."
        )
    if recipe.gan is not None:
        _check_generator(study, recipe, where, cohort)


def _check_masks(recipe: Recipe, where: str, cohort: Cohort) -> None:
    asks = f"patch {recipe.patch}" if recipe.patch is not None else f"model {recipe.model}"
    if cohort.source not in MASKED_SOURCES:
        raise InputError(
            f"{where}: {asks} looks at masks, which the images of cohort {cohort.name!r} (source "
            f"{cohort.source}) do not have. Take a source of {list(MASKED_SOURCES)}, another "
            "model, or mask_weight: 0."
        )
    if recipe.patch is not None and recipe.learns_masks:
        raise InputError(
            f"{where}: {recipe.model} learns masks of whole images, not of patches; give "
            "mask_weight: 0, or another model."
        )
    if recipe.through_size is not None:
        raise InputError(
            f"{where}: through_size {recipe.through_size} is for arms that are compared with "
            f"synthetic images, which have no masks that {asks} could look at; drop it."
        )
    if recipe.gan is not None:
        raise InputError(f"{where}: synthetic images have no masks, which {asks} looks at.")
    if recipe.learns_masks and (recipe.augment != "none" or recipe.orient != "none"):
        raise InputError(
            f"{where}: augment and orient leave masks as they are; move both by shift, rotate and "
            "zoom instead."
        )


def _check_generator(study: Study, recipe: Recipe, where: str, cohort: Cohort) -> None:
    if recipe.gan not in study.gans:
        raise InputError(
            f"{where}: no generator {recipe.gan!r} in study.gans."
            f"{nearest(str(recipe.gan), study.gans)}"
        )
    gan = study.gans[recipe.gan]
    if gan.is_base:
        raise InputError(
            f"{where}: {recipe.gan!r} is a base generator, which has no fold and other classes. "
            "Name a generator that starts from it."
        )
    if study.selection_folds > 1:
        raise InputError(
            f"study.selection_folds: {study.selection_folds}, but {where} trains on synthetic "
            "images, whose generator would have seen the further inner parts; give 1."
        )
    stored = recipe.crop or study.images.size
    if gan.size not in (stored, recipe.through_size, recipe.input_size):
        raise InputError(
            f"{where}: its generator draws {gan.size} pixels and real images have "
            f"{stored}: what was resized and what was not could be told apart by that "
            f"alone. Give through_size: {gan.size} to this arm and to those that it is compared "
            "with."
        )
    learned, seen = (images_of(one, cohort.unit) for one in (study.default_recipe, recipe))
    if seen != learned:
        raise InputError(
            f"{where}: its generator learns from images of {learned}, as the default arm has them, "
            f"but the arm sees {seen}; drop the factor that differs."
        )


def check_explained(study: Study) -> None:
    """Check that the experiments whose arms are explained exist."""
    for i, name in enumerate(study.explain.experiments):
        if name not in study.experiments:
            raise InputError(
                f"study.explain.experiments[{i}]: no experiment {name!r}."
                f"{nearest(name, study.experiments)}"
            )


def check_extractor(study: Study) -> None:
    """Check that the classifier by which synthetic images are judged has seen none of them."""
    chosen = study.gan_quality.extractor
    selects = any(study.arms[arm].synthetic_selection is not None for arm, _ in study.runs)
    by_classifier = study.gan_runs and (chosen == "classifier" or selects)
    own = study.default_recipe
    if by_classifier and (own.gan or own.is_classical or own.patch is not None):
        raise InputError(
            "study.gan_quality.extractor: the study's default arm judges synthetic images, so it "
            "must be a network that is trained on whole real ones; change `recipe`, or name "
            "another extractor."
        )
    if by_classifier and study.base_gans and chosen == "classifier":
        raise InputError(
            f"study.gan_quality.extractor: classifier, but the base generator "
            f"{study.base_gans[0]!r} belongs to no fold and so has none; give inception or a timm "
            "model."
        )
