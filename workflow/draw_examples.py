"""Draw a contact sheet of a cohort: some images of every class."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import read_table
from fewcase.data.image_store import ImageStore
from fewcase.reporting.display import write_display
from fewcase.reporting.example_figure import caption_of, draw_examples
from fewcase.reporting.figures import save
from fewcase.study.words import UNIT_KINDS


def main(options: argparse.Namespace) -> None:
    examples = read_table(options.examples, ["row", "example", "parent", "patient", "label"])
    unit, classes, seed = options.unit_kind, options.classes, options.seed
    title = options.title + (" (simulated)" if options.simulated else "")
    images = ImageStore.open(options.images)
    figure = draw_examples(title, images, examples, unit=unit, classes=classes, seed=seed)
    number = 2 if classes is None else len(classes)
    save(figure, options.svg, options.png)
    write_display(options.display, [], caption_of(unit, number, seed, options.simulated), title)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True, help="heading, such as the cohort and target")
    parser.add_argument("--simulated", action="store_true", help="say so in the heading")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image store")
    parser.add_argument("--examples", type=Path, required=True, help="labelled examples")
    parser.add_argument("--classes", type=json.loads, metavar="JSON", help="names of the classes")
    parser.add_argument("--unit-kind", choices=UNIT_KINDS, default="window")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images")
    for name in ("svg", "png", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
