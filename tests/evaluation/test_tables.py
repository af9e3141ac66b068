"""Tables of experiments: what they hold, what is bold, and that hostile names stay text."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.evaluation.experiments import (
    Arm,
    Experiment,
    Scores,
    read_experiment,
    read_tabulated,
    tabulate,
)
from fewcase.evaluation.tables import LEAKY_NOTE, lay_out, to_latex, to_markdown
from fewcase.evaluation.text import factor_value, for_latex, for_markdown, plain
from fewcase.study.errors import InputError

HOSTILE = (
    '<script>alert("1")</script> | **x** _y_ `z` [a](b) $1$ \\end{table} 50% & #1 ~ ^ \u202eevil\n'
)


def grid(arms: dict[tuple[str, str], str], **options: Any) -> Experiment:
    vary = {
        "model": list(dict.fromkeys(model for model, _ in arms)),
        "augment": list(dict.fromkeys(augment for _, augment in arms)),
    }
    rows = tuple(
        Arm(arm, "split", {"model": model, "augment": augment}, False)
        for (model, augment), arm in arms.items()
    )
    plan = Experiment("grid", "Augmentation", "grid", vary, rows, True, None)
    return dataclasses.replace(plan, **options)


@pytest.fixture(scope="module")
def two_by_two(shared_study: Any) -> tuple[Experiment, Scores]:
    quality = {"a": 0.3, "a+cutmix": 1.6, "b": 1.6, "b+cutmix": 0.3}
    scores = Scores(pd.concat([shared_study.scored(arm, q) for arm, q in quality.items()]))
    arms = dict(zip([("a", "none"), ("a", "cutmix"), ("b", "none"), ("b", "cutmix")], quality))  # noqa: B905
    return grid(arms), scores


def column(table: Any, title: str) -> list[Any]:
    index = [name.replace("\u00a0", " ") for name in table.columns].index(title)
    return [row.cells[index] for row in table.rows]


def test_each_row_holds_the_scores_of_its_arm(two_by_two: tuple[Experiment, Scores]) -> None:
    experiment, scores = two_by_two
    numbers = tabulate(experiment, scores)
    assert numbers["model"].tolist() == ["a", "a", "b", "b"]
    for arm, row in zip(experiment.arms, numbers.to_dict("records"), strict=True):
        assert row["cv_mean"] == scores.get(arm, "cv", "auc_mean")["value"]
        assert row["test_auc"] == scores.get(arm, "test", "auc_ensemble")["value"]
        assert row["test_mean"] == scores.get(arm, "test", "auc_mean")["value"]
        assert row["external_positives"] == scores.get(arm, "external", "auc_mean")["positives"]
    table = lay_out(experiment, numbers)
    expected = [f"{m:.3f} ± {s:.3f}" for m, s in zip(numbers["cv_mean"], numbers["cv_sd"])]  # noqa: B905
    assert [cell.text for cell in column(table, "CV AUC, mean ± SD")] == expected


def test_the_best_of_each_model_is_bold(two_by_two: tuple[Experiment, Scores]) -> None:
    experiment, scores = two_by_two
    table = lay_out(experiment, tabulate(experiment, scores))
    for title in ("CV AUC, mean ± SD", "Test AUC [95 %]"):
        assert [cell.best for cell in column(table, title)] == [False, True, True, False]
    markdown = to_markdown(table)
    assert markdown.count("**") == 2 * 2 * 4
    assert to_latex(table, "grid").count(r"\textbf{") == 2 * 4


def test_simulated_recordings_and_machines_are_told(two_by_two: tuple[Experiment, Scores]) -> None:
    experiment, scores = two_by_two
    table = lay_out(experiment, tabulate(experiment, scores))
    assert table.title == "Augmentation (simulated)"
    assert "Initial weights: none; precision: float32; device: CPU." in table.notes
    real = dataclasses.replace(experiment, simulated=False)
    real_text = to_markdown(lay_out(real, tabulate(real, scores)))
    assert "simulated" not in real_text.lower()


def test_weights_that_differ_between_arms_get_a_column(
    two_by_two: tuple[Experiment, Scores],
) -> None:
    experiment, scores = two_by_two
    table = scores.table.copy()
    table.loc[table["arm"].str.startswith("b"), "weights"] = "imagenet"
    shown = lay_out(experiment, tabulate(experiment, Scores(table)))
    assert [cell.text for cell in column(shown, "Weights")] == ["none"] * 2 + ["imagenet"] * 2


def test_leaky_rows_are_red_and_in_words_and_never_best(
    two_by_two: tuple[Experiment, Scores],
) -> None:
    experiment, scores = two_by_two
    arms = tuple(dataclasses.replace(a, leaky=a.arm == "b") for a in experiment.arms)
    partly = dataclasses.replace(experiment, arms=arms)
    table = lay_out(partly, tabulate(partly, scores))
    assert [row.leaky for row in table.rows] == [False, False, True, False]
    assert not any(cell.best for cell in table.rows[2].cells)
    assert table.rows[2].cells[0].text == "b (leaky)"
    assert LEAKY_NOTE in table.notes
    assert to_latex(table, "x").count(r"\textcolor{red}") == len(table.columns)
    all_leaky = dataclasses.replace(
        experiment, arms=tuple(dataclasses.replace(a, leaky=True) for a in arms)
    )
    table = lay_out(all_leaky, tabulate(all_leaky, scores))
    assert "(leaky)" in to_markdown(table).splitlines()[0]
    assert r"\caption{\textcolor{red}{" in to_latex(table, "x")


def test_published_values_stand_beside_ours(
    two_by_two: tuple[Experiment, Scores], tmp_path: Path
) -> None:
    experiment, scores = two_by_two
    path = tmp_path / "published.csv"
    path.write_text("# a paper\nmodel,augment,cv_mean,cv_sd,test\na,cutmix,0.815,0.025,0.654\n")
    experiment = dataclasses.replace(experiment, published=path)
    table = lay_out(experiment, tabulate(experiment, scores))
    assert [c.text for c in column(table, "Published CV")] == ["–", "0.815 ± 0.025", "–", "–"]
    assert [c.text for c in column(table, "Published test")] == ["–", "0.654", "–", "–"]
    path.write_text("modell,cv_mean\na,0.8\n")
    with pytest.raises(InputError, match="Did you mean 'model'"):
        tabulate(experiment, scores)


def test_hostile_names_stay_text(shared_study: Any) -> None:
    scores = Scores(shared_study.scored("vit"))
    experiment = grid({(HOSTILE, "none"): "vit"}, title=HOSTILE)
    table = lay_out(experiment, tabulate(experiment, scores))
    markdown, latex = to_markdown(table), to_latex(table, HOSTILE)
    assert "<script" not in markdown
    assert "\u202e" not in markdown + latex
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in rows} == {len(table.columns) + 1}
    assert latex.count(r"\end{table}") == 1
    without_escapes = latex.replace(r"\{", "").replace(r"\}", "")
    assert without_escapes.count("{") == without_escapes.count("}")
    body = latex.split("\n", 1)[1].replace(r"\%", "").replace(r"\#", "").replace(r"\$", "")
    assert "%" not in body
    assert "#" not in body


def test_text_is_escaped_character_by_character() -> None:
    assert for_latex("a_b & 50 %") == r"a\_b \& 50 \%"
    assert for_latex("0.80 ± 0.02") == r"0.80 $\pm$ 0.02"
    assert for_markdown("vit_small_224 a|b") == r"vit_small_224 a\|b"
    assert plain("a\n\tb\u200f\u0007") == "a b"
    assert factor_value(None) == "none"
    assert factor_value(5.0) == "5"
    assert factor_value({"name": "vit", "depth": 6}) == "vit (depth=6)"


def test_a_table_read_back_from_its_csv_looks_the_same(
    two_by_two: tuple[Experiment, Scores], tmp_path: Path
) -> None:
    experiment, scores = two_by_two
    numbers = tabulate(experiment, scores)
    path = tmp_path / "grid.csv"
    numbers.to_csv(path, index=False)
    facts = {"name": "grid", "title": "Augmentation", "vary": experiment.vary, "simulated": True}
    back, table = read_tabulated(path, layout="grid", **facts)
    assert lay_out(back, table) == lay_out(experiment, numbers)
    with pytest.raises(InputError, match="not the table of experiment grid in layout sites"):
        read_tabulated(path, layout="sites", **facts)


def test_an_arm_without_scores_is_named(two_by_two: tuple[Experiment, Scores]) -> None:
    experiment, scores = two_by_two
    lost = grid({("a", "none"): "a+cutmixx"})
    with pytest.raises(InputError, match=r"'a\+cutmixx'.*Did you mean 'a\+cutmix'"):
        tabulate(lost, scores)
    assert experiment.leaky == "none"


def test_sites_compare_cross_validation_with_held_out(make_study: Callable[..., Any]) -> None:
    hospitals = {"A": 150, "B": 150}
    parts = [make_study(sites=hospitals).scored("vit", 1.5, "split-none")]
    arms = [Arm("vit", "split-none", {"hold_out": "none"}, False)]
    for site, kind in [("A", "external"), ("B", "temporal")]:
        rest = {k: n for k, n in hospitals.items() if k != site or kind == "temporal"}
        study = make_study(sites=rest, held_out={site: (kind, 150)})
        parts.append(study.scored("vit", 0.5, f"split-{site}"))
        arms.append(Arm("vit", f"split-{site}", {"hold_out": site}, False))
    experiment = Experiment(
        "sites", "Sites", "sites", {"hold_out": ["none", "A", "B"]}, tuple(arms), True, None
    )
    scores = Scores(pd.concat(parts))
    table = lay_out(experiment, tabulate(experiment, scores))
    assert [c.text for c in column(table, "Hospital")][1:] == ["A", "B"]
    assert [c.text for c in column(table, "Test")] == ["–", "external", "temporal"]
    first = scores.get(arms[0], "cv", "auc_mean")["value"]
    assert column(table, "CV AUC [95 %]")[0].text.startswith(f"{first:.3f} [")
    held_out = scores.get(arms[1], "test-site:A", "auc_ensemble")["value"]
    assert column(table, "Held-out AUC [95 %]")[1].text.startswith(f"{held_out:.3f} [")
    within = scores.get(arms[0], "cv-site:A", "auc_pooled")["value"]
    assert column(table, "CV AUC [95 %]")[1].text.startswith(f"{within:.3f} [")


def test_one_kind_of_test_set_is_shown_once(make_study: Callable[..., Any]) -> None:
    study = make_study(sites={"A": 120}, held_out={"B": ("external", 60)})
    scores = Scores(study.scored("vit"))
    experiment = grid({("vit", "none"): "vit"})
    table = lay_out(experiment, tabulate(experiment, scores))
    titles = " ".join(table.columns)
    assert "External AUC" in titles
    assert "Test AUC" not in titles
    assert "Temporal" not in titles


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "pie"}, "no layout 'pie'"),
        ({"arms": [{"arm": "a"}]}, "'split' is missing"),
        (None, "neither JSON nor a file"),
    ],
)
def test_unusable_experiments_are_refused(change: dict | None, message: str) -> None:
    values = {"name": "n", "title": "", "layout": "grid", "vary": {}, "arms": [], "simulated": True}
    text = "{" if change is None else json.dumps(values | change)
    with pytest.raises(InputError, match=message):
        read_experiment(text)


def test_a_table_of_forty_arms_is_made_in_a_second(shared_study: Any) -> None:
    one = shared_study.scored("vit")
    names = {(f"m{i}", f"a{j}"): f"m{i}+a{j}" for i in range(8) for j in range(5)}
    table = pd.concat([one.assign(arm=arm, value=np.nan) for arm in names.values()])
    experiment = grid(names)
    started = time.process_time()
    shown = lay_out(experiment, tabulate(experiment, Scores(table)))
    to_markdown(shown)
    to_latex(shown, "x")
    assert time.process_time() - started < 1
    assert len(shown.rows) == 40
