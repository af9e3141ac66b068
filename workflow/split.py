"""Stage `split`: assign the examples of a cohort to folds, inner parts and test sets."""

import argparse
import json
import logging
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.stage import run
from fewcase.splits.duplicates import read_duplicates
from fewcase.splits.folds import make_split, write_split
from fewcase.study.fields import read_section
from fewcase.study.splits import SplitOptions


def main(arguments: argparse.Namespace) -> None:
    """Read the cohort, and write its split."""
    chosen = read_section(SplitOptions, arguments.options, "split")
    pairs = None
    if arguments.duplicates is None:
        logging.warning("no list of duplicates is given: copies fall where they fall")
    else:
        pairs, _ = read_duplicates(arguments.duplicates)
    split = make_split(read_table(arguments.examples), chosen, arguments.seed, pairs)
    write_split(arguments.out, split, chosen, arguments.seed)
    in_folds = split["test_set"] == ""
    for name, rows in [
        ("cross-validation", split[in_folds]),
        *split[~in_folds].groupby("test_set"),
    ]:
        logging.info(
            "%s: %d examples of %d patients, labels %s",
            name,
            len(rows),
            rows["patient"].nunique(),
            rows["label"].value_counts().sort_index().to_dict(),
        )


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=Path, required=True, help="labelled examples")
    parser.add_argument("--duplicates", type=Path, help="duplicate pairs of the cohort's windows")
    parser.add_argument(
        "--options", type=json.loads, required=True, metavar="JSON", help="options of the split"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
