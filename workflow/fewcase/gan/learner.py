"""What changes while a generator is trained, and how it is kept in a resume state."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.controller import AugmentationController
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.generator import Generator
from fewcase.gan.loss import PathLength, lazy_optimiser
from fewcase.gan.transfer import Transferred, freeze, start_from, trained_parameters
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.state import (
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
    without_prefix,
)
from fewcase.study.gans import GanRecipe

BETAS = (0.0, 0.99)
EPSILON = 1e-8
#: ADA's speed in thousand images from scratch, and after a transfer.
ADA_KIMG, ADA_KIMG_TRANSFER = 500.0, 100.0
#: What a training tells of itself, as means over the steps since it last did.
LOSSES = ("loss_d", "loss_g", "class_d", "class_g", "r1", "path_length")

RUNNING = "running"


def architecture_of(recipe: GanRecipe, channels: int, classes: int) -> Architecture:
    """Return the architecture that a recipe asks for."""
    return Architecture(
        size=recipe.size,
        channels=channels,
        classes=classes,
        conditioning=recipe.conditioning,
        z_dim=recipe.latent,
        w_dim=recipe.latent,
        mapping_layers=recipe.mapping_layers,
        channel_base=recipe.channel_base,
        channel_max=recipe.channel_max,
        embedding=recipe.embedding,
        mbstd_group=recipe.minibatch_std_group,
    )


@dataclasses.dataclass
class Means:
    """Sums of losses on the device, and over how many steps."""

    sums: torch.Tensor
    counts: list[int]

    @classmethod
    def none(cls, device: str) -> Means:
        """Return sums of nothing."""
        return cls(torch.zeros(len(LOSSES), device=device), [0] * len(LOSSES))

    def add(self, name: str, value: torch.Tensor) -> None:
        """Add the value of one step, which stays on the device."""
        place = LOSSES.index(name)
        self.sums[place] += value.detach()
        self.counts[place] += 1

    def take(self) -> dict[str, float]:
        """Return the means, NaN where there was no step, and begin anew."""
        sums, counts = self.sums.tolist(), self.counts
        self.sums.zero_()
        self.counts = [0] * len(LOSSES)
        return {
            name: total / count if count else math.nan
            for name, total, count in zip(LOSSES, sums, counts, strict=True)
        }


class GanLearner:
    """Both networks with their optimisers, the average, the augmentation and the history.

    Weights are drawn from torch's global generator.

    Parameters
    ----------
    recipe
        Every key counts that is not about data.
    architecture
        Of both networks.
    device
        As torch names it.
    base
        Networks to start from, a file of `fewcase.gan.files.write_networks`; None for none.
    """

    def __init__(
        self, recipe: GanRecipe, architecture: Architecture, device: str, base: Path | None = None
    ) -> None:
        self.generator, self.discriminator = Generator(architecture), Discriminator(architecture)
        self.transferred: Transferred | None = None
        if base is not None:
            self.transferred = start_from(self.generator, self.discriminator, base)
        self.frozen = freeze(self.generator, self.discriminator, recipe.freeze)
        self.generator.to(device)
        self.discriminator.to(device)
        #: The average of the generator's weights, which all images that are kept are drawn with.
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.path_length = PathLength().to(device)
        intervals = recipe.path_length_interval, recipe.r1_interval
        self.g_optimizer, self.d_optimizer = (
            _optimizer(network, recipe.learning_rate, interval)
            for network, interval in zip(
                (self.generator, self.discriminator), intervals, strict=True
            )
        )
        speed = recipe.ada_kimg
        if speed is None:
            speed = ADA_KIMG if base is None else ADA_KIMG_TRANSFER
        self.controller = AugmentationController(
            recipe.ada_target, speed, recipe.batch_size, device, maximum=recipe.p_max
        )
        self.means = Means.none(device)
        self.rampup = recipe.ema_rampup if base is None else None
        half_life = recipe.ema_kimg
        self.half_life = 1000 * (recipe.batch_size * 10 / 32 if half_life is None else half_life)
        self.batch_size = recipe.batch_size
        #: Training steps done, and real images shown in them.
        self.steps = 0
        self.images = 0
        self.history: list[dict[str, Any]] = []
        #: Values of the stopping rule, and the averaged weights of its best snapshot.
        self.stopping: dict[str, Any] = {}
        self.best: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def update_average(self) -> None:
        """Let the average follow the generator; buffers are copied."""
        half_life = self.half_life
        if self.rampup is not None:
            half_life = min(half_life, self.images * self.rampup)
        share = 1 - 0.5 ** (self.batch_size / max(half_life, 1e-8))
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        moving = [(mean, now) for mean, now in pairs if now.requires_grad]
        torch._foreach_lerp_([mean for mean, _ in moving], [now for _, now in moving], share)
        for mean, now in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(now)

    def save(self, resume: ResumeFolder) -> None:
        """Write everything as a resume state."""
        tensors = {
            **with_prefix("generator.", self.generator.state_dict()),
            **with_prefix("discriminator.", self.discriminator.state_dict()),
            **with_prefix("average.", self.average.state_dict()),
            **with_prefix("best.", self.best),
            **with_prefix("g_optimizer.", optimizer_tensors(self.g_optimizer)),
            **with_prefix("d_optimizer.", optimizer_tensors(self.d_optimizer)),
            **with_prefix("path_length.", self.path_length.state_dict()),
            **with_prefix("controller.", self.controller.state()),
            "means": self.means.sums,
        }
        values = {
            "steps": self.steps,
            "images": self.images,
            "counts": self.means.counts,
            "history": self.history,
            "stopping": self.stopping,
        }
        resume.save(RUNNING, tensors, values)

    def load(self, resume: ResumeFolder) -> bool:
        """Continue from the resume state; tell whether there was one."""
        state = resume.load(RUNNING)
        if state is None:
            return False
        tensors, values = state
        for prefix, network in (
            ("generator.", self.generator),
            ("discriminator.", self.discriminator),
            ("average.", self.average),
            ("path_length.", self.path_length),
        ):
            network.load_state_dict(without_prefix(prefix, tensors))
        restore_optimizer(self.g_optimizer, without_prefix("g_optimizer.", tensors))
        restore_optimizer(self.d_optimizer, without_prefix("d_optimizer.", tensors))
        self.controller.restore(without_prefix("controller.", tensors))
        self.means.sums.copy_(tensors["means"])
        self.means.counts = values["counts"]
        self.best = without_prefix("best.", tensors)
        self.steps, self.images = values["steps"], values["images"]
        self.history, self.stopping = values["history"], values["stopping"]
        return True


def _optimizer(network: torch.nn.Module, rate: float, interval: int) -> torch.optim.Optimizer:
    lazy_rate, betas = lazy_optimiser(rate, BETAS, interval)
    parameters = trained_parameters(network)
    return torch.optim.Adam(parameters, lr=lazy_rate, betas=betas, eps=EPSILON, fused=True)
