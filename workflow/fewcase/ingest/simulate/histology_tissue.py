"""What each class of tissue looks like, painted with the parts of a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fewcase.ingest.simulate.histology_canvas import Canvas
from fewcase.ingest.simulate.histology_fields import Field, cell_walls, step_up
from fewcase.ingest.simulate.histology_glands import (
    ACINUS,
    CRYPT,
    DYSPLASTIC,
    SLIT,
    paint_glands,
)
from fewcase.ingest.simulate.histology_nuclei import (
    FRAGMENT,
    LOW_GRADE,
    LYMPHOCYTE,
    MUSCLE_CELL,
    PLASMA_CELL,
    TUMOUR,
    NucleusKind,
    scatter,
)


def adipose(canvas: Canvas) -> None:
    """Fat cells, with a septum now and then."""
    canvas.fat()
    if canvas.rng.random() < 0.35:
        septum = step_up(canvas.noise(70), 1.1, 1.4)
        _through(canvas, septum, lambda c: c.stroma(angle=_any_angle(c)))


def background(canvas: Canvas) -> None:
    """Glass with dust, dried stain and shadows."""
    rng = canvas.rng
    tint = rng.gamma(1.2, 0.03) + (rng.uniform(0.25, 0.6) if rng.random() < 0.2 else 0)
    canvas.haematoxylin += tint * rng.uniform(0.3, 1.0) * (1 + 0.06 * canvas.noise(90))
    canvas.eosin += tint * rng.uniform(0.2, 0.7) * (1 + 0.06 * canvas.noise(120))
    canvas.strew(FRAGMENT, 40, chance=rng.uniform(0.02, 0.3), jitter=1.0, paleness=0.8)
    if rng.random() < 0.3:
        shade = step_up(canvas.noise(130), 1.4, 2.2)
        canvas.lay(0.08, 0.12, 0.6 * shade)


def debris(canvas: Canvas) -> None:
    """Dead tissue: pink and granular, cracked, with fragments of nuclei."""
    rng, scale = canvas.rng, canvas.scale
    grains = canvas.noise(1.6) + 0.7 * canvas.noise(4.5)
    wall, _ = cell_walls(rng, canvas.shape, 9.5 * scale, jitter=1.0)
    crack = step_up(wall, 1.7 * scale, 0.5 * scale) * step_up(canvas.noise(22), 0.2, 1.2)
    patch = canvas.noise(50)
    canvas.lay(
        np.maximum(0.16 + 0.05 * grains + 0.08 * patch, 0),
        np.maximum(0.62 + 0.12 * grains + 0.10 * patch, 0.05),
        1.0,
    )
    canvas.lay(0.02, 0.05, 0.85 * crack)
    holes = step_up(canvas.noise(35), 1.5, 1.8)
    canvas.lay(0.02, 0.03, 0.9 * holes)
    canvas.strew(FRAGMENT, 9, chance=0.16 * np.exp(0.8 * patch), jitter=1.0, paleness=0.6)
    canvas.strew(LYMPHOCYTE, 22, chance=0.06, jitter=1.0, paleness=0.7)


def lymphocytes(canvas: Canvas) -> None:
    """Crowded small round nuclei with hardly any cytoplasm."""
    canvas.lay(0.12, 0.25 + 0.06 * canvas.noise(8), 1.0)
    thin = step_up(canvas.noise(40), canvas.rng.uniform(0.9, 1.9), 2.4)
    canvas.lay(0.03, 0.06, 0.8 * thin)
    canvas.strew(LYMPHOCYTE, 8.2, chance=0.95 * (1 - thin), jitter=0.25, paleness=0.3)
    if canvas.rng.random() < 0.3:
        places = scatter(canvas.rng, canvas.shape, 130 * canvas.scale, chance=0.7)
        canvas.blood(places, 7, _any_angle(canvas))


def mucus(canvas: Canvas) -> None:
    """Pools of mucus with strands of stroma and a few cells adrift."""
    angle = _any_angle(canvas)
    canvas.mucus(angle=angle)
    canvas.strew(PLASMA_CELL, 40, chance=0.2, jitter=1.0)
    if canvas.rng.random() < 0.5:
        strand = step_up(canvas.fibres(angle, 150, 20, 20, 80), 1.0, 1.15)
        _through(canvas, strand, lambda c: c.stroma(angle=angle, eosin=0.75, lymphocytes=0.15))


def muscle(canvas: Canvas) -> None:
    """Smooth muscle: long straight fibres, slender nuclei along them."""
    angle = _any_angle(canvas)
    _muscle(canvas, angle, wave=3.0, cells=23)


def muscularis_mucosae(canvas: Canvas) -> None:
    """A thin layer of muscle, its bundles interwoven, loose stroma on both sides."""
    angle = _any_angle(canvas)
    canvas.stroma(angle=angle, eosin=0.36, gaps=0.8, lymphocytes=0.22)
    layer = 1 - step_up(np.abs(canvas.noise(110) + 0.1 * canvas.noise(18)), 0.75, 0.95)
    _through(canvas, layer, lambda c: _muscle(c, angle, wave=5.0, cells=13))


def _muscle(canvas: Canvas, angle: float, *, wave: float, cells: float) -> None:
    bundle = canvas.fibres(angle, 160, 7.0, wave, 70)
    fine = canvas.fibres(angle, 90, 1.8, wave, 70)
    cleft = step_up(bundle + 0.3 * fine, 1.75, 2.0)
    body = canvas.look.collagen * (0.68 + 0.09 * bundle + 0.10 * fine + 0.05 * canvas.noise(60))
    canvas.lay(0.14 + 0.03 * fine - 0.1 * cleft, np.maximum(body, 0.1) * (1 - 0.9 * cleft), 1.0)
    canvas.strew(
        MUSCLE_CELL, cells, chance=0.75 * (1 - cleft), jitter=0.9, angle=angle, spread=0.08
    )


def mucosa(canvas: Canvas) -> None:
    """Normal mucosa of the bowel: crypts full of goblet cells, stroma between them."""
    canvas.stroma(angle=_any_angle(canvas), eosin=0.4, gaps=1.0, cells=30, lymphocytes=0.4)
    paint_glands(canvas, CRYPT, 88, chance=0.95, jitter=0.12)


def dysplasia(canvas: Canvas) -> None:
    """Crowded glands: tall dark nuclei in several rows, hardly any mucus."""
    canvas.stroma(angle=_any_angle(canvas), eosin=0.4, gaps=1.1, cells=30, lymphocytes=0.35)
    paint_glands(canvas, DYSPLASTIC, 84, chance=0.95, jitter=0.2)


def lamina_propria(canvas: Canvas) -> None:
    """Loose stroma with many lymphocytes and plasma cells, and capillaries."""
    angle = _any_angle(canvas)
    canvas.stroma(angle=angle, eosin=0.34, gaps=0.75, length=25, cells=22, lymphocytes=0.3)
    canvas.strew(PLASMA_CELL, 10.5, chance=0.5 * step_up(canvas.noise(40), -1.4, 1.0), jitter=0.7)
    places = scatter(canvas.rng, canvas.shape, 75 * canvas.scale, jitter=0.5, chance=0.6)
    canvas.blood(places, 5, angle)
    if canvas.rng.random() < 0.3:
        paint_glands(canvas, CRYPT, 230, chance=0.6, jitter=0.4)


def stroma(canvas: Canvas) -> None:
    """Stroma of a tumour: wavy collagen, spindle cells, clefts, inflammation."""
    canvas.stroma(
        angle=_any_angle(canvas),
        eosin=canvas.rng.uniform(0.4, 0.65),
        wave=canvas.rng.uniform(7, 14),
        gaps=canvas.rng.uniform(0.95, 1.6),
        cells=18,
        lymphocytes=canvas.rng.gamma(1.5, 0.06),
    )


def tumour(canvas: Canvas) -> None:
    """Adenocarcinoma: crowded irregular nuclei, torn lumina, strands of stroma."""
    angle = _any_angle(canvas)
    canvas.stroma(angle=angle, cells=20, lymphocytes=0.2)
    shape = canvas.noise(42) + 0.25 * canvas.noise(12)
    open_from, solid_from = canvas.rng.uniform(1.2, 2.2), canvas.rng.uniform(-1.7, -0.7)
    lumen = step_up(shape, open_from, open_from + 0.1)
    nest = step_up(shape, solid_from, solid_from + 0.08)
    _epithelium(canvas, nest, lumen, TUMOUR, 11.5)


def _epithelium(
    canvas: Canvas,
    nest: Field,
    lumen: Field,
    kind: NucleusKind,
    spacing: float,
    eosin: float = 0.46,
) -> None:
    """Sheets of cells where `nest` is 1, holes where `lumen` is."""
    wall, cell = cell_walls(canvas.rng, canvas.shape, 1.15 * spacing * canvas.scale)
    tone = canvas.rng.normal(1, 0.12, int(cell.max()) + 1).astype(np.float32)[cell]
    border = np.clip(1 - wall / (1.0 * canvas.scale), 0, 1)
    canvas.lay(0.30 * tone + 0.05 * border, (eosin + 0.05 * canvas.noise(5)) * tone, nest)
    canvas.lay(0.03, 0.05, nest * lumen)
    inside = nest * (1 - step_up(lumen, 0.05, 0.3))
    canvas.strew(kind, spacing, chance=0.95 * inside, jitter=0.28, paleness=0.35)


def breast_normal(canvas: Canvas) -> None:
    """Lobules of small acini in dense stroma, and fat."""
    canvas.stroma(
        angle=_any_angle(canvas), eosin=0.6, wave=10, gaps=1.35, cells=30, lymphocytes=0.02
    )
    lobule = canvas.noise(130)
    canvas.fat(step_up(-lobule, 0.75, 0.95))
    paint_glands(canvas, ACINUS, 38, chance=0.95 * step_up(lobule, 0.25, 0.4), jitter=0.3)


def breast_benign(canvas: Canvas) -> None:
    """Proliferation without atypia: more and wider ducts with slit-like lumina, loose stroma."""
    canvas.stroma(
        angle=_any_angle(canvas), eosin=0.4, wave=12, gaps=1.5, cells=15, lymphocytes=0.04
    )
    paint_glands(canvas, SLIT, 84, chance=0.85, jitter=0.4)


def breast_in_situ(canvas: Canvas) -> None:
    """Wide round ducts filled with uniform cells, some dead in the middle; stroma around."""
    canvas.stroma(angle=_any_angle(canvas), eosin=0.55, gaps=1.4, cells=24, lymphocytes=0.12)
    depth = _duct_depth(canvas) + 5 * canvas.noise(40)
    rim = np.clip(1 - np.abs(depth + 1.5) / 1.5, 0, 1)
    canvas.lay(0.05, 0.1, 0.7 * rim)
    solid = canvas.rng.random() < 0.5
    holes = 0 if solid else step_up(canvas.noise(17), 1.25, 1.45) * step_up(depth, 14, 18)
    duct = step_up(depth, 0, 1.2)
    _epithelium(canvas, duct, duct * holes, LOW_GRADE, 10.2, eosin=0.4)
    dead = step_up(depth, 42, 46)
    if dead.any() and canvas.rng.random() < 0.6:
        _through(canvas, dead, debris)


def breast_invasive(canvas: Canvas) -> None:
    """Cords and nests of irregular cells spread through dense stroma."""
    angle = _any_angle(canvas)
    canvas.stroma(angle=angle, eosin=0.52, gaps=1.6, cells=18, lymphocytes=0.1)
    cord = canvas.fibres(angle, 60, 15, 22, 45)
    share = canvas.rng.uniform(-0.1, 0.35)
    nest = step_up(cord + 0.35 * canvas.noise(25), share, share + 0.12)
    _epithelium(canvas, nest, np.zeros_like(nest), TUMOUR, 12, eosin=0.42)


def _duct_depth(canvas: Canvas) -> Field:
    """How deep inside of a wide round duct every pixel is, in µm; negative outside."""
    y = np.arange(canvas.shape[0], dtype=np.float32)[:, None]
    x = np.arange(canvas.shape[1], dtype=np.float32)[None]
    depth = np.full(canvas.shape, -1e3, np.float32)
    places = scatter(canvas.rng, canvas.shape, 200 * canvas.scale, jitter=0.25, chance=0.9)
    for row, column in places.tolist():
        distance = np.hypot(y - np.float32(row), x - np.float32(column)) / canvas.scale
        np.maximum(depth, canvas.rng.uniform(52, 92) - distance, out=depth)
    return depth


def _through(canvas: Canvas, mask: Field, paint: Callable[[Canvas], None]) -> None:
    """Paint another tissue where the mask is 1."""
    before = canvas.haematoxylin.copy(), canvas.eosin.copy()
    paint(canvas)
    for field, old in zip((canvas.haematoxylin, canvas.eosin), before, strict=True):
        field *= mask
        field += (1 - mask) * old


def _any_angle(canvas: Canvas) -> float:
    return float(canvas.rng.uniform(0, math.pi))


TISSUES: dict[str, Callable[[Canvas], None]] = {
    "ADI": adipose,
    "BACK": background,
    "DEB": debris,
    "LYM": lymphocytes,
    "MUC": mucus,
    "MUS": muscle,
    "NORM": mucosa,
    "STR": stroma,
    "TUM": tumour,
    "AT": adipose,
    "BG": background,
    "DYS": dysplasia,
    "LP": lamina_propria,
    "MM": muscularis_mucosae,
    "Normal": breast_normal,
    "Benign": breast_benign,
    "InSitu": breast_in_situ,
    "Invasive": breast_invasive,
}
"""Painters by class: those of NCT-CRC-HE-100K, of PATH-DT-MSU and of BACH."""
