"""Claims about the simulated cardiotocograms: their physiology, their faults and their risk."""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import NamedTuple

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.data.recordings import Recording, read_recordings
from fewcase.ingest.simulate.ctg import Truth, simulate_ctg, simulate_ctg_with_truth
from fewcase.ingest.simulate.ctg_monitor import scatter_runs
from fewcase.ingest.simulate.ctg_physiology import (
    RATE_HZ,
    Contraction,
    Fetus,
    Labour,
    deceleration,
    simulate_course,
)
from fewcase.ingest.store import write_recordings
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.sources import Hospital, SimulateCtg

NORTH = Hospital(recordings=450, prevalence=0.12, signal_loss=0.06, unusable=0, missing_apgar=0)
SOUTH = dataclasses.replace(
    NORTH, prevalence=0.09, signal_loss=0.12, sampling_hz=2.0, resolution_bpm=1.0
)
WEST = dataclasses.replace(
    NORTH,
    prevalence=0.2,
    gestational_weeks=37.0,
    second_stage=0.7,
    minutes_to_delivery=25.0,
    sampling_hz=1.0,
    resolution_bpm=1.0,
    averaging_s=3.0,
    signal_loss=0.18,
    maternal_artefacts=0.05,
    doubling_halving=0.03,
    uc_gain=0.6,
    uc_drift=-25.0,
    uc_lowest=-50.0,
)


class Simulated(NamedTuple):
    """Three hospitals, with the truth, and simple features of the last 30 minutes."""

    recordings: list[Recording]
    truths: list[Truth]
    features: np.ndarray
    labels: np.ndarray
    sites: np.ndarray


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    options = SimulateCtg({"north": NORTH, "south": SOUTH, "west": WEST}, minutes=36.0, seed=3)
    recordings, truths = map(list, zip(*simulate_ctg_with_truth(options), strict=True))
    return Simulated(
        recordings,
        truths,
        np.array([simple_features(recording) for recording in recordings]),
        np.array([truth.high_risk for truth in truths]),
        np.array([recording.site for recording in recordings]),
    )


def simple_features(recording: Recording) -> list[float]:
    """Depth of decelerations and accelerations, variability, resting rate and its trend."""
    fhr = recording.fhr[-int(1800 * recording.sampling_hz) :].astype(float)
    lost = (fhr <= 50) | (fhr >= 200)
    index = np.arange(fhr.size)
    fhr = np.interp(index, index[~lost], fhr[~lost])
    seconds = fhr.reshape(-1, int(recording.sampling_hz)).mean(axis=1)
    resting = np.median(seconds.reshape(-1, 300), axis=1)
    swing = seconds - np.repeat(resting, 300)
    quick = np.abs(seconds - uniform_filter1d(seconds, 15)).reshape(-1, 60).mean(axis=1)
    return [
        np.minimum(swing + 10, 0).mean(),
        np.maximum(swing - 10, 0).mean(),
        np.median(quick),
        np.percentile(quick, 25),
        np.median(resting),
        resting[-1] - resting[0],
    ]


def model():
    return make_pipeline(StandardScaler(), LogisticRegression())


def options_of(minutes: float = 10.0, seed: int = 5, **hospitals: Hospital) -> SimulateCtg:
    return SimulateCtg(hospitals, minutes=minutes, seed=seed)


def assert_same(first: Recording, second: Recording) -> None:
    assert first.record == second.record
    assert first.patient == second.patient
    assert first.date == second.date
    assert first.outcomes == second.outcomes
    assert first.fhr.tobytes() == second.fhr.tobytes()
    assert first.uc.tobytes() == second.uc.tobytes()


# Determinism


def test_the_same_seed_gives_the_same_bytes():
    options = options_of(north=dataclasses.replace(NORTH, recordings=6))
    for first, second in zip(simulate_ctg(options), simulate_ctg(options), strict=True):
        assert_same(first, second)


def test_another_seed_gives_other_recordings():
    hospital = dataclasses.replace(NORTH, recordings=1)
    first, second = (next(simulate_ctg(options_of(seed=seed, north=hospital))) for seed in (1, 2))
    assert first.outcomes != second.outcomes
    assert first.fhr.tobytes() != second.fhr.tobytes()


