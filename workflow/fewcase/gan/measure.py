"""A trained generator measured and pictured: quality, memorisation, and images to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from fewcase.data.image_store import ImageStore
from fewcase.gan.generator import Generator
from fewcase.gan.latents import latents_of, noise_of
from fewcase.gan.pixels import to_bytes
from fewcase.gan.sources import Integers, RealImages
from fewcase.gan.synthesis import draw_images, latent_seeds
from fewcase.images.load import load_images
from fewcase.quality.closeness import ImageSet, shrink
from fewcase.quality.comparison import LabelledFeatures, measure_quality
from fewcase.quality.features import Extractor
from fewcase.quality.memorisation import Memorisation, measure_memorisation
from fewcase.runtime.determinism import seed_of

LOADED_AT_ONCE = 512
#: Pairs of a synthetic image and its nearest training image that are shown, in each space.
PAIRS = 8
#: Images between two latents, images of each truncation, and images whose styles are mixed.
STEPS, COLUMNS, MIXED = 8, 6, 4
TRUNCATIONS = (0.0, 0.35, 0.7, 1.0)

Pixels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is known of a generator.

    Attributes
    ----------
    quality
        See `fewcase.quality.comparison.measure_quality`.
    memorisation
        See `fewcase.quality.memorisation.measure_memorisation`; names of synthetic images are their
        places in the order of drawing, those of training images rows of the store.
    pairs
        The closest pairs: space, synthetic, train_row, distance, ratio, label.
    pair_images
        uint8 (pairs, 2, C, S, S): the synthetic image of each pair, and the training image.
    """

    quality: pd.DataFrame
    memorisation: Memorisation
    pairs: pd.DataFrame
    pair_images: Pixels


def measure_generator(
    generator: Generator,
    store: ImageStore,
    learned: RealImages,
    held_out: RealImages | None,
    classes: tuple[str, ...],
    extractor: Extractor,
    truncation: float,
    limit: int,
    seed: int,
    device: str,
) -> Measured:
    """Compare as many images of a generator as there are real ones with these.

    Parameters
    ----------
    generator
        On the device.
    store
        The image store of the real images.
    learned, held_out
        Training and validation images; the latter may be none.
    classes
        Names of the classes.
    extractor
        Gives the features.
    truncation
        ψ of the images that are drawn.
    limit
        Real images of each kind that are compared at most, drawn once.
    seed
        Of that draw, of the latents, and of subsets.
    device
        As torch names it.
    """
    size = generator.architecture.size
    learned, held_out = _some(learned, limit, seed), held_out and _some(held_out, limit, seed)
    train = _describe(_chunks(store, learned.rows, size), extractor, learned)
    validation = None
    if held_out:
        validation = _describe(_chunks(store, held_out.rows, size), extractor, held_out)
    counts = np.bincount(learned.labels, minlength=len(classes))
    labels = np.repeat(np.arange(len(classes)), counts).astype(np.int64)
    seeds = [s for k, count in enumerate(counts.tolist()) for s in latent_seeds((seed,), k, count)]
    drawn = list(draw_images(generator, labels, seeds, truncation, device))
    synthetic = _describe(iter(drawn), extractor)
    images = np.concatenate(drawn)

    quality = measure_quality(
        LabelledFeatures(train.features, learned.labels),
        LabelledFeatures(synthetic.features, labels),
        LabelledFeatures(validation.features, held_out.labels) if validation and held_out else None,
        *(classes, extractor, seed, device),
    )
    memorisation = measure_memorisation(train, synthetic, validation, seed, device)
    pairs = memorisation.closest_pairs(PAIRS)
    pairs["label"] = labels[pairs["synthetic"].to_numpy(np.int64)]
    real = load_images(store, pairs["train_row"].to_numpy(np.int64), [size], "cpu").numpy()
    shown = np.stack([images[pairs["synthetic"].to_numpy(np.int64)], real], axis=1)
    return Measured(quality, memorisation, pairs, shown)


