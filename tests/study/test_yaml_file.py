"""A study file in which a key stands twice is refused."""

from pathlib import Path

import pytest

from fewcase.study.errors import InputError
from fewcase.study.yaml_file import check_keys_stand_once

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folds: 2\nseeds: [0]\nfolds: 3\n", "line 3: key 'folds' stands in line 1 already"),
        ("experiments:\n  a: {vary: {}}\n  a: {fix: {}}\n", "line 3: key 'a' stands in line 2"),
        ("also:\n- {bags: 1, bags: 2}\n", "line 2: key 'bags' stands in line 2"),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        check_keys_stand_once(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "a: {x: 1}\nb: {x: 1}\n", "a: &loop\n  b: *loop\n", "base: &b {x: 1}\nc: {<<: *b, x: 2}\n",
     "a: [", '{"a": {"x": 1}, "b": 2}'],
)  # fmt: skip
def test_the_same_key_in_two_places_is_no_mistake(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    check_keys_stand_once(path)


@pytest.mark.parametrize("name", ["config.yaml", "studies/ctg.yaml", "studies/ctu_uhb.yaml"])
def test_the_studies_that_ship_have_every_key_once(name):
    check_keys_stand_once(REPOSITORY / name)
