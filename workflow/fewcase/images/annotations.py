"""Annotated slides: which class covers how much of each tile, by outlines or by a label mask.

Outlines are GeoJSON as QuPath exports it (P. Bankhead et al., QuPath: open source software for
digital pathology image analysis, Scientific Reports 7:16878, 2017), in pixels of level 0.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from fewcase.data.image_files import ImageFileError, read_image
from fewcase.images.grid import TileGrid
from fewcase.images.tissue import column_shares

OUTLINE_SUFFIXES = (".geojson", ".json")
MASK_SUFFIXES = (".png", ".tif", ".tiff")

CELLS = 64
"""Outlines are drawn so that a tile has at most so many pixels across."""

Float64 = npt.NDArray[np.float64]


class AnnotationError(Exception):
    """An annotation that cannot be used: a short fixed reason, and one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class _Polygon:
    """Rings of points (x, y) in pixels of level 0: the outer one, and holes."""

    class_name: str
    rings: tuple[npt.NDArray[np.float64], ...]

    @property
    def top(self) -> float:
        return float(self.rings[0][:, 1].min())

    @property
    def bottom(self) -> float:
        return float(self.rings[0][:, 1].max())


def find_annotation(folder: Path, path: str) -> Path:
    """Return the annotation that belongs to an image.

    It is called as the image, with a suffix of its own, and lies in `folder` at the image's path
    or at any end of it: ``a/b/slide.svs`` may have ``b/slide.geojson``.

    Raises
    ------
    AnnotationError
        Where there is none.
    """
    parts = PurePosixPath(path).with_suffix("").parts
    for first in range(len(parts)):
        for suffix in (*OUTLINE_SUFFIXES, *MASK_SUFFIXES):
            # Not with_suffix: a slide's name may hold dots.
            candidate = folder.joinpath(*parts[first:-1], f"{parts[-1]}{suffix}")
            if candidate.is_file():
                return candidate
    suffixes = ", ".join((*OUTLINE_SUFFIXES, *MASK_SUFFIXES))
    raise AnnotationError(
        "missing annotation", f"{folder}: no {parts[-1]} with one of the suffixes {suffixes}."
    )


def coverage(
    path: Path,
    grid: TileGrid,
    size: tuple[int, int],
    classes: Mapping[str, str],
    mask_classes: Mapping[str, str],
) -> dict[str, Float64]:
    """Return by class, in order of their names, the share of every tile that it covers.

    Parameters
    ----------
    path
        The annotation.
    grid
        The tiles.
    size
        Width and height of the image, in pixels of level 0.
    classes
        Our names of classes by theirs; empty takes theirs. Classes that it leaves out cover
        nothing.
    mask_classes
        Class of each value of a label mask.

    Raises
    ------
    AnnotationError
        With the reason damaged annotation or unfitting annotation.
    """
    if path.suffix.lower() in MASK_SUFFIXES:
        bands = _mask_bands(path, grid, size, mask_classes)
    else:
        bands = _outline_bands(path, grid, size)
    shares: dict[str, Float64] = {}
    for of_row, class_name, mask in bands:
        name = classes.get(class_name, "" if classes else class_name)
        if name:
            row = shares.setdefault(name, np.zeros(len(grid.x)))
            row[of_row] += column_shares(mask, grid.x[of_row], grid.extent, size[0])
    return dict(sorted(shares.items()))


_Band = tuple[npt.NDArray[np.bool_], str, npt.NDArray[np.bool_]]


def _mask_bands(
    path: Path, grid: TileGrid, size: tuple[int, int], mask_classes: Mapping[str, str]
) -> Iterator[_Band]:
    """Yield for every row of tiles and every class: which tiles, the class, and where it is."""
    try:
        values = read_label_mask(path)
    except ImageFileError as error:
        raise AnnotationError("damaged annotation", error.detail) from None
    height, width = values.shape
    scale = width / size[0]
    if abs(height - size[1] * scale) > max(1.0, scale):
        raise AnnotationError(
            "unfitting annotation",
            f"{path}: {width} × {height} pixels, expected the proportions of the image, "
            f"{size[0]} × {size[1]}.",
        )
    wanted = {int(value): name for value, name in mask_classes.items()}
    for top in np.unique(grid.y):
        first, last = round(top * scale), round((top + grid.extent) * scale)
        band = values[first : max(last, first + 1)]
        missing = last - first - len(band)
        band = np.pad(band, ((0, max(missing, 0)), (0, 0)))
        for value in np.unique(band):
            if int(value) in wanted:
                yield grid.y == top, wanted[int(value)], band == value


