"""The masks of a study: where those of each run lie, and what was measured of them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import read_table, table_metadata
from fewcase.evaluation.masks import MASK_MEASURES, judge_calls
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest

Key = tuple[str, str]
"""Arm and split."""

SETS = {"cv": "validation", "test": "test"}
"""Sets of examples, and their role in a run."""

_FOLDER = re.compile(r"/([^/]+)/([^/]+)/seed-(\d+)/fold-(\d+)$")
_COLUMNS = ("row", "example", "patient", "role", "label", "score_0", "score_1")


@dataclasses.dataclass(frozen=True, eq=False)
class MaskRun:
    """The masks of the network of one fold.

    Attributes
    ----------
    folder
        Where their files lie.
    arm, split, seed, fold
        Whose they are.
    table
        One line per held-out example, see `fewcase.segmentation.run.segment_run`, with called,
        right and true_score (`fewcase.evaluation.masks.judge_calls`).
    size
        Height and width of the masks, in pixels.
    """

    folder: Path
    arm: str
    split: str
    seed: int
    fold: int
    table: pd.DataFrame
    size: int

    def masks(self) -> npt.NDArray[np.uint8]:
        """Open the predicted masks, uint8 (n, S, S) in the order of the table.

        Raises
        ------
        InputError
            Where there are none, or not those of the table.
        """
        path = self.folder / "masks.npy"
        try:
            masks = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: no masks ({error}). Run the segment stage again.") from None
        expected = (len(self.table), self.size, self.size)
        if masks.shape != expected or masks.dtype != np.uint8:
            raise InputError(
                f"{path}: {masks.dtype} {masks.shape}, but masks.parquet has lines and size of "
                f"uint8 {expected}. Run the segment stage again."
            )
        return masks


def read_mask_runs(paths: Iterable[Path]) -> list[MaskRun]:
    """Return the runs whose masks.parquet are given.

    Raises
    ------
    InputError
        For a file that lies in no folder of a run, that lacks a column, or no file at all.
    """
    runs = [_read(Path(path)) for path in paths]
    if not runs:
        raise InputError("--masks: no masks are given; name the masks.parquet of one run at least.")
    return runs


def _read(path: Path) -> MaskRun:
    folder = path.absolute().parent
    place = _FOLDER.search(folder.as_posix())
    if not place:
        raise InputError(
            f"{path}: not in a folder of a run; give the masks.parquet under "
            "runs/{arm}/{split}/seed-{seed}/fold-{fold}."
        )
    table = read_table(path)
    for column in (*_COLUMNS, *MASK_MEASURES):
        if column not in table:
            raise InputError(f"{path}: no column {column!r}.{nearest(column, table.columns)}")
    facts = json.loads(table_metadata(path).get("fewcase", "{}"))
    if "size" not in facts:
        raise InputError(f"{path}: its metadata name no size. Run the segment stage again.")
    arm, split, seed, fold = place.groups()
    judged = table.join(judge_calls(table)).reset_index(drop=True)
    return MaskRun(folder, arm, split, int(seed), int(fold), judged, int(facts["size"]))


def by_arm(runs: Sequence[MaskRun]) -> dict[Key, list[MaskRun]]:
    """Return the runs of each arm and split, in the order in which these first come."""
    found: dict[Key, list[MaskRun]] = {}
    for run in runs:
        found.setdefault((run.arm, run.split), []).append(run)
    return found


def lines_of(runs: Sequence[MaskRun], name: str) -> pd.DataFrame:
    """Return the lines of some runs of one arm that are of a set, with run: their number."""
    parts = [
        run.table[run.table["role"] == SETS[name]].assign(run=number)
        for number, run in enumerate(runs)
    ]
    return pd.concat(parts, ignore_index=True)
