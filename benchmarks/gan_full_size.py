"""All generators of the histology study at 256 pixels: real training steps, a kill -9 and a resume.

Each setting of the study's preset `full` is trained with its own widths and losses: scratch, the
base and what starts from it, with and without frozen blocks; the base's networks are freshly drawn
here. One training takes steps 0 to 16, in which R1 falls due twice and the path length five times;
another of the same seed is killed by SIGKILL after the 9th, resumed from what was kept after the
7th, and all that a resume state holds is compared in the end, to the last bit. ``python
benchmarks/gan_full_size.py`` takes the study's batch, with which it takes many hours on a CPU;
``--batch 2`` takes one or two. ``--steps 1`` takes the first step alone, which needs the most
memory, and kills nothing. On a busy machine ``--cpu-time`` counts the time that the process
computed and not the time that others did.
"""

import argparse
import dataclasses
import json
import logging
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.data.files import content_digest
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.files import GanFacts, write_networks
from fewcase.gan.generator import Generator
from fewcase.gan.learner import GanLearner, architecture_of
from fewcase.gan.steps import GanData, Trainer
from fewcase.gan.training import train_gan
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import prepare_torch
from fewcase.study.contents import Study
from fewcase.study.plan import read_study

STUDY = Path(__file__).resolve().parents[1] / "studies" / "histology.yaml"
#: Steps taken in all, and those after which the state is kept and the process is killed.
STEPS, KEPT, KILLED = 17, 7, 9
IMAGES_OF_A_CLASS = 4


def full_study() -> Study:
    """Return the study as it is run on real slides."""
    return read_study({**yaml.safe_load(STUDY.read_text()), "preset": "full", "data": "data"})


def classes_of(study: Study, name: str) -> tuple[str, ...]:
    """Return the classes that a generator learns: of its own target or that of the splits."""
    of_splits = next(iter(study.splits.values())).target
    return study.targets[study.gans[name].target or of_splits].classes


def made_up_images(size: int, classes: tuple[str, ...], device: str) -> GanData:
    """Return noise of all classes."""
    labels = np.arange(IMAGES_OF_A_CLASS * len(classes)) % len(classes)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(labels), 3, size, size), np.uint8)
    return GanData(torch.from_numpy(images).to(device), labels, classes)


def write_base(path: Path, name: str) -> None:
    """Write the networks of a base that has learned nothing yet."""
    study = full_study()
    classes = classes_of(study, name)
    architecture = architecture_of(study.gans[name], 3, len(classes))
    torch.manual_seed(0)
    networks = Generator(architecture), Discriminator(architecture)
    write_networks(path, *networks, GanFacts(name, architecture, classes, 1.0, {}))


class Digest:
    """Takes a resume state for its digest instead of writing it."""

    value = ""

    def save(self, name: str, tensors: Mapping[str, torch.Tensor], values: dict[str, Any]) -> None:
        for line in values["history"]:
            # How long it took is not what it came to.
            del line["seconds"], line["images_per_second"]
        contents = [tensors[key].detach().cpu().numpy() for key in sorted(tensors)]
        self.value = content_digest(json.dumps([sorted(tensors), values]).encode(), *contents)


def train_once(
    name: str, chosen: argparse.Namespace, base: Path | None, folder: Path, kill: bool
) -> dict[str, Any]:
    """Train in this process; return digests and measures."""
    log = logging.getLogger("benchmark")
    study = full_study()
    prepare_torch(chosen.threads, chosen.device)
    # Half an image less: the product of a thousand and a thousandth may not be 1.
    kimg = (chosen.steps * chosen.batch - 0.5) / 1000
    recipe = dataclasses.replace(study.gans[name], batch_size=chosen.batch, kimg=kimg)
    options = dataclasses.replace(study.training, threads=chosen.threads, checkpoint_minutes=0)
    resume = ResumeFolder(folder, {"gan": name}, "", True, log)
    seconds: list[float] = []
    saving: list[float] = []
    save, step = GanLearner.save, Trainer.step

    def timed_save(learner: GanLearner, where: ResumeFolder) -> None:
        if learner.steps == KEPT:
            started = time.perf_counter()
            save(learner, where)
            saving.append(time.perf_counter() - started)

    clock = time.process_time if chosen.cpu_time else time.perf_counter

    def timed_step(trainer: Trainer) -> None:
        started = clock()
        step(trainer)
        if chosen.device != "cpu":
            torch.cuda.synchronize(chosen.device)
        seconds.append(clock() - started)
        if len(seconds) == 2 and not kill:
            print(f"{name}: step 1 took {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
        if kill and trainer.learner.steps == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)

    GanLearner.save, Trainer.step = timed_save, timed_step  # type: ignore[method-assign]
    data = made_up_images(recipe.size, classes_of(study, name), chosen.device)
    outputs = train_gan(recipe, options, data, 0, chosen.device, resume, log, base)
    learner, digest = outputs.learner, Digest()
    save(learner, digest)  # type: ignore[arg-type]
    optimisers = learner.g_optimizer, learner.d_optimizer
    states = [path.stat().st_size for path in folder.glob("*.safetensors")]
    return {
        "digest": digest.value,
        "trained": [
            sum(p.numel() for group in one.param_groups for p in group["params"])
            for one in optimisers
        ],
        "precision": outputs.about["precision"],
        "seconds": seconds,
        "state": max(states, default=0) / 2**20,
        "saving": max(saving, default=0),
        "peak": peak_memory(chosen.device),
    }


