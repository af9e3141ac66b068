"""Files that appear whole or not at all: JSON, parquet tables and the small digests of stages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what was written there becomes `path` on success.

    The temporary name keeps the suffix of `path`, so that ``np.save`` and others leave it alone.
    Parent folders are made. On an error the temporary file is removed and `path`, where it
    existed, stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner alone, also after the renaming.
    # A part of the name will do: the whole of a long one and this would exceed what systems allow.
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON; NaN and infinity are refused, as JSON has neither."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        Where the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise InputError(
            f"{path}: not a JSON file ({error}). Delete it and run the stage that makes it."
        ) from None


def write_digest(path: Path, info: Mapping[str, Any]) -> None:
    """Write the small file that later stages depend on: JSON with sorted keys."""
    write_json(path, dict(sorted(info.items())))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def write_table(path: Path, table: pd.DataFrame, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as parquet; the same table gives the same bytes.

    Strings and categories become plain strings; the index is left out.

    Parameters
    ----------
    path
        Where to.
    table
        Columns of numbers, strings, booleans or dates.
    metadata
        Texts kept in the file's own metadata, see `table_metadata`.
    """
    import pyarrow as pa
    import pyarrow.parquet

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    # Pandas' own metadata name its version: they would change the bytes and say nothing.
    schema = pa.schema(
        [pa.field(field.name, _plain_type(field.type)) for field in arrow.schema],
        metadata=dict(sorted((metadata or {}).items())),
    )
    with atomic_path(path) as temporary:
        pa.parquet.write_table(arrow.cast(schema), temporary, compression="zstd")


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a parquet table, or some of its columns.

    Raises
    ------
    InputError
        Where the file is missing or not parquet, or has no such column.
    """
    import pyarrow.parquet

    schema = _read_schema(path)
    for column in columns or ():
        if column not in schema.names:
            raise InputError(f"{path}: no column {column!r}.{nearest(column, schema.names)}")
    names = None if columns is None else list(columns)
    return pyarrow.parquet.read_table(path, columns=names).to_pandas()


def table_metadata(path: Path) -> dict[str, str]:
    """Return the texts that `write_table` kept in the metadata of a parquet file."""
    metadata = _read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


def _read_schema(path: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path}: not a parquet table ({error}). Delete it and run the stage that makes it."
        ) from None


def _missing(path: Path) -> InputError:
    return InputError(f"{path}: no such file. Run the stage that makes it, or mend the path.")


def content_digest(*contents: np.ndarray | bytes) -> str:
    """Return the SHA-256, in hexadecimal digits, of arrays and byte strings in their order.

    An array counts with its type and shape, so that reshaped or differently divided contents
    differ. An array that lies in memory row by row, or is mapped so, is not copied.
    """
    import numpy as np

    digest = hashlib.sha256()
    for content in contents:
        if isinstance(content, bytes):
            digest.update(f"bytes {len(content)}\n".encode())
            digest.update(content)
            continue
        if content.dtype.hasobject:
            raise TypeError("content_digest: arrays of Python objects have no fixed bytes.")
        digest.update(f"array {content.dtype.str} {content.shape}\n".encode())
        if content.size:
            digest.update(np.ascontiguousarray(content).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
