"""Fixtures of generators: the discs, one thread, and a place for resume states."""

import pytest
import torch

from fewcase.gan.steps import GanData
from fewcase.runtime.checkpoint import ResumeFolder
from small_gans import LOG, discs


@pytest.fixture(scope="module")
def data() -> GanData:
    """Sixty images of two classes."""
    images, labels = discs(60)
    return GanData(torch.from_numpy(images), labels, ("lying", "standing"))


@pytest.fixture(autouse=True)
def one_thread():
    """Results to the last bit need a fixed number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def resume(tmp_path):
    """A folder for the resume state of one training."""
    return ResumeFolder(tmp_path / "state", {}, "code", True, LOG)
