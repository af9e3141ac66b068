"""Figures: the same bytes every time, every layout drawn, and hostile names drawn as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fewcase.reporting.experiment_figures import draw, swept_factor
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.experiments import Scores, tabulate
from fewcase.reporting.figures import COLOURS, LEAKY_COLOUR, SHORTCUT_COLOUR, save
from fewcase.reporting.text import factor_value
from scored_arms import Arms, read_scored, without_bootstrap


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with without_bootstrap():
        yield


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


@pytest.mark.parametrize("layout", ["sweep", "grid"])
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
    figure = draw(dataclasses.replace(sweep[0], layout="grid", title="$\\oops$ & <b>"), table)
    save(figure, tmp_path / "hostile.svg", tmp_path / "hostile.png")
    drawn = texts(figure)
    assert "$\\frac{1}{" in drawn
    assert "evil %s{}" in drawn
    assert max(len(line) for text in drawn for line in text.splitlines()) < 50
    assert b"<script" not in (tmp_path / "hostile.svg").read_bytes()


def test_a_table_without_test_set_or_values_is_drawn(
    make_study: Callable[..., Any], tmp_path: Path
) -> None:
    scores = Scores(make_study(sites={"A": 80}).scored("vit"))
    arms = (Arm("vit", "split", {"fhr_cutoff": None}, False),)
    for layout in ("sweep", "grid", "sites"):
        plan = Experiment("x", "X", layout, {"fhr_cutoff": [None]}, arms, False, None)
        save(draw(plan, tabulate(plan, scores)), tmp_path / f"{layout}.png")
        assert (tmp_path / f"{layout}.png").stat().st_size > 2000


def points(axes: Any, label: str) -> list[tuple[float, float]]:
    """Return where the points of one entry of the legend stand, those without a value left out."""
    found = [bars for bars in axes.containers if bars.get_label() == label]
    marks = np.stack(found[0].lines[0].get_data(), axis=1)
    return [(x, y) for x, y in marks.tolist() if np.isfinite(x)]


def test_a_hospital_in_two_hold_outs_is_drawn_for_each(
    university_c: tuple[Experiment, Scores],
) -> None:
    experiment, scores = university_c
    axes = draw(experiment, tabulate(experiment, scores)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "all hospitals",
        "A",
        "C\n(temporal test, new)",
        "C\n(external test, university_c)",
        "G\n(external test, new)",
    ]
    _, new, alone = experiment.arms
    expected = [(new, "C"), (alone, "C"), (new, "G")]
    values = [scores.get(arm, f"test-site:{s}", "auc_ensemble")["value"] for arm, s in expected]
    assert [x for x, _ in points(axes, "held out")] == values
    assert [round(y) for _, y in points(axes, "held out")] == [2, 3, 4]
    assert [round(y) for _, y in points(axes, "within cross-validation")] == [0, 1, 2, 3, 4]


VIT = {"name": "vit_small_patch16_224", "embed_dim": 192, "num_heads": 3}


@pytest.mark.parametrize("vary", [("model",), ("target", "model"), ("model", "target")])
def test_models_that_differ_at_the_end_of_a_long_name_are_drawn_apart(
    sweep: tuple[Experiment, Any], vary: tuple[str, ...]
) -> None:
    levels = [factor_value({**VIT, "depth": depth}) for depth in (4, 6)]
    arms = tuple(
        Arm(f"a{i}", "split", {"model": levels[i % 2], "target": ["apgar", "ph"][i // 2]}, False)
        for i in range(4 if len(vary) > 1 else 2)
    )
    arms = tuple(
        dataclasses.replace(arm, factors={name: arm.factors[name] for name in vary}) for arm in arms
    )
    table = sweep[1].iloc[: len(arms)].drop(columns="fhr_cutoff")
    for i, name in enumerate(vary):
        table.insert(i, name, [arm.factors[name] for arm in arms])
    plan = Experiment("x", "X", "grid", {name: [] for name in vary}, arms, False, None)
    figure = draw(plan, table)
    drawn = [text.replace("\n", " ") for text in texts(figure)]
    assert all(level in drawn for level in levels)
    lines = [line for text in texts(figure) for line in text.splitlines()]
    assert max(map(len, lines)) <= 34
    assert not any(line.endswith(("embed_dim", "num_heads", "depth")) for line in lines)
    if len(vary) > 1:
        assert {"apgar", "ph"} <= set(drawn)
    assert len({round(y, 3) for bars in figure.axes[0].containers for y in heights(bars)}) == len(
        arms
    )


def heights(bars: Any) -> list[float]:
    return bars.lines[0].get_ydata().tolist()


def test_a_classical_arm_has_a_row_of_its_own_and_no_series(sweep: tuple[Experiment, Any]) -> None:
    factors = [("r", "none"), ("r", "cutmix"), ("logistic", "")]
    arms = tuple(
        Arm(m, "split", {"model": m, **({"augment": a} if a else {})}, False) for m, a in factors
    )
    table = sweep[1].iloc[:3].drop(columns="fhr_cutoff")
    table.insert(0, "model", [model for model, _ in factors])
    table.insert(1, "augment", [augment for _, augment in factors])
    vary = {"model": ["r"], "augment": ["none", "cutmix"]}
    figure = draw(Experiment("x", "X", "grid", vary, arms, False, None), table)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["r", "logistic"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["none", "CutMix"]
    # The one dot of the classical arm stands in the middle of its row.
    assert 1.0 in [y for bars in figure.axes[0].containers for y in heights(bars)]


def test_an_arm_without_the_swept_factor_is_a_line_across(sweep: tuple[Experiment, Any]) -> None:
    table = sweep[1].assign(model=["", "", "", "logistic"])
    table["fhr_cutoff"] = ["none", "0", "5", ""]
    arms = (*sweep[0].arms[:3], Arm("logistic", "split", {"model": "logistic"}, False))
    figure = draw(dataclasses.replace(sweep[0], arms=arms), table)
    across = [line for line in figure.axes[0].lines if line.get_label() == "logistic"]
    assert [line.get_ydata()[0] for line in across] == [table["cv_mean"].iloc[3]]


def test_colours_differ_in_lightness_too() -> None:
    """So that they can be told apart without seeing hue, and in a black and white print."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    light = sorted(float(matplotlib.colors.to_rgb(c) @ weights) for c in COLOURS[:5])
    assert min(np.diff(light)) > 0.02


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Any]:
    """Two models under each of two targets, which have shortcuts of different worth."""
    folder = tmp_path_factory.mktemp("targets")
    studies = [Arms(folder, split=f"{t}-patient-none", seed=i) for i, t in enumerate(("a", "b"))]
    arms = []
    for study, target in zip(studies, ("a", "b"), strict=True):
        for model in ("r", "v"):
            factors = {"target": target, "model": model}
            arms.append(dataclasses.replace(study.score(model, 1.2), factors=factors))
        study.score("shortcut:signal", 0.4)
    plan = Experiment("x", "X", "grid", {"target": [], "model": []}, tuple(arms), False, None)
    return plan, tabulate(plan, *read_scored(*studies))


