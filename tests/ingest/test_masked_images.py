"""Claims about images with masks: which mask is whose, what counts as inside, what is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fewcase.data.image_files import ImageFileError
from fewcase.data.region_masks import fill_polygons, read_mask
from fewcase.images.masks import mask_of
from fewcase.ingest.image_cohort import write_images
from fewcase.ingest.masked_images import MaskedSource
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.image_sources import MaskedImages
from made_images import save

HEIGHT, WIDTH = 40, 60


def block(*boxes):
    """A mask of boxes (left, top, right, bottom), uint8 0 or 255."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return mask


def picture(data, name):
    rng = np.random.default_rng(len(name))
    return save(data / name, rng.integers(20, 200, (HEIGHT, WIDTH), np.uint8))


def ingest(data, **options):
    """Ingest a folder, and return records and refusals."""
    options = read_section(MaskedImages, {"crop_screen": "none", **options}, "options")
    source = MaskedSource(options, data)
    write_images(source.list_images(), data, data / "out.d", opener=source.open)
    return tuple(pd.read_parquet(data / "out.d" / f"{n}.parquet") for n in ("records", "rejected"))


def masks_of(records, data):
    return {r["record"]: mask_of(r, data) for _, r in records.iterrows()}


def test_the_masks_beside_an_image_are_united_and_a_normal_one_is_empty(tmp_path):
    for name in ("benign/benign (1).png", "benign/benign (2).png", "normal/normal (1).png"):
        picture(tmp_path, name)
    save(tmp_path / "benign/benign (1)_mask.png", block((2, 2, 10, 10)))
    save(tmp_path / "benign/benign (1)_mask_1.png", block((30, 5, 50, 9)))
    save(tmp_path / "benign/benign (2)_mask.png", block((0, 0, 3, 3)))
    save(tmp_path / "normal/normal (1)_mask.png", block())
    records, rejected = ingest(tmp_path, empty_mask="allow")
    assert list(records["class"]) == ["benign", "benign", "normal"]
    assert not records["patient_known"].any()
    assert records["patient"].is_unique
    assert not len(rejected)
    assert [json.loads(names) for names in records["masks"]] == [
        ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png"],
        ["benign/benign (2)_mask.png"],
        [],
    ]
    assert [m.sum() for m in masks_of(records, tmp_path).values()] == [64 + 80, 9, 0]
    records, rejected = ingest(tmp_path)
    assert len(records) == 2
    assert list(rejected["reason"]) == ["empty mask"]
    assert "empty_mask: allow" in rejected["detail"][0]


def test_what_stages_of_images_depend_on_changes_with_a_mask_but_not_with_a_class(tmp_path):
    picture(tmp_path, "A/a.png")
    save(tmp_path / "A/a_mask.png", block((2, 2, 10, 10)))
    digests = []
    for box in ((2, 2, 10, 10), (2, 2, 10, 11)):
        save(tmp_path / "A/a_mask.png", block(box))
        ingest(tmp_path)
        digests.append((tmp_path / "out.d/images.hash").read_text())
    ingest(tmp_path, classes={"A": "other"})
    digests.append((tmp_path / "out.d/images.hash").read_text())
    assert digests[0] != digests[1] == digests[2]


def test_nothing_without_its_other_half_is_lost_silently(tmp_path):
    for name in ("images/a.png", "images/b.png", "images/left/c.png"):
        picture(tmp_path, name)
    for name in ("masks/a.png", "masks/gone.png", "masks/c_mask.png"):
        save(tmp_path / name, block((1, 1, 9, 9)))
    records, rejected = ingest(tmp_path, mask_folder="masks")
    assert list(records["record"]) == ["images/a", "images/left/c"]
    assert dict(zip(rejected["record"], rejected["reason"], strict=True)) == {
        "images/b": "image without mask",
        "masks/gone.png": "mask without image",
    }
    records, rejected = ingest(tmp_path, mask_folder="masks", missing_mask="allow")
    assert list(records["record"]) == ["images/a", "images/b", "images/left/c"]
    assert records["masks"][1] == "[]"
    # Images that are left out on purpose leave no stray masks behind.
    _, rejected = ingest(tmp_path, mask_folder="masks", leave_out="a.png")
    assert "masks/a.png" not in set(rejected["record"])


