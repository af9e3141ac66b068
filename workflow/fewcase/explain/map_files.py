"""The files of explanation maps: what each cell of each grid says for and against each class."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import atomic_path, read_json, read_table, write_json, write_table
from fewcase.explain.grids import Grid
from fewcase.study.errors import InputError

TRAINING = "training"
"""Role of a case that the run's network learned from, which is no judge of it."""
FILES = ("cases.parquet", "pictures.npy", "differences.npy", "grids.json")


@dataclasses.dataclass(frozen=True, eq=False)
class MapSet:
    """The maps of one run.

    Attributes
    ----------
    cases
        One line per explained example: case (0, 1, …), example, parent, patient, site, role,
        label (class number), fold, drawn (bool: whether chance chose it, or that it is extreme),
        and score_0, score_1, … (float32): probabilities, nothing masked.
    pictures
        uint8 (n, C, H, W): the images as the network sees them, 0 black and 255 white.
    differences
        float32 (n, cells of all grids one after the other, K): the score of the image less that of
        the image with the cell blanked; positive where the cell speaks for the class.
    grids
        The grids, in the order of the cells.
    class_names
        K names.
    about
        What else there is to know: ``score`` (probability, logit, log_odds), ``fill``, ``arm``,
        ``split``, ``seed``, ``fold``, ``channels`` (names), ``window_minutes`` (or None) and so on;
        JSON values.
    """

    cases: pd.DataFrame
    pictures: npt.NDArray[np.uint8]
    differences: npt.NDArray[np.float32]
    grids: tuple[Grid, ...]
    class_names: tuple[str, ...]
    about: dict[str, Any]

    def of_grid(self, number: int) -> npt.NDArray[np.float32]:
        """Return the differences of one grid, (n, rows, columns, K)."""
        start = sum(grid.cells for grid in self.grids[:number])
        grid = self.grids[number]
        part = self.differences[:, start : start + grid.cells]
        return part.reshape(len(part), grid.rows, grid.columns, -1)

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """Probabilities of the classes, nothing masked, (n, K)."""
        return self.cases[_score_names(self)].to_numpy(np.float32)

    def held_out(self) -> MapSet:
        """Return the cases that the run's network did not learn from, numbered anew."""
        places = np.flatnonzero((self.cases["role"] != TRAINING).to_numpy(bool))
        if len(places) == len(self.cases):
            return self
        cases = self.cases.iloc[places].reset_index(drop=True)
        return dataclasses.replace(
            self,
            cases=cases.assign(case=np.arange(len(cases))),
            pictures=self.pictures[places],
            differences=self.differences[places],
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of grids, in their order."""
        return tuple(dict.fromkeys(grid.group for grid in self.grids))


def write_maps(folder: Path, maps: MapSet) -> None:
    """Write the files of a set of maps, each whole or not at all.

    The last of them, ``grids.json``, holds the digests of the others.

    Raises
    ------
    InputError
        Where the parts of the set do not fit together.
    """
    _check(maps, "maps")
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "cases.parquet", maps.cases)
    for name, array in (("pictures", maps.pictures), ("differences", maps.differences)):
        with atomic_path(folder / f"{name}.npy") as path, open(path, "wb") as file:
            np.save(file, array, allow_pickle=False)
    grids = [
        {
            **dataclasses.asdict(grid),
            "boxes": grid.boxes.tolist(),
            "channels": grid.channels.tolist(),
        }
        for grid in maps.grids
    ]
    about = {
        "class_names": list(maps.class_names),
        "about": maps.about,
        "grids": grids,
        "files": {name: _digest(folder / name) for name in FILES[:-1]},
    }
    write_json(folder / "grids.json", about)


def read_maps(folder: Path) -> MapSet:
    """Read the files of a set of maps; the large ones are memory-mapped.

    Raises
    ------
    InputError
        Where a file is missing, or they are not those that one run wrote.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file. Run the explain stage again.")
    stored = read_json(folder / "grids.json")
    for name, digest in stored["files"].items():
        if _digest(folder / name) != digest:
            raise InputError(
                f"{folder / name}: not what the run of grids.json wrote, but torn or of another "
                "run. Run the explain stage again."
            )
    grids = tuple(
        Grid(
            **{
                **grid,
                "boxes": np.array(grid["boxes"], np.int64).reshape(-1, 4),
                "channels": np.array(grid["channels"], bool),
            }
        )
        for grid in stored["grids"]
    )
    maps = MapSet(
        read_table(folder / "cases.parquet"),
        np.load(folder / "pictures.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "differences.npy", mmap_mode="r", allow_pickle=False),
        grids,
        tuple(stored["class_names"]),
        stored["about"],
    )
    _check(maps, str(folder))
    return maps


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(maps: MapSet, where: str) -> None:
    """Raise an `InputError` where the parts of a set do not fit together."""
    cells = sum(grid.cells for grid in maps.grids)
    expected = {
        "differences": (maps.differences.shape, (len(maps.cases), cells, len(maps.class_names))),
        "pictures": (maps.pictures.shape[:1], (len(maps.cases),)),
        "scores": (tuple(sorted(_scores(maps.cases))), tuple(sorted(_score_names(maps)))),
    }
    for grid in maps.grids:
        size = (len(grid.channels), *grid.size)
        expected[f"pictures under the grid {grid.name!r}"] = (maps.pictures.shape[1:], size)
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise InputError(
                f"{where}: {what}: found {found}, expected {wanted} for {len(maps.cases)} cases, "
                f"{cells} cells and {len(maps.class_names)} classes. Run the explain stage again."
            )


def _scores(cases: pd.DataFrame) -> list[str]:
    return [name for name in cases.columns if name.startswith("score_")]


def _score_names(maps: MapSet) -> list[str]:
    return [f"score_{number}" for number in range(len(maps.class_names))]
