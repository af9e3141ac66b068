"""Simulated test sets of known truth, to see how often an interval holds it.

40 positives and 711 negatives unless said otherwise: the size of the paper's own test set.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from fewcase.runtime.ranking import roc_auc
from fewcase.statistics.accuracy import (
    compare_accuracies,
    estimate_accuracy,
    estimate_balanced_accuracy,
)
from fewcase.statistics.bootstrap import Statistic, bca
from fewcase.statistics.calibration import calibration_slope, estimate_brier
from fewcase.statistics.comparisons import compare_aucs
from fewcase.statistics.intervals import (
    Estimate,
    estimate_auc,
    mean_over_folds,
    ratio_to_training,
    wilson,
)
from fewcase.statistics.metrics import (
    weighted_average_precision,
    weighted_sensitivity_at_specificity,
)

POSITIVES, NEGATIVES = 40, 711
LABELS = np.repeat([1, 0], [POSITIVES, NEGATIVES])

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A kind of data set, the truth behind it, and the interval that one such set gives."""

    name: str
    truth: float
    interval: Callable[[np.random.Generator], Interval]

    def coverage(self, sets: int, seed: int = 0) -> float:
        """Return the share of simulated data sets whose interval holds the truth."""
        random = np.random.default_rng(seed)
        found = [self.interval(random) for _ in range(sets)]
        return float(np.mean([low <= self.truth <= high for low, high in found]))


def separation(auc: float) -> float:
    """Return how far the means of two normal classes lie apart that have this AUC."""
    return math.sqrt(2) * float(norm.ppf(auc))


def independent(auc: float) -> Scenario:
    """One recording a patient."""
    distance = separation(auc)

    def interval(random: np.random.Generator) -> Interval:
        found = estimate_auc(random.normal(size=LABELS.size) + distance * LABELS, LABELS)
        return found.low, found.high

    return Scenario(f"AUC {auc}", auc, interval)


def rounded(auc: float) -> Scenario:
    """Scores rounded to halves of a standard deviation, so that most are tied."""
    distance = separation(auc)
    levels = np.arange(-8, 13, 0.5)

    def shares(centre: float) -> np.ndarray:
        return norm.cdf(levels + 0.25 - centre) - norm.cdf(levels - 0.25 - centre)

    above = (levels[:, None] > levels) + 0.5 * (levels[:, None] == levels)
    truth = float(shares(distance) @ above @ shares(0.0))

    def interval(random: np.random.Generator) -> Interval:
        scores = np.round(2 * (random.normal(size=LABELS.size) + distance * LABELS)) / 2
        found = estimate_auc(scores, LABELS)
        return found.low, found.high

    return Scenario(f"AUC {auc}, rounded scores", truth, interval)


def patients_of_recordings() -> np.ndarray:
    """Return patients with 1, 2 or 3 recordings of a class: 20 with positives, 355 with negatives.

    Ten have recordings of both.
    """
    with_positives = np.repeat(np.arange(20), [*[1, 2, 3] * 6, 1, 3])
    with_negatives = np.repeat(np.arange(355), [*[1, 2, 3] * 118, 3])
    return np.concatenate([with_positives, with_negatives + 10])


def draw_clustered(
    random: np.random.Generator, patients: np.ndarray, correlation: float
) -> np.ndarray:
    """Return standard normal values that correlate between recordings of one patient."""
    of_patient = random.normal(size=patients.max() + 1)[patients]
    own = random.normal(size=patients.size)
    return math.sqrt(correlation) * of_patient + math.sqrt(1 - correlation) * own


def clustered(auc: float, correlation: float, known: bool = True) -> Scenario:
    """Patients with one to three recordings; `known` tells the method who they are."""
    distance, patients = separation(auc), patients_of_recordings()

    def interval(random: np.random.Generator) -> Interval:
        scores = draw_clustered(random, patients, correlation) + distance * LABELS
        found = estimate_auc(scores, LABELS, patients if known else None)
        return found.low, found.high

    method = "" if known else ", plain DeLong"
    return Scenario(f"AUC {auc}, repeated patients, r = {correlation}{method}", auc, interval)


