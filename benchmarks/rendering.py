"""Time the drawing of three-channel pictures against matplotlib.

Both sides draw the same cleaned FHR, UC and baseline as 224 × 224 black and white pictures and
pack them. The other side is matplotlib's Agg with figure, axes and line made once and only their
data changed; once with its usual drawing of the whole canvas, once drawing nothing but the line.
That both draw the same lines is checked before anything is timed. Run as
``python benchmarks/rendering.py``; with ``--data FOLDER`` on the CTU-UHB database.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import binary_dilation

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from signals import ctu_uhb, in_turns, made_up, print_ratios

from fewcase.signal.baseline import baseline
from fewcase.signal.noise import clean_fhr, clean_uc
from fewcase.signal.render import render

HZ = 4.0
SIZE = 224
AXES = ((50.0, 200.0), (0.0, 120.0), (50.0, 200.0))
CHUNK = 256


class Matplotlib:
    """A figure of one line that is drawn again and again."""

    def __init__(self, samples: int, whole_canvas: bool) -> None:
        figure = Figure(figsize=(1, 1), dpi=SIZE)
        self._canvas = FigureCanvasAgg(figure)
        self._axes = figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set_xlim(0, samples)
        (self._line,) = self._axes.plot(
            np.arange(samples) + 0.5, np.zeros(samples), "k", lw=72 / SIZE, antialiased=False
        )
        self._whole_canvas = whole_canvas
        self._canvas.draw()

    def draw(self, row: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """Return a packed picture of a signal."""
        self._axes.set_ylim(*limits)
        self._line.set_ydata(row)
        if self._whole_canvas:
            self._canvas.draw()
        else:
            self._canvas.renderer.clear()
            self._axes.draw_artist(self._line)
        pixels = np.asarray(self._canvas.buffer_rgba())
        # Without a background, what was not drawn on is transparent.
        black = (pixels[..., 0] < 128) & (pixels[..., 3] > 127)
        return np.packbits(~black, axis=-1)

    def images(self, channels: list[np.ndarray]) -> np.ndarray:
        """Return packed pictures (n, 3, size, size // 8)."""
        return np.stack(
            [
                [self.draw(row, limits) for row, limits in zip(rows, AXES, strict=True)]
                for rows in zip(*channels, strict=True)
            ]
        )


def whole_arrays(channels: list[np.ndarray]) -> np.ndarray:
    """Return packed pictures (n, 3, size, size // 8), drawn by fewcase."""
    images = np.empty((len(channels[0]), len(channels), SIZE, SIZE // 8), np.uint8)
    for index, (channel, (low, high)) in enumerate(zip(channels, AXES, strict=True)):
        images[:, index] = render(channel, low=low, high=high, size=SIZE)
    return images


def on_threads(channels: list[np.ndarray], pool: ThreadPoolExecutor) -> None:
    """Draw with fewcase, a chunk to the thread."""
    count = len(channels[0])
    chunks = [slice(first, first + CHUNK) for first in range(0, count, CHUNK)]
    list(pool.map(lambda rows: whole_arrays([channel[rows] for channel in channels]), chunks))


def check_agreement(channels: list[np.ndarray], other: Matplotlib) -> None:
    """Stop unless nearly all black pixels of either side have one of the other beside them."""
    ours = ~np.unpackbits(whole_arrays(channels), axis=-1).astype(bool)
    theirs = ~np.unpackbits(other.images(channels), axis=-1).astype(bool)
    near = np.ones((3, 3), bool)
    for mine, other_one in ((ours, theirs), (theirs, ours)):
        for index in np.ndindex(mine.shape[:2]):
            black = mine[index]
            found = (black & binary_dilation(other_one[index], near)).sum() / black.sum()
            if found < 0.98:
                raise SystemExit(f"picture {index}: {1 - found:.1%} of the line lies elsewhere")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the CTU-UHB database")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--matplotlib", type=int, default=16, help="how many matplotlib draws")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()

    fhr, uc = ctu_uhb(chosen.data, chosen.images) if chosen.data else made_up(chosen.images)
    cleaned = clean_fhr(fhr, HZ).fhr
    channels = [cleaned, clean_uc(uc, HZ).uc, baseline(cleaned, HZ)]
    some = [channel[: chosen.matplotlib] for channel in channels]
    canvas = Matplotlib(fhr.shape[1], whole_canvas=True)
    line_only = Matplotlib(fhr.shape[1], whole_canvas=False)
    for other in (canvas, line_only):
        check_agreement(some, other)

    with ThreadPoolExecutor(chosen.threads) as pool, ThreadPoolExecutor(1) as single:
        sides: dict[str, tuple[int, Callable[[], object]]] = {
            "matplotlib, canvas.draw": (len(some[0]), lambda: canvas.images(some)),
            "matplotlib, the line alone": (len(some[0]), lambda: line_only.images(some)),
            "fewcase, 1 thread": (len(fhr), lambda: on_threads(channels, single)),
            f"fewcase, {chosen.threads} threads": (len(fhr), lambda: on_threads(channels, pool)),
        }
        medians = in_turns(sides, chosen.repeats)

    kind = "CTU-UHB" if chosen.data else "made-up"
    print(f"Three-channel {SIZE} × {SIZE} images of {kind} windows; median of {chosen.repeats}\n")
    print_ratios(medians, "images/s")


if __name__ == "__main__":
    main()