def test_a_mask_that_could_be_of_two_images_is_of_neither(tmp_path):
    for name in ("x/a.png", "y/a.png", "y/b.png"):
        picture(tmp_path, name)
    for name in ("masks/a.png", "masks/b.png"):
        save(tmp_path / name, block((1, 1, 9, 9)))
    records, rejected = ingest(tmp_path, mask_folder="masks")
    assert list(records["record"]) == ["y/b"]
    assert sorted(rejected["record"]) == ["masks/a.png", "x/a", "y/a"]


def test_masks_that_do_not_fit_are_refused(tmp_path):
    for name in "abcd":
        picture(tmp_path, f"{name}.png")
    save(tmp_path / "a_mask.png", block((1, 1, 9, 9))[:, :-1])
    save(tmp_path / "b_mask.png", block((1, 1, 9, 9)))
    save(tmp_path / "b_mask_1.png", block((8, 8, 20, 20)))
    save(tmp_path / "c_mask.png", block((1, 1, 9, 9)))
    (tmp_path / "d_mask.png").write_bytes((tmp_path / "c_mask.png").read_bytes()[:60])
    records, rejected = ingest(tmp_path, mask_overlap="reject")
    assert list(records["record"]) == ["c"]
    assert list(rejected["reason"]) == ["unfitting mask", "overlapping masks", "damaged file"]
    assert "59 × 40" in rejected["detail"][0]
    assert list(ingest(tmp_path)[0]["record"]) == ["b", "c"]


INSIDE = (10, 8, 30, 28)


