"""The reproduction sheet: each number of a paper, ours, what was set otherwise, and a verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json
from fewcase.reporting.contrasts import compare_over_runs
from fewcase.reporting.display import LEAKY_NOTE, SIMULATED_NOTE, Cell, DisplayTable, Row
from fewcase.reporting.evidence import Evidence, Key, Runs
from fewcase.reporting.labels import read_labels
from fewcase.reporting.paper import CountOf, Paper, Setting, Statement, Wins
from fewcase.reporting.text import (
    VALUE_TITLES,
    count,
    factor_title,
    factor_value,
    number,
    plain,
    signed,
)
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.plan import SPLIT_FACTORS, Study, read_study

AGREES, DIFFERS, CANT_TELL = "agrees", "differs", "can't tell"
NOT_RUN, NOT_COMPARABLE = "not run", "not comparable (simulated data)"
VERDICTS = (AGREES, DIFFERS, CANT_TELL, NOT_RUN, NOT_COMPARABLE)

NARROW = 0.05
"""An interval of an AUC with a larger half-width cannot show that two values agree."""

FEW = 3
"""More rows in succession that were not run are printed as one."""

SHEET_COLUMNS = [
    *("id", "kind", "where", "what", "says", "paper", "paper_sd", "ours", "ours_sd", "low", "high"),
    *("settings", "verdict", "why", "leaky"),
]
SETTING_COLUMNS = ["number", "key", "where", "paper", "ours", "state"]
SAME, OTHER, SILENT = "same", "other", "paper silent"

# Of the printed columns, as shares of the line.
SETTING_WIDTHS = (0.06, 0.3, 0.2, 0.2, 0.16)
SHEET_WIDTHS = (0.09, 0.24, 0.13, 0.14, 0.08, 0.08, 0.08, 0.07)

NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Results:
    """The result files that a sheet is made from.

    Attributes
    ----------
    tables
        CSV tables of the experiments, by name; cells as text.
    flow, labels
        ``flow.csv`` and ``labels.csv``, or None.
    runs
        By arm and split, for intervals of differences between two levels.
    sizes
        Number of parameters by model.
    """

    tables: Mapping[str, pd.DataFrame]
    flow: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    runs: Mapping[Key, Runs] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(
        cls,
        tables: Sequence[Path],
        flow: Path | None = None,
        labels: Path | None = None,
        runs: Sequence[Path] = (),
        options: Sequence[Path] = (),
    ) -> Results:
        """Read result files.

        Parameters
        ----------
        tables
            CSV of each experiment, named after it.
        flow, labels
            ``flow.csv`` of the default cohort and target, and the CSV of label counts.
        runs
            ``scores/{split}/{arm}-runs.csv``; arm and split are taken from the path.
        options
            ``options.json`` of runs.

        Raises
        ------
        InputError
            Naming a file that is missing or no such table.
        """
        keys = [(path.stem.removesuffix("-runs"), path.parent.name) for path in runs]
        facts = [read_json(path) for path in options]
        return cls(
            {path.stem: _read_csv(path) for path in tables},
            None if flow is None else _read_csv(flow),
            None if labels is None else read_labels(labels),
            Evidence.read(keys, runs=runs).runs,
            # A model with options of its own, such as a depth, is another one.
            {
                f["recipe"]["model"]: int(f["parameters"])
                for f in facts
                if "parameters" in f and not f["recipe"].get("model_options")
            },
        )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable CSV table ({error}).") from None


# Settings ----------------------------------------------------------------------------------------


def study_in_effect(effective: Mapping[str, Any]) -> Study:
    """Return the plan of a study from the ``study.json`` of its results."""
    return read_study({**effective, "presets": {effective.get("preset", "smoke"): {}}})


def facts_in_effect(study: Study, arm: str, split: str) -> dict[str, Any]:
    """Return what a run was done with, defaults included, as plain values by key path."""
    options = study.splits[split]
    target = study.targets[options.target]
    simulated = study.cohorts[study.cohort_of(split)].is_simulated
    facts: dict[str, Any] = {
        "data": "simulated" if simulated else "real",
        "seeds": len(study.seeds),
        "folds": options.folds,
        "inner_folds": options.inner_folds,
        "unit": study.unit,
        "split.scheme": options.scheme,
        "split.hold_out": [str(part) for part in options.hold_out],
        "split.duplicates": options.duplicates,
    }
    sections = {
        "target": target,
        "signal": study.signal,
        "images": study.images,
        "recipe": study.arms[arm],
    }
    for section, values in sections.items():
        for name, value in dataclasses.asdict(values).items():
            facts[f"{section}.{name}"] = value
    return facts


def compare_settings(paper: Paper, study: Study) -> pd.DataFrame:
    """Compare the paper's settings with those in effect for the study's default arm.

    Returns
    -------
    pandas.DataFrame
        Columns `SETTING_COLUMNS`; state is same, other or paper silent, and `number` counts the
        settings that are other.

    Raises
    ------
    InputError
        For a key path that no study has, with the nearest one.
    """
    default = study.default_arm
    facts = facts_in_effect(study, default.arm, default.split)
    rows, last = [], 0
    for entry in paper.settings:
        ours = _fact(facts, entry, study)
        state = SILENT if not entry.is_known else SAME if _equal(entry.value, ours) else OTHER
        last += state == OTHER
        rows.append(
            {
                "number": last if state == OTHER else "",
                "key": entry.key,
                "where": entry.where,
                "paper": factor_value(entry.value) if entry.is_known else "not said",
                "ours": factor_value(ours),
                "state": state,
            }
        )
    return pd.DataFrame(rows, columns=SETTING_COLUMNS)


def _fact(facts: Mapping[str, Any], entry: Setting, study: Study) -> Any:
    if entry.key in facts:
        return facts[entry.key]
    # Another kind of rule has other keys: this study's target is then something else altogether.
    if entry.key.startswith("target."):
        return None
    raise InputError(f"paper: no study has the key path {entry.key!r}.{nearest(entry.key, facts)}")


def _equal(paper: Any, ours: Any) -> bool:
    if isinstance(paper, (list, tuple)) or isinstance(ours, (list, tuple)):
        return factor_value(paper) == factor_value(ours)
    numbers = (int, float)
    both = isinstance(paper, numbers) and isinstance(ours, numbers)
    if both and not isinstance(paper, bool) and not isinstance(ours, bool):
        # Papers round: 3,942 / 648 reads 6.08 or 6.083.
        return math.isclose(paper, ours, rel_tol=1e-3)
    return bool(paper == ours)


def _differences(
    paper: Paper, study: Study, concern: str, arm: str = "", split: str = "", varied: Any = ()
) -> str:
    """Return how a number's settings differ from the paper's, key by key; empty where nothing."""
    known_arm = arm if arm in study.arms else study.default_arm.arm
    known_split = split if split in study.splits else study.default_arm.split
    facts = facts_in_effect(study, known_arm, known_split)
    classical = study.arms[known_arm].is_classical
    parts = []
    for entry in paper.settings:
        section, _, factor = entry.key.partition(".")
        skipped = section == "recipe" and (factor in varied or classical)
        skipped |= section == "split" and factor in SPLIT_FACTORS and factor in varied
        if skipped or concern not in entry.concerns or not entry.is_known:
            continue
        ours = _fact(facts, entry, study)
        if not _equal(entry.value, ours):
            parts.append(f"{entry.key}: {factor_value(ours)}, paper {factor_value(entry.value)}")
    return "; ".join(parts)


# Verdicts ----------------------------------------------------------------------------------------


def judge_value(
    paper: float, ours: float, low: float, high: float, *, simulated: bool, narrow: float = NARROW
) -> tuple[str, str]:
    """Return the verdict on an AUC, and why.

    It agrees where the paper's value lies within our 95 % interval and the interval's half-width
    is at most `narrow`; it differs where the value lies outside; otherwise nobody can tell. The
    paper's own uncertainty is not counted. Simulated data can neither confirm nor contradict it.
    """
    if simulated:
        return NOT_COMPARABLE, "our recordings are simulated"
    if not all(map(math.isfinite, (ours, low, high))):
        return CANT_TELL, "there is no interval"
    if not low <= paper <= high:
        return DIFFERS, "the paper's value is outside our interval"
    if (high - low) / 2 > narrow:
        return CANT_TELL, f"our interval is wider than ± {narrow:g}"
    return AGREES, "the paper's value is within our interval"


def judge_statement(
    says: str, low: float, high: float, margin: float, *, simulated: bool
) -> tuple[str, str]:
    """Return the verdict on a statement that some level loses AUC, or loses none, and why.

    `low` and `high` are the ends of our interval of the difference, negative for a loss. A loss is
    shown where the interval lies below 0, no loss where it lies above minus `margin`.
    """
    if simulated:
        return NOT_COMPARABLE, "our recordings are simulated"
    if not (math.isfinite(low) and math.isfinite(high)):
        return CANT_TELL, "there is no interval of the difference"
    loses, keeps = high < 0, low > -margin
    if loses and keeps:
        return CANT_TELL, f"a loss is shown, but one of less than {margin:g}"
    if loses or keeps:
        found = "loss" if loses else "no loss"
        why = "our interval is below 0" if loses else f"our interval is above -{margin:g}"
        return (AGREES if says == found else DIFFERS), why
    return CANT_TELL, f"our interval holds both 0 and a loss of {margin:g}"


def judge_count(paper: float, ours: float, *, simulated: bool) -> tuple[str, str]:
    """Return the verdict on a number of recordings: the same or not."""
    if simulated:
        return NOT_COMPARABLE, "our recordings are simulated"
    if ours == paper:
        return AGREES, "the same number"
    return DIFFERS, f"{ours - paper:+,.0f}"


# The sheet ---------------------------------------------------------------------------------------


def tabulate_reproduction(paper: Paper, study: Study, results: Results) -> pd.DataFrame:
    """Hold every number of a paper against the results of a study.

    Returns
    -------
    pandas.DataFrame
        One row per number, columns `SHEET_COLUMNS`: id and kind (count, parameters, value,
        statement, wins), where it stands in the paper, what it is, the paper's value and its
        standard deviation, ours with its standard deviation and 95 % interval, the settings that
        differ, the verdict, why, and whether our number is of a leaky split.
    """
    rows = [
        *_count_rows(paper, study, results),
        *_parameter_rows(paper, study, results),
        *_value_rows(paper, study, results),
        *(_statement_row(paper, study, results, entry) for entry in paper.statements),
        *(_wins_row(paper, study, results, entry) for entry in paper.wins),
    ]
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def _row(
    kind: str, entry: Any, what: str, verdict: tuple[str, str], **numbers: Any
) -> dict[str, Any]:
    blank = dict.fromkeys(("paper", "paper_sd", "ours", "ours_sd", "low", "high"), NAN)
    row = {"id": entry.id, "kind": kind, "where": entry.where, "what": what}
    row |= blank | {"says": "", "settings": "", "leaky": "no"} | numbers
    return row | {"verdict": verdict[0], "why": verdict[1]}


def _not_run(kind: str, entry: Any, what: str, why: str, **numbers: Any) -> dict[str, Any]:
    return _row(kind, entry, what, (NOT_RUN, why), **numbers)


def _simulated(study: Study, split: str) -> bool:
    known = split if split in study.splits else study.default_arm.split
    return study.cohorts[study.cohort_of(known)].is_simulated


def _count_rows(paper: Paper, study: Study, results: Results) -> Iterator[dict[str, Any]]:
    simulated = _simulated(study, study.default_arm.split)
    for entry in paper.counts:
        ours, why = _counted(entry, results)
        settings = _differences(paper, study, entry.concern)
        facts = {"paper": entry.value, "settings": settings}
        if why:
            yield _not_run("count", entry, entry.text, why, **facts)
            continue
        if entry.label == "negatives per positive":
            same = math.isclose(ours, entry.value, rel_tol=0.01)
            verdict = (AGREES, "within 1 %") if same else (DIFFERS, "another ratio was set")
        else:
            verdict = judge_count(entry.value, ours, simulated=simulated)
        yield _row("count", entry, entry.text, verdict, ours=ours, **facts)


def _counted(entry: CountOf, results: Results) -> tuple[float, str]:
    """Return our number, or why there is none."""
    if entry.step is not None:
        if results.flow is None:
            return NAN, "no flow.csv was given"
        flow = results.flow
        rows = flow[
            (flow["step"] == entry.step)
            & (flow["site"] == entry.site)
            & (flow["label"] == entry.label)
        ]
        if rows.empty:
            return NAN, f"the cohort has no hospital {entry.site!r} at {entry.step!r}"
        # A hospital may be called "all" as well: the total is the later of the two.
        return float(rows["recordings"].iloc[-1]), ""
    if results.labels is None:
        return NAN, "no labels.csv was given"
    labels = results.labels
    site = "" if entry.site == "all" else entry.site
    chosen = labels[labels["part"].isin(entry.parts) & (labels["site"] == site)]
    # Of the folds, the first of the first seed and its first bag, as papers show them.
    for key in ("seed", "fold", "bag"):
        values = [value for value in dict.fromkeys(chosen[key].astype(str)) if value != ""]
        if values:
            chosen = chosen[chosen[key].astype(str).isin(["", values[0]])]
    if chosen.empty:
        return NAN, f"labels.csv has no part {' or '.join(entry.parts)}"
    if entry.label == "negatives per positive":
        return float(chosen["negative"].sum() / max(chosen["positive"].sum(), 1)), ""
    column = "recordings" if entry.label == "all" else entry.label
    return float(chosen[column].sum()), ""


def _parameter_rows(paper: Paper, study: Study, results: Results) -> Iterator[dict[str, Any]]:
    for entry in paper.parameters:
        what = f"Parameters of {entry.model}"
        settings = _differences(paper, study, "parameters")
        facts = {"paper": entry.value, "settings": settings}
        ours = results.sizes.get(entry.model)
        if ours is None:
            yield _not_run("parameters", entry, what, "no run of this model", **facts)
            continue
        same = abs(ours - entry.value) <= entry.margin
        why = f"{'within' if same else 'more than'} {entry.margin / 1e6:g} million apart"
        yield _row(
            "parameters", entry, what, (AGREES if same else DIFFERS, why), ours=ours, **facts
        )


def _value_rows(paper: Paper, study: Study, results: Results) -> Iterator[dict[str, Any]]:
    for table in paper.arms:
        for cells in table.rows:
            cell = dict(zip((*table.factors, *table.columns), cells, strict=True))
            levels = {name: cell[name] for name in table.factors}
            entry = dataclasses.replace(
                table, id="/".join([table.id, *map(_word, levels.values())])
            )
            found = _find(results, table.experiment, levels)
            for side, column in [("cv", "cv_mean"), ("test", "test")]:
                if cell.get(column) is None:
                    continue
                facts = {"paper": float(cell[column])}
                if side == "cv" and cell.get("cv_sd") is not None:
                    facts["paper_sd"] = float(cell["cv_sd"])
                title = {"cv": "CV AUC", "test": "test AUC"}[side]
                named = dataclasses.replace(entry, id=f"{entry.id}/{side}")
                yield _value_row(
                    paper, study, named, f"{_title(levels)}: {title}", found, side, levels, facts
                )


def _value_row(
    paper: Paper,
    study: Study,
    entry: Any,
    what: str,
    found: Mapping[str, str] | str,
    side: str,
    levels: Mapping[str, Any],
    facts: dict[str, float],
) -> dict[str, Any]:
    if isinstance(found, str):
        return _not_run("value", entry, what, found, **facts)
    ours, low, high, sd = _of_side(found, side)
    if not math.isfinite(ours):
        return _not_run("value", entry, what, f"the arm has no {side} AUC", **facts)
    simulated = _simulated(study, found["split"])
    settings = _differences(
        paper, study, "performance", found["arm"], found["split"], tuple(levels)
    )
    verdict = judge_value(facts["paper"], ours, low, high, simulated=simulated)
    numbers = {**facts, "ours": ours, "ours_sd": sd, "low": low, "high": high}
    return _row("value", entry, what, verdict, settings=settings, leaky=found["leaky"], **numbers)


def _find(results: Results, experiment: str, levels: Mapping[str, Any]) -> dict[str, str] | str:
    """Return the row of an arm in the table of its experiment, or why there is none."""
    if experiment not in results.tables:
        return f"no experiment {experiment!r} in this study"
    table = results.tables[experiment]
    for name in levels:
        if name not in table:
            return f"the experiment does not vary {name}"
    wanted = {name: _word(level) for name, level in levels.items()}
    for row in table.to_dict("records"):
        if all(row[name] == level for name, level in wanted.items()):
            return {str(key): str(value) for key, value in row.items()}
    return f"no such arm in this preset ({', '.join(wanted.values())})"


def _word(level: Any) -> str:
    return factor_value(level)


def _title(levels: Mapping[str, Any]) -> str:
    words = [
        VALUE_TITLES.get(_word(level), _word(level))
        if isinstance(level, str)
        else f"{factor_title(name)} {_word(level)}"
        for name, level in levels.items()
    ]
    return plain(" · ".join(words))


def _of_side(row: Mapping[str, str], side: str) -> tuple[float, float, float, float]:
    """Return AUC, interval and standard deviation of an arm in cross-validation or on the test."""
    value = {"cv": "cv_mean", "test": "test_auc"}[side]
    ours, low, high, sd = _numbers(row, value, f"{side}_low", f"{side}_high", f"{side}_sd")
    return ours, low, high, sd


def _numbers(row: Mapping[str, str], *names: str) -> list[float]:
    return [float(pd.to_numeric(row.get(name, ""), errors="coerce")) for name in names]


def _statement_row(
    paper: Paper, study: Study, results: Results, entry: Statement
) -> dict[str, Any]:
    what = f"{entry.text} ({_title(entry.level)}"
    what += f" minus {_title(entry.against)})" if entry.against else ": test minus CV)"
    one = _find(results, entry.experiment, entry.level)
    other = _find(results, entry.experiment, entry.against) if entry.against else one
    if isinstance(one, str) or isinstance(other, str):
        why = one if isinstance(one, str) else str(other)
        return _not_run("statement", entry, what, why, says=entry.says)
    if entry.of == "cv":
        ours, low, high = _over_runs(one, other, results)
    else:
        ours, low, high = _test_minus_cv(one)
    if not math.isfinite(ours):
        return _not_run("statement", entry, what, "there is no such AUC", says=entry.says)
    simulated = _simulated(study, one["split"])
    verdict = judge_statement(entry.says, low, high, entry.margin, simulated=simulated)
    settings = _differences(
        paper, study, "performance", one["arm"], one["split"], tuple(entry.level)
    )
    leaky = "yes" if "yes" in (one["leaky"], other["leaky"]) else "no"
    numbers = {"ours": ours, "low": low, "high": high, "says": entry.says}
    return _row("statement", entry, what, verdict, settings=settings, leaky=leaky, **numbers)


def _over_runs(
    one: Mapping[str, str], other: Mapping[str, str], results: Results
) -> tuple[float, float, float]:
    keys = [(row["arm"], row["split"]) for row in (one, other)]
    if all(key in results.runs for key in keys):
        found = compare_over_runs(results.runs[keys[0]], results.runs[keys[1]])
        return found.value, found.low, found.high
    return _of_side(one, "cv")[0] - _of_side(other, "cv")[0], NAN, NAN


def _test_minus_cv(row: Mapping[str, str]) -> tuple[float, float, float]:
    """Return the difference of an arm's two AUCs, on different patients and so independent.

    Both are means over single runs: the mean score of all runs, which the test column shows, ranks
    better than one run does, and would hide a loss. The interval is that of Newcombe's method of
    recovered variances: each end is as far away as the two intervals' own distances, squared and
    added.
    """
    test, test_low, test_high = _numbers(row, "test_mean", "test_mean_low", "test_mean_high")
    cv, cv_low, cv_high = _numbers(row, "cv_mean", "cv_low", "cv_high")
    difference = test - cv
    low = difference - math.hypot(test - test_low, cv_high - cv)
    high = difference + math.hypot(test_high - test, cv - cv_low)
    return difference, low, high


def _wins_row(paper: Paper, study: Study, results: Results, entry: Wins) -> dict[str, Any]:
    facts = {"paper": float(entry.value)}
    table = results.tables.get(entry.experiment)
    if table is None or entry.factor not in table or entry.over not in table:
        return _not_run("wins", entry, entry.text, "no such experiment in this study", **facts)
    column = {"cv": "cv_mean", "test": "test_auc"}[entry.of]
    values = pd.to_numeric(table[column], errors="coerce")
    known = table[values.notna() & (table[entry.factor] != "")].assign(value=values)
    level = _word(entry.level)
    contests = [
        part
        for _, part in known.groupby(entry.over)
        if len(part) > 1 and (part[entry.factor] == level).any()
    ]
    if not contests:
        return _not_run("wins", entry, entry.text, "no such level in this preset", **facts)
    winners = [part[entry.factor].to_numpy()[part["value"].argmax()] for part in contests]
    won = winners.count(level)
    simulated = _simulated(study, str(known["split"].iloc[0]))
    verdict = (NOT_COMPARABLE, "our recordings are simulated")
    if not simulated:
        verdict = (CANT_TELL, "a ranking without its uncertainty; see the table's differences")
    what = f"{entry.text} (ours: of {len(contests)})"
    settings = _differences(paper, study, "performance", varied=(entry.factor, entry.over))
    leaky = "yes" if "yes" in set(known["leaky"]) else "no"
    return _row(
        "wins", entry, what, verdict, ours=float(won), settings=settings, leaky=leaky, **facts
    )


# Layout ------------------------------------------------------------------------------------------


def lay_out_reproduction(
    paper: Paper, settings: pd.DataFrame, sheet: pd.DataFrame, *, simulated: bool
) -> list[DisplayTable]:
    """Lay out a sheet for reading: first what was set otherwise, then every number."""
    word = " (simulated)" if simulated else ""
    return [_lay_out_settings(paper, settings, word), _lay_out_sheet(paper, settings, sheet, word)]


def _lay_out_settings(paper: Paper, settings: pd.DataFrame, word: str) -> DisplayTable:
    ordered = [settings[settings["state"] == state] for state in (OTHER, SILENT, SAME)]
    rows: list[Row] = []
    for part in ordered:
        for i, row in enumerate(part.to_dict("records")):
            keys = ("number", "key", "paper", "ours", "where")
            cells = tuple(Cell(plain(row[key]) or "–") for key in keys)
            rows.append(Row(cells, starts_group=bool(rows) and i == 0))
    reading = (
        "How to read: first what this study sets otherwise than the paper, numbered, then what the "
        "paper does not say, then what is the same."
    )
    notes = (
        f"The paper: {plain(paper.citation)}.",
        "Ours are the settings in effect for the study's default arm.",
    )
    columns = ("No.", "Setting", "Paper", "Ours", "Where")
    title = f"Reproduction: settings{word}"
    return DisplayTable(title, columns, tuple(rows), reading, notes, 5, widths=SETTING_WIDTHS)


def _lay_out_sheet(
    paper: Paper, settings: pd.DataFrame, sheet: pd.DataFrame, word: str
) -> DisplayTable:
    numbers = {
        row["key"]: row["number"] for row in settings.to_dict("records") if row["number"] != ""
    }
    rows: list[Row] = []
    last = None
    for row in _collapsed(sheet):
        leaky = row["leaky"] == "yes"
        texts = [
            row["where"],
            row["what"] + (" (leaky)" if leaky else ""),
            row["verdict"],
            row["why"],
            _cited(row["settings"], numbers),
            row["says"] or _shown(row, "paper"),
            _shown(row, "ours"),
            _interval(row),
        ]
        group = (row["kind"], row["where"])
        cells = tuple(Cell(plain(text) or "–") for text in texts)
        rows.append(Row(cells, leaky, starts_group=last is not None and group != last))
        last = group
    found = sheet["verdict"].value_counts()
    tally = ", ".join(f"{word}: {found[word]}" for word in VERDICTS if word in found)
    reading = (
        "How to read: an AUC agrees where the paper's value lies within our 95\u00a0% interval and "
        f"the interval is no wider than ± {NARROW:g}, differs where the value lies outside, and "
        "otherwise nobody can tell."
    )
    notes = [
        f"In all: {tally}.",
        "The paper's own uncertainty is not counted. Counts and sizes are the same or they differ.",
        "Statements are held against the interval of our difference: a loss is shown where it lies "
        "below 0, no loss where it lies above the loss that would matter.",
        "Settings: numbers of the table above that bear on the row; a key path is a setting of "
        "this arm alone. What the paper does not say may differ as well.",
    ]
    if word:
        notes.append(SIMULATED_NOTE + " They can neither confirm nor contradict the paper.")
    leaky_rows = [row.leaky for row in rows]
    if any(leaky_rows):
        notes.append(LEAKY_NOTE)
    columns = ("Where", "What", "Verdict", "Why", "Settings", "Paper", "Ours", "Our 95\u00a0%")
    return DisplayTable(
        f"Reproduction: {plain(paper.title)}{word}",
        columns,
        tuple(rows),
        reading,
        tuple(notes),
        5,
        bool(rows) and all(leaky_rows),
        SHEET_WIDTHS,
    )


def _collapsed(sheet: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a sheet; many in succession that were not run become one."""
    waiting: list[dict[str, Any]] = []

    def flush() -> Iterator[dict[str, Any]]:
        if len(waiting) <= FEW:
            yield from waiting
        else:
            blank = dict.fromkeys(("paper", "paper_sd", "ours", "ours_sd", "low", "high"), NAN)
            what = f"{len(waiting)} numbers, one by one in the CSV file"
            why = "not in this preset or study"
            yield waiting[0] | blank | {"what": what, "why": why, "settings": "", "says": ""}
        waiting.clear()

    for values in sheet.to_dict("records"):
        row = {str(key): value for key, value in values.items()}
        same = waiting and (row["kind"], row["where"]) == (waiting[0]["kind"], waiting[0]["where"])
        if row["verdict"] != NOT_RUN:
            yield from flush()
            yield row
            continue
        if not same:
            yield from flush()
        waiting.append(row)
    yield from flush()


def _shown(row: Mapping[str, Any], side: str) -> str:
    value, sd = row[side], row[f"{side}_sd"]
    if not math.isfinite(value):
        return "–"
    if row["kind"] == "parameters":
        return f"{value / 1e6:.1f} M"
    if row["kind"] in ("count", "wins"):
        return count(value) if float(value).is_integer() else number(value)
    digits = 4 if row["kind"] == "value" else 3
    # A statement's number is a difference.
    return signed(value, digits) + (f" ± {number(sd, digits)}" if math.isfinite(sd) else "")


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["low"], row["high"]
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    # A dash between numbers that may be negative would be read as a sign.
    return f"{signed(low)} to {signed(high)}"


def _cited(differences: str, numbers: Mapping[str, Any]) -> str:
    """Return the numbers of the settings that differ; one that only this arm has is spelled out."""
    cited, own = [], []
    for part in filter(None, differences.split("; ")):
        key = part.partition(":")[0]
        if key in numbers:
            cited.append(int(numbers[key]))
        else:
            own.append(part)
    return ", ".join([*map(str, sorted(cited)), *own])
