"""Generators in files: weights, and all that has to be known to use them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fewcase.data.files import atomic_path
from fewcase.gan.architecture import Architecture
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.generator import Generator
from fewcase.runtime.state import with_prefix, without_prefix
from fewcase.study.errors import InputError

_METADATA = "fewcase"


@dataclasses.dataclass(frozen=True)
class GanFacts:
    """What a file of weights says of its networks.

    Attributes
    ----------
    name
        Of the generator in its study.
    architecture
        Of both networks.
    classes
        Name of each class in the order of the labels.
    truncation
        Truncation ψ with which the study draws its images.
    trained
        How it was trained: recipe, thousand images seen, and the like, for whoever reads the file.
    """

    name: str
    architecture: Architecture
    classes: tuple[str, ...]
    truncation: float
    trained: Mapping[str, Any]

    def to_text(self) -> str:
        """Return the facts as JSON."""
        values = {
            "name": self.name,
            "architecture": self.architecture.to_dict(),
            "classes": list(self.classes),
            "truncation": self.truncation,
            "trained": dict(self.trained),
        }
        return json.dumps(values, sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> GanFacts:
        """Read the facts from JSON."""
        values = json.loads(text)
        return cls(
            str(values["name"]),
            Architecture.from_dict(values["architecture"]),
            tuple(map(str, values["classes"])),
            float(values["truncation"]),
            values["trained"],
        )


def write_generator(path: Path, generator: nn.Module, facts: GanFacts) -> None:
    """Write the weights of a generator, whole or not at all."""
    _write(path, generator.state_dict(), facts)


def read_generator(path: Path) -> tuple[Generator, GanFacts]:
    """Read a generator that `write_generator` wrote; float32, on the CPU, at rest.

    Raises
    ------
    InputError
        Where there is no such file, it is cut short, holds something else than the weights of
        such a generator, or is of a kind that can run code when it is read.
    """
    tensors, facts = _read(path)
    generator = Generator(facts.architecture)
    _fill(generator, tensors, path)
    return generator.eval().requires_grad_(False), facts


def write_networks(
    path: Path, generator: nn.Module, discriminator: nn.Module, facts: GanFacts
) -> None:
    """Write both networks as training left them, for others to start from."""
    tensors = {
        **with_prefix("generator.", generator.state_dict()),
        **with_prefix("discriminator.", discriminator.state_dict()),
    }
    _write(path, tensors, facts)


def read_networks(path: Path) -> tuple[Generator, Discriminator, GanFacts]:
    """Read both networks that `write_networks` wrote; errors are those of `read_generator`."""
    tensors, facts = _read(path)
    generator, discriminator = Generator(facts.architecture), Discriminator(facts.architecture)
    _fill(generator, without_prefix("generator.", tensors), path)
    _fill(discriminator, without_prefix("discriminator.", tensors), path)
    return generator, discriminator, facts


def _write(path: Path, tensors: Mapping[str, torch.Tensor], facts: GanFacts) -> None:
    from safetensors.torch import save

    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(plain, metadata={_METADATA: facts.to_text()}))


def _read(path: Path) -> tuple[dict[str, torch.Tensor], GanFacts]:
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: not a .safetensors file. Files of other kinds can run code when they are "
            "read; give weights that this workflow wrote."
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Mend the path, or train the generator.") from None
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({error}). It may have been cut short: copy it "
            "again."
        ) from None
    try:
        if text is None:
            raise ValueError("it says nothing of an architecture")
        return tensors, GanFacts.of_text(text)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the weights of a generator ({error}). Give the weights.safetensors of a "
            "generator that this workflow trained."
        ) from None


def _fill(network: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    wanted = network.state_dict()
    for name in sorted(wanted.keys() ^ tensors.keys()):
        what = "lacks" if name in wanted else "holds the unknown"
        raise InputError(
            f"{path}: {what} tensor {name!r}; its weights are not those of the architecture that "
            "it names. Train the generator again."
        )
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            raise InputError(
                f"{path}: tensor {name!r} is {tuple(tensors[name].shape)}, but its architecture "
                f"says {tuple(tensor.shape)}. Train the generator again."
            )
    network.load_state_dict(dict(tensors))
