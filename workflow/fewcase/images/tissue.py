"""How much of each tile is tissue and not glass: the share of pixels that stain dims enough."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.data.image_files import WHITE, Pixels
from fewcase.images.grid import TileGrid
from fewcase.images.regions import Regions

CELLS = 16
"""On a slide, tissue is looked for at a level that has so many pixels across a tile or more."""


def optical_density(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the optical density of pixels (…, channels), the mean over channels, as float32 (…).

    The natural logarithm of 255 over the value, values of 0 counting as 1.
    """
    values = np.arange(256, dtype=np.float64)
    densities = np.log(WHITE / np.maximum(values, 1)).astype(np.float32)
    mean: npt.NDArray[np.float32] = densities[pixels].mean(axis=-1, dtype=np.float32)
    return mean


def tissue_shares(image: Regions, grid: TileGrid, least_density: float) -> npt.NDArray[np.float64]:
    """Return the share of tissue in every tile, float64 (tiles,); beyond the image is none.

    A pixel is tissue if its optical density is at least `least_density`, by which Macenko et al.
    (A method for normalizing histology slides for quantitative analysis, ISBI 2009) leave out
    what is almost transparent. One row of tiles is read at a time.
    """
    shares = np.empty(len(grid.x))
    for top in np.unique(grid.y):
        of_row = grid.y == top
        band = image.read(*(0, int(top), image.width, grid.extent), downsample=grid.extent / CELLS)
        tissue = optical_density(band) >= least_density
        shares[of_row] = column_shares(tissue, grid.x[of_row], grid.extent, image.width)
    return shares


def column_shares(
    mask: npt.NDArray[np.bool_], x: npt.NDArray[np.int64], extent: int, width: int
) -> npt.NDArray[np.float64]:
    """Return the share of a band's mask in each of the tiles that begin at `x`.

    Parameters
    ----------
    mask
        bool (rows, columns): the band, as wide as the image and as high as a tile, in any
        resolution.
    x
        Left edges of tiles, in pixels of level 0.
    extent, width
        Of a tile and of the image, in pixels of level 0.
    """
    rows, columns = mask.shape
    scale = columns / width
    sums = np.concatenate([[0], np.cumsum(mask.sum(axis=0))])
    first = np.round(x * scale).astype(np.int64)
    across = max(1, round(extent * scale))
    last = np.minimum(first + across, columns)
    counts: npt.NDArray[np.int64] = sums[last] - sums[np.minimum(first, columns)]
    return counts / (rows * across)
