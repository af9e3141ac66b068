"""Arms held against the reference arm of their split, and against its best shortcut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fewcase.reporting.evidence import Evidence, Key, Runs, aligned, best_shortcut
from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.comparisons import (
    Difference,
    compare_aucs,
    compare_runs,
    holm,
    no_difference,
)
from fewcase.statistics.power import (
    smallest_auc,
    smallest_difference,
    smallest_difference_of_variance,
)
from fewcase.study.words import SHORTCUT_PREFIX

NAN = float("nan")
SIDES = ("cv", "test")
SEEN = "differences seen"
# Of two AUCs on the same patients, where no difference was seen that would tell.
ASSUMED_CORRELATION = 0.5
COUNTED = f"counts, a correlation of the AUCs of {ASSUMED_CORRELATION} assumed"


def contrast(keys: Sequence[Key], reference: Mapping[str, str], evidence: Evidence) -> pd.DataFrame:
    """Compare arms with the reference arm and the best shortcut of their split.

    Parameters
    ----------
    keys
        Arm and split of each row.
    reference
        The reference arm of each split.
    evidence
        Their runs and units.

    Returns
    -------
    pandas.DataFrame
        A row for each key. ``reference`` is yes or no. For ``cv``, the corrected resampled t over
        runs of the same seed and fold, and for ``test``, the paired DeLong or Obuchowski test of
        scores averaged over runs: ``{side}_difference`` with ``_low``, ``_high``, ``_p``,
        ``_holm`` (p adjusted over all rows of the table) and ``_method`` or the reason why there
        is none. ``test_detectable`` is the smallest difference from the reference that the test
        set would show with a power of 80 %, by the variance of the one observed or, as its
        ``_method`` says, from counts alone, in a single comparison; ``test_detectable_holm`` is
        the same where p is adjusted for all ``test_comparisons`` and has to reach the first step of
        Holm's procedure. ``test_detectable_auc`` is the smallest AUC that it would tell from 0.5.
        ``shortcut`` and columns beginning with it are name and AUC of the best shortcut of the
        split by cross-validation; columns ``{side}_over_shortcut`` are differences from it;
        ``beats_shortcut`` is yes where the interval of the one over runs lies above 0, no where it
        does not, and empty where there is none.
    """
    rows: list[dict[str, Any]] = [
        {"reference": "yes" if reference.get(split) == arm else "no"} for arm, split in keys
    ]
    references = {split: (reference[split], split) for _, split in keys}
    on_test: dict[Key, Difference] = {}
    for split, of_split in references.items():
        on_test |= _on_test([key for key in keys if key[1] == split], of_split, evidence)
    comparisons = _comparisons(keys, references, on_test)
    for split, of_split in references.items():
        chosen = [i for i, key in enumerate(keys) if key[1] == split]
        rivals = {keys[i]: on_test[keys[i]] for i in chosen}
        found = _contrast_split(rivals, of_split, evidence, comparisons)
        for i, columns in zip(chosen, found, strict=True):
            rows[i] |= columns
    table = pd.DataFrame(rows)
    for side in SIDES:
        p = table[f"{side}_difference_p"]
        place = list(table.columns).index(f"{side}_difference_p") + 1
        table.insert(place, f"{side}_difference_holm", holm(p))
    return table


def _comparisons(
    keys: Sequence[Key], references: Mapping[str, Key], on_test: Mapping[Key, Difference]
) -> int:
    """Return for how many comparisons on the test set p is adjusted, or would be."""
    others = [key for key in keys if key != references[key[1]]]
    return sum(math.isfinite(on_test[key].p) for key in others) or len(others)


def _contrast_split(
    on_test: Mapping[Key, Difference], reference: Key, evidence: Evidence, comparisons: int
) -> list[dict[str, Any]]:
    best = _best_shortcut(reference[1], evidence)
    shortcut = (SHORTCUT_PREFIX + best["shortcut"], reference[1])
    over_shortcut = _on_test(list(on_test), shortcut, evidence)
    size = _size_of_test(reference, evidence, comparisons)
    rows = []
    for key, on_same in on_test.items():
        others = key != reference
        over_runs = _over_runs(key, shortcut, evidence)
        row = {
            **_columns("cv_difference", _over_runs(key, reference, evidence), others),
            **_columns("test_difference", on_same, others),
            **size,
            **_detectable(on_same if others else None, size),
            **best,
            **_columns("cv_over_shortcut", over_runs, True),
            **_columns("test_over_shortcut", over_shortcut[key], True),
        }
        low = over_runs.low
        row["beats_shortcut"] = ("yes" if low > 0 else "no") if math.isfinite(low) else ""
        rows.append(row)
    return rows


def _columns(name: str, found: Difference, known: bool) -> dict[str, Any]:
    """Return a difference as columns; that of the reference arm from itself is empty."""
    if not known:
        found = Difference(NAN, NAN, NAN, NAN, "")
    return {
        name: found.value,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_p": found.p,
        f"{name}_method": found.method,
    }


def _over_runs(key: Key, other: Key, evidence: Evidence) -> Difference:
    return compare_over_runs(evidence.runs.get(key), evidence.runs.get(other))


def compare_over_runs(one: Runs | None, other: Runs | None) -> Difference:
    """Compare two arms over the runs of the same seed and fold (see `comparisons.compare_runs`).

    Runs that one of them lacks are left out, and counted in the method.
    """
    if one is None or other is None:
        return no_difference("no runs to compare were given")
    both = aligned([one.validation, other.validation])
    if not math.isfinite(one.test_to_train):
        apart = both[:, 0] - both[:, 1]
        value = float(np.nanmean(apart)) if np.isfinite(apart).any() else NAN
        return Difference(value, NAN, NAN, NAN, "a seed has one fold only, no interval")
    return compare_runs(both[:, 0], both[:, 1], one.test_to_train)


def _on_test(keys: Sequence[Key], other: Key, evidence: Evidence) -> dict[Key, Difference]:
    """Compare arms with another one on the same units of the test set."""
    base = evidence.units(other, "test")
    if base is None:
        reason = "no test set of two classes that both were scored on"
        return dict.fromkeys(keys, no_difference(reason))
    found = dict.fromkeys(keys, no_difference("not scored on the same units"))
    same = {}
    for key in keys:
        of_arm = evidence.units(key, "test")
        in_order = None if of_arm is None else of_arm.in_order_of(base)
        if in_order is not None:
            same[key] = in_order.scores[0]
    stacked = np.stack([base.scores[0], *same.values()])
    compared = compare_aucs(stacked, base.labels, evidence.patients(other, "test"), 0)[1:]
    return found | dict(zip(same, compared, strict=True))


def _best_shortcut(split: str, evidence: Evidence) -> dict[str, Any]:
    """Return name and AUCs of the shortcut with the largest mean of cross-validation."""
    columns = {
        f"shortcut_{name}{key}": NAN for name in ("", "test_") for key in ("auc", "low", "high")
    }
    table = evidence.shortcuts
    best = best_shortcut(table, split)
    if best is None:
        return {"shortcut": "", **columns}
    tests = table[(table["split"] == split) & (table["set"] == "test") & (table["class"] == "")]
    tests = tests[(tests["arm"] == best["arm"]) & (tests["statistic"] == "auc_ensemble")]
    for name, row in [("", best), *(("test_", row) for _, row in tests.iterrows())]:
        found = {"auc": row["value"], "low": row["low"], "high": row["high"]}
        columns |= {f"shortcut_{name}{key}": float(value) for key, value in found.items()}
    return {"shortcut": str(best["arm"]).removeprefix(SHORTCUT_PREFIX), **columns}


def _size_of_test(reference: Key, evidence: Evidence, comparisons: int) -> dict[str, Any]:
    """Return what a test set of this size could show, the differences between arms unseen."""
    names = ("test_detectable_auc", "test_detectable_by_counts", "test_detectable_by_counts_holm")
    size = {"test_comparisons": comparisons, **dict.fromkeys(names, NAN)}
    units = evidence.units(reference, "test")
    if units is None:
        return size
    patients, positive = evidence.patients(reference, "test"), units.labels == 1
    counts = len(np.unique(patients[positive])), len(np.unique(patients[~positive]))
    if min(counts) > 0:
        auc = roc_auc(units.scores[0], units.labels)
        size["test_detectable_auc"] = smallest_auc(*counts)
        for name, number in (("", 1), ("_holm", max(comparisons, 1))):
            size[f"test_detectable_by_counts{name}"] = smallest_difference(
                *counts, auc, ASSUMED_CORRELATION, comparisons=number
            )
    return size


def _detectable(found: Difference | None, size: Mapping[str, float]) -> dict[str, Any]:
    """Return the smallest difference from the reference arm that a test set could show."""
    if found is not None and found.standard_error > 0:
        smallest = [
            smallest_difference_of_variance(found.standard_error**2, comparisons=number)
            for number in (1, int(size["test_comparisons"]))
        ]
        method = SEEN
    else:
        ends = ("", "_holm")
        smallest = [
            NAN if found is None else size[f"test_detectable_by_counts{end}"] for end in ends
        ]
        method = COUNTED if math.isfinite(smallest[0]) else ""
    return {
        "test_detectable": smallest[0],
        "test_detectable_holm": smallest[1],
        "test_detectable_method": method,
    }