def test_a_new_hospital_and_more_recordings_leave_the_others_as_they_were():
    few = dataclasses.replace(NORTH, recordings=5, patients_per_recording=0.6)
    alone = list(simulate_ctg(options_of(north=few)))
    more = dataclasses.replace(few, recordings=9)
    east = dataclasses.replace(SOUTH, recordings=3)
    beside = list(simulate_ctg(options_of(east=east, north=more)))
    for first, second in zip(alone, [r for r in beside if r.site == "north"][:5], strict=True):
        assert_same(first, second)


def test_another_device_leaves_the_births_and_their_course_as_they_were():
    old = options_of(north=dataclasses.replace(NORTH, recordings=4))
    new = options_of(
        north=dataclasses.replace(NORTH, recordings=4, sampling_hz=1.0, signal_loss=0.4)
    )
    course = {"contraction", "movement", "acceleration", "early", "late", "variable", "prolonged"}
    for (before, was), (after, now) in zip(
        simulate_ctg_with_truth(old), simulate_ctg_with_truth(new), strict=True
    ):
        assert before.outcomes == after.outcomes
        assert before.date == after.date
        assert [e for e in was.events if e.kind in course] == [
            e for e in now.events if e.kind in course
        ]
        assert before.fhr.size == pytest.approx(4 * after.fhr.size, abs=4)


def test_a_cohort_of_the_papers_size_is_simulated_one_by_one():
    options = options_of(minutes=40.0, university=dataclasses.replace(NORTH, recordings=34_266))
    started = time.perf_counter()
    recordings = simulate_ctg(options)
    names = [recording.record for recording in itertools.islice(recordings, 3)]
    assert time.perf_counter() - started < 2.0
    assert names == [f"sim-university-{index:05d}" for index in range(3)]


# Physiology


def test_an_early_deceleration_mirrors_its_contraction():
    rng = np.random.default_rng(0)
    contraction = Contraction(peak_s=200.0, duration_s=70.0, strength=50.0)
    times = np.arange(0, 400, 0.25)
    for _ in range(50):
        change = deceleration("early", contraction, 0.2, rng).shape(times)
        assert abs(times[change.argmin()] - 200.0) < 8
        assert np.corrcoef(-change, contraction.shape(times))[0, 1] > 0.9


def test_a_late_deceleration_is_lowest_20_to_40_seconds_after_the_peak_and_falls_slowly():
    rng = np.random.default_rng(0)
    contraction = Contraction(peak_s=200.0, duration_s=70.0, strength=50.0)
    times = np.arange(0, 400, 0.25)
    for _ in range(50):
        late = deceleration("late", contraction, 0.5, rng)
        assert 20 <= times[late.shape(times).argmin()] - 200.0 <= 40
        assert late.away_s >= 30
        assert late.end_s > contraction.end_s


def test_a_variable_deceleration_falls_in_seconds_between_shoulders_that_distress_takes_away():
    contraction = Contraction(peak_s=200.0, duration_s=70.0, strength=50.0)
    times = np.arange(0, 400, 0.25)
    shoulders = {}
    for compromise in (0.0, 0.9):
        rng = np.random.default_rng(0)
        drawn = [deceleration("variable", contraction, compromise, rng) for _ in range(50)]
        assert max(variable.away_s for variable in drawn) < 30
        assert max(variable.size_bpm for variable in drawn) < -15
        shoulders[compromise] = np.mean([variable.shape(times).max() for variable in drawn])
    assert shoulders[0.0] > 4 > 2 > shoulders[0.9]


def test_an_unknown_kind_of_deceleration_is_an_error():
    with pytest.raises(ValueError, match="sinusoidal"):
        deceleration("sinusoidal", Contraction(0, 60, 50), 0.1, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "earliest", "latest"), [("early", -8, 12), ("late", 15, 45)])
