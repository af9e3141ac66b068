"""Targets: the rules that make a label from a record's outcomes, as a study file writes them."""

from __future__ import annotations

import dataclasses
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import is_one_of, nearest, read_section, setting


@dataclasses.dataclass(frozen=True)
class ApgarAtMost:
    """Positive where any known Apgar score is low, negative where all are known and high."""

    rule: str = setting("apgar", choices=("apgar",), help="The name of this rule.")
    at_most: int = setting(
        6, minimum=0, maximum=9, help="A score of this or less makes the record positive."
    )
    columns: tuple[str, ...] = setting(
        ("apgar1", "apgar5"), help="Columns of the scores that count, at 1 and at 5 minutes."
    )


@dataclasses.dataclass(frozen=True)
class Below:
    """Positive where a measured outcome lies below a threshold, such as pH < 7.15."""

    column: str = setting(help="Column of the outcome, such as ph.")
    threshold: float = setting(help="Smaller values are positive; this value itself is negative.")
    rule: str = setting("below", choices=("below",), help="The name of this rule.")


@dataclasses.dataclass(frozen=True)
class Above:
    """Positive where a measured outcome lies above a threshold, such as a base deficit > 12."""

    column: str = setting(help="Column of the outcome, such as base_deficit.")
    threshold: float = setting(help="Larger values are positive; this value itself is negative.")
    rule: str = setting("above", choices=("above",), help="The name of this rule.")


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Positive where a column holds one of the listed values, such as a hospital's own code."""

    column: str = setting(help="Column of the outcome.")
    positive: tuple[str | float | bool, ...] = setting(help="Values that make a record positive.")
    negative: tuple[str | float | bool, ...] | None = setting(
        None,
        help="Values that make it negative, any other leaving it unlabelled; null: all others.",
    )
    rule: str = setting("column", choices=("column",), help="The name of this rule.")


@dataclasses.dataclass(frozen=True)
class AnyOf:
    """Positive where any of several rules says so, negative only where all of them do."""

    rules: tuple[Any, ...] = setting(help="The rules, each a mapping with its own `rule`.")
    rule: str = setting("any_of", choices=("any_of",), help="The name of this rule.")


@dataclasses.dataclass(frozen=True)
class Classes:
    """One of several classes, by the value of a column, such as a folder's or a stage's name."""

    classes: tuple[str, ...] = setting(
        help="Names of the classes; the first is label 0, and so on. Two or more."
    )
    column: str = setting(
        "class", help="Column of the example, where tiles have a class each, or of the record."
    )
    merge: dict[str, str] = setting(
        {}, help="Which class a value stands for where it is not the class's own name."
    )
    others: str = setting(
        "unlabelled",
        choices=("unlabelled", "error"),
        help="What a value is that names no class: unlabelled (counted in the flow), or an error.",
    )
    ordered: bool = setting(
        False,
        help="Whether the classes are degrees, the least first, such as stages: scores then tell "
        "how well each degree and those above it are told from those below (AUC), and the "
        "quadratically weighted kappa.",
    )
    rule: str = setting("classes", choices=("classes",), help="The name of this rule.")


Target = ApgarAtMost | Below | Above | OneOf | AnyOf | Classes

TARGETS: dict[str, type[Target]] = {
    "apgar": ApgarAtMost,
    "below": Below,
    "above": Above,
    "column": OneOf,
    "any_of": AnyOf,
    "classes": Classes,
}


OUTCOMES = (
    *("apgar1", "apgar5", "ph", "base_deficit", "alive"),
    *("birth_weight", "delivery", "minutes_to_delivery"),
)
"""Columns that every record has and that are known only when a recording is over."""


def columns_of(target: Target) -> tuple[str, ...]:
    """Return the columns of a record that a target is made from."""
    if isinstance(target, AnyOf):
        return tuple(name for rule in target.rules for name in columns_of(rule))
    return target.columns if isinstance(target, ApgarAtMost) else (target.column,)


def class_names(target: Target) -> tuple[str, ...]:
    """Return the names of a target's classes in the order of their labels.

    Two classes that a rule tells apart by yes and no are ``negative`` and ``positive``.
    """
    return target.classes if isinstance(target, Classes) else ("negative", "positive")


def is_ordered(target: Target) -> bool:
    """Return whether a target's classes are degrees in the order of their labels."""
    return isinstance(target, Classes) and target.ordered


def read_target(values: Any, where: str) -> Target:
    """Read a target from the mapping `values` at key path `where`; its key `rule` names the kind.

    `dataclasses.asdict` of the result is such a mapping again.

    Raises
    ------
    InputError
        For a rule that does not exist, an unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a mapping with the key 'rule', found {values!r}.")
    name = values.get("rule")
    if not is_one_of(name, TARGETS):
        raise InputError(f"{where}.rule: no rule {name!r}.{nearest(str(name), TARGETS)}")
    target = read_section(TARGETS[name], values, where)
    if isinstance(target, AnyOf):
        for i, rule in enumerate(target.rules):
            if isinstance(rule, dict) and rule.get("rule") == "classes":
                raise InputError(
                    f"{where}.rules[{i}]: several classes are no yes or no; name a rule that is."
                )
        rules = tuple(
            read_target(rule, f"{where}.rules[{i}]") for i, rule in enumerate(target.rules)
        )
        target = dataclasses.replace(target, rules=rules)
    _check_not_empty(target, where)
    return target


def _check_not_empty(target: Target, where: str) -> None:
    for name in ("columns", "positive", "negative", "rules", "classes"):
        if getattr(target, name, None) == ():
            raise InputError(f"{where}.{name}: the list is empty; name at least one.")
    if isinstance(target, Classes):
        _check_classes(target, where)
    if isinstance(target, OneOf) and target.negative is not None:
        both = [value for value in target.positive if value in target.negative]
        if both:
            raise InputError(f"{where}: {both[0]!r} is both positive and negative; keep it in one.")


def _check_classes(target: Classes, where: str) -> None:
    names = list(target.classes)
    if len(names) < 2:
        raise InputError(f"{where}.classes: {names} is one class; name two or more.")
    if target.ordered and len(names) == 2:
        raise InputError(
            f"{where}.ordered: {names} are two classes, of which every measure tells that the "
            "second is the higher one; drop the key, or name three classes or more."
        )
    for name in ("all", "unlabelled"):
        if name in names:
            raise InputError(
                f"{where}.classes: {name!r} has a meaning of its own in the tables; choose another "
                "name, and say in `merge` which value it stands for."
            )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{where}.classes: {twice[0]!r} is there twice; name each class once.")
    for value, name in target.merge.items():
        if name not in names:
            raise InputError(f"{where}.merge.{value}: no class {name!r}.{nearest(name, names)}")
        if value in names:
            raise InputError(
                f"{where}.merge.{value}: {value!r} is a class of its own; drop it from one of the "
                "two."
            )
