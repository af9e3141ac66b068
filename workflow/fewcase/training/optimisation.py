"""Optimiser, learning rate over time, mixed targets and early stopping."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from timm.optim import param_groups_weight_decay
from torch import nn

from fewcase.study.recipe import Recipe


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimiser; weight decay leaves out biases, norms and what the model names."""
    spared: Any = getattr(network, "no_weight_decay", tuple)
    groups = param_groups_weight_decay(
        network, recipe.weight_decay, no_weight_decay_list=tuple(spared())
    )
    rate = recipe.learning_rate
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, fused=True)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    if recipe.optimizer == "adadelta":
        return torch.optim.Adadelta(groups, lr=rate, rho=recipe.rho, eps=recipe.eps)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of an optimiser step, counted from 0 over the whole training.

    It rises linearly to the peak over ``warmup_epochs``; then ``cosine`` falls along half a
    period to 0 at the last epoch's end, ``step`` falls by ``step_factor`` every ``step_epochs``
    epochs (counted from the start), and ``constant`` stays.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    rise = min((step + 1) / warmup, 1.0) if warmup else 1.0
    fall = 1.0
    if recipe.schedule == "cosine" and step >= warmup:
        total = recipe.epochs * steps_per_epoch
        fall = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    elif recipe.schedule == "step":
        fall = recipe.step_factor ** (step // steps_per_epoch // recipe.step_epochs)
    return recipe.learning_rate * rise * fall


def mix_targets(
    labels_a: torch.Tensor, labels_b: torch.Tensor, share: torch.Tensor, classes: int
) -> torch.Tensor:
    """Return (B, classes) float32: `share` of class a and the rest of class b.

    Cross-entropy is linear in its target, so this gives λ·CE(a) + (1 − λ)·CE(b).
    """
    first = F.one_hot(labels_a, classes).float()
    second = F.one_hot(labels_b, classes).float()
    return share[:, None] * first + (1 - share[:, None]) * second


class EarlyStopping:
    """Remembers the best weights and says when there has been no better epoch for long enough.

    Parameters
    ----------
    patience
        Epochs to wait for a better one; None never stops and remembers nothing.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best_epoch = 0
        self.best_value = -math.inf
        self.best: dict[str, torch.Tensor] = {}

    def look(self, epoch: int, auc: float, loss: float, network: nn.Module) -> None:
        """Compare epoch 1, 2, … by its AUC, or by its loss where one class leaves no AUC."""
        if self.patience is None:
            return
        value = -loss if math.isnan(auc) else auc
        if value > self.best_value:
            self.best_epoch, self.best_value = epoch, value
            self.best = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    def should_stop(self, epochs_done: int) -> bool:
        """Tell whether the last better epoch is as long ago as patience allows."""
        return self.patience is not None and epochs_done - self.best_epoch >= self.patience

    def values(self) -> dict[str, Any]:
        """Return what a resume state keeps beside the best weights."""
        return {"best_epoch": self.best_epoch, "best_value": self.best_value}

    def restore(self, values: dict[str, Any], best: dict[str, torch.Tensor]) -> None:
        """Continue from a resume state."""
        self.best_epoch, self.best_value = values["best_epoch"], values["best_value"]
        self.best = best
