"""Turn the published weights of the Inception network of FID into a safetensors file, once."""

import argparse
import hashlib
import logging
import sys
from pathlib import Path

import torch

from fewcase.data.stage import run
from fewcase.ingest.download import Patience, fetch_file
from fewcase.quality.inception import PUBLISHED_SHA256, PUBLISHED_URL, write_inception
from fewcase.study.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Find or fetch the file, verify it, and write its weights."""
    source = arguments.file
    if source is None:
        source = arguments.out.with_name(arguments.url.rsplit("/", 1)[-1])
        patience = Patience(arguments.attempts, arguments.pause, arguments.timeout)
        fetch_file(arguments.url, source, arguments.sha256, patience)
    if not source.is_file():
        raise InputError(f"--file: {source}: no such file. Mend the path, or leave it out.")
    with open(source, "rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != arguments.sha256:
        raise InputError(
            f"{source}: its SHA-256 sum is {found}, expected {arguments.sha256}. Download it "
            f"again from {PUBLISHED_URL}."
        )
    # The one place that reads a pickle: the published file, its bytes verified above, by torch's
    # restricted reader (weights_only), which makes tensors and containers and calls nothing else.
    state = torch.load(source, map_location="cpu", weights_only=True)
    write_inception(arguments.out, state, found)
    logging.info("%s: %d weights of %s", arguments.out, len(state), source.name)


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    usual = Patience()
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the .safetensors file")
    add("--file", type=Path, help="the published .pth file, where it was downloaded before")
    add("--url", default=PUBLISHED_URL, help="where it is fetched from otherwise")
    add("--sha256", default=PUBLISHED_SHA256, help="its sum")
    add("--attempts", type=int, default=usual.attempts, metavar="N", help="tries in vain")
    add("--pause", type=float, default=usual.pause_s, metavar="S", help="first pause, then doubled")
    add("--timeout", type=float, default=usual.timeout_s, metavar="S", help="longest silence")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
