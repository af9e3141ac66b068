"""Stage `ingest_images`: list the images of one source, open each, and keep or refuse it."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.ingest.image_cohort import write_images
from fewcase.ingest.image_folder import list_images
from fewcase.ingest.masked_images import MaskedSource
from fewcase.study.fields import read_section
from fewcase.study.image_sources import MaskedImages, Tiles, read_as
from fewcase.study.sources import SOURCES, UNITS_OF_SOURCES

IMAGE_SOURCES = sorted(source for source, unit in UNITS_OF_SOURCES.items() if unit != "window")


def main(arguments: argparse.Namespace) -> None:
    """Write the records of the source that was asked for."""
    given = read_section(SOURCES[arguments.source], json.loads(arguments.options), "options")
    options = read_as(given)
    to = (arguments.data, arguments.out)
    if isinstance(options, MaskedImages):
        source = MaskedSource(options, arguments.data)
        write_images(source.list_images(), *to, opener=source.open, threads=arguments.threads)
    else:
        slides = isinstance(options, Tiles)
        listed = list_images(options, arguments.data)
        write_images(listed, *to, slides=slides, threads=arguments.threads)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, choices=IMAGE_SOURCES)
    parser.add_argument("--options", default="{}", metavar="JSON", help="the source's section")
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER", help="raw data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
