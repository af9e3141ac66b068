"""The sections of a study file that are shared by its arms: signals, images, training."""

from __future__ import annotations

import dataclasses

from fewcase.study.fields import setting


@dataclasses.dataclass(frozen=True)
class SignalOptions:
    """How the window of a recording is cut, cleaned and filtered."""

    minutes: float = setting(30.0, minimum=1, help="Length of the window.")
    window: str = setting(
        "last",
        choices=("last", "first", "all"),
        help="Which part of a recording is the window; all: consecutive windows back from its end.",
    )
    longest_zero_run_s: float = setting(
        15.0,
        minimum=0,
        help="FHR of 0 for this long or longer is missing by rule 1; shorter zeros are by "
        "rule 2. It matters to the quality table alone.",
    )
    fhr_low: float = setting(50.0, minimum=0, help="FHR at or below is missing, bpm (rule 2).")
    fhr_high: float = setting(200.0, minimum=1, help="FHR at or above is missing, bpm (rule 2).")
    jump_bpm: float = setting(
        25.0,
        minimum=0,
        help="A step from the previous sample of this size or more is missing (rule 3).",
    )
    jump_gap_s: float = setting(
        2.0, minimum=0, help="Rule 3 does not compare across gaps longer than this."
    )
    block_s: float = setting(15.0, minimum=1, help="Length of the blocks of rule 4.")
    block_bpm: float = setting(
        25.0,
        minimum=0,
        help="A distance from the block's mean of this size or more is missing (rule 4).",
    )
    uc_average_s: float = setting(60.0, minimum=0, help="Centred moving average of UC.")
    uc_span_s: float = setting(60.0, minimum=0, help="Span of UC's exponential smoothing.")
    uc_normalise: str = setting(
        "minmax",
        choices=("minmax", "max", "p99", "zscore"),
        help="Normalisation of UC before uc_scale.",
    )
    lowpass_filter: str = setting(
        "fft",
        choices=("fft", "butterworth"),
        help="FFT brick wall, or Butterworth of order 4 run forward and backward.",
    )
    lowpass_unit: str = setting(
        "bins",
        choices=("bins", "mhz", "cpm"),
        help="Unit of fhr_cutoff: cycles per window, millihertz, or cycles per minute.",
    )
    lowpass_mirror: bool = setting(
        True,
        help="Extend the window by its mirror image before the FFT, against ringing at the ends.",
    )
    max_missing: float = setting(
        0.5, minimum=0, maximum=1, help="A window with a larger share of missing FHR is rejected."
    )


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """How examples become images: windows of signals drawn, images and tiles prepared."""

    size: int = setting(
        224, minimum=16, maximum=2048, help="Height and width in pixels; a multiple of 8."
    )
    fhr_low: float = setting(50.0, help="FHR at the lower edge, bpm.")
    fhr_high: float = setting(200.0, help="FHR at the upper edge, bpm.")
    uc_low: float = setting(0.0, help="UC at the lower edge.")
    uc_high: float = setting(120.0, help="UC at the upper edge.")
    line_width: int = setting(1, minimum=1, maximum=15, help="Thickness of the line in pixels.")
    grey: bool = setting(False, help="Turn colours of images to grey (ITU-R BT.601).")
    width_factor: float = setting(
        1.0,
        minimum=0.05,
        maximum=20,
        help="Factor of the width of images before they are fitted, such as 0.5 for OCT scans.",
    )
    fit: str = setting(
        "pad",
        choices=("pad", "stretch"),
        help="What is done with images that are not square: pad keeps their proportions.",
    )
    fill: int = setting(
        0, minimum=0, maximum=255, help="Grey level of what is padded; 0 is black, 255 white."
    )


MACHINE_KEYS = (
    *("memory_mb", "runtime_minutes", "gan_runtime_minutes", "checkpoint_minutes"),
    "ignore_code_change",
)
"""Keys of `training` that decide how it runs and nothing of what comes out."""


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How training runs on a machine; no arm is named by these."""

    threads: int = setting(
        1,
        minimum=1,
        help="Torch's threads per job: results must not depend on how many cores are free.",
    )
    precision: str = setting(
        "auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="auto: bfloat16 on a GPU that has it, float32 on CPU.",
    )
    compile: str = setting(
        "auto",
        choices=("auto", "yes", "no"),
        help="torch.compile; auto: on a GPU, for trainings long enough to pay.",
    )
    channels_last: str = setting(
        "auto",
        choices=("auto", "yes", "no"),
        help="Memory format; auto: yes for convolutional networks, which it makes faster.",
    )
    checkpoint_minutes: float = setting(
        5.0,
        minimum=0,
        help="Least time between two resume states; an epoch's end is where they are written.",
    )
    ignore_code_change: bool = setting(
        True, help="Resume a killed training though the code has changed since; the log says so."
    )
    memory_mb: int = setting(
        16000, minimum=1000, help="Host memory asked for a training job, first attempt."
    )
    runtime_minutes: int = setting(
        240, minimum=1, help="Wall-clock time asked for a training job, first attempt."
    )
    gan_runtime_minutes: int = setting(
        1440,
        minimum=1,
        help="The same for the training of a generator; what it does not finish it resumes.",
    )


RESULT_KEYS = tuple(
    field.name for field in dataclasses.fields(TrainingOptions) if field.name not in MACHINE_KEYS
)
"""Keys of `training` that the result depends on."""
