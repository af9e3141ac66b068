"""Stage `signal`: cut the window of every recording, clean it, and measure its quality."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.recordings import read_recordings
from fewcase.data.stage import run
from fewcase.signal.windows import process_windows
from fewcase.study.fields import read_section
from fewcase.study.settings import SignalOptions


def main(arguments: argparse.Namespace) -> None:
    """Read a cohort's recordings, and write their windows."""
    records, signals = read_recordings(arguments.recordings)
    chosen = read_section(SignalOptions, json.loads(arguments.options), "signal")
    process_windows(records, signals, chosen, arguments.out, threads=arguments.threads)


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder made by ingest")
    parser.add_argument("--options", required=True, metavar="JSON", help="section signal")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the windows")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
