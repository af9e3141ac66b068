"""Signs of disease of the inner retina, one function each.

As in `oct_lesions`: each changes the columns of a `Retina`, leaves painting for later, and marks
where it is seen; lengths are in micrometres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fewcase.ingest.simulate.fields import bell, rise, window
from fewcase.ingest.simulate.oct_lesions import lose_photoreceptors
from fewcase.ingest.simulate.oct_picture import Picture
from fewcase.ingest.simulate.oct_retina import DEPTH, Retina

_NEXT = {
    "ganglion_cells": "inner_plexiform",
    "inner_nuclear": "outer_plexiform",
    "outer_nuclear": "external_membrane",
}
_INNER = ("ganglion_cells", "inner_plexiform", "inner_nuclear", "outer_plexiform")


def swelling(
    retina: Retina,
    by: tuple[float, float] = (30, 150),
    half: tuple[float, float] = (900, 2200),
    centre: float | None = None,
    *,
    fill_pit: float = 0.8,
) -> None:
    """Thicken the retina, and fill the fovea's pit."""
    chance = retina.chance
    middle = retina.place(700) if centre is None else centre
    shape = bell(retina.x, middle, chance.uniform(*half))
    more = chance.amount(*by)
    retina.thickness["outer_nuclear"] += 0.5 * more * shape
    retina.thickness["inner_nuclear"] += 0.3 * more * shape
    retina.thickness["outer_plexiform"] += 0.2 * more * shape
    raise_pit(retina, fill_pit * min(chance.severity, 1) * float(np.max(shape * retina.pit)))
    retina.mark("inner_nuclear", "outer_nuclear", more * shape > 25)


def raise_pit(retina: Retina, share: float) -> None:
    """Bring the inner layers to the middle of the fovea, by a share of what is missing."""
    for name, usual in zip(_INNER, (34, 30, 30, 20), strict=True):
        retina.thickness[name] += np.float32(share * usual) * retina.pit


def half_of_retina(retina: Retina) -> float:
    """Swell one side of the fovea alone, as the occlusion of a branch vein does; return where."""
    side = 1 if retina.chance.happens(0.5) else -1
    centre = retina.fovea + side * retina.chance.uniform(900, 1400)
    swelling(retina, (70, 230), (1200, 1700), centre, fill_pit=0.3)
    cysts(retina, (3, 12), 1000, centre)
    retina.shade(105, bell(retina.x, centre, 1700) * 0.5, "ganglion_cells", "nerve_fibres")
    return centre


def cysts(
    retina: Retina,
    number: tuple[int, int] = (2, 10),
    reach: float = 1100,
    centre: float | None = None,
    *,
    size: tuple[float, float] = (50, 230),
    layers: Sequence[str] = ("inner_nuclear", "outer_nuclear"),
    thicken: bool = True,
) -> None:
    """Paint dark, rounded holes into layers, which swell around them."""
    chance = retina.chance
    middle = retina.fovea if centre is None else centre
    for _ in range(chance.whole(*number)):
        place = middle + chance.uniform(-1, 1) * min(reach, 0.4 * retina.span)
        # The largest holes are in the middle.
        nearer = 1 - 0.5 * abs(place - middle) / reach
        half = nearer * chance.amount(size[0], size[0] + 0.8 * (size[1] - size[0]))
        layer = layers[0] if chance.happens(0.4) else layers[-1]
        tall = half * chance.uniform(0.3, 0.8) * (0.6 if layer == "inner_nuclear" else 0.9)
        if thicken:
            shape = bell(retina.x, place, 3 * half)
            room = 2.3 * tall * shape - 0.7 * retina.thickness[layer]
            retina.thickness[layer] += np.maximum(room, 0)
        retina.later(_hole(layer, place, (half, tall), chance.uniform(0.35, 0.65)))


def _hole(
    layer: str, place: float, radii: tuple[float, float], share: float
) -> Callable[[Picture], None]:
    def paint(picture: Picture) -> None:
        top = picture.edge(layer, place)
        room = picture.edge(_NEXT[layer], place) - top
        tall = min(radii[1], 0.48 * room)
        depth = top + min(max(share * room, tall), room - tall)
        picture.ellipse((place, depth), (radii[0], tall), 12, uneven=0.12)

    return paint


