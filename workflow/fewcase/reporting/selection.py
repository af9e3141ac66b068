"""What picking the best of several arms adds to its number: flat beside nested."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.evidence import Evidence, Key, aligned
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.headline import HEADLINES, judged_by_all
from fewcase.reporting.table_parts import groups_of, names_of_arms, titled, warnings_of
from fewcase.reporting.text import difference, number, plain, with_interval
from fewcase.statistics.comparisons import Difference, compare_runs, no_difference
from fewcase.statistics.intervals import Estimate, mean_over_folds, undefined

COLUMNS = (
    "group",
    "split",
    "leaky",
    "picked_on",
    "arms",
    "winner",
    "flat",
    "nested",
    "nested_low",
    "nested_high",
    "nested_method",
    "gap",
    "gap_low",
    "gap_high",
    "gap_method",
    "chosen",
    "inner_parts",
)
TIE = 1e-12
READING = (
    "How to read: whoever picks the best of several arms by the numbers that are then reported "
    "reports too much; flat is what such a choice reports, nested what the same choice gives on "
    "data that had no part in it, and the gap between them is the optimism."
)


def tabulate_selection(
    experiment: Experiment, table: pd.DataFrame, evidence: Evidence
) -> pd.DataFrame:
    """Return, for each group of rival arms, the winner's value beside that of an honest choice.

    Rivals share a split: all arms under it, and, where the table has groups, those of each level
    of the first factor, or of each column of a matrix. All is about the experiment's headline.

    Parameters
    ----------
    experiment
        Where its `selection` is false, no arm is reported as a winner and no row is returned.
    table
        As from `experiments.tabulate`.
    evidence
        Runs and units of the arms.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. ``picked_on`` is ``validation``: `flat` is the largest mean AUC, or
        whatever the experiment is about, of cross-validation, `nested` the mean over runs of the
        validation AUC of the arm that was best on the run's inner parts, with the corrected
        resampled t interval (where a seed has one fold only, that of the mean of runs on the same
        patients), `chosen` how many runs picked each arm (JSON). Or it is ``test``: `flat` is the
        largest AUC on the test set, `nested` the test AUC of the arm with the largest mean in
        cross-validation. Ties, and runs without an AUC on any inner part, go to the reference arm,
        else to the first. `gap` is flat less nested; where the winner or an arm that was picked
        lacks a run, over the runs that have both (`gap_method` counts the others).

    References
    ----------
    Varma and Simon, BMC Bioinformatics 7:91, 2006; Cawley and Talbot, JMLR 11, 2010.
    """
    rows = []
    headline, value = experiment.headline, f"test_{experiment.value_column}"
    if "measure" in table:
        table = table[table["measure"] == headline.name].reset_index(drop=True)
    evidence = evidence.of(headline.name)
    if experiment.selection and experiment.layout in ("grid", "sweep", "matrix"):
        for group, chosen in _rivals(experiment, table):
            rivals = table.iloc[chosen]
            facts = {
                "group": group,
                "split": rivals["split"].iloc[0],
                "leaky": rivals["leaky"].iloc[0],
            }
            preferred = _preferred(rivals, experiment.references)
            found = [
                _on_validation(rivals, preferred, evidence),
                _on_test(rivals, value, preferred, evidence),
            ]
            rows += [facts | row for row in found if row]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rivals(experiment: Experiment, table: pd.DataFrame) -> Iterator[tuple[str, list[int]]]:
    """Yield name and rows of each group of two arms or more, the same arms once."""
    groups = groups_of(experiment, table)
    if experiment.layout == "matrix":
        groups = table[experiment.column_factor].tolist()
    splits = table["split"].tolist()
    sets: dict[tuple[str, str], list[int]] = {}
    for i, split in enumerate(splits):
        if groups is not None and groups[i] != "":
            sets.setdefault((groups[i], split), []).append(i)
    for i, split in enumerate(splits):
        sets.setdefault(("", split), []).append(i)
    seen = set()
    for (group, _), rows in sets.items():
        if len(rows) > 1 and tuple(rows) not in seen:
            seen.add(tuple(rows))
            yield group, rows


def _preferred(rivals: pd.DataFrame, references: Mapping[str, str]) -> int:
    """Return which rival wins ties: the reference arm, or the first where it is no rival."""
    names = rivals["arm"].tolist()
    reference = references.get(rivals["split"].iloc[0])
    return names.index(reference) if reference in names else 0


def pick(values: npt.ArrayLike, preferred: int) -> int | None:
    """Return which value is largest; ties go to the preferred one, else to the first.

    Parameters
    ----------
    values
        Shape (k,); NaN is never largest.
    preferred
        Which one wins ties.

    Returns
    -------
    int or None
        None where no value is known.
    """
    values = np.asarray(values, float)
    if not np.isfinite(values).any():
        return None
    tied = np.flatnonzero(values >= np.nanmax(values) - TIE)
    return preferred if preferred in tied else int(tied[0])


def _on_validation(
    rivals: pd.DataFrame, preferred: int, evidence: Evidence
) -> dict[str, Any] | None:
    winner = pick(rivals["cv_mean"], preferred)
    if winner is None:
        return None
    keys: list[Key] = list(zip(rivals["arm"], rivals["split"], strict=True))
    flat = float(rivals["cv_mean"].iloc[winner])
    runs = [evidence.runs[key] for key in keys if key in evidence.runs]
    counts: dict[int, int] = {}
    nested, gap = undefined("no runs were given"), no_difference("no runs were given")
    if len(runs) == len(keys):
        nested, gap, counts = _nested(keys, winner, preferred, evidence)
    return _row(
        "validation",
        keys,
        winner,
        flat,
        nested,
        _with_value(gap, flat - nested.value),
        {keys[i][0]: n for i, n in counts.items()},
        max((of_arm.parts for of_arm in runs), default=0),
    )


def _nested(
    keys: Sequence[Key], winner: int, preferred: int, evidence: Evidence
) -> tuple[Estimate, Difference, dict[int, int]]:
    """Return the nested mean, the gap of the winner to it, and how often each arm was picked."""
    runs = [evidence.runs[key] for key in keys]
    judged = aligned([of_arm.validation for of_arm in runs])
    order = sorted(set().union(*(of_arm.validation for of_arm in runs)))
    inner = np.array([[a.inner.get(run, math.nan) for a in runs] for run in order])
    if not np.isfinite(inner).any():
        classes = "both classes" if evidence.measure == "auc" else "all classes"
        reason = f"no inner part with {classes} was predicted"
        return undefined(reason), no_difference(reason), {}
    # An arm that has no value to show for a run cannot be picked for it.
    offered = np.where(np.isfinite(judged), inner, np.nan)
    picked = [pick(row, preferred) for row in offered]
    picks = np.array([preferred if one is None else one for one in picked])
    values = judged[np.arange(len(judged)), picks]
    ratio = next(filter(math.isfinite, (of_arm.test_to_train for of_arm in runs)), float("nan"))
    counts = {int(i): int((picks == i).sum()) for i in np.unique(picks)}
    if math.isfinite(ratio):
        gap = compare_runs(judged[:, winner], values, ratio)
        return mean_over_folds(values, ratio), gap, counts
    on_same = _nested_on_units(keys, winner, picks, evidence)
    if on_same is None:
        nan = float("nan")
        reason = "a seed has one fold only"
        alone = Estimate(float(np.nanmean(values)), nan, nan, nan, reason)
        return alone, no_difference(reason), counts
    return *on_same, counts


def _nested_on_units(
    keys: Sequence[Key], winner: int, picks: npt.NDArray[np.int64], evidence: Evidence
) -> tuple[Estimate, Difference] | None:
    """Return the nested mean of runs on one validation set, and the gap of the winner to it.

    Both are those of other patients; None where an arm has no values of the same units by seed.
    """
    base = evidence.units(keys[winner], "cv")
    if base is None or len(base.scores) != len(picks):
        return None
    rows = []
    for run, picked in enumerate(picks):
        units = evidence.units(keys[picked], "cv")
        in_order = None if units is None else units.in_order_of(base)
        if in_order is None or len(in_order.scores) != len(picks):
            return None
        rows.append(in_order.scores[run])
    headline, values = HEADLINES[evidence.measure], np.stack(rows)
    about = base.labels, evidence.patients(keys[winner], "cv"), base.classes
    gap = headline.compare_pooled(base.scores, values, *about)
    return headline.estimate(values, *about), gap


def _on_test(
    rivals: pd.DataFrame, value: str, preferred: int, evidence: Evidence
) -> dict[str, Any] | None:
    winner, honest = pick(rivals[value], preferred), pick(rivals["cv_mean"], preferred)
    if winner is None or honest is None:
        return None
    keys: list[Key] = list(zip(rivals["arm"], rivals["split"], strict=True))
    row = rivals.iloc[honest]
    nested = Estimate(
        row[value], float("nan"), row["test_low"], row["test_high"], row["test_method"]
    )
    flat = float(rivals[value].iloc[winner])
    gap = _with_value(_gap_on_test(keys[winner], keys[honest], evidence), flat - nested.value)
    return _row("test", keys, winner, flat, nested, gap, {keys[honest][0]: 1}, 0)


def _with_value(gap: Difference, value: float) -> Difference:
    """Return a gap that has a value even where it has no interval."""
    return gap if math.isfinite(gap.value) else dataclasses.replace(gap, value=value)


def _gap_on_test(winner: Key, honest: Key, evidence: Evidence) -> Difference:
    if winner == honest:
        return no_difference("both choices are the same arm")
    one, two = evidence.units(winner, "test"), evidence.units(honest, "test")
    one = one.in_order_of(two) if one is not None and two is not None else None
    if one is None or two is None:
        return no_difference("no scores of the same units")
    scores = np.concatenate([two.scores, one.scores])
    about = two.labels, evidence.patients(honest, "test"), two.classes
    return HEADLINES[evidence.measure].compare(scores, *about)[1]


def _row(
    picked_on: str,
    keys: Sequence[Key],
    winner: int,
    flat: float,
    nested: Estimate,
    gap: Difference,
    chosen: Mapping[str, int],
    parts: int,
) -> dict[str, Any]:
    return {
        "picked_on": picked_on,
        "arms": len(keys),
        "winner": keys[winner][0],
        "flat": flat,
        "nested": nested.value,
        "nested_low": nested.low,
        "nested_high": nested.high,
        "nested_method": nested.method,
        "gap": gap.value,
        "gap_low": gap.low,
        "gap_high": gap.high,
        "gap_method": gap.method,
        "chosen": json.dumps(dict(chosen), ensure_ascii=False),
        "inner_parts": parts or "",
    }


def lay_out_selection(experiment: Experiment, selection: pd.DataFrame) -> list[DisplayTable]:
    """Lay out flat and nested values for reading; an empty list where nothing was selected."""
    if selection.empty:
        return []
    first_factor = experiment.factors[:1]
    if experiment.layout == "matrix":
        first_factor = [experiment.column_factor]
    others = [name for name in experiment.factors if name not in first_factor]
    names, within = names_of_arms(experiment), names_of_arms(experiment, others)
    words = experiment.headline.words
    grouped = bool((selection["group"] != "").any())
    # A group that is under one split alone needs no split beside it.
    splits = bool((selection.groupby("group")["split"].nunique() > 1).any())
    rows = []
    for i, row in enumerate(selection.to_dict("records")):
        leaky = row["leaky"] == "yes"
        first = plain(experiment.word(row["group"]) if row["group"] else "") or "all arms"
        told = [f"{first} (leaky)" if leaky else first]
        told += [plain(row["split"])] if splits else []
        of_row = within if row["group"] else names
        told += [row["picked_on"], of_row.get((row["winner"], row["split"]), row["winner"])]
        same = row["gap_method"] == "undefined: both choices are the same arm"
        gap = difference(row["gap"], row["gap_low"], row["gap_high"])
        cells = [
            *told,
            number(row["flat"]),
            with_interval(row["nested"], row["nested_low"], row["nested_high"]),
            "same arm" if same else gap,
            _told(row, of_row),
        ]
        starts = i > 0 and row["picked_on"] == "validation" and grouped
        rows.append(Row(tuple(Cell(text) for text in cells), leaky, starts))
    columns = (
        "Rivals",
        *(["Split"] if splits else []),
        "Picked on",
        "Winner",
        f"Flat {words}",
        f"Nested {words} [95\u00a0%]",
        "Gap [95\u00a0%]",
        "Picked instead",
    )
    title = titled(experiment, "what picking the winner adds")
    notes = (*_notes(selection, words), *warnings_of(experiment))
    leaky = bool((selection["leaky"] == "yes").all())
    flush_left = 4 if splits else 3
    return [DisplayTable(title, columns, tuple(rows), READING, notes, flush_left, leaky)]


def _told(row: Mapping[Any, Any], names: Mapping[Key, str], shown: int = 3) -> str:
    """Return which arms an honest choice picks, and how often where it chose more than once."""
    chosen = json.loads(row["chosen"])
    if not chosen:
        return "–"
    ordered = sorted(chosen.items(), key=lambda item: -item[1])
    told = [(names.get((arm, row["split"]), arm), n) for arm, n in ordered[:shown]]
    if row["picked_on"] == "test":
        return told[0][0]
    rest = sum(n for _, n in ordered[shown:])
    texts = [f"{name} ({n})" for name, n in told] + ([f"others ({rest})"] if rest else [])
    return ", ".join(texts)


def _notes(selection: pd.DataFrame, words: str) -> list[str]:
    notes = []
    parts = sorted({int(n) for n in selection["inner_parts"] if str(n) not in ("", "nan")})
    if parts:
        word = "part" if parts[-1] == 1 else "parts"
        stopped = f"so that a network is chosen by its best {words} over epochs"
        if words != "AUC":
            stopped = "by the AUC"
        over, mean = "the corrected resampled t", "mean of cross-validation"
        if judged_by_all(selection.loc[selection["picked_on"] == "validation", "nested_method"]):
            over = "the interval of the mean of runs on the same patients"
            mean = "mean on the validation set"
        notes.append(
            f"Picked on validation: flat is the largest {mean}; nested takes, in "
            f"each run, the validation {words} of the arm that was best on {parts[-1]} inner "
            f"{word} of the training data (in brackets how many runs took which), with {over}; "
            f"where training stops early, the same {word} decided when, {stopped}."
        )
    if selection["gap_method"].str.contains("undefined in").any():
        notes.append(
            f"Where an arm lacks the {words} of a run, the gap is over the runs that have both "
            "values, and not the difference of the two columns."
        )
    if (selection["picked_on"] == "test").any():
        notes.append(
            f"Picked on test: flat is the largest {words} on the test set; nested is the test "
            f"{words} of the arm with the largest mean of cross-validation, which needs no look at "
            "the test set."
        )
    reasons = {
        method.removeprefix("undefined: ")
        for method in selection["nested_method"]
        if method.startswith("undefined: ")
    }
    notes += [f"No nested value: {plain(reason)}." for reason in sorted(reasons)]
    return notes