def peak_memory(device: str) -> float:
    """Return the most memory that this process has taken, or has taken on its GPU, in GiB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def train_in_child(
    name: str, chosen: argparse.Namespace, base: Path | None, folder: Path, kill: bool
) -> Any:
    """Train in a process of its own; return its measures, or None where it killed itself."""
    result = folder.with_suffix(".json")
    child = multiprocessing.get_context("spawn").Process(
        target=write_measures, args=(name, chosen, base, folder, kill, result)
    )
    child.start()
    child.join()
    if child.exitcode != (-signal.SIGKILL if kill else 0):
        raise SystemExit(f"{name}: exit code {child.exitcode}")
    return None if kill else json.loads(result.read_text())


def write_measures(*arguments: Any) -> None:
    """Call `train_once` and write what it returns to the file that is the last argument."""
    arguments[-1].write_text(json.dumps(train_once(*arguments[:-1])))


def measure(name: str, chosen: argparse.Namespace, base: Path | None) -> str:
    """Train, kill and resume one setting; return its row."""
    with tempfile.TemporaryDirectory() as folder:
        whole = train_in_child(name, chosen, base, Path(folder, "whole"), False)
        verdict = "–"
        if chosen.steps > KILLED:
            train_in_child(name, chosen, base, Path(folder, "killed"), True)
            resumed = train_in_child(name, chosen, base, Path(folder, "killed"), False)
            taken = [len(run["seconds"]) for run in (whole, resumed)]
            assert taken == [chosen.steps, chosen.steps - KEPT], taken
            verdict = "same bytes" if whole["digest"] == resumed["digest"] else "OTHER BYTES"
    seconds, plain = whole["seconds"], whole["seconds"]
    if chosen.steps > 1:
        plain = [spent for number, spent in enumerate(seconds) if number % 4]
    trained = " + ".join(f"{count / 1e6:.1f}" for count in whole["trained"])
    return (
        f"| {name} | {trained} | {whole['precision']} | {statistics.median(plain):.1f} "
        f"| {max(seconds):.1f} | {statistics.mean(seconds):.1f} | {whole['peak']:.1f} "
        f"| {whole['state']:.0f} | {whole['saving']:.1f} | {verdict} |"
    )


def main() -> None:
    study, on_gpu = full_study(), torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--settings", nargs="+", default=list(study.gans), choices=list(study.gans))
    add("--batch", type=int, help="default: the study's")
    add("--steps", type=int, default=STEPS)
    add("--threads", type=int, default=study.training.threads, help="default: the study's")
    add("--device", default="cuda:0" if on_gpu else "cpu")
    add("--cpu-time", action="store_true", help="time that one thread computes")
    chosen = parser.parse_args()
    if chosen.cpu_time and not (chosen.device == "cpu" and chosen.threads == 1):
        parser.error("--cpu-time: threads that wait for others count too; add --threads 1")
    chosen.batch = chosen.batch or study.gans[chosen.settings[0]].batch_size
    columns = (
        *("generator", "trained parameters, million (G + D)", "precision", "s, most steps"),
        *("s, slowest", "s, mean", "peak, GiB", "state, MiB", "written in, s"),
        "killed and resumed",
    )
    size = study.gans[chosen.settings[0]].size
    print(
        f"{chosen.device}, {chosen.threads} threads, {size} pixels, batch {chosen.batch}, "
        f"{chosen.steps} steps, {'computing time' if chosen.cpu_time else 'time'}\n"
    )
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.settings:
            base, path = study.gans[name].base, None
            if base is not None:
                path = Path(folder, f"{base}.safetensors")
                if not path.exists():
                    write_base(path, base)
            print(measure(name, chosen, path), flush=True)


if __name__ == "__main__":
    main()
