"""From the outcomes of records to their labels, by the rule of a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.targets import Above, AnyOf, ApgarAtMost, Below, Classes, OneOf, Target

POSITIVE, NEGATIVE, UNLABELLED = 1, 0, -1

Labels = npt.NDArray[np.int8]
Reasons = npt.NDArray[np.object_]


def apply_target(records: pd.DataFrame, target: Target) -> tuple[Labels, Reasons]:
    """Label every record by a target's rule.

    Parameters
    ----------
    records
        One row per record, with the outcome columns that the rule names; missing is NaN or None.
    target
        The rule.

    Returns
    -------
    labels
        int8, one per record: 1 positive, 0 negative, -1 unlabelled; of several classes the place
        of its own in the target's list.
    reasons
        Why a record has no label, one sentence each; empty where it has one.

    Raises
    ------
    InputError
        If a column that the rule names is not in the table.
    """
    if isinstance(target, AnyOf):
        return _any_of([apply_target(records, rule) for rule in target.rules], len(records))
    if isinstance(target, ApgarAtMost):
        scores = [_compare(records, column, target) for column in target.columns]
        return _any_of(scores, len(records))
    if isinstance(target, OneOf):
        return _one_of(records, target)
    if isinstance(target, Classes):
        return _classes(records, target)
    return _compare(records, target.column, target)


def _any_of(parts: Sequence[tuple[Labels, Reasons]], n: int) -> tuple[Labels, Reasons]:
    # One positive decides; a negative needs every part known: an unknown one could be positive.
    labels = np.stack([part[0] for part in parts])
    combined = np.where((labels == UNLABELLED).any(axis=0), UNLABELLED, NEGATIVE)
    combined[(labels == POSITIVE).any(axis=0)] = POSITIVE
    reasons = np.full(n, "", dtype=object)
    for i in np.flatnonzero(combined == UNLABELLED):
        reasons[i] = "; ".join(dict.fromkeys(part[1][i] for part in parts if part[1][i]))
    return combined.astype(np.int8), reasons


def _compare(
    records: pd.DataFrame, column: str, target: ApgarAtMost | Below | Above
) -> tuple[Labels, Reasons]:
    found = _column(records, column)
    values = pd.to_numeric(found, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if isinstance(target, ApgarAtMost):
        positive = values <= target.at_most
    elif isinstance(target, Below):
        positive = values < target.threshold
    else:
        positive = values > target.threshold
    known = np.isfinite(values)
    labels = np.where(known, positive, UNLABELLED).astype(np.int8)
    reasons = np.full(len(records), "", dtype=object)
    missing = found.isna().to_numpy()
    for i in np.flatnonzero(~known):
        value = found.iloc[i]
        reasons[i] = f"{column} is unknown" if missing[i] else f"{column} {value!r} is no number"
    return labels, reasons


def _one_of(records: pd.DataFrame, target: OneOf) -> tuple[Labels, Reasons]:
    found = _column(records, target.column)
    missing = found.isna().to_numpy()
    keys = np.array([None if gone else _key(v) for v, gone in zip(found, missing, strict=True)])
    positive_keys = {_key(value) for value in target.positive}
    labels = np.array([key in positive_keys for key in keys], dtype=np.int8)
    reasons = np.full(len(records), "", dtype=object)
    reasons[missing] = f"{target.column} is unknown"
    if target.negative is not None:
        listed = positive_keys | {_key(value) for value in target.negative}
        for i in np.flatnonzero(
            [not gone and key not in listed for key, gone in zip(keys, missing, strict=True)]
        ):
            reasons[i] = f"{target.column} {found.iloc[i]!r} is neither positive nor negative"
    labels[reasons != ""] = UNLABELLED
    return labels, reasons


def _classes(records: pd.DataFrame, target: Classes) -> tuple[Labels, Reasons]:
    found = _column(records, target.column)
    meanings = {_key(name): number for number, name in enumerate(target.classes)}
    meanings |= {_key(value): target.classes.index(name) for value, name in target.merge.items()}
    unknown = found.isna().to_numpy() | (found.astype(str).str.strip() == "").to_numpy()
    labels = np.full(len(found), UNLABELLED, np.int8)
    reasons = np.full(len(found), "", dtype=object)
    for value, rows in found[~unknown].groupby(found[~unknown].to_numpy()).indices.items():
        places = np.flatnonzero(~unknown)[rows]
        number = meanings.get(_key(value))
        if number is None:
            reasons[places] = f"{target.column} {value!r} is none of the classes"
        else:
            labels[places] = number
    if target.others == "error" and (reasons != "").any():
        first = int(np.flatnonzero(reasons != "")[0])
        hint = nearest(str(found.iloc[first]), target.classes)
        raise InputError(
            f"target: record {records.iloc[first].get('record', first)!r}: {reasons[first]}.{hint} "
            "Name it in `merge`, or give others: unlabelled."
        )
    reasons[unknown] = f"{target.column} is unknown"
    return labels, reasons


def _key(value: Any) -> str | float:
    # A code is the same written 1, 1.0, "1" or true, as tables from different programs have it.
    text = str(value).strip()
    try:
        return float({"True": "1", "False": "0"}.get(text, text))
    except ValueError:
        return text


def _column(records: pd.DataFrame, column: str) -> pd.Series:
    if column not in records.columns:
        raise InputError(
            f"target: the records have no column {column!r}.{nearest(column, records.columns)} "
            "Name an outcome column of the records, or map one in the cohort's `columns`."
        )
    return records[column]