def shortcut_lines(axes: Any) -> list[Any]:
    return [line for line in axes.lines if line.get_color() == SHORTCUT_COLOUR]


@pytest.mark.parametrize("layout", ["grid", "sweep"])
def test_the_best_shortcut_is_a_dashed_line_through_the_panel_with_its_band(
    two_targets: tuple[Experiment, Any], layout: str
) -> None:
    plan, table = two_targets
    plan = dataclasses.replace(
        plan, layout=layout, arms=plan.arms[:2], vary={"target": [], "model": []}
    )
    figure = draw(plan, table[:2])
    for axes, name in zip(figure.axes, ("shortcut_", "shortcut_test_"), strict=True):
        (line,) = shortcut_lines(axes)
        at = line.get_xdata() if layout == "grid" else line.get_ydata()
        assert list(at) == [table[f"{name}auc"].iloc[0]] * 2
        assert line.is_dashed()
        assert len(axes.patches) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "best shortcut, 95 % interval: signal length and missing share"


def test_a_shortcut_stands_beside_the_arms_of_its_split(
    two_targets: tuple[Experiment, Any],
) -> None:
    plan, table = two_targets
    lines = shortcut_lines(draw(plan, table).axes[0])
    assert [line.get_xdata()[0] for line in lines] == table["shortcut_auc"].tolist()[::2]
    spans = [tuple(sorted(line.get_ydata())) for line in lines]
    assert spans[0][1] < spans[1][0]
    # Rows that splits share: a piece of line for each dot.
    by_model = [plan.arms[i] for i in (0, 2, 1, 3)]
    arms = tuple(
        dataclasses.replace(arm, factors=dict(reversed(arm.factors.items()))) for arm in by_model
    )
    shared = dataclasses.replace(plan, arms=arms, vary={"model": [], "target": []})
    table = table.iloc[[0, 2, 1, 3]].reset_index(drop=True)
    lines = shortcut_lines(draw(shared, table).axes[0])
    assert [line.get_xdata()[0] for line in lines] == table["shortcut_auc"].tolist()
    assert all(abs(np.diff(line.get_ydata())[0]) < 0.25 for line in lines)


def test_one_arm_and_its_shortcut_are_drawn(
    two_targets: tuple[Experiment, Any], tmp_path: Path
) -> None:
    plan, table = two_targets
    one = dataclasses.replace(plan, arms=plan.arms[:1], vary={"model": ["r"]})
    figure = draw(one, table[:1])
    assert len(shortcut_lines(figure.axes[0])) == 1
    save(figure, tmp_path / "one.png")
    without = table[:1].assign(shortcut_auc=np.nan, shortcut_test_auc=np.nan)
    assert not shortcut_lines(draw(one, without).axes[0])
