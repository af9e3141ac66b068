"""Draw the labelled synthetic images that the arms of a fold train on."""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np

from fewcase.data.files import read_table
from fewcase.data.stage import run
from fewcase.gan.files import read_generator
from fewcase.gan.synthesis import write_synthetic
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import read_samples
from fewcase.splits.synthetic import most_drawn
from fewcase.study.fields import read_section
from fewcase.study.recipe import read_recipe
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--weights", type=Path, required=True, help="weights.safetensors of the generator")
add("--learned", type=Path, required=True, help="learned.parquet beside them")
add("--recipes", type=json.loads, required=True, help="factors of the arms that train on them")
add("--split", type=Path, required=True, help="split file")
add("--samples", type=Path, nargs="+", required=True, help="sampled rows of each of those arms")
add("--key", type=int, nargs=4, required=True, metavar=("GAN_SEED", "SEED", "FOLD", "DRAW"))
add("--least", type=int, default=0, help="images of each class to draw in any case")
add("--out", type=Path, required=True, help="folder of the images")
add_machine_options(parser, resumes=False)


def main(arguments: argparse.Namespace) -> None:
    options = read_section(TrainingOptions, machine_keys(arguments), "training")
    generator, facts = read_generator(arguments.weights)
    split, (_, _, fold, _) = read_split(arguments.split), arguments.key
    wanted = [
        most_drawn(read_recipe(recipe, "recipe"), split, read_samples(path, split), fold)
        for recipe, path in zip(arguments.recipes, arguments.samples, strict=True)
    ]
    counts = np.maximum(np.max(wanted, axis=0), arguments.least)
    with prepared_device(options, logging.getLogger("fewcase")) as device:
        write_synthetic(
            arguments.out,
            generator.to(device),
            *(facts.name, fold, counts, tuple(arguments.key), facts.truncation),
            *(read_table(arguments.learned), device),
        )
    logging.info("%s: %s images by class", arguments.out, counts.tolist())


if __name__ == "__main__":
    sys.exit(run(main, parser))
