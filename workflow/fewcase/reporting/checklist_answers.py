"""Which answers a run has for the questions of reporting checklists, by name."""

from __future__ import annotations

from collections.abc import Callable

from fewcase.reporting import checklist_images as images
from fewcase.reporting import checklist_plan as plan
from fewcase.reporting import checklist_results as results
from fewcase.reporting.run_files import Answer, RunFiles

ANSWERS: dict[str, Callable[[RunFiles], Answer | None]] = {
    "title": plan.title,
    "data_source": plan.data_source,
    "dates": plan.dates,
    "sites": plan.sites,
    "eligibility": plan.eligibility,
    "preprocessing": plan.preprocessing,
    "outcome": plan.outcome,
    "predictors": plan.predictors,
    "sample_size": results.sample_size,
    "power": results.power,
    "missing": plan.missing,
    "partitions": plan.partitions,
    "disjointness": results.disjointness,
    "model": plan.model,
    "initialisation": plan.initialisation,
    "training": plan.training,
    "generators": images.generators,
    "selection": plan.selection,
    "ensembling": plan.ensembling,
    "imbalance": plan.imbalance,
    "software": plan.software,
    "poor_input": plan.poor_input,
    "updating": plan.updating,
    "subsets": plan.subsets,
    "subgroups_method": plan.subgroups_method,
    "robustness": plan.robustness,
    "data_sharing": plan.data_sharing,
    "code": plan.code,
    "specification": plan.specification,
    "flow": results.flow,
    "events": results.events,
    "train_and_test": results.train_and_test,
    "warnings": results.warnings,
    "characteristics": results.characteristics,
    "measures": results.measures,
    "uncertainty": results.uncertainty,
    "performance": results.performance,
    "internal": results.internal,
    "external": results.external,
    "diagnostic": results.diagnostic,
    "calibration": results.calibration,
    "output": results.output,
    "failures": results.diagnostic,
    "heterogeneity": results.heterogeneity,
    "heterogeneity_method": results.heterogeneity_method,
    "subgroups": results.subgroups,
}
"""What a run can answer, by the name under which checklists ask for it."""
