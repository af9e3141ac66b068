"""What changes while a network is trained, and how it is kept in and taken from a resume state."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from fewcase.models.registry import is_convolutional
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.determinism import random_states, restore_random_states
from fewcase.runtime.precision import Precision, choose_precision
from fewcase.runtime.state import (
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
    without_prefix,
)
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.optimisation import EarlyStopping, make_optimizer

#: Training images from which compiling a network is taken to pay for the minute that it costs.
COMPILE_FROM_IMAGES = 100_000


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where and how a network is computed."""

    device: str
    precision: Precision
    channels_last: bool
    compiled: bool


def choose_machine(
    options: TrainingOptions, network: nn.Module, trained_images: int, device: str
) -> Machine:
    """Settle what the options leave to the machine and the network (``auto``).

    Parameters
    ----------
    options
        Precision, channels_last and compile count.
    network
        Channels-last memory is for convolutional networks: measured on CPUs, resnet18 and resnet50
        take a tenth less time per image with it, efficientnet_b0 a quarter; on GPUs, timm's own
        figures say the same.
    trained_images
        Images per epoch times epochs: short trainings are not worth compiling.
    device
        As torch names it.
    """
    on_gpu = torch.device(device).type == "cuda"
    convolutional = is_convolutional(network)
    chosen = {"yes": True, "no": False}
    return Machine(
        device=device,
        precision=choose_precision(options.precision, device),
        channels_last=chosen.get(options.channels_last, convolutional),
        compiled=chosen.get(options.compile, on_gpu and trained_images >= COMPILE_FROM_IMAGES),
    )


class Learner:
    """A network with its optimiser, average, best weights and history.

    Parameters
    ----------
    recipe
        Optimiser, weight decay, average and patience count.
    network
        Trained in place, on the machine's device.
    machine
        Where and how.
    has_inner
        Whether there is an inner validation part; early stopping is impossible without.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, machine: Machine, has_inner: bool
    ) -> None:
        self.network = network.to(machine.device)
        if machine.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
        #: What training calls: the network or its compiled form, which share their weights.
        self.forward = torch.compile(self.network) if machine.compiled else self.network
        #: The same for networks that give masks.
        self.segment: Any = getattr(self.network, "segment", None)
        if machine.compiled and self.segment is not None:
            self.segment = torch.compile(self.segment)
        self.average = None if recipe.ema is None else ModelEmaV3(self.network, decay=recipe.ema)
        #: What is evaluated and kept: the average of the weights where there is one.
        self.evaluated: nn.Module = self.network if self.average is None else self.average.module
        self.optimizer = make_optimizer(recipe, self.network)
        self.scaler = machine.precision.gradient_scaler()
        self.stopping = EarlyStopping(recipe.patience if has_inner else None)
        self.history: list[dict[str, Any]] = []

    @property
    def epochs_done(self) -> int:
        """How many epochs this network has been trained."""
        return len(self.history)

    def answer(
        self, images: torch.Tensor, with_masks: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Return logits of the classes and, where they are asked for, of the masks."""
        if with_masks:
            logits, masks = self.segment(images)
            return logits, masks
        return self.forward(images), ()

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Take one optimiser step at learning rate `rate`."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.network)

    def finish(self) -> nn.Module:
        """Return the network to keep: of the best epoch, or the last where none was looked for."""
        if self.stopping.best:
            self.evaluated.load_state_dict(self.stopping.best)
        return self.evaluated

    def save(self, resume: ResumeFolder, name: str) -> None:
        """Write everything as the resume state `name`."""
        average = {} if self.average is None else self.average.module.state_dict()
        tensors = {
            **with_prefix("network.", self.network.state_dict()),
            **with_prefix("average.", average),
            **with_prefix("optimizer.", optimizer_tensors(self.optimizer)),
            **with_prefix("best.", self.stopping.best),
            **with_prefix("random.", random_states()),
        }
        values = {
            "scaler": self.scaler.state_dict(),
            "stopping": self.stopping.values(),
            "history": self.history,
        }
        resume.save(name, tensors, values)

    def load(self, resume: ResumeFolder, name: str) -> bool:
        """Continue from the resume state `name`; tell whether there was one."""
        state = resume.load(name)
        if state is None:
            return False
        tensors, values = state
        self.network.load_state_dict(without_prefix("network.", tensors))
        if self.average is not None:
            self.average.module.load_state_dict(without_prefix("average.", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer.", tensors))
        self.scaler.load_state_dict(values["scaler"])
        self.stopping.restore(values["stopping"], without_prefix("best.", tensors))
        self.history = values["history"]
        restore_random_states(without_prefix("random.", tensors))
        return True
