"""Classical features on signals whose features are known."""

import numpy as np
import pytest

from fewcase.signal.excursions import above_baseline, area_of, find_excursions, mark
from fewcase.signal.features import FEATURES, compute_features

HZ = 4.0
SAMPLES = 7200
TIME_S = np.arange(SAMPLES) / HZ


def flat(level=140.0, rows=1):
    return np.full((rows, SAMPLES), level, np.float32)


def trapezium(start_s, length_s, bpm, ramp_s=2.5):
    inside = np.minimum(TIME_S - start_s, start_s + length_s - TIME_S) / ramp_s
    return (bpm * np.clip(inside, 0, 1)).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_areas_of_known_excursions(sign):
    fhr = flat()
    for start in (300, 900, 1500):
        fhr += sign * trapezium(start, 60, 30)
    features = compute_features(fhr, HZ)
    there, other = ("acceleration", "deceleration")[::sign]
    # Three times 30 bpm for one minute, less the ramps.
    assert features[f"{there}_area"][0] == pytest.approx(3 * 30 * 57.5 / 60, rel=0.03)
    assert features[f"{there}s"][0] == 3
    assert features[f"{other}_area"][0] == features[f"{other}s"][0] == 0


@pytest.mark.parametrize(
    ("bpm", "length_s", "counted"), [(20, 30, 1), (13, 30, 0), (30, 12, 0), (20, 17, 1)]
)
def test_an_acceleration_is_fifteen_bpm_high_and_fifteen_seconds_long(bpm, length_s, counted):
    fhr = flat() + trapezium(600, length_s, bpm, ramp_s=0.5)
    assert compute_features(fhr, HZ)["accelerations"][0] == counted


def test_what_lasts_ten_minutes_is_a_baseline_and_no_acceleration():
    fhr = flat() + trapezium(600, 900, 30)
    features = compute_features(fhr, HZ)
    assert features["accelerations"][0] == 0
    assert features["baseline_min"][0] == pytest.approx(140, abs=1)
    assert features["baseline_max"][0] == pytest.approx(170, abs=1)


def test_an_excursion_that_was_filled_in_does_not_count():
    fhr = flat() + trapezium(600, 60, 30)
    missing = np.zeros(fhr.shape, bool)
    missing[:, 2405:2560] = True
    assert compute_features(fhr, HZ, missing)["accelerations"][0] == 0
    missing[:, 2480:] = False
    assert compute_features(fhr, HZ, missing)["accelerations"][0] == 1


def test_decelerations_that_outlast_what_lies_between_them_are_no_baseline():
    """Before birth FHR may be below its baseline for most of the time."""
    fhr = flat()
    for start in range(0, 1800, 120):
        fhr -= trapezium(start + 20, 75, 40)
    features = compute_features(fhr, HZ)
    assert features["baseline_min"][0] == pytest.approx(140, abs=1)
    assert features["decelerations"][0] == 15
    assert features["deceleration_area"][0] == pytest.approx(15 * 40 * 72.5 / 60, rel=0.03)
    assert features["accelerations"][0] == 0


def test_accelerations_that_take_a_quarter_of_the_time_are_no_baseline():
    fhr = flat()
    for start in range(0, 1800, 120):
        fhr += trapezium(start + 20, 30, 25)
    features = compute_features(fhr, HZ)
    assert features["baseline_max"][0] == pytest.approx(140, abs=1)
    assert features["accelerations"][0] == 15
    assert features["decelerations"][0] == 0


def test_only_the_last_half_hour_counts():
    fhr = np.concatenate([flat() + trapezium(600, 60, 30), flat()], axis=1)
    assert compute_features(fhr, HZ)["accelerations"][0] == 0


def test_short_term_variability_is_the_mean_step_of_epochs():
    # Pulse intervals of 430 and 434 ms in turn, each for an epoch of 1/16 min, 15 samples.
    interval = np.where(np.arange(SAMPLES) // 15 % 2, 434.0, 430.0)
    features = compute_features((60_000 / interval[None]).astype(np.float32), HZ)
    assert features["short_term_variability"][0] == pytest.approx(4, abs=1e-3)
    assert features["long_term_variability"][0] == pytest.approx(4, abs=1e-3)


def test_long_term_variability_is_the_range_within_minutes():
    # A slow saw-tooth: 16 epochs a minute, 1 ms apart.
    interval = 430.0 + np.arange(SAMPLES) // 15 % 16
    features = compute_features((60_000 / interval[None]).astype(np.float32), HZ)
    assert features["long_term_variability"][0] == pytest.approx(15, abs=1e-3)
    assert features["short_term_variability"][0] == pytest.approx(1, abs=1e-3)


def test_variability_leaves_out_what_was_filled_in_and_decelerations():
    interval = np.where(np.arange(SAMPLES) // 15 % 2, 434.0, 430.0)
    fhr = (60_000 / interval[None]).astype(np.float32)
    missing = np.zeros(fhr.shape, bool)
    fhr[:, 2400:3600], missing[:, 2400:3600] = 139, True
    fhr -= trapezium(1200, 60, 40)
    features = compute_features(fhr, HZ, missing)
    assert features["decelerations"][0] == 1
    assert features["short_term_variability"][0] == pytest.approx(4, abs=1e-2)


def test_a_missing_row_has_no_features_and_harms_no_other():
    fhr = flat(rows=3) + trapezium(600, 60, 30)
    alone = compute_features(fhr[:1], HZ)
    fhr[1] = np.nan
    features = compute_features(fhr, HZ, np.isnan(fhr))
    assert set(features) == set(FEATURES)
    for name, values in features.items():
        assert values.dtype == np.float64
        assert np.isnan(values[1])
        assert values[0] == pytest.approx(alone[name][0], nan_ok=True)


def test_a_row_is_measured_alike_alone_and_among_others():
    rng = np.random.default_rng(0)
    fhr = (140 + np.cumsum(rng.normal(0, 0.3, (70, SAMPLES)), axis=1)).astype(np.float32)
    together = compute_features(fhr, HZ)
    alone = compute_features(fhr[40:41], HZ)
    for name in FEATURES:
        np.testing.assert_array_equal(alone[name][0], together[name][40])


def test_excursions_agree_with_a_search_sample_by_sample():
    rng = np.random.default_rng(1)
    fhr = np.cumsum(rng.normal(0, 1.2, (8, SAMPLES)), axis=1).astype(np.float32)
    difference = above_baseline(fhr, np.zeros_like(fhr), HZ)
    runs = find_excursions(difference, HZ)
    expected, area = [], np.zeros(8)
    for row in range(8):
        start = None
        for position, value in enumerate([*difference[row], 0.0]):
            if value > 5 and start is None:
                start = position
            elif value <= 5 and start is not None:
                piece = difference[row, start:position]
                if 15 <= len(piece) / HZ < 600 and piece.max() >= 15:
                    expected.append((row, start, position))
                    area[row] += piece.astype(np.float64).sum() / 240
                start = None
    assert expected
    assert list(zip(*(values.tolist() for values in runs), strict=True)) == expected
    np.testing.assert_allclose(area_of(difference, runs, HZ), area, rtol=1e-6)
    marked = np.zeros(fhr.shape, bool)
    for row, start, stop in expected:
        marked[row, start:stop] = True
    np.testing.assert_array_equal(mark(runs, fhr.shape), marked)
