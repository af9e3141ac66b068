"""Claims about the CTU-UHB reader, on records written by wfdb and on the public database."""

import collections
import math
import time

import numpy as np
import pytest
import wfdb

from fewcase.data.files import read_table
from fewcase.data.recordings import Recording, Refusal, read_recordings
from fewcase.ingest.ctu_uhb import read_ctu_uhb
from fewcase.ingest.store import write_recordings
from fewcase.study.errors import InputError
from fewcase.study.sources import CtuUhb

COMMENTS = """----- Additional parameters for record 1001

-- Outcome measures
pH           7.14
BDecf        8.14
pCO2         NaN
BE           -10.5
Apgar1       6
Apgar5       8
-- Fetus/Neonate descriptors
Gest. weeks  37
Weight(g)    2660
Sex          2
-- Maternal (risk-)factors
Age          32
-- Delivery descriptors
I.stage      -1
II.stage     20
Deliv. type  1
-- Signal information
Rec. type    12
Pos. II.st.  1200
Sig2Birth    0""".splitlines()


def write_record(folder, name="1001", comments=COMMENTS, seconds=1500, fhr=None):
    samples = seconds * 4
    signals = np.empty((samples, 2))
    signals[:, 0] = 120 + (np.arange(samples) % 41) / 4 if fhr is None else fhr
    signals[:, 1] = np.arange(samples) % 50
    wfdb.wrsamp(
        name,
        fs=4,
        units=["bpm", "nd"],
        sig_name=["FHR", "UC"],
        p_signal=signals,
        fmt=["16", "16"],
        adc_gain=[100, 100],
        baseline=[0, 0],
        comments=list(comments),
        write_dir=str(folder),
    )
    return signals


def read(data, folder=None):
    return list(read_ctu_uhb(CtuUhb(folder), data))


def test_signals_come_in_physical_units_and_outcomes_from_the_comments(tmp_path):
    signals = write_record(tmp_path)
    (recording,) = read(tmp_path)
    np.testing.assert_allclose(recording.fhr, signals[:, 0], atol=1e-4)
    np.testing.assert_allclose(recording.uc, signals[:, 1], atol=1e-4)
    assert recording.fhr.dtype == np.float32
    assert recording.sampling_hz == 4.0
    assert (recording.record, recording.patient, recording.site) == ("1001", "1001", "CTU-UHB")
    assert recording.date is None
    expected = {
        "ph": 7.14,
        "base_deficit": 8.14,
        "base_excess": -10.5,
        "pco2": None,
        "apgar1": 6.0,
        "apgar5": 8.0,
        "gestational_weeks": 37.0,
        "birth_weight": 2660.0,
        "maternal_age": 32.0,
        "sex": "male",
        "delivery": "vaginal",
        "sensor": "both",
        "first_stage_minutes": None,
        "second_stage_minutes": 20.0,
    }
    assert {name: recording.outcomes[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("begin", "length", "minutes"),
    [
        ("1200", "20", 0.0),  # 6,000 samples are 25 minutes, of which the second stage takes 20.
        ("2400", "20", 5.0),
        ("1180", "20", 0.0),  # 5 seconds too early: rounding of the second stage to minutes
        ("-1", "-1", math.nan),
        ("-1", "20", math.nan),
        ("1200", "-1", math.nan),
    ],
)
def test_time_to_delivery_is_known_only_with_a_second_stage(tmp_path, begin, length, minutes):
    lines = [line for line in COMMENTS if not line.startswith(("Pos. II", "II.stage"))]
    write_record(tmp_path, comments=[*lines, f"II.stage {length}", f"Pos. II.st. {begin}"])
    (recording,) = read(tmp_path)
    assert recording.minutes_to_delivery == pytest.approx(minutes, nan_ok=True)


def test_samples_marked_as_invalid_are_missing(tmp_path):
    fhr = np.full(6000, 140.0)
    fhr[100:140] = np.nan
    write_record(tmp_path, fhr=fhr)
    (recording,) = read(tmp_path)
    assert np.isnan(recording.fhr).nonzero()[0].tolist() == list(range(100, 140))


def test_a_header_without_labels_is_accepted_with_unknown_outcomes(tmp_path):
    write_record(tmp_path, comments=[])
    (recording,) = read(tmp_path)
    assert isinstance(recording, Recording)
    assert set(recording.outcomes.values()) == {None}
    assert math.isnan(recording.minutes_to_delivery)


def test_a_record_in_segments_is_read_as_one(tmp_path):
    parts = [write_record(tmp_path, name, (), 300) for name in ("1001_1", "1001_2")]
    (tmp_path / "1001.hea").write_text("1001/2 2 4 2400\n1001_1 1200\n1001_2 1200\n# Apgar1 7\n")
    (tmp_path / "RECORDS").write_text("1001\n")
    (recording,) = read(tmp_path)
    np.testing.assert_allclose(recording.fhr, np.concatenate(parts)[:, 0], atol=1e-4)
    assert recording.outcomes["apgar1"] == 7.0


@pytest.mark.parametrize("bytes_left", [0, 1, 12_000, 23_999])
def test_a_truncated_signal_file_is_refused(tmp_path, bytes_left):
    write_record(tmp_path)
    path = tmp_path / "1001.dat"
    path.write_bytes(path.read_bytes()[:bytes_left])
    (refusal,) = read(tmp_path)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "truncated signal"
    assert f"1001.dat: {bytes_left} bytes, expected 24000" in refusal.detail


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path):
    write_record(tmp_path)
    path = tmp_path / "1001.dat"
    content = bytearray(path.read_bytes())
    content[400] ^= 4
    path.write_bytes(content)
    (refusal,) = read(tmp_path)
    assert refusal.reason == "corrupt signal"
    assert "FHR" in refusal.detail


