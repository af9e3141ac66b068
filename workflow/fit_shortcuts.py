"""Fit and score the shortcut baselines of one split: every shortcut on every seed and fold."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from fewcase.data.files import read_table
from fewcase.data.stage import run
from fewcase.evaluation.scores import write_scores
from fewcase.evaluation.shortcuts import score_shortcuts
from fewcase.models.shortcuts import Sources, gather_columns
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import read_samples
from fewcase.study.errors import InputError
from fewcase.study.words import UNIT_KINDS, UNITS, shortcuts_of

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--split", type=Path, nargs="+", required=True, help="split file of each seed")
parser.add_argument("--seeds", type=int, nargs="+", required=True, help="in the order of --split")
parser.add_argument("--samples", type=Path, nargs="+", required=True, help="in the same order")
parser.add_argument("--records", type=Path, required=True, help="records of the cohort")
parser.add_argument("--quality", type=Path, help="of windows, what is missing in each")
parser.add_argument("--features", type=Path, help="of windows, features of each")
parser.add_argument("--pixels", type=Path, help="pixel statistics of each image")
parser.add_argument(
    "--shortcuts", type=json.loads, default=None, help="names, JSON; null: all of the kind"
)
parser.add_argument("--metadata", type=json.loads, required=True, help="columns of records, JSON")
parser.add_argument("--split-name", required=True)
parser.add_argument("--unit", choices=UNITS, default="example")
parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
for output in ("summary", "runs-out", "units-out"):
    parser.add_argument(f"--{output}", type=Path, required=True, help="output file")


def main(arguments: argparse.Namespace) -> None:
    if not len(arguments.split) == len(arguments.seeds) == len(arguments.samples):
        raise InputError(
            f"--split, --seeds, --samples: {len(arguments.split)}, {len(arguments.seeds)} and "
            f"{len(arguments.samples)} values; give one of each for every seed."
        )
    splits = {}
    for seed, split_file, samples_file in zip(
        arguments.seeds, arguments.split, arguments.samples, strict=True
    ):
        split = read_split(split_file)
        splits[seed] = split, read_samples(samples_file, split)
    parts = [split[["row", "example", "parent"]] for split, _ in splits.values()]
    examples = pd.concat(parts).drop_duplicates("row")
    tables = (arguments.records, arguments.quality, arguments.features, arguments.pixels)
    sources = Sources(*(path and read_table(path) for path in tables))
    kind = arguments.unit_kind
    names = shortcuts_of(kind) if arguments.shortcuts is None else arguments.shortcuts
    columns = gather_columns(names, examples, sources, arguments.metadata)
    scored = score_shortcuts(columns, splits, split=arguments.split_name, unit=arguments.unit)
    paths = (arguments.summary, arguments.runs_out, arguments.units_out)
    write_scores(scored, *paths, curves=None)


if __name__ == "__main__":
    sys.exit(run(main, parser))
