"""How a simulated device turns light into a picture: speckle, noise, contrast, and margins.

Speckle is that of J. W. Goodman, Some fundamental properties of speckle, JOSA 66 (1976): the
intensity of a circular Gaussian field, here correlated over the device's point spread, so that its
contrast is 1; the mean of n pictures has contrast 1 / sqrt(n).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewcase.ingest.simulate.fields import Field, Shape
from fewcase.ingest.simulate.oct_picture import CONTRAST

LOOKS = 4
"""Independent speckles in the mean that a device's scans take pieces of."""

WIDEST = 1536 / 496
"""Of a scan, width by height."""


@dataclasses.dataclass(frozen=True, eq=False)
class Device:
    """The device of one site.

    Attributes
    ----------
    speckle, noise
        What scans take pieces of, periodic both ways and larger than they are: speckle of mean 1,
        noise of mean 0 and standard deviation 1.
    pieces
        How many pieces of speckle a scan is the mean of.
    strength
        Standard deviation of the detector's noise, in units of intensity.
    floor
        Intensity that is seen in the dark.
    blur
        Standard deviation of the point spread in depth, in pixels.
    contrast
        Grey levels to a factor of e.
    black
        Grey level taken off.
    fading
        Optical depth by which sensitivity falls from the top of a scan to its bottom.
    """

    speckle: Field
    noise: Field
    pieces: int
    strength: float
    floor: float
    blur: float
    contrast: float
    black: float
    fading: float


def draw_device(rng: np.random.Generator, shift: float, height: int = 496) -> Device:
    """Draw the device of a site; `shift` 0 makes all of one kind.

    Parameters
    ----------
    height
        Of its scans, in pixels.
    """
    pieces, noise, floor, wide, deep, contrast, black, fading = (
        shift * np.clip(rng.standard_normal(8), -2, 2)
    ).tolist()
    spread = (1.35 * math.exp(0.1 * deep), 0.9 * math.exp(0.12 * wide))
    # Coarser pixels are means of more of the light.
    coarse = math.sqrt(min(1.0, height / 496))
    shape = (int(1.3 * height), int(1.05 * WIDEST * height))
    return Device(
        draw_speckle(rng, shape, spread),
        draw_noise(rng, shape, (0.75, 0.5)),
        pieces=max(2, round(6 / coarse * math.exp(0.3 * pieces))),
        strength=0.32 * coarse * math.exp(0.2 * noise),
        floor=0.33 * math.exp(0.15 * floor),
        blur=0.7 * spread[0],
        contrast=CONTRAST * math.exp(0.06 * contrast),
        black=float(np.clip(1 + 3 * black, -4, 6)),
        fading=max(0.0, 0.3 + 0.2 * fading),
    )


def draw_speckle(
    rng: np.random.Generator, shape: Shape, spread: tuple[float, float], looks: int = LOOKS
) -> Field:
    """Return the mean of some fully developed speckles, of mean 1, periodic, float32 of a shape.

    It is correlated over as far as the field's point spread, whose standard deviation in pixels is
    `spread`.
    """
    total = np.zeros(shape, np.float32)
    for _ in range(2 * looks):
        total += draw_noise(rng, shape, spread) ** 2
    return total / total.mean()


def draw_noise(rng: np.random.Generator, shape: Shape, spread: tuple[float, float]) -> Field:
    """Return Gaussian noise that is smooth over `spread`, periodic, of standard deviation 1."""
    field = rng.standard_normal(shape, dtype=np.float32)
    ndimage.gaussian_filter(field, spread, output=field, mode="wrap", truncate=3)
    field /= field.std()
    return field


def pieces_of(tile: Field, shape: Shape, number: int, rng: np.random.Generator) -> Field:
    """Return the sum of pieces of a periodic tile, from places drawn at random.

    So no two scans have the same speckle.
    """
    total = np.zeros(shape, np.float32)
    for _ in range(number):
        row, column = (int(rng.integers(side)) for side in tile.shape)
        down, right = tile.shape[0] - row, tile.shape[1] - column
        total[:down, :right] += tile[row : row + shape[0], column : column + shape[1]]
        if down < shape[0]:
            total[down:, :right] += tile[: shape[0] - down, column : column + shape[1]]
        if right < shape[1]:
            total[:down, right:] += tile[row : row + shape[0], : shape[1] - right]
        if down < shape[0] and right < shape[1]:
            total[down:, right:] += tile[: shape[0] - down, : shape[1] - right]
    return total


def photograph(light: Field, device: Device, rng: np.random.Generator) -> Field:
    """Return the picture of a device, float32 (height, width) from 0 to 255.

    Parameters
    ----------
    light
        Intensity that reaches the device from each place, without speckle.
    """
    shape = (light.shape[0], light.shape[1])
    depth = np.linspace(0, device.fading, shape[0], dtype=np.float32)[:, None]
    seen: Field = light * np.exp(-depth)
    ndimage.gaussian_filter1d(seen, device.blur, axis=0, output=seen, truncate=3)
    speckle = pieces_of(device.speckle, shape, device.pieces, rng)
    speckle *= np.float32(1 / device.pieces)
    seen *= speckle
    noise = pieces_of(device.noise, shape, 2, rng)
    noise *= np.float32(device.strength / math.sqrt(2))
    seen += noise
    seen += np.float32(device.floor)
    np.maximum(seen, 0, out=seen)
    np.log1p(seen, out=seen)
    seen *= np.float32(device.contrast)
    seen -= np.float32(device.black)
    np.clip(seen, 0, 255, out=seen)
    return seen


def turn(
    picture: Field, lesion: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Field, npt.NDArray[np.bool_]]:
    """Turn and shift a picture and leave white what it does not fill, as in OCT2017."""
    angle = math.radians(float(np.clip(rng.normal(0, 2.5), -9, 9)))
    height, width = picture.shape
    shift = rng.uniform(-0.13, 0.13) * height
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]])
    # Drawn out along the scan, so that its ends stay within the picture's.
    matrix[:, 1] *= 1 / (1 + 1.1 * abs(sin) * height / width)
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = middle - matrix @ (middle + np.array([shift, 0]))
    turned = ndimage.affine_transform(picture, matrix, offset, order=1, cval=255.0)
    moved = ndimage.affine_transform(lesion.view(np.uint8), matrix, offset, order=0)
    return turned, moved > 0
