"""The page of explanation maps in a browser, as a reader uses it."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from fewcase.explain.grids import slit_grids, square_grids
from fewcase.explain.map_files import MapSet
from view_pages import View, open_page, start_browser

SIDE = 60
CLASSES = ("drusen", "<b>fluid</b>", "=normal", "scar")
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 2">',
    "\u202e\u05d0\u05d1\u05d2 <!-- \"quoted\" 'name' -->",
    "long " * 400,
)


def table_of(scores: npt.NDArray[np.float32], labels: Any, **columns: Any) -> pd.DataFrame:
    """Return cases with scores; what is not given has one value for all."""
    table = pd.DataFrame({"case": range(len(scores)), "label": labels})
    table["example"] = [f"image-{i:03d}" for i in range(len(scores))]
    given = {"parent": "scan", "patient": "P1", "site": "east", "role": "test", "fold": 0}
    for name, value in {**given, "drawn": True, **columns}.items():
        table[name] = value
    for k in range(scores.shape[1]):
        table[f"score_{k}"] = scores[:, k]
    return table


def small_maps(fold: int) -> MapSet:
    """Six cases of a fold; of the first, chosen values make colours that are known."""
    generator = np.random.default_rng(fold)
    grids = square_grids(SIDE, SIDE, 1, sizes=(2, 6))
    scores = np.float32([[0.6 - i / 50, 0.3 + i / 50, 0.08, 0.02] for i in range(6)])
    names = [f"image-{fold}{i}" for i in range(6)]
    if fold == 0:
        names[1:5] = HOSTILE
    cases = table_of(scores, [0, 1, 3, 0, 2, 0], example=names, fold=fold, patient="=2+3")
    pictures = generator.integers(0, 256, (6, 1, SIDE, SIDE), np.uint8)
    values = generator.normal(0, 0.1, (6, 40, 4)).astype(np.float32).clip(-0.3, 0.3)
    if fold == 0:
        pictures[0] = 128
        values[0] = 0
        # For class 0: upper left for, upper right against in both grids; lower left divided.
        coarse, fine = np.zeros((2, 2)), np.zeros((6, 6))
        coarse[0], coarse[1, 0] = (0.4, -0.4), 0.4
        fine[:3, :3], fine[:3, 3:], fine[3:, :3] = 0.4, -0.4, -0.4
        values[0, :, 0] = [*coarse.ravel(), *fine.ravel()]
        values[1, 0, 0] = 0.8
    about = {"score": "probability", "fold": fold, "no_better_than_chance": fold == 1}
    return MapSet(cases, pictures, values, grids, CLASSES, about)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser without a window, started once."""
    started = start_browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def both() -> list[MapSet]:
    return [small_maps(0), small_maps(1)]


@pytest.fixture(scope="module")
def small(browser: Any, both: list[MapSet], tmp_path_factory: pytest.TempPathFactory) -> View:
    return open_page(browser, tmp_path_factory.mktemp("small"), both, HOSTILE[0])


@pytest.fixture
def view(small: View) -> View:
    """The small page, opened anew, with nothing kept from before."""
    small.run("localStorage.clear()")
    small.open()
    return small


