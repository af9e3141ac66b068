"""Presets: overrides inside a study file, of which one is in effect."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import is_one_of, nearest


def apply_preset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the chosen preset over the study file: mappings are merged, all else is replaced."""
    presets = config.get("presets") or {}
    chosen = config.get("preset", "smoke")
    if not isinstance(presets, Mapping):
        raise InputError(f"study.presets: expected a mapping of presets, found {presets!r}.")
    if not is_one_of(chosen, presets):
        remedy = nearest(str(chosen), presets)
        if not presets:
            remedy = " Name it, though it may change nothing: presets: {smoke: {}}."
        raise InputError(f"study.preset: no preset {chosen!r}.{remedy}")
    where = f"study.presets.{chosen}"
    over = presets[chosen] or {}
    for key in ("preset", "presets"):
        if isinstance(over, Mapping) and key in over:
            raise InputError(f"{where}.{key}: a preset chooses no other; drop this key.")
    base = {key: value for key, value in config.items() if key != "presets"}
    return _merged(base, over, where)


def _merged(base: Mapping[str, Any], over: Any, where: str) -> dict[str, Any]:
    if not isinstance(over, Mapping):
        raise InputError(f"{where}: expected a mapping of keys, found {over!r}.")
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        # Options belong to the model or source that they are of: where one is named, the same one
        # as well, the mapping is replaced.
        replaces = key == "model" or (both and "source" in value)
        if both and not replaces:
            result[key] = _merged(result[key], value, f"{where}.{key}")
        else:
            result[key] = copy.deepcopy(value)
    return result
