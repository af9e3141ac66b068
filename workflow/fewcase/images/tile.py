"""Cut the records of an image cohort into examples: whole images, or tiles with what they show."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import atomic_path, content_digest, write_digest, write_table
from fewcase.data.image_records import EXAMPLE_COLUMNS
from fewcase.data.parallel import map_in_order
from fewcase.data.recordings import Counts, Refusal, refusals_table
from fewcase.images.annotations import AnnotationError, best_class, coverage, find_annotation
from fewcase.images.grid import TileGrid, lay_grid
from fewcase.images.regions import Regions, opened
from fewcase.images.tissue import tissue_shares
from fewcase.study.errors import InputError
from fewcase.study.image_sources import Tiles

LIKE_NATIVE = 0.05
"""A file within this share of the asked resolution is cut at its own: scanners are not rounder."""

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """Why a whole record is refused: a short fixed reason, and one sentence."""


@dataclasses.dataclass
class _Tiled:
    """The tiles of one record that are left, and how many fell to which reason.

    Attributes
    ----------
    grid
        All tiles.
    left
        Indices of those that are left, in rising order.
    classes
        Class of every tile; None where records carry it.
    fallen
        Reason and detail of tiles that are refused.
    """

    grid: TileGrid
    left: npt.NDArray[np.int64]
    classes: npt.NDArray[np.object_] | None = None
    fallen: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def keep(self, kept: npt.NDArray[np.bool_], reason: str, detail: str) -> None:
        """Keep some of the tiles that are left."""
        fallen = np.count_nonzero(~kept)
        if fallen:
            self.fallen.append((reason, f"{fallen} of {len(self.grid.x)} tiles {detail}."))
        self.left = self.left[kept]


def list_whole_images(records: pd.DataFrame, folder: Path) -> Counts:
    """Write the examples of a cohort whose images are its examples, in the order of their names."""
    chosen = records.sort_values("record", ignore_index=True)
    _write(_examples(chosen, chosen["record"].tolist()), [], folder)
    return Counts(accepted=len(chosen), refused=0)


def tile_records(
    records: pd.DataFrame, options: Tiles, data: Path, folder: Path, *, threads: int = 1
) -> Counts:
    """Lay tiles over every record, and write those that are kept as examples.

    Writes ``examples.parquet``, ``rejected.parquet`` and last ``examples.hash`` into `folder`.
    Examples are in the order of record, y and x. Of each record, tiles that are refused for one
    reason make one row; a record of which no tile is left is refused as a whole. Files are opened
    only where their resolution, tissue or annotation is asked for.

    Parameters
    ----------
    records
        As `fewcase.data.image_records.read_image_records` returns them.
    options
        How to cut.
    data
        The study's data folder, which paths are relative to.
    folder
        Where to; made if need be.
    threads
        Records that are worked on at once; the files are the same for any number.

    Raises
    ------
    InputError
        Where no tile is left, options contradict each other, or a file is no longer what it was.
    """
    _check(options, data)
    rows: list[Any] = []
    tiled: list[_Tiled] = []
    refused: list[Refusal] = []
    ordered = records.sort_values("record", ignore_index=True)

    def cut(record: Any) -> _Tiled | tuple[str, str]:
        try:
            return _cut(record, options, data)
        except AnnotationError as error:
            return error.reason, error.detail
        except _Refused as error:
            reason, detail = error.args
            return reason, detail

    listed = ordered.itertuples(index=True)
    for record, found in zip(
        ordered.itertuples(index=True), map_in_order(cut, listed, threads), strict=True
    ):
        if isinstance(found, _Tiled) and len(found.left):
            rows.append(record.Index)
            tiled.append(found)
            refused += [_refuse(record, *fallen) for fallen in found.fallen]
        elif isinstance(found, _Tiled):
            details = " ".join(f"{reason}: {detail}" for reason, detail in found.fallen)
            refused.append(_refuse(record, "no tile left", details))
        else:
            refused.append(_refuse(record, *found))
    if not tiled:
        raise _nothing_left(refused)
    examples = _tile_examples(ordered, rows, tiled)
    _write(examples, refused, folder)
    logger.info("%d tiles of %d records", len(examples), len(tiled))
    return Counts(accepted=len(examples), refused=len(refused))


def _check(options: Tiles, data: Path) -> None:
    asked = [
        name
        for name in ("level", "microns_per_pixel", "magnification")
        if getattr(options, name) is not None
    ]
    if len(asked) > 1:
        raise InputError(f"{asked[1]}: {asked[0]} is given as well. Leave one of them out.")
    if options.annotations is not None and not (data / options.annotations).is_dir():
        raise InputError(
            f"annotations: no folder {data / options.annotations}. Name it relative to the "
            "study's data folder, or leave the key out."
        )
    for value in options.mask_classes:
        if not value.isdigit() or int(value) > 255:
            raise InputError(
                f"mask_classes.{value}: expected the value of a pixel, a whole number to 255."
            )


def _cut(record: Any, options: Tiles, data: Path) -> _Tiled:
    size = (record.width, record.height)
    with contextlib.ExitStack() as stack:
        image: Regions | None = None
        if options.min_tissue > 0 or options.level or _asks_resolution(options):
            image = stack.enter_context(opened(data / record.path, record.file_type, size))
        downsample = 1.0 if image is None else _downsample(record.path, image, options)
        grid = lay_grid(
            *size,
            size=options.size,
            overlap=options.overlap,
            edge=options.edge,
            downsample=downsample,
        )
        if not len(grid.x):
            raise _Refused(
                "smaller than a tile",
                f"{record.path}: {size[0]} × {size[1]} pixels, expected {grid.extent} a side at "
                "least.",
            )
        tiles = _Tiled(grid, np.arange(len(grid.x)))
        if options.annotations is not None:
            _annotate(tiles, record, options, data / options.annotations)
        if image is not None and options.min_tissue > 0:
            shares = tissue_shares(image, grid, options.tissue_density)[tiles.left]
            enough = shares >= options.min_tissue
            tiles.keep(
                enough, "too little tissue", f"hold less than {options.min_tissue:g} of tissue"
            )
    most = options.max_tiles_per_record
    if most is not None and len(tiles.left) > most:
        kept = np.zeros(len(tiles.left), bool)
        kept[spread_evenly(len(tiles.left), most, (options.seed, record.record))] = True
        tiles.keep(kept, "more tiles than asked", f"are beyond max_tiles_per_record, {most}")
    return tiles


def _asks_resolution(options: Tiles) -> bool:
    return options.microns_per_pixel is not None or options.magnification is not None


def _downsample(path: str, image: Regions, options: Tiles) -> float:
    """Return how many pixels of level 0 are one pixel of a tile, across."""
    if options.level is not None:
        if options.level >= len(image.downsamples):
            raise _Refused(
                "no such level",
                f"{path}: level {options.level} was asked for, it has {len(image.downsamples)}.",
            )
        return image.downsamples[options.level]
    if options.microns_per_pixel is not None:
        unit, asked = "microns per pixel", options.microns_per_pixel
        native = image.property("mpp-x") or options.native_microns_per_pixel
        ratio = asked / native if native else 0.0
    elif options.magnification is not None:
        unit, asked = "fold", options.magnification
        native = image.property("objective-power") or options.native_magnification
        ratio = native / asked if native else 0.0
    else:
        return 1.0
    if not native:
        raise _Refused(
            "unknown resolution",
            f"{path}: the file does not tell its resolution. Give native_microns_per_pixel or "
            "native_magnification.",
        )
    if ratio < 1 - LIKE_NATIVE:
        raise _Refused(
            "resolution too low",
            f"{path}: {native:g} {unit}, but {asked:g} was asked for, which is finer.",
        )
    return ratio if ratio > 1 + LIKE_NATIVE else 1.0


def _annotate(tiles: _Tiled, record: Any, options: Tiles, folder: Path) -> None:
    shares = coverage(
        find_annotation(folder, record.path),
        tiles.grid,
        (record.width, record.height),
        options.classes,
        options.mask_classes,
    )
    tiles.classes = best_class(shares, len(tiles.grid.x), options.min_coverage)
    covered = (tiles.classes != "")[tiles.left]
    detail = f"are not covered to {options.min_coverage:g} by one class"
    tiles.keep(covered, "no annotation", detail)


def spread_evenly(items: int, chosen: int, key: Iterable[object]) -> npt.NDArray[np.int64]:
    """Draw some of so many items, one from each of as many stretches of equal length.

    Parameters
    ----------
    items, chosen
        How many there are and how many to draw, not more.
    key
        What the draw depends on, such as a seed and a name.

    Returns
    -------
    int64 (chosen,), rising
    """
    seed = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    rng = np.random.default_rng(list(seed))
    borders = np.arange(chosen + 1) * items // chosen
    return borders[:-1] + np.floor(rng.random(chosen) * np.diff(borders)).astype(np.int64)


def _refuse(record: Any, reason: str, detail: str) -> Refusal:
    return Refusal(record.record, record.patient, record.site, "tile", reason, detail)


def _tile_examples(
    records: pd.DataFrame, rows: Sequence[int], tiled: Sequence[_Tiled]
) -> pd.DataFrame:
    of = np.repeat(np.array(rows, dtype=np.int64), [len(tiles.left) for tiles in tiled])
    x, y = (
        np.concatenate([getattr(tiles.grid, name)[tiles.left] for tiles in tiled])
        for name in ("x", "y")
    )
    chosen = records.iloc[of].reset_index(drop=True)
    names = [f"{record}/x{a}-y{b}" for record, a, b in zip(chosen["record"], x, y, strict=True)]
    extents = np.concatenate([np.full(len(t.left), t.grid.extent) for t in tiled])
    examples = _examples(chosen, names).assign(x=x, y=y, extent=extents.astype(np.int64))
    if tiled[0].classes is not None:
        classes = [name for t in tiled if t.classes is not None for name in t.classes[t.left]]
        examples["class"] = pd.Series(classes, dtype="str")
    return examples


def _examples(chosen: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row per example: `chosen` has the row of its record."""
    return pd.DataFrame(
        {
            "row": np.arange(len(chosen), dtype=np.int64),
            "example": pd.Series(names, dtype="str"),
            "parent": chosen["record"],
            **{name: chosen[name] for name in ("patient", "site", "date", "part")},
        }
    )[list(EXAMPLE_COLUMNS)]


def _write(examples: pd.DataFrame, refused: Sequence[Refusal], folder: Path) -> None:
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        # Left in reverse order: the digest, which later stages wait for, appears last.
        digest, table, rejected = (
            stack.enter_context(atomic_path(folder / name))
            for name in ("examples.hash", "examples.parquet", "rejected.parquet")
        )
        write_table(table, examples)
        write_table(rejected, refusals_table(refused))
        content = content_digest(examples.to_csv(index=False).encode())
        write_digest(digest, {"content": content, "examples": len(examples)})
    for reason, count in collections.Counter(item.reason for item in refused).most_common():
        logger.info("refused: %s (%d records)", reason, count)


def _nothing_left(refused: Sequence[Refusal]) -> InputError:
    reasons = collections.Counter(item.reason for item in refused)
    tally = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    return InputError(
        f"tiles: none is left of {len(refused)} records: {tally}. The first one: "
        f"{refused[0].record!r}, {refused[0].detail} Mend size, min_tissue or annotations."
    )
