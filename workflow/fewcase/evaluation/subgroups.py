"""Parts of a cohort that are judged by themselves: subgroups of records, and other labels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.files import read_table
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

UNKNOWN = "unknown"
MOST_LEVELS = 20


def read_subgroups(path: Path, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.Series]:
    """Read to which level of every subgroup each record belongs.

    Parameters
    ----------
    path
        ``records.parquet`` of the cohort.
    wanted
        By name of the subgroup: ``column`` of the records and, for numbers, ``edges`` in rising
        order, each of which begins a level.

    Returns
    -------
    dict
        By name: levels as text with the record as index. A record without a value is at the level
        `UNKNOWN`, so that it is counted.

    Raises
    ------
    InputError
        Naming the key: for an unknown one, a column that the records lack, edges that do not rise
        or belong to a column without numbers, or a column with more than `MOST_LEVELS` values.
    """
    records = read_table(path)
    found = {}
    for name, options in wanted.items():
        where = f"subgroups.{name}"
        for key in options:
            if key not in ("column", "edges"):
                raise InputError(
                    f"{where}: unknown key {key!r}.{nearest(key, ['column', 'edges'])}"
                )
        column = options.get("column")
        if column not in records.columns:
            raise InputError(
                f"{where}.column: {path} has no column {column!r}."
                f"{nearest(str(column), records.columns)} Name a column of the records, or take "
                "the subgroup out."
            )
        levels = levels_of(records[column], options.get("edges") or (), where)
        found[name] = pd.Series(levels, index=records["record"].to_numpy())
    return found


def levels_of(values: pd.Series, edges: Sequence[float], where: str) -> list[str]:
    """Return the level of each value as text: ``< 37``, ``34–<37``, ``≥ 37``, or its own name.

    Parameters
    ----------
    values
        Numbers or texts; missing ones and, where there are edges, words are `UNKNOWN`.
    edges
        Where levels begin; none takes each value as a level.
    where
        The key of the study file, for messages.

    Raises
    ------
    InputError
        See `read_subgroups`.
    """
    if len(edges):
        return _between(values, [float(edge) for edge in edges], where)
    texts = [
        "" if missing else _plain(value)
        for value, missing in zip(values, values.isna(), strict=True)
    ]
    distinct = len(set(texts))
    if distinct > MOST_LEVELS:
        raise InputError(
            f"{where}.column: column {values.name!r} has {distinct} different values, more than "
            f"{MOST_LEVELS}. Give `edges` that divide numbers into few levels, or another column."
        )
    return [text or UNKNOWN for text in texts]


def _between(values: pd.Series, edges: list[float], where: str) -> list[str]:
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InputError(f"{where}.edges: {edges} do not rise; expected numbers in rising order.")
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if values.notna().any() and not np.isfinite(numbers).any():
        raise InputError(
            f"{where}.edges: column {values.name!r} has no numbers, such as "
            f"{values[values.notna()].iloc[0]!r}. Take the edges out to have a level for each "
            "value."
        )
    texts = [f"{edge:g}" for edge in edges]
    names = [f"< {texts[0]}"]
    names += [f"{low}–<{high}" for low, high in itertools.pairwise(texts)]
    names += [f"≥ {texts[-1]}"]
    level = np.searchsorted(edges, numbers, side="right")
    return [names[i] if np.isfinite(v) else UNKNOWN for i, v in zip(level, numbers, strict=True)]


def _plain(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(value).strip()


def join_levels(parents: pd.Series, levels: pd.Series, name: str) -> pd.Series:
    """Return the level of each example by the record that it is part of.

    Raises
    ------
    InputError
        Where a parent is none of the records.
    """
    if twice := levels.index[levels.index.duplicated()].tolist():
        raise InputError(f"subgroups.{name}: record {twice[0]!r} is twice in the records.")
    codes, names = pd.factorize(parents)
    at = levels.index.get_indexer(names)
    if (at < 0).any():
        lost = names[int(np.flatnonzero(at < 0)[0])]
        raise InputError(
            f"subgroups.{name}: parent {lost!r} of the predictions is not among the records. Give "
            "the records.parquet of the cohort that the runs were trained on."
        )
    return pd.Series(levels.to_numpy()[at][codes], index=parents.index)


def read_other_labels(path: Path) -> pd.Series:
    """Read the labels of another target's ``examples.parquet``, with the example as index."""
    table = read_table(path, columns=("example", "label"))
    return pd.Series(table["label"].to_numpy(np.int64), index=table["example"].to_numpy())


def relabel(rows: pd.DataFrame, examples: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """Return the rows of examples that another target labels too, with its labels.

    Parameters
    ----------
    rows
        With a column `label`.
    examples
        Name of each row's example.
    labels
        As from `read_other_labels`; below 0 where there is none.
    """
    codes, names = pd.factorize(examples)
    at = labels.index.get_indexer(names)
    found = np.where(at >= 0, labels.to_numpy()[at], -1)[codes] if len(labels) else -1 - 0 * codes
    known = found >= 0
    return rows[known].assign(label=found[known])
