"""When training has run its course: no measure of quality gets better any more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Measures on the training images that the rule looks at, and whether more is better.
RULED_BY = {
    "train_frechet": False,
    "train_precision": True,
    "train_recall": True,
    "train_density": True,
    "train_coverage": True,
}
#: By how much a measure must get better to count: a share of a distance, a step of a share.
LEAST_SHARE, LEAST_STEP = 0.01, 0.005
#: By which the snapshot is chosen whose weights are kept.
CHOSEN_BY = "train_frechet"


class StoppingRule:
    """Patience on quality against the training images, as Karnaukhov et al. stop.

    The paper stops once going on improves none of its measures on the training sample. All that it
    measures of the validation images is recorded and decides nothing.

    Parameters
    ----------
    patience
        Snapshots to wait for any measure to get better; None never stops.
    values
        Of an earlier rule (`values`), to go on from.
    """

    def __init__(self, patience: int | None, values: Mapping[str, Any] | None = None) -> None:
        self.patience = patience
        known = values or {}
        self.best: dict[str, float] = dict(known.get("best", {}))
        self.since: int = known.get("since", 0)
        self.chosen: float | None = known.get("chosen")
        #: Snapshots in turn whose images were all alike.
        self.collapsed: int = known.get("collapsed", 0)

    def look(self, kimg: float, measured: Mapping[str, float]) -> bool:
        """Take the measures of a snapshot; tell whether its weights are the best so far."""
        better = False
        for name, more_is_better in RULED_BY.items():
            value = measured.get(name, math.nan)
            if not math.isfinite(value):
                continue
            before = self.best.get(name)
            if before is None or _is_better(value, before, more_is_better):
                self.best[name] = value
                better = True
        self.since = 0 if better else self.since + 1
        distance = measured.get(CHOSEN_BY, math.nan)
        if self.chosen is None or distance < self.chosen:
            self.chosen = distance if math.isfinite(distance) else self.chosen
            return True
        return False

    def should_stop(self) -> bool:
        """Tell whether no measure has got better for as long as patience allows."""
        return self.patience is not None and self.since >= self.patience

    def values(self) -> dict[str, Any]:
        """Return what a resume state keeps."""
        return {
            "best": self.best,
            "since": self.since,
            "chosen": self.chosen,
            "collapsed": self.collapsed,
        }


def _is_better(value: float, before: float, more_is_better: bool) -> bool:
    if more_is_better:
        return value >= before + LEAST_STEP
    return value <= before * (1 - LEAST_SHARE)
