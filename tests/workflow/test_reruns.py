"""What a change reruns: the stages that depend on it, and no other."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

from workspace import STUDY, Workspace

SHEETS = {"tabulate_performance", "tabulate_shortcuts", "tabulate_checklist"}
AFTER_TRAINING = {"score", "tabulate", "report"} | SHEETS
AFTER_TRAINED = {"train", "draw_errors", "draw_learning"} | AFTER_TRAINING
# The default arm's images are not filtered.
OF_FILTERED = {"train", "score", "tabulate", "report", "tabulate_checklist"}
AFTER_IMAGES = {"measure_pixels", "fit_shortcuts"} | AFTER_TRAINED
AFTER_SPLIT = {
    *("sample", "certify", "fit", "fit_shortcuts", "tabulate_labels", "draw_flow"),
    *AFTER_TRAINED,
}


def with_key(path: str, value: object) -> dict:
    """Return the small study with one key replaced."""
    study = copy.deepcopy(STUDY)
    *folders, last = path.split(".")
    place = study
    for key in folders:
        place = place.setdefault(key, {})
    place[last] = value
    return study


def test_a_second_run_has_nothing_to_do(workspace: Workspace) -> None:
    assert workspace.planned() == {}


@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_fresh_checkout_beside_old_results_has_nothing_to_do(
    workspace: Workspace, with_metadata: bool
) -> None:
    workspace.checkout()
    if not with_metadata:
        shutil.rmtree(workspace.folder / ".snakemake")
    assert workspace.planned() == {}


@pytest.mark.parametrize(
    "path",
    ["workflow/train.py", "workflow/fewcase/training/loop.py", "rules/train.smk", "Snakefile"],
)
def test_a_comment_or_a_touched_file_reruns_nothing(workspace: Workspace, path: str) -> None:
    file = workspace.folder / path
    file.write_text(file.read_text() + "\n# A remark.\n")
    assert workspace.planned() == {}


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("training/augment.py", AFTER_TRAINED),
        ("models/registry.py", AFTER_TRAINED),
        ("models/classical.py", {"fit", "fit_shortcuts"} | AFTER_TRAINING),
        ("signal/render.py", {"render", "illustrate"} | AFTER_IMAGES),
        ("splits/signal_pairs.py", {"find_duplicates", "split"} | AFTER_SPLIT),
        # A new certificate trains and scores nothing again.
        (
            "splits/generators.py",
            {"certify", "tabulate", "report", "draw_errors", "draw_learning"} | SHEETS,
        ),
        ("splits/sampling.py", AFTER_SPLIT),
        ("signal/features.py", {"features", "fit", "fit_shortcuts"} | AFTER_TRAINING),
    ],
)
def test_a_change_in_a_module_reruns_the_stages_that_reach_it(
    workspace: Workspace, module: str, stages: set[str]
) -> None:
    file = workspace.folder / "workflow" / "fewcase" / module
    file.write_text(file.read_text() + "\n_UNUSED = 1\n")
    assert set(workspace.planned()) == stages


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("images.line_width", 2, {"render", "illustrate", "plan"} | AFTER_IMAGES),
        ("signal.lowpass_mirror", False, {"render", "illustrate", "plan"} | OF_FILTERED),
        (
            "signal.max_missing",
            0.4,
            {"cohort", "flow", "split", "plan"} | AFTER_SPLIT,
        ),
        ("inner_folds", 3, {"split", "plan"} | AFTER_SPLIT),
        ("training.memory_mb", 9000, {"plan", "tabulate_checklist", "report"}),
        ("title", "Another title", {"plan", "tabulate_checklist", "report"}),
        ("unit", "patient", {"plan", "fit_shortcuts", "draw_errors"} | AFTER_TRAINING),
        (
            "shortcuts",
            ["prior", "signal"],
            {"plan", "fit_shortcuts", "tabulate", "report"} | SHEETS,
        ),
        ("duplicates", "drop", {"plan", "split"} | AFTER_SPLIT),
    ],
)
def test_a_key_reruns_the_stages_that_depend_on_it(
    workspace: Workspace, key: str, value: object, stages: set[str]
) -> None:
    workspace.write_study(with_key(key, value))
    assert set(workspace.planned()) == stages


def test_another_target_renders_nothing_again(workspace: Workspace) -> None:
    rule = {"rule": "below", "column": "ph", "threshold": 7.15}
    workspace.write_study(with_key("targets.risk", rule))
    stages = {"cohort", "flow", "split", "plan"} | AFTER_SPLIT
    assert set(workspace.planned()) == stages


def test_an_added_model_trains_that_model_alone(workspace: Workspace) -> None:
    experiment = copy.deepcopy(STUDY["experiments"]["augmentation"])
    experiment["also"].append({"model": "test_resnet"})
    workspace.write_study(with_key("experiments.augmentation", experiment))
    after = {"tabulate": 1, "tabulate_checklist": 2, "draw_learning": 1, "report": 1}
    assert workspace.planned() == {"train": 2, "score": 1, "plan": 1} | after


def test_another_wording_of_a_checklist_fills_that_checklist_alone(workspace: Workspace) -> None:
    workspace.edit("workflow/checklists/claim.yaml", "asks: ", "asks: Now ")
    assert workspace.planned() == {"tabulate_checklist": 1, "report": 1}


def test_more_inner_parts_for_choosing_train_the_further_runs_alone(workspace: Workspace) -> None:
    workspace.write_study(with_key("selection_folds", 2))
    planned = workspace.planned()
    # Four arms, the default one shared, on two folds; each seed's samples for the second part.
    assert planned["train"] == 2 * 3
    assert planned["fit"] == 2
    assert planned["sample"] == 1
    assert "split" not in planned


def test_an_accepted_recording_that_changes_runs_all_that_rests_on_it(workspace: Workspace) -> None:
    path = workspace.folder / "data" / "signals" / "r05.npy"
    signals = np.load(path)
    signals[0, -2000:] += 5
    np.save(path, signals)
    ran = workspace.ran("all_scores", "--configfile", "study.yaml")
    window = {"ingest", "signal", "render", "features", "cohort"}
    # It may have become a copy of another one, or be one no longer, which is looked for anew. The
    # split stands where that finds the same in time; Snakemake may have planned it before.
    looked_for = {"find_duplicates", "certify"}
    assert set(ran) - {"split", "sample"} == window | looked_for | {"train", "fit", "score"}
    assert workspace.planned("all_scores", "--configfile", "study.yaml") == {}


def test_a_corrected_outcome_renders_nothing_again(workspace: Workspace) -> None:
    workspace.edit("data/recordings.csv", "r04,p04,a,r04.npy,9,", "r04,p04,a,r04.npy,3,")
    ran = workspace.ran("all_splits", "all_images", "--configfile", "study.yaml")
    assert ran == {"ingest": 1, "cohort": 1, "split": 1, "sample": 1, "certify": 1}


def test_an_outcome_that_no_label_uses_trains_nothing_again(workspace: Workspace) -> None:
    workspace.edit("data/recordings.csv", "r04,p04,a,r04.npy,9,9,7.3", "r04,p04,a,r04.npy,9,9,7.2")
    ran = workspace.ran()
    # The flow counts records, certificates look at them, shortcuts at their metadata.
    looked_at = {"flow", "draw_flow", "certify", "fit_shortcuts", "tabulate", "report"}
    looked_at |= {"draw_errors", "draw_learning"}
    assert set(ran) == {"ingest", "cohort"} | looked_at | SHEETS


def test_a_refused_recording_and_a_change_of_code_at_once_rerun_what_the_code_does(
    workspace: Workspace,
) -> None:
    path = workspace.folder / "data" / "signals" / "broken.npy"
    path.write_bytes(b"and this is no array")
    module = workspace.folder / "workflow" / "fewcase" / "models" / "classical.py"
    module.write_text(module.read_text() + "\n_UNUSED = 1\n")
    assert set(workspace.ran()) == {"ingest", "fit", "fit_shortcuts"} | AFTER_TRAINING


def test_a_recording_refused_before_and_after_reruns_ingest_alone(workspace: Workspace) -> None:
    path = workspace.folder / "data" / "signals" / "broken.npy"
    path.write_bytes(b"neither was this an array")
    assert workspace.ran() == {"ingest": 1}


def test_another_check_at_ingest_that_accepts_the_same_reruns_ingest_alone(
    workspace: Workspace,
) -> None:
    module = workspace.folder / "workflow" / "fewcase" / "ingest" / "validation.py"
    module.write_text(module.read_text() + "\n_UNUSED = 1\n")
    assert workspace.ran() == {"ingest": 1}


def test_another_preset_leaves_the_results_of_the_first_alone(workspace: Workspace) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        files = (workspace.folder / "results" / "small" / "smoke").rglob("*")
        return {f: (f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.is_file()}

    before = state()
    workspace.snakemake(
        "--cores", "2", "--configfile", "study.yaml", "--config", "preset=full",
        "--", "results/small/full/tables/labels.csv",
    )  # fmt: skip
    assert (workspace.folder / "results/small/full/tables/labels.csv").exists()
    assert state() == before
    assert workspace.planned() == {}
