"""Label counts before and after under-sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from fewcase.reporting.labels import AFTER, BEFORE, count_labels, lay_out_labels
from fewcase.study.errors import InputError


@pytest.fixture(scope="module")
def files(shared_study: Any) -> tuple[list[Any], list[Any]]:
    pairs = [shared_study.write_split(seed) for seed in shared_study.seeds]
    return [split for split, _ in pairs], [sample for _, sample in pairs]


def test_counts_are_those_of_the_split_and_its_samples(shared_study: Any, files: Any) -> None:
    counts = count_labels(*files).set_index(["part", "site", "seed", "fold", "bag"]).sort_index()
    split = shared_study.split(1)
    training = split[(split["fold"] >= 0) & (split["fold"] != 3) & (split["inner"] != 0)]
    before = counts.loc[(BEFORE, "", 1, 3, "")]
    assert before["positive"] == (training["label"] == 1).sum()
    assert before["negative"] == (training["label"] == 0).sum()
    for bag in (0, 1):
        after = counts.loc[(AFTER, "", 1, 3, bag)]
        assert after["positive"] == before["positive"]
        assert after["negative"] == min(2 * before["positive"], before["negative"])
    abroad = split[split["site"] == "Nakagawa"]
    assert counts.loc[("external test", "Nakagawa", "", "", "")]["recordings"] == len(abroad)


def test_sites_add_up_to_their_set_and_folds_to_cross_validation(files: Any) -> None:
    counts = count_labels(*files)
    sets = counts[counts["seed"] == ""]
    for _, of_set in sets.groupby("part"):
        whole, sites = of_set[of_set["site"] == ""], of_set[of_set["site"] != ""]
        assert sites["recordings"].sum() == whole["recordings"].iloc[0]
    validation = counts[counts["part"] == "validation"]
    in_cv = sets[(sets["part"] == "cross-validation") & (sets["site"] == "")]["recordings"].iloc[0]
    assert (validation.groupby("seed")["recordings"].sum() == in_cv).all()


def test_the_printed_table_shows_one_seed_and_its_ratio(files: Any) -> None:
    table = lay_out_labels("Labels", count_labels(*files))
    ratios = [row.cells[-1].text for row in table.rows if row.cells[0].text == AFTER]
    assert ratios == ["2.00"] * 5
    assert not table.leaky
    assert table.notes[0] == (
        "Folds are those of seed 0, first bag; the CSV file has all 3 seeds and all 2 bags."
    )


def test_one_seed_and_one_bag_are_not_spoken_of_in_the_plural(files: Any) -> None:
    counts = count_labels(*([paths[0]] for paths in files))
    one_bag = counts[counts["bag"] != 1]
    assert lay_out_labels("L", one_bag).notes[0] == "Folds are those of seed 0, the only one."
    two_bags = lay_out_labels("L", counts).notes[0]
    assert two_bags == "Folds are those of seed 0, first bag; the CSV file has all 2 bags."


def test_a_leaky_split_is_said_to_be(make_study: Callable[..., Any]) -> None:
    study = make_study(sites={"A": 200}, repeats=True, leaky=True)
    split, sample = study.write_split(0)
    table = lay_out_labels("Labels", count_labels([split], [sample]))
    assert table.leaky
    assert table.notes[-1].startswith("Leaky")


def test_samples_of_another_split_are_refused(files: Any) -> None:
    splits, samples = files
    with pytest.raises(InputError):
        count_labels(splits, samples[::-1])
    with pytest.raises(InputError, match="3 split files and 2 sample files"):
        count_labels(splits, samples[:2])
    assert isinstance(count_labels(splits[:1], samples[:1]), pd.DataFrame)
