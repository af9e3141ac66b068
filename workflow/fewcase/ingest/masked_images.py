"""Images with the masks of a region, such as ultrasound: masks, outlines, and the image area."""

from __future__ import annotations

import collections
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fewcase.data.dicom_files import DicomError, DicomFacts, read_facts
from fewcase.data.image_files import ImageFileError, Pixels, as_pixels, load_image
from fewcase.data.image_records import ListedImage
from fewcase.data.recordings import Refusal
from fewcase.data.region_masks import Inside, fill_polygons, read_mask
from fewcase.ingest.dicom_patients import name_patients
from fewcase.ingest.image_cohort import OpenedImage
from fewcase.ingest.image_folder import list_images, without_suffix
from fewcase.ingest.mask_matching import Matches, match_masks
from fewcase.ingest.mask_options import check_mask_options
from fewcase.ingest.mask_outlines import OutlineError, Outlines, Polygon, read_labelme
from fewcase.ingest.screen import ImageArea, find_area
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.image_sources import MaskedImages
from fewcase.study.spelling import plain_name

logger = logging.getLogger(__name__)


class MaskedSource:
    """Lists and opens the images of a cohort with masks."""

    def __init__(self, options: MaskedImages, data: Path) -> None:
        """Check the options and look for all masks.

        Parameters
        ----------
        options
            The source's section of the study file.
        data
            The study's data folder, which its paths are relative to.

        Raises
        ------
        InputError
            Where the options contradict each other, a folder is missing, no image has a mask, or
            no outline has a label that counts.
        """
        self._pattern = check_mask_options(options)
        self._options = options
        self._data = data
        self._matches = match_masks(options, data, self._pattern)
        self._outlines = _read_outlines(self._matches)
        _check_labels(self._outlines, options)

    def list_images(self) -> Iterator[ListedImage | Refusal]:
        """List the images as `fewcase.ingest.image_folder.list_images` does, and stray masks.

        Masks without an image are refused like images; patients of DICOM files are named.
        """
        options, data = self._options, self._data
        apart = options.mask_folder is not None or options.outlines is not None
        closed = [data / options.mask_folder] if options.mask_folder is not None else []
        is_mask = None if apart else self._is_mask
        listed = list_images(options, data, is_mask=is_mask, closed=closed)
        yield from name_patients(listed, options, data)
        for stray in self._matches.strays:
            yield Refusal(stray.name, "", "", "ingest", stray.reason, stray.detail)

    def open(self, listed: ListedImage) -> OpenedImage:
        """Open an image and its masks, and find its image area; safe to call from threads.

        Columns: masks (JSON, paths relative to the data folder; none where all are empty),
        outlines (JSON, polygons of points (x, y) in pixels of the whole file), mask_values (JSON),
        left, top, right, bottom (the image area), area (JSON, the outline of what is image in it;
        none where all is), frame (of a DICOM file) and burnt_in (yes, no, or empty: what a DICOM
        file tells of annotations in the picture).

        Raises
        ------
        ImageFileError
            Where the image is refused.
        """
        path = self._data / listed.path
        frame = self._options.dicom_frame
        info, image = load_image(path, frame)
        facts = _dicom_facts(path) if info.file_type == "dicom" else None
        key = without_suffix(plain_name(listed.path))
        masks, polygons, parts = self._parts(key, listed.path, (info.width, info.height))
        inside = np.zeros((info.height, info.width), bool)
        for part in parts:
            if self._options.mask_overlap == "reject" and (inside & part).any():
                raise ImageFileError(
                    "overlapping masks",
                    f"{listed.path}: two of its masks have pixels in common. Mend them, or give "
                    "mask_overlap: allow to unite them.",
                )
            inside |= part
        if not inside.any() and self._options.empty_mask == "reject" and (masks or polygons):
            raise _empty(listed.path, "its mask is empty")
        area = self._area(listed.path, as_pixels(image), info.file_type, inside, facts)
        some = bool(inside.any())
        return OpenedImage(
            info,
            {
                "masks": _as_json(masks if some else []),
                "outlines": _as_json(polygons if some else []),
                "mask_values": _as_json(self._options.mask_values),
                **dict(zip(("left", "top", "right", "bottom"), area.box, strict=True)),
                "area": _as_json(area.outline),
                "frame": frame or 0,
                "burnt_in": facts.burnt_in if facts is not None else "",
            },
            tuple(_digest(self._data / name) for name in masks),
        )

    def _is_mask(self, below: str) -> bool:
        return self._pattern is not None and bool(self._pattern.search(without_suffix(below)))

    def _parts(
        self, key: str, path: str, size: tuple[int, int]
    ) -> tuple[list[str], list[Polygon], list[Inside]]:
        """Return the mask files of an image, its outlines, and each of them as pixels."""
        masks = self._matches.masks.get(key, [])
        outlines = self._outlines.get(key)
        if isinstance(outlines, OutlineError):
            raise ImageFileError(outlines.reason, outlines.detail)
        if not masks and outlines is None and self._options.missing_mask == "reject":
            raise ImageFileError(
                "image without mask",
                f"{path}: no mask or outline is called as it. Give missing_mask: allow where "
                "images without one rightly have no region.",
            )
        parts = []
        for name in masks:
            part = read_mask(self._data / name, self._options.mask_values)
            _check_size(name, (part.shape[1], part.shape[0]), size)
            parts.append(part)
        polygons: list[Polygon] = []
        if outlines is not None:
            if outlines.size is not None:
                _check_size(f"{path}: its outlines", outlines.size, size)
            wanted = self._options.region
            polygons = [drawn for label, drawn in outlines.shapes if not wanted or label in wanted]
            parts += fill_polygons(polygons, size[1], size[0])
            if not polygons and self._options.empty_mask == "reject":
                raise _empty(path, "no outline of the region is drawn on it")
        return masks, polygons, parts

    def _area(
        self,
        path: str,
        pixels: Pixels,
        file_type: str,
        inside: Inside,
        facts: DicomFacts | None,
    ) -> ImageArea:
        height, width = inside.shape
        if self._options.crop_screen == "none":
            return ImageArea((0, 0, width, height))
        if self._options.crop_screen == "box":
            area = _given_box(path, self._options.box, width, height)
        else:
            area = _found_area(path, pixels, file_type, inside, facts)
        left, top, right, bottom = area.box
        if inside.any() and not inside[top:bottom, left:right].any():
            raise ImageFileError(
                "mask outside image area",
                f"{path}: all of its mask lies outside of the image area, {area.box}. Give "
                "crop_screen: none, or another box.",
            )
        return area


