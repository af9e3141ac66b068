"""Which synthetic images a network is trained on: how many of each class, and which."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.data.image_store import ImageStore
from fewcase.splits.provenance import read_provenance
from fewcase.splits.sampling import bag_rows
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe

RATING_COLUMNS = ("example", "confidence", "ratio", "copy", "odd")
"""What is known of each synthetic image, see `choose_synthetic`."""

Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class SyntheticSet:
    """Synthetic images of one generator, in the order in which they were drawn.

    Attributes
    ----------
    images
        uint8 (m, C, S, S), memory-mapped.
    labels
        (m,) int64, class of each.
    table
        One line per image, see `fewcase.splits.provenance.Provenance.images`.
    content
        Digest of the images.
    """

    images: ImageStore
    labels: Integers
    table: pd.DataFrame
    content: str


def read_synthetic(folder: Path, fold: int) -> SyntheticSet:
    """Read the synthetic images that a fold may train on.

    Parameters
    ----------
    folder
        Holds ``images.npy`` with its sidecar, and ``provenance.parquet``.
    fold
        The fold that is trained; images of a generator of another fold are refused.

    Raises
    ------
    InputError
        Where a file is missing or torn, files do not go together, or an image is of another fold.
    """
    folder = Path(folder)
    images = ImageStore.open([folder / "images.npy"])
    path = folder / "provenance.parquet"
    table = read_provenance(path).images
    if len(table) != images.shape[0]:
        raise InputError(
            f"{path}: tells of {len(table)} images, but images.npy holds {images.shape[0]}. Delete "
            "the folder and run the synthesise stage again."
        )
    strange = table["fold"] != fold
    if strange.any():
        first = table[strange].iloc[0]
        raise InputError(
            f"{path}: image {first['example']!r} is of a generator of fold {first['fold']}, which "
            f"may have learned from the examples that fold {fold} is judged by. Give the images of "
            f"fold {fold}."
        )
    content = str(read_json(folder / "images.hash")["content"])
    return SyntheticSet(images, table["label"].to_numpy(np.int64), table, content)


def wanted_counts(recipe: Recipe, real: Integers) -> Integers:
    """Return how many synthetic images of each class a recipe asks for.

    Parameters
    ----------
    recipe
        Its factors ``training_set`` and ``synthetic_…`` count.
    real
        (K,) real training images of each class.
    """
    if recipe.synthetic_per_class is not None:
        return np.full(len(real), recipe.synthetic_per_class, np.int64)
    if recipe.synthetic_ratio is not None:
        return np.rint(recipe.synthetic_ratio * real).astype(np.int64)
    beside = np.zeros_like(real) if recipe.training_set == "synthetic" else real
    return real.max() - beside


def drawn_counts(recipe: Recipe, real: Integers) -> Integers:
    """Return how many must be drawn for that, those included that a selection leaves out."""
    wanted = wanted_counts(recipe, real)
    if recipe.synthetic_selection is None:
        return wanted
    return np.ceil(wanted / recipe.synthetic_selection).astype(np.int64)


def most_drawn(recipe: Recipe, split: pd.DataFrame, samples: pd.DataFrame, fold: int) -> Integers:
    """Return how many images of each class an arm needs drawn for a fold, (K,).

    Parameters
    ----------
    recipe
        Of the arm.
    split, samples
        The split, and what the arm's bags are trained on; the first bag is counted.
    fold
        Which fold.
    """
    labels = split.set_index("row")["label"].reindex(bag_rows(samples, fold, 0))
    classes = max(int(split["label"].max()) + 1, 2)
    return drawn_counts(recipe, np.bincount(labels, minlength=classes).astype(np.int64))


def read_ratings(path: Path, synthetic: SyntheticSet) -> pd.DataFrame:
    """Read what is known of each image of a set, in its order.

    Raises
    ------
    InputError
        Where the file lacks a column or an image of the set.
    """
    ratings = read_table(path, list(RATING_COLUMNS)).set_index("example")
    missing = ~synthetic.table["example"].isin(ratings.index)
    if missing.any():
        raise InputError(
            f"{path}: nothing of image {synthetic.table['example'][missing].iloc[0]!r}. Delete the "
            "file and run the stage that rates synthetic images again."
        )
    return ratings.loc[synthetic.table["example"]].reset_index()


def choose_synthetic(
    synthetic: SyntheticSet, counts: Integers, ratings: pd.DataFrame | None = None
) -> Integers:
    """Return the places (ascending) of the images that a network is trained on.

    Without ratings they are the first of each class as drawn. With ratings, images that are copies
    of training images, or lie farther from them than real ones do (odd), come last, and the others
    in the order of the confidence with which a classifier of real images takes them for their own
    class.

    Parameters
    ----------
    synthetic
        The set.
    counts
        (K,) how many of each class.
    ratings
        In the order of the set, see `read_ratings`.

    Raises
    ------
    InputError
        Where the set has fewer of a class.
    """
    chosen = []
    for label, count in enumerate(counts.tolist()):
        places = np.flatnonzero(synthetic.labels == label)
        if len(places) < count:
            raise InputError(
                f"synthetic images: {count} of class {label} are asked for, but {len(places)} were "
                "drawn. Delete the set and run the synthesise stage again."
            )
        if ratings is not None:
            of_class = ratings.iloc[places]
            refused = (of_class["copy"] | of_class["odd"]).to_numpy(bool)
            order = np.lexsort((-of_class["confidence"].to_numpy(np.float64), refused))
            places = places[order]
        chosen.append(places[:count])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
