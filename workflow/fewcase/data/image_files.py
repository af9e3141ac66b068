"""Image files, read so that no broken one stops a stage: PNG, JPEG, TIFF, BMP, DICOM; 8 bits.

What a file says of its colours is honoured as far as pixels go: palettes and CMYK become RGB, what
is transparent lies on white, and the EXIF orientation is applied. Colour profiles are not. Of
DICOM see `fewcase.data.dicom_files`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fewcase.data.dicom_files import DicomError, is_dicom, read_dicom

Pixels = npt.NDArray[np.uint8]

FILE_TYPES = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "TIFF": "tiff", "BMP": "bmp"}
"""What the formats that can be read are called, by Pillow's names; MPO is a JPEG of a camera."""

_OPENERS = ("PNG", "JPEG", "TIFF", "BMP")

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib")

UNSUPPORTED_SUFFIXES = (
    *(".gif", ".webp", ".jp2", ".j2k", ".jpx", ".heic", ".heif", ".avif", ".dcm", ".dicom"),
    *(".psd", ".tga", ".pgm", ".ppm", ".pbm", ".pnm", ".ico", ".svg", ".pdf", ".nii", ".mha"),
)
"""Images of other kinds: they are refused by name, not passed over as a text file would be."""

LEAST_SIDE = 8
"""Images with a shorter side are no records but icons or damage."""

MOST_PIXELS = 2 * 89_478_485
"""Larger images are refused unread, as Pillow does: a small file could fill the memory."""

WHITE = 255


class ImageFileError(Exception):
    """A file that cannot be used: a short fixed reason, and one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a file holds.

    Attributes
    ----------
    file_type
        ``png``, ``jpeg``, ``tiff``, ``bmp`` or ``dicom``, by content; of a slide, its suffix.
    file_bytes
        Size of the file.
    width, height
        Pixels, upright.
    channels
        1 for grey, 3 for colour.
    digest
        SHA-256 of the file's bytes, hexadecimal.
    """

    file_type: str
    file_bytes: int
    width: int
    height: int
    channels: int
    digest: str


def inspect_image(path: Path) -> ImageInfo:
    """Decode a file once from its first to its last pixel, and tell what it holds.

    Raises
    ------
    ImageFileError
        With the reason missing file, unreadable file, empty file, unsupported type, damaged file,
        too large, too small, several pages (of DICOM: frames) or unsupported pixels.
    """
    info, _ = load_image(path)
    return info


def load_image(path: Path, frame: int | None = None) -> tuple[ImageInfo, Image.Image]:
    """Decode a file as `inspect_image` does, and return its picture besides: L, RGB or I;16.

    Parameters
    ----------
    path
        The file.
    frame
        Which of several frames of a DICOM file, from 0; None refuses several.
    """
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file_bytes = file.tell()
        file.seek(0)
        file_type, image = _decode(path, file, frame)
    if min(image.size) < LEAST_SIDE:
        raise ImageFileError(
            "too small",
            f"{path}: {image.width} × {image.height} pixels, expected {LEAST_SIDE} a side at "
            "least.",
        )
    channels = 1 if image.mode == "L" or image.mode.startswith("I;16") else 3
    info = ImageInfo(file_type, file_bytes, image.width, image.height, channels, digest)
    return info, image


def read_image(path: Path, bits: int = 16, frame: int = 0) -> Pixels:
    """Return a file's pixels, uint8 (height, width, channels), upright; 1 channel for grey, else 3.

    Parameters
    ----------
    path
        The file.
    bits
        Significant bits of grey images of 16 bits: ``2 ** bits - 1`` becomes 255, values between
        are scaled and rounded, those above are white. 16-bit colours keep their upper 8 bits. DICOM
        files have a window of their own.
    frame
        Which frame of a DICOM file, from 0.

    Raises
    ------
    ImageFileError
        As `inspect_image` does.
    """
    with open_file(path) as file:
        _, image = _decode(path, file, frame)
    return as_pixels(image, bits)


def read_unconverted(path: Path) -> Image.Image:
    """Return an upright picture with its palette, transparency or 16 bits as they are in the file.

    Raises
    ------
    ImageFileError
        As `inspect_image` does; a DICOM file is damaged here.
    """
    with open_file(path) as file:
        return _decode_ordinary(path, file)[1]


def as_pixels(image: Image.Image, bits: int = 16) -> Pixels:
    """Return a decoded image as uint8 (height, width, channels)."""
    pixels = np.asarray(image)
    if image.mode.startswith("I;16"):
        white = 2**bits - 1
        scaled = (pixels.astype(np.uint32) * WHITE + white // 2) // white
        pixels = np.minimum(scaled, WHITE).astype(np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a file that should hold an image.

    Raises
    ------
    ImageFileError
        Where it is missing, empty or cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ImageFileError("missing file", f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise ImageFileError("unreadable file", f"{path}: cannot be read ({error}).") from None
    with file:
        if not file.read(1):
            raise ImageFileError("empty file", f"{path}: 0 bytes, expected an image.")
        file.seek(0)
        yield file


def _decode(path: Path, file: BufferedReader, frame: int | None) -> tuple[str, Image.Image]:
    """Return the file type and the upright image of mode L, RGB or I;16."""
    if is_dicom(path):
        try:
            return "dicom", read_dicom(path, frame)
        except DicomError as error:
            raise ImageFileError(error.reason, f"{path}: {error.detail}.") from None
    file_type, image = _decode_ordinary(path, file)
    try:
        return file_type, _plain(path, image)
    except (ImageFileError, MemoryError):
        raise
    except Exception as error:
        raise ImageFileError("damaged file", f"{path}: cannot be decoded ({error}).") from None


def _decode_ordinary(path: Path, file: BufferedReader) -> tuple[str, Image.Image]:
    """Return the file type and the upright image of any mode."""
    try:
        image = Image.open(file, formats=_OPENERS)
        _check_header(path, image)
        file_type = FILE_TYPES[str(image.format)]
        image.load()
        return file_type, _upright(image)
    except (ImageFileError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise ImageFileError(
            "damaged file", f"{path}: not a PNG, JPEG, TIFF or BMP image, whatever its name says."
        ) from None
    except Image.DecompressionBombError:
        raise ImageFileError(
            "too large",
            f"{path}: more than {MOST_PIXELS} pixels. Save it as a tiled, pyramidal TIFF and read "
            "it by the source tiles.",
        ) from None
    except Exception as error:  # Decoders of broken files raise whatever they stumble over.
        raise ImageFileError("damaged file", f"{path}: cannot be decoded ({error}).") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read says nothing of the orientation.
        return image


def _check_header(path: Path, image: Image.Image) -> None:
    pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if pages > 1:
        raise ImageFileError(
            "several pages",
            f"{path}: {pages} pages, expected one image. Save the one that counts as a file of its "
            "own; slides in pyramids are read by the source tiles with openslide.",
        )


def _plain(path: Path, image: Image.Image) -> Image.Image:
    """Return an image as L, RGB or I;16; what is transparent lies on white."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        return image.convert("RGB")
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode in ("LA", "La", "L"):
        return on_white(image.convert("LA").convert("RGBA")).convert("L")
    if image.mode in ("RGBA", "RGBa", "RGB", "P", "PA"):
        return on_white(image.convert("RGBA"))
    raise ImageFileError(
        "unsupported pixels",
        f"{path}: pixels of the kind {image.mode!r}, expected grey or colours of 8 or 16 bits.",
    )


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGBA image as RGB over white."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
