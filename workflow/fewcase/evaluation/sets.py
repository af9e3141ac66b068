"""Sets of predictions that are scored by themselves: all, by site, by subgroup, by other labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from fewcase.evaluation.predictions import KINDS, Encoded
from fewcase.evaluation.subgroups import join_levels, relabel

WHOLE, VOTE, PART, LABEL = "whole", "vote", "part", "label"
"""How much is told of a set: everything; discrimination and accuracy; discrimination and decisions;
or discrimination alone."""

BY_PARENT = "-by-parent"
"""How the names of sets end whose units are the parents of examples."""
BY_PATIENT = "-by-patient"
"""The same of patients who have several images."""


@dataclasses.dataclass(frozen=True)
class ScoredSet:
    """Rows of `Encoded` that are scored under one name.

    Attributes
    ----------
    name
        ``cv``, ``test``, ``external``, ``temporal``, or one made of the first two such as
        ``cv-by-parent`` or ``cv-site:NAME``.
    rows
        Validation rows of all runs, or test rows of all runs.
    held_out
        Whether they are test rows.
    depth
        `WHOLE`, `VOTE`, `PART` or `LABEL`.
    problem
        Empty, or why nothing can be told of it.
    """

    name: str
    rows: pd.DataFrame
    held_out: bool
    depth: str
    problem: str = ""


def sets_of(
    encoded: Encoded,
    predictions: pd.DataFrame,
    subgroups: Mapping[str, pd.Series],
    labels: Mapping[str, pd.Series],
) -> Iterator[ScoredSet]:
    """Yield every set of an arm: those of cross-validation, then those of the tests.

    Parameters
    ----------
    encoded
        The predictions as numbers.
    predictions
        The same with names, rows numbered from 0.
    subgroups, labels
        See `fewcase.evaluation.scores.score_arm`.

    Raises
    ------
    InputError
        Where a parent is none of the records that the subgroups are given for.
    """
    levels = {
        name: join_levels(predictions["parent"], of_records, name)
        for name, of_records in subgroups.items()
    }
    for base, role in [("cv", "validation"), ("test", "test")]:
        rows = encoded.of_role(role)
        if rows.empty:
            continue
        held_out = role == "test"
        yield ScoredSet(base, rows, held_out, WHOLE)
        if held_out:
            yield from _kinds(rows)
        if (votes := rows_by_parent(encoded, rows)) is not None:
            yield ScoredSet(f"{base}{BY_PARENT}", votes, held_out, VOTE)
        elif (people := rows_by_patient(encoded, rows)) is not None:
            yield ScoredSet(f"{base}{BY_PATIENT}", people, held_out, VOTE)
        for code, site in enumerate(encoded.sites):
            if len(part := rows[rows["site"] == code]):
                yield ScoredSet(f"{base}-site:{site}", part, held_out, PART)
        for name, of_rows in levels.items():
            here = of_rows.loc[rows.index]
            for level in np.unique(here.to_numpy(str)).tolist():
                part = rows[(here == level).to_numpy()]
                yield ScoredSet(f"{base}-group:{name}={level}", part, held_out, PART)
        for target, others in labels.items():
            examples = predictions["example"].loc[rows.index]
            part = relabel(rows, examples, others)
            problem = _problem(part, encoded.classes, target)
            yield ScoredSet(f"{base}-label:{target}", part, held_out, LABEL, problem)


def rows_by_parent(encoded: Encoded, rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return rows whose units are the parents of their examples, whose scores are then averaged.

    Returns
    -------
    pandas.DataFrame or None
        None where examples are not the units, where no parent has several of them, or where one
        has examples of several classes, as a slide whose tiles show different tissues.
    """
    if encoded.unit != "example":
        return None
    parents = rows.groupby("parent")
    labels = parents["label"]
    several = (parents["example"].max() > parents["example"].min()).any()
    if not several or (labels.max() > labels.min()).any():
        return None
    return rows.assign(unit=rows["parent"])


def rows_by_patient(encoded: Encoded, rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return rows whose units are patients, whose examples' scores are then averaged.

    Returns
    -------
    pandas.DataFrame or None
        None where examples are not the units, where no patient has several of them, or where one
        has examples of several classes.
    """
    if encoded.unit != "example":
        return None
    patients = rows.groupby("patient")
    labels = patients["label"]
    several = (patients["example"].max() > patients["example"].min()).any()
    if not several or (labels.max() > labels.min()).any():
        return None
    return rows.assign(unit=rows["patient"])


def _kinds(rows: pd.DataFrame) -> Iterator[ScoredSet]:
    for code, kind in enumerate(KINDS):
        if len(part := rows[rows["kind"] == code]):
            yield ScoredSet(kind, part, True, WHOLE)


def _problem(rows: pd.DataFrame, classes: int, target: str) -> str:
    if rows.empty:
        return f"no example has a label of {target} as well"
    if rows["label"].max() >= classes:
        return f"{target} has more than the {classes} classes that were trained"
    return ""
