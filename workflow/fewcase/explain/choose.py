"""Which examples of a run are explained: drawn by chance, extreme, or shared by all runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.explain.map_files import TRAINING
from fewcase.study.explanations import ExplainOptions
from fewcase.study.splits import TESTED

CASE_COLUMNS = ["row", "example", "parent", "patient", "site", "role", "label"]
_STREAM = 0xE7A1


def choose_cases(
    predictions: pd.DataFrame, split: pd.DataFrame, options: ExplainOptions, seed: int, fold: int
) -> pd.DataFrame:
    """Choose the examples of a run that are explained.

    Drawn are validation examples of the fold, or, where it validates none, test examples: one of
    each class after the other, as long as there are any. Extremes are held-out examples of either
    kind: those called rightly with the highest score, those called wrongly with the highest, and
    those whose two highest scores are closest. Shared examples are the same for all runs under a
    split: test examples where there are any or validation examples of the only fold, so that no
    network has seen them, and otherwise any.

    Parameters
    ----------
    predictions
        Of the run: row, example, parent, patient, site, role, label, score_0, ….
    split
        As `fewcase.splits.folds.read_split` returns it.
    options
        How many of each.
    seed, fold
        Of the run; the shared ones do not depend on them.

    Returns
    -------
    pandas.DataFrame
        `CASE_COLUMNS`, and drawn and shared (bool). Each example stands once, the drawn first and
        in the order of drawing, which takes the classes in turns.
    """
    tried = held_out(predictions)
    roles = tried["role"].to_numpy()
    of_fold = tried[roles == ("validation" if (roles == "validation").any() else "test")]
    random = np.random.default_rng([_STREAM, seed, fold])
    drawn = _in_turns(of_fold["label"].to_numpy(), options.cases, random)
    chosen = [of_fold.iloc[drawn].assign(drawn=True, shared=False)]
    extreme = extreme_places(tried, options.extremes)
    chosen.append(tried.iloc[extreme].assign(drawn=False, shared=False))

    common = split[split["test_set"].isin(TESTED)]
    if common.empty:
        # Of one fold, every run validates the same examples.
        one_fold = split["fold"].max() == 0
        common = split[split["fold"] == 0] if one_fold else split[split["test_set"] == ""]
    places = _in_turns(common["label"].to_numpy(), options.shared, np.random.default_rng([_STREAM]))
    common = common.iloc[places]
    known = tried.set_index("row")["role"]
    role = common["row"].map(known).fillna(TRAINING)
    chosen.append(common.assign(role=role, drawn=False, shared=True))
    table = pd.concat(chosen, ignore_index=True)
    table["shared"] = table["row"].isin(common["row"])
    return table.drop_duplicates("row")[[*CASE_COLUMNS, "drawn", "shared"]].reset_index(drop=True)


def held_out(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of examples that the run neither trained nor stopped by."""
    return predictions[predictions["role"].isin(["validation", "test"])]


def extreme_places(predictions: pd.DataFrame, each: int) -> list[int]:
    """Return the places of the most confident right, most confident wrong and most divided."""
    names = [name for name in map(str, predictions.columns) if name.startswith("score_")]
    scores = predictions[names].to_numpy(np.float64)
    if not len(scores):
        return []
    right = scores.argmax(axis=1) == predictions["label"].to_numpy()
    ordered = np.sort(scores, axis=1)
    confidence, gap = ordered[:, -1], ordered[:, -1] - ordered[:, -2]
    places: list[int] = []
    for mask, key in ((right, -confidence), (~right, -confidence), (right | ~right, gap)):
        order = np.argsort(key, kind="stable")
        places += [int(place) for place in order if mask[place]][:each]
    return list(dict.fromkeys(places))


def _in_turns(
    labels: npt.NDArray[np.int64], count: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return places of one example of each class after the other, chosen by chance."""
    order = random.permutation(len(labels))
    turn = pd.Series(labels[order]).groupby(labels[order]).cumcount().to_numpy()
    return order[np.lexsort([labels[order], turn])][:count]
