"""The steps of a training: discriminator, R1, generator and path length, each by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fewcase.gan.augment import Augmentation
from fewcase.gan.conditioning import ClassLoss
from fewcase.gan.draws import ClassDraws, StepDraws
from fewcase.gan.learner import GanLearner
from fewcase.gan.loss import discriminator_loss, generator_loss, r1_penalty
from fewcase.gan.pixels import to_range
from fewcase.gan.transfer import trained_parameters
from fewcase.runtime.determinism import seed_of
from fewcase.runtime.precision import Precision, choose_precision
from fewcase.study.errors import InputError
from fewcase.study.gans import GanRecipe
from fewcase.study.settings import TrainingOptions

#: Blocks of the highest resolutions that are computed in low precision.
LOW_PRECISION_BLOCKS = 4
#: The path length is measured on a batch smaller by this.
PATH_BATCH_SHRINK = 2
#: Thousand images from which compiling the networks is taken to pay for the minutes it costs.
COMPILE_FROM_KIMG = 100.0


@dataclasses.dataclass(frozen=True)
class GanData:
    """What a generator learns from.

    Attributes
    ----------
    images
        uint8 (n, C, S, S) on the device.
    labels
        (n,) int64.
    classes
        Names of the classes; each has at least one image.
    """

    images: torch.Tensor
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


class Trainer:
    """Takes the training steps of a learner; parameters as of `fewcase.gan.training.train_gan`."""

    def __init__(
        self,
        recipe: GanRecipe,
        options: TrainingOptions,
        data: GanData,
        learner: GanLearner,
        seed: int,
        device: str,
    ) -> None:
        self.recipe, self.data, self.learner, self.device = recipe, data, learner, device
        self.seed = seed_of(seed, 1)
        self.precision: Precision = choose_precision(options.precision, device)
        for network in (learner.generator, learner.discriminator):
            network.use_precision(self.precision.dtype, LOW_PRECISION_BLOCKS)
        self._unfrozen = [
            (network, trained_parameters(network))
            for network in (learner.generator, learner.discriminator)
        ]
        self.draws = ClassDraws(data.labels, len(data.classes), recipe.class_balance)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.pipeline: Augmentation | None = None
        if recipe.augment != "none":
            self.pipeline = Augmentation(recipe.size, recipe.augment).to(device)
        self.class_loss = ClassLoss(
            recipe.conditioning,
            recipe.conditioning_weight,
            recipe.temperature,
            recipe.margin,
            recipe.variant,
        )
        gamma = recipe.r1_gamma
        self.gamma = 0.0002 * recipe.size**2 / recipe.batch_size if gamma is None else gamma
        on_gpu = torch.device(device).type == "cuda"
        chosen = {"yes": True, "no": False}
        pays = on_gpu and recipe.kimg >= COMPILE_FROM_KIMG
        self.compiled = chosen.get(options.compile, pays)
        # Compiled graphs have no second derivatives: regularisers call the networks themselves.
        self._synthesis: Callable[..., torch.Tensor] = learner.generator.synthesis
        self._judge: Callable[..., Any] = learner.discriminator
        if self.compiled:
            self._synthesis = torch.compile(learner.generator.synthesis)
            self._judge = torch.compile(learner.discriminator)

    def step(self) -> None:
        """Take the steps of the discriminator and one of the generator."""
        learner, recipe = self.learner, self.recipe
        draws = StepDraws(self.seed, learner.steps, self.device)
        self._take_turn(learner.discriminator)
        for _ in range(recipe.discriminator_steps):
            self._step_discriminator(draws)
        if learner.steps % recipe.r1_interval == 0 and self.gamma > 0:
            self._step_r1(draws)
        self._take_turn(learner.generator)
        self._step_generator(draws)
        if learner.steps % recipe.path_length_interval == 0 and recipe.path_length_weight > 0:
            self._step_path_length(draws)
        learner.steps += 1
        learner.images += recipe.batch_size
        learner.update_average()

    def line(self, seconds: float, speed: float) -> dict[str, Any]:
        """Return a line of the history, and check that losses are numbers."""
        learner, means = self.learner, self.learner.means.take()
        broken = [name for name in ("loss_d", "loss_g") if not math.isfinite(means[name])]
        if broken:
            raise InputError(
                f"Training of the generator diverged: {broken[0]} is {means[broken[0]]} after "
                f"{learner.images / 1000:.1f} thousand images. Raise r1_gamma ({self.gamma:.4g}), "
                f"lower learning_rate ({self.recipe.learning_rate}), or set training.precision: "
                "float32."
            )
        trace = learner.controller.take_trace()
        signs = trace[:, 0].mean().item() if len(trace) else math.nan
        return {
            "kimg": learner.images / 1000,
            **means,
            "real_sign": signs,
            "probability": learner.controller.probability.item(),
            "seconds": round(seconds, 3),
            "images_per_second": round(speed, 2),
        }

    def _take_turn(self, trained: nn.Module) -> None:
        """Let gradients flow to one network's weights, and through the other alone."""
        for network, parameters in self._unfrozen:
            for parameter in parameters:
                parameter.requires_grad_(network is trained)

    def _reals(self, draws: StepDraws) -> tuple[torch.Tensor, torch.Tensor]:
        rows = draws.positions(self.draws.rows(self.recipe.batch_size, draws.random))
        return to_range(self.data.images[rows]), self.labels[rows]

    def _styles(
        self, draws: StepDraws, batch: int, learn_centre: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw latents and classes; return the styles of all layers and the classes."""
        generator, recipe = self.learner.generator, self.recipe
        labels = draws.positions(self.draws.classes(batch, draws.random))
        w = generator.mapping(draws.latents(batch, recipe.latent), labels)
        if learn_centre:
            generator.mapping.update_average(w)
        if recipe.style_mixing == 0:
            return generator.repeat(w), labels
        other = generator.mapping(draws.latents(batch, recipe.latent), labels)
        return generator.mix(w, other, recipe.style_mixing, draws.small), labels

    def _augment(self, images: torch.Tensor, draws: StepDraws) -> torch.Tensor:
        if self.pipeline is None:
            return images
        drawn = draws.to_device(self.pipeline.draw(len(images), draws.small))
        return self.pipeline(images, drawn, self.learner.controller.probability)

    def _step_discriminator(self, draws: StepDraws) -> None:
        learner, batch = self.learner, self.recipe.batch_size
        with torch.no_grad():
            styles, fake_labels = self._styles(draws, batch)
            noise = learner.generator.draw_noise(batch, draws.large)
            fakes = self._augment(self._synthesis(styles, noise), draws)
        reals, labels = self._reals(draws)
        fake = self._judge(fakes, fake_labels)
        real = self._judge(self._augment(reals, draws), labels)
        loss = discriminator_loss(real.logits, fake.logits)
        of_classes = self.class_loss.of_discriminator(real, labels, fake, fake_labels)
        self._descend(learner.d_optimizer, loss + of_classes)
        learner.controller.observe(real.logits)
        learner.controller.step()
        learner.means.add("loss_d", loss)
        learner.means.add("class_d", of_classes)

    def _step_r1(self, draws: StepDraws) -> None:
        learner = self.learner
        reals, labels = self._reals(draws)
        reals.requires_grad_(True)
        logits = learner.discriminator(self._augment(reals, draws), labels).logits
        penalty = r1_penalty(logits, reals, self.gamma)
        self._descend(learner.d_optimizer, penalty * self.recipe.r1_interval)
        learner.means.add("r1", penalty)

    def _step_generator(self, draws: StepDraws) -> None:
        learner, batch = self.learner, self.recipe.batch_size
        styles, labels = self._styles(draws, batch, learn_centre=True)
        noise = learner.generator.draw_noise(batch, draws.large)
        fakes = self._augment(self._synthesis(styles, noise), draws)
        fake = self._judge(fakes, labels)
        loss = generator_loss(fake.logits)
        of_classes = self.class_loss.of_generator(fake, labels)
        self._descend(learner.g_optimizer, loss + of_classes)
        learner.means.add("loss_g", loss)
        learner.means.add("class_g", of_classes)

    def _step_path_length(self, draws: StepDraws) -> None:
        learner, recipe = self.learner, self.recipe
        batch = max(recipe.batch_size // PATH_BATCH_SHRINK, 1)
        styles, _ = self._styles(draws, batch)
        images = learner.generator.synthesis(
            styles, learner.generator.draw_noise(batch, draws.large)
        )
        penalty = learner.path_length(images, styles, draws.noise_like(images))
        weight = recipe.path_length_weight * recipe.path_length_interval
        self._descend(learner.g_optimizer, penalty * weight)
        learner.means.add("path_length", penalty)

    def _descend(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        loss.backward()
        if self.precision.dtype == torch.float16:
            # There is no loss scaling: what overflows in one image must not end the training.
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        torch.nan_to_num(
                            parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad
                        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
