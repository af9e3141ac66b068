"""What an image shows to anyone who does not look at it: mean colour, histogram and border."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import write_table
from fewcase.data.image_store import ImageStore

BINS = 16
"""Bins of a channel's histogram, equally wide over 0 to 255."""

# At 224 pixels the border is 8 wide, at 28 it is 1: where scanners and editors leave their marks.
SIDES_PER_BORDER = 28
CHUNK_IMAGES = 256


def measure_pixels(
    images: npt.NDArray[np.uint8], histogram: bool = True
) -> dict[str, npt.NDArray[np.float32]]:
    """Return crude statistics of the pixels of each image.

    Parameters
    ----------
    images
        uint8 (n, channels, height, width).
    histogram
        Whether to count values by `BINS`; of a two-valued image they say what the mean says.

    Returns
    -------
    dict of float32 (n,)
        For each channel, by its number: ``mean_0``, 0 to 255; ``bin_0_0`` to ``bin_0_15``, square
        roots of shares of pixels, so that rare values weigh enough for a linear model; and the
        means of its border, ``top_0``, ``bottom_0``, ``left_0``, ``right_0``, each a strip 1/28 of
        the height or width deep, one pixel at least.
    """
    count, channels, height, width = images.shape
    deep, wide = max(1, height // SIDES_PER_BORDER), max(1, width // SIDES_PER_BORDER)
    columns = {}
    for channel in range(channels):
        part = images[:, channel]
        seen = np.zeros((count, 256), np.int64)
        for row, pixels in enumerate(part.reshape(count, -1)):
            seen[row] = np.bincount(pixels, minlength=256)
        columns[f"mean_{channel}"] = seen @ np.arange(256) / (height * width)
        if histogram:
            shares = seen.reshape(count, BINS, -1).sum(axis=2) / (height * width)
            roots = np.sqrt(shares)
            columns |= {f"bin_{channel}_{number}": roots[:, number] for number in range(BINS)}
        strips = {
            "top": part[:, :deep],
            "bottom": part[:, -deep:],
            "left": part[:, :, :wide],
            "right": part[:, :, -wide:],
        }
        columns |= {f"{side}_{channel}": strip.mean(axis=(1, 2)) for side, strip in strips.items()}
    return {name: values.astype(np.float32) for name, values in columns.items()}


def write_pixels(paths: Sequence[Path], out: Path) -> None:
    """Write the statistics of `measure_pixels` of all images of a store, keyed by row.

    Parameters
    ----------
    paths
        Channel files, see `fewcase.data.image_store.ImageStore.open`.
    out
        The table: row and the statistics. Two-valued images have no histogram.

    Raises
    ------
    InputError
        Where the images cannot be read.
    """
    store = ImageStore.open(paths)
    rows = np.arange(store.shape[0])
    parts = [
        pd.DataFrame(measure_pixels(store.read(chunk), histogram=not store.packed))
        for chunk in np.split(rows, range(CHUNK_IMAGES, len(rows), CHUNK_IMAGES))
    ]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "row", rows)
    write_table(out, table)
