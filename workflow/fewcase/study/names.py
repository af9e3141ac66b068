"""Names of the files that an arm needs: its image channels and its training samples."""

from __future__ import annotations

from fewcase.study.recipe import Recipe


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def channels_of(recipe: Recipe) -> tuple[str, str, str]:
    """Return the three channel names that the arm's images are stacked from."""
    return (
        f"fhr-{_number(recipe.fhr_cutoff)}",
        f"uc-{_number(recipe.uc_scale)}",
        f"baseline-{recipe.baseline}",
    )


def sampling_of(recipe: Recipe) -> str:
    """Return the name of the arm's under-sampled training sets."""
    ratio = "all" if recipe.neg_per_pos is None else f"{recipe.neg_per_pos:g}"
    return f"ratio-{ratio}-bags-{recipe.bags}"
