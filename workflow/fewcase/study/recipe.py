"""A recipe: what fixes a training apart from split, seed and fold; and the name of an arm."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest, read_section, setting
from fewcase.study.models import gives_masks

AUGMENTATIONS = ("none", "cutout", "slit_cutout", "cutmix", "slit_cutmix")
BASELINES = ("block10", "moving10", "figo", "nichd")
WEIGHTS = ("imagenet", "none")
ORIENTATIONS = ("none", "flips", "dihedral")
NORMALISATIONS = ("weights", "half")
DISTRIBUTIONS = ("natural", "balanced")
REDUCTIONS = ("mean", "sum")
CLASS_LOSSES = ("ce", "bce")
VOTES = ("mean", "majority")
TRAINING_SETS = ("real", "synthetic", "both")
SYNTHETIC_FACTORS = (
    *("gan", "training_set", "synthetic_per_class", "synthetic_ratio", "synthetic_selection"),
)
"""Factors that say nothing about an arm that trains on real images alone."""
LONGEST_NAME = 200
"""File systems allow names of 255 bytes, and files of an arm add to its name."""
SIGNAL_FACTORS = ("fhr_cutoff", "uc_scale", "baseline", "slit_minutes")
"""Factors that say how signals are drawn and cut, and nothing about other images."""
IMAGE_FACTORS = ("crop",)
"""Factors that say how images are cut out, and nothing about drawn signals."""
CLASSICAL_MODELS = ("logistic",)
CLASSICAL_FACTORS = (
    *("model", "model_options", "neg_per_pos", "distribution", "training_examples", "bags"),
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The factors of an arm, in the order in which its name gives them.

    Defaults are the library's and fixed: an arm is named by where it differs from them, so a name
    means the same in every study.
    """

    model: str = setting(
        "vit_small_patch16_224", help="A timm model, or 'logistic' for the classical baseline."
    )
    model_options: dict[str, Any] = setting(
        {}, help="Keyword arguments of the model, such as depth."
    )
    weights: str = setting("imagenet", help="imagenet, none, or the path of a .safetensors file.")
    augment: str = setting("none", choices=AUGMENTATIONS, help="Augmentation of training batches.")
    orient: str = setting(
        "none",
        choices=ORIENTATIONS,
        help="Random mirroring of training images; dihedral: quarter turns as well.",
    )
    colour_jitter: float = setting(
        0.0,
        minimum=0,
        maximum=0.9,
        help="Brightness, contrast and saturation of training images times a factor that is drawn "
        "from 1 less this to 1 plus this.",
    )
    shift: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        help="Random shift of training images, and of their masks, by up to this share of a side.",
    )
    rotate: float = setting(
        0.0, minimum=0, maximum=180, help="Random rotation of both, in degrees, either way."
    )
    zoom: float = setting(
        0.0, minimum=0, maximum=0.9, help="Random scaling of both, by 1 less this to 1 plus this."
    )
    patch: int | None = setting(
        None,
        minimum=8,
        maximum=1024,
        help="Instead of whole images: side in pixels of patches from inside their masks, resized "
        "to input_size; an image is given the vote of its patches.",
    )
    patch_stride: int = setting(32, minimum=1, help="Pixels from one patch to the next.")
    patch_inside: float = setting(
        1.0, minimum=0.01, maximum=1, help="Least share of a patch that is inside the mask."
    )
    patch_vote: str = setting(
        "mean", choices=VOTES, help="Mean of the patches' probabilities, or majority of classes."
    )
    fhr_cutoff: float | None = setting(
        None,
        minimum=0,
        help="Low-pass cut-off of FHR in signal.lowpass_unit; null leaves it unfiltered.",
    )
    uc_scale: float | None = setting(
        None,
        minimum=0,
        maximum=120,
        help="UC normalised per record, times this; null draws UC as recorded.",
    )
    baseline: str = setting(
        "block10", choices=BASELINES, help="How the FHR baseline, the third channel, is found."
    )
    crop: int | None = setting(
        None,
        minimum=16,
        maximum=2048,
        help="Side in pixels of a square about the centre of each image that is cut out and kept "
        "at its own resolution, padded where images are smaller; null: whole images, resized to "
        "images.size.",
    )
    normalisation: str = setting(
        "weights",
        choices=NORMALISATIONS,
        help="Mean and standard deviation taken off grey levels: those that the model's weights "
        "were trained with, or half of white for both.",
    )
    input_size: int | None = setting(
        None,
        minimum=16,
        maximum=2048,
        help="Height and width at which the network sees images; null: as stored (images.size).",
    )
    through_size: int | None = setting(
        None,
        minimum=8,
        maximum=2048,
        help="All images are resized to this and back first, as synthetic ones have been: give it "
        "to every arm that is compared with one of synthetic images.",
    )
    gan: str | None = setting(
        None, help="Generator of the study whose images the network is trained on; null for none."
    )
    training_set: str | None = setting(
        None,
        choices=TRAINING_SETS,
        help="real, synthetic or both; null: both where there is a gan, else real.",
    )
    synthetic_per_class: int | None = setting(
        None, minimum=1, help="Synthetic images of each class."
    )
    synthetic_ratio: float | None = setting(
        None,
        minimum=0.001,
        help="Synthetic images for each real one of a class. Where neither this nor "
        "synthetic_per_class is given, each class is filled up to the size of the largest.",
    )
    synthetic_selection: float | None = setting(
        None,
        minimum=0.01,
        maximum=1,
        help="Share of synthetic images that is kept: those that a classifier of real images is "
        "surest of, copies and oddities left out; null takes them as they are drawn.",
    )
    augment_probability: float | None = setting(
        None,
        minimum=0,
        maximum=1,
        help="Share of batches augmented; null: 1 for CutOut, .5 for CutMix.",
    )
    cutout_side: float = setting(
        0.5, minimum=0, maximum=1, help="Side of the CutOut square as a share of the image side."
    )
    slit_minutes: float | None = setting(
        None, minimum=0, help="Width of the CutOut slit in minutes; null: the area of the square."
    )
    cutmix_alpha: float = setting(
        1.0, minimum=0.01, help="Both parameters of CutMix's beta distribution."
    )
    cutmix_within_site: bool = setting(False, help="Paste only between records of one site.")
    neg_per_pos: float | None = setting(
        6.083, minimum=0.1, help="Negatives kept per positive of a training part; null keeps all."
    )
    distribution: str = setting(
        "natural",
        choices=DISTRIBUTIONS,
        help="Classes of the training set: as often as they come, or each under-sampled to the "
        "same number; balanced asks for neg_per_pos: null.",
    )
    training_examples: int | None = setting(
        None,
        minimum=2,
        help="Examples that a network trains on in all, drawn by chance; null: as many as there "
        "are. Asks for neg_per_pos: null.",
    )
    bags: int = setting(
        1,
        minimum=1,
        maximum=1000,
        help="Under-sampled sets, one network each, whose scores are averaged.",
    )
    oversample: bool = setting(
        False, help="Draw every class equally often, repeating the examples of rarer ones."
    )
    ratio_batches: bool = setting(
        True, help="Every mini-batch has the class ratio of the training set."
    )
    batch_size: int = setting(85, minimum=2, help="Images per optimiser step.")
    drop_last: bool = setting(
        False,
        help="Make all batches of an epoch full and leave out what is over; otherwise they get "
        "smaller alike and nothing is left out.",
    )
    optimizer: str = setting(
        "adamw", choices=("adamw", "adam", "sgd", "adadelta"), help="Optimiser."
    )
    learning_rate: float = setting(1e-4, minimum=0, help="Peak learning rate.")
    weight_decay: float = setting(
        0.05, minimum=0, help="Weight decay; matrices only, never biases and norms."
    )
    momentum: float = setting(0.9, minimum=0, maximum=1, help="Momentum of SGD.")
    rho: float = setting(
        0.95, minimum=0, maximum=1, help="Decay of Adadelta's running averages of squares."
    )
    eps: float = setting(
        1e-7, minimum=0, help="What Adadelta adds to averages of squares before it takes roots."
    )
    schedule: str = setting(
        "cosine", choices=("cosine", "step", "constant"), help="Learning rate over time."
    )
    warmup_epochs: float = setting(1.0, minimum=0, help="Linear warm-up.")
    step_epochs: int = setting(7, minimum=1, help="Epochs between the steps of schedule: step.")
    step_factor: float = setting(
        0.1, minimum=0, maximum=1, help="Factor at each step of schedule: step."
    )
    epochs: int = setting(30, minimum=1, help="Passes over the training set.")
    patience: int | None = setting(
        8,
        minimum=1,
        help="Epochs without a better inner-validation AUC before training stops; "
        "null trains to the end and keeps the last weights.",
    )
    ema: float | None = setting(
        None,
        minimum=0,
        maximum=1,
        help="Decay per step of an exponential moving average of the weights; null for none.",
    )
    label_smoothing: float = setting(0.0, minimum=0, maximum=0.9, help="Label smoothing.")
    class_loss: str = setting(
        "ce",
        choices=CLASS_LOSSES,
        help="Cross-entropy, or binary cross-entropy of each class's probability.",
    )
    mask_weight: float = setting(
        1.0,
        minimum=0,
        help="Weight of the masks' loss beside that of the classes, of networks that give masks "
        "(fibrosis_unet, unet_…); 0 trains on classes alone.",
    )
    mask_reduction: str = setting(
        "mean", choices=REDUCTIONS, help="Loss of a mask: mean over its pixels, or their sum."
    )

    @property
    def is_classical(self) -> bool:
        """Whether the model is fitted to features rather than trained on images."""
        return self.model in CLASSICAL_MODELS

    @property
    def learns_masks(self) -> bool:
        """Whether the network is trained on masks as well."""
        return gives_masks(self.model) and self.mask_weight > 0

    @property
    def needs_masks(self) -> bool:
        """Whether masks are looked at in training."""
        return self.learns_masks or self.patch is not None

    @property
    def trained_on(self) -> str:
        """``real``, ``synthetic`` or ``both``."""
        if self.gan is None:
            return "real"
        return self.training_set or "both"


