"""Whether a generator returns its training images: how close to them its own are, and a verdict."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from fewcase.quality.closeness import (
    ImageSet,
    approach,
    approach_each_other,
    familiar,
    feature_space,
    pixel_space,
)
from fewcase.runtime.determinism import seed_of
from fewcase.statistics.intervals import wilson_interval

SPACES = {"feature": feature_space, "pixel": pixel_space}

LEVEL = 0.01
"""Probability, at most, that a generator that copies nothing is said to copy."""

LEAST_AUC = 0.6
"""Images that come closer to training than to validation images, but less often, are no copies."""

COPY_QUANTILE = 0.01
COPY_SHARE = 0.5
"""A copy comes twice as close, by its ratio, as the closest hundredth of real images do."""

ODD_QUANTILE = 0.99
"""An odd image is farther from all training images than so many of them are from the others."""

RULE = (
    f"copies: in feature or pixel space, (a) more images than chance allows, and than among "
    f"validation images, have a ratio below {COPY_SHARE} of the {COPY_QUANTILE} quantile of "
    f"training images left out patient by patient, or (b) they are nearer to training than to "
    f"validation images with an AUC of at least {LEAST_AUC} that chance does not explain; {LEVEL} "
    "for all four tests together"
)

_TESTS = 2 * len(SPACES)
_PERMUTATIONS = 1999
_STEPS = 2000
_PERMUTED_AT_ONCE = 1 << 22

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """What is known of the closeness of synthetic images to training images.

    Attributes
    ----------
    images
        A row per synthetic image: ``synthetic`` (its name) and, for each space, ``…_train_row``,
        ``…_train_distance``, ``…_ratio``, the same of validation images, and ``…_copy``; ``copy``
        in either space; ``odd``, see `ODD_QUANTILE`.
    summary
        One row. ``copies`` is the verdict by `RULE`, ``why`` what led to it. For each space
        ``…_auc`` with its interval and p-value, the shares of synthetic and of validation images
        that would count as copies (``…_copy_share``, ``…_validation_copy_share``), the p-value of
        the former (``…_copy_p``), and the median ratio.
    """

    images: pd.DataFrame
    summary: pd.DataFrame

    def closest_pairs(self, count: int) -> pd.DataFrame:
        """Return the synthetic images that come closest to a training image, in each space.

        Returns
        -------
        pandas.DataFrame
            space, synthetic, train_row, distance and ratio; `count` rows at most per space, by
            ascending ratio.
        """
        parts = []
        for name in SPACES:
            columns = {
                "synthetic": "synthetic",
                f"{name}_train_row": "train_row",
                f"{name}_train_distance": "distance",
                f"{name}_ratio": "ratio",
            }
            part = self.images[list(columns)].rename(columns=columns)
            part = part.sort_values(["ratio", "distance", "synthetic"]).head(count)
            part.insert(0, "space", name)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)


def measure_memorisation(
    train: ImageSet,
    synthetic: ImageSet,
    validation: ImageSet | None,
    seed: int,
    device: str = "cpu",
) -> Memorisation:
    """Compare synthetic images with those that their generator learned from.

    The distance ratio of an image is its distance to the nearest training image over that
    image's distance to its own nearest other training image. What ratios images of the same
    distribution have is known from the training images themselves, left out patient by patient.

    Nearest training or validation image: were the generator no closer to the one set than to the
    other, it would not matter which real patients were in which, so the share of synthetic images
    whose nearest real image is a training image is compared with its shares under random exchanges
    of patients. This is exact for any distribution and any number of synthetic images, and takes
    into account that a few real images may be near to most. Both sets count whole, by rates: if
    the larger were cut to the size of the smaller, copies of what is cut away would look like
    anything else. The test supposes that patients were dealt to training and validation at random,
    and features that were learned from neither: a classifier trained on the training images draws
    these away from others by itself, which hides copies in feature space.

    Parameters
    ----------
    train
        What the generator learned from; at least three images.
    synthetic
        What it made.
    validation
        Real images that it never saw; None if there are none, and (b) of `RULE` is left out.
    seed
        Of the exchanges.
    device
        As torch names it.

    Raises
    ------
    ValueError
        For fewer than three training images, or no synthetic ones.

    References
    ----------
    The test is akin to that of Meehan, Chaudhuri and Dasgupta, A non-parametric test to detect
    data-copying in generative models, AISTATS 2020.
    """
    if len(train) < 3 or not len(synthetic):
        raise ValueError(f"{len(train)} training and {len(synthetic)} synthetic images")
    if validation is not None and not len(validation):
        validation = None
    counts = {"synthetic": synthetic, "train": train, "validation": validation}
    summary: dict[str, Any] = {
        f"n_{name}": 0 if images is None else len(images) for name, images in counts.items()
    }
    places = np.arange(len(synthetic))
    table: dict[str, Any] = {"synthetic": synthetic.names(places)}
    why: list[str] = []
    for number, (name, points_of) in enumerate(SPACES.items()):
        fakes = points_of(synthetic)
        known = familiar(points_of(train), train.patient_codes(), device)
        distances, rows, ratios = approach(fakes, known, device)
        left_out = approach_each_other(known, device)
        # Copies among the training images themselves are not what their distribution is like.
        usual = left_out[1][left_out[1] > 0]
        copy = _is_copy(ratios, usual)
        table[f"{name}_train_row"] = train.names(rows)
        table[f"{name}_train_distance"] = distances
        table[f"{name}_ratio"] = ratios
        table[f"{name}_copy"] = copy
        if name == "feature":
            table["odd"] = distances > _quantile(left_out[0], ODD_QUANTILE)
        p = _copies_by_chance(int(copy.sum()), len(copy), len(usual)) if len(usual) else 1.0
        others = None
        if validation is not None:
            others = familiar(points_of(validation), validation.patient_codes(), device)
            real_copy = _is_copy(approach(others.space, known, device)[2], usual)
            summary[f"{name}_validation_copy_share"] = float(real_copy.mean())
            p = max(p, _no_more_than(copy, real_copy))
        summary |= {
            f"{name}_median_ratio": float(np.median(ratios)),
            f"{name}_copy_share": float(copy.mean()),
            f"{name}_copy_p": p,
        }
        if p <= LEVEL / _TESTS:
            why.append(f"{int(copy.sum())} of {len(copy)} images are copies in {name} space")
        if validation is None or others is None:
            continue
        held_out, held_out_rows, held_out_ratios = approach(fakes, others, device)
        table[f"{name}_validation_row"] = validation.names(held_out_rows)
        table[f"{name}_validation_distance"] = held_out
        table[f"{name}_validation_ratio"] = held_out_ratios
        nearer = _compare_distances(
            (distances, rows), (held_out, held_out_rows), train, validation, seed_of(seed, number)
        )
        summary |= {f"{name}_{key}": value for key, value in nearer.items()}
        if nearer["auc_p"] <= LEVEL / _TESTS and nearer["auc"] >= LEAST_AUC:
            why.append(f"nearer to training images in {name} space, AUC {nearer['auc']:.2f}")
    table["copy"] = table["feature_copy"] | table["pixel_copy"]
    summary |= {"copies": bool(why), "why": "; ".join(why), "rule": RULE}
    return Memorisation(pd.DataFrame(table), pd.DataFrame([summary]))


def _is_copy(ratios: Float64, left_out: Float64) -> npt.NDArray[np.bool_]:
    return ratios < COPY_SHARE * _quantile(left_out, COPY_QUANTILE)


def _quantile(values: Float64, share: float) -> float:
    """Return an order statistic, the outer one of two; NaN where there are none."""
    if not len(values):
        return float("nan")
    place = share * (len(values) - 1)
    rank = math.floor(place) if share < 0.5 else math.ceil(place)
    return float(np.partition(values, rank)[rank])


def _copies_by_chance(copies: int, images: int, left_out: int) -> float:
    """Return how likely so many copies are among images of the same distribution.

    A share of them is as close as the closest hundredth of real images, a share that is known as
    well as there are real images (that below an order statistic has a beta distribution). Of
    these a quarter at most comes twice as close, in two dimensions or more.
    """
    rank = int(COPY_QUANTILE * (left_out - 1)) + 1
    middles = (np.arange(_STEPS) + 0.5) / _STEPS
    shares = scipy.stats.beta.ppf(middles, rank, left_out + 1 - rank) * COPY_SHARE**2
    return float(scipy.stats.binom.sf(copies - 1, images, shares).mean())


def _no_more_than(copy: npt.NDArray[np.bool_], real_copy: npt.NDArray[np.bool_]) -> float:
    """Return how likely it is that copies are no more frequent than among held-out real images.

    Where these have none, nothing speaks against chance as reckoned without them: 0. They have
    some where a split leaks, or a cohort repeats itself under several patients.
    """
    if not real_copy.any():
        return 0.0
    counts = [[int(some.sum()), int((~some).sum())] for some in (copy, real_copy)]
    return float(scipy.stats.fisher_exact(counts, alternative="greater").pvalue)


Nearest = tuple[Float64, Integers]


def _compare_distances(
    to_train: Nearest, to_validation: Nearest, train: ImageSet, validation: ImageSet, seed: int
) -> dict[str, float]:
    """Return how often synthetic images are nearer to training than to validation images.

    Returns
    -------
    dict
        ``auc``: the rate at which a training image is the nearest real one, over the sum of that
        and the rate of a validation image; 0.5 where both are alike, whatever the sizes of the
        sets. ``auc_low`` and ``auc_high``: 95 % interval, each patient being a trial that weighs
        as much as it has synthetic images near it. ``auc_p``: one-sided, by random exchanges.
    """
    nearer = np.where(to_train[0] < to_validation[0], 1.0, 0.0)
    nearer[to_train[0] == to_validation[0]] = 0.5
    sides = []
    for images, (_, rows), won in (
        (train, to_train, nearer),
        (validation, to_validation, 1 - nearer),
    ):
        codes = images.patient_codes()
        weights = np.bincount(codes[rows], won, codes.max() + 1) / len(won)
        sides.append((weights, np.bincount(codes)))
    counts = np.array([len(train), len(validation)])
    share = float(sides[0][0].sum())
    weights = np.concatenate([side[0] for side in sides])
    trials = 1 / float(np.square(weights).sum())
    low, high = wilson_interval(share * trials, trials)
    surplus = weights - np.concatenate([side[1] for side in sides]) / counts.sum()
    return {
        "auc": _for_equal_sizes(share, counts),
        "auc_low": _for_equal_sizes(low, counts),
        "auc_high": _for_equal_sizes(high, counts),
        "auc_p": _exchange(surplus, len(sides[0][0]), seed),
    }


def _for_equal_sizes(share: float, counts: Integers) -> float:
    rates = share / counts[0], (1 - share) / counts[1]
    return float(rates[0] / (rates[0] + rates[1]))


def _exchange(surplus: Float64, train: int, seed: int) -> float:
    """Return how often as much surplus falls to training if patients are exchanged at random."""
    random = np.random.default_rng(seed)
    observed = float(surplus[:train].sum())
    at_once = max(1, _PERMUTED_AT_ONCE // len(surplus))
    as_much, done = 1, 0
    while done < _PERMUTATIONS:
        rounds = min(at_once, _PERMUTATIONS - done)
        drawn = random.permuted(np.broadcast_to(surplus, (rounds, len(surplus))), axis=1)
        as_much += int((drawn[:, :train].sum(axis=1) >= observed - 1e-12).sum())
        done += rounds
    return as_much / (_PERMUTATIONS + 1)
