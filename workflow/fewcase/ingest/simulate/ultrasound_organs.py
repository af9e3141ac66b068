"""What is seen in and about the liver: its tissue, vessels and neighbours, the wall before it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from fewcase.ingest.simulate.fields import Field, smooth_curve, smooth_field
from fewcase.ingest.simulate.ultrasound_body import VOID, Body, ellipse, smooth_least, turned
from fewcase.ingest.simulate.ultrasound_liver import Liver
from fewcase.ingest.simulate.ultrasound_sector import Beams
from fewcase.ingest.simulate.ultrasound_stages import Signs


def parenchyma(body: Body, liver: Liver, signs: Signs) -> None:
    """Fill the liver with tissue; septa and clusters of scatterers make it coarse."""
    septa = np.exp(-((body.texture(signs.grain) / np.float32(0.42)) ** 2))
    septa -= np.float32(0.28)
    echo = np.float32(signs.contrast) * septa
    echo += np.float32(signs.clusters) * body.texture(1.3 * signs.grain)
    echo += np.float32(0.9) * body.texture(45)
    echo += np.float32(signs.brightness)
    body.fill(liver.inside(), echo, signs.loss)


def surroundings(body: Body) -> None:
    """Fill all with the mixed tissue about the liver: fat, bowel, muscle."""
    body.echo += np.float32(3.5) * body.texture(16) + np.float32(3) * body.texture(5)
    body.echo -= np.float32(3)
    body.loss[:] = 0.6


def lung(body: Body, liver: Liver) -> None:
    """Fill what is behind the diaphragm with the liver's mirror image, which fades."""
    beyond = smooth_least(-liver.dome, liver.visceral + np.float32(4), 8)
    echo = np.float32(-7) - np.float32(0.3) * np.maximum(-liver.dome, 0)
    body.fill(beyond, echo + 1.5 * body.texture(9), 0.9)


def surfaces(body: Body, liver: Liver) -> None:
    """Draw the bright diaphragm, the thin line of the liver's surface, the fainter one below."""
    number = body.beams.shape[1]
    here = body.share(liver.visceral + np.float32(2), 6) * body.share(liver.top, 6)
    strength = 13 + 3 * smooth_curve(body.rng, number, 24)[None]
    body.surface(liver.dome + np.float32(0.8), strength, here, thickness=0.7)
    body.echo += np.float32(7) * here * np.exp(-(((liver.dome + 1) / np.float32(1.2)) ** 2))
    strength = 8 + 2.5 * smooth_curve(body.rng, number, 25)[None]
    body.surface(liver.top + np.float32(0.4), strength, body.share(liver.visceral, 6))
    strength = 2 + 5 * smooth_curve(body.rng, number, 18)[None]
    here = body.share(liver.dome) * body.share(liver.top)
    body.surface(liver.visceral + np.float32(0.4), strength, here)


def abdominal_wall(body: Body, liver: Liver, wall: float) -> None:
    """Draw skin, fat and muscle along the probe's face, and what the probe itself rings."""
    rng, beams = body.rng, body.beams
    rows = slice(0, int(np.ceil((1.45 * wall + 4) / beams.step)))
    depth = beams.depth[rows]
    shape = (len(depth), beams.shape[1])
    strands = smooth_field(rng, shape, (1.8 / beams.step, 0.3 * shape[1]))
    fibres = smooth_field(rng, shape, (1.2 / beams.step, 0.16 * shape[1]))
    wavy = np.float32(0.05 * wall) * smooth_curve(rng, shape[1], 0.4 * shape[1])[None]
    fat = depth - np.float32(rng.uniform(0.4, 0.6)) * liver.wall - wavy
    tissue = np.where(fat < 0, -2 + 4.5 * strands, -3.5 + 4 * fibres).astype(np.float32)
    skin = body.share(np.float32(2.2) - depth)
    tissue += skin * (6 - tissue)
    share = body.share(-liver.top[rows] - np.float32(0.3))
    body.echo[rows] += share * (tissue - body.echo[rows])
    body.loss[rows] += share * (np.float32(0.55) - body.loss[rows])
    body.steady[rows] *= 1 - share
    fascia = np.exp(-0.5 * (fat / np.float32(0.6)) ** 2) * np.float32(1.1)
    ringing = np.float32(3.5) * np.exp(-depth / np.float32(0.8))
    body.steady[rows] += share * fascia + ringing


@dataclasses.dataclass(frozen=True)
class Tube:
    """A vessel: start (x, z), angle, length, radius at both ends, bend and wave; in mm, radians."""

    start: tuple[float, float]
    angle: float
    length: float
    radius: tuple[float, float]
    bend: float = 0.0
    wave: float = 0.0

    def inside(self, beams: Beams) -> Field:
        """Return the distance from its wall, positive inside, (samples, beams)."""
        along, across = turned(beams, self.start, self.angle)
        share = np.clip(along / np.float32(max(self.length, 0.1)), 0, 1)
        across -= np.float32(4 * self.bend) * share * (1 - share)
        if self.wave:
            across -= np.float32(self.wave) * np.sin(np.float32(2 * math.pi) * share)
        along -= share * np.float32(self.length)
        first, last = self.radius
        radius = np.float32(first) + np.float32(last - first) * share
        if self.length > 3 * first:
            # Where a vessel leaves the picture's plane it seems to taper.
            radius *= np.sqrt(np.minimum(1, np.float32(0.25) + np.float32(6) * share))
        return np.asarray(radius - np.hypot(along, across), np.float32)

    def place(self, share: float) -> tuple[float, float]:
        """Return the place at a share of its length."""
        u, v = share * self.length, 4 * self.bend * share * (1 - share)
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.start[0] + u * c - v * s, self.start[1] + u * s + v * c


