"""The images that a generator's stages left to be looked at, read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.data.image_store import ImageStore
from fewcase.images.resize import resize_batch
from fewcase.reporting.example_figure import choose_examples
from fewcase.reporting.gan_runs import SPACES, GanRun
from fewcase.study.errors import InputError

TRUNCATIONS = (0.0, 0.35, 0.7, 1.0)
"""The ψ of the rows of truncation.npy."""

Pixels = npt.NDArray[np.uint8]

# Axes before channels, height and width.
_LEADING = {"samples": 3, "interpolation": 2, "mixing": 2, "truncation": 2, "pairs": 2}


@dataclasses.dataclass(frozen=True)
class GanPictures:
    """Images of one generator, uint8 (…, C, S, S).

    Attributes
    ----------
    run
        The generator.
    classes
        Names of the classes.
    kimg
        Thousand images of each snapshot of `samples`.
    samples
        (snapshots, classes, columns, …): the same latents at each snapshot.
    interpolation
        (classes, steps, …).
    mixing
        (rows + 1, columns + 1, …): first the coarse styles of each row and the fine ones of each
        column.
    truncation
        (`TRUNCATIONS`, columns, …).
    pairs
        (pairs, 2, …): a synthetic image and its nearest training image.
    pair_table
        Of each pair space, ratio, label, and whether it counts as a copy (``copy``).
    learned
        The examples that it learned from: row, example, patient, label.
    verdict
        memorisation.csv.
    """

    run: GanRun
    classes: tuple[str, ...]
    kimg: tuple[float, ...]
    samples: Pixels
    interpolation: Pixels
    mixing: Pixels
    truncation: Pixels
    pairs: Pixels
    pair_table: pd.DataFrame
    learned: pd.DataFrame
    verdict: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return self.samples.shape[-1]

    @property
    def chosen(self) -> int:
        """The kept snapshot nearest to the one whose weights were chosen."""
        wanted = float(self.run.options.get("chosen_kimg", self.kimg[-1]))
        return int(np.argmin(np.abs(np.array(self.kimg) - wanted)))

    @property
    def shown_class(self) -> int:
        """The class of `mixing` and `truncation`: the one with most training images."""
        return int(np.bincount(self.learned["label"].to_numpy(np.int64)).argmax())


def read_gan_pictures(run: GanRun) -> GanPictures:
    """Read the images of a generator.

    Raises
    ------
    InputError
        For a file that is missing, torn, or does not go with the others.
    """
    folder = run.folder
    found = {name: _read_array(folder / f"{name}.npy", axes) for name, axes in _LEADING.items()}
    about = read_json(folder / "samples.json")
    try:
        kimg = tuple(map(float, about["kimg"]))
        classes = tuple(map(str, about["classes"]))
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{folder / 'samples.json'}: expected kimg and classes, found {about!r:.80}. Train the "
            "generator again."
        ) from None
    table = read_table(folder / "pairs.parquet", ["space", "synthetic", "ratio", "label"])
    expected = {
        "samples": (found["samples"].shape[:2], (len(kimg), len(classes))),
        "interpolation": (found["interpolation"].shape[:1], (len(classes),)),
        "truncation": (found["truncation"].shape[:1], (len(TRUNCATIONS),)),
        "pairs": (found["pairs"].shape[:2], (len(table), 2)),
    }
    for name, (shape, wanted) in expected.items():
        if shape != wanted:
            raise InputError(
                f"{folder / name}.npy: {shape} images, expected {wanted}. Its files are of "
                "different runs: train and measure the generator again."
            )
    learned = read_table(folder / "learned.parquet", ["row", "example", "patient", "label"])
    copies = _copies(run.closeness(), table, folder)
    verdict = run.memorisation()
    arrays: dict[str, Any] = dict(found)
    table = table.assign(copy=copies)
    return GanPictures(
        run, classes, kimg, **arrays, pair_table=table, learned=learned, verdict=verdict
    )


def _copies(closeness: pd.DataFrame, pairs: pd.DataFrame, folder: Path) -> list[bool]:
    """Return which of some pairs count as copies in their space."""
    flags = closeness.set_index("synthetic").reindex(pairs["synthetic"])
    if flags["feature_copy"].isna().any() or not set(pairs["space"]) <= set(SPACES):
        raise InputError(
            f"{folder / 'pairs.parquet'}: a pair that is not in closeness.parquet beside it. The "
            "two are of different runs: measure the generator again."
        )
    columns = {space: flags[f"{space}_copy"].tolist() for space in SPACES}
    return [bool(columns[space][i]) for i, space in enumerate(pairs["space"])]


def _read_array(path: Path, leading: int) -> Pixels:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that makes it.") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: torn or not an array ({error}). Make it again.") from None
    if array.dtype != np.uint8 or array.ndim != leading + 3:
        raise InputError(
            f"{path}: {array.dtype} {array.shape}, expected uint8 of {leading + 3} axes. Make it "
            "again."
        )
    images: Pixels = array
    return images


def real_images(pictures: GanPictures, images: ImageStore, number: int, seed: int) -> list[Pixels]:
    """Return some real images of each class at the generator's size, of different patients.

    Parameters
    ----------
    pictures
        The generator, and what it learned from.
    images
        The image store of those.
    number
        Images of a class; all of them where there are fewer.
    seed
        Of the choice, see `fewcase.reporting.example_figure.choose_examples`.

    Returns
    -------
    list
        uint8 (number or fewer, C, S, S) of each class.

    Raises
    ------
    InputError
        Where the store has no such rows, or other channels.
    """
    learned = pictures.learned
    shape = images.shape
    if learned["row"].max() >= shape[0] or shape[1] != pictures.samples.shape[-3]:
        raise InputError(
            f"images: {shape[0]} of {shape[1]} channels, but the generator learned from row "
            f"{learned['row'].max()} and draws {pictures.samples.shape[-3]} channels. Give the "
            "store that it learned from."
        )
    chosen = choose_examples(learned.assign(parent=learned["example"]), seed, number)
    found = []
    for label in range(len(pictures.classes)):
        rows = chosen.loc[chosen["label"] == label, "row"].to_numpy(np.int64)
        pixels = images.read(rows)
        same = pixels.shape[-2:] == (pictures.size, pictures.size)
        found.append(pixels if same else resize_batch(pixels, pictures.size))
    return found
