"""Names of the files that an arm needs: its image channels and its training samples."""

from __future__ import annotations

from typing import Any

from fewcase.study.recipe import Recipe, text_of
from fewcase.study.settings import ImageOptions


def channels_of(recipe: Recipe) -> tuple[str, str, str]:
    """Return the three channel names that the arm's images are stacked from."""
    return (
        f"fhr-{text_of(recipe.fhr_cutoff)}",
        f"uc-{text_of(recipe.uc_scale)}",
        f"baseline-{recipe.baseline}",
    )


def images_of(recipe: Recipe, unit: str) -> tuple[str, ...]:
    """Return the names of the files that the arm's images are read from.

    Parameters
    ----------
    recipe
        Of the arm.
    unit
        ``window``: one file per channel, drawn from signals. Otherwise one file of whole images.
    """
    if unit == "window":
        return channels_of(recipe)
    return ("plain",) if recipe.crop is None else (f"crop-{recipe.crop}",)


def preparation_of(variant: str, images: ImageOptions) -> dict[str, Any]:
    """Return how images of a variant are prepared, keys of `PrepareOptions`.

    Parameters
    ----------
    variant
        As `images_of` names it.
    images
        What the study says of all of them.
    """
    shared = {key: getattr(images, key) for key in ("grey", "width_factor", "fit", "fill")}
    crop = None if variant == "plain" else int(variant.removeprefix("crop-"))
    return {**shared, "crop": crop, "size": images.size if crop is None else crop}


def sampling_of(recipe: Recipe) -> str:
    """Return the name of the arm's under-sampled training sets."""
    ratio = "all" if recipe.neg_per_pos is None else text_of(recipe.neg_per_pos)
    words = [f"ratio-{ratio}"]
    if recipe.distribution != "natural":
        words.append(recipe.distribution)
    if recipe.training_examples is not None:
        words.append(f"examples-{recipe.training_examples}")
    return "-".join([*words, f"bags-{recipe.bags}"])
