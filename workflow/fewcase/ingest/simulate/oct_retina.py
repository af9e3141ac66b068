"""The retina of a simulated B-scan: layers as thicknesses and brightnesses along the scan.

Lengths are in micrometres: x from the middle of the scan to the right, depth downward. Brightness
is given as the grey level (0 to 255) that the tissue would have on a plain device, unshaded.
Signs of disease change the columns of this table, and leave what is painted later in a list.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fewcase.ingest.simulate.fields import Field, Shape, rise, smooth_curve
from fewcase.ingest.simulate.oct_picture import Picture

DEPTH = 1900.0
"""Of a scan from its top to its bottom, in tissue: 496 pixels of 3.87 µm (Spectralis)."""

LATERAL = 11.5
"""Micrometres between the columns of a scan 512 or 768 columns wide, of 496 rows."""

LAYERS = (
    "vitreous",
    "nerve_fibres",
    "ganglion_cells",
    "inner_plexiform",
    "inner_nuclear",
    "outer_plexiform",
    "outer_nuclear",
    "external_membrane",
    "myoid",
    "ellipsoid",
    "segments",
    "subretinal",
    "deposit",
    "pigment_epithelium",
    "below_epithelium",
    "bruch",
    "capillaries",
    "choroid",
    "sclera",
)
"""From the inside outward. Below the ellipsoid zone, and below the pigment epithelium, there is
room for fluid and material that a healthy eye does not have (thickness 0)."""

GREY = dict(
    zip(
        LAYERS,
        (4, 134, 84, 90, 62, 84, 46, 74, 52, 172, 78, 8, 130, 222, 50, 120, 160, 150, 140),
        strict=True,
    )
)
"""Grey level of each layer; order and contrast as in atlases of spectral-domain tomography."""

RETINA = LAYERS[1:14]
ABOVE = LAYERS[1:16]
"""Layers that are stacked up from the bottom of Bruch's membrane."""


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """How one eye differs from others; 1 is average.

    Attributes
    ----------
    thickness
        Of the layers of the retina, by name.
    pit_width, pit_depth
        Of the fovea.
    choroid
        Thickness in micrometres.
    brightness
        Factor of all light, as lens and vitreous let it through.
    curve, tilt
        Sagitta of the scan in micrometres, and rise over run.
    """

    thickness: dict[str, float]
    pit_width: float
    pit_depth: float
    choroid: float
    brightness: float
    curve: float
    tilt: float


def draw_anatomy(rng: np.random.Generator, shift: float) -> Anatomy:
    """Draw the anatomy of an eye; `shift` 0 makes all alike but for the way the eye is held."""
    normal = rng.standard_normal(len(RETINA) + 5).tolist()
    common = normal.pop()
    return Anatomy(
        {
            name: float(np.exp(shift * (0.06 * common + 0.07 * each)))
            for name, each in zip(RETINA, normal, strict=False)
        },
        pit_width=float(np.exp(0.15 * shift * normal[-1])),
        pit_depth=float(np.clip(1 + 0.08 * shift * normal[-2], 0.75, 1.0)),
        choroid=float(np.clip(260 * np.exp(0.25 * shift * normal[-3]), 120, 480)),
        brightness=float(1.2 * np.exp(0.3 * shift * normal[-4])),
        curve=float(rng.uniform(-20, 150)),
        tilt=float(np.clip(rng.normal(0, 0.03), -0.08, 0.08)),
    )