def paired(auc: float, other: float, correlation: float, repeated: bool = False) -> Scenario:
    """Two models whose scores of an example correlate."""
    distances = np.array([separation(other), separation(auc)])
    patients = patients_of_recordings() if repeated else np.arange(LABELS.size)

    def interval(random: np.random.Generator) -> Interval:
        shared, one, two = (draw_clustered(random, patients, 0.5) for _ in range(3))
        scores = math.sqrt(correlation) * shared
        scores = scores + math.sqrt(1 - correlation) * np.stack([one, two])
        found = compare_aucs(scores + distances[:, None] * LABELS, LABELS, patients)[1]
        return found.low, found.high

    who = ", repeated patients" if repeated else ""
    name = f"difference of AUCs {auc} and {other}, r = {correlation}{who}"
    return Scenario(name, auc - other, interval)


def proportion(share: float, correlation: float, known: bool = True) -> Scenario:
    """A sensitivity on 40 positives of 20 patients, whose outcomes correlate (beta-binomial)."""
    patients = patients_of_recordings()[:POSITIVES]
    alpha = share * (1 - correlation) / correlation
    beta = (1 - share) * (1 - correlation) / correlation

    def interval(random: np.random.Generator) -> Interval:
        of_patient = random.beta(alpha, beta, patients.max() + 1)
        outcomes = random.random(POSITIVES) < of_patient[patients]
        found = wilson(outcomes, 1, patients if known else None)
        return found.low, found.high

    method = "" if known else ", plain Wilson"
    name = f"sensitivity {share}, repeated patients, r = {correlation}{method}"
    return Scenario(name, share, interval)


def calibrated(scores: np.ndarray, distance: float) -> np.ndarray:
    """Return the probability of a positive, of two normal classes so far apart."""
    return expit(distance * (scores - distance / 2) + math.log(POSITIVES / NEGATIVES))


def bootstrapped(name: str, statistic: Statistic, auc: float, replicates: int) -> Scenario:
    """A statistic of probabilities, with its BCa interval.

    The truth is its value on two million examples with the same share of positives.
    """
    distance = separation(auc)
    random = np.random.default_rng(1)
    many = np.repeat(LABELS, 2600)
    whole = calibrated(random.normal(size=many.size) + distance * many, distance)
    truth = float(statistic(whole, many, np.ones((1, many.size)))[0])

    def interval(random: np.random.Generator) -> Interval:
        scores = calibrated(random.normal(size=LABELS.size) + distance * LABELS, distance)
        found = bca(
            statistic, scores, LABELS, replicates=replicates, seed=int(random.integers(2**32))
        )
        return found.low, found.high

    return Scenario(f"{name}, AUC {auc}, BCa of {replicates}", truth, interval)


def bootstrapped_measures(replicates: int) -> list[Scenario]:
    """Return the scenarios of the bootstrap."""
    return [
        bootstrapped("average precision", weighted_average_precision, 0.65, replicates),
        bootstrapped("average precision", weighted_average_precision, 0.8, replicates),
        bootstrapped(
            "sensitivity at 90 % specificity", weighted_sensitivity_at_specificity, 0.8, replicates
        ),
    ]


def predicted(name: str, truth: float, estimate: Callable[..., Estimate], auc: float) -> Scenario:
    """A measure of calibrated probabilities; sets have 40 positives on the average, by chance."""
    distance = separation(auc)

    def interval(random: np.random.Generator) -> Interval:
        labels = (random.random(LABELS.size) < POSITIVES / LABELS.size).astype(int)
        scores = random.normal(size=labels.size) + distance * labels
        found = estimate(calibrated(scores, distance), labels)
        return found.low, found.high

    return Scenario(f"{name}, AUC {auc}", truth, interval)


def brier(auc: float) -> Scenario:
    """The Brier score as it is reported, with its bootstrap of 2,000."""
    distance, share = separation(auc), POSITIVES / LABELS.size
    grid = np.linspace(-10, 10 + distance, 20_001)
    density = share * norm.pdf(grid - distance) + (1 - share) * norm.pdf(grid)
    chance = calibrated(grid, distance)
    truth = float(np.sum(density * chance * (1 - chance)) * (grid[1] - grid[0]))

    def estimate(probabilities: np.ndarray, labels: np.ndarray) -> Estimate:
        return estimate_brier((probabilities - labels) ** 2)

    return predicted("Brier score", truth, estimate, auc)


def slope(auc: float) -> Scenario:
    """The slope of logistic recalibration."""
    return predicted("calibration slope", 1.0, calibration_slope, auc)


