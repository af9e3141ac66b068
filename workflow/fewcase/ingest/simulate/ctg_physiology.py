"""The physiology of a simulated cardiotocogram: how a uterus contracts and a fetal heart answers.

The patterns, their lengths and their sizes follow the FIGO consensus guidelines on intrapartum
fetal monitoring (Ayres-de-Campos, Spong, Chandraharan, 2015): a baseline of 110 to 160 bpm, a
band of variability of 5 to 25 bpm, accelerations of 15 bpm and 15 s, early, late, variable and
prolonged decelerations. How often they come, and how they go with oxygenation, was set by eye to
look like labour. Nothing here was measured on a person.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE_HZ = 4.0
"""Samples per second of everything that is simulated; a device may write fewer."""

Signal = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Fetus:
    """What a fetus brings into labour.

    Attributes
    ----------
    gestational_weeks
        Completed weeks and their fraction.
    distress
        How badly it bears labour, as a standard score: the cause that the signal and the condition
        at birth have in common.
    baseline_bpm
        Its heart rate at rest while it is well.
    variability
        Factor on its variability; 1 is the average fetus.
    """

    gestational_weeks: float
    distress: float
    baseline_bpm: float
    variability: float


@dataclasses.dataclass(frozen=True)
class Labour:
    """The stretch of labour that is recorded.

    Attributes
    ----------
    seconds
        Length of the recording.
    second_stage_s
        Where the second stage (pushing) begins; infinite where the recording ends before it.
    to_birth_s
        Time from the end of the recording to the birth.
    """

    seconds: float
    second_stage_s: float
    to_birth_s: float

    @property
    def times(self) -> Signal:
        """Time of every sample from the start of the recording, in s."""
        return np.arange(round(self.seconds * RATE_HZ)) / RATE_HZ


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happens in a recording, for tests and figures: where it begins and ends.

    `size` is in bpm (below 0 for a deceleration) or in units of UC; `contraction_s` is the peak of
    the contraction that a deceleration answers, NaN for everything else.
    """

    kind: str
    onset_s: float
    peak_s: float
    end_s: float
    size: float
    contraction_s: float = math.nan


@dataclasses.dataclass(frozen=True)
class Contraction:
    """A contraction: `onset_s` and `end_s` are where it reaches a tenth of its strength."""

    peak_s: float
    duration_s: float
    strength: float

    @property
    def onset_s(self) -> float:
        return self.peak_s - 0.45 * self.duration_s

    @property
    def end_s(self) -> float:
        return self.peak_s + 0.55 * self.duration_s

    def shape(self, times: Signal) -> Signal:
        """Its course at `times` (s), between 0 and 1: a bell that rises faster than it falls."""
        from_peak = times - self.peak_s
        # A Gaussian falls to a tenth at 1.517 of its scale exp(-x²).
        scale = np.where(from_peak < 0, 0.45, 0.55) * self.duration_s / 1.517
        return np.exp(-np.square(from_peak / scale))


@dataclasses.dataclass(frozen=True)
class Excursion:
    """A passing change of the heart rate: away from the baseline, a hold, and back to it.

    `size_bpm` is below 0 for a deceleration. Shoulders are the brief rises before and after a
    variable deceleration.
    """

    kind: str
    onset_s: float
    away_s: float
    hold_s: float
    back_s: float
    size_bpm: float
    shoulder_bpm: float = 0.0
    contraction_s: float = math.nan

    @property
    def peak_s(self) -> float:
        return self.onset_s + self.away_s + self.hold_s / 2

    @property
    def end_s(self) -> float:
        return self.onset_s + self.away_s + self.hold_s + self.back_s

    def shape(self, times: Signal) -> Signal:
        """Its change of the heart rate at `times` (s), in bpm."""
        away = _ease((times - self.onset_s) / self.away_s)
        back = _ease((times - (self.end_s - self.back_s)) / self.back_s)
        change = self.size_bpm * (away - back)
        if self.shoulder_bpm:
            for centre in (self.onset_s - 4.0, self.end_s + 5.0):
                change += self.shoulder_bpm * np.exp(-np.square((times - centre) / 7.0))
        return change

    def event(self) -> Event:
        """Return it as an entry of the list of events."""
        return Event(
            self.kind, self.onset_s, self.peak_s, self.end_s, self.size_bpm, self.contraction_s
        )