def _given_box(path: str, box: tuple[int, ...], width: int, height: int) -> ImageArea:
    left, top, right, bottom = box
    if right > width or bottom > height:
        raise ImageFileError(
            "smaller than box",
            f"{path}: {width} × {height} pixels, expected the box {list(box)} to lie in it.",
        )
    return ImageArea((left, top, right, bottom))


def _found_area(
    path: str, pixels: Pixels, file_type: str, inside: Inside, facts: DicomFacts | None
) -> ImageArea:
    height, width = inside.shape
    left, top, right, bottom = 0, 0, width, height
    told = facts.area if facts is not None else None
    if told is not None:
        # The header tells where tissue is shown; an expert's mask may go a little beyond.
        left, top = max(told[0], 0), max(told[1], 0)
        right, bottom = min(told[2], width), min(told[3], height)
        rows, columns = np.nonzero(inside)
        if len(rows):
            left, top = min(left, int(columns.min())), min(top, int(rows.min()))
            right, bottom = max(right, int(columns.max()) + 1), max(bottom, int(rows.max()) + 1)
    part = np.s_[top:bottom, left:right]
    found = None
    if left < right and top < bottom:
        found = find_area(pixels[part], inside[part], jpeg=file_type == "jpeg")
    if found is None:
        raise ImageFileError(
            "no image area",
            f"{path}: no image is found on its screen, which is flat or holds text alone. Give "
            "crop_screen: none, or a box.",
        )
    x0, y0, x1, y1 = found.box
    outline = tuple((round(x + left, 1), round(y + top, 1)) for x, y in found.outline)
    return ImageArea((x0 + left, y0 + top, x1 + left, y1 + top), outline)


def _empty(path: str, what: str) -> ImageFileError:
    return ImageFileError(
        "empty mask",
        f"{path}: {what}. Give empty_mask: allow where some images rightly have no region.",
    )


def _check_size(name: str, found: tuple[int, int], size: tuple[int, int]) -> None:
    if found != size:
        raise ImageFileError(
            "unfitting mask",
            f"{name}: {found[0]} × {found[1]} pixels, expected those of the image, {size[0]} × "
            f"{size[1]}.",
        )


def _dicom_facts(path: Path) -> DicomFacts:
    try:
        return read_facts(path)
    except DicomError as error:
        raise ImageFileError(error.reason, f"{path}: {error.detail}.") from None


def _read_outlines(matches: Matches) -> dict[str, Outlines | OutlineError]:
    """Read all outlines, so that labels that nobody drew are told before images are opened."""
    outlines: dict[str, Outlines | OutlineError] = dict(matches.drawn)
    for image, path in matches.files.items():
        try:
            read = read_labelme(path)
            if read is None:
                raise OutlineError("damaged outlines", f"{path}: JSON without the key shapes.")
            outlines[image] = read
        except OutlineError as error:
            outlines[image] = error
    return outlines


def _check_labels(outlines: dict[str, Outlines | OutlineError], options: MaskedImages) -> None:
    read = [item for item in outlines.values() if isinstance(item, Outlines)]
    labels = collections.Counter(label for item in read for label, _ in item.shapes)
    unread: collections.Counter[str] = sum((item.unread for item in read), collections.Counter())
    for label in options.region:
        if label not in labels:
            raise InputError(f"region: no outline has the label {label!r}.{nearest(label, labels)}")
    if labels:
        counts = ", ".join(f"{label or 'no label'} ({n})" for label, n in sorted(labels.items()))
        logger.info("labels of outlines: %s; counted: %s", counts, options.region or "all")
    for kind, count in unread.items():
        logger.warning("%d outlines of the kind %r are no areas and are left out", count, kind)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
