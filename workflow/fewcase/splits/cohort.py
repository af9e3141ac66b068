"""The cohort of a target: its labelled examples, and a reason for each example left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fewcase.splits.targets import UNLABELLED, Labels, Reasons, apply_target
from fewcase.study.errors import InputError
from fewcase.study.targets import Target, columns_of

EXAMPLE_COLUMNS = ["row", "example", "parent", "patient", "site", "date", "part", "label"]
"""Columns of the labelled examples; `part` where the examples have it."""

SIGNAL_LOST = "too much signal lost"
NO_LABEL = "no label"


def make_cohort(
    examples: pd.DataFrame,
    quality: pd.DataFrame | None,
    records: pd.DataFrame,
    target: Target,
    max_missing: float = 1.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the examples that have a label and, where they are of signals, enough of the signal.

    Parameters
    ----------
    examples
        One row per example of the stage that makes them: row, example, parent, patient, site,
        date; part where the data come with parts; and for tiles with classes of their own the
        columns that the target is made from.
    quality
        Per example, the share of FHR samples `missing` after noise processing; None of images.
    records
        Every accepted record with its outcomes.
    target
        The rule that makes a label, of an example's own columns if it has them, else its record's.
    max_missing
        An example with a larger share of missing FHR is refused.

    Returns
    -------
    examples
        The labelled examples with their int8 `label`, in the order given.
    refused
        record, patient, site, stage ("cohort"), reason and detail of every other example.

    Raises
    ------
    InputError
        If no example is left, if a column is missing, or if the tables do not belong together.
    """
    _check_together(examples, quality, records)
    if quality is None:
        missing = np.zeros(len(examples))
        label, why = label_examples(examples, records, target)
    else:
        # What a window has of its own, such as a time, is none of its recording's outcomes.
        label, why = label_examples(examples[["example", "parent"]], records, target)
        missing = quality.set_index("example")["missing"].reindex(examples["example"]).to_numpy()
    clean = missing <= max_missing  # an unknown share is no proof of a usable signal
    kept = clean & (label != UNLABELLED)

    lost = [
        f"share of missing FHR is {share:.3f}; at most {max_missing:g} is allowed"
        for share in missing[~clean]
    ]
    refused = pd.concat(
        [
            _refusals(examples[~clean], SIGNAL_LOST, lost),
            _refusals(examples[clean & ~kept], NO_LABEL, why[clean & ~kept]),
        ],
        ignore_index=True,
    )
    if not kept.any():
        counts = refused["reason"].value_counts()
        found = ", ".join(f"{reason} {count}" for reason, count in counts.items()) or "nothing"
        others = ", signal.max_missing and the recordings" if quality is not None else ""
        raise InputError(
            f"cohort: none of {len(examples)} examples of {len(records)} records is left; refused: "
            f"{found}. Check the target's column{others or ' and its classes'}."
        )
    columns = [name for name in EXAMPLE_COLUMNS if name == "label" or name in examples]
    return examples.assign(label=label)[kept][columns].reset_index(drop=True), refused


def label_examples(
    examples: pd.DataFrame, records: pd.DataFrame, target: Target
) -> tuple[Labels, Reasons]:
    """Label examples by their own columns where they have those of the target, else by records.

    Returns
    -------
    labels
        int8, one per example; -1 for none.
    reasons
        Why an example has no label; empty where it has one.
    """
    if set(columns_of(target)) <= set(examples):
        return apply_target(examples.assign(record=examples["example"]), target)
    labels, reasons = apply_target(records, target)
    outcome = pd.DataFrame({"label": labels, "why": reasons}, index=records["record"])
    found = outcome.reindex(examples["parent"])
    return found["label"].to_numpy(np.int8), found["why"].to_numpy(object)


def _refusals(examples: pd.DataFrame, reason: str, details: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "record": examples["parent"],
            "patient": examples["patient"],
            "site": examples["site"],
            "stage": "cohort",
            "reason": reason,
            "detail": [
                f"{example}: {detail}"
                for example, detail in zip(examples["example"], details, strict=True)
            ],
        }
    )


def _check_together(
    examples: pd.DataFrame, quality: pd.DataFrame | None, records: pd.DataFrame
) -> None:
    maker = "the signal stage" if quality is not None else "the stage that makes the examples"
    named = [(records, "record", "records", "the ingest stage")]
    named.append((examples, "example", "examples", maker))
    pairs = [(examples["parent"], records["record"], "records")]
    if quality is not None:
        named.append((quality, "example", "quality", maker))
        pairs.insert(0, (examples["example"], quality["example"], "quality"))
    for table, column, name, stage in named:
        twice = table[column][table[column].duplicated()]
        if len(twice):
            raise InputError(
                f"{name}: {column} {twice.iloc[0]!r} is there twice; run {stage} again."
            )
    for wanted, known, name in pairs:
        unknown = wanted[~wanted.isin(known)]
        if len(unknown):
            raise InputError(
                f"{name}: no row for {unknown.iloc[0]!r}, which the examples have; the tables are "
                f"of different runs. Run {maker} again."
            )