@dataclasses.dataclass(frozen=True)
class Course:
    """What happens between mother and child, before any device records it; all at `RATE_HZ`.

    Attributes
    ----------
    fhr
        Fetal heart rate, bpm, without gaps.
    uc
        Uterine activity as a good tocodynamometer would show it: resting tone and contractions.
    mhr
        The mother's heart rate, bpm.
    unrest
        How hard it is to keep contact at each moment, 1 on average over quiet labour: higher with
        movements, contractions and pushing.
    events
        Contractions, movements, accelerations and decelerations, in the order of their onset.
    """

    fhr: Signal
    uc: Signal
    mhr: Signal
    unrest: Signal
    events: tuple[Event, ...]


def compromise(distress: float, before_birth_s: Signal) -> Signal:
    """Return how far a fetus is compromised, between 0 and 1, at times before its birth (s).

    A reserve that is small is used up as labour goes on, so this grows towards the birth.
    """
    at_birth = 1 / (1 + math.exp(-1.9 * (distress - 1.15)))
    return at_birth * (0.4 + 0.6 * np.exp(-np.maximum(before_birth_s, 0) / 3000.0))


def contractions(labour: Labour, rng: np.random.Generator) -> list[Contraction]:
    """Draw the contractions of a recording: 2 to 5 in ten minutes, more often while pushing."""
    interval_s = rng.uniform(140, 260)
    strength = rng.uniform(35, 70)
    drawn = []
    peak_s = rng.uniform(-60, interval_s)
    while peak_s < labour.seconds + 60:
        duration_s = float(np.clip(rng.normal(72, 13), 45, 120))
        drawn.append(Contraction(peak_s, duration_s, strength * rng.lognormal(0, 0.22)))
        mean_s = interval_s * (0.72 if peak_s > labour.second_stage_s else 1.0)
        peak_s += max(mean_s * rng.gamma(16) / 16, 0.95 * duration_s)
    return drawn


def deceleration(
    kind: str, contraction: Contraction, compromise: float, rng: np.random.Generator
) -> Excursion:
    """Draw a deceleration that answers a contraction.

    Parameters
    ----------
    kind
        ``early``: mirrors the contraction, its lowest point at the contraction's peak. ``late``:
        gradual, its lowest point 20 to 40 s after the peak. ``variable``: V- or U-shaped, falls
        within seconds, often with shoulders.
    contraction
        The contraction that it answers.
    compromise
        State of the fetus between 0 and 1: deepens late decelerations, widens variable ones and
        takes away their shoulders.
    rng
        Source of chance.

    Raises
    ------
    ValueError
        For another kind.
    """
    pressure = min(contraction.strength / 50.0, 1.6)
    if kind == "early":
        onset_s = contraction.onset_s + rng.normal(0, 2)
        lowest_s = contraction.peak_s + rng.normal(0, 2)
        away_s, hold_s = lowest_s - onset_s, 0.0
        back_s = contraction.end_s - lowest_s
        size = -rng.uniform(10, 22) * pressure
        shoulder = 0.0
    elif kind == "late":
        lowest_s = contraction.peak_s + rng.uniform(20, 40)
        away_s, hold_s, back_s = rng.uniform(32, 48), 0.0, rng.uniform(35, 60)
        onset_s = lowest_s - away_s
        size = -(rng.uniform(9, 16) + 26 * compromise * rng.uniform(0.6, 1.2)) * pressure
        shoulder = 0.0
    elif kind == "variable":
        away_s, back_s = rng.uniform(5, 14), rng.uniform(6, 16) * (1 + 1.5 * compromise)
        hold_s = rng.uniform(0, 35) * (0.6 + compromise)
        onset_s = contraction.peak_s + rng.normal(-8, 10) - away_s
        size = -rng.uniform(25, 55) * (0.8 + 0.5 * compromise)
        shoulder = rng.uniform(3, 11) * (1 - compromise)
    else:
        raise ValueError(f"kind of deceleration: {kind!r} is not early, late or variable.")
    return Excursion(
        kind, onset_s, away_s, hold_s, back_s, size, shoulder, contraction_s=contraction.peak_s
    )


