"""Stage `certify`: count what the parts of a split share, and stop at a leak."""

import argparse
import logging
import sys
from pathlib import Path

import pandas as pd

from fewcase.data.files import read_table, write_digest
from fewcase.data.stage import run
from fewcase.splits.certificate import certify
from fewcase.splits.duplicates import read_duplicates
from fewcase.splits.folds import read_facts, read_split
from fewcase.splits.provenance import read_provenance
from fewcase.study.words import UNIT_KINDS


def main(arguments: argparse.Namespace) -> None:
    """Read the split and all that was made from it, and write its certificate."""
    facts = read_facts(arguments.split)
    lists = [read_duplicates(path) for path in arguments.duplicates]
    bases = {
        str(path): read_table(path, ["example", "parent", "patient"]) for path in arguments.base
    }
    certificate = certify(
        read_split(arguments.split),
        facts.options,
        facts.seed,
        pd.concat([pairs for pairs, _ in lists], ignore_index=True),
        lists[0][1],
        {str(path): read_table(path) for path in arguments.samples},
        read_table(arguments.records, ["record", "patient_known"]),
        [read_provenance(path) for path in arguments.synthetic],
        bases,
        arguments.split.parent.name,
        arguments.unit_kind,
    )
    write_digest(arguments.out, certificate)
    logging.info("%s: %s", arguments.out, certificate["status"])
    for note in certificate["notes"]:
        logging.warning("%s", note)


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="split file")
    parser.add_argument(
        *("--duplicates",), type=Path, nargs="+", required=True,
        help="duplicate pairs of the cohort, then any with cohorts of base generators",
    )  # fmt: skip
    parser.add_argument("--records", type=Path, required=True, help="records of the cohort")
    parser.add_argument("--samples", type=Path, nargs="*", default=[], help="under-sampled rows")
    parser.add_argument("--synthetic", type=Path, nargs="*", default=[], help="provenance tables")
    parser.add_argument(
        "--base", type=Path, nargs="*", default=[], help="examples of base generators' cohorts"
    )
    parser.add_argument(
        "--unit-kind", choices=UNIT_KINDS, default="window", help="what an example is"
    )
    parser.add_argument("--out", type=Path, required=True, help="certificate, JSON")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
