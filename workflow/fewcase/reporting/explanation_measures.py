"""How faithful explanation maps are, as numbers: of each arm and split, all runs together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.explain.stability import compare_runs
from fewcase.reporting.explanation_runs import MapRun, by_arm
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.intervals import Estimate, undefined
from fewcase.statistics.metrics import FloatArray

HALF = 0.5
"""Rank correlation with maps of randomised networks that maps of the model must stay below."""

DIFFERENCES = {"deletion": -1, "insertion": 1, "negative_deletion": 1}
"""Areas under curves, and the sign that their difference to orders that say nothing should have."""

YES, NO, OPEN = "yes", "no", "not shown"


def tabulate_explanations(runs: Sequence[MapRun]) -> pd.DataFrame:
    """Return how faithful the maps of each arm are, full precision.

    Cases that chance chose are counted; those that were picked for their scores say nothing of
    others, and count only where there are no others (``picked`` is then true).

    Parameters
    ----------
    runs
        See `fewcase.reporting.explanation_runs.read_map_runs`.

    Returns
    -------
    pandas.DataFrame
        A row for each arm, split and group of areas: arm, split, group, fill, score, runs, maps,
        examples, patients, picked; negative_maps (how many have areas that speak against the
        class). Means with the ends of their intervals for other patients (``…_low``, ``…_high``)
        and how these were found (``…_method``): ``deletion``, ``insertion`` and
        ``negative_deletion``, each less that of orders that say nothing (and their own means,
        ``…_map`` and ``…_random``), ``negative_rise``, ``fill_…`` for each other fill,
        ``randomised``, ``randomised_magnitude``, ``randomised_control``, ``stability``,
        ``stability_control``. ``stability_examples``: on how many examples that several runs
        explain. ``auc`` (mean over runs), ``judged`` and ``no_better`` (in how many runs it is
        known whether the network is better than chance, and how many are not shown to be).
        ``follows_model`` is yes, no or not shown, and ``why`` names what speaks against it or is
        open.
    """
    rows = []
    for of_arm in by_arm(runs).values():
        tables = [run.measured() for run in of_arm]
        found = pd.concat(tables, ignore_index=True)
        for group, table in found.groupby("group", sort=False):
            rows.append(_row(of_arm, str(group), table))
    return pd.DataFrame(rows)


def _row(runs: Sequence[MapRun], group: str, table: pd.DataFrame) -> dict[str, Any]:
    first, picked = runs[0], not table["drawn"].any()
    counted = table if picked else table[table["drawn"]]
    patients = counted["patient"].to_numpy()
    row: dict[str, Any] = {"arm": first.arm, "split": first.split, "group": group}
    row |= {key: str(first.maps.about.get(key, "")) for key in ("fill", "score")}
    row |= {"runs": len(runs), "maps": len(counted), "examples": counted["example"].nunique()}
    row |= {"patients": len(np.unique(patients)), "picked": picked}
    row["negative_maps"] = int((counted["negative_cells"] > 0).sum())
    for name in DIFFERENCES:
        own, random = counted[name], counted[f"{name}_random"]
        row |= _columns(name, estimate_mean(own - random, patients))
        row |= {f"{name}_map": float(own.mean()), f"{name}_random": float(random.mean())}
    fills = [str(name) for name in counted if str(name).startswith("fill_")]
    correlations = ("randomised", "randomised_magnitude", "randomised_control")
    for name in ("negative_rise", *fills, *correlations):
        row |= _columns(name, estimate_mean(counted[name], patients))
    row |= _stability(runs, group)
    row |= _chance(runs)
    row["follows_model"], row["why"] = follows_model(row)
    return row


def estimate_mean(values: npt.ArrayLike, patients: npt.ArrayLike) -> Estimate:
    """Return the mean of what is known, with its BCa interval, patients resampled.

    Parameters
    ----------
    values
        Shape (n,); NaN where unknown.
    patients
        Shape (n,).
    """
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return undefined("not measured")

    def mean(columns: npt.NDArray, _: npt.NDArray, weights: npt.NDArray) -> FloatArray:
        found: FloatArray = (weights @ columns[:, 0]) / weights.sum(axis=1)
        return found

    return bca(mean, numbers[known, None], np.zeros(int(known.sum())), np.asarray(patients)[known])


def _columns(name: str, estimate: Estimate) -> dict[str, Any]:
    return {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_method": estimate.method,
    }


def _stability(runs: Sequence[MapRun], group: str) -> dict[str, Any]:
    """Return how alike the maps are that several runs have of one example."""
    alike = compare_runs([run.maps for run in runs], group=group)
    if alike["drawn"].any():
        alike = alike[alike["drawn"].astype(bool)]
    patients = alike["patient"].to_numpy()
    return {
        **_columns("stability", estimate_mean(alike["stability"], patients)),
        **_columns("stability_control", estimate_mean(alike["stability_control"], patients)),
        "stability_examples": len(alike),
    }


def _chance(runs: Sequence[MapRun]) -> dict[str, Any]:
    judged = [run.chance for run in runs if run.chance]
    areas = [float(one["auc"]) for one in judged if one.get("auc") is not None]
    return {
        "auc": float(np.mean(areas)) if areas else math.nan,
        "judged": len(judged),
        "no_better": sum(bool(one.get("no_better_than_chance")) for one in judged),
    }


def follows_model(row: dict[str, Any]) -> tuple[str, str]:
    """Return whether maps tell what the network goes by, and what speaks against it or is open.

    It takes every one of these by the 95 % interval: deletion below, insertion above and, where
    areas speak against a class, negative deletion above that of orders that say nothing, and the
    score rising in it; and a rank correlation with the maps of randomised networks below `HALF`.

    Parameters
    ----------
    row
        With the columns of `tabulate_explanations`.
    """
    found = {
        name: _sided(sign * row[f"{name}_low"], sign * row[f"{name}_high"])
        for name, sign in DIFFERENCES.items()
        if name != "negative_deletion" or row["negative_maps"]
    }
    if row["negative_maps"]:
        found["negative_rise"] = _sided(row["negative_rise_low"], row["negative_rise_high"])
    found["randomised"] = _sided(HALF - row["randomised_low"], HALF - row["randomised_high"])
    for verdict in (NO, OPEN):
        if names := [name for name, said in found.items() if said == verdict]:
            return verdict, ", ".join(names)
    return YES, ""


def _sided(*ends: float) -> str:
    """Return whether both ends of an interval are above 0, both below, or neither (or unknown)."""
    if all(end > 0 for end in ends):
        return YES
    return NO if all(end < 0 for end in ends) else OPEN


def mean_curves(runs: Sequence[MapRun], group: str) -> pd.DataFrame:
    """Return the curves of some runs as means over their cases: measure, order, share, score."""
    curves = pd.concat([run.curves() for run in runs], ignore_index=True)
    return pd.DataFrame(_merged(curves[curves["group"] == group]))


def _merged(curves: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for (measure, order), part in curves.groupby(["measure", "order"], sort=False):
        # Runs of other numbers of steps have other shares; each share is the mean of those there.
        for share, points in part.groupby("share"):
            score = float(np.average(points["score"], weights=points["cases"]))
            yield {"measure": measure, "order": order, "share": share, "score": score}
