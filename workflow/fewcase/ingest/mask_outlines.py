"""Outlines of regions in JSON, as labelling tools write them: LabelMe, COCO, VIA and Makesense.

T.-Y. Lin et al., Microsoft COCO: common objects in context, ECCV 2014; A. Dutta and A. Zisserman,
The VIA annotation software for images, audio and video, ACM Multimedia 2019. Makesense exports
both of these.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fewcase.study.errors import InputError

CIRCLE_POINTS = 72

Polygon = list[tuple[float, float]]


class OutlineError(Exception):
    """Outlines that cannot be used: a short fixed reason, and one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass
class Outlines:
    """What a tool drew on one image.

    Attributes
    ----------
    size
        Width and height of the image by the tool; None where it does not tell.
    shapes
        Label and polygon of each, points in pixels.
    unread
        How many shapes are no areas, such as points and lines, by their kind.
    """

    size: tuple[int, int] | None = None
    shapes: list[tuple[str, Polygon]] = dataclasses.field(default_factory=list)
    unread: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def read_labelme(path: Path) -> Outlines | None:
    """Read the outlines of one image as LabelMe writes them; None where the file is none of these.

    Raises
    ------
    OutlineError
        With the reason damaged outlines.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict) or "shapes" not in content:
            return None
        outlines = Outlines(_size(content, "imageWidth", "imageHeight"))
        for shape in content["shapes"]:
            kind = str(shape.get("shape_type") or "polygon")
            points = [(float(x), float(y)) for x, y in shape["points"]]
            _add(outlines, str(shape["label"]), kind, _area(kind, points))
        return outlines
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutlineError(
            "damaged outlines", f"{path}: not JSON as LabelMe writes it ({error!r})."
        ) from None


def read_collection(path: Path) -> dict[str, Outlines]:
    """Read the outlines of many images from one file of COCO or VIA, by the names of the images.

    Raises
    ------
    InputError
        Where it is neither, or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(content, dict) and "images" in content and "annotations" in content:
            return _coco(content)
        if isinstance(content, dict):
            entries = content.get("_via_img_metadata", content)
            if all("filename" in entry and "regions" in entry for entry in entries.values()):
                return {_posix(entry["filename"]): _via(entry) for entry in entries.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: not outlines as COCO or VIA have them ({error!r}). Export them again, or "
            "name a folder of LabelMe files under outlines."
        ) from None
    raise InputError(
        f"{path}: JSON, but neither of COCO (images, annotations, categories) nor of VIA (filename "
        "and regions of each image). Export it again, or name a folder of LabelMe files under "
        "outlines."
    )


def _posix(name: Any) -> str:
    return str(name).replace("\\", "/").removeprefix("./")


def _size(content: Mapping[str, Any], width: str, height: str) -> tuple[int, int] | None:
    if not content.get(width) or not content.get(height):
        return None
    return int(content[width]), int(content[height])


def _add(outlines: Outlines, label: str, kind: str, polygon: Polygon | None) -> None:
    if polygon is None or len(polygon) < 3:
        outlines.unread[kind] += 1
    else:
        outlines.shapes.append((label, polygon))


def _area(kind: str, points: Polygon) -> Polygon | None:
    if kind == "polygon":
        return points
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        return _box(x0, y0, x1 - x0, y1 - y0)
    if kind == "rectangle":
        return points
    if kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        return _ellipse(*points[0], radius, radius)
    return None


def _box(x: float, y: float, width: float, height: float) -> Polygon:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Polygon:
    # A polygon of equal area, which one with its corners on the ellipse would fall short of.
    step = 2 * math.pi / CIRCLE_POINTS
    wider = math.sqrt(step / math.sin(step))
    points = []
    for i in range(CIRCLE_POINTS):
        a, b = wider * across * math.cos(i * step), wider * down * math.sin(i * step)
        cosine, sine = math.cos(turn), math.sin(turn)
        points.append((x + a * cosine - b * sine, y + a * sine + b * cosine))
    return points


def _coco(content: Mapping[str, Any]) -> dict[str, Outlines]:
    labels = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
    by_id = {}
    named = {}
    for entry in content["images"]:
        outlines = Outlines(_size(entry, "width", "height"))
        by_id[entry["id"]] = named[_posix(entry["file_name"])] = outlines
    for entry in content["annotations"]:
        outlines = by_id[entry["image_id"]]
        label = labels.get(entry.get("category_id"), "")
        drawn = entry.get("segmentation")
        if isinstance(drawn, Mapping):
            outlines.shapes += [(label, polygon) for polygon in _runs(drawn)]
        elif drawn:
            for flat in drawn:
                points = list(zip(map(float, flat[::2]), map(float, flat[1::2]), strict=True))
                _add(outlines, label, "polygon", points)
        else:
            outlines.unread["box"] += 1
    return named


def _runs(drawn: Mapping[str, Any]) -> Iterator[Polygon]:
    """Yield a run-length encoded mask, which COCO counts column by column, as thin boxes."""
    height, width = (int(length) for length in drawn["size"])
    counts = drawn["counts"]
    counts = _decoded(counts) if isinstance(counts, str) else [int(count) for count in counts]
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"runs of {sum(counts)} pixels, the mask has {height * width}")
    place = 0
    for number, count in enumerate(counts):
        start, place = place, place + count
        while number % 2 and start < place:
            column, row = divmod(start, height)
            length = min(place - start, height - row)
            # Whole columns in a row are one box.
            columns = max((place - start) // height, 1) if row == 0 else 1
            yield _box(column, row, columns, length)
            start += length * columns


def _decoded(text: str) -> list[int]:
    """Return the counts that COCO packs into letters: 5 bits each, differences from the third."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _via(entry: Mapping[str, Any]) -> Outlines:
    outlines = Outlines()
    regions = entry["regions"]
    for region in regions.values() if isinstance(regions, dict) else regions:
        shape, told = region["shape_attributes"], region.get("region_attributes") or {}
        label = " ".join(_words(value) for value in told.values()).strip()
        kind = str(shape["name"])
        _add(outlines, label, kind, _via_area(kind, shape))
    return outlines


def _words(value: Any) -> str:
    """The name of a region: a text, or a mapping of those that were ticked."""
    if isinstance(value, Mapping):
        return " ".join(str(name) for name, ticked in value.items() if ticked)
    return str(value)


def _via_area(kind: str, shape: Mapping[str, Any]) -> Polygon | None:
    def numbers(*keys: str) -> list[float]:
        return [float(shape[key]) for key in keys]

    if kind == "polygon":
        across, down = shape["all_points_x"], shape["all_points_y"]
        return list(zip(map(float, across), map(float, down), strict=True))
    if kind == "rect":
        return _box(*numbers("x", "y", "width", "height"))
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return _ellipse(x, y, radius, radius)
    if kind == "ellipse":
        x, y, across, down = numbers("cx", "cy", "rx", "ry")
        return _ellipse(x, y, across, down, float(shape.get("theta", 0.0)))
    return None
