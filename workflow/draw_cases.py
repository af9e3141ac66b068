"""Draw cases of an arm that segments: image, true and predicted mask, classes, and the evidence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.image_store import ImageStore
from fewcase.explain.map_files import read_maps
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_display
from fewcase.reporting.figures import save
from fewcase.reporting.mask_cases import MaskCases
from fewcase.reporting.mask_runs import read_mask_runs
from fewcase.reporting.performance import read_subject


def main(options: argparse.Namespace) -> None:
    subject = read_subject(options.content).certified(read_standings(options.certificates))
    cases = MaskCases.of(
        subject,
        read_mask_runs(options.masks),
        ImageStore.open(options.images),
        ImageStore.open([options.true_masks]),
        [read_maps(folder) for folder in options.maps],
    )
    save(cases.draw(), options.svg, options.png)
    write_display(options.display, [cases.lay_out()], cases.caption())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--content", required=True, metavar="JSON", help="see tabulate_performance.py")
    add("--masks", type=Path, nargs="+", required=True, help="masks.parquet of the arm's runs")
    add("--images", type=Path, nargs="+", required=True, help="image store")
    add("--true-masks", type=Path, required=True, help="mask file of the same images")
    add("--maps", type=Path, nargs="*", default=[], metavar="FOLDER", help="of explained runs")
    add("--certificates", type=Path, nargs="*", default=[], help="certificates of the split")
    for name in ("svg", "png", "display"):
        add(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
