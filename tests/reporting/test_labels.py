"""Label counts before and after under-sampling."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fewcase.reporting.display import read_display, to_markdown
from fewcase.reporting.label_figure import draw_class_counts
from fewcase.reporting.labels import (
    AFTER,
    BEFORE,
    count_labels,
    label_columns,
    lay_out_labels,
    read_labels,
)
from fewcase.splits.folds import make_split, write_split
from fewcase.splits.sampling import draw_samples, write_samples
from fewcase.study.errors import InputError
from fewcase.study.splits import SplitOptions
from image_cohorts import GIVEN, TISSUES, given_split, image_cohort, tile_cohort

WORKFLOW = Path(__file__).parents[2] / "workflow"


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


# Images and tiles --------------------------------------------------------------------------------


def write_tiles(folder: Path, neg_per_pos: float | None = None) -> tuple[Path, Path]:
    """Write a hand-made split of tiles by given parts, and its training rows."""
    split = given_split(tile_cohort().cohort)
    paths = folder / "split.parquet", folder / "sample.parquet"
    write_split(paths[0], split, GIVEN, 0)
    write_samples(paths[1], draw_samples(split, neg_per_pos, 1, 0), neg_per_pos, 1, 0)
    return paths


def test_tiles_are_counted_by_class_in_given_parts_and_test_sets(tmp_path: Path) -> None:
    split, sample = write_tiles(tmp_path)
    counts = count_labels([split], [sample], unit="tile", classes=TISSUES)
    assert list(counts) == [
        *("part", "site", "seed", "fold", "bag", "images", "patients", "tiles"),
        *(*TISSUES, "leaky"),
    ]
    rows = counts.set_index(["part", "site"])
    of_all = rows.xs("", level="site")
    numbers = ["images", "patients", "tiles", *TISSUES]
    assert of_all.loc["training and validation, as given", numbers].tolist() == [4, 3, 15, 6, 5, 4]
    assert of_all.loc["internal test", numbers].tolist() == [1, 1, 5, 2, 2, 1]
    assert of_all.loc["training part", numbers].tolist() == [1, 1, 4, 1, 2, 1]
    assert of_all.loc["early stopping", numbers].tolist() == [2, 1, 7, 3, 2, 2]
    assert of_all.loc["validation", numbers].tolist() == [1, 1, 4, 2, 1, 1]
    assert AFTER not in of_all.index


def test_the_printed_table_of_classes_says_how_uneven_they_are_and_what_is_drawn(
    tmp_path: Path,
) -> None:
    split, sample = write_tiles(tmp_path)
    counts = count_labels([split], [sample], unit="tile", classes=TISSUES)
    table = lay_out_labels("Labels", counts, unit="tile", oversampled=True)
    assert table.columns[2:] == (
        *("Images", "Patients", "Tiles"),
        *(*TISSUES, "Largest to smallest class"),
    )
    training = next(row for row in table.rows if row.cells[0].text == BEFORE)
    assert training.cells[-1].text == "2.00"
    assert "Nothing is under-sampled: all tiles of a part are used." in table.notes
    assert any("draws every class equally often" in note for note in table.notes)
    text = to_markdown(table).lower()
    assert not any(word in text for word in ("recording", "positive", "negative", "hospital"))
    plain_table = lay_out_labels("Labels", counts, unit="tile")
    assert not any("equally often" in note for note in plain_table.notes)


def test_two_classes_of_images_keep_their_names_and_what_is_under_sampled_is_shown(
    tmp_path: Path,
) -> None:
    images = image_cohort().cohort
    options = SplitOptions("diagnosis", folds=2, inner_folds=2)
    split = make_split(images, options, 0)
    paths = tmp_path / "split.parquet", tmp_path / "sample.parquet"
    write_split(paths[0], split, options, 0)
    write_samples(paths[1], draw_samples(split, 1.0, 1, 0), 1.0, 1, 0)
    named = {"unit": "image", "classes": ["Benign", "Invasive"]}
    counts = count_labels([paths[0]], [paths[1]], **named)
    whole = counts.iloc[0]
    assert whole["images"] == len(images)
    assert whole["Invasive"] == (images["label"] == 1).sum()
    assert "tiles" not in counts
    drawn = counts[counts["part"] == AFTER]
    assert (drawn["Benign"] == drawn["Invasive"]).all()
    assert len(drawn) == 2
    two = count_labels([paths[0]], [paths[1]], unit="image")
    assert list(two)[7:9] == ["positive", "negative"]
    assert two["positive"].tolist() == counts["Invasive"].tolist()


def test_a_class_that_is_called_like_a_count_keeps_a_column_of_its_own(tmp_path: Path) -> None:
    split, sample = write_tiles(tmp_path)
    names = ["tiles", "part", "TUM"]
    counts = count_labels([split], [sample], unit="tile", classes=names)
    assert label_columns(counts) == ["class tiles", "class part", "TUM"]
    assert counts["tiles"].iloc[0] == 15
    assert counts["class tiles"].iloc[0] == 6


def test_label_counts_of_tiles_are_read_back_with_examples_under_one_name(tmp_path: Path) -> None:
    split, sample = write_tiles(tmp_path)
    counts = count_labels([split], [sample], unit="tile", classes=TISSUES)
    counts.to_csv(tmp_path / "labels.csv", index=False)
    read = read_labels(tmp_path / "labels.csv")
    assert read["recordings"].tolist() == counts["tiles"].tolist()
    assert read["TUM"].tolist() == counts["TUM"].tolist()


@pytest.mark.parametrize("classes", [3, 12])
def test_the_figure_has_a_bar_for_each_class_and_set(tmp_path: Path, classes: int) -> None:
    split, sample = write_tiles(tmp_path)
    names = [*TISSUES, *(f"rare tissue {i}" for i in range(classes - 3))]
    counts = count_labels([split], [sample], unit="tile", classes=names)
    figure = draw_class_counts("Labels", counts, "tile")
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == names
    parts = [container.get_label() for container in left.containers]
    assert parts == ["training and validation, as given", "internal test"]
    widths = {c.get_label(): [bar.get_width() for bar in c] for c in left.containers}
    assert widths["internal test"] == [2, 2, 1, *[0] * (classes - 3)]
    assert [bar.get_width() for bar in right.containers[0]][:3] == [1, 2, 1]
    assert left.get_xlabel().startswith("Tiles")


def test_the_stage_tabulates_classes_of_images(tmp_path: Path) -> None:
    split, sample = write_tiles(tmp_path)
    words = ["--title", "Labels", "--splits", split, "--samples", sample, "--unit-kind", "tile"]
    words += ["--classes", json.dumps(TISSUES), "--oversampled"]
    for name in ("csv", "md", "tex", "svg", "png"):
        words += [f"--{name}", tmp_path / f"labels.{name}"]
    words += ["--display", tmp_path / "labels.json"]
    done = subprocess.run(
        [sys.executable, WORKFLOW / "tabulate_labels.py", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "labels.svg").stat().st_size > 1000
    assert "tiles of each class" in read_display(tmp_path / "labels.json").caption
