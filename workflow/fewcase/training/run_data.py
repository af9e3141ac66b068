"""Who is what in one run: training rows by bag, and the examples to be scored with their roles."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import content_digest
from fewcase.splits.folds import inner_rows, test_rows, training_rows, validation_rows
from fewcase.splits.sampling import bag_rows, part_left_out
from fewcase.study.errors import InputError
from fewcase.study.words import ROLES

_SCORED_COLUMNS = ["row", "example", "parent", "patient", "site", "role", "test_set", "label"]


@dataclasses.dataclass(frozen=True)
class RunData:
    """The examples of one run.

    Attributes
    ----------
    rows
        (n,) int64, ascending: rows of the image store that the run needs, each once. All
        positions below are places in this array.
    labels, sites
        int64: class, and site as a number, of each of the n rows and then of synthetic images.
    bags
        One int64 array of positions per bag: the rows that its network is trained on.
    scored
        One line per example that is predicted: row, example, parent, patient, site, role (inner,
        validation or test), test_set (temporal, external or empty) and label.
    prevalence
        Share of each class in the whole training part, before any under-sampling.
    """

    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    sites: npt.NDArray[np.int64]
    bags: tuple[npt.NDArray[np.int64], ...]
    scored: pd.DataFrame
    prevalence: tuple[float, ...]

    def prevalences(self, oversampled: bool = False) -> dict[str, list[float]]:
        """Return, for `options.json`, the share of each class in training.

        ``prevalence`` is that of the whole training part, ``trained_prevalence`` that of the bags:
        under- and oversampling and synthetic images shift the probabilities that a network learns
        from the one to the other.
        """
        drawn = self.labels[np.concatenate(self.bags)]
        shares = _shares(np.unique(drawn) if oversampled else drawn, self.classes)
        return {"prevalence": list(self.prevalence), "trained_prevalence": list(shares)}

    @property
    def classes(self) -> int:
        """Number of classes; two at least."""
        return max(int(self.labels.max()) + 1, 2)

    def scored_positions(self, role: str | None = None) -> npt.NDArray[np.int64]:
        """Return the positions of the scored examples, of one role or all, in their order."""
        scored = self.scored if role is None else self.scored[self.scored["role"] == role]
        return np.searchsorted(self.rows, scored["row"].to_numpy())

    def digest(self) -> str:
        """Return a digest of who is trained on and who is scored, with labels and sites."""
        scored = np.stack([self.scored_positions(), self.scored["role"].map(ROLES.index)])
        return content_digest(self.rows, self.labels, self.sites, *self.bags, scored)


def gather_run(split: pd.DataFrame, samples: pd.DataFrame, fold: int, bags: int) -> RunData:
    """Gather the rows of one fold.

    Scored are the inner part of the other folds, which early stopping looks at, the fold itself
    as validation, and held-out sites and periods as test. A run whose samples leave out another
    inner part than the first helps to choose between arms: it is scored on that part alone.

    Parameters
    ----------
    split
        As `fewcase.splits.folds.read_split` returns and checks it.
    samples
        As `fewcase.splits.sampling.read_samples` returns and checks them.
    fold
        Which fold.
    bags
        How many bags the recipe has; `samples` may hold more.

    Raises
    ------
    InputError
        Where a fold or bag doesn't exist, or a bag has one class alone.
    """
    inner = part_left_out(samples)
    sampled = [bag_rows(samples, fold, bag) for bag in range(bags)]
    parts = {"inner": inner_rows(split, fold, inner)}
    if inner == 0:
        parts |= {"validation": validation_rows(split, fold), "test": test_rows(split)}
    scored = pd.concat([part.assign(role=role) for role, part in parts.items()])
    scored = scored[_SCORED_COLUMNS].reset_index(drop=True)

    rows = np.unique(np.concatenate([scored["row"].to_numpy(np.int64), *sampled]))
    known = split.set_index("row").loc[rows]
    training = training_rows(split, fold, inner)
    sites = np.unique(known["site"].to_numpy(str), return_inverse=True)[1]
    data = RunData(
        rows=rows,
        labels=known["label"].to_numpy(np.int64),
        sites=sites.astype(np.int64),
        bags=tuple(np.searchsorted(rows, chosen) for chosen in sampled),
        scored=scored,
        prevalence=_shares(
            training["label"].to_numpy(np.int64), max(int(known["label"].max()) + 1, 2)
        ),
    )
    for bag, positions in enumerate(data.bags):
        _check_classes(data.labels[positions], fold, bag)
    return data


def _shares(labels: npt.NDArray[np.int64], classes: int) -> tuple[float, ...]:
    counts = np.bincount(labels, minlength=classes)
    return tuple((counts / counts.sum()).tolist())


def _check_classes(labels: npt.NDArray[np.int64], fold: int, bag: int) -> None:
    present = np.unique(labels)
    if len(present) < 2:
        raise InputError(
            f"fold {fold}, bag {bag}: all {len(labels)} training examples are of class "
            f"{int(present[0])}. Take fewer folds or more recordings, or another target."
        )
