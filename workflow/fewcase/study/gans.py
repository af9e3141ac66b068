"""Generators of a study: what each learns from, where it starts, and how it is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest, read_section, setting

CONDITIONINGS = ("d2dce", "projection", "auxiliary", "none")
PIPELINES = ("paper", "bg", "bgc", "none")
SIZES = (8, 16, 32, 64, 128, 256, 512)

ARCHITECTURE_KEYS = (
    *("size", "channel_base", "channel_max", "latent", "mapping_layers", "conditioning"),
    *("embedding", "minibatch_std_group"),
)
"""Keys in which a generator and its base must agree."""


@dataclasses.dataclass(frozen=True)
class Freeze:
    """How many blocks keep the base's weights, each network counted from its named end."""

    d: int = setting(
        0, minimum=0, help="Blocks of the discriminator, the first being that of the full size."
    )
    g: int = setting(
        0, minimum=0, help="Blocks of the generator, the first being that of 4 × 4 pixels."
    )


@dataclasses.dataclass(frozen=True)
class GanRecipe:
    """A generator: class-conditional StyleGAN2 (Karras et al. 2020) with adaptive augmentation."""

    target: str | None = setting(
        None,
        help="Of a base generator, the target whose labelled examples it learns from, all of them; "
        "null: the training rows of each fold that asks for it.",
    )
    base: str | None = setting(None, help="Generator of the study that training starts from.")
    freeze: Freeze = setting(Freeze(), help="Blocks that keep the base's weights.")
    size: int = setting(256, choices=SIZES, help="Height and width of its images in pixels.")
    channel_base: int | None = setting(
        None,
        minimum=8,
        help="Feature maps at a resolution times the resolution; null: 16384 below 512 px, else "
        "32768.",
    )
    channel_max: int = setting(512, minimum=1, help="Most feature maps at any resolution.")
    latent: int = setting(512, minimum=2, help="Length of the latent vectors z and w.")
    mapping_layers: int = setting(8, minimum=1, help="Layers of the mapping network.")
    conditioning: str = setting(
        "d2dce",
        choices=CONDITIONINGS,
        help="How classes enter the loss: d2dce (Kang et al. 2021), projection (Miyato and Koyama "
        "2018), auxiliary (a classifier, Odena et al. 2017), or none.",
    )
    embedding: int = setting(512, minimum=2, help="Length of the embeddings of D2D-CE.")
    conditioning_weight: float = setting(
        0.5, minimum=0, help="Weight of the D2D-CE or classifier loss."
    )
    temperature: float = setting(0.5, minimum=0.01, help="Temperature of D2D-CE.")
    margin: float = setting(0.95, minimum=0, maximum=1, help="Positive margin m_p of D2D-CE.")
    variant: str = setting(
        "paper",
        choices=("paper", "public"),
        help="public subtracts the row's maximum from negative exponents alone.",
    )
    minibatch_std_group: int = setting(
        4, minimum=1, help="Images over which the minibatch standard deviation is taken."
    )
    r1_gamma: float | None = setting(
        None, minimum=0, help="R1 penalty; null: 0.0002 · size² / batch_size."
    )
    r1_interval: int = setting(16, minimum=1, help="Discriminator steps between R1 steps.")
    path_length_weight: float = setting(2.0, minimum=0, help="Weight of path length regularity.")
    path_length_interval: int = setting(4, minimum=1, help="Generator steps between its steps.")
    style_mixing: float = setting(
        0.9, minimum=0, maximum=1, help="Share of images whose styles are of two latents."
    )
    augment: str = setting(
        "paper",
        choices=PIPELINES,
        help="Adaptive augmentation: paper (geometry, brightness, contrast), bg (geometry), bgc "
        "(geometry and colour), none.",
    )
    ada_target: float = setting(
        0.6, minimum=0, maximum=1, help="Mean sign of D on real images that its probability keeps."
    )
    ada_kimg: float | None = setting(
        None,
        minimum=0.001,
        help="Thousand images in which the probability can go from 0 to 1; null: 500, 100 with a "
        "base.",
    )
    p_max: float | None = setting(
        None, minimum=0, maximum=1, help="Highest probability of augmentation; null: no limit."
    )
    batch_size: int = setting(32, minimum=2, help="Images per step.")
    learning_rate: float = setting(0.0025, minimum=0, help="Of Adam, for both networks.")
    discriminator_steps: int = setting(1, minimum=1, help="Discriminator steps per generator step.")
    class_balance: bool = setting(
        True, help="Draw classes equally often, for real and synthetic batches alike."
    )
    ema_kimg: float | None = setting(
        None,
        minimum=0,
        help="Half-life of the averaged weights in thousand images; null: batch_size · 10 / 32.",
    )
    ema_rampup: float | None = setting(
        0.05,
        minimum=0,
        help="The half-life is at most this share of the images seen; null, and with a base: no "
        "ramp-up.",
    )
    kimg: float = setting(5000.0, minimum=0.001, help="Thousand real images shown at most.")
    snapshot_kimg: float = setting(
        200.0,
        minimum=0.001,
        help="Thousand images between two snapshots: sample grid, quality, stopping rule.",
    )
    patience: int | None = setting(
        5,
        minimum=1,
        help="Snapshots without any measure of quality getting better on the training images "
        "before training stops; null trains to the end.",
    )
    truncation: float = setting(
        1.0, minimum=0, maximum=1, help="Truncation psi with which synthetic images are drawn."
    )
    seed: int = setting(0, minimum=0, help="Its own seed, whatever the seeds of classifiers.")

    @property
    def is_base(self) -> bool:
        """Whether it learns from a whole cohort and belongs to no fold."""
        return self.target is not None


