"""Blank cells in vision transformers: reuse the tokens that a cell leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from fewcase.explain.engine.boxes import Ints, Sliding, after
from fewcase.explain.engine.changes import Cells, cells_of
from fewcase.explain.engine.patches import Place
from fewcase.explain.grids import Grid


class TokenOccluder:
    """An `fewcase.explain.occlusion.Occluder` for timm's `VisionTransformer`.

    Exact: of the first block's queries, keys and values only those of tokens under a cell are new,
    since norms and projections see one token each. Of the last block, a network that classifies by
    its class token needs that token alone. Attention in between mixes everything.

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

    def __init__(self, network: VisionTransformer, shape: tuple[int, int, int], group: int) -> None:
        _check(network, shape)
        self.network: Any = network
        self.shape, self.group = shape, group
        self.by_class_token = (
            network.global_pool == "token"
            and network.num_prefix_tokens > 0
            and len(network.blocks) > 1
        )

    @torch.inference_mode()
    def __call__(
        self, image: torch.Tensor, fill: torch.Tensor, grids: Sequence[Grid]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the logits of the image, and with each cell blanked; see `Occluder`."""
        cells = cells_of(image, fill, grids, self.shape)
        embedded = self.network.norm_pre(
            self.network._pos_embed(self.network.patch_embed(image[None]))
        )
        first = self.network.blocks[0]
        projected = first.attn.qkv(first.norm1(embedded))
        logits = self._run_blocks(embedded, projected)
        result = logits.expand(cells.count, -1).clone()
        for start in range(0, len(cells.numbers), self.group):
            group = np.arange(start, min(start + self.group, len(cells.numbers)))
            tokens, index = self._changed(cells, group)
            number = torch.arange(len(group), device=image.device)[:, None]
            x, qkv = (each.expand(len(group), -1, -1).clone() for each in (embedded, projected))
            x[number, index] = tokens
            qkv[number, index] = first.attn.qkv(first.norm1(tokens))
            changed = self._run_blocks(x, qkv)
            result[torch.from_numpy(cells.numbers[group]).to(image.device)] = changed
        return logits[0], list(result.split([grid.cells for grid in grids]))

    def _changed(self, cells: Cells, group: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens near each cell of a group, (B, n, C), and their numbers, (B, n)."""
        values, place = changed_patches(self.network.patch_embed, cells, group)
        width = self.network.patch_embed.grid_size[1]
        index = token_numbers(place, width, values.device)
        if self.network.pos_embed is not None:
            positions = self.network.pos_embed[0, -self.network.patch_embed.num_patches :]
            values = values + positions[index]
        return self.network.norm_pre(values), index + self.network.num_prefix_tokens

    def _run_blocks(self, x: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        """Return logits for tokens, with the first block's queries, keys and values given."""
        blocks = list(self.network.blocks)
        x = _rest_of_block(blocks[0], x, qkv)
        for block in blocks[1:-1] if self.by_class_token else blocks[1:]:
            x = _rest_of_block(block, x, block.attn.qkv(block.norm1(x)))
        if self.by_class_token:
            x = _class_token_after(blocks[-1], x)
        logits: torch.Tensor = self.network.forward_head(self.network.norm(x))
        return logits


def changed_patches(embedding: PatchEmbed, cells: Cells, group: Ints) -> tuple[torch.Tensor, Place]:
    """Return the embedded patches that cells of a group touch, and where they lie.

    Returns
    -------
    patches
        (B, n, C), row by row.
    place
        Among the patches of the image.
    """
    height, width = embedding.patch_size
    boxes = cells.boxes.take(group)
    sliding = Sliding((height, width), (height, width))
    place = Place.around(after(boxes, sliding, embedding.grid_size), embedding.grid_size, 1.0)
    pixels = Place(
        place.first * np.array([height, width]),
        (place.sides[0] * height, place.sides[1] * width),
        False,
    )
    values = embedding.proj(cells.blanked(group, pixels).values)
    return embedding.norm(values.flatten(2).transpose(1, 2)), place


def token_numbers(place: Place, width: int, device: torch.device) -> torch.Tensor:
    """Return the numbers of a place's tokens in a map of so many columns, int64 (B, n)."""
    rows = place.first[:, :1] + np.arange(place.sides[0])
    columns = place.first[:, 1:] + np.arange(place.sides[1])
    index = (rows[:, :, None] * width + columns[:, None]).reshape(len(rows), -1)
    return torch.from_numpy(index).to(device)


def check_embedding(embedding: nn.Module, shape: tuple[int, int, int]) -> None:
    """Raise a `ValueError` for an embedding that is not of patches side by side, of such images."""
    if type(embedding) is not PatchEmbed or embedding.dynamic_img_pad:
        raise ValueError(f"patches are embedded by {type(embedding).__name__}")
    if tuple(embedding.proj.kernel_size) != tuple(embedding.proj.stride):
        raise ValueError("patches overlap")
    if embedding.img_size != shape[1:]:
        raise ValueError(f"patches are those of images of {embedding.img_size} pixels")


def _check(network: VisionTransformer, shape: tuple[int, int, int]) -> None:
    check_embedding(network.patch_embed, shape)
    if not isinstance(network.patch_drop, nn.Identity):
        raise ValueError("the number of tokens is not fixed")
    for block in network.blocks:
        if type(block) is not Block or type(block.attn) is not Attention:
            raise ValueError(f"a block is a {type(block).__name__}")
        if block.attn.gate is not None:
            raise ValueError("attention is gated")


def _heads(attention: Any, values: torch.Tensor) -> torch.Tensor:
    """Return (B, N, heads · width) as (B, heads, N, width)."""
    return values.unflatten(-1, (attention.num_heads, attention.head_dim)).transpose(1, 2)


def _attend(attention: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the attention's output for projected queries, keys and values."""
    q, k = attention.q_norm(_heads(attention, q)), attention.k_norm(_heads(attention, k))
    mixed = F.scaled_dot_product_attention(q, k, _heads(attention, v))
    result: torch.Tensor = attention.proj(attention.norm(mixed.transpose(1, 2).flatten(2)))
    return result


def _rest_of_block(block: Any, x: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
    x = x + block.ls1(_attend(block.attn, *qkv.chunk(3, dim=-1)))
    result: torch.Tensor = x + block.ls2(block.mlp(block.norm2(x)))
    return result


def _class_token_after(block: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the class token after the last block, (B, 1, C): no other is looked at."""
    attention = block.attn
    inner = block.norm1(x)
    width = attention.attn_dim
    weight, bias = attention.qkv.weight, attention.qkv.bias
    q = F.linear(inner[:, :1], weight[:width], None if bias is None else bias[:width])
    k, v = F.linear(inner, weight[width:], None if bias is None else bias[width:]).chunk(2, dim=-1)
    token = x[:, :1] + block.ls1(_attend(attention, q, k, v))
    result: torch.Tensor = token + block.ls2(block.mlp(block.norm2(token)))
    return result
