"""Stage `flow`: count the records that remain after each step, and list all refusals."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.files import atomic_path, read_table, write_table
from fewcase.data.stage import run
from fewcase.splits.flow import make_flow
from fewcase.study.targets import read_target
from fewcase.study.words import UNIT_KINDS


def main(arguments: argparse.Namespace) -> None:
    """Read the records, the cohort and the refusals of all stages; write refusals and counts."""
    rejected, flow = make_flow(
        read_table(arguments.records),
        read_table(arguments.examples),
        [read_table(path) for path in arguments.rejected],
        read_target(arguments.target, "target"),
        arguments.unit_kind,
    )
    write_table(arguments.out_rejected, rejected)
    with atomic_path(arguments.out_flow) as path:
        flow.to_csv(path, index=False, lineterminator="\n")


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="records with outcomes")
    parser.add_argument("--examples", type=Path, required=True, help="labelled examples")
    parser.add_argument(
        "--rejected", type=Path, nargs="+", required=True, help="refusals of each stage"
    )
    parser.add_argument(
        "--target", type=json.loads, required=True, metavar="JSON", help="the rule of the label"
    )
    parser.add_argument(
        "--unit-kind", choices=UNIT_KINDS, default="window", help="what an example is"
    )
    parser.add_argument("--out-rejected", type=Path, required=True, help="all refusals")
    parser.add_argument("--out-flow", type=Path, required=True, help="counts after each step")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