def test_the_square_is_at_one_place_in_all_pictures_and_its_values_are_told(
    view: View, both: list[MapSet]
) -> None:
    view.press("j")
    view.wait("1")
    maps = both[0]
    for place in ((0.21, 0.34), (0.77, 0.9), (0.01, 0.99)):
        column, row = (int(share * SIDE) for share in place)
        at = [
            next(
                i
                for i, (y0, y1, x0, x1) in enumerate(g.boxes)
                if y0 <= row < y1 and x0 <= column < x1
            )
            for g in maps.grids
        ]
        coarse, fine = maps.differences[1, at[0]], maps.differences[1, 4 + at[1]]
        mixed = maps.grids[0].weight * coarse + maps.grids[1].weight * fine
        for position, values, side in ((0, mixed, 1 / 6), (1, coarse, 1 / 2), (2, fine, 1 / 6)):
            view.set("grid", position)
            view.point(view.all(".frame")[2], *place)
            assert view.told() == pytest.approx(values[[0, 1, 2]], abs=0.0051 * 0.1)
            squares = view.squares()
            assert len(squares) == 4
            assert np.ptp(squares, axis=0).max() < 0.01
            left, top, width, height = squares[0]
            assert (width, height) == pytest.approx((side, side), abs=0.01)
            assert left - 0.02 <= place[0] <= left + width + 0.02
            assert top - 0.02 <= place[1] <= top + height + 0.02
            if position:
                y0, _, x0, _ = maps.grids[position - 1].boxes[at[position - 1]]
                assert (left * SIDE, top * SIDE) == pytest.approx((x0, y0), abs=0.5)
    view.point(view.one("h1"), 0.5, 0.5)
    assert not any(square.is_displayed() for square in view.all(".square"))


def test_red_speaks_for_and_blue_against_and_sliders_change_it(view: View) -> None:
    view.set("opacity", 100)
    view.set("brightness", 1)
    assert view.pixel(0, 0.2, 0.2) == [128, 128, 128]
    # The largest change of the case has full colour; of all cases it is twice as large.
    assert view.pixel(1, 0.2, 0.2) == [255, 0, 0]
    assert view.pixel(1, 0.8, 0.2) == [0, 0, 255]
    assert view.pixel(1, 0.8, 0.8) == [0, 0, 0]
    red, green, blue = view.pixel(1, 0.2, 0.8)
    assert (red + blue, green) == (pytest.approx(255, abs=1), 0)
    assert 0 < red < blue  # The finer grid, which speaks against, is heavier.
    view.set("mixing", "signed")
    assert view.pixel(1, 0.2, 0.8) == [0, 0, pytest.approx(blue - red, abs=1)]
    view.set("mixing", "conflict")
    assert view.pixel(1, 0.2, 0.8) == pytest.approx([2 * red] * 3, abs=2)
    assert view.pixel(1, 0.2, 0.2) == [0, 0, 0]
    view.set("mixing", "rgb")
    view.set("grid", 1)
    assert view.pixel(1, 0.2, 0.8) == [255, 0, 0]
    view.set("scale", "absolute")
    assert view.pixel(1, 0.2, 0.8) == pytest.approx([128, 0, 0], abs=1)
    view.set("brightness", 2)
    assert view.pixel(1, 0.2, 0.8) == [255, 0, 0]
    view.set("palette", "orange_blue")
    assert view.pixel(1, 0.2, 0.8) == [255, 153, 0]
    view.set("opacity", 50)
    assert view.pixel(1, 0.2, 0.8) == pytest.approx([192, 141, 64], abs=2)
    assert view.pixel(1, 0.8, 0.8) == pytest.approx([64, 64, 64], abs=1)
    view.one("#clear").click()
    assert view.pixel(1, 0.8, 0.8) == pytest.approx([128, 128, 128], abs=1)
    view.set("opacity", 0)
    assert view.pixel(1, 0.2, 0.8) == pytest.approx([128, 128, 128], abs=1)
    view.one("#hatching").click()
    strokes = {tuple(view.pixel(1, 0.1 + i / 200, 0.2)) for i in range(20)}
    assert max(sum(each) for each in strokes) > 3 * 200  # White strokes for …
    strokes = {tuple(view.pixel(1, 0.7 + i / 200, 0.2)) for i in range(20)}
    assert min(sum(each) for each in strokes) < 3 * 60  # … and black ones against.
    assert {tuple(view.pixel(1, 0.7 + i / 200, 0.8)) for i in range(20)} == {(128, 128, 128)}


