"""Drawing labelled images from a trained generator, each from a seed of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.data.files import atomic_path, content_digest, write_digest
from fewcase.gan.generator import Generator
from fewcase.gan.latents import latents_of, noise_of
from fewcase.gan.pixels import to_bytes
from fewcase.runtime.determinism import seed_of
from fewcase.splits.provenance import write_provenance

DRAWN_AT_ONCE = 64


def latent_seeds(key: tuple[int, ...], label: int, count: int) -> list[int]:
    """Return the latent seed of each of `count` images of a class.

    Image i has the same seed however many are drawn.

    Parameters
    ----------
    key
        What tells one set of images from another, such as (seed of the generator, draw).
    label, count
        The class, and how many.
    """
    return [seed_of(*key, label, number) for number in range(count)]


@torch.inference_mode()
def draw_images(
    generator: Generator,
    labels: npt.NDArray[np.int64],
    seeds: list[int],
    truncation: float,
    device: str,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Draw images, some at a time.

    Parameters
    ----------
    generator
        On the device.
    labels, seeds
        (n,) class and latent seed of each image. An image depends on its own alone, to about one
        grey level: in batches of another size sums are taken in another order.
    truncation
        ψ, see `Generator.forward`.
    device
        As torch names it.

    Yields
    ------
    uint8 array
        (at most 64, C, S, S), in order.
    """
    architecture = generator.architecture
    for first in range(0, len(seeds), DRAWN_AT_ONCE):
        chunk = seeds[first : first + DRAWN_AT_ONCE]
        latents = latents_of(chunk, architecture.z_dim).to(device)
        noise = [one.to(device) for one in noise_of(chunk, architecture.noise_sizes)]
        classes = torch.from_numpy(labels[first : first + DRAWN_AT_ONCE]).to(device)
        yield to_bytes(generator(latents, classes, noise, truncation)).cpu().numpy()


def write_synthetic(
    folder: Path,
    generator: Generator,
    name: str,
    fold: int,
    counts: npt.NDArray[np.int64],
    key: tuple[int, ...],
    truncation: float,
    learned: pd.DataFrame,
    device: str,
) -> None:
    """Draw a set of synthetic images and write it with where it comes from.

    Parameters
    ----------
    folder
        Gets ``images.npy`` (uint8, (n, C, S, S), by class and then in the order of drawing), its
        sidecar ``images.hash``, and ``provenance.parquet``.
    generator, name, fold
        The generator, its name, and the fold whose training rows it learned from.
    counts
        (K,) how many images of each class.
    key
        See `latent_seeds`.
    truncation
        ψ.
    learned
        Examples that the generator learned from, a column ``example``.
    device
        As torch names it.
    """
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    seeds = [
        seed
        for label, count in enumerate(counts.tolist())
        for seed in latent_seeds(key, label, count)
    ]
    architecture = generator.architecture
    shape = (len(seeds), architecture.channels, architecture.size, architecture.size)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "images.npy") as temporary:
        images = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        done = 0
        for drawn in draw_images(generator, labels, seeds, truncation, device):
            images[done : done + len(drawn)] = drawn
            done += len(drawn)
        images.flush()
        info = {"content": content_digest(images), "shape": list(shape), "packed": False}
    write_digest(folder / "images.hash", info)
    numbers = np.concatenate([np.arange(count) for count in counts.tolist()])
    run = "-".join(map(str, key))
    table = pd.DataFrame(
        {
            "generator": name,
            "fold": fold,
            "example": [
                f"synthetic:{name}:{run}:fold-{fold}:class-{label}:{number}"
                for label, number in zip(labels.tolist(), numbers.tolist(), strict=True)
            ],
            "label": labels,
            "latent_seed": seeds,
        }
    )
    write_provenance(
        folder / "provenance.parquet",
        table,
        learned[["example"]].assign(generator=name, fold=fold),
    )
