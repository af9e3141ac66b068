"""The steps of a traced network that change a map only near a blanked cell, and the rest."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from fewcase.explain.engine.boxes import Sliding
from fewcase.explain.engine.fusion import (
    ADDITIONS,
    Convolution,
    module_of,
    pair_of,
    shape_of,
)

Run = Callable[[Sequence[torch.Tensor], bool], torch.Tensor]
POINT = Sliding()
POINTWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.LeakyReLU, nn.ELU,
    nn.Sigmoid, nn.Tanh, nn.BatchNorm2d,
)  # fmt: skip
POINTWISE_FUNCTIONS = (F.relu, torch.relu, F.silu, F.gelu, torch.sigmoid, torch.tanh)
PRODUCTS = (operator.mul, torch.mul)


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One step from maps to a map.

    Attributes
    ----------
    name
        Of its map.
    inputs
        Names of the maps that it sees.
    slidings
        What one output pixel sees of each input.
    outside
        The value beyond the borders of the inputs.
    size, channels
        Height and width of its map, and its channels.
    run
        Takes what its windows see of each input; True says that these are whole maps, to be padded.
    weights
        Multiplications and additions for one pixel of its map.
    """

    name: str
    inputs: tuple[str, ...]
    slidings: tuple[Sliding, ...]
    outside: float
    size: tuple[int, int]
    channels: int
    run: Run
    weights: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A network as local steps and a rest that sees whole maps.

    Attributes
    ----------
    steps
        The local ones, in order; the first one's name is that of the image.
    image
        Name of the image.
    rest
        Takes the maps named in `handed` to logits.
    handed
        Names of maps.
    rest_weights
        Multiplications and additions of the rest for one image.
    largest
        Numbers in the largest value of the rest for one image.
    """

    steps: tuple[Step, ...]
    image: str
    rest: fx.GraphModule
    handed: tuple[str, ...]
    rest_weights: int
    largest: int


def program_of(traced: fx.GraphModule) -> Program:
    """Part a traced network into local steps and the rest."""
    nodes = list(traced.graph.nodes)
    image = next(node for node in nodes if node.op == "placeholder")
    steps: dict[fx.Node, Step | None] = {image: None}
    for node in nodes[1:]:
        step = _step_of(traced, node, steps)
        if step is not None:
            steps[node] = step
    handed = [
        node
        for node in nodes
        if node in steps and (node is image or steps[node]) and _is_handed(node, steps)
    ]
    needed = _needed(handed, steps)
    rest, weights, largest = _rest(traced, steps, handed)
    chosen = tuple(step for node, step in steps.items() if step is not None and node in needed)
    names = tuple(node.name for node in handed)
    return Program(chosen, image.name, rest, names, weights, largest)


def _is_handed(node: fx.Node, steps: dict[fx.Node, Step | None]) -> bool:
    return any(user not in steps for user in node.users)


def _needed(handed: Sequence[fx.Node], steps: dict[fx.Node, Step | None]) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    waiting = list(handed)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    return needed


def _rest(
    traced: fx.GraphModule, steps: dict[fx.Node, Step | None], handed: Sequence[fx.Node]
) -> tuple[fx.GraphModule, int, int]:
    """Return the steps that are not local as a module, their work, and their largest value."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {node: graph.placeholder(node.name) for node in handed}
    weights, largest = 0, 1
    for node in traced.graph.nodes:
        if node in steps:
            continue
        copies[node] = graph.node_copy(node, lambda old: copies[old])
        module = module_of(traced, node)
        shape = shape_of(node)
        largest = max(largest, math.prod(shape) // 2)
        if isinstance(module, Convolution):
            weights += module.weight.numel() * math.prod(shape[2:])
        elif isinstance(module, nn.Linear):
            weights += module.in_features * math.prod(shape) // 2
    return fx.GraphModule(traced, graph), weights, largest


def _step_of(
    traced: fx.GraphModule, node: fx.Node, steps: dict[fx.Node, Step | None]
) -> Step | None:
    """Return a node as a local step, or None where it is none."""
    seen = _parts(node) or node.all_input_nodes
    if len(shape_of(node)) != 4 or not seen or any(each not in steps for each in seen):
        return None
    module = module_of(traced, node)
    if isinstance(module, Convolution):
        return _convolution(node, module)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return _pooling(node, module)
    run: Run | None = None
    if _parts(node):
        run = _concatenate
    elif node.kwargs or any(shape_of(each) != shape_of(node) for each in seen):
        return None
    elif isinstance(module, POINTWISE_MODULES) and getattr(module, "running_mean", 0) is not None:
        # (A batch norm without running statistics takes those of the batch.)
        run = _calls(module)
    elif node.op == "call_function" and len(node.args) == len(seen):
        # Of sums and products only those of two maps; of the others those with defaults alone.
        function = cast(Callable[..., Any], node.target)
        if function in (POINTWISE_FUNCTIONS if len(seen) == 1 else (*ADDITIONS, *PRODUCTS)):
            run = _calls(function)
    return None if run is None else _made(node, seen, (POINT,) * len(seen), run)


def _made(
    node: fx.Node,
    seen: Sequence[fx.Node],
    slidings: tuple[Sliding, ...],
    run: Run,
    outside: float = 0.0,
    weights: int = 0,
) -> Step:
    _, channels, height, width = shape_of(node)
    names = tuple(each.name for each in seen)
    return Step(node.name, names, slidings, outside, (height, width), channels, run, weights)


def _parts(node: fx.Node) -> list[fx.Node]:
    """Return the maps whose channels a node joins; empty where it does something else."""
    if node.op != "call_function" or node.target is not torch.cat:
        return []
    parts = node.args[0]
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    if not isinstance(parts, list | tuple) or axis != 1 or not set(node.kwargs) <= {"dim"}:
        return []
    return [part for part in parts if isinstance(part, fx.Node)]


def _convolution(node: fx.Node, module: Convolution) -> Step:
    seen = node.all_input_nodes
    if len(seen) != len(node.args):  # A map that is added to what is made of it itself.
        seen = [cast(fx.Node, each) for each in node.args]
    sliding = Sliding(module.kernel, module.stride, module.padding, module.dilation)

    def run(maps: Sequence[torch.Tensor], whole: bool) -> torch.Tensor:
        result: torch.Tensor = module(*maps, padded=whole)
        return result

    slidings = (sliding, *(POINT for _ in seen[1:]))
    return _made(node, seen, slidings, run, weights=module.weight.numel())


def _pooling(node: fx.Node, module: nn.MaxPool2d | nn.AvgPool2d) -> Step | None:
    """Return a pooling as a step; None where its windows at the border are of another kind."""
    seen = node.all_input_nodes
    before, size = shape_of(seen[0])[2:], shape_of(node)[2:]
    kernel, stride, padding = (
        pair_of(value) for value in (module.kernel_size, module.stride, module.padding)
    )
    maximum = isinstance(module, nn.MaxPool2d)
    dilation = pair_of(module.dilation) if isinstance(module, nn.MaxPool2d) else (1, 1)
    sliding = Sliding(kernel, stride, padding, dilation)
    fits = all(
        (size[axis] - 1) * stride[axis] + sliding.reach(axis) <= before[axis] + 2 * padding[axis]
        for axis in (0, 1)
    )
    if isinstance(module, nn.AvgPool2d):
        fits = fits and module.divisor_override is None
        fits = fits and (module.count_include_pad or not any(padding))
    if not fits:
        return None

    def run(maps: Sequence[torch.Tensor], whole: bool) -> torch.Tensor:
        around = padding if whole else (0, 0)
        if maximum:
            return F.max_pool2d(maps[0], kernel, stride, around, dilation)
        return F.avg_pool2d(maps[0], kernel, stride, around)

    return _made(node, seen, (sliding,), run, outside=-math.inf if maximum else 0.0)


def _calls(function: Callable[..., Any]) -> Run:
    def run(maps: Sequence[torch.Tensor], whole: bool) -> torch.Tensor:
        result: torch.Tensor = function(*maps)
        return result

    return run


def _concatenate(maps: Sequence[torch.Tensor], whole: bool) -> torch.Tensor:
    return torch.cat(list(maps), dim=1)
