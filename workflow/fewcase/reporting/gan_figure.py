"""What a generator has learned as one figure: its images beside real ones, and closest pairs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fewcase.images.resize import resize_batch
from fewcase.reporting.figures import level_name
from fewcase.reporting.gan_pictures import TRUNCATIONS, GanPictures, Pixels
from fewcase.reporting.gan_runs import SPACES
from fewcase.reporting.gan_table_parts import COPIES
from fewcase.reporting.picture_sheet import LETTERS, Panel, draw_sheet, on_shelves
from fewcase.reporting.text import number, plain
from fewcase.study.words import NOUNS

COLUMNS = 6
"""Synthetic images, and real ones, of each class."""

MOST_CLASSES = 12
"""Classes that are shown."""

LARGEST_SIDE = 96
"""Pixels of an image's side in the figure, at most."""

LARGEST_FILE = 2_200_000
"""Bytes, about, of an SVG file at most: the more images, the smaller each."""

_BYTES_PER_PIXEL = 3.6
# Inches of a letter of a name, and between names and images.
_LETTER, _SPACE = 0.055, 0.1
_BETWEEN_PAIRS = 0.2


@dataclasses.dataclass(frozen=True)
class GanFigure:
    """The panels of a generator's figure, line by line.

    Attributes
    ----------
    pictures
        What is shown.
    shelves
        Panels of each line.
    """

    pictures: GanPictures
    shelves: tuple[tuple[Panel, ...], ...]

    @classmethod
    def of(cls, pictures: GanPictures, real: Sequence[Pixels]) -> GanFigure:
        """Lay out a generator's images (see `gan_pictures.read_gan_pictures`).

        Parameters
        ----------
        pictures
            What it draws, and the closest pairs.
        real
            Some real images of each class, see `gan_pictures.real_images`.
        """
        shelves = on_shelves(_panels(pictures, real))
        return cls(pictures, tuple(map(tuple, shelves)))

    def draw(self, title: str) -> Figure:
        """Draw it; the title is red where the generator copies."""
        return draw_sheet(plain(title), self.shelves, bool(self.pictures.verdict["copies"]))

    def caption(self, unit: str, simulated: bool) -> str:
        """Return what each panel shows and how to read it."""
        pictures, examples = self.pictures, NOUNS[unit].examples
        word, size = "simulated " if simulated else "", pictures.size
        said = [
            f"Images of {size} × {size} pixels that the generator draws, beside {word}{examples}."
        ]
        panels = [panel for shelf in self.shelves for panel in shelf]
        said += [f"({letter}) {panel.says}" for letter, panel in zip(LETTERS, panels, strict=False)]
        if unit == "window" and pictures.samples.shape[-3] == 3:
            said.append("The channels FHR, UC and baseline are shown as red, green and blue.")
        if len(pictures.classes) > MOST_CLASSES:
            said.append(f"Of {len(pictures.classes)} classes the first {MOST_CLASSES} are shown.")
        if pictures.verdict["copies"]:
            said.append(f"This generator copies training images: {plain(pictures.verdict['why'])}.")
        else:
            said.append("By the rule of the table of memorisation no copies were found.")
        return " ".join(said)


def title_of(pictures: GanPictures, cohorts: Mapping[str, str]) -> str:
    """Return the heading of a generator's figure; it says where the generator copies."""
    run = pictures.run
    name = plain(run.gan) + (f" {COPIES}" if pictures.verdict["copies"] else "")
    if run.split:
        return f"Generator {name}: split {plain(run.split)}, {run.place}"
    cohort = plain(cohorts.get(run.gan, ""))
    return f"Base generator {name}" + (f": cohort {cohort}" if cohort else "")


# Panels ------------------------------------------------------------------------------------------


def _panels(pictures: GanPictures, real: Sequence[Pixels]) -> list[Panel]:
    classes = min(len(pictures.classes), MOST_CLASSES)
    samples = pictures.samples[:, :classes, :COLUMNS]
    images = {
        "synthetic": samples[pictures.chosen],
        "real": _in_columns(real[:classes]),
        "snapshots": samples[:, :, 0],
        "interpolation": pictures.interpolation[:classes],
        "mixing": pictures.mixing,
        "truncation": pictures.truncation,
        "pairs": pictures.pairs,
    }
    count = sum(int(np.prod(part.shape[:2])) for part in images.values())
    side = side_of(count, pictures.size)
    cells = {name: _cells(part, side) for name, part in images.items()}
    cells["real"][_missing(real[:classes])] = 255
    cells["mixing"][0, 0] = 255
    return [
        *_panels_of_classes(pictures, cells, classes),
        *_panels_of_styles(pictures, cells),
        *_panels_of_pairs(pictures, cells["pairs"]),
    ]


