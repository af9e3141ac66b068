"""Time the training of generators against a public StyleGAN2 and a plain formulation, in turns.

The public one is NVIDIA's, ``--reference FOLDER`` with a checkout of
github.com/NVlabs/stylegan2-ada-pytorch (whose licence allows research, not redistribution here):
its networks, losses and augmentation, driven phase by phase as its own loop does. On a CPU it takes
its reference operations by itself, on a GPU its compiled ones, with the four highest resolutions in
float16.

The plain formulation is what one writes from the papers (Karras et al., 2020): filters over stuffed
zeros and padded images, and weights of each image's own in a grouped convolution. It stands in our
networks and is trained by our steps. That both draw and judge the same images, and that the public
networks have as many parameters but for the discriminator's head, which learns classes in another
way, is checked before anything is timed.

All sides learn from the same images of six classes, with the same batch, widths, intervals (R1 16,
path length 4), probability of augmentation and number of threads. Steps with and without
regularisers are timed by themselves and weighed as they come in 16 steps. Peaks of memory are those
of processes of their own, what Python and torch take included. Run as ``python
benchmarks/gan_training.py``; on a busy machine with ``--threads 1 --cpu-time``, which counts the
time that the process computed and not the time that others did.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from plain_stylegan2 import make_plain

from fewcase.gan.learner import BETAS, EPSILON, GanLearner, architecture_of
from fewcase.gan.loss import lazy_optimiser
from fewcase.gan.pixels import to_range
from fewcase.gan.steps import LOW_PRECISION_BLOCKS, GanData, Trainer
from fewcase.runtime.determinism import prepare_torch
from fewcase.study.gans import GanRecipe
from fewcase.study.settings import TrainingOptions

CLASSES, IMAGES = 6, 48
#: Numbers of steps that differ in the regularisers due, and how many such there are in 16.
STEPS = {0: 1, 4: 3, 1: 12}
#: Probability of augmentation on all sides.
PROBABILITY = 0.5
#: Names of the public code for the transformations of our preset `paper`.
PIPELINE = (
    *("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac", "brightness", "contrast"),
)
#: Size, channel base and batch: on a CPU such that all of it takes 20 minutes on two cores.
ON_CPU = ("64,16384,4", "128,8192,4", "256,4096,4")
ON_GPU = ("64,16384,32", "128,16384,32", "256,16384,32")
PARTS = (
    *("discriminator", "generator", "R1", "path length", "augmentation", "optimisers, average"),
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained on which device."""

    size: int
    channel_base: int
    batch: int
    augment: str
    device: str
    threads: int
    cpu_time: bool

    @property
    def recipe(self) -> GanRecipe:
        return GanRecipe(
            size=self.size,
            channel_base=self.channel_base,
            batch_size=self.batch,
            augment=self.augment,
            conditioning="projection",
        )

    @property
    def name(self) -> str:
        augmented = "ADA" if self.augment != "none" else "no ADA"
        return f"{self.size} px, {self.channel_base}, batch {self.batch}, {augmented}"

    def data(self) -> GanData:
        """Return noise of some classes."""
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (IMAGES, 3, self.size, self.size), np.uint8)
        labels = np.arange(IMAGES) % CLASSES
        return GanData(
            torch.from_numpy(images).to(self.device), labels, tuple(map(str, range(CLASSES)))
        )

    def now(self) -> float:
        """Return the time in seconds, once the device has done its work."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)
        return time.process_time() if self.cpu_time else time.perf_counter()


class Ours:
    """The library's trainer, on a CPU with algorithms that repeat to the last bit."""

    name, deterministic = "fewcase", True

    def __init__(self, setting: Setting, options: TrainingOptions | None = None) -> None:
        recipe, device = setting.recipe, setting.device
        torch.manual_seed(0)
        self.learner = GanLearner(recipe, architecture_of(recipe, 3, CLASSES), device)
        options = options or TrainingOptions()
        self.trainer = Trainer(recipe, options, setting.data(), self.learner, 0, device)

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        return self.learner.generator, self.learner.discriminator

    def step(self, number: int) -> None:
        """Take the training step of this number, on which the regularisers due depend."""
        self.learner.steps = number
        self.learner.controller.probability.fill_(PROBABILITY)
        self.trainer.step()


class Plain(Ours):
    """The same training of networks as one writes them from the papers."""

    name, deterministic = "plain formulation", False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, TrainingOptions(compile="no"))
        for network in self.networks:
            make_plain(network)


