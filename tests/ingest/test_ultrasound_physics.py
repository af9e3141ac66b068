"""Claims about the physics of simulated ultrasound: point spread, speckle, attenuation, sector."""

import numpy as np
import pytest
from scipy import ndimage, stats

from fewcase.ingest.simulate.ultrasound import lay_beams
from fewcase.ingest.simulate.ultrasound_body import Body, ellipse, smooth_least
from fewcase.ingest.simulate.ultrasound_scanner import (
    attenuation,
    compress,
    draw_scanner,
    point_spread,
    speckle,
    time_gain,
)
from fewcase.ingest.simulate.ultrasound_sector import Beams, Converter, Places, fit_sector

USUAL = draw_scanner(np.random.default_rng(0), 0.0)


def fine_beams(size=1200, beams=600):
    """Beams so close that the screen's pixels don't widen the point spread."""
    shape = (size, size)
    sector = fit_sector(shape, (0, 0, size, size), USUAL.radius, USUAL.half, 160.0)
    return Beams(sector, round(1.2 * size), beams, 0)


def test_speckle_is_that_of_a_rayleigh_distributed_envelope():
    beams = fine_beams()
    spread = point_spread(USUAL, beams)
    one = np.ones(beams.shape, np.float32)
    intensity = speckle(one, None, spread, 1, np.random.default_rng(1))
    assert intensity.mean() == pytest.approx(1, rel=0.03)
    envelope = np.sqrt(intensity)
    assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.04)
    apart = envelope[:: int(6 * spread.axial), :: int(6 * spread.lateral.max())]
    assert apart.size > 800
    found = stats.kstest(apart.ravel(), stats.rayleigh(scale=np.sqrt(0.5)).cdf)
    assert found.pvalue > 0.01
    # The mean of three looks has a third of the variance, and no more follows that law.
    three = speckle(one, None, spread, 3, np.random.default_rng(2))
    assert three.std() / three.mean() == pytest.approx(np.sqrt(1 / 3), rel=0.06)


def width_at_half(profile, step):
    """Full width at half of the maximum, by linear interpolation."""
    above = np.flatnonzero(profile >= 0.5 * profile.max())
    first, last = above[0], above[-1]
    half = 0.5 * profile.max()
    left = first - (profile[first] - half) / (profile[first] - profile[first - 1])
    right = last + (profile[last] - half) / (profile[last] - profile[last + 1])
    return (right - left) * step


def test_a_point_is_as_wide_as_pulse_and_beam_make_it_at_each_depth():
    beams = fine_beams()
    spread = point_spread(USUAL, beams)
    # Half of a pulse of 2.6 cycles at 3.3 MHz, and 1.2 wavelengths times depth over aperture.
    pulse = 0.5 * 2.6 * 1.54 / 3.3
    for depth in (25.0, 85.0, 145.0):
        point = np.zeros(beams.shape, np.float32)
        row, column = round(depth / beams.step), beams.shape[1] // 2
        point[row, column] = 1
        none = np.zeros(beams.shape, np.float32)
        seen = np.sqrt(speckle(none, point, spread, 1, np.random.default_rng(0)))
        assert width_at_half(seen[:, column], beams.step) == pytest.approx(pulse, rel=0.05)
        wanted = 1.2 * 1.54 / 3.3 * 85 / 24 * np.sqrt(1 + ((depth - 85) / 65) ** 2)
        arc = beams.turn * (USUAL.radius + depth)
        assert width_at_half(seen[row], arc) == pytest.approx(wanted, rel=0.05)
    # And speckle is correlated over as far: across beams as the square of the field's correlation.
    one = np.ones(beams.shape, np.float32)
    field = speckle(one, None, spread, 1, np.random.default_rng(3)) - 1
    for depth in (25.0, 145.0):
        row = round(depth / beams.step)
        band = field[row - 120 : row + 120]
        deviation = float(spread.lateral[row, 0])
        lag = round(deviation)
        found = (band[:, lag:] * band[:, :-lag]).mean() / band.var()
        assert found == pytest.approx(np.exp(-(lag**2) / (4 * deviation**2)) ** 2, abs=0.08)


def test_coarse_pixels_widen_the_point_spread_and_never_alias_it():
    beams = lay_beams(fit_sector((128, 171), (20, 14, 150, 116), 58, USUAL.half, 150.0))
    spread = point_spread(USUAL, beams)
    pixel = beams.sector.scale
    assert spread.axial * beams.step == pytest.approx(0.7 * pixel)
    between = (beams.depth + 58) * beams.turn
    assert (spread.lateral * between >= 0.699 * pixel).all()
    assert (between < 1.5 * pixel).all()


def test_attenuation_is_made_up_for_by_time_gain_and_fluid_lets_more_through():
    beams = fine_beams(200, 60)
    loss = np.full(beams.shape, np.float32(USUAL.compensation))
    total = time_gain(USUAL, beams) - attenuation(loss, USUAL, beams)
    assert np.abs(total).max() < 0.3
    # 30 mm of fluid without loss, there and back: 6 cm · 0.53 dB/(cm MHz) · 3.3 MHz.
    rows = (beams.depth[:, 0] > 40) & (beams.depth[:, 0] <= 70)
    loss[rows, 10] = 0
    enhanced = time_gain(USUAL, beams) - attenuation(loss, USUAL, beams)
    assert enhanced[-1, 10] - total[-1, 10] == pytest.approx(6 * 0.53 * 3.3, rel=0.04)
    assert enhanced[-1, 11] == pytest.approx(total[-1, 11])


