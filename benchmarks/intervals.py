"""Time a table of 40 arms, with intervals and comparisons, against what one would write by hand.

The table has, for every arm, the AUC with its interval, the difference from a reference arm with
interval and p-value, and Holm's correction; several recordings of a patient are taken into
account. The other sides are scikit-learn's AUC with a percentile bootstrap, of the patients and
with the comparison on the same resamples, and DeLong's covariance in numpy, all pairs of arms at
once, without patients. The bootstrap is timed on some resamples of some arms and multiplied; the
table says so. That all sides give the same AUCs, and numpy the same errors, is checked first. Run
as ``python benchmarks/intervals.py``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from signals import seconds

from fewcase.statistics.bootstrap import bca
from fewcase.statistics.comparisons import Difference, compare_aucs, holm
from fewcase.statistics.intervals import Estimate, estimate_auc
from fewcase.statistics.metrics import weighted_average_precision


def made_up(rows: int, arms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (arms, rows), labels and patients in the paper's proportions."""
    random = np.random.default_rng(0)
    labels = (random.random(rows) < 0.083).astype(int)
    patients = random.integers(0, int(rows * 0.8), rows)
    shared = random.normal(size=rows) + labels
    return shared + 0.5 * random.normal(size=(arms, rows)), labels, patients


def whole_table(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray | None
) -> tuple[list[Estimate], list[Difference], np.ndarray]:
    """Return estimates, differences from the first arm, and Holm's p-values, by fewcase."""
    estimates = [estimate_auc(row, labels, patients) for row in scores]
    differences = compare_aucs(scores, labels, patients)
    return estimates, differences, holm([found.p for found in differences])


def resampled(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, replicates: int
) -> np.ndarray:
    """Return AUCs (replicates, arms) of resampled patients by scikit-learn."""
    random = np.random.default_rng(1)
    order = np.argsort(patients, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(patients[order])) + 1)
    found = np.empty((replicates, len(scores)))
    for replicate in range(replicates):
        drawn = random.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rows_of[patient] for patient in drawn])
        found[replicate] = [roc_auc_score(labels[rows], row[rows]) for row in scores]
    return found


def delong_by_hand(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return AUCs (k,) and their covariance (k, k), with scipy's ranks."""
    positive = labels == 1
    m, n = positive.sum(), (~positive).sum()
    ranks = rankdata(scores, axis=1)
    v10 = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n
    v01 = 1 - (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / m
    return v10.mean(axis=1), np.cov(v10) / m + np.cov(v01) / n


def table_by_hand(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return p-values of the differences from the first arm."""
    auc, covariance = delong_by_hand(scores, labels)
    variance = np.diag(covariance) + covariance[0, 0] - 2 * covariance[0]
    return 2 * norm.sf(np.abs(auc - auc[0])[1:] / np.sqrt(variance[1:]))


def check_agreement(scores: np.ndarray, labels: np.ndarray) -> None:
    """Stop unless AUCs and, without repeated patients, standard errors are the same."""
    auc, covariance = delong_by_hand(scores, labels)
    estimates, differences, _ = whole_table(scores, labels, None)
    by_sklearn = [roc_auc_score(labels, row) for row in scores[:3]]
    worst = max(
        *np.abs(auc - [found.value for found in estimates]),
        *np.abs(auc[:3] - by_sklearn),
        *(
            abs(
                found.standard_error**2
                - (covariance[k, k] + covariance[0, 0] - 2 * covariance[k, 0])
            )
            for k, found in enumerate(differences)
            if k
        ),
    )
    if worst > 1e-9:
        raise SystemExit(f"the sides differ by {worst}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=34266)
    parser.add_argument("--arms", type=int, default=40)
    parser.add_argument("--resamples", type=int, default=1000, help="that one would draw by hand")
    parser.add_argument("--timed", type=int, default=5, help="resamples that are timed")
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()

    scores, labels, patients = made_up(chosen.rows, chosen.arms)
    check_agreement(scores, labels)
    some = slice(0, 4)
    sides = {
        "scikit-learn, percentile bootstrap of patients": (
            lambda: resampled(scores[some], labels, patients, chosen.timed),
            chosen.resamples / chosen.timed * chosen.arms / len(scores[some]),
        ),
        "numpy and scipy, DeLong for all pairs, no patients": (
            lambda: table_by_hand(scores, labels),
            1.0,
        ),
        "fewcase, DeLong, no patients": (lambda: whole_table(scores, labels, None), 1.0),
        "fewcase, Obuchowski, repeated patients": (
            lambda: whole_table(scores, labels, patients),
            1.0,
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(chosen.repeats + 1):
        for name, (function, factor) in sides.items():
            spent = factor * seconds(function)
            # The first round warms up caches and imports.
            if repeat:
                times[name].append(spent)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"{chosen.arms} arms, {chosen.rows:,} rows, {len(np.unique(patients)):,} patients; "
        f"median of {chosen.repeats}; the bootstrap of {chosen.resamples:,} resamples is "
        f"{chosen.timed} of them on {len(scores[some])} arms, multiplied\n"
    )
    print("| | seconds | ratio |")
    print("| --- | ---: | ---: |")
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"| {name} | {median:,.2f} | {first / median:,.1f} |")

    probabilities = 1 / (1 + np.exp(3 - scores[0]))
    spent = statistics.median(
        seconds(lambda: bca(weighted_average_precision, probabilities, labels, patients))
        for _ in range(3)
    )
    print(f"\nBCa of average precision, 2,000 resamples of the patients: {spent:.2f} s an arm")


if __name__ == "__main__":
    main()