def exudates(retina: Retina, number: tuple[int, int] = (2, 14), reach: float = 1800) -> None:
    """Paint bright dots with shadows about the outer plexiform layer (hard exudates)."""
    chance = retina.chance
    for _ in range(chance.whole(*number)):
        place, size, up = retina.place(reach), chance.uniform(10, 28), chance.uniform(-45, 30)

        def paint(
            picture: Picture, place: float = place, size: float = size, up: float = up
        ) -> None:
            depth = picture.edge("outer_plexiform", place) + up
            picture.ellipse((place, depth), (1.6 * size, size), 215, uneven=0.25, absorb=0.3)

        retina.later(paint)


def macular_hole(retina: Retina) -> None:
    """Open the fovea from the surface to the pigment epithelium; its rims are raised and cystic."""
    chance = retina.chance
    half = chance.amount(90, 330)
    away = np.abs(retina.x - retina.fovea)
    rim = np.exp(-(((away - half - 250) / 300) ** 2)) * (away > 0.5 * half)
    raise_pit(retina, 0.85)
    retina.thickness["outer_nuclear"] += chance.amount(25, 80) * rim
    retina.thickness["inner_nuclear"] += chance.amount(10, 40) * rim
    cuff = window(retina.x, retina.fovea, half + 180, 120)
    retina.thickness["subretinal"] += 25 * cuff
    lose_photoreceptors(retina, 0.7 * cuff)
    waist = half * np.interp(np.linspace(0, 1, 9), [0, 0.15, 0.5, 1], [1.35, 1.0, 0.7, 1.25])
    retina.later(
        lambda picture: picture.cut(
            picture.tops["nerve_fibres"] - 15,
            picture.tops["pigment_epithelium"],
            np.asarray(waist, np.float32),
            retina.fovea,
            10,
        )
    )
    for side in (-1, 1):
        centre = retina.fovea + side * (half + 190)
        cysts(retina, (1, 4), 130, centre, size=(60, 160), thicken=False)
    if chance.happens(0.5):
        _operculum(retina)


def _operculum(retina: Retina) -> None:
    """Let a piece of tissue float before the fovea."""
    up, half = retina.chance.uniform(110, 260), retina.chance.uniform(70, 150)

    def paint(picture: Picture) -> None:
        depth = picture.edge("nerve_fibres", retina.fovea) - up
        picture.ellipse((retina.fovea, depth), (half, 16), 95, uneven=0.2)

    retina.later(paint)


def lamellar_hole(retina: Retina) -> None:
    """Break the inner fovea open and cleave it sideways, over whole photoreceptors."""
    chance = retina.chance
    half, cleft = chance.uniform(180, 380), chance.amount(160, 480)
    away = np.abs(retina.x - retina.fovea)
    rim = np.exp(-(((away - half - 150) / 350) ** 2))
    edge = window(retina.x, retina.fovea, half, 120)
    for name in ("nerve_fibres", *_INNER):
        more = 18 * rim * (name != "nerve_fibres")
        retina.thickness[name] = (retina.thickness[name] + more) * (1 - edge)
    retina.scale(1 - 0.35 * edge, "outer_nuclear")
    for side in (-1, 1):
        centre = retina.fovea + side * (half + 0.3 * cleft)
        retina.thickness["outer_plexiform"] += 22 * bell(retina.x, centre, cleft)

        def paint(picture: Picture, centre: float = centre) -> None:
            depth = picture.edge("outer_nuclear", centre) - 12
            picture.ellipse((centre, depth), (0.8 * cleft, 22), 16, uneven=0.12)

        retina.later(paint)
    retina.mark("vitreous", "outer_nuclear", edge > 0.9)


def steep_pit(retina: Retina) -> None:
    """Make the fovea's pit narrow, deep and steep between thick shoulders (pseudohole)."""
    chance = retina.chance
    away = np.abs(retina.x - retina.fovea)
    half = chance.uniform(130, 220)
    wall = rise(away, half - 40, half + 110)
    shoulder = chance.amount(0.5, 1.1) * np.exp(-((away / 900) ** 2))
    for name, usual in zip(("nerve_fibres", *_INNER), (16, 46, 44, 42, 30), strict=True):
        full = np.maximum(retina.thickness[name], usual * np.minimum(shoulder + 0.35, 1.2))
        near = away < 1300
        blend = np.where(near, bell(retina.x, retina.fovea, 1500) ** 0.25, 0)
        stood = retina.thickness[name] + blend * (full - retina.thickness[name])
        retina.thickness[name] = stood * np.maximum(wall, 0.06)
    retina.mark("nerve_fibres", "outer_plexiform", away < half + 110)


