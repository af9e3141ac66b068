"""The networks of a run, built again from its weights and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fewcase.data.files import read_json
from fewcase.models.registry import build_model, is_convolutional
from fewcase.study.errors import InputError


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """The networks of a run, at rest on a device.

    Attributes
    ----------
    model
        Name of the architecture.
    networks
        One for each bag; (B, C, S, S) float32, normalised, to logits (B, K). The logits of a run
        are their mean.
    mean, std
        Normalisation per channel, where black is 0 and white is 1.
    sizes
        Heights and widths that stored images are resized to, one after the other; the last is S.
    options
        All that the run says of itself, ``recipe`` among it.
    """

    model: str
    networks: tuple[nn.Module, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes: tuple[int, ...]
    options: Mapping[str, Any]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of the run, float32 (B, K)."""
        return torch.stack([network(images).float() for network in self.networks]).mean(dim=0)


def load_run(run: Path, image_size: int, device: str) -> TrainedRun:
    """Build the networks of a run again.

    The global generators are as they were before.

    Parameters
    ----------
    run
        Folder with its ``weights.safetensors`` and ``options.json``.
    image_size
        Height and width of the stored images; what the recipe says of sizes goes before.
    device
        As torch names it.

    Raises
    ------
    InputError
        Where a file is missing, or the weights do not fit the network that the options describe.
    """
    path = Path(run) / "options.json"
    options = read_json(path)
    try:
        recipe = options["recipe"]
        mean, std = tuple(options["mean"]), tuple(options["std"])
        bags, classes = int(recipe["bags"]), len(options["prevalence"])
        model, model_options = str(recipe["model"]), dict(recipe["model_options"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the options of a trained network ({error!r}). Give the folder of a run "
            "whose model is trained on images."
        ) from None
    size = recipe.get("input_size") or image_size
    networks = []
    for state in _read_bags(Path(run) / "weights.safetensors", bags):
        with torch.random.fork_rng(devices=[]):
            network = build_model(model, model_options, classes, len(mean), size, "none").network
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            first = "; ".join(line.strip() for line in str(error).splitlines()[:3])
            raise InputError(
                f"{run}: the weights do not fit {model} at {size} pixels: {first[:400]}. Give the "
                "size of the images that it was trained on."
            ) from None
        networks.append(at_rest(network, device))
    through = recipe.get("through_size")
    return TrainedRun(
        model, tuple(networks), mean, std, (through, size) if through else (size,), options
    )


def at_rest(network: nn.Module, device: str) -> nn.Module:
    """Return the network on the device, for evaluation, in the memory format that suits it."""
    if is_convolutional(network):
        network = network.to(memory_format=torch.channels_last)
    return network.to(device).eval()


def _read_bags(path: Path, bags: int) -> list[Mapping[str, torch.Tensor]]:
    """Return the weights of each bag of a run under their plain names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that trains it.") from None
    except SafetensorError as error:
        raise InputError(
            f"{path}: torn or not a safetensors file ({error}). Delete it and train again."
        ) from None
    if bags == 1:
        return [tensors]
    return [
        {
            key.removeprefix(f"bag-{bag}."): tensor
            for key, tensor in tensors.items()
            if key.startswith(f"bag-{bag}.")
        }
        for bag in range(bags)
    ]
