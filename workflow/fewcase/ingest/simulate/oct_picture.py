"""The light that comes back from each place of a simulated B-scan, painted layer by layer.

Intensities are relative to a device's level of noise; grey levels become intensities by
`intensity`, which the devices invert (`oct_device`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fewcase.ingest.simulate.fields import Field, Shape, smooth_field

CONTRAST = 68.0
"""Grey levels to a factor of e, of a device whose picture is neither hard nor soft."""

FADING = 210.0
"""Micrometres of choroid and sclera in which light fades to its e-th part."""

EXTINCTION = 1 / 2600
"""Optical depth of a micrometre of tissue that sends back one unit of intensity."""


def intensity(grey: Field | float) -> Field:
    """Return the intensity that is shown as a grey level, without noise and shadows."""
    return np.expm1(np.asarray(grey, np.float32) / np.float32(CONTRAST))


class Picture:
    """A B-scan while it is painted.

    Attributes
    ----------
    light
        Intensity that each place sends back, (height, width).
    lesion
        Whether a sign of disease is seen in a place, (height, width).
    tops
        Depth of the inner edge of each layer in each column, in micrometres.
    """

    def __init__(
        self,
        shape: Shape,
        x: Field,
        axial: float,
        tops: Mapping[str, Field],
        rng: np.random.Generator,
    ) -> None:
        self.shape, self.x, self.axial, self.tops, self.rng = shape, x, axial, tops, rng
        self.lateral = float(x[1] - x[0])
        self.light: Field = np.zeros(shape, np.float32)
        self.lesion = np.zeros(shape, np.bool_)
        self._columns = np.arange(shape[1])
        self._depth: Field = np.zeros(shape, np.float32)

    def fill(self, layers: Sequence[str], grey: Mapping[str, Field]) -> None:
        """Fill layers from the inside outward, each from its edge on.

        Edges lie between pixels: the pixel of an edge gets the share of either side.
        """
        steps = np.zeros((self.shape[0] + 2, self.shape[1]), np.float32)
        before: Field = np.zeros(self.shape[1], np.float32)
        for name in layers:
            light = intensity(grey[name])
            self._step(steps, self.tops[name], light - before)
            before = light
        self.light = np.cumsum(steps[: self.shape[0]], axis=0)
        np.maximum(self.light, 0, out=self.light)

    def _step(self, steps: Field, depth: Field, size: Field) -> None:
        row = np.clip(depth / self.axial, 0, self.shape[0])
        whole = row.astype(np.int64)
        part = (row - whole).astype(np.float32)
        steps[whole, self._columns] += size * (1 - part)
        steps[whole + 1, self._columns] += size * part

    def line(self, depth: Field, thickness: float, grey: Field, *, lesion: bool = False) -> None:
        """Add a line, such as a membrane, that is seen where its grey level is above 0."""
        count = max(2, math.ceil(thickness / self.axial) + 2)
        first = np.floor(depth / self.axial).astype(np.int64)
        rows = first + np.arange(count)[:, None]
        upper = np.maximum(rows, depth / self.axial)
        lower = np.minimum(rows + 1, (depth + thickness) / self.axial)
        cover = np.clip(lower - upper, 0, 1).astype(np.float32)
        inside = (rows >= 0) & (rows < self.shape[0])
        columns = np.broadcast_to(self._columns, rows.shape)
        light = (cover * intensity(grey))[inside]
        places = rows[inside], columns[inside]
        self.light[places] = np.maximum(self.light[places], light)
        if lesion:
            self.mark(depth - self.axial, depth + thickness + self.axial, grey > 0)

    def edge(self, layer: str, place: float) -> float:
        """Return the depth of a layer's inner edge at a place along the scan."""
        column = min(int(np.searchsorted(self.x, place)), len(self.x) - 1)
        return float(self.tops[layer][column])

    def choroid(self, amount: float, size: float) -> None:
        """Darken the vessels of the choroid, grain all of its tissue, and let light fade there."""
        top, bottom = self.tops["capillaries"], self.tops["sclera"]
        first = int(np.clip(top.min() / self.axial, 0, self.shape[0] - 1))
        shape = (self.shape[0] - first, self.shape[1])
        periods = (110 * size / self.axial, 220 * size / self.lateral)
        field = smooth_field(self.rng, shape, periods)
        grain = smooth_field(self.rng, shape, (30 / self.axial, 55 / self.lateral))
        rows = (np.arange(first, self.shape[0], dtype=np.float32)[:, None] + 0.5) * self.axial
        below = np.maximum(rows - top, 0)
        depth = below / np.maximum(bottom - top, 1)
        inside = np.clip(4 * depth, 0, 1) * np.clip(5 * (1 - depth), 0, 1)
        field += np.float32(0.35)
        vessel = np.clip(field, 0, 1, out=field)
        vessel *= inside
        grain *= np.float32(0.25) * (below > 0)
        grain -= below / np.float32(FADING)
        light = np.exp(grain, out=grain)
        light *= 1 - np.float32(min(0.6 * amount, 0.9)) * vessel
        self.light[first:] *= light

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        grey: float,
        *,
        weight: float = 1.0,
        uneven: float = 0.0,
        absorb: float = 0.0,
        lesion: bool = True,
    ) -> None:
        """Paint a round thing, such as a cyst or an exudate.

        Parameters
        ----------
        centre, radii
            Along the scan and in depth, in micrometres.
        grey
            Of the thing; by `weight` it covers what was there.
        uneven
            How far its outline differs from an ellipse, in shares of its radii.
        absorb
            Optical depth of its middle.
        lesion
            Whether it is a sign of disease.
        """
        (x, z), (along, deep) = centre, radii
        first = np.searchsorted(self.x, (x - 1.4 * along, x + 1.4 * along))
        rows = np.clip(
            ((z - 1.4 * deep) / self.axial - 1, (z + 1.4 * deep) / self.axial + 2), 0, self.shape[0]
        ).astype(np.int64)
        box = np.s_[rows[0] : rows[1], first[0] : first[1]]
        if self.light[box].size == 0:
            return
        u = (self.x[box[1]] - np.float32(x))[None] / np.float32(along)
        v = ((np.arange(*rows, dtype=np.float32)[:, None] + 0.5) * self.axial - z) / deep
        distance = np.hypot(u, v)
        if uneven:
            angle = np.arctan2(v, u)
            turns = self.rng.uniform(0, 2 * math.pi, 3).astype(np.float32)
            wave = sum(
                np.sin(k * angle + turn) / k for k, turn in zip((2, 3, 5), turns, strict=True)
            )
            distance = distance * (1 + np.float32(uneven) * wave)
        cover = np.clip((1 - distance) * (deep / self.axial) + 0.5, 0, 1).astype(np.float32)
        light = intensity(grey)
        self.light[box] += np.float32(weight) * cover * (light - self.light[box])
        if absorb:
            self._depth[box] += cover * np.float32(absorb * self.axial / (2 * deep))
        if lesion:
            self.lesion[box] |= cover > 0.5

    def cut(self, top: Field, bottom: Field, half: Field, centre: float, grey: float) -> None:
        """Take tissue away between two depths, `half` to either side; (height,) from top on.

        Parameters
        ----------
        top, bottom
            Depths in each column.
        half
            Half the width at equal steps from top to bottom, any number of them.
        centre
            Place along the scan.
        grey
            Of what fills the gap.
        """
        near = np.flatnonzero(np.abs(self.x - centre) <= half.max() + self.lateral)
        if len(near) == 0:
            return
        box = np.s_[:, near[0] : near[-1] + 1]
        depth = (np.arange(self.shape[0], dtype=np.float32)[:, None] + 0.5) * self.axial
        share = (depth - top[box[1]]) / np.maximum(bottom[box[1]] - top[box[1]], 1)
        wide = np.interp(share, np.linspace(0, 1, len(half)), half)
        gap = np.clip((wide - np.abs(self.x[box[1]] - centre)) / self.lateral + 0.5, 0, 1)
        gap *= (share >= 0) & (share <= 1)
        self.light[box] += (gap * (intensity(grey) - self.light[box])).astype(np.float32)
        self.lesion[box] |= gap > 0.5

    def absorb(self, depth: Field, optical_depth: Field) -> None:
        """Let light be taken away at one depth of each column, as by pigment or blood."""
        row = np.clip(depth / self.axial, 0, self.shape[0] - 1).astype(np.int64)
        self._depth[row, self._columns] += optical_depth.astype(np.float32)

    def mark(self, top: Field, bottom: Field, where: npt.NDArray[np.bool_]) -> None:
        """Say that a sign is seen between two depths in some columns."""
        columns = np.flatnonzero(where)
        if len(columns) == 0:
            return
        depth = (np.arange(self.shape[0], dtype=np.float32)[:, None] + 0.5) * self.axial
        box = np.s_[:, columns[0] : columns[-1] + 1]
        near = (depth >= top[box[1]]) & (depth <= bottom[box[1]]) & where[box[1]]
        self.lesion[box] |= near

    def shaded(self) -> Field:
        """Return the light that reaches the device: what lies above takes its share."""
        depth = self.light * np.float32(EXTINCTION * self.axial)
        depth += self._depth
        np.cumsum(depth, axis=0, out=depth)
        np.negative(depth, out=depth)
        np.exp(depth, out=depth)
        depth *= self.light
        return depth