def tubes(body: Body, found: Sequence[tuple[Tube, float | None]], within: Field) -> None:
    """Draw vessels: fluid, and walls that are bright where they face the probe.

    Parameters
    ----------
    found
        Each with the level of its walls in dB against the tissue; None for a vessel without.
    within
        Share of each sample where they may be seen.
    """
    fluid = np.full(body.beams.shape, np.float32(-99))
    for vessel, walls in found:
        inside = vessel.inside(body.beams)
        np.maximum(fluid, inside, out=fluid)
        if walls is not None:
            # Walls of small vessels are thin.
            thick = 0.3 + 0.14 * vessel.radius[0]
            bright = np.exp(-0.5 * ((inside / np.float32(thick)) + np.float32(1.6)) ** 2) * within
            body.echo += np.float32(0.8 * walls) * bright
            body.surface(inside + np.float32(0.7), walls - 2, within, thickness=0.3)
    lumen = body.share(fluid) * within
    body.echo += lumen * (np.float32(VOID) - body.echo)
    body.loss += lumen * (np.float32(0.15) - body.loss)
    body.steady *= 1 - body.share(fluid - np.float32(0.3)) * within


def vessels(body: Body, liver: Liver, signs: Signs) -> None:
    """Draw hepatic veins without walls, portal branches with them, and cross-sections of both."""
    rng = body.rng
    found: list[tuple[Tube, float | None]] = []
    found += [(vessel, None) for vessel in _hepatic_veins(body, signs)]
    found += [(vessel, signs.walls + rng.normal(0, 0.7)) for vessel in _portal_veins(body, liver)]
    for _ in range(int(rng.integers(3, 9))):
        place = _somewhere(body, liver, 8)
        radius = float(rng.uniform(0.8, 2.3))
        length = float(rng.exponential(4))
        vessel = Tube(place, float(rng.uniform(-1.2, 1.2)), length, (radius, 0.8 * radius))
        found.append((vessel, signs.walls if rng.random() < 0.6 else None))
    tubes(body, found, body.share(liver.bare - np.float32(2.5), 3))


def _somewhere(body: Body, liver: Liver, away: float) -> tuple[float, float]:
    """Return a place in the liver, away from its edges by so many mm if it is thick enough."""
    beams = body.beams
    some = (slice(None, None, 5), slice(beams.margin, -beams.margin, 5))
    distance = liver.bare[some]
    weight = (distance > min(away, 0.7 * float(distance.max()))) * np.broadcast_to(
        beams.area(), beams.shape
    )[some].astype(float)
    total = np.cumsum(weight)
    place = int(np.searchsorted(total, body.rng.random() * total[-1]))
    return float(beams.x[some].flat[place]), float(beams.z[some].flat[place])


def _hepatic_veins(body: Body, signs: Signs) -> list[Tube]:
    """Return veins that meet near the diaphragm, wider toward there."""
    rng = body.rng
    found = []
    centre = (float(rng.uniform(-25, 15)), float(rng.uniform(95, 125)))
    narrow = 1 - signs.narrowing
    for angle in rng.choice([-2.45, -1.95, -1.5, -1.05, -0.6], int(rng.integers(1, 4)), False):
        start = (centre[0] + float(rng.normal(0, 4)), centre[1] + float(rng.normal(0, 4)))
        wide = float(rng.uniform(3.2, 5.2)) * narrow
        length, bend = float(rng.uniform(50, 85)), float(rng.normal(0, 5))
        vessel = Tube(
            start,
            float(angle + rng.normal(0, 0.12)),
            length,
            (wide, 0.3 * wide),
            bend,
            float(rng.normal(0, 1.5)),
        )
        found.append(vessel)
        if rng.random() < 0.6:
            turn = float(rng.choice([-1, 1]) * rng.uniform(0.4, 0.8))
            small = 0.6 * wide, 0.25 * wide
            branch = Tube(vessel.place(0.45), vessel.angle + turn, 0.45 * length, small, 0.3 * bend)
            found.append(branch)
    return found


