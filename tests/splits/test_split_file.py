"""A split file that breaks a promise stops whoever reads it, with the culprit's name."""

import json

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import read_table, table_metadata, write_table
from fewcase.splits.folds import make_split, read_facts, read_split, write_split
from fewcase.study.errors import InputError
from fewcase.study.splits import HeldOut, SplitOptions

OPTIONS = SplitOptions(
    "apgar",
    hold_out=(HeldOut("east"), HeldOut("south", since=2018)),
    folds=4,
    inner_folds=3,
)


@pytest.fixture
def path(cohort, tmp_path):
    path = tmp_path / "seed-7.parquet"
    write_split(path, make_split(cohort, OPTIONS, 7), OPTIONS, 7)
    return path


def test_a_split_is_read_as_it_was_written(cohort, path):
    pd.testing.assert_frame_equal(read_split(path), make_split(cohort, OPTIONS, 7))
    facts = read_facts(path)
    assert (facts.options, facts.seed, len(facts.digest)) == (OPTIONS, 7, 64)
    metadata = json.loads(table_metadata(path)["fewcase"])
    assert metadata["leaky"] is False
    assert metadata["hold_out"][1] == {"site": "south", "since": "2018-01-01", "until": None}


def test_the_split_file_is_small(path, cohort):
    assert path.stat().st_size < 40 * len(cohort)


def first(split, condition):
    return np.flatnonzero(condition(split))[0]


def edit(column, condition, value):
    """Return a change that sets `column` of the first row that meets `condition`."""

    def change(split):
        i = first(split, condition)
        split.loc[i, column] = value(split.loc[i]) if callable(value) else value
        return split

    return change


def trained(split):
    return split["fold"] >= 0


def held_out(split):
    return split["test_set"] == "external"


def many(split):
    """Examples in folds, of patients with several."""
    return trained(split) & split["patient"].duplicated(keep=False)


def move_late_birth_to_training(split):
    i = first(split, lambda s: s["test_set"] == "temporal")
    split.loc[i, ["fold", "inner", "test_set"]] = [1, 1, ""]
    split.loc[i, ["patient", "group"]] = "south/somebody new"
    split.loc[i, "reason"] = ""
    return split


def share_a_patient_with_the_test_set(split):
    split.loc[first(split, trained), "patient"] = split["patient"][first(split, held_out)]
    return split


