"""Feature arrays as tensors, and matrix products of them that are float32 all through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fewcase.study.errors import InputError

Features = npt.NDArray[np.floating]


def feature_tensor(features: Features, device: str, name: str) -> torch.Tensor:
    """Return features (n, d) as a float32 or float64 tensor on the device, uncopied if possible.

    Parameters
    ----------
    features
        (n, d), of any floating-point type.
    device
        As torch names it.
    name
        What messages call them.

    Raises
    ------
    InputError
        Where they are no matrix, or hold NaN or infinity.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise InputError(
            f"{name}: {array.dtype} {array.shape}, expected floating-point numbers of shape "
            "(images, features)."
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    tensor = torch.from_numpy(array)
    # The sum of finite numbers may overflow, but NaN and infinity never leave it finite.
    if not np.isfinite(array.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(bad):
            raise InputError(
                f"{name}: row {bad[0]} holds NaN or infinity ({len(bad)} such rows). Extract the "
                "features in float32, and check the weights of the extractor."
            )
    return tensor.to(device)


def same_width(first: torch.Tensor, second: torch.Tensor) -> int:
    """Return the number of features of both, or raise a ValueError where they differ."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features of {first.shape[1]} and of {second.shape[1]} numbers cannot be compared"
        )
    return int(first.shape[1])
