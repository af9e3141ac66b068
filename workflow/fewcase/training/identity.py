"""What fixes the result of a training besides its code: resume state of another is not taken."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewcase.data.files import read_json
from fewcase.study.recipe import Recipe, resolved
from fewcase.study.settings import RESULT_KEYS, TrainingOptions
from fewcase.training.run_data import RunData


def identity_of(
    recipe: Recipe,
    options: TrainingOptions,
    data: RunData,
    images: Sequence[Path],
    key: tuple[int, ...],
    window_minutes: float | None,
    synthetic: str | None = None,
) -> dict[str, Any]:
    """Return all that fixes a training, as JSON values.

    Parameters
    ----------
    recipe, options, data
        Of the run.
    images
        Channel files, whose sidecars hold digests of their content.
    key
        Seed and fold, and the inner part left out where it is not the first.
    window_minutes
        What the width of an image spans.
    synthetic
        Digest of the synthetic images, if there are any.
    """
    return {
        "recipe": resolved(recipe),
        "run": list(key),
        "examples": data.digest(),
        "images": [read_json(path.with_suffix(".hash"))["content"] for path in images],
        "weights": _digest_of(recipe.weights),
        "window_minutes": window_minutes,
        "synthetic": synthetic,
        "options": {name: getattr(options, name) for name in RESULT_KEYS},
    }


def _digest_of(weights: str) -> str | None:
    """Return the hash of a local file of weights; None for weights of another kind."""
    if not Path(weights).is_file():
        return None
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
