"""All networks of a study at the size of its paper: real optimiser steps, a kill -9 and a resume.

For each network that the preset `full` trains, at each size that it trains it at, a training of two
epochs runs to its end; another of the same seed is killed by SIGKILL in its second epoch, resumed
from its state, and compared with the first byte by byte. The table gives seconds per step, images
per second, the size of the resume state and the time that it takes to write, and the peak of
memory. ``python benchmarks/full_size.py`` takes the study of cardiotocograms and steps of 8 images
on a CPU, of the study's batch on a GPU; ``--study studies/liver.yaml --batch 2`` takes another.
Weights are drawn anew.
"""

import argparse
import dataclasses
import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.data.files import content_digest
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import prepare_torch
from fewcase.study.contents import Study
from fewcase.study.plan import read_study
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.study.targets import class_names
from fewcase.training.learner import Learner
from fewcase.training.loop import train
from fewcase.training.run_data import RunData
from fewcase.training.run_images import RunImages

STUDIES = Path(__file__).resolve().parents[1] / "studies"
STEPS = 2


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of a study, and the images that it sees."""

    recipe: Recipe
    size: int
    channels: int
    classes: int
    packed: bool

    @property
    def name(self) -> str:
        """What the table calls it."""
        options = "".join(f" {key}={value}" for key, value in self.recipe.model_options.items())
        masks = ", masks" if self.recipe.learns_masks else ""
        return f"{self.recipe.model}{options}, {self.size} px{masks}"


def cases_of(path: Path) -> list[Case]:
    """Return every network and size that the preset `full` of a study trains, once."""
    study = read_study({**yaml.safe_load(path.read_text()), "preset": "full", "data": "data"})
    found = {}
    for arm, split in study.runs:
        if not study.arms[arm].is_classical:
            case = _case(study, arm, split)
            found.setdefault(case.name, case)
    return list(found.values())


def _case(study: Study, arm: str, split: str) -> Case:
    recipe = study.arms[arm]
    size = recipe.input_size or recipe.crop or study.images.size
    signal = study.cohorts[study.cohort_of(split)].is_signal
    # Patches and synthetic images are images like others to a network.
    plain = dataclasses.replace(
        recipe, weights="none", epochs=2, ema=0.99, patch=None, gan=None, training_set=None,
        synthetic_selection=None, synthetic_ratio=None, synthetic_per_class=None, input_size=None,
        through_size=None, drop_last=False,
    )  # fmt: skip
    classes = len(class_names(study.targets[study.splits[split].target]))
    return Case(plain, size, 1 if study.images.grey else 3, classes, signal)


def made_up_images(case: Case, count: int, device: str) -> RunImages:
    """Return noise, made by row, two-valued where the study's images are; and random masks."""
    seeded = [np.random.default_rng(row) for row in range(count)]
    shape = (case.channels, case.size, case.size // 8 if case.packed else case.size)
    stored = np.stack([g.integers(0, 256, shape, np.uint8) for g in seeded])
    masks = None
    if case.recipe.learns_masks:
        masks = torch.zeros((count, 1, case.size, case.size), dtype=torch.uint8, device=device)
        masks[:, :, case.size // 4 : case.size // 2] = 255
    return RunImages(torch.from_numpy(stored).to(device), case.packed, masks)


def made_up_run(case: Case, batch: int) -> RunData:
    """Return a run of two steps an epoch, with half a batch of inner validation."""
    trained, inner = batch * STEPS, max(batch // 2, 4)
    rows = np.arange(trained + inner)
    labels = (rows % case.classes).astype(np.int64)
    labels[-1] = case.classes - 1
    scored = pd.DataFrame({"row": rows[trained:], "label": labels[trained:]}).assign(
        example="", parent="", patient="", site="", role="inner", test_set=""
    )
    shares = (1 / case.classes,) * case.classes
    return RunData(rows, labels, rows % 3, (rows[:trained],), scored, shares)


def train_once(
    case: Case, batch: int, threads: int, device: str, folder: Path, kill: bool
) -> dict[str, Any]:
    """Train in this process; return digests and measures."""
    log = logging.getLogger("benchmark")
    prepare_torch(threads, device)
    recipe = dataclasses.replace(case.recipe, batch_size=batch, ratio_batches=False)
    options = TrainingOptions(checkpoint_minutes=0, threads=threads)
    resume = ResumeFolder(folder, {"case": case.name}, "", True, log)
    saving: list[float] = []
    save, step = Learner.save, Learner.step
    steps = [0]

    def timed_save(self: Learner, *arguments: Any) -> None:
        started = time.perf_counter()
        save(self, *arguments)
        saving.append(time.perf_counter() - started)

    def killed_step(self: Learner, *arguments: Any) -> None:
        step(self, *arguments)
        steps[0] += 1
        if kill and steps[0] == STEPS + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    Learner.save, Learner.step = timed_save, killed_step  # type: ignore[method-assign]
    data = made_up_run(case, batch)
    images = made_up_images(case, len(data.rows), device)
    outputs = train(recipe, options, data, images, 0, device, resume, log)
    largest = max(path.stat().st_size for path in folder.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "digest": content_digest(*(outputs.weights[key] for key in sorted(outputs.weights))),
        "scores": content_digest(outputs.predictions["score_1"].to_numpy()),
        "parameters": outputs.about["parameters"],
        "precision": outputs.about["precision"],
        "speed": float(outputs.history["images_per_second"].iloc[-1]),
        "steps": steps[0],
        "state": largest / 2**20,
        "saving": max(saving),
        "peak": torch.cuda.max_memory_allocated() / 2**30 if device != "cpu" else peak,
    }


def train_in_child(case: Case, folder: Path, kill: bool, settings: argparse.Namespace) -> Any:
    """Train in a process of its own; return its measures, or None where it killed itself."""
    # A forked process has torch loaded; one that uses CUDA must not be forked.
    context = multiprocessing.get_context("fork" if settings.device == "cpu" else "spawn")
    result = folder.with_suffix(".json")
    arguments = (case, settings.batch, settings.threads, settings.device, folder, kill, result)
    child = context.Process(target=write_measures, args=arguments)
    child.start()
    child.join()
    if child.exitcode != (-signal.SIGKILL if kill else 0):
        raise SystemExit(f"{case.name}: exit code {child.exitcode}")
    return None if kill else json.loads(result.read_text())


def write_measures(*arguments: Any) -> None:
    """Call `train_once` and write what it returns to the file that is the last argument."""
    arguments[-1].write_text(json.dumps(train_once(*arguments[:-1])))


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=STUDIES / "ctg.yaml")
    parser.add_argument("--models", nargs="+", help="default: all of the study")
    parser.add_argument("--batch", type=int, help="default: 8 on a CPU, the study's on a GPU")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cuda:0" if on_gpu else "cpu")
    settings = parser.parse_args()
    columns = (
        *("model", "parameters", "precision", "batch", "s/step", "images/s", "state, MiB"),
        *("written in, s", "peak, GiB", "killed and resumed"),
    )
    print(f"{settings.study.stem}: {settings.device}, {settings.threads} threads\n")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    cases = cases_of(settings.study)
    for case in cases:
        if settings.models and case.recipe.model not in settings.models:
            continue
        settings.batch = settings.batch or (case.recipe.batch_size if on_gpu else 8)
        with tempfile.TemporaryDirectory() as folder:
            whole = train_in_child(case, Path(folder, "whole"), False, settings)
            train_in_child(case, Path(folder, "killed"), True, settings)
            resumed = train_in_child(case, Path(folder, "killed"), False, settings)
        assert (whole["steps"], resumed["steps"]) == (2 * STEPS, STEPS)
        same = all(whole[key] == resumed[key] for key in ("digest", "scores"))
        print(
            f"| {case.name} | {whole['parameters']:,} | {whole['precision']} | {settings.batch} "
            f"| {settings.batch / whole['speed']:.2f} | {whole['speed']:.3g} "
            f"| {whole['state']:.0f} | {whole['saving']:.1f} | {whole['peak']:.1f} "
            f"| {'same bytes' if same else 'other bytes'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
