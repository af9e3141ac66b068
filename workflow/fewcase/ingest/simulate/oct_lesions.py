"""Signs of disease of the outer retina, the pigment epithelium and the choroid, one function each.

Each changes the columns of a `Retina`, leaves painting for later, and marks where it is seen. How
far it goes follows the severity of the eye's disease; lengths are in micrometres.
"""

from __future__ import annotations

import numpy as np

from fewcase.ingest.simulate.fields import Field, bell, dome, rise, window
from fewcase.ingest.simulate.oct_picture import Picture
from fewcase.ingest.simulate.oct_retina import DEPTH, Retina

PHOTORECEPTORS = ("external_membrane", "myoid", "ellipsoid", "segments")
_LOST = 50.0
"""Grey level of what is left where photoreceptors are gone."""


def lose_photoreceptors(retina: Retina, weight: Field) -> None:
    """Fade the bands of photoreceptors, by a weight from 0 to 1 in each column."""
    retina.shade(_LOST, weight, *PHOTORECEPTORS)


def drusen(retina: Retina, number: tuple[int, int] = (2, 9), reach: float = 2200) -> None:
    """Raise the pigment epithelium in several small domes of middling grey."""
    chance = retina.chance
    rise_of = np.zeros_like(retina.x)
    for _ in range(chance.whole(*number)):
        half = chance.uniform(60, 190)
        height = chance.amount(22, 75) * (0.6 + half / 350)
        rise_of = np.maximum(rise_of, height * dome(retina.x, retina.place(reach), half))
    retina.thickness["below_epithelium"] += rise_of
    retina.shade(chance.uniform(105, 160), np.clip(rise_of / 10, 0, 1), "below_epithelium")
    lose_photoreceptors(retina, 0.75 * np.clip(rise_of / 50 - 0.2, 0, 1))
    retina.scale(1 - 0.5 * np.clip(rise_of / 80, 0, 1), "segments", "myoid")
    retina.mark("external_membrane", "below_epithelium", rise_of > 8)


def detachment(
    retina: Retina,
    height: tuple[float, float] = (80, 260),
    half: tuple[float, float] = (400, 1000),
    content: float = 20,
    rough: float = 0.0,
    peaked: bool = False,
    reach: float = 900,
) -> None:
    """Detach the pigment epithelium: a dome of clear (dark), or fibrous and vascular content."""
    chance = retina.chance
    centre, wide = retina.place(reach), chance.uniform(*half)
    shape = bell(retina.x, centre, wide) ** 1.5 if peaked else dome(retina.x, centre, wide)
    if peaked:
        # A notch beside the peak, and a lower dome behind it.
        side = 1 if chance.happens(0.5) else -1
        lower = 0.55 * dome(retina.x, centre + side * 0.9 * wide, 0.6 * wide)
        shape = np.maximum(shape, lower)
    tall = chance.amount(*height) * shape
    if rough:
        tall = tall * np.clip(1 + rough * (retina.noise(600) + 0.4 * retina.noise(220)), 0.2, 2)
    retina.thickness["below_epithelium"] += tall
    inside = np.clip(tall / 12, 0, 1)
    retina.shade(content, inside, "below_epithelium")
    lose_photoreceptors(retina, (0.3 + 0.5 * min(rough, 1)) * inside)
    retina.mark("pigment_epithelium", "below_epithelium", tall > 10)
    if content > 50:
        retina.later(lambda picture: _texture(picture, "below_epithelium", tall, 0.5))


