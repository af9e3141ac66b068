"""Baselines on signals whose baseline is known."""

import numpy as np
import pandas as pd
import pytest

from fewcase.signal.baseline import baseline, running_baseline

HZ = 4.0
SAMPLES = 7200
TIME_S = np.arange(SAMPLES) / HZ


def steady(level=140.0, noise=3.0, seed=0, rows=1):
    rng = np.random.default_rng(seed)
    return (level + rng.normal(0, noise, (rows, SAMPLES))).astype(np.float32)


def bump(start_s, length_s, bpm):
    """A smooth excursion."""
    share = (TIME_S - start_s) / length_s
    return np.where((share >= 0) & (share < 1), bpm * np.sin(np.pi * share) ** 2, 0)


def test_block10_is_the_mean_of_each_ten_minutes():
    fhr = np.cumsum(steady(0, 1, rows=40), axis=1) + 140
    expected = fhr.astype(np.float64).reshape(40, 3, 2400).mean(axis=2).repeat(2400, axis=1)
    np.testing.assert_allclose(baseline(fhr, HZ), expected, atol=2e-5)


def test_block10_of_a_window_that_ends_within_a_block_takes_what_there_is():
    fhr = steady()[:, :6000]
    line = baseline(fhr, HZ)
    np.testing.assert_allclose(line[0, 4800:], fhr[0, 4800:].mean(), atol=1e-3)


def test_moving10_is_pandas_rolling_mean():
    fhr = np.cumsum(steady(0, 1, rows=3), axis=1) + 140
    expected = pd.DataFrame(fhr.T.astype(np.float64)).rolling(2400, center=True, min_periods=1)
    np.testing.assert_allclose(baseline(fhr, HZ, "moving10"), expected.mean().T, atol=1e-3)


@pytest.mark.parametrize("method", ["figo", "nichd"])
def test_readers_leave_out_what_block_means_do_not(method):
    fhr = steady()
    for start in (100, 300, 800, 1300, 1500):
        fhr += bump(start, 90, -50).astype(np.float32)
    assert np.abs(baseline(fhr, HZ) - 140).max() > 3
    assert np.abs(baseline(fhr, HZ, method) - 140).max() < 1


@pytest.mark.parametrize("method", ["figo", "nichd"])
def test_readers_leave_out_what_was_filled_in(method):
    fhr, missing = steady(), np.zeros((1, SAMPLES), bool)
    lost = slice(400, 1400)
    fhr[:, lost], missing[:, lost] = 100, True
    assert np.abs(baseline(fhr, HZ, method, missing) - 140).max() < 1


def test_nichd_is_rounded_to_five_bpm():
    fhr = np.concatenate([steady(level)[:, :2400] for level in (132.3, 138, 143)], axis=1)
    line = baseline(fhr, HZ, "nichd")
    assert np.unique(line).tolist() == [130, 140, 145]


def test_nichd_takes_an_indeterminate_period_from_the_one_before_or_the_next():
    missing = np.zeros((1, SAMPLES), bool)
    missing[:, 2400 : 4800 - 470] = True
    fhr = np.concatenate([steady(level)[:, :2400] for level in (120, 150, 135)], axis=1)
    assert np.unique(baseline(fhr, HZ, "nichd", missing)[0, 2400:4800]).tolist() == [120]
    missing[:, :2400] = True
    assert np.unique(baseline(fhr, HZ, "nichd", missing)).tolist() == [135]
    # Two minutes of baseline are enough.
    missing[:, 4800 - 480 : 4800] = False
    assert np.unique(baseline(fhr, HZ, "nichd", missing)[0, 2400:4800]).tolist() == [150]


def test_nichd_without_any_determinate_period_has_no_baseline():
    marked = steady(noise=0)
    marked[:, ::8] += 30
    assert np.isnan(baseline(marked, HZ, "nichd")).all()


@pytest.mark.parametrize("method", ["block10", "moving10", "figo", "nichd"])
def test_a_missing_row_has_no_baseline_and_harms_no_other(method):
    fhr = steady(rows=3)
    fhr[1] = np.nan
    line = baseline(fhr, HZ, method)
    assert np.isnan(line[1]).all()
    np.testing.assert_allclose(line[[0, 2]], 140, atol=1)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="moving10"):
        baseline(steady(), HZ, "fourier")


def test_the_running_baseline_follows_a_drift_and_ignores_excursions():
    drift = 130 + 15 * TIME_S / 1800
    fhr = steady(0) + drift
    for start in (100, 400, 700, 1000, 1300, 1600):
        fhr += bump(start, 80, -45) + bump(start + 100, 40, 25)
    line = running_baseline(fhr.astype(np.float32), HZ)
    middle = slice(1200, 6000)
    assert np.abs(line[0, middle] - drift[middle]).max() < 2
