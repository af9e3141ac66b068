"""Count labels by set and site, and in every fold before and after under-sampling."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.display import write_tables
from fewcase.reporting.labels import CAPTION, count_labels, lay_out_labels


def main(options: argparse.Namespace) -> None:
    counts = count_labels(options.splits, options.samples)
    table = lay_out_labels(options.title, counts)
    write_csv(options.csv, counts)
    write_tables([table], CAPTION, md=options.md, tex=options.tex, display=options.display)
    figures = [path for path in (options.svg, options.png) if path is not None]
    if figures:
        from fewcase.reporting.figures import draw_labels, save

        save(draw_labels(options.title, counts), *figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True)
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="one per seed")
    parser.add_argument(
        "--samples", type=Path, nargs="+", required=True, help="sample of each split, same order"
    )
    for name in ("csv", "md", "tex", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("svg", "png"):
        parser.add_argument(f"--{name}", type=Path, help="figure of the counts")
    sys.exit(stage.run(main, parser))