class Reference:
    """NVIDIA's networks, losses and augmentation, a phase after the other."""

    name, deterministic = "NVIDIA's", False

    def __init__(self, setting: Setting, folder: Path) -> None:
        if str(folder) not in sys.path:
            # In front of this folder, where another program is called `training` too.
            sys.path.insert(0, str(folder))
        from training.augment import AugmentPipe
        from training.loss import StyleGAN2Loss
        from training.networks import Discriminator, Generator

        torch.manual_seed(0)
        recipe, device = setting.recipe, torch.device(setting.device)
        widths = {"channel_base": recipe.channel_base, "channel_max": recipe.channel_max}
        if device.type == "cuda":
            widths |= {"num_fp16_res": LOW_PRECISION_BLOCKS, "conv_clamp": 256}
        shape = {"c_dim": CLASSES, "img_resolution": setting.size, "img_channels": 3}
        self.generator = Generator(
            z_dim=recipe.latent,
            w_dim=recipe.latent,
            mapping_kwargs={"num_layers": recipe.mapping_layers},
            synthesis_kwargs=widths,
            **shape,
        )
        group = {"mbstd_group_size": min(recipe.minibatch_std_group, setting.batch)}
        self.discriminator = Discriminator(epilogue_kwargs=group, **widths, **shape)
        for network in self.networks:
            network.train().requires_grad_(False).to(device)
        self.average = copy.deepcopy(self.generator).eval()
        pipeline = None
        if recipe.augment != "none":
            pipeline = AugmentPipe(**dict.fromkeys(PIPELINE, 1)).requires_grad_(False).to(device)
            pipeline.p.fill_(PROBABILITY)
        self.loss = StyleGAN2Loss(
            device=device,
            G_mapping=self.generator.mapping,
            G_synthesis=self.generator.synthesis,
            D=self.discriminator,
            augment_pipe=pipeline,
            style_mixing_prob=recipe.style_mixing,
            r1_gamma=0.0002 * setting.size**2 / setting.batch,
            pl_weight=recipe.path_length_weight,
        )
        intervals = recipe.path_length_interval, recipe.r1_interval
        self.phases = []
        for letter, network, interval in zip("GD", self.networks, intervals, strict=True):
            rate, betas = lazy_optimiser(recipe.learning_rate, BETAS, interval)
            optimizer = torch.optim.Adam(network.parameters(), rate, betas, EPSILON)
            self.phases.append((f"{letter}main", network, optimizer, 1))
            self.phases.append((f"{letter}reg", network, optimizer, interval))
        self.recipe, self.device, self.data = recipe, device, setting.data()

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        return self.generator, self.discriminator

    def step(self, number: int) -> None:
        """Take the training step of this number."""
        batch, device = self.recipe.batch_size, self.device
        classes = torch.eye(CLASSES, device=device)
        rows = torch.randint(IMAGES, (batch,))
        reals = to_range(self.data.images[rows.to(device)])
        real_classes = classes[torch.from_numpy(self.data.labels)[rows].to(device)]
        for name, network, optimizer, interval in self.phases:
            if number % interval:
                continue
            optimizer.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            self.loss.accumulate_gradients(
                phase=name,
                real_img=reals,
                real_c=real_classes,
                gen_z=torch.randn(batch, self.recipe.latent, device=device),
                gen_c=classes[torch.randint(CLASSES, (batch,), device=device)],
                sync=True,
                gain=interval,
            )
            network.requires_grad_(False)
            for parameter in network.parameters():
                if parameter.grad is not None:
                    gradient = parameter.grad
                    torch.nan_to_num(gradient, nan=0, posinf=1e5, neginf=-1e5, out=gradient)
            optimizer.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for mean, now in pairs:
                mean.copy_(now.lerp(mean, 0.998))
            pairs = zip(self.average.buffers(), self.generator.buffers(), strict=True)
            for mean, now in pairs:
                mean.copy_(now)


AnySide = Ours | Reference


def make_sides(setting: Setting, reference: Path | None) -> list[AnySide]:
    """Return ours, the plain formulation and, where there is a checkout, the public code."""
    sides: list[AnySide] = [Ours(setting), Plain(setting)]
    if reference is not None:
        sides.append(Reference(setting, reference))
    return sides


def count(network: nn.Module, besides: tuple[str, ...] = ()) -> int:
    """Return how many parameters there are, but for those whose names begin with `besides`."""
    named = network.named_parameters()
    return sum(value.numel() for name, value in named if not name.startswith(besides))


