"""Trace a network, fold its batch norms, and join convolutions with what directly follows them."""

from __future__ import annotations

import copy
import operator
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from timm.models import get_notrace_functions, get_notrace_modules
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fewcase.explain.engine.winograd import TILE, Winograd, pays

ADDITIONS = (operator.add, operator.iadd, torch.add)
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.SiLU: "swish"}
"""Activations that oneDNN applies to a convolution's output while it is still in the cache."""


class Convolution(nn.Module):
    """A convolution with its bias, an input that is added to its output, and an activation.

    On a CPU that oneDNN knows, all of it is one call, with weights laid out for it beforehand.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.detach(), requires_grad=False)
        bias = convolution.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.kernel = pair_of(convolution.kernel_size)
        self.stride = pair_of(convolution.stride)
        self.padding = pair_of(convolution.padding)
        self.dilation = pair_of(convolution.dilation)
        self.groups = convolution.groups
        self.activation = "none"
        self._packed: torch.Tensor | None = None
        self._winograd: Winograd | None = None

    def pack(self, height: int, width: int, winograd: bool) -> None:
        """Lay the weights out for inputs of about this size, where oneDNN can use them."""
        weight = self.weight.detach()
        self.weight.data = weight.contiguous(memory_format=torch.channels_last)
        if has_fused_convolution() and weight.device.type == "cpu":
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight, self.padding, self.stride, self.dilation, self.groups,
                [8, weight.shape[1] * self.groups, height, width],
            )  # fmt: skip
            simple = (self.kernel, self.stride, self.dilation) == ((3, 3), (1, 1), (1, 1))
            if (
                winograd
                and simple
                and self.groups == 1
                and pays(weight.shape[1], weight.shape[0], TILE, TILE)
            ):
                self._winograd = Winograd(weight)

    def forward(
        self, x: torch.Tensor, added: torch.Tensor | None = None, padded: bool = True
    ) -> torch.Tensor:
        """Return the output for (B, C, H, W), without zeros around it unless `padded`."""
        padding = self.padding if padded else (0, 0)
        geometry = (padding, self.stride, self.dilation, self.groups)
        if self._winograd is not None:
            height, width = (x.shape[axis + 2] + 2 * padding[axis] - 2 for axis in (0, 1))
            if pays(self.weight.shape[1], self.weight.shape[0], height, width):
                return self._finish(self._winograd(x, padding), added)
        if self._packed is None:
            y = F.conv2d(x, self.weight, None, self.stride, padding, self.dilation, self.groups)
            return self._finish(y, added)
        if added is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, self._packed, self.bias, *geometry, self.activation, [], ""
            )
        after = None if self.activation == "none" else self.activation
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, added, self._packed, self.bias, *geometry, "add", 1.0, after, [], ""
        )

    def _finish(self, y: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        """Add the bias and the other input to a fresh output, and activate it, all in place."""
        if self.bias is not None:
            y += self.bias[:, None, None]
        if added is not None:
            y += added
        if self.activation == "none":
            return y
        return torch.relu_(y) if self.activation == "relu" else F.silu(y, inplace=True)


def has_fused_convolution() -> bool:
    """Whether this build of PyTorch has oneDNN's convolutions with what follows them."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_convolution_pointwise"
    )


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self._leaves = (*get_notrace_modules(), BatchNormAct2d)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self._leaves) or super().is_leaf_module(m, module_qualified_name)


def trace(
    network: nn.Module, shape: tuple[int, int, int], winograd: bool = False
) -> fx.GraphModule:
    """Return a network of the same outputs, as a graph of fewer and faster steps.

    Parameters
    ----------
    network
        In evaluation mode; it is copied.
    shape
        (C, H, W) of its images. Every node of the graph carries the shape of its value for a
        batch of 2 as ``node.meta["tensor_meta"]``.
    winograd
        Whether convolutions may be computed by `fewcase.explain.engine.winograd` on a CPU.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    tracer = _Tracer()
    graph = tracer.trace(network)
    traced = fx.GraphModule(network, graph)
    _split_norms(traced)
    _drop_identities(traced)
    _fold_norms(traced)
    _run_shapes(traced, shape)
    _join_activations(traced)
    _join_additions(traced)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    _run_shapes(traced, shape)
    for node in traced.graph.nodes:
        module = module_of(traced, node)
        if isinstance(module, Convolution):
            height, width = shape_of(node.args[0])[-2:]
            module.pack(height, width, winograd)
    return traced


def module_of(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None where it calls none."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def shape_of(node: Any) -> torch.Size:
    """Return the shape of a node's value for a batch of 2; empty where it is no tensor."""
    meta: Any = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return meta.shape if isinstance(meta, TensorMetadata) else torch.Size()


