"""Claims about storing recordings: order, rate, duplicates, memory, and what the digest covers."""

import dataclasses
import json
import logging
import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import read_table
from fewcase.data.recordings import STORE_HZ, Counts, Recording, Refusal, read_recordings
from fewcase.ingest.store import write_recordings
from fewcase.study.errors import InputError

FILES = ("records.parquet", "signals.npy", "records.hash", "signals.hash", "rejected.parquet")


def make(record="a", seconds=60, sampling_hz=4.0, seed=None, **changes):
    rng = np.random.default_rng(sum(map(ord, record)) if seed is None else seed)
    samples = round(seconds * sampling_hz)
    fhr = (140 + 8 * rng.standard_normal(samples)).astype(np.float32)
    uc = (30 + 10 * rng.standard_normal(samples)).astype(np.float32)
    recording = Recording(
        record=record,
        patient=f"patient of {record}",
        site="A",
        date=pd.Timestamp("2018-03-04 10:15"),
        fhr=fhr,
        uc=uc,
        sampling_hz=sampling_hz,
        outcomes={"apgar1": 8.0, "ph": None},
        minutes_to_delivery=12.5,
    )
    return dataclasses.replace(recording, **changes)


def contents(folder, names=FILES):
    return {name: (folder / name).read_bytes() for name in names}


def test_what_goes_in_comes_out_in_the_order_of_the_source(tmp_path):
    recordings = [make("c", 90), make("a", 60), make("b", 75)]
    assert write_recordings(recordings, tmp_path) == Counts(accepted=3, refused=0)
    table, signals = read_recordings(tmp_path)
    assert table["record"].tolist() == ["c", "a", "b"]
    assert table["samples"].tolist() == [360, 240, 300]
    assert table["start"].tolist() == [0, 360, 600]
    assert signals.shape == (2, 900)
    assert signals.dtype == np.float32
    for recording, start, samples in zip(recordings, table["start"], table["samples"], strict=True):
        piece = signals[:, start : start + samples]
        np.testing.assert_array_equal(piece, [recording.fhr, recording.uc])
    assert table["date"].tolist() == [pd.Timestamp("2018-03-04 10:15")] * 3
    assert table["minutes_to_delivery"].tolist() == [12.5] * 3
    assert sorted(os.listdir(tmp_path)) == sorted(FILES)
    assert len(read_table(tmp_path / "rejected.parquet")) == 0


def test_outcomes_have_fixed_columns_and_types_and_further_ones_are_kept(tmp_path):
    recordings = [
        make("a", outcomes={"apgar1": 6.0, "sex": "male", "lactate": 3.1}),
        make("b", outcomes={"ph": 7.2, "lactate": None, "sensor": "electrode"}, date=None),
    ]
    write_recordings(recordings, tmp_path)
    table, _ = read_recordings(tmp_path)
    for name in ("apgar1", "apgar5", "ph", "base_deficit", "birth_weight", "alive", "lactate"):
        assert table[name].dtype == np.float64
    for name in ("sex", "delivery", "sensor", "record", "patient", "site"):
        assert table[name].dtype == "str"
    assert table["apgar1"].tolist()[0] == 6.0
    assert table[["apgar5", "delivery"]].isna().all(axis=None)
    assert table["lactate"].isna().tolist() == [False, True]
    assert table["sensor"].isna().tolist() == [True, False]
    assert table["date"].isna().tolist() == [False, True]


def test_a_record_tells_its_source_and_neither_images_nor_signals_depend_on_it(tmp_path):
    plain = make()
    told = dataclasses.replace(plain, patient_known=False, file_type="csv", file_bytes=1234.0)
    write_recordings([plain], tmp_path / "plain")
    write_recordings([told], tmp_path / "told")
    columns = ["patient_known", "file_type", "file_bytes"]
    table = read_recordings(tmp_path / "told")[0]
    assert table[columns].iloc[0].tolist() == [False, "csv", 1234.0]
    assert table["patient_known"].dtype == bool
    simulated = read_recordings(tmp_path / "plain")[0]
    assert simulated[columns[:2]].iloc[0].tolist() == [True, ""]
    assert simulated["file_bytes"].isna().all()
    signals, records = (
        [(tmp_path / name / file).read_bytes() for name in ("plain", "told")]
        for file in ("signals.hash", "records.hash")
    )
    assert signals[0] == signals[1]
    assert records[0] != records[1]


