"""Stage `sample`: draw the training rows of every fold and bag of a split."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import draw_samples, write_samples
from fewcase.study.fields import read_section
from fewcase.study.splits import SamplingOptions


def main(arguments: argparse.Namespace) -> None:
    """Read the split, and write the rows that its networks train on."""
    chosen = read_section(SamplingOptions, arguments.options, "sample")
    split = read_split(arguments.split)
    drawn = (chosen.neg_per_pos, chosen.bags, arguments.seed, arguments.inner)
    rows = {
        "distribution": chosen.distribution,
        "training_examples": chosen.training_examples,
    }
    write_samples(arguments.out, draw_samples(split, *drawn, **rows), *drawn, **rows)


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="the split")
    parser.add_argument(
        "--options",
        type=json.loads,
        required=True,
        metavar="JSON",
        help="negatives per positive, distribution of classes, and bags",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--inner", type=int, default=0, help="inner part that is left out")
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