FACTORS = tuple(field.name for field in dataclasses.fields(Recipe))


def read_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """Make a recipe from factors; `model` may be a name or ``{name: …, option: …}``."""
    values = dict(values)
    if isinstance(values.get("model"), Mapping):
        options = dict(values["model"])
        if "name" not in options:
            raise InputError(
                f"{where}.model: {options!r} has no 'name'. "
                "Write model: {name: vit_small_patch16_224, depth: 6}."
            )
        values["model"] = options.pop("name")
        values["model_options"] = options
    recipe = read_section(Recipe, values, where)
    if recipe.weights not in WEIGHTS and not recipe.weights.endswith(".safetensors"):
        raise InputError(
            f"{where}.weights: {recipe.weights!r} is neither imagenet nor none nor a .safetensors "
            f"file.{nearest(recipe.weights, WEIGHTS)}"
        )
    if recipe.neg_per_pos is not None:
        for key in ("distribution", "training_examples"):
            if getattr(recipe, key) != getattr(Recipe(), key):
                raise InputError(
                    f"{where}: {key} and neg_per_pos, {recipe.neg_per_pos:g}, both say what is "
                    "under-sampled; give neg_per_pos: null."
                )
    recipe = _without_idle_factors(recipe, "gan" in values, where)
    if recipe.is_classical:
        # Factors of images and of optimisation say nothing about a model fitted to features.
        kept = {key: getattr(recipe, key) for key in CLASSICAL_FACTORS}
        return Recipe(**kept)
    return recipe


