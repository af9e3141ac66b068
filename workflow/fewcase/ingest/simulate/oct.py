"""Simulated B-scans of the retina (optical coherence tomography), in folders as those of OCT2017.

Nothing here was taken from a person. Layers of a retina are laid out as thicknesses and
brightnesses along a scan (`oct_retina`), changed by the signs of the scan's class (`oct_classes`),
painted (`oct_picture`), and seen by a site's device through speckle and noise (`oct_device`).

Sites, patients, eyes and scans have random generators of their own, keyed by seed and number: more
scans, patients or classes leave the others as they were, and so does the order of the work.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewcase.data.files import write_json
from fewcase.data.parallel import map_in_order
from fewcase.ingest.simulate.checks import check_sites_and_parts
from fewcase.ingest.simulate.files import generator, save, whole_folder
from fewcase.ingest.simulate.oct_classes import CLASSES
from fewcase.ingest.simulate.oct_device import Device, draw_device, photograph, turn
from fewcase.ingest.simulate.oct_inner import vessels
from fewcase.ingest.simulate.oct_retina import LATERAL, Chance, Retina, draw_anatomy
from fewcase.ingest.simulate.oct_vitreous import detached_vitreous
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.image_sources import SimulateOct

WIDTHS = {512: 0.55, 768: 0.3, 1024: 0.06, 1536: 0.09}
"""How often scans have which width, to a height of 496 pixels; roughly as in OCT2017."""

FINE = 1000
"""Scans wider than this (to a height of 496 pixels) have columns half as far apart."""

EYES = ("od", "os")

STRIDE = 100
"""A patient's number is this times its place in its class, plus the place of the class."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SimulatedScan:
    """One scan to be: its name, its place in folders, and what it shows.

    Attributes
    ----------
    name
        Of its file, without suffix.
    part
        train, validation or test; empty where the data are not divided.
    class_name
        What it shows.
    patient, eye, number
        Of whom (unique), which eye (0 right, 1 left), which scan among the patient's.
    site
        Where.
    """

    name: str
    part: str
    class_name: str
    patient: int
    eye: int
    number: int
    site: str


def simulate_oct(options: SimulateOct, out: Path, *, threads: int = 1) -> None:
    """Simulate all scans and write them as files, whole or not at all.

    Writes ``{part}/{class}/simulated-{site}-p{patient}-{eye}-s{scan}.jpeg``, grey, 8 bit. Where no
    patient is to be in validation or test, the level of parts is left out. `out` is replaced.

    Parameters
    ----------
    options
        Classes, sites and size.
    out
        The folder.
    threads
        Patients that are worked on at once; the files are the same for any number.

    Raises
    ------
    InputError
        Where a class is unknown, or numbers do not go together.
    """
    scans = plan_scans(options)
    devices = draw_devices(options)
    groups = itertools.groupby(scans, key=lambda scan: scan.patient)
    by_patient = [list(group) for _, group in groups]
    with whole_folder(Path(out)) as folder:

        def write(of_patient: Sequence[SimulatedScan]) -> int:
            for scan in of_patient:
                picture, _ = draw_scan(scan, options, devices[scan.site])
                name = f"{scan.name}.{options.file_type}"
                save(folder / scan.part / scan.class_name / name, picture)
            return len(of_patient)

        written = sum(map_in_order(write, by_patient, threads))
        write_json(folder / "simulation.json", dataclasses.asdict(options))
    logger.info("%d simulated scans of %d patients", written, len(by_patient))


def plan_scans(options: SimulateOct) -> list[SimulatedScan]:
    """Deal scans to patients, and patients to sites and parts; scans of a patient follow another.

    A patient's scans show one class. Parts get their shares of the patients of each class, at each
    site as far as that comes out even.

    Raises
    ------
    InputError
        As `simulate_oct` does.
    """
    _check(options)
    scans = []
    for class_name, count in options.classes.items():
        parts = {place: _Parts(options, place) for place in range(len(options.sites))}
        for place in itertools.count():
            if count <= 0:
                break
            patient = STRIDE * place + list(CLASSES).index(class_name)
            site = place % len(options.sites)
            eyes = _eyes(options, patient)[:count]
            count -= len(eyes)
            part = parts[site].following()
            for number, eye in enumerate(eyes):
                name = f"simulated-{options.sites[site]}-p{patient:06d}-{EYES[eye]}-s{number:03d}"
                where = (name, part, class_name, patient, eye, number, options.sites[site])
                scans.append(SimulatedScan(*where))
    return scans


