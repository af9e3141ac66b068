"""Under-sampling draws from the training part of a fold and from nowhere else."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import read_table, table_metadata, write_table
from fewcase.splits import folds
from fewcase.splits.sampling import (
    bag_rows,
    draw_samples,
    part_left_out,
    read_samples,
    write_samples,
)
from fewcase.study.errors import InputError
from fewcase.study.splits import HeldOut, SplitOptions

OPTIONS = SplitOptions("apgar", hold_out=(HeldOut("east"),), folds=4, inner_folds=5)


@pytest.fixture(scope="module")
def split(cohort):
    return folds.make_split(cohort, OPTIONS, 0)


def parts_of(split, fold):
    training = folds.training_rows(split, fold)
    return (set(training["row"][training["label"] == label]) for label in (1, 0))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_bag_holds_all_positives_and_negatives_of_the_training_part_alone(split, seed):
    samples = draw_samples(split, 2.0, bags=3, seed=seed)
    for fold in range(4):
        positives, negatives = parts_of(split, fold)
        for bag in range(3):
            rows = bag_rows(samples, fold, bag)
            assert len(set(rows)) == len(rows)
            assert positives < set(rows) <= positives | negatives
            assert len(rows) == 3 * len(positives)
            assert rows.dtype == np.int64


@pytest.mark.parametrize("inner", [1, 4])
def test_networks_that_help_to_choose_leave_out_their_own_inner_part(split, tmp_path, inner):
    samples = draw_samples(split, 2.0, bags=2, seed=0, inner=inner)
    write_samples(tmp_path / "a", samples, 2.0, 2, 0, inner)
    assert part_left_out(read_samples(tmp_path / "a", split)) == inner
    for fold in range(4):
        drawn = split[split["row"].isin(bag_rows(samples, fold, 0))]
        assert set(drawn["inner"]) == set(range(5)) - {inner}
        assert fold not in set(drawn["fold"])
    write_samples(tmp_path / "b", draw_samples(split, 2.0, 2, 0), 2.0, 2, 0, inner)
    with pytest.raises(InputError, match="is outside the training part"):
        read_samples(tmp_path / "b", split)


def test_the_paper_s_arithmetic_648_to_3942(patients):
    table = patients({"a": 33000}, prevalence=0)
    table["patient"] = table["example"]
    table.loc[:719, "label"] = 1
    split = folds.make_split(table, SplitOptions("apgar", inner_folds=0), 0)
    samples = draw_samples(split, 6.083, bags=1, seed=0)
    labels = samples.merge(table, on="row").groupby("fold")["label"].value_counts().unstack()
    assert (labels[1] == 648).all()
    assert (labels[0] == 3942).all()


def test_bags_share_no_negative_while_enough_remain_and_then_start_anew(split):
    positives, negatives = parts_of(split, 0)
    enough = len(negatives) // len(positives)
    samples = draw_samples(split, 1.0, bags=2 * enough, seed=0)
    bags = [set(bag_rows(samples, 0, bag)) - positives for bag in range(2 * enough)]
    assert enough >= 3
    assert len(set.union(*bags[:enough])) == enough * len(positives)
    assert len(set.union(*bags[enough:])) == enough * len(positives)
    assert bags[0] != bags[enough]


def test_more_bags_leave_the_first_ones_as_they_were(split):
    few, more = (draw_samples(split, 1.5, bags, seed=3) for bags in (1, 9))
    pd.testing.assert_frame_equal(few, more[more["bag"] == 0].reset_index(drop=True))


def test_seed_and_fold_choose_the_negatives(split):
    first, again, other = (draw_samples(split, 1.0, 1, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    _, negatives = parts_of(split, 0)
    drawn = [set(bag_rows(s, 0, 0)) & negatives for s in (first, other)]
    assert len(drawn[0] & drawn[1]) < 0.6 * len(drawn[0])


def test_every_negative_is_drawn_equally_often(split):
    positives, negatives = parts_of(split, 1)
    counts = dict.fromkeys(negatives, 0)
    draws = 300
    for seed in range(draws):
        for row in set(bag_rows(draw_samples(split, 2.0, 1, seed), 1, 0)) & negatives:
            counts[row] += 1
    share = 2 * len(positives) / len(negatives)
    deviation = np.sqrt(draws * share * (1 - share))
    assert np.abs(np.array(list(counts.values())) - draws * share).max() < 4.5 * deviation


def test_fewer_negatives_than_asked_for_are_all_kept_and_logged(split, caplog):
    samples = draw_samples(split, 1000.0, bags=2, seed=0)
    for fold in range(4):
        for bag in range(2):
            assert set(bag_rows(samples, fold, bag)) == set(folds.training_rows(split, fold)["row"])
    assert "all are kept" in caplog.text


def test_no_ratio_keeps_every_training_row_of_any_number_of_classes(split):
    three = split.assign(label=split["row"] % 3)
    samples = draw_samples(three, None, bags=1, seed=0)
    assert set(bag_rows(samples, 2, 0)) == set(folds.training_rows(split, 2)["row"])
    with pytest.raises(InputError, match="label 2 beside 0 and 1"):
        draw_samples(three, 6.083, bags=1, seed=0)


def test_balanced_samples_have_as_many_rows_of_every_class_and_say_so(split, tmp_path):
    three = split.assign(label=np.where(split["row"] % 5 > 1, 2, split["row"] % 5))
    rows = {"distribution": "balanced"}
    samples = draw_samples(three, None, 2, 0, **rows)
    labels = three.set_index("row")["label"]
    for fold in range(4):
        rarest = folds.training_rows(three, fold)["label"].value_counts().min()
        of_bags = [bag_rows(samples, fold, bag) for bag in range(2)]
        for drawn in of_bags:
            assert labels[drawn].value_counts().to_dict() == dict.fromkeys(range(3), rarest)
        # Common classes are drawn anew for each bag, as long as there are enough without repeats.
        common = [{row for row in drawn if labels[row] == 2} for drawn in of_bags]
        assert not common[0] & common[1]
    write_samples(tmp_path / "a", samples, None, 2, 0, **rows)
    pd.testing.assert_frame_equal(read_samples(tmp_path / "a", three), samples)
    write_samples(tmp_path / "b", draw_samples(three, None, 2, 0), None, 2, 0, **rows)
    with pytest.raises(InputError, match="rows of class"):
        read_samples(tmp_path / "b", three)


@pytest.mark.parametrize("distribution", ["natural", "balanced"])
def test_fewer_training_examples_keep_the_distribution(split, distribution):
    three = split.assign(label=np.where(split["row"] % 5 > 1, 2, split["row"] % 5))
    rows = {"distribution": distribution, "training_examples": 31}
    samples = draw_samples(three, None, 1, 0, **rows)
    labels = three.set_index("row")["label"]
    for fold in range(4):
        found = labels[bag_rows(samples, fold, 0)].value_counts().sort_index().to_numpy()
        if distribution == "balanced":
            assert found.tolist() == [10, 10, 10]
        else:
            shares = folds.training_rows(three, fold)["label"].value_counts(normalize=True)
            assert found.sum() == 31
            assert np.abs(found - 31 * shares.sort_index().to_numpy()).max() < 1


@pytest.mark.parametrize(
    ("ratio", "bags", "message"), [(0, 1, "neg_per_pos: 0"), (1, 0, "bags: 0")]
)
def test_options_that_leave_nothing_are_refused(split, ratio, bags, message):
    with pytest.raises(InputError, match=message):
        draw_samples(split, ratio, bags, seed=0)


def test_samples_are_read_as_written_with_the_same_bytes_each_time(split, tmp_path):
    digests = set()
    for name in ("a", "b"):
        samples = draw_samples(split, 2.0, 2, seed=5)
        write_samples(tmp_path / name, samples, 2.0, 2, 5)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        pd.testing.assert_frame_equal(read_samples(tmp_path / name, split), samples)
    assert len(digests) == 1
    assert json.loads(table_metadata(tmp_path / "a")["fewcase"]) == {
        "neg_per_pos": 2.0,
        "bags": 2,
        "seed": 5,
        "inner": 0,
        "distribution": "natural",
        "training_examples": None,
    }


def replaced(part):
    def change(samples, split):
        negatives = samples["row"].isin(split["row"][split["label"] == 0])
        i = np.flatnonzero((samples["fold"] == 1) & (samples["bag"] == 0) & negatives)[0]
        samples.loc[i, "row"] = part(split)["row"].iloc[0]
        return samples

    return change


BROKEN = {
    "validation row": (
        replaced(lambda split: folds.validation_rows(split, 1)),
        r"fold 1, bag 0: row \d+ \(example 'recording \d+'\) is outside the training part",
    ),
    "inner validation row": (
        replaced(lambda split: folds.inner_rows(split, 1)),
        r"fold 1, bag 0: row \d+ .* is outside the training part",
    ),
    "test row": (replaced(folds.test_rows), "outside the training part"),
    "unknown row": (
        replaced(lambda split: pd.DataFrame({"row": [77777]})),
        "row 77777 is outside",
    ),
    "row twice": (lambda s, split: pd.concat([s, s[-1:]]), r"fold 3, bag 1: row \d+ is twice"),
    "positive missing": (
        lambda s, split: s[s["row"] != split["row"][split["label"] == 1].iloc[0]],
        r"fold \d, bag 0: row \d+ is missing",
    ),
    "bag missing": (
        lambda s, split: s[(s["fold"] != 2) | (s["bag"] != 1)],
        "bag 1 of fold 2 has no rows",
    ),
    "fold of another split": (
        lambda s, split: pd.concat([s, s[:1].assign(fold=np.int16(4))]),
        "bag 0 of fold 4 is not in the split",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_samples_stop_with_the_name_of_the_culprit(split, tmp_path, name):
    change, message = BROKEN[name]
    path = tmp_path / "samples.parquet"
    write_samples(path, draw_samples(split, 2.0, 2, seed=0), 2.0, 2, 0)
    write_table(path, change(read_table(path), split), table_metadata(path))
    with pytest.raises(InputError, match=message):
        read_samples(path, split)


def test_samples_of_another_seed_s_split_are_refused(split, cohort, tmp_path):
    path = tmp_path / "samples.parquet"
    write_samples(path, draw_samples(split, 2.0, 1, seed=0), 2.0, 1, 0)
    with pytest.raises(InputError, match="outside the training part"):
        read_samples(path, folds.make_split(cohort, OPTIONS, 1))


def test_a_bag_or_fold_out_of_range_names_the_range(split):
    samples = draw_samples(split, 2.0, 2, seed=0)
    with pytest.raises(InputError, match="bag 2 is out of range: the samples have 0 to 1"):
        bag_rows(samples, 0, 2)
    with pytest.raises(InputError, match="fold 4 is out of range: the samples have 0 to 3"):
        bag_rows(samples, 4, 0)
