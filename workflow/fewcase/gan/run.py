"""One training of a generator as a job: from files to the files that the generator leaves."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewcase.data.files import atomic_path, content_digest, write_csv, write_json, write_table
from fewcase.data.image_store import ImageStore
from fewcase.gan.files import GanFacts, write_generator, write_networks
from fewcase.gan.sources import RealImages, check_classes
from fewcase.gan.steps import GanData
from fewcase.gan.training import GanOutputs, Measure, train_gan
from fewcase.images.load import load_images
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.study.gans import GanRecipe
from fewcase.study.settings import RESULT_KEYS, TrainingOptions

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "safetensors", "pyarrow")


def identity_of_gan(
    recipe: Mapping[str, Any],
    options: TrainingOptions,
    learned: RealImages,
    images: list[Any],
    base: str | None,
    quality: Mapping[str, Any],
    key: tuple[int, ...],
) -> dict[str, Any]:
    """Return all that fixes a training, as JSON values.

    Parameters
    ----------
    recipe, options
        Of the generator and the machine.
    learned
        What it learns from.
    images
        Digests of the image store's files.
    base
        Digest of the base's networks, if there is one.
    quality
        How snapshots are measured: it decides when training stops.
    key
        Seeds and fold.
    """
    return {
        "recipe": dict(recipe),
        "examples": content_digest(learned.rows, learned.labels),
        "images": images,
        "base": base,
        "quality": dict(quality),
        "run": list(key),
        "options": {name: getattr(options, name) for name in RESULT_KEYS},
    }


def train_from_store(
    recipe: GanRecipe,
    options: TrainingOptions,
    store: ImageStore,
    learned: RealImages,
    classes: tuple[str, ...],
    seed: int,
    device: str,
    resume: ResumeFolder,
    log: logging.Logger,
    base: Path | None,
    measure: Measure | None,
) -> GanOutputs:
    """Check and load what a generator learns from, and train it; see `train_gan`."""
    for warning in check_classes(learned, classes):
        log.warning("%s", warning)
    if store.shape[2] != recipe.size:
        log.info("images of %d pixels are resized to %d (Lanczos)", store.shape[2], recipe.size)
    data = GanData(load_images(store, learned.rows, [recipe.size], device), learned.labels, classes)
    return train_gan(recipe, options, data, seed, device, resume, log, base, measure)


def write_gan_outputs(
    outputs: GanOutputs,
    recipe: Mapping[str, Any],
    name: str,
    classes: tuple[str, ...],
    truncation: float,
    learned: RealImages,
    codes: list[str],
    folder: Path,
) -> None:
    """Write what a training leaves, each file whole or not at all.

    ``weights.safetensors`` (the averaged generator, to draw with), ``networks.safetensors`` (both
    networks, for others to start from), ``history.csv``, ``samples.npy`` with ``samples.json``,
    ``learned.parquet`` (the examples that it learned from) and ``options.json``.
    """
    trained = {"recipe": dict(recipe), **outputs.about}
    architecture = outputs.generator.architecture
    facts = GanFacts(name, architecture, classes, truncation, trained)
    write_generator(folder / "weights.safetensors", outputs.generator, facts)
    learner = outputs.learner
    networks = (learner.generator, learner.discriminator)
    write_networks(folder / "networks.safetensors", *networks, facts)
    write_csv(folder / "history.csv", outputs.history)
    with atomic_path(folder / "samples.npy") as temporary:
        np.save(temporary, outputs.samples)
    write_json(
        folder / "samples.json", {"kimg": list(outputs.sampled_at), "classes": list(classes)}
    )
    write_table(folder / "learned.parquet", learned.table)
    versions = {"python": platform.python_version()}
    versions |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    options = {"gan": name, **trained, "code": codes, "versions": versions}
    write_json(folder / "options.json", options)
