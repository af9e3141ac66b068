"""Work on the rows of large arrays: cache-sized blocks, runs, files grown by rows."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fewcase.data.files import atomic_path

# Half an hour at 4 Hz in float32 is 28 kB: so many rows, and what is made of them, fit a core's
# second-level cache.
CACHE_ROWS = 32


class Runs(NamedTuple):
    """Stretches of consecutive true samples, ordered by row and start; `stop` is exclusive."""

    row: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]

    @property
    def length(self) -> npt.NDArray[np.int64]:
        """Number of samples of each run."""
        return self.stop - self.start

    def where(self, chosen: npt.NDArray[np.bool_]) -> Runs:
        """Return the chosen runs."""
        return Runs(self.row[chosen], self.start[chosen], self.stop[chosen])


def runs_of(mask: npt.NDArray[np.bool_]) -> Runs:
    """Find the runs of true samples in every row.

    Parameters
    ----------
    mask
        Boolean array (rows, samples).
    """
    rows, samples = mask.shape
    edges = np.empty((rows, samples + 1), dtype=bool)
    edges[:, 0] = mask[:, 0]
    np.not_equal(mask[:, 1:], mask[:, :-1], out=edges[:, 1:-1])
    edges[:, -1] = mask[:, -1]
    # A row has an even number of edges, so they pair up across the flattened array as well.
    flat = np.flatnonzero(edges)
    row, start = np.divmod(flat[0::2], samples + 1)
    return Runs(row, start, flat[1::2] - row * (samples + 1))


def samples_of(runs: Runs, samples: int) -> npt.NDArray[np.int64]:
    """Return the positions of all samples of the runs in the flattened (rows, samples) array."""
    length = runs.length
    first = runs.row * samples + runs.start
    passed = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(first - passed, length)


def row_blocks(rows: int, size: int = CACHE_ROWS) -> Iterator[slice]:
    """Cut `rows` rows into slices of at most `size`."""
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


def minutes_of(samples: int, sampling_hz: float, minutes: float) -> list[slice]:
    """Cut a window into periods of so many minutes; the last one may be shorter."""
    length = max(1, math.floor(minutes * 60 * sampling_hz + 0.5))
    return [slice(first, min(first + length, samples)) for first in range(0, samples, length)]


class RowFile:
    """An open ``.npy`` file that grows by rows; made by `row_file`."""

    def __init__(self, stream: IO[bytes], row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.rows = 0
        self._stream = stream
        self._row_shape = row_shape
        self._dtype = np.dtype(dtype)
        self._digest = hashlib.sha256()
        self._write_header()

    def append(self, block: npt.NDArray[Any]) -> None:
        """Write a block of rows, an array (rows, \\*row_shape) of the file's type."""
        if block.shape[1:] != self._row_shape or block.dtype != self._dtype:
            raise ValueError(
                f"rows of {block.dtype} {block.shape[1:]} do not fit a file of {self._dtype} "
                f"{self._row_shape}"
            )
        content = np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
        self._stream.write(content)
        self._digest.update(content)
        self.rows += len(block)

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal digits, of shape, type and all rows so far."""
        whole = self._digest.copy()
        whole.update(f"{self._dtype.str} {(self.rows, *self._row_shape)}".encode())
        return whole.hexdigest()

    def finish(self) -> None:
        """Put the final number of rows into the header."""
        self._stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis can grow without moving the data.
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._row_shape),
        }
        np.lib.format.write_array_header_1_0(self._stream, header)


@contextlib.contextmanager
def row_file(path: Path, row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> Iterator[RowFile]:
    """Open a ``.npy`` file for writing by rows; it appears under `path` when all are written.

    Parameters
    ----------
    path
        The file.
    row_shape
        Shape of one row; the file holds an array (rows, \\*row_shape).
    dtype
        Type of the array.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        rows = RowFile(stream, row_shape, dtype)
        yield rows
        rows.finish()
