"""Where synthetic images come from: their generators, and what these learned from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from fewcase.data.files import read_table, write_table
from fewcase.study.errors import InputError

SYNTHETIC, LEARNED = "synthetic", "learned"

_TYPES = {"generator": "str", "fold": "int64", "example": "str"}
_IMAGE_TYPES = {**_TYPES, "label": "int64", "latent_seed": "int64"}


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The synthetic images of some generators, and the examples that these had learned from.

    Attributes
    ----------
    name
        What messages call it, such as its file.
    images
        One row per synthetic image: generator, fold, example (its name), label and latent_seed
        (from which the generator drew it).
    learned
        One row per generator and example of the cohort that it was trained on: generator, fold,
        example. What a base generator had learned from before is no part of it: that is a cohort
        of its own.
    """

    name: str
    images: pd.DataFrame
    learned: pd.DataFrame


def write_provenance(path: Path, images: pd.DataFrame, learned: pd.DataFrame) -> None:
    """Write the tables of a `Provenance` as one parquet table, told apart by a column `role`."""
    both = [
        images[list(_IMAGE_TYPES)].astype(_IMAGE_TYPES).assign(role=SYNTHETIC),
        learned[list(_TYPES)].astype(_TYPES).assign(role=LEARNED, label=-1, latent_seed=-1),
    ]
    write_table(path, pd.concat(both, ignore_index=True))


def read_provenance(path: Path) -> Provenance:
    """Read what `write_provenance` wrote.

    Raises
    ------
    InputError
        Where the file is missing or torn, lacks a column, or holds an unknown role.
    """
    table = read_table(path, ["role", *_IMAGE_TYPES])
    unknown = table["role"][~table["role"].isin([SYNTHETIC, LEARNED])]
    if len(unknown):
        raise InputError(
            f"{path}: role {unknown.iloc[0]!r} is neither {SYNTHETIC!r} nor {LEARNED!r}. Delete "
            "the file and run the stage that draws the synthetic images again."
        )
    images = table[table["role"] == SYNTHETIC][list(_IMAGE_TYPES)]
    learned = table[table["role"] == LEARNED][list(_TYPES)]
    return Provenance(str(path), images.reset_index(drop=True), learned.reset_index(drop=True))