def _without_idle_factors(recipe: Recipe, gan_given: bool, where: str) -> Recipe:
    """Return the recipe with what does not bear on its training set put back to the defaults."""
    if recipe.gan is None and recipe.training_set in ("synthetic", "both") and not gan_given:
        raise InputError(
            f"{where}.training_set: {recipe.training_set!r}, but no generator is named; give gan."
        )
    if recipe.synthetic_per_class is not None and recipe.synthetic_ratio is not None:
        raise InputError(
            f"{where}: synthetic_per_class and synthetic_ratio both say how many; give one."
        )
    if recipe.gan is None or recipe.training_set == "real":
        kept = {key: v for key, v in resolved(recipe).items() if key not in SYNTHETIC_FACTORS}
        return Recipe(**kept)

    if recipe.training_set == "both":
        return dataclasses.replace(recipe, training_set=None)
    return recipe


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return every factor of the recipe as plain values, for parameters and `options.json`."""
    return dataclasses.asdict(recipe)


def text_of(value: Any) -> str:
    """Return a factor's value as names give it; different values have different texts."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def name_of(recipe: Recipe) -> str:
    """Return the readable name of the arm: the model, then each factor that is not the default.

    ``vit_small_patch16_224+slit_cutmix+fhr_cutoff=5``
    """
    parts = [recipe.model]
    parts += [f"{key}={text_of(value)}" for key, value in sorted(recipe.model_options.items())]
    for field in dataclasses.fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name in ("model", "model_options") or value == field.default:
            continue
        if field.name == "augment":
            parts.append(value)
        elif field.name == "weights":
            # A path is no part of a file name: its last word names it.
            parts.append(f"weights={value.replace(chr(92), '/').rsplit('/', 1)[-1]}")
        else:
            parts.append(f"{field.name}={text_of(value)}")
    name = "+".join(
        "".join(c if c.isalnum() or c in "._=-" else "_" for c in part) for part in parts
    )
    if len(name) <= LONGEST_NAME:
        return name
    # What is cut off is told apart by its digest; arms.csv spells it out.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}+{digest}"
