"""What a recording must have to be accepted, the same for every source."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fewcase.data.recordings import Recording

NUMERIC_OUTCOMES = (
    "apgar1",
    "apgar5",
    "ph",
    "base_deficit",
    "maternal_age",
    "gestational_weeks",
    "birth_weight",
    "alive",
)
TEXT_OUTCOMES = ("delivery", "sex")
"""Outcomes that every cohort has a column for, empty where its source knows nothing."""

SLOWEST_HZ, FASTEST_HZ = 0.1, 10_000.0
"""Sampling rates that a cardiotocogram can have, samples per second."""

LOWEST_MEDIAN_BPM, HIGHEST_MEDIAN_BPM = 60.0, 210.0
"""A median FHR outside is no heart rate in bpm: it is Hz, milliseconds, or something else."""

OUTCOME_RANGES = {
    "apgar1": (0.0, 10.0),
    "apgar5": (0.0, 10.0),
    "ph": (6.5, 7.8),
    "base_deficit": (-40.0, 60.0),
    "alive": (0.0, 1.0),
}
"""Values that an outcome can have; Apgar scores and alive (1, or 0) are whole numbers besides."""


WHOLE_OUTCOMES = ("apgar1", "apgar5", "alive")


def problem_of(recording: Recording) -> tuple[str, str] | None:
    """Return why a recording cannot be used, or None where it can.

    NaN in a signal is a missing sample and accepted, and so is an outcome that is not known:
    which of them are needed depends on the window and on the target, later.

    Returns
    -------
    reason
        A short fixed code: blank record, blank patient, blank site, no sampling rate, unequal
        lengths, empty signal, infinite samples, no heart rate, wrong units, impossible outcome.
    detail
        One sentence with the value that was found and what was expected.
    """
    for check in _CHECKS:
        problem = check(recording)
        if problem is not None:
            return problem
    return None


_Problem = tuple[str, str] | None


def _names(recording: Recording) -> _Problem:
    for name in ("record", "patient", "site"):
        value = getattr(recording, name)
        if not value.strip():
            return f"blank {name}", f"{recording.where}: {name} is {value!r}, expected a name."
    return None


def _rate(recording: Recording) -> _Problem:
    rate = recording.sampling_hz
    if not (math.isfinite(rate) and SLOWEST_HZ <= rate <= FASTEST_HZ):
        return (
            "no sampling rate",
            f"{recording.where}: the sampling rate is {rate!r} Hz, expected a number from "
            f"{SLOWEST_HZ:g} to {FASTEST_HZ:g}.",
        )
    return None


def _lengths(recording: Recording) -> _Problem:
    fhr, uc = np.shape(recording.fhr), np.shape(recording.uc)
    if fhr != uc or len(fhr) != 1:
        return (
            "unequal lengths",
            f"{recording.where}: FHR has {_extent(fhr)} and UC {_extent(uc)}, expected one row "
            "of samples each, as many of both.",
        )
    if fhr[0] < recording.sampling_hz:
        return (
            "empty signal",
            f"{recording.where}: {fhr[0]} samples at {recording.sampling_hz:g} Hz, expected a "
            "second at least.",
        )
    return None


def _extent(shape: tuple[int, ...]) -> str:
    return f"{' × '.join(map(str, shape))} samples" if shape else "a single value"


def _samples(recording: Recording) -> _Problem:
    for name in ("fhr", "uc"):
        with np.errstate(over="ignore"):
            signal = np.asarray(getattr(recording, name), dtype=np.float32)
        infinite = np.isinf(signal)
        if infinite.any():
            return (
                "infinite samples",
                f"{recording.where}: {name.upper()} has {infinite.sum()} infinite samples, the "
                f"first at index {infinite.argmax()}; expected finite numbers, or NaN for missing.",
            )
    return None


def _units(recording: Recording) -> _Problem:
    fhr = np.asarray(recording.fhr, dtype=np.float32)
    beating: npt.NDArray[np.float32] = fhr[np.isfinite(fhr) & (fhr != 0)]
    if beating.size == 0:
        return (
            "no heart rate",
            f"{recording.where}: all {len(fhr)} samples of FHR are 0 or missing, expected a "
            "heart rate in some.",
        )
    median = float(np.median(beating))
    if not LOWEST_MEDIAN_BPM <= median <= HIGHEST_MEDIAN_BPM:
        return (
            "wrong units",
            f"{recording.where}: the median of FHR is {median:.4g}, expected "
            f"{LOWEST_MEDIAN_BPM:g} to {HIGHEST_MEDIAN_BPM:g} beats per minute"
            f"{_unit_hint(median)}.",
        )
    return None


def _unit_hint(median: float) -> str:
    if LOWEST_MEDIAN_BPM / 60 <= median <= HIGHEST_MEDIAN_BPM / 60:
        return "; these look like beats per second (times 60)"
    if 60_000 / HIGHEST_MEDIAN_BPM <= median <= 60_000 / LOWEST_MEDIAN_BPM:
        return "; these look like milliseconds from beat to beat (60000 divided by them)"
    return ""


def _outcomes(recording: Recording) -> _Problem:
    for name, value in recording.outcomes.items():
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        numeric = not isinstance(value, str)
        low, high = OUTCOME_RANGES.get(name, (-math.inf, math.inf))
        whole = name in WHOLE_OUTCOMES
        expected = _expectation(name, low, high, whole)
        if name in NUMERIC_OUTCOMES and not numeric:
            return _impossible(recording, name, value, expected)
        if numeric:
            number = float(value)
            fits = math.isfinite(number) and low <= number <= high
            if not fits or (whole and not number.is_integer()):
                return _impossible(recording, name, value, expected)
    return None


def _expectation(name: str, low: float, high: float, whole: bool) -> str:
    if name not in OUTCOME_RANGES:
        return "a finite number"
    return f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}"


def _impossible(recording: Recording, name: str, value: object, expected: str) -> _Problem:
    return "impossible outcome", f"{recording.where}: {name} is {value!r}, expected {expected}."


_CHECKS: tuple[Callable[[Recording], _Problem], ...] = (
    _names,
    _rate,
    _lengths,
    _samples,
    _units,
    _outcomes,
)
