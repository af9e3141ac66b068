"""The reference of keys is the one that the code gives."""

from pathlib import Path

from fewcase.study.reference import write_reference


def test_the_committed_reference_is_in_step_with_the_code():
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == write_reference(), "run `make reference`"
