"""The flow of a cohort: what remains after each step and what left for which reason, none lost."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.folds import inner_rows, training_rows, validation_rows
from fewcase.splits.steps import (
    ALL,
    NO_CLASS,
    STEPS_OF,
    Steps,
    in_words,
    label_words,
    names_of_classes,
)
from fewcase.splits.targets import UNLABELLED, apply_target
from fewcase.study.errors import InputError
from fewcase.study.splits import ALWAYS_TRAINED
from fewcase.study.targets import Classes, Target, columns_of
from fewcase.study.words import NOUNS

STEPS = STEPS_OF["window"].names
"""Steps of a cohort of signals."""

REFUSAL_COLUMNS = ["record", "patient", "site", "stage", "reason", "detail"]


def flow_columns(unit: str) -> list[str]:
    """Return the columns of a flow; records are called what they are."""
    return ["step", "site", "label", NOUNS[unit].records, "patients", "examples"]


def account_columns(unit: str) -> list[str]:
    """Return the columns of an account, see `follow`."""
    return ["step", "kind", "reason", *flow_columns(unit)[1:]]


FLOW_COLUMNS, ACCOUNT_COLUMNS = flow_columns("window"), account_columns("window")

REMAINING, LEFT_OUT, TEST, KEPT_APART = "remaining", "left out", "test", "kept apart"
"""Kinds of an account's rows: what goes on, what is refused, test sets, parts of other use."""

IN_PART = "left out in part"
"""Kind of the records that go on although some of their tiles were refused, and why."""

EXCLUDED = "excluded by the split"
CROSS_VALIDATION, GIVEN_PARTS = "cross-validation", "training and validation"
"""What is not tested on: dealt into folds, or as the data come with it."""

_FOUND, _INGESTED = range(2)
# A refusal of tiles begins with how many: "480 of 612 tiles hold less than 0.5 of tissue."
_TILES = r"^(\d+) of \d+ tiles"
_TEST_SETS = {
    "temporal": "temporal test",
    "external": "external test",
    "internal": "internal test",
}


@dataclasses.dataclass(frozen=True)
class Group:
    """Some records, and their examples where there are any yet, in one box of the flow.

    Attributes
    ----------
    step
        The step that they passed (`REMAINING`) or that took them out (any other kind).
    kind, reason
        See `account_columns`; the reason is empty for what remains.
    records
        key, patient, site, label: one row per record, or one for each label of its examples.
    examples
        One row per example: site, label; or, with a column `count`, one row for several. None
        where there are no examples yet.
    """

    step: str
    kind: str
    reason: str
    records: pd.DataFrame
    examples: pd.DataFrame | None


