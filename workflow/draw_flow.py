"""Draw and tabulate the flow of a cohort, from records to what one network learns from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import read_table, write_csv
from fewcase.reporting.display import write_tables
from fewcase.reporting.figures import save
from fewcase.reporting.flow_figure import draw_flow
from fewcase.reporting.flow_table import CAPTION, lay_out_flow
from fewcase.splits.flow import follow
from fewcase.splits.folds import read_facts, read_split
from fewcase.splits.sampling import read_samples
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    split = samples = None
    leaky = False
    if options.split is not None:
        split, leaky = read_split(options.split), read_facts(options.split).options.is_leaky
    if split is not None and options.sample is not None:
        samples = read_samples(options.sample, split)
    account = follow(
        read_table(options.records, columns=["record"]),
        read_table(options.examples),
        read_table(options.rejected),
        split,
        samples,
        unit=options.unit_kind,
        classes=options.classes,
    )
    title = options.title + (" (simulated)" if options.simulated else "")
    title += " (leaky)" if leaky else ""
    unit = options.unit_kind
    tables = lay_out_flow(title, account, simulated=options.simulated, leaky=leaky, unit=unit)
    write_csv(options.csv, account)
    write_tables(tables, CAPTION, md=options.md, tex=options.tex, display=options.display)
    save(draw_flow(title, account, leaky, unit), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True, help="heading, such as the cohort and target")
    parser.add_argument("--simulated", action="store_true", help="say so in the heading")
    parser.add_argument("--records", type=Path, required=True, help="records that ingest accepted")
    parser.add_argument("--examples", type=Path, required=True, help="labelled examples")
    parser.add_argument("--rejected", type=Path, required=True, help="all refusals, of stage flow")
    parser.add_argument("--split", type=Path, help="split file of the first seed")
    parser.add_argument("--sample", type=Path, help="training rows drawn from that split")
    parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
    parser.add_argument("--classes", type=json.loads, metavar="JSON", help="names of the classes")
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
