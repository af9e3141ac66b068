"""Claims about resampling, against signals whose value at any instant is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewcase.ingest.resampling import resample

RATES = [1.0, 2.0, 3.0, 4.0, 5.0, 6.4, 8.0, 10.0, 25.0, 100.0]


def at(rate, function, seconds=120):
    return function(np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", RATES)
def test_a_ramp_stays_the_same_ramp_without_a_shift_in_time(rate):
    def ramp(t):
        return 120 + 0.25 * t

    found = resample(at(rate, ramp), rate, 4.0)
    assert found.dtype == np.float32
    assert len(found) == 480
    # At the ends the window, or the last source sample, reaches beyond the recording.
    inner = slice(2, -4)
    # Between whole multiples the mean moves by a fraction of a source interval, 0.02 s at most.
    exact = rate <= 4 or (rate / 4).is_integer()
    tolerance = 1e-4 if exact else 0.25 * 0.02
    np.testing.assert_allclose(found[inner], at(4.0, ramp)[inner], atol=tolerance)
    np.testing.assert_allclose(found, at(4.0, ramp), atol=0.25)


@pytest.mark.parametrize("rate", RATES)
def test_slow_heart_rate_changes_keep_their_size_and_place(rate):
    def deceleration(t):
        return 140 - 40 * np.exp(-(((t - 60) / 12) ** 2))

    found = resample(at(rate, deceleration), rate, 4.0)
    np.testing.assert_allclose(found[4:-4], at(4.0, deceleration)[4:-4], atol=0.15)


@pytest.mark.parametrize("rate", [25.0, 100.0])
def test_changes_faster_than_half_of_4_hz_do_not_fold_back(rate):
    # 4.1 Hz would come back as a full-size wave of 0.1 Hz if every n-th sample were taken.
    found = resample(at(rate, lambda t: 140 + 20 * np.sin(2 * np.pi * 4.1 * t)), rate, 4.0)
    assert np.abs(found[4:-4] - 140).max() < 20 * 0.06


@pytest.mark.parametrize("rate", RATES)
def test_missing_samples_are_neither_filled_nor_spread(rate):
    signal = at(rate, lambda t: np.where((t >= 30) & (t < 60), np.nan, 140.0))
    found = resample(signal, rate, 4.0)
    time = np.arange(len(found)) / 4
    # One source interval at either edge may fall to one side or the other.
    slack = max(1 / rate, 1 / 4)
    assert np.isnan(found[(time >= 30 + slack) & (time < 60 - slack)]).all()
    assert np.isfinite(found[(time < 30 - slack) | (time >= 60 + slack)]).all()
    assert np.nanmin(found) == np.nanmax(found) == 140


def test_the_share_of_missing_samples_is_kept_at_low_rates():
    rng = np.random.default_rng(0)
    signal = np.where(rng.random(3000) < 0.3, np.nan, 140.0)
    share = np.isnan(signal).mean()
    assert abs(np.isnan(resample(signal, 1.0, 4.0)).mean() - share) < 0.02


def test_4_hz_stays_as_it_is_and_is_a_copy():
    signal = np.array([0, 140, np.nan, 141], dtype=np.float32)
    found = resample(signal, 4.0, 4.0)
    np.testing.assert_array_equal(found, signal)
    assert not np.shares_memory(found, signal)


def test_at_a_whole_multiple_it_is_the_mean_of_the_interval_around_the_instant():
    signal = np.arange(1.0, 13.0) ** 2
    found = resample(signal, 12.0, 4.0)
    # 12 Hz: the interval of a 4 Hz sample is the source sample there and its two neighbours.
    expected = [(1 + 4) / 2, (9 + 16 + 25) / 3, (36 + 49 + 64) / 3, (81 + 100 + 121) / 3]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_half_of_an_interval_must_be_recorded():
    none = np.nan
    signal = np.array([100, 100, 100, none, 130, none, 150, none, 160, none, none, 190])
    found = resample(signal, 12.0, 4.0)
    # Two of two, two of three, one of three, one of three.
    np.testing.assert_allclose(found, [100, 115, none, none], equal_nan=True)


@given(
    rate=st.floats(0.5, 300),
    signal=st.lists(st.one_of(st.just(np.nan), st.floats(30, 240)), min_size=1, max_size=300),
)
@settings(max_examples=200, deadline=None)
def test_no_value_lies_outside_those_that_were_recorded(rate, signal):
    signal = np.array(signal)
    found = resample(signal, rate, 4.0)
    assert len(found) == int(len(signal) * 4 / rate + 1e-6)
    values = found[np.isfinite(found)]
    assert not np.isinf(found).any()
    if np.isnan(signal).all():
        assert values.size == 0
    elif values.size:
        assert values.min() >= np.nanmin(signal) - 1e-2
        assert values.max() <= np.nanmax(signal) + 1e-2
