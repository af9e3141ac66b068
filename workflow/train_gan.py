"""Train a generator on the training rows of one fold, or a base generator on a whole cohort."""

import argparse
import dataclasses
import hashlib
import json
import logging
import sys
from pathlib import Path

from fewcase.data.files import read_json, read_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.gan.monitor import QualityMonitor
from fewcase.gan.run import identity_of_gan, train_from_store, write_gan_outputs
from fewcase.gan.sources import RealImages, of_fold
from fewcase.quality.extractors import choose_extractor
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.splits.folds import read_split
from fewcase.study.fields import read_section
from fewcase.study.gans import GanQualityOptions, GanRecipe
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--gan", required=True, help="name of the generator")
add("--recipe", type=json.loads, required=True, help="keys of the generator, JSON")
add("--classes", type=json.loads, required=True, help="names of the classes, JSON")
add("--images", type=Path, nargs="+", required=True, help="channel files, in order")
add("--split", type=Path, help="split file, for a generator of a fold")
add("--key", type=int, nargs="*", default=[], metavar="N", help="seed of the split, and fold")
add("--examples", type=Path, help="labelled examples, for a base generator: all are learned from")
add("--base", type=Path, help="networks.safetensors of the generator to start from")
add("--quality", type=json.loads, required=True, help="gan_quality section, JSON")
add("--classifier", type=Path, help="folder of a run, where its classifier is the extractor")
add("--out", type=Path, required=True, help="folder of the outputs")
add_machine_options(parser)


def main(arguments: argparse.Namespace) -> None:
    log = logging.getLogger("fewcase")
    recipe = read_section(GanRecipe, arguments.recipe, "gan")
    options = read_section(TrainingOptions, machine_keys(arguments), "training")
    quality = read_section(GanQualityOptions, arguments.quality, "gan_quality")
    store, classes = ImageStore.open(arguments.images), tuple(arguments.classes)
    if arguments.split is None:
        learned, held_out = RealImages.of(read_table(arguments.examples)), None
    else:
        learned, held_out = of_fold(read_split(arguments.split), arguments.key[-1])
    base = arguments.base and hashlib.sha256(arguments.base.read_bytes()).hexdigest()
    digests = [read_json(path.with_suffix(".hash"))["content"] for path in arguments.images]
    key = (recipe.seed, *arguments.key)
    facts = (learned, digests, base, dataclasses.asdict(quality), key)
    resume = ResumeFolder(
        arguments.state,
        identity_of_gan(dataclasses.asdict(recipe), options, *facts),
        *(arguments.code, options.ignore_code_change, log),
    )
    with prepared_device(options, log) as device:
        extractor = choose_extractor(quality, arguments.classifier, store.shape[2], device)
        limit, seed = quality.snapshot_images, seed_of(*key)
        about = (recipe.size, len(classes), limit, seed, device)
        monitor = QualityMonitor(extractor, store, learned, held_out, *about)
        parts = (recipe, options, store, learned, classes, seed, device, resume, log)
        outputs = train_from_store(*parts, arguments.base, monitor)
    known = (recipe.truncation, learned, resume.codes, arguments.out)
    write_gan_outputs(outputs, dataclasses.asdict(recipe), arguments.gan, classes, *known)
    resume.delete()


if __name__ == "__main__":
    sys.exit(run(main, parser))
