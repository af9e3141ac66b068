"""Every rule names a conda environment that Snakemake creates, activates and runs its stage in.

There is no conda here, so a stand-in answers in its place: it keeps a file of what it was asked to
install and makes an environment whose Python is this one. Whether real channels have the versions
is another matter.
"""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from workspace import STUDY, Workspace, write_recordings

STAND_IN = """#!{python}
import json, os, sys
from pathlib import Path

base = Path(__file__).resolve().parent.parent
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("conda 25.1.1")
elif arguments == ["info", "--json"]:
    print(json.dumps({{"conda_prefix": str(base), "platform": "linux-64"}}))
elif arguments[:2] == ["config", "--get"]:
    print(json.dumps({{"get": {{"channel_priority": "strict"}}}}))
elif arguments[:1] == ["clean"]:
    pass
elif arguments[:2] == ["env", "create"]:
    prefix = Path(arguments[arguments.index("--prefix") + 1])
    (prefix / "bin").mkdir(parents=True)
    (prefix / "installed.yaml").write_text(
        Path(arguments[arguments.index("--file") + 1]).read_text()
    )
    python = prefix / "bin" / "python"
    python.write_text('#!/bin/sh\\necho "$0 $1" >> {used}\\nexec {python} "$@"\\n')
    python.chmod(0o755)
else:
    sys.exit(f"the stand-in for conda does not know {{arguments}}")
"""


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in for conda on the path; return the file of Pythons that ran."""
    used = tmp_path / "used.txt"
    folder = tmp_path / "conda" / "bin"
    folder.mkdir(parents=True)
    (folder / "conda").write_text(STAND_IN.format(python=sys.executable, used=used))
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text('export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n')
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return used


def test_stages_run_in_the_environments_that_their_rules_name(conda: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "checkout")
    workspace.folder.mkdir()
    workspace.checkout()
    write_recordings(workspace.folder / "data")
    workspace.write_study(STUDY)
    run = "results/small/smoke/runs/test_vit+weights=none+neg_per_pos=2+batch_size=12+epochs=1"
    fold = f"{run}/risk-patient-b/seed-0/fold-0/history.csv"
    workspace.snakemake(fold, "--cores", "2", "--sdm", "conda", "--configfile", "study.yaml")
    environments = {}
    for line in conda.read_text().splitlines():
        python, script = line.split()
        installed = yaml.safe_load((Path(python).parents[1] / "installed.yaml").read_text())
        environments[Path(script).name] = json.dumps(installed)
    assert "torch==" in environments.pop("train.py")
    assert set(environments) == {
        "ingest.py", "process_signal.py", "render.py", "find_duplicates.py", "cohort.py",
        "split.py", "sample.py",
    }  # fmt: skip
    assert all("wfdb=" in text and "torch" not in text for text in environments.values())


def test_every_rule_that_runs_a_stage_names_an_environment() -> None:
    rules = Path(__file__).parents[2] / "rules"
    for path in rules.glob("*.smk"):
        text = path.read_text()
        assert text.count("    shell:") == text.count("    conda:"), path
