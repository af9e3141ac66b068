"""Make the page with which a clinician reads the explanation maps of an arm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import atomic_path
from fewcase.explain.map_files import read_maps
from fewcase.explain.view import make_view


def main(options: argparse.Namespace) -> None:
    maps = [read_maps(folder).held_out() for folder in options.maps]
    page = make_view(maps, options.title, Path(__file__).parent / "report" / "view")
    with atomic_path(options.out) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--maps",
        type=Path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="folder of maps, one for each fold",
    )
    parser.add_argument("--title", required=True, help="heading of the page")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page")
    sys.exit(stage.run(main, parser))
