"""The code digest changes with what code does, and with nothing else."""

import pytest

from fewcase.study.digest import code_digest, reached_modules, source_digest


@pytest.fixture
def library(tmp_path):
    """A stage script that reaches two modules, one of them late, and leaves a third alone."""
    room = tmp_path / "fewcase" / "room"
    room.mkdir(parents=True)
    (tmp_path / "fewcase" / "__init__.py").write_text("")
    (room / "__init__.py").write_text("")
    (room / "early.py").write_text("VALUE = 1\n")
    (room / "late.py").write_text("def late():\n    return 2\n")
    (room / "alone.py").write_text("VALUE = 3\n")
    (tmp_path / "stage.py").write_text(
        "from fewcase.room import early\n"
        "def main():\n"
        "    from fewcase.room.late import late\n"
        "    return early.VALUE + late()\n"
    )
    return tmp_path


def digest_of(library):
    """Return the digest of the stage as a new process would."""
    for cached in (code_digest, source_digest):
        cached.cache_clear()
    from fewcase.study import digest

    digest._tree.cache_clear()
    digest._imports.cache_clear()
    return code_digest(library / "stage.py", library)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stage.py", "from fewcase.room import early\ndef main():\n    return early.VALUE\n"),
        ("fewcase/room/early.py", "VALUE = 2\n"),
        ("fewcase/room/late.py", "def late():\n    return 3\n"),
    ],
)
def test_a_change_in_reached_code_changes_the_digest(library, file, text):
    before = digest_of(library)
    (library / file).write_text(text)
    assert digest_of(library) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("fewcase/room/early.py", '"""What it is."""\n\n# Why.\nVALUE = (\n    1\n)\n'),
        ("fewcase/room/late.py", 'def late():\n    """Give two."""\n    return 2  # two\n'),
        ("fewcase/room/alone.py", "VALUE = 4\n"),
    ],
)
def test_comments_docstrings_layout_and_unreached_modules_do_not(library, file, text):
    before = digest_of(library)
    (library / file).write_text(text)
    assert digest_of(library) == before


def test_a_module_imported_inside_a_function_is_reached(library):
    names = {path.name for path in reached_modules(library / "stage.py", library)}
    assert names == {"stage.py", "early.py", "late.py", "__init__.py"}
