"""Training images per second of the liver study's network and of MONAI's U-Net of the same widths.

Ours is the library's loop: class and masks at three sizes, images and masks shifted, turned and
scaled on the device. The other is what a good researcher writes with MONAI for the full-size mask
alone, without a class: ``BasicUNet`` with its own norm, a data set cached in memory,
``RandAffined`` in a worker of its loader, the same loss of that mask, optimiser, precision and
batch. MONAI's network is measured with either order of memory, and ratios are to the faster one.
All take turns: two epochs each, several times, of which the second is timed; the table gives
medians. Memory is what one image more in a batch takes for the backward pass: on a GPU the peak
that was allocated, on a CPU the tensors that are kept. ``python benchmarks/segmentation.py``.
"""

import argparse
import logging
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import monai
import numpy as np
import pandas as pd
import torch
from monai.data import CacheDataset, DataLoader
from monai.networks.nets import BasicUNet
from monai.transforms import Compose, RandAffined, ToTensord
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.models.registry import build_model, count_parameters
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.normalisation import DeviceImages
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.learner import Machine, choose_machine
from fewcase.training.loop import loss_of, train_network
from fewcase.training.optimisation import make_optimizer
from fewcase.training.run_data import RunData

LOG = logging.getLogger("benchmark")
SHIFT, DEGREES, ZOOM = 0.1, 10.0, 0.1