def simulate_course(fetus: Fetus, labour: Labour, rng: np.random.Generator) -> Course:
    """Simulate one recorded stretch of labour.

    Returns
    -------
    Course
        Heart rates and uterine activity of `round(labour.seconds * RATE_HZ)` samples, float64.
    """
    times = labour.times
    state = compromise(fetus.distress, labour.seconds + labour.to_birth_s - times)
    pressures = contractions(labour, rng)
    squeeze = _sum_of_shapes(times, pressures)
    awake = _activity(times, rng)
    # Not every fetus shows its state in the same way.
    shows_variability, shows_decelerations, shows_rate = rng.uniform(0.7, 1.0, 3)
    movements = _movements(times, awake * (1 - 0.6 * state), rng)

    excursions = _accelerations(movements, pressures, state, fetus, rng)
    excursions += _decelerations(pressures, state * shows_decelerations, labour, rng)
    excursions += _prolonged_decelerations(labour, state * shows_decelerations, rng)
    swings = _rough(_sum_of_shapes(times, excursions), 0.13, 3.0, rng)
    # Accelerations that meet run together rather than add up; so do decelerations.
    reach = np.where(swings > 0, 38.0, 85.0)
    swings = reach * np.tanh(swings / reach)
    fhr = (
        _baseline(times, fetus, state * shows_rate, rng)
        + _variability(awake, fetus, state * shows_variability, rng)
        + swings
    )
    pushing = times > labour.second_stage_s
    uc = _uterine_activity(times, pressures, movements, pushing, rng)
    mhr = _maternal_heart_rate(times, squeeze, pushing, rng)
    unrest = 1 + 0.8 * squeeze + 2.0 * pushing + _bumps(times, movements, 3.0, 8.0)
    events = [
        Event("contraction", pressure.onset_s, pressure.peak_s, pressure.end_s, pressure.strength)
        for pressure in pressures
    ]
    events += [Event("movement", at_s, at_s, at_s, 1.0) for at_s in movements]
    events += [excursion.event() for excursion in excursions]
    return Course(
        np.clip(fhr, 40.0, 235.0),
        uc,
        mhr,
        unrest,
        tuple(sorted(events, key=lambda event: event.onset_s)),
    )


def _ease(progress: Signal) -> Signal:
    progress = np.clip(progress, 0.0, 1.0)
    return progress * progress * (3 - 2 * progress)


def _rough(signal: Signal, share: float, memory_s: float, rng: np.random.Generator) -> Signal:
    """Make a smooth course as irregular as a living one: by a share of itself, up and down."""
    return signal * (1 + share * drifting_noise(signal.size, memory_s, rng))


def _sum_of_shapes(times: Signal, parts: Iterable[Contraction | Excursion]) -> Signal:
    total = np.zeros_like(times)
    for part in parts:
        # Beyond half a minute from its ends every shape is nothing.
        first, last = np.searchsorted(times, (part.onset_s - 30.0, part.end_s + 30.0))
        if last > first:
            total[first:last] += part.shape(times[first:last])
    return total


def _bumps(times: Signal, at: Iterable[float], size: float, width_s: float) -> Signal:
    total = np.zeros_like(times)
    for at_s in at:
        first, last = np.searchsorted(times, (at_s - 3 * width_s, at_s + 3 * width_s))
        total[first:last] += size * np.exp(-np.square((times[first:last] - at_s) / width_s))
    return total


def drifting_noise(count: int, memory_s: float, rng: np.random.Generator) -> Signal:
    """Return `count` samples of noise of variance 1 that forgets itself over `memory_s` seconds."""
    keep = math.exp(-1 / (memory_s * RATE_HZ))
    steps = rng.standard_normal(count) * math.sqrt(1 - keep * keep)
    start = rng.standard_normal() * keep
    return lfilter([1.0], [1.0, -keep], steps, zi=[start])[0]


