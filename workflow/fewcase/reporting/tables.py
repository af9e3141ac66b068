"""Experiments laid out as people read them: tables, and how to read their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.audit import UNITS, is_by_image
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
READING_OF_SITES = (
    "How to read: each row is a hospital; where the AUC is clearly lower when it was held out than "
    "among the hospitals trained on (CV), the model does not travel well."
)
READING_OF_AUDIT = (
    "How to read: each row is one recipe, trained on the same study under two kinds of folds; "
    "image-level folds let examples of one patient into training and validation at once, so an "
    "AUC that is higher under them is no skill that a new patient would meet."
)
OF_SHORTCUT = (
    "The dashed line with its band is the best shortcut and its 95\u00a0% interval; a grey one "
    "at 0.5 is guessing."
)
# What a figure shows, and what its second panel shows where anything was held out.
CAPTIONS = {
    "grid": (
        "Each dot is an arm: the mean ROC-AUC over seeds and folds of cross-validation with its "
        "corrected resampled t interval. Where intervals overlap widely, the order of arms may be "
        "chance.",
        "Right: the held-out test set, scores averaged over all runs.",
    ),
    "sweep": (
        "One factor is varied, all else is kept: mean ± standard deviation over the runs of "
        "cross-validation. 'none' leaves the signal as it was recorded.",
        "Lower panel: the held-out test set with 95\u00a0% intervals.",
    ),
    "sites": (
        "How well a hospital's examples are told apart when the hospital takes part in training "
        "(dots) and when it does not (squares), with 95\u00a0% intervals.",
        "",
    ),
    "audit": (
        "Each row is one recipe: a dot under patient-level folds, a square under image-level "
        "(leaky) ones, with 95\u00a0% intervals. A square to the right of its dot shows what folds "
        "that share patients add.",
        "Right: the held-out test set.",
    ),
}
HOW_TO_READ = (
    "How to read: the AUC is how often a positive gets a higher score than a negative (0.5 is "
    "guessing, 1 is perfect)"
)
DIFFERENCES_TO_READ = (
    "; an arm is shown to differ from the reference only where p, adjusted for the number of "
    "comparisons, is below 0.05"
)
SITE_NUMBERS = ("auc", "low", "high", "examples", "positives")

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


def lay_out(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the numbers of an experiment (see `experiments.tabulate`) for reading."""
    if experiment.layout == "sites":
        return _lay_out_sites(experiment, table)
    if experiment.layout == "audit":
        return _lay_out_audit(experiment, table)
    return _lay_out_arms(experiment, table)


def caption_of(experiment: Experiment, table: pd.DataFrame) -> str:
    """Return how to read the figure of an experiment with these numbers."""
    always, of_test = CAPTIONS[experiment.layout]
    said = [always]
    if of_test and table["test_auc"].notna().any():
        said.append(of_test)
    if experiment.layout in ("grid", "sweep") and table["shortcut_auc"].notna().any():
        said.append(OF_SHORTCUT)
    return " ".join(said)


def names_of_arms(experiment: Experiment, factors: Sequence[str] | None = None) -> dict[Key, str]:
    """Return what readers know arms by: the levels of their factors, or of some of them."""
    factors = experiment.factors if factors is None else factors
    names = {}
    for arm in experiment.arms:
        levels = [VALUE_TITLES.get(text, text) for name in factors if (text := arm.level(name))]
        names[arm.key] = " · ".join(levels) or plain(arm.arm)
    return names


def _level(text: str) -> str:
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


def _machine_note(table: pd.DataFrame) -> list[str]:
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
    return [_n_of(n, positives) for n, positives in pairs]


def _n_of(examples: float, positives: float) -> str:
    return f"{count(examples)} / {count(positives)}" if math.isfinite(examples) else "–"


