"""Images and tiles are labelled, and none is lost between what was found and what is trained on."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cohort as cohort_stage
import flow as flow_stage
from fewcase.data.files import read_table, write_table
from fewcase.data.stage import run
from fewcase.splits.cohort import make_cohort
from fewcase.splits.flow import IN_PART, LEFT_OUT, REMAINING, follow, make_flow
from fewcase.splits.folds import make_split
from fewcase.splits.sampling import draw_samples
from fewcase.splits.steps import STEPS_OF
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions
from fewcase.study.targets import Classes, read_target
from image_cohorts import (
    TISSUE,
    TISSUES,
    given_split,
    image_cohort,
    tile_cohort,
)


def at(flow, site="all", label="all", columns=("images", "patients", "examples")):
    """Return the counts of a flow step by step."""
    rows = flow[(flow["site"] == site) & (flow["label"] == label)]
    return [tuple(None if pd.isna(n) else int(n) for n in row) for row in rows[[*columns]].values]


# The cohort stage --------------------------------------------------------------------------------


def test_a_tile_has_its_own_class_and_otherwise_that_of_its_image():
    tiles = tile_cohort()
    records = tiles.records.assign(**{"class": "TUM"})
    own, _ = make_cohort(tiles.examples, None, records, TISSUE)
    expected = tiles.examples.set_index("example")["class"].reindex(own["example"])
    assert [TISSUES[label] for label in own["label"]] == expected.tolist()
    inherited, refused = make_cohort(tiles.examples.drop(columns="class"), None, records, TISSUE)
    assert set(inherited["label"]) == {2}
    assert refused.empty


def test_the_given_part_goes_along_and_no_outcome_does():
    tiles = tile_cohort()
    assert tiles.cohort["part"].tolist() == [
        tiles.examples.set_index("example")["part"][name] for name in tiles.cohort["example"]
    ]
    assert "class" not in tiles.cohort
    without, _ = make_cohort(tiles.examples.drop(columns="part"), None, tiles.records, TISSUE)
    assert "part" not in without


def test_what_a_window_has_of_its_own_is_no_outcome():
    target = read_target({"rule": "below", "column": "minutes", "threshold": 5}, "target")
    examples = pd.DataFrame({"row": [0], "example": ["a"], "parent": ["a"], "patient": ["p"]})
    examples = examples.assign(site="s", date=pd.NaT, minutes=3.0)
    quality = pd.DataFrame({"example": ["a"], "missing": [0.1]})
    records = pd.DataFrame({"record": ["a"], "minutes": [9.0]})
    windows, _ = make_cohort(examples, quality, records, target, 0.5)
    images, _ = make_cohort(examples, None, records, target)
    assert (windows["label"].tolist(), images["label"].tolist()) == ([0], [1])


def test_a_class_that_the_target_does_not_name_is_refused_with_its_example():
    _, refused = make_cohort(tile_cohort().examples, None, tile_cohort().records, TISSUE)
    details = refused["detail"].tolist()
    assert "s3 4: class is unknown" in details
    assert "s4 4: class 'artefact' is none of the classes" in details
    assert len(details) == 5


# The flow ----------------------------------------------------------------------------------------


def test_tiles_are_counted_by_class_once_they_are_cut():
    flow = tile_cohort().flow
    assert flow["step"].unique().tolist() == [
        "found",
        "ingested",
        "cut into tiles with tissue",
        "labelled",
    ]
    assert at(flow) == [(10, 7, None), (7, 6, None), (6, 5, 25), (5, 4, 20)]
    assert at(flow, label="AT") == [(4, 4, None), (4, 4, None), (4, 4, 8), (4, 4, 8)]
    assert at(flow, label="TUM")[-1] == (4, 4, 5)
    assert at(flow, label="unlabelled") == [(5, 3, None), (2, 2, None), (1, 1, 5), (0, 0, 0)]
    assert at(flow, site="south") == [(5, 3, None), (3, 3, None), (3, 3, 13), (2, 2, 9)]


def test_a_slide_counts_under_each_class_of_its_tiles_and_once_in_all():
    flow = tile_cohort().flow
    last = flow[(flow["step"] == "labelled") & (flow["site"] == "all")].set_index("label")
    assert last["images"].to_dict() == {"AT": 4, "BG": 4, "TUM": 4, "unlabelled": 0, "all": 5}
    assert last["examples"][list(TISSUES)].sum() == last["examples"]["all"]


def test_whole_images_are_examples_from_the_first_and_named_by_class():
    flow = image_cohort().flow
    assert flow["step"].unique().tolist() == ["found", "ingested", "labelled"]
    assert at(flow) == [(43, 20, None), (40, 20, 40), (36, 20, 36)]
    assert at(flow, label="Benign")[-1][0] + at(flow, label="Invasive")[-1][0] == 36
    assert set(flow["label"]) == {"Benign", "Invasive", "unlabelled", "all"}


def test_tiles_that_are_refused_while_others_of_their_slide_go_on_are_told_apart():
    tiles = tile_cohort()
    decides = tiles.rejected.set_index(["record", "reason"])["decides"]
    assert not decides["s1", "too little tissue"].any()
    assert decides["s7", "no tile left"].all()
    account = follow(tiles.records, tiles.cohort, tiles.rejected, unit="tile", classes=TISSUES)
    whole = account[(account["site"] == "all") & (account["label"] == "all")]
    rows = whole[whole["step"] == "cut into tiles with tissue"].set_index(["kind", "reason"])
    assert rows["images"].to_dict() == {
        (LEFT_OUT, "no tile left"): 1,
        (IN_PART, "too little tissue"): 2,
        (IN_PART, "no annotation"): 1,
        (REMAINING, ""): 6,
    }
    assert rows["examples"][IN_PART, "too little tissue"] == 47
    assert rows["examples"][IN_PART, "no annotation"] == 3


def test_tiles_whose_number_nobody_tells_are_not_made_up():
    untold = [("s1", "p1", "north", "tile", "too little tissue", "most of it is glass")]
    untold.append(("s7", "p6", "north", "tile", "no tile left", "glass"))
    tiles = tile_cohort(at_tile=untold)
    account = follow(tiles.records, tiles.cohort, tiles.rejected, unit="tile", classes=TISSUES)
    assert account["examples"][account["kind"] == IN_PART].isna().all()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["", "p", "q"]),
            st.dictionaries(
                st.sampled_from([*TISSUES, "", "glass"]), st.integers(1, 4), max_size=4
            ),
        ),
        max_size=12,
    )
)
def test_every_slide_and_tile_that_is_found_is_kept_or_refused(slides):
    named = [(f"r{i}", patient, site, "", tiles) for i, (site, patient, tiles) in enumerate(slides)]
    named.append(("kept", "x", "a", "", {"AT": 1}))
    empty = [
        (name, who, site, "tile", "no tile left", "all 9 of 9 tiles are empty")
        for name, who, site, _, tiles in named
        if not tiles
    ]
    made = tile_cohort(named, empty)
    account = follow(made.records, made.cohort, made.rejected, unit="tile", classes=TISSUES)
    whole = account[(account["site"] == "all") & (account["label"] == "all")]
    left = 3 + len(named)
    for step, rows in whole.groupby("step", sort=False):
        by_kind = rows.groupby("kind")["images"].sum()
        if step != "found":
            assert by_kind[REMAINING] + by_kind.get(LEFT_OUT, 0) == left, step
        left = by_kind[REMAINING]
    tiles = whole[whole["kind"] == REMAINING].set_index("step")["examples"]
    assert tiles["cut into tiles with tissue"] == len(made.examples)
    assert tiles["labelled"] == len(made.cohort)
    by_class = account[(account["step"] == "labelled") & (account["kind"] == REMAINING)]
    by_class = by_class[by_class["site"] == "all"].set_index("label")["examples"]
    for number, name in enumerate(TISSUES):
        assert by_class[name] == (made.cohort["label"] == number).sum()


def test_what_is_neither_kept_nor_refused_stops_the_flow():
    tiles = tile_cohort()
    with pytest.raises(InputError, match=r"record 's6' is neither kept nor refused \(2 such"):
        make_flow(tiles.records, tiles.cohort, tiles.refusals[:1], TISSUE, "tile")
    strange = tiles.refusals[1].assign(stage="signal")
    with pytest.raises(InputError, match=r"at stage 'signal', expected one of \['ingest', 'tile'"):
        make_flow(tiles.records, tiles.cohort, [strange], TISSUE, "tile")


@pytest.mark.parametrize("name", ["all", "unlabelled"])
def test_a_class_may_not_bear_a_word_of_the_tables(name):
    with pytest.raises(InputError, match=f"'{name}' has a meaning of its own in the tables"):
        read_target({"rule": "classes", "classes": ["AT", name]}, "target")
    tiles = tile_cohort()
    with pytest.raises(InputError, match=f"a class is called '{name}'"):
        make_flow(
            tiles.records, tiles.cohort, tiles.refusals, Classes(classes=("AT", name)), "tile"
        )


def test_labels_of_another_target_are_not_taken_for_classes():
    tiles = tile_cohort()
    with pytest.raises(InputError, match="label 2 is none of the classes"):
        follow(tiles.records, tiles.cohort, tiles.rejected, unit="tile", classes=["AT", "BG"])


# To what one network is trained on ---------------------------------------------------------------


def kinds_of(account):
    whole = account[(account["site"] == "all") & (account["label"] == "all")]
    return [
        (row.step, row.kind, row.reason, row.images, row.examples) for row in whole.itertuples()
    ]


def test_given_parts_are_followed_to_the_tiles_that_are_trained_on():
    tiles = tile_cohort()
    split = given_split(tiles.cohort)
    samples = draw_samples(split, None, 1, 0)
    account = follow(
        tiles.records, tiles.cohort, tiles.rejected, split, samples, unit="tile", classes=TISSUES
    )
    told = [row for row in kinds_of(account) if row[0] not in STEPS_OF["tile"].names]
    assert told == [
        ("training and validation", "test", "internal test", 1, 5),
        ("training and validation", "remaining", "", 4, 15),
        ("training part", "kept apart", "validation (as given)", 1, 4),
        ("training part", "kept apart", "early stopping (an inner part)", 2, 7),
        ("training part", "remaining", "", 1, 4),
        ("trained on", "remaining", "", 1, 4),
    ]
    by_class = account[(account["step"] == "trained on") & (account["site"] == "all")]
    assert by_class.set_index("label")["examples"][list(TISSUES)].tolist() == [1, 2, 1]


def test_a_dealt_split_of_images_is_followed_as_one_of_recordings_is():
    images = image_cohort()
    options = SplitOptions("diagnosis", folds=3, inner_folds=2)
    split = make_split(images.cohort, options, 0)
    account = follow(
        images.records,
        images.cohort,
        images.rejected,
        split,
        draw_samples(split, 1.0, 1, 0),
        unit="image",
        classes=["Benign", "Invasive"],
    )
    steps = [row[0] for row in kinds_of(account)]
    assert steps[-1] == "trained on in fold 1"
    assert "cross-validation" in steps
    crossed = account[(account["step"] == "cross-validation") & (account["site"] == "all")]
    assert crossed.set_index("label")["images"]["all"] == 36


def test_a_test_part_that_is_missing_from_the_split_stops_the_flow():
    tiles = tile_cohort()
    split = given_split(tiles.cohort)
    split.loc[split["part"] == "test", "test_set"] = ""
    with pytest.raises(InputError, match="step 'training and validation' does not add up"):
        follow(tiles.records, tiles.cohort, tiles.rejected, split, unit="tile", classes=TISSUES)


def test_the_stages_cohort_and_flow_run_on_images(tmp_path, capsys):
    images = image_cohort()
    for name, table in [("records", images.records), ("examples", images.examples)]:
        write_table(tmp_path / name, table)
    for name, table in zip(("ingest", "image"), images.refusals, strict=False):
        write_table(tmp_path / name, table)
    target = json.dumps({"rule": "classes", "classes": ["Benign", "Invasive"]})
    common = ["--records", tmp_path / "records", "--target", target]
    outputs = ["--out", tmp_path / "cohort", "--out-digest", tmp_path / "cohort.hash"]
    outputs += ["--out-refused", tmp_path / "unlabelled"]

    def call(stage, *arguments):
        return run(stage.main, stage.options(), list(map(str, arguments)))

    examples = ["--examples", tmp_path / "examples"]
    assert call(cohort_stage, *common, *examples, *outputs) == 0
    pd.testing.assert_frame_equal(read_table(tmp_path / "cohort"), images.cohort)
    refusals = [tmp_path / name for name in ("ingest", "image", "unlabelled")]
    flows = ["--examples", tmp_path / "cohort", "--rejected", *refusals, "--unit-kind", "image"]
    flows += ["--out-rejected", tmp_path / "rejected", "--out-flow", tmp_path / "flow.csv"]
    assert call(flow_stage, *common, *flows) == 0
    written = pd.read_csv(tmp_path / "flow.csv")
    assert written.columns.tolist() == ["step", "site", "label", "images", "patients", "examples"]
    assert np.array_equal(written["images"], images.flow["images"])
    assert call(cohort_stage, *common, *examples, *outputs, "--max-missing", 0.5) == 1
    assert "give both for windows, neither for images" in capsys.readouterr().err
