"""Shortcut baselines: what can be scored without a look at what a clinician would look at."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.words import METADATA_COLUMNS

Float64 = npt.NDArray[np.float64]

FILE_COLUMNS = (
    *("file_type", "file_bytes", "width", "height", "channels", "sampling_hz", "samples"),
)
SIGNAL_COLUMNS = ("missing", "longest_gap_s", "uc_missing")
NEVER_METADATA = ("part",)
"""Columns by which those who made a data set divided it, which no patient has."""

FOUR_FEATURES = ("baseline_min", "baseline_max", "acceleration_area", "deceleration_area")

LEVELS = 50
"""Words of a column that count at most, the most frequent first; all others are unknown."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Sources:
    """The tables that shortcuts draw their columns from; None where a study has no such table.

    Attributes
    ----------
    records
        By ``record``, which is the parent of its examples: ``date``, ``site``, outcomes, and what
        the file was like (`FILE_COLUMNS`).
    quality
        By ``example``: `SIGNAL_COLUMNS`.
    features
        By ``row``: `FOUR_FEATURES`.
    pixels
        By ``row``: all other columns, see `fewcase.models.pixels.measure_pixels`.
    """

    records: pd.DataFrame
    quality: pd.DataFrame | None = None
    features: pd.DataFrame | None = None
    pixels: pd.DataFrame | None = None


def gather_columns(
    names: Iterable[str],
    examples: pd.DataFrame,
    sources: Sources,
    metadata: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Return the columns of each shortcut, a line per example, indexed by row.

    Parameters
    ----------
    names
        Shortcuts, as `fewcase.study.words.SHORTCUTS` has them.
    examples
        row, example and parent.
    sources
        Where the columns are.
    metadata
        Columns of a record for the shortcut of that name, ``year`` being that of its date. Those
        of `fewcase.study.words.METADATA_COLUMNS` need not be there.

    Returns
    -------
    dict of pandas.DataFrame
        Numbers (float64, NaN where missing) and words ("" where missing). ``prior`` has no
        columns. Of any other shortcut a column without one known value is left out; a shortcut
        without any column is left out too, which is logged.

    Raises
    ------
    InputError
        For any other metadata column that no record has, one of `NEVER_METADATA`, or an example
        that a table lacks or has twice.
    """
    found = {}
    for name in names:
        columns = _columns_of(name, examples, sources, metadata)
        known = [column for column in columns if _is_known(columns[column]).any()]
        if not known and name != "prior":
            logger.info("shortcut %s is left out: nothing of it is known in this study", name)
            continue
        found[name] = columns[known].set_axis(examples["row"].to_numpy(), axis=0)
    return found


def _columns_of(
    name: str, examples: pd.DataFrame, sources: Sources, metadata: Sequence[str]
) -> pd.DataFrame:
    records = _joined(sources.records, "record", examples["parent"])
    if name == "file":
        return _plain(records, FILE_COLUMNS)
    if name == "signal":
        length = _plain(records, ["samples"])
        quality = _joined(sources.quality, "example", examples["example"])
        return pd.concat([length, _plain(quality, SIGNAL_COLUMNS)], axis=1)
    if name == "four_features":
        return _plain(_joined(sources.features, "row", examples["row"]), FOUR_FEATURES)
    if name == "pixels":
        pixels = _joined(sources.pixels, "row", examples["row"])
        return _plain(pixels, pixels.columns.tolist())
    if name == "metadata":
        if "date" in records:
            records["year"] = pd.to_datetime(records["date"]).dt.year
        for column in metadata:
            if column in NEVER_METADATA:
                raise InputError(
                    f"metadata: {column!r} tells how the data were divided and nothing of a "
                    "person; name columns such as site or year."
                )
            if column not in records and column not in METADATA_COLUMNS:
                hint = nearest(column, records.columns)
                raise InputError(f"metadata: no record has a column {column!r}.{hint}")
        return _plain(records, metadata)
    return pd.DataFrame(index=range(len(examples)))


def _joined(table: pd.DataFrame | None, key: str, wanted: pd.Series) -> pd.DataFrame:
    """Return the line of a table for each example; no columns where there is no table."""
    if table is None:
        return pd.DataFrame(index=range(len(wanted)))
    index = pd.Index(table[key])
    lacking = wanted[~wanted.isin(index)].tolist()
    repeated = index[index.duplicated()].tolist()
    if lacking or repeated:
        problem = "is in no line" if lacking else "is in two lines"
        raise InputError(
            f"shortcuts: {key} {[*lacking, *repeated][0]!r} {problem} of the table with the "
            f"columns {list(table)[:4]}, expected one. Delete the table and make it again."
        )
    return table.set_index(index).drop(columns=key).loc[wanted].reset_index(drop=True)


def _plain(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return those of the columns that exist, as numbers and words."""
    plain: dict[str, pd.Series] = {}
    for name in columns:
        if name not in table:
            continue
        values = table[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            days = (values - pd.Timestamp(0)).dt.total_seconds() / 86_400
            plain[name] = days.astype(np.float64)
        elif pd.api.types.is_numeric_dtype(values):
            plain[name] = values.astype(np.float64)
        else:
            plain[name] = values.astype(object).where(values.notna(), "").astype(str)
    return pd.DataFrame(plain, index=table.index)


def _is_known(values: pd.Series) -> pd.Series:
    return values.notna() if pd.api.types.is_numeric_dtype(values) else values != ""


def encode_columns(columns: pd.DataFrame, training: npt.NDArray[np.int64]) -> Float64:
    """Return columns as numbers, by what the training rows know alone.

    A number stays as it is, NaN where missing, beside a column that is 1 where it is missing.
    Words become a column per level of the training rows, at most `LEVELS`; a level that they lack
    is 0 in all. What does not vary among the training rows is left out, since nothing can be
    learnt from it.

    Parameters
    ----------
    columns
        (n, any), as `gather_columns` returns them.
    training
        Positions of the training rows.

    Returns
    -------
    float64 (n, features)
    """
    parts: list[Float64] = []
    for name in columns:
        values = columns[name]
        if pd.api.types.is_numeric_dtype(values):
            number = values.to_numpy(np.float64)
            parts += [number, np.isnan(number).astype(np.float64)]
        else:
            levels = values.iloc[training].value_counts(sort=False)
            frequent = levels.sort_index().sort_values(ascending=False, kind="stable")
            parts += [(values == level).to_numpy(np.float64) for level in frequent.index[:LEVELS]]
    varying = [part for part in parts if _varies(part[training])]
    return np.stack(varying, axis=1) if varying else np.empty((len(columns), 0))


def _varies(values: Float64) -> bool:
    known = values[~np.isnan(values)]
    return bool(len(known)) and known.min() < known.max()