def test_compression_is_logarithmic_within_the_dynamic_range():
    decibels = np.array([-80, -10, 0, 10, 80], np.float32)
    grey = compress(10 ** (decibels / 10), USUAL) / 255
    assert grey[0] == 0
    assert grey[-1] == 1
    np.testing.assert_allclose(np.diff(grey[1:4]), 10 / USUAL.range, rtol=1e-4)
    assert grey[2] == pytest.approx(USUAL.level, abs=1e-5)


def test_a_sector_has_the_shape_of_a_convex_probe_and_fills_its_window():
    window = (80.0, 60.0, 700.0, 560.0)
    sector = fit_sector((600, 800), window, 58, 0.57, 150)
    beams = Beams(sector, 400, 200, 10)
    inside = Converter(beams).inside
    left, top, right, bottom = sector.box()
    assert inside.shape == (bottom - top, right - left)
    assert left >= 80
    assert top >= 60
    assert right <= 701
    assert bottom <= 561
    assert right - left == pytest.approx(620, abs=2) or bottom - top == pytest.approx(500, abs=2)
    # An annular sector's area, and its edge pixel by pixel.
    area = 0.57 * (208**2 - 58**2) / sector.scale**2
    assert inside.sum() == pytest.approx(area, rel=0.005)
    rows, columns = np.mgrid[top:bottom, left:right]
    place = (rows - sector.apex[0]) + 1j * (columns - sector.apex[1])
    distance = np.abs(place) * sector.scale
    wanted = (distance >= 58) & (distance <= 208) & (np.abs(np.angle(place)) <= 0.57)
    assert (wanted != inside).mean() < 1e-3
    # What lies at a place in front of the probe is shown there.
    converter = Converter(beams)
    for field, mm in ((beams.x, (columns - sector.apex[1]) * sector.scale),
                      (beams.z, (rows - sector.apex[0]) * sector.scale - 58)):  # fmt: skip
        shown = converter.picture(field, np.nan)
        np.testing.assert_allclose(shown[inside], mm[inside], atol=0.02)
        assert np.isnan(shown[~inside]).all()


def test_fields_are_read_linearly_between_nodes():
    field = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    rows = np.array([0.0, 2.25, 4.9, 7.0], np.float32)
    columns = np.array([0.0, 7.5, 3.1, -2.0], np.float32)
    wanted = ndimage.map_coordinates(field, [rows, columns], order=1, mode="nearest")
    np.testing.assert_allclose(Places(rows, columns, (6, 9)).read(field), wanted, atol=5e-3)


def test_textures_are_as_coarse_as_was_asked_for_in_every_direction():
    beams = fine_beams(400, 200)
    for spacing in (4.0, 12.0):
        crossings, length, values = 0, 0.0, []
        for seed in range(4):
            texture = Body(beams, np.random.default_rng(seed)).texture(spacing)
            values.append(texture)
            crossings += (np.diff(np.sign(texture), axis=0) != 0).sum()
            length += beams.sector.depth * beams.shape[1]
        assert length / crossings == pytest.approx(spacing, rel=0.12)
        assert np.std(values) == pytest.approx(1, abs=0.12)


def test_corners_between_borders_are_rounded_and_ellipses_are_of_their_size():
    a, b = np.float32([0, 5, -3, 20]), np.float32([0, 6, 30, -4])
    rounded = smooth_least(a, b, 8)
    np.testing.assert_allclose(rounded[2:], np.minimum(a, b)[2:])
    assert rounded[0] == pytest.approx(-2)
    beams = fine_beams(500, 400)
    inside = ellipse(beams, (10, 80), (30, 15), 0.4) > 0
    area = (inside * np.broadcast_to(beams.area(), beams.shape)).sum()
    sector = USUAL.half * ((USUAL.radius + 160) ** 2 - USUAL.radius**2)
    assert area * sector == pytest.approx(np.pi * 30 * 15, rel=0.02)


def test_surfaces_are_bright_where_they_face_the_probe_and_may_end_at_its_reach():
    beams = fine_beams(300, 100)
    body = Body(beams, np.random.default_rng(0))
    one = np.ones(beams.shape, np.float32)
    # A level line 60 mm below the probe, and one seen by the last row alone.
    body.surface(np.float32(60) - beams.z, 20, one)
    facing = body.steady.max(axis=0)
    middle = beams.shape[1] // 2
    assert facing[middle] == pytest.approx(10, rel=0.15)
    wanted = np.cos(beams.angle[0]) ** 2
    np.testing.assert_allclose(facing / facing[middle], wanted, rtol=0.2)
    body.surface(beams.depth + 0 * beams.x - np.float32(160 + 3.9 * 0.4), 20, one)
    assert np.isfinite(body.steady).all()
    assert body.steady[-1].min() > 0
    assert body.steady[-3].max() == 0
