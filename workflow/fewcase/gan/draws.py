"""What is drawn at random in one training step, from seeds of that step alone.

Where training resumes therefore changes nothing: there is no generator whose state would have to
be kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fewcase.runtime.determinism import seed_of


class ClassDraws:
    """Draws training rows and labels, all classes equally often or as they are.

    Parameters
    ----------
    labels
        (n,) int64, class of each training row.
    classes
        How many classes there are; each must have a row if they are balanced.
    balanced
        Whether every class is drawn equally often.
    """

    def __init__(self, labels: npt.NDArray[np.int64], classes: int, balanced: bool) -> None:
        self.labels = labels
        self.balanced = balanced
        self._places = [np.flatnonzero(labels == number) for number in range(classes)]

    def rows(self, batch: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw (batch,) places of training rows, none twice while a class has enough."""
        if not self.balanced:
            return _without_repeats(np.arange(len(self.labels)), batch, random)
        wanted = np.bincount(self.classes(batch, random), minlength=len(self._places))
        drawn = [
            _without_repeats(places, count, random)
            for places, count in zip(self._places, wanted.tolist(), strict=True)
            if count
        ]
        return random.permutation(np.concatenate(drawn))

    def classes(self, batch: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw (batch,) labels of images to be made."""
        if not self.balanced:
            return self.labels[random.integers(len(self.labels), size=batch)]
        count = len(self._places)
        # Equally often to within one; whose turn it is to be drawn once more is drawn as well.
        turns = np.resize(random.permutation(count), batch)
        return random.permutation(turns)


def _without_repeats(
    places: npt.NDArray[np.int64], count: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw places, each as often as any other to within one."""
    whole, rest = divmod(count, len(places))
    return np.concatenate(
        [np.tile(places, whole), random.choice(places, rest, replace=False)]
    ).astype(np.int64)


class StepDraws:
    """The random numbers of one training step.

    Parameters
    ----------
    seed
        Of the training.
    step
        Its number.
    device
        Where tensors are wanted.
    """

    def __init__(self, seed: int, step: int, device: str) -> None:
        self.device = device
        #: Of rows and labels.
        self.random = np.random.default_rng(seed_of(seed, step, 0))
        #: Of latents and augmentation: small, and the same on every device.
        self.small = torch.Generator().manual_seed(seed_of(seed, step, 1))
        #: Of noise, which is large: drawn on the device.
        self.large = torch.Generator(device).manual_seed(seed_of(seed, step, 2))

    def latents(self, batch: int, length: int) -> torch.Tensor:
        """Draw (batch, length) from N(0, 1)."""
        return self.to_device(torch.randn(batch, length, generator=self.small))

    def noise_like(self, images: torch.Tensor) -> torch.Tensor:
        """Draw a tensor like `images` from N(0, 1)."""
        return torch.randn(images.shape, generator=self.large, device=self.device)

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """Move what was drawn on the CPU."""
        if torch.device(self.device).type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def positions(self, places: npt.NDArray[np.int64]) -> torch.Tensor:
        """Move numbers of rows or classes."""
        return self.to_device(torch.from_numpy(places))
