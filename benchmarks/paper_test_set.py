"""Work out what the test set of the CTG paper can show: 40 positives, 711 negatives, 40 arms.

Its test AUCs (Table 6) are known to four digits, its scores are not: errors follow from the counts
alone, and how alike the arms rank is taken to be one of three correlations. Prints the tables of
``docs/evidence.md``. Run as ``python benchmarks/paper_test_set.py``.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.statistics.comparisons import holm
from fewcase.statistics.intervals import logit_interval
from fewcase.statistics.power import (
    auc_variance,
    difference_variance,
    expected_best,
    half_width,
    smallest_auc,
    smallest_difference,
)

POSITIVES, NEGATIVES = 40, 711
CORRELATIONS = (0.0, 0.5, 0.8)
# Models by augmentation: none, CutOut, slit CutOut, CutMix, slit CutMix.
TEST_AUCS = {
    "ViT-S/16": (0.6532, 0.6532, 0.6499, 0.6544, 0.6646),
    "ViT-B/16": (0.6210, 0.6274, 0.6509, 0.6434, 0.6848),
    "PoolFormerV2-S24": (0.6701, 0.6635, 0.6605, 0.6496, 0.6760),
    "PoolFormerV2-M48": (0.6039, 0.6056, 0.6346, 0.5776, 0.6423),
    "Swin-T": (0.6583, 0.6469, 0.6601, 0.6616, 0.6548),
    "Swin-B": (0.6147, 0.6487, 0.6466, 0.6576, 0.6305),
    "ResNet50": (0.6368, 0.6147, 0.6722, 0.6708, 0.6758),
    "ResNet152": (0.6116, 0.6361, 0.6068, 0.6518, 0.6562),
}
DEFAULT = TEST_AUCS["ViT-S/16"][-1]


def print_intervals(aucs: np.ndarray) -> None:
    """Print how well the least, the median, the default and the best arm are known."""
    print("| arm | AUC | 95 % interval | half-width |\n| --- | ---: | ---: | ---: |")
    rows = {
        "lowest": aucs.min(),
        "median": float(np.median(aucs)),
        "ViT-S/16, slit CutMix": DEFAULT,
        "highest": aucs.max(),
    }
    for name, auc in rows.items():
        low, high = logit_interval(auc, auc_variance(POSITIVES, NEGATIVES, auc))
        half = half_width(POSITIVES, NEGATIVES, auc)
        print(f"| {name} | {auc:.3f} | {low:.3f} to {high:.3f} | {half:.3f} |")
    all_halves = [half_width(POSITIVES, NEGATIVES, auc) for auc in aucs]
    chance = smallest_auc(POSITIVES, NEGATIVES)
    among = smallest_auc(POSITIVES, NEGATIVES, comparisons=len(aucs))
    print(f"\nhalf-widths of all arms: {min(all_halves):.3f} to {max(all_halves):.3f}")
    print(f"smallest AUC told from .5: {chance:.3f}; each of {len(aucs)} after Holm: {among:.3f}")


def print_differences(aucs: np.ndarray) -> None:
    """Print the smallest gain over the default arm that a test would show, and what there is.

    The default arm is compared with the 39 others.
    """
    print(
        "\n| correlation | one comparison | 39, Holm | highest less default | p | p, Holm |", end=""
    )
    print(" arms that differ, before and after Holm |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    others = np.delete(aucs, np.flatnonzero(aucs == DEFAULT)[0])
    best = int(others.argmax())
    for correlation in CORRELATIONS:
        one, among = (
            smallest_difference(POSITIVES, NEGATIVES, DEFAULT, correlation, comparisons=count)
            for count in (1, len(others))
        )
        errors = [
            math.sqrt(difference_variance(POSITIVES, NEGATIVES, DEFAULT, other, correlation))
            for other in others
        ]
        p = 2 * norm.sf(np.abs(others - DEFAULT) / errors)
        adjusted = holm(p)
        print(
            f"| {correlation} | {one:.3f} | {among:.3f} | "
            f"{others[best] - DEFAULT:.3f} ± {1.96 * errors[best]:.3f} | {p[best]:.2f} | "
            f"{adjusted[best]:.2f} | {(p < 0.05).sum()}, {(adjusted < 0.05).sum()} |"
        )


def print_selection(aucs: np.ndarray) -> None:
    """Print how much of the best arm's lead, and of the spread, chance alone would give."""
    error = math.sqrt(auc_variance(POSITIVES, NEGATIVES, float(np.median(aucs))))
    print(f"\nstandard error of one arm: {error:.4f}")
    print(f"spread of the {len(aucs)} AUCs: standard deviation {aucs.std(ddof=1):.4f}")
    print(f"highest above their mean: {aucs.max() - aucs.mean():.4f}\n")
    print("| correlation | standard deviation of equal arms | highest above their mean |")
    print("| ---: | ---: | ---: |")
    for correlation in CORRELATIONS:
        spread = error * math.sqrt(1 - correlation)
        best = expected_best(len(aucs), error, correlation)
        print(f"| {correlation} | {spread:.4f} | {best:.4f} |")


def main() -> None:
    aucs = np.array([auc for row in TEST_AUCS.values() for auc in row])
    print_intervals(aucs)
    print_differences(aucs)
    print_selection(aucs)


if __name__ == "__main__":
    main()
