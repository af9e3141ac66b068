"""Make the table of what each arm reached in each fold, with the mean over folds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.explanation_tables import MapSubject
from fewcase.reporting.fold_table import lay_out_folds, read_arm_folds, tabulate_folds
from fewcase.study.words import MEASURES, UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    subject = MapSubject(options.simulated, options.unit_kind, options.names, standings)
    numbers = tabulate_folds(read_arm_folds(options.runs), options.measure)
    write_csv(options.csv, numbers)
    tables = lay_out_folds(subject, numbers)
    write_tables(tables, md=options.md, tex=options.tex, display=options.display)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--runs", type=Path, nargs="+", required=True, help="scores/{split}/{arm}-runs.csv of arms")
    add("--measure", choices=MEASURES, default="accuracy")
    add("--names", type=json.loads, default={}, help="what readers know each arm by, JSON")
    add("--certificates", type=Path, nargs="*", default=[], help="of every split and seed")
    add("--simulated", action="store_true", help="all records are simulated")
    add("--unit-kind", choices=UNIT_KINDS, default="window")
    for name in ("csv", "md", "tex", "display"):
        add(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