def _run_shapes(traced: fx.GraphModule, shape: tuple[int, int, int]) -> None:
    device = next(traced.parameters()).device
    with torch.inference_mode():
        ShapeProp(traced).propagate(torch.zeros(2, *shape, device=device))


def _split_norms(traced: fx.GraphModule) -> None:
    """Make timm's batch norms with activation two steps."""
    for node in list(traced.graph.nodes):
        module = module_of(traced, node)
        if not isinstance(module, BatchNormAct2d):
            continue
        norm = nn.BatchNorm2d(module.num_features, module.eps, module.momentum, module.affine)
        norm.weight, norm.bias = module.weight, module.bias
        norm.running_mean, norm.running_var = module.running_mean, module.running_var
        act = module.act
        name = str(node.target)
        _set_module(traced, name, nn.Sequential())
        _set_module(traced, f"{name}.norm", norm.eval())
        _set_module(traced, f"{name}.act", act)
        node.target = f"{name}.norm"
        with traced.graph.inserting_after(node):
            after = traced.graph.call_module(f"{name}.act")
        node.replace_all_uses_with(after)
        after.args = (node,)


def _drop_identities(traced: fx.GraphModule) -> None:
    nothing = (nn.Identity, nn.Dropout, nn.Dropout2d, timm.layers.DropPath)
    for node in list(traced.graph.nodes):
        module = module_of(traced, node)
        if isinstance(module, nothing):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
        elif isinstance(
            module, nn.ReLU | nn.SiLU | nn.Hardswish | nn.ReLU6 | nn.LeakyReLU | nn.ELU
        ):
            # A value that a later step needs may not be overwritten.
            module.inplace = False
        elif node.op == "call_function" and "inplace" in node.kwargs:
            node.kwargs = {key: value for key, value in node.kwargs.items() if key != "inplace"}
        elif node.op == "call_function" and node.target in (operator.iadd, operator.imul):
            node.target = {operator.iadd: operator.add, operator.imul: operator.mul}[node.target]


def _fold_norms(traced: fx.GraphModule) -> None:
    """Make every convolution a `Convolution`, with the batch norm that follows it."""
    for node in list(traced.graph.nodes):
        module = module_of(traced, node)
        if (
            type(module) is not nn.Conv2d
            or module.padding_mode != "zeros"
            or isinstance(module.padding, str)
        ):
            continue
        user = _only_user(node)
        norm = module_of(traced, user) if user is not None else None
        if user is not None and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
            module = fuse_conv_bn_eval(module, norm)
            user.replace_all_uses_with(node)
            traced.graph.erase_node(user)
        _set_module(traced, f"{node.name}_fused", Convolution(module))
        node.target = f"{node.name}_fused"


def _join_activations(traced: fx.GraphModule) -> None:
    for node in list(traced.graph.nodes):
        convolution = module_of(traced, node)
        if isinstance(convolution, Convolution):
            _take_activation(traced, node, convolution)


def _join_additions(traced: fx.GraphModule) -> None:
    """Let a convolution add the other term of the sum that it goes into, then activate."""
    for node in list(traced.graph.nodes):
        if node.op != "call_function" or node.target not in ADDITIONS or len(node.args) != 2:
            continue
        first, second = node.args
        if shape_of(first) != shape_of(second) or len(shape_of(first)) != 4 or first is second:
            continue
        for convolved, other in ((first, second), (second, first)):
            convolution = module_of(traced, convolved)
            if (
                isinstance(convolution, Convolution)
                and convolution.activation == "none"
                and list(convolved.users) == [node]
                and len(convolved.args) == 1
            ):
                with traced.graph.inserting_before(node):
                    terms = (convolved.args[0], other)
                    joined = traced.graph.call_module(str(convolved.target), terms)
                node.replace_all_uses_with(joined)
                traced.graph.erase_node(node)
                traced.graph.erase_node(convolved)
                _take_activation(traced, joined, convolution)
                break


def _take_activation(traced: fx.GraphModule, node: fx.Node, convolution: Convolution) -> None:
    """Let a convolution apply the activation that alone follows it, where it can."""
    user = _only_user(node)
    if user is None or convolution.activation != "none":
        return
    module = module_of(traced, user)
    name = "none" if module is None else ACTIVATIONS.get(type(module), "none")
    if user.op == "call_function" and user.target in (F.relu, torch.relu):
        name = "relu"
    if name != "none":
        convolution.activation = name
        user.replace_all_uses_with(node)
        traced.graph.erase_node(user)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _set_module(traced: fx.GraphModule, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(traced.get_submodule(parent), last, module)


def pair_of(value: Any) -> tuple[int, int]:
    """Return a number twice, or the two that are given."""
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)
