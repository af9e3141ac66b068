"""The small study, run once, that tests copy, change and plan again."""

import shutil
from pathlib import Path

import pytest

from workspace import STUDY, Workspace, run_once, write_recordings


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small study after its first run, made once for all workers."""
    return run_once(tmp_path_factory.getbasetemp(), "finished", STUDY, write_recordings)


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
