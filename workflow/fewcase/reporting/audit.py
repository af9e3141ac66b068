"""What image-level folds add to a number: the same recipes under both kinds of splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fewcase.reporting.evidence import Evidence, Key, on_common
from fewcase.reporting.headline import HEADLINES
from fewcase.statistics.comparisons import Difference, difference_unpaired, no_difference

NAN = float("nan")
METHODS = ("difference", "pooled", "test")
# Those on the same units, and of which set.
UNITS = {"pooled": "cv", "test": "test"}


def is_by_image(split: str) -> bool:
    """Return whether the folds of a split, named target-scheme-hold_out, were drawn by image."""
    return split.split("-")[1:2] == ["image"]


def partners(keys: Sequence[Key]) -> dict[Key, Key]:
    """Return, for each arm under image-level folds, the same arm under patient-level ones.

    Parameters
    ----------
    keys
        Arm and split; a split is named target-scheme-hold_out.

    Returns
    -------
    dict
        An arm without a partner has no entry.
    """
    honest = {(key[0], *_apart_from_scheme(key[1])): key for key in keys if not is_by_image(key[1])}
    found = {}
    for key in keys:
        same = (key[0], *_apart_from_scheme(key[1]))
        if is_by_image(key[1]) and same in honest:
            found[key] = honest[same]
    return found


def _apart_from_scheme(split: str) -> tuple[str, str]:
    target, _, rest = split.partition("-")
    return target, rest.partition("-")[2]


def audit(keys: Sequence[Key], evidence: Evidence) -> pd.DataFrame:
    """Return how much better arms look under image-level folds than under patient-level ones.

    Parameters
    ----------
    keys
        See `partners`.
    evidence
        Runs and units of the arms.

    Returns
    -------
    pandas.DataFrame
        A row for each key, filled for those with a partner: ``audit_partner`` (its split), and
        value, low, high and method of image-level less patient-level AUC, or whatever measure the
        evidence is of: ``audit_difference`` of the means over runs (corrected resampled t, the
        sides taken as independent), ``audit_pooled`` of the out-of-fold scores of the same units,
        mean over seeds, and ``audit_test`` of the scores of the same test units. What is held out,
        or dropped as a copy, may differ between the two kinds of folds: of these two, ``_common``
        is how many units were scored on both sides, and are compared, ``_image`` and ``_patient``
        how many on each.
    """
    pairs = partners(keys)
    return pd.DataFrame([_row(key, pairs, evidence) for key in keys])


def _row(key: Key, pairs: Mapping[Key, Key], evidence: Evidence) -> dict[str, Any]:
    row: dict[str, Any] = {"audit_partner": pairs[key][1] if key in pairs else ""}
    found = dict.fromkeys(METHODS, Difference(NAN, NAN, NAN, NAN, ""))
    sizes = dict.fromkeys(UNITS, dict.fromkeys(("common", "image", "patient"), NAN))
    if key in pairs:
        found["difference"] = _over_runs(key, pairs[key], evidence)
        for name, of_set in UNITS.items():
            found[name], sizes[name] = _on_units(key, pairs[key], of_set, evidence)
    for name, one in found.items():
        numbers = {"": one.value, "_low": one.low, "_high": one.high, "_method": one.method}
        row |= {f"audit_{name}{end}": number for end, number in numbers.items()}
    for name, of_name in sizes.items():
        row |= {f"audit_{name}_{side}": size for side, size in of_name.items()}
    return row


def _over_runs(leaky: Key, honest: Key, evidence: Evidence) -> Difference:
    one, two = evidence.runs.get(leaky), evidence.runs.get(honest)
    if one is None or two is None:
        return no_difference("no runs to compare were given")
    values, others = list(one.validation.values()), list(two.validation.values())
    return difference_unpaired(values, others, one.test_to_train, two.test_to_train)


def _on_units(
    leaky: Key, honest: Key, name: str, evidence: Evidence
) -> tuple[Difference, dict[str, float]]:
    """Compare two arms on the units that both were scored on, and count these."""
    one, two = evidence.units(leaky, name), evidence.units(honest, name)
    sizes = {
        "common": NAN,
        "image": NAN if one is None else len(one.labels),
        "patient": NAN if two is None else len(two.labels),
    }
    if one is None or two is None:
        return no_difference("not both sides have scores of units"), sizes
    one, two, places = on_common(one, two)
    sizes["common"] = len(places)
    if not len(places):
        return no_difference("no unit was scored on both sides"), sizes
    if not np.array_equal(one.labels, two.labels):
        return no_difference("units have other labels on the other side"), sizes
    about = two.labels, evidence.patients(honest, name)[places], two.classes
    headline = HEADLINES[evidence.measure]
    if name == "cv":
        return headline.compare_pooled(one.scores, two.scores, *about), sizes
    both = np.stack([two.scores[0], one.scores[0]])
    return headline.compare(both, *about)[1], sizes
