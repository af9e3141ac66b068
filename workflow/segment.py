"""Segment the held-out examples of one run, and measure its masks against the true ones."""

import argparse
import logging
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.models.trained import load_run
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.segmentation.run import segment_run, write_masks
from fewcase.study.fields import read_section
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--run", type=Path, required=True, help="folder of the run")
add("--images", type=Path, nargs="+", required=True, help="channel files, in order")
add("--true-masks", type=Path, required=True, help="mask file of the same images")
add("--masks", type=Path, required=True, help="output: predicted masks, .npy")
add("--table", type=Path, required=True, help="output: what was measured of them, .parquet")
add_machine_options(parser, resumes=False)


def main(arguments: argparse.Namespace) -> None:
    training = read_section(TrainingOptions, machine_keys(arguments), "training")
    predictions = read_table(arguments.run / "predictions.parquet")
    images = ImageStore.open(arguments.images)
    truth = ImageStore.open([arguments.true_masks])
    with prepared_device(training, logging.getLogger("fewcase")) as device:
        trained = load_run(arguments.run, images.shape[2], device)
        measured, predicted = segment_run(trained, images, truth, predictions, device)
    write_masks(arguments.masks, arguments.table, predicted, measured)


if __name__ == "__main__":
    sys.exit(run(main, parser))
