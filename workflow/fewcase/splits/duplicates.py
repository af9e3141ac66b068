"""Pairs of examples that are copies of each other: table, file, and the groups they make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewcase.data.files import read_table, table_metadata, write_table
from fewcase.study.errors import InputError

PAIR_TYPES = {
    "row_a": "int64",
    "row_b": "int64",
    "example_a": "str",
    "example_b": "str",
    "kind": "str",
    "transform": "str",
    "correlation": "float32",
    "lag_s": "float64",
}
"""Columns of ``duplicates.parquet``, with their types."""

KINDS = ("exact", "near")
FACTS = ("compared", "featureless", "method")

MOST_COPIES = 32
"""A copy is paired with so many of the next rows that hold the same; beyond, they are linked on."""

_REMEDY = "Delete the file and run the stage duplicates again."


def pairs_table(
    row_a: npt.ArrayLike = (),
    row_b: npt.ArrayLike = (),
    kind: npt.ArrayLike | str = "",
    correlation: npt.ArrayLike | float = 1.0,
    *,
    transform: npt.ArrayLike | str = "",
    lag_s: npt.ArrayLike | float = 0.0,
) -> pd.DataFrame:
    """Return pairs of rows as a table, ordered by row_a and row_b; names are still empty."""
    rows = np.asarray(row_a, np.int64)
    values = (rows, row_b, "", "", kind, transform, correlation, lag_s)
    columns = {
        name: np.broadcast_to(np.asarray(value), rows.shape)
        for name, value in zip(PAIR_TYPES, values, strict=True)
    }
    table = pd.DataFrame(columns).astype(PAIR_TYPES)
    return table.sort_values(["row_a", "row_b"], ignore_index=True)


def equal_pairs(digests: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows a < b whose digests are equal; see `MOST_COPIES` for very many copies.

    Parameters
    ----------
    digests
        One value per row; rows with an empty one are left out.
    """
    rows = np.flatnonzero(digests != digests.dtype.type())
    order = rows[np.argsort(digests[rows], kind="stable")]
    ordered = digests[order]
    first: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
    second: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
    for step in range(1, min(MOST_COPIES, len(order) - 1) + 1):
        same = np.flatnonzero(ordered[step:] == ordered[:-step])
        if not len(same):
            break
        first.append(order[same])
        second.append(order[same + step])
    return np.concatenate(first), np.concatenate(second)


def group_patients(examples: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Return for each example the group of patients that must stay together.

    Patients are joined where an example of one is a copy of an example of another, and with all
    who are joined to either. A group is called by the name of its patient who is first in the
    alphabet, so a patient without copies is a group of the same name.

    Parameters
    ----------
    examples
        row and patient of every example that takes part.
    pairs
        row_a and row_b of the copies; a pair with a row that takes no part joins nobody.

    Returns
    -------
    pandas.Series
        Names of groups, indexed as `examples`.
    """
    patients, patient_of = np.unique(examples["patient"].to_numpy(object), return_inverse=True)
    place = pd.Series(patient_of, index=examples["row"].to_numpy())
    here = pairs["row_a"].isin(place.index) & pairs["row_b"].isin(place.index)
    first = place.reindex(pairs["row_a"][here]).to_numpy(np.int64)
    second = place.reindex(pairs["row_b"][here]).to_numpy(np.int64)
    size = (len(patients), len(patients))
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=size)
    n_groups, group = connected_components(links, directed=False)
    # np.unique has sorted the names: the lowest place is the first in the alphabet.
    lowest = np.full(n_groups, len(patients), np.int64)
    np.minimum.at(lowest, group, np.arange(len(patients)))
    return pd.Series(patients[lowest[group[patient_of]]], index=examples.index, name="group")


def name_pairs(pairs: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with the names of their examples, looked up by row."""
    names = pd.Series(examples["example"].to_numpy(), index=examples["row"].to_numpy())
    return pairs.assign(
        example_a=names.reindex(pairs["row_a"]).to_numpy(),
        example_b=names.reindex(pairs["row_b"]).to_numpy(),
    ).astype(PAIR_TYPES)


def write_duplicates(path: Path, pairs: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """Write pairs as parquet; the metadata key ``fewcase`` holds the facts as JSON.

    Parameters
    ----------
    path
        Where to.
    pairs
        As `pairs_table` makes them, with names.
    facts
        compared (how many examples), featureless (how many of them show too little to be told
        apart), method (in words).

    Raises
    ------
    InputError
        Where the table is not what `read_duplicates` promises.
    """
    pairs = _checked(pairs[list(PAIR_TYPES)].astype(PAIR_TYPES), facts, str(path))
    write_table(path, pairs, {"fewcase": json.dumps(dict(sorted(facts.items())))})


def read_duplicates(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read what `write_duplicates` wrote.

    Returns
    -------
    pairs
        row_a < row_b (int64, of the examples' table), example_a, example_b, kind ("exact" or
        "near"), transform (what turns image a into image b; "" for signals), correlation (float32,
        1 for exact), lag_s (how much later signal b begins; 0 for images).
    facts
        compared, featureless, method.

    Raises
    ------
    InputError
        Where the file is missing, torn or of another stage, or a pair is not as it must be.
    """
    pairs = read_table(path, list(PAIR_TYPES))
    try:
        facts = json.loads(table_metadata(path)["fewcase"])
    except (KeyError, ValueError):
        raise InputError(f"{path}: its metadata hold no facts of fewcase. {_REMEDY}") from None
    return _checked(pairs.astype(PAIR_TYPES), facts, str(path)), facts


def _checked(pairs: pd.DataFrame, facts: Mapping[str, Any], where: str) -> pd.DataFrame:
    absent = [name for name in FACTS if name not in facts]
    if absent:
        raise InputError(f"{where}: its metadata hold no {absent[0]!r}. {_REMEDY}")
    for complaint, broken in (
        ("has no second row after the first", pairs["row_a"] >= pairs["row_b"]),
        ("has a negative row", pairs["row_a"] < 0),
        (f"has a kind that is none of {', '.join(KINDS)}", ~pairs["kind"].isin(KINDS)),
        ("is there twice", pairs.duplicated(["row_a", "row_b"])),
        ("has a correlation outside -1 to 1", ~(pairs["correlation"].abs() <= 1)),
    ):
        if broken.any():
            first = pairs[broken].iloc[0]
            raise InputError(
                f"{where}: the pair of rows {first['row_a']} and {first['row_b']} "
                f"({first['example_a']!r}, {first['example_b']!r}) {complaint}. {_REMEDY}"
            )
    return pairs
