"""The parts of a resume state: names of tensors, and what optimisers remember."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return `tensors` under names that begin with `prefix`."""
    return {prefix + key: tensor for key, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return those of `tensors` whose names begin with `prefix`, under the rest of their names."""
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return what an optimiser remembers of each parameter, under ``number.key``."""
    return {
        f"{parameter}.{key}": tensor
        for parameter, tensors in optimizer.state_dict()["state"].items()
        for key, tensor in tensors.items()
        if tensor is not None
    }


@torch.no_grad()
def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Let an optimiser remember what `optimizer_tensors` returned of it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        parameter = parameters[int(number)]
        if tensor.shape == parameter.shape:
            # In the parameter's memory format: fused optimisers pair numbers as they lie in memory.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
