"""Write docs/configuration.md, the reference of every key of a study file."""

import argparse
import sys
from pathlib import Path

from fewcase.data.files import atomic_path
from fewcase.data.stage import run
from fewcase.study.reference import write_reference


def main(arguments: argparse.Namespace) -> None:
    """Write the page."""
    with atomic_path(arguments.out) as path:
        path.write_text(write_reference(), encoding="utf-8")


def options() -> argparse.ArgumentParser:
    """Return the command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/configuration.md"))
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
