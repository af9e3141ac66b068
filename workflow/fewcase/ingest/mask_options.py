"""Checks of the options by which masks are found, before any file is looked for."""

from __future__ import annotations

import re

from fewcase.study.errors import InputError
from fewcase.study.image_sources import MaskedImages

MASK_COLUMNS = (
    *("masks", "outlines", "mask_values", "left", "top", "right", "bottom", "area", "frame"),
    "burnt_in",
)
"""Columns of records with masks; none of them is an outcome."""

_COLOUR = re.compile("#[0-9a-fA-F]{6}")


def check_mask_options(options: MaskedImages) -> re.Pattern[str] | None:
    """Refuse options that contradict each other, and return mask_pattern compiled.

    Raises
    ------
    InputError
        The message names the key and the value.
    """
    if options.mask_folder is not None and options.outlines is not None:
        raise InputError(
            f"mask_folder: {options.mask_folder!r}, but outlines is given as well. Leave one of "
            "them out."
        )
    for name in options.outcomes:
        if name in MASK_COLUMNS:
            raise InputError(f"outcomes.{name}: records with masks have a column of this name.")
    if options.region and options.outlines is None:
        raise InputError(
            "region: these are labels of outlines. In mask files, name values under mask_values."
        )
    _check_values(options)
    _check_box(options)
    return _pattern(options)


def _check_values(options: MaskedImages) -> None:
    for value in options.mask_values:
        good = 0 <= value <= 65535 if isinstance(value, int) else _COLOUR.fullmatch(value)
        if not good or isinstance(value, bool):
            raise InputError(
                f"mask_values: {value!r} is no grey level (a whole number from 0) and no colour "
                "('#ff0000')."
            )


def _check_box(options: MaskedImages) -> None:
    box = options.box
    if (options.crop_screen == "box") is not bool(box):
        raise InputError(
            f"box: {list(box)} with crop_screen: {options.crop_screen}. A box needs crop_screen: "
            "box, and this needs a box."
        )
    if box and not (len(box) == 4 and 0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
        raise InputError(
            f"box: {list(box)}, expected left, top, right, bottom in pixels, right and bottom "
            "beyond left and top."
        )


def _pattern(options: MaskedImages) -> re.Pattern[str] | None:
    text = options.mask_pattern
    if text is None:
        if options.mask_folder is None and options.outlines is None:
            raise InputError("mask_pattern: null, but neither mask_folder nor outlines is given.")
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"mask_pattern: {text!r} is no regular expression ({error}).") from None
    if "image" not in pattern.groupindex:
        raise InputError(
            f"mask_pattern: {text!r} has no group (?P<image>…), which says what the mask's image "
            "is called."
        )
    return pattern