@dataclasses.dataclass(frozen=True)
class GanQualityOptions:
    """How the quality of synthetic images is measured."""

    extractor: str = setting(
        "inception",
        help="Features: inception (the standard weights, from `weights`), a timm model, or "
        "classifier (the study's default arm, trained on the same fold; as it knows the training "
        "images, it may not see that synthetic ones are copies of them).",
    )
    weights: str = setting(
        "weights/inception-2015-12-05.safetensors",
        help="File of inception, which workflow/convert_inception.py makes; of a timm model: "
        "imagenet, none (drawn at random), or a .safetensors file.",
    )
    resizer: str = setting(
        "clean",
        choices=("clean", "legacy"),
        help="How images are brought to the size of inception: antialiased, or as the TensorFlow "
        "graph of 2015 did.",
    )
    images: int = setting(
        10000,
        minimum=16,
        help="Synthetic images measured at most; as many as there are real ones otherwise.",
    )
    snapshot_images: int = setting(
        2000, minimum=8, help="The same at each snapshot of the training."
    )


def read_gans(
    shared: Mapping[str, Any], gans: Mapping[str, Mapping[str, Any]], targets: Mapping[str, Any]
) -> dict[str, GanRecipe]:
    """Read the generators of a study and check that each can start from its base.

    Parameters
    ----------
    shared
        Keys that all of them have unless they say otherwise (`gan` of the study).
    gans
        By name.
    targets
        The study's targets.

    Raises
    ------
    InputError
        For an unknown key, target or base, a base that goes round in a circle, belongs to a fold
        or is built in another way, and blocks frozen without a base or beyond those there are.
    """
    recipes = {}
    for name, values in gans.items():
        where = f"study.gans.{name}"
        recipe = read_section(GanRecipe, {**shared, **values}, where)
        if recipe.target is not None and recipe.target not in targets:
            raise InputError(
                f"{where}.target: no target {recipe.target!r}.{nearest(recipe.target, targets)}"
            )
        recipes[name] = recipe
    for name, recipe in recipes.items():
        _check_base(name, recipe, recipes)
    return recipes


def _check_base(name: str, recipe: GanRecipe, recipes: Mapping[str, GanRecipe]) -> None:
    where = f"study.gans.{name}"
    if recipe.base is None:
        if recipe.freeze != Freeze():
            raise InputError(
                f"{where}.freeze: nothing to keep, as it starts from no base; name one, or drop "
                "this key."
            )
        return
    if recipe.base not in recipes:
        raise InputError(
            f"{where}.base: no generator {recipe.base!r}.{nearest(recipe.base, recipes)}"
        )
    seen = {name}
    ancestor: str = recipe.base
    while ancestor in recipes:
        if ancestor in seen:
            raise InputError(f"{where}.base: {ancestor!r} starts from itself; break the circle.")
        seen.add(ancestor)
        ancestor = recipes[ancestor].base or ""

    base = recipes[recipe.base]
    if not base.is_base:
        raise InputError(
            f"{where}.base: {recipe.base!r} learns from the rows of folds, of which another fold "
            "may validate on some. Start from a generator with a `target` of its own."
        )
    for key in ARCHITECTURE_KEYS:
        ours, its = getattr(recipe, key), getattr(base, key)
        if ours != its:
            raise InputError(
                f"{where}.{key}: {ours!r}, but its base {recipe.base!r} has {its!r}; weights go "
                "over between equal networks alone."
            )
    # The generator has a block for 4 × 4 pixels, where the discriminator has its heads.
    of_generator = recipe.size.bit_length() - 2
    counts = [("d", recipe.freeze.d, of_generator - 1), ("g", recipe.freeze.g, of_generator)]
    for network, count, blocks in counts:
        if count > blocks:
            raise InputError(
                f"{where}.freeze.{network}: {count} blocks of {blocks} that there are at "
                f"{recipe.size} pixels."
            )
