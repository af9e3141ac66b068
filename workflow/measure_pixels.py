"""Measure mean colour, histogram and border of all images of a cohort, for a shortcut baseline."""

import argparse
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.models.pixels import write_pixels

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", type=Path, nargs="+", required=True, help="channel files, in order")
parser.add_argument("--out", type=Path, required=True, help="table of pixel statistics")


def main(arguments: argparse.Namespace) -> None:
    write_pixels(arguments.images, arguments.out)


if __name__ == "__main__":
    sys.exit(run(main, parser))
