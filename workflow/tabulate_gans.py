"""Make the tables and the figure of a study's generators: their quality, or what they copy."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.display import write_tables
from fewcase.reporting.figures import save
from fewcase.reporting.gan_memorisation import lay_out_memorisation, tabulate_memorisation
from fewcase.reporting.gan_memorisation_figure import caption_of_memorisation, draw_memorisation
from fewcase.reporting.gan_quality import tabulate_quality
from fewcase.reporting.gan_quality_figure import caption_of_quality, draw_quality
from fewcase.reporting.gan_quality_tables import lay_out_quality
from fewcase.reporting.gan_runs import read_gan_runs
from fewcase.reporting.gan_table_parts import GanSubject
from fewcase.study.words import UNIT_KINDS

TITLES = {
    "quality": "Quality of synthetic images",
    "memorisation": "Whether generators copy training images",
}


def main(options: argparse.Namespace) -> None:
    runs, cohorts = read_gan_runs(options.gans), options.cohorts
    title = TITLES[options.about]
    subject = GanSubject(title, options.simulated, options.unit_kind, cohorts)
    if options.about == "quality":
        numbers = tabulate_quality(runs, cohorts)
        tables = lay_out_quality(subject, numbers)
        caption, figure = caption_of_quality(subject, numbers), draw_quality(subject, numbers, runs)
    else:
        numbers = tabulate_memorisation(runs, cohorts)
        tables = [lay_out_memorisation(subject, numbers)]
        caption = caption_of_memorisation(subject, numbers)
        figure = draw_memorisation(subject, numbers, runs)
    write_csv(options.csv, numbers)
    write_tables(tables, caption, md=options.md, tex=options.tex, display=options.display)
    save(figure, options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--about", choices=sorted(TITLES), required=True)
    parser.add_argument(
        "--gans",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="options.json of every generator; its other files lie beside it",
    )
    parser.add_argument(
        "--cohorts",
        type=json.loads,
        default={},
        metavar="JSON",
        help="cohort of each base generator, by its name",
    )
    parser.add_argument("--simulated", action="store_true", help="all records are simulated")
    parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
