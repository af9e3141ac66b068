"""The reproduction sheet: each number of a paper, ours, what was set otherwise, and a verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json
from fewcase.reporting.contrasts import compare_over_runs
from fewcase.reporting.evidence import Evidence, Key, Runs
from fewcase.reporting.headline import HEADLINES, judged_by_all
from fewcase.reporting.labels import read_labels
from fewcase.reporting.paper import RATIO, CountOf, Paper, Statement, Wins
from fewcase.reporting.settings_table import differences
from fewcase.reporting.text import VALUE_TITLES, factor_title, factor_value, plain
from fewcase.reporting.verdicts import (
    AGREES,
    CANT_TELL,
    DIFFERS,
    NOT_COMPARABLE,
    NOT_RUN,
    SIMULATED,
    judge_count,
    judge_statement,
    judge_value,
)
from fewcase.study.contents import Study
from fewcase.study.errors import InputError
from fewcase.study.plan import read_study
from fewcase.study.words import MEASURES, NOUNS

SHEET_COLUMNS = [
    *("id", "kind", "where", "what", "says", "paper", "paper_sd", "ours", "ours_sd", "low", "high"),
    *("settings", "verdict", "why", "leaky"),
]

_RECORDS = dict.fromkeys(nouns.records for nouns in NOUNS.values())
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
        By measure, then by arm and split, for intervals of differences between two levels.
    sizes
        Number of parameters by model.
    """

    tables: Mapping[str, pd.DataFrame]
    flow: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    runs: Mapping[str, Mapping[Key, Runs]] = dataclasses.field(default_factory=dict)
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
            Evidence.read(keys, runs=runs, measures=_measures_in(runs)).all_runs,
            # A model with options of its own, such as a depth, is another one.
            {
                f["recipe"]["model"]: int(f["parameters"])
                for f in facts
                if "parameters" in f and not f["recipe"].get("model_options")
            },
        )


def _measures_in(runs: Sequence[Path]) -> list[str]:
    """Return the measures that the score stage wrote of each run: AUC, or all of them."""
    if not runs:
        return list(MEASURES[:1])
    known = _read_csv(runs[0]).columns
    return [measure for measure in MEASURES if measure == MEASURES[0] or measure in known]


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable CSV table ({error}).") from None


def study_in_effect(effective: Mapping[str, Any]) -> Study:
    """Return the plan of a study from the ``study.json`` of its results."""
    return read_study({**effective, "presets": {effective.get("preset", "smoke"): {}}})


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


def _simulated(study: Study, split: str) -> str:
    """Return what is simulated of a split's cohort, empty where nothing is."""
    known = split if split in study.splits else study.default_arm.split
    cohort = study.cohorts[study.cohort_of(known)]
    return NOUNS[cohort.unit].records if cohort.is_simulated else ""


def _count_rows(paper: Paper, study: Study, results: Results) -> Iterator[dict[str, Any]]:
    simulated = _simulated(study, study.default_arm.split)
    for entry in paper.counts:
        ours, why = _counted(entry, results)
        if not _is_of_default_split(study, entry.experiment):
            ours, why = NAN, f"the counts are of another split than experiment {entry.experiment!r}"
        settings = differences(paper, study, entry.concern)
        facts = {"paper": entry.value, "settings": settings}
        if why:
            yield _not_run("count", entry, entry.text, why, **facts)
            continue
        if entry.label == RATIO:
            same = math.isclose(ours, entry.value, rel_tol=0.01)
            verdict = (AGREES, "within 1 %") if same else (DIFFERS, "another ratio was set")
        else:
            verdict = judge_count(entry.value, ours, simulated=simulated)
        yield _row("count", entry, entry.text, verdict, ours=ours, **facts)


def _is_of_default_split(study: Study, experiment: str | None) -> bool:
    """Whether label counts and flow, which are of the default split, are of an experiment too."""
    if experiment is None:
        return True
    known = study.experiments.get(experiment)
    return known is not None and {a.split for a in known.arms} == {study.default_arm.split}


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
        records = next(noun for noun in _RECORDS if noun in flow)
        return float(rows[records].iloc[-1]), ""
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
    if entry.label == RATIO:
        return float(chosen["negative"].sum() / max(chosen["positive"].sum(), 1)), ""
    column = "recordings" if entry.label == "all" else entry.label
    if column not in chosen:
        return NAN, f"labels.csv has no label {column!r}"
    return float(chosen[column].sum()), ""


def _parameter_rows(paper: Paper, study: Study, results: Results) -> Iterator[dict[str, Any]]:
    for entry in paper.parameters:
        what = f"Parameters of {entry.model}"
        settings = differences(paper, study, "parameters")
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
            found = _find(results, table.experiment, levels, table.measure)
            for side, column in [("cv", "cv_mean"), ("test", "test")]:
                if cell.get(column) is None:
                    continue
                facts = {"paper": float(cell[column])}
                if side == "cv" and cell.get("cv_sd") is not None:
                    facts["paper_sd"] = float(cell["cv_sd"])
                title = _side_title(found, side, table.measure)
                named = dataclasses.replace(entry, id=f"{entry.id}/{side}")
                yield _value_row(
                    paper, study, named, f"{_title(levels)}: {title}", found, side, levels, facts
                )