def _panels_of_classes(
    pictures: GanPictures, cells: Mapping[str, Pixels], number_of: int
) -> list[Panel]:
    classes = pictures.classes[:number_of]
    names = tuple(level_name(name, 15, 3) for name in classes)
    snapshots = tuple(map(_kimg, pictures.kimg))
    chosen = _kimg(pictures.kimg[pictures.chosen])
    return [
        Panel(
            *("Synthetic images", cells["synthetic"], names),
            margin=_room_for(names),
            says=f"Synthetic images of each class, drawn by chance after {chosen} thousand images "
            "of training; columns share a latent.",
        ),
        Panel(
            *("Real images", cells["real"]),
            says="Real images of the same classes that it learned from, drawn by chance: detail "
            "and variety should be alike.",
        ),
        Panel(
            *("Over training, thousand images", cells["snapshots"]),
            left=snapshots,
            above=tuple(level_name(name, 8, 2) for name in classes),
            margin=_room_for(snapshots),
            bold=frozenset({pictures.chosen}),
            says="The same latent at snapshots of the training (rows; that of the synthetic images "
            "above is bold) in each class (columns): where rows no longer differ, training has "
            "settled.",
        ),
        Panel(
            *("From one latent to another", cells["interpolation"], names),
            margin=_room_for(names),
            says="Steps from one latent to another in each class: they should be gradual; a jump "
            "between two pictures tells of images learned by heart.",
        ),
    ]


def _panels_of_styles(pictures: GanPictures, cells: Mapping[str, Pixels]) -> list[Panel]:
    shown = level_name(pictures.classes[pictures.shown_class], 14, 1)
    rows, columns = cells["mixing"].shape[:2]
    coarse, fine = ("", *["coarse"] * (rows - 1)), ("", *["fine"] * (columns - 1))
    psi = tuple(f"ψ {value:g}" for value in TRUNCATIONS)
    return [
        Panel(
            *(f"Truncation, {shown}", cells["truncation"], psi),
            margin=_room_for(psi),
            says="Truncation ψ, from the average image (0) to none (1), trades variety for "
            "regularity.",
        ),
        Panel(
            *(f"Mixed styles, {shown}", cells["mixing"], coarse, fine),
            margin=_room_for(coarse),
            says="Coarse styles of the images on the left with fine styles of those above.",
        ),
    ]


def _panels_of_pairs(pictures: GanPictures, cells: Pixels) -> list[Panel]:
    panels = []
    table = pictures.pair_table.reset_index(drop=True)
    for space, title in SPACES.items():
        of_space = table[table["space"] == space]
        if of_space.empty:
            continue
        drawn = cells[of_space.index.to_numpy()]
        line = np.full((len(drawn), drawn.shape[2], 1, 3), 255, np.uint8)
        pairs = np.concatenate([drawn[:, 0], line, drawn[:, 1]], axis=2)
        panels.append(
            Panel(
                f"Closest pairs by {title}: synthetic | training image, distance ratio below",
                pairs[None],
                below=tuple(number(ratio, 2) for ratio in of_space["ratio"]),
                gap_share=_BETWEEN_PAIRS,
                red=frozenset(np.flatnonzero(of_space["copy"].to_numpy()).tolist()),
                says=f"The synthetic images that come closest to a training image by {title}, each "
                "beside it, with the distance ratio below (red: counted as a copy); a generator "
                "that copies shows pairs that are the same.",
            )
        )
    return panels


def _room_for(names: Sequence[str]) -> float:
    """Return the inches that the longest line of some names takes."""
    return _SPACE + _LETTER * max(len(line) for name in names for line in name.split("\n"))


def _kimg(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


# Pixels ------------------------------------------------------------------------------------------


def side_of(images: int, size: int) -> int:
    """Return the side in pixels at which so many images of `size` pixels are drawn together.

    Small ones are enlarged by a whole number.
    """
    largest = int(math.sqrt(LARGEST_FILE / (_BYTES_PER_PIXEL * max(images, 1))))
    largest = min(LARGEST_SIDE, largest)
    return size * (largest // size) if size <= largest else largest


def _cells(images: Pixels, side: int) -> Pixels:
    """Return images (rows, columns, C, S, S) as (rows, columns, side, side, 3)."""
    flat, size = images.reshape(-1, *images.shape[2:]), images.shape[-1]
    if side < size:
        flat = resize_batch(flat, side)
    elif side > size:
        flat = flat.repeat(side // size, axis=2).repeat(side // size, axis=3)
    colours = flat if flat.shape[1] == 3 else flat[:, :1].repeat(3, axis=1)
    return np.moveaxis(colours, 1, -1).reshape(*images.shape[:2], side, side, 3).copy()


def _in_columns(images: Sequence[Pixels]) -> Pixels:
    """Return the images of each class as one array of `COLUMNS`, black where there are fewer."""
    filled = np.zeros((len(images), COLUMNS, *images[0].shape[1:]), np.uint8)
    for k, of_class in enumerate(images):
        filled[k, : len(of_class)] = of_class[:COLUMNS]
    return filled


def _missing(images: Sequence[Pixels]) -> npt.NDArray[np.bool_]:
    return np.array([np.arange(COLUMNS) >= len(of_class) for of_class in images])
