"""Draw one channel of a cohort's images: FHR at a cut-off, UC at a scale, or the baseline."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewcase.data.files import atomic_path, write_digest
from fewcase.data.parallel import map_in_order
from fewcase.signal.baseline import baseline
from fewcase.signal.contractions import scale_uc
from fewcase.signal.lowpass import lowpass
from fewcase.signal.render import render
from fewcase.signal.rows import row_blocks, row_file
from fewcase.signal.windows import CHUNK_ROWS, Windows
from fewcase.study.errors import InputError
from fewcase.study.recipe import BASELINES
from fewcase.study.settings import ImageOptions, SignalOptions

Float32 = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Channel:
    """What a channel shows.

    Attributes
    ----------
    signal
        ``fhr``, ``uc`` or ``baseline``.
    value
        Cut-off of FHR or scale of UC; null for the signal as it is.
    method
        How the baseline is found.
    """

    signal: str
    value: float | None = None
    method: str = ""


def parse_channel(name: str) -> Channel:
    """Read a channel's name: ``fhr-none``, ``fhr-2.5``, ``uc-40``, ``baseline-block10``.

    Raises
    ------
    InputError
        Where the name says nothing that can be drawn.
    """
    signal, _, setting = name.partition("-")
    if signal == "baseline" and setting in BASELINES:
        return Channel("baseline", method=setting)
    if signal in ("fhr", "uc"):
        if setting == "none":
            return Channel(signal)
        try:
            value = float(setting)
        except ValueError:
            value = float("nan")
        if 0 <= value < float("inf"):
            return Channel(signal, value)
    raise InputError(
        f"channel {name!r}: expected fhr- or uc- followed by none or a number from 0 on, or "
        f"baseline- followed by one of {', '.join(BASELINES)}."
    )


def draw_channel(
    channel: Channel,
    fhr: Float32,
    uc: Float32,
    missing: npt.NDArray[np.bool_],
    sampling_hz: float,
    signal_options: SignalOptions,
    image_options: ImageOptions,
) -> npt.NDArray[np.uint8]:
    """Filter and draw one channel of some windows.

    Parameters
    ----------
    channel
        What to draw.
    fhr, uc
        float32 (n, samples), cleaned.
    missing
        bool (n, samples): where FHR was filled in; some baselines leave it out.
    sampling_hz
        Sampling rate, Hz.
    signal_options, image_options
        Filters and axes. FHR and its baseline have one axis; UC has its own.

    Returns
    -------
    uint8 (n, size, size // 8), see `fewcase.signal.render.render`
    """
    size, width = image_options.size, image_options.line_width
    if channel.signal == "uc":
        scaled = scale_uc(uc, channel.value, signal_options.uc_normalise)
        low, high = image_options.uc_low, image_options.uc_high
        return render(scaled, low=low, high=high, size=size, line_width=width)
    if channel.signal == "baseline":
        line = baseline(fhr, sampling_hz, channel.method, missing)
    else:
        line = lowpass(
            fhr,
            sampling_hz,
            channel.value,
            unit=signal_options.lowpass_unit,
            kind=signal_options.lowpass_filter,
            mirror=signal_options.lowpass_mirror,
        )
    low, high = image_options.fhr_low, image_options.fhr_high
    return render(line, low=low, high=high, size=size, line_width=width)


def render_channel(
    folder: Path,
    name: str,
    signal_options: SignalOptions,
    image_options: ImageOptions,
    out: Path,
    *,
    chunk: int = CHUNK_ROWS,
    threads: int = 1,
) -> None:
    """Draw one channel of all windows into a bit-packed file and its sidecar.

    Writes `out`, uint8 (n, size, size // 8), and beside it, suffix ``.hash``, its digest, shape
    and packing.

    Parameters
    ----------
    folder
        Where `fewcase.signal.windows.process_windows` wrote.
    name
        The channel, see `parse_channel`.
    signal_options, image_options
        Filters and axes.
    out
        The ``.npy`` file.
    chunk
        Windows held in memory at once by each thread.
    threads
        The file is the same for any number.

    Raises
    ------
    InputError
        Where the name is unknown, the size is no multiple of 8, or the windows cannot be read.
    """
    channel = parse_channel(name)
    windows = Windows.open(folder)
    size = image_options.size

    def draw(rows: slice) -> npt.NDArray[np.uint8]:
        return draw_channel(
            channel,
            np.asarray(windows.fhr[rows]),
            np.asarray(windows.uc[rows]),
            windows.missing(rows),
            windows.sampling_hz,
            signal_options,
            image_options,
        )

    out = Path(out)
    # The sidecar, which later stages wait for, appears after the file.
    with atomic_path(out.with_suffix(".hash")) as sidecar:
        with row_file(out, (size, size // 8), np.uint8) as images:
            for block in map_in_order(draw, row_blocks(len(windows.fhr), chunk), threads):
                images.append(block)
        shape = [images.rows, size, size]
        write_digest(sidecar, {"content": images.digest(), "shape": shape, "packed": True})
    logger.info("%s: %d images of %d × %d", name, images.rows, size, size)
