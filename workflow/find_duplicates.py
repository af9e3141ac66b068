"""Stage `duplicates`: find the examples of a cohort that are copies of each other."""

import argparse
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.signal.windows import Windows
from fewcase.splits.duplicates import name_pairs, write_duplicates
from fewcase.splits.image_copies import find_copies, find_shared
from fewcase.splits.signal_pairs import find_signal_pairs
from fewcase.study.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Read a cohort's windows, or its images, and write the pairs."""
    threads = arguments.threads
    if arguments.window is not None:
        examples = read_table(arguments.window / "examples.parquet", ["row", "example"])
        pairs, facts = find_signal_pairs(Windows.open(arguments.window), threads=threads)
        pairs = name_pairs(pairs, examples)
    else:
        images = open_images(arguments, "images", "examples")
        if arguments.other_images is None:
            pairs, facts = find_copies(*images, threads=threads)
        else:
            others = open_images(arguments, "other_images", "other_examples")
            pairs, facts = find_shared(*images, *others, threads=threads)
    write_duplicates(arguments.out, pairs, facts)


def open_images(arguments: argparse.Namespace, images: str, examples: str):
    """Open an image store and read the examples beside it."""
    path = getattr(arguments, examples)
    if path is None:
        raise InputError(f"--{examples.replace('_', '-')}: give the examples of the images too.")
    store = ImageStore.open([getattr(arguments, images)])
    return store, read_table(path, ["row", "example", "parent"])


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--window", type=Path, help="folder made by stage signal")
    source.add_argument("--images", type=Path, metavar="STORE", help="or images, a .npy file")
    parser.add_argument("--examples", type=Path, help="examples of the images")
    parser.add_argument(
        "--other-images", type=Path, metavar="STORE", help="find copies between the two alone"
    )
    parser.add_argument("--other-examples", type=Path, help="examples of the other images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="table of pairs")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
