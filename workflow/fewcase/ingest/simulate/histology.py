"""Simulated histology: slides of patients at sites, stained with haematoxylin and eosin.

Nothing here was taken from a person. Tissue is painted as densities of two stains
(`histology_tissue`), nucleus by nucleus, and becomes a picture by Beer and Lambert's law
(`histology_stain`). Sites differ in stain and scanner, patients in stain and in their tissue; what
an image shows depends on its class besides, and on chance.

Each image has random generators of its own, keyed by seed, class and number, and so have sites and
patients: more images, classes or sites leave the others as they were.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fewcase.data.files import write_json
from fewcase.data.parallel import map_in_order
from fewcase.ingest.simulate.checks import check_sites_and_parts
from fewcase.ingest.simulate.files import generator, whole_folder
from fewcase.ingest.simulate.histology_canvas import Canvas, Look, Nuclei
from fewcase.ingest.simulate.histology_fields import smooth_noise
from fewcase.ingest.simulate.histology_stain import (
    Staining,
    patient_staining,
    photograph,
    site_staining,
)
from fewcase.ingest.simulate.histology_tissue import TISSUES
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.image_sources import SimulateHistology

COMPRESSION = 1
"""Of PNG files: noise hardly gets smaller by more."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SimulatedImage:
    """One image to be: its name, its place in folders, and what it shows.

    Attributes
    ----------
    name
        Of its file, without suffix.
    part
        train, validation or test; empty where the data are not divided.
    classes
        Class of each of its regions.
    patient, site
        Who and where.
    number
        Of the image among those of its class, or of all where images have several regions.
    """

    name: str
    part: str
    classes: tuple[str, ...]
    patient: int
    site: str
    number: int


def simulate_histology(options: SimulateHistology, out: Path, *, threads: int = 1) -> None:
    """Simulate all images and write them as files, whole or not at all.

    Writes ``{part}/{class}/simulated-{site}-p{patient}-i{number}.png``; with several regions,
    ``slides/{part}/….png`` and label masks ``annotations/{part}/….png``. Where no patient is in
    validation or test, the level of parts is left out. `out` is replaced.

    Parameters
    ----------
    options
        Classes, patients, sites and size.
    out
        The folder.
    threads
        Patients that are worked on at once; the files are the same for any number.

    Raises
    ------
    InputError
        Where a class is unknown, or numbers do not go together.
    """
    images = plan_images(options)
    by_patient = [
        list(group)
        for _, group in itertools.groupby(
            sorted(images, key=lambda image: image.patient), key=lambda image: image.patient
        )
    ]
    with whole_folder(Path(out)) as folder:

        def write(of_patient: Sequence[SimulatedImage]) -> int:
            for image, picture, labels in simulate_patient(of_patient, options):
                _write(folder, image, picture, labels)
            return len(of_patient)

        written = sum(map_in_order(write, by_patient, threads))
        write_json(folder / "simulation.json", dataclasses.asdict(options))
    logger.info("%d simulated images of %d patients", written, len(by_patient))


def plan_images(options: SimulateHistology) -> list[SimulatedImage]:
    """Deal images to patients, and patients to sites and parts.

    Raises
    ------
    InputError
        As `simulate_histology` does.
    """
    _check(options)
    dealt = _mixed(options) if options.mixed or options.regions > 1 else _apart(options)
    parts = _parts(options, {patient: classes[0] for classes, patient, _ in dealt})
    images = []
    for index, (classes, patient, number) in enumerate(dealt):
        site = options.sites[patient % len(options.sites)]
        name = f"simulated-{site}-p{patient:04d}-i{index:06d}"
        images.append(SimulatedImage(name, parts[patient], classes, patient, site, number))
    return images


_Dealt = tuple[tuple[str, ...], int, int]
"""Classes, patient and number of an image."""


def _mixed(options: SimulateHistology) -> list[_Dealt]:
    """Deal so that every patient has images of all classes, as far as they go round."""
    if options.regions > 1:
        deck = [name for name, count in options.classes.items() for _ in range(count)]
        deck = [deck[i] for i in generator(options.seed, "regions").permutation(len(deck))]
        hands = [deck[i : i + options.regions] for i in range(0, len(deck), options.regions)]
        return [(tuple(hand), i % options.patients, i) for i, hand in enumerate(hands)]
    return [
        ((name,), (_number(name) + i) % options.patients, i)
        for name, count in options.classes.items()
        for i in range(count)
    ]


def _apart(options: SimulateHistology) -> list[_Dealt]:
    """Deal so that a patient has images of one class only."""
    counts = {name: count for name, count in options.classes.items() if count}
    dealt: list[_Dealt] = []
    total, before, first = sum(counts.values()), 0, 0
    for left, (name, count) in zip(range(len(counts), 0, -1), counts.items(), strict=True):
        before += count
        # In proportion to images, at least one for this class and for each that follows.
        last = max(first + 1, round(options.patients * before / total))
        last = min(last, options.patients - left + 1)
        dealt += [((name,), first + i % (last - first), i) for i in range(count)]
        first = last
    return dealt


