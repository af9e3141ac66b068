"""Folds by image beside folds by patient, laid out for reading with a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fewcase.reporting.audit import UNITS, is_by_image
from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.table_parts import (
    DAGGER,
    level_title,
    machine_note,
    methods,
    notes_of_power,
    notes_of_shortcuts,
    titled,
    warnings_of,
    with_names,
)
from fewcase.reporting.text import (
    count,
    difference,
    plain,
    with_interval,
)

READING_OF_AUDIT = (
    "How to read: each row is one recipe, trained on the same study under two kinds of folds; "
    "image-level folds let examples of one patient into training and validation at once, so {what} "
    "that is higher under them is no skill that a new patient would meet."
)


SCHEME_SIDES = ("patient", "image")
VALIDATED, TESTED = ("cv_mean", "cv_low", "cv_high"), ("test_low", "test_high")
AUDIT_NUMBERS = tuple(
    f"audit_{name}{end}"
    for name in ("difference", "pooled", "test")
    for end in ("", "_low", "_high")
)
AUDIT_SIZES = tuple(
    f"audit_{name}_{side}" for name in UNITS for side in ("common", "image", "patient")
)


def comparison_of_schemes(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per recipe: its AUC under patient-level and under image-level folds.

    Returns
    -------
    pandas.DataFrame
        Columns recipe (empty where there is one only), of patient-level folds beats_shortcut and
        patient_leaky (yes where even these leak), with the prefixes ``patient_`` and ``image_``
        mean, value on the test set and their intervals, those of `AUDIT_NUMBERS` with their
        methods, and `AUDIT_SIZES`. What a recipe lacks is NaN or empty.
    """
    names = [name for name in experiment.factors if name != "scheme"]
    numbers = (*VALIDATED, f"test_{experiment.value_column}", *TESTED)
    table = with_names(experiment, table)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        by_image = is_by_image(row["split"])
        # An arm under image-level folds without a partner stands by itself.
        key = (row["arm"], row["audit_partner"] or row["split"])
        levels = [level_title(row[name]) for name in names if row[name]]
        told = rows.setdefault(
            key, {"recipe": " · ".join(levels) or _short_name(row["arm"], table)}
        )
        side = SCHEME_SIDES[by_image]
        told |= {f"{side}_{name}": row[name] for name in numbers}
        if by_image:
            told |= {str(name): row[name] for name in row if str(name).startswith("audit_")}
        else:
            told["patient_leaky"] = row["leaky"]
            told |= {name: row[name] for name in ("beats_shortcut", "cv_examples", "cv_patients")}
    methods = [f"audit_{name}_method" for name in ("difference", "pooled", "test")]
    of_sides = [f"{side}_{name}" for side in SCHEME_SIDES for name in numbers]
    of_sides += [*AUDIT_NUMBERS, *AUDIT_SIZES, "cv_examples", "cv_patients"]
    words = ["recipe", "beats_shortcut", "patient_leaky", *methods]
    found = pd.DataFrame(list(rows.values())).reindex(columns=[*words, *of_sides])
    return found.fillna(dict.fromkeys(words, ""))


def _short_name(arm: str, table: pd.DataFrame) -> str:
    """Return the model of an arm that has no level of its own, where no other arm has the model."""
    model = arm.partition("+")[0]
    rivals = {name for name in table["arm"] if name.partition("+")[0] == model}
    return plain(model if rivals == {arm} else arm)


