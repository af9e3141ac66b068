"""Every rule names a conda environment that Snakemake creates, activates and runs its stage in.

There is no conda here, so a stand-in answers in its place: it keeps a file of what it was asked to
install and makes an environment whose Python is this one. Whether real channels have the versions
is another matter.
"""

import ast
import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from fewcase.study.digest import reached_modules
from workspace import STUDY, Workspace, write_recordings

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {
    "PIL": "pillow", "jinja2": "jinja2", "matplotlib": "matplotlib-base",
    "openslide": "openslide-python", "safetensors": "python-safetensors",
    "sklearn": "scikit-learn", "torch_fidelity": "torch-fidelity", "yaml": "pyyaml",
    "huggingface_hub": "timm", "markupsafe": "jinja2",
}  # fmt: skip
"""Packages by the name that they are imported by, where it is another; timm and Jinja2 bring the
last two."""

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
    for path in (REPOSITORY / "rules").glob("*.smk"):
        text = path.read_text()
        assert text.count("    shell:") == text.count("    conda:"), path


def imported(path: Path) -> set[str]:
    """Return the names of the packages that a file imports, early or late."""
    names = set()
    tree = ast.parse(path.read_text())
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    if path.name == "resize.py":
        names.remove("torch")  # Asked for only by who brings tensors.
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"fewcase"}


def test_environments_have_all_that_their_stages_import() -> None:
    library = REPOSITORY / "workflow"
    checked = 0
    for path in (REPOSITORY / "rules").glob("*.smk"):
        for rule in re.split(r"^(?:rule|checkpoint) ", path.read_text(), flags=re.MULTILINE)[1:]:
            stage = re.search(r"python workflow/(\w+\.py)", rule)
            if stage is None:
                continue
            environment = re.search(r'"\.\./envs/(\w+\.yaml)"', rule).group(1)
            listed = yaml.safe_load((REPOSITORY / "envs" / environment).read_text())["dependencies"]
            pips = [entry for part in listed if isinstance(part, dict) for entry in part["pip"]]
            packages = {re.split("=+", entry)[0] for entry in listed if isinstance(entry, str)}
            packages |= {re.split("=+", entry)[0] for entry in pips}
            needed = set().union(*map(imported, reached_modules(library / stage[1], library)))
            missing = {PACKAGES.get(name, name) for name in needed} - packages
            assert not missing, (stage[1], environment, missing)
            checked += 1
    assert checked > 20
