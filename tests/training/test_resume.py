"""A training that is killed with SIGKILL and started again ends in the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fewcase

LIBRARY = Path(fewcase.__file__).parents[1]
STEP = ("fewcase.training.learner", "Learner.step")
RENAME = ("fewcase.runtime.checkpoint", "os.replace")
# Two bags of three epochs of three steps; a state after every epoch, and one after each bag.
HARD = {"bags": 2, "augment": "slit_cutmix", "ema": 0.8, "model_options": {"drop_path_rate": 0.2}}
MOMENTS = {
    "before the first state": [*STEP, 2],
    "in the middle of an epoch": [*STEP, 5],
    "while a state is written": ["fewcase.runtime.checkpoint", "os.fsync", 2],
    "between the two renames of a state": [*RENAME, 3],
    "in the second bag": [*STEP, 14],
    "while the outputs are written": ["fewcase.training.outputs", "write_table", 1],
}
PLAIN = {"model": "test_resnet", "optimizer": "sgd", "augment": "cutout"}


@pytest.fixture(scope="module")
def trainings(study, command_line, tmp_path_factory):
    """Run all trainings of this file in one go; return their folders, exit codes and log."""
    folder = tmp_path_factory.mktemp("trainings")
    jobs = [("whole", None, HARD), ("again", None, HARD)]
    for name, moment in MOMENTS.items():
        jobs += [(name, moment, HARD), (name, None, HARD)]
    jobs += [("plain", None, PLAIN)]
    jobs += [("often", [*STEP, 5], PLAIN), ("often", [*STEP, 5], PLAIN), ("often", None, PLAIN)]
    jobs += [("torn", [*STEP, 8], PLAIN), ("torn", "tear", PLAIN), ("torn", None, PLAIN)]
    lines = [
        str(folder / name / "state" / "bag-0-running.safetensors")
        if moment == "tear"
        else [command_line(study, folder / name, **factors), moment]
        for name, moment, factors in jobs
    ]
    script = Path(__file__).with_name("killed_trainings.py")
    done = subprocess.run(
        [sys.executable, script, LIBRARY / "train.py", json.dumps(lines)],
        env={
            **os.environ,
            "PYTHONPATH": str(LIBRARY),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    codes: dict[str, list[int]] = {}
    for (name, _, _), code in zip(jobs, json.loads(done.stdout), strict=True):
        codes.setdefault(name, []).append(code)
    return folder, codes, done.stderr


def content(folder):
    """All that a run leaves, but for the times in its history."""
    history = pd.read_csv(folder / "history.csv").drop(columns=["seconds", "images_per_second"])
    return {
        "weights": (folder / "weights.safetensors").read_bytes(),
        "predictions": (folder / "predictions.parquet").read_bytes(),
        "options": (folder / "options.json").read_bytes(),
        "history": history.to_csv(),
    }


def test_the_same_seed_gives_the_same_bytes(trainings):
    folder, codes, _ = trainings
    assert codes["whole"] == codes["again"] == [0]
    assert content(folder / "whole") == content(folder / "again")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_killed_at_any_moment_ends_in_the_same_bytes(trainings, moment):
    folder, codes, _ = trainings
    assert codes[moment] == [-9, 0]
    assert content(folder / moment) == content(folder / "whole")


def test_a_training_killed_over_and_over_ends_in_the_same_bytes(trainings):
    folder, codes, _ = trainings
    assert codes["often"] == [-9, -9, 0]
    assert content(folder / "often") == content(folder / "plain")


def test_a_torn_state_is_passed_over_and_the_one_before_it_resumed(trainings):
    folder, codes, log = trainings
    assert codes["torn"] == [-9, 0, 0]
    assert content(folder / "torn") == content(folder / "plain")
    assert "torn/state/bag-0-running.safetensors: cannot be read" in log


def test_the_resume_state_is_gone_when_the_outputs_are_there(trainings):
    folder, codes, log = trainings
    assert log.count("resuming after epoch") >= 6
    for name in codes:
        assert not (folder / name / "state").exists()