def test_keys_walk_through_cases_and_give_verdicts_and_text_fields_keep_theirs(view: View) -> None:
    from selenium.webdriver.common.keys import Keys

    for key, case in (
        ("j", "1"),
        (Keys.ARROW_RIGHT, "2"),
        ("k", "1"),
        (Keys.ARROW_LEFT, "0"),
        ("k", "0"),
    ):
        view.press(key)
        view.wait(case)
    pressed = "return document.querySelector('[aria-pressed=true]')?.dataset.choice ?? ''"
    for key, verdict in (("1", "agree"), ("2", "disagree"), ("3", "unsure"), ("3", "")):
        view.press(key)
        assert view.run(pressed) == verdict
    view.press("r")
    view.press("j2?")
    assert view.one("#remark").get_attribute("value") == "j2?"
    assert view.run("return document.body.dataset.shown") == "0"
    assert view.run(pressed) == ""
    view.press(Keys.ESCAPE, "?")
    assert view.one("#help").is_displayed()
    view.press("j", Keys.ESCAPE)
    assert not view.one("#help").is_displayed()
    assert view.run("return document.body.dataset.shown") == "0"
    # A slider moves by its own arrow keys, and the square by those with Shift.
    view.run("document.getElementById('grid').focus()")
    view.press(Keys.ARROW_RIGHT)
    assert view.one("#grid-value").text == "2 × 2"
    view.run("document.activeElement.blur()")
    view.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_UP, shift=True)
    assert view.squares()[1] == pytest.approx([0, 0, 0.5, 0.5], abs=0.02)
    assert view.told()[0] == pytest.approx(0.4)
    assert "drusen +0.4" in view.one("#live").get_attribute("textContent")
    view.press(Keys.ESCAPE)
    assert not view.all(".square")[0].is_displayed()
    view.press("l")
    assert not view.one("#cases").is_displayed()


def test_everything_is_reached_by_tab_shows_its_focus_and_has_a_name(view: View) -> None:
    from selenium.webdriver.common.keys import Keys

    reached = {}
    for _ in range(40):
        view.press(Keys.TAB)
        found = view.driver.switch_to.active_element
        name = found.get_attribute("id") or found.get_attribute("data-choice") or ""
        if name in reached or found.tag_name == "body":
            break
        reached[name] = found.accessible_name
        assert found.value_of_css_property("outline-style") in ("solid", "auto"), name
    controls = view.run(
        "return [...document.querySelectorAll('button, input, select, textarea, [tabindex]')]"
        ".filter(e => e.offsetParent && !e.disabled).map(e => e.id || e.dataset.choice)"
    )
    assert set(controls) <= set(reached)
    assert {"cases", "stage", "grid", "opacity", "agree", "remark", "reader", "csv"} <= set(reached)
    assert all(reached.values())


def test_cases_are_filtered_searched_and_sorted(view: View, both: list[MapSet]) -> None:
    labels = [int(label) for maps in both for label in maps.cases["label"]]
    assert view.listed() == list(range(12))
    view.set("outcome", "wrong")
    assert view.listed() == [i for i in range(12) if labels[i] != 0]
    view.wait("1")  # The first that is left.
    view.set("label", "3")
    assert view.listed() == [2, 8]
    view.set("fold", "fold 1")
    assert view.listed() == [8]
    view.set("predicted", "0")
    view.wait("8")
    assert view.one("#chance").is_displayed()  # Said of fold 1 alone.
    for name in ("outcome", "label", "fold", "predicted"):
        view.set(name, "")
    view.press("2")
    view.set("verdict", "disagree")
    assert view.listed() == [8]
    view.set("verdict", "none")
    assert view.listed() == [i for i in range(12) if i != 8]
    view.set("verdict", "")
    view.set("order", "unsure")
    assert view.listed() == [5, 11, 4, 10, 3, 9, 2, 8, 1, 7, 0, 6]
    view.set("order", "sure")
    assert view.listed()[:2] == [0, 6]
    view.set("search", "IMAGE-1")
    assert view.listed() == list(range(6, 12))
    assert not view.one("#nothing").is_displayed()
    view.set("search", "nobody")
    assert view.listed() == []
    assert view.one("#nothing").is_displayed()
    view.set("search", "")
    view.all("#cases li")[0].click()
    view.wait("0")
    assert not view.one("#chance").is_displayed()


