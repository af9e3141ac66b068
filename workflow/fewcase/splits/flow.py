"""The flow of a cohort: what remains after each step and what left for which reason, none lost."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.cohort import NO_LABEL
from fewcase.splits.folds import inner_rows, training_rows, validation_rows
from fewcase.splits.targets import NEGATIVE, POSITIVE, UNLABELLED, apply_target
from fewcase.study.errors import InputError
from fewcase.study.targets import Target

STEPS = ("recorded", "ingested", "window long enough", "signal quality", "labelled")
"""Steps of a cohort, before any split."""

REFUSAL_COLUMNS = ["record", "patient", "site", "stage", "reason", "detail"]
FLOW_COLUMNS = ["step", "site", "label", "recordings", "patients", "examples"]
ACCOUNT_COLUMNS = ["step", "kind", "reason", *FLOW_COLUMNS[1:]]

REMAINING, LEFT_OUT, TEST, KEPT_APART = "remaining", "left out", "test", "kept apart"
"""Kinds of an account's rows: what goes on, what is refused, test sets, parts of other use."""

ALL = "all"
EXCLUDED = "excluded by the split"

_LABEL_NAMES = {POSITIVE: "positive", NEGATIVE: "negative", UNLABELLED: "unlabelled"}
_RECORDED, _INGESTED, _LONG_ENOUGH, _CLEAN, _LABELLED = range(len(STEPS))
_TEST_SETS = {"temporal": "temporal test", "external": "external test"}


@dataclasses.dataclass(frozen=True)
class Group:
    """Some recordings, and their examples where windows have been cut, in one box of the flow.

    Attributes
    ----------
    step
        The step that they passed (`REMAINING`) or that took them out (any other kind).
    kind, reason
        See `ACCOUNT_COLUMNS`; the reason is empty for what remains.
    recordings
        One row per recording: record, patient, site, label.
    examples
        One row per example: example, site, label; None before windows are cut.
    """

    step: str
    kind: str
    reason: str
    recordings: pd.DataFrame
    examples: pd.DataFrame | None


