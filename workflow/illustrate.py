"""Stage `illustrate`: draw one recording of a cohort at each step, from raw signal to picture."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.signal.illustrate import illustrate_cohort
from fewcase.study.fields import read_section
from fewcase.study.settings import ImageOptions, SignalOptions


def main(arguments: argparse.Namespace) -> None:
    """Choose a recording, and draw it."""
    illustrate_cohort(
        arguments.recordings,
        arguments.window,
        read_section(SignalOptions, json.loads(arguments.signal), "signal"),
        read_section(ImageOptions, json.loads(arguments.images), "images"),
        simulated=arguments.simulated,
        svg=arguments.svg,
        png=arguments.png,
    )


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder made by ingest")
    parser.add_argument("--window", type=Path, required=True, help="folder made by stage signal")
    parser.add_argument("--signal", required=True, metavar="JSON", help="section signal")
    parser.add_argument("--images", required=True, metavar="JSON", help="section images")
    parser.add_argument("--simulated", action="store_true", help="say so in the title")
    parser.add_argument("--svg", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
