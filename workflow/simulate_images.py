"""Stage `simulate_images`: make the image files of a simulated cohort."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fewcase.data.stage import run
from fewcase.ingest.simulate.histology import simulate_histology
from fewcase.ingest.simulate.oct import simulate_oct
from fewcase.ingest.simulate.ultrasound import simulate_ultrasound
from fewcase.study.fields import read_section
from fewcase.study.image_sources import SimulateHistology, SimulateOct, SimulateUltrasound

SIMULATIONS: dict[str, tuple[Any, Any]] = {
    "simulate_histology": (SimulateHistology, simulate_histology),
    "simulate_oct": (SimulateOct, simulate_oct),
    "simulate_ultrasound": (SimulateUltrasound, simulate_ultrasound),
}


def main(arguments: argparse.Namespace) -> None:
    """Write the files of the source that was asked for."""
    section, simulate = SIMULATIONS[arguments.source]
    options = read_section(section, json.loads(arguments.options), "options")
    simulate(options, arguments.out, threads=arguments.threads)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="simulate_histology", choices=sorted(SIMULATIONS))
    parser.add_argument("--options", required=True, metavar="JSON", help="the source's section")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
