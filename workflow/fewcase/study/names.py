"""Names of the files that an arm needs: its image channels and its training samples."""

from __future__ import annotations

from fewcase.study.recipe import Recipe, text_of


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
    return channels_of(recipe) if unit == "window" else ("plain",)


def sampling_of(recipe: Recipe) -> str:
    """Return the name of the arm's under-sampled training sets."""
    ratio = "all" if recipe.neg_per_pos is None else text_of(recipe.neg_per_pos)
    return f"ratio-{ratio}-bags-{recipe.bags}"
