"""Stage `download`: fetch the CTU-UHB database, or another with a SHA256SUMS.txt, and verify it."""

import argparse
import logging
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.ingest.download import CTU_UHB_URL, Patience, download


def main(arguments: argparse.Namespace) -> None:
    """Fetch what is missing, and say what is there now."""
    done = download(
        arguments.url,
        arguments.out,
        parallel=arguments.parallel,
        patience=Patience(arguments.attempts, arguments.pause, arguments.timeout),
    )
    logging.info(
        "%s: %d files verified (%d fetched now, %d there before)",
        arguments.out,
        done.kept + done.fetched,
        done.fetched,
        done.kept,
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    usual = Patience()
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to")
    parser.add_argument("--url", default=CTU_UHB_URL, help="folder of the database")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="connections")
    parser.add_argument(
        "--attempts", type=int, default=usual.attempts, metavar="N", help="tries in vain, per file"
    )
    parser.add_argument(
        "--pause", type=float, default=usual.pause_s, metavar="S", help="first pause, doubled after"
    )
    parser.add_argument(
        "--timeout", type=float, default=usual.timeout_s, metavar="S", help="longest silence"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
