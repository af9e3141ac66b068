"""Images on the device: stored bytes or bits in, normalised floating-point batches out."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class DeviceImages:
    """The images of a run, kept on the device as they are stored and turned to floats by batch.

    Two-valued images take one bit per pixel there: 34,266 examples of three channels at 224 pixels
    are 0.65 GB.

    Parameters
    ----------
    stored
        uint8 on the device, (n, C, H, W), or (n, C, H, W // 8) where `packed`, highest bit first.
    packed
        Whether a byte holds eight two-valued pixels; bit 1 is white (255), bit 0 black (0).
    mean, std
        One value per channel, on the scale where black is 0 and white is 1.
    channels_last
        Whether batches lie in memory pixel by pixel rather than channel by channel.
    """

    def __init__(
        self,
        stored: torch.Tensor,
        packed: bool,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = False,
    ) -> None:
        channels = stored.shape[1]
        if len(mean) != channels or len(std) != channels:
            raise ValueError(
                f"DeviceImages: {channels} channels, but {len(mean)} means and {len(std)} stds."
            )
        self.packed = packed
        self.device = device = stored.device
        self._stored = stored
        self.mean = torch.tensor(mean, dtype=torch.float32, device=device)[:, None, None]
        self.std = torch.tensor(std, dtype=torch.float32, device=device)[:, None, None]
        self._bits = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        #: The value of a white pixel in each channel after normalisation, (C,).
        self.white = ((1 - self.mean) / self.std).flatten()
        self._black = (0 - self.mean) / self.std
        #: The same of a black pixel.
        self.black = self._black.flatten()

    @property
    def size(self) -> int:
        """Height of the images in pixels."""
        return int(self._stored.shape[2])

    def __len__(self) -> int:
        return len(self._stored)

    def batch(self, positions: torch.Tensor) -> torch.Tensor:
        """Return the images at `positions` (int64, on the device) as float32 (B, C, H, W)."""
        stored = self._stored[positions]
        if self.packed:
            bits = (stored.unsqueeze(-1) >> self._bits) & 1
            images = torch.where(bits.flatten(-2).bool(), self.white[:, None, None], self._black)
        else:
            images = (stored / 255 - self.mean) / self.std
        return images.contiguous(memory_format=self._format)
