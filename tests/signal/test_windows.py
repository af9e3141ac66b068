"""The signal stage: windows, refusals, quality, and bytes that depend on nothing else."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import read_table
from fewcase.data.recordings import Recording, read_recordings
from fewcase.ingest.store import write_recordings
from fewcase.signal.noise import clean_fhr, clean_uc
from fewcase.signal.windows import Windows, process_windows
from fewcase.splits.cohort import make_cohort
from fewcase.splits.flow import make_flow
from fewcase.study.errors import InputError
from fewcase.study.settings import SignalOptions
from fewcase.study.targets import read_target

HZ = 4.0
OPTIONS = SignalOptions(minutes=5)
SAMPLES = 1200


def signals_of(seed, samples):
    rng = np.random.default_rng(seed)
    fhr = 140 + np.cumsum(rng.normal(0, 0.3, samples))
    for start in rng.integers(0, samples, 4):
        fhr[start : start + rng.integers(1, 90)] = 0
    uc = 30 + 20 * np.sin(np.arange(samples) / 70)
    return np.round(fhr * 4).astype(np.float32) / 4, uc.astype(np.float32)


def recording(name, seed, samples=1500, **changes):
    fhr, uc = signals_of(seed, samples)
    values = {
        "record": name,
        "patient": f"p{name}",
        "site": "A",
        "date": pd.Timestamp("2020-01-02"),
        "fhr": fhr,
        "uc": uc,
        "sampling_hz": HZ,
        "outcomes": {"ph": 7.2},
        "minutes_to_delivery": 2.0,
    }
    return Recording(**{**values, **changes})


def lost_at_the_end(name):
    """Signal at the start, none in the last five minutes."""
    fhr, _ = signals_of(5, 2500)
    fhr[1000:] = 0
    return recording(name, 5, samples=2500, fhr=fhr)


@pytest.fixture
def store(tmp_path):
    recordings = [recording(f"r{i}", i, samples=1200 + 100 * i) for i in range(7)]
    recordings.insert(2, recording("short", 9, samples=1199))
    recordings.insert(4, lost_at_the_end("lost"))
    write_recordings(recordings, tmp_path / "recordings")
    return read_recordings(tmp_path / "recordings")


def files_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_each_example_is_the_cleaned_last_window_of_its_recording(store, tmp_path):
    process_windows(*store, OPTIONS, tmp_path / "window")
    examples = read_table(tmp_path / "window" / "examples.parquet")
    windows = Windows.open(tmp_path / "window")
    assert examples["example"].tolist() == [f"r{i}" for i in range(7)]
    assert examples["row"].tolist() == list(range(7))
    assert (examples["parent"] == examples["example"]).all()
    assert (examples["patient"] == "p" + examples["example"]).all()
    assert (examples["minutes_to_delivery"] == 2).all()
    for row in range(7):
        fhr, uc = (part[-SAMPLES:] for part in signals_of(row, 1200 + 100 * row))
        cleaned = clean_fhr(fhr[None], HZ, OPTIONS)
        np.testing.assert_array_equal(windows.fhr[row], cleaned.fhr[0])
        np.testing.assert_array_equal(windows.missing(slice(row, row + 1)), cleaned.missing)
        np.testing.assert_array_equal(windows.uc[row], clean_uc(uc[None], HZ, OPTIONS).uc[0])


def test_the_first_window_is_further_from_delivery(store, tmp_path):
    options = SignalOptions(minutes=5, window="first")
    process_windows(*store, options, tmp_path / "window")
    examples = read_table(tmp_path / "window" / "examples.parquet").set_index("example")
    assert "lost" in examples.index
    # r6 lasts 1,800 samples, 600 of them after the window.
    assert examples.loc["r6", "minutes_to_delivery"] == 2 + 600 / HZ / 60
    fhr = signals_of(6, 1800)[0][:SAMPLES]
    row = examples.loc["r6", "row"]
    cleaned = clean_fhr(fhr[None], HZ, options).fhr[0]
    np.testing.assert_array_equal(Windows.open(tmp_path / "window").fhr[row], cleaned)


def test_short_and_lost_recordings_are_refused_with_their_reasons(store, tmp_path):
    counts = process_windows(*store, OPTIONS, tmp_path / "window")
    rejected = read_table(tmp_path / "window" / "rejected.parquet").set_index("record")
    assert (counts.accepted, counts.refused) == (7, 2)
    assert rejected["reason"].to_dict() == {"short": "too short", "lost": "no usable FHR"}
    assert (rejected["stage"] == "signal").all()
    assert "expected at least 5 min" in rejected.loc["short", "detail"]


def test_quality_tells_the_share_missing_by_cause(store, tmp_path):
    process_windows(*store, OPTIONS, tmp_path / "window")
    quality = read_table(tmp_path / "window" / "quality.parquet")
    causes = ["raw", "zero_run", "out_of_range", "jump", "block"]
    total = quality[[f"missing_{cause}" for cause in causes]].sum(axis=1)
    np.testing.assert_allclose(total, quality["missing"])
    assert (quality["missing"] > 0).any()
    for row in range(7):
        fhr = signals_of(row, 1200 + 100 * row)[0][-SAMPLES:]
        cleaned = clean_fhr(fhr[None], HZ, OPTIONS)
        assert quality.loc[row, "missing"] == cleaned.missing.mean()
        assert quality.loc[row, "longest_gap_s"] == cleaned.longest_gap_s[0]
        assert quality.loc[row, "n_gaps_over_15s"] == cleaned.long_gaps[0]


def test_files_do_not_depend_on_chunks_and_threads(store, tmp_path):
    process_windows(*store, OPTIONS, tmp_path / "one")
    process_windows(*store, OPTIONS, tmp_path / "many", chunk=2, threads=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")


def test_a_recording_that_is_refused_changes_no_digest(store, tmp_path):
    table, signals = store
    process_windows(table, signals, OPTIONS, tmp_path / "with")
    without = table[~table["record"].isin(["short", "lost"])]
    process_windows(without, signals, OPTIONS, tmp_path / "without")
    digests = [(tmp_path / name / "examples.hash").read_text() for name in ("with", "without")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("change", ["signal", "patient"])
def test_the_digest_changes_with_signals_and_with_the_table(store, tmp_path, change):
    table, signals = store[0].copy(), np.array(store[1])
    process_windows(table, signals, OPTIONS, tmp_path / "before")
    if change == "signal":
        signals[0, table["start"].iloc[3] + table["samples"].iloc[3] - 10] += 1
    else:
        table.loc[3, "patient"] = "another"
    process_windows(table, signals, OPTIONS, tmp_path / "after")
    digests = [
        json.loads((tmp_path / name / "examples.hash").read_text())["content"]
        for name in ("before", "after")
    ]
    assert digests[0] != digests[1]


def test_a_cohort_without_any_window_stops_with_what_to_do(store, tmp_path):
    with pytest.raises(InputError, match=r"none of 9 recordings.*too short \(9\).*signal.minutes"):
        process_windows(*store, SignalOptions(minutes=30), tmp_path / "window")
    assert not any((tmp_path / "window").glob("*"))


def test_windows_that_do_not_fit_their_digest_are_not_opened(store, tmp_path):
    folder = tmp_path / "window"
    process_windows(*store, OPTIONS, folder)
    np.save(folder / "uc.npy", np.zeros((3, SAMPLES), np.float32))
    with pytest.raises(InputError, match=r"uc\.npy: 3 rows"):
        Windows.open(folder)
    (folder / "fhr.npy").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"fhr\.npy: torn"):
        Windows.open(folder)
    (folder / "fhr.npy").unlink()
    with pytest.raises(InputError, match=r"fhr\.npy: no such file"):
        Windows.open(folder)


ALL = SignalOptions(minutes=5, window="all")


@pytest.fixture
def long_store(tmp_path):
    """Recordings of one, three and two windows and a bit; the first quarter of one is lost."""
    gap, _ = signals_of(2, 2900)
    gap[500:1700] = 0
    recordings = [
        recording("a", 0, samples=1300),
        recording("b", 1, samples=3700),
        recording("c", 2, samples=2900, fhr=gap),
        recording("short", 3, samples=900),
    ]
    write_recordings(recordings, tmp_path / "recordings")
    return read_recordings(tmp_path / "recordings")


def test_all_windows_are_cut_back_from_the_end_without_overlap(long_store, tmp_path):
    counts = process_windows(*long_store, ALL, tmp_path / "window")
    examples = read_table(tmp_path / "window" / "examples.parquet")
    windows = Windows.open(tmp_path / "window")
    assert examples["example"].tolist() == ["a/w1", "b/w1", "b/w2", "b/w3", "c/w1"]
    assert examples["parent"].tolist() == ["a", "b", "b", "b", "c"]
    assert examples["patient"].tolist() == ["pa", "pb", "pb", "pb", "pc"]
    assert examples["minutes_to_delivery"].tolist() == [2, 2, 7, 12, 2]
    assert (counts.accepted, counts.refused) == (5, 2)
    fhr, uc = signals_of(1, 3700)
    for row, stop in ((1, 3700), (2, 2500), (3, 1300)):
        cleaned = clean_fhr(fhr[None, stop - SAMPLES : stop], HZ, ALL)
        np.testing.assert_allclose(windows.fhr[row], cleaned.fhr[0], rtol=1e-6)
        smoothed = clean_uc(uc[None, stop - SAMPLES : stop], HZ, ALL).uc[0]
        np.testing.assert_allclose(windows.uc[row], smoothed, rtol=1e-6)


def test_a_recording_that_lost_a_window_keeps_the_others(long_store, tmp_path):
    process_windows(*long_store, ALL, tmp_path / "window")
    rejected = read_table(tmp_path / "window" / "rejected.parquet").set_index("record")
    assert rejected["reason"].to_dict() == {"short": "too short", "c": "no usable FHR"}
    assert rejected.loc["c", "detail"].startswith("c/w2: ")
    quality = read_table(tmp_path / "window" / "quality.parquet")
    assert quality["example"].tolist() == ["a/w1", "b/w1", "b/w2", "b/w3", "c/w1"]


def test_the_first_of_all_windows_is_the_last_one(long_store, tmp_path):
    process_windows(*long_store, ALL, tmp_path / "all")
    process_windows(*long_store, OPTIONS, tmp_path / "last")
    every = read_table(tmp_path / "all" / "examples.parquet")
    first = every[every["example"].str.endswith("/w1")].reset_index(drop=True)
    last = read_table(tmp_path / "last" / "examples.parquet")
    inherited = ["parent", "patient", "site", "date", "minutes_to_delivery"]
    pd.testing.assert_frame_equal(first[inherited], last[inherited])
    of_all, of_last = Windows.open(tmp_path / "all"), Windows.open(tmp_path / "last")
    np.testing.assert_allclose(of_all.fhr[first["row"].to_numpy()], of_last.fhr[:], rtol=1e-6)


def test_what_is_shorter_than_a_window_is_counted_in_the_log(long_store, tmp_path, caplog):
    caplog.set_level("INFO")
    process_windows(*long_store, ALL, tmp_path / "window")
    # 100, 100 and 500 samples at 4 Hz.
    assert "2.9 min at the start of 3 recordings" in caplog.text


def test_files_of_all_windows_do_not_depend_on_chunks_and_threads(long_store, tmp_path):
    process_windows(*long_store, ALL, tmp_path / "one", chunk=2)
    process_windows(*long_store, ALL, tmp_path / "many", chunk=2, threads=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")


def test_every_recording_is_accounted_for_with_all_windows(long_store, tmp_path):
    process_windows(*long_store, ALL, tmp_path / "window")
    folder = tmp_path / "window"
    examples, quality = (read_table(folder / f"{name}.parquet") for name in ("examples", "quality"))
    quality.loc[quality["example"].isin(["a/w1", "b/w2"]), "missing"] = 0.9
    target = read_target({"rule": "below", "column": "ph", "threshold": 7.25}, "target")
    cohort, refused = make_cohort(examples, quality, long_store[0], target, max_missing=0.5)
    assert cohort["example"].tolist() == ["b/w1", "b/w3", "c/w1"]
    rejected = [refused.iloc[:0], read_table(folder / "rejected.parquet"), refused]
    _, flow = make_flow(long_store[0], cohort, rejected, target)
    left = flow[(flow["site"] == "all") & (flow["label"] == "all")].set_index("step")["recordings"]
    assert left.to_dict() == {
        "recorded": 4,
        "ingested": 4,
        "window long enough": 3,
        "signal quality": 2,
        "labelled": 2,
    }
