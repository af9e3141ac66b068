"""Splits keep patients together, and held-out sites and periods out of training."""

import dataclasses
import hashlib
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewcase.ingest.ctg_table import read_ctg_table
from fewcase.splits import folds
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.sources import CtgTable
from fewcase.study.splits import HeldOut, SplitOptions

OPTIONS = SplitOptions(target="apgar", folds=5, inner_folds=4)


def with_hold_out(*held_out, **changes):
    return dataclasses.replace(OPTIONS, hold_out=held_out, **changes)


def in_cross_validation(split):
    return split[split["fold"] >= 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_folds=st.integers(2, 6),
    recordings_per_patient=st.floats(1, 4),
)
def test_a_patient_is_never_in_two_folds_whatever_the_seed(
    patients, seed, n_folds, recordings_per_patient
):
    table = patients({"a": 150, "b": 90}, 0.3, recordings_per_patient, seed % 1000)
    options = with_hold_out(folds=n_folds, inner_folds=2)
    split = folds.make_split(table, options, seed)
    by_patient = split.groupby("patient")
    assert by_patient["fold"].nunique().max() == 1
    assert by_patient["inner"].nunique().max() == 1
    for fold in range(n_folds):
        parts = [
            set(rows["patient"])
            for rows in (
                folds.training_rows(split, fold),
                folds.inner_rows(split, fold),
                folds.validation_rows(split, fold),
            )
        ]
        assert sum(map(len, parts)) == len(set.union(*parts)) == split["patient"].nunique()


def test_folds_cover_all_examples_once_with_even_classes_and_sites(cohort):
    split = folds.make_split(cohort, OPTIONS, 3)
    parts = [folds.validation_rows(split, fold) for fold in range(5)]
    assert sorted(pd.concat(parts)["row"]) == sorted(cohort["row"])
    positives = [int(part["label"].sum()) for part in parts]
    assert max(positives) - min(positives) <= 1
    by_site = split.groupby(["site", "fold"]).size().unstack()
    assert (by_site.max(axis=1) - by_site.min(axis=1)).max() <= 8


def test_inner_parts_are_even_within_each_fold(cohort):
    table = cohort.assign(patient=cohort["example"])
    split = folds.make_split(table, OPTIONS, 3)
    for label in (0, 1):
        cells = split[split["label"] == label].groupby(["fold", "inner"]).size().unstack()
        assert (cells.max(axis=1) - cells.min(axis=1)).max() <= 1


def test_every_training_and_inner_part_has_both_classes_with_the_fewest_positives_allowed(patients):
    table = patients({"a": 120}, prevalence=0, recordings_per_patient=0.01)
    table["patient"] = table["example"]
    table.loc[[3, 30, 60, 90, 110], "label"] = 1
    for seed in range(20):
        split = folds.make_split(table, with_hold_out(folds=5, inner_folds=2), seed)
        for fold in range(5):
            assert folds.inner_rows(split, fold)["label"].nunique() == 2
            assert folds.training_rows(split, fold)["label"].nunique() == 2


def test_without_inner_folds_all_other_folds_are_trained_on(cohort):
    split = folds.make_split(cohort, with_hold_out(inner_folds=0), 0)
    assert (split["inner"] == -1).all()
    assert folds.inner_rows(split, 0).empty
    assert len(folds.training_rows(split, 0)) == (split["fold"] != 0).sum()


def test_a_held_out_site_is_external_and_in_no_fold(cohort):
    split = folds.make_split(cohort, with_hold_out(HeldOut("east")), 0)
    east = split["site"] == "east"
    assert (split["test_set"][east] == "external").all()
    assert (split["test_set"][~east] == "").all()
    assert (split["fold"][east] == -1).all()
    assert set(folds.test_rows(split)["site"]) == {"east"}


def test_a_held_out_period_is_temporal_and_its_patients_are_not_trained_on(cohort):
    split = folds.make_split(cohort, with_hold_out(HeldOut("south", since=2018)), 0)
    late = (cohort["site"] == "south") & (cohort["date"] >= "2018-01-01")
    assert (split["test_set"][late] == "temporal").all()
    shared = cohort["patient"].isin(cohort["patient"][late]) & ~late
    assert shared.sum() > 5
    assert (split["test_set"][shared] == "excluded").all()
    assert (split["test_set"][~late & ~shared] == "").all()
    trained_on = in_cross_validation(split)
    assert not set(trained_on["patient"]) & set(folds.test_rows(split)["patient"])


