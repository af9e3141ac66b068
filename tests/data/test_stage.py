"""Claims about what a stage script tells its caller."""

import argparse
import logging
import warnings

import pytest

from fewcase.data.stage import run
from fewcase.study.errors import InputError


def call(main, *arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, default=1)
    return run(main, parser, arguments)


@pytest.fixture(autouse=True)
def root_log_as_before():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


def test_a_stage_that_ends_well_exits_with_0_and_has_its_arguments():
    seen = []
    assert call(lambda arguments: seen.append(arguments.number), "--number", "7") == 0
    assert seen == [7]


def test_a_mistake_of_the_user_is_one_message_without_a_traceback(capsys):
    def main(arguments):
        raise InputError("table.csv: no column 'pH'. Did you mean 'ph'?")

    assert call(main) == 1
    told = capsys.readouterr().err
    assert told.count("table.csv: no column 'pH'. Did you mean 'ph'?") == 1
    assert "Traceback" not in told


def test_an_unexpected_error_is_logged_with_its_traceback(capsys, tmp_path):
    def main(arguments):
        raise ZeroDivisionError("a bug")

    log = tmp_path / "logs" / "stage.log"
    assert call(main, "--log", str(log)) == 1
    for text in (capsys.readouterr().err, log.read_text()):
        assert "Traceback" in text
        assert "ZeroDivisionError: a bug" in text


def test_the_log_file_holds_what_stderr_shows_warnings_included(capsys, tmp_path):
    def main(arguments):
        logging.getLogger("fewcase.anything").info("552 recordings")
        warnings.warn("one is odd", stacklevel=1)

    assert call(main, "--log", str(tmp_path / "a.log")) == 0
    text = (tmp_path / "a.log").read_text()
    assert "INFO 552 recordings" in text
    assert "one is odd" in text
    assert capsys.readouterr().err == text


def test_an_unknown_option_is_refused():
    with pytest.raises(SystemExit) as caught:
        call(lambda arguments: None, "--nmber", "7")
    assert caught.value.code == 2
