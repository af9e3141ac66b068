"""Stage `prepare_images`: cut out, resize and store the images of all examples, and their masks."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.image_records import read_image_records
from fewcase.data.stage import run
from fewcase.images.masks import has_masks, mask_file, prepare_masks
from fewcase.images.prepare import prepare_images
from fewcase.study.fields import read_section
from fewcase.study.preparation import PrepareOptions


def main(arguments: argparse.Namespace) -> None:
    """Read records and examples, and write the images; beside them the masks that they have."""
    records, examples = read_image_records(arguments.records), read_table(arguments.examples)
    options = read_section(PrepareOptions, json.loads(arguments.options), "options")
    read = (records, examples, arguments.data, options)
    prepare_images(*read, arguments.out, threads=arguments.threads)
    if has_masks(records):
        prepare_masks(*read, mask_file(arguments.out), threads=arguments.threads)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="records.parquet")
    parser.add_argument("--examples", type=Path, required=True, help="examples.parquet")
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER", help="raw data")
    parser.add_argument("--options", default="{}", metavar="JSON", help="how to prepare")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="the .npy file; masks: …-mask.npy")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
