"""Noise processing against a per-sample reference in double precision, and against pandas."""

import math

import numpy as np
import pandas as pd
import pytest

from fewcase.signal.noise import clean_fhr, clean_uc, exponential_smoothing, moving_average
from fewcase.study.settings import SignalOptions

HZ = 4.0


def recorded_fhr(seed, rows=5, samples=1500, grid=4):
    """FHR with drop-outs, spikes, steps and lost samples, on a grid of 1/grid bpm if given."""
    rng = np.random.default_rng(seed)
    fhr = 140 + np.cumsum(rng.normal(0, 0.6, (rows, samples)), axis=1)
    fhr += 12 * np.sin(np.arange(samples) / 90)
    for row in fhr:
        for _ in range(12):
            start, length = rng.integers(0, samples), rng.integers(1, 100)
            row[start : start + length] = rng.choice([0.0, np.nan, 205.0, row[start] + 30])
        for position in rng.integers(0, samples, 25):
            row[position] += rng.choice([-40, -25, 25, 60])
    return (np.round(fhr * grid) / grid if grid else fhr).astype(np.float32)


def naive_cleaning(fhr, hz, options):
    """Apply rules 1 to 5 sample by sample; return the filled row, the mask and the causes."""
    x = [float(value) for value in fhr]
    cause = ["raw" if math.isnan(value) else "" for value in x]
    position = 0
    while position < len(x):
        end = position
        while end < len(x) and x[end] == 0:
            end += 1
        if end > position and (end - position) / hz >= options.longest_zero_run_s:
            cause[position:end] = ["zero_run"] * (end - position)
        position = max(end, position + 1)
    for i, value in enumerate(x):
        if not cause[i] and not options.fhr_low < value < options.fhr_high:
            cause[i] = "out_of_range"
    previous, jumps = None, []
    for i, value in enumerate(x):
        if cause[i]:
            continue
        near = previous is not None and (i - previous - 1) / hz <= options.jump_gap_s
        if near and abs(value - x[previous]) >= options.jump_bpm:
            jumps.append(i)
        previous = i
    for i in jumps:
        cause[i] = "jump"
    block = round(options.block_s * hz)
    for first in range(0, len(x), block):
        left = [i for i in range(first, min(first + block, len(x))) if not cause[i]]
        if left:
            mean = math.fsum(x[i] for i in left) / len(left)
            for i in left:
                if abs(x[i] - mean) >= options.block_bpm:
                    cause[i] = "block"
    missing = np.array([bool(why) for why in cause])
    if missing.all():
        return np.full(len(x), np.nan), missing, cause
    known = np.flatnonzero(~missing)
    return np.interp(np.arange(len(x)), known, np.array(x)[known]), missing, cause


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "options",
    [
        SignalOptions(),
        SignalOptions(jump_gap_s=0.5, block_s=7, block_bpm=12, jump_bpm=10, fhr_high=180),
    ],
)
def test_cleaning_decides_as_the_rules_say_sample_by_sample(seed, options):
    fhr = recorded_fhr(seed)
    cleaned = clean_fhr(fhr, HZ, options)
    for row in range(len(fhr)):
        filled, missing, cause = naive_cleaning(fhr[row], HZ, options)
        np.testing.assert_array_equal(cleaned.missing[row], missing)
        np.testing.assert_allclose(cleaned.fhr[row], filled, rtol=0, atol=2e-5)
        for name in ("raw", "zero_run", "out_of_range", "jump", "block"):
            assert getattr(cleaned, name)[row] == cause.count(name), name


def test_real_recordings_are_cleaned_as_the_rules_say(real_data):
    import wfdb

    headers = sorted(real_data.rglob("*.hea"))[::40]
    assert headers
    for header in headers:
        fhr = wfdb.rdrecord(str(header.with_suffix(""))).p_signal[-7200:, 0].astype(np.float32)
        cleaned = clean_fhr(fhr[None], HZ)
        filled, missing, _ = naive_cleaning(fhr, HZ, SignalOptions())
        np.testing.assert_array_equal(cleaned.missing[0], missing)
        np.testing.assert_allclose(cleaned.fhr[0], filled, rtol=0, atol=2e-5)


def test_the_data_of_these_tests_meet_every_rule():
    cleaned = clean_fhr(recorded_fhr(0, rows=20), HZ)
    for name in ("raw", "zero_run", "out_of_range", "jump", "block", "long_gaps"):
        assert getattr(cleaned, name).sum() > 0, name


@pytest.mark.parametrize("hz", [1.0, 2.0, 3.7])
def test_cleaning_keeps_its_meaning_at_other_sampling_rates(hz):
    fhr = recorded_fhr(7)
    cleaned = clean_fhr(fhr, hz)
    for row in range(len(fhr)):
        _, missing, _ = naive_cleaning(fhr[row], hz, SignalOptions())
        np.testing.assert_array_equal(cleaned.missing[row], missing)


def test_values_that_are_not_on_a_grid_are_cleaned_alike():
    fhr = recorded_fhr(3, grid=None)
    cleaned = clean_fhr(fhr, HZ)
    for row in range(len(fhr)):
        _, missing, _ = naive_cleaning(fhr[row], HZ, SignalOptions())
        np.testing.assert_array_equal(cleaned.missing[row], missing)