def _parts(options: SimulateHistology, class_of: dict[int, str]) -> dict[int, str]:
    """Put the wanted shares of patients into validation and test, spread over classes and sites."""
    if options.validation == options.test == 0:
        return dict.fromkeys(class_of, "")
    luck = generator(options.seed, "parts").random(options.patients)
    sites = len(options.sites)
    group = (lambda p: "") if options.mixed else class_of.__getitem__
    ordered = sorted(class_of, key=lambda p: (group(p), p % sites, luck[p]))
    parts = dict.fromkeys(ordered, "train")
    for part, share in (
        ("validation", options.validation),
        ("test", options.test / (1 - options.validation)),
    ):
        free = [patient for patient in ordered if parts[patient] == "train"]
        reached = np.floor(np.arange(len(free) + 1) * share + 0.5 + 1e-9)
        for patient, chosen in zip(free, np.diff(reached) > 0, strict=True):
            if chosen:
                parts[patient] = part
    return parts


def _check(options: SimulateHistology) -> None:
    for name, count in options.classes.items():
        if name not in TISSUES:
            raise InputError(f"classes.{name}: no such tissue.{nearest(name, TISSUES)}")
        if count < 0:
            raise InputError(f"classes.{name}: {count} images, expected 0 or more.")
    wanted = [name for name, count in options.classes.items() if count]
    if not wanted:
        raise InputError("classes: no image of any class is asked for, as in {TUM: 30, STR: 30}.")
    if not options.mixed and options.patients < len(wanted):
        raise InputError(
            f"patients: {options.patients}, but {len(wanted)} classes need one each, as mixed is "
            "false."
        )
    check_sites_and_parts(options.sites, options.validation, options.test)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "little")


def simulate_patient(
    images: Sequence[SimulatedImage], options: SimulateHistology
) -> Iterator[tuple[SimulatedImage, npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]]:
    """Simulate the images of one patient.

    Yields
    ------
    image
        As it was given.
    picture
        uint8 (height, width, 3).
    labels
        uint8 (height, width): 1 for the first class of the options and so on; None where an image
        has one region.
    """
    patient, site = images[0].patient, images[0].site
    of_site = site_staining(generator(options.seed, f"site {site}"), options.site_shift)
    rng = generator(options.seed, "patient", patient)
    staining = patient_staining(of_site, rng, options.patient_shift)
    look = draw_look(rng, options.patient_shift)
    key = (options.seed, _number("nuclei"), patient)
    nuclei = Nuclei(key, options.resolution, look.nuclei)
    for image in images:
        purpose = image.classes[0] if options.regions == 1 else "image"
        draw = generator(options.seed, purpose, image.number)
        yield image, *_simulate(image, options, look, nuclei, staining, draw)


def draw_look(rng: np.random.Generator, shift: float) -> Look:
    """Draw how a patient's tissue differs from that of others."""
    deviations = np.array([0.12, 0.04, 0.12, 0.08, 0.2])
    return Look(*np.exp(shift * deviations * rng.standard_normal(5)).tolist())


def _simulate(
    image: SimulatedImage,
    options: SimulateHistology,
    look: Look,
    nuclei: Nuclei,
    staining: Staining,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    shape = (options.height, options.width)
    if options.regions == 1:
        canvas = Canvas(shape, look, nuclei, rng)
        TISSUES[image.classes[0]](canvas)
        return photograph(canvas.haematoxylin, canvas.eosin, staining, rng), None
    region = divide(rng, shape, len(image.classes))
    both = np.zeros((2, *shape), np.float32)
    for number, name in enumerate(image.classes):
        inside = region == number
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows):
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            canvas = Canvas(inside[box].shape, look, nuclei, rng)
            TISSUES[name](canvas)
            both[0][box][inside[box]] = canvas.haematoxylin[inside[box]]
            both[1][box][inside[box]] = canvas.eosin[inside[box]]
    values = np.array([1 + list(options.classes).index(name) for name in image.classes], np.uint8)
    return photograph(both[0], both[1], staining, rng), values[region]


def divide(rng: np.random.Generator, shape: tuple[int, int], regions: int) -> npt.NDArray[np.int64]:
    """Divide a picture into regions with curved borders, int64 (height, width) from 0 on."""
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None]
    side = float(np.sqrt(shape[0] * shape[1] / regions))
    y = y + np.float32(0.12 * side) * smooth_noise(rng, shape, 0.4 * side)
    x = x + np.float32(0.12 * side) * smooth_noise(rng, shape, 0.4 * side)
    nearest_one = np.full(shape, np.inf, np.float32)
    region = np.zeros(shape, np.int64)
    for number, (row, column) in enumerate(_apart_points(rng, shape, regions)):
        distance = (y - np.float32(row)) ** 2 + (x - np.float32(column)) ** 2
        np.copyto(region, number, where=distance < nearest_one)
        np.minimum(nearest_one, distance, out=nearest_one)
    return region


def _apart_points(
    rng: np.random.Generator, shape: tuple[int, int], number: int
) -> npt.NDArray[np.float64]:
    """Points of which each is the farthest from those before, of some that were drawn."""
    points = rng.random((1, 2)) * shape
    while len(points) < number:
        drawn = rng.random((24, 2)) * shape
        distance = np.linalg.norm(drawn[:, None] - points[None], axis=2).min(axis=1)
        points = np.concatenate([points, drawn[[int(distance.argmax())]]])
    return points


def _write(
    folder: Path,
    image: SimulatedImage,
    picture: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8] | None,
) -> None:
    if labels is None:
        _save(folder / image.part / image.classes[0] / f"{image.name}.png", picture)
        return
    _save(folder / "slides" / image.part / f"{image.name}.png", picture)
    _save(folder / "annotations" / image.part / f"{image.name}.png", labels)


def _save(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=COMPRESSION)
