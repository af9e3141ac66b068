"""Prepare the masks of all examples in the geometry of their images, and store them beside."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fewcase.data.files import atomic_path, write_digest
from fewcase.data.image_files import ImageFileError, Pixels
from fewcase.data.parallel import map_in_order
from fewcase.data.region_masks import Inside, fill_polygons, read_mask
from fewcase.images.area import box_of
from fewcase.images.prepare import fit_picture
from fewcase.images.resize import shares_covered
from fewcase.signal.rows import row_file
from fewcase.study.errors import InputError
from fewcase.study.preparation import PrepareOptions

logger = logging.getLogger(__name__)


def mask_file(images: Path) -> Path:
    """Return the file of the masks that go with a file of images: ``…-mask.npy`` beside it."""
    return images.with_name(f"{images.stem}-mask{images.suffix}")


def has_masks(records: pd.DataFrame) -> bool:
    """Return whether records come with masks."""
    return "masks" in records


def prepare_masks(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    data: Path,
    options: PrepareOptions,
    out: Path,
    *,
    threads: int = 1,
) -> None:
    """Store the masks of all examples as uint8 (n, 1, size, size), row i being example row i.

    255 where at least half of a pixel is inside, else 0; padding is outside. Writes `out` and
    beside it, suffix ``.hash``, its shape and digest. Parameters are as those of
    `fewcase.images.prepare.prepare_images`.

    Raises
    ------
    InputError
        Where a file is no longer what it was, or examples are not whole images.
    """
    if "extent" in examples:
        raise InputError("examples: they are tiles, but masks belong to whole images.")
    rows = records.set_index("record")

    def prepare(parent: str) -> Pixels:
        return prepare_mask(rows.loc[parent], data, options)[None]

    shape = (1, options.size, options.size)
    empty = 0
    # The sidecar, which later stages wait for, appears after the file.
    with atomic_path(out.with_suffix(".hash")) as sidecar:
        with row_file(out, shape, np.uint8) as masks:
            for mask in map_in_order(prepare, examples["parent"].tolist(), threads):
                empty += not mask.any()
                masks.append(mask)
        whole = [masks.rows, *shape]
        write_digest(sidecar, {"content": masks.digest(), "shape": whole, "packed": False})
    logger.info("%d masks of %d × %d × %d, %d of them empty", *whole, empty)


def prepare_mask(record: Any, data: Path, options: PrepareOptions) -> Pixels:
    """Return the mask of one record as uint8 (1, size, size), 0 or 255."""
    left, top, right, bottom = box_of(record)
    inside = mask_of(record, data)[top:bottom, left:right]
    # Numbers, not bytes: steps that average must not round in between.
    shares = Image.fromarray(inside.astype(np.float32))
    fitted = fit_picture(shares, options, "F", fill=0, resize=_by_area)
    # Half is half in floating-point numbers as well.
    return np.where(np.asarray(fitted) >= 0.5 - 1e-4, np.uint8(255), np.uint8(0))[None]


def _by_area(shares: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return what share of each new pixel is inside; Pillow's box takes pixels whole or not."""
    across, down = shares_covered(shares.width, size[0]), shares_covered(shares.height, size[1])
    return Image.fromarray(down @ np.asarray(shares) @ across.T)


def mask_of(record: Any, data: Path) -> Inside:
    """Return the mask of a whole file, bool (height, width): all of its masks and outlines.

    Parameters
    ----------
    record
        A row of the records, with the columns masks, mask_values and outlines.
    data
        The study's data folder.

    Raises
    ------
    InputError
        Where a file is no longer what it was.
    """
    height, width = int(record["height"]), int(record["width"])
    inside = np.zeros((height, width), bool)
    values: Sequence[int | str] = json.loads(record.get("mask_values", "[]"))
    for name in json.loads(record["masks"]):
        try:
            mask = read_mask(data / name, values)
        except ImageFileError as error:
            raise InputError(
                f"{error.detail} It could be read at ingest: bring it back, or run ingest again."
            ) from None
        if mask.shape != inside.shape:
            raise InputError(
                f"{data / name}: {mask.shape[1]} × {mask.shape[0]} pixels, but {width} × {height} "
                "at ingest. Bring the file back, or run ingest again."
            )
        inside |= mask
    for polygon in fill_polygons(json.loads(record["outlines"]), height, width):
        inside |= polygon
    return inside
