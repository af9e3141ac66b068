"""Simulated B-scans of the liver, with masks, of patients at stages F0 to F4 of fibrosis.

Nothing here was taken from a person. A liver is laid out in a view (`ultrasound_liver`) with its
vessels and neighbours (`ultrasound_organs`) as echoes and attenuation along the beams of a convex
probe (`ultrasound_sector`), seen through point spread, time gain and compression
(`ultrasound_scanner`), and shown on a screen (`ultrasound_screen`). Stages change its texture,
surface, edges, vessels and attenuation (`ultrasound_stages`).

Sites, patients and images have random generators of their own, keyed by seed and number: more
images, patients or stages leave the others as they were, and so does the order of the work.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewcase.data.files import write_json
from fewcase.data.parallel import map_in_order
from fewcase.ingest.simulate import ultrasound_organs as organs
from fewcase.ingest.simulate.fields import Field, smooth_curve
from fewcase.ingest.simulate.files import generator, save, whole_folder
from fewcase.ingest.simulate.ultrasound_body import Body, smooth_least
from fewcase.ingest.simulate.ultrasound_liver import VIEWS, lay_out
from fewcase.ingest.simulate.ultrasound_plan import SimulatedScan, plan_scans
from fewcase.ingest.simulate.ultrasound_scanner import (
    DECIBEL,
    Scanner,
    attenuation,
    compress,
    draw_scanner,
    point_spread,
    speckle,
    time_gain,
)
from fewcase.ingest.simulate.ultrasound_screen import annotate, place_sector, show
from fewcase.ingest.simulate.ultrasound_sector import Beams, Converter, Sector
from fewcase.ingest.simulate.ultrasound_stages import Signs, draw_signs
from fewcase.study.image_sources import SimulateUltrasound

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Patient:
    """What all images of a patient have in common.

    Attributes
    ----------
    signs
        Of the liver.
    wall
        Thickness of the abdominal wall, in mm.
    depth
        Of the images, in mm.
    views
        Places of the views, in the order in which they are taken.
    """

    signs: Signs
    wall: float
    depth: float
    views: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """A simulated image.

    Attributes
    ----------
    picture
        uint8 (height, width).
    mask
        Where the liver is, bool (height, width).
    sector
        Where the picture is on the screen.
    inside
        Where the sector is, bool (height, width).
    """

    picture: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    sector: Sector
    inside: npt.NDArray[np.bool_]


def simulate_ultrasound(options: SimulateUltrasound, out: Path, *, threads: int = 1) -> None:
    """Simulate all images and write them as files, whole or not at all.

    Writes ``{part}/{stage}/simulated-{site}-p{patient}-i{number}.png``, grey, 8 bit, and beside it
    ``…_mask.png``: 255 where the liver is, else 0. Where no patient is to be in validation or
    test, the level of parts is left out. `out` is replaced.

    Parameters
    ----------
    options
        Stages, sites and size.
    out
        The folder.
    threads
        Patients that are worked on at once; the files are the same for any number.

    Raises
    ------
    InputError
        Where a stage is unknown, or numbers do not go together.
    """
    scans = plan_scans(options)
    scanners = draw_scanners(options)
    groups = itertools.groupby(scans, key=lambda scan: scan.patient)
    by_patient = [list(group) for _, group in groups]
    with whole_folder(Path(out)) as folder:

        def write(of_patient: Sequence[SimulatedScan]) -> int:
            for scan in of_patient:
                drawn = draw_scan(scan, options, scanners[scan.site])
                path = folder / scan.part / scan.stage
                save(path / f"{scan.name}.png", drawn.picture)
                save(path / f"{scan.name}_mask.png", drawn.mask * np.uint8(255))
            return len(of_patient)

        written = sum(map_in_order(write, by_patient, threads))
        write_json(folder / "simulation.json", dataclasses.asdict(options))
    logger.info("%d simulated images of %d patients", written, len(by_patient))


def draw_scanners(options: SimulateUltrasound) -> Mapping[str, Scanner]:
    """Draw the scanner of each site."""
    return {
        site: draw_scanner(generator(options.seed, f"site {site}"), options.site_shift)
        for site in options.sites
    }


def draw_patient(scan: SimulatedScan, options: SimulateUltrasound) -> Patient:
    """Draw the patient of an image."""
    rng = generator(options.seed, "patient", scan.patient)
    shift = options.patient_shift
    signs = draw_signs(rng, scan.stage, options.severity, shift)
    thick = float(np.clip(rng.standard_normal(), -1.8, 1.8))
    wall = 17 * math.exp(0.22 * shift * thick)
    depth = 150 + shift * (9 * thick + float(rng.uniform(-8, 8)))
    return Patient(signs, wall, depth, tuple(rng.permutation(len(VIEWS)).tolist()))


def draw_scan(scan: SimulatedScan, options: SimulateUltrasound, scanner: Scanner) -> Scan:
    """Simulate one image."""
    patient = draw_patient(scan, options)
    rng = generator(options.seed, "image", scan.patient, scan.number)
    shape = (options.size, round(options.size * 4 / 3))
    sector = place_sector(scanner, shape, patient.depth)
    beams = lay_beams(sector)
    body, bare = draw_body(beams, patient, scan.number, rng)
    gain = options.patient_shift * float(np.clip(rng.normal(0, 1.8), -4, 4))
    grey = compress(echoes(body, scanner, gain), scanner)
    converter = Converter(beams)
    shown = np.rint(converter.picture(grey, 0)).astype(np.uint8)
    picture, inside = show(shown, sector, converter.inside)
    mask = np.zeros(shape, bool)
    left, top, right, bottom = sector.box()
    mask[top:bottom, left:right] = converter.picture(bare, -1) > 0
    if options.screen:
        annotate(picture, sector, scanner, f"SIM-{scan.patient:04d}", scan.number, gain)
    return Scan(picture, mask, sector, inside)


def lay_beams(sector: Sector) -> Beams:
    """Return beams that are as close as the screen can show."""
    samples = math.ceil(sector.depth / sector.scale)
    beams = 60 + round(0.45 * sector.shape[0])
    return Beams(sector, samples, beams, margin=8 + beams // 32)


def draw_body(
    beams: Beams, patient: Patient, number: int, rng: np.random.Generator
) -> tuple[Body, Field]:
    """Lay out what a patient's image meets.

    Returns
    -------
    body
        Echoes and attenuation.
    bare
        Distance in mm from its outline as an expert draws it, positive inside, (samples, beams).
    """
    signs = patient.signs
    liver = lay_out(beams, VIEWS[patient.views[number]], signs, patient.wall, rng)
    body = Body(beams, rng)
    organs.surroundings(body)
    organs.lung(body, liver)
    organs.parenchyma(body, liver, signs)
    organs.surfaces(body, liver)
    organs.vessels(body, liver, signs)
    bare = liver.bare
    for name in liver.view.neighbours:
        distance = organs.NEIGHBOURS[name](body, liver)
        if distance is not None:
            bare = smooth_least(bare, -distance, 4)
    organs.abdominal_wall(body, liver, patient.wall)
    return body, bare


def echoes(body: Body, scanner: Scanner, gain: float) -> Field:
    """Return the intensity of a body's echoes as a scanner has them before compression.

    Parameters
    ----------
    gain
        In decibels, over what makes normal liver 1.
    """
    beams, rng = body.beams, body.rng
    boost = time_gain(scanner, beams)
    # Sliders of time gain are never quite right, and contact is poor at the sides of some scans.
    setting = 1.2 * smooth_curve(rng, beams.shape[0], 0.5 * beams.shape[0])[:, None]
    focus = np.float32(2) * np.exp(-(((beams.depth - scanner.focus) / np.float32(30)) ** 2))
    contact = _contact(beams, rng)
    seen = boost + (setting + focus + np.float32(gain)) + contact
    seen = seen - attenuation(body.loss, scanner, beams)
    amplitude = np.exp((body.echo + seen) * np.float32(DECIBEL))
    noise = np.exp((boost + np.float32(scanner.noise + gain)) * np.float32(DECIBEL))
    amplitude = np.hypot(amplitude, noise)
    steady = body.steady * np.exp(seen * np.float32(DECIBEL))
    return speckle(amplitude, steady, point_spread(scanner, beams), scanner.looks, rng)


def _contact(beams: Beams, rng: np.random.Generator) -> Field:
    """Return the level of each beam, (1, beams): lower at the sides, and behind ribs at times."""
    share = beams.angle / np.float32(beams.sector.half)
    level = -np.float32(3) * np.abs(share) ** 4
    level += np.float32(0.8) * smooth_curve(rng, beams.shape[1], 0.12 * beams.shape[1])[None]
    if rng.random() < 0.35:
        side, edge = float(rng.choice([-1, 1])), float(rng.uniform(0.72, 0.95))
        level -= np.float32(rng.uniform(8, 25)) / (1 + np.exp((edge - side * share) / 0.05))
    return np.asarray(level, np.float32)
