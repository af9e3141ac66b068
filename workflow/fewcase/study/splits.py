"""The options of a split: sites and periods that are test only, and the folds of all others."""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import re
from typing import Any

from fewcase.study.errors import InputError
from fewcase.study.fields import setting
from fewcase.study.spelling import plain_name
from fewcase.study.words import DUPLICATE_POLICIES

SCHEMES = ("patient", "image")

ALWAYS_TRAINED = -2
"""The fold of an example that is in every training part and validated in none."""

TRAIN, VALIDATION, TEST = "train", "validation", "test"
"""Parts that data may come with, see `SplitOptions.given`."""

TESTED = ("temporal", "external", "internal")
"""Kinds of test sets: another period of a site, another site, or what the data give for it."""

_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A site that is test only, wholly or within a period.

    The bounds of the period are days, both included, kept as ISO text. A year or a month stands
    for the whole of it: ``since: 2018`` begins on 1 January, ``until: 2018`` ends on 31 December.
    """

    site: str = setting(help="Name of the site.")
    since: Any = setting(None, help="First day held out, as 2018, 2018-04 or 2018-04-01.")
    until: Any = setting(None, help="Last day held out, as 2018, 2018-04 or 2018-04-30.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", plain_name(self.site))
        object.__setattr__(self, "since", self._day("since", self.since))
        object.__setattr__(self, "until", self._day("until", self.until))
        if self.since and self.until and self.since > self.until:
            raise InputError(
                f"hold_out of site {self.site!r}: since {self.since} is after until {self.until}; "
                "exchange the two."
            )

    def _day(self, key: str, value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, datetime.datetime):
            value = value.date()
        found = _DAY.fullmatch(str(value).strip())
        try:
            if isinstance(value, bool) or found is None:
                raise ValueError
            year, month, day = (int(part or 0) for part in found.groups())
            if key == "since":
                month, day = month or 1, day or 1
            else:
                month = month or 12
                day = day or calendar.monthrange(year, month)[1]
            return datetime.date(year, month, day).isoformat()
        except ValueError:
            raise InputError(
                f"hold_out of site {self.site!r}: {key}: {value!r} is no date; write a year, a "
                "month or a day, such as 2018, 2018-04 or 2018-04-01."
            ) from None

    @property
    def is_dated(self) -> bool:
        """Whether only a period of the site is held out."""
        return self.since is not None or self.until is not None

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since else ""
        until = f" until {self.until}" if self.until else ""
        return f"{self.site}{since}{until}"


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """What fixes a split apart from its seed and its examples."""

    target: str = setting(help="Name of the target whose labels are split.")
    scheme: str = setting(
        "patient",
        choices=SCHEMES,
        help="patient keeps the examples of a patient together; image ignores patients and leaks.",
    )
    hold_out: tuple[HeldOut, ...] = setting(
        (), help="Sites, or periods of sites, for testing only."
    )
    folds: int = setting(10, minimum=1, help="Folds of cross-validation; 1 where parts are given.")
    inner_folds: int = setting(
        10,
        minimum=0,
        help="Parts of a training fold, the first of which is kept for early stopping; 0 for none.",
    )
    duplicates: str = setting(
        "group",
        choices=DUPLICATE_POLICIES,
        help="Copies of an example: group keeps their patients together, drop keeps one copy, "
        "fail stops where two patients share one, ignore leaves them where they fall (leaky).",
    )

    given: bool = setting(
        False,
        help="Whether the data say who is in which part (column part: train, validation or test). "
        "There is one fold then: what is given for validation. Where no example has a part, parts "
        "are drawn by validation_share and test_share.",
    )
    validation_share: float = setting(
        0.2,
        minimum=0.01,
        maximum=0.9,
        help="Where parts are wanted and the data give none: share of patients drawn for "
        "validation, class by class.",
    )
    test_share: float = setting(
        0.0, minimum=0, maximum=0.9, help="The same for testing; 0 for no test part."
    )
    draw_seed: int | None = setting(
        None,
        minimum=0,
        help="Draws the folds of every seed, so that all share them; null: each seed its own.",
    )

    def __post_init__(self) -> None:
        if self.given and self.folds != 1:
            raise InputError(
                f"folds: {self.folds}, but split.given takes the parts that the data come with, "
                "which are one fold; give folds: 1."
            )
        if self.validation_share + self.test_share >= 1:
            raise InputError(
                f"validation_share, test_share: {self.validation_share} and {self.test_share} "
                "leave nothing to train on; give less than 1 together."
            )
        if self.inner_folds == 1:
            raise InputError(
                "inner_folds: 1 would leave nothing to train on; give 2 or more, or 0 for no "
                "inner validation part."
            )

    @property
    def is_leaky(self) -> bool:
        """Whether the scheme may put one patient into training and validation."""
        return self.scheme == "image"


@dataclasses.dataclass(frozen=True)
class SamplingOptions:
    """How the training rows of a fold are drawn, as the recipe of an arm has it."""

    neg_per_pos: float | None = setting(
        6.083, minimum=0.1, help="Negatives kept per positive; null keeps all."
    )
    bags: int = setting(1, minimum=1, maximum=1000, help="Under-sampled sets of each fold.")
    distribution: str = setting(
        "natural", choices=("natural", "balanced"), help="Classes as they come, or equally often."
    )
    training_examples: int | None = setting(
        None, minimum=2, help="Rows of a bag in all; null: as many as there are."
    )
