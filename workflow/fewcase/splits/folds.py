"""Splits: which patients are in which fold and which sites are test only, kept in a file."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import content_digest, read_table, table_metadata, write_table
from fewcase.splits.checks import check_split
from fewcase.splits.copies import (
    Copies,
    copies_among,
    group_names,
    refuse_shared,
    superseded_by,
    warn_of_contradictions,
)
from fewcase.splits.dealing import deal_groups, gather_groups
from fewcase.splits.holdout import (
    DUPLICATE,
    GROUP_IN_TEST,
    GROUP_IN_VALIDATION,
    NO_DATE,
    NO_PART,
    PATIENT_IN_TEST,
    PATIENT_IN_VALIDATION,
    covers,
    held_out_rows,
    undated_rows,
)
from fewcase.splits.parts import (
    deal_given,
    draw_parts,
    given_parts,
    has_parts,
    validated_rows,
)
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.splits import TEST, TESTED, SplitOptions

SPLIT_COLUMNS = [
    *("row", "example", "parent", "patient", "group", "site", "date", "label"),
    *("fold", "inner", "test_set", "reason"),
]

FEW_OF_A_CLASS = 10
"""A test set with fewer examples of a class is warned of: its intervals say next to nothing."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What a split file says of itself: its options, its seed and the digest of its rows."""

    options: SplitOptions
    seed: int
    digest: str


