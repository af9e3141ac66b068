"""Pairs of copies: the groups of patients they make, and their file."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewcase.data.files import table_metadata, write_table
from fewcase.splits.duplicates import (
    MOST_COPIES,
    equal_pairs,
    group_patients,
    name_pairs,
    pairs_table,
    read_duplicates,
    write_duplicates,
)
from fewcase.study.errors import InputError

FACTS = {"compared": 9, "featureless": 2, "method": "by eye"}


def examples_of(patients):
    names = [f"example {row}" for row in range(len(patients))]
    return pd.DataFrame({"row": range(len(patients)), "example": names, "patient": patients})


def test_patients_without_copies_are_groups_of_their_own():
    groups = group_patients(examples_of(["b", "a", "b"]), pairs_table())
    assert groups.tolist() == ["b", "a", "b"]


def test_a_copy_joins_all_recordings_of_both_patients_under_the_first_name():
    examples = examples_of(["c", "a", "c", "b", "d"])
    groups = group_patients(examples, pairs_table([2], [3], "near", 0.95))
    assert groups.tolist() == ["b", "a", "b", "b", "d"]


def test_patients_joined_to_the_same_one_are_one_group():
    examples = examples_of(["d", "c", "b", "a"])
    groups = group_patients(examples, pairs_table([0, 1], [1, 2], "near", 0.95))
    assert groups.tolist() == ["b", "b", "b", "a"]


def test_a_pair_with_an_example_that_takes_no_part_joins_nobody():
    examples = examples_of(["a", "b", "c"]).drop(index=1)
    groups = group_patients(examples, pairs_table([0, 1], [1, 2], "near", 0.95))
    assert groups.to_dict() == {0: "a", 2: "c"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12), st.randoms())
def test_groups_are_those_of_a_search_by_hand(links, random):
    examples = examples_of([f"patient {random.randint(0, 6)}" for _ in range(12)])
    pairs = pairs_table(*np.array([(a, b) for a, b in links if a < b]).reshape(-1, 2).T, "near")
    patients = examples["patient"].tolist()
    expected = {name: {name} for name in patients}
    for a, b in pairs[["row_a", "row_b"]].to_numpy():
        joined = expected[patients[a]] | expected[patients[b]]
        expected.update(dict.fromkeys(joined, joined))
    groups = group_patients(examples, pairs)
    assert groups.tolist() == [min(expected[name]) for name in patients]


def test_equal_values_are_paired_and_empty_ones_are_not():
    a, b = equal_pairs(np.array([b"x", b"", b"y", b"x", b"", b"x"]))
    assert sorted(zip(a, b, strict=True)) == [(0, 3), (0, 5), (3, 5)]


def test_thousands_of_copies_stay_linked_without_a_pair_for_any_two():
    digests = np.array([b"x"] * 3000)
    a, b = equal_pairs(digests)
    assert len(a) < 3000 * MOST_COPIES
    examples = examples_of([f"p{row:04}" for row in range(3000)])
    # Also where the first copies are no examples of the study.
    groups = group_patients(examples[10:], pairs_table(a, b, "exact"))
    assert set(groups) == {"p0010"}


def test_pairs_are_read_as_they_were_written(tmp_path):
    pairs = pairs_table(
        [3, 0], [5, 2], ["near", "exact"], [0.91, 1.0], transform=["flip", "identity"]
    )
    pairs = name_pairs(pairs, examples_of(list("abcdef")))
    write_duplicates(tmp_path / "pairs.parquet", pairs, FACTS)
    read, facts = read_duplicates(tmp_path / "pairs.parquet")
    pd.testing.assert_frame_equal(read, pairs)
    assert facts == FACTS
    assert read["example_b"].tolist() == ["example 2", "example 5"]


def test_a_cohort_without_copies_has_an_empty_table(tmp_path):
    write_duplicates(tmp_path / "pairs.parquet", pairs_table(), FACTS)
    read, _ = read_duplicates(tmp_path / "pairs.parquet")
    assert len(read) == 0
    assert read["row_a"].dtype == np.int64
    assert read["correlation"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"row_b": 3}, "no second row after the first"),
        ({"row_a": -1}, "negative row"),
        ({"kind": "similar"}, "kind that is none of exact, near"),
        ({"correlation": 1.5}, "correlation outside"),
        ({"correlation": np.nan}, "correlation outside"),
    ],
)
def test_a_pair_that_cannot_be_is_named(tmp_path, change, complaint):
    pairs = pairs_table([3], [5], "near", 0.9).assign(**change)
    with pytest.raises(InputError, match=rf"rows .* and .* {complaint}.*stage duplicates again"):
        write_duplicates(tmp_path / "pairs.parquet", pairs, FACTS)
    assert not any(tmp_path.iterdir())
    write_table(tmp_path / "pairs.parquet", pairs, {"fewcase": json.dumps(FACTS)})
    with pytest.raises(InputError, match=complaint):
        read_duplicates(tmp_path / "pairs.parquet")


def test_a_pair_that_is_there_twice_is_refused(tmp_path):
    pairs = pairs_table([3, 3], [5, 5], "near", 0.9)
    with pytest.raises(InputError, match="is there twice"):
        write_duplicates(tmp_path / "pairs.parquet", pairs, FACTS)


def test_a_file_of_another_stage_is_refused(tmp_path):
    path = tmp_path / "pairs.parquet"
    write_table(path, examples_of(["a"]))
    with pytest.raises(InputError, match="no column 'row_a'"):
        read_duplicates(path)
    write_table(path, pairs_table())
    with pytest.raises(InputError, match="no facts of fewcase"):
        read_duplicates(path)
    write_table(path, pairs_table(), {"fewcase": '{"compared": 1}'})
    with pytest.raises(InputError, match="no 'featureless'"):
        read_duplicates(path)
    assert table_metadata(path)["fewcase"]
