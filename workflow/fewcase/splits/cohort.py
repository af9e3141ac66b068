"""The cohort of a target: its labelled examples, and a reason for each example left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fewcase.splits.targets import UNLABELLED, apply_target
from fewcase.study.errors import InputError
from fewcase.study.targets import Target

EXAMPLE_COLUMNS = ["row", "example", "parent", "patient", "site", "date", "label"]
SIGNAL_LOST = "too much signal lost"
NO_LABEL = "no label"


def make_cohort(
    examples: pd.DataFrame,
    quality: pd.DataFrame,
    records: pd.DataFrame,
    target: Target,
    max_missing: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the examples that have enough signal and a label.

    Parameters
    ----------
    examples
        One row per example of the signal stage (row, example, parent, patient, site, date).
    quality
        Per example, the share of FHR samples `missing` after noise processing.
    records
        Every accepted record with its outcomes.
    target
        The rule that labels a record.
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
    labels, reasons = apply_target(records, target)
    outcome = pd.DataFrame({"label": labels, "why": reasons}, index=records["record"])
    _check_together(examples, quality, records)

    missing = quality.set_index("example")["missing"].reindex(examples["example"]).to_numpy()
    clean = missing <= max_missing  # an unknown share is no proof of a usable signal
    label = outcome["label"].reindex(examples["parent"]).to_numpy(np.int8)
    why = outcome["why"].reindex(examples["parent"]).to_numpy(object)
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
        raise InputError(
            f"cohort: none of {len(examples)} examples of {len(records)} records is left; refused: "
            f"{found}. Check the target's column, signal.max_missing and the recordings."
        )
    return examples.assign(label=label)[kept][EXAMPLE_COLUMNS].reset_index(drop=True), refused


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


def _check_together(examples: pd.DataFrame, quality: pd.DataFrame, records: pd.DataFrame) -> None:
    for table, column, name, stage in [
        (records, "record", "records", "ingest"),
        (examples, "example", "examples", "signal"),
        (quality, "example", "quality", "signal"),
    ]:
        twice = table[column][table[column].duplicated()]
        if len(twice):
            raise InputError(
                f"{name}: {column} {twice.iloc[0]!r} is there twice; run the {stage} stage again."
            )
    for wanted, known, name in [
        (examples["example"], quality["example"], "quality"),
        (examples["parent"], records["record"], "records"),
    ]:
        unknown = wanted[~wanted.isin(known)]
        if len(unknown):
            raise InputError(
                f"{name}: no row for {unknown.iloc[0]!r}, which the examples have; the tables are "
                "of different runs. Run the signal stage again."
            )
