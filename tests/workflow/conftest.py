"""The small study, run once, that tests copy, change and plan again."""

import os
import shutil
from pathlib import Path

import filelock
import pytest

from workspace import STUDY, Workspace, write_recordings


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small study after its first run, made once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "finished"
    with filelock.FileLock(shared / "finished.lock", timeout=600):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            workspace = Workspace(folder)
            workspace.checkout()
            workspace.write_study(STUDY)
            write_recordings(folder / "data")
            workspace.snakemake("--cores", "2", "--configfile", "study.yaml")
            (folder / "done").touch()
    return folder


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Workspace:
    """Return a copy of the finished study, times and all, that a test may change."""
    shutil.copytree(finished, tmp_path / "copy", copy_function=shutil.copy2)
    return Workspace(tmp_path / "copy")


@pytest.fixture
def checkout(tmp_path: Path) -> Workspace:
    """Return a checkout in which nothing has run."""
    workspace = Workspace(tmp_path)
    workspace.checkout()
    return workspace
