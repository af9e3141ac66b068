"""Fixtures that any test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the public recordings, one subfolder per database."""
    folder = os.environ.get("FEWCASE_DATA")
    if not folder:
        pytest.skip("FEWCASE_DATA is not set: no public recordings at hand")
    return Path(folder)
