"""The pinned versions agree wherever they are written."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONDA_NAMES = {"matplotlib-base": "matplotlib", "python-safetensors": "safetensors"}


def pins(text: str) -> dict[str, str]:
    """Return version by name from lines such as `- numpy=2.4.6` or `torch==2.14.1`."""
    found = re.findall(r"^\s*(?:- )?([\w-]+)==?(\d[\w.]*)", text, re.MULTILINE)
    return {CONDA_NAMES.get(name, name): version for name, version in found}


def test_conda_environments_have_the_versions_of_the_virtual_environment() -> None:
    wanted = pins((REPOSITORY / "envs" / "requirements.in").read_text())
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        given = pins(path.read_text())
        assert given.pop("python") == "3.11"
        assert given, path
        assert given == {name: wanted[name] for name in given}, path


def test_the_lock_file_holds_what_is_asked_for_with_hashes() -> None:
    lock = (REPOSITORY / "envs" / "requirements.txt").read_text()
    for name, version in pins((REPOSITORY / "envs" / "requirements.in").read_text()).items():
        assert re.search(rf"^{re.escape(name)}=={re.escape(version)}\b.*\\$", lock, re.M | re.I), (
            name
        )
    assert "://" not in lock