def read_label_mask(path: Path) -> npt.NDArray[np.uint8]:
    """Return the values of a label mask, uint8 (height, width): indices of a palette as they are.

    Raises
    ------
    ImageFileError
        Where it is no image, or has colours.
    """
    try:
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            if image.mode in ("P", "L"):
                return np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Decoders of broken files raise whatever they stumble over.
        raise ImageFileError("damaged file", f"{path}: cannot be decoded ({error}).") from None
    if image.mode != "1":
        raise ImageFileError(
            "unsupported pixels",
            f"{path}: pixels of the kind {image.mode!r}, expected one number of 8 bits each.",
        )
    return read_image(path)[..., 0] // 255


def _outline_bands(path: Path, grid: TileGrid, size: tuple[int, int]) -> Iterator[_Band]:
    polygons = list(read_outlines(path))
    names = sorted({polygon.class_name for polygon in polygons})
    cell = max(1.0, grid.extent / CELLS)
    shape = (max(1, round(grid.extent / cell)), max(1, round(size[0] / cell)))
    scale = (shape[1] / size[0], shape[0] / grid.extent)
    for top in np.unique(grid.y):
        near = [p for p in polygons if p.top < top + grid.extent and p.bottom > top]
        for name in names:
            mask = np.zeros(shape, bool)
            for polygon in near:
                if polygon.class_name == name:
                    mask |= _draw(polygon, float(top), scale, shape)
            if mask.any():
                yield grid.y == top, name, mask


def _draw(
    polygon: _Polygon, top: float, scale: tuple[float, float], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Draw a polygon into a band that begins at `top`; a pixel counts if its centre is inside."""
    image = Image.new("1", (shape[1], shape[0]))
    draw = ImageDraw.Draw(image)
    for number, ring in enumerate(polygon.rings):
        # The centre of the first pixel of a band is at half a pixel.
        points = (ring - (0, top)) * scale - 0.5
        draw.polygon(list(map(tuple, points.tolist())), fill=int(number == 0))
    return np.asarray(image)


def read_outlines(path: Path) -> Iterator[_Polygon]:
    """Read the polygons of a GeoJSON file; points, lines and what has no class are passed over.

    Raises
    ------
    AnnotationError
        With the reason damaged annotation.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        features = content if isinstance(content, list) else content.get("features", [content])
        for feature in features:
            name = _class_of(feature.get("properties") or {})
            if name:
                for rings in _polygons(feature["geometry"]):
                    yield _Polygon(name, rings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise AnnotationError(
            "damaged annotation", f"{path}: not GeoJSON as QuPath exports it ({error!r})."
        ) from None


def _class_of(properties: Mapping[str, Any]) -> str:
    classification = properties.get("classification")
    if isinstance(classification, Mapping):
        # A class with subclasses has all of their names.
        names = classification.get("names") or [classification.get("name") or ""]
        return ": ".join(map(str, names))
    return str(classification or "")


def _polygons(geometry: Mapping[str, Any]) -> Iterator[tuple[npt.NDArray[np.float64], ...]]:
    kind, coordinates = geometry["type"], geometry.get("coordinates", [])
    if kind not in ("Polygon", "MultiPolygon"):
        return
    for rings in [coordinates] if kind == "Polygon" else coordinates:
        yield tuple(np.asarray(ring, dtype=np.float64)[:, :2] for ring in rings)


def best_class(shares: Mapping[str, Float64], tiles: int, least: float) -> npt.NDArray[np.object_]:
    """Return for each of the tiles the class that covers most of it, empty if less than `least`.

    Of classes that cover the same, the first counts.
    """
    if not shares:
        return np.full(tiles, "", dtype=object)
    table = np.stack(list(shares.values()))
    names = np.array(list(shares), dtype=object)[table.argmax(axis=0)]
    # Coverage is a ratio of counted pixels: what is rounded must not fall short.
    names[table.max(axis=0) < least - 1e-9] = ""
    return names
