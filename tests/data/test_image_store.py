"""Claims about reading images by row from packed and unpacked channel files."""

import json

import numpy as np
import pytest

from fewcase.data.image_store import ImageStore
from fewcase.study.errors import InputError


def write_packed(path, white):
    """`white` (n, H, W) of bool."""
    np.save(path, np.packbits(white, axis=-1))
    info = {"content": "0", "shape": list(white.shape), "packed": True}
    path.with_suffix(".hash").write_text(json.dumps(info))
    return path


def write_grey(path, images):
    np.save(path, images)
    info = {"content": "0", "shape": list(images.shape), "packed": False}
    path.with_suffix(".hash").write_text(json.dumps(info))
    return path


@pytest.fixture
def channels():
    return np.random.default_rng(0).random((3, 10, 16, 24)) < 0.5


@pytest.fixture
def paths(tmp_path, channels):
    return [write_packed(tmp_path / f"{i}.npy", white) for i, white in enumerate(channels)]


def test_channels_become_the_second_axis_in_the_order_of_the_files(paths, channels):
    store = ImageStore.open(paths)
    assert store.shape == (10, 3, 16, 24)
    assert store.packed
    rows = [7, 0, 7]
    images = store.read(rows)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, 255 * channels[:, rows].swapaxes(0, 1))
    turned = ImageStore.open(paths[::-1]).read(rows)
    np.testing.assert_array_equal(turned, images[:, ::-1])


def test_packed_images_are_the_same_images(paths):
    store = ImageStore.open(paths)
    rows = np.array([3, 1], dtype=np.int32)
    packed = store.read_packed(rows)
    assert packed.shape == (2, 3, 16, 3)
    np.testing.assert_array_equal(np.unpackbits(packed, axis=-1) * 255, store.read(rows))


def test_the_highest_bit_is_the_leftmost_pixel_and_1_is_white(tmp_path):
    white = np.zeros((1, 8, 8), dtype=bool)
    white[0, 2, 0] = True
    store = ImageStore.open([write_packed(tmp_path / "a.npy", white)])
    assert store.read_packed([0])[0, 0, 2, 0] == 0b10000000
    assert store.read([0])[0, 0, 2].tolist() == [255] + [0] * 7


def test_grey_images_are_read_with_and_without_a_channel_axis(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (4, 3, 5, 7), dtype=np.uint8)
    several = ImageStore.open([write_grey(tmp_path / "rgb.npy", images)])
    one = ImageStore.open([write_grey(tmp_path / "red.npy", images[:, 0])])
    assert several.shape == (4, 3, 5, 7)
    assert one.shape == (4, 1, 5, 7)
    assert not several.packed
    np.testing.assert_array_equal(several.read([2, 3]), images[2:])
    np.testing.assert_array_equal(one.read([1]), images[1:2, :1])
    with pytest.raises(ValueError, match="not two-valued"):
        one.read_packed([0])


def test_no_rows_give_no_images_and_rows_outside_an_error(paths):
    store = ImageStore.open(paths)
    assert store.read([]).shape == (0, 3, 16, 24)
    for rows in ([10], [-1]):
        with pytest.raises(IndexError, match="10 images"):
            store.read(rows)


def test_files_that_do_not_belong_together_are_named(tmp_path, paths, channels):
    short = write_packed(tmp_path / "short.npy", channels[0][:9])
    with pytest.raises(InputError, match=r"short\.npy: images of 9 × 16 × 24 .*10 × 16 × 24"):
        ImageStore.open([*paths, short])
    grey = write_grey(tmp_path / "grey.npy", np.zeros((10, 16, 24), dtype=np.uint8))
    with pytest.raises(InputError, match=r"grey\.npy"):
        ImageStore.open([*paths, grey])
    with pytest.raises(InputError, match="at least one"):
        ImageStore.open([])


def test_a_torn_file_is_never_taken_for_images(tmp_path, paths):
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"0\.npy: torn"):
        ImageStore.open(paths)
    paths[0].write_bytes(whole)
    info = json.loads(paths[1].with_suffix(".hash").read_text())
    paths[1].with_suffix(".hash").write_text(json.dumps(info | {"shape": [11, 16, 24]}))
    with pytest.raises(InputError, match=r"1\.npy: holds uint8 \(10, 16, 3\)"):
        ImageStore.open(paths)
    paths[1].with_suffix(".hash").write_text("{}")
    with pytest.raises(InputError, match=r"1\.hash: expected the keys"):
        ImageStore.open(paths)
    paths[1].with_suffix(".hash").unlink()
    with pytest.raises(InputError, match=r"1\.hash: no such file"):
        ImageStore.open(paths)
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "pickled.hash").write_text(json.dumps({"shape": [1, 8, 8], "packed": True}))
    with pytest.raises(InputError, match=r"pickled\.npy"):
        ImageStore.open([tmp_path / "pickled.npy"])
