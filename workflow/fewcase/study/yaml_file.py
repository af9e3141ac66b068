"""A key that stands twice in a study file: YAML would drop the first one without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from fewcase.study.errors import InputError


def check_keys_stand_once(path: Path) -> None:
    """Refuse a file in which a mapping has the same key twice.

    A file that is no YAML is passed over: whoever loads it says so.

    Raises
    ------
    InputError
        Naming the file, the key, and both lines.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except yaml.YAMLError:
        return
    for mapping in _mappings(root):
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise InputError(
                    f"{path}, line {line}: key {key.value!r} stands in line {lines[key.value]} "
                    "already; merge the two, or drop one."
                )
            lines[key.value] = line


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        # An alias leads to a node again, if need be to one that it lies in.
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
