"""Hospitals in cross-validation beside the same hospitals held out, laid out for reading."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.table_parts import level_title, machine_note, titled, warnings_of, with_names
from fewcase.reporting.tables import examples_and_positives
from fewcase.reporting.text import (
    plain,
    with_interval,
    with_spread,
)

READING_OF_SITES = (
    "How to read: each row is a hospital; where the AUC is clearly lower when it was held out than "
    "among the hospitals trained on (CV), the model does not travel well."
)
SITE_NUMBERS = ("auc", "low", "high", "examples", "positives")


def comparison_of_sites(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per recipe, site and hold-out: its AUC in cross-validation, and held out.

    A site may be a test set of several hold-outs, say with its later years only and as a whole;
    each has a row. Cross-validation beside it is that of the split that holds nothing out or,
    where a recipe has none, of the same split. The first rows of a recipe are the whole of the
    cross-validation.

    Returns
    -------
    pandas.DataFrame
        Columns recipe, site (empty for all), hold_out (empty where nothing is held out), kind
        (temporal, external, or empty), leaky, and, with the prefixes ``cv_`` and ``test_``, auc,
        low, high, examples, positives; of the test also mean and sd over runs.
    """
    names = [name for name in experiment.factors if name != "hold_out"]
    table = with_names(experiment, table)
    rows: list[dict[str, Any]] = []
    # Keyed by arm as well: a factor that an arm leaves to the study is empty among its levels.
    for (arm, *levels), part in table.groupby(["arm", *names], sort=False):
        recipe = " · ".join(level_title(str(level)) for level in levels if level) or plain(arm)
        leaky = part["leaky"].iloc[0]
        rows += [{"recipe": recipe, "leaky": leaky, **row} for row in _sites_of_recipe(part)]
    numbers = [f"{side}_{key}" for side in ("cv", "test") for key in SITE_NUMBERS]
    columns = ["recipe", "site", "hold_out", "kind", "leaky", *numbers, "test_mean", "test_sd"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _sites_of_recipe(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of one recipe, sorted by site and then in the order of its splits."""
    is_test = table["evaluation"].str.endswith(" test")
    within, held = _sides(table[~is_test], "cv"), _sides(table[is_test], "test")
    tested = {split for split, _ in held}
    whole = next((split for split in table["split"] if split not in tested), None)
    rows, compared = [], set()
    for (split, site), numbers in held.items():
        compared.add((whole or split, site))
        beside = within.get((whole or split, site), {})
        rows.append({"site": site, "hold_out": _hold_out_of(split)} | beside | numbers)
    for (split, site), numbers in within.items():
        if whole in (None, split) and (split, site) not in compared:
            name = "" if whole else _hold_out_of(split)
            rows.append({"site": site, "hold_out": name, "kind": ""} | numbers)
    return sorted(rows, key=lambda row: row["site"])


def _hold_out_of(split: str) -> str:
    """Return what a split, named target-scheme-hold_out, holds out; no part has a hyphen."""
    return split.rpartition("-")[2]


def _sides(table: pd.DataFrame, side: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the numbers of each split and site, the column names beginning with the side."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        entry = found.setdefault((row["split"], row["site"]), {})
        if side == "test":
            entry["kind"] = row["evaluation"].removesuffix(" test")
        if side == "test" and row["statistic"] == "auc_mean":
            entry |= {"test_mean": row["auc"], "test_sd": row["sd"]}
        elif side == "test" or row["site"] or row["statistic"] == "auc_mean":
            entry |= {f"{side}_{key}": row[key] for key in SITE_NUMBERS}
    return found


def lay_out_sites(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out hospitals (see `experiments.tabulate`), one row per recipe, site and hold-out."""
    found = comparison_of_sites(experiment, table)
    several = found["recipe"].nunique() > 1
    rows, last = [], None
    for row in found.to_dict("records"):
        site = plain(row["site"]) or "all hospitals of the cross-validation"
        leaky = row["leaky"] == "yes"
        cells = [row["recipe"]] if several else []
        cells += [
            f"{site} (leaky)" if leaky else site,
            plain(row["hold_out"]) or "–",
            row["kind"] or "–",
            with_interval(row["cv_auc"], row["cv_low"], row["cv_high"]),
            examples_and_positives(row["cv_examples"], row["cv_positives"]),
            with_interval(row["test_auc"], row["test_low"], row["test_high"]),
            with_spread(row["test_mean"], row["test_sd"]),
            examples_and_positives(row["test_examples"], row["test_positives"]),
        ]
        starts = last is not None and row["recipe"] != last
        last = row["recipe"]
        rows.append(Row(tuple(Cell(text) for text in cells), leaky, starts))
    columns = (
        *(["Arm"] if several else []),
        "Hospital",
        "Hold-out",
        "Test",
        "CV AUC [95\u00a0%]",
        "CV n / positive",
        "Held-out AUC [95\u00a0%]",
        "Held-out AUC, mean of runs ± SD",
        "Held-out n / positive",
    )
    return DisplayTable(
        titled(experiment),
        columns,
        tuple(rows),
        READING_OF_SITES,
        (*_notes_of_sites(found), *machine_note(table), *warnings_of(experiment)),
        words=4 if several else 3,
        leaky=experiment.leaky == "all",
    )


def _notes_of_sites(found: pd.DataFrame) -> list[str]:
    # The row of all hospitals says whether there is a split that holds nothing out.
    is_whole = (found.loc[found["site"] == "", "hold_out"] == "").all()
    over = "all hospitals" if is_whole else "what each hold-out leaves"
    return [
        f"CV: the hospital's examples within cross-validation over {over} (out-of-fold scores, "
        "mean over seeds; the first row: mean over runs with the corrected resampled t).",
        "Hold-out: the entry of the study's hold_out that keeps the hospital from training; a "
        "hospital in several entries has a row for each, and the same CV beside it.",
        "Held-out: the same hospital when no run saw it (external), or saw another period of it "
        "only (temporal); ROC-AUC of the score averaged over all runs.",
    ]
