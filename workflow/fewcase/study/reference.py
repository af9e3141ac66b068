"""The reference of every key of a study file, written from the sections themselves."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from fewcase.study import keys
from fewcase.study.explanations import ExplainOptions
from fewcase.study.gans import Freeze, GanQualityOptions, GanRecipe
from fewcase.study.recipe import Recipe
from fewcase.study.settings import ImageOptions, SignalOptions, TrainingOptions
from fewcase.study.sources import SOURCES, Hospital
from fewcase.study.splits import HeldOut
from fewcase.study.targets import TARGETS

HEAD = """# Every key of a study file

`make reference` writes this page from the code. A key that stands nowhere here is refused, with the
nearest one that exists. *required* means that there is no default.
"""


def write_reference() -> str:
    """Return the reference as Markdown."""
    sections: list[tuple[str, str, type]] = [
        ("The study", "At the top of the file.", keys.StudyKeys),
        ("split", "The split of every arm that does not vary it.", keys.DefaultSplit),
        ("hold_out", "Each entry of a named list.", HeldOut),
        ("signal", "Windows of a recording, cleaning and filtering.", SignalOptions),
        ("images", "How a window is drawn.", ImageOptions),
        (
            "recipe",
            "The factors of an arm, in the order in which its name gives them. Any of them can be "
            "varied by an experiment.",
            Recipe,
        ),
        (
            "gans",
            "Each entry; keys under `gan` are shared by all. Defaults are those of the paper for "
            "256 pixels.",
            GanRecipe,
        ),
        ("gans: freeze", "Blocks that keep the base's weights.", Freeze),
        ("gan_quality", "How synthetic images are measured.", GanQualityOptions),
        ("explain", "Explanation maps of held-out examples and their checks.", ExplainOptions),
        ("training", "How training runs on a machine; no arm is named by these.", TrainingOptions),
        ("experiments", "Each entry.", keys.ExperimentKeys),
        ("subgroups", "Each entry.", keys.Subgroup),
    ]
    for source, section in SOURCES.items():
        sections.append((f"cohorts: source {source}", _summary(section), section))
    sections.append(("cohorts: hospitals of simulate_ctg", _summary(Hospital), Hospital))
    for rule, section in TARGETS.items():
        sections.append((f"targets: rule {rule}", _summary(section), section))
    parts = [HEAD]
    for title, summary, section in sections:
        parts.append(f"## {title}\n\n{summary}\n\n" + "\n".join(_rows(section)) + "\n")
    return "\n".join(parts)


def _summary(section: type) -> str:
    return (section.__doc__ or "").split("\n\n")[0].replace("\n    ", " ")


def _rows(section: type) -> Iterator[str]:
    types = typing.get_type_hints(section)
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for field in dataclasses.fields(section):
        meaning = field.metadata.get("help", "") + _limits(field.metadata)
        cells = [f"`{field.name}`", _type_name(types[field.name]), _default(field), meaning]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _limits(metadata: typing.Mapping[str, Any]) -> str:
    if metadata.get("choices"):
        return " One of " + ", ".join(f"`{choice}`" for choice in metadata["choices"]) + "."
    low, high = metadata.get("minimum"), metadata.get("maximum")
    if low is not None and high is not None:
        return f" From {low:g} to {high:g}."
    if low is not None:
        return f" At least {low:g}."
    return f" At most {high:g}." if high is not None else ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "`{}`"
    if field.default is dataclasses.MISSING:
        return "*required*"
    if dataclasses.is_dataclass(field.default):
        return "see there"
    if field.default is None:
        return "`null`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    return f"`{field.default}`" if field.default != "" else "empty"


def _type_name(kind: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    if kind in names:
        return names[kind]
    if kind is type(None):
        return "null"
    if kind is Any:
        return "any"
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict or kind is dict:
        return "mapping"
    if dataclasses.is_dataclass(kind):
        return "section"
    return " or ".join(_type_name(argument) for argument in arguments)