def made_up(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return speckled images with a brighter ellipse, its masks, both uint8, and three classes."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    centre = generator.uniform(0.35, 0.65, (4, count, 1, 1))
    masks = ((rows - centre[0]) / 0.3) ** 2 + ((columns - centre[1]) / 0.25) ** 2 < 1
    images = generator.rayleigh(40 + 30 * masks).clip(0, 255)
    return (
        images.astype(np.uint8)[:, None],
        255 * masks.astype(np.uint8)[:, None],
        np.arange(count) % 3,
    )


class OurLoop:
    """The library's loop, two epochs at a time."""

    def __init__(
        self, recipe: Recipe, options: TrainingOptions, images: int, size: int, device: str
    ) -> None:
        pixels, masks, labels = made_up(images, size)
        self.built = build_model(recipe.model, recipe.model_options, 3, 1, size, recipe.weights)
        self.machine = choose_machine(options, self.built.network, 10**6, device)
        self.recipe, self.options = recipe, options
        rows = np.arange(images)
        columns = ["row", "example", "parent", "patient", "site", "role", "test_set", "label"]
        self.data = RunData(
            rows, labels, rows * 0, (rows,), pd.DataFrame(columns=columns), (1 / 3,) * 3
        )
        self.masks = torch.from_numpy(masks).to(device)
        self.store = DeviceImages(
            torch.from_numpy(pixels).to(device),
            False,
            self.built.mean,
            self.built.std,
            self.machine.channels_last,
        )

    def turn(self) -> float:
        """Train two epochs; return images per second of the second."""
        with tempfile.TemporaryDirectory() as folder:
            resume = ResumeFolder(Path(folder), {}, "", True, LOG)
            learner = train_network(
                *(self.recipe, self.options, self.data, 0, self.built, self.store, 0),
                *(self.machine, resume, LOG),
                masks=self.masks,
            )
        self.network = learner.network
        return float(learner.history[-1]["images_per_second"])

    def memory(self, batch: int) -> float:
        """Return what an image takes in training, in MiB."""
        network = self.network.train()

        def loss(count: int) -> torch.Tensor:
            positions = torch.arange(count, device=self.store.device)
            targets = torch.eye(3, device=self.store.device)[positions % 3]
            images, truth = self.store.batch(positions), (self.masks[positions] > 0).float()
            with self.machine.precision.autocast():
                logits, masks = network.segment(images)
            return loss_of(self.recipe, logits, targets, masks, truth)

        return memory_per_image(loss, batch, network)


class MonaiLoop:
    """A loop over MONAI's loader and network, two epochs at a time."""

    def __init__(
        self,
        recipe: Recipe,
        width: int,
        images: int,
        size: int,
        machine: Machine,
        channels_last: bool,
        workers: int,
    ) -> None:
        self.count, self.machine = images, machine
        pixels, masks, _ = made_up(images, size)
        cases = [
            {"image": (image / 255 - 0.5) / 0.5, "mask": mask / 255}
            for image, mask in zip(pixels.astype(np.float32), masks.astype(np.float32), strict=True)
        ]
        moves = RandAffined(
            ["image", "mask"],
            prob=1,
            rotate_range=math.radians(DEGREES),
            translate_range=SHIFT * size,
            scale_range=ZOOM,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        )
        self.loader = DataLoader(
            CacheDataset(cases, Compose([ToTensord(["image", "mask"]), moves]), progress=False),
            batch_size=recipe.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=machine.device != "cpu",
        )
        features = (width, 2 * width, 4 * width, 8 * width, 16 * width, width)
        network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=features)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(machine.device, memory_format=self.format)
        self.forward = torch.compile(self.network) if machine.compiled else self.network
        self.optimizer = make_optimizer(recipe, self.network)
        self.loss = nn.BCEWithLogitsLoss()

    def turn(self) -> float:
        """Train two epochs; return images per second of the second."""
        self.network.train()
        for _ in range(2):
            started = time.perf_counter()
            for case in self.loader:
                images, masks = (
                    case[key].as_tensor().to(self.machine.device, non_blocking=True)
                    for key in ("image", "mask")
                )
                loss = self._loss(self.forward, images, masks)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            assert np.isfinite(loss.item())
            seconds = time.perf_counter() - started
        return self.count / seconds

    def memory(self, batch: int) -> float:
        """Return what an image takes in training, in MiB."""
        case = next(iter(self.loader))
        images, masks = (case[key].as_tensor().to(self.machine.device) for key in case)

        def loss(count: int) -> torch.Tensor:
            return self._loss(self.network, images[:count], masks[:count])

        return memory_per_image(loss, batch, self.network)

    def _loss(
        self, forward: Callable[..., torch.Tensor], images: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        with self.machine.precision.autocast():
            logits = forward(images.contiguous(memory_format=self.format))
        return self.loss(logits.float(), masks)


def memory_per_image(loss: Callable[[int], torch.Tensor], batch: int, network: nn.Module) -> float:
    """Return in MiB by how much `batch` images take more than one, for each image more."""
    found = []
    for count in (1, batch):
        if next(network.parameters()).is_cuda:
            network.zero_grad(set_to_none=True)
            torch.cuda.reset_peak_memory_stats()
            loss(count).backward()
            found.append(torch.cuda.max_memory_allocated())
            continue
        kept = {parameter.untyped_storage().data_ptr(): 0 for parameter in network.parameters()}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            whole = loss(count)
        found.append(sum(kept.values()))
        del whole
    return float((found[1] - found[0]) / (batch - 1) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels")
    parser.add_argument("--width", type=int, help="filters of the first level")
    parser.add_argument("--images", type=int, help="images per epoch, at least 3")
    parser.add_argument("--batch", type=int, help="images per step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, help="processes of MONAI's loader")
    parser.add_argument("--compile", default="no", choices=("yes", "no"))
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.benchmark = on_gpu
    width = arguments.width or (64 if on_gpu else 16)
    batch = arguments.batch or (8 if on_gpu else 2)
    images = arguments.images or (104 if on_gpu else 6)
    workers = arguments.workers if arguments.workers is not None else (8 if on_gpu else 1)
    recipe = Recipe(
        model="fibrosis_unet",
        model_options={"width": width},
        weights="none",
        shift=SHIFT,
        rotate=DEGREES,
        zoom=ZOOM,
        class_loss="bce",
        optimizer="adadelta",
        learning_rate=1.0,
        weight_decay=0.0,
        schedule="constant",
        warmup_epochs=0.0,
        batch_size=batch,
        ratio_batches=False,
        epochs=2,
    )
    options = TrainingOptions(compile=arguments.compile, checkpoint_minutes=1e6)
    ours = OurLoop(recipe, options, images, arguments.size, arguments.device)
    theirs = [
        MonaiLoop(recipe, width, images, arguments.size, ours.machine, last, workers)
        for last in (False, True)
    ]
    loops = {
        "fewcase, class and three masks": ours,
        "MONAI BasicUNet, one mask, channels first": theirs[0],
        "MONAI BasicUNet, one mask, channels last": theirs[1],
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(arguments.repeats):
        # Who goes first changes, so that a machine growing warm or busy favours nobody.
        names = list(loops) if repeat % 2 == 0 else list(reversed(loops))
        for name in names:
            speeds[name].append(loops[name].turn())
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    memories = {name: loop.memory(batch) for name, loop in loops.items()}
    networks = [ours.built.network, *(loop.network for loop in theirs)]
    best = max(list(medians)[1:], key=medians.__getitem__)
    print(
        f"{arguments.device}, {arguments.threads} threads, {arguments.size} × {arguments.size}, "
        f"width {width}, batch {batch}, {ours.machine.precision.name}, compiled: "
        f"{arguments.compile}, median of {arguments.repeats} turns; torch {torch.__version__}, "
        f"monai {monai.__version__}\n"
    )
    columns = ("network", "parameters", "images/s", "ratio", "MiB per image", "ratio")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for (name, speed), network in zip(medians.items(), networks, strict=True):
        print(
            f"| {name} | {count_parameters(network):,} | {speed:.4g} | {speed / medians[best]:.2f} "
            f"| {memories[name]:.0f} | {memories[name] / memories[best]:.2f} |"
        )


if __name__ == "__main__":
    main()
