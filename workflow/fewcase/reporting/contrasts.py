"""Arms held against the reference arm of their split, and against its best shortcut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fewcase.reporting.evidence import Evidence, Key, Runs, aligned, best_shortcut
from fewcase.reporting.headline import HEADLINES
from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.comparisons import (
    Difference,
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
NO_REFERENCE = "no reference"
# Of two AUCs on the same patients, where no difference was seen that would tell.
ASSUMED_CORRELATION = 0.5
COUNTED = f"counts, a correlation of the AUCs of {ASSUMED_CORRELATION} assumed"


def contrast(
    keys: Sequence[Key],
    references: Mapping[Key, Key],
    evidence: Evidence,
    column: str = "auc",
) -> pd.DataFrame:
    """Compare arms with the reference arm and the best shortcut of their split.

    Parameters
    ----------
    keys
        Arm and split of each row.
    references
        The reference of each arm, itself of the reference; an arm without one is compared with
        none.
    evidence
        Their runs and units, and of which measure.
    column
        How columns of values end.

    Returns
    -------
    pandas.DataFrame
        A row for each key. ``reference`` is yes or no. For ``cv``, the corrected resampled t over
        runs of the same seed and fold, and for ``test``, the paired DeLong or Obuchowski test of
        scores averaged over runs, or the paired t test of the classes that are called, clustered
        by patient: ``{side}_difference`` with ``_low``, ``_high``, ``_p``, ``_holm`` (p adjusted
        over all rows of the table) and ``_method`` or the reason why there is none. Where a seed
        has one fold only, ``cv`` is compared on the same units too, seeds averaged.
        ``test_detectable`` is the smallest difference from the reference that the test set would
        show with a power of 80 %, by the variance of the one observed or, as its ``_method`` says,
        from counts alone, in a single comparison; ``test_detectable_holm`` is the same where p is
        adjusted for all ``test_comparisons`` and has to reach the first step of Holm's procedure;
        of a single validation set the same stands in columns ``cv_``. ``test_detectable_auc`` is
        the smallest AUC that it would tell from 0.5. ``shortcut`` and columns beginning with it
        are name and value of the best shortcut of the split by cross-validation; columns
        ``{side}_over_shortcut`` are differences from it; ``beats_shortcut`` is yes where the
        interval of the one over runs lies above 0, no where it does not, and empty where there is
        none.
    """
    found: dict[str, dict[Key, Difference]] = {side: {} for side in SIDES}
    groups: dict[tuple[Key | None, str], list[Key]] = {}
    for key in keys:
        groups.setdefault((references.get(key), key[1]), []).append(key)
    for (reference, _), rivals in groups.items():
        found["test"] |= _on_test(rivals, reference, evidence)
        found["cv"] |= {key: _over_runs(key, reference, evidence) for key in rivals}
    others = [key for key in keys if references.get(key) not in (key, None)]
    comparisons = {side: _comparisons(others, found[side]) for side in SIDES}
    rows: dict[Key, dict[str, Any]] = {}
    for (reference, _), rivals in groups.items():
        on_same = {side: {key: found[side][key] for key in rivals} for side in SIDES}
        rows |= _contrast_group(on_same, reference, evidence, comparisons, column)
    table = pd.DataFrame([rows[key] for key in keys])
    for side in SIDES:
        p = table[f"{side}_difference_p"]
        place = list(table.columns).index(f"{side}_difference_p") + 1
        table.insert(place, f"{side}_difference_holm", holm(p))
    return table


def _comparisons(others: Sequence[Key], found: Mapping[Key, Difference]) -> int:
    """Return for how many comparisons of a set p is adjusted, or would be."""
    return sum(math.isfinite(found[key].p) for key in others) or len(others)


def _contrast_group(
    found: Mapping[str, Mapping[Key, Difference]],
    reference: Key | None,
    evidence: Evidence,
    comparisons: Mapping[str, int],
    column: str,
) -> dict[Key, dict[str, Any]]:
    """Return the columns of arms of one split that have one reference."""
    rivals = list(found["cv"])
    split = rivals[0][1]
    best = _best_shortcut(split, evidence, column)
    shortcut = (SHORTCUT_PREFIX + best["shortcut"], split)
    over_shortcut = _on_test(rivals, shortcut, evidence)
    size = _size_of_test(reference or rivals[0], evidence, comparisons["test"])
    rows = {}
    for key in rivals:
        on_test, over_runs = found["test"][key], found["cv"][key]
        others = key != reference
        cv_over_shortcut = _over_runs(key, shortcut, evidence)
        row = {
            "reference": "no" if others else "yes",
            **_columns("cv_difference", over_runs, others),
            **_columns("test_difference", on_test, others),
            **size,
            **_detectable(on_test if others else None, size),
            **best,
            **_columns("cv_over_shortcut", cv_over_shortcut, True),
            **_columns("test_over_shortcut", over_shortcut[key], True),
        }
        runs = evidence.runs.get(key)
        if runs is not None and runs.is_one_fold:
            row |= _detectable_in_cv(over_runs if others else None, comparisons["cv"])
        low = cv_over_shortcut.low
        row["beats_shortcut"] = ("yes" if low > 0 else "no") if math.isfinite(low) else ""
        rows[key] = row
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


def _over_runs(key: Key, other: Key | None, evidence: Evidence) -> Difference:
    if other is None:
        return no_difference(NO_REFERENCE)
    one, two = evidence.runs.get(key), evidence.runs.get(other)
    found = compare_over_runs(one, two)
    if one is None or two is None or not (one.is_one_fold and two.is_one_fold):
        return found
    # All runs judged the same examples, so that these and their patients are what varies.
    return _on_validation(key, other, evidence) or found


def _on_validation(key: Key, other: Key, evidence: Evidence) -> Difference | None:
    """Compare two arms on the units of their one validation set, None where they have none."""
    one, two = evidence.units(key, "cv"), evidence.units(other, "cv")
    if one is None or two is None:
        return None
    one = one.in_order_of(two)
    if one is None:
        return no_difference("not scored on the same units")
    return HEADLINES[evidence.measure].compare_pooled(
        one.scores, two.scores, two.labels, evidence.patients(other, "cv"), two.classes
    )


def compare_over_runs(one: Runs | None, other: Runs | None) -> Difference:
    """Compare two arms over the runs of the same seed and fold (see `comparisons.compare_runs`).

    Runs that one of them lacks are left out, and counted in the method. There is no interval where
    a seed has one fold only.
    """
    if one is None or other is None:
        return no_difference("no runs to compare were given")
    both = aligned([one.validation, other.validation])
    if not math.isfinite(one.test_to_train):
        apart = both[:, 0] - both[:, 1]
        value = float(np.nanmean(apart)) if np.isfinite(apart).any() else NAN
        return Difference(value, NAN, NAN, NAN, "a seed has one fold only, no interval")
    return compare_runs(both[:, 0], both[:, 1], one.test_to_train)


def _on_test(keys: Sequence[Key], other: Key | None, evidence: Evidence) -> dict[Key, Difference]:
    """Compare arms with another one on the same units of the test set."""
    if other is None:
        return dict.fromkeys(keys, no_difference(NO_REFERENCE))
    base = evidence.units(other, "test")
    if base is None:
        kind = " of two classes" if evidence.measure == "auc" else ""
        reason = f"no test set{kind} that both were scored on"
        return dict.fromkeys(keys, no_difference(reason))
    found = dict.fromkeys(keys, no_difference("not scored on the same units"))
    same = {}
    for key in keys:
        of_arm = evidence.units(key, "test")
        in_order = None if of_arm is None else of_arm.in_order_of(base)
        if in_order is not None:
            same[key] = in_order.scores[0]
    stacked = np.stack([base.scores[0], *same.values()])
    compared = HEADLINES[evidence.measure].compare(
        stacked, base.labels, evidence.patients(other, "test"), base.classes
    )[1:]
    return found | dict(zip(same, compared, strict=True))


def _best_shortcut(split: str, evidence: Evidence, column: str) -> dict[str, Any]:
    """Return name and values of the shortcut with the largest mean of cross-validation."""
    columns = {
        f"shortcut_{name}{key}": NAN for name in ("", "test_") for key in (column, "low", "high")
    }
    table, headline = evidence.shortcuts, HEADLINES[evidence.measure]
    best = best_shortcut(table, split, headline.mean)
    if best is None:
        return {"shortcut": "", **columns}
    tests = table[(table["split"] == split) & (table["set"] == "test") & (table["class"] == "")]
    tests = tests[(tests["arm"] == best["arm"]) & (tests["statistic"] == headline.ensemble)]
    for name, row in [("", best), *(("test_", row) for _, row in tests.iterrows())]:
        found = {column: row["value"], "low": row["low"], "high": row["high"]}
        columns |= {f"shortcut_{name}{key}": float(value) for key, value in found.items()}
    return {"shortcut": str(best["arm"]).removeprefix(SHORTCUT_PREFIX), **columns}


def _detectable_in_cv(found: Difference | None, comparisons: int) -> dict[str, Any]:
    """Return the smallest difference that a single validation set could show."""
    smallest = {"": NAN, "_holm": NAN}
    if found is not None and found.standard_error > 0:
        for end, number in (("", 1), ("_holm", comparisons)):
            variance = found.standard_error**2
            smallest[end] = smallest_difference_of_variance(variance, comparisons=number)
    return {
        "cv_comparisons": comparisons,
        **{f"cv_detectable{end}": value for end, value in smallest.items()},
        "cv_detectable_method": SEEN if math.isfinite(smallest[""]) else "",
    }


def _size_of_test(reference: Key, evidence: Evidence, comparisons: int) -> dict[str, Any]:
    """Return what a test set of this size could show, the differences between arms unseen."""
    names = ("test_detectable_auc", "test_detectable_by_counts", "test_detectable_by_counts_holm")
    size = {"test_comparisons": comparisons, **dict.fromkeys(names, NAN)}
    units = evidence.units(reference, "test")
    # How far accuracies of the same examples differ by chance, their counts do not tell.
    if units is None or evidence.measure != "auc":
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
