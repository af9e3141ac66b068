"""The page of explanation maps as a file: what it holds, and that it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fewcase.explain import view_data
from fewcase.explain.grids import square_grids
from fewcase.explain.map_files import MapSet, write_maps
from fewcase.explain.view import make_view
from fewcase.study.errors import InputError
from report_pages import WORKFLOW, call

SOURCES = WORKFLOW / "report" / "view"
HOSTILE = '</script><!--<script>alert("1")</script>&amp;\u2028\u202e\'"<img src=x onerror=alert(1)>'
CLASSES = ("a", HOSTILE, "c", "d", "e")


def make_maps(cases: int = 4, *, seed: int = 0, channels: int = 1, **about: Any) -> MapSet:
    generator = np.random.default_rng(seed)
    grids = square_grids(20, 30, channels, sizes=(3, 5))
    scores = generator.dirichlet(np.ones(5), cases).astype(np.float32)
    table = pd.DataFrame({"case": range(cases), "example": f"{HOSTILE} {seed}", "fold": seed})
    table["parent"], table["patient"], table["site"] = "p", None, np.nan
    table["role"], table["drawn"] = "test", True
    table["label"] = scores.argmin(axis=1)
    scored = pd.DataFrame(scores, columns=[f"score_{k}" for k in range(5)])
    pictures = generator.integers(0, 256, (cases, channels, 20, 30), np.uint8)
    values = generator.normal(0, 0.1, (cases, 34, 5)).astype(np.float32)
    return MapSet(pd.concat([table, scored], axis=1), pictures, values, grids, CLASSES, about)


class Parts(html.parser.HTMLParser):
    """Elements of a page with their attributes and, of scripts and styles, their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data

    def json(self, name: str) -> Any:
        found = [
            text
            for (_, a), text in zip(self.elements, self.texts, strict=True)
            if a.get("id") == name
        ]
        return json.loads(found[0])

    def text(self, tag: str) -> str:
        found = zip(self.elements, self.texts, strict=True)
        return next(text for (name, a), text in found if name == tag and "type" not in a)


def test_a_page_asks_for_nothing_and_lets_only_its_own_script_and_style_run() -> None:
    page = make_view([make_maps()], HOSTILE, SOURCES)
    parts = Parts(page)
    policy = next(a["content"] for _, a in parts.elements if "http-equiv" in a)
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(parts.text(kind).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data: blob:;")
    assert "unsafe" not in policy
    assert not [a for _, a in parts.elements if {"src", "href", "srcset", "style"} & a.keys()]
    assert not [a for _, a in parts.elements if any(key.startswith("on") for key in a)]
    code = parts.text("script") + parts.text("style")
    for word in ("url(", "@import", "http:", "https:", "fetch(", "innerHTML", "eval(", "write("):
        assert word not in code


def test_what_is_embedded_is_what_was_given_and_hostile_names_add_no_element() -> None:
    maps = make_maps()
    parts = Parts(make_view([maps], HOSTILE, SOURCES))
    content = parts.json("content")
    assert content["title"] == HOSTILE
    assert content["classes"] == list(CLASSES)
    assert [each["example"] for each in content["cases"]] == list(maps.cases["example"])
    assert [name for name, _ in parts.elements].count("script") == len(maps.cases) + 2
    assert "img" not in [name for name, _ in parts.elements]
    for row, each in enumerate(content["cases"]):
        scores = maps.scores[row]
        ranked = list(np.argsort(-scores))
        # The label is the least likely class here: it stands behind the three likeliest.
        assert each["shown"] == [*ranked[:3], scores.argmin()]
        assert each["scores"] == pytest.approx(scores[each["shown"]], abs=1e-6)
        assert (each["patient"], each["site"]) == ("", "")
        stored = parts.json(f"case-{row}")
        values = np.frombuffer(base64.b64decode(stored["values"]), "<i2") * each["unit"]
        given = maps.differences[row][:, each["shown"]].T
        assert each["unit"] <= np.abs(given).max() / 32000
        assert np.abs(values.reshape(given.shape) - given).max() <= 0.51 * each["unit"]
        assert each["scale"] == pytest.approx(np.abs(maps.differences[row]).max())
        picture = Image.open(io.BytesIO(base64.b64decode(stored["picture"].split(",")[1])))
        assert np.array_equal(np.asarray(picture), maps.pictures[row, 0])


def test_pictures_beyond_the_budget_lose_a_little_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maps = make_maps(channels=3)
    smooth = np.linspace(0, 255, 30)[None, None, None] * np.ones((4, 3, 20, 1))
    maps.pictures[:] = smooth.astype(np.uint8)
    assert "compressed with a small loss" not in make_view([maps], "t", SOURCES)
    monkeypatch.setattr(view_data, "PICTURE_BUDGET", 300)
    page = make_view([maps], "t", SOURCES)
    assert "compressed with a small loss" in page
    url = Parts(page).json("case-0")["picture"]
    assert url.startswith("data:image/jpeg;base64,")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))), float)
    assert np.abs(picture - maps.pictures[0].transpose(1, 2, 0)).max() < 6


