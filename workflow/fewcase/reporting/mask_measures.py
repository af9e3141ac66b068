"""How good masks are, whether classes go with them, and what of the evidence lies inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.image_store import ImageStore
from fewcase.evaluation.masks import relate_masks, true_masks
from fewcase.explain.inside import share_inside
from fewcase.explain.pictures import map_of_class
from fewcase.reporting.explanation_measures import NO, OPEN, YES, estimate_mean
from fewcase.reporting.explanation_runs import MapRun
from fewcase.reporting.mask_runs import SETS, MaskRun, by_arm, lines_of
from fewcase.statistics.accuracy import estimate_accuracy
from fewcase.statistics.intervals import Estimate
from fewcase.study.errors import InputError

MEANS = ("dice", "iou", "boundary_distance", "hausdorff95", "true_area", "predicted_area")
RELATIONS = ("difference", "auc", "spearman")
GUESSING = 0.5


def tabulate_masks(runs: Sequence[MaskRun]) -> pd.DataFrame:
    """Return how good the masks of each arm are, full precision.

    Parameters
    ----------
    runs
        See `fewcase.reporting.mask_runs.read_mask_runs`.

    Returns
    -------
    pandas.DataFrame
        A row for each arm, split and set (``cv`` out of fold, ``test``): arm, split, set, runs,
        images, judgements (several runs may judge an image), patients, size (of the masks, in
        pixels), without_mask (images that have no true mask) and rightly_without (in which share of
        the judgements on these none was predicted). Means of `MEANS` and accuracy, and `difference`
        (of mean Dice, rightly called less wrongly called), `auc` and `spearman` (see
        `fewcase.evaluation.masks.MaskRelation`), each with the ends of its interval for other
        patients (``…_low``, ``…_high``) and how it was found (``…_method``); right, wrong, and
        goes_together: yes where the interval of the AUC lies above 0.5, no where below it, not
        shown otherwise.
    """
    rows = []
    for (arm, split), of_arm in by_arm(runs).items():
        for name in SETS:
            lines = lines_of(of_arm, name)
            if len(lines):
                rows.append({"arm": arm, "split": split, "set": name, **_row(of_arm, lines)})
    if not rows:
        raise InputError("--masks: no run has a held-out example; train runs that validate some.")
    return pd.DataFrame(rows)


def _row(runs: Sequence[MaskRun], lines: pd.DataFrame) -> dict[str, Any]:
    patients = lines["patient"].to_numpy(str)
    without = lines[lines["true_area"] == 0]
    row: dict[str, Any] = {
        "runs": lines["run"].nunique(),
        "images": lines["example"].nunique(),
        "judgements": len(lines),
        "patients": len(np.unique(patients)),
        "size": runs[0].size,
        "without_mask": without["example"].nunique(),
        "rightly_without": float((without["predicted_area"] == 0).mean()),
    }
    for name in MEANS:
        row |= _columns(name, estimate_mean(lines[name], patients))
    row |= _columns("accuracy", estimate_accuracy(lines["right"], patients))
    relation = relate_masks(lines)
    for name in RELATIONS:
        row |= _columns(name, getattr(relation, name))
    together = _side_of_guessing(relation.auc)
    return row | {"right": relation.right, "wrong": relation.wrong, "goes_together": together}


def _columns(name: str, estimate: Estimate) -> dict[str, Any]:
    return {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_method": estimate.method,
    }


def _side_of_guessing(auc: Estimate) -> str:
    if auc.low > GUESSING:
        return YES
    return NO if auc.high < GUESSING else OPEN


# Evidence ----------------------------------------------------------------------------------------


def tabulate_evidence(runs: Sequence[MapRun], masks: ImageStore) -> pd.DataFrame:
    """Return how much of what speaks for the class called lies inside the true masks.

    Cases that chance chose are counted, and others only where there are none of these (``picked``
    is then true); cases without a true mask are not, nor such that a network was trained on.

    Parameters
    ----------
    runs
        See `fewcase.reporting.explanation_runs.read_map_runs`.
    masks
        True masks of all rows of the cohort.

    Returns
    -------
    pandas.DataFrame
        A row for each arm and split that has such cases: arm, split, maps, map_patients, picked;
        `inside` (mean share of the positive evidence, see `fewcase.explain.inside.share_inside`)
        and `excess` (the same less the share that the mask has of the image), with ``…_low``,
        ``…_high`` and ``…_method``; mask_area: the mean of the latter share.
    """
    found = pd.DataFrame(
        [line for run in runs for line in lines_of_evidence(run, masks)],
        columns=["arm", "split", "example", "patient", "drawn", "inside", "area"],
    )
    rows = []
    for (arm, split), lines in found.groupby(["arm", "split"], sort=False):
        picked = not lines["drawn"].any()
        counted = lines if picked else lines[lines["drawn"]]
        patients, excess = counted["patient"].to_numpy(str), counted["inside"] - counted["area"]
        rows.append(
            {
                "arm": arm,
                "split": split,
                "maps": len(counted),
                "map_patients": counted["patient"].nunique(),
                "picked": picked,
                **_columns("inside", estimate_mean(counted["inside"], patients)),
                **_columns("excess", estimate_mean(excess, patients)),
                "mask_area": float(counted["area"].mean()),
            }
        )
    return pd.DataFrame(rows)


def lines_of_evidence(run: MapRun, masks: ImageStore) -> Iterator[Mapping[str, Any]]:
    """Yield the share of the evidence inside the true mask, for each held-out case that has one."""
    cases = run.maps.cases
    if "row" not in cases:
        raise InputError(f"{run.folder}/cases.parquet: no column 'row'. Explain the run again.")
    held_out = cases["role"].isin(tuple(SETS.values())).to_numpy()
    truth = true_masks(masks, cases["row"].to_numpy(), run.maps.pictures.shape[-1])
    called = run.maps.scores.argmax(axis=1)
    for case in np.flatnonzero(held_out & truth.any(axis=(1, 2))):
        line = cases.iloc[case]
        inside = share_inside(map_of_class(run.maps, int(case), int(called[case])), truth[case])
        if math.isfinite(inside):
            yield {
                "arm": run.arm,
                "split": run.split,
                "example": line["example"],
                "patient": line["patient"],
                "drawn": bool(line["drawn"]),
                "inside": inside,
                "area": float(truth[case].mean()),
            }
