"""What the plan of a study of images says to reporting checklists, generators included."""

from __future__ import annotations

import dataclasses

from fewcase.reporting.run_files import Answer, RunFiles, known
from fewcase.reporting.text import count, factor_value, plain
from fewcase.study.contents import Study
from fewcase.study.gans import GanRecipe
from fewcase.study.image_sources import Grid
from fewcase.study.preparation import PrepareOptions
from fewcase.study.recipe import Recipe

ORIENTATIONS = {
    "flips": "images are mirrored at random",
    "dihedral": "images are mirrored and turned by quarters at random",
}
CONDITIONING = {
    "d2dce": "data-to-data cross-entropy",
    "projection": "projection",
    "classifier": "auxiliary classifier",
}


def preprocessing(files: RunFiles) -> Answer:
    """From files to what a network sees."""
    study, nouns = files.plan, files.nouns
    options = _prepared(study)
    steps = []
    if options.crop is not None:
        steps.append(f"cropped to {options.crop} × {options.crop} pixels about the centre")
    steps.append("padded to a square" if options.fit == "pad" else "stretched to a square")
    if options.grey:
        steps.append("turned to grey")
    steps.append(f"resized to {options.size} × {options.size} pixels (Lanczos)")
    text = f"{_cut(files)} {nouns.examples.capitalize()} are {', '.join(steps)}"
    recipe = study.default_recipe
    if recipe.through_size is not None:
        text += f", brought to {recipe.through_size} pixels and back, as synthetic ones have been"
    if recipe.input_size is not None:
        text += f", and seen by the network at {recipe.input_size} × {recipe.input_size} pixels"
    return Answer(f"{text}. The same for all {nouns.records}.".strip(), (files.study,))


def _prepared(study: Study) -> PrepareOptions:
    """Return how images are prepared: the keys of `images` that say so."""
    names = [field.name for field in dataclasses.fields(PrepareOptions)]
    told = {name: getattr(study.images, name) for name in names if hasattr(study.images, name)}
    return PrepareOptions(**told)


def cut(files: RunFiles) -> str:
    """Return in a sentence which part of a record is used."""
    return _cut(files) or "Each image is used as a whole, as one example."


def _cut(files: RunFiles) -> str:
    """Return how tiles are laid, in a sentence; nothing where images are used as a whole."""
    grid = files.cohort.options
    if not isinstance(grid, Grid):
        return ""
    text = f"Each image is cut into tiles of {grid.size} × {grid.size} pixels"
    if grid.overlap:
        text += f" that overlap by {grid.overlap}"
    at = [
        f"{key.replace('_', ' ')} {factor_value(getattr(grid, key))}"
        for key in ("level", "microns_per_pixel", "magnification")
        if getattr(grid, key, None) is not None
    ]
    if at:
        text += f", at {', '.join(at)}"
    if grid.min_tissue:
        text += f"; tiles with less than {100 * grid.min_tissue:g} % of tissue are left out"
    if getattr(grid, "annotations", None) is not None:
        text += "; a tile has the class that annotations give to at least "
        text += f"{100 * grid.min_coverage:g} % of it, and none without"
    if grid.max_tiles_per_record is not None:
        text += f"; at most {count(grid.max_tiles_per_record)} of an image, spread evenly over it"
    return f"{text}."


def predictors(files: RunFiles) -> Answer:
    """What models see."""
    kind = "grey" if _prepared(files.plan).grey else "grey or colour, as acquired"
    text = f"The pixels of {files.nouns.examples} ({kind}). Metadata are no input of the models."
    return Answer(text, known(files.study, files.arms))


def missing(files: RunFiles) -> Answer:
    """What is done about missing data."""
    nouns = files.nouns
    text = (
        f"{nouns.records.capitalize()} that cannot be read, and {nouns.examples} whose class is "
        "unknown, are left out, and none is imputed."
    )
    lost = [box for box in files.boxes if box.reason == "no label"]
    if lost:
        numbers = (box.records if box.examples is None else box.examples for box in lost)
        told = "; ".join(f"no label {count(number)}" for number in numbers)
        text += f" Left out: {told}."
    return Answer(text, known(files.study, files.account if lost else None))


def poor_input(files: RunFiles) -> Answer:
    """What gets no score."""
    grid = files.cohort.options
    text = "An image that cannot be read"
    if isinstance(grid, Grid) and grid.min_tissue:
        text += f", or without a tile of at least {100 * grid.min_tissue:g} % of tissue,"
    return Answer(f"{text} gets no score.", (files.study,))


def augmentation(recipe: Recipe) -> str:
    """Return what is done to training images beside `augment`; nothing where nothing is."""
    text = ""
    if recipe.orient in ORIENTATIONS:
        text += f"; {ORIENTATIONS[recipe.orient]}"
    if recipe.colour_jitter:
        low, high = 1 - recipe.colour_jitter, 1 + recipe.colour_jitter
        text += f"; brightness, contrast and saturation times {low:g} to {high:g}"
    return text


# Synthetic images --------------------------------------------------------------------------------


def generators(files: RunFiles) -> Answer | None:
    """Which generators synthetic training images come from, and how these are used."""
    study = files.plan
    named = list(dict.fromkeys([*study.base_gans, *(gan for gan, _ in study.gan_runs)]))
    if not named:
        return None
    arms = [recipe for recipe in study.arms.values() if recipe.gan is not None]
    used = list(dict.fromkeys(map(_amount, arms)))
    text = " ".join(_describe(name, study.gans[name], study) for name in named)
    text += f" Training sets with synthetic images: {'; '.join(used)}."
    if study.default_recipe.gan is None:
        text += " The default arm is trained on real images alone."
    text += " No synthetic image is validated or tested on."
    return Answer(text, known(files.study, files.arms))


def _describe(name: str, gan: GanRecipe, study: Study) -> str:
    loss = CONDITIONING.get(gan.conditioning)
    text = f"Generator {plain(name)}: StyleGAN2 at {gan.size} × {gan.size} pixels, "
    text += f"conditioned on classes ({loss})" if loss else "without classes"
    if gan.target is not None:
        cohort = study.target_cohorts[gan.target]
        text += f", trained on all of cohort {cohort} with its target {gan.target}"
    else:
        text += ", trained for each fold on its training part alone"
    if gan.base is not None:
        text += f", starting from generator {plain(gan.base)}"
        frozen = [
            f"{number} of the {network}"
            for network, number in (
                ("discriminator", gan.freeze.d),
                ("generator", gan.freeze.g),
            )
            if number
        ]
        if frozen:
            text += f" with blocks frozen ({', '.join(frozen)})"
    adaptive = "no" if gan.augment == "none" else f"adaptive ({gan.augment})"
    text += f"; {adaptive} augmentation, at most {gan.kimg:g} thousand images shown"
    if gan.patience is not None:
        text += f", stopped after {gan.patience} snapshots without better quality"
    return f"{text}."


def _amount(recipe: Recipe) -> str:
    kind = "synthetic alone" if recipe.training_set == "synthetic" else "real and synthetic"
    if recipe.synthetic_per_class is not None:
        amount = f"{count(recipe.synthetic_per_class)} of each class"
    elif recipe.synthetic_ratio is not None:
        amount = f"{recipe.synthetic_ratio:g} for each real one"
    else:
        amount = "each class filled up to the largest"
    if recipe.synthetic_selection is not None:
        amount += f", of which {100 * recipe.synthetic_selection:g} % are kept"
    return f"{kind} ({plain(recipe.gan)}: {amount})"
