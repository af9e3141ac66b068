"""Stage `tile_images`: list what networks see of every image: the whole, or tiles."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.image_records import read_image_records
from fewcase.data.stage import run
from fewcase.images.tile import list_whole_images, tile_records
from fewcase.study.fields import read_section
from fewcase.study.image_sources import Tiles, read_as
from fewcase.study.sources import SOURCES, UNITS_OF_SOURCES

IMAGE_SOURCES = sorted(source for source, unit in UNITS_OF_SOURCES.items() if unit != "window")


def main(arguments: argparse.Namespace) -> None:
    """Read the records, and write the examples."""
    given = read_section(SOURCES[arguments.source], json.loads(arguments.options), "options")
    options = read_as(given)
    records = read_image_records(arguments.records)
    if isinstance(options, Tiles):
        tile_records(records, options, arguments.data, arguments.out, threads=arguments.threads)
    else:
        list_whole_images(records, arguments.out)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="records.parquet")
    parser.add_argument("--source", required=True, choices=IMAGE_SOURCES)
    parser.add_argument("--options", default="{}", metavar="JSON", help="the source's section")
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER", help="raw data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
