"""The table of an experiment in the layout that it asks for, and the caption of its figure."""

from __future__ import annotations

import pandas as pd

from fewcase.reporting.audit_tables import lay_out_audit
from fewcase.reporting.display import DisplayTable
from fewcase.reporting.experiment_plan import Experiment
from fewcase.reporting.headline import HEADLINES, judged_by_all
from fewcase.reporting.matrix_tables import lay_out_matrix
from fewcase.reporting.site_tables import lay_out_sites
from fewcase.reporting.tables import lay_out_arms

OF_SHORTCUT = (
    "The dashed line with its band is the best shortcut and its 95\u00a0% interval; a grey one "
    "at 0.5 is guessing."
)
OF_SHORTCUT_ALONE = "The dashed line with its band is the best shortcut and its 95\u00a0% interval."
# What a figure shows, and what its second panel shows where anything was held out; {measure} stands
# for what the experiment is about.
CAPTIONS = {
    "grid": (
        "Each dot is an arm: the mean {measure} over seeds and folds of cross-validation with its "
        "corrected resampled t interval. Where intervals overlap widely, the order of arms may be "
        "chance.",
        "Right: the held-out test set, scores averaged over all runs.",
    ),
    "sweep": (
        "One factor is varied, all else is kept: mean ± standard deviation over the runs of "
        "cross-validation.{none}",
        "Lower panel: the held-out test set with 95\u00a0% intervals.",
    ),
    "sites": (
        "How well a hospital's examples are told apart when the hospital takes part in training "
        "(dots) and when it does not (squares), with 95\u00a0% intervals.",
        "",
    ),
    "audit": (
        "Each row is one recipe: a dot under patient-level folds, a square under image-level "
        "(leaky) ones, with 95\u00a0% intervals. A square to the right of its dot shows what folds "
        "that share patients add.",
        "Right: the held-out test set.",
    ),
    "matrix": (
        "A panel for each column of the table, a row for each of its rows: the mean {measure} over "
        "the runs with its 95\u00a0% interval. Where intervals overlap widely, the order of rows "
        "may be chance.",
        "Below: the held-out test set, scores averaged over all runs.",
    ),
}
REFERENCE_ACROSS = " A line across is an arm that is no part of the sweep, such as the reference."
OVER_FOLDS = {
    "over seeds and folds of cross-validation with its corrected resampled t interval": (
        "over runs, which all judged the same validation examples, with its interval for other "
        "patients"
    ),
    "over the runs of cross-validation": "over runs on the same validation examples",
}
"""What captions say of cross-validation, and what of a single validation set."""


def lay_out(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the numbers of an experiment (see `experiments.tabulate`) for reading.

    A matrix has further tables, see `tables_of`.
    """
    return tables_of(experiment, table)[0]


def tables_of(experiment: Experiment, table: pd.DataFrame) -> list[DisplayTable]:
    """Lay out the numbers of an experiment for reading, in one table or, of a matrix, in several.

    Parameters
    ----------
    experiment
        Which is shown.
    table
        As from `experiments.tabulate`.
    """
    if experiment.layout == "matrix":
        return lay_out_matrix(experiment, table)
    if experiment.layout == "sites":
        return [lay_out_sites(experiment, table)]
    if experiment.layout == "audit":
        return [lay_out_audit(experiment, table)]
    return [lay_out_arms(experiment, table)]


def caption_of(experiment: Experiment, table: pd.DataFrame) -> str:
    """Return how to read the figure of an experiment with these numbers."""
    always, of_test = CAPTIONS[experiment.layout]
    measures = " and ".join(HEADLINES[name].sentence for name in experiment.measures)
    of_signals = " 'none' leaves the signal as it was recorded."
    none = of_signals if experiment.unit == "window" else REFERENCE_ACROSS
    said = [always.replace("{measure}", measures).replace("{none}", none)]
    if experiment.layout != "sites" and judged_by_all(table.get("cv_method", ())):
        for folds, validation in OVER_FOLDS.items():
            said[0] = said[0].replace(folds, validation)
    value = experiment.value_column
    if of_test and table[f"test_{value}"].notna().any():
        said.append(of_test)
    with_shortcut = experiment.layout in ("grid", "sweep", "matrix")
    if with_shortcut and table[f"shortcut_{value}"].notna().any():
        said.append(OF_SHORTCUT if experiment.headline.is_auc else OF_SHORTCUT_ALONE)
    return " ".join(said)
