"""The flow of a cohort: recordings and patients that remain after each step, none lost unseen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.cohort import NO_LABEL
from fewcase.splits.targets import NEGATIVE, POSITIVE, UNLABELLED, apply_target
from fewcase.study.errors import InputError
from fewcase.study.targets import Target

STEPS = ("recorded", "ingested", "window long enough", "signal quality", "labelled")
REFUSAL_COLUMNS = ["record", "patient", "site", "stage", "reason", "detail"]

_LABEL_NAMES = {POSITIVE: "positive", NEGATIVE: "negative", UNLABELLED: "unlabelled"}
_RECORDED, _INGESTED, _LONG_ENOUGH, _CLEAN, _LABELLED = range(len(STEPS))


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
        All refusals in one table.
    flow
        step (see `STEPS`), site (or "all"), label (positive, negative, unlabelled, or all),
        recordings and patients that remain. What ingest refused has no outcomes to be trusted and
        counts as unlabelled; a recording without a patient counts as none.

    Raises
    ------
    InputError
        Naming a record that is neither kept nor refused, or one that ingest never accepted.
    """
    refused = pd.concat([table[REFUSAL_COLUMNS] for table in rejected], ignore_index=True)
    at_ingest = refused["stage"] == "ingest"
    reached = _furthest_step(records, examples, refused[~at_ingest])
    labels, _ = apply_target(records, target)
    columns = ["record", "patient", "site"]
    recordings = pd.concat(
        [
            records[columns].assign(label=labels, reached=reached),
            refused[at_ingest][columns].assign(label=np.int8(UNLABELLED), reached=_RECORDED),
        ],
        ignore_index=True,
    )
    flow = _count(recordings)
    _check_sums(flow, kept=examples["parent"].nunique(), recorded=len(recordings))
    return refused, flow


def _furthest_step(
    records: pd.DataFrame, examples: pd.DataFrame, refused: pd.DataFrame
) -> npt.NDArray[np.int64]:
    # A record with several examples has come as far as the best of them.
    passed = np.select(
        [refused["stage"] == "signal", refused["reason"] == NO_LABEL],
        [_INGESTED, _CLEAN],
        _LONG_ENOUGH,
    )
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


def _count(recordings: pd.DataFrame) -> pd.DataFrame:
    recordings = recordings.assign(
        site=recordings["site"].fillna("").astype(str),
        patient=recordings["patient"].replace("", None),
    )
    everywhere = recordings.assign(site="all")
    both = pd.concat([recordings, everywhere.assign(last=1)]).fillna({"last": 0})
    rows = []
    for step, name in enumerate(STEPS):
        for (_, site), here in both.groupby(["last", "site"]):
            left = here[here["reached"] >= step]
            for label, label_name in _LABEL_NAMES.items():
                chosen = left[left["label"] == label]
                rows.append((name, site, label_name, len(chosen), chosen["patient"].nunique()))
            rows.append((name, site, "all", len(left), left["patient"].nunique()))
    return pd.DataFrame(rows, columns=["step", "site", "label", "recordings", "patients"])


def _check_sums(flow: pd.DataFrame, kept: int, recorded: int) -> None:
    counts = flow.set_index(["step", "site", "label"])["recordings"]
    assert counts["recorded", "all", "all"] == recorded, "a recording is missing from the flow"
    assert counts["labelled", "all", "all"] == kept, "a kept recording is missing from the flow"
    assert counts["labelled", "all", "unlabelled"] == 0, "an unlabelled recording was kept"
    by_label = counts.unstack("label")
    parts = by_label[list(_LABEL_NAMES.values())].sum(axis=1)
    assert (parts == by_label["all"]).all(), "the labels of a step do not add up"
