"""How close images come to others, in feature space and pixel by pixel at low resolution."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from fewcase.quality.arithmetic import Features
from fewcase.quality.neighbours import Neighbours, apart, nearest

SMALL = 32
"""Height and width at which pixels are compared."""

FLAT_LEVELS = 2.0
"""Images whose grey levels scatter less than this are flat: their noise is not blown up."""

TURNS = 8
"""Orientations of an image: mirrored or not, turned by quarters."""

#: Neighbours of a training image that are looked through for one of another patient.
_DEPTH = 8
_NUMBERS_AT_ONCE = 1 << 24

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """What is known of images to tell how close they are to others.

    Attributes
    ----------
    features
        (n, d).
    small
        float32 (n, `SMALL`, `SMALL`), see `shrink`.
    rows
        (n,) int64: what tables call the images, such as rows of the image store; by default their
        places.
    patients
        (n,) of any type: whose images they are; by default each has a patient of its own.
    """

    features: Features
    small: npt.NDArray[np.float32]
    rows: Integers | None = None
    patients: npt.NDArray | None = None

    def __post_init__(self) -> None:
        for name in ("small", "rows", "patients"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.features):
                raise ValueError(f"{len(self.features)} features, but {len(value)} of {name}")

    def __len__(self) -> int:
        return len(self.features)

    def names(self, places: Integers) -> Integers:
        """Return what tables call the images at some places."""
        return places if self.rows is None else np.asarray(self.rows)[places]

    def patient_codes(self) -> Integers:
        """Return a number for the patient of each image."""
        if self.patients is None:
            return np.arange(len(self))
        return np.unique(np.asarray(self.patients), return_inverse=True)[1].astype(np.int64)


def shrink(images: npt.NDArray[np.uint8], device: str = "cpu") -> npt.NDArray[np.float32]:
    """Return images at low resolution, such that distances are those of correlations.

    Channels are averaged, sizes reduced by an antialiased filter, the mean is taken away, and what
    remains is scaled to length 1: the squared distance of two images is twice 1 less their
    correlation, whatever their brightness and contrast. Flat images stay shorter (`FLAT_LEVELS`).

    Parameters
    ----------
    images
        uint8 (n, C, H, W), may be mapped from a file.
    device
        As torch names it.

    Returns
    -------
    numpy.ndarray
        float32 (n, `SMALL`, `SMALL`).
    """
    parts = [np.zeros((0, SMALL, SMALL), np.float32)]
    step = max(1, _NUMBERS_AT_ONCE // max(int(np.prod(images.shape[1:])), 1))
    for start in range(0, len(images), step):
        batch = torch.from_numpy(np.array(images[start : start + step])).to(device)
        grey = batch.float().mean(dim=1, keepdim=True)
        small = F.interpolate(grey, (SMALL, SMALL), mode="bilinear", antialias=True)[:, 0]
        small = small - small.mean(dim=(1, 2), keepdim=True)
        length = small.square().sum(dim=(1, 2), keepdim=True).sqrt()
        parts.append((small / length.clamp(min=FLAT_LEVELS * SMALL)).cpu().numpy())
    return np.concatenate(parts)


@dataclasses.dataclass(frozen=True)
class Space:
    """A set of images as points, in each orientation in which they are looked for.

    Attributes
    ----------
    points
        (n, d).
    turned
        The same images in other orientations, each (n, d); none in feature space.
    """

    points: Features
    turned: Sequence[Features] = ()


def feature_space(images: ImageSet) -> Space:
    """Return images as points in feature space, as they stand."""
    return Space(images.features)


def pixel_space(images: ImageSet) -> Space:
    """Return images as points of all pixels at low resolution, in all `TURNS` orientations."""
    turned = [
        np.ascontiguousarray(np.rot90(start, turn, axes=(1, 2))).reshape(len(images), SMALL * SMALL)
        for start in (images.small, images.small[:, :, ::-1])
        for turn in range(4)
    ]
    return Space(turned[0], turned[1:])


def closest(
    queries: Space,
    points: Space,
    k: int,
    device: str,
    groups: tuple[Integers, Integers] | None = None,
) -> Neighbours:
    """Return the k nearest points of each orientation of each query, the nearest of all first.

    A point may be named several times, for several orientations.
    """
    found = [
        nearest(images, points.points, k, groups=groups, device=device)
        for images in (queries.points, *queries.turned)
    ]
    distances = np.concatenate([each.distances for each in found], axis=1)
    rows = np.concatenate([each.rows for each in found], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Neighbours(
        np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)
    )


@dataclasses.dataclass(frozen=True)
class Familiar:
    """Real images, and how close each comes to the others.

    Attributes
    ----------
    space
        The images.
    neighbours
        The nearest other images of each.
    patients
        (n,) int64: number of the patient of each.
    """

    space: Space
    neighbours: Neighbours
    patients: Integers

    @property
    def is_repeated(self) -> bool:
        """Whether some patient has several images."""
        return len(np.unique(self.patients)) < len(self.patients)


def familiar(space: Space, patients: Integers, device: str) -> Familiar:
    """Find the nearest other images of each image, enough to leave out those of a patient."""
    depth = 2 if len(np.unique(patients)) == len(patients) else _DEPTH
    groups = apart(len(patients))
    return Familiar(space, closest(space, space, depth, device, groups), patients)


def approach(queries: Space, real: Familiar, device: str) -> tuple[Float64, Integers, Float64]:
    """Return how close each query comes to real images.

    Returns
    -------
    distances
        (n,) to the nearest real image.
    rows
        (n,) which that is.
    ratios
        (n,) the distance over that of the real image to its own nearest other one: near 0 for
        copies, about 1 for images of the same distribution.
    """
    found = closest(queries, real.space, 1, device)
    distances, rows = found.distances[:, 0], found.rows[:, 0]
    return distances, rows, _ratio(distances, real.neighbours.distances[rows, 0])


def approach_each_other(real: Familiar, device: str) -> tuple[Float64, Float64]:
    """Return how close each real image comes to the others, had its patient not been there.

    Returns
    -------
    distances
        (n,) to the nearest image of another patient; infinite where there is none.
    ratios
        (n,) as of `approach`; NaN where all neighbours that are known are the patient's.
    """
    found = real.neighbours
    if real.is_repeated:
        found = closest(real.space, real.space, 1, device, (real.patients, real.patients))
    distances, rows = found.distances[:, 0], found.rows[:, 0]
    theirs = real.neighbours.rows[rows]
    strange = (real.patients[theirs] != real.patients[:, None]) & (theirs >= 0)
    strange &= (rows >= 0)[:, None]
    first = strange.argmax(axis=1)
    own = np.where(strange.any(axis=1), real.neighbours.distances[rows, first], np.nan)
    return distances, _ratio(distances, own)


def _ratio(distances: Float64, own: Float64) -> Float64:
    """Return distances over others; a copy of an image that has a copy comes as close as can be."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = distances / own
    return np.where((distances == 0) & (own == 0), 0.0, ratios)
