"""Explain held-out examples of one run: the evidence for and against each class, and its checks."""

import argparse
import json
import logging
import sys
from pathlib import Path

from fewcase.data.files import read_table
from fewcase.data.image_store import ImageStore
from fewcase.data.stage import run
from fewcase.evaluation.chance import judge_chance
from fewcase.explain.choose import choose_cases, held_out
from fewcase.explain.map_files import write_maps
from fewcase.explain.measures import write_faithfulness
from fewcase.explain.run import explain_run
from fewcase.models.trained import load_run
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.job import add_machine_options, machine_keys, prepared_device
from fewcase.runtime.precision import full_float32
from fewcase.splits.folds import read_split
from fewcase.study.explanations import ExplainOptions
from fewcase.study.fields import read_section
from fewcase.study.settings import TrainingOptions

parser = argparse.ArgumentParser(description=__doc__)
add = parser.add_argument
add("--run", type=Path, required=True, help="folder of the run")
add("--split", type=Path, required=True, help="split file")
add("--images", type=Path, nargs="+", required=True, help="channel files, in order")
add("--options", type=json.loads, required=True, help="explain section, JSON")
add("--about", type=json.loads, required=True, help="arm, split, seed, fold and so on, JSON")
add("--classes", type=json.loads, default=["negative", "positive"], help="their names, JSON")
add("--window-minutes", type=float, help="what the width of an image spans, of signals")
add("--out", type=Path, required=True, help="folder of the maps")
add_machine_options(parser, resumes=False)


def main(arguments: argparse.Namespace) -> None:
    options = read_section(ExplainOptions, arguments.options, "explain")
    training = read_section(TrainingOptions, machine_keys(arguments), "training")
    predictions = read_table(arguments.run / "predictions.parquet")
    store, about = ImageStore.open(arguments.images), arguments.about
    key = (about["seed"], about["fold"])
    cases = choose_cases(predictions, read_split(arguments.split), options, *key)
    judged = held_out(predictions)
    scores = judged.filter(regex=r"^score_\d+$").to_numpy()
    chance = judge_chance(scores, judged["label"], judged["patient"]).as_json()
    about |= {"chance": chance, "no_better_than_chance": chance["no_better_than_chance"]}
    log = logging.getLogger("fewcase")
    # Cells come in hundreds of shapes: to tune for each would take longer than to run it.
    with prepared_device(training, log) as device, full_float32(tune=False):
        maps, found = explain_run(
            *(load_run(arguments.run, store.shape[2], device), store, cases, arguments.classes),
            *(options, device, about),
            window_minutes=arguments.window_minutes,
            seed=seed_of(*key),
        )
    write_faithfulness(arguments.out, found)
    write_maps(arguments.out, maps)


if __name__ == "__main__":
    sys.exit(run(main, parser))
