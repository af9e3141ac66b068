"""How often images are augmented: as often as the discriminator knows its training images.

Karras et al., Training generative adversarial networks with limited data (2020), section 3: the
mean sign of the logits of real training images, r_t, is 0 for a discriminator that guesses and 1
for one that knows them all. The probability rises while r_t is above its target, and falls below.
"""

from __future__ import annotations

import torch

from fewcase.study.errors import InputError

#: Steps of the discriminator between two updates.
INTERVAL = 4


class AugmentationController:
    """The probability of augmentation, on the device: nothing here waits for the device.

    Parameters
    ----------
    target
        Of r_t.
    speed
        Thousands of images after which the probability has gone from 0 to 1, if it always rises;
        500 from scratch, 100 after a transfer.
    batch
        Images of a step of the discriminator, over all of its parts.
    device
        As torch names it.
    initial
        The probability to begin with.
    maximum
        The probability never exceeds it; None for no bound, above 1 it acts as 1.
    """

    def __init__(
        self,
        target: float,
        speed: float,
        batch: int,
        device: str,
        initial: float = 0.0,
        maximum: float | None = None,
    ) -> None:
        if speed <= 0:
            raise InputError(f"speed: {speed} thousand images, but it must be above 0.")
        if initial < 0 or (maximum is not None and maximum < initial):
            raise InputError(
                f"initial: {initial}, but it must lie between 0 and the maximum ({maximum})."
            )
        self._target = target
        self._step = batch * INTERVAL / (speed * 1000)
        self._maximum = maximum
        #: p, a tensor () on the device; always the same one.
        self.probability = torch.tensor(initial, dtype=torch.float32, device=device)
        #: r_t of the last update, (); NaN before the first.
        self.overfitting = torch.full((), torch.nan, device=device)
        self._signs = torch.zeros((), device=device)
        self._images = 0
        self._steps = 0
        self._trace: list[torch.Tensor] = []

    @torch.no_grad()
    def observe(self, real_logits: torch.Tensor) -> None:
        """Count the signs of the logits (N,) of augmented real images; a step may have parts."""
        self._signs += real_logits.detach().sign().sum(dtype=torch.float32)
        self._images += real_logits.numel()

    @torch.no_grad()
    def step(self) -> None:
        """End a step of the discriminator; at each fourth one, update the probability."""
        self._steps += 1
        if self._steps % INTERVAL or self._images == 0:
            return
        self.overfitting.copy_(self._signs / self._images)
        change = (self.overfitting - self._target).sign() * self._step
        self.probability.add_(change).clamp_(min=0, max=self._maximum)
        self._trace.append(torch.stack([self.overfitting, self.probability]))
        self._signs.zero_()
        self._images = 0

    def take_trace(self) -> torch.Tensor:
        """Return r_t and p, (updates, 2), of all updates since the last call, on the CPU."""
        trace, self._trace = self._trace, []
        return torch.stack(trace).cpu() if trace else torch.zeros(0, 2)

    def state(self) -> dict[str, torch.Tensor]:
        """Return what must be kept to go on as if there had been no break, the trace excepted."""
        return {
            "probability": self.probability.cpu(),
            "overfitting": self.overfitting.cpu(),
            "signs": self._signs.cpu(),
            "counts": torch.tensor([self._images, self._steps]),
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state` returned."""
        self.probability.copy_(state["probability"])
        self.overfitting.copy_(state["overfitting"])
        self._signs.copy_(state["signs"])
        self._images, self._steps = state["counts"].tolist()
