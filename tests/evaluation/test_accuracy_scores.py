"""Accuracies in the score stage: of two classes and several, over runs, and of whole images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from fewcase.data.files import write_table
from fewcase.evaluation.predictions import expected_examples
from fewcase.evaluation.scores import RUN_COLUMNS, Scored, score_arm
from fewcase.statistics.accuracy import estimate_accuracy, estimate_balanced_accuracy
from fewcase.statistics.intervals import estimate_auc
from scored_classes import ClassStudy, without_bootstraps

BOTH = {
    "accuracy": sklearn.metrics.accuracy_score,
    "balanced_accuracy": sklearn.metrics.balanced_accuracy_score,
}


def row(scored: Scored, name: str, statistic: str) -> pd.Series:
    table = scored.summary
    found = table[
        (table["set"] == name) & (table["statistic"] == statistic) & (table["class"] == "")
    ]
    assert len(found) == 1, (name, statistic)
    return found.iloc[0]


def called(table: pd.DataFrame) -> np.ndarray:
    if "score_0" not in table:
        return (table["score_1"] >= 0.5).to_numpy(int)
    columns = [name for name in table if str(name).startswith("score_")]
    return table[columns].to_numpy().argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_every_run_has_the_accuracies_of_scikit_learn(tmp_path: Path, classes: int) -> None:
    study = ClassStudy(tmp_path, classes=classes, images=36, folds=3, tests=12)
    predictions = study.predictions("vit", 0.8)
    runs = study.scored("vit", 0.8).runs
    assert tuple(runs.columns) == RUN_COLUMNS
    for of_run in runs.to_dict("records"):
        role = of_run["set"] if of_run["set"] in ("inner", "validation") else "test"
        part = predictions[
            (predictions["role"] == role)
            & (predictions["seed"] == of_run["seed"])
            & (predictions["fold"] == of_run["fold"])
        ]
        if of_run["set"].startswith("test-site"):
            continue
        for name, function in BOTH.items():
            assert of_run[name] == pytest.approx(function(part["label"], called(part)))
    assert {"inner", "validation", "test"} <= set(runs["set"])


@pytest.mark.parametrize("classes", [2, 4])
def test_over_folds_the_mean_has_the_corrected_resampled_t(tmp_path: Path, classes: int) -> None:
    study = ClassStudy(tmp_path, classes=classes, images=48, folds=3)
    scored = study.scored("vit", 0.8)
    values = scored.runs.loc[scored.runs["set"] == "validation", "accuracy"]
    sizes = scored.runs.set_index(["set", "seed", "fold"])["n"].sort_index()
    # Of the other folds, a part stops the training.
    ratio = np.mean(
        [
            sizes["validation", seed, fold]
            / (
                sizes["validation", seed].sum()
                - sizes["validation", seed, fold]
                - sizes["inner", seed, fold]
            )
            for seed in range(3)
            for fold in range(3)
        ]
    )
    half = scipy.stats.t.ppf(0.975, 8) * np.sqrt(values.var(ddof=1) * (1 / 9 + ratio))
    found = row(scored, "cv", "accuracy_mean")
    assert found["value"] == pytest.approx(values.mean())
    assert found["sd"] == pytest.approx(values.std(ddof=1))
    assert found["low"] == pytest.approx(values.mean() - half)
    balanced = scored.runs.loc[scored.runs["set"] == "validation", "balanced_accuracy"]
    assert row(scored, "cv", "balanced_accuracy_mean")["value"] == pytest.approx(balanced.mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_on_one_validation_set_the_mean_is_told_of_its_patients(
    tmp_path: Path, classes: int
) -> None:
    study = ClassStudy(tmp_path, classes=classes, folds=1)
    scored, predictions = study.scored("vit", 0.8), study.predictions("vit", 0.8)
    part = predictions[predictions["role"] == "validation"].sort_values(["seed", "example"])
    right = (called(part) == part["label"]).to_numpy().reshape(3, -1)
    labels = part["label"].to_numpy().reshape(3, -1)[0]
    patients = pd.factorize(part["patient"])[0].reshape(3, -1)[0]
    expected = {
        "accuracy_mean": estimate_accuracy(right, patients),
        "balanced_accuracy_mean": estimate_balanced_accuracy(right, labels, patients, classes),
    }
    if classes == 2:
        scores = part["score_1"].to_numpy().reshape(3, -1)
        expected["auc_mean"] = estimate_auc(scores, labels, patients)
    for name, one in expected.items():
        found = row(scored, "cv", name)
        for key in ("value", "sd", "low", "high"):
            assert found[key] == pytest.approx(getattr(one, key)), (name, key)
        assert found["method"] == one.method
        assert found["runs"] == 3
    assert np.isfinite(row(scored, "cv", "auc_mean")["low"])
    assert row(scored, "cv", "auc_mean")["method"].startswith(("Obuchowski", "sandwich by patient"))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_test_set_has_the_accuracy_of_the_mean_score_and_the_mean_of_runs(
    tmp_path: Path, classes: int
) -> None:
    study = ClassStudy(tmp_path, classes=classes, images=36, folds=3, tests=18)
    scored, predictions = study.scored("vit", 0.8), study.predictions("vit", 0.8)
    tests = predictions[predictions["role"] == "test"]
    scores = [name for name in tests if str(name).startswith("score_")]
    means = tests.groupby("example")[[*scores, "label"]].mean()
    each = tests.groupby(["seed", "fold"])
    for name, function in BOTH.items():
        found = row(scored, "test", name)
        assert found["value"] == pytest.approx(function(means["label"], called(means)))
        assert found["low"] < found["value"] < found["high"]
        of_runs = [function(part["label"], called(part)) for _, part in each]
        found = row(scored, "test", f"{name}_mean")
        assert found["value"] == pytest.approx(np.mean(of_runs))
        assert found["sd"] == pytest.approx(np.std(of_runs, ddof=1))
        assert row(scored, "external", name)["value"] == row(scored, "test", name)["value"]


def top3(table: pd.DataFrame) -> float:
    scores = table[[name for name in table if str(name).startswith("score_")]].to_numpy()
    classes = range(scores.shape[1])
    return sklearn.metrics.top_k_accuracy_score(table["label"], scores, k=3, labels=classes)


def test_of_five_classes_the_right_one_is_among_three_as_scikit_learn_finds(tmp_path: Path) -> None:
    study = ClassStudy(tmp_path, classes=5, images=60, folds=3, tests=20)
    scored, predictions = study.scored("vit", 0.4), study.predictions("vit", 0.4)
    runs = scored.runs.set_index(["set", "seed", "fold"])["top3_accuracy"]
    for (role, seed, fold), part in predictions.groupby(["role", "seed", "fold"]):
        assert runs[role, seed, fold] == pytest.approx(top3(part))
    found = row(scored, "cv", "top3_accuracy_mean")
    assert found["value"] == pytest.approx(runs["validation"].mean())
    assert found["method"] == "corrected resampled t"
    # On all examples together, the mean over seeds; an image is a patient with five tiles.
    part = predictions[predictions["role"] == "validation"]
    found = row(scored, "cv", "top3_accuracy")
    of_seeds = [top3(of_seed) for _, of_seed in part.groupby("seed")]
    assert found["value"] == pytest.approx(np.mean(of_seeds))
    assert found["sd"] == pytest.approx(np.std(of_seeds, ddof=1))
    assert found["method"] == "Wilson, clustered"
    assert row(scored, "cv", "accuracy")["value"] < found["low"] < found["value"] < found["high"]
    tests = predictions[predictions["role"] == "test"]
    scores = [f"score_{k}" for k in range(5)]
    means = tests.groupby("example")[[*scores, "label"]].mean()
    assert row(scored, "test", "top3_accuracy")["value"] == pytest.approx(top3(means))
    images = tests.groupby("parent")[[*scores, "label"]].mean()
    assert row(scored, "test-by-parent", "top3_accuracy")["value"] == pytest.approx(top3(images))
    each = [top3(of_run) for _, of_run in tests.groupby(["seed", "fold"])]
    assert row(scored, "test", "top3_accuracy_mean")["value"] == pytest.approx(np.mean(each))
    units = scored.units.set_index("set")
    columns = [f"top3_seed_{seed}" for seed in range(3)]
    np.testing.assert_allclose(units.loc["cv", columns].mean(), of_seeds)
    assert units.loc["test", "top3"].mean() == pytest.approx(np.mean(each))


@pytest.mark.parametrize("classes", [2, 3])
def test_of_three_classes_there_is_no_accuracy_among_three(tmp_path: Path, classes: int) -> None:
    scored = ClassStudy(tmp_path, classes=classes, images=18, folds=3).scored("vit", 0.8)
    assert not scored.summary["statistic"].str.startswith("top3").any()
    assert not any(str(name).startswith("top3") for name in scored.units)
    assert scored.runs["top3_accuracy"].isna().all()


def test_units_say_whether_each_seed_and_what_share_of_runs_are_right(tmp_path: Path) -> None:
    study = ClassStudy(tmp_path, classes=3, images=36, folds=3, tests=12)
    scored, predictions = study.scored("vit", 0.8), study.predictions("vit", 0.8)
    predictions = predictions.assign(right=called(predictions) == predictions["label"])
    units = scored.units.set_index("unit")
    cv = units[units["set"] == "cv"]
    for seed in range(3):
        part = predictions[(predictions["role"] == "validation") & (predictions["seed"] == seed)]
        expected = part.set_index("example")["right"].reindex(cv.index)
        np.testing.assert_array_equal(cv[f"right_seed_{seed}"], expected.astype(float))
    tests = units[units["set"] == "test"]
    shares = predictions[predictions["role"] == "test"].groupby("example")["right"].mean()
    np.testing.assert_allclose(tests["right"], shares.reindex(tests.index))


@pytest.mark.parametrize("folds", [1, 3])
def test_an_image_is_scored_by_the_mean_of_its_tiles(tmp_path: Path, folds: int) -> None:
    study = ClassStudy(tmp_path, classes=3, images=36, folds=folds, tests=12)
    scored, predictions = study.scored("vit", 0.8), study.predictions("vit", 0.8)
    scores = [f"score_{k}" for k in range(3)]
    each = []
    part = predictions[predictions["role"] == "validation"]
    for _, of_run in part.groupby(["seed", "fold"]):
        images = of_run.groupby("parent")[[*scores, "label"]].mean()
        each.append(sklearn.metrics.accuracy_score(images["label"], called(images)))
    found = row(scored, "cv-by-parent", "accuracy_mean")
    assert found["value"] == pytest.approx(np.mean(each))
    assert found["positives"] + found["negatives"] == 36
    assert found["examples"] == 36 * 5
    method = "corrected resampled t" if folds > 1 else "Wilson, clustered"
    assert found["method"] == method
    tests = predictions[predictions["role"] == "test"]
    images = tests.groupby("parent")[[*scores, "label"]].mean()
    expected = sklearn.metrics.balanced_accuracy_score(images["label"], called(images))
    assert row(scored, "test-by-parent", "balanced_accuracy")["value"] == pytest.approx(expected)
    auc = sklearn.metrics.roc_auc_score(images["label"], images[scores], multi_class="ovr")
    assert row(scored, "test-by-parent", "auc_ensemble")["value"] == pytest.approx(auc)
    # Averages over tiles are right more often than tiles.
    assert found["value"] > row(scored, "cv", "accuracy_mean")["value"]
    # They are no second set of units.
    assert set(scored.units["set"]) == {"cv", "test"}


def test_two_classes_are_voted_on_without_a_threshold(tmp_path: Path) -> None:
    scored = ClassStudy(tmp_path, classes=2, images=24).scored("vit", 0.6)
    statistics = scored.summary.loc[scored.summary["set"] == "cv-by-parent", "statistic"]
    assert "accuracy" in set(statistics)
    assert not {"sensitivity", "threshold", "brier"} & set(statistics)


def test_parents_with_tiles_of_several_classes_or_one_tile_have_no_vote(tmp_path: Path) -> None:
    def sets_of(predictions: pd.DataFrame, unit: str = "example") -> set[str]:
        with without_bootstraps():
            found = score_arm(predictions, arm="vit", split="s", unit=unit)
        return set(found.summary["set"])

    study = ClassStudy(tmp_path, classes=3, images=18, folds=3)
    predictions = study.predictions("vit", 0.8)
    assert "cv-by-parent" in sets_of(predictions)
    assert "cv-by-parent" not in sets_of(predictions, unit="parent")
    number = pd.factorize(predictions["example"])[0]
    mixed = predictions.assign(label=number % 3)
    assert "cv-by-parent" not in sets_of(mixed)
    alone = predictions.assign(parent=predictions["example"])
    assert "cv-by-parent" not in sets_of(alone)


def test_a_run_without_a_class_has_an_accuracy_and_no_balanced_one(tmp_path: Path) -> None:
    study = ClassStudy(tmp_path, classes=3, images=18, folds=3)
    predictions = study.predictions("vit", 0.8)
    lacking = (predictions["seed"] == 0) & (predictions["fold"] == 0) & (predictions["label"] == 2)
    gone = predictions.loc[lacking & (predictions["role"] == "validation"), "example"]
    with without_bootstraps():
        scored = score_arm(predictions[~predictions["example"].isin(gone)], arm="v", split="s")
    runs = scored.runs[scored.runs["set"] == "validation"].set_index(["seed", "fold"])
    assert np.isfinite(runs["accuracy"]).all()
    assert np.isnan(runs.loc[(0, 0), "balanced_accuracy"])
    method = row(scored, "cv", "balanced_accuracy_mean")["method"]
    assert "undefined in" in method
    assert np.isfinite(row(scored, "cv", "balanced_accuracy")["value"])


def test_copies_of_tiles_leave_intervals_as_wide_as_they_were(tmp_path: Path) -> None:
    once = ClassStudy(tmp_path, folds=1).scored("vit", 0.8)
    often = ClassStudy(tmp_path, folds=1, copies=4).scored("vit", 0.8)
    for name in ("accuracy_mean", "balanced_accuracy_mean", "auc_mean"):
        one, other = row(once, "cv", name), row(often, "cv", name)
        assert one["value"] == pytest.approx(other["value"])
        assert one["high"] - one["low"] == pytest.approx(other["high"] - other["low"], rel=0.03)


def test_one_split_for_all_seeds_is_that_of_each(tmp_path: Path) -> None:
    table = pd.DataFrame({"example": ["a", "b", "c"], "fold": np.array([0, -1, -2], np.int16)})
    write_table(tmp_path / "s.parquet", table, {"fewcase": '{"seed": 7}'})
    assert expected_examples([tmp_path / "s.parquet"] * 2, [0, 1]) == {
        7: ["a"],
        0: ["a"],
        1: ["a"],
    }
    write_table(tmp_path / "t.parquet", table, {"fewcase": '{"seed": 1}'})
    assert set(expected_examples([tmp_path / "s.parquet", tmp_path / "t.parquet"], [0])) == {7, 1}
