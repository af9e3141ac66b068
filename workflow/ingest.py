"""Stage `ingest`: read the recordings of one source, check them, and store them at 4 Hz."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewcase.data.recordings import Recording, Refusal
from fewcase.data.stage import run
from fewcase.ingest.store import write_recordings
from fewcase.study.fields import read_section
from fewcase.study.sources import SOURCES


def main(arguments: argparse.Namespace) -> None:
    """Write the recordings of the source that was asked for."""
    options = read_section(SOURCES[arguments.source], json.loads(arguments.options), "options")
    write_recordings(read(arguments.source, options, arguments.data), arguments.out)


def read(source: str, options: Any, data: Path) -> Iterator[Recording | Refusal]:
    """Return the recordings of a source; only its own module is loaded."""
    if source == "simulate_ctg":
        from fewcase.ingest.simulate.ctg import simulate_ctg

        return simulate_ctg(options)
    if source == "ctu_uhb":
        from fewcase.ingest.ctu_uhb import read_ctu_uhb

        return read_ctu_uhb(options, data)
    from fewcase.ingest.ctg_table import read_ctg_table

    return read_ctg_table(options, data)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, choices=sorted(SOURCES))
    parser.add_argument("--options", default="{}", metavar="JSON", help="the source's section")
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER", help="raw data")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
