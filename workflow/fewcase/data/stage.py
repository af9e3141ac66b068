"""What every stage script starts with: its log, its arguments and its exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fewcase.study.errors import InputError

logger = logging.getLogger("fewcase")


def run(
    main: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the command line, set up the log, call `main`, and return the exit code.

    An option ``--log FILE`` is added, which writes the log to a file besides stderr.

    Parameters
    ----------
    main
        Does the work; receives the parsed arguments.
    parser
        The stage's options.
    arguments
        The command line without the program's name; by default that of this process.

    Returns
    -------
    int
        0; 1 after a user's mistake (an `InputError`, told in one message) or an unexpected error
        (logged with its traceback); 130 after Ctrl-C.
    """
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the log to FILE as well")
    parsed = parser.parse_args(arguments)
    _set_up_log(parsed.log)
    try:
        main(parsed)
    except InputError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted")
        return 130
    except Exception:
        logger.exception("unexpected error")
        return 1
    return 0


def _set_up_log(file: Path | None) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        handlers=handlers,
        force=True,
    )
    logging.captureWarnings(True)