def _eyes(options: SimulateOct, patient: int) -> list[int]:
    """Return the eye of each scan of a patient."""
    rng = generator(options.seed, "patient", patient)
    number = int(rng.integers(1, 2 * options.scans))
    first, both = int(rng.integers(2)), rng.random() < 0.5
    change = (number + 1) // 2 if both else number
    return [first] * change + [1 - first] * (number - change)


class _Parts:
    """Deals the patients of one class and site to parts, one after the other.

    Each time the wanted number grows by one, the next patient makes it up. Sites begin at equal
    distances between two such times, so that the number over all sites is rounded only once.
    """

    def __init__(self, options: SimulateOct, site: int) -> None:
        self._divided = options.validation + options.test > 0
        self._begin = (0.5 + site) / len(options.sites)
        self._shares = {
            "validation": options.validation,
            "test": options.test / (1 - options.validation),
        }
        self._seen = dict.fromkeys(self._shares, 0)

    def following(self) -> str:
        for part, share in self._shares.items():
            before = self._begin + 1e-9 + share * self._seen[part]
            self._seen[part] += 1
            if int(before + share) > int(before):
                return part
        return "train" if self._divided else ""


def _check(options: SimulateOct) -> None:
    for name, count in options.classes.items():
        if name not in CLASSES:
            raise InputError(f"classes.{name}: no such class.{nearest(name, CLASSES)}")
        if count < 0:
            raise InputError(f"classes.{name}: {count} scans, expected 0 or more.")
    if not any(options.classes.values()):
        raise InputError("classes: no scan of any class is asked for, as in {NORMAL: 30, CNV: 30}.")
    check_sites_and_parts(options.sites, options.validation, options.test)


def draw_devices(options: SimulateOct) -> Mapping[str, Device]:
    """Draw the device of each site."""
    return {
        site: draw_device(
            generator(options.seed, f"site {site}"), options.site_shift, options.height
        )
        for site in options.sites
    }


def draw_scan(
    scan: SimulatedScan, options: SimulateOct, device: Device
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Simulate one scan.

    Returns
    -------
    picture
        uint8 (height, width).
    lesion
        Where the signs of its class are seen, bool (height, width); nowhere in a normal scan.
    """
    eye, rng = _generators(options.seed, scan)
    retina = draw_retina(scan, options, eye, rng)
    picture = retina.paint()
    light = picture.shaded()
    light *= _illumination(retina)
    seen, lesion = photograph(light, device, rng), picture.lesion
    if rng.random() < options.margins:
        seen, lesion = turn(seen, lesion, rng)
    return np.round(seen).astype(np.uint8), lesion


def _generators(seed: int, scan: SimulatedScan) -> tuple[np.random.Generator, np.random.Generator]:
    return (
        generator(seed, "eye", scan.patient, scan.eye),
        generator(seed, "scan", scan.patient, scan.number),
    )


def draw_retina(
    scan: SimulatedScan,
    options: SimulateOct,
    eye: np.random.Generator,
    rng: np.random.Generator,
) -> Retina:
    """Lay out the retina of a scan with all signs of its class.

    Parameters
    ----------
    eye, rng
        Generators of what all scans of the eye have in common, and of this scan alone.
    """
    recipe = CLASSES[scan.class_name]
    wide = int(eye.choice(list(WIDTHS), p=list(WIDTHS.values())))
    scale = options.height / 496
    lateral = (LATERAL / 2 if wide > FINE else LATERAL) / scale
    anatomy = draw_anatomy(eye, options.patient_shift)
    low, high = recipe.severity
    severity = options.severity * (low + (high - low) * float(eye.beta(1.7, 1.5)))
    retina = Retina(
        (options.height, round(wide * scale)), lateral, anatomy, Chance(eye, rng, severity)
    )
    vessels(retina)
    if scan.class_name not in ("PVD", "VMT") and retina.chance.happens(0.3):
        detached_vitreous(retina, lesion=False)
    for sign in recipe.signs:
        sign(retina)
    for chance, sign in recipe.sometimes:
        if retina.chance.happens(chance):
            sign(retina)
    return retina


def _illumination(retina: Retina) -> npt.NDArray[np.floating]:
    """Return how much light each column gets: less toward the ends of many scans."""
    scan = retina.chance.scan
    share = 2 * retina.x / retina.span
    middle = scan.uniform(-0.5, 0.5)
    falls = np.exp(-scan.exponential(0.25) * (share - middle) ** 2)
    uneven = 1 + 0.06 * retina.noise(900)
    strength = retina.anatomy.brightness * scan.lognormal(0, 0.08)
    return np.asarray(falls * uneven * strength, np.float32)
