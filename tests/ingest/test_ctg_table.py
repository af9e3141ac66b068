"""Claims about a hospital's own table: mappings, words, sites, signal formats, and its mistakes."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import wfdb

from fewcase.data.recordings import Recording, Refusal
from fewcase.ingest.ctg_table import read_ctg_table
from fewcase.ingest.store import write_recordings
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.sources import CtgTable

JAPANESE = {
    "table": "分娩.csv",
    "signals": "signals",
    "columns": {
        "site": "施設",
        "patient": "ID",
        "record": "記録",
        "file": "ファイル",
        "date": "分娩日",
        "hour": "時",
        "minute": "分",
        "delivery": "分娩様式",
        "maternal_age": "年齢",
        "gestational_weeks": "週数",
        "birth_weight": "体重",
        "sex": "性別",
        "ph": "pH",
        "apgar1": "Ap1",
        "apgar5": "Ap5",
        "alive": "転帰",
        "recording_start": "開始",
        "recording_end": "終了",
    },
    "values": {
        "sex": {"男": "male", "女": "female"},
        "delivery": {"経腟": "vaginal", "帝王切開": "caesarean"},
        "alive": {"生存": 1, "死亡": 0},
    },
    "missing": ["", "不明", "-", 999],
    "encoding": "cp932",
    "sampling_hz": 4,
}

ROWS = """施設,ID,記録,ファイル,分娩日,時,分,分娩様式,年齢,週数,体重,性別,pH,Ap1,Ap5,転帰,開始,終了
九州,007,1,a.csv,2018/3/4,10,15,経腟,32,39,3120,男,7.25,8,9,生存,2018/3/4 9:30,2018/3/4 10:00
福田,007,1,b.csv,2018年3月5日,0,5,帝王切開,不明,40,999,女,不明,-,6,死亡,20180304,2018/3/4 0:30
"""


@pytest.fixture
def hospital(tmp_path):
    """Two hospitals with the same patient number, signals as CSV."""
    (tmp_path / "signals").mkdir()
    (tmp_path / "分娩.csv").write_text(ROWS, encoding="cp932")
    for number, name in enumerate(("a", "b")):
        write_csv(tmp_path / "signals" / f"{name}.csv", 140 + number)
    return tmp_path


def write_csv(path, bpm=140, samples=7200, delimiter=","):
    lines = [delimiter.join(["time", "uc", "fhr"])]
    lines += [delimiter.join([str(i), str(i % 60), str(bpm)]) for i in range(samples)]
    path.write_text("\n".join(lines) + "\n")


def read(folder, section, **changes):
    options = read_section(CtgTable, {**section, **changes}, "ctg_table")
    return list(read_ctg_table(options, folder))


def test_a_japanese_table_is_read_through_its_mappings(hospital):
    first, second = read(hospital, JAPANESE)
    assert first.outcomes == {
        "apgar1": 8.0,
        "apgar5": 9.0,
        "ph": 7.25,
        "maternal_age": 32.0,
        "gestational_weeks": 39.0,
        "birth_weight": 3120.0,
        "alive": 1.0,
        "sex": "male",
        "delivery": "vaginal",
    }
    assert second.outcomes == {
        "apgar1": None,
        "apgar5": 6.0,
        "ph": None,
        "maternal_age": None,
        "gestational_weeks": 40.0,
        "birth_weight": None,
        "alive": 0.0,
        "sex": "female",
        "delivery": "caesarean",
    }
    assert first.date == pd.Timestamp("2018-03-04 10:15")
    assert second.date == pd.Timestamp("2018-03-05 00:05")
    assert [first.minutes_to_delivery, second.minutes_to_delivery] == [15.0, 1415.0]
    assert first.fhr[0] == 140
    assert second.fhr[0] == 141
    assert first.uc[:3].tolist() == [0, 1, 2]
    assert write_recordings([first, second], hospital / "out").accepted == 2


def test_the_same_number_at_two_hospitals_is_two_people(hospital):
    first, second = read(hospital, JAPANESE)
    assert [first.patient, second.patient] == ["九州/007", "福田/007"]
    assert [first.record, second.record] == ["九州/1", "福田/1"]
    plain = read(hospital, JAPANESE, site_in_names=False)
    assert [item.patient for item in plain] == ["007", "007"]


def test_one_hospital_needs_no_site_column(hospital):
    columns = {key: name for key, name in JAPANESE["columns"].items() if key != "site"}
    first, _ = read(hospital, JAPANESE, columns=columns, site="Ibi")
    assert (first.site, first.patient) == ("Ibi", "Ibi/007")
    with pytest.raises(InputError, match=r"either as columns\.site"):
        read(hospital, JAPANESE, columns=columns)
    with pytest.raises(InputError, match=r"either as columns\.site"):
        read(hospital, JAPANESE, site="Ibi")


@pytest.mark.parametrize(
    ("encoding", "written"), [("utf-8-sig", "utf-8"), ("utf-8-sig", "utf-8-sig")]
)
def test_a_byte_order_mark_makes_no_difference(hospital, encoding, written):
    (hospital / "分娩.csv").write_text(ROWS, encoding=written)
    assert read(hospital, JAPANESE, encoding=encoding)[0].site == "九州"


def test_a_wrong_encoding_is_named_with_one_that_fits(hospital):
    with pytest.raises(InputError, match=r"not text in the encoding 'utf-8-sig'.*encoding: cp932"):
        read(hospital, JAPANESE, encoding="utf-8-sig")
    with pytest.raises(InputError, match=r"'cp-932' is no encoding\. Did you mean 'cp932'"):
        read(hospital, JAPANESE, encoding="cp-932")


def test_a_wrong_delimiter_is_named_with_the_one_that_fits(hospital):
    path = hospital / "分娩.csv"
    path.write_text(ROWS.replace(",", ";"), encoding="cp932")
    with pytest.raises(InputError, match=r"the header '施設;ID;.*delimiter: ';' the columns"):
        read(hospital, JAPANESE)
    assert len(read(hospital, JAPANESE, delimiter=";")) == 2


def test_a_column_that_is_not_there_is_named_with_the_nearest(hospital):
    columns = {**JAPANESE["columns"], "apgar1": "Ap 1"}
    with pytest.raises(InputError, match=r"分娩\.csv: no column 'Ap 1'\. Did you mean 'Ap1'"):
        read(hospital, JAPANESE, columns=columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {**JAPANESE["columns"], "apgar": "Ap1"}}, r"apgar: unknown key.*'apgar[15]'"),
        ({"columns": {"patient": "ID", "site": "施設"}}, r"columns\.file: this key is"),
        ({"outcomes": {"file_bytes": "pH"}}, r"file_bytes: every record has a column of this"),
        ({"values": {"sexx": {"男": "male"}}}, r"values\.sexx: no column.*Did you mean 'sex'"),
        ({"outcomes": {"ph": "pH"}}, r"outcomes\.ph: name this column under columns"),
        ({"signal_columns": {"fhr": "fhr"}}, r"expected the keys fhr and uc"),
        ({"delimiter": ", "}, r"delimiter: ', ' is not a single character"),
        ({"table": "none.csv"}, r"none\.csv: no such file"),
        ({"table": "none.parquet"}, r"none\.parquet: no such file"),
    ],
)
def test_wrong_options_stop_the_study(hospital, change, message):
    with pytest.raises(InputError, match=message):
        read(hospital, JAPANESE, **change)


def test_columns_of_no_interest_may_have_no_name_or_the_same(hospital):
    padded = "\n".join(f"{line},,,x" for line in ROWS.splitlines())
    (hospital / "分娩.csv").write_text(padded, encoding="cp932")
    assert [item.patient for item in read(hospital, JAPANESE)] == ["九州/007", "福田/007"]
    twice = "\n".join(f"{line},{line.split(',')[1]}" for line in ROWS.splitlines())
    (hospital / "分娩.csv").write_text(twice, encoding="cp932")
    with pytest.raises(InputError, match="two columns are called 'ID'"):
        read(hospital, JAPANESE)


def test_a_ragged_table_and_one_without_rows_stop_the_study(hospital):
    path = hospital / "分娩.csv"
    path.write_text(ROWS + "九州,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20\n", "cp932")
    with pytest.raises(
        InputError, match=r"Expected 18 columns, got 21.*as many cells as the header"
    ):
        read(hospital, JAPANESE)
    path.write_text(ROWS.splitlines()[0] + "\n", "cp932")
    with pytest.raises(InputError, match="expected one row per recording"):
        read(hospital, JAPANESE)


# One hospital, plain names, one row by default: the rest of the claims.
PLAIN = {
    "table": "t.csv",
    "columns": {"patient": "id", "file": "file"},
    "site": "A",
    "sampling_hz": 4,
}


def write_table(folder, **cells):
    row = {"id": "p1", "file": "s.csv", **cells}
    pd.DataFrame([row]).to_csv(folder / "t.csv", index=False)


def read_one(folder, columns=(), **changes):
    mapped = {**PLAIN["columns"], **{name: name for name in columns}}
    (item,) = read(folder, {**PLAIN, "columns": mapped}, **changes)
    return item


@pytest.fixture
def plain(tmp_path):
    write_table(tmp_path)
    write_csv(tmp_path / "s.csv")
    return tmp_path


def test_a_record_without_a_name_is_called_after_its_file(plain):
    assert read_one(plain).record == "A/s"


def test_without_a_column_for_the_patient_each_recording_is_one_and_the_log_says_so(plain, caplog):
    write_csv(plain / "t2.csv", 150)
    pd.DataFrame({"file": ["s.csv", "t2.csv"]}).to_csv(plain / "t.csv", index=False)
    items = read(plain, {**PLAIN, "columns": {"file": "file"}})
    assert [item.patient for item in items] == [item.record for item in items] == ["A/s", "A/t2"]
    assert "each recording counts as a patient of its own" in caplog.text
    write_recordings(items, plain / "out")
    table = pd.read_parquet(plain / "out" / "records.parquet")
    assert table["patient_known"].tolist() == [False, False]


def test_a_column_for_the_patient_that_is_named_must_be_there(plain):
    with pytest.raises(InputError, match=r"no column 'mother'"):
        read(plain, {**PLAIN, "columns": {"file": "file", "patient": "mother"}})
    assert read_one(plain).patient_known


def test_a_blank_patient_or_site_is_quarantined(plain):
    write_csv(plain / "good.csv", 150)
    table = pd.DataFrame({"id": ["p", " ", "q"], "file": ["good.csv", "s.csv", "s2.csv"]})
    table["site"] = ["A", "A", None]
    write_csv(plain / "s2.csv")
    table.to_csv(plain / "t.csv", index=False)
    columns = {**PLAIN["columns"], "site": "site"}
    items = read(plain, {**PLAIN, "columns": columns, "site": None})
    counts = write_recordings(items, plain / "out")
    assert (counts.accepted, counts.refused) == (1, 2)
    reasons = pd.read_parquet(plain / "out" / "rejected.parquet")["reason"]
    assert reasons.tolist() == ["blank patient", "blank site"]


@pytest.mark.parametrize(
    ("cells", "reason", "words"),
    [
        ({"apgar1": 11}, "impossible outcome", "11"),
        ({"apgar1": 2.5}, "impossible outcome", "2.5"),
        ({"ph": 17}, "impossible outcome", "17"),
        ({"ph": "normal"}, "impossible outcome", "normal"),
        ({"alive": "yes"}, "impossible outcome", "yes"),
        ({"sampling_hz": 0}, "no sampling rate", "0"),
        ({"sampling_hz": "four"}, "unreadable value", "row 1: sampling_hz is 'four'"),
        ({"date": "04/03/2018"}, "unreadable date", "date_format"),
        ({"date": "2018-13-04"}, "unreadable date", "2018-13-04"),
        ({"date": "2018-03-04", "hour": 25}, "unreadable date", "hour 25"),
        ({"file": "none.csv"}, "missing file", "none.csv"),
        ({"file": ""}, "missing file", "row 1"),
        ({"file": "s.mat"}, "unknown file type", ".parquet"),
        (
            {"recording_start": "2018-03-04 10:00", "recording_end": "2018-03-04 12:00"},
            "wrong duration",
            "30.0 minutes, expected 120.0",
        ),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(plain, cells, reason, words):
    write_table(plain, **cells)
    item = read_one(plain, columns=cells)
    if isinstance(item, Recording):
        good = dataclasses.replace(item, record="good", outcomes={}, sampling_hz=4.0)
        write_recordings([item, good], plain / "out")
        refused = pd.read_parquet(plain / "out" / "rejected.parquet").iloc[0]
    else:
        refused = item
    assert refused.reason == reason
    assert words in refused.detail


def test_dates_are_read_by_the_format_that_is_given(plain):
    write_table(plain, date="04.03.2018", recording_end="04.03.2018")
    item = read_one(plain, columns=["date"], date_format="%d.%m.%Y")
    assert item.date == pd.Timestamp("2018-03-04")


@pytest.mark.parametrize(
    ("cells", "minutes"),
    [
        ({"date": "2018-03-04", "hour": 11, "minute": 5, "recording_end": "2018-03-04 10:20"}, 45),
        ({"date": "2018-03-04", "hour": 11, "minute": 5, "recording_start": "20180304"}, 635),
        ({"date": "2018-03-04 11:05", "recording_end": "2018/03/04 10:20:30"}, 44.5),
        ({"date": "2018-03-04", "recording_end": "2018-03-04 10:20"}, math.nan),
        ({"date": "2018-03-04", "hour": 11, "recording_end": "2018-03-04 10:20"}, math.nan),
        ({"date": "2018-03-04", "hour": 11, "minute": 5}, math.nan),
    ],
)
def test_time_to_delivery_needs_both_times_to_the_minute(plain, cells, minutes):
    write_table(plain, **cells)
    item = read_one(plain, columns=cells)
    assert item.minutes_to_delivery == pytest.approx(minutes, nan_ok=True)


def test_further_columns_are_kept_as_outcomes(plain):
    write_table(plain, lac="3.1", device="M1351A")
    item = read_one(plain, outcomes={"lactate": "lac", "device": "device"})
    assert item.outcomes == {"lactate": 3.1, "device": "M1351A"}


def test_a_parquet_table_gives_the_same_as_csv(plain):
    cells = {"date": pd.Timestamp("2018-03-04 10:15"), "apgar1": 8.0, "ph": None, "alive": True}
    frame = pd.DataFrame([{"id": 17.0, "file": "s.csv", **cells}])
    frame.to_parquet(plain / "t.parquet")
    item = read_one(plain, columns=cells, table="t.parquet")
    assert item.patient == "A/17"
    assert item.date == cells["date"]
    assert item.outcomes == {"apgar1": 8.0, "ph": None, "alive": 1.0}


SIGNAL = np.stack([np.full(1200, 140.0), np.arange(1200) % 60])


def save_csv(folder):
    pd.DataFrame(SIGNAL.T, columns=["fhr", "uc"]).to_csv(folder / "s.csv", index=False)
    return "s.csv"


def save_parquet(folder):
    pd.DataFrame(SIGNAL.T, columns=["fhr", "uc"]).to_parquet(folder / "s.parquet")
    return "s.parquet"


def save_npy(folder):
    np.save(folder / "s.npy", SIGNAL)
    return "s.npy"


def save_npy_upright(folder):
    np.save(folder / "s.npy", SIGNAL.T.astype(np.int16))
    return "s.npy"


def save_wfdb(folder, file="s"):
    wfdb.wrsamp(
        "s",
        fs=2,
        units=["bpm", "nd"],
        sig_name=["fhr", "uc"],
        p_signal=SIGNAL.T,
        fmt=["16", "16"],
        write_dir=str(folder),
    )
    return file


@pytest.mark.parametrize(
    ("save", "rate", "kind"),
    [
        (save_csv, 4, "csv"),
        (save_parquet, 4, "parquet"),
        (save_npy, 4, "npy"),
        (save_npy_upright, 4, "npy"),
        (save_wfdb, 2, "wfdb"),
        (lambda folder: save_wfdb(folder, "s.hea"), 2, "wfdb"),
        (lambda folder: save_wfdb(folder, "s.dat"), 2, "wfdb"),
    ],
)
def test_every_signal_format_gives_the_same_samples(tmp_path, save, rate, kind):
    write_table(tmp_path, file=save(tmp_path))
    item = read_one(tmp_path)
    np.testing.assert_allclose(item.fhr, SIGNAL[0], atol=0.01)
    np.testing.assert_allclose(item.uc, SIGNAL[1], atol=0.01)
    assert item.sampling_hz == rate
    signal_file = next(path for path in tmp_path.glob("s.*") if path.suffix != ".hea")
    assert (item.file_type, item.file_bytes) == (kind, signal_file.stat().st_size)


def test_the_row_s_rate_goes_before_the_file_s_and_the_option_s(tmp_path):
    write_table(tmp_path, file=save_wfdb(tmp_path), sampling_hz=8)
    assert read_one(tmp_path, columns=["sampling_hz"]).sampling_hz == 8
    assert read_one(tmp_path, sampling_hz=5).sampling_hz == 2
    write_table(tmp_path, file=save_npy(tmp_path), sampling_hz="")
    assert read_one(tmp_path, columns=["sampling_hz"], sampling_hz=5).sampling_hz == 5
    assert math.isnan(read_one(tmp_path, sampling_hz=None).sampling_hz)


def test_heart_rate_in_other_units_is_converted_by_the_factor(tmp_path):
    np.save(tmp_path / "s.npy", SIGNAL * [[4], [1]])
    write_table(tmp_path, file="s.npy")
    item = read_one(tmp_path, fhr_factor=0.25)
    assert set(item.fhr) == {140.0}
    assert item.uc.max() == 59


def test_missing_samples_in_csv_are_written_as_the_options_say(tmp_path):
    (tmp_path / "s.csv").write_text("fhr;uc\n140;10\n;11\n不明;-\n141; 12\n", encoding="cp932")
    write_table(tmp_path)
    item = read_one(
        tmp_path, missing=["", "不明", "-"], signal_delimiter=";", encoding="cp932", table="t.csv"
    )
    np.testing.assert_array_equal(item.fhr, np.float32([140, np.nan, np.nan, 141]))
    np.testing.assert_array_equal(item.uc, np.float32([10, 11, np.nan, 12]))


@pytest.mark.parametrize(
    ("name", "content", "reason", "words"),
    [
        ("s.csv", b"time;fhr;uc\n0;140;10\n", "wrong delimiter", "'time;fhr;uc'"),
        ("s.csv", b"fhr\ttoco\n140\t10\n", "wrong delimiter", "\\t"),
        ("s.csv", b"FHR1,uc\n140,10\n", "no such signal", "no column 'fhr'"),
        ("s.csv", b"fhr,uc\n140,10\nabc,11\n", "unreadable file", "row 2 of 'fhr' is 'abc'"),
        ("s.csv", b"fhr,uc,fhr\n140,10,141\n", "no such signal", "two columns 'fhr'"),
        ("s.csv", b"", "no such signal", "header ''"),
        ("s.csv", b"fhr,uc\n\xff\xfe,1\n", "unreadable file", "utf-8-sig"),
        ("s.csv", b"fhr,uc\n1,2\n1,2,3\n", "unreadable file", "Expected 2 columns, got 3"),
        ("s.npy", b"\x93NUMPY torn", "unreadable file", "not an array"),
        ("s.parquet", b"PAR1", "unreadable file", "not a parquet"),
        ("s.hea", b"s 2 4 100\ns.dat 16\n", "missing file", "s.dat"),
        ("s.hea", b"", "unreadable file", "WFDB"),
    ],
)
def test_a_bad_signal_file_is_quarantined_with_its_reason(tmp_path, name, content, reason, words):
    (tmp_path / name).write_bytes(content)
    write_table(tmp_path, file=name)
    refusal = read_one(tmp_path)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert words in refusal.detail
    assert f"{tmp_path}/s." in refusal.detail
    assert (refusal.record, refusal.patient, refusal.site) == ("A/s", "A/p1", "A")


def test_arrays_that_are_no_pair_of_signals_are_quarantined(tmp_path):
    write_table(tmp_path, file="s.npy")
    for array, reason in [
        (np.zeros((3, 100)), "wrong shape"),
        (np.zeros(100), "wrong shape"),
        (np.array([["a", "b"]] * 9), "unreadable file"),
        (np.array([[{}, {}]] * 9), "unreadable file"),
    ]:
        np.save(tmp_path / "s.npy", array, allow_pickle=True)
        assert read_one(tmp_path).reason == reason


def test_two_files_of_one_name_are_both_refused(tmp_path):
    for ward in ("east", "west"):
        (tmp_path / ward).mkdir()
        write_csv(tmp_path / ward / "s.csv", samples=400)
    write_csv(tmp_path / "t_only.csv", samples=400)
    rows = {"id": ["p1", "p2", "p3"], "file": ["east/s.csv", "west/s.csv", "t_only.csv"]}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    counts = write_recordings(read(tmp_path, PLAIN), tmp_path / "out")
    assert (counts.accepted, counts.refused) == (1, 2)
