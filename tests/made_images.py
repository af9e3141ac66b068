"""Image files that tests write: ordinary ones, tiled pyramids as slides are, records of them."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

TILE = 64


def scene(height, width, channels=3, seed=0):
    """A picture with smooth and sharp detail, uint8 (height, width, channels)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [
        127 + 80 * np.sin(x / rng.uniform(4, 15) + rng.uniform(0, 6)) * np.cos(y / 9)
        + 40 * ((x // 17 + y // 23 + c) % 2)
        for c in range(channels)
    ]  # fmt: skip
    noise = rng.normal(0, 6, (height, width, channels))
    return np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


def save(path: Path, pixels=None, **options):
    """Save pixels, or a small scene that depends on the path, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = scene(24, 32, seed=sum(str(path.name).encode()))
    Image.fromarray(pixels).save(path, **options)
    return path


def encoded(pixels, kind, **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def records_of(paths, data, **columns):
    """A table of records of image files, as ingest writes it."""
    names = [path.relative_to(data).as_posix() for path in paths]
    sizes = [Image.open(path).size for path in paths]
    count = len(paths)
    table = pd.DataFrame(
        {
            "record": [name.rsplit(".", 1)[0] for name in names],
            "patient": [f"p{i}" for i in range(count)],
            "site": "A",
            "date": pd.Series([pd.NaT] * count, dtype="datetime64[us]"),
            "patient_known": True,
            "file_type": [path.suffix.removeprefix(".") for path in paths],
            "file_bytes": [path.stat().st_size for path in paths],
            "path": names,
            "width": [size[0] for size in sizes],
            "height": [size[1] for size in sizes],
            "channels": 3,
            "part": "",
            "class": "",
        }
    )
    return table.assign(**columns)


def write_slide(path: Path, levels, microns_per_pixel=None):
    """Write levels, each uint8 (height, width, 3), as a tiled TIFF: plain RGB, no compression."""
    content = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    link = 4
    for number, level in enumerate(levels):
        offsets, sizes = [], []
        for top in range(0, level.shape[0], TILE):
            for left in range(0, level.shape[1], TILE):
                tile = np.zeros((TILE, TILE, 3), np.uint8)
                part = level[top : top + TILE, left : left + TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                offsets.append(len(content))
                content += tile.tobytes()
                sizes.append(tile.nbytes)
        link = _directory(content, link, number, level.shape, offsets, sizes, microns_per_pixel)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _directory(content, link, number, shape, offsets, sizes, microns_per_pixel):
    """Append an image file directory, point to it, and return where the next one is named."""

    def stored(kind, *values):
        place = len(content)
        content.extend(struct.pack(f"<{len(values)}{kind}", *values))
        return place

    bits = stored("H", 8, 8, 8)
    at, counts = stored("I", *offsets), stored("I", *sizes)
    many = len(offsets) > 1
    entries = [
        (254, 4, 1, int(number > 0)),  # reduced image
        (256, 4, 1, shape[1]),
        (257, 4, 1, shape[0]),
        (258, 3, 3, bits),
        (259, 3, 1, 1),  # no compression
        (262, 3, 1, 2),  # RGB
        (277, 3, 1, 3),
    ]
    if microns_per_pixel is not None:
        resolution = stored("I", round(1e4 / microns_per_pixel * 1000), 1000)
        entries += [(282, 5, 1, resolution), (283, 5, 1, resolution)]
    entries.append((284, 3, 1, 1))
    if microns_per_pixel is not None:
        entries.append((296, 3, 1, 3))  # per centimetre
    entries += [
        (322, 4, 1, TILE),
        (323, 4, 1, TILE),
        (324, 4, len(offsets), at if many else offsets[0]),
        (325, 4, len(sizes), counts if many else sizes[0]),
    ]
    if len(content) % 2:
        content.append(0)
    struct.pack_into("<I", content, link, len(content))
    content.extend(struct.pack("<H", len(entries)))
    for tag, kind, count, value in entries:
        # A short number stands at the beginning of its four bytes.
        content.extend(struct.pack("<HHI", tag, kind, count))
        content.extend(struct.pack("<HH", value, 0) if kind == 3 and count == 1 else
                       struct.pack("<I", value))  # fmt: skip
    content.extend(struct.pack("<I", 0))
    return len(content) - 4


def halved(pixels):
    """Every 2 × 2 pixels as their mean."""
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    blocks = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


def feature(rings, name, kind="Polygon"):
    """A GeoJSON feature as QuPath exports it."""
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": rings},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": [200, 0, 0]},
        },
    }


def box(left, top, right, bottom):
    """A closed ring around a rectangle."""
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def write_outlines(path: Path, features):
    """Write a GeoJSON feature collection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def read_folder(folder: Path) -> np.ndarray:
    """Return the images of a folder, of one size, as uint8 (n, 3, H, W), in the order of names."""
    paths = sorted(folder.glob("*.png"))
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return np.stack(pictures).transpose(0, 3, 1, 2).copy()
