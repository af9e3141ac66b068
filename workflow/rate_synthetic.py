"""Rate synthetic images: how sure a classifier of real images is of them, and how close to real."""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np

from fewcase.data.files import read_table, write_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.gan.measure import rate_images
from fewcase.gan.sources import RealImages
from fewcase.quality.features import classifier_of
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.splits.synthetic import read_synthetic
from fewcase.study.fields import read_section
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--synthetic", type=Path, required=True, help="folder of the synthetic images")
add("--learned", type=Path, required=True, help="learned.parquet of their generator")
add("--images", type=Path, nargs="+", required=True, help="channel files of the real images")
add("--classifier", type=Path, required=True, help="folder of a run of real images")
add("--fold", type=int, required=True)
add("--out", type=Path, required=True, help="table of the ratings")
add_machine_options(parser, resumes=False)


def main(arguments: argparse.Namespace) -> None:
    options = read_section(TrainingOptions, machine_keys(arguments), "training")
    synthetic = read_synthetic(arguments.synthetic, arguments.fold)
    store, learned = ImageStore.open(arguments.images), read_table(arguments.learned)
    with prepared_device(options, logging.getLogger("fewcase")) as device:
        classifier = classifier_of(arguments.classifier, store.shape[2], device=device)
        pixels = synthetic.images.read(np.arange(synthetic.images.shape[0]))
        ratings = rate_images(
            *(synthetic.images, synthetic.table["example"], synthetic.labels),
            *(store, RealImages.of(learned), classifier, classifier.probabilities(pixels)),
            *(seed_of(2, arguments.fold), device),
        )
    write_table(arguments.out, ratings)
    told = (len(ratings), ratings["confidence"].mean(), ratings["copy"].sum(), ratings["odd"].sum())
    logging.info("%d images, mean confidence %.3f, %d copies, %d odd", *told)


if __name__ == "__main__":
    sys.exit(run(main, parser))
