"""Copies among the stored images of a cohort, and between those of two cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.image_store import ImageStore
from fewcase.signal.rows import row_blocks
from fewcase.splits.duplicates import name_pairs
from fewcase.splits.image_pairs import find_image_pairs
from fewcase.study.errors import InputError

_READ_AT_ONCE = 64


def find_copies(
    images: ImageStore, examples: pd.DataFrame, *, threads: int = 1
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the images of a cohort that are copies of each other.

    Parameters
    ----------
    images
        Of grey or RGB pixels; row i is that of example row i.
    examples
        row, example and parent of each.
    threads
        The result is the same for any number.

    Returns
    -------
    pairs, facts
        As `fewcase.splits.duplicates.read_duplicates` returns them. Pairs within one parent are
        counted in the facts, as within_parents, and not listed.

    Raises
    ------
    InputError
        Where the examples are not those of the images, or these are of other channels.
    """
    ordered = _ordered(images, examples, "--examples")
    parents = pd.factorize(ordered["parent"])[0].astype(np.int64)
    pairs, facts = find_image_pairs(_pictures(images), threads=threads, parents=parents)
    return name_pairs(pairs, ordered), facts


def find_shared(
    images: ImageStore,
    examples: pd.DataFrame,
    others: ImageStore,
    other_examples: pd.DataFrame,
    *,
    threads: int = 1,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the images of one cohort of which another has copies.

    Parameters
    ----------
    images, examples
        Of the one cohort, see `find_copies`.
    others, other_examples
        Of the other, such as that of a base generator.
    threads
        The result is the same for any number.

    Returns
    -------
    pairs, facts
        As `fewcase.splits.duplicates.read_duplicates` returns them; pairs are between the two
        cohorts alone, and the rows of the other go on behind those of the first. `compared` counts
        both.

    Raises
    ------
    InputError
        As `find_copies`.
    """
    first = _ordered(images, examples, "--examples")
    second = _ordered(others, other_examples, "--other-examples")
    second = second.assign(row=second["row"] + len(first))
    pictures = chain(_pictures(images), _pictures(others))
    pairs, facts = find_image_pairs(pictures, threads=threads, between=len(first))
    return name_pairs(pairs, pd.concat([first, second], ignore_index=True)), facts


def _ordered(images: ImageStore, examples: pd.DataFrame, option: str) -> pd.DataFrame:
    ordered = examples.sort_values("row", ignore_index=True)
    if not np.array_equal(ordered["row"], np.arange(images.shape[0])):
        raise InputError(
            f"{option}: {len(examples)} examples for {images.shape[0]} images, expected one for "
            "each row. The two are of different runs: make the images again."
        )
    return ordered


def _pictures(images: ImageStore) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield images one by one, (height, width) or (height, width, channels)."""
    for block in row_blocks(images.shape[0], _READ_AT_ONCE):
        for image in images.read(np.arange(block.start, block.stop)):
            yield image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
