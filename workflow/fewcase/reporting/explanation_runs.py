"""The explanation maps of a study: where those of each run lie, and what was measured of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.explain.map_files import MapSet, read_maps
from fewcase.reporting.gan_runs import read_columns
from fewcase.study.errors import InputError

Key = tuple[str, str]
"""Arm and split."""

_FOLDER = re.compile(r"/([^/]+)/([^/]+)/seed-(\d+)/fold-(\d+)$")
_TEXT = ("group", "example", "patient", "drawn", "measure", "order")
_MEASURED = (
    *("group", "example", "patient", "drawn", "score"),
    *("deletion", "deletion_random", "insertion", "insertion_random"),
    *("negative_deletion", "negative_deletion_random", "negative_rise", "negative_cells"),
    *("randomised", "randomised_magnitude", "randomised_control"),
)
_DRAWN = ("group", "measure", "order", "share", "score", "cases")


@dataclasses.dataclass(frozen=True, eq=False)
class MapRun:
    """The maps of the network of one fold.

    Attributes
    ----------
    folder
        Where their files lie.
    arm, split, seed, fold
        Whose they are.
    maps
        The maps, memory-mapped.
    """

    folder: Path
    arm: str
    split: str
    seed: int
    fold: int
    maps: MapSet

    @property
    def key(self) -> Key:
        """Arm and split."""
        return self.arm, self.split

    @property
    def chance(self) -> Mapping[str, Any]:
        """What `fewcase.evaluation.chance` says of the network; empty where it was not asked."""
        found = self.maps.about.get("chance")
        return found if isinstance(found, dict) else {}

    def measured(self) -> pd.DataFrame:
        """Read faithfulness.csv, see `fewcase.explain.measures.measure_maps`."""
        table = _read(self.folder / "faithfulness.csv", _MEASURED)
        return table.assign(drawn=table["drawn"] == "True")

    def curves(self) -> pd.DataFrame:
        """Read curves.csv: group, measure, order, share, score, cases."""
        return _read(self.folder / "curves.csv", _DRAWN)


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = read_columns(path, columns)
    numbers = [str(name) for name in table if name not in _TEXT]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    return table


def read_map_runs(paths: Iterable[Path]) -> list[MapRun]:
    """Return the runs whose faithfulness.csv are given.

    Raises
    ------
    InputError
        For a file that lies in no folder of maps, maps that cannot be read, or no file at all.
    """
    runs = []
    for path in paths:
        folder = Path(path).absolute().parent
        place = _FOLDER.search(folder.as_posix())
        if not place:
            raise InputError(
                f"{path}: not in a folder of maps; give the faithfulness.csv under "
                "maps/{arm}/{split}/seed-{seed}/fold-{fold}."
            )
        arm, split, seed, fold = place.groups()
        runs.append(MapRun(folder, arm, split, int(seed), int(fold), read_maps(folder)))
    if not runs:
        raise InputError(
            "--maps: no maps are given; name the faithfulness.csv of one run at least."
        )
    return runs


def by_arm(runs: Sequence[MapRun]) -> dict[Key, list[MapRun]]:
    """Return the runs of each arm and split, in the order in which these first come."""
    found: dict[Key, list[MapRun]] = {}
    for run in runs:
        found.setdefault(run.key, []).append(run)
    return found
