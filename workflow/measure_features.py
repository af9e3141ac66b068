"""Stage `features`: measure what classical models are fitted to, in every window of a cohort."""

import argparse
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.signal.features import write_features


def main(arguments: argparse.Namespace) -> None:
    """Read the windows, and write their features."""
    write_features(arguments.window, arguments.out, threads=arguments.threads)


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=Path, required=True, help="folder made by stage signal")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="table of features")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
