"""Make the table and the figure of masks: how good they are, and whether classes go with them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from fewcase.data import stage
from fewcase.data.files import write_csv
from fewcase.data.image_store import ImageStore
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_tables
from fewcase.reporting.explanation_runs import read_map_runs
from fewcase.reporting.explanation_tables import MapSubject
from fewcase.reporting.figures import save
from fewcase.reporting.mask_figure import caption_of_masks, draw_masks
from fewcase.reporting.mask_measures import tabulate_evidence, tabulate_masks
from fewcase.reporting.mask_runs import read_mask_runs
from fewcase.reporting.mask_table import join_tables, lay_out_evidence, lay_out_masks
from fewcase.study.errors import InputError
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    subject = MapSubject(options.simulated, options.unit_kind, options.names, standings)
    runs, evidence = read_mask_runs(options.masks), pd.DataFrame()
    numbers = tabulate_masks(runs)
    if options.maps:
        if options.true_masks is None:
            raise InputError("--maps: evidence inside masks needs these; give --true-masks.")
        truth = ImageStore.open([options.true_masks])
        evidence = tabulate_evidence(read_map_runs(options.maps), truth)
    write_csv(options.csv, join_tables(numbers, evidence))
    tables = [lay_out_masks(subject, numbers)]
    tables += [] if evidence.empty else [lay_out_evidence(subject, evidence)]
    caption = caption_of_masks(subject, numbers)
    write_tables(tables, caption, md=options.md, tex=options.tex, display=options.display)
    save(draw_masks(subject, numbers, runs), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--masks", type=Path, nargs="+", required=True, help="masks.parquet of every run")
    add("--maps", type=Path, nargs="*", default=[], help="grids.json of every explained run")
    add("--true-masks", type=Path, help="mask file of the cohort's images, for --maps")
    add("--names", type=json.loads, default={}, help="what readers know each arm by, JSON")
    add("--certificates", type=Path, nargs="*", default=[], help="of every split and seed")
    add("--simulated", action="store_true", help="all records are simulated")
    add("--unit-kind", choices=UNIT_KINDS, default="image")
    for name in ("csv", "md", "tex", "display", "svg", "png"):
        add(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