BROKEN = {
    "patient in two folds": (
        edit("fold", many, lambda row: (row["fold"] + 1) % 4),
        r"patient '(north|south)/\d+' is in two folds, \d and \d",
    ),
    "patient in two inner parts": (
        edit("inner", many, lambda row: (row["inner"] + 1) % 3),
        r"patient '(north|south)/\d+' is in two inner parts, \d and \d",
    ),
    "patient in training and test": (
        share_a_patient_with_the_test_set,
        r"patient 'east/\d+' is in (the test set and in a fold|two folds)",
    ),
    "held-out site in training": (
        edit("site", trained, "east"),
        r"site 'east' \(east\) is held out but in a fold",
    ),
    "held-out period in training": (
        move_late_birth_to_training,
        r"site 'south' \(south since 2018-01-01\) is held out but in a fold",
    ),
    "undated example of a held-out period": (
        edit("date", lambda s: trained(s) & (s["site"] == "south"), pd.NaT),
        "has no date and may be of a held-out period",
    ),
    "fold out of range": (
        edit("fold", trained, 4),
        r"example 'recording \d+' has a fold that is out of range: expected 0 to 3",
    ),
    "inner part out of range": (edit("inner", trained, 9), r"inner part that is out of range"),
    "fold without examples": (
        lambda split: split[split["fold"] != 2],
        "fold 2 of 4 has no example",
    ),
    "test row in a fold": (
        edit("fold", held_out, 1),
        "is in a fold and in a test set, test_set 'ex",
    ),
    "row nowhere": (edit("test_set", held_out, ""), "is in no fold and in no test set"),
    "unknown test set": (edit("test_set", held_out, "spare"), "test_set 'spare'"),
    "group in two folds": (
        lambda split: split.assign(
            group=split["group"].where(
                ~split["patient"].isin(
                    [split["patient"][split["fold"] == fold].iloc[0] for fold in (0, 1)]
                ),
                "together",
            )
        ),
        "group 'together' is in two folds, 0 and 1",
    ),
    "parent in two folds": (
        lambda split: split.assign(
            parent=split["parent"].where(
                ~split["example"].isin(
                    [split["example"][split["fold"] == fold].iloc[0] for fold in (0, 1)]
                ),
                "slide",
            )
        ),
        "parent 'slide' is in two folds, 0 and 1",
    ),
    "patient in two groups": (
        edit("group", many, "another"),
        r"patient '.*' is in two groups",
    ),
    "excluded without a reason": (
        edit("reason", lambda s: s["test_set"] == "excluded", ""),
        "is excluded without a reason",
    ),
    "reason but used": (edit("reason", trained, "no date"), "has a reason but is used"),
    "unknown reason": (
        edit("reason", lambda s: s["test_set"] == "excluded", "dull"),
        "has a reason that is none of .* reason 'dull'",
    ),
    "dropped under another policy": (
        edit("reason", lambda s: s["test_set"] == "excluded", "duplicate: x is kept"),
        "is dropped against the policy",
    ),
    "no inner part": (edit("inner", trained, -1), "has the wrong inner part"),
    "held out but excluded": (edit("test_set", held_out, "excluded"), "is held out but in no test"),
    "test set not held out": (
        edit("site", held_out, "west"),
        "site 'west' is in a test set but not",
    ),
    "external called temporal": (
        edit("test_set", held_out, "temporal"),
        "site 'east' is temporal on",
    ),
    "example twice": (
        lambda split: pd.concat([split, split[:1].assign(row=10**6)]),
        "example 'recording 0' is there twice",
    ),
    "row twice": (
        lambda split: pd.concat([split, split[:1].assign(example="other")]),
        "row 0 is there twice",
    ),
    "column missing": (lambda split: split.drop(columns="inner"), "no column 'inner'"),
    "label changed": (
        edit("label", trained, lambda row: 1 - row["label"]),
        "the rows are not those that were written",
    ),
    "row dropped": (lambda split: split[1:], "the rows are not those that were written"),
    "order changed": (lambda split: split[::-1], "the rows are not those that were written"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_split_file_stops_with_the_name_of_the_culprit(path, name):
    change, message = BROKEN[name]
    write_table(path, change(read_table(path).reset_index(drop=True)), table_metadata(path))
    with pytest.raises(InputError, match=message) as caught:
        read_split(path)
    assert str(path) in str(caught.value)
    assert "run the split stage again" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", 8, "not those that were written"),
        ("leaky", True, "not those that were written"),
        ("target", "ph", "not those that were written"),
        ("scheme", "image", "not those that were written"),
        ("duplicates", "ignore", "not those that were written"),
        ("duplicates", "join", "'join' is not one of"),
        ("folds", 5, "fold 4 of 5 has no example"),
        ("scheme", "patients", "Did you mean 'patient'"),
    ],
)
def test_metadata_that_were_changed_are_noticed(path, key, value, message):
    facts = json.loads(table_metadata(path)["fewcase"])
    write_table(path, read_table(path), {"fewcase": json.dumps({**facts, key: value})})
    with pytest.raises(InputError, match=message):
        read_split(path)


def test_a_split_that_breaks_a_promise_is_not_even_written(path, tmp_path):
    split = read_split(path)
    split.loc[first(split, trained), "site"] = "east"
    with pytest.raises(InputError, match="site 'east'"):
        write_split(tmp_path / "other.parquet", split, OPTIONS, 7)
    assert not (tmp_path / "other.parquet").exists()


def test_a_table_that_is_no_split_says_so(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_split(tmp_path / "none.parquet")
    write_table(tmp_path / "table.parquet", pd.DataFrame({"row": [1]}))
    with pytest.raises(InputError, match="not a split file"):
        read_split(tmp_path / "table.parquet")
