"""Pictures of explanation maps: in colours, over the original, and side by side for top classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fewcase.explain.dida import SignedMap, brightness_scale, mixed_map
from fewcase.explain.grids import WHOLE
from fewcase.explain.map_files import MapSet
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

MIXES = ("rgb", "signed", "conflict")
OPACITY = 0.5
TOP_CLASSES = 3

Picture = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

# For and against a class, RGB at full brightness.
PALETTES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "red_blue": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "orange_blue": ((1.0, 0.6, 0.0), (0.0, 0.4, 1.0)),
}
"""``red_blue`` is that of the paper. Red and blue are told apart with any colour vision; but their
sum, purple, is hardly told from blue without red cones, so that what grids disagree on would seem
to speak against. ``orange_blue`` are complements: their sum is a grey with any colour vision, and
they differ in lightness as well as hue."""


@dataclasses.dataclass(frozen=True)
class Look:
    """How maps are drawn.

    Attributes
    ----------
    mix
        ``rgb`` adds the colours of what speaks for and against, as in the paper; ``signed`` lets
        them cancel first; ``conflict`` shows in white what would cancel.
    palette
        Name of one of `PALETTES`.
    opacity
        Of a map that lies over the original.
    clear
        Whether an overlay is the less opaque the darker the map: the original stays as light as it
        is where nothing speaks. Fit for drawings on white; the paper's is evenly half-transparent.
    exponent
        See `fewcase.explain.dida.brightness`.
    group
        Whose grids are mixed.
    absolute, quantile
        See `fewcase.explain.dida.brightness_scale`.
    """

    mix: str = "rgb"
    palette: str = "red_blue"
    opacity: float = OPACITY
    clear: bool = False
    exponent: float = 1.0
    group: str = WHOLE
    absolute: float | None = None
    quantile: float = 1.0

    def __post_init__(self) -> None:
        for key, given, known in (("mix", self.mix, MIXES), ("palette", self.palette, PALETTES)):
            if given not in known:
                raise InputError(f"explain.{key}: {given!r}.{nearest(given, known)}")
        if not 0 <= self.opacity <= 1:
            raise InputError(f"explain.opacity: {self.opacity}; give a number from 0 to 1.")


def colour_map(signed: SignedMap, mix: str = "rgb", palette: str = "red_blue") -> Picture:
    """Return a map of one class in colours on black, uint8 (H, W, 3).

    Parameters
    ----------
    signed
        A grid image or a mixed image (`fewcase.explain.dida`), (H, W).
    mix, palette
        See `Look`.
    """
    red, blue = np.array(PALETTES[palette], np.float32)
    positive, negative = signed.positive, signed.negative
    if mix == "conflict":
        positive = negative = signed.conflict
        red, blue = np.full((2, 3), 0.5, np.float32)
    elif mix == "signed":
        positive, negative = np.maximum(signed.signed, 0), np.maximum(-signed.signed, 0)
    return _to_bytes(255 * (positive[..., None] * red + negative[..., None] * blue))


def overlay(
    picture: Picture, coloured: Picture, opacity: float = OPACITY, clear: bool = False
) -> Picture:
    """Lay a map in colours over the original, uint8 (H, W, 3).

    Parameters
    ----------
    picture
        uint8 (C, H, W); one channel is grey, three are RGB, others are averaged to grey.
    coloured
        uint8 (H, W, 3), see `colour_map`.
    opacity
        0 shows the original alone, 1 the map.
    clear
        See `Look`.
    """
    strength = coloured.max(axis=-1, keepdims=True) / np.float32(255) if clear else np.float32(1)
    original = as_rgb(picture).astype(np.float32)
    return _to_bytes(original * (1 - opacity * strength) + np.float32(opacity) * coloured)


def as_rgb(picture: Picture) -> Picture:
    """Return a picture (C, H, W) as uint8 (H, W, 3)."""
    if len(picture) == 3:
        return np.ascontiguousarray(picture.transpose(1, 2, 0))
    grey = _to_bytes(picture.astype(np.float32).mean(axis=0))
    return np.repeat(grey[..., None], 3, axis=-1)


def map_of_class(maps: MapSet, case: int, class_number: int, look: Look | None = None) -> SignedMap:
    """Return the mixed map of one case and class, on the scale of all classes of the case."""
    look = look or Look()
    changes = maps.differences[case]
    scale = brightness_scale(changes, absolute=look.absolute, quantile=look.quantile)
    return mixed_map(
        maps.grids, changes[:, class_number], scale, group=look.group, exponent=look.exponent
    )


def top_classes(scores: npt.NDArray[np.floating], top: int = TOP_CLASSES) -> list[int]:
    """Return the numbers of the likeliest classes, the earlier class first where equal."""
    return [int(number) for number in np.argsort(-scores, kind="stable")[:top]]


def case_row(
    maps: MapSet,
    case: int,
    *,
    classes: Sequence[int] | None = None,
    top: int = TOP_CLASSES,
    look: Look | None = None,
    side: int = 224,
) -> Picture:
    """Return a case as DiDA View shows it: the original, then an overlay of each likely class.

    Names stand above, scores at the lower right.

    Parameters
    ----------
    maps
        A set of maps.
    case
        Number of the case.
    classes
        Which classes to show; by default the likeliest.
    top
        How many of the likeliest.
    look
        How maps are drawn.
    side
        Pictures are enlarged by the smallest whole number that makes them as high as this.

    Returns
    -------
    uint8 (height, width, 3).
    """
    look = look or Look()
    picture, scores = np.asarray(maps.pictures[case]), maps.scores[case]
    line = maps.cases.iloc[case]
    title = str(line.get("example", ""))
    label = line.get("label")
    if label is not None and 0 <= int(label) < len(maps.class_names):
        title = f"{title}: {maps.class_names[int(label)]}"
    tiles = [_tile(as_rgb(picture), title, "", side)]
    for number in top_classes(scores, top) if classes is None else classes:
        coloured = colour_map(map_of_class(maps, case, number, look), look.mix, look.palette)
        laid = overlay(picture, coloured, look.opacity, look.clear)
        tiles.append(_tile(laid, maps.class_names[number], f"{scores[number]:.3f}", side))
    gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)


def contact_sheet(
    maps: MapSet,
    cases: Sequence[int],
    *,
    top: int = TOP_CLASSES,
    look: Look | None = None,
    side: int = 224,
) -> Picture:
    """Return the rows of some cases, one below the other, uint8 (height, width, 3).

    See `case_row`.
    """
    rows = [case_row(maps, case, top=top, look=look, side=side) for case in cases]
    if not rows:
        raise InputError("explain: no cases for the contact sheet; give one at least.")
    return np.concatenate(rows, axis=0)


_GAP = 4
_HEAD = 20
_TEXT = 13


def _tile(picture: Picture, name: str, score: str, side: int) -> Picture:
    """Return an enlarged picture with its name above and its score at the lower right."""
    zoom = max(1, -(-side // picture.shape[0]))
    large = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
    height, width = large.shape[:2]
    sheet = Image.new("RGB", (width, height + _HEAD + _GAP), "white")
    sheet.paste(Image.fromarray(large), (0, _HEAD))
    draw = ImageDraw.Draw(sheet)
    font = _font()
    while name and draw.textlength(name, font) > width:
        name = name.removesuffix("…")[:-1].rstrip() + "…" if len(name) > 1 else ""
    draw.text((0, _HEAD / 2), name, "black", font, anchor="lm")
    if score:
        corner = (width - 5, _HEAD + height - 4)
        draw.text(corner, score, "white", font, anchor="rs", stroke_width=2, stroke_fill="black")
    return np.asarray(sheet)


def _font() -> ImageFont.FreeTypeFont:
    """Return a font that every installation has: the one that comes with Matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / "DejaVuSans.ttf", _TEXT)


def _to_bytes(values: npt.NDArray[np.floating]) -> Picture:
    return np.rint(values).clip(0, 255).astype(np.uint8)
