"""Decisions at a threshold that was fixed on other examples, and the measures of a set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from fewcase.evaluation.measures import (
    average_precision_of,
    ensemble_decisions,
    fix_thresholds,
    measure_scores,
    out_of_fold_decisions,
)
from fewcase.evaluation.predictions import encode, score_table
from fewcase.statistics.thresholds import youden_threshold


def make_predictions(
    seeds: int = 2, folds: int = 4, n: int = 240, tests: int = 80, shift: float = 0.0
) -> pd.DataFrame:
    """Return predictions of a study; `shift` moves the scores of every second run."""
    random = np.random.default_rng(5)
    everyone = pd.DataFrame({"example": [f"e{i}" for i in range(n + tests)]})
    everyone["parent"] = everyone["patient"] = everyone["example"]
    everyone["site"] = "A"
    everyone["test_set"] = np.where(np.arange(n + tests) < n, "", "external")
    everyone["label"] = (random.random(n + tests) < 0.3).astype(np.int8)
    latent = random.normal(size=n + tests) + 1.3 * everyone["label"]
    parts = []
    for seed in range(seeds):
        fold_of = random.permutation(np.arange(n) % folds)
        for fold in range(folds):
            role = np.full(n + tests, "test", dtype=object)
            role[:n] = np.where(fold_of == fold, "validation", "training")
            rest = np.flatnonzero(role == "training")
            role[rest[: len(rest) // 3]] = "inner"
            logit = latent + 0.4 * random.normal(size=n + tests) - 1 + shift * ((fold + seed) % 2)
            score = 1 / (1 + np.exp(-logit))
            run = everyone.assign(role=role, score_1=score, seed=seed, fold=fold)
            parts.append(run[run["role"] != "training"])
    return pd.concat(parts, ignore_index=True)


def threshold_by_scikit_learn(part: pd.DataFrame) -> float:
    false, true, thresholds = sklearn.metrics.roc_curve(
        part["label"], part["score_1"], drop_intermediate=False
    )
    best = np.flatnonzero(np.isclose(true - false, (true - false).max()))[-1]
    above = thresholds[best]
    return float((above + part.loc[part["score_1"] < above, "score_1"].max()) / 2)


def test_threshold_is_the_middle_of_the_gap_with_the_largest_youden_index() -> None:
    assert youden_threshold([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1]) == pytest.approx(0.4)
    random = np.random.default_rng(2)
    labels = random.random(101) < 0.3
    part = pd.DataFrame({"score_1": random.normal(size=101) + labels, "label": labels})
    found = youden_threshold(part["score_1"], part["label"])
    assert found == pytest.approx(threshold_by_scikit_learn(part))


def test_of_equally_good_thresholds_the_most_sensitive_is_taken() -> None:
    scores, labels = [0.9, 0.7, 0.5, 0.3], [1, 0, 1, 0]
    assert youden_threshold(scores, labels) == pytest.approx(0.4)


def test_a_useless_score_calls_everyone_positive() -> None:
    assert youden_threshold([0.5, 0.5, 0.5], [0, 1, 0]) == 0.5
    assert youden_threshold([0.1, 0.9], [1, 0]) == pytest.approx(0.1)
    assert np.isnan(youden_threshold([0.1, 0.9], [0, 0]))


def test_neighbouring_numbers_are_still_divided() -> None:
    low = np.float32(0.5)
    scores = np.array([low, np.nextafter(low, np.float32(1))], np.float64)
    threshold = youden_threshold(scores, [0, 1])
    assert scores[0] < threshold <= scores[1]
    tight = [0.5, np.nextafter(0.5, 1)]
    assert (np.array(tight) >= youden_threshold(tight, [0, 1])).tolist() == [False, True]


def test_out_of_fold_decisions_use_the_threshold_of_each_runs_stopping_part() -> None:
    predictions = make_predictions()
    encoded = encode(predictions, "example")
    found = out_of_fold_decisions(encoded.of_role("validation"), fix_thresholds(encoded))
    right: dict[int, list[float]] = {0: [], 1: []}
    thresholds = []
    for _, of_seed in predictions.groupby("seed"):
        called = []
        for _, run in of_seed.groupby("fold"):
            threshold = threshold_by_scikit_learn(run[run["role"] == "inner"])
            thresholds.append(threshold)
            part = run[run["role"] == "validation"]
            called.append(pd.DataFrame({"y": part["label"], "p": part["score_1"] >= threshold}))
        pooled = pd.concat(called)
        matrix = sklearn.metrics.confusion_matrix(pooled["y"], pooled["p"])
        right[0].append(matrix[0, 0] / matrix[0].sum())
        right[1].append(matrix[1, 1] / matrix[1].sum())
    assert found["sensitivity"].value == pytest.approx(np.mean(right[1]))
    assert found["specificity"].value == pytest.approx(np.mean(right[0]))
    assert found["threshold"].value == pytest.approx(np.mean(thresholds))
    assert found["sensitivity"].method == "Wilson, clustered"
    assert found["sensitivity"].low < found["sensitivity"].value < found["sensitivity"].high


def test_test_decisions_use_the_mean_threshold_of_the_validation_parts() -> None:
    predictions = make_predictions()
    encoded = encode(predictions, "example")
    tests = predictions[predictions["role"] == "test"]
    validation = predictions[predictions["role"] == "validation"]
    thresholds = [
        threshold_by_scikit_learn(part) for _, part in validation.groupby(["seed", "fold"])
    ]
    averaged = tests.groupby("example").agg({"score_1": "mean", "label": "first"})
    called = averaged["score_1"] >= np.mean(thresholds)
    table = score_table(encoded.of_role("test"), "run")
    found = ensemble_decisions(table, fix_thresholds(encoded))
    assert found["threshold"].value == pytest.approx(np.mean(thresholds))
    expected = sklearn.metrics.recall_score(averaged["label"], called)
    assert found["sensitivity"].value == pytest.approx(expected)
    assert found["sensitivity"].method == "Wilson"


def test_models_that_score_at_different_heights_share_a_usable_threshold() -> None:
    def balance(shift: float) -> float:
        encoded = encode(make_predictions(shift=shift), "example")
        table = score_table(encoded.of_role("test"), "run")
        found = ensemble_decisions(table, fix_thresholds(encoded))
        return found["sensitivity"].value + found["specificity"].value

    assert balance(3.0) > balance(0.0) - 0.1


def test_without_a_stopping_part_decisions_out_of_fold_are_undefined() -> None:
    predictions = make_predictions()
    encoded = encode(predictions[predictions["role"] != "inner"], "example")
    found = out_of_fold_decisions(encoded.of_role("validation"), fix_thresholds(encoded))
    assert np.isnan(found["sensitivity"].value)
    assert "inner_folds is 0" in found["sensitivity"].method


def test_runs_whose_stopping_part_has_one_class_are_left_out_and_counted() -> None:
    predictions = make_predictions()
    one = (predictions["seed"] == 0) & (predictions["fold"] == 1)
    gone = one & (predictions["role"] == "inner") & (predictions["label"] == 1)
    encoded = encode(predictions[~gone].reset_index(drop=True), "example")
    found = out_of_fold_decisions(encoded.of_role("validation"), fix_thresholds(encoded))
    assert found["sensitivity"].method == "Wilson, clustered; no threshold in 1 of 8 runs"
    none = (predictions["role"] == "inner") & (predictions["label"] == 1)
    encoded = encode(predictions[~none].reset_index(drop=True), "example")
    found = out_of_fold_decisions(encoded.of_role("validation"), fix_thresholds(encoded))
    assert "one class only in every stopping part" in found["specificity"].method


def test_average_precision_of_seeds_is_the_mean_of_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(200) < 0.2).astype(np.int64)
    scores = random.normal(size=(3, 200)) + labels
    found = average_precision_of(scores, labels, np.arange(200))
    each = [sklearn.metrics.average_precision_score(labels, row) for row in scores]
    assert found.value == pytest.approx(np.mean(each))
    assert found.sd == pytest.approx(np.std(each, ddof=1))
    assert found.low < found.value < found.high


def test_sensitivity_at_90_percent_specificity_is_read_off_the_roc_curve() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(200) < 0.2).astype(np.int64)
    scores = random.random((1, 200)) + 0.3 * labels
    found = measure_scores(scores / 2, scores / 2, labels, np.arange(200), "")
    false, true, _ = sklearn.metrics.roc_curve(labels, scores[0], drop_intermediate=False)
    expected = true[false <= 0.1].max()
    assert found["sensitivity_at_specificity_90"].value == pytest.approx(expected)


def test_uncorrected_probabilities_say_so() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(100) < 0.3).astype(np.int64)
    scores = random.random((1, 100))
    found = measure_scores(scores, scores, labels, np.arange(100), "not corrected")
    assert found["brier"].method == "BCa bootstrap; not corrected"
    assert found["brier_raw"].method == "BCa bootstrap"
    assert found["brier"].value == found["brier_raw"].value


@pytest.mark.parametrize("label", [0, 1])
def test_a_set_of_one_class_has_reasons_for_all_but_the_errors(label: int) -> None:
    labels = np.full(5, label)
    scores = np.linspace(0.1, 0.9, 5)[None]
    found = measure_scores(scores, scores, labels, np.arange(5), "")
    reason = "undefined: no negatives" if label else "undefined: no positives"
    for name in ("average_precision", "sensitivity_at_specificity_90", "calibration_slope"):
        assert found[name].method == reason
    assert found["brier"].value == pytest.approx(np.mean((scores[0] - label) ** 2))
