"""Measure a generator against real images: quality, memorisation, and pictures of what it draws."""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np

from fewcase.data.files import atomic_path, read_table, write_csv, write_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.gan.files import read_generator
from fewcase.gan.measure import draw_pictures, measure_generator
from fewcase.gan.sources import RealImages, of_fold
from fewcase.quality.extractors import choose_extractor
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.splits.folds import read_split
from fewcase.study.fields import read_section
from fewcase.study.gans import GanQualityOptions
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--weights", type=Path, required=True, help="weights.safetensors of the generator")
add("--learned", type=Path, required=True, help="learned.parquet beside them")
add("--images", type=Path, nargs="+", required=True, help="channel files of the real images")
add("--split", type=Path, help="split file, for a generator of a fold")
add("--key", type=int, nargs="*", default=[], metavar="N", help="seed of the split, and fold")
add("--quality", type=json.loads, required=True, help="gan_quality section, JSON")
add("--classifier", type=Path, help="folder of a run, where its classifier is the extractor")
add("--out", type=Path, required=True, help="folder of the outputs")
add_machine_options(parser, resumes=False)


def main(arguments: argparse.Namespace) -> None:
    options = read_section(TrainingOptions, machine_keys(arguments), "training")
    quality = read_section(GanQualityOptions, arguments.quality, "gan_quality")
    generator, facts = read_generator(arguments.weights)
    store = ImageStore.open(arguments.images)
    learned, held_out = RealImages.of(read_table(arguments.learned)), None
    if arguments.split is not None:
        held_out = of_fold(read_split(arguments.split), arguments.key[-1])[1]
    seed = seed_of(1, *arguments.key)
    with prepared_device(options, logging.getLogger("fewcase")) as device:
        extractor = choose_extractor(quality, arguments.classifier, store.shape[2], device)
        real = (store, learned, held_out, facts.classes, extractor)
        how = (facts.truncation, quality.images, seed, device)
        found = measure_generator(generator.to(device), *real, *how)
        shown = int(np.bincount(learned.labels).argmax())
        pictures = draw_pictures(generator, seed, shown, device)
    write_csv(arguments.out / "quality.csv", found.quality)
    write_csv(arguments.out / "memorisation.csv", found.memorisation.summary)
    write_table(arguments.out / "closeness.parquet", found.memorisation.images)
    write_table(arguments.out / "pairs.parquet", found.pairs)
    for name, images in {"pairs": found.pair_images, **pictures}.items():
        with atomic_path(arguments.out / f"{name}.npy") as temporary:
            np.save(temporary, images)
    logging.info("%s", found.memorisation.summary.iloc[0][["copies", "why"]].to_dict())


if __name__ == "__main__":
    sys.exit(run(main, parser))
