"""Checks of the options by which images are listed, before any file is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fewcase.data.image_records import RECORD_COLUMNS
from fewcase.ingest.csv_files import DELIMITERS
from fewcase.ingest.metadata_table import check_encoding
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.image_sources import ID_SCOPES, ImageFolder

KNOWN_GROUPS = ("class", "patient", "site", "date", "part", "record")
"""Named groups of the option ``pattern``."""

KNOWN_COLUMNS = ("path", *KNOWN_GROUPS)
"""Keys of the option ``columns``."""

RESERVED_OUTCOMES = (
    *(name for name in RECORD_COLUMNS if name not in KNOWN_COLUMNS),
    *("row", "example", "parent", "x", "y", "extent", "label"),
)
"""Columns of records and examples that a source does not name."""


def check_options(options: ImageFolder) -> None:
    """Refuse options that contradict each other or name what does not exist.

    Raises
    ------
    InputError
        The message names the key and the value.
    """
    if options.folders and options.folder is not None:
        raise InputError(
            f"folder: {options.folder!r}, but folders is given as well. Leave one of them out."
        )
    if len(set(options.folders)) < len(options.folders):
        raise InputError(f"folders: {list(options.folders)} names a folder twice.")
    if options.twins != "none" and len(options.folders) < 2:
        raise InputError(
            f"twins: {options.twins!r} is about images in several folders. Name them under folders."
        )
    for name in options.ids_within:
        if name not in ID_SCOPES:
            raise InputError(f"ids_within: no scope {name!r}.{nearest(name, ID_SCOPES)}")
    for key in ("pattern", "leave_out"):
        compiled(options, key)
    _check_table(options)
    _check_values(options)


def compiled(options: ImageFolder, key: str) -> re.Pattern[str] | None:
    """Return an option as a regular expression, None where it is not given.

    Raises
    ------
    InputError
        Where it is none, or has a named group that means nothing.
    """
    text = getattr(options, key)
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"{key}: {text!r} is no regular expression ({error}).") from None
    for group in pattern.groupindex:
        if key != "pattern" or group not in KNOWN_GROUPS:
            raise InputError(f"{key}: no group {group!r}.{nearest(group, KNOWN_GROUPS)}")
    return pattern


def _check_table(options: ImageFolder) -> None:
    _check_known(options.columns, KNOWN_COLUMNS, "columns")
    if options.table is None:
        for key in ("columns", "outcomes"):
            if getattr(options, key):
                raise InputError(f"{key}: they are columns of a table; name it under table.")
        return
    if options.folders:
        raise InputError(
            "table: goes with one folder. Leave folders out, and let the table's paths begin with "
            "the names of the folders."
        )
    if "path" not in options.columns:
        raise InputError(
            "columns.path: this key is required: the table's column that holds the image file."
        )
    check_encoding(options.encoding, "encoding")
    if len(options.delimiter) != 1:
        raise InputError(
            f"delimiter: {options.delimiter!r} is not a single character, such as "
            f"{', '.join(map(repr, DELIMITERS))}."
        )
    for key in options.outcomes:
        if key in KNOWN_COLUMNS:
            raise InputError(f"outcomes.{key}: name this column under columns instead.")
        if key in RESERVED_OUTCOMES:
            raise InputError(
                f"outcomes.{key}: records or examples have a column of this name; call "
                f"{options.outcomes[key]!r} something else."
            )


def _check_values(options: ImageFolder) -> None:
    _check_known(options.values, (*KNOWN_GROUPS, *options.outcomes), "values")


def _check_known(keys: Iterable[str], known: tuple[str, ...], where: str) -> None:
    for key in keys:
        if key not in known:
            raise InputError(f"{where}.{key}: unknown key.{nearest(key, known)}")
