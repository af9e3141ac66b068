"""Make the report of a study: one self-contained page with every table and figure."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import atomic_path
from fewcase.reporting.report import ReportFiles, make_report
from fewcase.study.errors import InputError

CONTENT = (
    "study, title, preset, simulated, experiments (names), cohorts (source by name), split, runs, "
    "and as needed unit_kinds (by cohort: window, image, tile), captions (by name of a figure)"
)


def main(options: argparse.Namespace) -> None:
    try:
        content = json.loads(options.content)
    except ValueError as error:
        raise InputError(f"--content: not JSON ({error}).") from None
    files = ReportFiles(
        displays=options.displays,
        figures=options.figures,
        flows=options.flows,
        rejected=options.rejected,
        steps=options.steps,
        certificates=options.certificates,
        arms=options.arms,
        study=options.study,
    )
    page = make_report(content, files, Path(__file__).parent / "report")
    with atomic_path(options.out) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True, metavar="JSON", help=CONTENT)
    for name, text in [
        ("displays", "display files of the stages that make tables"),
        ("figures", "SVG or PNG of the same names"),
        ("flows", "flow.csv of each cohort and target"),
        ("rejected", "rejected.parquet of each cohort and target"),
        ("steps", "figures of a recording at each step"),
        ("certificates", "certificate of each split and seed"),
    ]:
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=text)
    parser.add_argument("--arms", type=Path, required=True, help="arms.csv")
    parser.add_argument("--study", type=Path, required=True, help="study.json")
    parser.add_argument("--out", type=Path, required=True, help="the page")
    sys.exit(stage.run(main, parser))
