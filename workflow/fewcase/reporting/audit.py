"""What image-level folds add to a number: the same recipes under both kinds of splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.evidence import Evidence, Key
from fewcase.statistics.comparisons import (
    Difference,
    compare_aucs,
    compare_paired_pooled,
    difference_unpaired,
    no_difference,
)

NAN = float("nan")
METHODS = ("difference", "pooled", "test")


def partners(keys: Sequence[Key], leaky: Sequence[bool]) -> dict[Key, Key]:
    """Return, for each arm under a leaky split, the same arm under the honest one.

    Parameters
    ----------
    keys
        Arm and split; a split is named target-scheme-hold_out.
    leaky
        Whether each split is.

    Returns
    -------
    dict
        An arm without a partner has no entry.
    """
    honest = {
        (key[0], *_apart_from_scheme(key[1])): key
        for key, bad in zip(keys, leaky, strict=True)
        if not bad
    }
    found = {}
    for key, bad in zip(keys, leaky, strict=True):
        same = (key[0], *_apart_from_scheme(key[1]))
        if bad and same in honest:
            found[key] = honest[same]
    return found


def _apart_from_scheme(split: str) -> tuple[str, str]:
    target, _, rest = split.partition("-")
    return target, rest.partition("-")[2]


def audit(keys: Sequence[Key], leaky: Sequence[bool], evidence: Evidence) -> pd.DataFrame:
    """Return how much better arms look under image-level folds than under patient-level ones.

    Parameters
    ----------
    keys, leaky
        See `partners`.
    evidence
        Runs and units of the arms.

    Returns
    -------
    pandas.DataFrame
        A row for each key, filled for those with a partner: ``audit_partner`` (its split), and
        value, low, high and method of image-level less patient-level AUC: ``audit_difference`` of
        the means over runs (corrected resampled t, the sides taken as independent),
        ``audit_pooled`` of the out-of-fold scores of the same units, mean over seeds, and
        ``audit_test`` of the scores of the same test units.
    """
    pairs = partners(keys, leaky)
    return pd.DataFrame([_row(key, pairs, evidence) for key in keys])


def _row(key: Key, pairs: Mapping[Key, Key], evidence: Evidence) -> dict[str, Any]:
    row: dict[str, Any] = {"audit_partner": pairs[key][1] if key in pairs else ""}
    found = dict.fromkeys(METHODS, Difference(NAN, NAN, NAN, NAN, ""))
    if key in pairs:
        found = {
            "difference": _over_runs(key, pairs[key], evidence),
            "pooled": _on_units(key, pairs[key], "cv", evidence),
            "test": _on_units(key, pairs[key], "test", evidence),
        }
    for name, one in found.items():
        numbers = {"": one.value, "_low": one.low, "_high": one.high, "_method": one.method}
        row |= {f"audit_{name}{end}": number for end, number in numbers.items()}
    return row


def _over_runs(leaky: Key, honest: Key, evidence: Evidence) -> Difference:
    one, two = evidence.runs.get(leaky), evidence.runs.get(honest)
    if one is None or two is None:
        return no_difference("no runs to compare were given")
    values, others = list(one.validation.values()), list(two.validation.values())
    return difference_unpaired(values, others, one.test_to_train, two.test_to_train)


def _on_units(leaky: Key, honest: Key, name: str, evidence: Evidence) -> Difference:
    one, two = evidence.units(leaky, name), evidence.units(honest, name)
    if one is None or two is None:
        return no_difference("no scores of units were given")
    one = one.in_order_of(two)
    if one is None:
        return no_difference("not scored on the same units")
    patients = evidence.patients(honest, name)
    if name == "cv":
        return compare_paired_pooled(one.scores, two.scores, two.labels, patients)
    both = [two.scores[0], one.scores[0]]
    return compare_aucs(both, two.labels, patients, 0)[1]
