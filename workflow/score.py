"""Score an arm: its AUCs over seeds and folds and on each test set, from stored predictions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import atomic_path
from fewcase.evaluation.scores import (
    RunFile,
    describe_machines,
    expected_examples,
    read_predictions,
    score_arm,
)
from fewcase.study.errors import InputError
from fewcase.study.words import UNITS


def main(options: argparse.Namespace) -> None:
    if len(options.runs) != len(options.predictions):
        raise InputError(
            f"--runs: {len(options.runs)} names for {len(options.predictions)} --predictions; "
            "give one SEED/FOLD for each file, in the same order."
        )
    files = [
        RunFile(*run, path) for run, path in zip(options.runs, options.predictions, strict=True)
    ]
    expected = expected_examples(options.splits) if options.splits else None
    summary, runs = score_arm(
        read_predictions(files),
        arm=options.arm,
        split=options.split_name,
        unit=options.unit,
        expected=expected,
    )
    for column, value in describe_machines(options.run_options).items():
        summary[column] = value
    for path, table in [(options.summary, summary), (options.runs_out, runs)]:
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


def seed_and_fold(text: str) -> tuple[int, int]:
    """Read ``SEED/FOLD``."""
    seed, fold = text.split("/")
    return int(seed), int(fold)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--runs",
        type=seed_and_fold,
        nargs="+",
        required=True,
        metavar="SEED/FOLD",
        help="seed and fold of each file of --predictions",
    )
    parser.add_argument(
        "--run-options", type=Path, nargs="*", default=[], help="options.json of the runs"
    )
    parser.add_argument(
        "--splits", type=Path, nargs="*", default=[], help="split file of each seed, to check by"
    )
    parser.add_argument("--arm", required=True)
    parser.add_argument("--split-name", required=True)
    parser.add_argument("--unit", choices=UNITS, default="example")
    parser.add_argument("--summary", type=Path, required=True, help="CSV of the arm's scores")
    parser.add_argument("--runs-out", type=Path, required=True, help="CSV of each run's scores")
    sys.exit(stage.run(main, parser))
