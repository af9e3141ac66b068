"""The figure of one recording at each step."""

import numpy as np
import pandas as pd
import pytest

from fewcase.data.recordings import Recording, read_recordings
from fewcase.ingest.store import write_recordings
from fewcase.signal.illustrate import (
    CHANNELS,
    choose_example,
    draw_steps,
    illustrate_cohort,
    steps_of,
)
from fewcase.signal.lowpass import lowpass
from fewcase.signal.noise import clean_fhr
from fewcase.signal.windows import process_windows
from fewcase.study.settings import ImageOptions, SignalOptions

HZ = 4.0


def signals(seed=0, samples=7200):
    rng = np.random.default_rng(seed)
    fhr = 140 + np.cumsum(rng.normal(0, 0.2, samples)).astype(np.float32)
    fhr[1000 : 1000 + 600 * seed] = 0
    uc = 40 + 30 * np.sin(np.arange(samples) / 100)
    return fhr.astype(np.float32), uc.astype(np.float32)


@pytest.fixture(scope="module")
def steps():
    return steps_of(*signals(1), HZ, SignalOptions(), ImageOptions())


def test_steps_are_what_the_stages_make(steps):
    cleaned = clean_fhr(signals(1)[0][None], HZ)
    np.testing.assert_array_equal(steps.fhr, cleaned.fhr[0])
    np.testing.assert_array_equal(steps.missing, cleaned.missing[0])
    np.testing.assert_array_equal(steps.slow_fhr, lowpass(cleaned.fhr, HZ, 10)[0])
    assert steps.images.shape == (3, 224, 224)
    assert set(np.unique(steps.images).tolist()) == {0, 255}
    assert steps.channels == CHANNELS


def test_a_simulated_recording_is_called_so_and_the_bytes_stay(steps, tmp_path):
    from PIL import Image

    for name, simulated in (("a", True), ("b", True), ("c", False)):
        draw_steps(
            steps, "Recording 7", simulated, tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        )
    for suffix in ("svg", "png"):
        files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in "abc"]
        assert files[0] == files[1] != files[2]
    assert "Recording 7 · simulated" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "simulated" not in (tmp_path / "c.svg").read_text(encoding="utf-8")
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 1000


def test_the_example_has_both_signals_and_some_noise():
    quality = pd.DataFrame(
        {
            "missing": [0.0, 0.11, 0.10, 0.6],
            "uc_missing": [0.0, 0.0, 1.0, 0.0],
            "longest_gap_s": [0.0, 20, 10, 300],
        }
    )
    assert choose_example(quality) == 1


def test_a_cohort_is_illustrated_by_one_of_its_recordings(tmp_path):
    recordings = []
    for seed in range(3):
        fhr, uc = signals(seed, samples=7300)
        recordings.append(Recording(f"r{seed}", f"p{seed}", "A", None, fhr, uc, HZ))
    write_recordings(recordings, tmp_path / "recordings")
    process_windows(*read_recordings(tmp_path / "recordings"), SignalOptions(), tmp_path / "window")
    illustrate_cohort(
        tmp_path / "recordings",
        tmp_path / "window",
        SignalOptions(),
        ImageOptions(),
        simulated=True,
        svg=tmp_path / "steps.svg",
        png=tmp_path / "steps.png",
    )
    # Of 0, 8 and 17 % missing, 8 % is nearest to a tenth.
    assert "Recording r1 · simulated" in (tmp_path / "steps.svg").read_text(encoding="utf-8")
