"""Explain what any network, or any other function, makes of one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from fewcase.explain.dida import scores_of
from fewcase.explain.grids import Grid, square_grids
from fewcase.explain.map_files import MapSet
from fewcase.explain.occlusion import Network, PlainOccluder, differences_of
from fewcase.study.errors import InputError

Picture = npt.NDArray[np.uint8]


def explain(
    network: Network,
    image: Picture,
    *,
    grids: Sequence[Grid] | None = None,
    fill: str = "black",
    score: str = "probability",
    mean: Sequence[float] | float = 0.0,
    std: Sequence[float] | float = 1.0,
    class_names: Sequence[str] | None = None,
    batch_size: int = 64,
) -> MapSet:
    """Explain what any network makes of one image, for all classes at once.

    Parameters
    ----------
    network
        A module in evaluation mode or any function that takes float32 images (B, C, H, W) to
        logits (B, K). A module is asked on its own device, a function on the CPU.
    image
        uint8 (C, H, W), or (H, W) for a grey one, in the size that the network takes.
    grids
        By default the eight grids of the paper, 7 × 7 to 21 × 21.
    fill
        What cells are blanked with: black, white, mean or blur.
    score
        Whose changes are mapped: probability, logit or log_odds.
    mean, std
        What the network's inputs are normalised with, where black is 0 and white is 1; one number,
        or one per channel. By default the network takes values from 0 to 1.
    class_names
        K names.
    batch_size
        At most so many images at once.

    Returns
    -------
    A set of maps with one case. `fewcase.explain.pictures` makes pictures of it.

    Raises
    ------
    InputError
        Where image, network and grids do not go together.

    Examples
    --------
    A network that takes white at the upper left for its second class, and white at the lower right
    against it:

    >>> import numpy as np
    >>> import torch
    >>> from fewcase.explain.any_network import explain
    >>> from fewcase.explain.dida import brightness_scale, mixed_map
    >>> def network(images):
    ...     evidence = images[:, 0, :8, :8].mean((1, 2)) - images[:, 0, -8:, -8:].mean((1, 2))
    ...     return torch.stack([torch.zeros_like(evidence), evidence], dim=1)
    >>> maps = explain(network, np.full((32, 32), 255, np.uint8), class_names=["no", "yes"])
    >>> one_class = maps.differences[0, :, 1]
    >>> mixed = mixed_map(maps.grids, one_class, brightness_scale(maps.differences[0]))
    >>> mixed.positive.shape
    (32, 32)
    >>> bool(mixed.signed[4, 4] > 0), bool(mixed.signed[28, 28] < 0), float(mixed.signed[16, 16])
    (True, True, 0.0)
    """
    picture = _as_picture(image)
    channels = len(picture)
    device: str | torch.device = "cpu"
    if isinstance(network, nn.Module):
        device = next((part.device for part in network.parameters()), torch.device("cpu"))
    if grids is None:
        grids = square_grids(picture.shape[1], picture.shape[2], channels)
    logits, changes = differences_of(
        PlainOccluder(network, batch_size),
        picture,
        grids,
        fill=fill,
        score=score,
        mean=np.broadcast_to(mean, channels).tolist(),
        std=np.broadcast_to(std, channels).tolist(),
        device=device,
    )
    names = tuple(class_names or (f"class {number}" for number in range(len(logits))))
    # The logit of a single class is no probability, but what there is.
    probabilities = scores_of(logits).astype(np.float32) if len(logits) > 1 else logits
    cases = pd.DataFrame(
        {"case": [0], "example": ["image"]}
        | {f"score_{number}": [value] for number, value in enumerate(probabilities)}
    )
    colours = {1: ["grey"], 3: ["red", "green", "blue"]}
    named = colours.get(channels, [f"channel {number}" for number in range(channels)])
    about = {"score": score, "fill": fill, "channels": named, "window_minutes": None}
    if len(names) != len(logits):
        raise InputError(f"explain: {len(names)} class names for {len(logits)} classes.")
    return MapSet(cases, picture[None], changes[None], tuple(grids), names, about)


def _as_picture(image: Picture) -> Picture:
    """Return an image as (C, H, W); an `InputError` says what is wrong with others."""
    picture = image[None] if image.ndim == 2 else image
    if picture.dtype != np.uint8 or picture.ndim != 3:
        raise InputError(
            f"explain: an image of type {image.dtype} and shape {image.shape}; expected uint8 "
            "(channels, height, width) or (height, width)."
        )
    if picture.shape[-1] <= 4 < picture.shape[0]:
        raise InputError(
            f"explain: an image of shape {image.shape} seems to have its channels last; give "
            "image.transpose(2, 0, 1)."
        )
    return np.ascontiguousarray(picture)
