"""Glands cut across: a wall of cells around a lumen, nuclei at its base, mucus in its cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fewcase.ingest.simulate.histology_canvas import Canvas, Patch
from fewcase.ingest.simulate.histology_fields import Field
from fewcase.ingest.simulate.histology_nuclei import (
    COLUMNAR,
    EPITHELIUM,
    NucleusKind,
    scatter,
)

Floats = npt.NDArray[np.floating[Any]]
Outline = Callable[[Floats], Floats]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gland:
    """How glands of one kind are built; lengths in µm.

    Attributes
    ----------
    radius, variation
        Mean radius, and the standard deviation of its logarithm.
    epithelium
        Thickness of the wall around the lumen.
    roundness
        1 for circles; less lets the outline wander.
    goblets
        Share of cells that hold mucus.
    layers
        Rows of nuclei, from the base inwards.
    nucleus, spacing
        Kind of nuclei, and how far apart they are along the base.
    eosin, haematoxylin
        Stain of the cytoplasm.
    secretion
        Eosin in the lumen.
    """

    radius: float
    epithelium: float
    variation: float = 0.15
    roundness: float = 0.9
    goblets: float = 0.0
    layers: int = 1
    nucleus: NucleusKind = EPITHELIUM
    spacing: float = 6.0
    eosin: float = 0.42
    haematoxylin: float = 0.22
    secretion: float = 0.0


CRYPT = Gland(radius=36, epithelium=24, roundness=0.94, goblets=0.72, spacing=6.2)
"""Of the normal mucosa of the bowel."""

DYSPLASTIC = Gland(
    radius=40,
    epithelium=26,
    variation=0.2,
    roundness=0.88,
    goblets=0.08,
    layers=3,
    nucleus=COLUMNAR,
    spacing=4.6,
    eosin=0.46,
    haematoxylin=0.4,
)
"""Of an adenoma."""

ACINUS = Gland(
    radius=15,
    epithelium=8.5,
    variation=0.2,
    roundness=0.8,
    layers=2,
    spacing=5.6,
    eosin=0.34,
    haematoxylin=0.24,
    secretion=0.06,
)
"""Of a lobule of the breast."""

SLIT = Gland(
    radius=34,
    epithelium=12,
    variation=0.35,
    roundness=0.55,
    layers=2,
    spacing=5.4,
    eosin=0.36,
    haematoxylin=0.26,
)
"""A duct of the breast, pressed together."""


def paint_glands(
    canvas: Canvas,
    kind: Gland,
    spacing: float,
    *,
    chance: Field | float = 1.0,
    jitter: float = 0.25,
) -> None:
    """Paint glands over the canvas, about so many µm apart."""
    pixels = spacing * canvas.scale * canvas.look.glands
    places = scatter(canvas.rng, canvas.shape, pixels, jitter=jitter, chance=chance)
    for row, column in places.tolist():
        _paint_gland(canvas, row, column, kind)


def _paint_gland(canvas: Canvas, row: float, column: float, kind: Gland) -> None:
    rng = canvas.rng
    size = canvas.look.glands * math.exp(kind.variation * rng.standard_normal())
    radius = kind.radius * canvas.scale * size
    outline = _outline(rng, radius, kind.roundness)
    patch = canvas.around(row, column, 1.5 * radius)
    if patch is None:
        return
    cells = max(5, round(2 * math.pi * radius / (kind.spacing * canvas.scale)))
    _wall(canvas, patch, outline, cells, kind)
    steps = 2 * math.pi * (np.arange(cells) + rng.uniform(-0.2, 0.2, cells)) / cells
    base = outline(steps)
    if kind.goblets:
        _goblets(canvas, (row, column), steps, base, kind)
    _line_up(canvas, (row, column), steps, base, kind)


def _outline(rng: np.random.Generator, radius: float, roundness: float) -> Outline:
    """Return a function that gives the radius in every direction."""
    waves = np.arange(2, 6)
    bulge = (1 - roundness) * rng.standard_normal(4) * 2 / waves
    phase = rng.uniform(0, 2 * math.pi, 4)

    def outline(around: Floats) -> Floats:
        swing = np.zeros_like(around)
        for wave, amount, start in zip(waves, bulge, phase, strict=True):
            swing += amount * np.cos(wave * around + start)
        bounded: Floats = radius * (1 + np.clip(swing, -0.45, 0.45))
        return bounded

    return outline


def _wall(canvas: Canvas, patch: Patch, outline: Outline, cells: int, kind: Gland) -> None:
    """The wall of cells, a cleft around it, and the lumen."""
    scale = canvas.scale
    around = np.arctan2(patch.y, patch.x)
    depth = outline(around) - np.hypot(patch.y, patch.x)
    cleft = np.clip(1 - np.abs(depth + 1.5 * scale) / (1.2 * scale), 0, 1)
    canvas.lay(0.03, 0.08, 0.75 * cleft, patch.there)
    height = np.clip(depth / (kind.epithelium * scale), 0, 1)
    border = np.cos(cells * around) ** 16
    canvas.lay(
        kind.haematoxylin * (1.15 - 0.4 * height + 0.2 * border),
        kind.eosin * (0.85 + 0.3 * height + 0.15 * border),
        np.clip(depth + 0.5, 0, 1),
        patch.there,
    )
    lumen = np.clip((depth - kind.epithelium * scale) / (0.8 * scale) + 0.5, 0, 1)
    canvas.lay(0.03 + 0.2 * kind.secretion, kind.secretion + 0.02, lumen, patch.there)


def _goblets(
    canvas: Canvas, centre: tuple[float, float], steps: Floats, base: Floats, kind: Gland
) -> None:
    """Cells full of mucus: pale bluish blobs in the middle of the wall."""
    rng, scale = canvas.rng, canvas.scale
    # A goblet is wider than a cell's base: every second one has room.
    chosen = np.arange(0, len(steps), 2)
    chosen = chosen[rng.random(len(chosen)) < kind.goblets * canvas.look.mucin]
    for step, reach in zip(steps[chosen].tolist(), base[chosen].tolist(), strict=True):
        distance = reach - kind.epithelium * scale * rng.uniform(0.5, 0.66)
        size = scale * rng.uniform(4.2, 6.4)
        sin, cos = math.sin(step), math.cos(step)
        patch = canvas.around(centre[0] + distance * sin, centre[1] + distance * cos, 1.8 * size)
        if patch is None:
            continue
        along, across = patch.x * cos + patch.y * sin, patch.y * cos - patch.x * sin
        ring = np.hypot(along / 1.35, across) / size
        mottled = rng.uniform(0.08, 0.2) + 0.06 * canvas.grain[patch.there]
        canvas.lay(mottled, 0.06, np.clip((1 - ring) * size + 0.5, 0, 1), patch.there)
        rim = np.clip(1 - np.abs(ring - 1) * size / (0.7 * scale), 0, 1)
        canvas.haematoxylin[patch.there] += 0.14 * rim
        canvas.eosin[patch.there] += 0.12 * rim


def _line_up(
    canvas: Canvas, centre: tuple[float, float], steps: Floats, base: Floats, kind: Gland
) -> None:
    """Nuclei along the base, in one row or in several that overlap."""
    rng, length = canvas.rng, kind.nucleus.length
    # Mucus presses nuclei flat against the base; in a wall of columns they are upright.
    pressed = kind.goblets >= 0.5
    for layer in range(kind.layers):
        middle = (3.2 if pressed else 0.55 * length) + 0.62 * length * layer
        if middle > kind.epithelium:
            break
        kept = rng.random(len(steps)) < (0.96 if layer == 0 else 0.75)
        shifted = steps + layer * math.pi / len(steps)
        distance = base - canvas.scale * (middle + rng.normal(0, 0.9, len(steps)))
        places = np.stack(
            [centre[0] + distance * np.sin(shifted), centre[1] + distance * np.cos(shifted)], axis=1
        )
        lying = math.pi / 2 if pressed else 0.0
        canvas.put(kind.nucleus, places[kept], shifted[kept] + lying, 0.12)
