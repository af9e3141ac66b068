"""What every job on a GPU starts with: options of the machine, one device, and torch set up."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from fewcase.runtime.determinism import prepare_torch
from fewcase.runtime.device import name_devices, take_device
from fewcase.study.settings import TrainingOptions


def add_machine_options(parser: argparse.ArgumentParser, resumes: bool = True) -> None:
    """Add the options of how a job runs, and where it resumes from if it can."""
    add = parser.add_argument
    add("--training", type=json.loads, required=True, help="training section, JSON")
    if resumes:
        add("--state", type=Path, required=True, help="folder for the resume state")
        add("--checkpoint-seconds", type=int, help="least time between resume states")
        add("--ignore-code-change", type=int, choices=(0, 1), help="resume all the same")
        add("--code", required=True, help="digest of the code, kept in the resume state")


def machine_keys(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of `training`, those that came as options of their own included."""
    keys = dict(arguments.training)
    if (seconds := getattr(arguments, "checkpoint_seconds", None)) is not None:
        keys["checkpoint_minutes"] = seconds / 60
    if (ignore := getattr(arguments, "ignore_code_change", None)) is not None:
        keys["ignore_code_change"] = bool(ignore)
    return keys


@contextlib.contextmanager
def prepared_device(options: TrainingOptions, log: logging.Logger) -> Iterator[str]:
    """Take one device for this process, set torch up for it, and yield its name.

    The environment is read here and nowhere below: which GPUs are visible, and whose allocation
    they are.
    """
    devices = name_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
    locks = Path(tempfile.gettempdir()) / "fewcase-devices"
    with take_device(devices, locks, log, os.environ.get("SLURM_JOB_ID")) as device:
        prepare_torch(options.threads, device)
        yield device
