"""One of the CTG paper's models as it is; ``benchmarks/full_size.py`` tries all of all studies."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "full_size.py"


def test_a_paper_s_model_at_224_pixels_is_killed_and_resumes_to_the_same_bytes():
    command = [sys.executable, PROGRAM, "--models", "vit_small_patch16_224", "--batch", "4"]
    done = subprocess.run(
        [*command, "--threads", "1", "--device", "cpu"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[-1]
    assert row.startswith("| vit_small_patch16_224, 224 px | 21,666,434 |")
    assert row.endswith("| same bytes |")
