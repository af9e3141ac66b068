"""Seconds to blank the cells of an image's grids: ours, and captum's Occlusion, side by side.

captum is what one would take instead: its `Occlusion` with windows of a grid's cells, at its
default of one perturbation at a time and at the best of several batch sizes, found here first. It
is asked for one class, as it answers for one; ours gives all. Both run in turns on the same network
and image, of noise, so that no cell is like the fill; before that, logits are checked to be those
of the network itself within 1e-5, and captum's attributions to be the differences of ours. "Exact
floor" is the share of the multiplications that the cells' changes make necessary, "done" the share
that is computed. Captum at its default is timed on 7 × 7 cells and multiplied. The ratio of
processor seconds, of all threads together, is what to quote from a machine that others use at the
same time. ``python benchmarks/occlusion.py --models resnet18``; without models, all of them.
"""

import argparse
import ctypes
import dataclasses
import importlib.metadata
import logging
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from captum.attr import Occlusion
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.explain.engine.making import largest_difference, make_occluder
from fewcase.explain.grids import Grid, square_grids
from fewcase.explain.occlusion import Occluder, PlainOccluder
from fewcase.models.registry import build_model

SIZE = 224
MODELS = (
    "resnet18", "resnet34", "resnet50", "densenet169", "vgg16", "efficientnet_b0",
    "vit_small_patch16_224", "swin_tiny_patch4_window7_224", "poolformerv2_s24",
)  # fmt: skip
BATCHES = (1, 8, 16, 32, 64)
TOLERANCE = 1e-5
COLUMNS = (
    "model", "way", "cells", "captum, batch 1, s", "captum, best batch", "captum, best, s",
    "ours, s", "ratio", "ratio of processor seconds", "exact floor", "done",
    "memory, ours and captum, MiB", "largest difference",
)  # fmt: skip


class PeakMemory:
    """The most memory that a block of code has held beyond what was held before, in MiB."""

    def __init__(self, device: str) -> None:
        self.device, self.mebibytes = device, 0.0
        self._done = threading.Event()

    def __enter__(self) -> "PeakMemory":
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
        else:
            # What earlier calls have freed goes back to the system first.
            ctypes.CDLL(None).malloc_trim(0)
            self._start = self._peak = _resident()
            self._thread = threading.Thread(target=self._watch)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device != "cpu":
            self._peak = torch.cuda.max_memory_allocated(self.device)
        else:
            self._done.set()
            self._thread.join()
        self.mebibytes = (self._peak - self._start) / 2**20

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._peak = max(self._peak, _resident())


