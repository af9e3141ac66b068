"""Run train.py in children of one process that has torch loaded; kill them at chosen moments.

Called as ``killed_trainings.py STAGE_SCRIPT JOBS``. STAGE_SCRIPT is train.py; JOBS is JSON, a list
of [command line, moment], run in order, and of names of files, of which the last 100 bytes are cut
off. A moment is null (run to the end) or [module, name, count]: the process kills itself, by a
signal that nothing can catch, when the function `name` of `module` is called for the `count`-th
time. Prints a JSON list of exit codes, -9 for a killed one.
"""

import importlib
import importlib.util
import json
import logging
import os
import signal
import sys
from pathlib import Path


def kill_at(module: str, name: str, count: int) -> None:
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), []

    def counted(*arguments, **keywords):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)

    setattr(owner, last, counted)


def run(stage, job) -> int:
    if isinstance(job, str):
        Path(job).write_bytes(Path(job).read_bytes()[:-100])
        return 0
    command_line, moment = job
    child = os.fork()
    if child == 0:
        if moment is not None:
            kill_at(*moment)
        stage.main(stage.parser.parse_args(command_line))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    spec = importlib.util.spec_from_file_location("stage", sys.argv[1])
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    print(json.dumps([run(stage, job) for job in json.loads(sys.argv[2])]))


if __name__ == "__main__":
    main()
