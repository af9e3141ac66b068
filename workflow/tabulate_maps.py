"""Make the table and the figure of how faithful a study's explanation maps are."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.explanation_figure import caption_of_explanations, draw_explanations
from fewcase.reporting.explanation_measures import tabulate_explanations
from fewcase.reporting.explanation_runs import read_map_runs
from fewcase.reporting.explanation_tables import MapSubject, lay_out_explanations
from fewcase.reporting.figures import save
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    subject = MapSubject(options.simulated, options.unit_kind, options.names, standings)
    runs = read_map_runs(options.maps)
    numbers = tabulate_explanations(runs)
    write_csv(options.csv, numbers)
    table, caption = (
        lay_out_explanations(subject, numbers),
        caption_of_explanations(subject, numbers),
    )
    write_tables([table], caption, md=options.md, tex=options.tex, display=options.display)
    save(draw_explanations(subject, numbers, runs), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--maps",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="faithfulness.csv of every run; its other files lie beside it",
    )
    parser.add_argument(
        "--names",
        type=json.loads,
        default={},
        metavar="JSON",
        help="what readers know each arm by, by its name",
    )
    parser.add_argument(
        "--certificates",
        type=Path,
        nargs="*",
        default=[],
        help="certificates of every split and seed, which say what leaks",
    )
    parser.add_argument("--simulated", action="store_true", help="all records are simulated")
    parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
