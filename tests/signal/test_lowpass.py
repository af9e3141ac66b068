"""Low-pass filters against sinusoids, NumPy's transform in double precision, and scipy."""

import numpy as np
import pytest
from scipy import signal as scipy_signal

from fewcase.signal.lowpass import lowpass

HZ = 4.0
SAMPLES = 7200


def windows(rows=4, samples=SAMPLES):
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 0.5, (rows, samples)), axis=1)
    return (140 + walk + rng.normal(0, 3, (rows, samples))).astype(np.float32)


def cycles(count, samples=SAMPLES):
    """Cosines with whole cycles in the window and even about its ends."""
    return np.cos(2 * np.pi * count * (np.arange(samples) + 0.5) / samples)


@pytest.mark.parametrize("mirror", [True, False])
def test_the_brick_wall_keeps_the_cutoff_and_drops_the_next_bin(mirror):
    slow, fast = 140 + 10 * cycles(10), 5 * cycles(11)
    filtered = lowpass((slow + fast)[None].astype(np.float32), HZ, 10, mirror=mirror)
    np.testing.assert_allclose(filtered[0], slow, atol=2e-4)


@pytest.mark.parametrize("cutoff", [0.5, 1, 5, 10, 22.5, 50])
def test_mirroring_is_the_transform_of_window_and_mirror_image(cutoff):
    signal = windows()
    extended = np.concatenate([signal, signal[:, ::-1]], axis=1).astype(np.float64)
    spectrum = np.fft.rfft(extended, axis=1)
    spectrum[:, np.fft.rfftfreq(2 * SAMPLES, 1 / HZ) > cutoff / 1800 + 1e-9] = 0
    expected = np.fft.irfft(spectrum, axis=1)[:, :SAMPLES]
    np.testing.assert_allclose(lowpass(signal, HZ, cutoff), expected, atol=2e-4)


@pytest.mark.parametrize("cutoff", [1, 5, 10.5, 50])
def test_without_mirror_it_is_the_transform_of_the_window(cutoff):
    signal = windows()
    spectrum = np.fft.rfft(signal.astype(np.float64), axis=1)
    spectrum[:, int(cutoff) + 1 :] = 0
    expected = np.fft.irfft(spectrum, axis=1)
    np.testing.assert_allclose(lowpass(signal, HZ, cutoff, mirror=False), expected, atol=2e-4)


def test_mirroring_keeps_the_ends_of_a_drift_apart():
    drift = np.linspace(110, 170, SAMPLES, dtype=np.float32)[None]
    with_mirror = np.abs(lowpass(drift, HZ, 10) - drift).max()
    without = np.abs(lowpass(drift, HZ, 10, mirror=False) - drift).max()
    assert with_mirror < 2
    assert without > 20


@pytest.mark.parametrize("kind", ["fft", "butterworth"])
def test_a_cutoff_of_zero_leaves_the_mean(kind):
    signal = windows()
    filtered = lowpass(signal, HZ, 0, kind=kind)
    mean = signal.astype(np.float64).mean(axis=1).astype(np.float32)
    assert (filtered == mean[:, None]).all()


@pytest.mark.parametrize("kind", ["fft", "butterworth"])
def test_units_of_the_cutoff_agree(kind):
    signal = windows()
    bins = lowpass(signal, HZ, 18, unit="bins", kind=kind)
    for cutoff, unit in ((10, "mhz"), (0.6, "cpm")):
        other = lowpass(signal, HZ, cutoff, unit=unit, kind=kind)
        np.testing.assert_allclose(other, bins, atol=1e-4)


def test_butterworth_is_scipys_forward_and_backward():
    signal = windows()
    sections = scipy_signal.butter(4, 10 / 1800, fs=HZ, output="sos")
    expected = scipy_signal.sosfiltfilt(sections, signal.astype(np.float64), axis=1)
    filtered = lowpass(signal, HZ, 10, kind="butterworth")
    np.testing.assert_allclose(filtered, expected, atol=1e-4)


def test_butterworth_halves_the_amplitude_at_the_cutoff():
    signal = (140 + 10 * cycles(40))[None].astype(np.float32)
    middle = slice(2400, 4800)
    filtered = lowpass(signal, HZ, 40, kind="butterworth")[0, middle]
    assert np.ptp(filtered) == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(("cutoff", "unit"), [(None, "bins"), (3600, "bins"), (120, "cpm")])
def test_no_cutoff_or_one_beyond_the_nyquist_frequency_changes_nothing(cutoff, unit):
    signal = windows()
    np.testing.assert_array_equal(lowpass(signal, HZ, cutoff, unit=unit), signal)


@pytest.mark.parametrize("kind", ["fft", "butterworth"])
def test_a_missing_row_harms_no_other(kind):
    signal = windows(rows=3)
    alone = lowpass(signal[:1], HZ, 10, kind=kind)
    signal[1] = np.nan
    filtered = lowpass(signal, HZ, 10, kind=kind)
    assert np.isnan(filtered[1]).all()
    np.testing.assert_allclose(filtered[0], alone[0], atol=1e-4)
    assert np.isfinite(filtered[2]).all()


def test_unknown_units_and_kinds_are_refused():
    with pytest.raises(ValueError, match="unit"):
        lowpass(windows(), HZ, 10, unit="hz")
    with pytest.raises(ValueError, match="kind"):
        lowpass(windows(), HZ, 10, kind="gauss")
