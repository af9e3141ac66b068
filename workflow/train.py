"""Train the network of one arm for one split, seed and fold, and predict its held-out examples."""

import argparse
import hashlib
import json
import logging
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from fewcase.data.files import read_json
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import prepare_torch, seed_of
from fewcase.runtime.device import name_devices, take_device
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import read_samples
from fewcase.study.fields import read_section
from fewcase.study.recipe import read_recipe, resolved
from fewcase.study.settings import TrainingOptions
from fewcase.training.loop import train
from fewcase.training.outputs import write_outputs
from fewcase.training.run_data import gather_run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--recipe", type=json.loads, required=True, help="factors of the arm, JSON")
parser.add_argument("--training", type=json.loads, required=True, help="training section, JSON")
parser.add_argument("--window-minutes", type=float, help="what the width of an image spans")
parser.add_argument("--split", type=Path, required=True, help="split file")
parser.add_argument("--sample", type=Path, required=True, help="sampled training rows")
parser.add_argument("--images", type=Path, nargs="+", required=True, help="channel files, in order")
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--fold", type=int, required=True)
parser.add_argument("--state", type=Path, required=True, help="folder for the resume state")
parser.add_argument("--checkpoint-seconds", type=float, help="least time between resume states")
parser.add_argument("--ignore-code-change", type=int, choices=(0, 1), help="resume all the same")
parser.add_argument("--code", required=True, help="digest of the code, kept in the resume state")
for output in ("weights", "history", "predictions", "options"):
    parser.add_argument(f"--{output}", type=Path, required=True, help="output file")

# What of the section `training` the result depends on.
RESULT_KEYS = ("threads", "precision", "compile", "channels_last")


def main(arguments: argparse.Namespace) -> None:
    log = logging.getLogger("fewcase")
    recipe = read_recipe(arguments.recipe, "recipe")
    options = read_options(arguments)
    split = read_split(arguments.split)
    samples = read_samples(arguments.sample, split)
    data = gather_run(split, samples, arguments.fold, recipe.bags)
    images = ImageStore.open(arguments.images)
    identity = {
        "recipe": resolved(recipe),
        "seed": arguments.seed,
        "fold": arguments.fold,
        "examples": data.digest(),
        "images": [read_json(path.with_suffix(".hash"))["content"] for path in arguments.images],
        "weights": digest_of(recipe.weights),
        "window_minutes": arguments.window_minutes,
        "options": {key: getattr(options, key) for key in RESULT_KEYS},
    }
    resume = ResumeFolder(
        arguments.state, identity, arguments.code, options.ignore_code_change, log
    )
    devices = name_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
    locks = Path(tempfile.gettempdir()) / "fewcase-devices"
    with take_device(devices, locks, log, os.environ.get("SLURM_JOB_ID")) as device:
        prepare_torch(options.threads, device)
        seed = seed_of(arguments.seed, arguments.fold)
        outputs = train(
            recipe, options, data, images, seed, device, resume, log, arguments.window_minutes
        )
    outputs.about["code"] = resume.codes
    paths = (arguments.weights, arguments.history, arguments.predictions, arguments.options)
    write_outputs(outputs, resolved(recipe), *paths)
    resume.delete()


def digest_of(weights: str) -> str | None:
    """Return the hash of a local file of weights; None for weights of another kind."""
    if not Path(weights).is_file():
        return None
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_options(arguments: argparse.Namespace) -> TrainingOptions:
    """Read the section `training`, with what the command line says of this machine."""
    options = read_section(TrainingOptions, arguments.training, "training")
    if arguments.checkpoint_seconds is not None:
        options = replace(options, checkpoint_minutes=arguments.checkpoint_seconds / 60)
    if arguments.ignore_code_change is not None:
        options = replace(options, ignore_code_change=bool(arguments.ignore_code_change))
    return options


if __name__ == "__main__":
    sys.exit(run(main, parser))
