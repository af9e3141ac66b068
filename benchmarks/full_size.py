"""All eight models of the paper at 224 pixels: real optimiser steps, a kill -9 and a resume.

For each model a training of two epochs runs to its end; another of the same seed is killed by
SIGKILL in its second epoch, resumed from its state, and compared with the first byte by byte. The
table gives seconds per step, images per second, the size of the resume state and the time that it
takes to write, and the peak of memory. ``python benchmarks/full_size.py`` takes steps of 8 images
on a CPU, of 85 on a GPU.
"""

import argparse
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.data.files import content_digest
from fewcase.models.registry import PAPER_MODELS
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import prepare_torch
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.learner import Learner
from fewcase.training.loop import train
from fewcase.training.run_data import RunData
from fewcase.training.run_images import RunImages

SIZE = 224
STEPS = 2


def made_up_images(count: int, device: str) -> RunImages:
    """Return two-valued noise, made by row."""
    seeded = [np.random.default_rng(row) for row in range(count)]
    packed = np.stack([g.integers(0, 256, (3, SIZE, SIZE // 8), np.uint8) for g in seeded])
    return RunImages(torch.from_numpy(packed).to(device), packed=True)


def made_up_run(batch: int) -> RunData:
    """Return a run of two steps an epoch, with half a batch of inner validation."""
    trained, inner = batch * STEPS, max(batch // 2, 4)
    rows = np.arange(trained + inner)
    labels = (rows % 4 == 0).astype(np.int64)
    scored = pd.DataFrame({"row": rows[trained:], "label": labels[trained:]}).assign(
        example="", parent="", patient="", site="", role="inner", test_set=""
    )
    return RunData(rows, labels, rows % 3, (rows[:trained],), scored, (0.5, 0.5))


def train_once(
    model: str, batch: int, threads: int, device: str, folder: Path, kill: bool
) -> dict[str, Any]:
    """Train in this process; return digests and measures."""
    log = logging.getLogger("benchmark")
    prepare_torch(threads, device)
    recipe = Recipe(
        model=model, weights="none", augment="slit_cutmix", batch_size=batch, epochs=2, ema=0.99
    )
    options = TrainingOptions(checkpoint_minutes=0, threads=threads)
    resume = ResumeFolder(folder, {"model": model}, "", True, log)
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
    images = made_up_images(len(made_up_run(batch).rows), device)
    outputs = train(recipe, options, made_up_run(batch), images, 0, device, resume, log)
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


def train_in_child(model: str, folder: Path, kill: bool, settings: argparse.Namespace) -> Any:
    """Train in a process of its own; return its measures, or None where it killed itself."""
    # A forked process has torch loaded; one that uses CUDA must not be forked.
    context = multiprocessing.get_context("fork" if settings.device == "cpu" else "spawn")
    result = folder.with_suffix(".json")
    arguments = (model, settings.batch, settings.threads, settings.device, folder, kill, result)
    child = context.Process(target=write_measures, args=arguments)
    child.start()
    child.join()
    if child.exitcode != (-signal.SIGKILL if kill else 0):
        raise SystemExit(f"{model}: exit code {child.exitcode}")
    return None if kill else json.loads(result.read_text())


def write_measures(*arguments: Any) -> None:
    """Call `train_once` and write what it returns to the file that is the last argument."""
    arguments[-1].write_text(json.dumps(train_once(*arguments[:-1])))


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(PAPER_MODELS))
    parser.add_argument("--batch", type=int, default=85 if on_gpu else 8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cuda:0" if on_gpu else "cpu")
    settings = parser.parse_args()
    columns = (
        *("model", "parameters", "precision", "batch", "s/step", "images/s", "state, MiB"),
        *("written in, s", "peak, GiB", "killed and resumed"),
    )
    print(f"{settings.device}, {settings.threads} threads, {SIZE} pixels\n")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for model in settings.models:
        with tempfile.TemporaryDirectory() as folder:
            whole = train_in_child(model, Path(folder, "whole"), False, settings)
            train_in_child(model, Path(folder, "killed"), True, settings)
            resumed = train_in_child(model, Path(folder, "killed"), False, settings)
        assert (whole["steps"], resumed["steps"]) == (2 * STEPS, STEPS)
        same = all(whole[key] == resumed[key] for key in ("digest", "scores"))
        print(
            f"| {model} | {whole['parameters']:,} | {whole['precision']} | {settings.batch} "
            f"| {settings.batch / whole['speed']:.2f} | {whole['speed']:.3g} "
            f"| {whole['state']:.0f} | {whole['saving']:.1f} | {whole['peak']:.1f} "
            f"| {'same bytes' if same else 'other bytes'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