def lay_out_audit(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out an audit (see `experiments.tabulate`), one row per recipe."""
    found = comparison_of_schemes(experiment, table)
    several = len(found) > 1
    headline, tested = experiment.headline, f"test_{experiment.value_column}"
    sides = [f"{side}_{tested}" for side in SCHEME_SIDES]
    has_test = bool(found[sides].notna().any(axis=None))

    def numbers(row: Mapping[Any, Any], side: str, value: str) -> str:
        stem = value.partition("_")[0]
        ends = (f"{side}_{value}", f"{side}_{stem}_low", f"{side}_{stem}_high")
        return with_interval(*(row[end] for end in ends))

    def apart(row: Mapping[Any, Any], name: str) -> str:
        return difference(*(row[f"audit_{name}{end}"] for end in ("", "_low", "_high")))

    rows = []
    for row in found.to_dict("records"):
        mark = f"\u00a0{DAGGER}" if row["beats_shortcut"] == "no" else ""
        cells = [Cell(row["recipe"])] if several else []
        leaks = row["patient_leaky"] == "yes"
        leaky = "\u00a0(leaky)" if leaks else ""
        cells += [
            Cell(numbers(row, "patient", "cv_mean") + mark + leaky, leaky=leaks),
            Cell(numbers(row, "image", "cv_mean"), leaky=True),
            Cell(apart(row, "difference")),
            Cell(apart(row, "pooled")),
        ]
        if has_test:
            cells += [
                Cell(numbers(row, "patient", tested) + leaky, leaky=leaks),
                Cell(numbers(row, "image", tested), leaky=True),
                Cell(apart(row, "test")),
            ]
        rows.append(Row(tuple(cells)))
    columns = [
        *(["Arm"] if several else []),
        f"Patient-level CV {headline.words} [95\u00a0%]",
        f"Image-level CV {headline.words} (leaky) [95\u00a0%]",
        "Difference over runs [95\u00a0%]",
        "Difference, same examples [95\u00a0%]",
    ]
    if has_test:
        columns += [
            f"Patient-level test {headline.words} [95\u00a0%]",
            f"Image-level test {headline.words} (leaky) [95\u00a0%]",
            "Test difference [95\u00a0%]",
        ]
    honest = table[~table["split"].map(is_by_image)]
    notes = [*_notes_of_audit(experiment, found, has_test)]
    notes += notes_of_shortcuts(experiment, honest)
    # What a test set could show of the two kinds of folds says nothing about arms.
    if headline.is_auc:
        notes += notes_of_power(experiment, honest.assign(test_detectable=float("nan")))
    notes += [*machine_note(table), *warnings_of(experiment)]
    return DisplayTable(
        titled(experiment),
        tuple(columns),
        tuple(rows),
        READING_OF_AUDIT.format(what="an AUC" if headline.is_auc else headline.words),
        tuple(notes),
        words=int(several),
        leaky=experiment.leaky == "all",
    )


def _notes_of_audit(experiment: Experiment, found: pd.DataFrame, has_test: bool) -> list[str]:
    headline = experiment.headline
    notes = [
        *_verdicts(found, headline.words),
        "Difference: image-level less patient-level. Over runs: of the means of cross-validation, "
        "corrected resampled t with the two sides taken as independent; same examples: of the "
        f"{headline.words} of out-of-fold scores, mean over seeds, by "
        f"{methods(found, 'audit_pooled')}.",
        *([headline.note] if headline.note else []),
        *_notes_of_common(found, headline.words),
    ]
    if has_test:
        notes.append(
            "Test difference: on the examples held out from both; where nobody of them is in "
            "training, it should be near 0, whatever cross-validation says."
        )
    if (found["cv_examples"] == found["cv_patients"]).all():
        notes.append("Every patient has one example: image-level folds leak no patient here.")
    return notes


def _notes_of_common(found: pd.DataFrame, words: str) -> list[str]:
    """Return on how many examples sides are compared, if not on all, and why some are not."""
    titles = {
        "difference": "over runs",
        "pooled": "on the same examples",
        "test": "on the test set",
    }
    notes: dict[str, None] = {}
    for row in found.to_dict("records"):
        for name, title in titles.items():
            reason = plain(row[f"audit_{name}_method"]).removeprefix("undefined: ")
            if reason and math.isnan(row[f"audit_{name}_low"]) and not _is_no_set(row, name):
                what = "difference" if math.isnan(row[f"audit_{name}"]) else "interval"
                notes[f"No {what} {title}: {reason}."] = None
        for name in UNITS:
            common, image, patient = (
                row[f"audit_{name}_{side}"] for side in ("common", "image", "patient")
            )
            if math.isfinite(common) and (common, common) != (image, patient):
                notes[
                    f"{'CV' if name == 'pooled' else 'Test'}: the two kinds of folds were not "
                    f"scored on the same units; compared are the {count(common)} that are among "
                    f"both the {count(image)} of image-level and the {count(patient)} of "
                    f"patient-level folds, while the {words} of each kind of folds is of all its "
                    "own."
                ] = None
    return list(notes)


def _is_no_set(row: Mapping[Any, Any], name: str) -> bool:
    """Return whether neither side has a test set, which is no shortcoming of a comparison."""
    sides = (f"audit_{name}_image", f"audit_{name}_patient")
    return name == "test" and all(math.isnan(row[side]) for side in sides)


# What the differences show, by their verdict and by how many of them have an interval.
VERDICTS = {
    ("higher", 2): "higher under image-level folds, by either interval: that much of the {words} "
    "rests on patients seen in training",
    ("higher", 1): "higher under image-level folds, by the only interval there is: that much of "
    "the {words} rests on patients seen in training",
    ("opposite", 2): "the two intervals contradict each other, one above 0 and one below: not "
    "settled",
    ("unsettled", 2): "one of the two intervals leaves out 0 and the other does not: not settled",
    ("none", 2): "no difference shown, as no interval leaves out 0: that does not prove that "
    "nothing leaks",
    ("none", 1): "no difference shown, as the only interval there is has 0 within: that does not "
    "prove that nothing leaks",
    ("lower", 2): "lower under image-level folds, by either interval: a leak would raise the "
    "{words}, so none is seen here",
    ("lower", 1): "lower under image-level folds, by the only interval there is: a leak would "
    "raise the {words}, so none is seen here",
    ("unknown", 0): "no interval of the difference",
}


def _verdicts(found: pd.DataFrame, words: str) -> list[str]:
    """Return what the differences show, recipes of one verdict in one sentence."""
    recipes: dict[tuple[str, int], list[str]] = {}
    for row in found.to_dict("records"):
        recipes.setdefault(_verdict(row), []).append(row["recipe"])
    notes = []
    for verdict, sentence in VERDICTS.items():
        if named := recipes.get(verdict):
            alone = "All recipes" if len(found) > 1 else "Found"
            who = alone if len(named) == len(found) else ", ".join(named)
            notes.append(f"{who}: {sentence.format(words=words)}.")
    return notes


def _verdict(row: Mapping[Any, Any]) -> tuple[str, int]:
    """Return what the intervals of a recipe show, and how many there are."""
    signs = []
    for name in ("difference", "pooled"):
        low, high = row[f"audit_{name}_low"], row[f"audit_{name}_high"]
        if math.isfinite(low):
            signs.append(1 if low > 0 else -1 if high < 0 else 0)
    if not signs:
        verdict = "unknown"
    elif set(signs) == {1, -1}:
        verdict = "opposite"
    elif len(set(signs)) > 1:
        verdict = "unsettled"
    else:
        verdict = {1: "higher", 0: "none", -1: "lower"}[signs[0]]
    return verdict, len(signs)
