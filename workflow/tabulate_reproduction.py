"""Hold the numbers of a paper against the results of a study."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import read_json, write_csv
from fewcase.reporting.display import write_tables
from fewcase.reporting.paper import read_paper
from fewcase.reporting.reproduction import (
    Results,
    study_in_effect,
    tabulate_reproduction,
)
from fewcase.reporting.reproduction_tables import lay_out_reproduction
from fewcase.reporting.settings_table import compare_settings


def main(options: argparse.Namespace) -> None:
    paper = read_paper(options.paper)
    study = study_in_effect(read_json(options.study))
    results = Results.read(
        options.tables, options.flow, options.labels, options.runs, options.run_options
    )
    sheet = tabulate_reproduction(paper, study, results)
    settings = compare_settings(paper, study)
    simulated = any(cohort.is_simulated for cohort in study.cohorts.values())
    unit = study.cohorts[study.cohort_of(study.default_arm.split)].unit
    tables = lay_out_reproduction(paper, settings, sheet, simulated=simulated, unit=unit)
    write_csv(options.csv, sheet)
    write_tables(tables, md=options.md, tex=options.tex, display=options.display)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", type=Path, required=True, help="YAML of the paper's numbers")
    parser.add_argument("--study", type=Path, required=True, help="study.json")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="CSV of experiments")
    parser.add_argument("--flow", type=Path, help="flow.csv of the default cohort and target")
    parser.add_argument("--labels", type=Path, help="CSV of label counts")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="*",
        default=[],
        help="scores/SPLIT/ARM-runs.csv, for intervals of differences",
    )
    parser.add_argument(
        "--run-options",
        type=Path,
        nargs="*",
        default=[],
        help="options.json of one run per model, for numbers of parameters",
    )
    for name in ("csv", "md", "tex", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
