"""The figure of one recording at each step, from the monitor to the network, as on CTG paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fewcase.data.files import atomic_path, read_table
from fewcase.data.recordings import STORE_HZ, read_recordings
from fewcase.signal.baseline import baseline
from fewcase.signal.channels import draw_channel, parse_channel
from fewcase.signal.lowpass import lowpass
from fewcase.signal.noise import clean_fhr, clean_uc
from fewcase.signal.rows import runs_of
from fewcase.signal.windows import list_windows, window_samples
from fewcase.study.settings import ImageOptions, SignalOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float32 = npt.NDArray[np.float32]

CHANNELS = ("fhr-10", "uc-none", "baseline-block10")
# A recording with so much signal lost shows what cleaning does and still looks like a recording.
TELLING_MISSING = 0.1

PAPER = "#fffdf8"
GRID = "#f4cdb8"
STRONG_GRID = "#e39f7e"
INK = "#1b1b1e"
FILLED = "#c8372d"
FAINT = "#a9adb6"
BLUE = "#1f5fa8"
NORMAL = "#dcefdc"
FHR_RANGE = (50.0, 210.0)
UC_RANGE = (0.0, 100.0)
# Millimetres of drawing per minute, and per 20 bpm: half of FIGO's 10 and 10.
MM_PER_MINUTE = 8.0
MM_PER_20_BPM = 6.0


@dataclasses.dataclass(frozen=True)
class Steps:
    """One window at each step.

    Attributes
    ----------
    raw_fhr, raw_uc
        float32 (samples,), as recorded; NaN and 0 where there was no signal.
    fhr, uc
        float32 (samples,), cleaned.
    missing
        bool (samples,): where FHR was filled in.
    slow_fhr, baseline
        float32 (samples,): what the FHR and the baseline channel draw.
    images
        uint8 (channels, size, size), 0 black and 255 white.
    channels
        Their names.
    sampling_hz
        Sampling rate, Hz.
    cutoff
        What the low-pass filter kept, in words; empty without a filter.
    """

    raw_fhr: Float32
    raw_uc: Float32
    fhr: Float32
    uc: Float32
    missing: npt.NDArray[np.bool_]
    slow_fhr: Float32
    baseline: Float32
    images: npt.NDArray[np.uint8]
    channels: tuple[str, ...]
    sampling_hz: float
    cutoff: str = ""


def steps_of(
    fhr: Float32,
    uc: Float32,
    sampling_hz: float,
    signal_options: SignalOptions,
    image_options: ImageOptions,
    channels: Sequence[str] = CHANNELS,
) -> Steps:
    """Take one window through all steps.

    Parameters
    ----------
    fhr, uc
        float32 (samples,), as recorded.
    sampling_hz
        Sampling rate, Hz.
    signal_options, image_options
        Of the study.
    channels
        Names of an FHR, a UC and a baseline channel.
    """
    cleaned = clean_fhr(fhr[None], sampling_hz, signal_options)
    contractions = clean_uc(uc[None], sampling_hz, signal_options)
    parsed = [parse_channel(name) for name in channels]
    packed = [
        draw_channel(
            channel,
            cleaned.fhr,
            contractions.uc,
            cleaned.missing,
            sampling_hz,
            signal_options,
            image_options,
        )[0]
        for channel in parsed
    ]
    slow = lowpass(
        cleaned.fhr,
        sampling_hz,
        parsed[0].value,
        unit=signal_options.lowpass_unit,
        kind=signal_options.lowpass_filter,
        mirror=signal_options.lowpass_mirror,
    )
    return Steps(
        raw_fhr=fhr,
        raw_uc=uc,
        fhr=cleaned.fhr[0],
        uc=contractions.uc[0],
        missing=cleaned.missing[0],
        slow_fhr=slow[0],
        baseline=baseline(cleaned.fhr, sampling_hz, parsed[2].method, cleaned.missing)[0],
        images=np.unpackbits(np.stack(packed), axis=-1) * np.uint8(255),
        channels=tuple(channels),
        sampling_hz=sampling_hz,
        cutoff=_cutoff_in_words(parsed[0].value, signal_options.lowpass_unit),
    )


def draw_steps(steps: Steps, title: str, simulated: bool, svg: Path, png: Path) -> None:
    """Draw one window at each step; the same steps give the same bytes.

    Parameters
    ----------
    steps
        See `steps_of`.
    title
        What is shown, such as the recording's name.
    simulated
        Whether the recording was simulated: then the title says so.
    svg, png
        The files.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    style: dict[Any, Any] = {
        "svg.hashsalt": "fewcase",
        "font.family": "DejaVu Sans",
        "font.size": 8.5,
        "axes.linewidth": 0.8,
        "path.simplify": True,
    }
    # Neither file may hold the date, or the version of what drew it.
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    with mpl.rc_context(style):
        figure = _figure_of(steps, f"{title} · simulated" if simulated else title)
        FigureCanvasAgg(figure)
        for kind, path in (("svg", svg), ("png", png)):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata=metadata[kind])


