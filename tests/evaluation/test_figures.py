"""Figures: the same bytes every time, every layout drawn, and hostile names drawn as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fewcase.evaluation.experiments import Arm, Experiment, Scores, tabulate
from fewcase.evaluation.figures import COLOURS, LEAKY_COLOUR, draw, save, swept_factor


@pytest.fixture(scope="module")
def sweep(shared_study: Any) -> tuple[Experiment, Any]:
    levels = [None, 0, 5, 10]
    parts = [shared_study.scored(f"c{level}", 0.2 if level == 0 else 1.0) for level in levels]
    arms = tuple(Arm(f"c{level}", "split", {"fhr_cutoff": level}, False) for level in levels)
    plan = Experiment("sweep", "Low-pass", "sweep", {"fhr_cutoff": levels}, arms, True, None)
    return plan, tabulate(plan, Scores(pd.concat(parts)))


def texts(figure: Any) -> list[str]:
    import matplotlib.text

    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("layout", ["sweep", "grid", "list"])
def test_the_same_numbers_give_the_same_bytes(
    sweep: tuple[Experiment, Any], tmp_path: Path, layout: str
) -> None:
    experiment = dataclasses.replace(sweep[0], layout=layout)
    for name in ("one", "two"):
        save(draw(experiment, sweep[1]), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
    for ending in ("svg", "png"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (
            tmp_path / f"two.{ending}"
        ).read_bytes()
    image = np.asarray(Image.open(tmp_path / "one.png").convert("L"))
    assert image.min() < 50
    assert image.std() > 5
    assert b"<dc:date>" not in (tmp_path / "one.svg").read_bytes()


def test_a_sweep_puts_numbers_to_scale_and_none_apart(sweep: tuple[Experiment, Any]) -> None:
    figure = draw(*sweep)
    lower = figure.axes[-1]
    ticks = {t.get_text(): x for t, x in zip(lower.get_xticklabels(), lower.get_xticks())}  # noqa: B905
    assert [ticks[name] for name in ("0", "5", "10")] == [0, 5, 10]
    assert ticks["none"] > 10 + 5
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(lines[-1].get_ydata(), sweep[1]["cv_mean"][1:])


def test_the_swept_factor_is_the_one_with_numbers(sweep: tuple[Experiment, Any]) -> None:
    both = dataclasses.replace(
        sweep[0], vary={"model": ["a", "b"], "uc_scale": [None, 0, 10], "augment": ["none"]}
    )
    assert swept_factor(both) == "uc_scale"


def test_titles_say_simulated_and_leaky_ones_are_red(sweep: tuple[Experiment, Any]) -> None:
    figure = draw(*sweep)
    assert figure.get_suptitle() == "Low-pass (simulated)"
    arms = tuple(dataclasses.replace(arm, leaky=True) for arm in sweep[0].arms)
    leaky = draw(dataclasses.replace(sweep[0], arms=arms), sweep[1].assign(leaky="yes"))
    assert leaky.get_suptitle() == "Low-pass (simulated) (leaky)"
    assert leaky._suptitle.get_color() == LEAKY_COLOUR


def test_hostile_names_are_drawn_as_they_are(sweep: tuple[Experiment, Any], tmp_path: Path) -> None:
    names = ["$\\frac{1}{", "<script>alert(1)</script>", "x" * 300, "\u202eevil\n%s{}"]
    table = sweep[1].assign(fhr_cutoff=names)
    figure = draw(dataclasses.replace(sweep[0], layout="list", title="$\\oops$ & <b>"), table)
    save(figure, tmp_path / "hostile.svg", tmp_path / "hostile.png")
    drawn = texts(figure)
    assert "$\\frac{1}{" in drawn
    assert "evil %s{}" in drawn
    assert max(map(len, drawn)) < 100
    assert b"<script" not in (tmp_path / "hostile.svg").read_bytes()


def test_a_table_without_test_set_or_values_is_drawn(
    make_study: Callable[..., Any], tmp_path: Path
) -> None:
    scores = Scores(make_study(sites={"A": 80}).scored("vit"))
    arms = (Arm("vit", "split", {"fhr_cutoff": None}, False),)
    for layout in ("sweep", "grid", "sites", "list"):
        plan = Experiment("x", "X", layout, {"fhr_cutoff": [None]}, arms, False, None)
        save(draw(plan, tabulate(plan, scores)), tmp_path / f"{layout}.png")
        assert (tmp_path / f"{layout}.png").stat().st_size > 2000


def test_colours_differ_in_lightness_too() -> None:
    """So that they can be told apart without seeing hue, and in a black and white print."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    light = sorted(float(matplotlib.colors.to_rgb(c) @ weights) for c in COLOURS[:5])
    assert min(np.diff(light)) > 0.02
