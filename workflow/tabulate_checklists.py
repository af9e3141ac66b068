"""Fill a reporting checklist from the files of a run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.reporting.checklist_results import warnings_of
from fewcase.reporting.checklists import fill, lay_out_checklist, read_checklist
from fewcase.reporting.display import write_tables
from fewcase.reporting.run_files import RunFiles


def main(options: argparse.Namespace) -> None:
    files = RunFiles(
        study=options.study,
        arms=options.arms,
        account=options.flow,
        flow_figure=options.flow_figure,
        records=options.records,
        certificates=tuple(options.certificates),
        scores=options.scores,
        tables=tuple(options.tables),
        options=tuple(options.run_options),
    )
    checklist = read_checklist(options.checklist, files.unit)
    filled = fill(checklist, files, options.study.parent)
    notes = {"simulated": files.simulated, "warnings": warnings_of(files)}
    table = lay_out_checklist(checklist, filled, **notes, unit=files.unit)
    write_csv(options.csv, filled)
    write_tables([table], md=options.md, tex=options.tex, display=options.display)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checklist", type=Path, required=True, help="YAML of its items")
    parser.add_argument(
        "--study", type=Path, required=True, help="study.json; pointers are relative to its folder"
    )
    for name, text in [
        ("arms", "arms.csv"),
        ("flow", "CSV of the default cohort's flow, of stage draw_flow"),
        ("flow-figure", "its figure, which is pointed to"),
        ("records", "records.parquet of the default cohort"),
        ("scores", "scores of the default arm"),
    ]:
        parser.add_argument(f"--{name}", type=Path, help=text)
    for name, text in [
        ("certificates", "certificate of the default split for each seed"),
        ("tables", "CSV of the experiments, and of their selection"),
        ("run-options", "options.json of the default arm's runs"),
    ]:
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=text)
    for name in ("csv", "md", "tex", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