def oscillating_noise(
    count: int, cycles_per_minute: float, width_hz: float, rng: np.random.Generator
) -> Signal:
    """Return `count` samples of noise of variance 1 around a frequency: a resonance of order 2."""
    settle = 240
    radius = math.exp(-math.pi * width_hz / RATE_HZ)
    first = 2 * radius * math.cos(2 * math.pi * cycles_per_minute / 60 / RATE_HZ)
    second = radius * radius
    variance = (1 + second) / ((1 - second) * ((1 + second) ** 2 - first * first))
    steps = rng.standard_normal(count + settle) / math.sqrt(variance)
    return lfilter([1.0], [1.0, -first, second], steps)[settle:]


def _activity(times: Signal, rng: np.random.Generator) -> Signal:
    """Sleep and wakefulness, between 0 (quiet sleep) and 1 (active), in cycles of half an hour."""
    active = bool(rng.random() < 0.68)
    level = np.full_like(times, float(active))
    change_s = rng.uniform(0, 2400)
    while change_s < times[-1]:
        active = not active
        level += (1.0 if active else -1.0) * _ease((times - change_s) / 60.0)
        change_s += rng.uniform(1500, 4200) if active else rng.uniform(900, 2100)
    return level


def _movements(times: Signal, liveliness: Signal, rng: np.random.Generator) -> list[float]:
    per_second = (0.04 + 0.46 * liveliness) / 60
    count = rng.poisson(per_second.mean() * times.size / RATE_HZ)
    reached = np.cumsum(per_second)
    chosen = np.searchsorted(reached, np.sort(rng.random(count)) * reached[-1])
    return [float(times[min(index, times.size - 1)]) for index in chosen]


def _accelerations(
    movements: list[float],
    pressures: list[Contraction],
    state: Signal,
    fetus: Fetus,
    rng: np.random.Generator,
) -> list[Excursion]:
    # Before 32 weeks 10 bpm for 10 s count as an acceleration.
    smaller = 0.65 if fetus.gestational_weeks < 32 else 1.0
    starts = [(at_s, 0.75) for at_s in movements]
    starts += [(pressure.onset_s, 0.05) for pressure in pressures]
    drawn = []
    for at_s, chance in starts:
        now = _value_at(state, at_s)
        if rng.random() >= chance * (1 - 0.9 * now):
            continue
        drawn.append(
            Excursion(
                "acceleration",
                at_s + rng.uniform(-2, 4),
                rng.uniform(5, 12),
                rng.uniform(2, 25),
                rng.uniform(8, 22),
                smaller * rng.uniform(12, 26) * (1 - 0.5 * now),
            )
        )
    return drawn


def _decelerations(
    pressures: list[Contraction], state: Signal, labour: Labour, rng: np.random.Generator
) -> list[Excursion]:
    # A cord or a head that is squeezed is common and says little about oxygenation.
    cord, head = rng.beta(0.8, 3.0), rng.beta(1.0, 3.0)
    drawn = []
    for pressure in pressures:
        now = _value_at(state, pressure.peak_s)
        pushing = pressure.peak_s > labour.second_stage_s
        chances = np.array(
            [
                head * (0.25 + 0.45 * pushing),
                0.02 + now,
                cord * (0.3 + 0.5 * pushing) + 0.35 * now,
            ]
        )
        chances *= min(1.0, 0.95 / chances.sum())
        choice = int(np.searchsorted(np.cumsum(chances), rng.random()))
        if choice < 3:
            kind = ("early", "late", "variable")[choice]
            drawn.append(deceleration(kind, pressure, now, rng))
    return drawn