@torch.no_grad()
def check_agreement(setting: Setting, reference: Path | None) -> None:
    """Stop unless the plain networks give what ours do, and the public ones are as large."""
    setting = dataclasses.replace(setting, device="cpu")
    ours, plain, *others = make_sides(setting, reference)
    latents, labels = torch.randn(4, 512), torch.arange(4)
    results = []
    for side in (ours, plain):
        torch.manual_seed(1)
        generator, discriminator = side.networks
        for network in side.networks:
            for parameter in network.parameters():
                # Biases and strengths of noise begin at 0, where mistakes would not show.
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        noise = generator.draw_noise(4, torch.Generator().manual_seed(2))
        images = generator(latents, labels, noise)
        results.append((images, discriminator(images, labels).logits))
    for what, mine, other in zip(("images", "logits"), *results, strict=True):
        if not torch.allclose(mine, other, rtol=1e-3, atol=1e-3 * mine.abs().max().item()):
            raise SystemExit(f"{what} of the plain formulation: {(mine - other).abs().max()} off")
    for other in others:
        heads = ("real.", "class_vectors"), ("b4.out.", "mapping.")
        counts = [
            (count(side.networks[0]), count(side.networks[1], besides))
            for side, besides in zip((ours, other), heads, strict=True)
        ]
        if counts[0] != counts[1]:
            raise SystemExit(f"parameters: ours {counts[0]}, {other.name} {counts[1]}")


def turn(side: AnySide, setting: Setting) -> dict[int, float]:
    """Return the seconds of each kind of step."""
    torch.use_deterministic_algorithms(side.deterministic and setting.device == "cpu")
    seconds = {}
    for number in STEPS:
        start = setting.now()
        side.step(number)
        seconds[number] = setting.now() - start
    return seconds


def per_thousand(steps: dict[int, float], batch: int) -> float:
    """Return seconds per thousand images from those of each kind of step."""
    in_all = sum(times * steps[number] for number, times in STEPS.items())
    return 1000 * in_all / (batch * sum(STEPS.values()))


def in_turns(sides: list[AnySide], setting: Setting, repeats: int) -> list[tuple[float, float]]:
    """Return of each side the median seconds per thousand images, and of the ratio to ours."""
    for side in sides:
        side.step(1)
        if setting.device != "cpu":
            turn(side, setting)
    turns = []
    for repeat in range(repeats):
        # Who goes first changes, so that a machine growing warm or busy favours nobody.
        order = sides if repeat % 2 == 0 else sides[::-1]
        times = {side.name: per_thousand(turn(side, setting), setting.batch) for side in order}
        turns.append([times[side.name] for side in sides])
    columns = list(zip(*turns, strict=True))
    return [
        (
            statistics.median(column),
            statistics.median(b / a for a, b in zip(columns[0], column, strict=True)),
        )
        for column in columns
    ]


