"""The real images of a generator: what it learns from, and what it never sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.folds import training_rows, validation_rows
from fewcase.study.errors import InputError

FEWEST_OF_A_CLASS = 2
"""A class with fewer images has none that differ."""

FEW_OF_A_CLASS = 50
"""With fewer, a generator will hardly do more than repeat them: the log says so."""

Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RealImages:
    """Some of a cohort's labelled examples.

    Attributes
    ----------
    table
        row (of the image store), example, patient and label, in ascending rows.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, examples: pd.DataFrame) -> RealImages:
        """Take examples with the columns named above."""
        columns = ["row", "example", "patient", "label"]
        return cls(examples[columns].sort_values("row", ignore_index=True))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def rows(self) -> Integers:
        """(n,) rows of the image store."""
        return self.table["row"].to_numpy(np.int64)

    @property
    def labels(self) -> Integers:
        """(n,) classes."""
        return self.table["label"].to_numpy(np.int64)


def of_fold(split: pd.DataFrame, fold: int) -> tuple[RealImages, RealImages]:
    """Return what a generator of a fold learns from, and the fold's validation images.

    It learns from the rows that the fold's networks train on, before any sampling: neither from
    the inner part that stops them early, nor from validation or test.

    Parameters
    ----------
    split
        As `fewcase.splits.folds.read_split` returns and checks it.
    fold
        Which fold.
    """
    learned, held_out = training_rows(split, fold), validation_rows(split, fold)
    return RealImages.of(learned), RealImages.of(held_out)


def check_classes(images: RealImages, classes: tuple[str, ...]) -> list[str]:
    """Check that every class can be learned; return what to beware of.

    Raises
    ------
    InputError
        Naming a class with fewer images than two, or a label beyond the classes.
    """
    counts = np.bincount(images.labels, minlength=len(classes)).tolist()
    if len(counts) > len(classes):
        raise InputError(
            f"generator: an image has label {len(counts) - 1}, but the target names "
            f"{len(classes)} classes: {', '.join(classes)}. Run the stages from cohort on again."
        )
    warnings = []
    for name, count in zip(classes, counts, strict=True):
        if count < FEWEST_OF_A_CLASS:
            raise InputError(
                f"generator: class {name!r} has {count} training images, of which no generator can "
                "learn what differs between them. Merge the class with another one, leave it out "
                "of the target, or take more images."
            )
        if count < FEW_OF_A_CLASS:
            warnings.append(
                f"class {name!r} has only {count} training images: expect copies of them"
            )
    return warnings