def test_cases_are_ranked_by_how_divided_scores_and_grids_are() -> None:
    maps = make_maps(3)
    maps.cases.loc[:, [f"score_{k}" for k in range(5)]] = np.float32(
        [[1, 0, 0, 0, 0], [0.2] * 5, [0.5, 0.5, 0, 0, 0]]
    )
    maps.differences[:] = 0.1
    # Of case 1 the coarse grid speaks against what the fine one speaks for.
    maps.differences[1, :9] = -0.1
    cases = Parts(make_view([maps], "t", SOURCES)).json("content")["cases"]
    assert [each["entropy"] for each in cases] == pytest.approx(
        [0, 1, np.log(2) / np.log(5)], abs=1e-5
    )
    coarse, fine = (grid.weight for grid in maps.grids)
    assert [each["conflict"] for each in cases] == pytest.approx(
        [0, 2 * min(coarse, fine), 0], abs=1e-5
    )


def test_verdicts_are_bound_to_maps_and_not_to_a_title() -> None:
    maps, other = make_maps(), make_maps()
    other.differences[0, 0, :] += 0.5
    names = [
        Parts(make_view([each], title, SOURCES)).json("content")["page"]
        for each, title in ((maps, "one"), (maps, "two"), (other, "one"))
    ]
    assert names[0] == names[1] != names[2]


def test_only_the_folds_of_one_arm_share_a_page() -> None:
    maps = make_maps()
    other = MapSet(
        maps.cases, maps.pictures, maps.differences, maps.grids, ("v", "w", "x", "y", "z"), {}
    )
    with pytest.raises(InputError, match="folder 2 differs from the first in its class names"):
        make_view([maps, other], "t", SOURCES)
    with pytest.raises(InputError, match="no case"):
        make_view([make_maps(0)], "t", SOURCES)


def test_the_stage_makes_a_page_of_the_maps_of_folds(tmp_path: Path) -> None:
    folders = [tmp_path / f"fold-{fold}" for fold in (0, 1)]
    for fold, folder in enumerate(folders):
        write_maps(folder, make_maps(seed=fold, arm="ResNet18", fold=fold, simulated=fold == 1))
    page = tmp_path / "out" / "view.html"
    assert call("make_view.py", "--maps", *folders, "--title", "Folds", "--out", page) == 0
    text = page.read_text(encoding="utf-8")
    content = Parts(text).json("content")
    assert [each["fold"] for each in content["cases"]] == ["0"] * 4 + ["1"] * 4
    assert [each["fold"] for each in content["sets"]] == ["0", "1"]
    assert "Simulated data" in text
    assert call("make_view.py", "--maps", tmp_path, "--title", "Folds", "--out", page) == 1
