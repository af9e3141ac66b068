"""Folders of simulated pictures: written whole or not at all, from generators with keys."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

PNG_COMPRESSION = 1
"""Noise hardly gets smaller by more."""

JPEG_QUALITY = 90

COMMENT = "simulated, not of a person"


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the random generator of one purpose; those of others do not depend on it."""
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:6], "little")
    return np.random.Generator(np.random.PCG64([seed, key, *numbers]))


def save(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG or JPEG, by its suffix, with a comment that it is simulated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        info = PngInfo()
        info.add_text("Comment", COMMENT)
        Image.fromarray(pixels).save(path, compress_level=PNG_COMPRESSION, pnginfo=info)
    else:
        Image.fromarray(pixels).save(path, quality=JPEG_QUALITY, comment=COMMENT.encode())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    temporary, old = (path.with_name(f".{path.name}.{mark}{end}") for end in ("", ".old"))
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