def _texture(picture: Picture, layer: str, tall: Field, weight: float) -> None:
    """Paint darker and brighter spots into material."""
    columns = np.flatnonzero(tall > 25)
    if len(columns) == 0:
        return
    for _ in range(min(40, len(columns) // 2)):
        column = int(picture.rng.choice(columns))
        depth = picture.tops[layer][column] + picture.rng.uniform(0.15, 0.85) * tall[column]
        radii = (picture.rng.uniform(25, 80), min(picture.rng.uniform(8, 22), tall[column] / 3))
        grey = picture.rng.choice([35.0, 150.0])
        place = (float(picture.x[column]), float(depth))
        picture.ellipse(place, radii, grey, weight=weight, uneven=0.3, lesion=False)


def subretinal_fluid(
    retina: Retina,
    height: tuple[float, float] = (40, 170),
    half: tuple[float, float] = (350, 1100),
    reach: float = 700,
    tongues: bool = False,
) -> None:
    """Lift the retina off the pigment epithelium over clear, dark fluid."""
    chance = retina.chance
    centre, wide = retina.place(reach), chance.uniform(*half)
    tall = chance.amount(*height) * bell(retina.x, centre, wide) ** 0.7
    retina.thickness["subretinal"] += tall
    if tongues:
        longer = np.clip(tall / 60, 0, 1) * (1 + 0.5 * retina.noise(60))
        retina.thickness["segments"] += 22 * np.maximum(longer, 0)
    retina.mark("subretinal", "subretinal", tall > 8)


def material(
    retina: Retina,
    height: tuple[float, float] = (40, 150),
    half: tuple[float, float] = (450, 1200),
    grey: tuple[float, float] = (115, 160),
    rough: float = 0.35,
    reach: float = 600,
) -> None:
    """Lay bright material between photoreceptors and pigment epithelium."""
    chance = retina.chance
    centre, wide = retina.place(reach), chance.uniform(*half)
    tall = chance.amount(*height) * bell(retina.x, centre, wide)
    tall = tall * np.clip(1 + rough * (retina.noise(700) + 0.4 * retina.noise(240)), 0.1, 2)
    retina.thickness["deposit"] += tall
    inside = np.clip(tall / 15, 0, 1)
    retina.shade(chance.uniform(*grey), inside, "deposit")
    lose_photoreceptors(retina, 0.85 * inside)
    retina.shade(150, 0.6 * inside, "pigment_epithelium")
    retina.mark("deposit", "pigment_epithelium", tall > 10)
    if rough:
        retina.later(lambda picture: _texture(picture, "deposit", tall, 0.4))


def neovascular_membrane(retina: Retina) -> None:
    """Grow new vessels from the choroid: material below or above a broken, uneven epithelium."""
    chance = retina.chance
    below = chance.happens(0.6)
    if below:
        content = chance.uniform(60, 110)
        detachment(retina, (40, 240), (450, 1400), content, rough=0.3, reach=500)
    if not below or chance.happens(0.4):
        material(retina)
    if chance.happens(0.65):
        subretinal_fluid(retina, (15, 130), (300, 800))
    centre, wide = retina.place(500), chance.uniform(300, 900)
    inside = window(retina.x, centre, wide, 150)
    uneven = inside * chance.amount(4, 22) * np.abs(retina.noise(300))
    retina.thickness["below_epithelium"] += uneven
    retina.shade(90, np.clip(uneven / 8, 0, 1), "below_epithelium")
    retina.shade(120, inside * (retina.noise(160) > 0.7), "pigment_epithelium")
    lose_photoreceptors(retina, 0.6 * inside)
    retina.scale(1 + chance.amount(0.02, 0.16) * inside, "outer_nuclear", "inner_nuclear")
    retina.mark("external_membrane", "bruch", uneven > 4)


def epithelium_breaks(retina: Retina, number: tuple[int, int] = (1, 4)) -> None:
    """Break Bruch's membrane and the pigment epithelium in narrow gaps, as angioid streaks do."""
    chance = retina.chance
    for _ in range(chance.whole(*number)):
        centre, half = retina.place(2400), chance.amount(50, 150)
        gap = window(retina.x, centre, half, 30)
        retina.shade(70, 0.85 * gap, "pigment_epithelium")
        retina.shade(40, gap, "bruch", "capillaries")
        retina.scale(1 - 0.6 * gap, "pigment_epithelium")
        lose_photoreceptors(retina, 0.7 * gap)
        rim = bell(retina.x, centre - 1.6 * half, 70) + bell(retina.x, centre + 1.6 * half, 70)
        retina.thickness["below_epithelium"] += chance.amount(8, 26) * rim
        retina.shade(90, np.clip(rim, 0, 1), "below_epithelium")
        retina.mark("external_membrane", "capillaries", gap > 0.3)


def atrophy(retina: Retina, half: tuple[float, float] = (350, 1300), depth: float = 1.0) -> None:
    """Take away pigment epithelium and photoreceptors, so that light gets to the choroid."""
    centre, wide = retina.place(500), retina.chance.amount(*half)
    gone = depth * window(retina.x, centre, wide, 140)
    lose_photoreceptors(retina, gone)
    retina.scale(1 - 0.85 * gone, *PHOTORECEPTORS)
    retina.scale(1 - 0.8 * gone, "pigment_epithelium")
    retina.shade(95, 0.8 * gone, "pigment_epithelium")
    retina.scale(1 - 0.6 * gone, "outer_nuclear")
    retina.shade(190, 0.75 * gone, "choroid")
    retina.shade(165, 0.75 * gone, "sclera", "capillaries")
    retina.mark("outer_nuclear", "choroid", gone > 0.5)


def photoreceptor_loss(
    retina: Retina, half: tuple[float, float], outside: bool, thin: float = 0.6
) -> None:
    """Take photoreceptors away around the fovea, or everywhere but there."""
    wide = retina.chance.uniform(*half)
    if outside:
        wide = half[1] + half[0] - retina.chance.amount(half[0], half[1])
    gone = window(retina.x, retina.fovea, wide, 250)
    gone = min(0.55 + 0.45 * retina.chance.severity, 1) * (1 - gone if outside else gone)
    lose_photoreceptors(retina, gone)
    retina.scale(1 - 0.7 * gone, *PHOTORECEPTORS)
    retina.scale(1 - thin * gone, "outer_nuclear")
    retina.scale(1 - 0.25 * gone, "pigment_epithelium")
    retina.mark("outer_nuclear", "segments", gone > 0.4)


def tubulation(retina: Retina, number: tuple[int, int] = (1, 3)) -> None:
    """Paint dark rounds with a bright rim in the outer nuclear layer."""
    chance = retina.chance
    for _ in range(chance.whole(*number)):
        place, size = retina.place(900), chance.uniform(35, 70)

        def paint(picture: Picture, place: float = place, size: float = size) -> None:
            depth = picture.edge("external_membrane", place) - 0.9 * size
            picture.ellipse((place, depth), (1.5 * size, size), 150, uneven=0.1)
            picture.ellipse((place, depth), (1.5 * size - 22, size - 16), 25)

        retina.later(paint)


def dome_of_yolk(retina: Retina) -> None:
    """Lay a smooth dome of bright yolk below the fovea, partly turned to fluid (Best)."""
    chance = retina.chance
    wide = chance.uniform(600, 1300)
    tall = chance.amount(70, 260) * dome(retina.x, retina.fovea, wide)
    liquid = 0.0 if chance.happens(0.6) else chance.uniform(0.3, 0.7)
    retina.thickness["subretinal"] += liquid * tall
    retina.thickness["deposit"] += (1 - liquid) * tall
    retina.shade(chance.uniform(140, 180), np.clip(tall / 10, 0, 1), "deposit")
    retina.mark("subretinal", "deposit", tall > 10)


def thick_choroid(retina: Retina, by: tuple[float, float] = (80, 330)) -> None:
    """Thicken the choroid and widen its vessels."""
    more = retina.chance.amount(*by)
    retina.thickness["choroid"] += more * np.exp(-(((retina.x - retina.fovea) / 3500) ** 2))
    retina.vessels, retina.vessel_size = 1.25, 1.7
    retina.scale(0.5, "capillaries")
    retina.mark("choroid", "choroid", np.ones(retina.shape[1], np.bool_))


def mass(retina: Retina) -> None:
    """Raise all layers over a dark mass in the choroid that lets little light through."""
    chance = retina.chance
    centre, wide = retina.place(1600), chance.uniform(1100, 2200)
    tall = bell(retina.x, centre, wide)
    lift = chance.amount(60, 330) * tall
    retina.base = retina.base - lift
    retina.thickness["choroid"] += 1.2 * lift
    retina.shade(60, 0.9 * np.clip(2 * tall, 0, 1), "choroid")
    retina.shade(12, 0.9 * np.clip(2 * tall, 0, 1), "sclera")
    retina.shade(150, 0.5 * np.clip(2 * tall, 0, 1), "capillaries")
    retina.mark("capillaries", "choroid", tall > 0.15)


def staphyloma(retina: Retina) -> None:
    """Bend the wall of the eye outward, stretch the retina, and thin the choroid (myopia)."""
    chance = retina.chance
    share = (retina.x - retina.place(600)) / (retina.span / 2)
    deep = chance.amount(200, 560)
    retina.base = retina.base + deep * (0.5 - np.minimum(share**2, 1.4))
    thin = 1 - chance.amount(0.55, 0.85)
    retina.scale(max(thin, 0.08), "choroid")
    retina.scale(0.88, "outer_nuclear", "inner_nuclear", "ganglion_cells", "inner_plexiform")
    retina.shade(135, np.full_like(retina.x, 0.7), "sclera")
    retina.mark("choroid", "choroid", np.ones(retina.shape[1], np.bool_))


def excavation(retina: Retina) -> None:
    """Let the outer retina sink into a dent of the choroid."""
    chance = retina.chance
    centre, wide = retina.place(500), chance.uniform(250, 700)
    shape = bell(retina.x, centre, wide)
    deep = np.minimum(chance.amount(60, 190) * shape, 0.85 * retina.thickness["choroid"])
    retina.base = retina.base + deep
    retina.thickness["choroid"] -= deep
    # The inner retina does not follow.
    retina.thickness["outer_nuclear"] += 0.45 * deep
    retina.thickness["subretinal"] += (0.35 if chance.happens(0.4) else 0.0) * deep
    retina.mark("external_membrane", "capillaries", deep > 12)


def inward_dome(retina: Retina) -> None:
    """Bulge the wall of the eye inward below the fovea, by a thicker sclera."""
    chance = retina.chance
    centre, wide = retina.place(300), chance.uniform(1700, 2600)
    share = np.minimum(np.abs(retina.x - centre) / wide, 1)
    lift = chance.amount(110, 420) * (0.5 + 0.5 * np.cos(np.pi * share))
    retina.base = retina.base - lift
    retina.scale(0.7, "choroid")
    if chance.happens(0.35):
        subretinal_fluid(retina, (15, 70), (300, 700), reach=200)
    retina.mark("pigment_epithelium", "choroid", lift > 25)


def retinal_detachment(retina: Retina) -> None:
    """Lift the whole retina in folds off the pigment epithelium, from one side of the scan on."""
    chance = retina.chance
    side = 1 if chance.happens(0.5) else -1
    start = retina.fovea + side * chance.uniform(-900, 500)
    ramp = rise(side * (retina.x - start), 0, 0.45 * retina.span)
    folds = 1 + 0.12 * retina.noise(700) + 0.06 * retina.noise(260)
    tall = np.minimum(chance.amount(220, 640), 0.36 * DEPTH) * ramp * folds
    retina.thickness["subretinal"] += np.maximum(tall, 0)
    retina.scale(1 - 0.4 * ramp, "segments")
    retina.mark("subretinal", "subretinal", tall > 12)
