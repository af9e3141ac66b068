"""How much of what speaks for a class lies inside a mask, such as the outline of an organ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fewcase.explain.dida import SignedMap


def share_inside(evidence: SignedMap | npt.ArrayLike, mask: npt.ArrayLike) -> float:
    """Return the share of the positive evidence of a map that lies inside a mask.

    A map that knows nothing of the mask has, on average over places, the share that the mask has
    of the image.

    Parameters
    ----------
    evidence
        A map of one class, whose positive part counts, or an array (H, W) of what speaks for the
        class; values below 0 speak against it and do not count.
    mask
        Shape (H, W): bool, or how much of each pixel is inside, from 0 to 1.

    Returns
    -------
    float
        0 to 1; NaN where nothing speaks for the class.

    Raises
    ------
    ValueError
        Where the two have other shapes, or shares of pixels are not within 0 and 1.
    """
    positive = evidence.positive if isinstance(evidence, SignedMap) else np.asarray(evidence)
    speaks_for = np.maximum(positive, 0).astype(np.float64)
    inside = np.asarray(mask, np.float64)
    if speaks_for.shape != inside.shape or inside.ndim != 2:
        raise ValueError(f"share_inside: a map {speaks_for.shape} and a mask {inside.shape}.")
    if inside.min() < 0 or inside.max() > 1:
        raise ValueError("share_inside: a mask has values from 0 to 1.")
    total = float(speaks_for.sum())
    return float((speaks_for * inside).sum()) / total if total > 0 else float("nan")
