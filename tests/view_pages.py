"""The page of explanation maps in a browser, and what a reader does there."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from fewcase.explain.map_files import MapSet
from fewcase.explain.view import make_view
from report_pages import WORKFLOW

SOURCES = WORKFLOW / "report" / "view"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1280,900"),
)


def start_browser(profile: Path) -> Any:
    """Start a browser without a window; skip the test where there is none and none need be."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        if os.environ.get("FEWCASE_DATA"):
            pytest.fail("no chromium and chromedriver: the page can't be tried in a browser")
        pytest.skip("no chromium and chromedriver on this machine")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


@dataclasses.dataclass
class View:
    """A page in the browser, with what a reader does."""

    driver: Any
    path: Path

    def open(self) -> None:
        self.driver.get(self.path.as_uri())
        self.wait("0")

    def wait(self, shown: str) -> None:
        end = time.monotonic() + 10
        while self.run("return document.body.dataset.shown") != shown:
            assert time.monotonic() < end, f"case {shown} is not shown"
            time.sleep(0.005)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def press(self, *keys: str, shift: bool = False) -> None:
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        actions = ActionChains(self.driver, duration=0)
        if shift:
            actions = actions.key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT)
        else:
            actions = actions.send_keys(*keys)
        actions.perform()

    def point(self, element: Any, across: float, down: float) -> None:
        """Put the pointer at a place of an element, in shares of its size."""
        from selenium.webdriver import ActionChains

        size = element.rect
        ActionChains(self.driver, duration=0).move_to_element_with_offset(
            element, round((across - 0.5) * size["width"]), round((down - 0.5) * size["height"])
        ).perform()

    def set(self, name: str, value: Any) -> None:
        """Give a slider or a menu a value."""
        self.run(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "for (const t of ['input', 'change']) e.dispatchEvent(new Event(t, {bubbles: true}));",
            *(name, value),
        )

    def pixel(self, tile: int, across: float, down: float) -> list[int]:
        """Return red, green and blue at a place of a tile's first canvas, in shares of its size."""
        return self.run(
            "const c = document.querySelectorAll('.tile')[arguments[0]].querySelector('canvas');"
            "const [x, y] = [arguments[1] * c.width, arguments[2] * c.height];"
            "return [...c.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)",
            *(tile, across, down),
        )

    def listed(self) -> list[int]:
        return [
            int(e)
            for e in self.run(
                "return [...document.querySelectorAll('#cases li')].map(e => e.dataset.number)"
            )
        ]

    def told(self) -> list[float]:
        texts = self.texts(".tile:not([hidden]) .number")
        return [float(text.replace("−", "-")) for text in texts]

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements, shown or not."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )

    def squares(self) -> list[list[float]]:
        """Return left, top, width and height of the squares, in shares of their pictures."""
        return self.run(
            "return [...document.querySelectorAll('.tile:not([hidden]) .frame')].map(f => {"
            "const [a, s] = [f.querySelector('canvas'), f.querySelector('.square')]"
            ".map(e => e.getBoundingClientRect());"
            "return [(s.left - a.left) / a.width, (s.top - a.top) / a.height,"
            "s.width / a.width, s.height / a.height]})"
        )


def open_page(browser: Any, folder: Path, maps: list[MapSet], title: str = "Maps") -> View:
    """Make a page of maps and open it."""
    path = folder / "view.html"
    path.write_text(make_view(maps, title, SOURCES), encoding="utf-8")
    view = View(browser, path)
    view.open()
    return view
