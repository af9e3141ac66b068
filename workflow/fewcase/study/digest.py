"""The code digest of a stage: a hash of what its script and the modules it reaches would do.

Comments, docstrings and layout leave it alone, so that a rule which holds the digest among its
parameters reruns when the meaning of its code changes and at no other time.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "fewcase"


@functools.cache
def code_digest(script: Path, library: Path) -> str:
    """Return a hash over a stage script and every library module reached from it.

    Parameters
    ----------
    script
        The stage script.
    library
        The folder that holds the package `fewcase`.

    Imports inside functions count as well: a stage that loads a module late still depends on it.
    """
    digest = hashlib.sha256()
    for path in sorted(reached_modules(script, library)):
        name = path.relative_to(library).as_posix() if path.is_relative_to(library) else path.name
        digest.update(f"{name}\0{source_digest(path)}\0".encode())
    return digest.hexdigest()[:16]


def reached_modules(script: Path, library: Path) -> set[Path]:
    """Return the script and the files of all library modules that it imports, however deep."""
    reached: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting.extend(_imports(path, library))
    return reached


@functools.cache
def source_digest(path: Path) -> str:
    """Return the hash of one source file's syntax tree without docstrings."""
    digest = hashlib.sha256()
    for part in _parts(_tree(path)):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _parts(node: object) -> Iterator[str]:
    # Empty fields are passed over: later Python versions add such fields to old syntax.
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(value, list) and _has_docstring(node):
                value = value[1:]
            if value is not None and value != []:
                yield name
                yield from _parts(value)
        yield ")"
    elif isinstance(node, list):
        for element in node:
            yield from _parts(element)
    else:
        yield repr(node)


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


@functools.cache
def _imports(path: Path, library: Path) -> tuple[Path, ...]:
    return tuple(_imported(path, library))


def _imported(path: Path, library: Path) -> Iterator[Path]:
    for node in ast.walk(_tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] != PACKAGE:
                continue
            module = library.joinpath(*name.split("."))
            if module.with_suffix(".py").is_file():
                yield module.with_suffix(".py")
            elif (module / "__init__.py").is_file():
                yield module / "__init__.py"
