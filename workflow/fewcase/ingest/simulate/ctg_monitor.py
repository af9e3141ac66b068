"""The monitor of a simulated cardiotocogram: what a device writes of what happens, with its faults.

Which faults a recording has, and how much of it they spoil, is drawn from the hospital's options
alone; only where they fall depends on movements, contractions and pushing. So within one hospital
they say nothing about the outcome.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from fewcase.ingest.simulate.ctg_physiology import (
    RATE_HZ,
    Course,
    Event,
    Signal,
    drifting_noise,
)
from fewcase.study.sources import Hospital

UC_RESOLUTION = 0.5
FHR_RANGE_BPM = (30.0, 240.0)


@dataclasses.dataclass(frozen=True)
class Tracing:
    """What a device wrote.

    Attributes
    ----------
    fhr, uc
        float32 of equal length at the hospital's `sampling_hz`; FHR in bpm, 0 where it was lost;
        UC in the device's own units.
    lost, maternal, misread
        Shares of FHR that were lost, the mother's heart rate, and doubled or halved.
    events
        Faults, in the order of their onset: ``loss``, ``maternal``, ``doubling``, ``halving``,
        ``spike``.
    """

    fhr: npt.NDArray[np.float32]
    uc: npt.NDArray[np.float32]
    lost: float
    maternal: float
    misread: float
    events: tuple[Event, ...]


def record(course: Course, device: Hospital, rng: np.random.Generator) -> Tracing:
    """Record a course of labour with the devices of a hospital.

    Parameters
    ----------
    course
        What happens, sampled at `RATE_HZ`.
    device
        The hospital, for its devices and their faults.
    rng
        Source of chance.
    """
    count = course.fhr.size
    heard, maternal = _listen(course, device, rng)
    written = _hold_between_beats(heard)
    misread = _double_and_halve(written, course, device, rng)
    spikes = _spike(written, course, device, rng)
    written = np.round(written / device.resolution_bpm) * device.resolution_bpm
    runs = scatter_runs(
        _share(device.signal_loss, rng), lambda size: _loss_lengths(size, rng), course.unrest, rng
    )
    lost = _mask(runs, count) | (written < FHR_RANGE_BPM[0]) | (written > FHR_RANGE_BPM[1])
    written[lost] = 0.0
    uc = _write_uc(course, device, rng)

    taken = _sample_times(count, device.sampling_hz)
    events = [_fault("loss", start, stop) for start, stop in runs]
    events += maternal + misread + spikes
    return Tracing(
        written[taken].astype(np.float32),
        uc[taken].astype(np.float32),
        float(lost.mean()),
        _covered(maternal, count),
        _covered(misread, count),
        tuple(sorted(events, key=lambda event: event.onset_s)),
    )


def scatter_runs(
    share: float,
    draw_lengths: Callable[[int], Signal],
    weight: Signal,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """Draw runs of samples that cover about a share of a signal, more where it weighs more.

    Parameters
    ----------
    share
        Share of the samples to be covered, from 0 to below 1.
    draw_lengths
        Draws that many lengths of runs, in s.
    weight
        How likely a run begins at each sample; its length is that of the signal.
    rng
        Source of chance.

    Returns
    -------
    list of (start, stop)
        Runs of samples, which may overlap.
    """
    count = weight.size
    if share <= 0:
        return []
    # Runs fall on one another: covering a share at random takes -log(1 - share) of the length.
    wanted_s = -math.log1p(-min(share, 0.99)) * count / RATE_HZ
    lengths = draw_lengths(8)
    while lengths.sum() < wanted_s:
        lengths = np.concatenate([lengths, draw_lengths(lengths.size)])
    reached = np.cumsum(lengths)
    number = int(np.searchsorted(reached, wanted_s)) + 1
    lengths = lengths[:number]
    # The last run is cut to measure, or short recordings would always lose too much.
    lengths[-1] -= reached[number - 1] - wanted_s
    samples = np.maximum(np.round(lengths * RATE_HZ).astype(np.int64), 1)
    chance = np.cumsum(weight)
    middles = np.searchsorted(chance, rng.random(number) * chance[-1])
    starts = np.clip(middles - samples // 2, 0, np.maximum(count - samples, 0))
    return [
        (int(start), int(min(start + length, count)))
        for start, length in zip(starts, samples, strict=True)
    ]


def _share(mean: float, rng: np.random.Generator) -> float:
    """How much of one recording a fault spoils: many have little of it and some have much."""
    return float(rng.beta(1.0, (1 - mean) / mean)) if mean > 0 else 0.0


def _loss_lengths(size: int, rng: np.random.Generator) -> Signal:
    """Lengths of losses, s: mostly 1 to 8 s, now and then minutes until the probe is moved."""
    short = rng.lognormal(math.log(2.5), 0.9, size)
    return np.where(rng.random(size) < 0.07, rng.lognormal(math.log(35), 0.8, size), short)


def _mask(runs: list[tuple[int, int]], count: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(count, dtype=bool)
    for start, stop in runs:
        mask[start:stop] = True
    return mask


def _fault(kind: str, start: int, stop: int, size: float = 0.0) -> Event:
    onset_s, end_s = start / RATE_HZ, stop / RATE_HZ
    return Event(kind, onset_s, (onset_s + end_s) / 2, end_s, size)


def _covered(events: list[Event], count: int) -> float:
    runs = [(round(event.onset_s * RATE_HZ), round(event.end_s * RATE_HZ)) for event in events]
    return float(_mask(runs, count).mean())


def _listen(
    course: Course, device: Hospital, rng: np.random.Generator
) -> tuple[Signal, list[Event]]:
    """Whose heart the probe hears, averaged over as many beats as the device takes together."""
    runs = scatter_runs(
        _share(device.maternal_artefacts, rng),
        lambda size: np.clip(rng.lognormal(math.log(25), 0.8, size), 6, 180),
        course.unrest,
        rng,
    )
    heard = np.where(_mask(runs, course.fhr.size), course.mhr, course.fhr)
    span = round(device.averaging_s * RATE_HZ)
    if span > 1:
        heard = uniform_filter1d(heard, span, mode="nearest")
    return heard, [_fault("maternal", start, stop) for start, stop in runs]


def _hold_between_beats(rate: Signal) -> Signal:
    """Keep each value until the next heart beat: a monitor learns of no rate between two beats."""
    beat = np.floor(np.cumsum(rate) / 60 / RATE_HZ)
    starts = np.flatnonzero(np.diff(beat, prepend=-1.0))
    return np.repeat(rate[starts], np.diff(starts, append=rate.size))


def _double_and_halve(
    written: Signal, course: Course, device: Hospital, rng: np.random.Generator
) -> list[Event]:
    """Misread the period of the heart, in place: half the rate, or twice a slow one."""
    runs = scatter_runs(
        _share(device.doubling_halving, rng),
        lambda size: np.clip(rng.lognormal(math.log(5), 0.7, size), 1.5, 40),
        course.unrest,
        rng,
    )
    events = []
    for start, stop in sorted(runs):
        # Twice a rate above 118 bpm would be off the device's scale.
        slow = float(np.median(written[start:stop])) < 0.49 * FHR_RANGE_BPM[1]
        events.append(_fault("doubling" if slow else "halving", start, stop))
        written[start:stop] = course.fhr[start:stop] * (2.0 if slow else 0.5)
    return events


def _spike(
    written: Signal, course: Course, device: Hospital, rng: np.random.Generator
) -> list[Event]:
    """Write single wild values, in place."""
    number = rng.poisson(device.spikes_per_minute * written.size / RATE_HZ / 60)
    chance = np.cumsum(course.unrest)
    at = np.searchsorted(chance, rng.random(number) * chance[-1])
    sizes = rng.uniform(28, 80, number) * rng.choice([-1.0, 1.0], number)
    written[at] += sizes
    return [
        _fault("spike", int(index), int(index) + 1, float(size))
        for index, size in zip(at, sizes, strict=True)
    ]


def _write_uc(course: Course, device: Hospital, rng: np.random.Generator) -> Signal:
    count = course.uc.size
    uc = course.uc * device.uc_gain * rng.lognormal(0, 0.2)
    if rng.random() < 0.2:
        # The belt slips or is set to zero anew.
        uc[rng.integers(count) :] += rng.uniform(-12, 12) * device.uc_gain
    if rng.random() < 0.1:
        start = rng.integers(count)
        uc[start : start + round(rng.uniform(120, 700) * RATE_HZ)] = 0.0
    hours = np.arange(count) / RATE_HZ / 3600
    uc += device.uc_offset + device.uc_drift * rng.uniform(0.3, 1.7) * hours
    if device.uc_noise > 0:
        rough = 0.5 * rng.standard_normal(count) + 0.85 * drifting_noise(count, 1.5, rng)
        uc += device.uc_noise * rough
    uc = np.clip(uc, device.uc_lowest, device.uc_highest)
    return np.round(uc / UC_RESOLUTION) * UC_RESOLUTION


def _sample_times(count: int, sampling_hz: float) -> npt.NDArray[np.int64]:
    """Which simulated sample a device of that rate has written last at each of its own."""
    number = int(count / RATE_HZ * sampling_hz)
    return np.minimum((np.arange(number) * (RATE_HZ / sampling_hz)).astype(np.int64), count - 1)
