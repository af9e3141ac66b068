"""Classes in tables: each against the rest, the right one among three, and degrees in order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from fewcase.evaluation.scores import Scored, score_arm, write_scores
from fewcase.reporting.display import DisplayTable
from fewcase.reporting.experiment_figures import draw
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.experiment_tables import lay_out
from fewcase.reporting.experiments import tabulate
from fewcase.reporting.measure_tables import lay_out_measures, tabulate_measures
from fewcase.reporting.performance import Subject, read_summary, tabulate_performance
from fewcase.reporting.performance_tables import lay_out_performance
from fewcase.reporting.selection import tabulate_selection
from fewcase.statistics.accuracy import compare_accuracies
from scored_classes import ClassStudy, without_bootstraps

NAMES = ("F0", "F1", "F2", "F3", "F4")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ClassStudy:
    return ClassStudy(tmp_path_factory.mktemp("five"), classes=5, images=60, folds=3, tests=30)


@pytest.fixture(scope="module")
def plan(study: ClassStudy) -> Experiment:
    """An experiment about top-3 accuracy, its arms and a shortcut scored."""
    arms = tuple(study.score(name, skill) for name, skill in [("a", 0.2), ("b", 0.9)])
    study.score("shortcut:pixels", 0.1)
    names = {study.split: NAMES}
    plan = Experiment("x", "Models", "grid", {"model": []}, arms, False, None, unit="tile")
    return dataclasses.replace(plan, measures=("top3_accuracy",), class_names=names)


def units_of(study: ClassStudy, arm: str, name: str) -> pd.DataFrame:
    units = pd.read_parquet(study.files[arm]["units"])
    return units[units["set"] == name].sort_values("unit")


def scores_of(units: pd.DataFrame) -> np.ndarray:
    return units[[f"score_{k}" for k in range(5)]].to_numpy()


def performance(scored: Scored, folder: Path) -> dict[str, DisplayTable]:
    write_scores(scored, folder / "a.csv", folder / "r.csv", None, None)
    subject = Subject("Stages", False, "a", "s", False, NAMES, unit="tile")
    summary = read_summary(folder / "a.csv")
    tables = lay_out_performance(subject, tabulate_performance(subject, summary))
    return {table.title.partition(": ")[2]: table for table in tables}


def cell(table: DisplayTable, column: str, *words: str) -> str:
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    (row,) = [row for row in rows if tuple(row[: len(words)]) == words]
    return row[table.columns.index(column)]


def test_an_experiment_is_about_the_right_class_among_three(
    study: ClassStudy, plan: Experiment
) -> None:
    table = tabulate(plan, *study.read())
    labels = units_of(study, "a", "test")["label"].to_numpy()
    near = []
    for arm, row in zip("ab", table.to_dict("records"), strict=True):
        units = units_of(study, arm, "test")
        expected = sklearn.metrics.top_k_accuracy_score(labels, scores_of(units), k=3)
        assert row["test_value"] == pytest.approx(expected)
        seeds = units_of(study, arm, "cv")[[f"top3_seed_{seed}" for seed in range(3)]]
        assert row["cv_pooled"] == pytest.approx(seeds.to_numpy().mean())
        third = np.sort(scores_of(units), axis=1)[:, -3]
        near.append(scores_of(units)[np.arange(labels.size), labels] >= third)
    patients = pd.factorize(units_of(study, "a", "test")["patient"])[0]
    expected = compare_accuracies(np.array(near, float), labels, patients)[1]
    second = table.iloc[1]
    assert second["test_difference"] == pytest.approx(expected.value)
    assert second["test_difference_p"] == pytest.approx(expected.p)
    runs = [pd.read_csv(study.files[arm]["runs"]) for arm in ("a", "b", "shortcuts")]
    values = [of[of["set"] == "validation"]["top3_accuracy"].to_numpy() for of in runs]
    assert second["cv_difference"] == pytest.approx((values[1] - values[0]).mean())
    assert second["shortcut_value"] == pytest.approx(values[2].mean())


def test_its_tables_and_figure_speak_of_top_3_accuracy(study: ClassStudy, plan: Experiment) -> None:
    scores, evidence = study.read()
    table = tabulate(plan, scores, evidence)
    shown = lay_out(plan, table)
    assert any(column.startswith("CV top-3 accuracy") for column in shown.columns)
    assert "among the three with the highest scores" in shown.reading
    assert any(note.startswith("The three classes with the highest") for note in shown.notes)
    assert draw(plan, table).axes[0].get_xlabel().startswith("Top-3 accuracy")
    chosen = dataclasses.replace(plan, selection=True)
    assert tabulate_selection(chosen, table, evidence)["nested"].notna().all()
    # Beside it stand all the other measures, and whole images.
    measures = lay_out_measures(plan, tabulate_measures(plan, scores))
    assert {"Accuracy", "Top-3 accuracy"} <= set(measures[0].columns)
    assert any(c.startswith("Top-3 accuracy of images") for t in measures for c in t.columns)


def test_every_class_has_its_accuracy_against_the_rest_beside_its_sensitivity(
    study: ClassStudy, tmp_path: Path
) -> None:
    predictions = study.predictions("a", 0.4)
    with without_bootstraps():
        scored = score_arm(predictions, arm="a", split="s")
    tables = performance(scored, tmp_path)
    table = tables["by class"]
    tests = predictions[predictions["role"] == "test"]
    means = tests.groupby("example")[[*(f"score_{k}" for k in range(5)), "label"]].mean()
    called = scores_of(means).argmax(axis=1)
    for k, name in enumerate(NAMES):
        found = cell(table, "Accuracy [95\u00a0%]", name, "External test")
        expected = sklearn.metrics.accuracy_score(means["label"] == k, called == k)
        assert found.startswith(f"{expected:.3f} [")
        recall = sklearn.metrics.recall_score(means["label"] == k, called == k)
        found = cell(table, "Sensitivity [95\u00a0%]", name, "External test")
        assert found.startswith(f"{recall:.3f} [")
    assert "of a rare class it is high" in table.notes[0]
    near = sklearn.metrics.top_k_accuracy_score(means["label"], scores_of(means), k=3)
    column = "External test [95\u00a0%]"
    assert cell(tables["all measures"], column, "Top-3 accuracy").startswith(f"{near:.3f} [")
    assert "at least a class" not in tables
    assert "kappa" not in str(tables["all measures"])


def test_degrees_have_a_table_of_at_least_each_and_a_kappa(tmp_path: Path) -> None:
    study = ClassStudy(tmp_path, classes=5, images=20, tiles=1, folds=2, seeds=1, tests=40)
    predictions = study.predictions("a", 0.4)
    tables = performance(score_arm(predictions, arm="a", split="s", is_ordered=True), tmp_path)
    table = tables["at least a class"]
    tests = predictions[predictions["role"] == "test"]
    means = tests.groupby("example")[[*(f"score_{k}" for k in range(5)), "label"]].mean()
    for k, name in enumerate(NAMES[1:], start=1):
        above = means["label"] >= k
        words = f"at least {name}", "External test"
        expected = sklearn.metrics.roc_auc_score(above, scores_of(means)[:, k:].sum(axis=1))
        assert cell(table, "AUC [95\u00a0%]", *words).startswith(f"{expected:.3f} [")
        assert cell(table, "n / positive", *words) == f"{len(means)} / {above.sum()}"
    assert len(table.rows) == 2 * 4
    # Of the class alone as many are positive as they were.
    alone = cell(tables["by class"], "n / positive", "F2", "External test")
    assert alone == f"{len(means)} / {(means['label'] == 2).sum()}"
    column = "External test [95\u00a0%]"
    called = scores_of(means).argmax(axis=1)
    kappa = sklearn.metrics.cohen_kappa_score(means["label"], called, weights="quadratic")
    found = cell(tables["all measures"], column, "Quadratically weighted kappa")
    assert found.startswith(f"{kappa:.3f} [")
    assert " to " in found
    assert any(note.startswith("Kappa: ") for note in tables["all measures"].notes)
