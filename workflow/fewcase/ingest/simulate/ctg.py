"""Simulated cardiotocograms: hospitals, mothers, births and what their monitors wrote.

Nothing here was measured on a person. A mother and her fetus have a latent reserve; what it lacks,
the *distress*, shows in the heart rate (`ctg_physiology`) and in the condition at birth, and
nothing else links the two. A hospital's case mix shifts the distress of its births so far that the
configured share of them ends with an Apgar score of 6 or less.

Each birth has random generators of its own, keyed by seed, hospital, mother and birth, and apart
from one another for its course, its outcome and its device: more recordings, another hospital or a
change of a device leave everything else as it was, to the bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fewcase.data.recordings import Recording, Refusal
from fewcase.ingest.simulate.ctg_monitor import Tracing, record
from fewcase.ingest.simulate.ctg_physiology import Event, Fetus, Labour, simulate_course
from fewcase.study.errors import InputError
from fewcase.study.sources import Hospital, SimulateCtg

APGAR_WORST = 6
"""Births with an Apgar score at 1 or 5 minutes of this or less make up the prevalence."""

CONDITION_LIMIT = float(ndtri(0.9))
"""How bad a condition at birth (standard score) gives an Apgar of 6: 1 in 10 of average births."""

DISTRESS_WEIGHT = 0.86
"""Correlation of distress in labour and condition at birth: the rest no monitor can see."""

MOTHER_WEIGHT = 0.35
"""Share of the variance of distress that births of one mother have in common."""

BIRTH_INTERVAL_DAYS = 330
MOST_BIRTHS = 4


@dataclasses.dataclass(frozen=True)
class Mother:
    """What all births of one mother have in common; the last four are standard scores."""

    patient: str
    age: float
    birth_days: tuple[float, ...]
    distress: float
    baseline: float
    variability: float
    weight: float


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a device does not tell: for tests and figures, never for a model.

    Attributes
    ----------
    fetus, labour
        What was simulated.
    condition
        Condition at birth as a standard score; above `CONDITION_LIMIT` an Apgar is 6 or less.
    high_risk
        Whether the Apgar at 1 or 5 minutes was 6 or less, on file or not.
    lost, maternal, misread
        Shares of FHR that were lost, the mother's, and doubled or halved.
    spoilt
        ``short``, ``empty`` or ``lost`` for a recording that was made unusable, else blank.
    events
        Contractions, movements, accelerations, decelerations and faults, by onset; times in s.
    """

    fetus: Fetus
    labour: Labour
    condition: float
    high_risk: bool
    lost: float
    maternal: float
    misread: float
    spoilt: str
    events: tuple[Event, ...]


def simulate_ctg(options: SimulateCtg) -> Iterator[Recording | Refusal]:
    """Simulate the recordings of all hospitals, one after the other, in bounded memory.

    Parameters
    ----------
    options
        Hospitals, mean length in minutes, and seed.

    Yields
    ------
    Recording
        FHR (bpm, 0 where lost) and UC at the hospital's own sampling rate, with the outcomes
        ``apgar1``, ``apgar5``, ``ph``, ``base_deficit`` (mmol/l), ``delivery``, ``maternal_age``
        (years), ``gestational_weeks``, ``birth_weight`` (g), ``sex`` and ``alive`` (1 or 0);
        `None` where not on file. `date` is the day, hour and minute of the birth.

    Raises
    ------
    InputError
        Where a hospital's years are the wrong way round, or too few for so many births of so few
        mothers.
    """
    for recording, _ in simulate_ctg_with_truth(options):
        yield recording


def simulate_ctg_with_truth(options: SimulateCtg) -> Iterator[tuple[Recording, Truth]]:
    """Simulate as `simulate_ctg` does, and tell besides what really happened in each recording."""
    for name, hospital in options.hospitals.items():
        _check_years(name, hospital)
    for name, hospital in options.hospitals.items():
        for index, (mother, mother_index, birth) in enumerate(
            _births(name, hospital, options.seed)
        ):
            key = (options.seed, _stable_number(name), mother_index, 1 + birth)
            yield _simulate_birth(
                f"sim-{name}-{index:05d}", name, hospital, options.minutes, mother, birth, key
            )