def _side_title(found: Mapping[str, str] | str, side: str, measure: str) -> str:
    judged = not isinstance(found, str) and judged_by_all([found.get("cv_method", "")])
    title = {"cv": "validation" if judged else "CV", "test": "test"}[side]
    return f"{title} {HEADLINES[measure].words}"


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
        words = HEADLINES[entry.measure].words
        return _not_run("value", entry, what, f"the arm has no {side} {words}", **facts)
    simulated = _simulated(study, found["split"])
    settings = differences(paper, study, "performance", found["arm"], found["split"], tuple(levels))
    verdict = judge_value(facts["paper"], ours, low, high, simulated=simulated)
    numbers = {**facts, "ours": ours, "ours_sd": sd, "low": low, "high": high}
    return _row("value", entry, what, verdict, settings=settings, leaky=found["leaky"], **numbers)


def _find(
    results: Results, experiment: str, levels: Mapping[str, Any], measure: str
) -> dict[str, str] | str:
    """Return the row of an arm in the table of its experiment, or why there is none.

    In a matrix, an arm may lack a factor that others have, as a network that is trained on real
    images lacks a generator: its row is taken where it is the only one that fits.
    """
    if experiment not in results.tables:
        return f"no experiment {experiment!r} in this study"
    table = results.tables[experiment]
    if "measure" in table:
        table = table[table["measure"] == measure]
    if table.empty or ("measure" not in table and measure != MEASURES[0]):
        return f"the experiment is not about {HEADLINES[measure].words}"
    for name in levels:
        if name not in table:
            return f"the experiment does not vary {name}"
    wanted = {name: _word(level) for name, level in levels.items()}
    rows = [
        {str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")
    ]
    for row in rows:
        if all(row[name] == level for name, level in wanted.items()):
            return row
    partial = [
        row
        for row in rows
        if "reference_arm" in row and all(row[n] in ("", level) for n, level in wanted.items())
    ]
    if len(partial) == 1:
        return partial[0]
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
    """Return value, interval and deviation of an arm, in cross-validation or on the test."""
    value = {"cv": "cv_mean", "test": _tested(row)}[side]
    ours, low, high, sd = _numbers(row, value, f"{side}_low", f"{side}_high", f"{side}_sd")
    return ours, low, high, sd


def _tested(columns: Container[str]) -> str:
    """Return the column of values on the test set, by the columns that there are."""
    return "test_auc" if "test_auc" in columns else "test_value"


def _numbers(row: Mapping[str, str], *names: str) -> list[float]:
    return [float(pd.to_numeric(row.get(name, ""), errors="coerce")) for name in names]


def _statement_row(
    paper: Paper, study: Study, results: Results, entry: Statement
) -> dict[str, Any]:
    what = f"{entry.text} ({_title(entry.level)}"
    what += f" minus {_title(entry.against)})" if entry.against else ": test minus CV)"
    one = _find(results, entry.experiment, entry.level, entry.measure)
    other = one
    if entry.against:
        other = _find(results, entry.experiment, entry.against, entry.measure)
    if isinstance(one, str) or isinstance(other, str):
        why = one if isinstance(one, str) else str(other)
        return _not_run("statement", entry, what, why, says=entry.says)
    if entry.of == "cv":
        ours, low, high = _over_runs(one, other, results.runs.get(entry.measure, {}))
    else:
        ours, low, high = _test_minus_cv(one)
    if not math.isfinite(ours):
        why = f"there is no such {HEADLINES[entry.measure].words}"
        return _not_run("statement", entry, what, why, says=entry.says)
    simulated = _simulated(study, one["split"])
    verdict = judge_statement(entry.says, low, high, entry.margin, simulated=simulated)
    settings = differences(
        paper, study, "performance", one["arm"], one["split"], tuple(entry.level)
    )
    leaky = "yes" if "yes" in (one["leaky"], other["leaky"]) else "no"
    numbers = {"ours": ours, "low": low, "high": high, "says": entry.says}
    return _row("statement", entry, what, verdict, settings=settings, leaky=leaky, **numbers)


def _over_runs(
    one: Mapping[str, str], other: Mapping[str, str], runs: Mapping[Key, Runs]
) -> tuple[float, float, float]:
    keys = [(row["arm"], row["split"]) for row in (one, other)]
    if one.get("reference_arm") == other["arm"] and one["split"] == other["split"]:
        # The table has the very difference, where runs share a validation set with its interval.
        ours, low, high = _numbers(one, *(f"cv_difference{end}" for end in ("", "_low", "_high")))
        if math.isfinite(ours):
            return ours, low, high
    if all(key in runs for key in keys):
        found = compare_over_runs(runs[keys[0]], runs[keys[1]])
        return found.value, found.low, found.high
    return _of_side(one, "cv")[0] - _of_side(other, "cv")[0], NAN, NAN


def _test_minus_cv(row: Mapping[str, str]) -> tuple[float, float, float]:
    """Return the difference of an arm's two values, on different patients and so independent.

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
    if table is not None and "measure" in table:
        table = table[table["measure"] == entry.measure]
    if table is None or entry.factor not in table or entry.over not in table:
        return _not_run("wins", entry, entry.text, "no such experiment in this study", **facts)
    column = {"cv": "cv_mean", "test": _tested(table)}[entry.of]
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
    verdict = (NOT_COMPARABLE, SIMULATED.format(records=simulated))
    if not simulated:
        verdict = (CANT_TELL, "a ranking without its uncertainty; see the table's differences")
    what = f"{entry.text} (ours: of {len(contests)})"
    settings = differences(paper, study, "performance", varied=(entry.factor, entry.over))
    leaky = "yes" if "yes" in set(known["leaky"]) else "no"
    return _row(
        "wins", entry, what, verdict, ours=float(won), settings=settings, leaky=leaky, **facts
    )
