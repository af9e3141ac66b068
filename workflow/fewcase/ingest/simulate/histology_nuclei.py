"""Cell nuclei: their shapes, chromatin and nucleoli, and where they lie."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewcase.ingest.simulate.histology_fields import Field, Shape

ANGLES = 12
"""Directions in which a nucleus is drawn, over half a turn."""

VARIANTS = 3
"""Nuclei that are drawn for each direction."""


@dataclasses.dataclass(frozen=True)
class NucleusKind:
    """What nuclei of one kind of cell look like; lengths in µm, the rest without a unit.

    Attributes
    ----------
    length, width
        Of the ellipse that they are about.
    variation
        Standard deviation of the logarithm of their size.
    irregularity
        How far their outline leaves the ellipse, as a share of the radius.
    density
        Optical density of haematoxylin inside.
    vesicular
        How much paler the middle is than the rim, 0 to 1.
    chromatin
        How coarse the chromatin is: standard deviation of density, as a share of it.
    nucleoli
        Mean number of dark nucleoli.
    """

    length: float
    width: float
    variation: float = 0.12
    irregularity: float = 0.06
    density: float = 1.0
    vesicular: float = 0.2
    chromatin: float = 0.15
    nucleoli: float = 0.0


LYMPHOCYTE = NucleusKind(6.4, 5.8, 0.10, 0.05, 1.35, 0.1, 0.14)
PLASMA_CELL = NucleusKind(6.6, 6.0, 0.10, 0.05, 1.15, 0.25, 0.22)
FIBROBLAST = NucleusKind(14.0, 3.2, 0.2, 0.1, 0.95, 0.1, 0.12)
MUSCLE_CELL = NucleusKind(18.0, 3.0, 0.18, 0.05, 0.75, 0.15, 0.1)
ENDOTHELIUM = NucleusKind(10.0, 2.6, 0.12, 0.05, 1.1, 0.1, 0.12)
EPITHELIUM = NucleusKind(8.2, 5.2, 0.10, 0.04, 0.95, 0.3, 0.13, 0.3)
COLUMNAR = NucleusKind(13.0, 4.4, 0.14, 0.06, 1.1, 0.15, 0.13, 0.1)
TUMOUR = NucleusKind(11.5, 8.4, 0.22, 0.12, 0.8, 0.5, 0.18, 1.2)
LOW_GRADE = NucleusKind(8.8, 7.8, 0.1, 0.05, 0.85, 0.35, 0.14, 0.6)
FRAGMENT = NucleusKind(2.6, 2.2, 0.35, 0.2, 1.5, 0.0, 0.1)


@dataclasses.dataclass(frozen=True)
class Stamps:
    """Nuclei of one kind, drawn in all directions.

    Attributes
    ----------
    cover
        float32 (ANGLES, VARIANTS, side, side): how much of each pixel a nucleus covers.
    density
        The same shape: haematoxylin inside.
    """

    cover: npt.NDArray[np.float32]
    density: npt.NDArray[np.float32]


def draw_stamps(rng: np.random.Generator, kind: NucleusKind, microns_per_pixel: float) -> Stamps:
    """Draw nuclei of one kind in `ANGLES` directions."""
    shape = (ANGLES, VARIANTS)
    size = np.exp(np.float32(kind.variation) * rng.standard_normal((3, *shape), np.float32))
    long, wide = (
        np.float32(0.5 * of / microns_per_pixel) * size[0] * np.sqrt(own)
        for of, own in ((kind.length, size[1]), (kind.width, size[2]))
    )
    reach = math.ceil(1.15 * (1 + 2 * kind.irregularity) * max(long.max(), wide.max()))
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    angle = np.arange(ANGLES, dtype=np.float32)[:, None, None, None] * np.float32(math.pi / ANGLES)
    along = offset[None] * np.cos(angle) + offset[:, None] * np.sin(angle)
    across = offset[:, None] * np.cos(angle) - offset[None] * np.sin(angle)
    radius = np.hypot(along / long[..., None, None], across / wide[..., None, None])
    around = np.arctan2(across, along)
    for waves in (2, 3, 5):
        each = (*shape, 1, 1)
        swing = np.float32(2 * kind.irregularity / waves) * rng.standard_normal(each, np.float32)
        phase = np.float32(2 * math.pi) * rng.random(each, np.float32)
        radius = radius / (1 + swing * np.cos(waves * around + phase))
    softness = 0.9 / np.minimum(long, wide)[..., None, None]
    cover = np.clip((1 - radius) / softness + 0.5, 0, 1)
    return Stamps(cover, kind.density * _inside(rng, kind, radius, microns_per_pixel))


def _inside(
    rng: np.random.Generator,
    kind: NucleusKind,
    radius: npt.NDArray[np.float32],
    microns_per_pixel: float,
) -> npt.NDArray[np.float32]:
    """Density inside of nuclei, relative to their mean: a dark rim, coarse chromatin, nucleoli."""
    grain = 0.6 / microns_per_pixel
    texture = ndimage.gaussian_filter(
        rng.standard_normal(radius.shape, np.float32), (0, 0, grain, grain), mode="wrap"
    )
    texture /= texture.std()
    rim = np.clip(radius, 0, 1) ** 4
    inside = 1 - kind.vesicular * (0.75 - 1.1 * rim) + kind.chromatin * texture
    side = radius.shape[-1]
    offset = np.arange(side, dtype=np.float32) - side // 2
    number = rng.poisson(kind.nucleoli, radius.shape[:2])
    spot = 0.9 / microns_per_pixel
    for of in range(2):
        y, x = rng.normal(0, 1.1 / microns_per_pixel, (2, *radius.shape[:2], 1, 1)).astype(
            np.float32
        )
        distance = (offset[:, None] - y) ** 2 + (offset - x) ** 2
        there = (number > of).astype(np.float32)[..., None, None]
        inside = inside + there * (0.9 * np.exp(-distance / (2 * spot**2)))
    return np.maximum(inside, 0.1)


def scatter(
    rng: np.random.Generator,
    shape: Shape,
    spacing: float,
    *,
    jitter: float = 0.35,
    chance: Field | float = 1.0,
) -> npt.NDArray[np.float64]:
    """Return places (n, 2) of rows and columns, about `spacing` pixels apart, in random order.

    A hexagonal lattice whose points are displaced; each is kept by chance, which may depend on the
    place: a field (height, width) of probabilities.
    """
    rise = spacing * math.sqrt(3) / 2
    rows = np.arange(-1, int(shape[0] / rise) + 2)
    columns = np.arange(-1, int(shape[1] / spacing) + 2)
    y, x = np.meshgrid(rows * rise, columns * spacing, indexing="ij")
    x = x + (rows % 2)[:, None] * spacing / 2
    places = np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(0, spacing, 2)
    places = places + rng.normal(0, jitter * spacing / 2, places.shape)
    luck = rng.random(len(places))
    if isinstance(chance, np.ndarray):
        at = np.clip(places.astype(np.int64), 0, np.array(shape) - 1)
        chance = chance[at[:, 0], at[:, 1]]
    kept = places[luck < chance]
    return kept[rng.permutation(len(kept))]


def stamp(
    haematoxylin: Field,
    eosin: Field,
    stamps: Stamps,
    places: npt.NDArray[np.floating[Any]],
    rng: np.random.Generator,
    *,
    angles: npt.NDArray[np.floating[Any]] | float | None = None,
    spread: float = 0.0,
    paleness: float = 0.35,
    eosin_inside: float = 0.35,
) -> None:
    """Lay nuclei onto the two stains, in place.

    Parameters
    ----------
    haematoxylin, eosin
        Densities, (height, width).
    stamps
        What to choose from.
    places
        Rows and columns of centres, (n, 2); those beyond the picture are cut off.
    angles
        Directions in radians, one for all or one each; None takes any.
    spread
        Standard deviation of directions, in radians.
    paleness
        Nuclei out of focus are so much paler, at most.
    eosin_inside
        What is left of eosin where a nucleus is.
    """
    number = len(places)
    if angles is None:
        turned = rng.integers(0, ANGLES, number)
    else:
        wanted = angles + spread * rng.standard_normal(number)
        turned = np.round(wanted * ANGLES / math.pi).astype(np.int64) % ANGLES
    variant = rng.integers(0, VARIANTS, number)
    strength = 1 - paleness * rng.random(number, dtype=np.float32) ** 2
    height, width = haematoxylin.shape
    reach = stamps.cover.shape[-1] // 2
    corners = np.round(places).astype(np.int64) - reach
    side = 2 * reach + 1
    # Plain numbers go through the loop faster than those of NumPy.
    listed = (array.tolist() for array in (corners, turned, variant, strength))
    for (top, left), turn, which, strong in zip(*listed, strict=True):
        bottom, right = min(top + side, height), min(left + side, width)
        first, start = max(-top, 0), max(-left, 0)
        if top + first >= bottom or left + start >= right:
            continue
        there = (slice(top + first, bottom), slice(left + start, right))
        of = (slice(first, bottom - top), slice(start, right - left))
        cover = stamps.cover[turn, which][of] * strong
        haematoxylin[there] += cover * (stamps.density[turn, which][of] - haematoxylin[there])
        eosin[there] *= 1 - (1 - eosin_inside) * cover
