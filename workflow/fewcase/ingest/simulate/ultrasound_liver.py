"""The liver of a simulated scan: its borders in each view, and what of the sector it fills."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from fewcase.ingest.simulate.fields import Field, smooth_curve
from fewcase.ingest.simulate.ultrasound_body import smooth_least
from fewcase.ingest.simulate.ultrasound_sector import Beams
from fewcase.ingest.simulate.ultrasound_stages import Signs

DEEP_CORNER = 12.0
"""Radius of the corner between diaphragm and visceral surface, in mm."""


@dataclasses.dataclass(frozen=True)
class View:
    """A way to hold the probe.

    Attributes
    ----------
    name
        Of what is seen.
    dome
        Centre (x, z) and radius of the diaphragm, in mm.
    visceral
        Depth of the lower surface below the middle of the probe in mm, its slope (negative: it
        rises to the right), and its sag in mm over 100 mm.
    share
        Least and greatest share of the sector that is liver.
    neighbours
        What lies below: kidney, gallbladder, vessels, gas.
    """

    name: str
    dome: tuple[float, float, float]
    visceral: tuple[float, float, float]
    share: tuple[float, float]
    neighbours: tuple[str, ...]


VIEWS = (
    View("right lobe and kidney", (28, 42, 104), (118, -0.78, 6), (0.36, 0.5), ("kidney",)),
    View("right lobe between ribs", (6, 26, 118), (172, -0.75, 0), (0.42, 0.54), ("gas",)),
    View("right lobe and gallbladder", (14, 36, 108), (110, -0.5, 8), (0.36, 0.5),
         ("gas", "gallbladder")),
    View("left lobe", (34, 24, 98), (82, -0.5, 5), (0.31, 0.4), ("gas", "great vessels")),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Liver:
    """Where the liver is; distances in mm, positive inside, (samples, beams).

    Attributes
    ----------
    view
        How it is seen.
    wall
        Thickness of the abdominal wall before it at each beam, (1, beams).
    top
        From its upper surface, with nodules.
    dome, visceral
        From diaphragm and lower surface, with nodules.
    bare
        From its outline without nodules, as an expert draws it.
    border
        Depth of the lower surface below the middle of the probe, its slope and its sag.
    bluntness
        Radius of the lower edge.
    """

    view: View
    wall: Field
    top: Field
    dome: Field
    visceral: Field
    bare: Field
    border: tuple[float, float, float]
    bluntness: float

    def inside(self) -> Field:
        """Return the distance from the liver's edge."""
        deep = smooth_least(self.dome, self.visceral, DEEP_CORNER)
        return smooth_least(self.top, deep, self.bluntness)

    def lower_surface(self, x: float) -> tuple[float, float]:
        """Return depth in mm and angle in radians of the lower surface at a place."""
        depth, slope, sag = self.border
        here = depth + slope * x + sag * (x / 100) ** 2
        return here, math.atan(slope + 2 * sag * x / 1e4)


def lay_out(beams: Beams, view: View, signs: Signs, wall: float, rng: np.random.Generator) -> Liver:
    """Lay out the borders of a liver.

    Parameters
    ----------
    wall
        Thickness of the abdominal wall, in mm.
    """
    number = beams.shape[1]
    edge = np.float32(wall) + np.float32(0.09 * wall) * smooth_curve(rng, number, 0.5 * number)
    top = beams.depth - edge[None]
    a = rng.uniform(-1, 1, 6).tolist()
    cx, cz, radius = view.dome
    cx, cz, radius = cx + 8 * a[0], cz + 6 * a[1], radius + 7 * a[2]
    depth, slope, sag = view.visceral
    depth, slope, sag = depth + 6 * a[3], slope + 0.08 * a[4], sag + 5 * a[5]
    dome = np.float32(radius) - np.hypot(
        beams.x - np.float32(cx), 1.04 * (beams.z - np.float32(cz))
    )
    steep = math.hypot(1, slope)
    below = np.float32(depth) + np.float32(slope) * beams.x + np.float32(sag / 1e4) * beams.x**2
    visceral = (below - beams.z) * np.float32(1 / steep)
    low, high = view.share
    offset = _offset(beams, top, smooth_least(dome, visceral, DEEP_CORNER), rng.uniform(low, high))
    dome += np.float32(offset)
    visceral += np.float32(offset)
    deep = smooth_least(dome, visceral, DEEP_CORNER)
    bare = smooth_least(top, deep, signs.bluntness)
    return Liver(
        view,
        edge[None],
        top - _nodules(beams, signs, wall, rng),
        dome - np.float32(0.2) * _nodules(beams, signs, 90, rng),
        visceral - _nodules(beams, signs, 80, rng),
        bare,
        (depth + offset * steep, slope, sag),
        signs.bluntness,
    )


def _offset(beams: Beams, top: Field, deep: Field, share: float) -> float:
    """Return by how far to move the deep borders so that the liver has its share of the sector."""
    some = (slice(None, None, 4), slice(beams.margin, -beams.margin, 3))
    area = np.broadcast_to(beams.area(), beams.shape)[some]
    liver = top[some] > 0
    distances, areas = deep[some][liver], area[liver]
    order = np.argsort(-distances)
    filled = np.cumsum(areas[order]) / area.sum()
    last = min(int(np.searchsorted(filled, share)), len(order) - 1)
    return -float(distances[order[last]])


def _nodules(beams: Beams, signs: Signs, depth: float, rng: np.random.Generator) -> Field:
    """Return the height of a nodular surface at each beam: rounded bumps, notches between them."""
    apart = (beams.sector.radius + depth) * beams.turn
    # A curve's zeros are farther apart than its period by pi · sqrt(2) / 3.
    period = signs.nodules / apart / (math.pi * math.sqrt(2) / 3)
    curve = smooth_curve(rng, beams.shape[1], period)
    bumps = np.sqrt(np.abs(curve) + np.float32(0.02)) - np.float32(0.82)
    heights: Field = np.float32(2.2 * signs.roughness) * bumps[None]
    return heights
