"""How well predicted masks cover the true ones, and whether a good mask goes with a right class."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.ndimage

from fewcase.data.image_store import ImageStore
from fewcase.images.resize import shares_covered
from fewcase.statistics.accuracy import called_classes
from fewcase.statistics.bootstrap import bca
from fewcase.statistics.intervals import Estimate, estimate_auc, undefined
from fewcase.statistics.metrics import FloatArray

MASK_MEASURES = (
    *("dice", "iou", "boundary_distance", "hausdorff95", "true_area", "predicted_area"),
)

HALF = 0.5
"""Probability from which a pixel belongs to a predicted mask."""

Mask = npt.NDArray[np.bool_]


def as_masks(values: npt.NDArray) -> Mask:
    """Return masks as booleans: probabilities (floats) or 255 times these (uint8) of a half on."""
    if values.dtype == np.bool_:
        return values
    # 255 times a half, rounded to even, is 128: no pixel changes sides in a file of bytes.
    return values >= (128 if values.dtype == np.uint8 else HALF)


def true_masks(store: ImageStore, rows: npt.ArrayLike, size: int) -> Mask:
    """Return true masks at the size that a network sees, bool (n, size, size).

    A pixel is inside where at least half of its area is, as where masks are prepared.

    Parameters
    ----------
    store
        Masks, 0 outside and 255 inside, one channel.
    rows
        Which of them.
    size
        Height and width.
    """
    inside = store.read(rows)[:, 0] >= 128
    if inside.shape[1:] == (size, size):
        return inside
    down, across = (shares_covered(length, size) for length in inside.shape[1:])
    # Sums of shares miss a half by round-off alone.
    covered: Mask = down @ inside.astype(np.float32) @ across.T >= HALF - 1e-5
    return covered


def measure_masks(predicted: npt.NDArray, truth: npt.NDArray) -> pd.DataFrame:
    """Compare predicted masks with the true ones, image by image.

    The boundary of a mask are those of its pixels of whose four neighbours one is outside of it;
    what lies beyond the image is outside. Distances are between centres of pixels, from each
    boundary pixel of one mask to the nearest of the other.

    Parameters
    ----------
    predicted
        Shape (n, H, W): bool, or probabilities, which belong to the mask from `HALF` on, as floats
        or as uint8 from 0 to 255.
    truth
        Shape (n, H, W), of the same kinds.

    Returns
    -------
    pandas.DataFrame
        One line per image, columns `MASK_MEASURES`. dice and iou: of two empty masks 1, of an empty
        one and another 0. boundary_distance: mean symmetric surface distance in pixels, over the
        boundary pixels of both masks together; hausdorff95: the larger of the 95 % quantiles of
        either side's distances, in pixels; both are NaN where a mask is empty. Areas are shares of
        the image.

    Raises
    ------
    ValueError
        Where the two have other shapes.

    References
    ----------
    Dice, Ecology 26, 297-302, 1945; Taha and Hanbury, BMC Medical Imaging 15:29, 2015.
    """
    if predicted.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"measure_masks: shapes {predicted.shape} and {truth.shape}.")
    found = [_measure(*pair) for pair in zip(as_masks(predicted), as_masks(truth), strict=True)]
    return pd.DataFrame(found, columns=list(MASK_MEASURES), dtype=np.float64)


def _measure(predicted: Mask, truth: Mask) -> tuple[float, ...]:
    of_truth, of_predicted = int(truth.sum()), int(predicted.sum())
    areas = of_truth / truth.size, of_predicted / truth.size
    if not (of_truth and of_predicted):
        same = float(of_truth == of_predicted)
        return same, same, np.nan, np.nan, *areas
    shared, total = int((predicted & truth).sum()), of_truth + of_predicted
    return 2 * shared / total, shared / (total - shared), *_distances(predicted, truth), *areas


def _distances(predicted: Mask, truth: Mask) -> tuple[float, float]:
    """Return mean and 95 % distance between the boundaries of two masks, neither of them empty."""
    # Every boundary pixel lies in the box around both masks: nothing else needs to be looked at.
    either = predicted | truth
    ends = [np.flatnonzero(either.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    box = tuple(slice(first, last + 1) for first, last in ends)
    edges = [_boundary(mask[box]) for mask in (predicted, truth)]
    to_other = [
        scipy.ndimage.distance_transform_edt(~other)[edge] for edge, other in (edges, edges[::-1])
    ]
    mean = float(np.concatenate(to_other).mean())
    return mean, max(float(np.quantile(distances, 0.95)) for distances in to_other)


def _boundary(mask: Mask) -> Mask:
    boundary: Mask = mask & ~scipy.ndimage.binary_erosion(mask)
    return boundary


# Masks and classes -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MaskRelation:
    """Whether a good mask goes with a right class, over images that have a true mask.

    Attributes
    ----------
    difference
        Mean Dice of the images that were given their own class, less that of the others.
    auc
        Probability that of an image called rightly and one called wrongly the former has the higher
        Dice: 0.5 where masks say nothing of calls.
    spearman
        Rank correlation of Dice with the probability of the true class.
    right, wrong
        How many calls were right and wrong.
    """

    difference: Estimate
    auc: Estimate
    spearman: Estimate
    right: int
    wrong: int


def judge_calls(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each line was called: called, right (bool) and true_score.

    Parameters
    ----------
    table
        With label and score_0, score_1 …; the class with the highest score is called, of two the
        second at a score of 0.5 or more.
    """
    names = [name for name in table.columns if re.fullmatch(r"score_\d+", str(name))]
    scores = table[names].to_numpy(np.float64)
    called = called_classes(scores if len(names) > 2 else scores[:, 1:])
    label = table["label"].to_numpy(np.int64)
    true_score = scores[np.arange(len(label)), label]
    found = {"called": called, "right": called == label, "true_score": true_score}
    return pd.DataFrame(found, index=table.index)


