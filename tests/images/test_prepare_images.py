"""Claims about the stored images: what is cut, cropped, padded, resized, and in which row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fewcase.data.image_store import ImageStore
from fewcase.images import prepare, regions
from fewcase.images.prepare import prepare_images
from fewcase.images.tile import list_whole_images, tile_records
from fewcase.study.errors import InputError
from fewcase.study.image_sources import Tiles
from fewcase.study.preparation import PrepareOptions
from made_images import records_of, save, scene

WORKFLOW = Path(__file__).parents[2] / "workflow"


@pytest.fixture
def wide(tmp_path):
    """Images of 60 × 100, and their records."""
    data = tmp_path / "data"
    paths = [save(data / f"{i}.png", scene(60, 100, seed=i)) for i in range(4)]
    return records_of(paths, data), data, [np.asarray(Image.open(path)) for path in paths]


def prepared(records, data, folder, *, tiles=None, threads=1, **options):
    if tiles is None:
        list_whole_images(records, folder)
    else:
        tile_records(records, tiles, data, folder)
    examples = pd.read_parquet(folder / "examples.parquet")
    out = folder / "images.npy"
    prepare_images(records, examples, data, PrepareOptions(**options), out, threads=threads)
    return np.moveaxis(ImageStore.open([out]).read(examples["row"]), 1, -1)


def lanczos(pixels, size):
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))


def test_row_i_is_example_i_resized_as_pillow_does(wide, tmp_path):
    records, data, pixels = wide
    shuffled = records.iloc[[2, 0, 3, 1]]
    found = prepared(shuffled, data, tmp_path / "o", size=32, fit="stretch")
    np.testing.assert_array_equal(found, [lanczos(p, 32) for p in pixels])


def test_the_width_is_halved_before_the_image_is_fitted(wide, tmp_path):
    records, data, pixels = wide
    found = prepared(records, data, tmp_path / "o", size=60, width_factor=0.5, fill=7)
    narrow = Image.fromarray(pixels[2]).resize((50, 60), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(found[2][:, 5:55], np.asarray(narrow))
    assert (found[2][:, :5] == 7).all()
    assert (found[2][:, 55:] == 7).all()


def test_a_tile_is_cut_at_its_place(wide, tmp_path):
    records, data, pixels = wide
    found = prepared(records, data, tmp_path / "o", tiles=Tiles(size=30, overlap=10), size=30)
    assert len(found) == 4 * 4 * 2
    np.testing.assert_array_equal(found[6], pixels[0][20:50, 40:70])
    np.testing.assert_array_equal(found[8 * 3 + 1], pixels[3][0:30, 20:50])


def test_a_tile_beyond_the_edge_is_padded_with_white(wide, tmp_path):
    records, data, pixels = wide
    tiles = Tiles(size=64, edge="pad")
    found = prepared(records, data, tmp_path / "o", tiles=tiles, size=64)
    assert len(found) == 4 * 2
    np.testing.assert_array_equal(found[1][:60, :36], pixels[0][:, 64:])
    assert (found[1][60:] == 255).all()
    assert (found[1][:, 36:] == 255).all()


def test_proportions_are_kept_by_padding_above_and_below(wide, tmp_path):
    records, data, pixels = wide
    found = prepared(records, data, tmp_path / "o", size=100, fill=7)
    np.testing.assert_array_equal(found[0][20:80], pixels[0])
    assert (found[:, :20] == 7).all()
    assert (found[:, 80:] == 7).all()


def test_a_crop_is_about_the_centre_and_pads_where_the_image_is_smaller(wide, tmp_path):
    records, data, pixels = wide
    inside = prepared(records, data, tmp_path / "a", size=40, crop=40)
    np.testing.assert_array_equal(inside[1], pixels[1][10:50, 30:70])
    around = prepared(records, data, tmp_path / "b", size=80, crop=80)
    np.testing.assert_array_equal(around[1][10:70], pixels[1][:, 10:90])
    assert (around[1][:10] == 0).all()
    resized = prepared(records, data, tmp_path / "c", size=20, crop=40)
    np.testing.assert_array_equal(resized[1], lanczos(pixels[1][10:50, 30:70], 20))


def test_grey_is_luma_and_one_channel(wide, tmp_path):
    records, data, pixels = wide
    found = prepared(records, data, tmp_path / "o", size=40, crop=40, grey=True)
    assert found.shape == (4, 40, 40, 1)
    luma = pixels[0][10:50, 30:70] @ [0.299, 0.587, 0.114]
    assert np.abs(found[0][..., 0] - luma).max() <= 1


def test_grey_images_have_one_channel_unless_one_has_colours(wide, tmp_path):
    records, data, _ = wide
    grey = save(data / "g.png", scene(50, 50, 1)[..., 0])
    alone = records_of([grey], data, channels=1)
    assert prepared(alone, data, tmp_path / "a", size=50).shape == (1, 50, 50, 1)
    both = pd.concat([records, alone], ignore_index=True)
    found = prepared(both, data, tmp_path / "b", size=50, crop=50)
    assert found.shape == (5, 50, 50, 3)
    np.testing.assert_array_equal(found[4], np.repeat(scene(50, 50, 1), 3, axis=2))


def test_16_bit_images_are_scaled_by_the_bits_that_count(tmp_path):
    data = tmp_path / "data"
    values = np.linspace(0, 4095, 400).astype(np.uint16).reshape(20, 20)
    records = records_of([save(data / "a.png", values)], data, channels=1)
    found = prepared(records, data, tmp_path / "o", size=20, bits=12)
    assert np.abs(found[0][..., 0] - values / 4095 * 255).max() <= 0.5


def test_the_file_is_the_same_for_any_number_of_threads(wide, tmp_path):
    records, data, _ = wide
    tiles = Tiles(size=16, overlap=12)
    for threads in (1, 4):
        prepared(records, data, tmp_path / str(threads), tiles=tiles, threads=threads, size=24)
    for name in ("images.npy", "images.hash"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes()
    info = json.loads((tmp_path / "1" / "images.hash").read_text())
    assert info["shape"] == [4 * 12 * 22, 3, 24, 24]
    assert info["packed"] is False


@pytest.mark.parametrize("threads", [1, 3])
def test_each_file_is_opened_once_and_closed(wide, tmp_path, monkeypatch, threads):
    records, data, _ = wide
    opened, closed = [], []

    class Watched(regions.DecodedImage):
        def __init__(self, path, *options):
            super().__init__(path, *options)
            opened.append(path.name)

        def close(self):
            closed.append(self.width)
            super().close()

    monkeypatch.setattr(regions, "DecodedImage", Watched)
    monkeypatch.setattr(prepare, "BLOCK_EXAMPLES", 3)
    tiles = Tiles(size=20, overlap=10)
    prepared(records, data, tmp_path / "o", tiles=tiles, threads=threads, size=16)
    assert sorted(opened) == ["0.png", "1.png", "2.png", "3.png"]
    assert len(closed) == 4


def test_a_file_that_is_gone_leaves_nothing_behind(wide, tmp_path):
    records, data, _ = wide
    (data / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png: no such file.*run ingest again"):
        prepared(records, data, tmp_path / "o", size=16)
    assert not list((tmp_path / "o").glob("*images*"))


def test_tables_of_different_runs_are_refused(wide, tmp_path):
    records, data, _ = wide
    list_whole_images(records, tmp_path)
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    out = tmp_path / "i.npy"
    with pytest.raises(InputError, match="no record '0'"):
        prepare_images(records.iloc[1:], examples, data, PrepareOptions(), out)
    with pytest.raises(InputError, match="rows are not numbered"):
        prepare_images(records, examples.iloc[::-1], data, PrepareOptions(), out)


def test_the_command_writes_what_the_image_store_reads(wide, tmp_path):
    records, data, pixels = wide
    records.to_parquet(tmp_path / "records.parquet")
    list_whole_images(records, tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, WORKFLOW / "prepare_images.py", "--data", data, "--threads", "2"),
            *("--records", tmp_path / "records.parquet"),
            *("--examples", tmp_path / "examples.parquet"),
            *("--options", json.dumps({"size": 60, "crop": 60}), "--out", tmp_path / "v.npy"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    store = ImageStore.open([tmp_path / "v.npy"])
    assert store.shape == (4, 3, 60, 60)
    np.testing.assert_array_equal(np.moveaxis(store.read([3])[0], 0, -1), pixels[3][:, 20:80])
