"""In which floating-point type a network computes: one policy for training and prediction."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Precision:
    """The type of activations; weights and optimiser state are float32 throughout.

    Attributes
    ----------
    device_type
        ``cuda`` or ``cpu``.
    dtype
        The type in which convolutions and matrix products are computed.
    """

    device_type: str
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which a network is called."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)

    def gradient_scaler(self) -> torch.amp.GradScaler:
        """Return the scaler that keeps float16 gradients from underflow; idle for other types."""
        return torch.amp.GradScaler(self.device_type, enabled=self.dtype == torch.float16)


def choose_precision(setting: str, device: str) -> Precision:
    """Choose the type for a device.

    Parameters
    ----------
    setting
        ``auto``, ``float32``, ``bfloat16`` or ``float16``. ``auto`` is bfloat16 on a GPU that
        computes it in hardware, float32 elsewhere.
    device
        As torch names it.
    """
    device_type = torch.device(device).type
    if setting != "auto":
        return Precision(device_type, _TYPES[setting])
    capable = device_type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision(device_type, torch.bfloat16 if capable else torch.float32)


@contextlib.contextmanager
def full_float32(tune: bool = True) -> Iterator[None]:
    """Within this context float32 is not shortened to TF32 or bfloat16, on any device.

    `tune` says whether cuDNN may go on trying algorithms for each new shape, where it does.

    By default cuDNN multiplies float32 with 10 bits of mantissa on GPUs that can, which moves
    features in their third decimal; the bounds of `fewcase.quality.neighbours` and maps of
    small differences rest on 23 bits.
    """
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision("highest")
    try:
        with cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark and tune,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
