"""The scale of UC."""

import numpy as np
import pytest

from fewcase.signal.contractions import scale_uc


def contractions(rows=40):
    rng = np.random.default_rng(0)
    return rng.gamma(2, 10, (rows, 500)).astype(np.float32)


@pytest.mark.parametrize("scale", [10, 40, 120])
def test_each_way_to_normalise_is_what_it_says(scale):
    uc = contractions().astype(np.float64)
    lowest, highest = uc.min(axis=1, keepdims=True), uc.max(axis=1, keepdims=True)
    mean, deviation = uc.mean(axis=1, keepdims=True), uc.std(axis=1, keepdims=True)
    expected = {
        "minmax": (uc - lowest) / (highest - lowest),
        "max": uc / highest,
        "p99": uc / np.quantile(uc, 0.99, axis=1, keepdims=True),
        "zscore": (uc - mean) / deviation,
    }
    for normalise, values in expected.items():
        scaled = scale_uc(contractions(), scale, normalise)
        np.testing.assert_allclose(scaled, values * scale, rtol=1e-5, atol=2e-4)


def test_without_a_scale_uc_is_drawn_as_recorded():
    np.testing.assert_array_equal(scale_uc(contractions(), None), contractions())


def test_a_scale_of_zero_is_a_line_at_zero_even_where_no_uc_was_recorded():
    uc = contractions()
    uc[3] = np.nan
    assert (scale_uc(uc, 0) == 0).all()


@pytest.mark.parametrize("normalise", ["minmax", "max", "p99", "zscore"])
def test_rows_without_anything_to_scale_by(normalise):
    uc = contractions(rows=4)
    uc[0], uc[1], uc[2] = 0, np.nan, 0.1
    scaled = scale_uc(uc, 50, normalise)
    assert (scaled[0] == 0).all()
    assert np.isnan(scaled[1]).all()
    np.testing.assert_allclose(scaled[2], 50 if normalise in ("max", "p99") else 0, rtol=1e-6)
    assert np.isfinite(scaled[3]).all()


def test_an_unknown_way_to_normalise_is_refused():
    with pytest.raises(ValueError, match="minmax, max, p99 or zscore"):
        scale_uc(contractions(), 10, "median")
