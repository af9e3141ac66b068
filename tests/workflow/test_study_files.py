"""Every study file that ships can be planned, and what is wrong with one is said plainly."""

import copy
import re

import pytest
import yaml

from fewcase.study.plan import read_study
from workspace import REPOSITORY, STUDY, Workspace, write_recordings

STUDIES = ["config.yaml", *(f"studies/{p.name}" for p in (REPOSITORY / "studies").glob("*.yaml"))]
SIGNALS = {"ingest", "signal", "render"}
IMAGES = {"ingest_images", "tile"}


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_every_study_has_a_plan_from_raw_data_to_the_page(checkout: Workspace, study: str) -> None:
    planned = set(checkout.planned("--configfile", study, "--config", "preset=smoke", "data=data"))
    assert {"cohort", "split", "sample", "train", "score", "tabulate", "report"} <= planned
    assert {"explain", "view", "tabulate_maps"} <= planned
    assert planned >= SIGNALS or planned >= IMAGES
    assert ("segment" in planned) == ("liver" in study)


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_every_preset_of_a_study_can_be_read(study: str) -> None:
    content = yaml.safe_load((REPOSITORY / study).read_text())
    assert {"smoke", "full"} <= set(content["presets"])
    for preset in content["presets"]:
        plan = read_study({**content, "preset": preset, "data": "data"})
        assert plan.runs, preset
        assert plan.explained, preset


def test_the_plan_of_the_paper_has_every_run(checkout: Workspace) -> None:
    planned = checkout.planned("--configfile", "studies/ctg.yaml", "--config", "preset=full")
    # 40 arms of Table 6, 11 further cut-offs, 13 scales and 8 further splits, and the default arm
    # under folds by image, and four arms on what helps the rare class; 3 seeds x 10 folds.
    assert planned["train"] == (40 + 11 + 13 + 8 + 1 + 4) * 30
    assert planned["train_gan"] == 30
    assert planned["fit"] == 2 * 30


def test_a_given_study_is_not_merged_with_the_default_one(checkout: Workspace) -> None:
    write_recordings(checkout.folder / "data")
    checkout.write_study(STUDY)
    printed = checkout.snakemake("-n", "--configfile", "study.yaml")
    assert "results/small/smoke" in printed
    for word in ("demo", "uc_scale", "sites", "simulate_ctg"):
        assert word not in printed


def test_the_profile_for_gpus_plans_the_default_study(checkout: Workspace) -> None:
    # Snakemake takes profiles/default by itself; the cluster's is looked at below.
    assert checkout.planned("--profile", "profiles/gpu")["train"] > 0


def test_the_cluster_profile_sends_trainings_to_gpus_and_tries_again(checkout: Workspace) -> None:
    printed = checkout.snakemake("-n", "--profile", "profiles/slurm")
    jobs = re.findall(r"rule (\w+):\n((?:    .*\n)+)", printed)
    partitions = {(rule, re.search(r"slurm_partition=(\w+)", text).group(1)) for rule, text in jobs}
    assert ("train", "gpu") in partitions
    assert ("score", "main") in partitions
    profile = yaml.safe_load((checkout.folder / "profiles/slurm/profile.yaml").read_text())
    assert profile["retries"] > 0


def test_memory_doubles_at_each_attempt() -> None:
    source = (REPOSITORY / "rules" / "common.smk").read_text()
    function = re.search(r"def memory\(.*?\n\n\n", source, re.DOTALL).group(0)
    scope: dict = {}
    exec(function, scope)
    asked = scope["memory"](1000)
    assert [asked(None, attempt) for attempt in (1, 2, 3)] == [1000, 2000, 4000]
    for path in (REPOSITORY / "rules").glob("*.smk"):
        assert not re.search(r"mem_mb=\d", path.read_text()), path


def test_gpu_jobs_ask_for_a_gpu_and_no_other_job_does(checkout: Workspace) -> None:
    printed = checkout.snakemake("-n", "--cores", "8", "--resources", "gpu=2")
    jobs = re.findall(r"(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", printed)
    asking = {rule for rule, text in jobs if re.search(r"\bgpu=1\b", text)}
    assert asking == {"train", "train_gan", "synthesise", "measure_gan", "explain"}


def test_the_workflow_passes_snakemakes_lint(checkout: Workspace) -> None:
    assert "Congratulations" in checkout.snakemake("--lint")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"model": "resnet_18"}}, "has model 'resnet_18', which timm does not know"),
        ({"epochz": 3}, r"study.epochz: unknown key"),
        ({"folds": 1}, "study.folds: 1 is no cross-validation"),
        ({"experiments": {"a": {"vary": {"depth": [1]}}}}, "vary.depth: no such factor"),
    ],
)
def test_a_mistake_in_the_study_is_told_without_a_traceback(
    checkout: Workspace, change: dict, message: str
) -> None:
    checkout.write_study({**copy.deepcopy(STUDY), **change})
    printed = checkout.snakemake("-n", "--configfile", "study.yaml", check=False)
    assert message in printed
    assert "Traceback" not in printed


def test_a_held_out_site_that_does_not_exist_stops_the_split(checkout: Workspace) -> None:
    write_recordings(checkout.folder / "data")
    checkout.write_study({**copy.deepcopy(STUDY), "hold_out": {"b": [{"site": "bb"}]}})
    printed = checkout.snakemake(
        "--cores", "1", "--configfile", "study.yaml", "--", "all_splits", check=False
    )
    assert "bb" in printed
    assert "Did you mean 'b'" in printed or "Known: a, b" in printed


def test_an_empty_data_folder_stops_ingest_and_names_the_folder(checkout: Workspace) -> None:
    (checkout.folder / "empty").mkdir()
    printed = checkout.snakemake(
        "--cores", "1", "--configfile", "studies/ctu_uhb.yaml", "--config", "data=empty",
        "--", "all_recordings", check=False,
    )  # fmt: skip
    assert re.search(r"ERROR .*empty", printed)
    assert "Traceback" not in printed.split("Logfile")[1]
