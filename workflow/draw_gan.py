"""Draw what a generator has learned: its images beside real ones, and the closest pairs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.image_store import ImageStore
from fewcase.reporting.display import write_display
from fewcase.reporting.figures import save
from fewcase.reporting.gan_figure import COLUMNS, GanFigure, title_of
from fewcase.reporting.gan_pictures import read_gan_pictures, real_images
from fewcase.reporting.gan_runs import read_gan_runs
from fewcase.reporting.gan_table_parts import GanSubject
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    unit, simulated, cohorts = options.unit_kind, options.simulated, options.cohorts
    pictures = read_gan_pictures(read_gan_runs([options.gan])[0])
    title = GanSubject(title_of(pictures, cohorts), simulated, unit, cohorts).titled()
    real = real_images(pictures, ImageStore.open(options.images), COLUMNS, options.seed)
    figure = GanFigure.of(pictures, real)
    save(figure.draw(title), options.svg, options.png)
    write_display(options.display, [], figure.caption(unit, simulated), title)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", type=Path, required=True, help="options.json of the generator")
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, help="store of real images"
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
    parser.add_argument("--seed", type=int, default=0, help="of the choice of real images")
    for name in ("svg", "png", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
