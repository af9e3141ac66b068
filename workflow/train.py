"""Train the network of one arm for one split, seed and fold, and predict its held-out examples."""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import torch

from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import prepare_torch, seed_of
from fewcase.runtime.device import name_devices, take_device
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import part_left_out, read_samples
from fewcase.study.fields import read_section
from fewcase.study.recipe import read_recipe, resolved
from fewcase.study.settings import TrainingOptions
from fewcase.training.identity import identity_of
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
parser.add_argument("--checkpoint-seconds", type=int, help="least time between resume states")
parser.add_argument("--ignore-code-change", type=int, choices=(0, 1), help="resume all the same")
parser.add_argument("--code", required=True, help="digest of the code, kept in the resume state")
for output in ("weights", "history", "predictions", "options"):
    parser.add_argument(f"--{output}", type=Path, required=True, help="output file")


def machine(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the keys of `training` that the machine decides, where they were given."""
    seconds, ignore = arguments.checkpoint_seconds, arguments.ignore_code_change
    keys: dict[str, object] = {} if seconds is None else {"checkpoint_minutes": seconds / 60}
    return keys if ignore is None else {**keys, "ignore_code_change": bool(ignore)}


def main(arguments: argparse.Namespace) -> None:
    log = logging.getLogger("fewcase")
    recipe = read_recipe(arguments.recipe, "recipe")
    options = read_section(TrainingOptions, arguments.training | machine(arguments), "training")
    split = read_split(arguments.split)
    samples = read_samples(arguments.sample, split)
    data = gather_run(split, samples, arguments.fold, recipe.bags)
    images = ImageStore.open(arguments.images)
    inner = part_left_out(samples)
    key = (arguments.seed, arguments.fold, *([inner] if inner else []))
    identity = identity_of(recipe, options, data, arguments.images, key, arguments.window_minutes)
    resume = ResumeFolder(
        arguments.state, identity, arguments.code, options.ignore_code_change, log
    )
    devices = name_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
    locks = Path(tempfile.gettempdir()) / "fewcase-devices"
    with take_device(devices, locks, log, os.environ.get("SLURM_JOB_ID")) as device:
        prepare_torch(options.threads, device)
        outputs = train(
            *(recipe, options, data, images, seed_of(*key), device, resume, log),
            window_minutes=arguments.window_minutes,
        )
    outputs.about["code"] = resume.codes
    paths = (arguments.weights, arguments.history, arguments.predictions, arguments.options)
    write_outputs(outputs, resolved(recipe), *paths)
    resume.delete()


if __name__ == "__main__":
    sys.exit(run(main, parser))
