"""What the page of explanation maps holds: cases, their pictures and the values of cells."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.explain.dida import brightness_scale, mixed_map
from fewcase.explain.grids import WHOLE
from fewcase.explain.map_files import MapSet
from fewcase.explain.pictures import as_rgb, top_classes
from fewcase.study.errors import InputError

PICTURE_BUDGET = 30_000_000
"""Characters that all pictures may take losslessly; beyond that they are JPEG files."""
JPEG_QUALITY = 95
STEPS = 32767
"""The largest absolute value of a cell is stored as this whole number."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of a page.

    Attributes
    ----------
    summary
        What lists and filters need, as JSON values: example, parent, patient, site, role, label and
        predicted (class numbers; -1 where the label is not known), fold, drawn, set, shown (class
        numbers), scores (of those), scale (see `fewcase.explain.dida.brightness_scale`), unit (a
        stored whole number times this is a value), entropy (of the scores, as a share of the
        largest possible one), conflict (the share of the brightness of the predicted class's map
        that cancels).
    values
        Base64 of int16, little-endian, (shown classes, cells).
    """

    summary: dict[str, Any]
    values: str


def check_sets(maps: Sequence[MapSet]) -> None:
    """Raise an `InputError` where sets of maps can't stand on one page."""
    if not maps or not any(len(each.cases) for each in maps):
        raise InputError("The page of explanation maps: no case. Give a folder of maps with cases.")
    first = maps[0]
    for number, other in enumerate(maps[1:], 2):
        for name, of_first, of_other in (
            ("class names", first.class_names, other.class_names),
            ("size of pictures", first.pictures.shape[1:], other.pictures.shape[1:]),
            ("grids", _layout(first), _layout(other)),
            ("score", first.about.get("score"), other.about.get("score")),
            (
                "window_minutes",
                first.about.get("window_minutes"),
                other.about.get("window_minutes"),
            ),
        ):
            if of_first != of_other:
                raise InputError(
                    f"The page of explanation maps: folder {number} differs from the first in its "
                    f"{name}. Give the folds of one arm."
                )
    if not is_strip(first) and first.groups != (WHOLE,):
        raise InputError(
            f"The page of explanation maps: squares in the groups {list(first.groups)}; only slits "
            "of time may blank channels one by one."
        )


def is_strip(maps: MapSet) -> bool:
    """Return whether pictures are stretches of time, cut into slits."""
    return all(grid.rows == 1 for grid in maps.grids)


def describe_grids(maps: MapSet) -> list[dict[str, Any]]:
    """Return name, group, weight and boxes (flat: y0, y1, x0, x1 of each cell) of each grid."""
    return [
        {
            "name": grid.name,
            "group": grid.group,
            "weight": grid.weight,
            "boxes": grid.boxes.ravel().tolist(),
            "channels": np.flatnonzero(grid.channels).tolist(),
        }
        for grid in maps.grids
    ]


def read_cases(maps: Sequence[MapSet]) -> Iterator[Case]:
    """Yield the cases of sets of maps, in their order."""
    for number, each in enumerate(maps):
        scores = each.scores
        for row, line in enumerate(each.cases.to_dict("records")):
            label = -1 if pd.isna(line["label"]) else int(line["label"])
            shown = top_classes(scores[row])
            predicted = shown[0]
            if label >= 0 and label not in shown:
                shown.append(label)
            changes = np.asarray(each.differences[row])
            scale = brightness_scale(changes)
            stored, unit = quantise(changes[:, shown].T)
            mixed = mixed_map(each.grids, changes[:, predicted], scale)
            brightness = float((mixed.positive + mixed.negative).sum())
            summary = {
                **{name: _text(line.get(name)) for name in ("example", "parent", "patient")},
                **{name: _text(line.get(name)) for name in ("site", "role")},
                "label": label,
                "predicted": predicted,
                "fold": _text(line.get("fold")),
                # Those that all runs share were drawn by chance, too.
                "drawn": bool(line.get("drawn", True) or line.get("shared", False)),
                "set": number,
                "shown": shown,
                "scores": [round(float(scores[row, k]), 6) for k in shown],
                "scale": scale,
                "unit": unit,
                "entropy": round(_entropy(scores[row]), 6),
                "conflict": float(mixed.conflict.sum()) / brightness if brightness else 0.0,
            }
            yield Case(summary, base64.b64encode(stored.astype("<i2").tobytes()).decode())


def quantise(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int16], float]:
    """Return values as whole numbers, and what one step is worth; off by half a step at most."""
    largest = float(np.abs(values).max(initial=0.0))
    unit = largest / STEPS if largest > 0 else 1.0
    return np.rint(values.astype(np.float64) / unit).astype(np.int16), unit


def encode_pictures(maps: Sequence[MapSet]) -> tuple[list[str], bool]:
    """Return the pictures as data URLs, and whether they lost something.

    They are PNG files; where those together exceed `PICTURE_BUDGET`, JPEG files of high quality.
    Pictures of three channels are in colour, of others the mean of the channels is grey; of
    stretches of time the channels stand one below the other.
    """
    pictures = [
        picture.reshape(1, -1, picture.shape[-1]) if is_strip(each) else np.asarray(picture)
        for each in maps
        for picture in each.pictures
    ]
    lossless, characters = [], 0
    for picture in pictures:
        lossless.append(_data_url(picture, "png"))
        characters += len(lossless[-1])
        if characters > PICTURE_BUDGET:
            return [_data_url(each, "jpeg") for each in pictures], True
    return lossless, False


def _data_url(picture: npt.NDArray[np.uint8], kind: str) -> str:
    from PIL import Image

    grey = len(picture) == 1
    image = Image.fromarray(picture[0] if grey else as_rgb(picture))
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "jpeg" else {}
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _entropy(scores: npt.NDArray[np.float32]) -> float:
    """Return the entropy of scores as a share of the largest possible one."""
    shares = scores[scores > 0]
    if len(scores) < 2:
        return 0.0
    return float(-(shares * np.log(shares)).sum() / np.log(len(scores)))


def _layout(maps: MapSet) -> list[Any]:
    return [(grid.name, grid.group, grid.weight, grid.boxes.tolist()) for grid in maps.grids]


def _text(value: Any) -> str:
    """Return a value of a table as text, empty where there is none."""
    return "" if value is None or pd.isna(value) else str(value)
