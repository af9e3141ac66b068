"""The canvas that tissue is painted on, and the parts of tissue: stroma, glands, fat, mucus …"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.ingest.simulate.histology_fields import (
    Field,
    Shape,
    cell_walls,
    displaced,
    fibres,
    smooth_noise,
    step_up,
)
from fewcase.ingest.simulate.histology_nuclei import (
    ENDOTHELIUM,
    FIBROBLAST,
    LYMPHOCYTE,
    NucleusKind,
    Stamps,
    draw_stamps,
    scatter,
    stamp,
)

Places = npt.NDArray[np.floating[Any]]
"""Rows and columns, (n, 2)."""


@dataclasses.dataclass(frozen=True)
class Look:
    """How the tissue of one patient differs from that of others; 1 is average.

    Attributes
    ----------
    cellularity
        Nuclei per area.
    nuclei
        Size of nuclei.
    collagen
        Density of fibres.
    glands
        Size of glands.
    mucin
        How many cells of glands hold mucus.
    """

    cellularity: float = 1.0
    nuclei: float = 1.0
    collagen: float = 1.0
    glands: float = 1.0
    mucin: float = 1.0


@dataclasses.dataclass
class Nuclei:
    """The nuclei of one patient, each kind drawn when it is first needed."""

    key: tuple[int, ...]
    microns_per_pixel: float
    size: float = 1.0
    drawn: dict[NucleusKind, Stamps] = dataclasses.field(default_factory=dict)

    def of(self, kind: NucleusKind) -> Stamps:
        """Return nuclei of a kind, the same whichever kinds were drawn before."""
        if kind not in self.drawn:
            shape = (round(100 * kind.length), round(100 * kind.width), round(100 * kind.density))
            rng = np.random.default_rng([*self.key, *shape])
            sized = dataclasses.replace(
                kind, length=kind.length * self.size, width=kind.width * self.size
            )
            self.drawn[kind] = draw_stamps(rng, sized, self.microns_per_pixel)
        return self.drawn[kind]


@dataclasses.dataclass(frozen=True)
class Patch:
    """A part of the canvas around a place.

    Attributes
    ----------
    there
        Rows and columns of the canvas.
    y, x
        float32 (rows, 1) and (1, columns): where its pixels are, seen from the place.
    """

    there: tuple[slice, slice]
    y: Field
    x: Field


class Canvas:
    """Optical densities of two stains, painted layer by layer.

    Attributes
    ----------
    haematoxylin, eosin
        float32 (height, width).
    scale
        Pixels per µm.
    grain
        float32 (height, width): fine noise, for what is mottled.
    look, rng
        How the patient's tissue is, and where chance comes from.
    """

    def __init__(self, shape: Shape, look: Look, nuclei: Nuclei, rng: np.random.Generator) -> None:
        self.shape = shape
        self.scale = 1 / nuclei.microns_per_pixel
        self.haematoxylin = np.zeros(shape, np.float32)
        self.eosin = np.zeros(shape, np.float32)
        self.look = look
        self.rng = rng
        self._nuclei = nuclei
        self.grain = smooth_noise(rng, shape, 1.8 * self.scale)

    def noise(self, microns: float) -> Field:
        """Smooth noise of mean 0 and standard deviation 1."""
        return smooth_noise(self.rng, self.shape, microns * self.scale)

    def fibres(
        self, angle: float, length: float, width: float, wave: float, wave_period: float
    ) -> Field:
        """Noise drawn out along one direction, see `fewcase.ingest.simulate.histology_fields`."""
        scale = self.scale
        return fibres(
            *(self.rng, self.shape),
            angle=angle,
            length=length * scale,
            width=width * scale,
            wave=wave * scale,
            wave_period=wave_period * scale,
        )

    def lay(
        self,
        haematoxylin: Field | float,
        eosin: Field | float,
        cover: Field | float,
        there: tuple[slice, slice] = np.s_[:, :],
    ) -> None:
        """Cover what is there, by the share `cover` of each pixel."""
        for field, density in ((self.haematoxylin, haematoxylin), (self.eosin, eosin)):
            field[there] += cover * (density - field[there])

    def strew(
        self,
        kind: NucleusKind,
        microns: float,
        *,
        chance: Field | float = 1.0,
        jitter: float = 0.35,
        angle: float | None = None,
        spread: float = 0.0,
        paleness: float = 0.35,
    ) -> None:
        """Strew nuclei over the canvas, about so many µm apart."""
        spacing = microns * self.scale / math.sqrt(self.look.cellularity)
        places = scatter(self.rng, self.shape, spacing, jitter=jitter, chance=chance)
        self.put(kind, places, angle, spread, paleness)

    def put(
        self,
        kind: NucleusKind,
        places: Places,
        angles: npt.NDArray[np.floating[Any]] | float | None = None,
        spread: float = 0.0,
        paleness: float = 0.35,
    ) -> None:
        """Lay nuclei at places (n, 2)."""
        stamp(
            *(self.haematoxylin, self.eosin, self._nuclei.of(kind), places, self.rng),
            angles=angles,
            spread=spread,
            paleness=paleness,
        )

    def stroma(
        self,
        *,
        angle: float,
        eosin: float = 0.5,
        width: float = 3.0,
        length: float = 45.0,
        wave: float = 8.0,
        gaps: float = 1.2,
        cells: float = 24.0,
        lymphocytes: float = 0.08,
    ) -> None:
        """Fibres of collagen with clefts, spindle-shaped nuclei and some lymphocytes.

        Parameters
        ----------
        gaps
            Clefts are where noise exceeds this; higher means fewer.
        cells
            Mean distance of nuclei, in µm.
        lymphocytes
            Chance of one for each place of a lattice of 10 µm.
        """
        coarse = self.fibres(angle, length, 2.6 * width, wave, 34)
        fine = self.fibres(angle, 0.5 * length, 0.7 * width, wave, 26)
        patch = self.noise(60)
        body = np.float32(eosin * self.look.collagen) * (
            1 + 0.3 * coarse + 0.32 * fine + 0.12 * patch
        )
        cleft = step_up(coarse - 0.35 * fine + 0.25 * patch, gaps - 0.25, gaps + 0.2)
        body = np.maximum(body, 0.05) * (1 - 0.93 * cleft)
        self.lay(0.1 * (1 - 0.9 * cleft) + 0.05 * np.maximum(fine, 0), body, 1.0)
        tissue = 1 - cleft
        self.strew(FIBROBLAST, cells, chance=0.8 * tissue, jitter=0.9, angle=angle, spread=0.3)
        if lymphocytes:
            crowd = np.clip(lymphocytes * np.exp(0.9 * self.noise(45)), 0, 0.9) * tissue
            self.strew(LYMPHOCYTE, 10, chance=crowd, jitter=0.7)

    def fat(self, cover: Field | float = 1.0, *, diameter: float = 62.0) -> None:
        """Fat cells: thin walls around empty space, nuclei and vessels in the corners."""
        scale, rng = self.scale, self.rng
        half = (self.shape[0] // 2 + 1, self.shape[1] // 2 + 1)
        wall, _ = cell_walls(rng, half, diameter * scale / 2, jitter=0.75)
        wall = displaced(rng, 2 * wall, self.shape, 4.5 * scale, 24 * scale)
        thickness = 1.5 * scale * np.exp(0.5 * self.noise(30))
        band = np.clip(1.5 - wall / thickness, 0, 1)
        self.lay(0.03 + 0.10 * band, 0.02 + band * (0.32 + 0.1 * self.noise(6)), cover)
        corner = np.clip(1.3 - wall / (3.5 * scale), 0, 1) * cover
        self.strew(ENDOTHELIUM, 17, chance=0.3 * corner, jitter=0.9, paleness=0.5)

    def mucus(self, cover: Field | float = 1.0, *, angle: float) -> None:
        """Pale, bluish mucus in streaks."""
        streak = self.fibres(angle, 70, 8, 20, 50)
        line = np.clip(1 - np.abs(streak) / 0.09, 0, 1)
        fold = np.clip(1 - np.abs(streak + 0.5 * self.noise(30)) / 0.22, 0, 1)
        body = np.maximum(0.17 + 0.07 * self.noise(40) + 0.05 * self.noise(5), 0.02)
        self.lay(body + 0.16 * line + 0.12 * fold, 0.05 + 0.06 * fold + 0.05 * line, cover)

    def blood(self, places: Places, radius: float, angle: float) -> None:
        """Capillaries of so many µm, cut across: a ring of endothelium, red cells inside."""
        cos, sin = math.cos(angle), math.sin(angle)
        pixels = radius * self.scale
        for row, column in places.tolist():
            patch = self.around(row, column, 1.6 * pixels)
            if patch is None:
                continue
            along, across = (
                patch.x * cos + patch.y * sin,
                patch.y * cos - patch.x * sin,
            )
            inside = np.clip(pixels - np.hypot(along / 1.5, across) + 0.5, 0, 1)
            self.haematoxylin[patch.there] *= 1 - 0.95 * inside
            self.eosin[patch.there] *= 1 - 0.9 * inside
            phase = self.rng.uniform(0, 2 * math.pi, 2).astype(np.float32)
            rhythm = np.float32(0.9 / self.scale)
            cells = np.sin(rhythm * along + phase[0]) * np.sin(rhythm * across + phase[1])
            self.eosin[patch.there] += 0.95 * inside * (cells > -0.3)
            around = self.rng.uniform(0, 2 * math.pi, 4)
            a, b = 1.6 * pixels * np.cos(around), 1.05 * pixels * np.sin(around)
            at = np.stack([row + a * sin + b * cos, column + a * cos - b * sin], axis=1)
            self.put(ENDOTHELIUM, at, np.arctan2(np.cos(around), -1.5 * np.sin(around)) + angle)

    def around(self, row: float, column: float, reach: float) -> Patch | None:
        """The part of the canvas so many pixels around a place; None where that is beyond it."""
        top, left = max(int(row - reach), 0), max(int(column - reach), 0)
        bottom = min(int(row + reach) + 1, self.shape[0])
        right = min(int(column + reach) + 1, self.shape[1])
        if top >= bottom or left >= right:
            return None
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(row)
        x = np.arange(left, right, dtype=np.float32)[None] - np.float32(column)
        return Patch((slice(top, bottom), slice(left, right)), y, x)
