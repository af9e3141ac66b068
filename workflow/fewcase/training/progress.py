"""The progress of a training in its log: a line every ten seconds at most, with the time left."""

from __future__ import annotations

import logging
import time

PROGRESS_SECONDS = 10.0


class Progress:
    """Counts the optimiser steps of a run.

    Parameters
    ----------
    bags, epochs, steps
        How many there are: bags in the run, epochs in a bag, steps in an epoch.
    images_per_step
        Batch size, on average.
    log
        Where lines go.
    """

    def __init__(
        self, bags: int, epochs: int, steps: int, images_per_step: float, log: logging.Logger
    ) -> None:
        self.bags, self.epochs, self.steps = bags, epochs, steps
        self.images_per_step = images_per_step
        self.log = log
        self._told = time.monotonic()
        self._first: tuple[float, int] | None = None

    def is_due(self) -> bool:
        """Tell whether the last line is long enough ago."""
        return time.monotonic() - self._told >= PROGRESS_SECONDS

    def tell(self, bag: int, epoch: int, step: int) -> None:
        """Log that `step` steps of an epoch are done, all counted from 0."""
        now = time.monotonic()
        done = (bag * self.epochs + epoch) * self.steps + step
        # Counted from the first line, so that neither start-up nor a resumed part counts.
        self._first = self._first or (now, done)
        since, steps = now - self._first[0], done - self._first[1]
        speed = ""
        if steps > 0:
            left = (self.bags * self.epochs * self.steps - done) * since / steps
            images = self.images_per_step * steps / since
            speed = f", {images:.3g} images/s, {describe_seconds(left)} left at most"
        self.log.info(
            "bag %d/%d, epoch %d/%d, step %d/%d%s",
            *(bag + 1, self.bags, epoch + 1, self.epochs, step, self.steps, speed),
        )
        self._told = now


def describe_seconds(seconds: float) -> str:
    """Return a duration in words, such as ``2 h 05 min``, ``7 min`` or ``40 s``."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 100 else f"{round(seconds)} s"
