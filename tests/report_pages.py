"""The report stage as a command, and its page taken apart."""

from __future__ import annotations

import html.parser
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

WORKFLOW = Path(__file__).parents[1] / "workflow"


def call(script: str, *arguments: Any) -> int:
    """Run a stage script as a command and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(WORKFLOW / script), run_name="__main__")
    return int(stopped.value.code or 0)


class Page(html.parser.HTMLParser):
    """Collects elements, attributes and text of a page, and checks that elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.red: list[str] = []
        self._classes: list[str] = []
        self.feed(text)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr", "col"):
            self.open.append(tag)
            self._classes.append(str(dict(attrs).get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._classes.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if any("leaky" in names.split() for names in self._classes) and data.strip():
            self.red.append(data)