def _lay_out_arms(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    words: list[tuple[str, list[str]]] = [
        (factor_title(name), [_level(text) for text in table[name]]) for name in experiment.factors
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
    notes += [*_notes_of_differences(experiment, table), *_notes_of_shortcuts(table)]
    return [*notes, *notes_of_power(table), *_machine_note(table), *warnings_of(experiment)]


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
            "test": f"on the same examples by {_methods(table, 'test_difference')}",
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


def _methods(table: pd.DataFrame, column: str) -> str:
    """Return by which paired tests differences were found."""
    said = table.loc[table[column].notna(), f"{column}_method"]
    names = {plain(method.partition(",")[0]) for method in said} - {"same ranking", ""}
    return f"the paired {' or '.join(sorted(names))} test" if names else "a paired test"


def _notes_of_shortcuts(table: pd.DataFrame) -> list[str]:
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


def comparison_of_sites(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per recipe, site and hold-out: its AUC in cross-validation, and held out.

    A site may be a test set of several hold-outs, say with its later years only and as a whole;
    each has a row. Cross-validation beside it is that of the split that holds nothing out or,
    where a recipe has none, of the same split. The first rows of a recipe are the whole of the
    cross-validation.

    Returns
    -------
    pandas.DataFrame
        Columns recipe, site (empty for all), hold_out (empty where nothing is held out), kind
        (temporal, external, or empty), leaky, and, with the prefixes ``cv_`` and ``test_``, auc,
        low, high, examples, positives; of the test also mean and sd over runs.
    """
    names = [name for name in experiment.factors if name != "hold_out"]
    rows: list[dict[str, Any]] = []
    # Keyed by arm as well: a factor that an arm leaves to the study is empty among its levels.
    for (arm, *levels), part in table.groupby(["arm", *names], sort=False):
        recipe = " · ".join(_level(str(level)) for level in levels if level) or plain(arm)
        leaky = part["leaky"].iloc[0]
        rows += [{"recipe": recipe, "leaky": leaky, **row} for row in _sites_of_recipe(part)]
    numbers = [f"{side}_{key}" for side in ("cv", "test") for key in SITE_NUMBERS]
    columns = ["recipe", "site", "hold_out", "kind", "leaky", *numbers, "test_mean", "test_sd"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _sites_of_recipe(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of one recipe, sorted by site and then in the order of its splits."""
    is_test = table["evaluation"].str.endswith(" test")
    within, held = _sides(table[~is_test], "cv"), _sides(table[is_test], "test")
    tested = {split for split, _ in held}
    whole = next((split for split in table["split"] if split not in tested), None)
    rows, compared = [], set()
    for (split, site), numbers in held.items():
        compared.add((whole or split, site))
        beside = within.get((whole or split, site), {})
        rows.append({"site": site, "hold_out": _hold_out_of(split)} | beside | numbers)
    for (split, site), numbers in within.items():
        if whole in (None, split) and (split, site) not in compared:
            name = "" if whole else _hold_out_of(split)
            rows.append({"site": site, "hold_out": name, "kind": ""} | numbers)
    return sorted(rows, key=lambda row: row["site"])


def _hold_out_of(split: str) -> str:
    """Return what a split, named target-scheme-hold_out, holds out; no part has a hyphen."""
    return split.rpartition("-")[2]


def _sides(table: pd.DataFrame, side: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the numbers of each split and site, the column names beginning with the side."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        entry = found.setdefault((row["split"], row["site"]), {})
        if side == "test":
            entry["kind"] = row["evaluation"].removesuffix(" test")
        if side == "test" and row["statistic"] == "auc_mean":
            entry |= {"test_mean": row["auc"], "test_sd": row["sd"]}
        elif side == "test" or row["site"] or row["statistic"] == "auc_mean":
            entry |= {f"{side}_{key}": row[key] for key in SITE_NUMBERS}
    return found


def _lay_out_sites(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    found = comparison_of_sites(experiment, table)
    several = found["recipe"].nunique() > 1
    rows, last = [], None
    for row in found.to_dict("records"):
        site = plain(row["site"]) or "all hospitals of the cross-validation"
        leaky = row["leaky"] == "yes"
        cells = [row["recipe"]] if several else []
        cells += [
            f"{site} (leaky)" if leaky else site,
            plain(row["hold_out"]) or "–",
            row["kind"] or "–",
            with_interval(row["cv_auc"], row["cv_low"], row["cv_high"]),
            _n_of(row["cv_examples"], row["cv_positives"]),
            with_interval(row["test_auc"], row["test_low"], row["test_high"]),
            with_spread(row["test_mean"], row["test_sd"]),
            _n_of(row["test_examples"], row["test_positives"]),
        ]
        starts = last is not None and row["recipe"] != last
        last = row["recipe"]
        rows.append(Row(tuple(Cell(text) for text in cells), leaky, starts))
    columns = (
        *(["Arm"] if several else []),
        "Hospital",
        "Hold-out",
        "Test",
        "CV AUC [95\u00a0%]",
        "CV n / positive",
        "Held-out AUC [95\u00a0%]",
        "Held-out AUC, mean of runs ± SD",
        "Held-out n / positive",
    )
    return DisplayTable(
        titled(experiment),
        columns,
        tuple(rows),
        READING_OF_SITES,
        (*_notes_of_sites(found), *_machine_note(table), *warnings_of(experiment)),
        words=4 if several else 3,
        leaky=experiment.leaky == "all",
    )


def _notes_of_sites(found: pd.DataFrame) -> list[str]:
    # The row of all hospitals says whether there is a split that holds nothing out.
    is_whole = (found.loc[found["site"] == "", "hold_out"] == "").all()
    over = "all hospitals" if is_whole else "what each hold-out leaves"
    return [
        f"CV: the hospital's examples within cross-validation over {over} (out-of-fold scores, "
        "mean over seeds; the first row: mean over runs with the corrected resampled t).",
        "Hold-out: the entry of the study's hold_out that keeps the hospital from training; a "
        "hospital in several entries has a row for each, and the same CV beside it.",
        "Held-out: the same hospital when no run saw it (external), or saw another period of it "
        "only (temporal); ROC-AUC of the score averaged over all runs.",
    ]


SCHEME_SIDES = ("patient", "image")
SCHEME_NUMBERS = ("cv_mean", "cv_low", "cv_high", "test_auc", "test_low", "test_high")
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
        those of `SCHEME_NUMBERS`, those of `AUDIT_NUMBERS` with their methods, and `AUDIT_SIZES`.
        What a recipe lacks is NaN or empty.
    """
    names = [name for name in experiment.factors if name != "scheme"]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        by_image = is_by_image(row["split"])
        # An arm under image-level folds without a partner stands by itself.
        key = (row["arm"], row["audit_partner"] or row["split"])
        levels = [_level(row[name]) for name in names if row[name]]
        told = rows.setdefault(
            key, {"recipe": " · ".join(levels) or _short_name(row["arm"], table)}
        )
        side = SCHEME_SIDES[by_image]
        told |= {f"{side}_{name}": row[name] for name in SCHEME_NUMBERS}
        if by_image:
            told |= {str(name): row[name] for name in row if str(name).startswith("audit_")}
        else:
            told["patient_leaky"] = row["leaky"]
            told |= {name: row[name] for name in ("beats_shortcut", "cv_examples", "cv_patients")}
    methods = [f"audit_{name}_method" for name in ("difference", "pooled", "test")]
    numbers = [f"{side}_{name}" for side in SCHEME_SIDES for name in SCHEME_NUMBERS]
    numbers += [*AUDIT_NUMBERS, *AUDIT_SIZES, "cv_examples", "cv_patients"]
    words = ["recipe", "beats_shortcut", "patient_leaky", *methods]
    found = pd.DataFrame(list(rows.values())).reindex(columns=[*words, *numbers])
    return found.fillna(dict.fromkeys(words, ""))


def _short_name(arm: str, table: pd.DataFrame) -> str:
    """Return the model of an arm that has no level of its own, where no other arm has the model."""
    model = arm.partition("+")[0]
    rivals = {name for name in table["arm"] if name.partition("+")[0] == model}
    return plain(model if rivals == {arm} else arm)


def _lay_out_audit(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    found = comparison_of_schemes(experiment, table)
    several = len(found) > 1
    has_test = bool(found[["patient_test_auc", "image_test_auc"]].notna().any(axis=None))

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
                Cell(numbers(row, "patient", "test_auc") + leaky, leaky=leaks),
                Cell(numbers(row, "image", "test_auc"), leaky=True),
                Cell(apart(row, "test")),
            ]
        rows.append(Row(tuple(cells)))
    columns = [
        *(["Arm"] if several else []),
        "Patient-level CV AUC [95\u00a0%]",
        "Image-level CV AUC (leaky) [95\u00a0%]",
        "Difference over runs [95\u00a0%]",
        "Difference, same examples [95\u00a0%]",
    ]
    if has_test:
        columns += [
            "Patient-level test AUC [95\u00a0%]",
            "Image-level test AUC (leaky) [95\u00a0%]",
            "Test difference [95\u00a0%]",
        ]
    honest = table[~table["split"].map(is_by_image)]
    notes = [*_notes_of_audit(found, has_test), *_notes_of_shortcuts(honest)]
    # What a test set could show of the two kinds of folds says nothing about arms.
    notes += notes_of_power(honest.assign(test_detectable=float("nan")))
    notes += [*_machine_note(table), *warnings_of(experiment)]
    return DisplayTable(
        titled(experiment),
        tuple(columns),
        tuple(rows),
        READING_OF_AUDIT,
        tuple(notes),
        words=int(several),
        leaky=experiment.leaky == "all",
    )


def _notes_of_audit(found: pd.DataFrame, has_test: bool) -> list[str]:
    notes = [
        *_verdicts(found),
        "Difference: image-level less patient-level. Over runs: of the means of cross-validation, "
        "corrected resampled t with the two sides taken as independent; same examples: of the "
        "AUC of out-of-fold scores, mean over seeds, by "
        f"{_methods(found, 'audit_pooled')}.",
        *_notes_of_common(found),
    ]
    if has_test:
        notes.append(
            "Test difference: on the examples held out from both; where nobody of them is in "
            "training, it should be near 0, whatever cross-validation says."
        )
    if (found["cv_examples"] == found["cv_patients"]).all():
        notes.append("Every patient has one example: image-level folds leak no patient here.")
    return notes


def _notes_of_common(found: pd.DataFrame) -> list[str]:
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
                    "patient-level folds, while the AUC of each kind of folds is of all its own."
                ] = None
    return list(notes)


def _is_no_set(row: Mapping[Any, Any], name: str) -> bool:
    """Return whether neither side has a test set, which is no shortcoming of a comparison."""
    sides = (f"audit_{name}_image", f"audit_{name}_patient")
    return name == "test" and all(math.isnan(row[side]) for side in sides)


# What the differences show, by their verdict and by how many of them have an interval.
VERDICTS = {
    ("higher", 2): "higher under image-level folds, by either interval: that much of the AUC rests "
    "on patients seen in training",
    ("higher", 1): "higher under image-level folds, by the only interval there is: that much of "
    "the AUC rests on patients seen in training",
    ("opposite", 2): "the two intervals contradict each other, one above 0 and one below: not "
    "settled",
    ("unsettled", 2): "one of the two intervals leaves out 0 and the other does not: not settled",
    ("none", 2): "no difference shown, as no interval leaves out 0: that does not prove that "
    "nothing leaks",
    ("none", 1): "no difference shown, as the only interval there is has 0 within: that does not "
    "prove that nothing leaks",
    ("lower", 2): "lower under image-level folds, by either interval: a leak would raise the AUC, "
    "so none is seen here",
    ("lower", 1): "lower under image-level folds, by the only interval there is: a leak would "
    "raise the AUC, so none is seen here",
    ("unknown", 0): "no interval of the difference",
}


def _verdicts(found: pd.DataFrame) -> list[str]:
    """Return what the differences show, recipes of one verdict in one sentence."""
    recipes: dict[tuple[str, int], list[str]] = {}
    for row in found.to_dict("records"):
        recipes.setdefault(_verdict(row), []).append(row["recipe"])
    notes = []
    for verdict, sentence in VERDICTS.items():
        if named := recipes.get(verdict):
            alone = "All recipes" if len(found) > 1 else "Found"
            who = alone if len(named) == len(found) else ", ".join(named)
            notes.append(f"{who}: {sentence}.")
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