def _figure_of(steps: Steps, title: str) -> Figure:
    from matplotlib.figure import Figure

    minutes = len(steps.fhr) / steps.sampling_hz / 60
    # Everything is laid out in millimetres, so that the paper has its proportions.
    left, right, width = 17.0, 6.0, max(minutes, 15) * MM_PER_MINUTE
    fhr_height = (FHR_RANGE[1] - FHR_RANGE[0]) / 20 * MM_PER_20_BPM
    uc_height = 26.0
    gap = 9.5
    image_gap = 9.0
    image_side = (width - 2 * image_gap) / 3
    heights = [fhr_height, fhr_height, fhr_height, uc_height]
    total = 17 + sum(heights) + len(heights) * gap + 11 + image_side + 10
    whole = (left + width + right, total)
    figure = Figure(figsize=(whole[0] / 25.4, whole[1] / 25.4), facecolor="white")

    def place(x: float, top: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / whole[0], 1 - (top + h) / whole[1], w / whole[0], h / whole[1]))

    size = steps.images.shape[-1]
    figure.text(left / whole[0], 1 - 6.0 / total, title, size=12, weight="bold", va="center")
    figure.text(
        (left + width) / whole[0],
        1 - 6.0 / total,
        f"from the monitor (a) to what a network sees (e to g, {size} × {size} pixels)",
        ha="right",
        va="center",
        color="#555555",
    )
    top = 17.0
    for index, (height, draw) in enumerate(
        zip(heights, (_draw_recorded, _draw_cleaned, _draw_slow, _draw_uc), strict=True)
    ):
        axes = place(left, top, width, height)
        uc = draw is _draw_uc
        _rule_paper(axes, minutes, UC_RANGE if uc else FHR_RANGE, uc)
        draw(axes, steps)
        if index < len(heights) - 1:
            axes.tick_params(labelbottom=False)
        top += height + gap
    axes.set_xlabel("minutes", labelpad=2)
    top += 11
    for index, name in enumerate(steps.channels):
        axes = place(left + index * (image_side + image_gap), top, image_side, image_side)
        axes.imshow(steps.images[index], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_color(FAINT)
        _say(axes, "efghijk"[index], f"Channel {index + 1}: {_in_words(name)}")
    return figure


def _rule_paper(axes: Axes, minutes: float, limits: tuple[float, float], uc: bool) -> None:
    """Rule the axes as CTG paper: a line per minute and per 10 bpm, stronger ones between."""
    axes.set_facecolor(PAPER)
    axes.set_xlim(0, minutes)
    axes.set_ylim(*limits)
    axes.set_axisbelow(True)
    strong = 20 if uc else 30
    low, high = limits
    for x in np.arange(0, minutes + 1e-9, 1):
        heavy = x % 5 == 0
        axes.axvline(x, color=STRONG_GRID if heavy else GRID, lw=0.8 if heavy else 0.5, zorder=0)
    for y in np.arange(low, high + 1e-9, 10):
        heavy = y % strong == 0
        axes.axhline(y, color=STRONG_GRID if heavy else GRID, lw=0.8 if heavy else 0.5, zorder=0)
    axes.set_xticks(np.arange(0, minutes + 1e-9, 5))
    axes.set_yticks([y for y in np.arange(low, high + 1) if y % strong == 0])
    axes.tick_params(length=0, pad=3)
    axes.set_ylabel("UC" if uc else "FHR, bpm", labelpad=4)
    for spine in axes.spines.values():
        spine.set_color(STRONG_GRID)


def _say(axes: Axes, letter: str, text: str) -> None:
    axes.set_title(f"{letter}   {text}", loc="left", size=9, pad=4)


def _minutes(steps: Steps) -> npt.NDArray[np.float64]:
    return np.arange(len(steps.fhr)) / steps.sampling_hz / 60


def _draw_recorded(axes: Axes, steps: Steps) -> None:
    recorded = np.where(steps.raw_fhr > 0, steps.raw_fhr, np.nan)
    axes.plot(_minutes(steps), recorded, color=INK, lw=0.7)
    lost = runs_of(np.isnan(recorded)[None])
    per_minute = 60 * steps.sampling_hz
    bars = [
        (start / per_minute, (stop - start) / per_minute)
        for start, stop in zip(lost.start, lost.stop, strict=True)
    ]
    low = FHR_RANGE[0]
    axes.broken_barh(bars, (low, 4), color=FILLED, lw=0, zorder=3)
    _say(axes, "a", "FHR as recorded; red at the foot: no signal")


def _draw_cleaned(axes: Axes, steps: Steps) -> None:
    time = _minutes(steps)
    axes.axhspan(110, 160, color=NORMAL, lw=0, zorder=-1)
    # A filled stretch is drawn on to the measured samples beside it.
    beside = steps.missing.copy()
    beside[1:] |= steps.missing[:-1]
    beside[:-1] |= steps.missing[1:]
    axes.plot(time, np.where(steps.missing, np.nan, steps.fhr), color=INK, lw=0.7)
    axes.plot(time, np.where(beside, steps.fhr, np.nan), color=FILLED, lw=0.9)
    axes.plot(time, steps.baseline, color=BLUE, lw=1.6)
    share = 100 * float(steps.missing.mean())
    _say(
        axes,
        "b",
        f"FHR cleaned; red: filled in ({share:.0f} %); blue: baseline; green: 110 to 160 bpm",
    )


def _draw_slow(axes: Axes, steps: Steps) -> None:
    time = _minutes(steps)
    axes.plot(time, steps.fhr, color=FAINT, lw=0.5)
    axes.plot(time, steps.slow_fhr, color=INK, lw=1.4)
    what = f"Low-pass filtered FHR, {steps.cutoff}" if steps.cutoff else "FHR, not filtered"
    _say(axes, "c", f"{what}; grey: before")


def _draw_uc(axes: Axes, steps: Steps) -> None:
    time = _minutes(steps)
    axes.plot(time, steps.raw_uc, color=FAINT, lw=0.5)
    axes.plot(time, steps.uc, color=INK, lw=1.4)
    _say(axes, "d", "Uterine contractions, smoothed; grey: as recorded")


def _in_words(name: str) -> str:
    channel = parse_channel(name)
    if channel.signal == "baseline":
        return "baseline"
    if channel.signal == "fhr":
        return "FHR" if channel.value is None else "FHR, low-pass"
    return "UC" if channel.value is None else f"UC × {channel.value:g}"


def _cutoff_in_words(cutoff: float | None, unit: str) -> str:
    if cutoff is None:
        return ""
    if cutoff == 0:
        return "mean only"
    words = {"bins": "cycles per window", "mhz": "mHz", "cpm": "cycles per minute"}
    return f"up to {cutoff:g} {words[unit]}"


def choose_example(quality: pd.DataFrame) -> int:
    """Return the row of a telling window: both signals there, about a tenth of FHR missing."""
    off = (quality["missing"] - TELLING_MISSING).abs() + quality["uc_missing"]
    # The longest gap decides between windows that are as complete as each other.
    return int(np.argmin(off.to_numpy() + 1e-4 * quality["longest_gap_s"].to_numpy()))


def illustrate_cohort(
    recordings: Path,
    windows: Path,
    signal_options: SignalOptions,
    image_options: ImageOptions,
    *,
    simulated: bool,
    svg: Path,
    png: Path,
    title: str | None = None,
    channels: Sequence[str] = CHANNELS,
) -> None:
    """Choose a telling recording of a cohort and draw it at each step.

    Parameters
    ----------
    recordings, windows
        Folders that the ingest and the signal stage wrote.
    signal_options, image_options
        Of the study.
    simulated
        Whether the recordings are simulated.
    svg, png
        The files.
    title
        By default the recording's name.
    channels
        Names of an FHR, a UC and a baseline channel.

    Raises
    ------
    InputError
        Where a file of the earlier stages is missing or torn.
    """
    table, signals = read_recordings(recordings)
    quality = read_table(Path(windows) / "quality.parquet")
    name = quality["example"].iloc[choose_example(quality)]
    samples = window_samples(signal_options.minutes, STORE_HZ)
    listed = list_windows(table[table["samples"] >= samples], samples, signal_options.window)
    begin = int(listed["begin"][listed["example"] == name].iloc[0])
    fhr, uc = np.array(signals[:, begin : begin + samples])
    steps = steps_of(fhr, uc, STORE_HZ, signal_options, image_options, channels)
    draw_steps(steps, title or f"Recording {name}", simulated, svg, png)