def rate_images(
    images: ImageStore,
    names: pd.Series,
    labels: Integers,
    store: ImageStore,
    learned: RealImages,
    extractor: Extractor,
    probabilities: npt.NDArray[np.float32],
    seed: int,
    device: str,
) -> pd.DataFrame:
    """Rate synthetic images, for a selection of them.

    Parameters
    ----------
    images, names, labels
        A synthetic set: its images, their names and classes.
    store, learned
        The real images, and those that the generator learned from.
    extractor
        Gives the features.
    probabilities
        (n, K), of a classifier of real images.
    seed, device
        See `measure_generator`.

    Returns
    -------
    pandas.DataFrame
        See `fewcase.splits.synthetic.RATING_COLUMNS`: confidence is the probability of the image's
        own class, ratio its distance ratio in feature space, copy and odd as
        `fewcase.quality.memorisation.Memorisation` has them.
    """
    size = images.shape[2]
    train = _describe(_chunks(store, learned.rows, size), extractor, learned)
    synthetic = _describe(_chunks(images, np.arange(images.shape[0]), size), extractor)
    found = measure_memorisation(train, synthetic, None, seed, device).images
    return pd.DataFrame(
        {
            "example": names.to_numpy(object),
            "confidence": probabilities[np.arange(len(labels)), labels].astype(np.float64),
            "ratio": found["feature_ratio"].to_numpy(np.float64),
            "copy": found["copy"].to_numpy(bool),
            "odd": found["odd"].to_numpy(bool),
        }
    )


@torch.inference_mode()
def draw_pictures(generator: Generator, seed: int, shown: int, device: str) -> dict[str, Pixels]:
    """Draw images that show what a generator has learned.

    Parameters
    ----------
    generator
        On the device.
    seed
        Of the latents.
    shown
        The class whose styles are mixed and truncated.
    device
        As torch names it.

    Returns
    -------
    dict
        ``interpolation`` (K, steps, C, S, S): from one latent to another, in w, for each class;
        ``mixing`` (rows + 1, columns + 1, C, S, S): the coarse styles of the first column with the
        fine styles of the first row, the corner left black; ``truncation`` (ψ, columns, C, S, S).
    """
    architecture = generator.architecture
    count = max(COLUMNS, 2 * MIXED)
    seeds = [seed_of(seed, number) for number in range(count)]
    latents = latents_of(seeds, architecture.z_dim).to(device)
    noise = [one[:1].to(device) for one in noise_of(seeds[:1], architecture.noise_sizes)]

    def styles(numbers: slice, label: int) -> torch.Tensor:
        chosen = latents[numbers]
        labels = torch.full((len(chosen),), label, device=device)
        return generator.mapping(chosen, labels)

    def images(w: torch.Tensor) -> Pixels:
        return to_bytes(generator.synthesis(w, noise)).cpu().numpy()

    shares = torch.linspace(0, 1, STEPS, device=device)[:, None]
    interpolation = []
    for label in range(architecture.classes):
        ends = styles(slice(0, 2), label)
        interpolation.append(images(generator.repeat(ends[0].lerp(ends[1], shares))))
    coarse = generator.repeat(styles(slice(0, MIXED), shown))
    fine = generator.repeat(styles(slice(MIXED, 2 * MIXED), shown))
    own = torch.arange(architecture.styles, device=device)[:, None] < architecture.styles // 2
    rows = [np.concatenate([np.zeros_like(images(fine[:1])), images(fine)])]
    for one in coarse:
        mixed = torch.where(own, one, fine)
        rows.append(np.concatenate([images(one[None]), images(mixed)]))
    w = styles(slice(0, COLUMNS), shown)
    average = generator.mapping.average
    truncation = [images(generator.repeat(average.lerp(w, psi))) for psi in TRUNCATIONS]
    return {
        "interpolation": np.stack(interpolation),
        "mixing": np.stack(rows),
        "truncation": np.stack(truncation),
    }


def _some(real: RealImages, limit: int, seed: int) -> RealImages:
    if len(real) <= limit:
        return real
    chosen = np.random.default_rng(seed).choice(len(real), limit, replace=False)
    return RealImages(real.table.iloc[np.sort(chosen)].reset_index(drop=True))


def _chunks(store: ImageStore, rows: Integers, size: int) -> Iterator[Pixels]:
    """Yield real images at the generator's size, some at a time."""
    for first in range(0, len(rows), LOADED_AT_ONCE):
        chosen = rows[first : first + LOADED_AT_ONCE]
        yield load_images(store, chosen, [size], "cpu").numpy()


def _describe(
    chunks: Iterable[Pixels], extractor: Extractor, real: RealImages | None = None
) -> ImageSet:
    """Take what comparisons need of some images at a time: features, and a small version."""
    features, small = [], []
    for chunk in chunks:
        features.append(extractor.features(chunk))
        small.append(shrink(chunk))
    rows = None if real is None else real.rows
    patients = None if real is None else real.table["patient"].to_numpy(object)
    return ImageSet(np.concatenate(features), np.concatenate(small), rows, patients)
