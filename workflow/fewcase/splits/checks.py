"""The promises of a split, checked whenever one is written or read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.holdout import DUPLICATE, REASONS, covers, reason_codes, undated_rows
from fewcase.study.errors import InputError
from fewcase.study.splits import ALWAYS_TRAINED, TEST, TESTED, TRAIN, VALIDATION, SplitOptions

TEST_SETS = ("", *TESTED, "excluded")
REMEDY = "Delete the file and run the split stage again."

_NEEDED = {
    *("row", "example", "parent", "patient", "group", "site", "date", "label"),
    *("fold", "inner", "test_set", "reason"),
}


def check_split(split: pd.DataFrame, options: SplitOptions, where: str) -> None:
    """Check that a split keeps what its options promise.

    Every fold lies in range and is used; a patient is in one group, and a patient, parent or group
    is in one fold and one inner part only, and not in the test set as well (unless the scheme is
    known to leak); held-out sites and periods are in no fold; test sets are called temporal,
    external or internal rightly; given parts are what they were given for; whatever is left out
    has a reason.

    Raises
    ------
    InputError
        Naming the file `where` and the first patient, parent, group, site, example or fold that
        breaks a promise.
    """
    missing = sorted((_NEEDED | {"part"} if options.given else _NEEDED) - set(split.columns))
    if missing:
        raise InputError(f"{where}: no column {missing[0]!r}. {REMEDY}")
    for column in ("row", "example"):
        _refuse(split, split[column].duplicated(), where, column, "is there twice")
    _check_ranges(split, options, where)
    training = (split["fold"] != -1).to_numpy()
    if options.given:
        _check_given(split, where)
    if not options.is_leaky:
        for column in ("patient", "parent", "group"):
            _check_together(split, training, column, where)
        _check_grouping(split, where)
    _check_held_out(split, options, training, where)
    _check_reasons(split, options, where)


def _check_ranges(split: pd.DataFrame, options: SplitOptions, where: str) -> None:
    for column, parts in [("fold", options.folds), ("inner", options.inner_folds)]:
        outside = ~split[column].between(-1, parts - 1)
        name = "fold" if column == "fold" else "inner part"
        expected = f"is out of range: expected 0 to {parts - 1}, or -1 for none"
        if column == "fold" and options.given:
            outside &= split[column] != ALWAYS_TRAINED
            expected += f", or {ALWAYS_TRAINED} for what is always trained on"
        _refuse(split, outside, where, "example", f"has a {name} that {expected}", column)
    used = set(split["fold"])
    empty = [fold for fold in range(options.folds) if fold not in used]
    if empty:
        raise InputError(f"{where}: fold {empty[0]} of {options.folds} has no example. {REMEDY}")
    _refuse(
        split,
        ~split["test_set"].isin(TEST_SETS),
        where,
        "example",
        f"has a test set that is none of {list(TEST_SETS)}",
        "test_set",
    )
    nowhere = (split["fold"] == -1) & (split["test_set"] == "")
    _refuse(split, nowhere, where, "example", "is in no fold and in no test set")
    both = (split["fold"] != -1) & (split["test_set"] != "")
    _refuse(split, both, where, "example", "is in a fold and in a test set", "test_set")
    has_inner = split["inner"] >= 0
    # The one fold of given parts is never trained on.
    trained = split["fold"] == ALWAYS_TRAINED if options.given else split["fold"] >= 0
    wants_inner = trained & (options.inner_folds > 0)
    _refuse(split, has_inner != wants_inner, where, "example", "has the wrong inner part", "inner")


def _check_given(split: pd.DataFrame, where: str) -> None:
    # Held-out sites are tested on as well, whatever their examples were given for.
    for part, used in [
        (TRAIN, split["fold"] == ALWAYS_TRAINED),
        (VALIDATION, split["fold"] == 0),
        (TEST, split["test_set"] == "internal"),
    ]:
        other = used & (split["part"] != part)
        complaint = f"is used for {part} but not given for it"
        _refuse(split, other, where, "example", complaint, "part")


def _check_together(
    split: pd.DataFrame, training: npt.NDArray[np.bool_], column: str, where: str
) -> None:
    kept = split[training]
    for part, name in [("fold", "folds"), ("inner", "inner parts")]:
        bounds = kept.groupby(column)[part].agg(["min", "max"])
        torn = bounds[bounds["min"] != bounds["max"]]
        if len(torn):
            low, high = torn.iloc[0]
            raise InputError(
                f"{where}: {column} {torn.index[0]!r} is in two {name}, {low} and {high}. {REMEDY}"
            )
    tested = split[column][split["test_set"].isin(TESTED)]
    leaked = split[column].isin(tested).to_numpy() & training
    _refuse(split, leaked, where, column, "is in the test set and in a fold", "fold")


def _check_grouping(split: pd.DataFrame, where: str) -> None:
    first = split.groupby("patient")["group"].transform("first")
    _refuse(split, split["group"] != first, where, "patient", "is in two groups", "group")


def _check_held_out(
    split: pd.DataFrame, options: SplitOptions, training: npt.NDArray[np.bool_], where: str
) -> None:
    tested = split["test_set"].isin(TESTED).to_numpy()
    promised = np.zeros(len(split), bool)
    for held_out in options.hold_out:
        covered = covers(split, held_out)
        leaked = covered & training
        _refuse(split, leaked, where, "site", f"({held_out}) is held out but in a fold", "fold")
        promised |= covered
    undated = undated_rows(split, options.hold_out) & training
    _refuse(split, undated, where, "example", "has no date and may be of a held-out period")
    dropped = (reason_codes(split["reason"]) == DUPLICATE).to_numpy()
    lost = promised & ~tested & ~dropped
    _refuse(split, lost, where, "example", "is held out but in no test set")
    given = (split["part"] == TEST).to_numpy() if options.given else np.zeros(len(split), bool)
    unasked = tested & ~promised & ~given
    _refuse(split, unasked, where, "site", "is in a test set but not held out")
    trained_on = split["site"].isin(split["site"][training].unique()).to_numpy()
    named = np.where(trained_on, np.where(promised, "temporal", "internal"), "external")
    _refuse(
        split,
        tested & (named != split["test_set"].to_numpy(object)),
        where,
        "site",
        "is temporal only if another period of it is trained on, internal only if the data give "
        "another part of it for training, and else external",
        "test_set",
    )


def _check_reasons(split: pd.DataFrame, options: SplitOptions, where: str) -> None:
    excluded = split["test_set"] == "excluded"
    given = split["reason"] != ""
    codes = reason_codes(split["reason"])
    _refuse(split, excluded & ~given, where, "example", "is excluded without a reason")
    _refuse(split, given & ~excluded, where, "example", "has a reason but is used", "reason")
    unknown = given & ~codes.isin(REASONS)
    _refuse(split, unknown, where, "example", f"has a reason that is none of {REASONS}", "reason")
    if options.duplicates != "drop" or options.is_leaky:
        dropped = codes == DUPLICATE
        _refuse(split, dropped, where, "example", "is dropped against the policy", "reason")


def _refuse(
    split: pd.DataFrame,
    broken: pd.Series | npt.NDArray[np.bool_],
    where: str,
    column: str,
    complaint: str,
    shown: str | None = None,
) -> None:
    found = np.flatnonzero(broken)
    if not len(found):
        return
    first = {name: values[0] for name, values in split.iloc[found[:1]].to_dict("list").items()}
    value = "" if shown is None else f", {shown} {first[shown]!r}"
    example = "" if column == "example" else f" (example {first['example']!r})"
    raise InputError(f"{where}: {column} {first[column]!r} {complaint}{value}{example}. {REMEDY}")
