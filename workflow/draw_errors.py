"""Draw the examples that an arm calls wrongly and is surest of, by pair of classes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.predictions import RunFile
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_display
from fewcase.reporting.error_cases import read_cases
from fewcase.reporting.error_gallery import ErrorGallery, thresholds_of
from fewcase.reporting.figures import save
from fewcase.reporting.performance import read_subject, read_summary
from fewcase.study.errors import InputError


def main(options: argparse.Namespace) -> None:
    subject = read_subject(options.content).certified(read_standings(options.certificates))
    if len(options.runs) != len(options.predictions):
        raise InputError(
            f"--runs: {len(options.runs)} names for {len(options.predictions)} files of "
            "predictions; give one for each file, in the same order."
        )
    named = zip(options.runs, options.predictions, strict=True)
    files = [RunFile(*map(int, run.split("/")), path) for run, path in named]
    thresholds = thresholds_of(read_summary(options.scores)) if options.scores else {}
    cases = read_cases(files, thresholds)
    gallery = ErrorGallery.of(subject, cases, thresholds)
    save(gallery.draw(ImageStore.open(options.images)), options.svg, options.png)
    write_display(options.display, [gallery.lay_out()], gallery.caption())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--content", required=True, metavar="JSON", help="see tabulate_performance.py")
    add("--predictions", type=Path, nargs="+", required=True, help="of each run")
    add("--runs", nargs="+", required=True, metavar="SEED/FOLD", help="of each file")
    add("--images", type=Path, nargs="+", required=True, help="image store")
    add("--scores", type=Path, help="CSV of the arm's scores, for the threshold of two classes")
    add("--certificates", type=Path, nargs="*", default=[], help="certificates of the split")
    for name in ("svg", "png", "display"):
        add(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