def relate_masks(table: pd.DataFrame) -> MaskRelation:
    """Measure whether a good mask goes with a right class, with 95 % intervals for other patients.

    Images without a true mask are left out: their Dice is 0 or 1, and where only one class lacks
    a mask, to find none is to find the class. Lines of several runs on one image count as several
    judgements of one patient.

    Parameters
    ----------
    table
        One line per run and image: patient, label, score_0, score_1 …, dice and true_area.

    Returns
    -------
    MaskRelation
        Intervals of the difference and of the correlation are from the BCa bootstrap over patients,
        that of the AUC from the variance over patients (Obuchowski). Undefined where all calls are
        right, or all wrong, and the correlation where all values are the same.
    """
    shown = table[table["true_area"].to_numpy() > 0]
    calls = judge_calls(shown)
    dice, right = shown["dice"].to_numpy(np.float64), calls["right"].to_numpy(bool)
    # By name: the same lines in another order have the same intervals.
    patients = shown["patient"].to_numpy(str)
    counts = int(right.sum()), int((~right).sum())
    if not len(shown):
        none = undefined("no image has a true mask")
        return MaskRelation(none, none, none, *counts)
    reason = "every call is right" if right.all() else "every call is wrong"
    one_sided = right.all() or not right.any()
    difference = undefined(reason) if one_sided else _difference(dice, right, patients)
    auc = undefined(reason) if one_sided else estimate_auc(dice, right.astype(np.int64), patients)
    pairs = np.stack([dice, calls["true_score"].to_numpy()], axis=1)
    alone = np.zeros(len(shown), np.int64)
    return MaskRelation(difference, auc, bca(_rank_correlation, pairs, alone, patients), *counts)


def _difference(dice: FloatArray, right: Mask, patients: npt.NDArray[np.str_]) -> Estimate:
    pairs = np.stack([dice, right], axis=1)
    # In one stratum: a patient may have calls of both kinds, and hardly any have wrong ones alone.
    found = bca(_mean_difference, pairs, np.zeros(len(dice), np.int64), patients)
    for side, word in ((right, "rightly"), (~right, "wrongly")):
        if len(np.unique(patients[side])) == 1:
            nan = float("nan")
            return Estimate(
                found.value, nan, nan, nan, f"one patient is called {word}, no interval"
            )
    return found


def _mean_difference(pairs: npt.NDArray, _: npt.NDArray, weights: npt.NDArray) -> FloatArray:
    dice, right = pairs.T
    sides = (weights * right, weights * (1 - right))
    with np.errstate(invalid="ignore", divide="ignore"):
        of_right, of_wrong = ((side @ dice) / side.sum(axis=1) for side in sides)
    difference: FloatArray = of_right - of_wrong
    return difference


def _rank_correlation(pairs: npt.NDArray, _: npt.NDArray, weights: npt.NDArray) -> FloatArray:
    return weighted_spearman(pairs[:, 0], pairs[:, 1], weights)


def weighted_spearman(x: npt.ArrayLike, y: npt.ArrayLike, weights: npt.ArrayLike) -> FloatArray:
    """Return Spearman's rank correlation under each row of weights; equal values share a rank.

    Parameters
    ----------
    x, y
        Shape (n,), finite.
    weights
        Shape (R, n), at least 0: how often each replicate has each example.

    Returns
    -------
    numpy.ndarray
        Shape (R,); NaN where a replicate has one value of x or of y only.
    """
    often = np.asarray(weights, np.float64)
    total = often.sum(axis=1, keepdims=True)
    # Less the mean rank, which is the same under any weights.
    a, b = (_ranks(np.asarray(values), often) - (total + 1) / 2 for values in (x, y))
    products = ((often * one * other).sum(axis=1) for one, other in ((a, b), (a, a), (b, b)))
    shared, of_a, of_b = products
    # Of one value all ranks are the mean exactly.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((of_a > 0) & (of_b > 0), shared / np.sqrt(of_a * of_b), np.nan)


def _ranks(values: npt.NDArray, weights: FloatArray) -> FloatArray:
    """Return the mean rank of each value in each replicate, (R, n)."""
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    of_value = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: FloatArray = (np.cumsum(of_value, axis=1) - (of_value - 1) / 2)[:, place]
    return ranks