def test_a_row_is_cleaned_alike_alone_and_among_others():
    fhr = recorded_fhr(1, rows=70)
    together = clean_fhr(fhr, HZ)
    for row in (0, 31, 32, 69):
        alone = clean_fhr(fhr[row : row + 1], HZ)
        np.testing.assert_array_equal(alone.fhr[0], together.fhr[row])
        assert alone.jump[0] == together.jump[row]


def test_the_recording_itself_is_left_as_it_was():
    fhr = recorded_fhr(2)
    before = fhr.copy()
    clean_fhr(fhr, HZ)
    np.testing.assert_array_equal(fhr, before)


def test_a_true_step_costs_one_sample_and_not_the_rest():
    fhr = np.full((1, 600), 120, np.float32)
    fhr[0, 300:] = 160
    cleaned = clean_fhr(fhr, HZ, SignalOptions(block_bpm=100))
    assert np.flatnonzero(cleaned.missing[0]).tolist() == [300]


@pytest.mark.parametrize(("gap", "removed"), [(8, 1), (9, 0)])
def test_jumps_are_not_counted_across_gaps_over_two_seconds(gap, removed):
    fhr = np.full((1, 600), 120, np.float32)
    fhr[0, 300 : 300 + gap] = 0
    fhr[0, 300 + gap :] = 160
    assert clean_fhr(fhr, HZ, SignalOptions(block_bpm=100)).jump[0] == removed


@pytest.mark.parametrize(("length", "cause"), [(59, "out_of_range"), (60, "zero_run")])
def test_zeros_of_fifteen_seconds_are_a_run_and_shorter_ones_are_out_of_range(length, cause):
    fhr = np.full((1, 600), 140, np.float32)
    fhr[0, 100 : 100 + length] = 0
    cleaned = clean_fhr(fhr, HZ)
    assert getattr(cleaned, cause)[0] == length == cleaned.missing.sum()


def test_gaps_at_the_ends_take_the_nearest_value():
    fhr = np.array([[0, 0, 130, 0, 0, 136, 0]], np.float32)
    cleaned = clean_fhr(fhr, HZ)
    np.testing.assert_allclose(cleaned.fhr, [[130, 130, 130, 132, 134, 136, 136]], atol=1e-5)
    assert cleaned.longest_gap_s[0] == 0.5


def test_a_row_without_a_usable_sample_stays_missing_and_harms_no_other():
    fhr = np.full((3, 300), 140, np.float32)
    fhr[1] = [0, np.nan, 230] * 100
    cleaned = clean_fhr(fhr, HZ)
    assert np.isnan(cleaned.fhr[1]).all()
    assert cleaned.missing[1].all()
    assert (cleaned.fhr[[0, 2]] == 140).all()
    assert cleaned.longest_gap_s.tolist() == [0, 75, 0]


def test_gaps_are_measured():
    fhr = np.full((1, 1000), 140, np.float32)
    fhr[0, 10:70] = 0
    fhr[0, 100:161] = 0
    fhr[0, 900:] = 0
    cleaned = clean_fhr(fhr, HZ)
    assert cleaned.longest_gap_s[0] == 25
    assert cleaned.long_gaps[0] == 2


def recorded_uc(seed, rows=5, samples=1500):
    rng = np.random.default_rng(seed)
    uc = 20 + 30 * np.sin(np.arange(samples) / 60) + rng.normal(0, 4, (rows, samples))
    uc[rng.random(uc.shape) < 0.05] = np.nan
    return uc.astype(np.float32)


@pytest.mark.parametrize(("average_s", "span_s"), [(60, 60), (15, 0), (0, 20), (7.25, 300), (0, 0)])
def test_uc_is_smoothed_as_pandas_does(average_s, span_s):
    uc = recorded_uc(0)
    options = SignalOptions(uc_average_s=average_s, uc_span_s=span_s)
    cleaned = clean_uc(uc, HZ, options)
    for row in range(len(uc)):
        series = pd.Series(uc[row].astype(np.float64))
        series[series < 0] = np.nan
        assert cleaned.missing[row] == series.isna().sum()
        series = series.interpolate(limit_direction="both")
        if average_s:
            series = series.rolling(round(average_s * HZ), center=True, min_periods=1).mean()
        if span_s:
            series = series.ewm(span=span_s * HZ, adjust=False).mean()
        np.testing.assert_allclose(cleaned.uc[row], series, rtol=0, atol=2e-5)


def test_uc_that_was_never_recorded_stays_missing_and_harms_no_other():
    uc = recorded_uc(1, rows=3)
    uc[1] = -1
    cleaned = clean_uc(uc, HZ)
    assert np.isnan(cleaned.uc[1]).all()
    assert np.isfinite(cleaned.uc[[0, 2]]).all()
    assert cleaned.missing[1] == uc.shape[1]


def test_a_window_longer_than_the_signal_averages_all_of_it():
    signal = np.arange(10, dtype=np.float32)[None]
    np.testing.assert_allclose(moving_average(signal, 40), np.full((1, 10), 4.5), rtol=1e-6)


def test_smoothing_a_constant_changes_nothing():
    signal = np.full((2, 500), 37.5, np.float32)
    np.testing.assert_allclose(exponential_smoothing(signal, 240), signal, rtol=1e-6)