def cross_validated_aucs(
    random: np.random.Generator, repeats: int = 3, folds: int = 5, parts: int = 5
) -> list[float]:
    """Return the AUCs of a linear model over repeats × folds of one set of 200 examples.

    Of the other folds, one of `parts` is left out of the training, as for early stopping.
    """
    labels = np.arange(200) % 4 == 0
    features = random.normal(size=(200, 6))
    features[:, 0] += 0.8 * labels
    found = []
    for _ in range(repeats):
        # Every fold and every inner part has as many positives as the others.
        fold, inner = np.empty((2, 200), int)
        for of_class in (labels, ~labels):
            rows = random.permutation(np.flatnonzero(of_class))
            fold[rows], inner[rows] = np.arange(rows.size) % folds, np.arange(rows.size) // folds
        for left_out in range(folds):
            validated = fold == left_out
            inside = ~validated & (inner % parts > 0)
            design = np.c_[features[inside], np.ones(inside.sum())]
            weights = np.linalg.solve(design.T @ design, design.T @ labels[inside])
            found.append(roc_auc(features[validated] @ weights[:-1], labels[validated]))
    return found


@functools.cache
def expected_auc_over_folds() -> float:
    """Return the mean AUC that such cross-validation has over many data sets."""
    random = np.random.default_rng(2)
    return float(np.mean([cross_validated_aucs(random) for _ in range(500)]))


def resampled(corrected: bool = True) -> Scenario:
    """Mean AUC over 3 × 5 folds of fresh data sets, by the corrected t or the plain t interval."""
    runs = [(seed, fold) for seed in range(3) for fold in range(5)]
    ratio = ratio_to_training(dict.fromkeys(runs, 40), dict.fromkeys(runs, 32)) if corrected else 0

    def interval(random: np.random.Generator) -> Interval:
        found = mean_over_folds(cross_validated_aucs(random), ratio)
        return found.low, found.high

    method = "corrected resampled t" if corrected else "plain t"
    return Scenario(f"mean AUC over 3 × 5 folds, {method}", expected_auc_over_folds(), interval)


SHARES = np.array([0.6, 0.25, 0.15])
SKILL = np.array([0.9, 0.75, 0.6])
"""How common three classes are, and how often an example of each is given its own."""


def judged(
    random: np.random.Generator,
    patients: int,
    examples: tuple[int, int],
    gains: tuple[float, ...] = (0.0,),
    correlation: float = 0.3,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which arms are right, (arms, n), the labels and the patients, or slides.

    Examples of a patient share how hard they are, and arms how hard an example is.
    """
    counts = random.integers(examples[0], examples[1] + 1, patients)
    who = np.repeat(np.arange(patients), counts)
    labels = random.choice(len(SHARES), who.size, p=SHARES)
    hard = np.sqrt(correlation) * random.normal(size=patients)[who]
    shared = random.normal(size=who.size)
    arms = []
    for gain in gains:
        own = np.sqrt((1 - correlation) / 2) * (shared + random.normal(size=who.size))
        arms.append(hard + own < norm.ppf(np.minimum(SKILL[labels] + gain, 0.99)))
    return np.array(arms), labels, who


TILES = (20, 40)


def slides(patients: int, balanced: bool, known: bool = True) -> Scenario:
    """Accuracy on 20 to 40 tiles of each slide; `known` tells the method whose they are."""
    truth = float(SKILL.mean() if balanced else SHARES @ SKILL)

    def interval(random: np.random.Generator) -> Interval:
        (right,), labels, who = judged(random, patients, TILES, correlation=0.2)
        groups = who if known else None
        found = estimate_accuracy(right, groups)
        if balanced:
            found = estimate_balanced_accuracy(right, labels, groups, len(SHARES))
        return found.low, found.high

    name = "balanced accuracy" if balanced else "accuracy"
    method = "" if known else ", slides unknown"
    return Scenario(f"{name}, {patients} slides{method}", truth, interval)


def slides_apart(patients: int, balanced: bool) -> Scenario:
    """The paired difference of two arms on the same tiles, one of which is better by 5 %."""
    gained = np.minimum(SKILL + 0.05, 0.99) - SKILL
    truth = float(gained.mean() if balanced else SHARES @ gained)

    def interval(random: np.random.Generator) -> Interval:
        right, labels, who = judged(random, patients, TILES, (0.0, 0.05))
        classes = len(SHARES) if balanced else None
        found = compare_accuracies(right, labels, who, classes=classes)[1]
        return found.low, found.high

    name = "balanced accuracies" if balanced else "accuracies"
    return Scenario(f"difference of {name}, {patients} slides", truth, interval)
