"""Images of all examples, one file per channel, read by row as one array."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewcase.data.files import read_json
from fewcase.study.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImageStore:
    """Channel files, memory-mapped, as one array of images.

    Attributes
    ----------
    shape
        Images, channels, height, width.
    packed
        Whether the images are two-valued and stored eight pixels to the byte.
    """

    shape: tuple[int, int, int, int]
    packed: bool
    _parts: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def open(cls, paths: Sequence[Path]) -> ImageStore:
        """Open channel files, in the order in which they become channels.

        Parameters
        ----------
        paths
            ``.npy`` files of uint8, each with a sidecar of the same name and suffix ``.hash``
            that gives ``shape`` and ``packed``. A packed file is (n, H, W // 8), the highest bit
            first, bit 1 white and bit 0 black; an unpacked one is (n, H, W) or (n, C, H, W).

        Raises
        ------
        InputError
            Where a file is missing, torn, or does not fit its sidecar or the other files.
        """
        if not paths:
            raise InputError("An image store needs at least one channel file; none was given.")
        opened = [_open_channels(Path(path)) for path in paths]
        first, packed = opened[0]
        for path, (part, part_packed) in zip(paths, opened, strict=True):
            same_size = (part.shape[0], *part.shape[2:]) == (first.shape[0], *first.shape[2:])
            if not same_size or part_packed != packed:
                raise InputError(
                    f"{path}: images of {_describe(part, part_packed)} do not go with those of "
                    f"{paths[0]}, {_describe(first, packed)}. Render both again."
                )
        rows, _, height, width = first.shape
        channels = sum(part.shape[1] for part, _ in opened)
        return cls(
            shape=(rows, channels, height, width * 8 if packed else width),
            packed=packed,
            _parts=tuple(part for part, _ in opened),
        )

    def read(self, rows: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return images as uint8 (len(rows), C, H, W), 255 for white and 0 for black."""
        stored = self._gather(rows)
        if not self.packed:
            return stored
        # A bit of 1 becomes 255: unsigned negation wraps around.
        return np.negative(np.unpackbits(stored, axis=-1))

    def read_packed(self, rows: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return two-valued images as uint8 (len(rows), C, H, W // 8), highest bit first."""
        if not self.packed:
            raise ValueError("read_packed: these images are not two-valued; use read.")
        return self._gather(rows)

    def _gather(self, rows: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        index = np.asarray(rows, dtype=np.int64).reshape(-1)
        if index.size and (index.min() < 0 or index.max() >= self.shape[0]):
            raise IndexError(
                f"Rows {index.min()} to {index.max()} were asked of {self.shape[0]} images."
            )
        return np.concatenate([np.asarray(part[index]) for part in self._parts], axis=1)


def _open_channels(path: Path) -> tuple[npt.NDArray[np.uint8], bool]:
    """Map one file as (n, C, H, W or W // 8) and tell whether it is packed."""
    sidecar = path.with_suffix(".hash")
    info = read_json(sidecar)
    try:
        shape, packed = [int(length) for length in info["shape"]], bool(info["packed"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{sidecar}: expected the keys shape and packed, found {info!r}. "
            "Delete it and render again."
        ) from None
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that makes it.") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: torn or not an array ({error}). Render again.") from None
    expected = tuple([*shape[:-1], shape[-1] // 8] if packed else shape)
    if images.dtype != np.uint8 or images.shape != expected or images.ndim not in (3, 4):
        raise InputError(
            f"{path}: holds {images.dtype} {images.shape}, but {sidecar.name} says uint8 "
            f"{expected}. Delete both and render again."
        )
    return (images[:, None] if images.ndim == 3 else images), packed


def _describe(part: npt.NDArray[np.uint8], packed: bool) -> str:
    rows, _, height, width = part.shape
    kind = "two-valued" if packed else "grey"
    return f"{rows} × {height} × {width * 8 if packed else width} ({kind})"
