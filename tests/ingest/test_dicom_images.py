"""Claims about DICOM files: their pictures are read, and nothing of the patient gets out."""

import logging

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from fewcase.data.image_files import ImageFileError, inspect_image, load_image, read_image
from fewcase.images.prepare import prepare_images
from fewcase.images.tile import list_whole_images
from fewcase.ingest.image_cohort import write_images
from fewcase.ingest.masked_images import MaskedSource
from fewcase.study.fields import read_section
from fewcase.study.image_sources import MaskedImages
from fewcase.study.preparation import PrepareOptions
from made_images import save

SECRETS = ("YAMADA", "TARO", "00123456", "19610203", "KYOTO GENERAL")


def write_dicom(path, pixels, *, kind="MONOCHROME2", bits=8, frames=None, **tags):
    """Write a DICOM file of an ultrasound image with a patient in its header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = "YAMADA^TARO", "00123456"
    dataset.PatientBirthDate, dataset.InstitutionName = "19610203", "KYOTO GENERAL"
    dataset.BurnedInAnnotation = "YES"
    dataset.PhotometricInterpretation = kind
    shape = pixels.shape[1:] if frames else pixels.shape
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.SamplesPerPixel = 3 if len(shape) == 3 else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    if frames:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


GREY = np.random.default_rng(0).integers(5, 250, (24, 32), np.uint8)
COLOURS = np.random.default_rng(1).integers(5, 250, (24, 32, 3), np.uint8)


def test_grey_levels_follow_photometric_interpretation_and_window(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    assert np.array_equal(read_image(path)[..., 0], GREY)
    info = inspect_image(path)
    assert (info.file_type, info.width, info.height, info.channels) == ("dicom", 32, 24, 1)
    path = write_dicom(tmp_path / "b.dcm", GREY, kind="MONOCHROME1")
    assert np.array_equal(read_image(path)[..., 0], 255 - GREY)
    deep = GREY.astype(np.uint16) * 16
    path = write_dicom(tmp_path / "c.dcm", deep, bits=12)
    assert np.abs(read_image(path)[..., 0] - deep / 4095 * 255).max() <= 0.5
    # PS3.3, C.11.2.1.2.1, in its own words: c is the centre, w the width, y from 0 to 255.
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowWidth": 801, "WindowCenter": 300}
    path = write_dicom(tmp_path / "d.dcm", deep, bits=12, **tags)
    x = deep * 2.0 - 1000
    y = ((x - (300 - 0.5)) / (801 - 1) + 0.5) * 255
    y[x <= 300 - 0.5 - 400] = 0
    y[x > 300 - 0.5 + 400] = 255
    assert 0 < (y == 0).mean() < 1
    assert np.abs(read_image(path)[..., 0] - y).max() <= 0.5


def test_colours_luminance_palettes_and_compressed_files_are_read(tmp_path):
    path = write_dicom(tmp_path / "rgb.dcm", COLOURS, kind="RGB")
    assert np.array_equal(read_image(path), COLOURS)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "rle.dcm")
    assert np.array_equal(read_image(tmp_path / "rle.dcm"), COLOURS)
    # ITU-R BT.601, full range.
    red, green, blue = np.moveaxis(COLOURS.astype(float), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    ybr = np.stack([luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128], axis=-1)
    path = write_dicom(tmp_path / "y.dcm", np.round(ybr).astype(np.uint8), kind="YBR_FULL")
    assert np.abs(read_image(path).astype(int) - COLOURS).max() <= 3
    tables = {}
    for name, factor in (("Red", 1), ("Green", 0), ("Blue", 2)):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        table = (np.arange(256) * factor % 256).astype("<u2") * 256
        tables[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    path = write_dicom(tmp_path / "p.dcm", GREY, kind="PALETTE COLOR", **tables)
    expected = np.stack([GREY, GREY * 0, GREY.astype(int) * 2 % 256], axis=-1)
    assert np.array_equal(read_image(path), expected)


def test_one_of_several_frames_is_taken_when_it_is_named(tmp_path):
    film = np.stack([GREY, 255 - GREY, GREY // 2])
    path = write_dicom(tmp_path / "film.dcm", film, frames=3)
    assert np.array_equal(np.asarray(load_image(path, 1)[1]), 255 - GREY)
    for frame, reason in ((None, "several frames"), (3, "no such frame")):
        with pytest.raises(ImageFileError) as refused:
            load_image(path, frame)
        assert refused.value.reason == reason


def ingest(data, **options):
    source = MaskedSource(
        read_section(MaskedImages, {"crop_screen": "none", **options}, "options"), data
    )
    out = data / "out.d"
    write_images(source.list_images(), data, out, opener=source.open)
    return tuple(pd.read_parquet(out / f"{name}.parquet") for name in ("records", "rejected"))


def write_cohort(data):
    """Two patients, three files, one of them without a suffix."""
    mask = np.zeros(GREY.shape, np.uint8)
    mask[4:12, 4:12] = 255
    names = {"a.dcm": "00123456", "b": "00123456", "c.dcm": "00777777"}
    for name, number in names.items():
        write_dicom(data / "scans" / name, GREY, PatientID=number)
        save(data / "masks" / f"{name.removesuffix('.dcm')}.png", mask)
    return {"folder": "scans", "mask_folder": "masks"}


def test_nothing_of_the_patient_leaves_the_file(tmp_path, caplog):
    options = write_cohort(tmp_path)
    film = np.stack([GREY, GREY])
    write_dicom(tmp_path / "scans/film.dcm", film, frames=2)
    write_dicom(tmp_path / "scans/yamada_taro-1.dcm", GREY)
    write_dicom(tmp_path / "scans/00123456/d.dcm", GREY)
    with caplog.at_level(logging.DEBUG):
        records, rejected = ingest(tmp_path, **options)
    assert sorted(rejected["reason"]) == ["patient named by path"] * 2 + ["several frames"]
    told = records.to_csv() + rejected.to_csv() + caplog.text
    told += "".join(path.read_text() for path in (tmp_path / "out.d").glob("*.hash"))
    for secret in SECRETS:
        assert secret.casefold() not in told.casefold()
    assert list(records["record"]) == ["a", "b", "c"]
    assert records["patient_known"].all()
    first, second, third = records["patient"]
    assert first == second != third
    assert list(records["burnt_in"]) == ["yes"] * 3


def test_hashes_depend_on_a_salt_and_can_be_left_out(tmp_path):
    options = write_cohort(tmp_path)
    alone = ingest(tmp_path, **options)[0]["patient"]
    salted = []
    for salt in ("one", "two", "one"):
        (tmp_path / "salt.txt").write_text(salt)
        salted.append(ingest(tmp_path, **options, dicom_salt="salt.txt")[0]["patient"])
    assert salted[0].equals(salted[2])
    assert not set(salted[0]) & {*salted[1], *alone}
    records, _ = ingest(tmp_path, **options, dicom_patient="none")
    assert not records["patient_known"].any()
    # A number that the table gives is the header's: it is hashed as well.
    table = pd.DataFrame({"file": ["a.dcm", "c.dcm"], "id": ["00123456", "x9"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    columns = {"path": "file", "patient": "id"}
    records, _ = ingest(tmp_path, **options, table="t.csv", columns=columns)
    assert records["patient"][0].startswith("dicom-")
    assert records["patient"][1] == "x9"


def test_the_header_tells_where_tissue_is_on_the_screen(tmp_path):
    screen = np.zeros((160, 240), np.uint8)
    rng = np.random.default_rng(0)
    screen[20:140, 60:200] = rng.integers(20, 200, (120, 140))
    # A second image, larger than the one that the header calls tissue.
    screen[:, 205:] = rng.integers(20, 200, (160, 35))
    region = Dataset()
    region.RegionDataType, region.RegionSpatialFormat = 1, 1
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 50, 10
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 202, 150
    path = write_dicom(tmp_path / "a.dcm", screen, SequenceOfUltrasoundRegions=[region])
    save(tmp_path / "a_mask.png", (screen > 0).astype(np.uint8) * 255)
    mask = np.zeros(screen.shape, np.uint8)
    mask[40:60, 80:100] = 255
    save(tmp_path / "a_mask.png", mask)
    records, _ = ingest(tmp_path, crop_screen="auto")
    found = records.loc[0, ["left", "top", "right", "bottom"]].tolist()
    assert np.abs(np.array(found) - [60, 20, 200, 140]).max() <= 2
    list_whole_images(records, tmp_path / "image")
    examples = pd.read_parquet(tmp_path / "image/examples.parquet")
    options = PrepareOptions(size=140)
    prepare_images(records, examples, tmp_path, options, tmp_path / "p.npy")
    shown = np.load(tmp_path / "p.npy")[0, 0, 10:130]
    assert np.mean(shown == read_image(path)[20:140, 60:200, 0]) > 0.95


def test_what_is_no_picture_is_refused_with_a_reason(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    content = path.read_bytes()
    (tmp_path / "torn.dcm").write_bytes(content[:-100])
    (tmp_path / "text.dcm").write_bytes(b"nothing of the kind" * 20)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(tmp_path / "report.dcm")
    for name, reason in (
        ("torn", "damaged file"),
        ("text", "damaged file"),
        ("report", "unsupported type"),
    ):
        with pytest.raises(ImageFileError) as refused:
            inspect_image(tmp_path / f"{name}.dcm")
        assert refused.value.reason == reason, name
