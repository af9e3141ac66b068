"""Tables as people read them: experiments laid out for Markdown, LaTeX and the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fewcase.evaluation.experiments import TEST_SETS, Experiment
from fewcase.evaluation.text import (
    VALUE_TITLES,
    count,
    factor_title,
    for_latex,
    for_markdown,
    number,
    plain,
    span,
    with_interval,
    with_spread,
)

LEAKY_NOTE = (
    "Leaky: folds were drawn by image (scheme: image), so recordings of one patient may be in "
    "training and validation at once. Such numbers are too good and say nothing about new patients."
)
SIMULATED_NOTE = "All recordings are simulated: the numbers are no evidence about patients."

SITE_NUMBERS = ("auc", "low", "high", "examples", "positives")

# A heading, the cells below it, and the values by which the best cell is found (None: by none).
NumberColumn = tuple[str, list[str], list[float] | None]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its text, and whether it is the best of its group."""

    text: str
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """One row; a leaky one is shown in red."""

    cells: tuple[Cell, ...]
    leaky: bool = False
    starts_group: bool = False


@dataclasses.dataclass(frozen=True)
class DisplayTable:
    """A table ready for printing.

    Attributes
    ----------
    title
        One line.
    columns
        Headings.
    rows
        As many cells each as there are headings.
    notes
        Sentences below the table: how to read it, and what to beware of.
    words
        How many of the first columns are words, set flush left.
    leaky
        Whether all rows are.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    words: int
    leaky: bool = False


def titled(experiment: Experiment) -> str:
    """Return the title of an experiment; it says where recordings are simulated or splits leak."""
    title = plain(experiment.title)
    if experiment.simulated and "simulated" not in title.lower():
        title += " (simulated)"
    return title + {"all": " (leaky)", "some": " (partly leaky)", "none": ""}[experiment.leaky]


def lay_out(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the numbers of an experiment (see `experiments.tabulate`) for reading."""
    if experiment.layout == "sites":
        return _lay_out_sites(experiment, table)
    return _lay_out_arms(experiment, table)


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
    text = (
        f"{count(row[f'{name}_examples'])} recordings of {count(row[f'{name}_patients'])} patients"
    )
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
        notes=tuple(_notes_of_arms(experiment, table, names)),
        words=len(words),
        leaky=experiment.leaky == "all",
    )


def _zip_cells(table: pd.DataFrame, columns: Sequence[str], form: Any) -> list[str]:
    return [form(*values) for values in zip(*(table[c] for c in columns), strict=True)]


def _validation_columns(table: pd.DataFrame) -> list[NumberColumn]:
    means = table["cv_mean"].tolist()
    columns: list[NumberColumn] = [
        ("CV AUC, mean ± SD", _zip_cells(table, ("cv_mean", "cv_sd"), with_spread), means),
        ("95\u00a0% interval", _zip_cells(table, ("cv_low", "cv_high"), span), None),
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
    if not _constant(table, (f"{name}_examples", f"{name}_positives")):
        columns.append((f"{title} n / positive", _count_cells(name, table), None))
    return columns


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


def _groups(experiment: Experiment, table: pd.DataFrame) -> list[str] | None:
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
    groups = _groups(experiment, table)
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
        group = "the table" if _groups(experiment, table) is None else "each group"
        split = "" if _constant(table, ["split"]) else " under one split"
        notes.append(
            f"Bold: the largest of {group}{split}, picked on the very numbers shown and so too "
            "good."
        )
    return [*notes, *_machine_note(table), *_warnings(experiment)]


def _warnings(experiment: Experiment) -> list[str]:
    warnings = [SIMULATED_NOTE] if experiment.simulated else []
    return warnings + ([] if experiment.leaky == "none" else [LEAKY_NOTE])


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
        (*_notes_of_sites(found), *_machine_note(table), *_warnings(experiment)),
        words=4 if several else 3,
        leaky=experiment.leaky == "all",
    )


def _notes_of_sites(found: pd.DataFrame) -> list[str]:
    # The row of all hospitals says whether there is a split that holds nothing out.
    is_whole = (found.loc[found["site"] == "", "hold_out"] == "").all()
    over = "all hospitals" if is_whole else "what each hold-out leaves"
    return [
        f"CV: the hospital's recordings within cross-validation over {over} (out-of-fold scores, "
        "mean over seeds; the first row: mean over runs with the corrected resampled t).",
        "Hold-out: the entry of the study's hold_out that keeps the hospital from training; a "
        "hospital in several entries has a row for each, and the same CV beside it.",
        "Held-out: the same hospital when no run saw it (external), or saw another period of it "
        "only (temporal); ROC-AUC of the score averaged over all runs. The gap between CV and "
        "held-out is the point.",
    ]


def to_markdown(table: DisplayTable) -> str:
    """Return a table as Markdown, best values in bold and leaky rows marked in words."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(value: Cell) -> str:
        text = for_markdown(value.text)
        return f"**{text}**" if value.best else text

    marks = ["---" if i < table.words else "---:" for i in range(len(table.columns))]
    lines = [f"### {for_markdown(table.title)}", ""]
    lines += [line([for_markdown(title) for title in table.columns]), line(marks)]
    lines += [line([cell(value) for value in row.cells]) for row in table.rows]
    lines += ["", *(f"- {for_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_latex(table: DisplayTable, label: str) -> str:
    """Return a table as LaTeX, leaky rows in red; what is wider than the column is made smaller.

    It takes the packages booktabs, graphicx and xcolor.
    """

    def cell(value: Cell, leaky: bool) -> str:
        text = for_latex(value.text)
        text = rf"\textbf{{{text}}}" if value.best else text
        return rf"\textcolor{{red}}{{{text}}}" if leaky else text

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    form = "l" * table.words + "r" * (len(table.columns) - table.words)
    title = for_latex(table.title)
    title = rf"\textcolor{{red}}{{{title}}}" if table.leaky else title
    lines = [
        r"% \usepackage{booktabs,graphicx,xcolor}",
        r"\begin{table}",
        r"  \centering\small",
        rf"  \caption{{{title}. {' '.join(for_latex(note) for note in table.notes)}}}",
        rf"  \label{{tab:{''.join(c if c.isalnum() else '-' for c in label)}}}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{{form}}}",
        r"    \toprule",
        line([for_latex(name) for name in table.columns]),
        r"    \midrule",
    ]
    for row in table.rows:
        if row.starts_group:
            lines.append(r"    \midrule")
        lines.append(line([cell(value, row.leaky) for value in row.cells]))
    lines += [r"    \bottomrule", r"  \end{tabular}}", r"\end{table}"]
    return "\n".join(lines) + "\n"