def schisis(retina: Retina) -> None:
    """Split the retina in two sheets that pillars of tissue hold together."""
    chance = retina.chance
    layer = "inner_nuclear" if chance.happens(0.5) else "outer_nuclear"
    centre, half = retina.place(500), chance.uniform(900, 2000)
    inside = bell(retina.x, centre, half) ** 0.6
    wide = chance.amount(50, 190) * inside
    retina.thickness[layer] += wide
    raise_pit(retina, 0.6 * float(inside[np.argmax(retina.pit)]))
    step = chance.uniform(55, 110)

    def paint(picture: Picture) -> None:
        place = centre - half
        while place < centre + half:
            width = step * float(picture.rng.uniform(0.6, 1.5))
            tall = 0.48 * float(np.interp(place, retina.x, wide))
            if tall > 10:
                top = picture.edge(layer, place)
                room = picture.edge(_NEXT[layer], place) - top
                picture.ellipse((place, top + room / 2), (0.46 * width, tall), 12)
            place += width

    retina.later(paint)


def cavities(retina: Retina) -> None:
    """Leave dark gaps in the fovea, below a drape of its surface, that do not thicken it."""
    chance = retina.chance
    side = 1 if chance.happens(0.5) else -1
    raise_pit(retina, 0.25)
    centre = retina.fovea + side * chance.uniform(0, 250)
    inner = ("inner_nuclear", "outer_nuclear")
    cysts(retina, (1, 4), 320, centre, size=(50, 150), layers=inner, thicken=False)
    broken = window(retina.x, centre + side * 150, chance.amount(90, 420), 80)
    lose_photoreceptors(retina, 0.9 * broken)
    retina.scale(1 - 0.35 * broken, "outer_nuclear")
    retina.mark("outer_nuclear", "segments", broken > 0.4)


def bright_inner_layers(retina: Retina) -> None:
    """Cloud the inner layers, which lack blood: bright, thicker, with a shadow below."""
    chance = retina.chance
    strength = chance.amount(0.3, 1.0) * (1 - 0.7 * retina.pit)
    weight = np.clip(strength, 0, 1)
    retina.shade(150, weight, "nerve_fibres", *_INNER)
    retina.scale(1 + 0.3 * weight, "nerve_fibres", *_INNER)
    shadow = 0.55 * weight
    retina.later(lambda picture: picture.absorb(picture.tops["outer_nuclear"], shadow))
    retina.mark("nerve_fibres", "outer_plexiform", weight > 0.25)


def thin_nerve(retina: Retina) -> None:
    """Thin the nerve fibres and their cells, on one side of the fovea more than on the other."""
    chance = retina.chance
    side = 1 if chance.happens(0.5) else -1
    more = 0.6 + 0.4 * rise(side * (retina.x - retina.fovea), -800, 800)
    loss = np.minimum(chance.amount(0.4, 0.9) * more, 0.92)
    retina.scale(1 - loss, "nerve_fibres")
    retina.scale(1 - 0.75 * loss, "ganglion_cells")
    retina.scale(1 - 0.35 * loss, "inner_plexiform")
    retina.shade(88, 0.6 * loss, "nerve_fibres")
    retina.mark("nerve_fibres", "inner_plexiform", np.ones(retina.shape[1], np.bool_))


def bright_focus(retina: Retina) -> None:
    """Paint the bright focus of vessels that grow within the retina."""
    chance = retina.chance
    place, size = retina.place(500), chance.amount(35, 80)

    def paint(picture: Picture) -> None:
        depth = picture.edge("outer_nuclear", place) + 0.5 * size
        picture.ellipse((place, depth), (1.3 * size, size), 160, uneven=0.25, absorb=0.5)

    retina.later(paint)


def vessels(retina: Retina) -> None:
    """Paint what every eye has: vessels of the retina away from the fovea, with their shadows."""
    scan = retina.chance.scan
    for _ in range(int(scan.integers(1, 6))):
        side = 1 if scan.random() < 0.5 else -1
        place = retina.fovea + side * float(scan.uniform(700, max(0.5 * retina.span, 900)))
        size = float(scan.uniform(14, 42))

        def paint(picture: Picture, place: float = place, size: float = size) -> None:
            if not picture.x[0] < place < picture.x[-1]:
                return
            depth = picture.edge("ganglion_cells", place)
            picture.ellipse((place, depth), (size, size), 140, weight=0.6, lesion=False)
            weight = bell(picture.x, place, 1.5 * size)
            at = np.full_like(picture.x, min(depth + size, DEPTH))
            picture.absorb(at, 0.45 * weight * size / 30)

        retina.later(paint)
