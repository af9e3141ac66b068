"""What the sound of a simulated scan meets: echoes, attenuation and smooth surfaces, by sample."""

from __future__ import annotations

import math

import numpy as np

from fewcase.ingest.simulate.fields import Field, smooth_field
from fewcase.ingest.simulate.ultrasound_scanner import DECIBEL
from fewcase.ingest.simulate.ultrasound_sector import Beams, Places

SOFT = 0.7
"""Width of the edges of things, in mm."""

FINEST_LATTICE = 0.6
"""Distance of the numbers that textures are made of is never less, in mm or pixels."""

VOID = -42.0
"""Level of fluid, in dB against normal liver."""


class Body:
    """The tissue in front of the probe.

    Attributes
    ----------
    echo
        Level of what scatters, in dB against normal liver, (samples, beams).
    loss
        Attenuation in dB per cm and MHz, (samples, beams).
    steady
        Amplitude that smooth surfaces give back, against that of normal liver, (samples, beams).
    """

    def __init__(self, beams: Beams, rng: np.random.Generator) -> None:
        self.beams = beams
        self.rng = rng
        self.echo: Field = np.zeros(beams.shape, np.float32)
        self.loss: Field = np.full(beams.shape, np.float32(0.5))
        self.steady: Field = np.zeros(beams.shape, np.float32)
        self._places: dict[float, tuple[Places, tuple[int, int]]] = {}

    def texture(self, spacing: float) -> Field:
        """Return a field of mean 0 and standard deviation 1, alike in all directions.

        Parameters
        ----------
        spacing
            Mean distance between its zeros along a line, in mm.
        """
        # By Rice's formula, for a covariance exp(-d² / (4 deviation²)).
        deviation = spacing / (math.pi * math.sqrt(2))
        finest = FINEST_LATTICE * max(1.0, self.beams.sector.scale)
        coarser = max(0, math.floor(math.log2(deviation / 1.2 / finest)))
        step = finest * 2**coarser
        places, shape = self._lattice(step)
        period = 3 * deviation / step
        return places.read(smooth_field(self.rng, shape, (period, period)))

    def _lattice(self, step: float) -> tuple[Places, tuple[int, int]]:
        """Return the places of samples on a lattice of the given distance, and its shape."""
        if step not in self._places:
            beams = self.beams
            low = float(beams.z.min()), float(beams.x.min())
            high = float(beams.z.max()), float(beams.x.max())
            shape = tuple(math.ceil((b - a) / step) + 2 for a, b in zip(low, high, strict=True))
            rows = (beams.z - np.float32(low[0])) / np.float32(step)
            columns = (beams.x - np.float32(low[1])) / np.float32(step)
            self._places[step] = Places(rows, columns, (shape[0], shape[1])), (shape[0], shape[1])
        return self._places[step]

    def fill(self, distance: Field, echo: Field | float, loss: float, soft: float = SOFT) -> None:
        """Fill a region with tissue; what was there is gone.

        Parameters
        ----------
        distance
            From its edge in mm, positive inside.
        soft
            Width of the edge, in mm.
        """
        share = self.share(distance, soft)
        self.echo += share * (np.asarray(echo, np.float32) - self.echo)
        self.loss += share * (np.float32(loss) - self.loss)
        self.steady *= 1 - share

    def share(self, distance: Field, soft: float = SOFT) -> Field:
        """Return how much of each sample is inside, from the distance to an edge in mm."""
        # As much as a sample is long, at least.
        width = max(soft, 0.7 * self.beams.step)
        share: Field = distance * np.float32(1 / width)
        share += np.float32(0.5)
        np.clip(share, 0, 1, out=share)
        return share

    def surface(
        self, distance: Field, level: Field | float, share: Field, thickness: float = 0.4
    ) -> None:
        """Add a thin surface that gives sound back, the more the more directly it faces the probe.

        Parameters
        ----------
        distance
            From it, in mm; signed, so that it changes along a beam as the surface faces it.
        level
            In dB against normal liver, where it faces the probe.
        share
            How much of it is there, from 0 to 1.
        thickness
            Standard deviation of its profile, in mm.
        """
        # Thinner ones are as bright as they would be if they were seen finely.
        wide = max(thickness, 0.5 * self.beams.step)
        profile: Field = distance * np.float32(math.sqrt(0.5) / wide)
        np.square(profile, out=profile)
        near = np.flatnonzero((profile < 8).any(axis=1))
        if not len(near):
            return
        # A row more at both ends, for the slope of a surface that only one row sees.
        rows = slice(max(int(near[0]) - 1, 0), int(near[-1]) + 2)
        facing = np.gradient(distance[rows], np.float32(self.beams.step), axis=0)
        np.clip(np.abs(facing, out=facing), 0.12, 1, out=facing)
        level = np.broadcast_to(np.asarray(level, np.float32), distance.shape)[rows]
        bright = np.exp(level * np.float32(DECIBEL) - profile[rows])
        bright *= np.float32((thickness / wide) ** 0.5) * facing**2 * share[rows]
        self.steady[rows] += bright


def smooth_least(first: Field, second: Field, radius: float) -> Field:
    """Return the lesser of two distances, with the corner between them rounded."""
    near = np.abs(first - second)
    np.subtract(np.float32(radius), near, out=near)
    np.maximum(near, 0, out=near)
    np.square(near, out=near)
    near *= np.float32(0.25 / radius)
    least: Field = np.minimum(first, second)
    least -= near
    return least


def ellipse(
    beams: Beams, centre: tuple[float, float], half: tuple[float, float], angle: float
) -> Field:
    """Return the distance from an ellipse's edge, positive inside, about in mm near the edge."""
    along, across = turned(beams, centre, angle)
    along *= np.float32(1 / half[0])
    across *= np.float32(1 / half[1])
    level: Field = np.sqrt(along * along + across * across + np.float32(1e-6))
    # The gradient of `level` is between 1 / half[0] and 1 / half[1].
    slope = np.sqrt((along / np.float32(half[0])) ** 2 + (across / np.float32(half[1])) ** 2)
    slope /= level
    slope += np.float32(1e-6)
    return (1 - level) / slope


def turned(beams: Beams, origin: tuple[float, float], angle: float) -> tuple[Field, Field]:
    """Return places along and across a direction, from an origin (x, z) in mm."""
    x, z = beams.x - np.float32(origin[0]), beams.z - np.float32(origin[1])
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * c + z * s, z * c - x * s