def make_flow(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    rejected: Sequence[pd.DataFrame],
    target: Target,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Account for every recording of a cohort, kept or refused.

    Parameters
    ----------
    records
        Every accepted record with its outcomes.
    examples
        The labelled examples of the target's cohort.
    rejected
        The refusals of ingest, of the signal stage and of the cohort stage.
    target
        The rule that labels a record.

    Returns
    -------
    rejected
        All refusals in one table, with the record's label in words, the `step` that was not
        passed, and `decides`: whether this row is the one for which the recording left. A
        recording with another example that went further, or on, has rows that do not decide.
    flow
        step (see `STEPS`), site (or "all"), label (positive, negative, unlabelled, or all),
        recordings, patients and examples that remain. What ingest refused has no outcomes to be
        trusted and counts as unlabelled; a recording without a patient counts as none; there are
        no examples before windows are cut.

    Raises
    ------
    InputError
        Naming a record that is neither kept nor refused, or one that ingest never accepted.
    """
    refused = pd.concat([table[REFUSAL_COLUMNS] for table in rejected], ignore_index=True)
    at_ingest = (refused["stage"] == "ingest").to_numpy()
    passed = _passed_before_refusal(refused)
    reached = _furthest_step(records, examples, refused[~at_ingest], passed[~at_ingest])
    labels, _ = apply_target(records, target)
    names = pd.Series(_in_words(labels), index=records["record"].to_numpy(), dtype=object)
    refused["label"] = names.reindex(refused["record"]).to_numpy()
    refused.loc[at_ingest, "label"] = _LABEL_NAMES[UNLABELLED]
    refused["step"] = [STEPS[step + 1] for step in passed]
    furthest = pd.Series(reached, index=records["record"].to_numpy())
    last = passed == furthest.reindex(refused["record"]).to_numpy()
    first = ~refused.assign(passed=passed).duplicated(["record", "passed"])
    refused["decides"] = at_ingest | (last & first.to_numpy())
    account = follow(records, examples, refused)
    remaining = account[account["kind"] == REMAINING]
    return refused, remaining[FLOW_COLUMNS].reset_index(drop=True)


def _in_words(labels: npt.ArrayLike) -> list[str]:
    values = np.asarray(labels).tolist()
    if set(values) <= set(_LABEL_NAMES):
        return [_LABEL_NAMES[value] for value in values]
    return ["unlabelled" if value == UNLABELLED else f"class {value}" for value in values]


def _passed_before_refusal(refused: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the last step that each refused row had passed."""
    return np.select(
        [
            refused["stage"] == "ingest",
            refused["stage"] == "signal",
            refused["reason"] == NO_LABEL,
        ],
        [_RECORDED, _INGESTED, _CLEAN],
        _LONG_ENOUGH,
    )


def _furthest_step(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    refused: pd.DataFrame,
    passed: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    # A record with several examples has come as far as the best of them.
    names = pd.concat([refused["record"], examples["parent"]], ignore_index=True)
    steps = np.concatenate([passed, np.full(len(examples), _LABELLED)])
    reached = pd.Series(steps, index=names).groupby(level=0).max()
    strange = names[~names.isin(records["record"])]
    if len(strange):
        raise InputError(
            f"flow: {strange.iloc[0]!r} is kept or refused but not among the records; the tables "
            "are of different runs. Run the signal stage again."
        )
    found = reached.reindex(records["record"])
    vanished = found[found.isna()]
    if len(vanished):
        raise InputError(
            f"flow: record {vanished.index[0]!r} is neither kept nor refused ({len(vanished)} "
            "such); the tables are of different runs. Run the signal stage again."
        )
    return found.to_numpy(np.int64)


# The account -------------------------------------------------------------------------------------


def follow(
    records: pd.DataFrame,
    examples: pd.DataFrame,
    rejected: pd.DataFrame,
    split: pd.DataFrame | None = None,
    samples: pd.DataFrame | None = None,
    fold: int = 0,
) -> pd.DataFrame:
    """Follow a cohort from what was recorded to what one network of one fold is trained on.

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
        The under-sampled training rows of the split, or None to end with the training part.
    fold
        The fold that is followed; its first bag is shown.

    Returns
    -------
    pandas.DataFrame
        The columns `ACCOUNT_COLUMNS`. At each step the rows of the kind "remaining" say what goes
        on, those of the other kinds what leaves, and why. `site` and `label` are given one by one
        and as "all"; the total comes behind a hospital that is itself named "all". `examples` is
        missing before windows are cut. Recordings add up from step to step until windows are
        assigned, examples from there on; patients do not, since one may have several recordings.

    Raises
    ------
    InputError
        Naming a recording or example that leaves one step and does not arrive at the next, or
        that arrives twice.
    """
    groups = list(_cohort_groups(records, examples, rejected))
    if split is not None:
        groups += _split_groups(examples, split)
        groups += _fold_groups(split, samples, fold)
    sites = sorted({site for group in groups for site in group.recordings["site"]})
    found = {label for group in groups for label in group.recordings["label"]}
    words = list(_LABEL_NAMES.values())
    labels = words if found <= set(words) else sorted(found)
    rows = [row for group in groups for row in _count(group, sites, labels)]
    account = pd.DataFrame(rows, columns=ACCOUNT_COLUMNS)
    return account.astype({"examples": "Int64"})


def _cohort_groups(
    records: pd.DataFrame, examples: pd.DataFrame, rejected: pd.DataFrame
) -> Iterator[Group]:
    kept_examples = _as_examples(examples)
    kept = kept_examples.drop_duplicates("record").drop(columns="example")
    refused = rejected.assign(
        site=_names(rejected["site"]), patient=rejected["patient"].fillna("").astype(str)
    )
    decided = refused[refused["decides"].to_numpy(bool)]
    at_ingest = rejected["record"][rejected["step"] == STEPS[_INGESTED]]
    before = pd.concat([records["record"], at_ingest], ignore_index=True)
    _check_adds_up("recorded", "recording", before, [kept["record"], decided["record"]])
    step_of = {step: number for number, step in enumerate(STEPS)}
    strange = refused[~refused["step"].isin(STEPS[1:])]
    if len(strange):
        raise InputError(
            f"flow: record {strange['record'].iloc[0]!r} was refused at a step "
            f"{strange['step'].iloc[0]!r}, which is none of {list(STEPS[1:])}. Run the flow stage "
            "again."
        )
    fails = decided["step"].map(step_of).to_numpy(np.int64)
    example_fails = refused["step"].map(step_of).to_numpy(np.int64)
    for number, step in enumerate(STEPS):
        has_windows = number >= _CLEAN
        for reason in _most_frequent_first(refused["reason"][example_fails == number]):
            rows = refused[(example_fails == number) & (refused["reason"] == reason)]
            yield Group(
                step,
                LEFT_OUT,
                reason,
                rows[rows["decides"].to_numpy(bool)],
                rows if has_windows else None,
            )
        remaining = pd.concat([kept, decided[fails > number]], ignore_index=True)
        windows = pd.concat([kept_examples, refused[example_fails > number]], ignore_index=True)
        yield Group(step, REMAINING, "", remaining, windows if number >= _LONG_ENOUGH else None)


def _names(values: pd.Series) -> pd.Series:
    return values.fillna("").astype(str)


def _as_examples(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "example": table["example"].to_numpy(object),
            "record": table["parent"].to_numpy(object),
            "patient": _names(table["patient"]).to_numpy(object),
            "site": _names(table["site"]).to_numpy(object),
            "label": _in_words(table["label"]),
        }
    )


def _most_frequent_first(reasons: pd.Series) -> list[str]:
    counts = Counter(reasons.tolist())
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def _split_groups(examples: pd.DataFrame, split: pd.DataFrame) -> list[Group]:
    _check_adds_up("labelled", "example", examples["example"], [split["example"]])
    reason = _names(split["reason"]) if "reason" in split else pd.Series("", index=split.index)
    excluded = split["test_set"] == "excluded"
    # A reason may go on to name the one example or group that it is about.
    why = reason[excluded].map(lambda text: text.partition(": ")[0] or EXCLUDED)
    step = "assigned by the split"
    groups: list[Group] = [
        _group(step, LEFT_OUT, word, split[excluded & (why.reindex(split.index) == word)])
        for word in _most_frequent_first(why)
    ]
    assigned = split[~excluded]
    if groups:
        groups.append(_group(step, REMAINING, "", assigned))
    step = "cross-validation"
    tests = {name: assigned[assigned["test_set"] == name] for name in _TEST_SETS}
    groups += [
        _group(step, TEST, _TEST_SETS[name], rows) for name, rows in tests.items() if len(rows)
    ]
    crossed = assigned[assigned["fold"] >= 0]
    tested = [rows["example"] for rows in tests.values()]
    _check_adds_up(step, "example", assigned["example"], [*tested, crossed["example"]])
    groups.append(_group(step, REMAINING, "", crossed))
    return groups


def _fold_groups(split: pd.DataFrame, samples: pd.DataFrame | None, fold: int) -> list[Group]:
    step = f"training part of fold {fold + 1}"
    training, crossed = training_rows(split, fold), split[split["fold"] >= 0]
    validation, stopping = validation_rows(split, fold), inner_rows(split, fold)
    groups = [_group(step, KEPT_APART, "validation (the fold itself)", validation)]
    if len(stopping):
        groups.append(_group(step, KEPT_APART, "early stopping (an inner part)", stopping))
    _check_adds_up(
        step,
        "example",
        crossed["example"],
        [training["example"], validation["example"], stopping["example"]],
    )
    groups.append(_group(step, REMAINING, "", training))
    if samples is None:
        return groups
    chosen = (samples["fold"] == fold) & (samples["bag"] == 0)
    if "inner" in samples:
        chosen &= samples["inner"] == 0
    rows = samples["row"][chosen]
    drawn = training["row"].isin(rows)
    outside = rows[~rows.isin(training["row"])]
    if len(outside):
        raise InputError(
            f"flow: row {outside.iloc[0]} is drawn for fold {fold} but outside its training part; "
            "split and sample are of different runs. Run the sample stage again."
        )
    step = f"trained on in fold {fold + 1}"
    if not drawn.all():
        groups.append(_group(step, KEPT_APART, "not drawn (under-sampling)", training[~drawn]))
    return [*groups, _group(step, REMAINING, "", training[drawn])]


def _group(step: str, kind: str, reason: str, rows: pd.DataFrame) -> Group:
    examples = _as_examples(rows)
    return Group(step, kind, reason, examples.drop_duplicates("record"), examples)


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
    recordings = _tally(group.recordings["site"], group.recordings["label"])
    examples = None
    if group.examples is not None:
        examples = _tally(group.examples["site"], group.examples["label"])
    patients = _tally_patients(group.recordings)
    # Totals last: a hospital may be called "all" as well.
    for site in [*((site, site) for site in sites), (ALL, None)]:
        for label in [*((label, label) for label in labels), (ALL, None)]:
            key = (site[1], label[1])
            yield (
                group.step,
                group.kind,
                group.reason,
                site[0],
                label[0],
                recordings[key],
                patients[key],
                pd.NA if examples is None else examples[key],
            )


def _tally(sites: pd.Series, labels: pd.Series) -> Counter[tuple[str | None, str | None]]:
    """Count rows by site and label; None stands for all of them."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for (site, label), number in Counter(zip(sites, labels, strict=True)).items():
        for key in [(site, label), (site, None), (None, label), (None, None)]:
            counts[key] += number
    return counts


def _tally_patients(recordings: pd.DataFrame) -> Counter[tuple[str | None, str | None]]:
    """Count patients by site and label; one at two sites counts once in all."""
    named = recordings[recordings["patient"] != ""]
    keys = set(zip(named["patient"], named["site"], named["label"], strict=True))
    counted = {
        (patient, *key)
        for patient, site, label in keys
        for key in [(site, label), (site, None), (None, label), (None, None)]
    }
    return Counter((site, label) for _, site, label in counted)