def replace_in_header(folder, old, new):
    path = folder / "1001.hea"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1001 2 4 6000", "1001 2", "no sampling rate"),
        ("1001 2 4 6000", "1001 2 0 6000", "no sampling rate"),
        ("1001 2 4 6000", "what is this", "unreadable file"),
        ("1001 2 4 6000", "", "unreadable file"),
        ("1001.dat", "9999.dat", "missing file"),
        (" FHR", " ECG", "no such signal"),
        ("Apgar1       6", "Apgar1       11", "impossible outcome"),
        ("Apgar1       6", "Apgar1       2.5", "impossible outcome"),
        ("pH           7.14", "pH           17", "impossible outcome"),
        ("pH           7.14", "pH           7,14", "impossible outcome"),
    ],
)
def test_a_bad_record_is_quarantined_and_the_study_goes_on(tmp_path, old, new, reason):
    write_record(tmp_path)
    replace_in_header(tmp_path, old, new)
    write_record(tmp_path, "1002")
    counts = write_recordings(read_ctu_uhb(CtuUhb(), tmp_path), tmp_path / "out")
    assert (counts.accepted, counts.refused) == (1, 1)
    assert read_recordings(tmp_path / "out")[0]["record"].tolist() == ["1002"]
    rejected = read_table(tmp_path / "out" / "rejected.parquet")
    assert rejected[["record", "reason"]].to_numpy().tolist() == [["1001", reason]]


def test_the_records_file_says_which_records_there_are(tmp_path):
    for name in ("1001", "1002", "1003"):
        write_record(tmp_path, name, seconds=300)
    (tmp_path / "RECORDS").write_text("1003\n1001\n1009\n1001\n")
    found = read(tmp_path)
    assert [item.record for item in found] == ["1003", "1001", "1009", "1001"]
    assert found[2].reason == "missing file"
    counts = write_recordings(found, tmp_path / "out")
    assert (counts.accepted, counts.refused) == (1, 3)


def test_the_folder_of_the_records_is_relative_to_the_data(tmp_path):
    (tmp_path / "inner").mkdir()
    write_record(tmp_path / "inner", seconds=300)
    assert len(read(tmp_path, folder="inner")) == 1
    assert len(read(tmp_path)) == 1


def test_an_empty_or_missing_folder_stops_the_study(tmp_path):
    with pytest.raises(InputError, match=r"holds no WFDB record.*data=.*download\.py"):
        read(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "none")


@pytest.fixture(scope="module")
def database(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("ctu_uhb")
    begin = time.perf_counter()
    counts = write_recordings(read_ctu_uhb(CtuUhb(), real_data / "ctu-uhb-ctgdb"), out)
    return counts, *read_recordings(out), time.perf_counter() - begin


def test_the_public_database_is_accepted_whole(database):
    counts, table, signals, _ = database
    assert (counts.accepted, counts.refused) == (552, 0)
    names = [*range(1001, 1507), *range(2001, 2047)]
    assert table["record"].tolist() == [str(name) for name in names]
    assert table["patient"].is_unique
    assert not table["patient_known"].any()
    assert set(table["file_type"]) == {"wfdb"}
    # Two signals of 16 bits: the size of the file is the length of the recording.
    assert (table["file_bytes"] == 4 * table["samples"]).all()
    assert set(table["site"]) == {"CTU-UHB"}
    assert set(table["sampling_hz"]) == {4.0}
    assert table["samples"].agg(["min", "max"]).tolist() == [14400, 21620]
    assert np.isfinite(signals).all()
    share = [np.mean(signals[0, s : s + n] > 0) for s, n in table[["start", "samples"]].to_numpy()]
    assert np.mean(share) == pytest.approx(0.81, abs=0.01)


def test_the_public_database_has_the_published_outcomes(database):
    _, table, _, _ = database
    apgar1 = {1: 2, 2: 2, 3: 13, 4: 10, 5: 19, 6: 22, 7: 34, 8: 106, 9: 277, 10: 67}
    apgar5 = {4: 4, 5: 1, 6: 14, 7: 27, 8: 72, 9: 204, 10: 230}
    assert collections.Counter(table["apgar1"]) == apgar1
    assert collections.Counter(table["apgar5"]) == apgar5
    assert [(table["ph"] < limit).sum() for limit in (7.05, 7.15, 7.20)] == [40, 105, 177]
    assert table["ph"].notna().all()
    assert collections.Counter(table["delivery"]) == {"vaginal": 506, "caesarean": 46}
    assert table["minutes_to_delivery"].notna().sum() == 506
    assert table["sex"].isin(["female", "male"]).all()


def test_the_public_database_is_read_as_wfdb_reads_it(database, real_data):
    _, table, signals, _ = database
    for record in ("1001", "1273", "2046"):
        row = table[table["record"] == record].iloc[0]
        expected, _ = wfdb.rdsamp(str(real_data / "ctu-uhb-ctgdb" / record))
        piece = signals[:, row["start"] : row["start"] + row["samples"]]
        np.testing.assert_array_equal(piece.T, expected.astype(np.float32))


def test_the_public_database_takes_seconds(database):
    assert database[3] < 30
