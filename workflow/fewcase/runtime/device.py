"""One device per job: jobs on a machine take its GPUs by locks that die with the process."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CPU = "cpu"


@dataclasses.dataclass(frozen=True)
class Device:
    """A GPU that this process may use.

    Attributes
    ----------
    name
        What torch calls it, such as ``cuda:1``: its place among the visible ones.
    identity
        What all processes of the machine call it: its entry in CUDA_VISIBLE_DEVICES.
    """

    name: str
    identity: str


def name_devices(visible: str | None, count: int) -> list[Device]:
    """Name the GPUs that torch sees.

    Parameters
    ----------
    visible
        The value of CUDA_VISIBLE_DEVICES, indices or UUIDs with commas between; None where it is
        not set, and every GPU of the machine is visible.
    count
        How many GPUs torch sees: it has read the same variable, and stops at the first entry that
        names no GPU, so this may be fewer than the entries.
    """
    if visible is None:
        identities = [str(index) for index in range(count)]
    else:
        identities = [entry.strip() for entry in visible.split(",") if entry.strip()][:count]
    return [Device(f"cuda:{index}", identity) for index, identity in enumerate(identities)]


@contextlib.contextmanager
def take_device(
    devices: Sequence[Device],
    lock_folder: Path,
    log: logging.Logger,
    allocation: str | None = None,
    poll_seconds: float = 1.0,
) -> Iterator[str]:
    """Take one device for this process alone, and wait while others hold all of them.

    A device is held by an advisory lock (flock) on a file of its own, which the system lets go of
    when the process ends, however it ends: there is nothing to clean up after a kill.

    Parameters
    ----------
    devices
        Those to choose from; none means the CPU.
    lock_folder
        A folder of this machine, the same for all jobs on it, whichever study they belong to.
    log
        Says which device was taken, and that the job waits.
    allocation
        The scheduler's name of what it gave out (Slurm's job id). Device 0 of one allocation may be
        another GPU than device 0 of the next, so locks hold within an allocation only; the jobs
        inside one share its devices by them.
    poll_seconds
        Time between two tries.

    Yields
    ------
    str
        ``cuda:<index>`` or ``cpu``.
    """
    if not devices:
        log.info("No GPU is visible: running on the CPU.")
        yield CPU
        return
    if allocation is not None:
        lock_folder = lock_folder / f"allocation-{allocation}"
    device, lock = _wait_for_one(devices, lock_folder, log, poll_seconds)
    try:
        log.info("Running on %s (device %s of this machine).", device.name, device.identity)
        yield device.name
    finally:
        os.close(lock)


def _wait_for_one(
    devices: Sequence[Device], lock_folder: Path, log: logging.Logger, poll_seconds: float
) -> tuple[Device, int]:
    locks = {device: _open_lock(lock_folder, device.identity) for device in devices}
    told = -float("inf")
    while True:
        for device, lock in locks.items():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for other in locks.values():
                    if other != lock:
                        os.close(other)
                return device, lock
        if time.monotonic() - told >= 60:
            told = time.monotonic()
            names = ", ".join(device.identity for device in devices)
            log.info("All GPUs (%s) are taken by other jobs: waiting for one.", names)
        time.sleep(poll_seconds)


def _open_lock(folder: Path, identity: str) -> int:
    """Open the lock file of a device so that every user of the machine can lock it."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):
            folder.chmod(0o1777)
    path = folder / f"device-{re.sub(r'[^A-Za-z0-9-]', '_', identity)}.lock"
    with contextlib.suppress(FileExistsError):
        created = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.close(created)
    # A lock needs no right to write, which another user's file would not give.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
