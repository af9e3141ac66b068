"""Arms whose classes are stages: each and those above it against those below, and agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from fewcase.evaluation.ordered import measure_ordered
from fewcase.evaluation.scores import score_arm
from fewcase.statistics.intervals import estimate_auc
from scored_classes import ClassStudy, without_bootstraps

STAGES = 4


def staged(n: int = 160, models: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores of stages that are mixed up with their neighbours, labels and patients."""
    random = np.random.default_rng(2)
    labels = random.integers(0, STAGES, n)
    seen = labels + random.normal(scale=0.9, size=(models, n))
    logits = -((seen[..., None] - np.arange(STAGES)) ** 2)
    scores = np.exp(logits)
    return scores / scores.sum(axis=2, keepdims=True), labels, np.arange(n) // 2


def test_at_least_a_stage_is_the_auc_of_the_sum_of_its_scores_and_those_above() -> None:
    scores, labels, patients = staged()
    found = measure_ordered(scores, labels, patients)
    assert set(found) == {("quadratic_kappa", ""), *(("auc_at_least", k) for k in "123")}
    for stage in range(1, STAGES):
        one = found["auc_at_least", str(stage)]
        above = scores[:, :, stage:].sum(axis=2)
        expected = [sklearn.metrics.roc_auc_score(labels >= stage, model) for model in above]
        assert one.value == pytest.approx(np.mean(expected))
        assert one.sd == pytest.approx(np.std(expected, ddof=1))
        assert one.method.startswith("Obuchowski")
        clustered = estimate_auc(above, (labels >= stage).astype(int), patients)
        assert (one.low, one.high) == (clustered.low, clustered.high)


def test_kappa_is_scikit_learns_and_its_interval_takes_patients_whole() -> None:
    scores, labels, patients = staged()
    found = measure_ordered(scores, labels, patients)["quadratic_kappa", ""]
    expected = [
        sklearn.metrics.cohen_kappa_score(labels, model.argmax(axis=1), weights="quadratic")
        for model in scores
    ]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.sd == pytest.approx(np.std(expected, ddof=1))
    assert found.low < found.value < found.high
    assert found.method == "BCa bootstrap"
    # The same examples, each there three times under its patient, tell no more.
    again = np.repeat(np.arange(labels.size), 3)
    copied = measure_ordered(scores[:, again], labels[again], patients[again])
    assert copied["quadratic_kappa", ""].low == pytest.approx(found.low, abs=0.01)


def test_calls_that_know_the_opposite_have_a_kappa_below_0() -> None:
    labels = np.repeat([0, 1, 2], 20)
    scores = np.eye(3)[2 - labels][None]
    found = measure_ordered(scores, labels, np.arange(60))
    assert found["quadratic_kappa", ""].value == pytest.approx(-1)
    assert found["auc_at_least", "2"].value < 0.5


def test_where_only_one_stage_is_there_and_called_nothing_has_a_value() -> None:
    labels = np.zeros(10, np.int64)
    found = measure_ordered(np.eye(3)[labels][None], labels, np.arange(10))
    assert found["quadratic_kappa", ""].method == "undefined: one class is called and is there"
    assert found["auc_at_least", "1"].method == "undefined: no positives"


def test_only_ordered_classes_have_rows_of_their_own_and_others_stay_the_same(
    tmp_path: Path,
) -> None:
    study = ClassStudy(tmp_path, classes=STAGES, images=32, folds=2, tests=16)
    predictions = study.predictions("vit", 0.8)
    with without_bootstraps():
        plain, found = (
            score_arm(predictions, arm="vit", split="s", is_ordered=ordered).summary
            for ordered in (False, True)
        )
    of_order = found["statistic"].isin(["auc_at_least", "quadratic_kappa"])
    pd.testing.assert_frame_equal(found[~of_order].reset_index(drop=True), plain)
    sets = {"cv", "cv-by-parent", "test", "test-by-parent", "external"}
    assert set(found.loc[of_order, "set"]) == sets
    tests = predictions[predictions["role"] == "test"]
    means = tests.groupby("example")[[*(f"score_{k}" for k in range(STAGES)), "label"]].mean()
    row = found[(found["set"] == "test") & of_order & (found["class"] == "2")].iloc[0]
    assert row["value"] == pytest.approx(
        sklearn.metrics.roc_auc_score(means["label"] >= 2, means["score_2"] + means["score_3"])
    )
    assert row["positives"] == (means["label"] >= 2).sum()
    assert row["negatives"] == (means["label"] < 2).sum()
