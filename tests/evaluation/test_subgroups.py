"""Parts of a cohort: levels of records, and labels of other targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import write_table
from fewcase.evaluation.subgroups import join_levels, read_other_labels, read_subgroups, relabel
from fewcase.study.errors import InputError


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.parquet"
    table = pd.DataFrame(
        {
            "record": ["a", "b", "c", "d", "e"],
            "gestational_weeks": [33.9, 34.0, 36.5, 37.0, np.nan],
            "delivery": ["vaginal", "caesarean", None, " vaginal", ""],
            "year": [2015, 2016, 2015, 2016, 2017],
        }
    )
    write_table(path, table)
    return path


def test_edges_divide_numbers_and_nobody_vanishes(records: Path) -> None:
    wanted = {
        "term": {"column": "gestational_weeks", "edges": [37]},
        "weeks": {"column": "gestational_weeks", "edges": [34, 37]},
    }
    found = read_subgroups(records, wanted)
    assert found["term"].to_dict() == {
        "a": "< 37",
        "b": "< 37",
        "c": "< 37",
        "d": "≥ 37",
        "e": "unknown",
    }
    assert found["weeks"].tolist() == ["< 34", "34–<37", "34–<37", "≥ 37", "unknown"]


def test_texts_and_years_are_levels_of_their_own(records: Path) -> None:
    found = read_subgroups(records, {"how": {"column": "delivery"}, "when": {"column": "year"}})
    assert found["how"].tolist() == ["vaginal", "caesarean", "unknown", "vaginal", "unknown"]
    assert found["when"].tolist() == ["2015", "2016", "2015", "2016", "2017"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"column": "gestation_weeks"},
            r"subgroups\.x\.column: .*Did you mean 'gestational_weeks'",
        ),
        (
            {"column": "year", "edge": [1]},
            r"subgroups\.x: unknown key 'edge'.*Did you mean 'edges'",
        ),
        ({"column": "year", "edges": [2, 1]}, r"subgroups\.x\.edges: .* do not rise"),
        ({"column": "delivery", "edges": [37]}, r"subgroups\.x\.edges: .*no numbers.*'vaginal'"),
    ],
)
def test_mistaken_subgroups_are_named(records: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_subgroups(records, {"x": options})


def test_a_column_of_many_values_asks_for_edges(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    names = [f"r{i}" for i in range(40)]
    write_table(path, pd.DataFrame({"record": names, "weight": np.arange(40.0)}))
    with pytest.raises(InputError, match=r"column 'weight' has 40 different values.*edges"):
        read_subgroups(path, {"weight": {"column": "weight"}})


def test_a_parent_without_a_record_is_named(records: Path) -> None:
    levels = read_subgroups(records, {"how": {"column": "delivery"}})["how"]
    assert join_levels(pd.Series(["b", "a", "b"]), levels, "how").tolist() == [
        "caesarean",
        "vaginal",
        "caesarean",
    ]
    with pytest.raises(InputError, match=r"subgroups\.how: parent 'z' .* not among the records"):
        join_levels(pd.Series(["a", "z"]), levels, "how")


def test_other_labels_keep_the_examples_that_both_targets_label(tmp_path: Path) -> None:
    path = tmp_path / "examples.parquet"
    write_table(path, pd.DataFrame({"example": ["e1", "e2", "e4"], "label": [1, 0, -1]}))
    rows = pd.DataFrame({"label": [0, 0, 1, 1]})
    examples = pd.Series(["e1", "e2", "e3", "e4"])
    found = relabel(rows, examples, read_other_labels(path))
    assert found.index.tolist() == [0, 1]
    assert found["label"].tolist() == [1, 0]
    assert relabel(rows, examples, pd.Series([], dtype=np.int64)).empty
