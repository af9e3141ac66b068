"""What stands in for a blanked cell: black, white, the image's mean, or the image out of focus."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from fewcase.study.errors import InputError
from fewcase.study.explanations import FILLS
from fewcase.study.fields import nearest

BLUR_SIGMA = 1 / 21
"""Standard deviation of the blur as a share of the shorter side: a cell of the finest grid."""

Picture = npt.NDArray[np.uint8]


def fill_image(picture: Picture, fill: str = "black") -> Picture:
    """Return the image whose parts are copied into blanked cells.

    Parameters
    ----------
    picture
        uint8 (C, H, W), not normalised: 0 is black, 255 is white.
    fill
        ``black`` is pixel 0, as in the paper: it must be normalised like the image, where a zero
        *after* normalisation would be a mean grey. ``white`` is the paper of drawn signals: a slit
        filled with it has no line. ``mean`` is the mean of each channel of this image, and
        ``blur`` this image under a Gaussian: both keep what is the same all over the image.

    Returns
    -------
    uint8 (C, H, W).

    Raises
    ------
    InputError
        Where there is no such fill, or the picture is no array of that kind.

    References
    ----------
    Black: Y. Ayatsuka et al., DiDA. Blur: V. Petsiuk et al., RISE, BMVC 2018, who insert pixels
    into a blurred image.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3:
        raise InputError(
            f"explain: a picture of type {picture.dtype} and shape {picture.shape}; expected uint8 "
            "(channels, height, width), not normalised."
        )
    if fill == "black":
        return np.zeros_like(picture)
    if fill == "white":
        return np.full_like(picture, 255)
    if fill == "mean":
        mean = np.rint(picture.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
        return np.broadcast_to(mean, picture.shape).copy()
    if fill == "blur":
        sigma = BLUR_SIGMA * min(picture.shape[1:])
        blurred = gaussian_filter(
            picture.astype(np.float64), sigma=(0, sigma, sigma), mode="nearest"
        )
        return np.rint(blurred).clip(0, 255).astype(np.uint8)
    raise InputError(f"explain.fill: {fill!r}.{nearest(fill, FILLS)}")
