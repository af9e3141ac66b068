"""Who is in a run, how its scores are made, and its progress in the log."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from fewcase.splits.folds import read_split
from fewcase.splits.sampling import draw_samples, read_samples
from fewcase.study.errors import InputError
from fewcase.training import progress
from fewcase.training.outputs import inner_score, name_weights, prediction_table
from fewcase.training.progress import Progress, describe_seconds
from fewcase.training.run_data import gather_run


@pytest.fixture(scope="module")
def split_and_samples(study):
    split = read_split(study / "split.parquet")
    return split, read_samples(study / "sample.parquet", split)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_patient_is_both_trained_on_and_scored(split_and_samples, fold):
    split, samples = split_and_samples
    data = gather_run(split, samples, fold, bags=2)
    patients = split.set_index("row")["patient"]
    scored = set(data.scored["patient"])
    for bag in data.bags:
        assert not scored & set(patients[data.rows[bag]])
    assert set(data.scored["role"]) == {"inner", "validation", "test"}
    assert set(data.scored.loc[data.scored["role"] == "test", "test_set"]) == {"external"}
    assert (data.scored.loc[data.scored["role"] == "validation", "row"].isin(split["row"])).all()


def test_positions_lead_to_the_rows_and_labels_of_the_split(split_and_samples):
    split, samples = split_and_samples
    data = gather_run(split, samples, 1, bags=2)
    known = split.set_index("row")
    np.testing.assert_array_equal(data.labels, known.loc[data.rows, "label"])
    for bag in range(2):
        chosen = samples[(samples["fold"] == 1) & (samples["bag"] == bag)]
        assert set(data.rows[data.bags[bag]]) == set(chosen["row"])
    inner = data.scored_positions("inner")
    assert list(data.rows[inner]) == list(data.scored.loc[data.scored["role"] == "inner", "row"])
    names = known.loc[data.rows, "site"].to_numpy()
    assert all(len(set(names[data.sites == code])) == 1 for code in set(data.sites))


def test_a_run_that_helps_to_choose_is_scored_on_the_part_that_it_leaves_out_alone(
    split_and_samples,
):
    split, _ = split_and_samples
    data = gather_run(split, draw_samples(split, 2.0, 1, 0, inner=1), 0, bags=1)
    assert set(data.scored["role"]) == {"inner"}
    known = split.set_index("row")
    assert set(known.loc[data.scored["row"], "inner"]) == {1}
    assert not set(data.scored["row"]) & set(data.rows[data.bags[0]])


def test_a_run_knows_how_far_under_sampling_shifts_its_classes(split_and_samples):
    split, samples = split_and_samples
    shares = gather_run(split, samples, 0, bags=1).prevalences()
    training = split[(split["fold"] > 0) & (split["inner"] != 0)]
    assert shares["prevalence"][1] == pytest.approx(training["label"].mean())
    assert shares["trained_prevalence"] == pytest.approx([2 / 3, 1 / 3], abs=0.02)
    assert sum(shares["prevalence"]) == pytest.approx(1)


def test_the_digest_changes_with_labels_and_with_the_sample(split_and_samples):
    split, samples = split_and_samples
    digest = gather_run(split, samples, 0, 1).digest()
    assert digest == gather_run(split, samples, 0, 1).digest()
    flipped = split.assign(label=1 - split["label"])
    assert digest != gather_run(flipped, samples, 0, 1).digest()
    assert digest != gather_run(split, samples, 0, 2).digest()


def test_a_training_part_of_one_class_and_a_fold_that_is_not_there_are_refused(split_and_samples):
    split, samples = split_and_samples
    with pytest.raises(InputError, match="of class 0"):
        gather_run(split.assign(label=0), samples, 0, 1)
    with pytest.raises(InputError, match="fold 7"):
        gather_run(split, samples, 7, 1)


def test_bags_are_averaged_before_the_softmax():
    logits = np.array([[[0.0, 4.0]], [[0.0, -2.0]]], np.float32)
    table = prediction_table(pd.DataFrame({"row": [3]}), logits)
    assert table["score_1"].item() == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert table["score_0"].item() + table["score_1"].item() == pytest.approx(1)
    assert table["score_1"].dtype == np.float32


def test_several_bags_keep_their_weights_apart():
    one, two = {"a": np.zeros(1)}, {"a": np.ones(1)}
    assert name_weights([one]) == one
    assert name_weights([one, two]) == {"bag-0.a": one["a"], "bag-1.a": two["a"]}


@pytest.mark.parametrize("classes", [2, 3])
def test_inner_scores_agree_with_scikit_learn(classes):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, 80)
    logits = generator.normal(size=(80, classes)).round(1).astype(np.float32)
    loss, auc = inner_score(logits, labels)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert loss == pytest.approx(log_loss(labels, chances), rel=1e-5)
    if classes == 2:
        # Scores of two classes are in the order of the difference of their logits.
        assert auc == pytest.approx(
            roc_auc_score(labels, logits[:, 1].astype(float) - logits[:, 0]), abs=1e-3
        )
    else:
        assert auc == pytest.approx(roc_auc_score(labels, chances, multi_class="ovr"), abs=2e-3)


def test_the_inner_auc_is_undefined_for_one_class_or_none():
    loss, auc = inner_score(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
    assert loss == pytest.approx(np.log(2))
    assert np.isnan(auc)
    assert np.isnan(inner_score(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))).all()


def test_progress_tells_the_time_left_every_ten_seconds(monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    caplog.set_level(logging.INFO)
    lines = Progress(2, 10, 5, 64.0, logging.getLogger("fewcase.test"))
    for step in range(50):
        clock[0] += 3.0
        if lines.is_due():
            lines.tell(0, step // 5, step % 5 + 1)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 12
    assert messages[0] == "bag 1/2, epoch 1/10, step 4/5"
    # 92 of the 100 steps of both bags are left, at 3 s each.
    assert messages[1] == ("bag 1/2, epoch 2/10, step 3/5, 21.3 images/s, 5 min left at most")


def test_durations_are_told_in_words():
    assert [describe_seconds(s) for s in (12.4, 99, 100, 3540, 7500)] == [
        "12 s",
        "99 s",
        "2 min",
        "59 min",
        "2 h 05 min",
    ]
