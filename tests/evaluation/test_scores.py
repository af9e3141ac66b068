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
from fewcase.evaluation.predictions import (
    RunFile,
    check_merge,
    describe_machines,
    expected_examples,
    read_predictions,
)
from fewcase.evaluation.scores import Scored, score_arm
from fewcase.statistics.calibration import Prevalence
from fewcase.study.errors import InputError

MakeStudy = Callable[..., Any]


@pytest.fixture(scope="module")
def predictions(shared_study: Any) -> pd.DataFrame:
    """Return predictions that no test changes."""
    return read_predictions(shared_study.runs("vit"))


@pytest.fixture(scope="module")
def scored(predictions: pd.DataFrame) -> Scored:
    return score_arm(predictions, arm="vit", split="s")


def pick(summary: pd.DataFrame, name: str, statistic: str) -> pd.Series:
    rows = summary[(summary["set"] == name) & (summary["statistic"] == statistic)]
    assert len(rows) == 1
    return rows.iloc[0]


def auc_of(table: pd.DataFrame) -> float:
    return sklearn.metrics.roc_auc_score(table["label"], table["score_1"])


def validation_of(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["role"] == "validation"]


def test_mean_sd_and_interval_of_cv_are_over_seeds_and_folds(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    summary, runs = scored.summary, scored.runs
    aucs = [auc_of(part) for _, part in validation_of(predictions).groupby(["seed", "fold"])]
    found = pick(summary, "cv", "auc_mean")
    assert (found["runs"], found["examples"], found["patients"]) == (15, 300, 300)
    assert found["value"] == pytest.approx(np.mean(aucs))
    assert found["sd"] == pytest.approx(np.std(aucs, ddof=1))
    # A run validates 60 and trains on the other 240 of its seed, less those that stop it.
    stopping = predictions[predictions["role"] == "inner"].groupby(["seed", "fold"]).size()
    assert stopping.min() > 30
    ratio = np.mean(60 / (240 - stopping))
    half = scipy.stats.t.ppf(0.975, 14) * np.std(aucs, ddof=1) * math.sqrt(1 / 15 + ratio)
    assert found["high"] - found["value"] == pytest.approx(half, rel=1e-6)
    of_runs = runs[runs["set"] == "validation"]
    np.testing.assert_allclose(of_runs["auc"], aucs)
    assert of_runs["n"].sum() == 900


def test_pooled_auc_joins_the_folds_of_a_seed_and_averages_seeds(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    summary = scored.summary
    validation = validation_of(predictions)
    expected = np.mean([auc_of(part) for _, part in validation.groupby("seed")])
    assert pick(summary, "cv", "auc_pooled")["value"] == pytest.approx(expected)
    at_ibi = validation[validation["site"] == "Ibi"]
    expected = np.mean([auc_of(part) for _, part in at_ibi.groupby("seed")])
    assert pick(summary, "cv-site:Ibi", "auc_pooled")["value"] == pytest.approx(expected)


def test_test_sets_have_the_auc_of_the_mean_score_and_the_mean_of_aucs(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    summary = scored.summary
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
    summary = score_arm(read_predictions(study.runs("vit")), arm="vit", split="s").summary
    for name, statistic in [("cv", "auc_pooled"), ("test", "auc_ensemble"), ("test", "auc_mean")]:
        assert pick(summary, name, statistic)["method"] == "Obuchowski, logit"
    assert pick(summary, "test", "auc_ensemble")["patients"] == 40


def test_scores_are_averaged_to_the_patient_where_asked(make_study: MakeStudy) -> None:
    study = make_study(sites={"A": 200}, held_out={"B": ("external", 80)}, repeats=True)
    predictions = read_predictions(study.runs("vit"))
    summary = score_arm(predictions, arm="vit", split="s", unit="patient").summary
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


def test_an_example_missing_from_every_seed_is_found_by_the_split_file(
    predictions: pd.DataFrame, shared_study: Any
) -> None:
    expected = expected_examples([shared_study.write_split(seed)[0] for seed in (0, 1, 2)])
    check_merge(predictions, expected)
    gone = expected[0][0]
    with pytest.raises(InputError, match=gone):
        check_merge(predictions[predictions["example"] != gone], expected)


def test_an_example_in_two_folds_is_named_with_them(predictions: pd.DataFrame) -> None:
    first = validation_of(predictions).iloc[[0]]
    again = first.assign(fold=(first["fold"] + 1) % 5)
    name = first["example"].iloc[0]
    with pytest.raises(InputError, match=f"seed 0: example {name!r} .* folds"):
        check_merge(pd.concat([predictions, again]))


def test_a_run_without_a_test_example_is_named(predictions: pd.DataFrame) -> None:
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


def test_a_set_of_one_class_has_no_auc_but_a_reason(predictions: pd.DataFrame) -> None:
    predictions = predictions.copy()
    abroad = (predictions["site"] == "Nakagawa").to_numpy()
    predictions.loc[abroad, "label"] = 0
    found = score_arm(predictions, arm="vit", split="s")
    summary, runs = found.summary, found.runs
    found = pick(summary, "external", "auc_ensemble")
    assert math.isnan(found["value"])
    assert found["method"] == "undefined: no positives"
    assert runs.loc[runs["set"] == "external", "auc"].isna().all()
    assert pick(summary, "test", "auc_ensemble")["value"] > 0.5


def test_a_study_without_held_out_sites_is_scored_by_cv_alone(make_study: MakeStudy) -> None:
    found = score_arm(
        read_predictions(make_study(sites={"A": 90}).runs("vit")), arm="vit", split="s"
    )
    summary, runs = found.summary, found.runs
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


def test_all_measures_are_told_of_cv_and_test(scored: Scored) -> None:
    expected = {
        "average_precision",
        "sensitivity",
        "specificity",
        "threshold",
        "sensitivity_at_specificity_90",
        "brier",
        "ece",
        "brier_raw",
        "ece_raw",
        "calibration_slope",
        "calibration_intercept",
    }
    for name in ("cv", "test", "external", "temporal"):
        rows = scored.summary[scored.summary["set"] == name].set_index("statistic")
        assert expected <= set(rows.index)
        told = rows.loc[sorted(expected - {"threshold"})]
        assert (told["low"] <= told["value"]).all()
        assert (told["value"] <= told["high"]).all()
    assert (scored.summary["class"] == "").all()


def test_values_out_of_fold_are_means_over_seeds_of_pooled_ones(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    summary = scored.summary
    seeds = [part for _, part in validation_of(predictions).groupby("seed")]
    for statistic, function in [
        ("average_precision", sklearn.metrics.average_precision_score),
        ("brier", sklearn.metrics.brier_score_loss),
    ]:
        each = [function(part["label"], part["score_1"].astype(float)) for part in seeds]
        found = pick(summary, "cv", statistic)
        assert found["value"] == pytest.approx(np.mean(each))
        assert found["sd"] == pytest.approx(np.std(each, ddof=1))


def test_probabilities_are_corrected_run_by_run_before_they_are_averaged(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    shares = {(s, f): 0.3 + 0.02 * f for s in (0, 1, 2) for f in range(5)}
    prevalences = {run: Prevalence((0.8, 0.2), (1 - share, share)) for run, share in shares.items()}
    found = score_arm(predictions, arm="vit", split="s", prevalences=prevalences)
    tests = predictions[predictions["role"] == "test"].copy()
    share = np.array([shares[run] for run in zip(tests["seed"], tests["fold"], strict=True)])
    odds = tests["score_1"] / (1 - tests["score_1"]) * (0.25 * (1 - share) / share)
    tests["corrected"] = odds / (1 + odds)
    means = tests.groupby("example").agg({"corrected": "mean", "label": "first"})
    expected = sklearn.metrics.brier_score_loss(means["label"], means["corrected"])
    assert pick(found.summary, "test", "brier")["value"] == pytest.approx(expected)
    assert pick(found.summary, "test", "brier")["method"] == "BCa bootstrap"
    plain = scored.summary
    for statistic in ("auc_ensemble", "sensitivity", "threshold", "brier_raw"):
        one, other = pick(found.summary, "test", statistic), pick(plain, "test", statistic)
        assert one["value"] == pytest.approx(other["value"])
    assert "not corrected for prevalence" in pick(plain, "test", "brier")["method"]


def test_decision_curve_is_of_corrected_probabilities(predictions: pd.DataFrame) -> None:
    even = Prevalence((0.8, 0.2), (0.5, 0.5))
    prevalences = {(s, f): even for s in (0, 1, 2) for f in range(5)}
    found = score_arm(predictions, arm="vit", split="s", prevalences=prevalences)
    units = found.units[found.units["set"] == "test"]
    curve = found.curves[(found.curves["set"] == "test") & (found.curves["curve"] == "decision")]
    for point in curve.iloc[::20].itertuples():
        treated = units["probability"] >= point.x
        true, false = (
            (treated & (units["label"] == 1)).mean(),
            (treated & (units["label"] == 0)).mean(),
        )
        assert point.y == pytest.approx(true - false * point.x / (1 - point.x))


def test_subgroups_are_scored_apart_and_nobody_vanishes(predictions: pd.DataFrame) -> None:
    names = predictions["parent"].unique()
    levels = pd.Series(
        np.array(["< 37", "≥ 37", "unknown"])[np.arange(len(names)) % 3], index=names
    )
    summary = score_arm(predictions, arm="vit", split="s", subgroups={"term": levels}).summary
    cv = summary[
        (summary["statistic"] == "auc_pooled") & summary["set"].str.startswith("cv-group:")
    ]
    assert cv["set"].tolist() == [f"cv-group:term={x}" for x in ("< 37", "unknown", "≥ 37")]
    assert cv["examples"].sum() == pick(summary, "cv", "auc_pooled")["examples"]
    part = validation_of(predictions)
    part = part[part["parent"].map(levels) == "≥ 37"]
    expected = np.mean([auc_of(of_seed) for _, of_seed in part.groupby("seed")])
    assert pick(summary, "cv-group:term=≥ 37", "auc_pooled")["value"] == pytest.approx(expected)
    known = set(summary.loc[summary["set"] == "test-group:term=< 37", "statistic"])
    assert {"auc_ensemble", "average_precision", "sensitivity", "specificity"} <= known


def test_other_labels_judge_the_examples_that_both_targets_label(predictions: pd.DataFrame) -> None:
    names = predictions["example"].unique()[::2]
    random = np.random.default_rng(0)
    other = pd.Series((random.random(len(names)) < 0.3).astype(int), index=names)
    summary = score_arm(
        predictions, arm="vit", split="s", labels={"ph": other, "base_deficit": other[:0]}
    ).summary
    part = validation_of(predictions)
    part = part[part["example"].isin(names)]
    part = part.assign(label=part["example"].map(other))
    expected = np.mean([auc_of(of_seed) for _, of_seed in part.groupby("seed")])
    found = pick(summary, "cv-label:ph", "auc_pooled")
    assert found["value"] == pytest.approx(expected)
    assert found["examples"] == part["example"].nunique()
    assert pick(summary, "test-label:ph", "average_precision")["value"] > 0
    assert set(summary.loc[summary["set"] == "test-label:ph", "statistic"]) == {
        "auc_ensemble",
        "auc_mean",
        "average_precision",
    }
    nobody = pick(summary, "cv-label:base_deficit", "auc_pooled")
    assert nobody["method"] == "undefined: no example has a label of base_deficit as well"


def test_units_hold_what_the_summary_was_made_of(scored: Scored) -> None:
    tests = scored.units[scored.units["set"] == "test"]
    expected = sklearn.metrics.roc_auc_score(tests["label"], tests["score"])
    assert pick(scored.summary, "test", "auc_ensemble")["value"] == pytest.approx(expected)
    cv = scored.units[scored.units["set"] == "cv"]
    each = [sklearn.metrics.roc_auc_score(cv["label"], cv[f"score_seed_{s}"]) for s in (0, 1, 2)]
    assert pick(scored.summary, "cv", "auc_pooled")["value"] == pytest.approx(np.mean(each))
    np.testing.assert_allclose(cv["score"], cv[[f"score_seed_{s}" for s in (0, 1, 2)]].mean(axis=1))
    assert set(tests["test_set"]) == {"external", "temporal"}


def test_runs_made_to_choose_between_arms_are_kept_apart(
    predictions: pd.DataFrame, scored: Scored
) -> None:
    inner = predictions[predictions["role"] == "inner"]
    choosing = pd.concat([inner.assign(inner=1), inner.assign(inner=2)])
    plain = scored
    found = score_arm(predictions, arm="vit", split="s", inner=choosing)
    pd.testing.assert_frame_equal(found.summary, plain.summary)
    assert found.runs["inner"].value_counts().to_dict() == {0: len(plain.runs), 1: 15, 2: 15}
    assert set(found.runs.loc[found.runs["inner"] > 0, "set"]) == {"inner"}
    of_one = found.runs[(found.runs["seed"] == 1) & (found.runs["fold"] == 2)]
    aucs = of_one.loc[of_one["set"] == "inner", "auc"]
    assert aucs.nunique() == 1


def test_a_seed_without_an_example_of_another_is_named(predictions: pd.DataFrame) -> None:
    example = validation_of(predictions)["example"].iloc[0]
    lacking = predictions[(predictions["example"] != example) | (predictions["seed"] != 1)]
    expected = {
        seed: sorted(set(validation_of(lacking[lacking["seed"] == seed])["example"]))
        for seed in (0, 1, 2)
    }
    with pytest.raises(InputError, match=f"seed 1: example {example!r} is validated under other"):
        check_merge(lacking, expected)


def test_runs_of_different_numbers_of_classes_are_refused(small_study: Any) -> None:
    files = small_study.runs("vit")
    table = pd.read_parquet(files[1].path)
    write_table(files[1].path, table.assign(score_2=np.float32(0)))
    with pytest.raises(InputError, match=r"has \['score_0', 'score_1', 'score_2'\]"):
        read_predictions(files[:2])


def study_of(labels: list[int], scores: list[float], tests: int) -> pd.DataFrame:
    """Return one seed with as many folds as examples in it, the last ones being tests."""
    names = [f"e{i}" for i in range(len(labels))]
    table = pd.DataFrame({"example": names, "parent": names, "patient": names, "label": labels})
    table = table.assign(site="A", score_1=scores, seed=0)
    inside = len(labels) - tests
    parts = []
    for fold in range(inside):
        role = ["validation" if i == fold else "inner" for i in range(inside)] + ["test"] * tests
        parts.append(table.assign(fold=fold, role=role, test_set=["external"] * len(labels)))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("labels", "scores", "tests"),
    [
        ([0, 1, 0], [0.2, 0.7, 0.4], 0),
        ([0, 0, 0], [0.2, 0.7, 0.4], 0),
        ([0, 1, 1, 0, 0, 1], [0.5] * 6, 2),
        ([0, 1, 1, 0, 0, 0, 0, 1, 1], [0.2, 0.7, 0.4, 0.1, 0.3, 0.2, 0.4, 0.6, 0.3], 5),
        ([0, 1, 1, 0, 1, 1], [0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 2),
    ],
    ids=["three images", "one class", "equal scores", "two positives in test", "certainty"],
)
@pytest.mark.parametrize("unit", ["example", "patient"])
def test_the_smallest_studies_have_values_or_reasons(
    labels: list[int], scores: list[float], tests: int, unit: str
) -> None:
    predictions = study_of(labels, scores, tests)
    found = score_arm(predictions, arm="vit", split="s", unit=unit)
    without = found.summary["value"].isna()
    assert found.summary.loc[without, "method"].str.startswith("undefined: ").all()
    known = found.summary[~without & found.summary["low"].notna()]
    assert (known["low"] <= known["value"] + 1e-12).all()
    assert (known["value"] <= known["high"] + 1e-12).all()
    assert len(found.units) == len(labels)


def test_scores_that_are_not_finite_are_named_in_memory_too(predictions: pd.DataFrame) -> None:
    predictions = predictions.copy()
    predictions.loc[17, "score_1"] = np.nan
    example = predictions["example"][17]
    with pytest.raises(InputError, match=f"row 17, example {example!r}: a score is not a finite"):
        score_arm(predictions, arm="vit", split="s")


def test_thirty_runs_of_a_thousand_rows_are_scored_in_seconds(make_study: MakeStudy) -> None:
    study = make_study(
        sites={"A": 2_500}, held_out={"B": ("external", 300)}, folds=10, prevalence=0.05
    )
    files = study.runs("vit")
    started = time.process_time()
    score_arm(read_predictions(files), arm="vit", split="s")
    assert time.process_time() - started < 5


def test_scoring_and_drawing_import_no_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, 'workflow'); import fewcase.evaluation.scores, "
        "fewcase.reporting.figures, fewcase.reporting.report; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
