"""How explanation maps are made, and of what."""

from __future__ import annotations

import dataclasses

from fewcase.study.errors import InputError
from fewcase.study.fields import setting

FILLS = ("black", "white", "mean", "blur")
SCORES = ("probability", "logit", "log_odds")
MIXES = ("rgb", "signed")
CURVES = {
    "deletion": "deletion",
    "insertion": "insertion",
    "negative_deletion": "negative deletion",
}
"""What is measured of maps by curves, and what readers call it."""


@dataclasses.dataclass(frozen=True)
class ExplainOptions:
    """Maps of the evidence for and against each class (DiDA, Ayatsuka et al.), and their checks."""

    experiments: tuple[str, ...] = setting(
        (), help="Experiments whose arms are explained; the study's default arm is in any case."
    )
    cases: int = setting(
        24,
        minimum=0,
        help="Held-out examples of each run that are explained, drawn class by class; 0 for no "
        "maps at all.",
    )
    extremes: int = setting(
        4,
        minimum=0,
        help="Further ones of each run: the most confident right, the most confident wrong and the "
        "most divided, so many of each.",
    )
    shared: int = setting(
        8,
        minimum=0,
        help="Examples that every run of an arm explains, whose maps tell how stable they are.",
    )
    checks: int = setting(
        8,
        minimum=1,
        help="Of the cases drawn, those whose maps are checked: deletion, insertion, other fills, "
        "other networks.",
    )
    grids: tuple[int, ...] = setting(
        (7, 9, 11, 13, 15, 17, 19, 21), help="Cells along a side of each grid, for images."
    )
    slit_minutes: tuple[float, ...] = setting(
        (0.5, 1, 2, 5, 10), help="Widths of the time slits, for signals, in minutes."
    )
    weight_power: float = setting(
        0.5,
        minimum=0,
        maximum=4,
        help="A grid of n cells along a side weighs n to this power in mixed maps.",
    )
    fill: str = setting(
        "black", choices=FILLS, help="What cells are blanked with, before normalisation."
    )
    score: str = setting(
        "probability",
        choices=SCORES,
        help="Whose changes are mapped; probabilities saturate near 0 and 1, the others do not.",
    )
    mix: str = setting(
        "rgb",
        choices=MIXES,
        help="How grids are mixed: rgb adds colours as in the paper, for and against together "
        "purple; signed lets them cancel.",
    )
    steps: int = setting(20, minimum=2, maximum=500, help="Steps of deletion and insertion curves.")
    orders: int = setting(
        5, minimum=1, help="Maps laid elsewhere that each map is compared with, in these."
    )
    randomised: int = setting(
        3, minimum=1, help="Networks with weights drawn anew that maps are compared with."
    )

    def __post_init__(self) -> None:
        if not self.grids or min(self.grids) < 2 or len(set(self.grids)) != len(self.grids):
            raise InputError(
                f"explain.grids: {list(self.grids)}: give numbers of 2 or more, each once."
            )
        if not self.slit_minutes or min(self.slit_minutes) <= 0:
            raise InputError(
                f"explain.slit_minutes: {list(self.slit_minutes)}: give widths above 0."
            )

    @property
    def is_wanted(self) -> bool:
        """Whether there are maps at all."""
        return self.cases > 0
