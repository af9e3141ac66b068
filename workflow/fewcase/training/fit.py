"""Fitting a classical model: from the rows of one run to the same outputs as a network's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.models.classical import CLASS_WEIGHT, fit_logistic, weighted_shares
from fewcase.models.shortcuts import encode_columns
from fewcase.study.errors import InputError
from fewcase.study.recipe import Recipe
from fewcase.training.outputs import (
    HISTORY_COLUMNS,
    Outputs,
    accuracy,
    inner_score,
    name_weights,
    prediction_table,
)
from fewcase.training.run_data import RunData


def fit_run(
    recipe: Recipe, data: RunData, tables: Sequence[pd.DataFrame], key: tuple[int, ...] = ()
) -> Outputs:
    """Fit one logistic regression per bag and predict every scored example.

    Parameters
    ----------
    recipe
        Its ``model_options`` go to scikit-learn.
    data
        The rows of the run; two classes or more.
    tables
        Features by ``row``, see `join_features`.
    key
        Seed and fold: solvers that draw numbers are seeded by it and the bag.
    """
    names, features = join_features(tables, data.rows)
    scored, inner = data.scored_positions(), data.scored_positions("inner")
    weights, logits, history = [], [], []
    for bag, training in enumerate(data.bags):
        started = time.monotonic()
        seed = int(np.random.SeedSequence([*key, bag]).generate_state(1)[0])
        model = fit_logistic(
            features[training], data.labels[training], recipe.model_options, seed, data.classes
        )
        seconds = time.monotonic() - started
        decided = model.logits(features)
        train_loss, _ = inner_score(decided[training], data.labels[training])
        inner_loss, inner_auc = inner_score(decided[inner], data.labels[inner])
        row = (
            *(bag, 1, float("nan"), train_loss, data.labels[training].mean()),
            *(inner_loss, inner_auc, round(seconds, 3), round(len(training) / seconds, 2)),
            *(accuracy(decided[part], data.labels[part]) for part in (training, inner)),
        )
        history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        weights.append(model.arrays())
        logits.append(decided[scored])
    return Outputs(
        weights=name_weights(weights),
        history=pd.DataFrame(history, columns=list(HISTORY_COLUMNS)),
        predictions=prediction_table(data.scored, np.stack(logits)),
        about={
            "weights": "none (fitted)",
            "parameters": weights[0]["coefficient"].size + weights[0]["intercept"].size,
            "features": list(names),
            "device": "CPU",
            **data.prevalences(),
            "trained_prevalence": fitted_prevalence(data, recipe.model_options),
        },
    )


def fitted_prevalence(data: RunData, options: Mapping[str, Any] | None = None) -> list[float]:
    """Return the share of each class as models of these options saw it, class weights counted."""
    drawn = data.labels[np.concatenate(data.bags)]
    weight = (options or {}).get("class_weight", CLASS_WEIGHT)
    return weighted_shares(drawn, weight, data.classes).tolist()


def fit_shortcut(columns: pd.DataFrame, data: RunData) -> pd.DataFrame:
    """Fit one logistic regression per bag to a shortcut's columns and predict as `fit_run` does.

    Parameters
    ----------
    columns
        Numbers and words, indexed by row, as `fewcase.models.shortcuts.gather_columns` returns
        them.
    data
        The rows of the run.

    Returns
    -------
    pandas.DataFrame
        The scored examples with ``score_0``, ``score_1`` …
    """
    chosen = columns.loc[data.rows]
    scored = data.scored_positions()
    logits = []
    for training in data.bags:
        features = encode_columns(chosen, training)
        model = fit_logistic(features[training], data.labels[training], classes=data.classes)
        logits.append(model.logits(features[scored]))
    return prediction_table(data.scored, np.stack(logits))


def join_features(
    tables: Sequence[pd.DataFrame], rows: npt.NDArray[np.int64]
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Return the names and values (rows, features) of all numeric columns of some tables.

    Parameters
    ----------
    tables
        Each with a column ``row``; columns of text are left out. A column that several tables
        have is an error.
    rows
        The rows wanted; each must be in every table.
    """
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for table in tables:
        found = table["row"].value_counts().reindex(rows, fill_value=0)
        wrong = found[found != 1]
        if len(wrong):
            raise InputError(
                f"features: row {wrong.index[0]} of the split is {wrong.iloc[0]} times in a table "
                "of features, not once. Delete the table and make it again."
            )
        chosen = table.set_index("row").loc[rows]
        for name in chosen.columns:
            if not pd.api.types.is_numeric_dtype(chosen[name]):
                continue
            if name in columns:
                raise InputError(f"features: the column {name!r} is in two tables; drop one.")
            columns[str(name)] = chosen[name].to_numpy(np.float64)
    if not columns:
        raise InputError("features: the tables have no numeric column besides row.")
    return tuple(columns), np.stack(list(columns.values()), axis=1)
