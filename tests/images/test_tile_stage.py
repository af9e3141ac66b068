"""Claims about cutting the records of a cohort into examples."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.images.tile import list_whole_images, spread_evenly, tile_records
from fewcase.study.errors import InputError
from fewcase.study.image_sources import Tiles
from made_images import box, feature, records_of, save, write_outlines

WORKFLOW = Path(__file__).parents[2] / "workflow"


def large_records(count, width=2048, height=1536):
    """Records of files that are not there."""
    names = [f"r{i:03d}" for i in range(count)]
    return pd.DataFrame(
        {
            "record": names,
            "patient": [f"p{i % 7}" for i in range(count)],
            "site": "A",
            "date": pd.Series([pd.NaT] * count, dtype="datetime64[us]"),
            "file_type": "tiff",
            "path": [f"{name}.tif" for name in names],
            "width": width,
            "height": height,
            "part": ["train", "validation"] * (count // 2) + ["train"] * (count % 2),
            "channels": 3,
        }
    )


def cut(records, options, folder, data=Path()):
    tile_records(records, options, data, folder)
    return tuple(pd.read_parquet(folder / f"{name}.parquet") for name in ("examples", "rejected"))


def test_images_of_the_breast_challenge_give_the_numbers_of_the_paper(tmp_path):
    options = Tiles(size=512, overlap=256)
    training, _ = cut(large_records(300), options, tmp_path / "a")
    validation, _ = cut(large_records(100), options, tmp_path / "b")
    assert (len(training), len(validation)) == (10_500, 3_500)


def test_examples_are_named_placed_and_numbered_in_order(tmp_path):
    records = large_records(3, 448, 300).iloc[::-1].reset_index(drop=True)
    examples, refused = cut(records, Tiles(size=224), tmp_path)
    assert examples["row"].tolist() == list(range(6))
    assert examples["example"].tolist() == [f"r{i:03d}/x{x}-y0" for i in range(3) for x in (0, 224)]
    assert examples["parent"].tolist() == ["r000", "r000", "r001", "r001", "r002", "r002"]
    assert examples["part"].tolist()[:4] == ["train", "train", "validation", "validation"]
    assert examples.columns.tolist() == [
        *("row", "example", "parent", "patient", "site", "date", "part", "x", "y", "extent"),
    ]
    assert examples[["row", "x", "y", "extent"]].dtypes.eq("int64").all()
    assert refused.empty
    info = json.loads((tmp_path / "examples.hash").read_text())
    assert info["examples"] == 6


def test_a_record_smaller_than_a_tile_is_refused_as_a_whole(tmp_path):
    records = large_records(2, 300, 300)
    records.loc[1, "height"] = 200
    examples, refused = cut(records, Tiles(size=224), tmp_path)
    assert set(examples["parent"]) == {"r000"}
    assert refused[["record", "stage", "reason"]].to_numpy().tolist() == [
        ["r001", "tile", "smaller than a tile"]
    ]
    assert "300 × 200" in refused["detail"][0]


@pytest.fixture
def annotated(tmp_path):
    """Three images of 200 × 200, the left half tissue; two are annotated."""
    data = tmp_path / "data"
    pixels = np.full((200, 200, 3), 245, np.uint8)
    pixels[:, :100] = (190, 110, 170)
    paths = [save(data / "slides" / f"{name}.png", pixels) for name in "abc"]
    write_outlines(
        data / "outlines" / "a.geojson",
        [feature([box(0, 0, 100, 200)], "TUM"), feature([box(100, 0, 200, 100)], "BG")],
    )
    write_outlines(data / "outlines" / "b.geojson", [feature([box(0, 0, 9, 9)], "TUM")])
    return records_of(paths, data), data


def test_tiles_get_the_class_that_covers_them(annotated, tmp_path):
    records, data = annotated
    options = Tiles(size=100, annotations="outlines", min_coverage=0.75)
    examples, refused = cut(records, options, tmp_path / "out", data)
    assert examples[["x", "y", "class"]].to_numpy().tolist() == [
        [0, 0, "TUM"],
        [100, 0, "BG"],
        [0, 100, "TUM"],
    ]
    assert refused[["record", "reason"]].to_numpy().tolist() == [
        ["slides/a", "no annotation"],
        ["slides/b", "no tile left"],
        ["slides/c", "missing annotation"],
    ]
    assert refused["detail"][0] == "1 of 4 tiles are not covered to 0.75 by one class."
    assert "no annotation: 4 of 4 tiles" in refused["detail"][1]


def test_tissue_and_annotation_are_both_asked_for(annotated, tmp_path):
    records, data = annotated
    options = Tiles(size=100, annotations="outlines", min_tissue=0.5)
    examples, refused = cut(records.iloc[:1], options, tmp_path / "out", data)
    assert examples["class"].tolist() == ["TUM", "TUM"]
    assert refused["reason"].tolist() == ["no annotation", "too little tissue"]
    assert refused["detail"][1].startswith("1 of 4 tiles")


def test_what_is_refused_does_not_depend_on_threads(annotated, tmp_path):
    records, data = annotated
    options = Tiles(size=50, overlap=25, annotations="outlines", min_tissue=0.3)
    for threads in (1, 3):
        tile_records(records, options, data, tmp_path / str(threads), threads=threads)
    for name in ("examples.parquet", "rejected.parquet", "examples.hash"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_so_many_tiles_are_drawn_spread_over_the_record(tmp_path):
    records = large_records(4, 2240, 2240)
    options = Tiles(size=224, max_tiles_per_record=20, seed=3)
    examples, refused = cut(records, options, tmp_path / "a")
    assert examples.groupby("parent").size().tolist() == [20] * 4
    # Two of every row of ten tiles.
    assert set(examples.groupby(["parent", "y"]).size()) == {2}
    assert refused["reason"].tolist() == ["more tiles than asked"] * 4
    assert refused["detail"][0].startswith("80 of 100 tiles")
    again, _ = cut(records.iloc[1:3], options, tmp_path / "b")
    kept = examples[examples["parent"].isin(["r001", "r002"])]
    assert again["example"].tolist() == kept["example"].tolist()
    other, _ = cut(records, Tiles(size=224, max_tiles_per_record=20, seed=4), tmp_path / "c")
    assert other["example"].tolist() != examples["example"].tolist()


def test_every_item_can_be_drawn_and_none_twice():
    drawn = [spread_evenly(7, 3, (seed, "r")) for seed in range(200)]
    assert all(len(set(indices)) == 3 for indices in drawn)
    assert set(np.concatenate(drawn)) == set(range(7))
    assert spread_evenly(5, 5, (0, "r")).tolist() == [0, 1, 2, 3, 4]


def test_a_file_that_changed_since_ingest_is_an_error(annotated, tmp_path):
    records, data = annotated
    save(data / "slides" / "a.png", np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png: 50 × 50 pixels, but 200 × 200 at ingest"):
        cut(records, Tiles(size=100, min_tissue=0.1), tmp_path / "out", data)
    (data / "slides" / "a.png").unlink()
    with pytest.raises(InputError, match="run ingest again"):
        cut(records, Tiles(size=100, min_tissue=0.1), tmp_path / "out", data)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Tiles(level=1, magnification=20), "magnification: level is given as well"),
        (Tiles(annotations="nowhere"), "annotations: no folder"),
        (Tiles(mask_classes={"TUM": "1"}), "mask_classes.TUM"),
        (Tiles(overlap=224), "overlap: 224"),
        (Tiles(size=4096), r"none is left of 2 records: smaller than a tile \(2\)"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        cut(large_records(2), options, tmp_path)


def test_whole_images_are_one_example_each_in_the_order_of_their_names(tmp_path):
    records = large_records(3).iloc[[2, 0, 1]]
    list_whole_images(records, tmp_path)
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    assert examples["example"].tolist() == examples["parent"].tolist() == ["r000", "r001", "r002"]
    assert examples["row"].tolist() == [0, 1, 2]
    assert "x" not in examples
    assert pd.read_parquet(tmp_path / "rejected.parquet").columns[0] == "record"


def test_the_command_takes_the_options_of_a_source(annotated, tmp_path):
    records, data = annotated
    records.to_parquet(tmp_path / "records.parquet")
    for source, options, count in (("tiles", {"size": 100}, 12), ("image_folder", {}, 3)):
        done = subprocess.run(
            [
                *(sys.executable, WORKFLOW / "tile_images.py", "--source", source),
                *("--records", tmp_path / "records.parquet", "--options", json.dumps(options)),
                *("--data", data, "--out", tmp_path / source),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(pd.read_parquet(tmp_path / source / "examples.parquet")) == count
