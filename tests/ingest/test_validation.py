"""Claims about which recordings are accepted, and how a refusal reads."""

import dataclasses

import numpy as np
import pytest

from fewcase.data.recordings import Recording
from fewcase.ingest.validation import problem_of

GOOD = Recording(
    record="1001",
    patient="p1",
    site="A",
    date=None,
    fhr=np.full(240, 140, dtype=np.float32),
    uc=np.full(240, 20, dtype=np.float32),
    sampling_hz=4.0,
    outcomes={"apgar1": 9.0, "apgar5": 10.0, "ph": 7.21, "sex": "male", "lactate": 3.5},
)


def fhr_with(value, where=slice(3, 9)):
    fhr = GOOD.fhr.copy()
    fhr[where] = value
    return {"fhr": fhr}


def test_a_good_recording_is_accepted():
    assert problem_of(GOOD) is None


@pytest.mark.parametrize(
    "changes",
    [
        fhr_with(np.nan),
        fhr_with(0, slice(0, 230)),
        fhr_with(255),
        {"uc": np.full(240, np.nan, dtype=np.float32)},
        {"uc": np.full(240, -5, dtype=np.float32)},
        {"outcomes": {}},
        {"outcomes": {"apgar1": None, "apgar5": float("nan"), "ph": None}},
        {"outcomes": {"apgar1": 0.0, "ph": 6.5}},
        {"outcomes": {"sensor": "electrode"}},
        {"minutes_to_delivery": -3.0},
    ],
)
def test_missing_samples_and_outcomes_are_no_reason_to_refuse(changes):
    assert problem_of(dataclasses.replace(GOOD, **changes)) is None


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"patient": ""}, "blank patient", "''"),
        ({"patient": " \t"}, "blank patient", "expected a name"),
        ({"site": ""}, "blank site", "1001"),
        ({"record": " "}, "blank record", "record is ' '"),
        ({"sampling_hz": 0.0}, "no sampling rate", "0.0 Hz"),
        ({"sampling_hz": float("nan")}, "no sampling rate", "nan Hz"),
        ({"sampling_hz": float("inf")}, "no sampling rate", "inf Hz"),
        ({"sampling_hz": -4.0}, "no sampling rate", "-4.0 Hz"),
        ({"uc": GOOD.uc[:-1]}, "unequal lengths", "240 samples and UC 239"),
        (
            {"fhr": GOOD.fhr.reshape(2, 120), "uc": GOOD.uc.reshape(2, 120)},
            "unequal lengths",
            "2 × 120",
        ),
        ({"fhr": GOOD.fhr[:0], "uc": GOOD.uc[:0]}, "empty signal", "0 samples at 4 Hz"),
        (fhr_with(np.inf), "infinite samples", "6 infinite samples, the first at index 3"),
        (fhr_with(-np.inf), "infinite samples", "FHR"),
        ({"uc": fhr_with(np.inf)["fhr"]}, "infinite samples", "UC"),
        ({"fhr": np.full(240, 1e300)}, "infinite samples", "240"),
        (fhr_with(0, slice(None)), "no heart rate", "all 240 samples"),
        (fhr_with(np.nan, slice(None)), "no heart rate", "0 or missing"),
        ({"fhr": GOOD.fhr / 60}, "wrong units", "beats per second"),
        ({"fhr": 60_000 / GOOD.fhr}, "wrong units", "milliseconds"),
        ({"fhr": GOOD.fhr * 100}, "wrong units", "1.4e+04"),
        ({"outcomes": {"apgar1": 11.0}}, "impossible outcome", "apgar1 is 11.0"),
        ({"outcomes": {"apgar5": -1.0}}, "impossible outcome", "0 to 10"),
        ({"outcomes": {"apgar5": 2.5}}, "impossible outcome", "whole number"),
        ({"outcomes": {"ph": 17.0}}, "impossible outcome", "6.5 to 7.8"),
        ({"outcomes": {"ph": "acid"}}, "impossible outcome", "'acid'"),
        ({"outcomes": {"ph": float("inf")}}, "impossible outcome", "inf"),
        ({"outcomes": {"birth_weight": float("inf")}}, "impossible outcome", "finite"),
        ({"outcomes": {"lactate": float("-inf")}}, "impossible outcome", "lactate"),
        ({"outcomes": {"alive": "生存"}}, "impossible outcome", "0 to 1"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(changes, reason, words):
    found = problem_of(dataclasses.replace(GOOD, **changes))
    assert found is not None
    assert found[0] == reason
    assert words in found[1]
    assert found[1].endswith(".")
