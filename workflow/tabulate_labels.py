"""Count labels by set and site, and in every fold before and after under-sampling."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.display import write_tables
from fewcase.reporting.labels import caption_of, count_labels, label_columns, lay_out_labels
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    unit = options.unit_kind
    counts = count_labels(options.splits, options.samples, unit=unit, classes=options.classes)
    table = lay_out_labels(options.title, counts, unit=unit, oversampled=options.oversampled)
    named = label_columns(counts) != ["positive", "negative"]
    write_csv(options.csv, counts)
    paths = {"md": options.md, "tex": options.tex, "display": options.display}
    write_tables([table], caption_of(unit, named), **paths)
    figures = [path for path in (options.svg, options.png) if path is not None]
    if figures:
        from fewcase.reporting.figures import draw_labels, save
        from fewcase.reporting.label_figure import draw_class_counts

        if named or unit != "window":
            save(draw_class_counts(options.title, counts, unit), *figures)
        else:
            save(draw_labels(options.title, counts), *figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True)
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="one per seed")
    parser.add_argument(
        "--samples", type=Path, nargs="+", required=True, help="sample of each split, same order"
    )
    parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
    parser.add_argument("--classes", type=json.loads, metavar="JSON", help="names of the classes")
    parser.add_argument(
        "--oversampled", action="store_true", help="training draws all classes equally often"
    )
    for name in ("csv", "md", "tex", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("svg", "png"):
        parser.add_argument(f"--{name}", type=Path, help="figure of the counts")
    sys.exit(stage.run(main, parser))