def test_zeros_and_missing_samples_are_stored_as_the_device_wrote_them(tmp_path):
    fhr = make().fhr.copy()
    fhr[10:20], fhr[30:35] = 0, np.nan
    write_recordings([make(fhr=fhr)], tmp_path)
    _, signals = read_recordings(tmp_path)
    np.testing.assert_array_equal(signals[0], fhr)


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0, 8.0, 100.0])
def test_a_drop_out_is_never_averaged_into_a_heart_rate(tmp_path, rate):
    time = np.arange(round(120 * rate)) / rate
    fhr = np.where((time >= 20) & (time < 41.3), 0, 140).astype(np.float32)
    uc = np.where((time >= 60) & (time < 80), -10, 25).astype(np.float32)
    write_recordings([make(fhr=fhr, uc=uc, sampling_hz=rate)], tmp_path)
    table, signals = read_recordings(tmp_path)
    assert table["samples"].item() == round(120 * STORE_HZ)
    assert table["sampling_hz"].item() == rate
    assert set(np.unique(signals[0][np.isfinite(signals[0])])) == {140.0}
    assert set(np.unique(signals[1][np.isfinite(signals[1])])) == {25.0}
    assert abs(np.isnan(signals[0]).mean() - 21.3 / 120) < 0.02
    assert abs(np.isnan(signals[1]).mean() - 20 / 120) < 0.02


def test_a_contraction_signal_of_zero_is_a_value(tmp_path):
    uc = np.zeros(100, dtype=np.float32)
    fhr = np.full(100, 140, dtype=np.float32)
    write_recordings([make(fhr=fhr, uc=uc, sampling_hz=1.0)], tmp_path)
    assert (read_recordings(tmp_path)[1][1] == 0).all()


def test_two_recordings_of_one_name_are_both_refused_and_leave_no_trace(tmp_path):
    first, second, third = make("a", 30), make("b", 40), make("c", 50)
    twins = [first, make("x", 35), second, make("x", 45, seed=9), third]
    assert write_recordings(twins, tmp_path / "twins") == Counts(accepted=3, refused=2)
    write_recordings([first, second, third], tmp_path / "without")
    kept = [name for name in FILES if name != "rejected.parquet"]
    assert contents(tmp_path / "twins", kept) == contents(tmp_path / "without", kept)
    rejected = read_table(tmp_path / "twins" / "rejected.parquet")
    assert rejected["record"].tolist() == ["x", "x"]
    assert set(rejected["reason"]) == {"duplicate name"}
    assert "2 recordings" in rejected["detail"][0]


def test_a_name_shared_with_a_refused_recording_is_ambiguous_too(tmp_path):
    refused = Refusal("x", "p", "A", "ingest", "truncated signal", "x.dat is short.")
    counts = write_recordings([make("x"), make("a"), refused], tmp_path)
    assert counts == Counts(accepted=1, refused=2)
    assert read_recordings(tmp_path)[0]["record"].tolist() == ["a"]


def test_refusals_come_with_all_that_is_known(tmp_path):
    refused = Refusal("x", "p", "A", "ingest", "truncated signal", "x.dat has 10 bytes.")
    write_recordings([refused, make("a"), make("b", outcomes={"apgar1": 11.0})], tmp_path)
    rejected = read_table(tmp_path / "rejected.parquet")
    assert rejected.columns.tolist() == ["record", "patient", "site", "stage", "reason", "detail"]
    assert rejected.iloc[0].tolist() == list(dataclasses.astuple(refused))
    assert rejected.iloc[1][["record", "patient", "site", "stage", "reason"]].tolist() == [
        "b",
        "patient of b",
        "A",
        "ingest",
        "impossible outcome",
    ]