def test_decelerations_follow_contractions_in_the_recorded_signal(
    simulated, kind, earliest, latest
):
    epochs = []
    for recording, truth in zip(simulated.recordings, simulated.truths, strict=True):
        if recording.site != "north":
            continue
        fhr = np.where(recording.fhr > 0, recording.fhr, np.nan)
        for event in truth.events:
            start = round((event.contraction_s - 60) * RATE_HZ) if event.kind == kind else -1
            if start >= 0 and start + 180 * RATE_HZ < fhr.size:
                epochs.append(fhr[start : start + int(180 * RATE_HZ)])
    lowest = uniform_filter1d(np.nanmean(epochs, axis=0), 12).argmin() / RATE_HZ - 60
    assert len(epochs) > 100
    assert earliest <= lowest <= latest


def undisturbed_minutes(recording: Recording, truth: Truth) -> np.ndarray:
    """Minutes of FHR (minutes, samples) between all accelerations, decelerations and faults."""
    free = np.ones(recording.fhr.size, bool)
    for event in truth.events:
        if event.kind not in ("contraction", "movement"):
            free[max(int(event.onset_s * RATE_HZ), 0) : max(int(event.end_s * RATE_HZ) + 2, 0)] = 0
    whole = recording.fhr.size // 240 * 240
    minutes = recording.fhr[:whole].reshape(-1, 240).astype(float)
    return minutes[free[:whole].reshape(-1, 240).all(axis=1)]


def test_the_tracing_of_a_healthy_fetus_lies_in_the_normal_bands(simulated):
    rates, bands, slow_shares = [], [], []
    for recording, truth in zip(simulated.recordings, simulated.truths, strict=True):
        if truth.fetus.distress > 0 or recording.site != "north":
            continue
        minutes = undisturbed_minutes(recording, truth)
        if len(minutes) < 5:
            continue
        rates.append(np.median(minutes))
        bands.append(np.median(np.ptp(minutes, axis=1)))
        frequency, power = welch(minutes, RATE_HZ, nperseg=240)
        oscillation = power[:, (frequency >= 1.5 / 60) & (frequency <= 6.5 / 60)].sum()
        slow_shares.append(oscillation / power[:, frequency >= 1.5 / 60].sum())
    assert len(rates) > 50
    # FIGO (2015): baseline 110 to 160 bpm, variability 5 to 25 bpm.
    assert np.mean((np.array(rates) > 110) & (np.array(rates) < 160)) > 0.95
    assert 8 < np.median(bands) < 20
    assert np.mean((np.array(bands) > 5) & (np.array(bands) < 25)) > 0.9
    # Most of the variability oscillates 2 to 6 times a minute.
    assert np.median(slow_shares) > 0.5


def test_an_early_fetus_has_a_faster_heart(simulated):
    weeks = np.array([truth.fetus.gestational_weeks for truth in simulated.truths])
    bases = np.array([truth.fetus.baseline_bpm for truth in simulated.truths])
    assert bases[weeks < 34].mean() > bases[weeks > 39].mean() + 3


def test_contractions_come_two_to_five_in_ten_minutes_and_show_in_uc(simulated):
    rates, at_peak, between = [], [], []
    for recording, truth in zip(simulated.recordings[:200], simulated.truths, strict=False):
        peaks = [event.peak_s for event in truth.events if event.kind == "contraction"]
        peaks = np.array([peak for peak in peaks if 0 < peak < truth.labour.seconds - 1])
        rates.append(peaks.size / truth.labour.seconds * 600)
        at_peak.append(np.median(recording.uc[(peaks * RATE_HZ).astype(int)]))
        between.append(np.percentile(recording.uc, 20))
    assert 2.5 < np.mean(rates) < 4.5
    assert np.mean((np.array(rates) > 1.8) & (np.array(rates) < 6)) > 0.95
    assert np.median(at_peak) > np.median(between) + 25


