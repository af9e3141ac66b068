"""Starting from a base generator: which weights go over, and which of them stay as they are.

Mo et al., Freeze the discriminator: a simple baseline for fine-tuning GANs (2020); Back,
Fine-tuning StyleGAN2 for cartoon face generation (2021), for the generator's first blocks.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

from fewcase.gan.architecture import Architecture
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.files import read_networks
from fewcase.gan.generator import Generator
from fewcase.study.errors import InputError
from fewcase.study.gans import Freeze

Network = Generator | Discriminator


@dataclasses.dataclass(frozen=True)
class Transferred:
    """What became of the weights of two networks that started from a base.

    Attributes
    ----------
    copied, drawn
        Names of tensors that were taken over, and of those that were drawn anew because their
        shape or meaning is that of other classes.
    """

    copied: tuple[str, ...]
    drawn: tuple[str, ...]


def start_from(generator: Generator, discriminator: Discriminator, base: Path) -> Transferred:
    """Take over all weights of a base but those whose shape depends on its classes.

    These are what the mapping network learned of its classes and the discriminator's class
    vectors or class logits; they keep what they were drawn as, even where the numbers of classes
    are the same, since the classes are others.

    Parameters
    ----------
    generator, discriminator
        Freshly drawn; changed in place.
    base
        File of `fewcase.gan.files.write_networks`.

    Raises
    ------
    InputError
        Where the base is built in another way, naming the first difference; see also
        `fewcase.gan.files.read_generator`.
    """
    base_generator, base_discriminator, facts = read_networks(base)
    _check_alike(generator.architecture, facts.architecture, base)
    copied, drawn = [], []
    pairs: list[tuple[str, Network, Network]] = [
        ("generator", generator, base_generator),
        ("discriminator", discriminator, base_discriminator),
    ]
    for prefix, ours, theirs in pairs:
        of_classes = set(ours.class_parameters())
        taken = {k: v for k, v in theirs.state_dict().items() if k not in of_classes}
        missing, unexpected = ours.load_state_dict(taken, strict=False)
        if set(missing) != of_classes or unexpected:
            raise InputError(
                f"{base}: {prefix}: expected every weight but {sorted(of_classes)}; missing "
                f"{sorted(missing)}, unknown {sorted(unexpected)}. Train the base again."
            )
        copied += [f"{prefix}.{name}" for name in taken]
        drawn += [f"{prefix}.{name}" for name in sorted(of_classes)]
    return Transferred(tuple(copied), tuple(drawn))


def _check_alike(ours: Architecture, theirs: Architecture, base: Path) -> None:
    for field in dataclasses.fields(Architecture):
        mine, its = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name != "classes" and mine != its:
            raise InputError(
                f"{base}: its {field.name} is {its!r}, ours {mine!r}; weights go over between "
                "equal networks alone. Give both the same, or train another base."
            )
    if ours.conditional != theirs.conditional:
        one = "has one class" if not ours.conditional else "had one class"
        raise InputError(
            f"{base}: a network for several classes cannot go on as one for a single class or the "
            f"reverse, and this study's target {one}. Give a target of two classes or more, or "
            "conditioning: none to both."
        )


def freeze(generator: Generator, discriminator: Discriminator, blocks: Freeze) -> tuple[str, ...]:
    """Take the first blocks out of training; return the names of their parameters.

    Blocks are counted as `Freeze` says: the discriminator's from the full size, the generator's
    from 4 × 4 pixels. The mapping network is in no block.
    """
    frozen: list[str] = []
    counts: list[tuple[str, Network, int]] = [
        ("generator", generator, blocks.g),
        ("discriminator", discriminator, blocks.d),
    ]
    for prefix, network, count in counts:
        names = {name for n in range(1, count + 1) for name in network.block_parameters(n)}
        for name, parameter in network.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
                frozen.append(f"{prefix}.{name}")
    return tuple(frozen)


def trained_parameters(network: nn.Module) -> list[torch.nn.Parameter]:
    """Return the parameters that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
