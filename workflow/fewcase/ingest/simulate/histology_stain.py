"""From stain to picture: Beer-Lambert mixing of stain vectors, and what a scanner makes of it."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from fewcase.ingest.simulate.histology_fields import Field, smooth_noise

RUIFROK = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
"""Absorption of haematoxylin and eosin in red, green and blue.

A. C. Ruifrok, D. A. Johnston, Quantification of histochemical staining by color deconvolution,
Analytical and Quantitative Cytology and Histology 23, 2001.
"""

SCANNED = ((0.56, 0.72, 0.41), (0.22, 0.80, 0.56))
"""The same as scanners that see eosin redder record it."""


@dataclasses.dataclass(frozen=True)
class Staining:
    """How a laboratory stains, and its scanner sees.

    Attributes
    ----------
    vectors
        (2, 3): absorption of haematoxylin and eosin in red, green and blue, of length 1.
    strength
        (2,): what the densities of both are multiplied with.
    white
        (3,): the light without tissue, of 255.
    focus
        Standard deviation of blur, in pixels.
    noise
        Standard deviation of noise, in grey levels.
    quality
        Of JPEG compression.
    """

    vectors: npt.NDArray[np.float64]
    strength: npt.NDArray[np.float64]
    white: npt.NDArray[np.float64]
    focus: float
    noise: float
    quality: int


def site_staining(rng: np.random.Generator, shift: float) -> Staining:
    """Draw how a site stains; `shift` scales how far sites are apart, 0 makes them alike."""
    between = np.clip(0.55 + 0.45 * shift * rng.uniform(-1, 1), 0, 1.2)
    vectors = (1 - between) * np.array(RUIFROK) + between * np.array(SCANNED)
    vectors = np.maximum(vectors + 0.04 * shift * rng.standard_normal((2, 3)), 0.02)
    return Staining(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        np.array([1.25, 0.95]) * np.exp(0.18 * shift * rng.standard_normal(2)),
        np.clip(245 + 4 * shift * rng.standard_normal(3), 225, 255),
        focus=float(np.clip(0.55 + 0.25 * shift * rng.uniform(-1, 1), 0, 1.5)),
        noise=float(np.clip(2.0 + 1.2 * shift * rng.uniform(-1, 1), 0.2, 8)),
        quality=int(np.clip(round(86 + 8 * shift * rng.uniform(-1, 1)), 50, 97)),
    )


def patient_staining(site: Staining, rng: np.random.Generator, shift: float) -> Staining:
    """Draw how one patient's slide came out at a site."""
    vectors = np.maximum(site.vectors + 0.025 * shift * rng.standard_normal((2, 3)), 0.02)
    return dataclasses.replace(
        site,
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        strength=site.strength * np.exp(0.16 * shift * rng.standard_normal(2)),
    )


def photograph(
    haematoxylin: Field, eosin: Field, staining: Staining, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return the picture of stained tissue, uint8 (height, width, 3).

    Light of a colour passes in proportion to exp(-(density of haematoxylin × its absorption +
    density of eosin × its absorption)); then follow blur, noise and JPEG compression.
    """
    # A section is thicker here and thinner there, and some images are out of focus.
    section = float(np.exp(0.07 * rng.standard_normal()))
    thickness = section * (1 + 0.05 * smooth_noise(rng, eosin.shape, 150))
    focus = staining.focus * (1 + rng.gamma(0.5, 0.4))
    both = np.stack([haematoxylin, eosin]) * thickness
    if focus > 0.2:
        both = ndimage.gaussian_filter(both, (0, focus, focus), truncate=3.0)
    absorption = -(staining.strength[:, None] * staining.vectors).astype(np.float32)
    light = np.exp(np.einsum("shw,sc->hwc", both, absorption))
    light *= staining.white.astype(np.float32)
    light += np.float32(staining.noise) * rng.standard_normal(light.shape, dtype=np.float32)
    picture = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=staining.quality)
    return np.asarray(Image.open(stream))
