"""What a number of ours says about one of a paper: agrees, differs, or nobody can tell."""

from __future__ import annotations

import math

AGREES, DIFFERS, CANT_TELL = "agrees", "differs", "can't tell"
NOT_RUN, NOT_COMPARABLE = "not run", "not comparable (simulated data)"
VERDICTS = (AGREES, DIFFERS, CANT_TELL, NOT_RUN, NOT_COMPARABLE)

SIMULATED = "our {records} are simulated"

NARROW = 0.05
"""An interval of an AUC or accuracy with a larger half-width cannot show that two values agree."""


def judge_value(
    paper: float, ours: float, low: float, high: float, *, simulated: str, narrow: float = NARROW
) -> tuple[str, str]:
    """Return the verdict on an AUC or another share, and why.

    It agrees where the paper's value lies within our 95 % interval and the interval's half-width
    is at most `narrow`; it differs where the value lies outside; otherwise nobody can tell. The
    paper's own uncertainty is not counted. Simulated data can neither confirm nor contradict it:
    `simulated` says what is, such as recordings, and is empty where nothing is.
    """
    if simulated:
        return NOT_COMPARABLE, SIMULATED.format(records=simulated)
    if not all(map(math.isfinite, (ours, low, high))):
        return CANT_TELL, "there is no interval"
    if not low <= paper <= high:
        return DIFFERS, "the paper's value is outside our interval"
    if (high - low) / 2 > narrow:
        return CANT_TELL, f"our interval is wider than ± {narrow:g}"
    return AGREES, "the paper's value is within our interval"


def judge_statement(
    says: str, low: float, high: float, margin: float, *, simulated: str
) -> tuple[str, str]:
    """Return the verdict on a statement that some level loses, or loses none, and why.

    `low` and `high` are the ends of our interval of the difference, negative for a loss. A loss is
    shown where the interval lies below 0, no loss where it lies above minus `margin`.
    """
    if simulated:
        return NOT_COMPARABLE, SIMULATED.format(records=simulated)
    if not (math.isfinite(low) and math.isfinite(high)):
        return CANT_TELL, "there is no interval of the difference"
    loses, keeps = high < 0, low > -margin
    if loses and keeps:
        return CANT_TELL, f"a loss is shown, but one of less than {margin:g}"
    if loses or keeps:
        found = "loss" if loses else "no loss"
        why = "our interval is below 0" if loses else f"our interval is above -{margin:g}"
        return (AGREES if says == found else DIFFERS), why
    return CANT_TELL, f"our interval holds both 0 and a loss of {margin:g}"


def judge_count(paper: float, ours: float, *, simulated: str) -> tuple[str, str]:
    """Return the verdict on a number of recordings: the same or not."""
    if simulated:
        return NOT_COMPARABLE, SIMULATED.format(records=simulated)
    if ours == paper:
        return AGREES, "the same number"
    return DIFFERS, f"{ours - paper:+,.0f}"
