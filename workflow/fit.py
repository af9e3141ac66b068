"""Fit a classical model for one split, seed and fold, and predict its held-out examples."""

import argparse
import json
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.stage import run
from fewcase.splits.folds import read_split
from fewcase.splits.sampling import part_left_out, read_samples
from fewcase.study.recipe import read_recipe, resolved
from fewcase.training.fit import fit_run
from fewcase.training.outputs import write_outputs
from fewcase.training.run_data import gather_run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--recipe", type=json.loads, required=True, help="factors of the arm, JSON")
parser.add_argument("--split", type=Path, required=True, help="split file")
parser.add_argument("--sample", type=Path, required=True, help="sampled training rows")
parser.add_argument(
    "--features", type=Path, nargs="+", required=True, help="tables of features, keyed by row"
)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--fold", type=int, required=True)
for output in ("weights", "history", "predictions", "options"):
    parser.add_argument(f"--{output}", type=Path, required=True, help="output file")


def main(arguments: argparse.Namespace) -> None:
    recipe = read_recipe(arguments.recipe, "recipe")
    split = read_split(arguments.split)
    samples = read_samples(arguments.sample, split)
    data = gather_run(split, samples, arguments.fold, recipe.bags)
    features = [read_table(path) for path in arguments.features]
    inner = part_left_out(samples)
    key = (arguments.seed, arguments.fold, *([inner] if inner else []))
    outputs = fit_run(recipe, data, features, key)
    paths = (arguments.weights, arguments.history, arguments.predictions, arguments.options)
    write_outputs(outputs, resolved(recipe), *paths)


if __name__ == "__main__":
    sys.exit(run(main, parser))
