"""Copies among recordings are found however they were cut; flat lines and strangers are not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.data.recordings import Recording, read_recordings
from fewcase.ingest.ctu_uhb import read_ctu_uhb
from fewcase.ingest.simulate.ctg import simulate_ctg
from fewcase.ingest.store import write_recordings
from fewcase.signal.windows import Windows, process_windows
from fewcase.splits.duplicates import read_duplicates
from fewcase.splits.signal_pairs import find_signal_pairs
from fewcase.study.settings import SignalOptions
from fewcase.study.sources import CtuUhb, Hospital, SimulateCtg

HZ = 4.0
MINUTES = 20
WORKFLOW = Path(__file__).parents[2] / "workflow"


def birth(seed, minutes=45):
    """FHR with slow and fast changes and gaps, and UC."""
    rng = np.random.default_rng(seed)
    seconds = minutes * 60
    slow = np.cumsum(rng.normal(0, 1, seconds))
    slow -= np.linspace(0, slow[-1], seconds)
    fhr = np.repeat(140 + slow + rng.normal(0, 1, seconds), 4)
    for start in rng.integers(0, len(fhr), 12):
        fhr[start : start + rng.integers(4, 120)] = 0
    uc = 30 + 20 * np.sin(np.arange(len(fhr)) / rng.uniform(100, 200))
    return fhr, uc


def earlier(fhr, seconds):
    return fhr[: len(fhr) - round(seconds * HZ)]


def noisy(fhr, sd):
    noise = np.random.default_rng(9).normal(0, sd, len(fhr))
    return np.where(fhr > 0, fhr + noise, 0)


def with_other_gaps(fhr):
    fhr = fhr.copy()
    for start in np.random.default_rng(8).integers(0, len(fhr), 20):
        fhr[start : start + 80] = 0
    return fhr


def pairs_among(signals, tmp_path, threads=1):
    """Store (fhr, uc) pairs as recordings r0, r1, …, cut their windows, and compare them."""
    recordings = [
        Recording(
            f"r{row:03}", f"p{row:03}", "A", None, fhr.astype(np.float32), uc.astype(np.float32), HZ
        )
        for row, (fhr, uc) in enumerate(signals)
    ]
    write_recordings(recordings, tmp_path / "recordings")
    store = read_recordings(tmp_path / "recordings")
    process_windows(*store, SignalOptions(minutes=MINUTES), tmp_path / "window")
    return find_signal_pairs(Windows.open(tmp_path / "window"), threads=threads)


def rows_of(pairs):
    return list(pairs[["row_a", "row_b", "kind"]].itertuples(index=False, name=None))


def test_the_same_samples_are_an_exact_copy_under_any_name(tmp_path):
    pairs, facts = pairs_among([birth(0), birth(1), birth(0), birth(2)], tmp_path)
    assert rows_of(pairs) == [(0, 2, "exact")]
    assert pairs["correlation"].tolist() == [1]
    assert pairs["transform"].tolist() == [""]
    assert (facts["compared"], facts["featureless"]) == (4, 0)


@pytest.mark.parametrize(
    ("change", "lag_s"),
    [
        (lambda fhr: earlier(fhr, 7), -7),
        (lambda fhr: earlier(fhr, 61), -61),
        (lambda fhr: earlier(fhr, 600), -600),
        (lambda fhr: earlier(fhr, 14 * 60), -14 * 60),
        (np.round, 0),
        (lambda fhr: noisy(fhr, 1.5), 0),
        (with_other_gaps, 0),
        (lambda fhr: np.repeat(fhr[::4], 4), 0),
        (lambda fhr: earlier(noisy(with_other_gaps(fhr), 1), 313), -313),
    ],
    ids=["7s", "1min", "10min", "14min", "rounded", "noisy", "gaps", "1Hz", "all"],
)
def test_an_altered_copy_is_found_at_its_lag(tmp_path, change, lag_s):
    births = [birth(seed) for seed in range(8)]
    copies = [(change(fhr), uc[: len(change(fhr))]) for fhr, uc in births]
    pairs, _ = pairs_among([*births, *copies], tmp_path)
    assert rows_of(pairs) == [(row, row + 8, "near") for row in range(8)]
    np.testing.assert_allclose(pairs["lag_s"], lag_s, atol=1)
    assert (pairs["correlation"] >= 0.8).all()


def test_a_later_cut_has_a_positive_lag(tmp_path):
    fhr, uc = birth(0)
    pairs, _ = pairs_among([(earlier(fhr, 120), earlier(uc, 120)), (fhr, uc)], tmp_path)
    assert pairs["lag_s"].tolist() == [120]


def test_a_copy_without_contractions_is_near(tmp_path):
    fhr, uc = birth(0)
    pairs, _ = pairs_among([(fhr, uc), (fhr, np.full_like(uc, np.nan))], tmp_path)
    assert rows_of(pairs) == [(0, 1, "near")]
    assert pairs["correlation"][0] == pytest.approx(1)


def test_correlation_is_that_of_the_movements_measured_in_both(tmp_path):
    fhr, uc = birth(3)
    copy = earlier(noisy(with_other_gaps(fhr), 1.5), 40)
    pairs, _ = pairs_among([(fhr, uc), (copy, uc[: len(copy)])], tmp_path)
    windows = Windows.open(tmp_path / "window")
    lag = int(pairs["lag_s"][0])
    assert lag == -40

    def movements(row):
        rate = np.asarray(windows.fhr[row], np.float64)
        measured = ~windows.missing(slice(row, row + 1))[0]
        second = range(4, MINUTES * 60 - 3)
        change = [rate[4 * s : 4 * s + 16].mean() - rate[4 * s - 16 : 4 * s].mean() for s in second]
        known = [
            min(measured[4 * s : 4 * s + 16].mean(), measured[4 * s - 16 : 4 * s].mean()) >= 0.5
            for s in second
        ]
        return np.where(known, change, np.nan)

    # b begins 40 s earlier: what b has at a time, a has 40 s before.
    a, b = movements(0)[:lag], movements(1)[-lag:]
    known = np.isfinite(a) & np.isfinite(b)
    expected = np.corrcoef(a[known], b[known])[0, 1]
    assert pairs["correlation"][0] == pytest.approx(expected, abs=1e-3)


def test_filled_gaps_are_no_evidence(tmp_path):
    """Two births that share nothing but a straight line across the same long gap."""
    signals = []
    for seed in range(6):
        fhr, uc = birth(seed)
        fhr[-18 * 240 : -1 * 240] = 0
        signals.append((fhr, uc))
    pairs, facts = pairs_among(signals, tmp_path)
    assert rows_of(pairs) == []
    assert facts["featureless"] == 6


def test_the_same_samples_are_an_exact_copy_though_little_is_measured(tmp_path):
    signals = []
    for seed in range(3):
        fhr, uc = birth(seed)
        fhr[-18 * 240 : -1 * 240] = 0
        signals.append((fhr, uc))
    flat = np.where(signals[0][0] > 0, 140.0, 0), signals[0][1]
    copies = [signals[0], (signals[1][0], signals[2][1])]
    pairs, facts = pairs_among([*signals, *copies, flat, flat], tmp_path)
    assert rows_of(pairs) == [(0, 3, "exact")]
    assert facts["featureless"] == 7


def test_flat_lines_are_counted_and_paired_with_none(tmp_path):
    uc = np.zeros(45 * 240)
    lines = [np.full(45 * 240, level) for level in (140, 140, 141)]
    slopes = [np.linspace(140, 141, 45 * 240), np.linspace(140, 141, 45 * 240)]
    pairs, facts = pairs_among([(fhr, uc) for fhr in (*lines, *slopes)] + [birth(0)], tmp_path)
    assert rows_of(pairs) == []
    assert facts["featureless"] == 5


def test_alike_decelerations_do_not_make_two_births_one(tmp_path):
    """The same contractions, and decelerations with each, in all births; the rest is their own."""
    place = np.arange(45 * 240)
    fall = 25 * np.clip(np.sin(2 * np.pi * place / (150 * HZ)), 0, None) ** 2
    signals = []
    for seed in range(20):
        fhr, uc = birth(seed)
        signals.append((np.where(fhr > 0, fhr - fall * (0.6 + 0.04 * seed), 0), uc))
    assert rows_of(pairs_among(signals, tmp_path)[0]) == []


def test_pairs_do_not_depend_on_threads(tmp_path):
    births = [birth(seed) for seed in range(6)]
    copies = [(earlier(noisy(fhr, 1), 90), uc[:-360]) for fhr, uc in births]
    one, _ = pairs_among([*births, *copies, births[0]], tmp_path)
    many, _ = find_signal_pairs(Windows.open(tmp_path / "window"), threads=3)
    assert len(one) == 8
    pd.testing.assert_frame_equal(one, many)


def test_simulated_births_are_no_copies_of_each_other(tmp_path):
    recordings = simulate_ctg(SimulateCtg(minutes=32.0, hospitals={"A": Hospital(recordings=60)}))
    write_recordings(recordings, tmp_path / "recordings")
    process_windows(*read_recordings(tmp_path / "recordings"), SignalOptions(), tmp_path / "window")
    pairs, facts = find_signal_pairs(Windows.open(tmp_path / "window"))
    assert facts["compared"] > 50
    assert rows_of(pairs) == []


def test_public_births_are_no_copies_of_each_other(real_data, tmp_path):
    recordings = read_ctu_uhb(CtuUhb(), real_data / "ctu-uhb-ctgdb")
    write_recordings(recordings, tmp_path / "recordings")
    process_windows(*read_recordings(tmp_path / "recordings"), SignalOptions(), tmp_path / "window")
    pairs, facts = find_signal_pairs(Windows.open(tmp_path / "window"))
    assert facts["compared"] == 552
    assert rows_of(pairs) == []


def test_the_stage_names_the_examples_of_a_pair(tmp_path):
    pairs_among([birth(0), birth(1), birth(0)], tmp_path)
    out = tmp_path / "duplicates.parquet"
    command = [sys.executable, str(WORKFLOW / "find_duplicates.py"), "--threads", "2"]
    subprocess.run(
        [*command, "--window", str(tmp_path / "window"), "--out", str(out)], check=True, timeout=60
    )
    pairs, facts = read_duplicates(out)
    assert pairs[["example_a", "example_b"]].to_numpy().tolist() == [["r000", "r002"]]
    assert facts["compared"] == 3
