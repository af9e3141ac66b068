"""Training: from the rows of one run to weights, history and predictions."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from fewcase.models.registry import (
    BuiltModel,
    build_model,
    count_parameters,
    half_normalised,
    plain_state,
)
from fewcase.runtime.checkpoint import ResumeFolder, State
from fewcase.runtime.determinism import seed_libraries, seed_of
from fewcase.runtime.normalisation import DeviceImages
from fewcase.runtime.precision import Precision
from fewcase.runtime.state import with_prefix, without_prefix
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.appearance import jitter_colours, orient
from fewcase.training.augment import augment, augmentation_of
from fewcase.training.batches import count_batches, draw_batches
from fewcase.training.geometry import move_together
from fewcase.training.learner import Learner, Machine, choose_machine
from fewcase.training.mask_loss import WEIGHTS, classification_loss, segmentation_loss
from fewcase.training.optimisation import learning_rate, mix_targets
from fewcase.training.outputs import (
    HISTORY_COLUMNS,
    Outputs,
    accuracy,
    inner_score,
    name_weights,
    prediction_table,
)
from fewcase.training.patches import Ballot, cut_run
from fewcase.training.progress import Progress
from fewcase.training.run_data import RunData
from fewcase.training.run_images import RunImages

PREDICTION_BATCH = 256
PREDICTION_PIXELS = 256 * 128 * 128
"""At most so many images, or pixels of them, are predicted at once: what a U-Net keeps is large."""


def train(
    recipe: Recipe,
    options: TrainingOptions,
    data: RunData,
    images: RunImages,
    seed: int,
    device: str,
    resume: ResumeFolder,
    log: logging.Logger,
    window_minutes: float | None = None,
) -> Outputs:
    """Train the network of a recipe, one per bag, and predict every scored example.

    On the CPU, with torch set up by `fewcase.runtime.determinism.prepare_torch`, the same
    arguments give the same weights and predictions to the last bit, resumed or not. The global
    generators of torch, numpy and Python are seeded.

    Parameters
    ----------
    recipe
        Every factor of it counts that is not about the making of images and samples.
    options
        How training runs on this machine.
    data
        The rows of the run, and synthetic images among what bags train on.
    images
        Those images, in the order of `data.labels`.
    seed
        Fixes initial weights, batches, augmentation and dropout.
    device
        As torch names it.
    resume
        Where an unfinished training is kept and looked for; the caller deletes it once the
        outputs are written.
    log
        Told about progress every ten seconds at most.
    window_minutes
        What the width of an image spans; needed for ``slit_minutes``.

    Raises
    ------
    InputError
        For a model or weights that cannot be had, batches that do not fit the data, and a
        training that diverges.
    """
    shown, ballot = data, None
    if recipe.patch is not None:
        shown, images, ballot = cut_run(recipe, data, images)
    states = []
    for bag in range(len(data.bags)):
        state = resume.load(f"bag-{bag}")
        if state is None:
            seed_libraries(seed_of(seed, bag))
            built = build_model(
                recipe.model,
                recipe.model_options,
                classes=data.classes,
                channels=images.channels,
                image_size=images.size,
                weights=recipe.weights,
            )
            trained_images = len(shown.bags[bag]) * recipe.epochs
            if recipe.normalisation == "half":
                built = half_normalised(built)
            machine = choose_machine(options, built.network, trained_images, device)
            store = DeviceImages(
                images.stored, images.packed, built.mean, built.std, machine.channels_last
            )
            about = describe(built, machine)
            told = ", ".join(f"{key} {value}" for key, value in about.items())
            log.info("%s: %d training examples, %s", recipe.model, len(shown.bags[bag]), told)
            learner = train_network(
                *(recipe, options, shown, bag, built, store, seed, machine, resume, log),
                window_minutes=window_minutes,
                masks=images.masks,
                ballot=ballot,
            )
            state = finished_state(learner, store, shown, machine.precision, about, ballot)
            resume.save(f"bag-{bag}", *state)
        states.append(state)
    return join_bags(states, data, shown.prevalences(recipe.oversample))


def train_network(
    recipe: Recipe,
    options: TrainingOptions,
    data: RunData,
    bag: int,
    built: BuiltModel,
    store: DeviceImages,
    seed: int,
    machine: Machine,
    resume: ResumeFolder,
    log: logging.Logger,
    window_minutes: float | None = None,
    masks: torch.Tensor | None = None,
    ballot: Ballot | None = None,
) -> Learner:
    """Train the network of one bag; parameters as of `train`.

    Where `data` are of patches, `ballot` makes one of those of an image. `masks` are those of the
    images in `store`.
    """
    training = data.bags[bag]
    inner = data.scored_positions("inner")
    labels = torch.from_numpy(data.labels).to(machine.device)
    sites = torch.from_numpy(data.sites).to(machine.device)
    steps = count_batches(len(training), recipe.batch_size, recipe.drop_last)
    augmentation = augmentation_of(recipe, window_minutes)
    progress = Progress(len(data.bags), recipe.epochs, steps, len(training) / steps, log)

    learner = Learner(recipe, built.network, machine, has_inner=len(inner) > 0)
    if learner.load(resume, f"bag-{bag}-running"):
        log.info("bag %d: resuming after epoch %d", bag + 1, learner.epochs_done)
    saved = time.monotonic()

    for epoch in range(learner.epochs_done, recipe.epochs):
        if learner.stopping.should_stop(epoch):
            break
        started = time.monotonic()
        # Drawn from the epoch's own seeds: where training resumes changes nothing.
        generator = torch.Generator().manual_seed(seed_of(seed, bag, epoch, 0))
        batches = draw_batches(
            data.labels[training],
            recipe.batch_size,
            recipe.ratio_batches,
            key=(seed, bag, epoch, 1),
            oversample=recipe.oversample,
            drop_last=recipe.drop_last,
        )
        trained_on = sum(map(len, batches))
        order = torch.from_numpy(training[np.concatenate(batches)]).to(machine.device)
        # Summed on the device: to ask for each value would make it wait.
        loss_sum = torch.zeros((), device=machine.device)
        target_sum = torch.zeros((), device=machine.device)
        right_sum = torch.zeros((), device=machine.device)
        learner.network.train()
        for step, positions in enumerate(order.split([len(batch) for batch in batches])):
            rate = learning_rate(recipe, epoch * steps + step, steps)
            seen = orient(store.batch(positions), recipe.orient, generator)
            truth = None
            if recipe.learns_masks and masks is not None:
                truth = (masks[positions] > 0).float()
            seen, truth = move_together(
                *(seen, truth),
                shift=recipe.shift,
                degrees=recipe.rotate,
                zoom=recipe.zoom,
                generator=generator,
                fill=store.black,
            )
            seen = jitter_colours(seen, recipe.colour_jitter, store.mean, store.std, generator)
            batch = augment(
                seen,
                labels[positions],
                sites[positions],
                augmentation,
                store.white,
                generator,
            )
            targets = mix_targets(batch.labels_a, batch.labels_b, batch.share, data.classes)
            with machine.precision.autocast():
                logits, drawn = learner.answer(batch.images, with_masks=truth is not None)
            loss = loss_of(recipe, logits, targets, drawn, truth)
            learner.step(loss, rate)
            loss_sum += loss.detach() * len(positions)
            target_sum += targets[:, 1].sum()
            right_sum += targets.gather(1, logits.detach().argmax(1, keepdim=True)).sum()
            if progress.is_due():
                check_finite(loss_sum.item(), recipe, bag, epoch)
                progress.tell(bag, epoch, step + 1)
        train_loss = check_finite(loss_sum.item() / trained_on, recipe, bag, epoch)
        trained = time.monotonic()

        inner_logits = predict(learner.evaluated, store, inner, data.classes, machine.precision)
        inner_labels = data.labels[inner]
        if ballot is not None:
            inner_logits, inner_labels = ballot.count(inner_logits, "inner"), ballot.labels("inner")
        inner_loss, inner_auc = inner_score(inner_logits, inner_labels)
        learner.stopping.look(epoch + 1, inner_auc, inner_loss, learner.evaluated)
        row = (
            *(bag, epoch + 1, rate, train_loss, target_sum.item() / trained_on),
            *(inner_loss, inner_auc, round(time.monotonic() - started, 3)),
            round(trained_on / (trained - started), 2),
            *(right_sum.item() / trained_on, accuracy(inner_logits, inner_labels)),
        )
        learner.history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        if time.monotonic() - saved >= 60 * options.checkpoint_minutes:
            learner.save(resume, f"bag-{bag}-running")
            saved = time.monotonic()
    log.info("bag %d: %s", bag + 1, summarise(learner))
    return learner


@torch.inference_mode()
def predict(
    network: nn.Module,
    store: DeviceImages,
    positions: npt.NDArray[np.int64],
    classes: int,
    precision: Precision,
) -> npt.NDArray[np.float32]:
    """Return the logits (n, classes) of the images at `positions`, dropout and the like at rest."""
    network.eval()
    parts = [torch.zeros(0, classes)]
    at_once = min(PREDICTION_BATCH, max(PREDICTION_PIXELS // store.size**2, 1))
    for batch in torch.from_numpy(positions).to(store.device).split(at_once):
        if len(batch):
            with precision.autocast():
                parts.append(network(store.batch(batch)).float().cpu())
    return torch.cat(parts).numpy()


def finished_state(
    learner: Learner,
    store: DeviceImages,
    data: RunData,
    precision: Precision,
    about: dict[str, Any],
    ballot: Ballot | None = None,
) -> State:
    """Predict every scored example, and return all that the run keeps of one bag."""
    network = learner.finish()
    logits = predict(network, store, data.scored_positions(), data.classes, precision)
    if ballot is not None:
        logits = ballot.count(logits)
    if not np.isfinite(logits).all():
        raise InputError(
            "The trained network gives scores that are no numbers. Lower recipe.learning_rate, or "
            "set training.precision: float32."
        )
    tensors = with_prefix("network.", plain_state(network))
    tensors["logits"] = torch.from_numpy(logits)
    return tensors, {"history": learner.history, "about": about}


def join_bags(states: list[State], data: RunData, prevalences: dict[str, list[float]]) -> Outputs:
    """Make the outputs of a run from the finished states of its bags."""
    weights = [
        {key: tensor.numpy() for key, tensor in without_prefix("network.", tensors).items()}
        for tensors, _ in states
    ]
    logits = np.stack([tensors["logits"].numpy() for tensors, _ in states])
    history = [row for _, values in states for row in values["history"]]
    return Outputs(
        weights=name_weights(weights),
        history=pd.DataFrame(history, columns=list(HISTORY_COLUMNS)),
        predictions=prediction_table(data.scored, logits),
        about={**states[0][1]["about"], **prevalences},
    )


def loss_of(
    recipe: Recipe,
    logits: torch.Tensor,
    targets: torch.Tensor,
    drawn: Sequence[torch.Tensor],
    truth: torch.Tensor | None,
) -> torch.Tensor:
    """Return the loss of a batch: of the classes, and of the masks where there are any.

    Parameters
    ----------
    recipe
        Kinds and weights of losses count.
    logits, targets
        (B, classes).
    drawn
        Logits of the masks, see `fewcase.training.mask_loss.segmentation_loss`.
    truth
        (B, 1, H, W), the masks; None where they are not learned.
    """
    if recipe.label_smoothing:
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
    if truth is not None:
        known = torch.ones(len(truth), dtype=torch.bool, device=truth.device)
        return segmentation_loss(
            *(logits, drawn, targets, truth, known),
            weights=[recipe.mask_weight * weight for weight in WEIGHTS],
            reduction=recipe.mask_reduction,
            class_loss=recipe.class_loss,
        ).total
    if recipe.class_loss == "bce":
        return classification_loss(logits, targets, "bce")
    return F.cross_entropy(logits.float(), targets)


def check_finite(loss: float, recipe: Recipe, bag: int, epoch: int) -> float:
    """Return `loss`, or raise an `InputError` where training has diverged."""
    if not math.isfinite(loss):
        raise InputError(
            f"Training of {recipe.model} diverged: the loss is {loss} in epoch {epoch + 1} of bag "
            f"{bag + 1}. Lower recipe.learning_rate ({recipe.learning_rate}), lengthen "
            "warmup_epochs, or set training.precision: float32."
        )
    return loss


def describe(built: BuiltModel, machine: Machine) -> dict[str, Any]:
    """Return what `options.json` says of a network and the machine that it is trained on."""
    on_gpu = torch.device(machine.device).type == "cuda"
    return {
        "weights": built.weights,
        "parameters": count_parameters(built.network),
        "mean": list(built.mean),
        "std": list(built.std),
        "device": torch.cuda.get_device_name(machine.device) if on_gpu else "CPU",
        "threads": torch.get_num_threads(),
        "precision": machine.precision.name,
        "channels_last": machine.channels_last,
        "compiled": machine.compiled,
    }


def summarise(learner: Learner) -> str:
    """Return one line on how the training of a bag ended."""
    last, best = learner.history[-1], learner.history[learner.stopping.best_epoch - 1]
    return (
        f"{last['epoch']} epochs, mean target {last['mean_target']:.3f}; weights of epoch "
        f"{best['epoch']}: training loss {best['train_loss']:.4f}, inner loss "
        f"{best['inner_loss']:.4f}, inner AUC {best['inner_auc']:.3f}"
    )
