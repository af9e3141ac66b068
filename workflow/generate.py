"""Draw images of one class from the weights of a generator: PNG files and a contact sheet.

python workflow/generate.py --weights results/.../gans/tuned/.../weights.safetensors \\
  --class TUM --count 100 --out synthetic-tumour
"""

import argparse
import logging
import sys
from pathlib import Path

from fewcase.data.stage import run
from fewcase.gan.files import read_generator
from fewcase.gan.sheet import label_of, write_images
from fewcase.runtime.job import prepared_device
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
add = parser.add_argument
add("--weights", type=Path, required=True, help="weights.safetensors of a generator")
add("--class", dest="label", required=True, metavar="CLASS", help="name or number of the class")
add("--count", type=int, default=64, help="how many images (64)")
add("--seed", type=int, default=0, help="of the set; another seed draws other images (0)")
add("--truncation", type=float, help="from 0, the mean image, to 1; by default as in its study")
add("--threads", type=int, default=1, help="threads on a CPU (1)")
add("--out", type=Path, required=True, help="folder of the images")


def main(arguments: argparse.Namespace) -> None:
    generator, facts = read_generator(arguments.weights)
    label = label_of(facts, arguments.label)
    psi = facts.truncation if arguments.truncation is None else arguments.truncation
    options = TrainingOptions(threads=arguments.threads)
    with prepared_device(options, logging.getLogger("fewcase")) as device:
        what = (label, max(arguments.count, 1), arguments.seed, psi, device)
        sheet = write_images(arguments.out, generator.to(device), facts, *what)
    logging.info("%d images of %s; see %s", arguments.count, facts.classes[label], sheet)


if __name__ == "__main__":
    sys.exit(run(main, parser))