def _resident() -> int:
    """Return the bytes of memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Captum:
    """Captum's `Occlusion`, a grid at a time, for the first class."""

    def __init__(self, network: nn.Module) -> None:
        self.occlusion = Occlusion(network)

    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid], batch: int
    ) -> list[torch.Tensor]:
        """Return the attributions of each grid, (C, H, W)."""
        attributions = []
        for grid in grids:
            # Cells as captum has them: all of one size, the last ones cut off.
            window = (image.shape[0], -(-SIZE // grid.rows), -(-SIZE // grid.columns))
            result = self.occlusion.attribute(
                image[None], window, strides=window, baselines=fill[None], target=0,
                perturbations_per_eval=batch,
            )  # fmt: skip
            attributions.append(result[0])
        return attributions


def lively(network: nn.Module) -> nn.Module:
    """Draw weights with which every pixel counts; untrained networks hardly look at their image."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
    return network.eval()


def seconds(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Return how long a call takes, and how long it keeps processors busy."""
    started, busy = time.perf_counter(), time.process_time()
    run()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started, time.process_time() - busy


def shares(
    occluder: Occluder,
    network: nn.Module,
    image: torch.Tensor,
    fill: torch.Tensor,
    grids: list[Grid],
) -> tuple[float, float]:
    """Return the exact floor and what is done, as shares of the plain way's multiplications."""
    if hasattr(occluder, "work"):
        work = occluder.work(image, fill, grids)
        return work.exact / work.plain, work.done / work.plain
    counts = []
    for each in (occluder, PlainOccluder(network, 8)):
        with FlopCounterMode(display=False) as counter:
            each(image, fill, grids[:1])
        counts.append(counter.get_total_flops())
    return counts[0] / counts[1], counts[0] / counts[1]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What every model is measured with."""

    sizes: tuple[int, ...]
    repeats: int
    device: str
    batches: tuple[int, ...]


@torch.inference_mode()
def measure(model: str, setting: Setting) -> list[str]:
    """Return one line of the table."""
    device = setting.device
    torch.manual_seed(0)
    network = lively(build_model(model, {}, 2, 3, SIZE, "none").network).to(device)
    image = torch.randn(3, SIZE, SIZE, device=device)
    fill = torch.full_like(image, -2.0)
    grids = list(square_grids(SIZE, SIZE, 3, sizes=setting.sizes))
    cells = sum(grid.cells for grid in grids)
    occluder, captum = make_occluder(network, tuple(image.shape), device), Captum(network)
    difference, _ = largest_difference(occluder, PlainOccluder(network, 8), image.shape, device)
    seven = list(square_grids(SIZE, SIZE, 3, sizes=(7,)))
    base, (masked,) = occluder(image, fill, seven)
    blamed = captum(image, fill, seven, 8)[0][0, ::32, ::32].flatten()
    disagreement = float((base[0] - masked[:, 0] - blamed).abs().max()) / max(
        1.0, float(base.abs().max())
    )
    difference = max(difference, disagreement)
    assert difference <= TOLERANCE, difference

    speeds = {
        batch: seconds(lambda batch=batch: captum(image, fill, seven, batch), device)[0]
        for batch in setting.batches
    }
    best = min(speeds, key=speeds.__getitem__)
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "best": []}
    with PeakMemory(device) as ours_memory:
        occluder(image, fill, grids[:1])
    with PeakMemory(device) as captum_memory:
        captum(image, fill, grids[:1], best)
    runs = {
        "ours": lambda: occluder(image, fill, grids),
        "best": lambda: captum(image, fill, grids, best),
    }
    for repeat in range(setting.repeats):
        # Who goes first changes, so that a machine growing warm or busy favours nobody.
        for name in ("ours", "best") if repeat % 2 == 0 else ("best", "ours"):
            times[name].append(seconds(runs[name], device))
    single = seconds(lambda: captum(image, fill, seven, 1), device)[0] / 49 * cells
    ours, theirs = (statistics.median(wall for wall, _ in each) for each in times.values())
    ratio, busy_ratio = (
        statistics.median(b[kind] / a[kind] for a, b in zip(*times.values(), strict=True))
        for kind in (0, 1)
    )
    floor, done = shares(occluder, network, image, fill, grids)
    return [
        model, type(occluder).__name__, str(cells), f"{single:.1f}", str(best), f"{theirs:.1f}",
        f"{ours:.1f}", f"{ratio:.2f}",
        f"{busy_ratio:.2f}", f"{floor:.2f}", f"{done:.2f}",
        f"{ours_memory.mebibytes:.0f} and {captum_memory.mebibytes:.0f}", f"{difference:.0e}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="timm names")
    parser.add_argument("--grids", nargs="+", type=int, default=[7, 9, 21])
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(arguments.threads)
    setting = Setting(
        tuple(arguments.grids), arguments.repeats, arguments.device, tuple(arguments.batches)
    )
    versions = ", ".join(
        f"{each} {importlib.metadata.version(each)}" for each in ("torch", "timm", "captum")
    )
    print(
        f"{arguments.device} ({platform.machine()}), {arguments.threads} threads, float32, "
        f"{SIZE} × {SIZE}, grids {arguments.grids}, median of {setting.repeats} turns; "
        f"Python {platform.python_version()}, {versions}\n"
    )
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    for model in arguments.models:
        print(f"| {' | '.join(measure(model, setting))} |", flush=True)


if __name__ == "__main__":
    main()