def _check_years(name: str, hospital: Hospital) -> None:
    where = f"simulate_ctg.hospitals.{name}"
    if hospital.last_year < hospital.first_year:
        raise InputError(
            f"{where}.last_year: {hospital.last_year} is before first_year, "
            f"{hospital.first_year}. Swap them."
        )
    least = 1 / _most_births(hospital)
    if hospital.patients_per_recording < least:
        raise InputError(
            f"{where}.patients_per_recording: {hospital.patients_per_recording} is too low for "
            f"births from {hospital.first_year} to {hospital.last_year}, "
            f"{BIRTH_INTERVAL_DAYS} days apart or more. Give {least:.2f} or more, or more years."
        )


def _stable_number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "little")


def _generators(key: tuple[int, ...], number: int) -> list[np.random.Generator]:
    seeds = np.random.SeedSequence(key).spawn(number)
    return [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]


def _days(hospital: Hospital) -> float:
    first = pd.Timestamp(hospital.first_year, 1, 1)
    return float((pd.Timestamp(hospital.last_year + 1, 1, 1) - first).days)


def _most_births(hospital: Hospital) -> int:
    return min(MOST_BIRTHS, 1 + int(_days(hospital) // BIRTH_INTERVAL_DAYS))


def _births(name: str, hospital: Hospital, seed: int) -> Iterator[tuple[Mother, int, int]]:
    """Yield mother, her number, and the number of her birth, for each recording of a hospital."""
    left = hospital.recordings
    mother_index = 0
    while left > 0:
        (rng,) = _generators((seed, _stable_number(name), mother_index), 1)
        mother = _draw_mother(f"sim-{name}-mother-{mother_index:05d}", hospital, rng)
        for birth in range(min(left, len(mother.birth_days))):
            yield mother, mother_index, birth
        left -= len(mother.birth_days)
        mother_index += 1


def _draw_mother(patient: str, hospital: Hospital, rng: np.random.Generator) -> Mother:
    scores = rng.standard_normal(5)
    most, days = _most_births(hospital), _days(hospital)
    more_births = (1 / hospital.patients_per_recording - 1) / (most - 1)
    births = 1 + int(rng.binomial(most - 1, more_births))
    free = days - (births - 1) * BIRTH_INTERVAL_DAYS
    birth_days = np.sort(rng.uniform(0, free, births)) + BIRTH_INTERVAL_DAYS * np.arange(births)
    return Mother(
        patient,
        float(np.clip(30.5 + 5 * scores[0], 17, 44)),
        tuple(birth_days.tolist()),
        *map(float, scores[1:]),
    )


def _simulate_birth(
    record_name: str,
    hospital_name: str,
    hospital: Hospital,
    minutes: float,
    mother: Mother,
    birth: int,
    key: tuple[int, ...],
) -> tuple[Recording, Truth]:
    for_birth, for_course, for_device, for_files = _generators(key, 4)
    fetus = _draw_fetus(hospital, mother, for_birth)
    labour = _draw_labour(hospital, minutes, for_birth)
    # A standard score within hospitals of any case mix has variance 1 and a shifted mean.
    unseen = math.sqrt(1 - DISTRESS_WEIGHT**2) * for_birth.standard_normal()
    condition = DISTRESS_WEIGHT * fetus.distress + unseen
    outcomes = _outcomes(fetus, condition, mother, birth, for_birth)
    date = _birth_date(hospital, mother.birth_days[birth])

    course = simulate_course(fetus, labour, for_course)
    tracing = record(course, hospital, for_device)
    tracing, spoilt = _spoil(tracing, hospital, for_files)
    recording = Recording(
        record=record_name,
        patient=mother.patient,
        site=hospital.site or hospital_name,
        date=date,
        fhr=tracing.fhr,
        uc=tracing.uc,
        sampling_hz=hospital.sampling_hz,
        outcomes=_on_file(outcomes, hospital, for_files),
        minutes_to_delivery=round(labour.to_birth_s / 60, 1),
    )
    truth = Truth(
        fetus,
        labour,
        condition,
        condition > CONDITION_LIMIT,
        tracing.lost,
        tracing.maternal,
        tracing.misread,
        spoilt,
        tuple(sorted(course.events + tracing.events, key=lambda event: event.onset_s)),
    )
    return recording, truth


def _draw_fetus(hospital: Hospital, mother: Mother, rng: np.random.Generator) -> Fetus:
    own = rng.standard_normal(3)
    # Condition is distress times its weight plus what no monitor sees: shifting the mean of
    # distress by this brings the share beyond the limit to the hospital's prevalence.
    shift = (float(ndtri(hospital.prevalence)) + CONDITION_LIMIT) / DISTRESS_WEIGHT
    distress = shift + _mix(mother.distress, own[0], MOTHER_WEIGHT)
    weeks = _draw_weeks(hospital.gestational_weeks, rng)
    baseline = 136 + 0.9 * (40 - weeks) + 7.5 * _mix(mother.baseline, own[1], 0.6)
    variability = math.exp(0.2 * _mix(mother.variability, own[2], 0.6))
    return Fetus(weeks, distress, float(np.clip(baseline, 112, 162)), variability)


def _mix(shared: float, own: float, weight: float) -> float:
    return math.sqrt(weight) * shared + math.sqrt(1 - weight) * own


def _draw_weeks(mean: float, rng: np.random.Generator) -> float:
    """Weeks at birth: most at term, with a tail of early births that is longer where many are."""
    tail = 1.5 + 0.55 * max(39.5 - mean, 0.0)
    weeks = mean + tail * (1 - rng.exponential()) + 0.6 * rng.standard_normal()
    return round(float(np.clip(weeks, 24.0, 42.0)) * 7) / 7


def _draw_labour(hospital: Hospital, minutes: float, rng: np.random.Generator) -> Labour:
    seconds = round(60 * minutes * rng.uniform(0.9, 1.1))
    to_birth_s = 60 * hospital.minutes_to_delivery * rng.gamma(1.5) / 1.5
    pushes = rng.random() < hospital.second_stage
    pushing_s = 60 * rng.uniform(5, 25)
    return Labour(seconds, seconds - pushing_s if pushes else math.inf, to_birth_s)


def _outcomes(
    fetus: Fetus, condition: float, mother: Mother, birth: int, rng: np.random.Generator
) -> dict[str, float | str | None]:
    apgar1, apgar5 = _apgar_scores(condition - CONDITION_LIMIT, rng)
    sour = 0.05 * max(fetus.distress - 1.0, 0.0)
    ph = 7.275 - 0.018 * condition - 0.016 * fetus.distress - sour + rng.normal(0, 0.045)
    ph = round(float(np.clip(ph, 6.7, 7.45)), 2)
    base_deficit = round(float(np.clip(4 + 48 * (7.27 - ph) + rng.normal(0, 1.6), -4, 30)), 1)
    years = (mother.birth_days[birth] - mother.birth_days[0]) / 365.25
    survival = 1 - 0.08 * max(3 - apgar5, 0) - (0.03 if fetus.gestational_weeks < 27 else 0.0)
    return {
        "apgar1": float(apgar1),
        "apgar5": float(apgar5),
        "ph": ph,
        "base_deficit": base_deficit,
        "delivery": _delivery(fetus, rng),
        "maternal_age": float(math.floor(mother.age + years)),
        "gestational_weeks": float(math.floor(fetus.gestational_weeks)),
        "birth_weight": _birth_weight(fetus, mother, rng),
        "sex": "female" if rng.random() < 0.487 else "male",
        "alive": float(rng.random() < survival),
    }


def _apgar_scores(excess: float, rng: np.random.Generator) -> tuple[int, int]:
    """Scores at 1 and 5 minutes; one of them is 6 or less just where `excess` is above 0."""
    if excess <= 0:
        apgar1 = 8 + int(rng.random() < min(0.85, -0.45 * excess)) - int(rng.random() < 0.15)
        return apgar1, max(apgar1, 9 + int(rng.random() < 0.25) - int(rng.random() < 0.12))
    apgar1 = max(APGAR_WORST - int(excess / 0.2 + rng.uniform(-0.5, 0.5)), 0)
    apgar1 = min(apgar1, APGAR_WORST)
    if apgar1 == APGAR_WORST and rng.random() < 0.05:
        # Now and then a child does well at first and worse later.
        return APGAR_WORST + 1, APGAR_WORST
    return apgar1, min(apgar1 + 1 + int(rng.binomial(2, 0.6)), 10)


def _delivery(fetus: Fetus, rng: np.random.Generator) -> str:
    """Mode of delivery: the worse the trace, the more often it is ended by an intervention."""
    alarm = 1 / (1 + math.exp(-1.3 * (fetus.distress - 1.2)))
    draw = rng.random()
    if draw < 0.1 + 0.4 * alarm:
        return "caesarean"
    return "operative vaginal" if draw < 0.16 + 0.6 * alarm else "vaginal"


def _birth_weight(fetus: Fetus, mother: Mother, rng: np.random.Generator) -> float:
    """Weight in g: the growth curve of Hadlock et al. (1991), and small for a failing placenta."""
    weeks = fetus.gestational_weeks
    expected = 0.92 * math.exp(0.578 + 0.332 * weeks - 0.00354 * weeks**2)
    score = _mix(mother.weight, rng.standard_normal(), 0.4) - 0.25 * fetus.distress
    return float(round(expected * math.exp(0.12 * score) / 2) * 2)


def _birth_date(hospital: Hospital, day: float) -> pd.Timestamp:
    first = pd.Timestamp(hospital.first_year, 1, 1)
    return first + pd.Timedelta(minutes=math.floor(day * 24 * 60))


def _spoil(tracing: Tracing, hospital: Hospital, rng: np.random.Generator) -> tuple[Tracing, str]:
    """Make the configured share of recordings unusable, each in one of three ways."""
    chosen, draw, place = rng.random(3)
    if chosen >= hospital.unusable:
        return tracing, ""
    kind = ("short", "empty", "lost")[int(3 * draw)]
    count = tracing.fhr.size
    if kind == "short":
        kept = max(round(count * (0.05 + 0.3 * place)), 1)
        return dataclasses.replace(tracing, fhr=tracing.fhr[:kept], uc=tracing.uc[:kept]), kind
    fhr = np.zeros_like(tracing.fhr)
    if kind == "lost":
        # What is left of the fetus is a tenth of the recording, somewhere.
        start = int(0.9 * count * place)
        fhr[start : start + count // 10] = tracing.fhr[start : start + count // 10]
    return dataclasses.replace(tracing, fhr=fhr, lost=float((fhr == 0).mean())), kind


def _on_file(
    outcomes: dict[str, float | str | None], hospital: Hospital, rng: np.random.Generator
) -> dict[str, float | str | None]:
    """Take out what the hospital has not filed, at random."""
    no_apgar, which, no_blood_gases = rng.random(3)
    missing: list[str] = []
    if no_apgar < hospital.missing_apgar:
        # Mostly the sheet is missing as a whole, sometimes one line of it.
        missing += (
            ["apgar1"] if which < 0.05 else ["apgar5"] if which < 0.2 else ["apgar1", "apgar5"]
        )
    if no_blood_gases < hospital.missing_ph:
        missing += ["ph", "base_deficit"]
    return {name: None if name in missing else value for name, value in outcomes.items()}
