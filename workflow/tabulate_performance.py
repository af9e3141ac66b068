"""Make the tables and the figure of how one arm does beyond its ROC-AUC."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.figures import save
from fewcase.reporting.performance import (
    read_subject,
    read_summary,
    tabulate_performance,
)
from fewcase.reporting.performance_curves import (
    find_rival,
    pictures,
    read_curves,
    read_units,
)
from fewcase.reporting.performance_figures import draw_performance
from fewcase.reporting.performance_tables import (
    caption_of,
    lay_out_confusions,
    lay_out_performance,
)


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    units, classes = read_units(options.units)
    subject = read_subject(options.content).certified(standings).of_classes(classes)
    summary = read_summary(options.scores)
    numbers = tabulate_performance(subject, summary)
    write_csv(options.csv, numbers)
    shown = pictures(summary, read_curves(options.curves), units, classes)
    rival = None
    if shown and options.shortcuts is not None and options.shortcut_units is not None:
        of_shortcuts = read_summary(options.shortcuts), read_units(options.shortcut_units)[0]
        rival = find_rival(subject.split, *of_shortcuts, thresholds=shown[0].decision["x"])
    tables = [*lay_out_performance(subject, numbers), *lay_out_confusions(subject, shown)]
    caption = caption_of(subject)
    write_tables(tables, caption, md=options.md, tex=options.tex, display=options.display)
    save(draw_performance(subject, shown, rival), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--content",
        required=True,
        metavar="JSON",
        help="title, simulated, arm, split, leaky and, optionally, classes (names, label 0 first), "
        "measure, unit",
    )
    parser.add_argument("--scores", type=Path, required=True, help="CSV of the arm's scores")
    parser.add_argument("--curves", type=Path, required=True, help="CSV of the arm's curves")
    parser.add_argument("--units", type=Path, required=True, help="scores of the arm's units")
    parser.add_argument("--shortcuts", type=Path, help="CSV of the shortcuts under the same split")
    parser.add_argument("--shortcut-units", type=Path, help="scores of the shortcuts' units")
    parser.add_argument(
        "--certificates",
        type=Path,
        nargs="*",
        default=[],
        help="certificates of the split, which say whether it leaks",
    )
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
