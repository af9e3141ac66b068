"""Score an arm from stored predictions: ranking, decisions, calibration, over folds and by set."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fewcase.data import stage
from fewcase.evaluation.predictions import (
    RunFile,
    describe_machines,
    expected_examples,
    read_predictions,
    read_prevalences,
)
from fewcase.evaluation.scores import score_arm, write_scores
from fewcase.evaluation.subgroups import read_other_labels, read_subgroups
from fewcase.study.errors import InputError
from fewcase.study.words import UNITS


def main(options: argparse.Namespace) -> None:
    files = run_files("--runs", options.runs, options.predictions)
    choosing = run_files("--inner-runs", options.inner_runs, options.inner_predictions)
    runs = [(file.seed, file.fold) for file in files]
    if options.subgroups and options.records is None:
        raise InputError("--subgroups: give --records, the records.parquet of the cohort, as well.")
    expected = None
    if options.splits:
        expected = expected_examples(options.splits, {file.seed for file in files})
    scored = score_arm(
        read_predictions(files),
        arm=options.arm,
        split=options.split_name,
        unit=options.unit,
        expected=expected,
        prevalences=read_prevalences(runs, options.run_options) if options.run_options else None,
        subgroups=read_subgroups(options.records, options.subgroups) if options.subgroups else None,
        labels={target: read_other_labels(path) for target, path in options.labels},
        inner=read_predictions(choosing) if choosing else None,
        is_ordered=options.ordered,
    )
    for column, value in describe_machines(options.run_options).items():
        scored.summary[column] = value
    write_scores(scored, options.summary, options.runs_out, options.units_out, options.curves_out)


def run_files(
    option: str, runs: Sequence[tuple[int, int, int]], predictions: Sequence[Path]
) -> list[RunFile]:
    """Join the names of runs with their files."""
    if len(runs) != len(predictions):
        raise InputError(
            f"{option}: {len(runs)} names for {len(predictions)} files of predictions; give one "
            "for each file, in the same order."
        )
    return [
        RunFile(seed, fold, path, inner)
        for (seed, fold, inner), path in zip(runs, predictions, strict=True)
    ]


def run_name(text: str) -> tuple[int, int, int]:
    """Read ``SEED/FOLD`` or ``SEED/FOLD/INNER``; without one, `inner` is 0."""
    seed, fold, inner = map(int, [*text.split("/"), "0"][:3])
    return seed, fold, inner


def other_labels(text: str) -> tuple[str, Path]:
    """Read ``TARGET=FILE``."""
    target, path = text.split("=", maxsplit=1)
    return target, Path(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--predictions", type=Path, nargs="+", required=True)
    add("--runs", type=run_name, nargs="+", required=True, metavar="SEED/FOLD", help="of each file")
    add("--run-options", type=Path, nargs="*", default=[], help="options.json of each run")
    add("--inner-predictions", type=Path, nargs="*", default=[], help="of runs made to choose")
    add("--inner-runs", type=run_name, nargs="*", default=[], metavar="SEED/FOLD/INNER")
    add("--splits", type=Path, nargs="*", default=[], help="split of each seed, to check by")
    add("--records", type=Path, help="records.parquet, for --subgroups")
    add("--subgroups", type=json.loads, default={}, help="JSON: NAME to column and edges")
    add("--labels", type=other_labels, nargs="*", default=[], metavar="TARGET=EXAMPLES")
    add("--arm", required=True)
    add("--split-name", required=True)
    add("--unit", choices=UNITS, default="example")
    add("--ordered", action="store_true", help="classes are degrees in the order of the labels")
    add("--summary", type=Path, required=True, help="CSV of the arm's scores")
    add("--runs-out", type=Path, required=True, help="CSV of each run's scores")
    add("--units-out", type=Path, help="parquet of each unit's scores")
    add("--curves-out", type=Path, help="CSV of ROC, reliability and decision curves")
    sys.exit(stage.run(main, parser))
