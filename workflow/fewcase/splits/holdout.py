"""Which examples a held-out site or period covers, and why others are left out beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.splits import HeldOut

NO_DATE = "no date"
PATIENT_IN_TEST = "patient in test set"
GROUP_IN_TEST = "group in test set"
PATIENT_IN_VALIDATION = "patient in validation set"
GROUP_IN_VALIDATION = "group in validation set"
NO_PART = "no part given"
DUPLICATE = "duplicate"
REASONS = (
    *(NO_DATE, PATIENT_IN_TEST, GROUP_IN_TEST, PATIENT_IN_VALIDATION, GROUP_IN_VALIDATION),
    *(NO_PART, DUPLICATE),
)
"""Why a split leaves an example out; a detail may follow after a colon."""


def reason_codes(reasons: pd.Series) -> pd.Series:
    """Return reasons without their details: one of `REASONS`, or empty where there is none."""
    return reasons.map({reason: reason.split(":")[0] for reason in reasons.unique()})


def covers(examples: pd.DataFrame, held_out: HeldOut) -> npt.NDArray[np.bool_]:
    """Return, per example, whether it lies at the site and within the period, bounds included.

    An example without a date lies in no period.
    """
    covered = (examples["site"] == held_out.site).to_numpy(bool)
    if held_out.is_dated:
        day = _days(examples)
        if held_out.since is not None:
            covered = covered & (day >= pd.Timestamp(held_out.since)).to_numpy(bool)
        if held_out.until is not None:
            covered = covered & (day <= pd.Timestamp(held_out.until)).to_numpy(bool)
    return covered


def undated_rows(examples: pd.DataFrame, hold_out: Sequence[HeldOut]) -> npt.NDArray[np.bool_]:
    """Return, per example, whether it has no date at a site of which a period is held out."""
    dated_sites = {held_out.site for held_out in hold_out if held_out.is_dated}
    return (examples["site"].isin(dated_sites) & _days(examples).isna()).to_numpy(bool)


def held_out_rows(examples: pd.DataFrame, held_out: HeldOut) -> npt.NDArray[np.bool_]:
    """Return the same as `covers`, or say why nothing is covered.

    Raises
    ------
    InputError
        If the site does not exist, none of its examples has a date, or none lies in the period.
    """
    at_site = examples["site"] == held_out.site
    if not at_site.any():
        raise InputError(
            f"hold_out: no example is of site {held_out.site!r}."
            f"{nearest(held_out.site, set(examples['site']))} Or all of its recordings were "
            "refused: rejected.parquet says why."
        )
    covered = covers(examples, held_out)
    if covered.any():
        return covered
    days = _days(examples)[at_site].dropna()
    if days.empty:
        raise InputError(
            f"hold_out: {held_out}: none of the {at_site.sum()} examples of the site has a date. "
            "Map the date column of the cohort, or hold out the whole site."
        )
    raise InputError(
        f"hold_out: {held_out}: no example lies in this period; those of the site are from "
        f"{days.min().date()} to {days.max().date()}."
    )


def _days(examples: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(examples["date"]).dt.normalize()
