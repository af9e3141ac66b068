"""Blank cells in Swin transformers: run only the attention windows that a cell reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timm.models.swin_transformer import (
    PatchMerging,
    SwinTransformer,
    SwinTransformerBlock,
    WindowAttention,
)
from torch import nn

from fewcase.explain.engine.boxes import Ints
from fewcase.explain.engine.changes import Cells, cells_of
from fewcase.explain.engine.tokens import changed_patches, check_embedding, token_numbers
from fewcase.explain.grids import Grid

WHOLE_SHARE = 0.8
"""From this share of changed windows on, a block runs on all of them, which costs no cutting."""


class WindowOccluder:
    """An `fewcase.explain.occlusion.Occluder` for timm's `SwinTransformer`.

    Exact: attention stays inside its window, and norms and layers see one token each. Which tokens
    a cell has changed is followed through the blocks; windows with none keep their values.

    Parameters
    ----------
    network
        In evaluation mode.
    shape
        (C, H, W) of the images.
    group
        Cells computed at once.

    Raises
    ------
    ValueError
        Where the network has parts that this way does not know.
    """

    def __init__(self, network: SwinTransformer, shape: tuple[int, int, int], group: int) -> None:
        _check(network, shape)
        self.network: Any = network
        self.shape, self.group = shape, group
        self._numbers = {block: _window_tokens(block) for block in _blocks(network)}

    @torch.inference_mode()
    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the logits of the image, and with each cell blanked; see `Occluder`."""
        cells = cells_of(image, fill, grids, self.shape)
        x = self.network.patch_embed(image[None])
        bases = []
        for part in self._parts():
            bases.append(x)
            x = part(x)
        logits = self.network.head(self.network.norm(x))
        result = logits.expand(cells.count, -1).clone()
        for start in range(0, len(cells.numbers), self.group):
            group = np.arange(start, min(start + self.group, len(cells.numbers)))
            changed = self._run_group(cells, group, bases)
            result[torch.from_numpy(cells.numbers[group]).to(image.device)] = changed
        return logits[0], list(result.split([grid.cells for grid in grids]))

    def _parts(self) -> list[nn.Module]:
        """Return what follows the embedding: mergings of patches, and blocks."""
        parts: list[nn.Module] = []
        for stage in self.network.layers:
            if isinstance(stage.downsample, PatchMerging):
                parts.append(stage.downsample)
            parts += stage.blocks
        return parts

    def _run_group(self, cells: Cells, group: Ints, bases: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the logits with each cell of a group blanked."""
        values, place = changed_patches(self.network.patch_embed, cells, group)
        index = token_numbers(place, bases[0].shape[2], values.device)
        number = torch.arange(len(group), device=values.device)[:, None]
        x = bases[0].expand(len(group), -1, -1, -1).clone()
        x.flatten(1, 2)[number, index] = values
        touched = torch.zeros(x.shape[:3], dtype=torch.bool, device=x.device)
        touched.flatten(1)[number, index] = True
        # bool (B, H, W): which tokens may differ from the bare image's; None: all.
        changed: torch.Tensor | None = touched
        for part, following in zip(self._parts(), [*bases[1:], None], strict=True):
            if changed is None or following is None:
                x = part(x)
            elif isinstance(part, PatchMerging):
                x, changed = _merge(part, x, changed, following)
            else:
                x, changed = self._run_windows(part, x, changed, following)
        logits: torch.Tensor = self.network.head(self.network.norm(x))
        return logits

    def _run_windows(
        self, block: Any, x: torch.Tensor, changed: torch.Tensor, following: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what a block makes of tokens, running only windows with a changed one."""
        numbers = self._numbers[block]
        if numbers is None:
            return block(x), None
        reached = changed.flatten(1)[:, numbers].any(dim=2)
        image, window = reached.nonzero(as_tuple=True)
        if len(image) > WHOLE_SHARE * reached.numel():
            return block(x), None
        count, height, width, channels = x.shape
        rows = (image[:, None] * (height * width) + numbers[window]).flatten()
        inside = x.reshape(-1, channels)[rows].view(len(image), -1, channels)
        inside = inside + _attend(block.attn, block.norm1(inside), block.attn_mask, window)
        inside = inside + block.mlp(block.norm2(inside))
        result = following.expand(count, -1, -1, -1).clone()
        result.view(-1, channels)[rows] = inside.flatten(0, 1)
        after = torch.zeros_like(changed)
        after.view(-1)[rows] = True
        return result, after


def _merge(
    part: Any, x: torch.Tensor, changed: torch.Tensor, following: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return tokens merged two by two along both axes, where one of the four has changed."""
    count, height, width, channels = x.shape
    if height % 2 or width % 2:
        return part(x), None
    fours = x.view(count, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
    reached = changed.view(count, height // 2, 2, width // 2, 2).any(dim=4).any(dim=2)
    merged = part.reduction(part.norm(fours[reached].flatten(1)))
    result = following.expand(count, -1, -1, -1).clone()
    result[reached] = merged
    return result, reached


def _attend(
    attention: Any, x: torch.Tensor, mask: torch.Tensor | None, window: torch.Tensor
) -> torch.Tensor:
    """Return the attention inside windows (n, tokens, C), given which windows of a map they are."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    scores = (q * attention.scale) @ k.transpose(-2, -1)
    scores += attention._get_rel_pos_bias()
    if mask is not None:
        scores += mask[window, None]
    mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
    result: torch.Tensor = attention.proj(mixed)
    return result


def _blocks(network: Any) -> list[Any]:
    return [block for stage in network.layers for block in stage.blocks]


def _window_tokens(block: Any) -> torch.Tensor | None:
    """Return the numbers of the tokens of each window, int64 (windows, tokens); None if padded."""
    height, width = block.input_resolution
    rows, columns = block.window_size
    if height % rows or width % columns:
        return None
    numbers = torch.arange(height * width).view(height, width)
    shifted = numbers.roll((-block.shift_size[0], -block.shift_size[1]), (0, 1))
    tiled = shifted.view(height // rows, rows, width // columns, columns).transpose(1, 2)
    return tiled.reshape(-1, rows * columns).to(block.norm1.weight.device)


def _check(network: SwinTransformer, shape: tuple[int, int, int]) -> None:
    check_embedding(network.patch_embed, shape)
    for block in _blocks(network):
        if type(block) is not SwinTransformerBlock or type(block.attn) is not WindowAttention:
            raise ValueError(f"a block is a {type(block).__name__}")
        if block.dynamic_mask:
            raise ValueError("the size of the images is not fixed")
