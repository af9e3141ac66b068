"""The steps that a cohort goes through before any split, and the words for its labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.splits.cohort import NO_LABEL
from fewcase.splits.targets import NEGATIVE, POSITIVE, UNLABELLED
from fewcase.study.errors import InputError
from fewcase.study.targets import Classes, Target

ALL = "all"
"""What stands for all sites or all labels in a table of counts."""

NO_CLASS = "unlabelled"
YES_OR_NO = {POSITIVE: "positive", NEGATIVE: "negative", UNLABELLED: NO_CLASS}
"""Words for the labels of a rule that says yes or no, in the order of tables."""


@dataclasses.dataclass(frozen=True)
class Steps:
    """The steps of a cohort.

    Attributes
    ----------
    names
        In their order.
    cut
        Place of the first step after which there are examples.
    passed
        By stage of a refusal, the place of the last step that was passed before it.
    """

    names: tuple[str, ...]
    cut: int
    passed: Mapping[str, int]

    def before_refusal(self, refused: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Return the place of the last step that each refused row had passed.

        Raises
        ------
        InputError
            For a stage that such a cohort does not have.
        """
        strange = refused[~refused["stage"].isin(self.passed)]
        if len(strange):
            raise InputError(
                f"flow: record {strange['record'].iloc[0]!r} was refused at stage "
                f"{strange['stage'].iloc[0]!r}, expected one of {list(self.passed)}. Run the "
                "stages from ingest on again."
            )
        places = refused["stage"].map(self.passed).to_numpy(np.int64)
        return np.where(refused["reason"] == NO_LABEL, len(self.names) - 2, places)


STEPS_OF = {
    "window": Steps(
        ("recorded", "ingested", "window long enough", "signal quality", "labelled"),
        2,
        {"ingest": 0, "signal": 1, "cohort": 2},
    ),
    "image": Steps(("found", "ingested", "labelled"), 1, {"ingest": 0, "cohort": 1}),
    "tile": Steps(
        ("found", "ingested", "cut into tiles with tissue", "labelled"),
        2,
        {"ingest": 0, "tile": 1, "cohort": 2},
    ),
}
"""By unit of the cohort."""


def names_of_classes(target: Target) -> tuple[str, ...] | None:
    """Return the names of a target's classes, or None where its rule says yes or no."""
    return target.classes if isinstance(target, Classes) else None


def label_words(classes: Sequence[str] | None) -> dict[int, str]:
    """Return what each label is called, in the order of tables.

    Parameters
    ----------
    classes
        Names of the classes 0, 1, …; None, or negative and positive, for a rule that says yes or
        no.

    Raises
    ------
    InputError
        For a class that bears a name of the tables themselves.
    """
    if classes is None or tuple(classes) == (YES_OR_NO[NEGATIVE], YES_OR_NO[POSITIVE]):
        return dict(YES_OR_NO)
    for name in classes:
        if name in (ALL, NO_CLASS):
            raise InputError(
                f"target: a class is called {name!r}, a word that the tables of counts have of "
                "their own; give it another name."
            )
    return {**dict(enumerate(classes)), UNLABELLED: NO_CLASS}


def in_words(labels: npt.ArrayLike, words: Mapping[int, str]) -> list[str]:
    """Return labels in words.

    Raises
    ------
    InputError
        For a label beyond the classes that were named.
    """
    values = np.asarray(labels).tolist()
    unknown = sorted(set(values) - set(words))
    if not unknown:
        return [words[value] for value in values]
    if words == YES_OR_NO:
        return [NO_CLASS if value == UNLABELLED else f"class {value}" for value in values]
    raise InputError(
        f"flow: label {unknown[0]} is none of the classes {list(words.values())[:-1]}; the "
        "examples are of another target. Run the cohort stage again."
    )