def test_the_second_stage_brings_more_contractions_and_pushing():
    fetus = Fetus(40.0, 0.0, 135.0, 1.0)
    rates, restless = {}, {}
    for second_stage_s in (0.0, np.inf):
        courses = [
            simulate_course(fetus, Labour(1800.0, second_stage_s, 0.0), np.random.default_rng(seed))
            for seed in range(20)
        ]
        rates[second_stage_s] = np.mean(
            [sum(event.kind == "contraction" for event in course.events) for course in courses]
        )
        restless[second_stage_s] = np.mean(
            [np.abs(np.diff(course.uc)).mean() for course in courses]
        )
    assert rates[0.0] > 1.2 * rates[np.inf]
    assert restless[0.0] > 1.3 * restless[np.inf]


def test_the_mothers_heart_rises_with_contractions():
    course = simulate_course(
        Fetus(40.0, 0.0, 140.0, 1.0), Labour(2400.0, 1200.0, 600.0), np.random.default_rng(1)
    )
    assert 60 <= course.mhr.min() < course.mhr.max() <= 150
    assert np.corrcoef(course.mhr, course.uc)[0, 1] > 0.4


def test_distress_grows_towards_birth_in_the_signal():
    fetus = Fetus(40.0, 3.0, 138.0, 1.0)
    late_before_birth = {
        minutes: sum(
            event.kind == "late"
            for seed in range(25)
            for event in simulate_course(
                fetus, Labour(1800.0, np.inf, 60.0 * minutes), np.random.default_rng(seed)
            ).events
        )
        for minutes in (0, 180)
    }
    assert late_before_birth[0] > 1.3 * late_before_birth[180]


# Devices and their faults


@pytest.mark.parametrize(
    ("fault", "key", "tolerance"),
    [
        ("lost", "signal_loss", 0.2),
        ("maternal", "maternal_artefacts", 0.3),
        ("misread", "doubling_halving", 0.35),
    ],
)
def test_faults_spoil_about_the_share_that_is_configured(simulated, fault, key, tolerance):
    for site, hospital in {"north": NORTH, "south": SOUTH, "west": WEST}.items():
        shares = [
            getattr(truth, fault)
            for truth, here in zip(simulated.truths, simulated.sites, strict=True)
            if here == site
        ]
        assert np.mean(shares) == pytest.approx(getattr(hospital, key), rel=tolerance)


def test_losses_are_zeros_that_come_in_bursts(simulated):
    recording = max(
        (r for r in simulated.recordings if r.site == "north"), key=lambda r: (r.fhr == 0).sum()
    )
    lost = recording.fhr == 0
    beginnings = np.count_nonzero(np.diff(lost.astype(int), prepend=0) == 1)
    assert lost.mean() > 0.15
    # At random, one lost sample after another, there would be far more beginnings.
    assert beginnings < 0.1 * lost.sum() * (1 - lost.mean())


def test_losses_gather_where_contact_is_hard_to_keep():
    weight = np.ones(20_000)
    weight[10_000:] = 4.0
    runs = scatter_runs(0.2, lambda size: np.full(size, 3.0), weight, np.random.default_rng(0))
    covered = np.zeros(weight.size, bool)
    for start, stop in runs:
        covered[start:stop] = True
    assert covered.mean() == pytest.approx(0.2, abs=0.03)
    assert covered[10_000:].mean() > 2.5 * covered[:10_000].mean()


def test_no_fault_is_drawn_where_its_share_is_zero():
    clean = dataclasses.replace(
        NORTH,
        recordings=5,
        signal_loss=0.0,
        maternal_artefacts=0.0,
        doubling_halving=0.0,
        spikes_per_minute=0.0,
    )
    for recording, truth in simulate_ctg_with_truth(options_of(north=clean)):
        assert not {"loss", "maternal", "doubling", "halving", "spike"} & {
            event.kind for event in truth.events
        }
        assert recording.fhr.min() > 0


