"""Which models timm knows, read from its sources: importing timm would cost every start seconds."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.recipe import Recipe

_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


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
        # A tag such as `.augreg_in1k` names pretrained weights of the same model.
        model = recipe.model.split(".")[0]
        if known and not recipe.is_classical and model not in known:
            raise InputError(
                f"study: arm {name!r} has model {recipe.model!r}, which timm does not know."
                f"{nearest(model, known)}"
            )
