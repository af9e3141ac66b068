"""Grids and sweeps laid out for reading, and what the tables of all experiments share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.contrasts import SEEN
from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.evidence import Key
from fewcase.reporting.experiments import TEST_SETS, Experiment
from fewcase.reporting.text import (
    VALUE_TITLES,
    count,
    difference,
    factor_title,
    number,
    p_value,
    plain,
    shortcut_title,
    span,
    with_interval,
    with_spread,
)

DAGGER = "†"
HOW_TO_READ = (
    "How to read: the AUC is how often a positive gets a higher score than a negative (0.5 is "
    "guessing, 1 is perfect)"
)
DIFFERENCES_TO_READ = (
    "; an arm is shown to differ from the reference only where p, adjusted for the number of "
    "comparisons, is below 0.05"
)

# A heading, the cells below it, and the values by which the best cell is found (None: by none).
NumberColumn = tuple[str, list[str], list[float] | None]


def titled(experiment: Experiment, part: str = "") -> str:
    """Return the title of an experiment, or of a part of it.

    It says where recordings are simulated or splits leak.
    """
    title = plain(experiment.title) + (f": {part}" if part else "")
    if experiment.simulated and "simulated" not in title.lower():
        title += " (simulated)"
    return title + {"all": " (leaky)", "some": " (partly leaky)", "none": ""}[experiment.leaky]


def names_of_arms(experiment: Experiment, factors: Sequence[str] | None = None) -> dict[Key, str]:
    """Return what readers know arms by: the levels of their factors, or of some of them."""
    factors = experiment.factors if factors is None else factors
    names = {}
    for arm in experiment.arms:
        levels = [VALUE_TITLES.get(text, text) for name in factors if (text := arm.level(name))]
        names[arm.key] = " · ".join(levels) or plain(arm.arm)
    return names


def level_title(text: str) -> str:
    """Return a level of a factor in words, a dash where there is none."""
    return VALUE_TITLES.get(text, text) or "–"


def _constant(table: pd.DataFrame, columns: Sequence[str]) -> bool:
    return len(table[list(columns)].drop_duplicates()) == 1


def _machine_columns(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return weights and precision as columns where they differ between the rows that have any.

    A classical arm has neither. Weights that an experiment varies have their column already.
    """
    columns = []
    for key, title in [("weights", "Weights"), ("precision", "Precision")]:
        if key not in table and len(_said(table, key)) > 1:
            columns.append((title, [plain(text) or "–" for text in table[f"run_{key}"]]))
    return columns


def _said(table: pd.DataFrame, key: str) -> list[str]:
    return [plain(text) for text in dict.fromkeys(table[f"run_{key}"]) if text]


def machine_note(table: pd.DataFrame) -> list[str]:
    """Return weights, precision and device in one sentence, as far as all rows have the same."""
    said = []
    for key, title in [("weights", "initial weights"), ("precision", "precision")]:
        values = _said(table, key)
        if len(values) == 1:
            said.append(f"{title}: {values[0]}")
    if devices := _said(table, "device"):
        said.append(f"device: {', '.join(devices)}")
    if not said:
        return []
    text = "; ".join(said)
    return [text[0].upper() + text[1:] + "."]


def _counts_text(name: str, table: pd.DataFrame) -> str:
    row = table.iloc[0]
    units = row[f"{name}_positives"] + row[f"{name}_negatives"]
    text = f"{count(row[f'{name}_examples'])} examples of {count(row[f'{name}_patients'])} patients"
    # The score's unit may be the patient; the positives are then counted in patients.
    of_units = "" if units == row[f"{name}_examples"] else f" of {count(units)} units"
    return f"{text}, {count(row[f'{name}_positives'])}{of_units} positive"


def _count_cells(name: str, table: pd.DataFrame) -> list[str]:
    pairs = zip(table[f"{name}_examples"], table[f"{name}_positives"], strict=True)
    return [examples_and_positives(n, positives) for n, positives in pairs]


def examples_and_positives(examples: float, positives: float) -> str:
    """Return ``examples / positives``, or a dash where there are none."""
    return f"{count(examples)} / {count(positives)}" if math.isfinite(examples) else "–"


