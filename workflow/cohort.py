"""Stage `cohort`: label the examples of a cohort by a target."""

import argparse
import json
import logging
import sys
from pathlib import Path

from fewcase.data.files import content_digest, read_table, write_digest, write_table
from fewcase.data.stage import run
from fewcase.splits.cohort import make_cohort
from fewcase.study.errors import InputError
from fewcase.study.targets import read_target


def main(arguments: argparse.Namespace) -> None:
    """Read records, examples and their quality; write the labelled examples and the others."""
    if (arguments.quality is None) != (arguments.max_missing is None):
        raise InputError("--quality, --max-missing: give both for windows, neither for images.")
    quality, limit = None, 1.0
    if arguments.quality is not None:
        quality = read_table(arguments.quality, columns=["example", "missing"])
        limit = arguments.max_missing
    examples, refused = make_cohort(
        read_table(arguments.examples),
        quality,
        read_table(arguments.records),
        read_target(arguments.target, "target"),
        limit,
    )
    write_table(arguments.out, examples)
    write_table(arguments.out_refused, refused)
    content = content_digest(examples.to_csv(index=False).encode())
    write_digest(arguments.out_digest, {"content": content, "examples": len(examples)})
    counts = examples["label"].value_counts().sort_index().to_dict()
    logging.info("%d examples by label %s, %d refused", len(examples), counts, len(refused))


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="records with outcomes")
    parser.add_argument("--examples", type=Path, required=True, help="windows, images or tiles")
    parser.add_argument("--quality", type=Path, help="of windows, what is missing in each")
    parser.add_argument(
        "--target", type=json.loads, required=True, metavar="JSON", help="the rule of the label"
    )
    parser.add_argument("--max-missing", type=float, help="of windows, largest share missing")
    parser.add_argument("--out", type=Path, required=True, help="the labelled examples")
    parser.add_argument("--out-digest", type=Path, required=True, help="their digest")
    parser.add_argument("--out-refused", type=Path, required=True, help="the others, with reasons")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
