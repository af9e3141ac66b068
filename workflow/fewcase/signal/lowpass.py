"""Low-pass filters of whole arrays of windows, for the sweep over the cut-off of FHR."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fewcase.signal.rows import CACHE_ROWS, row_blocks

Float32 = npt.NDArray[np.float32]

BUTTERWORTH_ORDER = 4


def cutoff_hz(cutoff: float, unit: str, samples: int, sampling_hz: float) -> float:
    """Return a cut-off frequency in Hz.

    Parameters
    ----------
    cutoff
        The frequency in `unit`.
    unit
        ``bins`` (cycles per window), ``mhz`` (millihertz) or ``cpm`` (cycles per minute).
    samples
        Samples of the window.
    sampling_hz
        Sampling rate, Hz.
    """
    if unit == "bins":
        return cutoff * sampling_hz / samples
    if unit == "mhz":
        return cutoff / 1000.0
    if unit == "cpm":
        return cutoff / 60.0
    raise ValueError(f"unit of a cut-off: {unit!r}; expected bins, mhz or cpm")


def lowpass(
    signal: Float32,
    sampling_hz: float,
    cutoff: float | None,
    *,
    unit: str = "bins",
    kind: str = "fft",
    mirror: bool = True,
) -> Float32:
    """Keep what is slower than a cut-off; 0 leaves the mean of each row, a straight line.

    Parameters
    ----------
    signal
        float32 (n, samples) without gaps; rows of NaN stay NaN.
    sampling_hz
        Sampling rate, Hz.
    cutoff
        The highest frequency kept, in `unit`; null, or from the Nyquist frequency on, keeps all.
    unit
        ``bins``, ``mhz`` or ``cpm``, see `cutoff_hz`.
    kind
        ``fft``: a brick wall, which keeps the cut-off itself. ``butterworth``: order 4 forward and
        backward, so without delay and with half the amplitude at the cut-off.
    mirror
        For ``fft``: extend the window by its mirror image, so that its ends meet.

    Returns
    -------
    float32 (n, samples)
    """
    samples = signal.shape[1]
    if cutoff is None:
        return signal.copy()
    frequency = cutoff_hz(cutoff, unit, samples, sampling_hz)
    if frequency < 0:
        raise ValueError(f"cut-off {cutoff!r}: expected 0 or more")
    if frequency == 0:
        mean = signal.mean(axis=1, dtype=np.float64, keepdims=True)
        return np.repeat(mean.astype(np.float32), samples, axis=1)
    if frequency >= sampling_hz / 2:
        return signal.copy()
    if kind == "butterworth":
        return _butterworth(signal, sampling_hz, frequency)
    if kind != "fft":
        raise ValueError(f"kind of a low-pass filter: {kind!r}; expected fft or butterworth")
    filtered = np.empty(signal.shape, np.float32)
    for block in row_blocks(len(signal), CACHE_ROWS):
        filtered[block] = _brick_wall(signal[block], frequency / sampling_hz, mirror)
    return filtered


def _brick_wall(signal: Float32, frequency: float, mirror: bool) -> Float32:
    """Drop all above `frequency`, in cycles per sample."""
    from scipy import fft

    samples = signal.shape[1]
    # The spectrum of a window and its mirror image is the window's cosine transform: twice as
    # many frequencies, all real. What rounding took from a whole number is given back first.
    period = 2 * samples if mirror else samples
    keep = math.floor(frequency * period + 1e-6) + 1
    if mirror:
        spectrum = fft.dct(signal, type=2, axis=1)
        spectrum[:, keep:] = 0
        return fft.idct(spectrum, type=2, axis=1, overwrite_x=True)
    spectrum = fft.rfft(signal, axis=1)
    spectrum[:, keep:] = 0
    return fft.irfft(spectrum, samples, axis=1, overwrite_x=True)


def _butterworth(signal: Float32, sampling_hz: float, frequency: float) -> Float32:
    from scipy.signal import butter, sosfiltfilt

    sections = butter(BUTTERWORTH_ORDER, frequency, fs=sampling_hz, output="sos")
    filtered = np.empty(signal.shape, np.float32)
    for block in row_blocks(len(signal), CACHE_ROWS):
        # A row of NaN is filtered to NaN and touches no other.
        filtered[block] = sosfiltfilt(sections, signal[block].astype(np.float64), axis=1)
    return filtered
