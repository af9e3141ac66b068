"""A small problem for generators: two classes of 16 × 16 pixels that a glance tells apart."""

import logging

import numpy as np

from fewcase.study.gans import GanRecipe

LOG = logging.getLogger("test")
SMALL = GanRecipe(
    size=16,
    channel_base=128,
    channel_max=16,
    latent=16,
    mapping_layers=2,
    embedding=16,
    batch_size=8,
    kimg=0.16,
    snapshot_kimg=0.08,
    r1_interval=4,
    path_length_interval=2,
)


def discs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return dark discs on light (0) and light ones on dark (1), somewhere, and their labels."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int64)
    y, x = np.mgrid[:16, :16]
    centre = random.uniform(4, 12, (2, count, 1, 1))
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < random.uniform(6, 14, (count, 1, 1))
    sign = np.where(disc, 1, -1) * np.where(labels, 1, -1)[:, None, None]
    colour = random.uniform(50, 90, (count, 3, 1, 1))
    pixels = 128 + colour * sign[:, None] + random.normal(0, 4, (count, 3, 16, 16))
    return pixels.clip(0, 255).astype(np.uint8), labels


def has_light_disc(images: np.ndarray) -> np.ndarray:
    """Return which of some images (n, C, H, W) show a light disc on a dark ground."""
    grey = images.astype(float).mean(axis=1).reshape(len(images), -1)
    return np.median(grey, axis=1) < 128
