"""How often each arm is right in each fold: folds as rows, arms as columns, and their mean."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from fewcase.evaluation.judging import means_over_folds
from fewcase.evaluation.scores import RUN_COLUMNS
from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.explanation_tables import MapSubject
from fewcase.reporting.gan_table_parts import records
from fewcase.reporting.performance import read_csv
from fewcase.reporting.performance_tables import Footnotes
from fewcase.reporting.text import count, number, plain, span
from fewcase.statistics.intervals import Estimate, undefined
from fewcase.study.errors import InputError
from fewcase.study.words import MEASURES

FOLD_COLUMNS = (
    *("split", "arm", "measure", "kind", "seed", "fold", "n"),
    *("value", "sd", "low", "high", "method"),
)

WORDS = {
    "auc": "ROC-AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "top3_accuracy": "Top-3 accuracy",
}
NOTE_OF_MEAN = (
    "Mean over folds, each counting alike whatever its size, with the standard deviation over "
    "folds and the 95\u00a0% interval by the corrected resampled t (Nadeau and Bengio, 2003), "
    "which allows for training parts that overlap. A single fold has few {units}: its value alone "
    "says little."
)
NOTE_OF_SPLITS = "Folds of one number under another split are of other {units}."

_FILE = re.compile(r"/([^/]+)/([^/]+)-runs\.csv$")


@dataclasses.dataclass(frozen=True, eq=False)
class ArmFolds:
    """What an arm reached in each run: seed, fold, set, n and `fewcase.study.words.MEASURES`."""

    arm: str
    split: str
    runs: pd.DataFrame


def read_arm_folds(paths: Iterable[Path]) -> list[ArmFolds]:
    """Read scores by run, as the score stage leaves them: scores/{split}/{arm}-runs.csv.

    Raises
    ------
    InputError
        For a file of another name, without a column, without a validated fold, or no file at all.
    """
    found = []
    for path in map(Path, paths):
        place = _FILE.search(path.absolute().as_posix())
        if not place:
            raise InputError(f"{path}: not scores by run; give scores/{{split}}/{{arm}}-runs.csv.")
        named = [name for name in RUN_COLUMNS if name != "set"]
        table = read_csv(path, RUN_COLUMNS, numbers=named)
        # Runs that only helped to choose between arms say nothing of a fold.
        table = table[table["inner"] == 0].astype({"seed": int, "fold": int, "n": int})
        if not (table["set"] == "validation").any():
            raise InputError(
                f"{path}: no run validates a fold; give arms under a split with folds."
            )
        split, arm = place.groups()
        found.append(ArmFolds(arm, split, table))
    if not found:
        raise InputError("--runs: no scores are given; name the scores by run of one arm at least.")
    return found


def tabulate_folds(arms: Sequence[ArmFolds], measure: str = "accuracy") -> pd.DataFrame:
    """Return what each arm reached in each fold of each seed, and the mean, full precision.

    Parameters
    ----------
    arms
        See `read_arm_folds`.
    measure
        One of `fewcase.study.words.MEASURES`.

    Returns
    -------
    pandas.DataFrame
        Columns `FOLD_COLUMNS`: kind is ``fold``, or ``mean`` of the row with the mean over all runs
        of an arm under a split, which has sd, the interval and how it was found. n is how many
        units were judged.

    Raises
    ------
    InputError
        For another measure.
    """
    if measure not in MEASURES:
        raise InputError(f"--measure: {measure!r} is not one of {list(MEASURES)}.")
    rows = []
    for each in arms:
        about = {"split": each.split, "arm": each.arm, "measure": measure}
        validated = each.runs[each.runs["set"] == "validation"].sort_values(["seed", "fold"])
        for run in records(validated):
            kept = {key: run[key] for key in ("seed", "fold", "n")}
            rows.append({**about, "kind": "fold", **kept, "value": run[measure]})
        mean = _mean(each.runs, measure)
        total = int(validated["n"].sum())
        rows.append({**about, "kind": "mean", "n": total, **dataclasses.asdict(mean)})
    table = pd.DataFrame(rows, columns=list(FOLD_COLUMNS))
    table["method"] = table["method"].fillna("")
    return table.astype({"seed": "Int64", "fold": "Int64"})


def _mean(runs: pd.DataFrame, measure: str) -> Estimate:
    found = means_over_folds(runs)
    return found.get(f"{measure}_mean", undefined("a seed has one fold only"))


def lay_out_folds(subject: MapSubject, table: pd.DataFrame) -> list[DisplayTable]:
    """Lay out folds for reading (see `tabulate_folds`): a table for each split."""
    splits = list(dict.fromkeys(table["split"]))
    return [_lay_out(subject, table[table["split"] == split], len(splits) > 1) for split in splits]


def _lay_out(subject: MapSubject, table: pd.DataFrame, several: bool) -> DisplayTable:
    split, measure = str(table["split"].iloc[0]), str(table["measure"].iloc[0])
    standing, footnotes = subject.standing(split), Footnotes()
    arms = list(dict.fromkeys(table["arm"]))
    folds, means = table[table["kind"] == "fold"], table[table["kind"] == "mean"]
    values = folds.set_index(["seed", "fold", "arm"])["value"]
    sizes = folds.groupby(["seed", "fold"])["n"].agg(["min", "max"])
    seeds = sizes.index.get_level_values("seed").nunique()
    is_share = measure != "auc"
    rows: list[Row] = []
    for seed, fold in sizes.index:
        name = f"{int(fold)}" + (f" (seed {int(seed)})" if seeds > 1 else "")
        low, high = sizes.loc[(seed, fold)]
        counted = count(low) if low == high else f"{count(low)}–{count(high)}"
        shown = [_value(values.get((seed, fold, arm), math.nan), is_share) for arm in arms]
        cells = (Cell(name), Cell(counted), *map(Cell, shown))
        starts = bool(rows) and bool(fold == sizes.index[0][1])
        rows.append(Row(cells, standing.leaky, starts))
    rows += _summaries(means.set_index("arm").loc[arms], is_share, footnotes, standing.leaky)
    title = WORDS[measure] + (" (%)" if is_share else "") + " by fold"
    units = "images" if subject.unit == "image" else "examples"
    leaky = " (leaky)" if standing.leaky else ""
    warnings = warnings_below(
        subject.simulated, [(split, standing.leaky, standing.notes)], subject.unit
    )
    return DisplayTable(
        subject.titled(f"{title}: {plain(split)}" if several else title) + leaky,
        ("Fold", "n", *map(subject.name, arms)),
        tuple(rows),
        "How to read: each row is a fold, judged by networks that were trained on the others; n is "
        f"how many {units} it has. In bold the highest mean.",
        (
            NOTE_OF_MEAN.format(units=units),
            *([NOTE_OF_SPLITS.format(units=units)] if several else []),
            *footnotes.notes,
            *warnings,
        ),
        1,
        standing.leaky,
    )


def _value(value: float, is_share: bool) -> str:
    return number(100 * value, 1) if is_share else number(value)


def _summaries(means: pd.DataFrame, is_share: bool, footnotes: Footnotes, leaky: bool) -> list[Row]:
    scale, digits = (100, 1) if is_share else (1, 3)
    highest = means["value"].max()
    best = [len(means) > 1 and bool(value == highest) for value in means["value"]]
    shown = [_or_reason(row, _value(row["value"], is_share), footnotes) for row in records(means)]
    lines = [
        ("Mean", [Cell(text, best=is_best) for text, is_best in zip(shown, best, strict=True)]),
        ("SD", [Cell(number(scale * sd, digits)) for sd in means["sd"]]),
        (
            "95\u00a0% interval",
            [
                Cell(span(scale * low, scale * high, digits=digits))
                for low, high in zip(means["low"], means["high"], strict=True)
            ],
        ),
    ]
    total = sorted(set(means["n"]))
    counted = count(total[0]) if len(total) == 1 else f"{count(total[0])}–{count(total[-1])}"
    return [
        Row((Cell(name), Cell(counted if k == 0 else ""), *cells), leaky, starts_group=k == 0)
        for k, (name, cells) in enumerate(lines)
    ]


def _or_reason(row: dict[str, object], text: str, footnotes: Footnotes) -> str:
    method = plain(row["method"])
    if text == "–":
        return f"– {footnotes.mark(method.removeprefix('undefined: '))}"
    if not math.isfinite(float(str(row["low"]))):
        footnotes.without_interval(method)
    return text
