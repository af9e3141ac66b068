"""Which images are simulated: of whom, at which stage, where, and in which part."""

from __future__ import annotations

import dataclasses
import itertools
import math

from fewcase.ingest.simulate.checks import check_sites_and_parts
from fewcase.ingest.simulate.ultrasound_stages import STAGES
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.image_sources import SimulateUltrasound

STRIDE = 10
"""A patient's number is this times its place in its stage, plus the place of the stage."""

MOST = 3
"""Images of a patient."""


@dataclasses.dataclass(frozen=True)
class SimulatedScan:
    """One image to be: its name, its place in folders, and what it shows.

    Attributes
    ----------
    name
        Of its file, without suffix.
    part
        train, validation or test; empty where the data are not divided.
    stage
        F0 to F4.
    patient, number
        Of whom (unique), and which among the patient's images.
    site
        Where.
    """

    name: str
    part: str
    stage: str
    patient: int
    number: int
    site: str


def plan_scans(options: SimulateUltrasound) -> list[SimulatedScan]:
    """Deal images to patients, and patients to sites and parts; a patient's images follow another.

    A patient is at one stage. Parts get their shares of the patients of each stage and site.

    Raises
    ------
    InputError
        Where a stage is unknown, or numbers do not go together.
    """
    _check(options)
    scans = []
    for stage, count in options.classes.items():
        for place in itertools.count():
            if count <= 0:
                break
            patient = STRIDE * place + STAGES.index(stage)
            order, number_of_site = divmod(place, len(options.sites))
            site = options.sites[number_of_site]
            part = _part(options, number_of_site, order)
            images = min(_images(options.images, patient), count)
            count -= images
            for number in range(images):
                name = f"simulated-{site}-p{patient:04d}-i{number}"
                scans.append(SimulatedScan(name, part, stage, patient, number, site))
    return scans


def _images(average: float, patient: int) -> int:
    """Return how many images a patient has, from 1 to 3, spread evenly over patients."""
    share = (average - 1) / (MOST - 1)
    spread = (0.5 + patient * (math.sqrt(5) - 1) / 2) % 1
    return 1 + (spread < share**2) + (spread < share**2 + 2 * share * (1 - share))


def _part(options: SimulateUltrasound, site: int, order: int) -> str:
    """Return the part of a patient by its order among those of one stage and site.

    Whenever the wanted number grows by one, the next patient makes it up. Sites begin at equal
    distances between two such times, so that the number over all sites is rounded only once.
    """
    if options.validation + options.test == 0:
        return ""
    begin = (0.5 + site) / len(options.sites) + 1e-9
    share = options.validation
    before = int(begin + share * order)
    if int(begin + share * (order + 1)) > before:
        return "validation"
    left = order - (before - int(begin))
    share = options.test / (1 - options.validation)
    tested = int(begin + share * (left + 1)) > int(begin + share * left)
    return "test" if tested else "train"


def _check(options: SimulateUltrasound) -> None:
    for name, count in options.classes.items():
        if name not in STAGES:
            raise InputError(f"classes.{name}: no such stage.{nearest(name, STAGES)}")
        if count < 0:
            raise InputError(f"classes.{name}: {count} images, expected 0 or more.")
    if not any(options.classes.values()):
        raise InputError("classes: no image of any stage is asked for, as in {F0: 20, F4: 23}.")
    check_sites_and_parts(options.sites, options.validation, options.test)