class Parts:
    """Seconds by part of the training; what lies inside another part is not counted there."""

    def __init__(self, setting: Setting, ours: Ours) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.weight = 1
        self._setting, self._inside = setting, [0.0]
        trainer, learner = ours.trainer, ours.learner
        self._regularising = False
        for part, owner, method in (
            ("discriminator", trainer, "_step_discriminator"),
            ("generator", trainer, "_step_generator"),
            ("R1", trainer, "_step_r1"),
            ("path length", trainer, "_step_path_length"),
            ("augmentation", trainer, "_augment"),
            ("optimisers, average", learner.d_optimizer, "step"),
            ("optimisers, average", learner.g_optimizer, "step"),
            ("optimisers, average", learner, "update_average"),
        ):
            setattr(owner, method, self._timed(part, getattr(owner, method)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **more: Any) -> Any:
            if part == "augmentation" and self._regularising:
                # R1 goes back through its augmentation twice: all of it counts as R1's.
                return function(*arguments, **more)
            self._regularising = part == "R1"
            self._inside.append(0.0)
            start = self._setting.now()
            result = function(*arguments, **more)
            self._add(part, self._setting.now() - start)
            self._regularising = False
            if part == "augmentation" and result.requires_grad:
                self._time_backward(arguments[0], result)
            return result

        return timed

    def _add(self, part: str, spent: float) -> None:
        self.seconds[part] += self.weight * (spent - self._inside.pop())
        self._inside[-1] += spent

    def _time_backward(self, images: torch.Tensor, augmented: torch.Tensor) -> None:
        """Time from when the gradient of augmented images is known to when that of images is."""
        starts: list[float] = []

        def begin(gradient: torch.Tensor) -> None:
            self._inside.append(0.0)
            starts.append(self._setting.now())

        def end(gradient: torch.Tensor) -> None:
            self._add("augmentation", self._setting.now() - starts.pop())

        augmented.register_hook(begin)
        images.register_hook(end)


def peak_of(setting: Setting) -> float:
    """Return the most memory that this process has taken, or has taken on its GPU, in MiB."""
    if setting.device != "cpu":
        return torch.cuda.max_memory_allocated(setting.device) / 2**20
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure_alone(place: int, setting: Setting, reference: Path | None, result: Path) -> None:
    """Write the peak of memory of a side and, of ours, its seconds by part."""
    prepare_torch(setting.threads, setting.device)
    classes = (Ours, Plain, functools.partial(Reference, folder=reference))
    side = classes[place](setting)
    torch.use_deterministic_algorithms(side.deterministic and setting.device == "cpu")
    side.step(0)
    found: dict[str, Any] = {"peak": peak_of(setting)}
    if isinstance(side, Ours) and side.deterministic:
        parts = Parts(setting, side)
        for number, parts.weight in STEPS.items():
            side.step(number)
        found["parts"] = parts.seconds
    result.write_text(json.dumps(found))


def alone(place: int, setting: Setting, reference: Path | None) -> dict[str, Any]:
    """Run `measure_alone` in a process of its own and return what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "found.json")
        arguments = (place, setting, reference, result)
        # Not forked: the peak of a forked process would begin with the memory of this one.
        child = multiprocessing.get_context("spawn").Process(target=measure_alone, args=arguments)
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(f"{setting.name}: exit code {child.exitcode}")
        return json.loads(result.read_text())


def print_shares(shares: dict[str, dict[str, float]]) -> None:
    """Print how much of our time each part takes."""
    print(f"\n| {Ours.name}, share of time by part | {' | '.join(PARTS)} |")
    print(f"| --- |{' ---: |' * len(PARTS)}")
    for name, seconds in shares.items():
        in_all = sum(seconds.values())
        cells = [f"{seconds.get(part, 0) / in_all:.1%}" for part in PARTS]
        print(f"| {name} | {' | '.join(cells)} |")


def compare(setting: Setting, reference: Path | None, repeats: int) -> dict[str, float]:
    """Print a row per side; return our seconds by part."""
    check_agreement(setting, reference)
    sides = make_sides(setting, reference)
    names = [side.name for side in sides]
    times = in_turns(sides, setting, repeats)
    # Their memory is wanted for the processes that are measured next.
    del sides
    parts: dict[str, float] = {}
    for place, (name, (seconds, ratio)) in enumerate(zip(names, times, strict=True)):
        found = alone(place, setting, reference)
        parts = found.get("parts", parts)
        print(
            f"| {setting.name} | {name} | {seconds:,.0f} | {ratio:.2f} | {found['peak']:,.0f} |",
            flush=True,
        )
    return parts


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--reference", type=Path, help="checkout of the public code; without, it is left out")
    add("--settings", nargs="+", metavar="SIZE,CHANNEL_BASE,BATCH", help="default by device")
    add("--augment", nargs="+", default=["paper", "none"], choices=("paper", "none"))
    add("--repeats", type=int, default=3)
    add("--threads", type=int, default=os.cpu_count())
    add("--device", default="cuda:0" if on_gpu else "cpu")
    add("--cpu-time", action="store_true", help="time that one thread computes")
    chosen = parser.parse_args()
    on_cpu = chosen.device == "cpu"
    if chosen.cpu_time and not (on_cpu and chosen.threads == 1):
        parser.error("--cpu-time: threads that wait for others count too; add --threads 1")
    prepare_torch(chosen.threads, chosen.device)
    clock = "computing time" if chosen.cpu_time else "time"
    print(
        f"{chosen.device}, {chosen.threads} threads, {clock}, median of {chosen.repeats} turns; "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    print("| size, channel base, batch | | s per 1,000 images | ratio | peak, MiB |")
    print("| --- | --- | ---: | ---: | ---: |")
    shares = {}
    for shape in chosen.settings or (ON_CPU if on_cpu else ON_GPU):
        for augment in chosen.augment:
            numbers = map(int, shape.split(","))
            setting = Setting(*numbers, augment, chosen.device, chosen.threads, chosen.cpu_time)
            shares[setting.name] = compare(setting, chosen.reference, chosen.repeats)
    print_shares(shares)


if __name__ == "__main__":
    main()
