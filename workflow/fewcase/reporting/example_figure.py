"""A contact sheet of a cohort: some images of every class, as networks see them."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fewcase.data.image_store import ImageStore
from fewcase.reporting.figures import INCHES_WIDE, STYLE, level_name, start_figure
from fewcase.reporting.text import count, plain
from fewcase.splits.steps import label_words
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

COLUMNS = 7
"""Images of a class."""

LARGEST_SIDE = 96
"""Pixels of an image's longer side on the sheet: a larger one is reduced."""

# Inches: the margin of names, and the room between images.
_NAMES, _GAP = 1.25, 0.05


def choose_examples(examples: pd.DataFrame, seed: int, number: int = COLUMNS) -> pd.DataFrame:
    """Choose some examples of each class, of different patients and records while there are any.

    Parameters
    ----------
    examples
        row, example, parent, patient and label of each; their order changes nothing.
    seed
        Of the draw; that of one class does not depend on the others.
    number
        How many of a class; all of them where there are fewer.

    Returns
    -------
    pandas.DataFrame
        The chosen ones, class by class in the order in which they were drawn.
    """
    ordered = examples.sort_values("example", ignore_index=True)
    parts = []
    for label, of_class in ordered.groupby("label"):
        random = np.random.default_rng([seed, int(str(label)) + 1])
        drawn = of_class.iloc[random.permutation(len(of_class))]
        # The first of each patient and of each record come before the second, and so on.
        turn = [drawn.groupby(column).cumcount().to_numpy() for column in ("parent", "patient")]
        parts.append(drawn.iloc[np.lexsort((np.arange(len(drawn)), *turn))[:number]])
    return pd.concat(parts, ignore_index=True)


def draw_examples(
    title: str,
    images: ImageStore,
    examples: pd.DataFrame,
    *,
    unit: str,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    number: int = COLUMNS,
) -> Figure:
    """Draw some images of every class, a row for each.

    Parameters
    ----------
    title
        Heading.
    images
        Grey or RGB; row i is that of the example whose `row` is i.
    examples
        Labelled examples: row, example, parent, patient, label.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    classes
        Names of the classes in the order of their labels; None for positive and negative.
    seed
        Of the choice, see `choose_examples`.
    number
        Images of a class.

    Raises
    ------
    InputError
        For an example without an image, or a label without a name.
    """
    chosen = choose_examples(examples, seed, number)
    if chosen["row"].max() >= images.shape[0]:
        raise InputError(
            f"examples: row {chosen['row'].max()}, but there are {images.shape[0]} images. The two "
            "are of different runs: make the images again."
        )
    words = label_words(classes)
    labels = [label for label in sorted(words) if label >= 0]
    unnamed = sorted(set(chosen["label"]) - set(labels))
    if unnamed:
        raise InputError(f"classes: label {unnamed[0]} has no name; name all classes.")
    counts = examples["label"].value_counts()
    with matplotlib.rc_context(STYLE):
        return _draw(
            plain(title),
            [
                (_name(words[k], counts.get(k, 0), unit), chosen[chosen["label"] == k])
                for k in labels
            ],
            images,
            number,
        )


def _name(name: str, number: int, unit: str) -> str:
    return f"{level_name(name, 20, 3)}\n{count(number)} {NOUNS[unit].examples}"


def _draw(
    title: str, rows: Sequence[tuple[str, pd.DataFrame]], images: ImageStore, number: int
) -> Figure:
    side = (INCHES_WIDE - _NAMES) / number
    tall = side * images.shape[2] / images.shape[3]
    lines = start_figure(title, False, 1).get_suptitle().count("\n") + 1
    body = len(rows) * tall
    height = body + 0.17 * lines + 0.2
    figure = start_figure(title, False, height)
    # Images are placed in inches: no layout engine may move them.
    figure.set_layout_engine("none")
    figure.suptitle(figure.get_suptitle(), fontsize=9.5, y=1 - 0.06 / height, va="top")
    for place, (name, chosen) in enumerate(rows):
        bottom = body - (place + 1) * tall + 0.05
        figure.text(0.05 / INCHES_WIDE, (bottom + tall / 2) / height, name, fontsize=7, va="center")
        for column, image in enumerate(images.read(chosen["row"].to_numpy())):
            left = _NAMES + column * side
            box = (left / INCHES_WIDE, bottom / height, (side - _GAP) / INCHES_WIDE)
            axes = figure.add_axes((*box, (tall - _GAP) / height))
            _show(axes, image)
    return figure


def _show(axes: Axes, image: npt.NDArray[np.uint8]) -> None:
    """Show an image (channels, height, width), grey where it has not three channels."""
    pixels = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    shown = np.asarray(picture)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="none")
    axes.axis("off")


def caption_of(unit: str, classes: int, seed: int, simulated: bool) -> str:
    """Return how to read the sheet."""
    nouns = NOUNS[unit]
    word = "simulated " if simulated else ""
    return (
        f"Some {word}{nouns.examples} of each of {classes} classes as networks see them, drawn by "
        f"seed {seed} and not chosen by hand, of different patients where there are enough."
    )