def test_both_days_that_bound_a_period_belong_to_it(cohort):
    held_out = HeldOut("south", since="2014-03", until="2014-06-30")
    table = cohort.copy()
    days = ["2014-02-28 23:59", "2014-03-01 00:00", "2014-06-30 23:59", "2014-07-01 00:00"]
    rows = np.flatnonzero(table["site"] == "south")[:4]
    table.loc[rows, "date"] = pd.to_datetime(days)
    table.loc[rows, "patient"] = ["p", "q", "r", "s"]
    split = folds.make_split(table, with_hold_out(held_out), 0)
    assert split["test_set"].iloc[rows].tolist() == ["", "temporal", "temporal", ""]


def test_a_site_with_all_its_periods_held_out_is_external(cohort):
    options = with_hold_out(HeldOut("south", until=2013), HeldOut("south", since=2014))
    split = folds.make_split(cohort, options, 0)
    assert set(split["test_set"][split["site"] == "south"]) == {"external"}


def test_examples_without_a_date_at_a_site_held_out_by_date_are_left_out_and_logged(cohort, caplog):
    table = cohort.copy()
    undated = np.flatnonzero(table["site"] == "south")[:7]
    table.loc[undated, "date"] = pd.NaT
    north = np.flatnonzero(table["site"] == "north")[:3]
    table.loc[north, "date"] = pd.NaT
    split = folds.make_split(table, with_hold_out(HeldOut("south", since=2018)), 0)
    assert (split["test_set"].iloc[undated] == "excluded").all()
    assert (split["fold"].iloc[north] >= 0).all()
    assert "7 examples without a date" in caplog.text


def test_the_same_patient_id_at_two_hospitals_is_two_people(tmp_path):
    rows = ["id,hospital,file,date,a1,a5"]
    for site in ("north", "south"):
        for patient in range(60):
            score = 4 if patient % 3 == 0 else 9
            rows.append(f"{patient},{site},{site}-{patient}.csv,2019-01-01,{score},9")
            (tmp_path / f"{site}-{patient}.csv").write_text("fhr,uc\n" + "140,10\n" * 8)
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    columns = {"patient": "id", "site": "hospital", "file": "file", "date": "date"}
    source = read_section(
        CtgTable, {"table": "table.csv", "columns": columns, "sampling_hz": 4.0}, "source"
    )
    read = list(read_ctg_table(source, tmp_path))
    examples = pd.DataFrame(
        {
            "row": np.arange(120),
            "example": [r.record for r in read],
            "parent": [r.record for r in read],
            "patient": [r.patient for r in read],
            "site": [r.site for r in read],
            "date": [r.date for r in read],
            "label": [int(row.split(",")[4] == "4") for row in rows[1:]],
        }
    )
    assert examples["patient"].nunique() == 120
    ids = examples["patient"].str.rsplit("/").str[-1]
    apart = 0
    for seed in range(3):
        split = folds.make_split(examples, OPTIONS, seed)
        apart += (split.groupby(ids)["fold"].nunique() == 2).sum()
    assert apart > 60  # of 180; one person would never be in two folds
    held_out = folds.make_split(examples, with_hold_out(HeldOut("south")), 0)
    assert (held_out["test_set"] != "excluded").all()


def pairs_of(*rows):
    """Return duplicate pairs given as (example_a, example_b) and optionally kind and transform."""
    given = [(a, b, *rest, *("near", "")[len(rest) :]) for a, b, *rest in rows]
    table = pd.DataFrame(given, columns=["example_a", "example_b", "kind", "transform"])
    return table.assign(correlation=np.where(table["kind"] == "exact", 1.0, 0.997))


def test_patients_joined_by_a_copy_are_dealt_together_under_the_name_of_the_first(patients):
    table = patients({"a": 200, "b": 100}, 0.3, 1.0)
    generator = np.random.default_rng(2)
    ends = generator.choice(table["example"], (60, 2), replace=False)
    pairs = pairs_of(*map(tuple, ends))
    split = folds.make_split(table, OPTIONS, 0, pairs).set_index("example")
    for a, b in ends:
        assert split.loc[a, ["group", "fold", "inner"]].equals(
            split.loc[b, ["group", "fold", "inner"]].rename(a)
        )
    assert split.groupby("patient")["fold"].nunique().max() == 1
    first = split.groupby("group")["patient"].min()
    assert (first == first.index).all()
    assert split["group"].nunique() < split["patient"].nunique()
    apart = folds.make_split(table, with_hold_out(duplicates="ignore"), 0, pairs)
    assert (apart["group"] == apart["patient"]).all()
    apart = apart.set_index("example")["fold"]
    assert (apart[ends[:, 0]].to_numpy() != apart[ends[:, 1]].to_numpy()).sum() > 20


