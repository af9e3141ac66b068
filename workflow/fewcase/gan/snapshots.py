"""Images of the same latents as training goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.generator import Generator
from fewcase.gan.latents import latents_of, noise_of
from fewcase.gan.pixels import to_bytes
from fewcase.runtime.determinism import seed_of

#: Images of each class, and the most snapshots that are kept in the end.
COLUMNS, MOST_SNAPSHOTS = 6, 8
_NAME = re.compile(r"samples-(\d+)\.npy")


class FixedLatents:
    """Latents and noise that each snapshot is drawn from, the same for all classes.

    Parameters
    ----------
    architecture
        Of the generator.
    seed
        Of the training.
    device
        As torch names it.
    """

    def __init__(self, architecture: Architecture, seed: int, device: str) -> None:
        seeds = [seed_of(seed, 2, column) for column in range(COLUMNS)]
        self._latents = latents_of(seeds, architecture.z_dim).to(device)
        self._noise = [one.to(device) for one in noise_of(seeds, architecture.noise_sizes)]
        self._classes = architecture.classes
        self._device = device

    @torch.inference_mode()
    def draw(self, generator: Generator) -> torch.Tensor:
        """Return uint8 (classes, columns, C, S, S) on the device."""
        rows = []
        for number in range(self._classes):
            labels = torch.full((COLUMNS,), number, device=self._device)
            rows.append(to_bytes(generator(self._latents, labels, self._noise)))
        return torch.stack(rows)


def keep_samples(folder: Path, images: int, samples: torch.Tensor) -> None:
    """Write the images of a snapshot beside the resume state, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples-{images:012d}.npy"
    temporary = path.with_suffix(".unfinished")
    with open(temporary, "wb") as file:
        np.save(file, samples.cpu().numpy())
    os.replace(temporary, path)


def read_samples(folder: Path) -> tuple[npt.NDArray[np.uint8], tuple[float, ...]]:
    """Return the images of the kept snapshots, spread evenly, and their thousand images.

    Returns
    -------
    samples
        uint8 (snapshots, classes, columns, C, S, S), the first and the last among them.
    kimg
        Thousand images shown before each.
    """
    found = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    places = np.unique(np.linspace(0, len(found) - 1, MOST_SNAPSHOTS).round().astype(int))
    chosen = [found[place] for place in places]
    images = np.stack([np.load(path, allow_pickle=False) for path in chosen])
    return images, tuple(int(path.stem.rpartition("-")[2]) / 1000 for path in chosen)
