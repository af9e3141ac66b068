"""Channels of images: names, content, and files that a store opens."""

import json

import numpy as np
import pytest

from fewcase.data.files import read_table, write_digest, write_table
from fewcase.data.image_store import ImageStore
from fewcase.signal.baseline import baseline
from fewcase.signal.channels import Channel, parse_channel, render_channel
from fewcase.signal.contractions import scale_uc
from fewcase.signal.features import FEATURES, compute_features, write_features
from fewcase.signal.lowpass import lowpass
from fewcase.signal.render import render
from fewcase.study.errors import InputError
from fewcase.study.settings import ImageOptions, SignalOptions

HZ = 4.0
ROWS, SAMPLES = 11, 7200
IMAGES = ImageOptions(size=64)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    import pandas as pd

    folder = tmp_path_factory.mktemp("window")
    rng = np.random.default_rng(0)
    fhr = (140 + np.cumsum(rng.normal(0, 0.4, (ROWS, SAMPLES)), axis=1)).astype(np.float32)
    uc = rng.gamma(2, 15, (ROWS, SAMPLES)).astype(np.float32)
    missing = rng.random(fhr.shape) < 0.1
    np.save(folder / "fhr.npy", fhr)
    np.save(folder / "uc.npy", uc)
    np.save(folder / "missing.npy", np.packbits(missing, axis=1))
    names = [f"r{row}" for row in range(ROWS)]
    write_table(folder / "examples.parquet", pd.DataFrame({"row": range(ROWS), "example": names}))
    quality = {"example": names, "missing": missing.mean(axis=1), "longest_gap_s": 1.0}
    write_table(folder / "quality.parquet", pd.DataFrame(quality))
    write_digest(folder / "examples.hash", {"content": "", "examples": ROWS, "sampling_hz": HZ})
    return folder, fhr, uc, missing


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("fhr-none", Channel("fhr")),
        ("fhr-5", Channel("fhr", 5.0)),
        ("fhr-2.5", Channel("fhr", 2.5)),
        ("fhr-0", Channel("fhr", 0.0)),
        ("uc-none", Channel("uc")),
        ("uc-40", Channel("uc", 40.0)),
        ("baseline-nichd", Channel("baseline", method="nichd")),
    ],
)
def test_a_channel_is_read_from_its_name(name, channel):
    assert parse_channel(name) == channel


@pytest.mark.parametrize(
    "name", ["fhr", "fhr-", "fhr--1", "uc-inf", "uc-nan", "baseline-5", "ph-5"]
)
def test_names_that_say_nothing_are_refused(name):
    with pytest.raises(InputError, match="block10, moving10, figo, nichd"):
        parse_channel(name)


def test_a_channel_shows_its_signal_on_its_axis(windows, tmp_path):
    folder, fhr, uc, missing = windows
    on_fhr = {"low": 50, "high": 200, "size": 64}
    on_uc = {"low": 0, "high": 120, "size": 64}
    expected = {
        "fhr-none": render(fhr, **on_fhr),
        "fhr-7": render(lowpass(fhr, HZ, 7), **on_fhr),
        "uc-none": render(uc, **on_uc),
        "uc-80": render(scale_uc(uc, 80), **on_uc),
        "baseline-block10": render(baseline(fhr, HZ), **on_fhr),
        "baseline-figo": render(baseline(fhr, HZ, "figo", missing), **on_fhr),
    }
    for name, images in expected.items():
        out = tmp_path / f"{name}.npy"
        render_channel(folder, name, SignalOptions(), IMAGES, out)
        np.testing.assert_array_equal(np.load(out), images)


def test_filters_and_axes_are_those_of_the_study(windows, tmp_path):
    folder, fhr, _, _ = windows
    signal = SignalOptions(lowpass_filter="butterworth", lowpass_unit="mhz")
    images = ImageOptions(size=32, fhr_low=30, fhr_high=240, line_width=3)
    render_channel(folder, "fhr-8", signal, images, tmp_path / "fhr-8.npy")
    slow = lowpass(fhr, HZ, 8, unit="mhz", kind="butterworth")
    expected = render(slow, low=30, high=240, size=32, line_width=3)
    np.testing.assert_array_equal(np.load(tmp_path / "fhr-8.npy"), expected)


def test_a_store_opens_the_channels_as_one_image(windows, tmp_path):
    folder = windows[0]
    paths = [tmp_path / f"{name}.npy" for name in ("fhr-2.5", "uc-none", "baseline-block10")]
    for path in paths:
        render_channel(folder, path.stem, SignalOptions(), IMAGES, path)
    store = ImageStore.open(paths)
    assert store.shape == (ROWS, 3, 64, 64)
    images = store.read([3, 1])
    assert set(np.unique(images).tolist()) == {0, 255}
    # Lines are black on white and cross the whole picture.
    assert images.mean() > 127
    assert (images == 0).any(axis=2).all()


def test_files_do_not_depend_on_chunks_and_threads(windows, tmp_path):
    for name, chunk, threads in (("one", 256, 1), ("many", 3, 3)):
        out = tmp_path / name / "fhr-5.npy"
        render_channel(
            windows[0], "fhr-5", SignalOptions(), IMAGES, out, chunk=chunk, threads=threads
        )
    for suffix in (".npy", ".hash"):
        one, many = (tmp_path / name / f"fhr-5{suffix}" for name in ("one", "many"))
        assert one.read_bytes() == many.read_bytes()


def test_the_digest_is_of_the_pixels(windows, tmp_path):
    digests = {}
    for name, width in (("a", 1), ("b", 1), ("c", 2)):
        images = ImageOptions(size=64, line_width=width)
        render_channel(windows[0], "fhr-5", SignalOptions(), images, tmp_path / f"{name}.npy")
        digests[name] = json.loads((tmp_path / f"{name}.hash").read_text())
    assert digests["a"] == digests["b"]
    assert digests["a"]["content"] != digests["c"]["content"]
    assert digests["a"]["shape"] == [ROWS, 64, 64]
    assert digests["a"]["packed"] is True


def test_a_size_that_does_not_fill_bytes_writes_nothing(windows, tmp_path):
    images = ImageOptions(size=100)
    with pytest.raises(InputError, match="multiple of 8"):
        render_channel(windows[0], "fhr-5", SignalOptions(), images, tmp_path / "fhr-5.npy")
    assert not list(tmp_path.iterdir())


def test_features_are_written_for_every_example(windows, tmp_path):
    folder, fhr, _, missing = windows
    write_features(folder, tmp_path / "features.parquet", chunk=4, threads=2)
    table = read_table(tmp_path / "features.parquet")
    assert table["example"].tolist() == [f"r{row}" for row in range(ROWS)]
    expected = compute_features(fhr, HZ, missing)
    for name in FEATURES:
        np.testing.assert_array_equal(table[name], expected[name])
    np.testing.assert_allclose(table["missing"], missing.mean(axis=1))
