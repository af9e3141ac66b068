"""Stage `render`: draw one channel of every window of a cohort."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.signal.channels import render_channel
from fewcase.study.fields import read_section
from fewcase.study.settings import ImageOptions, SignalOptions


def main(arguments: argparse.Namespace) -> None:
    """Read the windows, and write the channel."""
    signal = read_section(SignalOptions, json.loads(arguments.signal), "signal")
    images = read_section(ImageOptions, json.loads(arguments.images), "images")
    render_channel(
        arguments.window,
        arguments.channel,
        signal,
        images,
        arguments.out,
        threads=arguments.threads,
    )


def options() -> argparse.ArgumentParser:
    """Return the command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=Path, required=True, help="folder made by stage signal")
    parser.add_argument(
        "--channel", required=True, help="fhr-none, fhr-5, uc-40, baseline-block10 …"
    )
    parser.add_argument("--signal", required=True, metavar="JSON", help="section signal")
    parser.add_argument("--images", required=True, metavar="JSON", help="section images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="the .npy file")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, options()))