def downloaded(view: View, button: str, ending: str, folder: Path) -> str:
    view.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    view.one(button).click()
    end = time.monotonic() + 10
    while not (found := list(folder.glob(f"*.{ending}"))):
        assert time.monotonic() < end, "nothing was downloaded"
        time.sleep(0.01)
    assert "Dr-Ä" in found[0].name
    return found[0].read_text(encoding="utf-8")


def test_verdicts_are_kept_and_exported_and_are_no_formulas(view: View, tmp_path: Path) -> None:
    remark = '=HYPERLINK("http://x";"y"), \n"quoted"; \u202e ü'
    view.one("#reader").send_keys("Dr. Ä")
    view.press("\ue00c", "1")
    view.set("remark", remark)
    for key, case in (("j", "1"), ("j", "2")):
        view.press(key)
        view.wait(case)
    view.press("3")
    view.set("remark", "  -1")
    view.open()
    assert view.one("#remark").get_attribute("value") == remark
    assert "2 of 12 read: 1 agree, 0 disagree, 1 unsure" in view.one("#progress").text
    text = downloaded(view, "#csv", "csv", tmp_path)
    assert text[0] == "\ufeff"
    rows = list(csv.DictReader(io.StringIO(text[1:], newline="")))
    assert [row["example"] for row in rows] == ["image-00", HOSTILE[1]]
    assert [row["verdict"] for row in rows] == ["agree", "unsure"]
    assert [row["remark"] for row in rows] == ["'" + remark, "'  -1"]
    assert [row["outcome"] for row in rows] == ["right", "wrong"]
    assert {row["reader"] for row in rows} == {"Dr. Ä"}
    assert {row["patient"] for row in rows} == {"'=2+3"}
    assert {row["predicted"] for row in rows} == {"drusen"}
    assert float(rows[0]["score"]) == pytest.approx(0.6)
    assert (rows[1]["label"], rows[0]["fold"], rows[0]["chosen"]) == ("scar", "0", "by chance")
    assert rows[0]["time"].startswith("20")
    exported = json.loads(downloaded(view, "#json", "json", tmp_path))
    assert (exported["reader"], exported["title"]) == ("Dr. Ä", HOSTILE[0])
    assert [each["remark"] for each in exported["readings"]] == [remark, "  -1"]


def test_names_from_data_stay_text(view: View) -> None:
    shown = view.texts("#cases .example")
    assert shown[1:5] == list(HOSTILE)
    for case, name in enumerate(HOSTILE, 1):
        view.press("j")
        view.wait(str(case))
        assert view.one("#example").get_attribute("textContent") == name
    names = view.texts(".tile .name")
    assert names[:4] == ["Original", *CLASSES[:3]]
    assert view.driver.title == HOSTILE[0]
    assert view.run("return window.hacked ?? null") is None
    assert view.all("body img, body b:not(#help b), #cases script, main script") == []
    assert view.run("return document.documentElement.scrollWidth <= innerWidth")
    assert [e for e in view.driver.get_log("browser") if e["level"] == "SEVERE"] == []


def test_the_page_may_not_reach_a_network(view: View) -> None:
    blocked = view.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', e => done(e.violatedDirective));"
        "new Image().src = 'http://127.0.0.1:9/x.png';"
    )
    assert blocked == "img-src"
    entries = view.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [
        name for name in entries if not name.startswith(("data:", "blob:", "http://127.0.0.1:9"))
    ] == []