class Chance:
    """Draws that are alike in the scans of one eye, and differ a little from scan to scan."""

    def __init__(self, eye: np.random.Generator, scan: np.random.Generator, severity: float):
        self._eye = eye
        self.scan = scan
        self.severity = severity

    def uniform(self, low: float, high: float) -> float:
        """Return a number between both."""
        share = self._eye.random() + 0.08 * self.scan.standard_normal()
        share = abs(share) % 2
        return low + (high - low) * (2 - share if share > 1 else share)

    def amount(self, low: float, high: float) -> float:
        """Return a number that is nearer to `high`, or beyond it, the more severe a disease is."""
        share = self.severity * self.uniform(0.75, 1.25)
        return low + (high - low) * share

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, the same in all scans, greater the more severe a disease is."""
        share = self.severity * (0.6 + 0.6 * self._eye.random())
        return low + round((high - low) * min(share, 1.5))

    def happens(self, chance: float) -> bool:
        """Return whether something is so in this eye."""
        return self._eye.random() < chance


class Retina:
    """Columns of a scan: what signs of disease work on.

    Attributes
    ----------
    x
        Place of each column.
    fovea
        Place of the fovea.
    pit
        1 in the middle of the fovea, 0 away from it.
    thickness, grey
        Of each layer in each column, by name.
    base
        Depth of the outer edge of Bruch's membrane in each column.
    vessels
        How much of the choroid is vessels (1 is usual), and how wide they are.
    chance
        Where all numbers come from.
    """

    def __init__(self, shape: Shape, lateral: float, anatomy: Anatomy, chance: Chance):
        self.shape, self.lateral, self.axial = shape, lateral, DEPTH / shape[0]
        self.chance, self.anatomy = chance, anatomy
        scan = chance.scan
        columns = shape[1]
        self.x = ((np.arange(columns) - (columns - 1) / 2) * lateral).astype(np.float32)
        self.span = columns * lateral
        self.fovea = float(scan.uniform(-0.08, 0.08) * self.span)
        away = float(abs(scan.normal(0, 120)))
        self.off = np.hypot(self.x - np.float32(self.fovea), np.float32(away))
        width = 330 * anatomy.pit_width
        self.pit = anatomy.pit_depth * np.exp(-((self.off / np.float32(width)) ** 2))
        self.vessels, self.vessel_size = 1.0, 1.0
        self.grey = {name: np.full(columns, GREY[name], np.float32) for name in LAYERS}
        self.thickness = self._healthy()
        self.base = self._bruch()
        self._later: list[Callable[[Picture], None]] = []
        self._marks: list[tuple[str, str, npt.NDArray[np.bool_]]] = []

    def _healthy(self) -> dict[str, Field]:
        pit, zero = self.pit, np.zeros_like(self.x)
        rim = np.exp(-(((self.off - 900) / 750) ** 2))
        nasal = rise((self.x - self.fovea) * (1 if self.chance.happens(0.5) else -1), 0, 3500)
        of = {
            "nerve_fibres": (18 + 12 * rim + 34 * nasal) * (1 - 0.9 * pit),
            "ganglion_cells": (16 + 30 * rim) * (1 - pit),
            "inner_plexiform": (22 + 18 * rim) * (1 - pit),
            "inner_nuclear": (28 + 10 * rim) * (1 - 0.9 * pit),
            "outer_plexiform": (24 + 6 * rim) * (1 - 0.6 * pit),
            "outer_nuclear": 62 + 12 * rim + 36 * pit,
            "external_membrane": 7 + zero,
            "myoid": 19 + 7 * pit,
            "ellipsoid": 13 + zero,
            "segments": 18 + 12 * pit,
            "pigment_epithelium": 30 + zero,
        }
        found = {name: zero.copy() for name in LAYERS}
        for name, thickness in of.items():
            wave = 1 + np.float32(0.04) * self.noise(700)
            found[name] = thickness * np.float32(self.anatomy.thickness[name]) * wave
        found["bruch"] += 4
        found["capillaries"] += 18
        found["choroid"] += self.anatomy.choroid * (1 + 0.08 * self.noise(1500)) - 18
        found["sclera"] += DEPTH
        return found

    def _bruch(self) -> Field:
        scan, anatomy = self.chance.scan, self.anatomy
        half = self.span / 2
        tilt = anatomy.tilt + scan.normal(0, 0.01)
        base = DEPTH * scan.uniform(0.42, 0.6) + tilt * self.x
        base = base - anatomy.curve * (self.x / half) ** 2 + 5 * self.noise(2000)
        return np.asarray(base, np.float32)

    def noise(self, period: float) -> Field:
        """Return a random curve along the scan."""
        return smooth_curve(self.chance.scan, len(self.x), period / self.lateral)

    def place(self, reach: float) -> float:
        """Return a place within `reach` of the fovea that the scan shows."""
        reach = min(reach, 0.36 * self.span)
        return self.fovea + self.chance.uniform(-reach, reach)

    def scale(self, factor: Field | float, *layers: str) -> None:
        """Multiply the thickness of layers."""
        for name in layers:
            self.thickness[name] = self.thickness[name] * factor

    def shade(self, grey: float, weight: Field, *layers: str) -> None:
        """Bring layers toward a grey level, by a weight from 0 to 1 in each column."""
        for name in layers:
            self.grey[name] += (np.float32(grey) - self.grey[name]) * weight

    def mark(self, first: str, last: str, where: npt.NDArray[np.bool_]) -> None:
        """Say that a sign is seen from one layer to another in some columns."""
        self._marks.append((first, last, where))

    def later(self, paint: Callable[[Picture], None]) -> None:
        """Paint something once it is known where all layers lie."""
        self._later.append(paint)

    def tops(self) -> dict[str, Field]:
        """Return the depth of each layer's inner edge."""
        found = {"vitreous": np.full_like(self.base, -DEPTH)}
        edge = self.base
        for name in reversed(ABOVE):
            edge = edge - np.maximum(self.thickness[name], 0)
            found[name] = edge
        edge = self.base
        for name in ("capillaries", "choroid", "sclera"):
            found[name] = edge
            edge = edge + np.maximum(self.thickness[name], 0)
        return found

    def smoothed(self, curve: Field, over: float) -> Field:
        """Return a curve as it is on average over about so many micrometres."""
        found: Field = ndimage.gaussian_filter1d(curve, over / self.lateral, mode="nearest")
        return found

    def relax(self) -> None:
        """Let the outer nuclear layer give way to what rises steeply from below it.

        So the inner retina runs smoothly over drusen and other rough ground.
        """
        for name in ("inner_nuclear", "outer_plexiform", "outer_nuclear"):
            self.thickness[name] = self.smoothed(self.thickness[name], 40)
        height = sum((self.thickness[name] for name in ABOVE[6:]), np.zeros_like(self.x))
        gives = height - self.smoothed(height, 170)
        nuclear = self.thickness["outer_nuclear"]
        self.thickness["outer_nuclear"] = np.maximum(nuclear - gives, np.minimum(nuclear, 22))

    def fit(self) -> None:
        """Shift all so that the retina is within the picture where it can be."""
        top = float(self.tops()["nerve_fibres"].min())
        bottom = float(self.base.max())
        highest, lowest = 0.06 * DEPTH, 0.86 * DEPTH
        shift = max(0.0, highest - top)
        shift -= max(0.0, bottom + shift - lowest)
        self.base = self.base + np.float32(shift)

    def paint(self) -> Picture:
        """Return the light that comes back from each place, and where the signs are."""
        self.relax()
        self.fit()
        tops = self.tops()
        picture = Picture(self.shape, self.x, self.axial, tops, self.chance.scan)
        picture.fill(LAYERS, self.grey)
        picture.choroid(self.vessels, self.vessel_size)
        for paint in self._later:
            paint(picture)
        following = dict(itertools.pairwise(LAYERS))
        for first, last, where in self._marks:
            end = tops[following[last]] if last in following else np.full_like(self.base, DEPTH)
            picture.mark(tops[first], end, where)
        epithelium = np.minimum(self.thickness["pigment_epithelium"], 60)
        picture.absorb(
            tops["bruch"], epithelium * 0.9 * (self.grey["pigment_epithelium"] / 212) / 45
        )
        return picture
