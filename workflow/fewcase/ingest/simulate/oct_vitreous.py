"""Signs of disease of the vitreous and of the surface where it meets the retina, one each.

As in `oct_lesions`: each changes the columns of a `Retina`, leaves painting for later, and marks
where it is seen; lengths are in micrometres.
"""

from __future__ import annotations

import numpy as np

from fewcase.ingest.simulate.fields import Field, bell, window
from fewcase.ingest.simulate.oct_inner import cysts, raise_pit
from fewcase.ingest.simulate.oct_picture import Picture
from fewcase.ingest.simulate.oct_retina import Retina


def epiretinal_membrane(retina: Retina, *, wrinkled: float = 1.0, fill: float = 0.8) -> None:
    """Stretch a bright line over the inner surface, and wrinkle and thicken what is below it."""
    chance = retina.chance
    centre, half = retina.place(500), chance.uniform(1500, 2600)
    inside = window(retina.x, centre, half, 500)
    strength = chance.amount(0.35, 1.0)
    waves = np.abs(retina.noise(170)) + 0.5 * np.abs(retina.noise(70))
    retina.thickness["nerve_fibres"] += 16 * strength * wrinkled * inside * waves
    retina.thickness["inner_nuclear"] += 22 * strength * inside * retina.pit.max()
    retina.thickness["outer_nuclear"] += 30 * strength * inside * bell(retina.x, centre, 1500)
    raise_pit(retina, fill * min(strength, 1) * float(inside[np.argmax(retina.pit)]))
    grey = chance.amount(140, 185) * inside * (inside > 0.2)
    # It bridges the grooves between wrinkles.
    gap = 9 * strength * wrinkled * np.maximum(retina.noise(240), 0) * inside
    retina.later(
        lambda picture: picture.line(
            picture.tops["nerve_fibres"] - gap - 7, 12.0, grey, lesion=True
        )
    )
    retina.mark("nerve_fibres", "nerve_fibres", inside > 0.3)


def traction(retina: Retina) -> None:
    """Let the vitreous, detached around the fovea, pull its middle up into a tent with a cyst."""
    chance = retina.chance
    half = chance.uniform(160, 420)
    pull = bell(retina.x, retina.fovea, 2.4 * half)
    raise_pit(retina, 0.8)
    up = chance.amount(40, 170)
    retina.thickness["outer_nuclear"] += 0.65 * up * pull
    retina.thickness["inner_nuclear"] += 0.35 * up * pull
    cysts(retina, (1, 4), 0.6 * half, size=(60, 160), thicken=False)
    away = np.maximum(np.abs(retina.x - retina.fovea) - 0.5 * half, 0)
    slope = chance.uniform(0.14, 0.34)
    gap = np.minimum(slope * away, 420) + 8 * retina.noise(500) * (away > 0)
    grey = np.full_like(retina.x, chance.uniform(75, 110))
    _hyaloid(retina, np.maximum(gap, 0) + 3, grey, 30, lesion=True)
    retina.mark("nerve_fibres", "outer_nuclear", pull > 0.35)


def detached_vitreous(retina: Retina, *, lesion: bool = True) -> None:
    """Detach the vitreous from the whole macula: a line before the retina, mostly unbroken."""
    chance = retina.chance
    gap = chance.uniform(130, 480) + 30 * retina.noise(2200) + 6 * retina.noise(400)
    tilt = chance.uniform(-0.03, 0.03) * (retina.x - retina.fovea)
    grey = chance.amount(70, 105) if lesion else chance.uniform(38, 75)
    seen = np.clip(1.6 + 0.8 * retina.noise(1500), 0, 1)
    _hyaloid(retina, np.maximum(gap + tilt, 60), grey * seen, 600, lesion=lesion)


def floating_cells(retina: Retina, number: tuple[int, int] = (5, 26)) -> None:
    """Strew bright dots over the vitreous, as inflammation does."""
    count = retina.chance.whole(*number)

    def paint(picture: Picture) -> None:
        for _ in range(count):
            along = float(picture.rng.choice(picture.x))
            depth = picture.edge("nerve_fibres", along) * float(picture.rng.uniform(0.2, 0.93))
            size = float(picture.rng.uniform(9, 16))
            picture.ellipse((along, depth), (1.4 * size, size), float(picture.rng.uniform(75, 130)))

    retina.later(paint)


def _hyaloid(retina: Retina, gap: Field, grey: Field, over: float, *, lesion: bool) -> None:
    """Draw the back of the vitreous as a thin line at a distance from the retina."""
    retina.later(
        lambda picture: picture.line(
            np.maximum(retina.smoothed(picture.tops["nerve_fibres"], over) - gap, 0),
            11.0,
            grey,
            lesion=lesion,
        )
    )