def test_a_browser_that_stores_nothing_says_so_and_still_exports(
    view: View, tmp_path: Path
) -> None:
    script = view.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {"source": "Object.defineProperty(window, 'localStorage', {get() {throw new Error()}})"},
    )
    try:
        view.open()
        assert view.one("#lost").is_displayed()
        view.one("#reader").send_keys("Dr. Ä")
        view.press("\ue00c", "1")
        assert '"agree"' in downloaded(view, "#csv", "csv", tmp_path)
        view.press("1")  # Taken back: nothing is lost by leaving.
    finally:
        view.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_slits_of_time_are_marked_and_told_in_every_signal(browser: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    grids = slit_grids(48, 90, 30, ["FHR", "UC"], minutes=(5, 10))
    pictures = np.full((2, 2, 48, 90), 255, np.uint8)
    pictures[:, 0, 12:14], pictures[:, 1, 30:32] = 0, 0
    values = generator.normal(0, 0.1, (2, 27, 2)).astype(np.float32)
    cases = table_of(np.float32([[0.3, 0.7], [0.6, 0.4]]), [1, 1])
    about = {"score": "log_odds", "window_minutes": 30, "channels": ["FHR", "UC"]}
    about |= {"simulated": True, "no_better_than_chance": True}
    maps = MapSet(cases, pictures, values, grids, ("low", "high"), about)
    view = open_page(browser, tmp_path, [maps])
    banners = [banner.text for banner in view.all(".banner") if banner.is_displayed()]
    chance = "This model is no better than chance: its maps say nothing about the disease."
    assert banners[0] == chance
    assert banners[1].startswith("Simulated data")
    groups = [row.text for row in view.all(".tile:not([hidden]) .group")]
    assert groups == ["FHR", "UC", *["FHR", "UC", "all signals"] * 2]
    assert view.texts(".axis .tick")[:7] == ["0", "5", "10", "15", "20", "25", "30 min"]
    assert view.all(".axis .tick")[3].get_attribute("style") == "left: 50%;"
    view.set("grid", 2)  # Slits of 5 minutes, of which there are 6.
    view.point(view.all(".frame")[3], 0.55, 0.5)
    squares = np.array(view.squares())
    assert np.allclose(squares[:, 0], 0.5, atol=0.01)
    assert np.allclose(squares[:, 2:], [1 / 6, 1], atol=0.02)
    assert "15.0 – 20.0 min" in view.one(".original").text
    # Classes by their scores; FHR, UC, all signals; stored in groups of 3 + 6 slits, all first.
    expected = [values[0, start + 3 + 3, k] for k in (1, 0) for start in (9, 18, 0)]
    assert view.told() == pytest.approx(expected, abs=0.0006)
    view.set("opacity", 100)
    view.set("brightness", 10)
    for slit in range(6):
        red, _, blue = view.pixel(1, (slit + 0.5) / 6, 0.9)
        assert (red > blue) == (values[0, 9 + 3 + slit, 1] > 0)
    assert min(view.pixel(1, 0.51, 13 / 48)) > 200  # The trace stays on top, light on dark.


def test_500_cases_are_walked_through_without_waiting(browser: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    grids = square_grids(224, 224, 1)
    noise = generator.normal(0, 12, (8, 1, 224, 224)) + np.linspace(0, 200, 224)
    pictures = np.resize(noise.clip(0, 255).astype(np.uint8), (500, 1, 224, 224))
    scores = generator.dirichlet(np.ones(4), 500).astype(np.float32)
    values = generator.normal(0, 0.1, (500, sum(grid.cells for grid in grids), 4))
    cases = table_of(scores, generator.integers(0, 4, 500))
    maps = MapSet(cases, pictures, values.astype(np.float32), grids, CLASSES, {})
    view = open_page(browser, tmp_path, [maps])
    assert view.path.stat().st_size < 40e6
    times = view.driver.execute_async_script(
        """
        const done = arguments[0], times = [];
        const next = (number) => {
          if (number > 25) return done(times);
          const start = performance.now();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
          const look = () => {
            if (document.body.dataset.shown !== String(number)) return setTimeout(look);
            times.push(performance.now() - start);
            setTimeout(() => next(number + 1), 30);
          };
          look();
        };
        next(1);
        """
    )
    assert statistics.median(times) < 200, times
    print(f"page {view.path.stat().st_size / 1e6:.1f} MB, a case {statistics.median(times):.0f} ms")
