"""Claims about whole-slide files: read by OpenSlide, region by region, or refused with a remedy."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest

from fewcase.data.image_files import ImageFileError, read_image
from fewcase.data.image_records import read_image_records
from fewcase.data.slides import TILED_TIFF, Slide, inspect_slide, is_slide
from fewcase.images.prepare import prepare_images
from fewcase.images.tile import tile_records
from fewcase.ingest.image_cohort import write_images
from fewcase.ingest.image_folder import list_images
from fewcase.study.errors import InputError
from fewcase.study.image_sources import ImageFolder, Tiles
from fewcase.study.preparation import PrepareOptions
from made_images import halved, save, scene, write_slide

needs_openslide = pytest.mark.skipif(
    importlib.util.find_spec("openslide") is None, reason="openslide-python is not installed"
)

PIXELS = scene(300, 420)


@pytest.fixture
def slide(tmp_path):
    levels = [PIXELS, halved(PIXELS), halved(halved(PIXELS))]
    return write_slide(tmp_path / "data" / "A" / "slide.tif", levels, microns_per_pixel=0.25)


@needs_openslide
def test_a_region_is_the_pixels_of_its_level(slide):
    opened = Slide(slide)
    assert (opened.width, opened.height) == (420, 300)
    assert opened.downsamples == pytest.approx((1, 2, 4), rel=0.01)
    np.testing.assert_array_equal(opened.read(37, 51, 130, 70), PIXELS[51:121, 37:167])
    coarse = opened.read(40, 60, 128, 64, downsample=2)
    np.testing.assert_array_equal(coarse, halved(PIXELS)[30:62, 20:84])
    between = opened.read(40, 60, 128, 64, downsample=3.9)
    assert between.shape == coarse.shape
    opened.close()


@needs_openslide
def test_beyond_a_slide_is_white(slide):
    opened = Slide(slide)
    corner = opened.read(400, 280, 40, 40)
    np.testing.assert_array_equal(corner[:20, :20], PIXELS[280:, 400:])
    assert (corner[20:] == 255).all()
    assert (corner[:, 20:] == 255).all()


@needs_openslide
def test_a_slide_and_an_ordinary_image_make_the_same_tiles(slide, tmp_path):
    data = slide.parents[1]
    save(data / "A" / "plain.png", PIXELS)
    options = Tiles(size=64, overlap=32, edge="pad")
    write_images(list_images(options, data), data, tmp_path / "records", slides=True)
    records = read_image_records(tmp_path / "records" / "records.parquet")
    assert records["file_type"].tolist() == ["png", TILED_TIFF]
    assert records[["width", "height", "channels"]].to_numpy().tolist() == [[420, 300, 3]] * 2
    tile_records(records, options, data, tmp_path / "tile")
    examples = pd.read_parquet(tmp_path / "tile" / "examples.parquet")
    prepare_images(records, examples, data, PrepareOptions(size=48), tmp_path / "t.npy")
    images = np.load(tmp_path / "t.npy")
    np.testing.assert_array_equal(*np.split(images, 2))


@needs_openslide
@pytest.mark.parametrize(
    ("asked", "extent"),
    [
        ({}, 64),
        ({"level": 1}, 128),
        ({"microns_per_pixel": 0.5}, 128),
        ({"microns_per_pixel": 0.252}, 64),
        ({"microns_per_pixel": 0.75}, 192),
        ({"magnification": 20, "native_magnification": 40}, 128),
    ],
)
def test_tiles_have_the_resolution_that_was_asked_for(slide, tmp_path, asked, extent):
    data = slide.parents[1]
    options = Tiles(size=64, **asked)
    write_images(list_images(options, data), data, tmp_path / "records", slides=True)
    records = read_image_records(tmp_path / "records" / "records.parquet")
    tile_records(records, options, data, tmp_path / "tile")
    examples = pd.read_parquet(tmp_path / "tile" / "examples.parquet")
    assert set(examples["extent"]) == {extent}
    assert len(examples) == (420 // extent) * (300 // extent)
    prepare_images(records, examples, data, PrepareOptions(size=64), tmp_path / "t.npy")
    first = np.moveaxis(np.load(tmp_path / "t.npy")[0], 0, -1).astype(int)
    step = extent / 64
    if step in (1, 2):
        expected = PIXELS if step == 1 else halved(PIXELS)
        np.testing.assert_array_equal(first, expected[:64, :64])


@needs_openslide
@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"level": 3}, "no such level"),
        ({"microns_per_pixel": 0.1}, "resolution too low"),
        ({"magnification": 20}, "unknown resolution"),
    ],
)
def test_a_resolution_that_a_slide_does_not_have_is_a_reason(slide, tmp_path, asked, reason):
    data = slide.parents[1]
    options = Tiles(size=64, **asked)
    write_images(list_images(options, data), data, tmp_path / "records", slides=True)
    records = read_image_records(tmp_path / "records" / "records.parquet")
    with pytest.raises(InputError, match=reason):
        tile_records(records, options, data, tmp_path / "tile")
    assert not (tmp_path / "tile" / "examples.parquet").exists()


@needs_openslide
def test_tissue_is_found_on_a_slide_as_on_an_image(tmp_path):
    pixels = np.full((512, 512, 3), 250, np.uint8)
    pixels[:256, :256] = (200, 120, 180)
    data = tmp_path / "data"
    write_slide(data / "slide.tif", [pixels, halved(pixels), halved(halved(pixels))])
    save(data / "plain.png", pixels)
    options = Tiles(size=128, min_tissue=0.5)
    write_images(list_images(options, data), data, tmp_path / "records", slides=True)
    records = read_image_records(tmp_path / "records" / "records.parquet")
    tile_records(records, options, data, tmp_path / "tile")
    examples = pd.read_parquet(tmp_path / "tile" / "examples.parquet")
    for _, tiles in examples.groupby("parent"):
        assert list(zip(tiles["x"], tiles["y"], strict=True)) == [
            *((0, 0), (128, 0), (0, 128), (128, 128)),
        ]
    refused = pd.read_parquet(tmp_path / "tile" / "rejected.parquet")
    assert refused["detail"].tolist() == ["12 of 16 tiles hold less than 0.5 of tissue."] * 2


@needs_openslide
def test_a_broken_slide_is_refused(tmp_path):
    path = tmp_path / "s.svs"
    path.write_bytes(b"II*\x00 no slide")
    with pytest.raises(ImageFileError, match="not a slide") as caught:
        inspect_slide(path)
    assert caught.value.reason == "damaged file"


def test_without_openslide_a_slide_is_an_error_that_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(InputError, match=r"pip install openslide-python==.* openslide-bin=="):
        is_slide(tmp_path / "s.svs")


def test_slides_are_no_records_of_an_image_folder(tmp_path):
    (tmp_path / "s.svs").write_bytes(b"slide")
    save(tmp_path / "a.png")
    listed = list(list_images(ImageFolder(), tmp_path))
    assert [getattr(item, "reason", "") for item in listed] == ["", "unsupported type"]


def test_a_plain_tiff_is_an_ordinary_image(tmp_path):
    path = save(tmp_path / "a.tif", PIXELS)
    assert not is_slide(path)
    np.testing.assert_array_equal(read_image(path), PIXELS)
