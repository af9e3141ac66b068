"""Which models there are: our own, and timm's.

Timm's are read from its sources: importing it would cost every start seconds.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

if TYPE_CHECKING:
    from fewcase.study.recipe import Recipe

FIBROSIS_UNET = "fibrosis_unet"
"""The liver study's network: a class and masks."""
ENCODER_UNET = "unet_"
"""Before the name of a network of timm: the U-Net of which that is the encoder; class and masks."""

_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


def encoder_of(model: str) -> str | None:
    """Return the model of timm that is the encoder of a U-Net; None for other models."""
    return model.removeprefix(ENCODER_UNET) if model.startswith(ENCODER_UNET) else None


def gives_masks(model: str) -> bool:
    """Whether a model can be trained on masks as well."""
    return model == FIBROSIS_UNET or encoder_of(model) is not None


@functools.cache
def known_models() -> frozenset[str]:
    """Return the names of timm's models; empty where timm is not installed beside Snakemake."""
    found = importlib.util.find_spec("timm")
    if found is None or not found.submodule_search_locations:
        return frozenset()
    names: set[str] = set()
    for folder in found.submodule_search_locations:
        for path in sorted(Path(folder, "models").glob("*.py")):
            names.update(_REGISTERED.findall(path.read_text(encoding="utf-8")))
    return frozenset(names)


def check_models(arms: Mapping[str, Recipe]) -> None:
    """Refuse an arm whose model neither timm nor fewcase has.

    Raises
    ------
    InputError
        Naming the model and the nearest known one. Where timm cannot be found (a conda environment
        for Snakemake alone), nothing is checked here and training says it.
    """
    known = known_models()
    for name, recipe in arms.items():
        encoder = encoder_of(recipe.model)
        # A tag such as `.augreg_in1k` names pretrained weights of the same model.
        model = (encoder or recipe.model).split(".")[0]
        if not known or recipe.is_classical or recipe.model == FIBROSIS_UNET:
            continue
        if model not in known:
            which = "which" if encoder is None else "whose encoder"
            raise InputError(
                f"study: arm {name!r} has model {recipe.model!r}, {which} timm does not know."
                f"{nearest(model, known | {FIBROSIS_UNET})}"
            )
