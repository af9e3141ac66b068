"""Under-sampling: which rows of its fold each network trains on, class by class."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table, table_metadata, write_table
from fewcase.splits.folds import training_rows
from fewcase.study.errors import InputError

SAMPLE_COLUMNS = ["fold", "inner", "bag", "row"]
_FACTS = ("neg_per_pos", "bags", "inner", "distribution", "training_examples")
REMEDY = "Delete the file and run the sample stage again."

# Keeps these draws apart from those of other stages that are given the same seed.
_STREAM = 0x5A3B
_CLASS_STREAM = 0x5A3C

logger = logging.getLogger(__name__)


def draw_samples(
    split: pd.DataFrame,
    neg_per_pos: float | None,
    bags: int,
    seed: int,
    inner: int = 0,
    *,
    distribution: str = "natural",
    training_examples: int | None = None,
) -> pd.DataFrame:
    """Draw the training rows of every fold and bag.

    A bag holds all positives of the fold's training part and ``round(neg_per_pos * positives)`` of
    its negatives, drawn without replacement. Bags take successive pieces of one shuffle, so that
    their negatives are disjoint while enough remain; then the next shuffle begins. A bag depends
    on the split, the ratio, the seed, its fold, the inner part left out and its own number alone:
    more bags leave the first ones as they were. Validation and test rows are never drawn.

    Without a ratio, a bag holds all rows, or of each class as many as `wanted_rows` says.

    Parameters
    ----------
    split
        A split, see `fewcase.splits.folds`.
    neg_per_pos
        Negatives per positive; None keeps all rows of the training part, whatever their labels.
    bags
        Number of sets per fold.
    seed
        Seed of the draws.
    inner
        The inner part left out: 0 for the networks of cross-validation, another for those that help
        to choose between arms.
    distribution
        ``natural``, classes in the shares that they have, or ``balanced``, equally many of each.
    training_examples
        Rows of a bag in all; None for as many as there are.

    Returns
    -------
    pandas.DataFrame
        fold, inner (the part left out) and bag (int16) and row (int64), sorted by all four.

    Raises
    ------
    InputError
        For less than one bag, a ratio of 0 or below, or a ratio where labels are not 0 and 1.
    """
    if bags < 1:
        raise InputError(f"bags: {bags} makes no training set; give 1 or more.")
    if neg_per_pos is not None:
        _check_ratio(split, neg_per_pos)
    parts = []
    for fold in range(int(split["fold"].max()) + 1):
        part = training_rows(split, fold, inner)
        rows = part["row"].to_numpy(np.int64)
        positive = (part["label"] == 1).to_numpy()
        for bag in range(bags):
            # Part 0 adds nothing to the key: its draws are those of a study without selection.
            key = (fold, inner) if inner else (fold,)
            if neg_per_pos is None:
                wanted_of = wanted_rows(part["label"], distribution, training_examples)
                drawn = _of_classes(part, wanted_of, seed, key, bag)
            else:
                wanted = round(neg_per_pos * int(positive.sum()))
                negatives = _piece(np.sort(rows[~positive]), wanted, seed, (_STREAM, *key), bag)
                drawn = np.concatenate([rows[positive], negatives])
            parts.append(_bag(fold, inner, bag, drawn))
        _log_counts(fold, bags, positive, neg_per_pos, len(parts[-1]))
    return pd.concat(parts, ignore_index=True)


def _check_ratio(split: pd.DataFrame, neg_per_pos: float) -> None:
    if not neg_per_pos > 0:
        raise InputError(
            f"neg_per_pos: {neg_per_pos} leaves no negatives; give more than 0, or null for all."
        )
    others = sorted(set(split["label"]) - {0, 1})
    if others:
        raise InputError(
            f"neg_per_pos: the target has a label {others[0]} beside 0 and 1, so there are no "
            "positives and negatives; give null to keep all rows."
        )


def wanted_rows(
    labels: pd.Series, distribution: str, training_examples: int | None
) -> dict[int, int]:
    """Return how many rows of each class a bag holds.

    Parameters
    ----------
    labels
        Classes of the rows of the training part.
    distribution
        ``natural``: shares by the largest remainder, one row of each class at least. ``balanced``:
        as many of each class as the rarest has, or as `training_examples` allow if they are fewer.
    training_examples
        Rows in all; None, or more than there are, for all.
    """
    counts = labels.value_counts().sort_index()
    total = min(training_examples or len(labels), len(labels))
    if distribution == "balanced":
        each = max(min(int(counts.min()), total // len(counts)), 1)
        return {int(label): each for label in counts.index}
    exact = counts.to_numpy() * (total / len(labels))
    wanted = np.maximum(np.floor(exact), 1).astype(np.int64)
    # Largest remainders first; of equal ones, the first class.
    first = np.argsort(np.floor(exact) - exact, kind="stable")
    wanted[first[: max(total - int(wanted.sum()), 0)]] += 1
    return {int(label): int(count) for label, count in zip(counts.index, wanted, strict=True)}


def _of_classes(
    part: pd.DataFrame, wanted: dict[int, int], seed: int, key: tuple[int, ...], bag: int
) -> npt.NDArray[np.int64]:
    drawn = []
    for label, count in wanted.items():
        rows = np.sort(part["row"].to_numpy(np.int64)[(part["label"] == label).to_numpy()])
        drawn.append(_piece(rows, count, seed, (_CLASS_STREAM, *key, label), bag))
    return np.concatenate(drawn)


def _piece(
    rows: npt.NDArray[np.int64], wanted: int, seed: int, key: tuple[int, ...], bag: int
) -> npt.NDArray[np.int64]:
    """Return the rows of one bag: successive pieces of a shuffle, then of the next."""
    if wanted >= len(rows):
        return rows
    wanted = max(wanted, 1)
    shuffle, piece = divmod(bag, len(rows) // wanted)
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(*key, shuffle))
    shuffled = np.random.default_rng(sequence).permutation(rows)
    return shuffled[piece * wanted : (piece + 1) * wanted]


def _bag(fold: int, inner: int, bag: int, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "fold": np.full(len(rows), fold, np.int16),
            "inner": np.full(len(rows), inner, np.int16),
            "bag": np.full(len(rows), bag, np.int16),
            "row": np.sort(rows),
        }
    )


def _log_counts(
    fold: int, bags: int, positive: npt.NDArray[np.bool_], neg_per_pos: float | None, kept: int
) -> None:
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if neg_per_pos is None:
        of = n_positive + n_negative
        logger.info("fold %d: %d of %d training rows in each of %d bags", fold, kept, of, bags)
    elif round(neg_per_pos * n_positive) > n_negative:
        logger.warning(
            "fold %d: %g negatives per positive were asked for, but %d positives have only %d "
            "negatives: all are kept",
            fold, neg_per_pos, n_positive, n_negative,
        )  # fmt: skip
    else:
        logger.info(
            "fold %d: %d positives, %d of %d negatives in each of %d bags",
            fold, n_positive, kept - n_positive, n_negative, bags,
        )  # fmt: skip


def bag_rows(samples: pd.DataFrame, fold: int, bag: int) -> npt.NDArray[np.int64]:
    """Return the rows (int64, ascending) of one fold and bag.

    Raises
    ------
    InputError
        If the samples have no such fold or bag; the message gives the ranges.
    """
    for name, value in [("fold", fold), ("bag", bag)]:
        last = int(samples[name].max())
        if not 0 <= value <= last:
            raise InputError(f"{name} {value} is out of range: the samples have 0 to {last}.")
    chosen = (samples["fold"] == fold) & (samples["bag"] == bag)
    return np.sort(samples["row"][chosen].to_numpy(np.int64))


def part_left_out(samples: pd.DataFrame) -> int:
    """Return the inner part that the networks of these samples do not train on."""
    return int(samples["inner"].iloc[0])


def write_samples(
    path: Path,
    samples: pd.DataFrame,
    neg_per_pos: float | None,
    bags: int,
    seed: int,
    inner: int = 0,
    *,
    distribution: str = "natural",
    training_examples: int | None = None,
) -> None:
    """Write samples as parquet; its metadata key ``fewcase`` says how they were drawn."""
    facts = {
        "neg_per_pos": neg_per_pos,
        "bags": bags,
        "seed": seed,
        "inner": inner,
        "distribution": distribution,
        "training_examples": training_examples,
    }
    write_table(path, samples[SAMPLE_COLUMNS], {"fewcase": json.dumps(facts, sort_keys=True)})


def read_samples(path: Path, split: pd.DataFrame) -> pd.DataFrame:
    """Read samples and check them against the split that they were drawn from.

    Raises
    ------
    InputError
        Naming fold, bag and row, where a row is outside its fold's training part or there twice,
        a positive is missing, or a fold or bag is.
    """
    samples = read_table(path, SAMPLE_COLUMNS)
    facts = _read_facts(path)
    bags, inner = facts["bags"], facts["inner"]
    wanted = {(fold, bag) for fold in range(int(split["fold"].max()) + 1) for bag in range(bags)}
    found = {key: rows["row"] for key, rows in samples.groupby(["fold", "bag"], sort=False)}
    if found.keys() != wanted:
        fold, bag = min(found.keys() ^ wanted)
        state = "has no rows" if (fold, bag) in wanted else "is not in the split"
        raise InputError(f"{path}: bag {bag} of fold {fold} {state}. {REMEDY}")
    for fold, bag in sorted(wanted):
        part = training_rows(split, fold, inner)
        where = f"{path}: fold {fold}, bag {bag}"
        _check_bag(found[fold, bag], split, part, facts, where)
    return samples


def is_drawn(path: Path) -> bool:
    """Return whether samples are a part of the rows that they are drawn from, by their recipe."""
    facts = _read_facts(path)
    natural = facts["distribution"] == "natural" and facts["training_examples"] is None
    return facts["neg_per_pos"] is not None or not natural


def _read_facts(path: Path) -> dict[str, Any]:
    """Return how a file of samples was drawn."""
    texts = table_metadata(path)
    try:
        facts = json.loads(texts["fewcase"])
        return {key: facts[key] for key in _FACTS}
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"{path}: not a file of samples, as it lacks the metadata of one. {REMEDY}"
        ) from None


def _check_bag(
    rows: pd.Series,
    split: pd.DataFrame,
    part: pd.DataFrame,
    facts: dict[str, Any],
    where: str,
) -> None:
    outside = rows[~rows.isin(part["row"])]
    if len(outside):
        row = outside.iloc[0]
        named = split["example"][split["row"] == row]
        example = f" (example {named.iloc[0]!r})" if len(named) else ""
        raise InputError(f"{where}: row {row}{example} is outside the training part. {REMEDY}")
    if rows.duplicated().any():
        raise InputError(f"{where}: row {rows[rows.duplicated()].iloc[0]} is twice. {REMEDY}")
    if facts["neg_per_pos"] is None:
        labels = part.loc[part["row"].isin(rows), "label"]
        wanted = wanted_rows(part["label"], facts["distribution"], facts["training_examples"])
        for label, count in wanted.items():
            found = int((labels == label).sum())
            if found != count:
                raise InputError(f"{where}: {found} rows of class {label}, not {count}. {REMEDY}")
        return
    needed = part["row"][part["label"] == 1]
    absent = needed[~needed.isin(rows)]
    if len(absent):
        raise InputError(f"{where}: row {absent.iloc[0]} is missing. {REMEDY}")