def _prolonged_decelerations(
    labour: Labour, state: Signal, rng: np.random.Generator
) -> list[Excursion]:
    """Falls of 2 to 10 minutes, and the last one, from which a failing fetus does not recover."""
    drawn = []
    last = float(state[-1])
    if rng.random() < 0.05 + 0.3 * last:
        onset_s = labour.seconds * rng.triangular(0.05, 0.9, 0.95)
        drawn.append(
            Excursion(
                "prolonged",
                onset_s,
                rng.uniform(15, 45),
                rng.uniform(90, 300),
                rng.uniform(40, 120),
                -rng.uniform(28, 55),
            )
        )
    if rng.random() < 0.02 + 0.6 * max(last - 0.35, 0.0):
        onset_s = labour.seconds - rng.uniform(120, 480)
        drawn.append(
            Excursion(
                "prolonged",
                onset_s,
                rng.uniform(30, 90),
                labour.seconds - onset_s,
                60.0,
                -rng.uniform(35, 65),
            )
        )
    return drawn


def _value_at(signal: Signal, at_s: float) -> float:
    return float(signal[min(max(int(at_s * RATE_HZ), 0), signal.size - 1)])


def _baseline(times: Signal, fetus: Fetus, state: Signal, rng: np.random.Generator) -> Signal:
    """Resting rate, its wander, and the tachycardia of a fetus in want of oxygen, or of fever."""
    fever = rng.uniform(8, 20) if rng.random() < 0.06 else 0.0
    wander = 3.5 * drifting_noise(times.size, 400.0, rng)
    minutes_of_trend = rng.normal(0, 0.1) * (times - times[-1] / 2) / 60
    return fetus.baseline_bpm + fever + wander + minutes_of_trend + 20.0 * state


def _variability(awake: Signal, fetus: Fetus, state: Signal, rng: np.random.Generator) -> Signal:
    """Oscillations of 2 to 6 cycles a minute, faster irregularity, and that from beat to beat."""
    count = awake.size
    # Opiates flatten the curve of a healthy fetus as well; so does an immature nervous system.
    drugged = rng.uniform(0.5, 0.8) if rng.random() < 0.08 else 1.0
    mature = float(np.clip(1 - 0.045 * (37 - fetus.gestational_weeks), 0.55, 1.0))
    scale = fetus.variability * drugged * mature * (0.45 + 0.55 * awake) * (1 - 0.85 * state)
    slow = oscillating_noise(count, rng.uniform(2.6, 4.6), 0.022, rng)
    swell = np.exp(0.35 * drifting_noise(count, 45.0, rng))
    medium = drifting_noise(count, 1.6, rng)
    beat = rng.standard_normal(count)
    return scale * (3.4 * slow * swell + 1.8 * medium) + (0.35 + 0.65 * scale) * 0.5 * beat


def _uterine_activity(
    times: Signal,
    pressures: list[Contraction],
    movements: list[float],
    pushing: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Signal:
    pressure = np.zeros_like(times)
    efforts = np.zeros_like(times)
    for contraction in pressures:
        first, last = np.searchsorted(times, (contraction.onset_s - 30, contraction.end_s + 30))
        here = times[first:last]
        course = contraction.strength * contraction.shape(here)
        pressure[first:last] += course
        # The mother bears down three to five times in a contraction, each for some seconds.
        pace_s = rng.uniform(8, 16)
        effort = np.maximum(np.sin(2 * np.pi * (here - contraction.peak_s) / pace_s), 0) ** 3
        efforts[first:last] += effort * course
    tone = rng.uniform(8, 18) + 3.0 * drifting_noise(times.size, 240.0, rng)
    tremor = rng.uniform(0.4, 1.6) * oscillating_noise(
        times.size, 60 * rng.uniform(0.22, 0.38), 0.02, rng
    )
    pushed = pushing * rng.uniform(0.6, 1.6) * _rough(efforts, 0.35, 6.0, rng)
    return (
        tone + tremor + _rough(pressure, 0.12, 7.0, rng) + pushed + _bumps(times, movements, 5, 2)
    )


def _maternal_heart_rate(
    times: Signal, squeeze: Signal, pushing: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Signal:
    rest = rng.uniform(70, 92)
    effort = rng.uniform(6, 16) * squeeze * (1 + 0.9 * pushing)
    restless = 3.0 * oscillating_noise(times.size, 6.0, 0.05, rng)
    return np.clip(rest + effort + 6.0 * pushing + restless, 60.0, 150.0)
