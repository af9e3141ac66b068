"""Claims about prepared masks: they lie where their images lie, and half inside is inside."""

import json

import numpy as np
import pandas as pd
import pytest

import ingest_images
import prepare_images as stage_of_images
import tile_images
from fewcase.data.image_store import ImageStore
from fewcase.images.masks import mask_file, prepare_masks
from fewcase.images.prepare import prepare_images
from fewcase.study.errors import InputError
from fewcase.study.preparation import PrepareOptions
from made_images import records_of, save


def write(data, masks, box=None, **columns):
    """Images that are white where their masks are, with records and examples of them."""
    paths = []
    for i, mask in enumerate(masks):
        paths.append(save(data / f"{i}.png", mask))
        save(data / f"{i}_mask.png", mask)
    records = records_of(paths, data, channels=1)
    left, top, right, bottom = box or (0, 0, masks[0].shape[1], masks[0].shape[0])
    records = records.assign(
        masks=[json.dumps([f"{i}_mask.png"]) for i in range(len(masks))],
        outlines="[]",
        **{"left": left, "top": top, "right": right, "bottom": bottom, **columns},
    )
    examples = records.rename(columns={"record": "example"})[["example", "patient", "site"]]
    return records, examples.assign(row=range(len(masks)), parent=records["record"])