def test_what_later_stages_depend_on_is_blind_to_the_refused(tmp_path):
    good = [make("a"), make("b")]
    bad = np.full(50, np.inf, dtype=np.float32)
    worse = np.full(70, 2.3, dtype=np.float32)
    write_recordings([good[0], make("x", fhr=bad, uc=bad), good[1]], tmp_path / "1")
    write_recordings([good[0], make("x", fhr=worse, uc=worse), *good[1:]], tmp_path / "2")
    write_recordings([*good, make("y", outcomes={"ph": 17.0})], tmp_path / "3")
    kept = [name for name in FILES if name != "rejected.parquet"]
    assert contents(tmp_path / "1", kept) == contents(tmp_path / "2", kept)
    assert contents(tmp_path / "1", kept) == contents(tmp_path / "3", kept)
    reasons = {read_table(tmp_path / n / "rejected.parquet")["reason"].item() for n in "123"}
    assert reasons == {"infinite samples", "wrong units", "impossible outcome"}


def one_sample_changed(recording):
    fhr = recording.fhr.copy()
    fhr[7] += 0.25
    return dataclasses.replace(recording, fhr=fhr)


@pytest.mark.parametrize(
    "change",
    [
        one_sample_changed,
        lambda recording: dataclasses.replace(recording, patient="another"),
        lambda recording: dataclasses.replace(recording, outcomes={"apgar1": 7.0, "ph": None}),
        lambda recording: dataclasses.replace(recording, date=None),
        lambda recording: dataclasses.replace(recording, minutes_to_delivery=3.0),
        lambda recording: dataclasses.replace(recording, uc=recording.uc[::-1]),
    ],
)
def test_the_digest_tells_any_change_of_an_accepted_recording(tmp_path, change):
    write_recordings([make("a"), make("b")], tmp_path / "before")
    write_recordings([make("a"), change(make("b"))], tmp_path / "after")
    digests = [json.loads((tmp_path / n / "records.hash").read_text()) for n in ("before", "after")]
    assert digests[0]["content"] != digests[1]["content"]
    assert digests[0]["recordings"] == 2


def test_a_corrected_outcome_leaves_the_digest_of_the_signals(tmp_path):
    corrected = dataclasses.replace(make("b"), outcomes={"apgar1": 5.0})
    write_recordings([make("a"), make("b")], tmp_path / "1")
    write_recordings([make("a"), corrected], tmp_path / "2")
    write_recordings([make("a"), one_sample_changed(make("b"))], tmp_path / "3")
    digests = [(tmp_path / name / "signals.hash").read_bytes() for name in "123"]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_same_recordings_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_recordings((make(letter) for letter in "abc"), tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_nothing_accepted_stops_the_study_with_the_reasons(tmp_path):
    zeros = np.zeros(240, dtype=np.float32)
    with pytest.raises(InputError, match=r"none of 2 recordings.*no heart rate \(2\).*Mend"):
        write_recordings([make("a", fhr=zeros), make("b", fhr=zeros)], tmp_path / "x")
    with pytest.raises(InputError, match=r"no recording at all.*data="):
        write_recordings([], tmp_path / "x")
    assert os.listdir(tmp_path / "x") == []


def test_an_error_on_the_way_leaves_the_old_files(tmp_path):
    write_recordings([make("a")], tmp_path)
    before = contents(tmp_path)

    def source():
        yield make("b")
        raise OSError("the network drive is gone")

    with pytest.raises(OSError, match="network drive"):
        write_recordings(source(), tmp_path)
    assert contents(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == sorted(FILES)


def test_memory_does_not_grow_with_the_number_of_recordings(tmp_path):
    def source(count):
        return (make(str(number), seconds=2400, seed=number) for number in range(count))

    peaks = {}
    for count in (4, 40):
        tracemalloc.start()
        write_recordings(source(count), tmp_path)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    megabytes_of_signals = 36 * 2400 * 4 * 2 * 4 / 1e6
    assert (peaks[40] - peaks[4]) / 1e6 < megabytes_of_signals / 20


def test_the_same_signals_under_two_names_are_reported(tmp_path, caplog):
    twins = [make("a", seed=1), make("b", seed=1), make("c")]
    with caplog.at_level(logging.WARNING):
        write_recordings(twins, tmp_path)
    assert "very same signals: a, b" in caplog.text


def test_reading_refuses_a_torn_or_foreign_store(tmp_path):
    write_recordings([make("a"), make("b")], tmp_path)
    path = tmp_path / "signals.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"signals\.npy: torn"):
        read_recordings(tmp_path)
    np.save(path, np.zeros((2, 400), dtype=np.float32))
    with pytest.raises(InputError, match=r"needs float32 \(2, 480\)"):
        read_recordings(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_recordings(tmp_path)