@pytest.mark.parametrize(("kind", "factor"), [("doubling", 2.0), ("halving", 0.5)])
def test_doubled_and_halved_stretches_are_at_that_multiple_of_what_lies_beside_them(
    simulated, kind, factor
):
    ratios = []
    for recording, truth in zip(simulated.recordings, simulated.truths, strict=True):
        fhr, rate = recording.fhr, recording.sampling_hz
        for event in truth.events:
            inside = fhr[round((event.onset_s + 0.8) * rate) : round((event.end_s - 0.8) * rate)]
            before = fhr[max(round((event.onset_s - 4) * rate), 0) : int(event.onset_s * rate)]
            if event.kind == kind and min((inside > 0).sum(), (before > 0).sum()) > 2:
                ratios.append(np.median(inside[inside > 0]) / np.median(before[before > 0]))
    assert len(ratios) > 20
    assert np.median(ratios) == pytest.approx(factor, rel=0.1)


def test_maternal_stretches_are_at_the_mothers_rate(simulated):
    rates = []
    for recording, truth in zip(simulated.recordings, simulated.truths, strict=True):
        for event in truth.events:
            if event.kind == "maternal" and event.end_s - event.onset_s > 20:
                first = round((event.onset_s + 2) * recording.sampling_hz)
                inside = recording.fhr[first : round((event.end_s - 2) * recording.sampling_hz)]
                if (inside > 0).sum() > 10:
                    rates.append(np.median(inside[inside > 0]))
    assert len(rates) > 100
    assert 70 < np.median(rates) < 100
    assert np.mean((np.array(rates) > 60) & (np.array(rates) < 125)) > 0.9


@pytest.mark.parametrize("hospital", [NORTH, SOUTH, WEST])
def test_a_device_writes_at_its_rate_in_its_steps_and_within_its_range(hospital):
    options = options_of(here=dataclasses.replace(hospital, recordings=8))
    lowest = []
    for recording in simulate_ctg(options):
        assert recording.sampling_hz == hospital.sampling_hz
        minutes = recording.fhr.size / recording.sampling_hz / 60
        assert 9 <= minutes <= 11
        assert recording.fhr.dtype == recording.uc.dtype == np.float32
        assert recording.uc.shape == recording.fhr.shape
        steps = recording.fhr / hospital.resolution_bpm
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert hospital.uc_lowest <= recording.uc.min()
        assert recording.uc.max() <= hospital.uc_highest
        lowest.append(recording.uc.min())
    assert (min(lowest) < 0) == (hospital.uc_lowest < 0)


@pytest.mark.parametrize("sampling_hz", [0.5, 3.0, 7.5])
def test_any_sampling_rate_can_be_had(sampling_hz):
    hospital = dataclasses.replace(NORTH, recordings=1, sampling_hz=sampling_hz)
    coarse = next(simulate_ctg(options_of(north=hospital)))
    fine = next(simulate_ctg(options_of(north=dataclasses.replace(hospital, sampling_hz=4.0))))
    assert coarse.fhr.size == int(fine.fhr.size / 4 * sampling_hz)
    assert set(coarse.fhr) <= set(fine.fhr)


def test_averaging_devices_hide_variability_from_beat_to_beat():
    step = {}
    for averaging_s in (0.0, 3.0):
        hospital = dataclasses.replace(
            NORTH, recordings=10, averaging_s=averaging_s, signal_loss=0, spikes_per_minute=0
        )
        step[averaging_s] = np.mean(
            [np.abs(np.diff(r.fhr)).mean() for r in simulate_ctg(options_of(north=hospital))]
        )
    assert step[3.0] < 0.7 * step[0.0]


# Mothers, births and files


def test_births_of_one_mother_are_nearly_a_year_apart_and_alike():
    hospital = dataclasses.replace(NORTH, recordings=400, patients_per_recording=0.7)
    births: dict[str, list] = {}
    for recording, truth in simulate_ctg_with_truth(options_of(minutes=5.0, north=hospital)):
        births.setdefault(recording.patient, []).append((recording, truth))
    assert len(births) == pytest.approx(0.7 * 400, rel=0.1)
    pairs = []
    for siblings in births.values():
        for (first, was), (second, now) in itertools.pairwise(siblings):
            assert (second.date - first.date).days >= 329
            assert second.outcomes["maternal_age"] >= first.outcomes["maternal_age"]
            pairs.append((was, now))
    assert len(pairs) > 80
    for trait, least in (("baseline_bpm", 0.35), ("variability", 0.35), ("distress", 0.1)):
        first = [getattr(was.fetus, trait) for was, _ in pairs]
        second = [getattr(now.fetus, trait) for _, now in pairs]
        assert np.corrcoef(first, second)[0, 1] > least


