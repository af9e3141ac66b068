"""A checkout with a small study of file-based recordings, which tests run, change and plan."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import yaml

REPOSITORY = Path(__file__).parents[1]
SOURCES = ["Snakefile", "config.yaml", "rules", "profiles", "envs", "studies", "workflow"]
RECORDINGS = 64

STUDY = {
    "study": "small",
    "preset": "smoke",
    "data": "data",
    "seeds": [0],
    "folds": 2,
    "inner_folds": 2,
    "cohorts": {
        "ctg": {
            "source": "ctg_table",
            "table": "recordings.csv",
            "signals": "signals",
            "sampling_hz": 4,
            "columns": {
                "record": "record",
                "patient": "patient",
                "site": "site",
                "file": "file",
                "apgar1": "apgar1",
                "apgar5": "apgar5",
                "ph": "ph",
            },
        }
    },
    "targets": {"risk": {"rule": "apgar", "at_most": 6}},
    "hold_out": {"b": [{"site": "b"}]},
    "split": {"hold_out": "b"},
    "images": {"size": 32},
    # Maps are made in the study of images.
    "explain": {"cases": 0},
    "recipe": {
        "model": "test_vit",
        "weights": "none",
        "epochs": 1,
        "batch_size": 12,
        "neg_per_pos": 2,
    },
    "experiments": {
        "augmentation": {
            "vary": {"augment": ["none", "slit_cutmix"]},
            "also": [{"model": "logistic"}],
        },
        "lowpass": {"layout": "sweep", "vary": {"fhr_cutoff": [None, 5]}},
    },
    "presets": {"smoke": {}, "full": {"folds": 3}},
}


class Workspace:
    """A checkout of the workflow in a folder of its own, with a study and its results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkout(self) -> None:
        """Lay the sources into the folder anew, as git does: with new times."""
        for name in SOURCES:
            source, target = REPOSITORY / name, self.folder / name
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, ignore=ignored, copy_function=shutil.copy)
            else:
                shutil.copy(source, target)

    def write_study(self, study: dict, name: str = "study.yaml") -> None:
        """Write the study file."""
        (self.folder / name).write_text(yaml.safe_dump(study, sort_keys=False))

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake in the folder; return what it printed."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment.pop("SNAKEMAKE_PROFILE", None)
        process = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if check and process.returncode:
            raise AssertionError(f"snakemake {arguments} failed:\n{process.stdout[-6000:]}")
        return process.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run announces."""
        return jobs_in(self.snakemake("-n", *(arguments or ("--configfile", "study.yaml"))))

    def ran(self, *arguments: str) -> dict[str, int]:
        """Run the study; return how many jobs of each rule ran."""
        printed = self.snakemake("--cores", "2", *(arguments or ("--configfile", "study.yaml")))
        finished = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", printed)
        return {
            rule: finished.count(rule)
            for rule in sorted(set(finished))
            if not rule.startswith("all")
        }

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file, which must hold it."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1))


def jobs_in(printed: str) -> dict[str, int]:
    """Return the job counts that a dry run prints."""
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", printed, re.DOTALL)
    if table is None:
        assert "Nothing to be done" in printed, printed[-3000:]
        return {}
    rows = (line.split() for line in table.group(1).splitlines())
    return {rule: int(count) for rule, count in rows if rule != "all"}


def write_recordings(folder: Path) -> None:
    """Write 64 made-up recordings of two sites; one is no array, one too short for a window."""
    (folder / "signals").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for i in range(RECORDINGS):
        positive = i % 3 == 0
        samples = 4 * 60 * (32 if i < RECORDINGS - 1 else 4)
        # Many random waves: recordings of one shape would be taken for copies, and rightly.
        periods = (600 if positive else 250) * random.uniform(0.3, 3, 12)
        phases = random.uniform(0, 2 * np.pi, 12)
        wave = 4 * np.sin(np.arange(samples)[:, None] / periods + phases).sum(axis=1)
        fhr = 140 + wave + random.normal(0, 2, samples)
        uc = 30 + 25 * np.sin(np.arange(samples) / 200) ** 2
        file = "broken.npy" if i == 1 else f"r{i:02}.npy"
        np.save(folder / "signals" / file, np.stack([fhr, uc]).astype(np.float32))
        rows.append(
            {
                "record": f"r{i:02}",
                "patient": f"p{i:02}",
                "site": "b" if i % 4 == 3 else "a",
                "file": file,
                "apgar1": 4 if positive else 9,
                "apgar5": 6 if positive else 9,
                "ph": 7.1 if positive else 7.3,
            }
        )
    (folder / "signals" / "broken.npy").write_bytes(b"this is no array")
    pd.DataFrame(rows).to_csv(folder / "recordings.csv", index=False)


def run_once(shared: Path, name: str, study: dict, prepare: Callable[[Path], object]) -> Path:
    """Return the folder of a study after its first run, made once for all workers of pytest."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / name
    with filelock.FileLock(shared / f"{name}.lock", timeout=900):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            workspace = Workspace(folder)
            workspace.checkout()
            workspace.write_study(study)
            prepare(folder / "data")
            workspace.snakemake("--cores", "2", "--configfile", "study.yaml")
            (folder / "done").touch()
    return folder