def test_patients_of_one_slide_are_dealt_together(cohort):
    slide = np.where(cohort["row"] < 40, "slide " + (cohort["row"] // 10).astype(str), "")
    table = cohort.assign(parent=np.where(slide == "", cohort["parent"], slide))
    for policy in ("group", "ignore"):
        split = folds.make_split(table, with_hold_out(duplicates=policy), 0)
        assert split.groupby("parent")["fold"].nunique().max() == 1
        assert split.groupby("parent")["group"].nunique().max() == 1


def test_a_training_example_with_a_copy_in_the_test_set_is_left_out_with_its_whole_group(cohort):
    tested = cohort["example"][cohort["site"] == "east"].iloc[0]
    copied = cohort[cohort["site"] == "north"].iloc[0]
    options = with_hold_out(HeldOut("east"))
    split = folds.make_split(cohort, options, 0, pairs_of((tested, copied["example"])))
    group = split["patient"] == copied["patient"]
    assert (split["test_set"][group] == "excluded").all()
    assert split["reason"][group].str.startswith("group in test set: joined as east/").all()
    assert (split["reason"][~group] == "").all()


def test_dropping_keeps_one_copy_and_says_which(cohort):
    names = cohort.groupby("site")["example"].apply(list)
    north, east = sorted(names["north"])[:8], sorted(names["east"])[:2]
    pairs = pairs_of(
        (north[1], north[0], "exact"),  # the first by name stays
        (north[2], east[0], "near"),  # the copy in the test set stays
        (north[4], north[3], "near"),
        (north[4], north[5], "near"),  # a near copy of 4 alone, which goes: stays
    )
    split = folds.make_split(cohort, with_hold_out(HeldOut("east"), duplicates="drop"), 0, pairs)
    reason = split.set_index("example")["reason"]
    assert reason[reason != ""].to_dict() == {
        north[1]: f"duplicate: {north[0]} is kept",
        north[2]: f"duplicate: {east[0]} is kept",
        north[4]: f"duplicate: {north[3]} is kept",
    }
    assert (split["test_set"][split["reason"] != ""] == "excluded").all()
    assert set(split["test_set"][split["site"] == "east"]) == {"external"}


def test_copies_within_the_test_set_are_dropped_as_well_and_the_file_is_still_good(
    cohort, tmp_path
):
    east = sorted(cohort["example"][cohort["site"] == "east"])[:2]
    options = with_hold_out(HeldOut("east"), duplicates="drop")
    split = folds.make_split(cohort, options, 0, pairs_of((east[0], east[1], "exact")))
    folds.write_split(tmp_path / "split.parquet", split, options, 0)
    read = folds.read_split(tmp_path / "split.parquet").set_index("example")
    assert read["test_set"][east].tolist() == ["external", "excluded"]


def test_of_many_copies_listed_as_a_chain_one_is_kept(cohort):
    names = sorted(cohort["example"])[:6]
    chain = pairs_of(*((a, b, "exact") for a, b in zip(names[1:], names[:-1], strict=True)))
    split = folds.make_split(cohort, with_hold_out(duplicates="drop"), 0, chain)
    dropped = split[split["reason"] != ""]
    assert sorted(dropped["example"]) == names[1:]
    assert set(dropped["reason"]) == {f"duplicate: {names[0]} is kept"}


def test_copies_of_an_example_outside_the_cohort_are_copies_of_each_other(cohort):
    first, second = cohort["example"][[0, 600]]
    pairs = pairs_of((first, "elsewhere", "exact"), ("elsewhere", second, "exact"))
    split = folds.make_split(cohort, OPTIONS, 0, pairs)
    assert split["group"][0] == split["group"][600]


def test_a_copy_of_two_patients_stops_a_study_that_asks_for_it(cohort):
    table = cohort.set_index("patient")
    several = table.index.value_counts().index[0]
    one_patient = tuple(table.loc[several, "example"][:2])
    options = with_hold_out(duplicates="fail")
    folds.make_split(cohort, options, 0, pairs_of(one_patient))
    pairs = pairs_of(one_patient, ("recording 1", "recording 800", "near", "rotate 90"))
    with pytest.raises(
        InputError,
        match=r"near duplicates \(rotate 90, correlation 0\.997\): example 'recording 1' of "
        r"patient 'north/\d+' and example 'recording 800' of patient 'east/\d+' .*group or drop",
    ):
        folds.make_split(cohort, options, 0, pairs)
    folds.make_split(cohort, dataclasses.replace(options, scheme="image"), 0, pairs)


def test_copies_with_different_labels_are_told(cohort, caplog):
    labelled = [cohort["example"][cohort["label"] == label].iloc[0] for label in (0, 1)]
    folds.make_split(cohort, OPTIONS, 0, pairs_of(tuple(labelled)))
    assert "1 pairs of duplicates have different labels" in caplog.text
    assert repr(labelled[0]) in caplog.text


def test_pairs_change_nothing_for_patients_without_copies(patients):
    table = patients({"a": 300}, 0.3, 1.0)
    pairs = pairs_of(("not here", "nor here", "exact"), ("recording 3", "nor here"))
    plain = folds.make_split(table, OPTIONS, 0)
    assert folds.make_split(table, OPTIONS, 0, pairs).equals(plain)
    assert (plain["group"] == plain["patient"]).all()


def test_three_recordings_cannot_be_split_and_the_message_says_what_is_missing(cohort):
    three = cohort.groupby("label").head(2).sort_values("label")[1:]
    assert three["label"].tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="a single patient with label 0 is left to train on"):
        folds.make_split(three, OPTIONS, 0)
    four = cohort[~cohort["patient"].duplicated()].groupby("label").head(2)
    with pytest.raises(InputError, match=r"5 folds for 2 patients with label 0.*Give 2 folds or"):
        folds.make_split(four, OPTIONS, 0)
    split = folds.make_split(four, with_hold_out(folds=2, inner_folds=0), 0)
    assert split.groupby("fold")["label"].nunique().tolist() == [2, 2]


def test_a_test_set_with_two_positives_or_none_is_warned_of(cohort, caplog):
    east = np.flatnonzero(cohort["site"] == "east")
    for positives in (2, 0):
        table = cohort.copy()
        table.loc[east, "label"] = 0
        table.loc[east[:positives], "label"] = 1
        folds.make_split(table, with_hold_out(HeldOut("east")), 0)
    assert "only 2 of 150 test examples have the label 1: its intervals" in caplog.text
    assert "none of 150 test examples has the label 1: no AUC" in caplog.text


def test_the_image_scheme_ignores_patients_and_is_marked_leaky(cohort, tmp_path):
    options = with_hold_out(scheme="image")
    split = folds.make_split(cohort, options, 0)
    assert split.groupby("patient")["fold"].nunique().max() > 1
    positives = np.bincount(split["fold"], split["label"])
    assert np.ptp(positives) <= 1
    folds.write_split(tmp_path / "split.parquet", split, options, 0)
    assert folds.read_split(tmp_path / "split.parquet").equals(split)
    assert folds.read_facts(tmp_path / "split.parquet").options.is_leaky


def test_the_same_seed_gives_the_same_bytes_in_any_order_of_rows(cohort, tmp_path):
    digests = []
    for i, table in enumerate([cohort, cohort, cohort.sample(frac=1, random_state=1)]):
        split = folds.make_split(table, with_hold_out(HeldOut("east")), 4).sort_values("row")
        folds.write_split(tmp_path / f"{i}.parquet", split, with_hold_out(HeldOut("east")), 4)
        digests.append(hashlib.sha256((tmp_path / f"{i}.parquet").read_bytes()).hexdigest())
    assert len(set(digests)) == 1


def test_other_seeds_give_other_folds(cohort):
    first, second = (folds.make_split(cohort, OPTIONS, seed)["fold"] for seed in (0, 1))
    assert (first != second).mean() > 0.5


def test_the_paper_s_sites_and_counts_are_split_in_seconds(patients):
    sites = {"kyushu": 2486, "kumamoto": 1044, "fukuda": 19360, "ibi": 4457, "higashino": 3909}
    table = patients({**sites, "fukuoka": 1828 + 896, "nakagawa": 286}, 0, 1.2)
    # Years as in the paper: the last 896 recordings of Fukuoka are those since 2018, other people.
    fukuoka = np.flatnonzero(table["site"] == "fukuoka")
    table.loc[fukuoka[:1828], "date"] = pd.Timestamp("2016-05-05")
    table.loc[fukuoka[1828:], "date"] = pd.Timestamp("2019-05-05")
    table.loc[fukuoka[1828:], "patient"] += " later"
    test = (table["site"] == "nakagawa") | (table["patient"].str.endswith("later"))
    generator = np.random.default_rng(0)
    # A third of the test recordings and a few others have no Apgar score.
    for rows, positive, negative in [(test, 40, 711), (~test, 739, 32187)]:
        chosen = generator.permutation(np.flatnonzero(rows))[: positive + negative]
        table.loc[rows, "label"] = -1
        table.loc[chosen, "label"] = 0
        table.loc[chosen[:positive], "label"] = 1
    table = table[table["label"] >= 0]
    options = SplitOptions("apgar", hold_out=(HeldOut("nakagawa"), HeldOut("fukuoka", since=2018)))
    start = time.perf_counter()
    split = folds.make_split(table, options, 0)
    assert time.perf_counter() - start < 5
    counts = in_cross_validation(split)["label"].value_counts()
    assert counts.to_dict() == {0: 32187, 1: 739}
    tests = folds.test_rows(split)
    assert tests["label"].value_counts().to_dict() == {0: 711, 1: 40}
    named = tests.groupby("site")["test_set"].unique().map(list).to_dict()
    assert named == {"fukuoka": ["temporal"], "nakagawa": ["external"]}
    positives = np.bincount(in_cross_validation(split)["fold"], in_cross_validation(split)["label"])
    assert sorted(positives) == [73] + [74] * 9
    # 34,266 recordings, all labelled, are not slower.
    whole = patients({"a": 20000, "b": 14266}, 0.02)
    start = time.perf_counter()
    folds.make_split(whole, SplitOptions("apgar"), 0)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (with_hold_out(HeldOut("esat")), "no example is of site 'esat'. Did you mean 'east'"),
        (
            with_hold_out(HeldOut("east"), HeldOut("north"), HeldOut("south")),
            "hold out all 900 examples",
        ),
        (
            with_hold_out(HeldOut("east", since=2031)),
            r"east since 2031-01-01: no example lies in this period.* to 2019-11",
        ),
        (with_hold_out(folds=1), "folds: 1 is no cross-validation"),
        (with_hold_out(folds=400), r"400 folds for \d+ patients with label 1.*Give \d+ folds"),
        (with_hold_out(folds=20, inner_folds=80), "inner validation part of fold.*fewer inner"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(cohort, options, message):
    with pytest.raises(InputError, match=message):
        folds.make_split(cohort, options, 0)


def test_a_site_held_out_by_date_without_any_date_says_so(cohort):
    table = cohort.assign(date=cohort["date"].where(cohort["site"] != "east"))
    with pytest.raises(InputError, match=r"none of the 150 examples of the site has a date"):
        folds.make_split(table, with_hold_out(HeldOut("east", since=2018)), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:0], "no examples"),
        (lambda t: t.assign(label=0), "all 900 examples of target 'apgar' have the label 0"),
        (
            lambda t: t.assign(label=(t["site"] == "east").astype(int)),
            "no example with label 1 is left to train on",
        ),
        (
            lambda t: t.assign(patient=t["patient"].where(t["row"] != 5, " ")),
            "'recording 5' has no patient",
        ),
        (
            lambda t: t.assign(label=t["label"].where(t["row"] != 9, -1)),
            "'recording 9' has no label",
        ),
    ],
)
def test_a_cohort_that_cannot_be_split_says_why(cohort, change, message):
    with pytest.raises(InputError, match=message):
        folds.make_split(change(cohort), with_hold_out(HeldOut("east")), 0)


def test_a_fold_out_of_range_names_the_range(cohort):
    split = folds.make_split(cohort, OPTIONS, 0)
    for fold in (-1, 5):
        with pytest.raises(InputError, match=f"fold {fold} is out of range.*0 to 4"):
            folds.training_rows(split, fold)


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("spring", None, "since: 'spring' is no date"),
        ("2018-02-30", None, "is no date"),
        (None, True, "until: True is no date"),
        (2019, 2018, "since 2019-01-01 is after until 2018-12-31"),
    ],
)
def test_a_period_that_is_none_says_so(since, until, message):
    with pytest.raises(InputError, match=message):
        HeldOut("east", since, until)


def test_options_survive_the_way_through_json():
    options = with_hold_out(HeldOut("a", since=2018), HeldOut("b"))
    assert read_section(SplitOptions, dataclasses.asdict(options), "split") == options
    with pytest.raises(InputError, match="inner_folds: 1"):
        with_hold_out(inner_folds=1)