def test_births_lie_within_the_hospitals_years_to_the_minute():
    hospital = dataclasses.replace(NORTH, recordings=60, first_year=2018, last_year=2019)
    dates = [recording.date for recording in simulate_ctg(options_of(minutes=5.0, north=hospital))]
    assert {date.year for date in dates} == {2018, 2019}
    assert len({date.hour for date in dates}) > 12
    assert len({date.minute for date in dates}) > 20


def test_two_periods_of_one_site_share_its_name_and_no_mother():
    before = dataclasses.replace(NORTH, recordings=4, site="city", last_year=2017)
    after = dataclasses.replace(NORTH, recordings=4, site="city", first_year=2018)
    recordings = list(simulate_ctg(options_of(city_before=before, city_after=after)))
    assert {recording.site for recording in recordings} == {"city"}
    assert len({recording.record for recording in recordings}) == 8
    first, second = ({r.patient for r in part} for part in (recordings[:4], recordings[4:]))
    assert not first & second


def test_everything_is_called_simulated(simulated):
    for recording in simulated.recordings:
        assert recording.record.startswith("sim-")
        assert recording.patient.startswith("sim-")


def test_outcomes_are_possible_and_belong_together(simulated):
    table = [recording.outcomes for recording in simulated.recordings]
    apgar1, apgar5 = (np.array([row[name] for row in table]) for name in ("apgar1", "apgar5"))
    for scores in (apgar1, apgar5):
        assert np.array_equal(scores, np.round(scores))
        assert scores.min() >= 0
        assert scores.max() <= 10
    assert np.array_equal(np.minimum(apgar1, apgar5) <= 6, simulated.labels)
    known = [row for row in table if row["ph"] is not None]
    ph = np.array([row["ph"] for row in known])
    assert 6.7 <= ph.min() < 7.1 < 7.2 < np.median(ph) < 7.32
    assert ph.max() <= 7.45
    assert np.corrcoef(ph, [row["base_deficit"] for row in known])[0, 1] < -0.7
    assert np.corrcoef(ph, [row["apgar1"] for row in known])[0, 1] > 0.3
    weeks, weight = ([row[name] for row in table] for name in ("gestational_weeks", "birth_weight"))
    assert np.corrcoef(weeks, weight)[0, 1] > 0.5
    assert {row["sex"] for row in table} == {"female", "male"}
    assert {row["delivery"] for row in table} == {"vaginal", "operative vaginal", "caesarean"}
    helped = np.array([row["delivery"] != "vaginal" for row in table])
    assert helped[simulated.labels].mean() > helped[~simulated.labels].mean() + 0.1


@pytest.mark.parametrize("prevalence", [0.03, 0.2])
def test_the_prevalence_is_the_one_that_is_configured(prevalence):
    hospital = dataclasses.replace(NORTH, recordings=1500, prevalence=prevalence)
    options = options_of(minutes=5.0, north=hospital)
    high_risk = [truth.high_risk for _, truth in simulate_ctg_with_truth(options)]
    error = (prevalence * (1 - prevalence) / 1500) ** 0.5
    assert np.mean(high_risk) == pytest.approx(prevalence, abs=3.5 * error)


def test_outcomes_are_missing_at_the_configured_shares():
    hospital = dataclasses.replace(NORTH, recordings=500, missing_apgar=0.4, missing_ph=0.7)
    rows = [r.outcomes for r in simulate_ctg(options_of(minutes=5.0, north=hospital))]
    no_apgar = np.mean([row["apgar1"] is None or row["apgar5"] is None for row in rows])
    assert no_apgar == pytest.approx(0.4, abs=0.07)
    assert any((row["apgar1"] is None) != (row["apgar5"] is None) for row in rows)
    assert np.mean([row["ph"] is None for row in rows]) == pytest.approx(0.7, abs=0.07)
    assert all((row["ph"] is None) == (row["base_deficit"] is None) for row in rows)


