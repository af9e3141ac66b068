"""Claims about the tables that ingest writes of images, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.data.image_records import RECORD_COLUMNS, read_image_records
from fewcase.data.recordings import Counts
from fewcase.ingest.image_cohort import write_images
from fewcase.ingest.image_folder import list_images
from fewcase.study.errors import InputError
from fewcase.study.image_sources import ImageFolder
from made_images import encoded, save, scene

SCRIPT = Path(__file__).parents[2] / "workflow" / "ingest_images.py"


def ingest(data, out, threads=1, **options):
    counts = write_images(list_images(ImageFolder(**options), data), data, out, threads=threads)
    return (
        counts,
        read_image_records(out / "records.parquet"),
        pd.read_parquet(out / "rejected.parquet"),
    )


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def digests(out):
    return tuple(json.loads((out / f"{name}.hash").read_text()) for name in ("records", "images"))


@pytest.fixture
def broken(tmp_path):
    """Two good images among every kind of bad one."""
    data = tmp_path / "data"
    save(data / "TUM" / "good.png", scene(20, 30))
    save(data / "STR" / "grey.jpg", scene(20, 30, 1)[..., 0])
    whole = encoded(scene(90, 90), "PNG")
    for name, content in {
        "TUM/cut.png": whole[: len(whole) // 2],
        "TUM/empty.png": b"",
        "TUM/text.tif": b"this is no picture",
        "TUM/old.gif": b"GIF89a",
        "TUM/tiny.bmp": encoded(scene(3, 3), "BMP"),
        "OTHER/a.png": encoded(scene(20, 20), "PNG"),
    }.items():
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(content)
    (data / "TUM" / "gone.png").symlink_to(data / "nowhere.png")
    return data


CLASSES = {"TUM": "tumour", "STR": "stroma"}


def test_good_images_are_kept_and_each_bad_one_has_its_reason(broken, tmp_path):
    counts, records, rejected = ingest(broken, tmp_path / "out", classes=CLASSES)
    assert counts == Counts(accepted=2, refused=7)
    assert tuple(records.columns) == RECORD_COLUMNS
    described = records[["record", "class", "file_type", "width", "height", "channels"]]
    assert described.to_numpy().tolist() == [
        ["STR/grey", "stroma", "jpeg", 30, 20, 1],
        ["TUM/good", "tumour", "png", 30, 20, 3],
    ]
    assert records["file_bytes"].tolist() == [
        (broken / path).stat().st_size for path in records["path"]
    ]
    assert dict(zip(rejected["record"], rejected["reason"], strict=True)) == {
        "OTHER/a": "unknown class",
        "TUM/cut": "damaged file",
        "TUM/empty": "empty file",
        "TUM/gone": "missing file",
        "TUM/old": "unsupported type",
        "TUM/text": "damaged file",
        "TUM/tiny": "too small",
    }
    assert set(rejected["stage"]) == {"ingest"}
    assert rejected["detail"].str.endswith(".").all()


def test_types_are_those_of_the_contract(broken, tmp_path):
    _, records, rejected = ingest(broken, tmp_path / "out", classes=CLASSES)
    assert records["date"].dtype == "datetime64[us]"
    assert records["date"].isna().all()
    assert records["patient_known"].dtype == bool
    whole = ["file_bytes", "width", "height", "channels"]
    assert records[whole].dtypes.eq("int64").all()
    assert rejected.columns.tolist() == [
        *("record", "patient", "site", "stage", "reason", "detail"),
    ]


def test_the_files_do_not_depend_on_threads(broken, tmp_path):
    for threads in (1, 4):
        ingest(broken, tmp_path / str(threads), threads=threads, classes=CLASSES)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_a_corrected_label_leaves_what_images_depend_on_alone(tmp_path):
    data = tmp_path / "data"
    save(data / "a.png", scene(20, 20))
    options = {
        "table": "t.csv",
        "columns": {"path": "file", "class": "dx", "patient": "id"},
        "outcomes": {"grade": "grade"},
    }
    found = []
    for dx, patient, grade in (("A", 1, 2), ("B", 1, 3), ("B", 2, 3)):
        row = {"file": ["a.png"], "dx": [dx], "id": [patient], "grade": [grade]}
        pd.DataFrame(row).to_csv(data / "t.csv", index=False)
        ingest(data, tmp_path / "out", **options)
        found.append(digests(tmp_path / "out"))
    (all_1, images_1), (all_2, images_2), (_, images_3) = found
    assert all_1 != all_2
    assert images_1 == images_2
    assert images_3 != images_2  # examples carry the patient
    save(data / "a.png", scene(20, 20, seed=1))
    ingest(data, tmp_path / "out", **options)
    assert digests(tmp_path / "out")[1] != images_3


def test_an_image_elsewhere_in_the_folder_changes_no_other_record(tmp_path):
    data = tmp_path / "data"
    save(data / "A" / "m.png")
    _, before, _ = ingest(data, tmp_path / "a")
    save(data / "A" / "b.png")
    _, after, _ = ingest(data, tmp_path / "b")
    pd.testing.assert_frame_equal(before, after.iloc[1:].reset_index(drop=True))


def test_two_images_of_one_name_are_both_refused(tmp_path):
    data = tmp_path / "data"
    for name in ("A/x.png", "A/x.jpg", "A/y.png"):
        save(data / name)
    _, records, rejected = ingest(data, tmp_path / "out")
    assert records["record"].tolist() == ["A/y"]
    assert rejected[["record", "reason"]].to_numpy().tolist() == [["A/x", "duplicate name"]] * 2


def test_outcomes_are_numbers_or_texts(tmp_path):
    data = tmp_path / "data"
    for name in "ab":
        save(data / f"{name}.png")
    rows = {"file": ["a.png", "b.png"], "age": ["61", ""], "grade": ["2", "2b"]}
    pd.DataFrame(rows).to_csv(data / "t.csv", index=False)
    outcomes = {"age": "age", "grade": "grade"}
    _, records, _ = ingest(
        data, tmp_path / "out", table="t.csv", columns={"path": "file"}, outcomes=outcomes
    )
    np.testing.assert_array_equal(records["age"], [61, np.nan])
    assert records["grade"].tolist() == ["2", "2b"]


def test_a_cohort_without_an_image_is_an_error_and_leaves_nothing(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 1 images .* empty file \(1\).*'a', .*0 bytes"):
        ingest(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_reads_a_folder(broken, tmp_path):
    arguments = ("--source", "image_folder", "--data", broken, "--out", tmp_path / "out")
    options = json.dumps({"classes": CLASSES})
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments, "--options", options, "--threads", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 images accepted, 7 refused" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("images.hash", "records.hash", "records.parquet", "rejected.parquet"),
    ]


def test_a_folder_that_is_not_there_is_one_message(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, SCRIPT, "--source", "tiles", "--data", tmp_path),
            *("--options", '{"folder": "slides"}', "--out", tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "slides: no such folder. Set data=" in done.stderr
    assert "Traceback" not in done.stderr


def counted(records, *columns):
    return records.groupby(list(columns)).size().to_dict()


def test_retinal_scans_are_read_by_their_names(real_data, tmp_path):
    pattern = r"(?P<class>[A-Z]+)-(?P<patient>\d+)-\d+\.jpeg$"
    data = real_data / "oct2017-subset"
    _, records, rejected = ingest(
        data, tmp_path, folder="OCT2017", pattern=pattern, ids_within=("part", "class"), threads=2
    )
    assert rejected.empty
    assert counted(records, "class") == {"CNV": 94, "DME": 6, "DRUSEN": 7, "NORMAL": 107}
    manifest = pd.read_csv(data / "manifest.csv").set_index("file")
    theirs = manifest.loc[records["path"]]
    assert records["width"].tolist() == theirs["width"].tolist()
    assert records["class"].tolist() == theirs["label"].tolist()
    assert records["channels"].eq(1).all()
    # Patients as the manifest groups them: by part, class and number.
    ours = pd.factorize(records["patient"])[0]
    np.testing.assert_array_equal(ours, pd.factorize(theirs["group"])[0])


def test_bowel_tiles_of_two_releases_are_one_cohort(real_data, tmp_path):
    data = real_data / "nct-crc-he-samples"
    folders = ("NCT-CRC-HE-100K", "CRC-VAL-HE-7K")
    _, records, rejected = ingest(data, tmp_path, folders=folders)
    assert rejected.empty
    assert counted(records, "class") == {
        **dict.fromkeys(("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "STR", "TUM"), 3),
        "NORM": 4,
    }
    assert records[["width", "height", "channels"]].drop_duplicates().to_numpy().tolist() == [
        [224, 224, 3]
    ]


def test_texture_tiles_get_our_class_names(real_data, tmp_path):
    data = real_data / "kather-texture-2016-subset"
    classes = {"01_TUMOR": "TUM", "02_STROMA": "STR", "07_ADIPOSE": "ADI", "08_EMPTY": "BACK"}
    _, records, rejected = ingest(data, tmp_path, classes=classes)
    assert counted(records, "class") == {"TUM": 19, "STR": 9, "ADI": 19, "BACK": 10}
    assert counted(rejected, "reason") == {"unknown class": 13 + 13 + 13 + 11}


def test_masks_of_breast_images_are_no_records(real_data, tmp_path):
    data = real_data / "busi-subset"
    _, records, rejected = ingest(data, tmp_path, leave_out=r"_mask(_\d+)?\.png$")
    assert rejected.empty
    assert counted(records, "class") == {"benign": 40, "malignant": 40, "normal": 40}
    assert not records["record"].str.contains("mask").any()
    manifest = pd.read_csv(data / "manifest.csv")
    images = set(manifest.loc[~manifest["label"].str.endswith("mask"), "file"])
    assert set(records["path"]) == images