def make_flow(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    rejected: Sequence[pd.DataFrame],
    target: Target,
    unit: str = "window",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Account for every record of a cohort, kept or refused.

    Parameters
    ----------
    records
        Every accepted record with its outcomes.
    examples
        The labelled examples of the target's cohort.
    rejected
        The refusals of all stages: ingest, the one that makes examples, cohort.
    target
        The rule that makes a label.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.

    Returns
    -------
    rejected
        All refusals in one table, with the record's label in words, the `step` that was not
        passed, and `decides`: whether this row is the one for which the record left. A record
        with another example that went further, or on, has rows that do not decide.
    flow
        step (see `STEPS_OF`), site (or "all"), label (the names of the classes, or positive and
        negative; unlabelled; or all), records (called what they are: recordings, images), patients
        and examples that remain. What ingest refused has no outcomes to be trusted and counts as
        unlabelled, as does what was refused before its tiles got a class each; a record with tiles
        of several classes counts under each, and once in all. A record without a patient counts as
        none; there are no examples before they are cut.

    Raises
    ------
    InputError
        Naming a record that is neither kept nor refused, or one that ingest never accepted.
    """
    steps, words = STEPS_OF[unit], label_words(names_of_classes(target))
    refused = pd.concat([table[REFUSAL_COLUMNS] for table in rejected], ignore_index=True)
    at_ingest = (refused["stage"] == "ingest").to_numpy()
    passed = steps.before_refusal(refused)
    last_step = len(steps.names) - 1
    reached = _furthest_step(records, examples, last_step, refused[~at_ingest], passed[~at_ingest])
    labels = in_words(_labels_of_records(records, target), words)
    names = pd.Series(labels, index=records["record"].to_numpy(), dtype=object)
    refused["label"] = names.reindex(refused["record"]).to_numpy()
    refused.loc[at_ingest, "label"] = NO_CLASS
    refused["step"] = [steps.names[step + 1] for step in passed]
    furthest = pd.Series(reached, index=records["record"].to_numpy())
    last = passed == furthest.reindex(refused["record"]).to_numpy()
    first = ~refused.assign(passed=passed).duplicated(["record", "passed"])
    refused["decides"] = at_ingest | (last & first.to_numpy())
    account = follow(records, examples, refused, unit=unit, classes=names_of_classes(target))
    remaining = account[account["kind"] == REMAINING]
    return refused, remaining[flow_columns(unit)].reset_index(drop=True)


def _labels_of_records(records: pd.DataFrame, target: Target) -> npt.NDArray[np.int8]:
    """Return the label of each record, none where classes belong to its tiles alone."""
    if not set(columns_of(target)) <= set(records):
        return np.full(len(records), UNLABELLED, np.int8)
    if isinstance(target, Classes):
        # Whether a strange value is a mistake, the cohort stage has decided.
        target = dataclasses.replace(target, others="unlabelled")
    return apply_target(records, target)[0]


def _furthest_step(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    last_step: int,
    refused: pd.DataFrame,
    passed: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    # A record with several examples has come as far as the best of them.
    names = pd.concat([refused["record"], examples["parent"]], ignore_index=True)
    steps = np.concatenate([passed, np.full(len(examples), last_step)])
    reached = pd.Series(steps, index=names).groupby(level=0).max()
    strange = names[~names.isin(records["record"])]
    if len(strange):
        raise InputError(
            f"flow: {strange.iloc[0]!r} is kept or refused but not among the records; the tables "
            f"are of different runs. {_AGAIN}"
        )
    found = reached.reindex(records["record"])
    vanished = found[found.isna()]
    if len(vanished):
        raise InputError(
            f"flow: record {vanished.index[0]!r} is neither kept nor refused ({len(vanished)} "
            f"such); the tables are of different runs. {_AGAIN}"
        )
    return found.to_numpy(np.int64)


_AGAIN = "Run the stages from ingest on again."


# The account -------------------------------------------------------------------------------------


def follow(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    rejected: pd.DataFrame,
    split: pd.DataFrame | None = None,
    samples: pd.DataFrame | None = None,
    fold: int = 0,
    *,
    unit: str = "window",
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Follow a cohort from what was acquired to what one network of one fold is trained on.

    Parameters
    ----------
    records
        Every accepted record; its column ``record`` is enough.
    examples
        The labelled examples of the cohort.
    rejected
        All refusals, as `make_flow` returns them.
    split
        The assignment of the same examples to folds and test sets, or None to end with the
        cohort. Its column ``reason``, where it has one, says why an example was excluded.
    samples
        The training rows drawn from the split, or None to end with the training part.
    fold
        The fold that is followed; its first bag is shown.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    classes
        Names of the classes in the order of their labels; None for positive and negative.

    Returns
    -------
    pandas.DataFrame
        The columns `account_columns`. At each step the rows of the kind "remaining" say what goes
        on, those of the other kinds what leaves, and why; "left out in part" counts records that
        go on without some of their tiles, and these tiles. `site` and `label` are given one by one
        and as "all"; the total comes behind a site that is itself named "all". `examples` is
        missing before they are cut. Records add up from step to step until examples are assigned,
        and examples from there on; patients do not, since one may have several records, and
        neither do records by label where their tiles have classes of their own.

    Raises
    ------
    InputError
        Naming a record or example that leaves one step and does not arrive at the next, or that
        arrives twice.
    """
    words = label_words(classes)
    kept = _as_examples(examples, words)
    groups = list(_cohort_groups(records, kept, rejected, unit))
    if split is not None:
        assigned = _as_examples(split, words)
        groups += _split_groups(kept, split, assigned)
        groups += _fold_groups(split, assigned, samples, fold)
    sites = sorted({site for group in groups for site in group.records["site"]})
    labels = list(words.values())
    found = {label for group in groups for label in group.records["label"]}
    if not found <= set(labels):
        labels = sorted(found)
    rows = [row for group in groups for row in _count(group, sites, labels)]
    account = pd.DataFrame(rows, columns=account_columns(unit))
    return account.astype({"examples": "Int64"})


def _cohort_groups(
    records: pd.DataFrame, kept: pd.DataFrame, rejected: pd.DataFrame, unit: str
) -> Iterator[Group]:
    steps = STEPS_OF[unit]
    refused = rejected.assign(
        site=_names(rejected["site"]), patient=rejected["patient"].fillna("").astype(str)
    )
    # Ingest may refuse two records of one name.
    refused["key"] = [f"refused {number}" for number in range(len(refused))]
    decided = refused[refused["decides"].to_numpy(bool)]
    at_ingest = rejected["record"][rejected["step"] == steps.names[_INGESTED]]
    before = pd.concat([records["record"], at_ingest], ignore_index=True)
    kept_records = kept["record"].drop_duplicates()
    what = (steps.names[_FOUND], NOUNS[unit].record)
    _check_adds_up(*what, before, [kept_records, decided["record"]])
    strange = refused[~refused["step"].isin(steps.names[1:])]
    if len(strange):
        raise InputError(
            f"flow: record {strange['record'].iloc[0]!r} was refused at a step "
            f"{strange['step'].iloc[0]!r}, which is none of {list(steps.names[1:])}. Run the flow "
            "stage again."
        )
    step_of = {step: number for number, step in enumerate(steps.names)}
    fails = decided["step"].map(step_of).to_numpy(np.int64)
    example_fails = refused["step"].map(step_of).to_numpy(np.int64)
    for number, step in enumerate(steps.names):
        yield from _refused_groups(refused[example_fails == number], step, number, steps)
        remaining = pd.concat([_records_of(kept), decided[fails > number]], ignore_index=True)
        there = pd.concat([kept, refused[example_fails > number]], ignore_index=True)
        yield Group(step, REMAINING, "", remaining, there if number >= steps.cut else None)


def _refused_groups(refused: pd.DataFrame, step: str, number: int, steps: Steps) -> Iterator[Group]:
    """Yield what one step refused, reason by reason.

    A refusal at the step that cuts examples stands for a record, and maybe for many of its tiles
    while others go on; later ones stand for one example each.
    """
    for reason in _most_frequent_first(refused["reason"]):
        rows = refused[refused["reason"] == reason]
        decided = rows[rows["decides"].to_numpy(bool)]
        of_tiles = "tile" in steps.passed and number == steps.cut
        if len(decided) or not of_tiles:
            yield Group(step, LEFT_OUT, reason, decided, rows if number > steps.cut else None)
        in_part = rows[~rows["record"].isin(decided["record"])].drop_duplicates("record")
        if len(in_part) and of_tiles:
            yield Group(step, IN_PART, reason, in_part, _tiles_told(in_part))


def _tiles_told(refused: pd.DataFrame) -> pd.DataFrame | None:
    """Return refusals with the count of tiles that each tells of, None where one does not."""
    told = refused["detail"].str.extract(_TILES)[0]
    return None if told.isna().any() else refused.assign(count=told.astype(np.int64))


def _names(values: pd.Series) -> pd.Series:
    return values.fillna("").astype(str)


def _as_examples(table: pd.DataFrame, words: dict[int, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "example": table["example"].to_numpy(object),
            "record": table["parent"].to_numpy(object),
            "key": table["parent"].to_numpy(object),
            "patient": _names(table["patient"]).to_numpy(object),
            "site": _names(table["site"]).to_numpy(object),
            "label": in_words(table["label"], words),
        },
        index=table.index,
    )


def _records_of(examples: pd.DataFrame) -> pd.DataFrame:
    return examples.drop_duplicates(["record", "label"])


def _most_frequent_first(reasons: pd.Series) -> list[str]:
    counts = Counter(reasons.tolist())
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def _split_groups(kept: pd.DataFrame, split: pd.DataFrame, assigned: pd.DataFrame) -> list[Group]:
    _check_adds_up("labelled", "example", kept["example"], [split["example"]])
    reason = _names(split["reason"]) if "reason" in split else pd.Series("", index=split.index)
    excluded = split["test_set"] == "excluded"
    # A reason may go on to name the one example or group that it is about.
    why = reason[excluded].map(lambda text: text.partition(": ")[0] or EXCLUDED)
    step = "assigned by the split"
    groups: list[Group] = [
        _group(step, LEFT_OUT, word, assigned[excluded & (why.reindex(split.index) == word)])
        for word in _most_frequent_first(why)
    ]
    if groups:
        groups.append(_group(step, REMAINING, "", assigned[~excluded]))
    step = GIVEN_PARTS if _is_given(split) else CROSS_VALIDATION
    tests = {name: assigned[split["test_set"] == name] for name in _TEST_SETS}
    groups += [
        _group(step, TEST, _TEST_SETS[name], rows) for name, rows in tests.items() if len(rows)
    ]
    crossed = assigned[~excluded & (split["fold"] != -1)]
    tested = [rows["example"] for rows in tests.values()]
    _check_adds_up(step, "example", assigned["example"][~excluded], [*tested, crossed["example"]])
    groups.append(_group(step, REMAINING, "", crossed))
    return groups


def _is_given(split: pd.DataFrame) -> bool:
    """Return whether the data came with their parts: some are for training alone."""
    return bool((split["fold"] == ALWAYS_TRAINED).any())


def _fold_groups(
    split: pd.DataFrame, assigned: pd.DataFrame, samples: pd.DataFrame | None, fold: int
) -> list[Group]:
    given = _is_given(split)
    step = "training part" if given else f"training part of fold {fold + 1}"
    training, validation, stopping = (
        assigned.loc[rows(split, fold).index]
        for rows in (training_rows, validation_rows, inner_rows)
    )
    of_validation = "validation (as given)" if given else "validation (the fold itself)"
    groups = [_group(step, KEPT_APART, of_validation, validation)]
    if len(stopping):
        groups.append(_group(step, KEPT_APART, "early stopping (an inner part)", stopping))
    _check_adds_up(
        step,
        "example",
        assigned["example"][split["fold"] != -1],
        [training["example"], validation["example"], stopping["example"]],
    )
    groups.append(_group(step, REMAINING, "", training))
    if samples is None:
        return groups
    chosen = (samples["fold"] == fold) & (samples["bag"] == 0)
    if "inner" in samples:
        chosen &= samples["inner"] == 0
    rows = samples["row"][chosen]
    drawn = split["row"][training.index].isin(rows)
    outside = rows[~rows.isin(split["row"][training.index])]
    if len(outside):
        raise InputError(
            f"flow: row {outside.iloc[0]} is drawn for fold {fold} but outside its training part; "
            "split and sample are of different runs. Run the sample stage again."
        )
    step = "trained on" if given else f"trained on in fold {fold + 1}"
    if not drawn.all():
        groups.append(_group(step, KEPT_APART, "not drawn (under-sampling)", training[~drawn]))
    return [*groups, _group(step, REMAINING, "", training[drawn])]


def _group(step: str, kind: str, reason: str, examples: pd.DataFrame) -> Group:
    return Group(step, kind, reason, _records_of(examples), examples)


def _check_adds_up(step: str, noun: str, before: pd.Series, parts: Sequence[pd.Series]) -> None:
    here = Counter(before.tolist())
    there = Counter(name for part in parts for name in part.tolist())
    lost, gained = here - there, there - here
    for names, what in [(lost, "is in no box after it"), (gained, "is counted once too often")]:
        if names:
            listed = ", ".join(repr(name) for name in sorted(map(str, names))[:3])
            raise InputError(
                f"flow: the step {step!r} does not add up: {noun} {listed} {what} "
                f"({sum(names.values())} such); the tables are of different runs. Run the flow "
                "and split stages again."
            )


def _count(
    group: Group, sites: Sequence[str], labels: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    records = _tally_distinct(group.records, "key")
    examples = None
    if group.examples is not None:
        examples = _tally(group.examples)
    patients = _tally_distinct(group.records[group.records["patient"] != ""], "patient")
    # Totals last: a site may be called "all" as well.
    for site in [*((site, site) for site in sites), (ALL, None)]:
        for label in [*((label, label) for label in labels), (ALL, None)]:
            key = (site[1], label[1])
            yield (
                group.step,
                group.kind,
                group.reason,
                site[0],
                label[0],
                records[key],
                patients[key],
                pd.NA if examples is None else examples[key],
            )


def _tally(examples: pd.DataFrame) -> Counter[tuple[str | None, str | None]]:
    """Count examples by site and label; None stands for all of them."""
    keys = zip(examples["site"], examples["label"], strict=True)
    if "count" in examples:
        numbers: Counter[tuple[str, str]] = Counter()
        for key, number in zip(keys, examples["count"].tolist(), strict=True):
            numbers[key] += number
    else:
        numbers = Counter(keys)
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for (site, label), number in numbers.items():
        for place in [(site, label), (site, None), (None, label), (None, None)]:
            counts[place] += number
    return counts


def _tally_distinct(records: pd.DataFrame, column: str) -> Counter[tuple[str | None, str | None]]:
    """Count what differs in a column by site and label; one at two sites counts once in all."""
    keys = set(zip(records[column], records["site"], records["label"], strict=True))
    counted = {
        (name, *key)
        for name, site, label in keys
        for key in [(site, label), (site, None), (None, label), (None, None)]
    }
    return Counter((site, label) for _, site, label in counted)
