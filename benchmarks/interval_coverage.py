"""Count how often each interval holds the truth, over simulated test sets of the paper's size.

The tests of the repository do the same with fewer resamples. ``python
benchmarks/interval_coverage.py`` takes a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import simulated_sets as simulated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=2000, help="of the bootstrap")
    chosen = parser.parse_args()

    aucs, correlations = (0.65, 0.75, 0.85, 0.95), (0.5, 0.8)
    scenarios = [
        *(simulated.independent(auc) for auc in aucs),
        *(simulated.rounded(auc) for auc in aucs[:3]),
        *(
            simulated.clustered(auc, correlation, known)
            for auc in (0.65, 0.85)
            for correlation in correlations
            for known in (True, False)
        ),
        *(
            simulated.paired(*pair, correlation, repeated)
            for pair in ((0.65, 0.65), (0.7, 0.65), (0.9, 0.85))
            for correlation in correlations
            for repeated in (False, True)
        ),
        *(
            simulated.proportion(share, 0.4, known)
            for share in (0.6, 0.7, 0.8, 0.9)
            for known in (True, False)
        ),
        *simulated.bootstrapped_measures(chosen.replicates),
        simulated.brier(0.8),
        simulated.slope(0.8),
        simulated.resampled(),
        simulated.resampled(corrected=False),
        *(
            of_slides
            for slides in (5, 12, 60)
            for balanced in (False, True)
            for of_slides in (
                simulated.slides(slides, balanced),
                simulated.slides(slides, balanced, known=False),
                simulated.slides_apart(slides, balanced),
            )
        ),
    ]
    print(f"{chosen.sets} data sets each; the intervals promise 95 %\n")
    print("| | truth held |")
    print("| --- | ---: |")
    for scenario in scenarios:
        print(f"| {scenario.name} | {scenario.coverage(chosen.sets):.1%} |", flush=True)


if __name__ == "__main__":
    main()
