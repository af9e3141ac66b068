"""Images of a generator written as files, with a contact sheet: its use outside a study."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fewcase.data.files import atomic_path
from fewcase.gan.files import GanFacts
from fewcase.gan.generator import Generator
from fewcase.gan.synthesis import draw_images, latent_seeds
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

#: Images beside each other on a contact sheet, images on it at most, and pixels between them.
ACROSS, MOST_SHOWN, GAP = 8, 64, 4

Pixels = npt.NDArray[np.uint8]


def label_of(facts: GanFacts, wanted: str) -> int:
    """Return the number of a class, given by its name or number.

    Raises
    ------
    InputError
        For a class that the generator does not draw, with the names of those that it does.
    """
    if wanted in facts.classes:
        return facts.classes.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(facts.classes):
        return int(wanted)
    raise InputError(
        f"--class: {facts.name!r} draws no class {wanted!r}.{nearest(wanted, facts.classes)}"
    )


def write_images(
    folder: Path,
    generator: Generator,
    facts: GanFacts,
    label: int,
    count: int,
    seed: int,
    truncation: float,
    device: str,
) -> Path:
    """Draw images of one class as PNG files, with a table of their seeds and a contact sheet.

    Parameters
    ----------
    folder
        Gets ``{class}-{number}.png``, ``images.csv`` (file, class, latent_seed, truncation,
        generator) and ``sheet.png``.
    generator, facts
        As `fewcase.gan.files.read_generator` returns them; the generator on the device.
    label, count
        The class, and how many images.
    seed
        Of the set: image i of a seed is the same however many are drawn.
    truncation
        ψ, see `Generator.forward`.
    device
        As torch names it.

    Returns
    -------
    Path
        The contact sheet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seeds = latent_seeds((seed,), label, count)
    labels = np.full(count, label, np.int64)
    stem = re.sub(r"[^\w.-]", "_", facts.classes[label])
    rows, shown = [], []
    drawn = (
        image
        for chunk in draw_images(generator, labels, seeds, truncation, device)
        for image in chunk
    )
    for number, image in enumerate(drawn):
        path = folder / f"{stem}-{number:05d}.png"
        _write_png(path, image)
        rows.append((path.name, facts.classes[label], seeds[number], truncation, facts.name))
        if number < MOST_SHOWN:
            shown.append(image)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "class", "latent_seed", "truncation", "generator"))
    table.writerows(rows)
    with atomic_path(folder / "images.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    _write_png(folder / "sheet.png", contact_sheet(shown))
    return folder / "sheet.png"


def contact_sheet(images: Sequence[Pixels]) -> Pixels:
    """Lay images (C, H, W) out in rows on white, (C, height, width)."""
    channels, height, width = images[0].shape
    across = min(ACROSS, len(images))
    down = -(-len(images) // across)
    shape = (channels, down * (height + GAP) - GAP, across * (width + GAP) - GAP)
    sheet = np.full(shape, 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, across)
        top, left = row * (height + GAP), column * (width + GAP)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def _write_png(path: Path, image: Pixels) -> None:
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
