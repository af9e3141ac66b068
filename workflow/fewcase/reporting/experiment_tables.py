"""The table of an experiment in the layout that it asks for, and the caption of its figure."""

from __future__ import annotations

import pandas as pd

from fewcase.reporting.audit_tables import lay_out_audit
from fewcase.reporting.display import DisplayTable
from fewcase.reporting.experiments import Experiment
from fewcase.reporting.site_tables import lay_out_sites
from fewcase.reporting.tables import lay_out_arms

OF_SHORTCUT = (
    "The dashed line with its band is the best shortcut and its 95\u00a0% interval; a grey one "
    "at 0.5 is guessing."
)
# What a figure shows, and what its second panel shows where anything was held out.
CAPTIONS = {
    "grid": (
        "Each dot is an arm: the mean ROC-AUC over seeds and folds of cross-validation with its "
        "corrected resampled t interval. Where intervals overlap widely, the order of arms may be "
        "chance.",
        "Right: the held-out test set, scores averaged over all runs.",
    ),
    "sweep": (
        "One factor is varied, all else is kept: mean ± standard deviation over the runs of "
        "cross-validation. 'none' leaves the signal as it was recorded.",
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
}


def lay_out(experiment: Experiment, table: pd.DataFrame) -> DisplayTable:
    """Lay out the numbers of an experiment (see `experiments.tabulate`) for reading."""
    if experiment.layout == "sites":
        return lay_out_sites(experiment, table)
    if experiment.layout == "audit":
        return lay_out_audit(experiment, table)
    return lay_out_arms(experiment, table)


def caption_of(experiment: Experiment, table: pd.DataFrame) -> str:
    """Return how to read the figure of an experiment with these numbers."""
    always, of_test = CAPTIONS[experiment.layout]
    said = [always]
    if of_test and table["test_auc"].notna().any():
        said.append(of_test)
    if experiment.layout in ("grid", "sweep") and table["shortcut_auc"].notna().any():
        said.append(OF_SHORTCUT)
    return " ".join(said)
