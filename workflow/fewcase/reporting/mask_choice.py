"""Which cases of an arm that segments are shown: a good, a median and a bad mask of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fewcase.explain.map_files import MapSet
from fewcase.reporting.mask_runs import MaskRun
from fewcase.study.errors import InputError


def chosen_cases(runs: Sequence[MaskRun], maps: Mapping[int, MapSet]) -> pd.DataFrame:
    """Choose, of each class, the case with the best Dice, the median one, and the worst.

    Each is of another patient as long as there are any. Validation examples are chosen from, or
    test examples where there are none of these; an example that several runs judged counts once,
    by the first. Where three or more cases of a class are explained, only these count.

    Parameters
    ----------
    runs
        Of one arm under one split.
    maps
        By number of a run, its explanation maps.

    Returns
    -------
    pandas.DataFrame
        One line per case, the columns of `MaskRun.table` with run (its number), line (in its
        table), kind (good, median, bad) and map_case (number in the maps of the run, -1 without).

    Raises
    ------
    InputError
        Where no run has a held-out example.
    """
    parts = []
    for number, run in enumerate(runs):
        explained: dict[str, int] = {}
        if number in maps:
            names = maps[number].cases["example"]
            explained = {str(name): place for place, name in enumerate(names)}
        map_case = run.table["example"].map(explained).fillna(-1).astype(np.int64)
        part = run.table.assign(run=number, line=np.arange(len(run.table)), map_case=map_case)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    roles = table["role"]
    table = table[roles == ("validation" if (roles == "validation").any() else "test")]
    if table.empty:
        raise InputError("--masks: no run has a held-out example; train runs that validate some.")
    # Of an example that several runs judged, one that is explained goes first.
    ordered = table.assign(unexplained=table["map_case"] < 0)
    ordered = ordered.sort_values("unexplained", kind="stable").drop_duplicates("example")
    found = [_of_class(part) for _, part in ordered.groupby("label", sort=True)]
    return pd.concat(found, ignore_index=True).drop(columns="unexplained")


def _of_class(part: pd.DataFrame) -> pd.DataFrame:
    explained = part[~part["unexplained"]]
    part = explained if len(explained) >= 3 else part
    ranked = part.sort_values(["dice", "example"], ascending=[False, True], ignore_index=True)
    last = len(ranked) - 1
    chosen: dict[str, int] = {}
    for kind, wanted in (("good", 0.0), ("bad", float(last)), ("median", last / 2)):
        left = [place for place in ranked.index if place not in chosen.values()]
        seen = set(ranked.loc[list(chosen.values()), "patient"])
        others = [place for place in left if ranked.at[place, "patient"] not in seen]
        if left:
            chosen[kind] = min(others or left, key=lambda place: (abs(place - wanted), place))
    order = [kind for kind in ("good", "median", "bad") if kind in chosen]
    return ranked.loc[[chosen[kind] for kind in order]].assign(kind=order)
