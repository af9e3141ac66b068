"""Prepare the images of all examples: regions cut out, cropped, brought to one size and stored."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fewcase.data.files import atomic_path, write_digest
from fewcase.data.image_files import Pixels
from fewcase.data.parallel import map_in_order
from fewcase.images.area import area_of
from fewcase.images.regions import Regions, open_regions
from fewcase.signal.rows import row_blocks, row_file
from fewcase.study.errors import InputError
from fewcase.study.preparation import PrepareOptions

BLOCK_EXAMPLES = 64
"""Examples of one record that are prepared at once."""

logger = logging.getLogger(__name__)


def prepare_images(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    data: Path,
    options: PrepareOptions,
    out: Path,
    *,
    threads: int = 1,
) -> None:
    """Store the images of all examples as uint8 (n, C, size, size), row i being example row i.

    Of records that name an image area, that alone is taken (see `fewcase.images.area`). Writes
    `out` and beside it, suffix ``.hash``, its shape and digest. C is 1 if all images are
    grey, or `options.grey` makes them so, and 3 otherwise. Each file is opened once for all of
    its examples; a few of them are in memory at once.

    Parameters
    ----------
    records
        As `fewcase.data.image_records.read_image_records` returns them.
    examples
        As the tile stage writes them: whole images, or tiles with x, y and extent.
    data
        The study's data folder, which paths are relative to.
    options
        Size, crop, colours.
    out
        The ``.npy`` file.
    threads
        The file is the same for any number.

    Raises
    ------
    InputError
        Where the two tables do not belong together, or a file is no longer what it was.
    """
    _check(records, examples)
    used = records["record"].isin(examples["parent"])
    grey = options.grey or bool((records.loc[used, "channels"] == 1).all())
    blocks = _blocks(records.set_index("record"), examples, data, options)
    shape = (1 if grey else 3, options.size, options.size)

    def prepare(block: _Block) -> Pixels:
        image = block.file.enter()
        try:
            pictures = [prepare_one(image, example, options, grey) for example in block.examples]
        finally:
            block.file.leave()
        return np.stack(pictures)

    out = Path(out)
    # The sidecar, which later stages wait for, appears after the file.
    with atomic_path(out.with_suffix(".hash")) as sidecar:
        with row_file(out, shape, np.uint8) as images:
            for pictures in map_in_order(prepare, blocks, threads):
                images.append(pictures)
        whole = [images.rows, *shape]
        write_digest(sidecar, {"content": images.digest(), "shape": whole, "packed": False})
    logger.info("%d images of %d × %d × %d", *whole)


def prepare_one(image: Regions, example: Any, options: PrepareOptions, grey: bool) -> Pixels:
    """Return one example as uint8 (1 or 3, size, size).

    The region is read and fitted, see `fit_picture`.
    """
    extent = getattr(example, "extent", None)
    if extent is None:
        pixels = image.read(0, 0, image.width, image.height)
    else:
        pixels = image.read(example.x, example.y, extent, extent, extent / options.size)
    mode = "L" if grey else "RGB"
    picture = as_picture(pixels)
    prepared = np.asarray(fit_picture(picture, options, mode, fill=options.fill, resize=_lanczos))
    return prepared[None] if grey else np.moveaxis(prepared, -1, 0)


def _lanczos(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture.resize(size, Image.Resampling.LANCZOS)


def fit_picture(
    picture: Image.Image,
    options: PrepareOptions,
    mode: str,
    *,
    fill: int,
    resize: Callable[[Image.Image, tuple[int, int]], Image.Image],
) -> Image.Image:
    """Crop a picture about its centre, bring it to its proportions, make it square, and resize it.

    Parameters
    ----------
    picture, options
        What, and how.
    mode
        Kind of pixels, as Pillow calls it, that the picture gets before it is resized.
    fill
        Level of what is padded.
    resize
        Brings a picture to a width and height.
    """
    if options.crop is not None:
        picture = _about_centre(picture, (options.crop, options.crop), fill)
    if options.width_factor != 1:
        width = max(round(picture.width * options.width_factor), 1)
        picture = resize(picture, (width, picture.height))
    if options.fit == "pad" and picture.width != picture.height:
        side = max(picture.size)
        picture = _about_centre(picture, (side, side), fill)
    picture = picture.convert(mode)
    if picture.size != (options.size, options.size):
        picture = resize(picture, (options.size, options.size))
    return picture


def as_picture(pixels: Pixels) -> Image.Image:
    """Return pixels (height, width, 1 or 3) as an image of Pillow."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _about_centre(picture: Image.Image, size: tuple[int, int], fill: int) -> Image.Image:
    """Cut out the centre of a picture; where it is smaller, pad it all around.

    Of an odd number of pixels too many or too few, one more is at the right and the bottom.
    """
    left = (picture.width - size[0]) // 2 if picture.width >= size[0] else 0
    top = (picture.height - size[1]) // 2 if picture.height >= size[1] else 0
    inside = picture.crop(
        (left, top, min(left + size[0], picture.width), min(top + size[1], picture.height))
    )
    if inside.size == size:
        return inside
    canvas = Image.new(picture.mode, size, (fill,) * len(picture.getbands()))
    canvas.paste(inside, ((size[0] - inside.width) // 2, (size[1] - inside.height) // 2))
    return canvas


def _check(records: pd.DataFrame, examples: pd.DataFrame) -> None:
    unknown = examples["parent"][~examples["parent"].isin(records["record"])]
    if len(unknown):
        raise InputError(
            f"examples: no record {unknown.iloc[0]!r}; the tables are of different runs. Run the "
            "tile stage again."
        )
    if not np.array_equal(examples["row"], np.arange(len(examples))):
        raise InputError("examples: rows are not numbered 0, 1, 2 …. Run the tile stage again.")


class _SharedFile:
    """A file that is opened for the first of its blocks and closed after the last."""

    def __init__(self, path: Path, record: Any, bits: int, blocks: int) -> None:
        self._path = path
        self._record = record
        self._bits = bits
        self._left = blocks
        self._lock = threading.Lock()
        self._image: Regions | None = None

    def enter(self) -> Regions:
        """Return the open file; others wait while it is being opened."""
        with self._lock:
            if self._image is None:
                size = (int(self._record.width), int(self._record.height))
                frame = int(self._record.get("frame", 0))
                file_type = self._record.file_type
                image = open_regions(self._path, file_type, size, self._bits, frame)
                self._image = area_of(self._record, image)
            return self._image

    def leave(self) -> None:
        """Close the file if this was its last block."""
        with self._lock:
            self._left -= 1
            if self._left == 0 and self._image is not None:
                self._image.close()
                self._image = None


@dataclasses.dataclass(frozen=True)
class _Block:
    """Some examples of one file."""

    file: _SharedFile
    examples: list[Any]


def _blocks(
    records: pd.DataFrame, examples: pd.DataFrame, data: Path, options: PrepareOptions
) -> Iterator[_Block]:
    """Yield the examples in their order, in blocks of one file each."""
    for parent, group in itertools.groupby(
        examples.itertuples(index=False), key=lambda example: example.parent
    ):
        listed = list(group)
        record = records.loc[parent]
        parts = list(row_blocks(len(listed), BLOCK_EXAMPLES))
        file = _SharedFile(data / record["path"], record, options.bits, len(parts))
        for part in parts:
            yield _Block(file, listed[part])
