"""Scores of arms: what is averaged over what, and which merges are refused."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from fewcase.data.files import write_json, write_table
from fewcase.evaluation.scores import (
    RunFile,
    check_merge,
    describe_machines,
    expected_examples,
    read_predictions,
    score_arm,
)
from fewcase.study.errors import InputError

MakeStudy = Callable[..., Any]


def pick(summary: pd.DataFrame, name: str, statistic: str) -> pd.Series:
    rows = summary[(summary["set"] == name) & (summary["statistic"] == statistic)]
    assert len(rows) == 1
    return rows.iloc[0]


def auc_of(table: pd.DataFrame) -> float:
    return sklearn.metrics.roc_auc_score(table["label"], table["score_1"])


def validation_of(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["role"] == "validation"]


def test_mean_sd_and_interval_of_cv_are_over_seeds_and_folds(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    summary, runs = score_arm(predictions, arm="vit", split="s")
    aucs = [auc_of(part) for _, part in validation_of(predictions).groupby(["seed", "fold"])]
    found = pick(summary, "cv", "auc_mean")
    assert (found["runs"], found["examples"], found["patients"]) == (15, 300, 300)
    assert found["value"] == pytest.approx(np.mean(aucs))
    assert found["sd"] == pytest.approx(np.std(aucs, ddof=1))
    half = scipy.stats.t.ppf(0.975, 14) * np.std(aucs, ddof=1) * math.sqrt(1 / 15 + 1 / 4)
    assert found["high"] - found["value"] == pytest.approx(half, rel=0.01)
    of_runs = runs[runs["set"] == "validation"]
    np.testing.assert_allclose(of_runs["auc"], aucs)
    assert of_runs["n"].sum() == 900


def test_pooled_auc_joins_the_folds_of_a_seed_and_averages_seeds(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    summary, _ = score_arm(predictions, arm="vit", split="s")
    validation = validation_of(predictions)
    expected = np.mean([auc_of(part) for _, part in validation.groupby("seed")])
    assert pick(summary, "cv", "auc_pooled")["value"] == pytest.approx(expected)
    at_ibi = validation[validation["site"] == "Ibi"]
    expected = np.mean([auc_of(part) for _, part in at_ibi.groupby("seed")])
    assert pick(summary, "cv-site:Ibi", "auc_pooled")["value"] == pytest.approx(expected)


def test_test_sets_have_the_auc_of_the_mean_score_and_the_mean_of_aucs(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    summary, _ = score_arm(predictions, arm="vit", split="s")
    tests = predictions[predictions["role"] == "test"]
    sets = {
        "test": tests,
        "external": tests[tests["test_set"] == "external"],
        "temporal": tests[tests["test_set"] == "temporal"],
        "test-site:Nakagawa": tests[tests["site"] == "Nakagawa"],
    }
    for name, part in sets.items():
        averaged = part.groupby("example").agg({"score_1": "mean", "label": "first"})
        found = pick(summary, name, "auc_ensemble")
        assert found["value"] == pytest.approx(auc_of(averaged))
        assert found["low"] < found["value"] < found["high"]
        assert (found["method"], found["runs"]) == ("DeLong, logit", 15)
        assert found["positives"] == averaged["label"].sum()
        mean = np.mean([auc_of(run) for _, run in part.groupby(["seed", "fold"])])
        assert pick(summary, name, "auc_mean")["value"] == pytest.approx(mean)


def test_repeated_patients_get_the_clustered_interval(make_study: MakeStudy) -> None:
    study = make_study(sites={"A": 200}, held_out={"B": ("external", 80)}, repeats=True)
    summary, _ = score_arm(read_predictions(study.runs("vit")), arm="vit", split="s")
    for name, statistic in [("cv", "auc_pooled"), ("test", "auc_ensemble"), ("test", "auc_mean")]:
        assert pick(summary, name, statistic)["method"] == "Obuchowski, logit"
    assert pick(summary, "test", "auc_ensemble")["patients"] == 40


def test_scores_are_averaged_to_the_patient_where_asked(make_study: MakeStudy) -> None:
    study = make_study(sites={"A": 200}, held_out={"B": ("external", 80)}, repeats=True)
    predictions = read_predictions(study.runs("vit"))
    summary, _ = score_arm(predictions, arm="vit", split="s", unit="patient")
    found = pick(summary, "test", "auc_ensemble")
    assert found["method"] == "DeLong, logit"
    assert (found["examples"], found["positives"] + found["negatives"]) == (80, 40)
    tests = predictions[predictions["role"] == "test"]
    patients = tests.groupby("patient").agg({"score_1": "mean", "label": "max"})
    assert found["value"] == pytest.approx(auc_of(patients))


def test_a_missing_run_is_named_by_one_of_its_examples(shared_study: Any) -> None:
    files = [f for f in shared_study.runs("vit") if (f.seed, f.fold) != (1, 3)]
    with pytest.raises(InputError, match=r"seed 1: example '\S+' is in no fold's validation part"):
        score_arm(read_predictions(files), arm="vit", split="s")


def test_an_example_missing_from_every_seed_is_found_by_the_split_file(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    expected = expected_examples([shared_study.write_split(seed)[0] for seed in (0, 1, 2)])
    check_merge(predictions, expected)
    gone = expected[0][0]
    with pytest.raises(InputError, match=gone):
        check_merge(predictions[predictions["example"] != gone], expected)


def test_an_example_in_two_folds_is_named_with_them(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    first = validation_of(predictions).iloc[[0]]
    again = first.assign(fold=(first["fold"] + 1) % 5)
    name = first["example"].iloc[0]
    with pytest.raises(InputError, match=f"seed 0: example {name!r} .* folds"):
        check_merge(pd.concat([predictions, again]))


def test_a_run_without_a_test_example_is_named(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    test = (predictions["role"] == "test") & (predictions["seed"] == 2) & (predictions["fold"] == 4)
    row = predictions[test].index[7]
    with pytest.raises(InputError, match=r"seed 2, fold 4: no prediction for test example"):
        check_merge(predictions.drop(row))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score_1", np.float32(np.nan), "score_1 is .*nan"),
        ("score_1", np.float32(np.inf), "score_1 is .*inf"),
        ("label", np.int8(2), "label is .*2.* expected 0 or 1"),
        ("role", "practice", "role is 'practice'"),
    ],
)
def test_unusable_predictions_are_named_by_file_row_and_example(
    small_study: Any, column: str, value: Any, message: str
) -> None:
    file = small_study.runs("vit")[0]
    table = pd.read_parquet(file.path)
    table[column] = [*table[column][:4], value, *table[column][5:]]
    write_table(file.path, table)
    with pytest.raises(InputError, match=message) as error:
        read_predictions([file])
    assert f"{file.path}, row 4, example {table['example'][4]!r}" in str(error.value)


def test_a_run_given_twice_and_an_example_with_two_labels_are_refused(small_study: Any) -> None:
    files = small_study.runs("vit")
    with pytest.raises(InputError, match="seed 0, fold 0 was given before"):
        read_predictions([files[0], files[0]])
    table = pd.read_parquet(files[1].path)
    tested = table["role"] == "test"
    table.loc[tested, "label"] = 1 - table.loc[tested, "label"]
    write_table(files[1].path, table)
    with pytest.raises(InputError, match="label 0 in one run and 1 in another"):
        read_predictions(files[:2])


def test_no_predictions_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no predictions"):
        read_predictions([])
    with pytest.raises(InputError, match=r"gone\.parquet"):
        read_predictions([RunFile(0, 0, tmp_path / "gone.parquet")])


def test_a_set_of_one_class_has_no_auc_but_a_reason(shared_study: Any) -> None:
    predictions = read_predictions(shared_study.runs("vit"))
    abroad = (predictions["site"] == "Nakagawa").to_numpy()
    predictions.loc[abroad, "label"] = 0
    summary, runs = score_arm(predictions, arm="vit", split="s")
    found = pick(summary, "external", "auc_ensemble")
    assert math.isnan(found["value"])
    assert found["method"] == "undefined: no positives"
    assert runs.loc[runs["set"] == "external", "auc"].isna().all()
    assert pick(summary, "test", "auc_ensemble")["value"] > 0.5


def test_a_study_without_held_out_sites_is_scored_by_cv_alone(make_study: MakeStudy) -> None:
    summary, runs = score_arm(
        read_predictions(make_study(sites={"A": 90}).runs("vit")), arm="vit", split="s"
    )
    assert list(summary["set"].unique()) == ["cv", "cv-site:A"]
    assert set(runs["set"]) == {"inner", "validation"}


def test_weights_precision_and_device_are_told_once_each(tmp_path: Path) -> None:
    paths = []
    for i, weights in enumerate(["imagenet", "none", "imagenet"]):
        paths.append(tmp_path / f"{i}.json")
        write_json(paths[-1], {"weights": weights, "precision": "float32", "device": "CPU"})
    assert describe_machines(paths) == {
        "weights": "imagenet; none",
        "precision": "float32",
        "device": "CPU",
    }


def test_thirty_runs_of_five_thousand_rows_are_scored_in_a_second(make_study: MakeStudy) -> None:
    study = make_study(
        sites={"A": 15_000}, held_out={"B": ("external", 800)}, folds=10, prevalence=0.03
    )
    files = study.runs("vit")
    started = time.process_time()
    score_arm(read_predictions(files), arm="vit", split="s")
    assert time.process_time() - started < 2


def test_scoring_and_drawing_import_no_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, 'workflow'); import fewcase.evaluation.scores, "
        "fewcase.evaluation.figures, fewcase.evaluation.report; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
