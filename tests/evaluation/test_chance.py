"""Whether networks are told apart from guessing, patients taken as clusters."""

import json

import numpy as np
import pytest

from fewcase.evaluation.chance import judge_chance
from fewcase.evaluation.multiclass import measure_auc
from fewcase.statistics.intervals import estimate_auc


def test_two_classes_have_the_auc_of_the_second_and_its_interval_by_patient():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 80)
    patients = np.array([f"p{number}" for number in np.arange(80) // 2])
    second = labels + random.normal(0, 1.5, 80)
    found = judge_chance(np.stack([-second, second], axis=1), labels, patients)
    known = estimate_auc(second, labels, np.arange(80) // 2)
    assert (found.auc.value, found.auc.low, found.auc.high) == pytest.approx(
        (known.value, known.low, known.high)
    )
    assert found.auc.method == "Obuchowski, logit"
    assert found.no_better_than_chance == (known.low <= 0.5)
    assert judge_chance(second, labels, patients).as_json() == found.as_json()


def test_more_classes_have_the_mean_of_each_against_the_rest():
    random = np.random.default_rng(1)
    labels, patients = random.integers(0, 3, 90), np.arange(90) // 3
    scores = np.eye(3)[labels] + random.normal(0, 0.8, (90, 3))
    found = judge_chance(scores, labels, patients)
    known = measure_auc(scores[None], labels, patients)[""]
    assert (found.auc.value, found.auc.low, found.auc.high) == pytest.approx(
        (known.value, known.low, known.high)
    )
    assert not found.no_better_than_chance


def test_what_is_not_shown_to_be_better_is_said_to_be_no_better():
    random = np.random.default_rng(2)
    labels, patients = np.arange(60) % 2, np.arange(60)
    assert judge_chance(random.random(60), labels, patients).no_better_than_chance
    assert not judge_chance(labels + random.random(60), labels, patients).no_better_than_chance
    # Worse than chance is no better.
    assert judge_chance(-labels + random.random(60) / 2, labels, patients).no_better_than_chance


def test_one_class_alone_tells_nothing_and_is_still_json():
    found = judge_chance([0.2, 0.9, 0.4], [1, 1, 1], ["a", "b", "c"])
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["auc"] is None
    assert values["low"] is None
    assert values["no_better_than_chance"] is True
    assert values["method"] == "undefined: no negatives"
    assert values["examples"] == 3
