"""Between the bytes of stored images and the numbers that generators draw."""

from __future__ import annotations

import torch


def to_range(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images as float32: black is −1, white is 1."""
    return images.to(torch.float32) / 127.5 - 1


def to_bytes(images: torch.Tensor) -> torch.Tensor:
    """Return images as uint8, rounded, what leaves the range from black to white cut off."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
