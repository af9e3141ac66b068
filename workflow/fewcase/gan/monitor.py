"""Quality at every snapshot of a training: the measures that its stopping rule looks at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fewcase.data.image_store import ImageStore
from fewcase.gan.generator import Generator
from fewcase.gan.sources import Integers, RealImages
from fewcase.gan.synthesis import draw_images, latent_seeds
from fewcase.images.load import load_images
from fewcase.quality.comparison import LabelledFeatures, compare_sets
from fewcase.quality.features import Extractor

MEASURED = ("frechet", "kid", "precision", "recall", "density", "coverage")


class QualityMonitor:
    """Compares images of a generator in training with real ones.

    The same latents are drawn each time, as many images of each class as there are real ones, so
    that the measures of two snapshots differ by the generator alone.

    Parameters
    ----------
    extractor
        Gives the features.
    images
        The image store.
    learned, held_out
        Training and validation images; the latter may be none.
    size
        Height and width of the generator's images: real ones are brought to it as well.
    classes
        How many.
    limit
        Real images of each kind that are compared at most, drawn once.
    seed
        Of that draw, and of the latents.
    device
        As torch names it.
    """

    def __init__(
        self,
        extractor: Extractor,
        images: ImageStore,
        learned: RealImages,
        held_out: RealImages | None,
        size: int,
        classes: int,
        limit: int,
        seed: int,
        device: str,
    ) -> None:
        self._extractor, self._classes, self._seed = extractor, classes, seed
        self._device = device
        self._references = {}
        for name, real in (("train", learned), ("validation", held_out)):
            if real is not None and len(real):
                chosen = _some(real, limit, seed)
                pixels = load_images(images, real.rows[chosen], [size], "cpu").numpy()
                self._references[name] = LabelledFeatures(
                    extractor.features(pixels), real.labels[chosen]
                )

    def __call__(self, generator: Generator) -> Mapping[str, float]:
        """Return the measures of a generator on the device, as ``train_…`` and ``validation_…``."""
        counts = {
            name: np.bincount(real.labels, minlength=self._classes)
            for name, real in self._references.items()
        }
        drawn = self._draw(generator, np.max(list(counts.values()), axis=0))
        found: dict[str, float] = {}
        for name, real in self._references.items():
            sample = _first_of_each(drawn, counts[name])
            compared = compare_sets(real, sample, counts[name], self._seed, self._device)
            found |= {f"{name}_{measure}": float(compared[measure]) for measure in MEASURED}
        return found

    def _draw(self, generator: Generator, counts: Integers) -> LabelledFeatures:
        labels = np.repeat(np.arange(self._classes), counts).astype(np.int64)
        seeds = [
            seed
            for label, count in enumerate(counts.tolist())
            for seed in latent_seeds((self._seed,), label, count)
        ]
        with torch.inference_mode():
            features = [
                self._extractor.features(images)
                for images in draw_images(generator, labels, seeds, 1.0, self._device)
            ]
        return LabelledFeatures(np.concatenate(features), labels)


def _some(real: RealImages, limit: int, seed: int) -> Integers:
    if len(real) <= limit:
        return np.arange(len(real))
    return np.sort(np.random.default_rng(seed).choice(len(real), limit, replace=False))


def _first_of_each(drawn: LabelledFeatures, counts: Integers) -> LabelledFeatures:
    places = [
        np.flatnonzero(drawn.labels == label)[:count] for label, count in enumerate(counts.tolist())
    ]
    chosen = np.concatenate(places)
    return LabelledFeatures(drawn.features[chosen], drawn.labels[chosen])
