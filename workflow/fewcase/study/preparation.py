"""How the images of examples are prepared for a network."""

from __future__ import annotations

import dataclasses

from fewcase.study.fields import setting


@dataclasses.dataclass(frozen=True)
class PrepareOptions:
    """What becomes of an image before it is stored."""

    size: int = setting(
        224, minimum=8, maximum=2048, help="Height and width in pixels, by Lanczos interpolation."
    )
    crop: int | None = setting(
        None,
        minimum=8,
        maximum=8192,
        help="Side in pixels of a square about the centre that is cut out first; images are padded "
        "where they are smaller.",
    )
    width_factor: float = setting(
        1.0,
        minimum=0.05,
        maximum=20,
        help="Factor of the width after cropping, such as 0.5 for scans whose pixels are twice as "
        "fine across as down.",
    )
    grey: bool = setting(
        False, help="Turn colours to grey (ITU-R BT.601); grey images are grey in any case."
    )
    fit: str = setting(
        "pad",
        choices=("pad", "stretch"),
        help="What is done with images that are not square: pad keeps their proportions.",
    )
    fill: int = setting(
        0, minimum=0, maximum=255, help="Grey level of what is padded; 0 is black, 255 white."
    )
    bits: int = setting(
        16,
        minimum=9,
        maximum=16,
        help="Significant bits of grey images of 16 bits: the largest number of so many is white.",
    )
