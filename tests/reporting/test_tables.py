"""Tables of experiments: what they hold, what is bold, and that hostile names stay text."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from fewcase.reporting.display import LEAKY_NOTE, to_latex, to_markdown
from fewcase.reporting.experiment_plan import Arm, Experiment, read_experiment
from fewcase.reporting.experiment_tables import CAPTIONS, caption_of, lay_out
from fewcase.reporting.experiments import Scores, tabulate
from fewcase.reporting.measure_tables import lay_out_measures, tabulate_measures
from fewcase.reporting.text import (
    difference,
    factor_value,
    for_latex,
    for_markdown,
    p_value,
    plain,
    shortcut_title,
    signed,
)
from fewcase.study.errors import InputError
from fewcase.study.words import LAYOUTS
from scored_arms import Arms, read_scored, without_bootstrap

HOSTILE = (
    '<script>alert("1")</script> | **x** _y_ `z` [a](b) $1$ \\end{table} 50% & #1 ~ ^ \u202eevil\n'
)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with without_bootstrap():
        yield


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
    path = tmp_path / "paper.yaml"
    values = {"id": "t", "where": "Table 1", "experiment": experiment.name}
    values |= {"factors": ["model", "augment"], "columns": ["cv_mean", "cv_sd", "test"]}
    paper = {"title": "A", "authors": "B", "journal": "C", "year": 2024, "doi": "10/1"}
    path.write_text(
        yaml.safe_dump(
            {**paper, "arms": [{**values, "rows": [["a", "cutmix", 0.815, 0.025, 0.654]]}]}
        )
    )
    experiment = dataclasses.replace(experiment, published=path)
    table = lay_out(experiment, tabulate(experiment, scores))
    assert [c.text for c in column(table, "Published CV")] == ["–", "0.815 ± 0.025", "–", "–"]
    assert [c.text for c in column(table, "Published test")] == ["–", "0.654", "–", "–"]
    other = dataclasses.replace(experiment, name="of another paper")
    assert "Published CV" not in lay_out(other, tabulate(other, scores)).columns


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
    assert factor_value({"name": "vit", "depth": 6, "act": None}) == "vit (depth 6, act none)"
    assert factor_value({"depth": 6}) == "depth 6"
    assert factor_value({}) == "none"


def test_a_caption_speaks_of_a_test_set_and_of_shortcuts_only_where_there_are_any() -> None:
    plan = grid({("a", "none"): "a"})
    with_both = pd.DataFrame({"test_auc": [0.7], "shortcut_auc": [0.6]})
    without = with_both * float("nan")
    for layout in ("grid", "sweep"):
        of_layout = dataclasses.replace(plan, layout=layout)
        assert "test set" in caption_of(of_layout, with_both)
        assert "The dashed line with its band is the best shortcut" in caption_of(
            of_layout, with_both
        )
        assert "test set" not in caption_of(of_layout, without)
        assert "shortcut" not in caption_of(of_layout, without)
    assert caption_of(dataclasses.replace(plan, layout="sites"), pd.DataFrame()) != ""


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


def test_a_hospital_in_two_hold_outs_has_a_row_for_each(
    university_c: tuple[Experiment, Scores],
) -> None:
    """University C is a temporal test by its later years, and an external one as a whole."""
    experiment, scores = university_c
    table = lay_out(experiment, tabulate(experiment, scores))
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert table.columns[:3] == ("Hospital", "Hold-out", "Test")
    assert [row[:3] for row in rows] == [
        ["all hospitals of the cross-validation", "–", "–"],
        ["A", "–", "–"],
        ["C", "new", "temporal"],
        ["C", "university_c", "external"],
        ["G", "new", "external"],
    ]
    whole, new, alone = experiment.arms
    held_out = [cell.text for cell in column(table, "Held-out AUC [95 %]")]
    for row, (arm, site) in enumerate([(new, "C"), (alone, "C"), (new, "G")], start=2):
        expected = scores.get(arm, f"test-site:{site}", "auc_ensemble")["value"]
        assert held_out[row].startswith(f"{expected:.3f} [")
    assert len(set(held_out[2:])) == 3
    within = [cell.text for cell in column(table, "CV AUC [95 %]")]
    expected = scores.get(whole, "cv-site:C", "auc_pooled")["value"]
    assert within[2] == within[3]
    assert within[2].startswith(f"{expected:.3f} [")
    assert within[4] != "–"


def test_without_a_split_that_holds_nothing_out_each_has_its_own_cross_validation(
    university_c: tuple[Experiment, Scores],
) -> None:
    experiment, scores = university_c
    experiment = dataclasses.replace(experiment, arms=experiment.arms[1:])
    table = lay_out(experiment, tabulate(experiment, scores))
    rows = [[cell.text for cell in row.cells[:3]] for row in table.rows]
    everywhere = "all hospitals of the cross-validation"
    assert rows == [
        [everywhere, "new", "–"],
        [everywhere, "university_c", "–"],
        ["A", "new", "–"],
        ["A", "university_c", "–"],
        ["C", "new", "temporal"],
        ["C", "university_c", "external"],
        ["G", "new", "external"],
        ["G", "university_c", "–"],
    ]
    within = column(table, "CV AUC [95 %]")[4].text
    expected = scores.get(experiment.arms[0], "cv-site:C", "auc_pooled")["value"]
    assert within.startswith(f"{expected:.3f} [")


def test_recipes_of_a_site_table_keep_apart(university_c: tuple[Experiment, Scores]) -> None:
    experiment, scores = university_c
    other = scores.table.assign(arm="vit+cutmix", value=scores.table["value"] / 2)
    arms = [
        dataclasses.replace(arm, arm=name, factors={**arm.factors, "augment": level})
        for name, level in [("vit", "none"), ("vit+cutmix", "cutmix")]
        for arm in experiment.arms
    ]
    both = dataclasses.replace(experiment, arms=tuple(arms))
    table = lay_out(both, tabulate(both, Scores(pd.concat([scores.table, other]))))
    assert [c.text for c in column(table, "Arm")] == ["none"] * 5 + ["CutMix"] * 5
    values = [cell.text for cell in column(table, "Held-out AUC [95 %]")]
    assert all(one != two for one, two in zip(values[2:5], values[7:], strict=True))
    assert table.rows[5].starts_group


VIT = {"name": "vit_small_patch16_224", "depth": 4, "embed_dim": 192, "num_heads": 3}
VIT_SHOWN = "vit_small_patch16_224 (depth 4, embed_dim 192, num_heads 3)"


@pytest.fixture(scope="module")
def labels_compared(shared_study: Any) -> tuple[Experiment, Scores]:
    """Two labels × three models: a reduced one by a mapping, a small one, a classical one."""
    models = [(VIT, "vit+depth=4"), ("lcnet_050", "lcnet_050"), ("logistic", "logistic")]
    parts, arms = [], []
    for target, harder in [("apgar", 1.0), ("ph", 0.2)]:
        for k, (model, arm) in enumerate(models):
            split = f"{target}-patient-none"
            scored = shared_study.scored(arm, harder * (k + 1), split)
            if arm == "logistic":
                scored = scored.assign(weights="none (fitted)", precision="")
            parts.append(scored)
            arms.append(Arm(arm, split, {"target": target, "model": model}, False))
    vary = {"target": ["apgar", "ph"], "model": [model for model, _ in models]}
    plan = Experiment("labels_compared", "Labels", "grid", vary, tuple(arms), True, None)
    return plan, Scores(pd.concat(parts))


def test_a_model_with_options_reads_as_words(labels_compared: tuple[Experiment, Scores]) -> None:
    experiment, scores = labels_compared
    table = lay_out(experiment, tabulate(experiment, scores))
    assert [c.text for c in column(table, "Model")] == [VIT_SHOWN, "lcnet_050", "logistic"] * 2
    assert f"| {VIT_SHOWN} |" in to_markdown(table)
    assert VIT_SHOWN.replace("_", r"\_") in to_latex(table, "x")


def test_a_latex_table_is_never_wider_than_its_column(
    labels_compared: tuple[Experiment, Scores],
) -> None:
    experiment, scores = labels_compared
    latex = to_latex(lay_out(experiment, tabulate(experiment, scores)), "x")
    assert (
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{\begin{tabular}" in latex
    )
    assert r"\end{tabular}}" in latex
    assert "graphicx" in latex.splitlines()[0]


@pytest.mark.parametrize("vary", [("model", "augment"), ("target", "model")])
def test_factors_stand_in_the_order_of_the_study_file_whatever_that_of_the_keys(
    vary: tuple[str, str],
) -> None:
    """As the rule passes an experiment: a JSON object with its keys sorted."""
    levels = [["z", "a"], ["y", "b", "c"]]
    arms = [
        {"arm": "a", "split": "s", "factors": dict(zip(vary, pair, strict=True))}
        for pair in itertools.product(*levels)
    ]
    arms.append({"arm": "logistic", "split": "s", "factors": {"model": "logistic"}})
    plan = {"vary": dict(zip(vary, levels, strict=True)), "arms": arms, "simulated": True}
    text = json.dumps({"name": "n", "layout": "grid", **plan}, sort_keys=True)
    assert read_experiment(text).factors == list(vary)


def test_the_target_is_shown_and_arms_compete_under_one_target_only(
    labels_compared: tuple[Experiment, Scores],
) -> None:
    experiment, scores = labels_compared
    table = lay_out(experiment, tabulate(experiment, scores))
    assert table.columns[:2] == ("Target", "Model")
    assert [c.text for c in column(table, "Target")] == ["apgar"] * 3 + ["ph"] * 3
    assert [row.starts_group for row in table.rows] == [False, False, False, True, False, False]
    best = [False, False, True]
    assert [c.best for c in column(table, "CV AUC, mean ± SD")] == best * 2
    by_model = dataclasses.replace(
        experiment,
        vary=dict(reversed(experiment.vary.items())),
        arms=tuple(
            dataclasses.replace(arm, factors=dict(reversed(arm.factors.items())))
            for arm in sorted(experiment.arms, key=lambda arm: arm.arm)
        ),
    )
    table = lay_out(by_model, tabulate(by_model, scores))
    assert table.columns[:2] == ("Model", "Target")
    assert not any(c.best for c in column(table, "CV AUC, mean ± SD"))


@pytest.mark.parametrize("said", [{}, {"augment": "cutmix", "weights": "none"}])
def test_a_classical_arm_has_no_weights_and_no_augmentation(
    shared_study: Any, said: dict[str, str]
) -> None:
    networks = {("resnet18", "none"): "r", ("resnet18", "cutmix"): "r+cutmix"}
    weights = dict(zip(networks.values(), ["imagenet", "none"], strict=True))
    fitted = {"weights": "none (fitted)", "precision": "", "device": "CPU"}
    parts = [shared_study.scored(arm).assign(weights=name) for arm, name in weights.items()]
    parts.append(shared_study.scored("logistic").assign(**fitted))
    plan = grid(networks)
    classical = Arm("logistic", "split", {"model": "logistic", **said}, False)
    plan = dataclasses.replace(plan, arms=(*plan.arms, classical))
    table = lay_out(plan, tabulate(plan, Scores(pd.concat(parts))))
    assert [c.text for c in column(table, "Augmentation")] == ["none", "CutMix", "–"]
    assert column(table, "Weights")[2].text == "–"
    assert "Precision" not in table.columns
    if not said:
        assert [c.text for c in column(table, "Weights")] == ["imagenet", "none", "–"]
        parts[1] = parts[1].assign(weights="imagenet")
        table = lay_out(plan, tabulate(plan, Scores(pd.concat(parts))))
        assert "Weights" not in table.columns
        assert "Initial weights: imagenet; precision: float32; device: CPU." in table.notes


def test_arms_on_different_devices_are_told(two_by_two: tuple[Experiment, Scores]) -> None:
    experiment, scores = two_by_two
    table = scores.table.copy()
    table.loc[table["arm"] == "b", "device"] = "NVIDIA H200"
    shown = lay_out(experiment, tabulate(experiment, Scores(table)))
    assert "Initial weights: none; precision: float32; device: CPU, NVIDIA H200." in shown.notes


def test_one_kind_of_test_set_is_shown_once(make_study: Callable[..., Any]) -> None:
    study = make_study(sites={"A": 120}, held_out={"B": ("external", 60)})
    scores = Scores(study.scored("vit"))
    experiment = grid({("vit", "none"): "vit"})
    table = lay_out(experiment, tabulate(experiment, scores))
    titles = " ".join(table.columns)
    assert "External AUC" in titles
    numbers = tabulate(experiment, scores).assign(test_difference=[0.1], reference=["no"])
    assert "External Δ [95\u00a0%], p" in lay_out(experiment, numbers).columns
    assert "Test AUC" not in titles
    assert "Temporal" not in titles


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "pie"}, "no layout 'pie'"),
        ({"arms": [{"arm": "a"}]}, "'split' is missing"),
        ({"layout": "list"}, "no layout 'list'"),
        (None, "not JSON"),
    ],
)
def test_unusable_experiments_are_refused(change: dict | None, message: str) -> None:
    values = {"name": "n", "title": "", "layout": "grid", "vary": {}, "arms": [], "simulated": True}
    text = "{" if change is None else json.dumps(values | change)
    with pytest.raises(InputError, match=message):
        read_experiment(text)


def test_tables_and_captions_know_the_layouts_of_the_study_file() -> None:
    assert set(CAPTIONS) == set(LAYOUTS)
    values = {"name": "n", "title": "", "vary": {}, "arms": [], "simulated": True}
    for layout in LAYOUTS:
        assert read_experiment(json.dumps(values | {"layout": layout})).layout == layout


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


@pytest.fixture(scope="module")
def with_shortcuts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, pd.DataFrame]:
    """Three arms of one split, the first no better than the best shortcut."""
    made = Arms(tmp_path_factory.mktemp("study"))
    gains = {"resnet18": 0.6, "vit": 2.2, "logistic": 0.5}
    arms = [made.score(name, gain) for name, gain in gains.items()]
    made.score("shortcut:prior", -0.5)
    made.score("shortcut:four_features", 0.6)
    plan = Experiment("x", "Models", "grid", {"model": list(gains)}, tuple(arms), False, None)
    return plan, tabulate(plan, *read_scored(made))


def test_differences_from_the_reference_are_one_column_with_interval_and_p(
    with_shortcuts: tuple[Experiment, pd.DataFrame],
) -> None:
    table = lay_out(*with_shortcuts)
    numbers = with_shortcuts[1].to_dict("records")
    for title, side in [("CV Δ [95 %], p", "cv"), ("Test Δ [95 %], p", "test")]:
        texts = [cell.text for cell in column(table, title)]
        assert texts[0] == "reference"
        for text, row in zip(texts[1:], numbers[1:], strict=True):
            value, low, high = (row[f"{side}_difference{end}"] for end in ("", "_low", "_high"))
            p = row[f"{side}_difference_holm"]
            assert text == f"{difference(value, low, high)}, {p_value(p)}"
    assert table.reading.startswith("How to read: ")
    note = next(note for note in table.notes if note.startswith("Δ"))
    assert "the reference, resnet18;" in note
    assert "corrected resampled t" in note
    assert "DeLong" in note
    assert "Holm" in note


def test_arms_not_shown_to_beat_the_best_shortcut_have_a_dagger(
    with_shortcuts: tuple[Experiment, pd.DataFrame],
) -> None:
    table = lay_out(*with_shortcuts)
    marked = [cell.text.endswith("†") for cell in column(table, "CV AUC, mean ± SD")]
    assert marked == [True, False, True]
    auc = with_shortcuts[1]["shortcut_auc"].iloc[0]
    start = f"† not shown to beat the best shortcut, four CTG features (AUC {auc:.3f})"
    assert any(note.startswith(start) for note in table.notes)
    assert r"$\dagger$" in to_latex(table, "x")
    unknown = with_shortcuts[1].assign(beats_shortcut="")
    assert "†" not in to_markdown(lay_out(with_shortcuts[0], unknown))


def test_shortcuts_of_several_splits_are_named_with_their_split(tmp_path: Path) -> None:
    studies = [Arms(tmp_path, split=f"{target}-patient-none") for target in ("apgar", "ph")]
    arms = []
    for study, target in zip(studies, ("apgar", "ph"), strict=True):
        arms.append(dataclasses.replace(study.score("vit", 0.5), factors={"target": target}))
        study.score("shortcut:signal", 0.5)
    plan = Experiment("x", "Labels", "grid", {"target": []}, tuple(arms), False, None)
    table = lay_out(plan, tabulate(plan, *read_scored(*studies)))
    note = next(note for note in table.notes if note.startswith("†"))
    assert "split apgar-patient-none" in note
    assert "split ph-patient-none" in note
    assert sum("could tell an AUC" in note for note in table.notes) == 2
    assert "Δ" not in " ".join(table.columns)


def test_signs_and_p_values_are_never_ambiguous() -> None:
    assert difference(-0.012, -0.034, 0.01) == "−0.012 [−0.034 to 0.010]"
    assert difference(0.012, -0.01, 0.034) == "+0.012 [−0.010 to 0.034]"
    assert difference(0.012, float("nan"), float("nan")) == "+0.012"
    assert difference(-0.0001, float("nan"), float("nan")) == "0.000"
    assert signed(float("nan")) == "–"
    assert [p_value(p) for p in (0.0002, 0.0312, 0.31, 1.0, float("nan"))] == [
        *("p < 0.001", "p 0.031", "p 0.31", "p 1.00", "p –")
    ]
    assert p_value(0.0496) == "p 0.0496"
    assert for_latex(difference(-0.012, -0.034, 0.01)) == (r"$-$0.012 {[}$-$0.034 to 0.010{]}")
    assert shortcut_title("prior") == "class prior"
    assert shortcut_title("new_one") == "new one"


MEASURED = {
    "average_precision": (0.41, 0.31, 0.52),
    "sensitivity": (0.71, 0.60, 0.80),
    "specificity": (0.82, 0.77, 0.86),
    "sensitivity_at_specificity_90": (0.55, 0.40, 0.69),
    "brier": (0.12, 0.10, 0.14),
    "ece": (0.04, 0.02, 0.07),
    "calibration_slope": (0.90, -0.10, 1.90),
}


def measured(
    folder: Path, rows: list[tuple[str, str, tuple[float, float, float]]], *arms: str
) -> tuple[Experiment, Scores]:
    """Return arms whose test set and cross-validation have given measures (statistic, class)."""
    study = Arms(folder)
    scored = tuple(study.score(name) for name in arms)
    table = read_scored(study)[0].table
    base = table[table["statistic"] == "auc_pooled"]
    parts = [
        base.assign(**{"set": name, "class": of_class}, statistic=s, value=v, low=low, high=high)
        for name in ("cv", "test")
        for s, of_class, (v, low, high) in rows
    ]
    plan = Experiment("x", "Models", "grid", {"model": list(arms)}, scored, False, None)
    return plan, Scores(pd.concat([table, *parts], ignore_index=True))


def test_measures_stand_in_a_table_for_each_set_with_the_level_of_chance(tmp_path: Path) -> None:
    plan, scores = measured(tmp_path, [(s, "", v) for s, v in MEASURED.items()], "a", "b")
    measures = tabulate_measures(plan, scores)
    assert measures["set"].tolist() == ["cv", "test"] * 2
    tables = lay_out_measures(plan, measures)
    assert [t.title for t in tables] == [
        "Models: more than the AUC, cross-validation",
        "Models: more than the AUC, test set",
    ]
    assert [cell.text for cell in tables[0].rows[0].cells] == [
        "a",
        "0.41 [0.31–0.52]",
        "0.71 [0.60–0.80]",
        "0.82 [0.77–0.86]",
        "0.55 [0.40–0.69]",
        "0.120 [0.100–0.140]",
        "0.040 [0.020–0.070]",
        "0.90 [−0.10 to 1.90]",
    ]
    assert tables[0].reading.startswith("How to read: ")
    share = scores.get(plan.arms[0], "cv", "auc_mean")["positives"] / 300
    assert any(f"which guessing reaches, here {share:.3f}." in n for n in tables[0].notes)


def test_measures_that_no_arm_has_are_left_out(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [("brier", "", (0.1, nan, nan)), ("sensitivity", "", (nan, nan, nan))]
    plan, scores = measured(tmp_path, rows, "a")
    table = lay_out_measures(plan, tabulate_measures(plan, scores))[0]
    assert table.columns == ("Model", "Brier score")
    assert table.rows[0].cells[1].text == "0.100"
    assert not any("Sensitivity" in note for note in table.notes)
    none = measured(tmp_path / "none", [], "a")
    assert lay_out_measures(none[0], tabulate_measures(*none)) == []


def test_several_classes_have_an_auc_each(tmp_path: Path) -> None:
    rows: list[Any] = [("accuracy", "", (0.8, 0.7, 0.9))]
    for of_class in ("0", "1", "2"):
        value = 0.6 + 0.1 * int(of_class)
        rows += [(s, of_class, (value, value - 0.1, value + 0.1)) for s in ("auc_pooled",)]
        rows += [(s, of_class, (value, value - 0.1, value + 0.1)) for s in ("auc_ensemble",)]
    plan, scores = measured(tmp_path, rows, "a", "b")
    tables = lay_out_measures(plan, tabulate_measures(plan, scores))
    assert [t.title.rpartition(": ")[2] for t in tables] == [
        "more than the AUC, cross-validation",
        "single classes, cross-validation",
        "more than the AUC, test set",
        "single classes, test set",
    ]
    assert tables[0].columns == ("Model", "Accuracy")
    assert tables[1].columns == ("Model", "AUC of class 0", "AUC of class 1", "AUC of class 2")
    assert [cell.text for cell in tables[1].rows[1].cells] == [
        *("b", "0.600 [0.500–0.700]", "0.700 [0.600–0.800]", "0.800 [0.700–0.900]")
    ]
    assert tables[1].reading.startswith("How to read: the AUC of a class")


def test_a_slope_that_runs_away_has_no_digits_behind_the_point(tmp_path: Path) -> None:
    rows = [("calibration_slope", "", (-176.791, -988.03, 12.3))]
    plan, scores = measured(tmp_path, rows, "a")
    table = lay_out_measures(plan, tabulate_measures(plan, scores))[0]
    assert table.rows[0].cells[1].text == "−177 [−988 to 12]"


def test_a_leaky_arm_is_red_in_its_measures_too(tmp_path: Path) -> None:
    plan, scores = measured(tmp_path, [("brier", "", (0.1, 0.0, 0.2))], "a", "b")
    arms = tuple(dataclasses.replace(arm, leaky=arm.arm == "b") for arm in plan.arms)
    partly = dataclasses.replace(plan, arms=arms)
    table = lay_out_measures(partly, tabulate_measures(partly, scores))[0]
    assert [row.leaky for row in table.rows] == [False, True]
    assert table.rows[1].cells[0].text == "b (leaky)"
    assert LEAKY_NOTE in table.notes
