"""How alike maps are: of different fills, of networks of different folds, of random ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from fewcase.explain.areas import Areas, FloatArray, areas_of, evidence_of, laid_elsewhere
from fewcase.explain.grids import WHOLE
from fewcase.explain.map_files import MapSet
from fewcase.study.errors import InputError


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """Return Spearman's rank correlation of each pair of maps.

    Areas that are 0 in both are left out: where the fill is what the image shows there anyway,
    every network agrees with every other.

    Parameters
    ----------
    one, other
        Shape (n, areas).

    Returns
    -------
    numpy.ndarray
        float64 (n,); NaN where fewer than three areas are left, or a map has one value only.

    References
    ----------
    Spearman, American Journal of Psychology 15, 1904.
    """
    pairs = np.broadcast_arrays(np.asarray(one, np.float64), np.asarray(other, np.float64))
    found = np.full(len(pairs[0]), np.nan)
    for i, (a, b) in enumerate(zip(*pairs, strict=True)):
        told = (a != 0) | (b != 0)
        if told.sum() >= 3 and np.ptp(a[told]) > 0 and np.ptp(b[told]) > 0:
            found[i] = np.corrcoef(rankdata(a[told]), rankdata(b[told]))[0, 1]
    return found


def magnitude_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """Return the rank correlation of each pair of maps without their signs."""
    return rank_correlation(np.abs(one), np.abs(other))


def chance_correlation(
    one: npt.ArrayLike, other: npt.ArrayLike, areas: Areas, *, draws: int = 20, seed: int = 0
) -> FloatArray:
    """Return the rank correlation of each map with the other laid elsewhere, mean over draws.

    That is the control for maps as smooth as these that point anywhere; it is 0 but for what
    mirrored and shifted images have in common.

    Parameters
    ----------
    one, other
        Shape (n, areas).
    areas
        See `fewcase.explain.areas.areas_of`.
    draws, seed
        See `fewcase.explain.areas.laid_elsewhere`.
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    found = np.full(len(a), np.nan)
    for i in range(len(a)):
        places = laid_elsewhere(
            np.arange(len(areas)), areas, draws, np.random.default_rng([seed, i])
        )
        values = rank_correlation(np.broadcast_to(a[i], places.shape), b[i][places])
        if np.isfinite(values).any():
            found[i] = float(np.nanmean(values))
    return found


def compare_fills(maps: Mapping[str, FloatArray], base: str) -> pd.DataFrame:
    """Return how alike the maps of each fill are to those of another, case by case.

    Parameters
    ----------
    maps
        By fill, what the maps of the same cases and classes say in each area, (n, areas).
    base
        The fill that the others are compared with.

    Returns
    -------
    pandas.DataFrame
        A column ``fill_…`` for each other fill: Spearman's rank correlation.
    """
    if base not in maps:
        raise InputError(f"explain.fill: no maps of {base!r}; these are {', '.join(maps)}.")
    return pd.DataFrame(
        {
            f"fill_{name}": rank_correlation(maps[base], other)
            for name, other in maps.items()
            if name != base
        }
    )


def of_classes(evidence: FloatArray, classes: npt.ArrayLike) -> FloatArray:
    """Return what maps (n, areas, K) say for the class of each case, (n, areas)."""
    chosen = np.asarray(classes, np.int64)[:, None, None]
    return np.take_along_axis(evidence, chosen, axis=2)[:, :, 0]


def compare_runs(
    runs: Sequence[MapSet], *, group: str = WHOLE, draws: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Return how alike the maps are that networks of different folds or seeds have of one example.

    The class that is explained is the one with the highest score on average over the networks, for
    maps of different classes are not to be alike.

    Parameters
    ----------
    runs
        Maps of one arm; test examples are explained by the network of every fold.
    group
        See `fewcase.explain.areas.areas_of`.
    draws, seed
        Of the control, see `chance_correlation`.

    Returns
    -------
    pandas.DataFrame
        A line for each example that two runs or more have: example, patient, drawn (whether chance
        chose it in all of them, be it as one that all runs share), runs, stability (mean rank
        correlation over pairs of runs, NaN where none is defined) and stability_control (of the
        same maps laid elsewhere).

    Raises
    ------
    InputError
        Where runs have different grids or classes.
    """
    areas = _common_areas(runs, group)
    # One pass over each run: what covers what is the same for all of its cases.
    maps = [evidence_of(run.differences, run.grids, areas) for run in runs]
    lines = []
    for number, (example, places) in enumerate(_by_example(runs).items()):
        if len(places) < 2:
            continue
        cases = [runs[run].cases.iloc[place] for run, place in places]
        scores = [runs[run].scores[place] for run, place in places]
        explained = int(np.mean(scores, axis=0).argmax())
        own = [maps[run][place, None, :, explained] for run, place in places]
        pairs = list(itertools.combinations(own, 2))
        chance = [
            chance_correlation(*pair, areas, draws=draws, seed=seed + number) for pair in pairs
        ]
        lines.append(
            {
                "example": example,
                "patient": cases[0]["patient"],
                "drawn": all(bool(case["drawn"] or case.get("shared", False)) for case in cases),
                "runs": len(places),
                "stability": _mean([rank_correlation(*pair)[0] for pair in pairs]),
                "stability_control": _mean([values[0] for values in chance]),
            }
        )
    columns = ["example", "patient", "drawn", "runs", "stability", "stability_control"]
    return pd.DataFrame(lines, columns=columns)


def _common_areas(runs: Sequence[MapSet], group: str) -> Areas:
    first = runs[0]
    for other in runs[1:]:
        same = [(grid.name, grid.group, grid.boxes.tolist()) for grid in first.grids] == [
            (grid.name, grid.group, grid.boxes.tolist()) for grid in other.grids
        ]
        if not same or first.class_names != other.class_names:
            raise InputError(
                "explain: the maps of these runs have different grids or classes. Run the explain "
                "stage again for all of them."
            )
    return areas_of(first.grids, group)


def _by_example(runs: Sequence[MapSet]) -> dict[str, list[tuple[int, int]]]:
    """Return, of each example, the runs that explain it and its places there."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, run in enumerate(runs):
        for place, example in enumerate(run.cases["example"]):
            found.setdefault(str(example), []).append((number, place))
    return found


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
