"""Stage `duplicates`: find the windows of a cohort that are copies of each other."""

import argparse
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.stage import run
from fewcase.signal.windows import Windows
from fewcase.splits.duplicates import name_pairs, write_duplicates
from fewcase.splits.signal_pairs import find_signal_pairs


def main(arguments: argparse.Namespace) -> None:
    """Read a cohort's windows, and write the pairs."""
    examples = read_table(arguments.window / "examples.parquet", ["row", "example"])
    pairs, facts = find_signal_pairs(Windows.open(arguments.window), threads=arguments.threads)
    write_duplicates(arguments.out, name_pairs(pairs, examples), facts)


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=Path, required=True, help="folder made by stage signal")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="table of pairs")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