def test_masks_mean_the_same_however_they_were_saved(tmp_path):
    white = block(INSIDE)
    red = np.stack([white, white * 0, white * 0], axis=-1)
    smooth = Image.fromarray(white).resize((WIDTH * 4, HEIGHT * 4), Image.Resampling.BICUBIC)
    clear = np.dstack([np.full((HEIGHT, WIDTH, 3), 255, np.uint8), white])
    black_on_clear = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), white])
    palette = Image.fromarray(white // 255, "P")
    palette.putpalette([0, 0, 0, 0, 128, 0])
    saved = {
        "white.png": Image.fromarray(white),
        "ones.png": Image.fromarray(white // 255),
        "bit.png": Image.fromarray(white).convert("1"),
        "deep.png": Image.fromarray(white.astype(np.uint16) * 257),
        "red.png": Image.fromarray(red),
        "palette.png": palette,
        "clear.png": Image.fromarray(clear),
        "black.png": Image.fromarray(black_on_clear),
        "jpeg.jpg": Image.fromarray(white),
    }
    for name, image in saved.items():
        image.save(tmp_path / name)
        assert np.array_equal(read_mask(tmp_path / name), white > 0), name
    smooth.save(tmp_path / "smooth.png")
    enlarged = np.kron(white, np.ones((4, 4))) > 0
    assert np.count_nonzero(read_mask(tmp_path / "smooth.png") != enlarged) <= 8  # corners


def test_masks_of_several_levels_or_colours_are_refused_unless_told_which_count(tmp_path):
    labels = block(INSIDE) // 255
    labels[30:, 40:] = 2
    save(tmp_path / "labels.png", labels)
    save(tmp_path / "levels.png", labels * 127)
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[labels == 1], colours[labels == 2] = (255, 0, 0), (0, 0, 255)
    save(tmp_path / "colours.png", colours)
    for name, reason in (("labels", "unclear"), ("levels", "unclear"), ("colours", "coloured")):
        with pytest.raises(ImageFileError, match="mask_values") as refused:
            read_mask(tmp_path / f"{name}.png")
        assert refused.value.reason == f"{reason} mask"
    for name, value in (("labels", 1), ("levels", 127), ("colours", "#f80810")):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png", [value]), labels == 1), name
    assert np.array_equal(read_mask(tmp_path / "labels.png", [1, 2]), labels > 0)


RECTANGLE = [[10, 8], [30, 8], [30, 28], [10, 28]]
TRIANGLE = [[35.0, 5.0], [55.0, 5.0], [35.0, 25.0]]


def test_polygons_cover_the_pixels_whose_centre_they_contain():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for _ in range(20):
        a, b, c = points = rng.uniform(-10, 70, (3, 2))
        (mask,) = fill_polygons([points.tolist()], HEIGHT, WIDTH)
        sides = [
            (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        expected = np.all([s > 0 for s in sides], axis=0) | np.all([s < 0 for s in sides], axis=0)
        assert np.array_equal(mask, expected)
    halves = [[[0, 0], [20.3, 0], [20.3, 40], [0, 40]], [[20.3, 0], [60, 0], [60, 40], [20.3, 40]]]
    left, right = fill_polygons(halves, HEIGHT, WIDTH)
    assert not (left & right).any()
    assert (left | right).all()


def labelme(data, name, shapes, size=(WIDTH, HEIGHT)):
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = [
        {"label": label, "points": points, "shape_type": kind} for label, kind, points in shapes
    ]
    content = {"shapes": drawn, "imageWidth": size[0], "imageHeight": size[1]}
    path.write_text(json.dumps(content))


def test_outlines_of_labelme_lie_beside_images_or_apart(tmp_path):
    for name in "abcd":
        picture(tmp_path, f"{name}.png")
    shapes = [("liver", "polygon", RECTANGLE), ("kidney", "polygon", TRIANGLE)]
    labelme(tmp_path, "a.json", [*shapes, ("liver", "point", [[1, 1]])])
    labelme(tmp_path, "b.json", [("liver", "rectangle", [[0, 0], [5, 4]])], size=(99, HEIGHT))
    labelme(tmp_path, "c.json", [("kidney", "polygon", TRIANGLE)])
    labelme(tmp_path, "gone.json", shapes)
    records, rejected = ingest(tmp_path, outlines=".", region=["liver"])
    (mask,) = masks_of(records, tmp_path).values()
    assert np.array_equal(mask, block(INSIDE) > 0)
    assert json.loads(records["outlines"][0]) == [RECTANGLE]
    assert dict(zip(rejected["record"], rejected["reason"], strict=True)) == {
        "b": "unfitting mask",
        "c": "empty mask",
        "d": "image without mask",
        "gone.json": "outlines without image",
    }
    records, _ = ingest(tmp_path, outlines=".")
    assert masks_of(records, tmp_path)["a"].sum() == 400 + 190
    with pytest.raises(InputError, match=r"label 'livre'\. Did you mean 'liver'\?"):
        ingest(tmp_path, outlines=".", region=["livre"])


def encoded(counts):
    """Counts as COCO packs them into letters, after its published description."""
    text = ""
    for i, count in enumerate(counts):
        value = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def test_one_file_of_coco_or_via_holds_the_outlines_of_all_images(tmp_path):
    for name in ("p/a.png", "p/b.png", "p/c.png", "p/d.png"):
        picture(tmp_path, name)
    mask = block(INSIDE, (0, 0, 3, HEIGHT)) > 0
    column = mask.T.ravel()
    ends = np.flatnonzero(np.diff(column.astype(int), prepend=0, append=0))
    counts = np.diff(ends, prepend=0).tolist()
    counts += [column.size - sum(counts)]
    flat = np.ravel(RECTANGLE).tolist()
    names = ["p/a.png", "images/b.png", "c.png", "d.png", "gone.png"]
    sizes = {"width": WIDTH, "height": HEIGHT}
    runs = {"size": [HEIGHT, WIDTH]}
    drawn = [[flat], {**runs, "counts": counts}, {**runs, "counts": encoded(counts)}]
    coco = {
        "images": [{"id": i, "file_name": n, **sizes} for i, n in enumerate(names)],
        "categories": [{"id": 7, "name": "liver"}],
        "annotations": [
            {"image_id": i, "category_id": 7, "segmentation": s} for i, s in enumerate(drawn)
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    options = {"outlines": "coco.json", "region": ["liver"], "empty_mask": "allow"}
    records, rejected = ingest(tmp_path, **options)
    found = list(masks_of(records, tmp_path).values())
    for got, expected in zip(found, [block(INSIDE) > 0, mask, mask, block() > 0], strict=True):
        assert np.array_equal(got, expected)
    assert list(rejected["record"]) == ["coco.json: gone.png"]

    points = {"all_points_x": [p[0] for p in RECTANGLE], "all_points_y": [p[1] for p in RECTANGLE]}
    shapes = [{"name": "polygon", **points}, {"name": "circle", "cx": 45, "cy": 20, "r": 9}]
    regions = [{"shape_attributes": s, "region_attributes": {"organ": "liver"}} for s in shapes]
    via = {f"{n}123": {"filename": n, "size": 123, "regions": regions} for n in ("a.png", "b.png")}
    (tmp_path / "via.json").write_text(json.dumps({"_via_img_metadata": via}))
    records, _ = ingest(tmp_path, outlines="via.json", region=["liver"])
    assert list(records["record"]) == ["p/a", "p/b"]
    assert masks_of(records, tmp_path)["p/b"].sum() == pytest.approx(400 + np.pi * 81, abs=4)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="COCO"):
        ingest(tmp_path, outlines="other.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_pattern": "_mask$"}, "no group"),
        ({"mask_folder": "m", "outlines": "o"}, "Leave one of"),
        ({"region": ["liver"]}, "labels of outlines"),
        ({"mask_values": ["red"]}, "'red' is no grey level"),
        ({"crop_screen": "box"}, "needs a box"),
        ({"box": [0, 0, 9, 9]}, "needs crop_screen: box"),
        ({"crop_screen": "box", "box": [9, 0, 9, 9]}, "expected left, top, right, bottom"),
        ({"mask_folder": "nowhere"}, "no such folder"),
        ({}, "no mask of any image is found"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_any_image_is_opened(
    tmp_path, options, message
):
    picture(tmp_path, "a.png")
    with pytest.raises(InputError, match=re.escape(message)):
        ingest(tmp_path, **options)


def test_a_box_is_cut_out_and_must_hold_some_of_each_mask(tmp_path):
    for name in "ab":
        picture(tmp_path, f"{name}.png")
    save(tmp_path / "a_mask.png", block((20, 20, 50, 30)))
    save(tmp_path / "b_mask.png", block((50, 30, 60, 40)))
    records, rejected = ingest(tmp_path, crop_screen="box", box=[10, 5, 40, 35])
    assert records.loc[0, ["left", "top", "right", "bottom"]].tolist() == [10, 5, 40, 35]
    assert list(rejected["reason"]) == ["mask outside image area"]
    with pytest.raises(InputError, match=r"smaller than box \(2\)"):
        ingest(tmp_path, crop_screen="box", box=[10, 5, 61, 35])


def test_masks_of_real_breast_ultrasound_have_the_areas_that_pillow_counts(real_data):
    folder = real_data / "busi-subset"
    if not folder.is_dir():
        pytest.skip("no busi-subset")
    options = {"folder": "Dataset_BUSI_with_GT", "empty_mask": "allow", "leave_out": r" \((?!1\d)"}
    source = MaskedSource(read_section(MaskedImages, options, "options"), folder)
    listed = list(source.list_images())
    assert {item.class_name for item in listed} == {"benign", "malignant", "normal"}
    assert len(listed) > 24
    for item in listed[::6]:
        opened = source.open(item)
        path = folder / item.path
        count = 0
        for name in sorted(path.parent.glob(f"{path.stem.replace('[', '[[]')}_mask*.png")):
            count = count + np.asarray(Image.open(name).convert("L")).astype(int)
        record = {**opened.columns, "width": opened.info.width, "height": opened.info.height}
        found = mask_of(pd.Series(record), folder)
        assert np.array_equal(found, count > 0)
        assert (item.class_name == "normal") is not found.any()
        # These pictures hold hardly anything but the image.
        left, top, right, bottom = (opened.columns[k] for k in ("left", "top", "right", "bottom"))
        assert (right - left) * (bottom - top) > 0.7 * opened.info.width * opened.info.height
