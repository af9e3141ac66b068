"""Which explained cases a sheet shows: the surest right, the surest wrong, the most divided."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.explain.grids import WHOLE, Grid
from fewcase.explain.map_files import MapSet
from fewcase.reporting.error_cases import first_of_patients
from fewcase.study.errors import InputError

CASES = 3
"""Cases of a block."""

RIGHT, WRONG, DIVIDED = "right", "wrong", "divided"

Float64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Block:
    """Some cases of a kind.

    Attributes
    ----------
    kind
        ``right``, ``wrong`` or ``divided``.
    cases
        Lines of `list_cases`, as they follow each other.
    """

    kind: str
    cases: pd.DataFrame


def list_cases(maps: Sequence[MapSet]) -> pd.DataFrame:
    """Return the cases of some sets of maps, and how divided each is.

    What speaks for a class and what speaks against it are means of the differences above and below
    0 over the pixels of the mixed map of the cells that blank all channels, in units of the score.

    Returns
    -------
    pandas.DataFrame
        One line per case: set (number), case, example, parent, patient, role, fold, label (-1 where
        it is not known), called (the class with the highest score), score, speaks_for and
        speaks_against (the class called), and conflict: the smaller of the two.

    Raises
    ------
    InputError
        Where sets are of different classes or scores, or there is no case.
    """
    if not any(len(each.cases) for each in maps):
        raise InputError("maps: no case is explained; give a folder of maps with cases.")
    for number, each in enumerate(maps[1:], 2):
        for name, first, other in (
            ("classes", maps[0].class_names, each.class_names),
            ("score", maps[0].about.get("score"), each.about.get("score")),
        ):
            if first != other:
                raise InputError(
                    f"maps: folder {number} has the {name} {other!r}, the first {first!r}. Give "
                    "runs of one arm under one split."
                )
    sets = [_list_set(number, each) for number, each in enumerate(maps)]
    return pd.concat(sets, ignore_index=True)


def _list_set(number: int, maps: MapSet) -> pd.DataFrame:
    scores = maps.scores
    called = scores.argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    line = np.arange(len(scores))
    speaks_for, against = _evidence(maps, called)
    names = ["example", "parent", "patient", "role", "fold"]
    return pd.DataFrame(
        {
            "set": number,
            "case": line,
            **{name: maps.cases.get(name, pd.Series("", line)).to_numpy() for name in names},
            "label": pd.to_numeric(maps.cases["label"]).fillna(-1).to_numpy(np.int64),
            "called": called,
            "score": scores[line, called].astype(np.float64),
            "speaks_for": speaks_for,
            "speaks_against": against,
            "conflict": np.minimum(speaks_for, against),
        }
    )


def _evidence(maps: MapSet, called: npt.NDArray[np.int64]) -> tuple[Float64, Float64]:
    """Return what speaks for and against a class of each case, in units of the score."""
    weights = np.concatenate([_shares(grid, maps) for grid in maps.grids])
    used = np.flatnonzero(weights)
    changes = np.array(
        [maps.differences[case, used, k] for case, k in enumerate(called)], np.float64
    ).reshape(-1, len(used))
    weights = weights[used]
    return np.maximum(changes, 0) @ weights, np.maximum(-changes, 0) @ weights


def _shares(grid: Grid, maps: MapSet) -> Float64:
    """Return the share of each cell in the mean over pixels of the mixed map."""
    group = WHOLE if WHOLE in maps.groups else maps.groups[0]
    if grid.group != group:
        return np.zeros(grid.cells)
    y0, y1, x0, x1 = grid.boxes.T
    height, width = maps.pictures.shape[2:]
    shares: Float64 = grid.weight * ((y1 - y0) * (x1 - x0)) / (height * width)
    return shares


def choose_cases(cases: pd.DataFrame, number: int = CASES) -> list[Block]:
    """Choose the cases of each block: no example is in two blocks, nor in one of them twice.

    Parameters
    ----------
    cases
        See `list_cases`.
    number
        Of each block; one of each patient before the second of any.
    """
    blocks, left = [], cases
    for kind, measure in ((RIGHT, "score"), (WRONG, "score"), (DIVIDED, "conflict")):
        right = left["label"] == left["called"]
        among = {RIGHT: right, WRONG: ~right & (left["label"] >= 0)}
        candidates = left[among[kind]] if kind in among else left
        ordered = candidates.sort_values([measure, "example"], ascending=[False, True])
        chosen = first_of_patients(ordered, number)
        blocks.append(Block(kind, chosen))
        left = left[~left["example"].isin(chosen["example"])]
    return blocks
