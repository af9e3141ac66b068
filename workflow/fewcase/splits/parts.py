"""One partition into training, validation and test: as the data give it, or drawn in its place."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.dealing import deal_groups, gather_groups
from fewcase.study.errors import InputError
from fewcase.study.splits import ALWAYS_TRAINED, TEST, TRAIN, VALIDATION, SplitOptions


def has_parts(examples: pd.DataFrame) -> bool:
    """Whether any example has a part."""
    return "part" in examples and bool((examples["part"].fillna("") != "").any())


#: Shares of parts are told apart in hundredths.
_SLICES = 100


def draw_parts(split: pd.DataFrame, options: SplitOptions, seed: int) -> npt.NDArray[np.object_]:
    """Draw one partition, class by class, whose groups are kept whole."""
    shares = [round(_SLICES * s) for s in (options.validation_share, options.test_share)]
    slices = _SLICES // math.gcd(_SLICES, *shares)
    validation, test = (share * slices // _SLICES for share in shares)
    _, group_of, counts, strata = gather_groups(split, _dealt_by(options))
    random = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[2])
    dealt = deal_groups(counts, strata, slices, random)[group_of]
    drawn = [dealt < validation, dealt < validation + test]
    return np.select(drawn, [VALIDATION, TEST], TRAIN).astype(object)


def given_parts(examples: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the part of each example, empty where none is given, or name one that is unknown."""
    parts = examples["part"].fillna("").to_numpy(object)
    known = ("", TRAIN, VALIDATION, TEST)
    strange = [part for part in parts if part not in known]
    if strange:
        raise InputError(f"split.given: part {strange[0]!r} is none of {list(known[1:])}.")
    return parts


def validated_rows(
    examples: pd.DataFrame, options: SplitOptions, test: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which examples are given for validation; none where folds are drawn."""
    if not options.given:
        return np.zeros(len(examples), bool)
    parts = given_parts(examples)
    for part in (TRAIN, VALIDATION):
        if not ((parts == part) & ~test).any():
            raise InputError(
                f"split.given: no example is given for the part {part!r}. Check the cohort's "
                "pattern or columns, or drop split.given to draw folds."
            )
    return (parts == VALIDATION) & ~test


def deal_given(
    kept: pd.DataFrame, validated: npt.NDArray[np.bool_], options: SplitOptions, seed: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Return fold and inner part where parts are given; inner parts of the rest are dealt."""
    fold = np.where(validated, 0, ALWAYS_TRAINED).astype(np.int16)
    inner = np.full(len(kept), -1, np.int16)
    if options.inner_folds:
        _, group_of, counts, strata = gather_groups(kept[~validated], _dealt_by(options))
        _, inner_seed = np.random.SeedSequence(seed).spawn(2)
        random = np.random.default_rng(inner_seed)
        inner[~validated] = deal_groups(counts, strata, options.inner_folds, random)[group_of]
    return fold, inner


def _dealt_by(options: SplitOptions) -> str:
    return "example" if options.is_leaky else "group"
