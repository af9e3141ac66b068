"""Claims about the command that a workflow runs to read a source."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.data.recordings import read_recordings

SCRIPT = Path(__file__).parents[2] / "workflow" / "ingest.py"


def ingest(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def hospital(tmp_path):
    np.save(tmp_path / "s.npy", np.stack([np.full(1200, 140.0), np.zeros(1200)]))
    np.save(tmp_path / "t.npy", np.stack([np.full(1200, 2.4), np.zeros(1200)]))
    rows = {"id": ["p1", "p2"], "file": ["s.npy", "t.npy"]}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


OPTIONS = {
    "table": "t.csv",
    "columns": {"patient": "id", "file": "file"},
    "site": "A",
    "sampling_hz": 4,
}


def test_a_source_becomes_the_files_of_a_cohort(hospital):
    out, log = hospital / "out", hospital / "logs" / "ingest.log"
    options = json.dumps(OPTIONS)
    source = ("--source", "ctg_table", "--options", options)
    done = ingest(*source, "--data", hospital, "--out", out, "--log", log)
    assert done.returncode == 0, done.stderr
    assert read_recordings(out)[0]["record"].tolist() == ["A/s"]
    assert pd.read_parquet(out / "rejected.parquet")["reason"].tolist() == ["wrong units"]
    assert "1 recordings accepted, 1 refused" in log.read_text()


def test_a_wrong_option_is_one_message_and_no_file(hospital):
    options = json.dumps({**OPTIONS, "colums": {}})
    source = ("--source", "ctg_table", "--options", options)
    done = ingest(*source, "--data", hospital, "--out", hospital / "out")
    assert done.returncode == 1
    assert "options.colums: unknown key" in done.stderr
    assert "Did you mean 'columns'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (hospital / "out").exists()


def test_simulated_hospitals_are_a_source_too(tmp_path):
    options = {"hospitals": {"North": {"recordings": 2}}, "minutes": 10, "seed": 3}
    done = ingest(
        "--source", "simulate_ctg", "--options", json.dumps(options), "--out", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    table, signals = read_recordings(tmp_path / "out")
    assert len(table) == 2
    assert np.isfinite(signals).any()
