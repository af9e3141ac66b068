"""Latents and noise of images that can be drawn again one by one, each from a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

# Independent streams of one seed.
_LATENT, _NOISE = 0, 1


def latents_of(seeds: Sequence[int], z_dim: int) -> torch.Tensor:
    """Return the latent of each seed, on the CPU.

    Parameters
    ----------
    seeds
        Not negative. All their bits count: torch's own generator of the CPU heeds 32 of them, with
        which 90,000 images would on average hold a pair of twins.
    z_dim
        Length of a latent.

    Returns
    -------
    torch.Tensor
        (N, z_dim) float32; row i depends on `seeds[i]` alone.
    """
    rows = [_generator(seed, _LATENT).standard_normal(z_dim, dtype=np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def noise_of(seeds: Sequence[int], sizes: Sequence[int]) -> list[torch.Tensor]:
    """Return the noise of each seed's image, on the CPU.

    Parameters
    ----------
    seeds
        As for `latents_of`; latents and noise of one seed are independent.
    sizes
        Height and width of the noise of each layer, `Architecture.noise_sizes`.

    Returns
    -------
    list of torch.Tensor
        (N, 1, size, size) float32 for each size; row i depends on `seeds[i]` alone.
    """
    generators = [_generator(seed, _NOISE) for seed in seeds]
    drawn = [
        [one.standard_normal((1, size, size), dtype=np.float32) for size in sizes]
        for one in generators
    ]
    return [torch.from_numpy(np.stack(layer)) for layer in zip(*drawn, strict=True)]


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))