def lay_out_arms(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the arms of a grid or sweep (see `experiments.tabulate`), one row each."""
    words: list[tuple[str, list[str]]] = [
        (factor_title(name), [level_title(text) for text in table[name]])
        for name in experiment.factors
    ]
    words = words or [("Arm", [plain(name) for name in table["arm"]])]
    words += _machine_columns(table)
    numbers: list[NumberColumn] = []
    if table["cv_mean"].notna().any():
        numbers += _validation_columns(table)
    names = [n for n in TEST_SETS if table[f"{n}_examples"].notna().any()]
    # One kind of held-out site only: the whole test set is that kind, and is shown once.
    if len(names) == 2:
        names = names[1:]
    for name in names:
        numbers += _test_columns(table, name, over_runs=name == names[0])
    numbers += _published_columns(table)
    rows = _rows_of(experiment, table, words, numbers)
    return DisplayTable(
        title=titled(experiment),
        columns=tuple([title for title, _ in words] + [title for title, _, _ in numbers]),
        rows=rows,
        reading=_reading_of_arms(table),
        notes=tuple(_notes_of_arms(experiment, table, names)),
        words=len(words),
        leaky=experiment.leaky == "all",
    )


def _zip_cells(table: pd.DataFrame, columns: Sequence[str], form: Any) -> list[str]:
    return [form(*values) for values in zip(*(table[c] for c in columns), strict=True)]


def _validation_columns(table: pd.DataFrame) -> list[NumberColumn]:
    means = table["cv_mean"].tolist()
    spread = _zip_cells(table, ("cv_mean", "cv_sd"), with_spread)
    marks = [f"\u00a0{DAGGER}" if beats == "no" else "" for beats in table["beats_shortcut"]]
    columns: list[NumberColumn] = [
        ("CV AUC, mean ± SD", [a + b for a, b in zip(spread, marks, strict=True)], means),
        ("95\u00a0% interval", _zip_cells(table, ("cv_low", "cv_high"), span), None),
        *_difference_columns(table, "cv", "CV"),
    ]
    if not _constant(table, ("cv_examples", "cv_positives")):
        columns.append(("CV n / positive", _count_cells("cv", table), None))
    return columns


def _test_columns(table: pd.DataFrame, name: str, over_runs: bool) -> list[NumberColumn]:
    title = name.capitalize()
    interval = (f"{name}_auc", f"{name}_low", f"{name}_high")
    spread = (f"{name}_mean", f"{name}_sd")
    values = table[f"{name}_auc"].tolist()
    columns: list[NumberColumn] = [
        (f"{title} AUC [95\u00a0%]", _zip_cells(table, interval, with_interval), values)
    ]
    if over_runs:
        cells = _zip_cells(table, spread, with_spread)
        columns.append((f"{title} AUC, mean of runs ± SD", cells, None))
        # The only kind of held-out site is the whole test set, by the name of its kind.
        columns += _difference_columns(table, "test", title)
    if not _constant(table, (f"{name}_examples", f"{name}_positives")):
        columns.append((f"{title} n / positive", _count_cells(name, table), None))
    return columns


def _difference_columns(table: pd.DataFrame, side: str, title: str) -> list[NumberColumn]:
    """Return differences from the reference arm as one column, where there are any."""
    if table[f"{side}_difference"].isna().all():
        return []
    ends = [f"{side}_difference{end}" for end in ("", "_low", "_high", "_holm")]
    cells = []
    compared = set(table.loc[table["reference"] == "no", "split"])
    for reference, split, value, low, high, p in zip(
        table["reference"], table["split"], *(table[c] for c in ends), strict=True
    ):
        known = math.isfinite(value)
        text = f"{difference(value, low, high)}, {p_value(p)}" if known else "–"
        cells.append("reference" if reference == "yes" and split in compared else text)
    return [(f"{title} Δ [95\u00a0%], p", cells, None)]


def _published_columns(table: pd.DataFrame) -> list[NumberColumn]:
    columns: list[NumberColumn] = []
    if "published_cv_mean" not in table:
        return columns
    if table["published_cv_mean"].notna().any():
        spread = ("published_cv_mean", "published_cv_sd")
        columns.append(("Published CV", _zip_cells(table, spread, with_spread), None))
    if table["published_test"].notna().any():
        columns.append(("Published test", [number(v) for v in table["published_test"]], None))
    return columns


def _best_of_groups(
    groups: Sequence[Any], values: Sequence[float], leaky: Sequence[bool]
) -> set[int]:
    """Return the row with the largest value in each group of two rows or more.

    A leaky row never wins against honest ones.
    """
    best: dict[Any, int] = {}
    sizes: dict[Any, int] = {}
    for i, (group, value) in enumerate(zip(groups, values, strict=True)):
        if not math.isfinite(value) or leaky[i]:
            continue
        sizes[group] = sizes.get(group, 0) + 1
        if group not in best or value > values[best[group]]:
            best[group] = i
    return {row for group, row in best.items() if sizes[group] > 1}


def groups_of(experiment: Experiment, table: pd.DataFrame) -> list[str] | None:
    """Return the level of the first factor in each row where rows share levels, or None."""
    if len(experiment.factors) < 2:
        return None
    levels = table[experiment.factors[0]]
    shared = levels[levels != ""].duplicated().any() and levels.nunique() > 1
    return levels.tolist() if shared else None


def _rows_of(
    experiment: Experiment,
    table: pd.DataFrame,
    words: Sequence[tuple[str, list[str]]],
    numbers: Sequence[NumberColumn],
) -> tuple[Row, ...]:
    leaky = [text == "yes" for text in table["leaky"]]
    groups = groups_of(experiment, table)
    # Other labels or other hospitals held out are another question: no arm wins across splits.
    rivals = list(zip(groups or [""] * len(table), table["split"], strict=True))
    best = [
        _best_of_groups(rivals, values, leaky) if values is not None else set()
        for _, _, values in numbers
    ]
    rows = []
    for i in range(len(table)):
        cells = [Cell(texts[i]) for _, texts in words]
        if leaky[i]:
            cells[0] = Cell(f"{cells[0].text} (leaky)")
        cells += [Cell(texts[i], i in best[c]) for c, (_, texts, _) in enumerate(numbers)]
        starts = groups is not None and i > 0 and groups[i] != groups[i - 1]
        rows.append(Row(tuple(cells), leaky[i], starts))
    return tuple(rows)


def _reading_of_arms(table: pd.DataFrame) -> str:
    compared = table[["cv_difference", "test_difference"]].notna().any(axis=None)
    return HOW_TO_READ + (DIFFERENCES_TO_READ if compared else "") + "."


def _notes_of_arms(experiment: Experiment, table: pd.DataFrame, tests: Sequence[str]) -> list[str]:
    notes = []
    if table["cv_mean"].notna().any():
        runs = table["cv_runs"].iloc[0]
        text = (
            f"CV: ROC-AUC over {count(runs)} runs (seeds × folds), its standard deviation, and the "
            "95 % interval of the mean by the corrected resampled t"
        )
        if _constant(table, ("cv_examples", "cv_positives")):
            text += f"; {_counts_text('cv', table)}"
        notes.append(text + ".")
    for name in tests:
        methods = sorted({m.partition(",")[0] for m in table[f"{name}_method"] if m})
        text = (
            f"{name.capitalize()}: ROC-AUC of the score averaged over all runs, with its 95 % "
            f"interval ({' or '.join(plain(m) for m in methods)})"
        )
        if _constant(table, (f"{name}_examples", f"{name}_positives")):
            text += f"; {_counts_text(name, table)}"
        notes.append(text + ".")
    if "temporal" in tests:
        notes.append(
            "Temporal: a later or earlier period of a hospital that is trained on; "
            "external: hospitals never seen in training."
        )
    if len(experiment.arms) > 1:
        group = "the table" if groups_of(experiment, table) is None else "each group"
        split = "" if _constant(table, ["split"]) else " under one split"
        notes.append(
            f"Bold: the largest of {group}{split}, picked on the very numbers shown and so too "
            "good."
        )
    notes += [*_notes_of_differences(experiment, table), *notes_of_shortcuts(table)]
    return [*notes, *notes_of_power(table), *machine_note(table), *warnings_of(experiment)]


def _notes_of_differences(experiment: Experiment, table: pd.DataFrame) -> list[str]:
    """Return what differences are from, how they were found, and why some are missing."""
    sides = [side for side in ("cv", "test") if table[f"{side}_difference"].notna().any()]
    notes = []
    if sides:
        compared = set(table.loc[table["reference"] == "no", "split"])
        names = names_of_arms(experiment)
        of_splits = experiment.references.items()
        named = {names[arm, split] for split, arm in of_splits if split in compared}
        told = named.pop() if len(named) == 1 else "the arm marked so under the same split"
        tests = {
            "cv": "over runs of the same seed and fold by the corrected resampled t",
            "test": f"on the same examples by {methods(table, 'test_difference')}",
        }
        notes.append(
            f"Δ: AUC less that of the reference, {told}; {', and '.join(tests[s] for s in sides)}; "
            "p is adjusted for all comparisons of its column (Holm)."
        )
    missing: dict[str, list[str]] = {}
    for side in sides:
        for row in table[table[f"{side}_difference"].isna()].to_dict("records"):
            reason = plain(row[f"{side}_difference_method"]).removeprefix("undefined: ")
            if reason:
                missing.setdefault(f"{side.upper() if side == 'cv' else 'test'} Δ: {reason}", [])
    return [*notes, *(f"No {reason}." for reason in missing)]


def methods(table: pd.DataFrame, column: str) -> str:
    """Return by which paired tests differences were found."""
    said = table.loc[table[column].notna(), f"{column}_method"]
    names = {plain(method.partition(",")[0]) for method in said} - {"same ranking", ""}
    return f"the paired {' or '.join(sorted(names))} test" if names else "a paired test"


def notes_of_shortcuts(table: pd.DataFrame) -> list[str]:
    """Return the note of the dagger: the best shortcut of every split with an arm marked."""
    marked = table[table["beats_shortcut"] == "no"].drop_duplicates("split")
    several = table["split"].nunique() > 1
    told = [
        f"{shortcut_title(row['shortcut'])} (AUC {number(row['shortcut_auc'])}"
        + (f", split {plain(row['split'])})" if several else ")")
        for row in marked.to_dict("records")
    ]
    if not told:
        return []
    return [
        f"{DAGGER} not shown to beat the best shortcut, {'; '.join(told)}: the interval of the "
        "difference over runs does not lie above 0. A shortcut sees far less than a model does, so "
        "such an arm may have learnt no more than that."
    ]


def notes_of_power(table: pd.DataFrame) -> list[str]:
    """Return, for each test set, the smallest difference that it could show."""
    several = table["split"].nunique() > 1
    notes = []
    for split, part in table.groupby("split", sort=False):
        row = part.iloc[0]
        sizes = (
            f"{count(row['test_positives'])} positives, {count(row['test_negatives'])} negatives"
        )
        where = f"The test set of {plain(split)}" if several else "This test set"
        power = "(80\u00a0% power, two-sided 5\u00a0%"
        seen = part["test_detectable_method"] == SEEN
        shown = part[seen] if seen.any() else part
        smallest, adjusted = (shown[f"test_detectable{end}"].median() for end in ("", "_holm"))
        if math.isfinite(smallest):
            basis = f"median over arms, from the {SEEN}" if seen.any() else "from its size alone"
            told = f"a difference of {smallest:.2g} or more in AUC from the reference arm"
            if (comparisons := int(row["test_comparisons"])) > 1:
                adjusted_to = f"of {adjusted:.2g} or more" if math.isfinite(adjusted) else "none"
                told += (
                    f" in a single comparison, and {adjusted_to} where p is adjusted for all "
                    f"{comparisons}, as here, and has to reach the first step of Holm's procedure"
                )
            notes.append(
                f"{where} ({sizes}) could show {told} {power}; {basis}): smaller ones stay unseen."
            )
        elif math.isfinite(row["test_detectable_auc"]):
            notes.append(
                f"{where} ({sizes}) could tell an AUC of {row['test_detectable_auc']:.2f} or more "
                f"from guessing {power})."
            )
    return notes


def warnings_of(experiment: Experiment) -> list[str]:
    """Return what every table must say: simulated recordings, splits leaky or not known to be."""
    splits = [(arm.split, arm.leaky, arm.notes) for arm in experiment.arms]
    return warnings_below(experiment.simulated, splits)
