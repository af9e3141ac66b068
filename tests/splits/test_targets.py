"""Labels follow the rule of the target; what cannot be labelled says why."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fewcase.splits.targets import apply_target
from fewcase.study.errors import InputError
from fewcase.study.targets import is_ordered, read_target

NAN = float("nan")


def labels(rule, **columns):
    found, reasons = apply_target(pd.DataFrame(columns), read_target(rule, "target"))
    assert found.dtype == np.int8
    assert [(label == -1) for label in found] == [bool(reason) for reason in reasons]
    return found.tolist()


def test_apgar_with_one_score_missing_is_positive_if_the_known_one_is_low_and_else_unlabelled():
    apgar1 = [6, 7, 7, 6, NAN, NAN, NAN, 7]
    apgar5 = [9, 6, 7, NAN, 6, 7, NAN, NAN]
    found = labels({"rule": "apgar"}, apgar1=apgar1, apgar5=apgar5)
    assert found == [1, 1, 0, 1, 1, -1, -1, -1]


def test_the_reason_names_the_score_that_is_unknown():
    table = pd.DataFrame({"apgar1": [8.0, NAN], "apgar5": [NAN, NAN]})
    _, reasons = apply_target(table, read_target({"rule": "apgar"}, "target"))
    assert reasons.tolist() == ["apgar5 is unknown", "apgar1 is unknown; apgar5 is unknown"]


def test_the_apgar_threshold_is_the_study_s():
    assert labels({"rule": "apgar", "at_most": 3}, apgar1=[3, 4], apgar5=[9, 4]) == [1, 0]


def test_below_and_above_do_not_count_the_threshold_itself():
    ph = [7.149, 7.15, 7.2, NAN]
    assert labels({"rule": "below", "column": "ph", "threshold": 7.15}, ph=ph) == [1, 0, 0, -1]
    deficit = [12, 12.01, None]
    rule = {"rule": "above", "column": "deficit", "threshold": 12}
    assert labels(rule, deficit=deficit) == [0, 1, -1]


def test_text_where_a_number_belongs_leaves_the_record_unlabelled():
    rule = read_target({"rule": "below", "column": "ph", "threshold": 7.15}, "target")
    found, reasons = apply_target(pd.DataFrame({"ph": ["7.1", "n/a", None]}), rule)
    assert found.tolist() == [1, -1, -1]
    assert reasons.tolist() == ["", "ph 'n/a' is no number", "ph is unknown"]


@pytest.mark.parametrize(
    "column",
    [[1, 2, None], ["1", "2", None], [1.0, 2.0, NAN], ["1.0", " 2", None]],
)
def test_a_hospital_s_code_is_the_same_as_number_or_text(column):
    rule = {"rule": "column", "column": "code", "positive": [1]}
    assert labels(rule, code=column) == [1, 0, -1]
    assert labels({**rule, "positive": ["1"]}, code=column) == [1, 0, -1]


def test_truth_values_are_codes_too():
    assert labels({"rule": "column", "column": "x", "positive": [True]}, x=[True, False]) == [1, 0]


def test_values_in_neither_list_leave_the_record_unlabelled():
    rule = {"rule": "column", "column": "outcome", "positive": ["NICU"], "negative": ["home"]}
    assert labels(rule, outcome=["NICU", "home", "moved", None]) == [1, 0, -1, -1]


def test_any_of_is_positive_by_one_rule_and_negative_only_by_all():
    rule = {
        "rule": "any_of",
        "rules": [
            {"rule": "below", "column": "ph", "threshold": 7.15},
            {"rule": "apgar", "columns": ["apgar5"]},
        ],
    }
    ph = [7.1, 7.3, 7.3, NAN, 7.3, NAN]
    apgar5 = [9, 5, 9, 5, NAN, 9]
    assert labels(rule, ph=ph, apgar5=apgar5) == [1, 1, 0, 1, -1, -1]


def test_a_target_survives_the_way_through_json():
    for rule in [
        {"rule": "apgar", "at_most": 5},
        {"rule": "below", "column": "ph", "threshold": 7.15},
        {"rule": "any_of", "rules": [{"rule": "column", "column": "x", "positive": ["a", 1]}]},
    ]:
        target = read_target(rule, "target")
        assert read_target(dataclasses.asdict(target), "target") == target


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rule": "apgr"}, "target.rule: no rule 'apgr'. Did you mean 'apgar'"),
        ({"at_most": 6}, "target.rule: no rule None"),
        ("apgar", "target: expected a mapping"),
        ({"rule": "apgar", "at_least": 6}, "target.at_least: unknown key"),
        ({"rule": "apgar", "at_most": 11}, "11 is above the largest value allowed, 9"),
        ({"rule": "apgar", "columns": []}, "target.columns: the list is empty"),
        ({"rule": "below", "column": "ph"}, "target.threshold: this key is required"),
        (
            {"rule": "any_of", "rules": [{"rule": "below", "column": 3, "threshold": 1}]},
            r"target.rules\[0\].column: expected text",
        ),
        (
            {"rule": "column", "column": "x", "positive": [1], "negative": [1]},
            "1.0 is both positive and negative",
        ),
    ],
)
def test_a_rule_that_cannot_be_read_names_the_key(rule, message):
    with pytest.raises(InputError, match=message):
        read_target(rule, "target")


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"no column 'apgar_5'.*Did you mean 'apgar5'"):
        labels({"rule": "below", "column": "apgar_5", "threshold": 7}, apgar1=[7.0], apgar5=[7.0])


CLASSES = {"rule": "classes", "classes": ["F0/F1", "F2/F3", "F4"]}
STAGES = {"F0": "F0/F1", "F1": "F0/F1", "F2": "F2/F3", "F3": "F2/F3"}


def test_classes_are_numbered_in_their_order_and_values_can_be_merged():
    rule = {**CLASSES, "column": "stage", "merge": STAGES}
    stages = ["F4", "F0", "F1", "F3", "F2", "F5", None, ""]
    assert labels(rule, stage=stages) == [2, 0, 0, 1, 1, -1, -1, -1]


def test_a_value_that_names_no_class_says_so_or_stops():
    rule = {"rule": "classes", "classes": ["CNV", "DME"]}
    table = pd.DataFrame({"record": ["a", "b"], "class": ["CNV", "DRUSEN"]})
    _, reasons = apply_target(table, read_target(rule, "target"))
    assert reasons.tolist() == ["", "class 'DRUSEN' is none of the classes"]
    with pytest.raises(InputError, match=r"record 'b': class 'DRUSEN' is none of the classes"):
        apply_target(table, read_target({**rule, "others": "error"}, "target"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["CNV"]}, "is one class"),
        ({"classes": ["CNV", "CNV"]}, "'CNV' is there twice"),
        ({"merge": {"F0": "F9"}}, "no class 'F9'"),
        ({"merge": {"F4": "F2/F3"}}, "'F4' is a class of its own"),
        ({"classes": ["CNV", "DME"], "ordered": True}, r"target\.ordered: .* are two classes"),
    ],
)
def test_classes_that_cannot_be_are_named(change, message):
    with pytest.raises(InputError, match=message):
        read_target({**CLASSES, **change}, "target")


def test_classes_are_degrees_only_where_the_target_says_so():
    assert is_ordered(read_target({**CLASSES, "ordered": True}, "target"))
    for rule in (CLASSES, {"rule": "below", "column": "ph", "threshold": 7}):
        assert not is_ordered(read_target(rule, "target"))


def test_several_classes_are_no_part_of_a_yes_or_no():
    with pytest.raises(InputError, match="several classes are no yes or no"):
        read_target({"rule": "any_of", "rules": [CLASSES]}, "target")
