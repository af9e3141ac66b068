"""Training of a generator: from the training rows of a fold to its weights and their history."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from fewcase.gan.generator import Generator
from fewcase.gan.learner import GanLearner, architecture_of
from fewcase.gan.pixels import to_range
from fewcase.gan.snapshots import FixedLatents, keep_samples, read_samples
from fewcase.gan.steps import GanData, Trainer
from fewcase.gan.stopping import StoppingRule
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import seed_libraries, seed_of
from fewcase.study.errors import InputError
from fewcase.study.gans import GanRecipe
from fewcase.study.settings import TrainingOptions

#: Lines of the history between two snapshots.
LINES_PER_SNAPSHOT = 10
#: Probability of augmentation from which generators were seen to draw augmented images.
LEAK_WARNING = 0.8
#: A generator has collapsed whose images differ by less than this share of what real ones do.
COLLAPSED_SHARE = 0.02
#: So many snapshots in turn end the training; a network that has just begun draws alike images too.
COLLAPSED_SNAPSHOTS = 3
#: Real images of a class that this is measured by.
MOST_COMPARED = 64

Measure = Callable[[Generator], Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class GanOutputs:
    """The results of a training.

    Attributes
    ----------
    learner
        Both networks as training left them.
    generator
        The averaged generator of the chosen snapshot.
    history
        One line per so many thousand images; measures of quality in the lines of snapshots.
    samples
        uint8 (snapshots, classes, columns, C, S, S): images of the same latents at some snapshots.
    sampled_at
        Thousand images of each of those snapshots.
    about
        For `options.json`.
    """

    learner: GanLearner
    generator: Generator
    history: pd.DataFrame
    samples: npt.NDArray[np.uint8]
    sampled_at: tuple[float, ...]
    about: dict[str, Any]


def train_gan(
    recipe: GanRecipe,
    options: TrainingOptions,
    data: GanData,
    seed: int,
    device: str,
    resume: ResumeFolder,
    log: logging.Logger,
    base: Path | None = None,
    measure: Measure | None = None,
) -> GanOutputs:
    """Train a generator against a discriminator.

    On the CPU, with torch set up by `fewcase.runtime.determinism.prepare_torch`, the same
    arguments give the same weights to the last bit, resumed or not.

    Parameters
    ----------
    recipe
        Every key counts.
    options
        How training runs on this machine.
    data
        What it learns from.
    seed
        Fixes initial weights, batches, latents, noise and augmentation.
    device
        As torch names it.
    resume
        Where an unfinished training is kept and looked for; the caller deletes it once the
        outputs are written.
    log
        Told about each line of the history.
    base
        Networks to start from, a file of `fewcase.gan.files.write_networks`.
    measure
        Returns measures of the averaged generator by name, those on the training images as
        ``train_…`` and on the validation images as ``validation_…``; None measures nothing, and
        training goes on to the end.

    Raises
    ------
    InputError
        Where training diverges or collapses, or the base does not fit.
    """
    seed_libraries(seed_of(seed, 0))
    architecture = architecture_of(recipe, data.images.shape[1], len(data.classes))
    learner = GanLearner(recipe, architecture, device, base)
    trainer = Trainer(recipe, options, data, learner, seed, device)
    rule = StoppingRule(recipe.patience if measure is not None else None)
    if learner.load(resume):
        rule = StoppingRule(rule.patience, learner.stopping)
        log.info("resuming after %.1f thousand images", learner.images / 1000)
    fixed = FixedLatents(architecture, seed, device)
    spread = _real_spread(data)
    line_kimg = recipe.snapshot_kimg / LINES_PER_SNAPSHOT
    started = saved = time.monotonic()
    images_then = learner.images

    while learner.images < 1000 * recipe.kimg and not rule.should_stop():
        before = learner.images / 1000
        trainer.step()
        now = learner.images / 1000
        ends = learner.images >= 1000 * recipe.kimg
        snapshot = ends or now // recipe.snapshot_kimg > before // recipe.snapshot_kimg
        if snapshot or now // line_kimg > before // line_kimg:
            seconds = time.monotonic() - started
            line = trainer.line(seconds, (learner.images - images_then) / max(seconds, 1e-9))
            started, images_then = time.monotonic(), learner.images
            if snapshot:
                samples = fixed.draw(learner.average)
                _check_spread(samples, spread, rule, now)
                keep_samples(resume.folder, learner.images, samples)
                measured = {} if measure is None else dict(measure(learner.average))
                if rule.look(now, measured):
                    state = learner.average.state_dict()
                    learner.best = {key: tensor.clone() for key, tensor in state.items()}
                    line["chosen"] = now
                line |= measured
                learner.stopping = rule.values()
            learner.history.append(line)
            warned = any(old["probability"] > LEAK_WARNING for old in learner.history[:-1])
            _tell(log, line, recipe, warned)
        if time.monotonic() - saved >= 60 * options.checkpoint_minutes:
            learner.save(resume)
            saved = time.monotonic()
    if rule.should_stop():
        log.info("no measure on the training images has got better for %s snapshots", rule.since)
    return _outputs(learner, trainer, resume, data)


def _outputs(
    learner: GanLearner, trainer: Trainer, resume: ResumeFolder, data: GanData
) -> GanOutputs:
    generator = learner.average
    if learner.best:
        generator.load_state_dict(learner.best)
    samples, sampled_at = read_samples(resume.folder)
    history = pd.DataFrame(learner.history)
    chosen = history.pop("chosen").dropna() if "chosen" in history else pd.Series(dtype=float)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    transferred = learner.transferred
    about = {
        "kimg": learner.images / 1000,
        "chosen_kimg": float(chosen.iloc[-1]) if len(chosen) else learner.images / 1000,
        "images": dict(zip(data.classes, counts.tolist(), strict=True)),
        "r1_gamma": trainer.gamma,
        "parameters": {
            "generator": _count(learner.generator),
            "discriminator": _count(learner.discriminator),
        },
        "frozen": list(learner.frozen),
        "drawn_anew": [] if transferred is None else list(transferred.drawn),
        "precision": trainer.precision.name,
        "compiled": trainer.compiled,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(trainer.device)
        if torch.device(trainer.device).type == "cuda"
        else "CPU",
    }
    return GanOutputs(learner, generator, history, samples, sampled_at, about)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _spread_of(images: torch.Tensor) -> float:
    """Return by how much uint8 images (n, C, H, W) of one class differ, pixel by pixel."""
    return to_range(images).std(dim=0).mean().item()


def _real_spread(data: GanData) -> float:
    """Return the same of real images, the mean over classes that have two at least."""
    places = [np.flatnonzero(data.labels == k)[:MOST_COMPARED] for k in range(len(data.classes))]
    spreads = [
        _spread_of(data.images[torch.from_numpy(rows).to(data.images.device)])
        for rows in places
        if len(rows) > 1
    ]
    return float(np.mean(spreads)) if spreads else 0.0


def _check_spread(samples: torch.Tensor, real: float, rule: StoppingRule, kimg: float) -> None:
    """Stop where images of one class have been the same for some snapshots."""
    drawn = float(np.mean([_spread_of(of_class) for of_class in samples]))
    rule.collapsed = rule.collapsed + 1 if drawn < COLLAPSED_SHARE * real else 0
    if not math.isfinite(drawn) or rule.collapsed >= COLLAPSED_SNAPSHOTS:
        raise InputError(
            f"Training of the generator collapsed: after {kimg:.1f} thousand images it draws the "
            f"same image whatever the latent (pixels deviate by {drawn:.4f} between images, by "
            f"{real:.4f} between real ones). Raise r1_gamma, lower learning_rate, or start from a "
            "base."
        )


def _tell(log: logging.Logger, line: Mapping[str, Any], recipe: GanRecipe, warned: bool) -> None:
    kept = ("loss_d", "loss_g", "probability", "train_frechet", "validation_frechet")
    told = ", ".join(f"{name} {line[name]:.3f}" for name in kept if name in line)
    log.info(
        "%.1f of %g thousand images, %.3g images/s: %s",
        *(line["kimg"], recipe.kimg, line["images_per_second"], told),
    )
    if line["probability"] > LEAK_WARNING and not warned:
        log.warning(
            "images are augmented with probability %.2f: the generator may come to draw augmented "
            "ones. p_max bounds it.",
            line["probability"],
        )
