"""Files of maps are read as they were written, or refused."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fewcase.explain.grids import slit_grids
from fewcase.explain.map_files import FILES, MapSet, read_maps, write_maps
from fewcase.study.errors import InputError


def made(seed=0, cases=3):
    rng = np.random.default_rng(seed)
    grids = slit_grids(8, 40, 30, ("fhr-10", "uc-none"), minutes=(5, 3))
    scores = rng.dirichlet([1, 1], cases).astype(np.float32)
    table = pd.DataFrame(
        {
            "case": range(cases),
            "example": [f"r{number}" for number in range(cases)],
            "label": [0, 1, 1][:cases],
            "score_0": scores[:, 0],
            "score_1": scores[:, 1],
        }
    )
    return MapSet(
        table,
        rng.integers(0, 256, (cases, 2, 8, 40), np.uint8),
        rng.normal(0, 1, (cases, 48, 2)).astype(np.float32),
        grids,
        ("healthy", "at risk"),
        {"score": "log_odds", "fill": "white", "seed": 3, "window_minutes": 30.0},
    )


def test_what_was_written_is_read(tmp_path):
    maps = made()
    write_maps(tmp_path / "maps", maps)
    read = read_maps(tmp_path / "maps")
    pd.testing.assert_frame_equal(read.cases, maps.cases)
    assert isinstance(read.differences, np.memmap)
    np.testing.assert_array_equal(read.pictures, maps.pictures)
    np.testing.assert_array_equal(read.differences, maps.differences)
    assert (read.class_names, read.about) == (maps.class_names, maps.about)
    assert read.groups == ("all", "fhr-10", "uc-none")
    for ours, theirs in zip(read.grids, maps.grids, strict=True):
        for field in dataclasses.fields(ours):
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))
    np.testing.assert_array_equal(
        read.of_grid(3)[:, 0], maps.differences[:, 6 + 10 + 6 : 6 + 10 + 6 + 10]
    )
    np.testing.assert_array_equal(read.scores, maps.cases[["score_0", "score_1"]])


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_run_is_refused_though_its_shape_fits(name, tmp_path):
    for seed in (0, 1):
        write_maps(tmp_path / str(seed), made(seed))
    shutil.copy(tmp_path / "1" / name, tmp_path / "0" / name)
    with pytest.raises(InputError, match="another run"):
        read_maps(tmp_path / "0")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name, tmp_path):
    write_maps(tmp_path, made())
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=name):
        read_maps(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"differences": np.zeros((3, 47, 2), np.float32)}, "differences: found"),
        ({"pictures": np.zeros((2, 2, 8, 40), np.uint8)}, "pictures: found"),
        ({"pictures": np.zeros((3, 2, 8, 41), np.uint8)}, "under the grid"),
        ({"class_names": ("a", "b", "c")}, "expected"),
        ({"cases": made().cases.drop(columns="score_1")}, "scores: found"),
    ],
)
def test_parts_that_do_not_fit_together_are_not_written(wrong, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_maps(tmp_path / "maps", dataclasses.replace(made(), **wrong))
    assert not (tmp_path / "maps").exists()


def test_the_description_of_a_run_is_plain_json(tmp_path):
    write_maps(tmp_path, made())
    stored = json.loads((tmp_path / "grids.json").read_text(encoding="utf-8"))
    assert [grid["name"] for grid in stored["grids"]] == ["5 min", "3 min"] * 3
    assert stored["grids"][2]["channels"] == [True, False]
    assert stored["grids"][0]["boxes"][1] == [0, 8, 7, 13]
