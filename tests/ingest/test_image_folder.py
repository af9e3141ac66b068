"""Claims about listing images: what paths, patterns and tables say of each."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fewcase.data.image_records import ListedImage
from fewcase.ingest.image_folder import list_images
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.image_sources import ImageFolder, Tiles
from fewcase.study.sources import SOURCES
from made_images import save


def listed(data, section=ImageFolder, **options):
    return list(list_images(read_section(section, options, "options"), data))


def files(data, *names):
    for name in names:
        save(data / name, np.zeros((8, 8), np.uint8))
    return data


def refusals(items):
    return {item.record: item.reason for item in items if not isinstance(item, ListedImage)}


def columns(items, *names):
    return [tuple(getattr(item, name) for name in names) for item in items]


def test_class_and_part_come_from_the_folders(tmp_path):
    files(tmp_path, "Train/CNV/a.png", "val/CNV/b.png", "test/DME/c.png", "DME/d.png", "e.png")
    found = listed(tmp_path)
    assert columns(found, "record", "part", "class_name") == [
        ("DME/d", "", "DME"),
        ("Train/CNV/a", "train", "CNV"),
        ("e", "", ""),
        ("test/DME/c", "test", "DME"),
        ("val/CNV/b", "validation", "CNV"),
    ]
    assert columns(found, "patient", "patient_known", "site")[0] == ("DME/d", False, "unknown")


def test_the_part_may_lie_below_the_class(tmp_path):
    files(tmp_path, "CNV/train/a.png")
    assert columns(listed(tmp_path), "part", "class_name") == [("train", "CNV")]


def test_a_pattern_says_who_where_and_when(tmp_path):
    files(tmp_path, "x/TUM_p7_kyoto_20190304_2.png")
    pattern = r"(?P<class>[A-Z]+)_(?P<patient>\w\d+)_(?P<site>[a-z]+)_(?P<date>\d{8})"
    (image,) = listed(tmp_path, pattern=pattern)
    assert (image.class_name, image.site, image.patient_known) == ("TUM", "kyoto", True)
    assert image.patient == "kyoto/p7"
    assert image.date == pd.Timestamp("2019-03-04")
    assert image.record == "x/TUM_p7_kyoto_20190304_2"
    (image,) = listed(tmp_path, pattern=pattern, ids_within=[])
    assert image.patient == "p7"


def test_an_image_that_the_pattern_does_not_fit_is_refused_and_one_left_out_is_none(tmp_path):
    files(tmp_path, "A/p1-1.png", "A/p1-1_mask.png", "A/scan.png")
    found = listed(tmp_path, pattern=r"(?P<patient>p\d+)-", leave_out="_mask")
    assert [item.record for item in found] == ["A/p1-1", "A/scan"]
    assert refusals(found) == {"A/scan": "unmatched name"}


def test_the_same_id_in_two_parts_can_be_two_people(tmp_path):
    files(tmp_path, "train/CNV/CNV-5-1.jpeg", "test/CNV/CNV-5-1.jpeg")
    pattern = r"(?P<patient>[A-Z]+-\d+)-\d+"
    same = listed(tmp_path, pattern=pattern)
    apart = listed(tmp_path, pattern=pattern, ids_within=["part"])
    assert len({image.patient for image in same}) == 1
    assert {image.patient for image in apart} == {"train/CNV-5", "test/CNV-5"}


def test_classes_are_renamed_and_others_refused(tmp_path):
    files(tmp_path, "01_TUMOR/a.png", "02_STROMA/b.png", "01_TUMOUR/c.png", "d.png")
    found = listed(tmp_path, classes={"01_TUMOR": "TUM", "02_STROMA": "STR"})
    kept = [item for item in found if isinstance(item, ListedImage)]
    assert columns(kept, "class_name") == [("TUM",), ("STR",)]
    assert refusals(found) == {"01_TUMOUR/c": "unknown class", "d": "unknown class"}
    assert "Did you mean '01_TUMOR'?" in next(i.detail for i in found if "c" in i.record)


def test_twins_in_two_folders_are_one_patient(tmp_path):
    names = ("NCT/ADI/ADI-A.tif", "NCT-NONORM/ADI/ADI-A.tif", "NCT/ADI/ADI-B.tif")
    files(tmp_path, *names)
    folders = ["NCT", "NCT-NONORM"]
    found = listed(tmp_path, folders=folders, twins="by_name")
    assert columns(found, "record", "patient", "class_name") == [
        ("NCT/ADI/ADI-A", "ADI-A", "ADI"),
        ("NCT/ADI/ADI-B", "NCT/ADI/ADI-B", "ADI"),
        ("NCT-NONORM/ADI/ADI-A", "ADI-A", "ADI"),
    ]
    assert not any(image.patient_known for image in found)
    alone = listed(tmp_path, folders=folders)
    assert len({image.patient for image in alone}) == 3


def test_twins_that_do_not_exist_are_an_error(tmp_path):
    files(tmp_path, "a/X/1.png", "b/X/2.png")
    with pytest.raises(InputError, match="no file name occurs in two of the folders"):
        listed(tmp_path, folders=["a", "b"], twins="by_name")


def write_table(data, rows):
    pd.DataFrame(rows).to_csv(data / "t.csv", index=False)


COLUMNS = {
    "path": "file",
    "class": "dx",
    "patient": "id",
    "site": "clinic",
    "date": "day",
    "part": "fold",
}


def test_a_table_says_more_than_the_path(tmp_path):
    (tmp_path / "pictures").mkdir()
    write_table(
        tmp_path,
        {
            "file": ["TUM\\a.png", "TUM/b.png"],
            "dx": ["benign", "malign"],
            "id": [7, 7],
            "clinic": ["A", "B"],
            "day": ["03.02.2020", ""],
            "fold": ["dev", "test"],
            "age": [61, "-"],
            "note": ["x", "7"],
        },
    )
    found = listed(
        tmp_path,
        folder="pictures",
        table="t.csv",
        columns=COLUMNS,
        outcomes={"age": "age", "remark": "note"},
        classes={"benign": "B", "malign": "M"},
        values={"part": {"dev": "train"}},
        date_format="%d.%m.%Y",
    )
    assert columns(found, "record", "path", "class_name", "patient", "part") == [
        ("TUM/a", "pictures/TUM/a.png", "B", "A/7", "train"),
        ("TUM/b", "pictures/TUM/b.png", "M", "B/7", "test"),
    ]
    assert [image.outcomes for image in found] == [
        {"age": 61.0, "remark": "x"},
        {"age": None, "remark": 7.0},
    ]
    assert [image.date for image in found] == [pd.Timestamp("2020-02-03"), None]
    assert found[0].where == f"{tmp_path / 't.csv'}, row 1: pictures/TUM/a.png"


def test_rows_that_cannot_be_meant_are_refused_with_their_number(tmp_path):
    rows = [
        ("", "x", "p", "A", "2020-01-01", "train"),
        ("a.png", "x", "", "A", "2020-01-01", "train"),
        ("b.png", "x", "p", "A", "soon", "train"),
        ("c.png", "x", "p", "A", "2020-01-01", "fold 1"),
        ("d.gif", "x", "p", "A", "2020-01-01", "train"),
        ("e.png", "x", "p", "", "2020-01-01", "train"),
        ("f.png", "x", "p", "A", "2020-01-01", ""),
    ]
    write_table(tmp_path, [dict(zip(COLUMNS.values(), row, strict=True)) for row in rows])
    found = listed(tmp_path, table="t.csv", columns=COLUMNS)
    assert [getattr(item, "reason", "") for item in found] == [
        *("missing file", "blank patient", "unreadable date", "unknown part"),
        *("unsupported type", "blank site", ""),
    ]
    assert "row 3" in found[2].detail
    assert "'soon'" in found[2].detail


def test_a_parquet_table_keeps_its_dates(tmp_path):
    table = pd.DataFrame({"file": ["a.png"], "day": [pd.Timestamp("2021-05-06 07:08")]})
    table.to_parquet(tmp_path / "t.parquet")
    (image,) = listed(tmp_path, table="t.parquet", columns={"path": "file", "date": "day"})
    assert image.date == pd.Timestamp("2021-05-06 07:08")


def test_links_are_followed_and_loops_end(tmp_path):
    files(tmp_path, "elsewhere/A/x.PNG", "data/B/y.Jpg")
    data = tmp_path / "data"
    os.symlink(tmp_path / "elsewhere" / "A", data / "A")
    os.symlink(data, data / "B" / "loop")
    os.symlink(data / "gone.png", data / "B" / "broken.png")
    assert [image.path for image in listed(data)] == ["A/x.PNG", "B/broken.png", "B/y.Jpg"]


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    files(tmp_path, "A/a.png", "A/._a.png", ".cache/b.png", "__MACOSX/A/c.png")
    for name in ("A/Thumbs.db", "SOURCE.md", "manifest.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "A" / "d.webp").write_bytes(b"")
    found = listed(tmp_path)
    assert [item.record for item in found] == ["A/a", "A/d"]
    assert refusals(found) == {"A/d": "unsupported type"}


def test_a_name_that_is_no_unicode_is_refused(tmp_path):
    files(tmp_path, "a.png")
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    found = listed(tmp_path)
    assert sorted(refusals(found).values()) == ["unreadable name"]
    assert all(item.record.isprintable() for item in found)


def test_one_name_spelled_in_two_ways_is_found_on_disk_and_plain_in_the_table(tmp_path):
    files(tmp_path, "e\u0301.png")
    (image,) = listed(tmp_path)
    assert image.record == "\u00e9"
    assert (tmp_path / image.path).is_file()


def test_the_folder_of_annotations_holds_no_records(tmp_path):
    files(tmp_path, "slides/a.png", "slides/masks/a.png")
    found = listed(tmp_path, Tiles, folder="slides", annotations="slides/masks")
    assert columns(found, "record", "class_name") == [("a", "")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": "nowhere"}, r"nowhere: no such folder\. Set data="),
        ({"folder": "a.txt"}, r"a\.txt: a file, expected a folder"),
        ({"folder": "empty"}, r"empty: holds no image \(\.png, .*other files: \.txt \(1\)"),
        ({"leave_out": "."}, "leave_out fits all of 1 images"),
        ({"folder": "x", "folders": ["y"]}, "folder: 'x', but folders"),
        ({"folders": ["y", "y"]}, "names a folder twice"),
        ({"twins": "by_name"}, "twins: 'by_name' is about images in several folders"),
        ({"pattern": "(?P<class>"}, "pattern: .* is no regular expression"),
        ({"pattern": "(?P<pateint>.)"}, "pattern: no group 'pateint'. Did you mean 'patient'"),
        ({"leave_out": "(?P<class>.)"}, "leave_out: no group"),
        ({"ids_within": ["sites"]}, "ids_within: no scope 'sites'. Did you mean 'site'"),
        ({"columns": {"path": "x"}}, "columns: they are columns of a table"),
        ({"table": "t.csv"}, "columns.path: this key is required"),
        ({"table": "t.csv", "columns": {"pth": "x"}}, "columns.pth: unknown key. Did you mean"),
        ({"table": "t.csv", "columns": {"path": "x"}}, r"t\.csv: no such file"),
        ({"table": "a.txt", "columns": {"path": "x"}}, "no column 'x'"),
        ({"table": "t.csv", "folders": ["a"], "columns": {"path": "x"}}, "goes with one folder"),
        (
            {"table": "t.csv", "columns": {"path": "x"}, "outcomes": {"label": "y"}},
            "outcomes.label: records or examples have a column of this name",
        ),
        ({"values": {"age": {"x": 1}}}, "values.age: unknown key"),
    ],
)
def test_options_that_cannot_be_are_named_with_what_to_do(tmp_path, options, message):
    files(tmp_path, "pictures/a.png")
    (tmp_path / "a.txt").write_text("file\na.png\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "b.txt").write_text("")
    (tmp_path / "empty" / ".hidden.png").write_text("")
    with pytest.raises(InputError, match=message):
        listed(tmp_path, **options)


GUIDE = (Path(__file__).parents[2] / "docs" / "own_images.md").read_text()


def test_the_patterns_of_the_guide_fit_the_names_beside_them(tmp_path):
    rows = re.findall(r"^\| [^|]*: `(?:…/)?([^`]+)` \| `([^`]+)` \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 3
    for number, (name, pattern) in enumerate(rows):
        files(tmp_path, f"{number}/{name}")
        (image,) = listed(tmp_path, folder=str(number), pattern=pattern)
        assert image.patient_known


def test_the_cohorts_of_the_guide_are_sections_that_exist():
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    cohorts = {}
    for block in blocks:
        found = yaml.safe_load(block)
        cohorts.update(found.get("cohorts", found))
    read = [
        read_section(SOURCES[values.pop("source")], values, name)
        for name, values in cohorts.items()
        if "source" in values
    ]
    assert len(read) == 5
