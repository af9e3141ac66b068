"""Arms with more than two classes: each against the rest, and all together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from statsmodels.stats.proportion import proportion_confint

from fewcase.evaluation.multiclass import measure_auc, measure_calibration, measure_decisions
from fewcase.evaluation.scores import Scored, score_arm
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.calibration import Prevalence
from fewcase.statistics.intervals import estimate_auc
from reference_statistics import weighted_auc

CLASSES = 3


def simulated(n: int = 150, models: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    labels = random.choice(CLASSES, n, p=[0.5, 0.3, 0.2])
    logits = random.normal(size=(models, n, CLASSES)) + 1.2 * np.eye(CLASSES)[labels]
    scores = np.exp(logits)
    return scores / scores.sum(axis=2, keepdims=True), labels


def test_mean_auc_is_scikit_learns_one_against_the_rest() -> None:
    scores, labels = simulated(models=2)
    found = measure_auc(scores, labels, np.arange(labels.size))
    expected = [
        sklearn.metrics.roc_auc_score(labels, model, multi_class="ovr", average="macro")
        for model in scores
    ]
    assert found[""].value == pytest.approx(np.mean(expected))
    assert found[""].sd == pytest.approx(np.std(expected, ddof=1))
    of_second = [sklearn.metrics.roc_auc_score(labels == 2, model[:, 2]) for model in scores]
    assert found["2"].value == pytest.approx(np.mean(of_second))


def test_interval_of_the_mean_auc_is_that_of_the_bootstrap() -> None:
    scores, labels = simulated(n=300)
    found = measure_auc(scores, labels, np.arange(labels.size))[""]

    def mean(columns: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        aucs = [weighted_auc(columns[:, k], labels == k, weights) for k in range(CLASSES)]
        return np.mean(aucs, axis=0)

    resampled = bca(mean, scores[0], labels, replicates=1000)
    assert found.low == pytest.approx(resampled.low, abs=0.01)
    assert found.high == pytest.approx(resampled.high, abs=0.01)


def test_two_opposite_classes_have_the_interval_of_delong() -> None:
    scores, labels = simulated(n=200)
    both = np.stack([1 - scores[:, :, 2], scores[:, :, 2]], axis=2)
    labels = (labels == 2).astype(np.int64)
    found = measure_auc(both, labels, np.arange(200))[""]
    delong = estimate_auc(both[0, :, 1], labels)
    assert found.value == pytest.approx(delong.value)
    assert (found.low, found.high) == (
        pytest.approx(delong.low, abs=5e-3),
        pytest.approx(delong.high, abs=5e-3),
    )


def test_decisions_are_scikit_learns_accuracy_and_balanced_accuracy() -> None:
    scores, labels = simulated()
    found = measure_decisions(scores, labels, np.arange(labels.size))
    called = scores[0].argmax(axis=1)
    accuracy = found["accuracy", ""]
    assert accuracy.value == pytest.approx(sklearn.metrics.accuracy_score(labels, called))
    assert accuracy.method == "Wilson"
    balanced = found["balanced_accuracy", ""]
    expected = sklearn.metrics.balanced_accuracy_score(labels, called)
    assert balanced.value == pytest.approx(expected)
    assert balanced.low < expected < balanced.high
    recall = sklearn.metrics.recall_score(labels, called, average=None)
    matrix = sklearn.metrics.multilabel_confusion_matrix(labels, called)
    for k in range(CLASSES):
        assert found["sensitivity", str(k)].value == pytest.approx(recall[k])
        specificity = matrix[k, 0, 0] / matrix[k, 0].sum()
        assert found["specificity", str(k)].value == pytest.approx(specificity)
        rightly = found["accuracy", str(k)]
        expected = sklearn.metrics.accuracy_score(labels == k, called == k)
        assert rightly.value == pytest.approx(expected)
        assert (rightly.low, rightly.high) == pytest.approx(
            proportion_confint(round(expected * labels.size), labels.size, method="wilson")
        )


def test_one_class_against_the_rest_has_the_published_table_of_its_confusion_matrix() -> None:
    """Kim and Jang 2021: 2,303 of 2,400 right, and per cent of each class against the rest.

    The matrix has the row and column sums that the table implies; which of the wrong classes is
    called leaves the table as it is.
    """
    matrix = [[539, 25, 30, 6], [4, 592, 1, 3], [15, 1, 580, 4], [3, 2, 3, 592]]
    cells = np.repeat(np.arange(16), np.ravel(matrix))
    labels, called = cells // 4, cells % 4
    found = measure_decisions(np.eye(4)[called][None], labels, np.arange(labels.size))
    published = {
        "sensitivity": (89.83, 98.67, 96.67, 98.67),
        "specificity": (98.78, 98.44, 98.11, 99.28),
        "accuracy": (96.54, 98.50, 97.75, 99.13),
    }
    for name, values in published.items():
        for k, value in enumerate(values):
            assert 100 * found[name, str(k)].value == pytest.approx(value, abs=0.0051)
    assert found["accuracy", ""].value == pytest.approx(2303 / 2400)
    expected = sklearn.metrics.recall_score(labels, called, average=None)
    assert [found["sensitivity", str(k)].value for k in range(4)] == pytest.approx(expected)


def test_a_class_against_the_rest_is_counted_once_for_each_patient() -> None:
    scores, labels = simulated(models=2)
    one = measure_decisions(scores, labels, np.arange(150))["accuracy", "1"]
    again = np.repeat(np.arange(150), 4)
    four = measure_decisions(scores[:, again], labels[again], again)["accuracy", "1"]
    assert four.method == "Wilson, clustered"
    assert four.value == pytest.approx(one.value)
    assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.02)


def test_interval_of_balanced_accuracy_covers_its_truth() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        labels = np.repeat([0, 1, 2], [60, 30, 20])
        right = random.random(110) < np.array([0.9, 0.6, 0.75])[labels]
        scores = np.eye(3)[np.where(right, labels, (labels + 1) % 3)][None]
        found = measure_decisions(scores, labels, np.arange(110))["balanced_accuracy", ""]
        covered += found.low < 0.75 < found.high
    assert 180 <= covered <= 198


def test_all_right_has_an_interval_below_1() -> None:
    labels = np.repeat([0, 1, 2], 5)
    scores = np.eye(3)[labels][None]
    found = measure_decisions(scores, labels, np.arange(15))["balanced_accuracy", ""]
    assert (found.value, found.high) == (1, 1)
    assert 0.7 < found.low < 1
    assert measure_auc(scores, labels, np.arange(15))[""].method.startswith("Newcombe")


def test_brier_score_sums_over_classes_and_calibration_is_of_the_likeliest() -> None:
    scores, labels = simulated(n=400)
    found = measure_calibration(scores, labels, np.arange(400))
    expected = ((scores[0] - np.eye(CLASSES)[labels]) ** 2).sum(axis=1).mean()
    assert found["brier"].value == pytest.approx(expected)
    sure, right = scores[0].max(axis=1), scores[0].argmax(axis=1) == labels
    order = np.argsort(sure).reshape(10, 40)
    distances = np.abs((right - sure)[order].mean(axis=1))
    assert found["ece"].value == pytest.approx(distances.mean())


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    scores, labels = simulated(n=180)
    parts = []
    for seed in range(2):
        for fold in range(3):
            table = pd.DataFrame(scores[0], columns=[f"score_{k}" for k in range(CLASSES)])
            table["label"] = labels
            table["example"] = [f"e{i}" for i in range(180)]
            table["parent"] = table["patient"] = table["example"]
            table["site"] = np.where(np.arange(180) % 2, "A", "B")
            here = (np.arange(180) + seed) // 40 == fold
            table["role"] = np.where(here, "validation", "")
            table.loc[np.arange(180) >= 130, "role"] = "test"
            table["test_set"] = np.where(table["role"] == "test", "external", "")
            used = table[table["role"] != ""]
            parts.append(used.assign(seed=seed, fold=fold))
    joined = pd.concat(parts)
    twice = joined[joined["role"] == "validation"].groupby("example")["seed"].nunique()
    known = set(twice.index[twice == 2])
    return joined[joined["example"].isin(known) | (joined["role"] == "test")]


@pytest.fixture(scope="module")
def scored(predictions: pd.DataFrame) -> Scored:
    even = Prevalence((0.5, 0.3, 0.2), (1 / 3, 1 / 3, 1 / 3))
    prevalences = {(seed, fold): even for seed in range(2) for fold in range(3)}
    return score_arm(predictions, arm="vit", split="s", prevalences=prevalences)


def row(scored: Scored, name: str, statistic: str, class_name: str = "") -> pd.Series:
    table = scored.summary
    found = table[
        (table["set"] == name) & (table["statistic"] == statistic) & (table["class"] == class_name)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_an_arm_of_three_classes_has_a_mean_and_a_row_for_each(
    scored: Scored, predictions: pd.DataFrame
) -> None:
    tests = predictions[(predictions["role"] == "test") & (predictions["seed"] == 0)]
    tests = tests[tests["fold"] == 0]
    scores = tests[[f"score_{k}" for k in range(CLASSES)]].to_numpy()
    expected = sklearn.metrics.roc_auc_score(tests["label"], scores, multi_class="ovr")
    assert row(scored, "test", "auc_ensemble")["value"] == pytest.approx(expected)
    second = row(scored, "test", "auc_ensemble", "1")
    assert second["positives"] == (tests["label"] == 1).sum()
    assert second["value"] == pytest.approx(
        sklearn.metrics.roc_auc_score(tests["label"] == 1, scores[:, 1])
    )
    precisions = [
        sklearn.metrics.average_precision_score(tests["label"] == k, scores[:, k])
        for k in range(CLASSES)
    ]
    found = row(scored, "test", "average_precision")
    assert found["value"] == pytest.approx(np.mean(precisions))
    assert found["low"] < found["value"] < found["high"]
    assert row(scored, "cv", "auc_mean")["method"].startswith("corrected resampled t")
    assert row(scored, "test-site:A", "auc_ensemble")["value"] > 0.5
    assert np.isnan(row(scored, "test-site:A", "average_precision")["low"])


def test_probabilities_of_three_classes_are_corrected_before_brier(scored: Scored) -> None:
    corrected, raw = row(scored, "cv", "brier"), row(scored, "cv", "brier_raw")
    assert corrected["value"] != raw["value"]
    columns = [f"probability_{k}" for k in range(CLASSES)]
    np.testing.assert_allclose(scored.units[columns].sum(axis=1), 1)


def test_the_confusion_matrix_counts_every_unit_once(scored: Scored) -> None:
    for name in ("cv", "test"):
        curves, units = (table[table["set"] == name] for table in (scored.curves, scored.units))
        counts = curves[curves["curve"] == "confusion"]
        called = units[[f"score_{k}" for k in range(CLASSES)]].to_numpy().argmax(axis=1)
        expected = sklearn.metrics.confusion_matrix(units["label"], called)
        np.testing.assert_array_equal(counts["n"].to_numpy().reshape(3, 3), expected)
        assert sorted(set(curves.loc[curves["curve"] == "roc", "class"])) == ["0", "1", "2"]


def test_a_class_that_a_set_lacks_leaves_a_reason(predictions: pd.DataFrame) -> None:
    lacking = predictions[(predictions["role"] != "test") | (predictions["label"] != 2)]
    scored = score_arm(lacking, arm="vit", split="s")
    assert row(scored, "test", "auc_ensemble")["method"] == "undefined: no examples of class 2"
    assert row(scored, "test", "auc_ensemble", "2")["method"] == "undefined: no positives"
    assert np.isfinite(row(scored, "test", "auc_ensemble", "0")["value"])
    assert np.isnan(row(scored, "test", "balanced_accuracy")["value"])
    assert np.isfinite(row(scored, "test", "accuracy")["value"])