def blobs(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    masks = []
    for _ in range(count):
        cy, cx = rng.uniform(0.2, 0.8, 2) * (height, width)
        a, b = rng.uniform(0.15, 0.4, 2) * (height, width)
        masks.append(np.where(((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1, 255, 0))
    return [mask.astype(np.uint8) for mask in masks]


def prepared(data, records, examples, **options):
    options = PrepareOptions(**options)
    out = data / "p.npy"
    prepare_images(records, examples, data, options, out)
    prepare_masks(records, examples, data, options, mask_file(out))
    return [ImageStore.open([path]).read(range(len(examples))) for path in (out, mask_file(out))]


@pytest.mark.parametrize(
    "options",
    [
        {"size": 64},
        {"size": 150, "fit": "stretch"},
        {"size": 48, "crop": 90},
        {"size": 96, "crop": 140, "width_factor": 0.5},
    ],
)
def test_a_mask_has_the_geometry_of_its_image(tmp_path, options):
    records, examples = write(tmp_path, blobs(3, 131, 97), box=(5, 9, 90, 120))
    images, masks = prepared(tmp_path, records, examples, **options)
    assert masks.shape == (3, 1, options["size"], options["size"])
    assert set(np.unique(masks)) == {0, 255}
    inside, white = masks[:, 0] > 0, images[:, 0] >= 128
    # Lanczos and area part at few pixels of the rim, and to no side.
    assert np.count_nonzero(inside & white) > 0.985 * np.count_nonzero(inside | white)
    for axis in (1, 2):
        centres = [np.average(np.indices(m.shape)[axis], weights=m) for m in (inside, white)]
        assert abs(centres[0] - centres[1]) < 0.1


def test_what_is_padded_in_white_is_no_region(tmp_path):
    records, examples = write(tmp_path, blobs(2, 80, 50))
    masks = [prepared(tmp_path, records, examples, size=40, fill=fill)[1] for fill in (0, 255)]
    assert np.array_equal(*masks)


@pytest.mark.parametrize("size", [17, 48, 90, 211])
def test_a_pixel_holds_the_share_of_the_mask_that_lies_in_it(tmp_path, size):
    (mask,) = blobs(1, 90, 90, seed=5)
    records, examples = write(tmp_path, [mask])
    _, masks = prepared(tmp_path, records, examples, size=size)
    # How much of it lies left of and above each point is linear within a pixel.
    above = np.zeros((91, 91))
    above[1:, 1:] = (mask > 0).cumsum(axis=0).cumsum(axis=1)
    borders, pixels = np.arange(size + 1) * 90 / size, np.arange(91)
    part = np.stack([np.interp(borders, pixels, line) for line in above])
    part = np.stack([np.interp(borders, pixels, line) for line in part.T]).T
    shares = np.diff(np.diff(part, axis=0), axis=1) * (size / 90) ** 2
    clear = np.abs(shares - 0.5) > 1e-3
    assert np.array_equal(masks[0, 0][clear] > 0, shares[clear] > 0.5)


def test_a_pixel_is_inside_if_at_least_half_of_it_is(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :18] = 255  # 2 of 4 pixels across: half of the fifth column
    mask[:, 37:44] = 255  # from the second pixel of a column of 4: three quarters
    mask[:, 51:52] = 255  # a quarter
    mask[:9, 56:60] = 255  # a quarter of the last row of pixels
    records, examples = write(tmp_path, [mask])
    _, masks = prepared(tmp_path, records, examples, size=16)
    expected = mask.reshape(16, 4, 16, 4).mean(axis=(1, 3)) >= 127.5
    assert expected[0].tolist() == [1] * 5 + [0] * 4 + [1, 1, 0, 0, 0, 1, 0]
    assert np.array_equal(masks[0, 0] > 0, expected)


def test_masks_and_outlines_are_united_and_none_is_empty(tmp_path):
    square = np.zeros((32, 32), np.uint8)
    square[:8, :8] = 255
    records, examples = write(tmp_path, [square, square])
    records["masks"] = ['["0_mask.png"]', "[]"]
    records["outlines"] = ["[[[16, 16], [32, 16], [32, 32], [16, 32]]]", "[]"]
    _, masks = prepared(tmp_path, records, examples, size=32)
    expected = square > 0
    expected[16:, 16:] = True
    assert np.array_equal(masks[0, 0] > 0, expected)
    assert not masks[1].any()


def test_what_lies_outside_of_the_outline_of_the_image_is_black(tmp_path):
    white = np.full((40, 40), 255, np.uint8)
    outline = "[[10, 0], [30, 0], [30, 40], [10, 40]]"
    records, examples = write(tmp_path, [white], box=(5, 0, 35, 30), area=outline)
    images, _ = prepared(tmp_path, records, examples, size=30)
    expected = np.zeros((30, 30), np.uint8)
    expected[:, 5:25] = 255
    assert np.array_equal(images[0, 0], expected)


def test_a_mask_that_is_no_longer_what_it_was_stops_the_stage(tmp_path):
    records, examples = write(tmp_path, blobs(1, 40, 40))
    save(tmp_path / "0_mask.png", np.zeros((40, 39), np.uint8))
    with pytest.raises(InputError, match="39 × 40 pixels, but 40 × 40 at ingest"):
        prepare_masks(records, examples, tmp_path, PrepareOptions(), tmp_path / "m.npy")
    (tmp_path / "0_mask.png").unlink()
    with pytest.raises(InputError, match="run ingest again"):
        prepare_masks(records, examples, tmp_path, PrepareOptions(), tmp_path / "m.npy")
    assert not (tmp_path / "m.npy").exists()


def stage(script, *arguments):
    script.main(script.build_parser().parse_args([str(argument) for argument in arguments]))


def test_the_stages_write_the_same_masks_for_any_number_of_threads(tmp_path):
    data = tmp_path / "data"
    for i, mask in enumerate(blobs(4, 50, 60)):
        save(data / f"F{i}/p{i}.png", np.maximum(mask // 2, 9 + mask.T[:50, :1] * 0))
        save(data / f"F{i}/p{i}_mask.png", mask)
    source = ("--source", "masked_images", "--options", '{"crop_screen": "none"}', "--data", data)
    stage(ingest_images, *source, "--out", tmp_path / "records")
    records = ("--records", tmp_path / "records/records.parquet")
    stage(tile_images, *records, *source, "--out", tmp_path / "image")
    examples = ("--examples", tmp_path / "image/examples.parquet")
    out = tmp_path / "images/p.npy"
    stage(stage_of_images, *records, *examples, "--options", '{"size": 32}', "--data", data,
          "--threads", 2, "--out", out)  # fmt: skip
    tables = [pd.read_parquet(path) for path in (records[1], examples[1])]
    prepare_masks(*tables, data, PrepareOptions(size=32), tmp_path / "alone.npy")
    digests = [path.with_suffix(".hash").read_text() for path in
               (mask_file(out), tmp_path / "alone.npy")]  # fmt: skip
    assert digests[0] == digests[1]
    assert json.loads(digests[0])["shape"] == [4, 1, 32, 32]
