import logging
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fewcase
from fewcase.runtime.device import Device, name_devices, take_device

LIBRARY = Path(fewcase.__file__).parents[1]
LOG = logging.getLogger("fewcase.test")
# A job that takes one of two simulated devices, says which, and holds it until it is killed.
HOLDER = """
import logging, sys, time
from pathlib import Path
from fewcase.runtime.device import name_devices, take_device
devices, log = name_devices("7,3", 2), logging.getLogger()
with take_device(devices, Path(sys.argv[1]), log, poll_seconds=0.02) as device:
    print(device, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Start jobs that hold a device; kill what is left of them at the end."""
    jobs = []

    def start():
        environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
        job = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        jobs.append(job)
        return job

    yield start
    for job in jobs:
        job.kill()
        job.communicate()


def test_two_jobs_take_two_devices_and_a_third_gets_that_of_a_killed_one(hold):
    first, second = hold(), hold()
    taken = {job.stdout.readline().strip(): job for job in (first, second)}
    assert set(taken) == {"cuda:0", "cuda:1"}
    third = hold()
    said_something, _, _ = select.select([third.stdout], [], [], 0.8)
    assert not said_something
    taken["cuda:1"].send_signal(signal.SIGKILL)
    assert third.stdout.readline().strip() == "cuda:1"


def test_a_job_says_that_it_waits(hold, tmp_path, caplog):
    for job in (hold(), hold()):
        job.stdout.readline()
        last = job
    caplog.set_level(logging.INFO)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {last.pid}"])
    with take_device(name_devices("7,3", 2), tmp_path, LOG, poll_seconds=0.02):
        assert "All GPUs (7, 3) are taken by other jobs: waiting" in caplog.text
    killer.wait()


def test_a_device_is_free_again_when_the_work_is_done_or_fails(tmp_path):
    devices = name_devices("0", 1)
    for _ in range(2):
        with take_device(devices, tmp_path, LOG) as name:
            assert name == "cuda:0"
    with pytest.raises(RuntimeError), take_device(devices, tmp_path, LOG):
        raise RuntimeError
    with take_device(devices, tmp_path, LOG) as name:
        assert name == "cuda:0"


def test_no_gpu_means_the_cpu_and_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with take_device([], tmp_path / "never made", LOG) as name:
        assert name == "cpu"
    assert "No GPU is visible: running on the CPU." in caplog.text
    assert not (tmp_path / "never made").exists()


def test_visible_devices_are_named_by_place_and_known_by_entry():
    assert name_devices(None, 2) == [Device("cuda:0", "0"), Device("cuda:1", "1")]
    assert name_devices("3, GPU-8a", 2) == [Device("cuda:0", "3"), Device("cuda:1", "GPU-8a")]
    assert name_devices("", 0) == []
    assert name_devices("1,-1,2", 1) == [Device("cuda:0", "1")]


def test_devices_of_one_number_in_two_allocations_do_not_block_each_other(tmp_path):
    own = name_devices("0", 1)
    with (
        take_device(own, tmp_path, LOG),
        take_device(own, tmp_path, LOG, allocation="17") as one,
        take_device(own, tmp_path, LOG, allocation="18") as other,
    ):
        assert one == other == "cuda:0"


def test_jobs_inside_one_allocation_of_two_devices_take_one_each(tmp_path):
    both = name_devices("0,1", 2)
    with (
        take_device(both, tmp_path, LOG, allocation="17") as first,
        take_device(both, tmp_path, LOG, allocation="17") as second,
    ):
        assert {first, second} == {"cuda:0", "cuda:1"}
