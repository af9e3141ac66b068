"""Make the table and the figure of what shortcuts reach beside the study's default arm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.figures import save
from fewcase.reporting.performance import read_summary
from fewcase.reporting.performance_figures import draw_shortcuts
from fewcase.reporting.shortcut_table import (
    caption_of,
    lay_out_shortcuts,
    read_shortcut_study,
    tabulate_shortcuts,
)


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    study = read_shortcut_study(options.content).certified(standings)
    shortcuts = pd.concat([read_summary(path) for path in options.shortcuts], ignore_index=True)
    arms = pd.concat([read_summary(path) for path in options.scores], ignore_index=True)
    numbers = tabulate_shortcuts(study, shortcuts, arms)
    table = lay_out_shortcuts(study, numbers)
    write_csv(options.csv, numbers)
    caption = caption_of(study)
    write_tables([table], caption, md=options.md, tex=options.tex, display=options.display)
    save(draw_shortcuts(study, numbers), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--content",
        required=True,
        metavar="JSON",
        help="title, simulated, arm, splits (each with name, title, leaky, default)",
    )
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="CSV of the arm under each split"
    )
    parser.add_argument(
        "--shortcuts", type=Path, nargs="+", required=True, help="CSV of each split's shortcuts"
    )
    parser.add_argument(
        "--certificates",
        type=Path,
        nargs="*",
        default=[],
        help="certificates of every split and seed, which say what leaks",
    )
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
