"""Train the network of one arm for one split, seed and fold, and predict its held-out examples."""

import argparse
import json
import logging
import sys
from pathlib import Path

from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import part_left_out, read_samples
from fewcase.study.fields import read_section
from fewcase.study.recipe import read_recipe, resolved
from fewcase.study.settings import TrainingOptions
from fewcase.training.identity import identity_of
from fewcase.training.loop import train
from fewcase.training.outputs import write_outputs
from fewcase.training.run_data import gather_run
from fewcase.training.run_images import add_synthetic, choose_for_run, load_run_images

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--recipe", type=json.loads, required=True, help="factors of the arm, JSON")
add("--window-minutes", type=float, help="what the width of an image spans")
add("--split", type=Path, required=True, help="split file")
add("--sample", type=Path, required=True, help="sampled training rows")
add("--images", type=Path, nargs="+", required=True, help="channel files, in order")
add("--masks", type=Path, help="masks of the images, if the arm looks at them")
add("--synthetic", type=Path, help="folder of the fold's synthetic images, if the arm has a gan")
add("--ratings", type=Path, help="what is known of each of them, if the arm selects")
add("--seed", type=int, required=True)
add("--fold", type=int, required=True)
for output in ("weights", "history", "predictions", "options"):
    add(f"--{output}", type=Path, required=True, help="output file")
add_machine_options(parser)


def main(arguments: argparse.Namespace) -> None:
    log = logging.getLogger("fewcase")
    recipe = read_recipe(arguments.recipe, "recipe")
    options = read_section(TrainingOptions, machine_keys(arguments), "training")
    split = read_split(arguments.split)
    samples = read_samples(arguments.sample, split)
    data = gather_run(split, samples, arguments.fold, recipe.bags)
    images = ImageStore.open(arguments.images)
    chosen = None
    if arguments.synthetic is not None:
        folder, ratings = arguments.synthetic, arguments.ratings
        chosen = choose_for_run(recipe, data, folder, arguments.fold, ratings)
        data = add_synthetic(data, chosen, with_real=recipe.training_set != "synthetic")
    inner = part_left_out(samples)
    key = (arguments.seed, arguments.fold, *([inner] if inner else []))
    files = [*arguments.images, *([arguments.masks] if arguments.masks else [])]
    about = (files, key, arguments.window_minutes, chosen and chosen.digest)
    identity = identity_of(recipe, options, data, *about)
    resume = ResumeFolder(
        arguments.state, identity, arguments.code, options.ignore_code_change, log
    )
    with prepared_device(options, log) as device:
        masks = ImageStore.open([arguments.masks]) if arguments.masks else None
        loaded = load_run_images(images, data.rows, recipe, device, chosen, masks)
        outputs = train(
            *(recipe, options, data, loaded, seed_of(*key), device, resume, log),
            window_minutes=arguments.window_minutes,
        )
    outputs.about["code"] = resume.codes
    paths = (arguments.weights, arguments.history, arguments.predictions, arguments.options)
    write_outputs(outputs, resolved(recipe), *paths)
    resume.delete()


if __name__ == "__main__":
    sys.exit(run(main, parser))
