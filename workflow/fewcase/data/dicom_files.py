"""DICOM files as ordinary pictures, without anything of the patient (NEMA PS3.3, C.7 and C.11)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

MAGIC = b"DICM"
PREAMBLE = 128

DICOM_SUFFIXES = (".dcm", ".dicom")

TISSUE, TWO_DIMENSIONAL = 1, 1
"""Of a region of an ultrasound screen: its data type and spatial format (PS3.3, C.8.5.5.1)."""

Box = tuple[int, int, int, int]


class DicomError(Exception):
    """A DICOM file that cannot be used: a short fixed reason, and what is wrong, a clause."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class DicomFacts:
    """What ingest takes from a header. The first four never leave the process.

    Attributes
    ----------
    patient_id, issuer
        Who, and who gave this number; empty where the header does not tell.
    names
        Parts of the patient's name and other names, as they are written.
    instance
        The file's own unique identifier.
    anonymous
        Whether the header says that what identified the patient was removed.
    burnt_in
        ``yes`` or ``no`` where the header tells whether the picture itself has annotations that
        name the patient, otherwise empty.
    area
        Left, top, right and bottom (exclusive) of the largest region of tissue on the screen of
        an ultrasound scanner; None where the header has none.
    """

    patient_id: str
    issuer: str
    names: tuple[str, ...]
    instance: str
    anonymous: bool
    burnt_in: str
    area: Box | None


def is_dicom(path: Path) -> bool:
    """Return whether a file is called or begins like a DICOM file."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            file.seek(PREAMBLE)
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_facts(path: Path) -> DicomFacts:
    """Read the header of a DICOM file.

    Raises
    ------
    DicomError
        Where it has none.
    """
    header = _read(path, stop_before_pixels=True)
    names = [header.get(key) for key in ("PatientName", "OtherPatientNames", "PatientBirthName")]
    written = " ".join(str(name) for name in names if name is not None)
    for mark in "^=\\,.[]'":
        written = written.replace(mark, " ")
    burnt_in = str(header.get("BurnedInAnnotation") or "").strip().lower()
    return DicomFacts(
        patient_id=str(header.get("PatientID") or "").strip(),
        issuer=str(header.get("IssuerOfPatientID") or "").strip(),
        names=tuple(written.split()),
        instance=str(header.get("SOPInstanceUID") or ""),
        anonymous=str(header.get("PatientIdentityRemoved") or "").strip().upper() == "YES",
        burnt_in=burnt_in if burnt_in in ("yes", "no") else "",
        area=_tissue_area(header),
    )


def read_dicom(path: Path, frame: int | None) -> Image.Image:
    """Return the picture of a DICOM file, grey (L) or RGB, of 8 bits.

    Modality and window of the header are applied, MONOCHROME1 is inverted, palettes and luminance
    with chrominance become RGB. Without a window, the whole range of stored bits counts. Overlays
    that the file keeps apart are not drawn.

    Parameters
    ----------
    path
        The file.
    frame
        Which frame of several, from 0; None refuses several.

    Raises
    ------
    DicomError
        With the reason damaged file, unsupported type, several frames, no such frame or
        unsupported pixels.
    """
    from pydicom import pixels

    dataset = _read(path, stop_before_pixels=False)
    if "PixelData" not in dataset:
        raise DicomError("unsupported type", "a DICOM file without a picture")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1 and frame is None:
        raise DicomError(
            "several frames",
            f"{frames} frames, expected one. Name the one that counts under dicom_frame, from 0",
        )
    if (frame or 0) >= frames:
        raise DicomError("no such frame", f"{frames} frames, expected one numbered {frame}")
    try:
        stored = pixels.pixel_array(dataset, index=frame or 0)
    except MemoryError:
        raise
    except Exception as error:  # Decoders of broken files raise whatever they stumble over.
        missing = isinstance(error, (NotImplementedError, RuntimeError, AttributeError))
        reason = "unsupported pixels" if missing else "damaged file"
        hint = ". Save it without compression, or as PNG" if missing else ""
        raise DicomError(reason, f"its pixels cannot be decoded ({error}){hint}") from None
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        return Image.fromarray(_upper_bits(pixels.apply_color_lut(stored, dataset)))
    if kind.startswith("MONOCHROME"):
        share = _windowed(stored, dataset)
        grey = np.round((1 - share if kind == "MONOCHROME1" else share) * 255)
        return Image.fromarray(grey.astype(np.uint8))
    if stored.ndim == 3 and stored.shape[-1] == 3:
        return Image.fromarray(_upper_bits(stored))
    raise DicomError("unsupported pixels", f"pixels of the kind {kind!r}")


def _read(path: Path, *, stop_before_pixels: bool) -> Any:
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except FileNotFoundError:
        raise DicomError("missing file", "no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # As above.
        raise DicomError("damaged file", f"not a DICOM file that can be read ({error})") from None


def _windowed(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.float64]:
    """Return grey levels as shares of white, by the header's table, its window, or all bits."""
    from pydicom import pixels

    if dataset.get("VOILUTSequence"):
        voi = pixels.apply_voi(pixels.apply_modality_lut(stored, dataset), dataset)
        white = 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.clip(voi / white, 0, 1)
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        values = np.asarray(pixels.apply_modality_lut(stored, dataset), np.float64)
        return _window(values, dataset)
    bits = int(dataset.BitsStored)
    lowest = -(2 ** (bits - 1)) if int(dataset.PixelRepresentation) else 0
    share = (stored.astype(np.float64) - lowest) / (2**bits - 1)
    falling = float(dataset.get("RescaleSlope") or 1) < 0
    return np.clip(1 - share if falling else share, 0, 1)


def _window(values: npt.NDArray[np.float64], dataset: Any) -> npt.NDArray[np.float64]:
    centre, width = (_first(dataset[key].value) for key in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        # PS3.3, C.11.2.1.2.1: a width of 1 is a threshold.
        centre, width = centre - 0.5, width - 1
    return np.clip((values - centre) / max(width, 1e-9) + 0.5, 0, 1)


def _first(value: Any) -> float:
    return float(value if isinstance(value, (int, float, str)) else next(iter(value)))


def _upper_bits(colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if colours.dtype.itemsize > 1:
        colours = colours >> 8
    return colours.astype(np.uint8)


def _tissue_area(header: Any) -> Box | None:
    boxes = []
    for region in header.get("SequenceOfUltrasoundRegions") or ():
        kind = (region.get("RegionDataType"), region.get("RegionSpatialFormat"))
        if kind == (TISSUE, TWO_DIMENSIONAL):
            keys = ("MinX0", "MinY0", "MaxX1", "MaxY1")
            left, top, right, bottom = (int(region.get(f"RegionLocation{k}") or 0) for k in keys)
            boxes.append((left, top, right + 1, bottom + 1))
    boxes = [box for box in boxes if box[2] - box[0] > 1 and box[3] - box[1] > 1]
    return max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]), default=None)