def test_unusable_recordings_are_short_or_empty_or_almost_lost(tmp_path):
    hospital = dataclasses.replace(NORTH, recordings=60, unusable=0.5)
    simulated = list(simulate_ctg_with_truth(options_of(minutes=20.0, north=hospital)))
    spoilt = {
        kind: [r for r, t in simulated if t.spoilt == kind]
        for kind in ("short", "empty", "lost", "")
    }
    assert sum(map(len, spoilt.values())) == 60
    assert 18 < 60 - len(spoilt[""]) < 42
    assert all(r.fhr.size < 10 * 60 * RATE_HZ for r in spoilt["short"])
    assert not any(r.fhr.any() for r in spoilt["empty"])
    assert all(0.85 < (r.fhr == 0).mean() < 1 for r in spoilt["lost"])
    write_recordings((recording for recording, _ in simulated), tmp_path)
    table, _ = read_recordings(tmp_path)
    assert set(table["record"]) == {r.record for r, _ in simulated} - {
        r.record for r in spoilt["empty"]
    }


# Risk


def test_simple_features_tell_the_risk_within_each_hospital_but_not_all_of_it(simulated):
    for site in ("north", "south"):
        here = simulated.sites == site
        scores = cross_val_predict(
            model(), simulated.features[here], simulated.labels[here], cv=5, method="predict_proba"
        )
        assert 0.68 < roc_auc_score(simulated.labels[here], scores[:, 1]) < 0.92


def test_deep_decelerations_alone_tell_some_of_the_risk(simulated):
    here = simulated.sites == "north"
    assert 0.65 < roc_auc_score(simulated.labels[here], -simulated.features[here, 0]) < 0.95


def test_a_held_out_hospital_is_harder(simulated):
    held_out = simulated.sites == "west"
    features, labels = simulated.features[~held_out], simulated.labels[~held_out]
    inside = cross_val_predict(model(), features, labels, cv=5, method="predict_proba")[:, 1]
    outside = model().fit(features, labels).predict_proba(simulated.features[held_out])[:, 1]
    auc_inside = roc_auc_score(labels, inside)
    auc_outside = roc_auc_score(simulated.labels[held_out], outside)
    assert 0.55 < auc_outside < auc_inside - 0.02


@pytest.mark.parametrize("fault", ["lost", "maternal", "misread"])
def test_faults_of_the_device_say_nothing_of_the_risk_within_a_hospital(simulated, fault):
    aucs = []
    for site in ("north", "south", "west"):
        here = simulated.sites == site
        shares = np.array([getattr(truth, fault) for truth in simulated.truths])[here]
        aucs.append(roc_auc_score(simulated.labels[here], shares))
    assert abs(np.mean(aucs) - 0.5) < 0.07


def test_across_hospitals_the_device_is_a_shortcut(simulated):
    rates = np.array([recording.sampling_hz for recording in simulated.recordings])
    assert roc_auc_score(simulated.labels, -rates) > 0.55


# The study file


def test_years_the_wrong_way_round_are_an_input_error():
    hospital = dataclasses.replace(NORTH, first_year=2019, last_year=2017)
    with pytest.raises(InputError, match=r"hospitals\.north\.last_year: 2017 is before"):
        next(simulate_ctg(options_of(north=hospital)))


def test_too_few_years_for_so_many_births_are_an_input_error():
    hospital = dataclasses.replace(
        NORTH, first_year=2019, last_year=2019, patients_per_recording=0.3
    )
    with pytest.raises(InputError, match=r"hospitals\.north\.patients_per_recording: 0\.3 is too"):
        next(simulate_ctg(options_of(north=hospital)))


def test_an_unknown_key_of_a_hospital_names_the_nearest_one():
    hospitals = {"hospitals": {"north": {"recordings": 3, "prevalance": 0.1}}}
    with pytest.raises(InputError, match="Did you mean 'prevalence'"):
        read_section(SimulateCtg, hospitals, "source")
