"""Make the tables and the figure of one experiment from the scores of its arms."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.evidence import Evidence
from fewcase.reporting.experiment_figures import draw
from fewcase.reporting.experiment_plan import read_experiment
from fewcase.reporting.experiment_tables import caption_of, tables_of
from fewcase.reporting.experiments import Scores, tabulate
from fewcase.reporting.figures import save
from fewcase.reporting.measure_tables import lay_out_measures, tabulate_measures
from fewcase.reporting.selection import lay_out_selection, tabulate_selection
from fewcase.reporting.table_parts import validation_title


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    experiment = read_experiment(options.experiment).certified(standings)
    scores = Scores.read(options.scores)
    evidence = Evidence.read(
        scores.files,
        runs=options.runs,
        units=options.units,
        shortcuts=options.shortcuts,
        shortcut_runs=options.shortcut_runs,
        shortcut_units=options.shortcut_units,
        measures=experiment.measures,
    )
    numbers = tabulate(experiment, scores, evidence)
    measures = tabulate_measures(experiment, scores)
    selection = tabulate_selection(experiment, numbers, evidence)
    tables = [
        *tables_of(experiment, numbers),
        *lay_out_measures(experiment, measures, validation_title(numbers)),
        *lay_out_selection(experiment, selection),
    ]
    write_csv(options.csv, numbers)
    write_csv(options.measures, measures)
    write_csv(options.selection, selection)
    caption = caption_of(experiment, numbers)
    write_tables(tables, caption, md=options.md, tex=options.tex, display=options.display)
    save(draw(experiment, numbers), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment",
        required=True,
        metavar="JSON",
        help="name, title, layout, vary, arms (arm, split, factors, leaky), simulated, leaky, "
        "published, reference (arm by split), selection, measure, measures, columns, names, "
        "class_names (lists by split), unit",
    )
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV of each arm")
    for name, text in [
        ("runs", "CSV of each arm's runs, in the order of --scores"),
        ("units", "parquet of each arm's units, in the order of --scores"),
        ("shortcuts", "CSV of the shortcuts of each split"),
        ("shortcut-runs", "CSV of their runs, in the order of --shortcuts"),
        ("shortcut-units", "parquet of their units, in the order of --shortcuts"),
    ]:
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=text)
    parser.add_argument(
        "--certificates",
        type=Path,
        nargs="*",
        default=[],
        help="certificates of every split and seed, which say what leaks",
    )
    for name in ("csv", "md", "tex", "display", "svg", "png", "measures", "selection"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
