"""Typed sections of a study file: frozen dataclasses filled from YAML, errors naming the key."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, TypeVar

from fewcase.study.errors import InputError

Section = TypeVar("Section")

LONGEST_LIST = 12
"""A hint names no more words than this: timm alone knows a thousand models."""


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    choices: Iterable[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare one key of a section.

    Parameters
    ----------
    default
        The value taken where the study file is silent; without one the key is required. Mutable
        defaults (dict) are copied.
    help
        One sentence for the reference of all keys.
    choices
        The only values allowed; ``None`` is allowed besides where the type says so.
    minimum, maximum
        Inclusive bounds of a number.
    """
    metadata = {
        "help": help,
        "choices": None if choices is None else tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'epochs'?``, or the known words where none is near."""
    known = sorted(str(name) for name in known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    if not known:
        return ""
    rest = f" and {len(known) - LONGEST_LIST} more" if len(known) > LONGEST_LIST else ""
    return f" Known: {', '.join(known[:LONGEST_LIST])}{rest}."


def is_one_of(value: Any, known: Iterable[str]) -> TypeGuard[str]:
    """Return whether a value is one of the known words; a list or a mapping never is."""
    return isinstance(value, str) and value in known


def read_section(section: type[Section], values: Any, where: str) -> Section:
    """Fill the dataclass `section` from the mapping `values` found at key path `where`.

    Raises
    ------
    InputError
        For an unknown key, a missing one, a wrong type, or a value outside its range; the message
        names the key path, the value and the nearest allowed one.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a mapping of keys, found {values!r}.")
    known = {field.name: field for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(
                f"{where}.{key}: unknown key (value {values[key]!r}).{nearest(str(key), known)}"
            )
    read: dict[str, Any] = {}
    kinds = typing.get_type_hints(section)
    for name, field in known.items():
        path = f"{where}.{name}"
        if name not in values:
            if (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            ):
                raise InputError(f"{path}: this key is required. {field.metadata.get('help', '')}")
            continue
        read[name] = _read_value(kinds[name], values[name], path)
        _check_range(read[name], field.metadata, path)
    return section(**read)


def _check_range(value: Any, metadata: Mapping[str, Any], path: str) -> None:
    choices = metadata.get("choices")
    if choices is not None and value is not None and value not in choices:
        hint = nearest(str(value), map(str, choices))
        raise InputError(f"{path}: {value!r} is not one of {list(choices)}.{hint}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    if minimum is not None and value < minimum:
        raise InputError(f"{path}: {value!r} is below the smallest value allowed, {minimum}.")
    if maximum is not None and value > maximum:
        raise InputError(f"{path}: {value!r} is above the largest value allowed, {maximum}.")


def _read_value(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return value
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        errors = []
        for option in options:
            if option is type(None):
                continue
            try:
                return _read_value(option, value, path)
            except InputError as error:
                errors.append(error)
        raise errors[0]
    if origin is tuple:
        element = typing.get_args(kind)[0]
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise InputError(f"{path}: expected a list, found {value!r}.")
        return tuple(_read_value(element, item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict or kind is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{path}: expected a mapping of keys, found {value!r}.")
        if origin is None:
            return dict(value)
        element = typing.get_args(kind)[1]
        return {str(k): _read_value(element, v, f"{path}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return read_section(kind, value, path)  # type: ignore[arg-type]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text; people write it all the same.
        try:
            value = float(value)
        except ValueError:
            pass
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{path}: expected a finite number, found {value!r}.")
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise InputError(
            f"{path}: expected {names.get(kind, kind)}, found {value!r}.{_quoting(kind, value)}"
        )
    return value


def _quoting(kind: Any, value: Any) -> str:
    """Tell whoever wrote a word that YAML takes for something else what to do."""
    if kind is not str or value is None or isinstance(value, (list, dict)):
        return ""
    if isinstance(value, bool):
        return " YAML reads yes, no, on and off so: put the word in quotation marks."
    return " Put it in quotation marks."
