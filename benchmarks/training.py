"""Images per second of our training loop and of a plain loop over timm's loader, side by side.

The plain loop is what a good researcher writes with timm: its loader over images in memory, its
CutMix, optimiser and loss. Both train the same network on the same images, with the same batch,
precision, memory format and thread count, in turns: two epochs of ours, two of theirs, several
times, of which the second is timed; the table gives medians. With ``--timm-defaults`` the plain
loop keeps timm's defaults instead, channels first and not compiled. ``python
benchmarks/training.py`` measures two models on the CPU, or all eight of the paper on a GPU.
"""

import argparse
import dataclasses
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from timm.data import Mixup, create_loader
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from fewcase.data.files import write_digest
from fewcase.data.image_store import ImageStore
from fewcase.models.registry import PAPER_MODELS, build_model
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.runtime.normalisation import DeviceImages
from fewcase.study.recipe import Recipe
from fewcase.study.settings import TrainingOptions
from fewcase.training.learner import Machine, choose_machine
from fewcase.training.loop import train_network
from fewcase.training.run_data import RunData

LOG = logging.getLogger("benchmark")
SIZE = 224


class PillowImages(torch.utils.data.Dataset):
    """Images in memory, as a data set for timm's loader."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        # (n, C, H, W) to pictures of (H, W, C), made once.
        self.images = [Image.fromarray(image) for image in images.transpose(0, 2, 3, 1)]
        self.labels = labels.tolist()
        self.transform: Callable[[Image.Image], torch.Tensor] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        assert self.transform is not None
        return self.transform(self.images[index]), self.labels[index]


class PlainLoop:
    """A loop over timm's loader."""

    def __init__(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        batch: int,
        machine: Machine,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]],
        workers: int,
    ) -> None:
        self.machine, self.count = machine, len(labels)
        on_gpu = machine.device != "cpu"
        self.loader = create_loader(
            PillowImages(images, labels),
            input_size=(3, SIZE, SIZE),
            batch_size=batch,
            is_training=True,
            no_aug=True,
            mean=normalisation[0],
            std=normalisation[1],
            num_workers=workers,
            persistent_workers=workers > 0,
            use_prefetcher=on_gpu,
            device=torch.device(machine.device),
        )
        self.mixup = Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, prob=0.5, num_classes=2)
        self.loss = SoftTargetCrossEntropy()
        self.network = network.to(machine.device)
        if machine.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.forward = torch.compile(self.network) if machine.compiled else self.network

    def turn(self) -> float:
        """Train two epochs; return images per second of the second."""
        optimizer = create_optimizer_v2(self.network, "adamw", lr=1e-4, weight_decay=0.05)
        self.epoch(optimizer)
        return self.epoch(optimizer)

    def epoch(self, optimizer: torch.optim.Optimizer) -> float:
        """Train one epoch; return images per second."""
        self.network.train()
        started = time.perf_counter()
        for images, labels in self.loader:
            images = images.to(self.machine.device)
            if self.machine.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            images, targets = self.mixup(images, labels.to(self.machine.device))
            with self.machine.precision.autocast():
                logits = self.forward(images)
                loss = self.loss(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert np.isfinite(loss.item())
        return self.count / (time.perf_counter() - started)


class OurLoop:
    """The library's loop, an epoch at a time."""

    def __init__(
        self,
        recipe: Recipe,
        options: TrainingOptions,
        images: ImageStore,
        labels: np.ndarray,
        device: str,
        trained_images: int,
    ) -> None:
        built = build_model(recipe.model, {}, 2, 3, SIZE, "none")
        rows = np.arange(len(labels))
        columns = ["row", "example", "parent", "patient", "site", "role", "test_set", "label"]
        self.data = RunData(
            rows, labels, rows * 0, (rows,), pd.DataFrame(columns=columns), (0.5, 0.5)
        )
        self.machine = choose_machine(options, built.network, trained_images, device)
        self.recipe, self.options, self.built = recipe, options, built
        stored = torch.from_numpy(images.read_packed(rows)).to(device)
        self.store = DeviceImages(stored, True, built.mean, built.std, self.machine.channels_last)

    def turn(self) -> float:
        """Train two epochs; return images per second of the second."""
        with tempfile.TemporaryDirectory() as folder:
            resume = ResumeFolder(Path(folder), {}, "", True, LOG)
            learner = train_network(
                self.recipe, self.options, self.data, 0, self.built, self.store, 0,
                self.machine, resume, LOG,
            )  # fmt: skip
        # Not the first epoch, in which the optimiser's state and the memory pool grow.
        return learner.history[-1]["images_per_second"]


def made_up(folder: Path, count: int) -> tuple[ImageStore, np.ndarray]:
    """Return an image store of thin lines on white and labels, one in seven positive."""
    generator = np.random.default_rng(0)
    paths = []
    for channel in range(3):
        drawn = np.ones((count, SIZE, SIZE), np.uint8)
        walk = generator.normal(0, 2, (count, SIZE)).cumsum(1)
        height = np.clip(SIZE / 2 + walk, 0, SIZE - 1).astype(int)
        drawn[np.arange(count)[:, None], height, np.arange(SIZE)] = 0
        path = folder / f"channel-{channel}.npy"
        np.save(path, np.packbits(drawn, axis=-1))
        write_digest(path.with_suffix(".hash"), {"shape": list(drawn.shape), "packed": True})
        paths.append(path)
    return ImageStore.open(paths), (np.arange(count) % 7 == 0).astype(np.int64)


def measure(
    model: str,
    images: int,
    batch: int,
    repeats: int,
    device: str,
    workers: int,
    options: TrainingOptions,
    timm_defaults: bool,
) -> tuple[float, float, float, Machine]:
    """Return medians of ours and theirs in images/s, and of the ratio turn by turn."""
    with tempfile.TemporaryDirectory() as folder:
        store, labels = made_up(Path(folder), images)
        recipe = Recipe(
            model=model,
            weights="none",
            augment="cutmix",
            batch_size=batch,
            epochs=2,
            warmup_epochs=0,
        )
        ours = OurLoop(recipe, options, store, labels, device, images * repeats * 100)
        normalisation = ours.built.mean, ours.built.std
        machine = ours.machine
        if timm_defaults:
            machine = dataclasses.replace(machine, channels_last=False, compiled=False)
        network = build_model(model, {}, 2, 3, SIZE, "none").network
        plain = PlainLoop(
            network,
            store.read(np.arange(images)),
            labels,
            batch,
            machine,
            normalisation,
            workers,
        )
        pairs = []
        for repeat in range(repeats):
            # Who goes first changes, so that a machine growing warm or busy favours nobody.
            loops = (ours, plain) if repeat % 2 == 0 else (plain, ours)
            speeds = {id(loop): loop.turn() for loop in loops}
            pairs.append((speeds[id(ours)], speeds[id(plain)]))
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return mine, theirs, statistics.median(a / b for a, b in pairs), ours.machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", nargs="+", help="timm names; default by device")
    parser.add_argument("--images", type=int, help="images per epoch")
    parser.add_argument("--batch", type=int, help="images per step")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, help="processes of timm's loader")
    parser.add_argument("--timm-defaults", action="store_true")
    parser.add_argument("--compile", default="auto", choices=("auto", "yes", "no"))
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    torch.set_num_threads(arguments.threads)
    models = arguments.models or (
        list(PAPER_MODELS) if on_gpu else ["resnet18", "vit_small_patch16_224"]
    )
    images = arguments.images or (85 * 40 if on_gpu else 48)
    batch = arguments.batch or (85 if on_gpu else 16)
    workers = arguments.workers if arguments.workers is not None else (8 if on_gpu else 1)
    options = TrainingOptions(compile=arguments.compile, checkpoint_minutes=1e6)
    print(
        f"{arguments.device}, {arguments.threads} threads, batch {batch}, {images} images, "
        f"CutMix, median of {arguments.repeats} turns; torch {torch.__version__}\n"
    )
    columns = (
        "model",
        "precision",
        "memory",
        "compiled",
        "ours, images/s",
        "timm, images/s",
        "ratio",
    )
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for model in models:
        mine, theirs, ratio, machine = measure(
            model,
            images,
            batch,
            arguments.repeats,
            arguments.device,
            workers,
            options,
            arguments.timm_defaults,
        )
        memory = "channels last" if machine.channels_last else "channels first"
        compiled = "yes" if machine.compiled else "no"
        print(
            f"| {model} | {machine.precision.name} | {memory} | {compiled} | {mine:.4g} "
            f"| {theirs:.4g} | {ratio:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