def make_split(
    examples: pd.DataFrame,
    options: SplitOptions,
    seed: int,
    pairs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Assign the examples of a cohort to folds, inner parts and test sets.

    Parameters
    ----------
    examples
        Labelled examples: row, example, parent, patient, site, date and label (0, 1, …); and
        part ("train", "validation", "test" or empty) where ``options.given``.
    options
        Scheme, sites and periods held out, numbers of folds, what to do with duplicates.
    seed
        Shuffles patients that are alike; the order of the examples changes nothing.
    pairs
        Duplicate pairs, as `fewcase.splits.duplicates.read_duplicates` returns them; None for
        none. Pairs of other examples are passed over. ``scheme: image`` ignores them.

    Returns
    -------
    pandas.DataFrame
        One row per example, in the order given: row, example, parent, patient, group (patients
        that stay together, named after the first of them), site, date, label, fold (int16, 0…; -1
        outside cross-validation; `ALWAYS_TRAINED` for what is given for training), inner (int16,
        part of the training folds, 0 being kept for early stopping; -1 for none), test_set ("" in
        cross-validation; "temporal" for a held-out period of a site that is trained on;
        "external" for a site never trained on; "internal" for what is given for testing of a site
        that is trained on; "excluded" for an example that is used nowhere) and reason ("" or why
        it is excluded: it shares a patient or group with the test set or with a given validation
        set, lies at a site with a period held out and has no date, has no part where others have,
        or is a duplicate of an example that is kept). Where parts are given, part as well.

    Raises
    ------
    InputError
        For a held-out site or period without examples, too few patients of a class, a blank
        patient, or a duplicate that ``duplicates: fail`` forbids; the message names the option or
        the examples, and what would do.
    """
    _check_examples(examples)
    split = examples.reset_index(drop=True)
    split["date"] = pd.to_datetime(split["date"])
    split["label"] = split["label"].astype(np.int8)
    copies = copies_among(split, pairs)
    warn_of_contradictions(split, copies)
    if options.duplicates == "fail" and not options.is_leaky:
        refuse_shared(split, copies)
    split["group"] = group_names(split, copies, options)
    drawn_by = seed if options.draw_seed is None else options.draw_seed
    if options.given and not has_parts(split):
        split["part"] = draw_parts(split, options, drawn_by)
    held_out = _test_rows(split, options)
    validated = validated_rows(split, options, held_out)
    split["reason"] = _reasons(split, options, held_out, validated, copies)
    kept = (split["reason"] == "").to_numpy()
    test, training = held_out & kept, ~held_out & kept
    _check_training(split, options, training)

    if options.given:
        fold, inner = deal_given(split[training], validated[training], options, drawn_by)
    else:
        fold, inner = _deal(split[training], options, drawn_by)
    split["fold"] = _spread(fold, training)
    split["inner"] = _spread(inner, training)
    trained_on = split["site"].isin(split["site"][training].unique()).to_numpy()
    by_period = np.zeros(len(split), bool)
    for entry in options.hold_out:
        by_period |= covers(split, entry)
    split["test_set"] = np.select(
        [test & trained_on & by_period, test & trained_on, test, ~kept],
        ["temporal", "internal", "external", "excluded"],
        "",
    )
    _check_classes(split, options)
    _warn_of_few(split)
    return split[columns_of_split(options)]


def columns_of_split(options: SplitOptions) -> list[str]:
    """Return the columns of a split file: those of every split, and `part` where it is given."""
    return [*SPLIT_COLUMNS, *(["part"] if options.given else [])]


def _check_examples(examples: pd.DataFrame) -> None:
    if examples.empty:
        raise InputError("split: the cohort has no examples; see its rejected.parquet for reasons.")
    blank = examples["patient"].isna() | (examples["patient"].astype(str).str.strip() == "")
    if blank.any():
        raise InputError(
            f"split: example {examples['example'][blank].iloc[0]!r} has no patient ({blank.sum()} "
            "such). Give each its own patient, or leave it out."
        )
    unlabelled = examples["label"] < 0
    if unlabelled.any():
        raise InputError(
            f"split: example {examples['example'][unlabelled].iloc[0]!r} has no label; the cohort "
            "stage leaves such examples out."
        )


def _test_rows(examples: pd.DataFrame, options: SplitOptions) -> npt.NDArray[np.bool_]:
    test = np.zeros(len(examples), bool)
    for held_out in options.hold_out:
        test |= held_out_rows(examples, held_out)
    if options.given:
        test |= given_parts(examples) == TEST
    if test.all():
        raise InputError(
            f"hold_out: {', '.join(map(str, options.hold_out))} hold out all {len(examples)} "
            "examples and leave none to train on; hold out fewer sites or a shorter period."
        )
    return test


def _reasons(
    split: pd.DataFrame,
    options: SplitOptions,
    test: npt.NDArray[np.bool_],
    validated: npt.NDArray[np.bool_],
    copies: Copies,
) -> npt.NDArray[np.object_]:
    """Return why each example is left out, empty where it is used."""
    reasons = np.full(len(split), "", dtype=object)
    if options.given:
        reasons[(given_parts(split) == "") & ~test] = NO_PART
    undated = undated_rows(split, options.hold_out) & ~test
    reasons[undated] = NO_DATE
    if undated.any():
        logger.warning(
            "%d examples without a date are left out: part of their site (%s) is held out by date",
            undated.sum(),
            ", ".join(sorted(set(split["site"][undated]))),
        )
    if options.is_leaky:
        return reasons
    kept_apart = [
        ("patient", test, PATIENT_IN_TEST),
        ("group", test, GROUP_IN_TEST),
        # Given parts cannot be moved: what they share is given up for training.
        ("patient", validated, PATIENT_IN_VALIDATION),
        ("group", validated, GROUP_IN_VALIDATION),
    ]
    for column, apart, reason in kept_apart:
        others = ~test & ~(apart & validated) & (reasons == "")
        shared = split[column].isin(split[column][apart & (reasons == "")]).to_numpy() & others
        named = "" if column == "patient" else ": joined as " + split["group"][shared]
        reasons[shared] = reason + named
        if shared.any():
            logger.info("%d examples are left out: %s", shared.sum(), reason)
    if options.duplicates == "drop":
        kept_copy = superseded_by(split, copies, reasons == "", test)
        dropped = kept_copy != ""
        reasons[dropped] = f"{DUPLICATE}: " + kept_copy[dropped] + " is kept"
        if dropped.any():
            logger.info("%d duplicates are left out", dropped.sum())
    return reasons


def _check_training(
    examples: pd.DataFrame, options: SplitOptions, training: npt.NDArray[np.bool_]
) -> None:
    if options.folds < 2 and not options.given:
        raise InputError(
            f"folds: {options.folds} is no cross-validation; give 2 or more (the papers: 10), or "
            "1 with split: {given: true}."
        )
    kept = examples[training]
    labels = sorted(set(examples["label"]))
    if len(labels) < 2:
        raise InputError(
            f"split: all {len(examples)} examples of target {options.target!r} have the label "
            f"{labels[0]}; check the target's rule."
        )
    group = "example" if options.is_leaky else "group"
    noun = "example" if options.is_leaky else "patient"
    for label in labels:
        n_groups = kept[group][kept["label"] == label].nunique()
        if n_groups == 0:
            raise InputError(
                f"split: no example with label {label} is left to train on: all are held out, or "
                "share a patient or a copy with what is. Hold out fewer sites or a shorter period."
            )
        if n_groups == 1:
            raise InputError(
                f"folds: a single {noun} with label {label} is left to train on, so it could only "
                "be learnt from or predicted. Add recordings, choose another target or hold out "
                "less."
            )
        if n_groups < options.folds:
            raise InputError(
                f"folds: {options.folds} folds for {n_groups} {noun}s with label {label}: a fold "
                f"would have none. Give {n_groups} folds or fewer, or hold out less."
            )


def _deal(
    kept: pd.DataFrame, options: SplitOptions, seed: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    groups, group_of, counts, strata = gather_groups(
        kept, "example" if options.is_leaky else "group"
    )
    outer_seed, inner_seed = np.random.SeedSequence(seed).spawn(2)
    fold = deal_groups(counts, strata, options.folds, np.random.default_rng(outer_seed))
    inner = np.full(len(groups), -1, np.int16)
    if options.inner_folds:
        inner = deal_groups(
            counts,
            strata,
            options.inner_folds,
            np.random.default_rng(inner_seed),
            within=fold.astype(np.int64),
        )
    return fold[group_of], inner[group_of]


def _spread(
    values: npt.NDArray[np.int16], training: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int16]:
    spread = np.full(len(training), -1, np.int16)
    spread[training] = values
    return spread


def _warn_of_few(split: pd.DataFrame) -> None:
    test = test_rows(split)
    if test.empty:
        return
    counts = test["label"].value_counts()
    for label in sorted(set(split["label"])):
        count = int(counts.get(label, 0))
        if count == 0:
            logger.warning("none of %d test examples has the label %d: no AUC", len(test), label)
        elif count < FEW_OF_A_CLASS:
            logger.warning(
                "only %d of %d test examples have the label %d: its intervals will be very wide",
                count, len(test), label,
            )  # fmt: skip


def _check_classes(split: pd.DataFrame, options: SplitOptions) -> None:
    labels = set(split["label"][split["fold"] != -1])
    for fold in range(options.folds):
        for name, rows in [
            ("validation part", validation_rows(split, fold)),
            ("training part", training_rows(split, fold)),
            ("inner validation part", inner_rows(split, fold)),
        ]:
            if name == "inner validation part" and not options.inner_folds:
                continue
            absent = labels - set(rows["label"])
            if not absent:
                continue
            remedy = "fewer folds"
            if name != "validation part" and options.inner_folds:
                remedy = "fewer inner_folds, or 0 for none,"
            raise InputError(
                f"split: the {name} of fold {fold} has no example with label {min(absent)}: too "
                f"few patients have it for {options.folds} folds and {options.inner_folds} "
                f"inner_folds. Ask for {remedy} or hold out less."
            )


def check_fold(split: pd.DataFrame, fold: int) -> None:
    """Raise an `InputError` where the split has no such fold; the message gives the range."""
    last = int(split["fold"].max())
    if not 0 <= fold <= last:
        raise InputError(f"fold {fold} is out of range: the split has the folds 0 to {last}.")


def training_rows(split: pd.DataFrame, fold: int, inner: int = 0) -> pd.DataFrame:
    """Return the rows that a network of `fold` learns from: other folds, less one inner part."""
    return split[_other_folds(split, fold) & (split["inner"] != inner)]


def inner_rows(split: pd.DataFrame, fold: int, inner: int = 0) -> pd.DataFrame:
    """Return the inner part that is kept from the training folds of `fold`.

    Part 0 decides when training stops; networks that leave out another part take part in choosing
    the winner of an experiment.
    """
    return split[_other_folds(split, fold) & (split["inner"] == inner)]


def validation_rows(split: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the rows of `fold` itself, which its network never sees."""
    check_fold(split, fold)
    return split[split["fold"] == fold]


def test_rows(split: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of held-out sites and periods."""
    return split[split["test_set"].isin(TESTED)]


def _other_folds(split: pd.DataFrame, fold: int) -> pd.Series:
    check_fold(split, fold)
    return (split["fold"] != fold) & (split["fold"] != -1)


def write_split(path: Path, split: pd.DataFrame, options: SplitOptions, seed: int) -> None:
    """Write a split as parquet; its metadata key ``fewcase`` holds options, seed and digest.

    Raises
    ------
    InputError
        If the split breaks one of the rules of `fewcase.splits.checks`.
    """
    split = split[columns_of_split(options)]
    check_split(split, options, str(path))
    facts = _facts(options, seed)
    facts["digest"] = _digest(split, facts)
    write_table(path, split, {"fewcase": json.dumps(facts, sort_keys=True)})


def digest_split(split: pd.DataFrame, options: SplitOptions, seed: int) -> str:
    """Return the digest of a split's rows, options and seed that its file has, in hexadecimal."""
    return _digest(split, _facts(options, seed))


def _facts(options: SplitOptions, seed: int) -> dict[str, object]:
    facts = json.loads(json.dumps(dataclasses.asdict(options)))
    return {**facts, "seed": seed, "leaky": options.is_leaky}


def read_split(path: Path) -> pd.DataFrame:
    """Read a split file and check everything that it promises.

    Raises
    ------
    InputError
        Naming the patient, site or fold, where a patient is in two folds or in training and test,
        a held-out site or period is trained on, a fold is out of range, or the rows are not those
        that were written.
    """
    facts, metadata = _read_facts(path)
    split = read_table(path)
    check_split(split, facts.options, str(path))
    del metadata["digest"]
    if _digest(split, metadata) != facts.digest:
        raise InputError(
            f"{path}: the rows are not those that were written (digest {facts.digest[:12]}…). "
            "Delete the file and run the split stage again."
        )
    return split


def read_facts(path: Path) -> SplitFacts:
    """Read what a split file says of itself, without its rows."""
    return _read_facts(path)[0]


def _read_facts(path: Path) -> tuple[SplitFacts, dict[str, object]]:
    texts = table_metadata(path)
    try:
        metadata = json.loads(texts["fewcase"])
        facts = dict(metadata)
        seed, digest, _ = facts.pop("seed"), facts.pop("digest"), facts.pop("leaky")
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{path}: not a split file, as it lacks the metadata of one. Delete it and run the "
            "split stage again."
        ) from None
    return SplitFacts(read_section(SplitOptions, facts, str(path)), seed, digest), metadata


def _digest(split: pd.DataFrame, facts: object) -> str:
    parts: list[npt.NDArray[np.generic] | bytes] = [json.dumps(facts, sort_keys=True).encode()]
    for column in [*SPLIT_COLUMNS, *(["part"] if "part" in split else [])]:
        values = split[column]
        if pd.api.types.is_integer_dtype(values.dtype):
            parts.append(values.to_numpy(np.int64))
        elif pd.api.types.is_datetime64_dtype(values.dtype):
            parts.append(values.to_numpy("datetime64[s]").view(np.int64))
        else:
            parts.append(json.dumps(values.astype(str).tolist()).encode())
    return content_digest(*parts)
