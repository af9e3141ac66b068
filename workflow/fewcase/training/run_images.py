"""The images of a run on the device: real and synthetic ones at the size that the network sees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fewcase.data.files import content_digest
from fewcase.data.image_store import ImageStore
from fewcase.images.load import load_images
from fewcase.splits.synthetic import (
    Integers,
    SyntheticSet,
    choose_synthetic,
    read_ratings,
    read_synthetic,
    wanted_counts,
)
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.training.run_data import RunData


@dataclasses.dataclass(frozen=True)
class RunImages:
    """Images as `fewcase.runtime.normalisation.DeviceImages` takes them.

    Attributes
    ----------
    stored
        uint8 on the device, (n, C, H, W), or (n, C, H, W // 8) where `packed`.
    packed
        Whether a byte holds eight two-valued pixels.
    masks
        uint8 (n, 1, H, W), 0 or 255, on the device, where they are looked at.
    """

    stored: torch.Tensor
    packed: bool
    masks: torch.Tensor | None = None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.stored.shape[1])

    @property
    def size(self) -> int:
        """Height in pixels."""
        return int(self.stored.shape[2])


@dataclasses.dataclass(frozen=True)
class ChosenSynthetic:
    """The synthetic images of a set that a run trains on.

    Attributes
    ----------
    set
        All that were drawn.
    places
        Ascending places in the set.
    digest
        Of the images and of which are chosen.
    """

    set: SyntheticSet
    places: Integers
    digest: str


def choose_for_run(
    recipe: Recipe, data: RunData, folder: Path, fold: int, ratings: Path | None = None
) -> ChosenSynthetic:
    """Choose the synthetic images that a recipe asks for beside the real ones of a run.

    Parameters
    ----------
    recipe
        With a ``gan``.
    data
        The rows of the run; the first bag's classes are counted.
    folder
        Of the synthetic set of the fold, see `fewcase.splits.synthetic.read_synthetic`.
    fold
        Which fold.
    ratings
        What is known of each synthetic image, where the recipe selects.
    """
    synthetic = read_synthetic(folder, fold)
    real = np.bincount(data.labels[data.bags[0]], minlength=data.classes).astype(np.int64)
    known = None if ratings is None else read_ratings(ratings, synthetic)
    places = choose_synthetic(synthetic, wanted_counts(recipe, real), known)
    digest = content_digest(places, synthetic.content.encode())
    return ChosenSynthetic(synthetic, places, digest)


def add_synthetic(data: RunData, chosen: ChosenSynthetic, with_real: bool) -> RunData:
    """Return a run's data with synthetic images among what every bag trains on.

    Parameters
    ----------
    data
        Of real examples.
    chosen
        Synthetic images, which come behind the real ones.
    with_real
        Whether real images are trained on as well.
    """
    places = chosen.places
    positions = len(data.rows) + np.arange(len(places))
    labels = np.concatenate([data.labels, chosen.set.labels[places]])
    # A site of their own, so that nothing is pasted between them and a hospital's images.
    site = np.full(len(places), data.sites.max() + 1)
    bags = tuple(np.concatenate([bag, positions]) if with_real else positions for bag in data.bags)
    return dataclasses.replace(
        data, labels=labels, sites=np.concatenate([data.sites, site]), bags=bags
    )


def load_run_images(
    images: ImageStore,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    device: str,
    synthetic: ChosenSynthetic | None = None,
    masks: ImageStore | None = None,
) -> RunImages:
    """Bring the images of a run to the device.

    Real images go through ``through_size`` and then to the size that the network sees, synthetic
    ones to the latter alone: one filter serves both.

    Parameters
    ----------
    images, rows
        The store and the rows of it that the run needs.
    recipe
        Its factors ``through_size`` and ``input_size`` count.
    device
        As torch names it.
    synthetic
        Synthetic images that come behind the real ones, if any.
    masks
        Of the images in the store, where the recipe looks at them. Patches are cut from images and
        masks as they are stored.

    Raises
    ------
    InputError
        Where real and synthetic images have other channels or have not gone through one size.
    """
    if masks is not None:
        return _load_masked(images, masks, rows, recipe, device)
    if synthetic is None and recipe.through_size is None and recipe.input_size is None:
        read = images.read_packed if images.packed else images.read
        return RunImages(torch.from_numpy(read(rows)).to(device), images.packed)
    size = recipe.input_size or images.shape[2]
    path = [size] if recipe.through_size is None else [recipe.through_size, size]
    parts = [load_images(images, rows, path, device)]
    if synthetic is not None:
        _check_alike(images, synthetic.set.images, recipe)
        parts.append(load_images(synthetic.set.images, synthetic.places, [size], device))
    # Nothing is copied where nothing is joined: it may be most of the device's memory.
    return RunImages(parts[0] if len(parts) == 1 else torch.cat(parts), packed=False)


def _load_masked(
    images: ImageStore,
    masks: ImageStore,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    device: str,
) -> RunImages:
    """Bring images and masks to the device at the network's size; as stored for patches."""
    size = images.shape[2] if recipe.patch is not None else recipe.input_size or images.shape[2]
    of_images = load_images(images, rows, [size], device)
    of_masks = load_images(masks, rows, [size], device)
    return RunImages(of_images, False, (of_masks >= 128).byte() * 255)


def _check_alike(images: ImageStore, synthetic: ImageStore, recipe: Recipe) -> None:
    if synthetic.shape[1] != images.shape[1]:
        raise InputError(
            f"synthetic images have {synthetic.shape[1]} channels, real ones "
            f"{images.shape[1]}. Train the generator on the images that the network sees."
        )
    drawn = synthetic.shape[2]
    if drawn not in (images.shape[2], recipe.through_size, recipe.input_size):
        raise InputError(
            f"recipe.through_size: {recipe.through_size}, but synthetic images have {drawn} "
            f"pixels and real ones {images.shape[2]}. Give through_size: {drawn}."
        )
