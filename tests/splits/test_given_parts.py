"""Parts that the data come with make one fold, and nobody is in two of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fewcase.splits.folds import (
    inner_rows,
    make_split,
    read_split,
    training_rows,
    validation_rows,
    write_split,
)
from fewcase.splits.folds import (
    test_rows as held_out_rows,
)
from fewcase.study.errors import InputError
from fewcase.study.splits import ALWAYS_TRAINED, SplitOptions

OPTIONS = SplitOptions(target="tissue", folds=1, inner_folds=2, given=True)


def slides() -> pd.DataFrame:
    """Eighteen slides of a patient each: eight to train, six to validate, four to test on."""
    part = np.repeat(["train"] * 8 + ["validation"] * 6 + ["test"] * 4, 4)
    slide = np.repeat(np.arange(18), 4)
    return pd.DataFrame(
        {
            "row": np.arange(72),
            "example": [f"slide {s} tile {i}" for i, s in enumerate(slide)],
            "parent": [f"slide {s}" for s in slide],
            "patient": [f"patient {s}" for s in slide],
            "site": "here",
            "date": pd.NaT,
            "part": part,
            "label": np.tile([0, 1, 2, 2], 18).astype(np.int8),
        }
    )


def test_the_one_fold_validates_on_what_is_given_for_it_and_trains_on_the_rest():
    split = make_split(slides(), OPTIONS, seed=0)
    assert set(validation_rows(split, 0)["part"]) == {"validation"}
    assert set(training_rows(split, 0)["part"]) == {"train"}
    assert set(inner_rows(split, 0)["part"]) == {"train"}
    assert set(held_out_rows(split)["part"]) == {"test"}
    used = [validation_rows(split, 0), training_rows(split, 0), inner_rows(split, 0)]
    assert sum(map(len, used)) + len(held_out_rows(split)) == 72
    assert set(split["fold"][split["part"] == "train"]) == {ALWAYS_TRAINED}


def test_a_given_test_part_is_internal_at_a_site_that_is_trained_on_and_else_external():
    tiles = slides()
    tiles.loc[tiles["part"] == "test", "site"] = np.repeat(["here", "elsewhere"], 8)
    split = make_split(tiles, OPTIONS, seed=0)
    kinds = split.groupby(["part", "site"])["test_set"].unique().map(list).to_dict()
    assert kinds["test", "here"] == ["internal"]
    assert kinds["test", "elsewhere"] == ["external"]


def test_training_gives_up_a_patient_who_is_validated_or_tested_on():
    tiles = slides()
    tiles.loc[tiles["parent"] == "slide 0", "patient"] = "patient 9"
    tiles.loc[tiles["parent"] == "slide 1", "patient"] = "patient 15"
    split = make_split(tiles, OPTIONS, seed=0)
    why = split.drop_duplicates("parent").set_index("parent")["reason"]
    assert why["slide 0"] == "patient in validation set"
    assert why["slide 1"] == "patient in test set"
    assert why["slide 9"] == ""
    assert (why != "").sum() == 2


def test_an_example_without_a_part_is_left_out_with_its_reason():
    tiles = slides()
    tiles.loc[tiles["parent"] == "slide 0", "part"] = ""
    split = make_split(tiles, OPTIONS, seed=0)
    assert set(split["reason"][split["parent"] == "slide 0"]) == {"no part given"}


def test_the_split_reads_back_whole(tmp_path):
    split = make_split(slides(), OPTIONS, seed=0)
    write_split(tmp_path / "split.parquet", split, OPTIONS, seed=0)
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.parquet"), split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "train"}, "no example is given for the part 'validation'"),
        ({"part": "dev"}, "part 'dev' is none of"),
    ],
)
def test_a_part_that_is_missing_or_unknown_is_named(change, message):
    with pytest.raises(InputError, match=message):
        make_split(slides().assign(**change), OPTIONS, seed=0)


@pytest.mark.parametrize("column", [[], ["part"]])
def test_where_the_data_give_no_parts_they_are_drawn_patient_by_patient(column):
    tiles = slides().drop(columns=column)
    if not column:
        tiles["part"] = ""
    options = dataclasses.replace(OPTIONS, validation_share=0.25, test_share=0.1, draw_seed=3)
    split = make_split(tiles, options, seed=0)
    counts = split.groupby("part")["patient"].nunique()
    assert counts["validation"] == pytest.approx(0.25 * 18, abs=1)
    assert counts["test"] == pytest.approx(0.1 * 18, abs=1)
    assert (split.groupby("patient")["part"].nunique() == 1).all()
    assert set(split["test_set"][split["part"] == "test"]) == {"internal"}
    again = make_split(tiles.sample(frac=1, random_state=1), options, seed=1)
    by_example = again.set_index("example")["part"]
    assert (by_example.loc[split["example"]].to_numpy() == split["part"].to_numpy()).all()


def test_shares_that_leave_nothing_to_train_on_are_named():
    with pytest.raises(InputError, match="leave nothing to train on"):
        dataclasses.replace(OPTIONS, validation_share=0.6, test_share=0.4)


def test_given_parts_are_one_fold():
    with pytest.raises(InputError, match="give folds: 1"):
        SplitOptions(target="tissue", folds=5, given=True)


def test_a_shared_seed_draws_the_same_folds_for_every_seed():
    drawn = SplitOptions(target="tissue", folds=3, inner_folds=2)
    shared = dataclasses.replace(drawn, draw_seed=5)
    folds = [make_split(slides(), shared, seed)["fold"].tolist() for seed in (0, 1)]
    assert folds[0] == folds[1] == make_split(slides(), drawn, 5)["fold"].tolist()
    assert folds[0] != make_split(slides(), drawn, 0)["fold"].tolist()