def _portal_veins(body: Body, liver: Liver) -> list[Tube]:
    """Return a stem across the liver and its branches."""
    rng = body.rng
    x, z = _somewhere(body, liver, 18)
    angle = float(rng.uniform(-0.5, 0.5) + rng.choice([0, math.pi]))
    wide = float(rng.uniform(3.0, 5.0))
    length, bend = float(rng.uniform(40, 70)), float(rng.normal(0, 5))
    back = 0.4 * length
    start = (x - back * math.cos(angle), z - back * math.sin(angle))
    stem = Tube(start, angle, length, (wide, 0.4 * wide), bend, float(rng.normal(0, 2)))
    found = [stem]
    for share in rng.uniform(0.25, 0.9, int(rng.integers(1, 4))).tolist():
        turn = float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.0))
        small = wide * (1 - 0.6 * share) * 0.65
        branch = Tube(stem.place(share), angle + turn, float(rng.uniform(18, 40)),
                      (small, 0.5 * small), float(rng.normal(0, 3)))  # fmt: skip
        found.append(branch)
    return found


def kidney(body: Body, liver: Liver) -> Field:
    """Draw the right kidney below the liver; return the distance from it, positive inside."""
    rng, beams = body.rng, body.beams
    x = float(rng.uniform(18, 42))
    z, angle = liver.lower_surface(x)
    long, short = float(rng.uniform(46, 54)), float(rng.uniform(20, 25))
    angle += float(rng.normal(0, 0.08))
    centre = (x - 0.8 * short * math.sin(angle), z + 0.8 * short * math.cos(angle))
    whole = ellipse(beams, centre, (long, short), angle)
    fine = body.texture(5)
    body.fill(whole + np.float32(3.5), 3 + 2 * fine, 0.55, 3)
    body.fill(whole, -4.5 + 1.2 * fine, 0.45)
    body.surface(whole, 6 + fine, body.share(np.float32(3) - np.abs(whole)))
    along, across = turned(beams, centre, angle)
    # Pyramids lie around the sinus, dark, at equal angles.
    phase = np.arctan2(across / np.float32(short), along / np.float32(long))
    ring = np.float32(4) - np.abs(whole - np.float32(0.42 * short))
    pyramids = np.cos(phase * 9 + np.float32(rng.uniform(0, 6)))
    body.echo -= np.float32(5) * body.share(ring, 5) * np.clip(pyramids * 2, 0, 1)
    sinus = ellipse(beams, centre, (0.62 * long, 0.36 * short), angle)
    sinus += np.float32(2.2) * body.texture(10)
    body.fill(sinus, 8 + 2.5 * fine, 0.6, 4)
    return whole + np.float32(1.5)


def gallbladder(body: Body, liver: Liver) -> Field:
    """Draw the gallbladder under the liver; return the distance from it, positive inside."""
    rng, beams = body.rng, body.beams
    x = float(rng.uniform(-5, 30))
    z, angle = liver.lower_surface(x)
    half = float(rng.uniform(22, 32)), float(rng.uniform(9, 14))
    angle += float(rng.normal(0.1, 0.15))
    centre = (x - 0.55 * half[1] * math.sin(angle), z + 0.55 * half[1] * math.cos(angle))
    along, _ = turned(beams, centre, angle)
    whole = ellipse(beams, centre, half, angle)
    # A pear: narrower toward its neck.
    whole -= np.float32(0.22 * half[1]) * np.clip(-along / np.float32(half[0]), -1, 1)
    body.fill(whole + np.float32(1.8), 3.0, 0.5, 1.5)
    body.fill(whole, VOID, 0.05)
    body.surface(whole + np.float32(0.6), 9, body.share(np.float32(2.5) - np.abs(whole)))
    return whole + np.float32(1.8)


def great_vessels(body: Body, liver: Liver) -> None:
    """Draw aorta or vena cava behind the left lobe, along it."""
    rng = body.rng
    x = float(rng.uniform(-50, -35))
    z, angle = liver.lower_surface(0)
    wide = float(rng.uniform(6.5, 9))
    start = (x, z + 16 + wide)
    vessel = Tube(start, 0.35 * angle, 110, (wide, 0.9 * wide), float(rng.normal(0, 3)))
    tubes(body, [(vessel, 8.0)], body.share(-liver.visceral - np.float32(3), 2))


def gas(body: Body, liver: Liver) -> None:
    """Draw gas in the bowel: a bright surface, and little but shadow behind it."""
    rng, beams = body.rng, body.beams
    rough = body.texture(6)
    apart = body.share(-liver.visceral - np.float32(2), 2)
    for _ in range(int(rng.integers(1, 4))):
        x = float(rng.uniform(20, 95))
        z, angle = liver.lower_surface(x)
        deep = float(rng.uniform(8, 22))
        half = float(rng.uniform(9, 20)), float(rng.uniform(5, 9))
        whole = ellipse(beams, (x, z + deep + half[1]), half, angle + float(rng.normal(0, 0.2)))
        whole += np.float32(1.6) * rough
        body.loss += body.share(whole, 2) * apart * np.float32(6)
        top = np.exp(-((whole / np.float32(1.1)) ** 2)) * apart
        body.echo += top * (np.float32(9) + np.float32(3) * rough)
        body.surface(whole, 11 + 3 * rough, apart)


NEIGHBOURS: dict[str, Callable[[Body, Liver], Field | None]] = {
    "kidney": kidney,
    "gallbladder": gallbladder,
    "great vessels": great_vessels,
    "gas": gas,
}
"""What may lie below a liver. Those that press into it return the distance from them in mm."""
