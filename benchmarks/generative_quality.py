"""Time the measures of generative quality against prdc and torch-fidelity, from features on.

Precision, recall, density and coverage (k = 5) against prdc 0.2; FID and KID (100 subsets of 1,000)
against torch-fidelity 0.4.0, which reads nothing here but features. Every side runs in a process of
its own, which tells its seconds and by how much its memory grew at most beyond the features; all
sides of a measure must give the same values. With a GPU, fewcase is run on it as well. Run as
``python benchmarks/generative_quality.py``; ``--size 50000`` adds fewcase alone at that size (some
minutes on a CPU; the other sides would need more memory than most machines have).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.quality.frechet import fit_gaussian, frechet_distance
from fewcase.quality.kernel_distance import kernel_distance
from fewcase.quality.manifolds import compare_manifolds

Values = dict[str, float]

PEERS = {
    "precision, recall, density, coverage": "prdc",
    "FID": "torch-fidelity",
    "KID": "torch-fidelity",
}
TOLERANCE = 1e-4


def made_up(count: int, width: int, seed: int) -> np.ndarray:
    """Return features that are never negative, of some strong directions and much noise."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(5).normal(size=(64, width)).astype(np.float32)
    hidden = random.normal(size=(count, 64)).astype(np.float32) @ directions
    hidden += 0.5 * random.normal(size=(count, width)).astype(np.float32)
    return np.maximum(0.1 * hidden, 0)


def by_prdc(real: np.ndarray, synthetic: np.ndarray) -> Values:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, synthetic, 5)
    return {name: float(value) for name, value in found.items()}


def by_torch_fidelity_fid(real: np.ndarray, synthetic: np.ndarray) -> Values:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(torch.from_numpy(side)) for side in (real, synthetic)]
    found = fid_statistics_to_metric(*sides, verbose=False)
    return {"frechet": found["frechet_inception_distance"]}


def by_torch_fidelity_kid(real: np.ndarray, synthetic: np.ndarray) -> Values:
    from torch_fidelity.metric_kid import kid_features_to_metric

    sides = [torch.from_numpy(side) for side in (real, synthetic)]
    found = kid_features_to_metric(*sides, kid_subset_size=1000, verbose=False)
    return {"kid": found["kernel_inception_distance_mean"]}


def by_us(measure: str, device: str) -> Callable[[np.ndarray, np.ndarray], Values]:
    """Return the function of fewcase for a measure."""

    def manifolds(real: np.ndarray, synthetic: np.ndarray) -> Values:
        found = compare_manifolds(real, synthetic, precision_neighbours=5, device=device)
        return {name: getattr(found, name) for name in ("precision", "recall")} | {
            name: getattr(found, name) for name in ("density", "coverage")
        }

    def fid(real: np.ndarray, synthetic: np.ndarray) -> Values:
        sides = [fit_gaussian(side, device) for side in (real, synthetic)]
        return {"frechet": frechet_distance(*sides)}

    def kid(real: np.ndarray, synthetic: np.ndarray) -> Values:
        return {"kid": kernel_distance(real, synthetic, subset_size=1000, device=device).value}

    return dict(zip(PEERS, (manifolds, fid, kid), strict=True))[measure]


def run_side(side: str, measure: str, size: int, width: int, threads: int) -> None:
    """Run one side in this process, and print its values, seconds and growth as JSON."""
    torch.set_num_threads(threads)
    sets = made_up(size, width, 1), made_up(size, width, 2)
    peers = dict(zip(PEERS, (by_prdc, by_torch_fidelity_fid, by_torch_fidelity_kid), strict=True))
    function = peers[measure] if side == "peer" else by_us(measure, side)
    few = 1001 if measure == "KID" else 40
    # Imports, threads and the GPU's libraries are there before the clock runs.
    function(sets[0][:few, :64].copy(), sets[1][:few, :64].copy())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    on_gpu = side.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    values = function(*sets)
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    if on_gpu:
        grown = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps({"values": values, "seconds": seconds, "grown": grown}))


def in_turns(
    sides: list[str], measure: str, size: int, chosen: argparse.Namespace, repeats: int
) -> dict[str, tuple[Values, float, float]]:
    """Return values, median seconds and largest growth in MiB of each side, run in turns."""
    runs: dict[str, list[dict]] = {side: [] for side in sides}
    for side in sides * repeats:
        command = [sys.executable, __file__, "--side", side, "--measure", measure]
        command += ["--size", str(size), "--width", str(chosen.width)]
        command += ["--threads", str(chosen.threads)]
        threads = {"OMP_NUM_THREADS": str(chosen.threads)}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | threads
        )
        if done.returncode:
            raise SystemExit(f"{measure}, {side}: {done.stderr[-2000:]}")
        runs[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        side: (
            found[0]["values"],
            statistics.median(run["seconds"] for run in found),
            max(run["grown"] for run in found),
        )
        for side, found in runs.items()
    }


def check_agreement(measure: str, ours: Values, others: Values) -> None:
    """Stop where two sides differ."""
    for name, value in others.items():
        if abs(ours[name] - value) > TOLERANCE * max(1.0, abs(value)):
            raise SystemExit(f"{measure}: {name} is {ours[name]} by fewcase, {value} by the other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=5000, help="images of each set")
    parser.add_argument("--peer-size", type=int, default=5000, help="most for the other sides")
    parser.add_argument("--width", type=int, default=2048, help="features")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        run_side(chosen.side, chosen.measure, chosen.size, chosen.width, chosen.threads)
        return

    size = min(chosen.size, chosen.peer_size)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    print(f"| {size:,} × {size:,} images, {chosen.width:,} features | seconds | ratio | MiB |")
    print("| --- | ---: | ---: | ---: |")
    for measure, peer in PEERS.items():
        found = in_turns(["peer", *devices], measure, size, chosen, chosen.repeats)
        first = found["peer"][1]
        for side, (values, seconds, grown) in found.items():
            check_agreement(measure, values, found["peer"][0])
            name = f"{measure}: {peer}" if side == "peer" else f"fewcase, {side}"
            print(f"| {name} | {seconds:.2f} | {first / seconds:.1f} | {grown:,.0f} |")
    if chosen.size > size:
        print(f"\n| fewcase alone, {chosen.size:,} × {chosen.size:,} | seconds | MiB |")
        print("| --- | ---: | ---: |")
        for measure in PEERS:
            found = in_turns(devices[-1:], measure, chosen.size, chosen, 1)
            _, seconds, grown = found[devices[-1]]
            print(f"| {measure}, {devices[-1]} | {seconds:.2f} | {grown:,.0f} |")


if __name__ == "__main__":
    main()
