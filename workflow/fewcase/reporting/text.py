"""Numbers and names as readers see them, made safe for Markdown and LaTeX."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

FACTOR_TITLES = {
    "model": "Model",
    "model_options": "Model options",
    "weights": "Weights",
    "augment": "Augmentation",
    "orient": "Mirroring and turning",
    "colour_jitter": "Colour jitter",
    "fhr_cutoff": "FHR low-pass cut-off",
    "uc_scale": "UC scale",
    "baseline": "FHR baseline",
    "crop": "Crop",
    "normalisation": "Normalisation",
    "input_size": "Input size",
    "through_size": "Resized through",
    "gan": "Generator",
    "training_set": "Training set",
    "synthetic_per_class": "Synthetic images per class",
    "synthetic_ratio": "Synthetic images per real one",
    "synthetic_selection": "Share of synthetic images kept",
    "neg_per_pos": "Negatives per positive",
    "distribution": "Classes in training",
    "training_examples": "Training examples",
    "bags": "Bags",
    "oversample": "Oversampling",
    "target": "Target",
    "scheme": "Split scheme",
    "hold_out": "Held out",
}
VALUE_TITLES = {
    "cutout": "CutOut",
    "slit_cutout": "slit CutOut",
    "cutmix": "CutMix",
    "slit_cutmix": "slit CutMix",
    "dihedral": "mirrored and turned",
    "both": "real and synthetic",
}
SHORTCUT_TITLES = {
    "prior": "class prior",
    "file": "file and image size",
    "signal": "signal length and missing share",
    "four_features": "four CTG features",
    "pixels": "colours and border pixels",
    "metadata": "metadata alone",
}
MINUS = "\u2212"


def plain(text: Any) -> str:
    """Return text on one line, without characters that steer a terminal or reading direction."""
    spaced = re.sub(r"\s+", " ", str(text))
    kept = (c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    return "".join(kept).strip()


def shorten(text: str, length: int = 44) -> str:
    """Return text cut to `length` characters, with an ellipsis where something is left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


def with_bound_options(text: str) -> str:
    """Return text whose lines cannot break between an option of a model and its value.

    Options are what `factor_value` puts in brackets: ``(depth 4, num_heads 3)``.
    """

    def bound(options: re.Match[str]) -> str:
        return re.sub(r"(?<!,) ", "\u00a0", options[0])

    pair = r"[^\s,()]+ [^\s,()]+"
    return re.sub(rf"\({pair}(?:, {pair})*\)", bound, text)


def factor_title(factor: str) -> str:
    """Return the heading of a factor."""
    words = plain(factor).replace("_", " ")
    return FACTOR_TITLES.get(factor, words[:1].upper() + words[1:])


def factor_value(value: Any) -> str:
    """Return a level of a factor in words; null is none, and a model's options follow its name.

    ``{name: vit_small_patch16_224, depth: 4}`` reads ``vit_small_patch16_224 (depth 4)``.
    """
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        options = [(key, option) for key, option in value.items() if key != "name"]
        rest = ", ".join(f"{plain(key)} {factor_value(option)}" for key, option in options)
        name = plain(value.get("name", ""))
        return f"{name} ({rest})" if name and rest else name or rest or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(factor_value(item) for item in value)
    return plain(value)


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits, or a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def count(value: float) -> str:
    """Return a whole number with a comma before every three digits, or a dash."""
    return f"{int(value):,}" if math.isfinite(value) else "–"


def counted(value: float, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not one."""
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def with_spread(value: float, sd: float) -> str:
    """Return ``mean ± SD``."""
    return f"{number(value)} ± {number(sd)}" if math.isfinite(sd) else number(value)


def span(low: float, high: float, *, digits: int = 3) -> str:
    """Return the two ends of an interval."""
    return f"{number(low, digits)}–{number(high, digits)}" if math.isfinite(low) else "–"


def with_interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Return a value and, in brackets, its interval."""
    text = number(value, digits)
    return f"{text} [{span(low, high, digits=digits)}]" if math.isfinite(low) else text


def signed(value: float, digits: int = 3) -> str:
    """Return a number that may be negative, with a minus as wide as a digit, or a dash."""
    text = number(value, digits)
    if not math.isfinite(value) or float(text) == 0:
        return text.removeprefix("-")
    return text.replace("-", MINUS)


def difference(value: float, low: float, high: float) -> str:
    """Return a difference with its sign and, in brackets, its interval: ``low to high``.

    A dash between two ends of which one is negative would read as a second minus.
    """
    text = signed(value)
    if math.isfinite(value) and float(f"{value:.3f}") > 0:
        text = f"+{text}"
    return f"{text} [{signed(low)} to {signed(high)}]" if math.isfinite(low) else text


def p_value(p: float) -> str:
    """Return ``p`` and its value, with more digits where it is next to 0.05."""
    if not math.isfinite(p):
        return "p –"
    if p < 0.001:
        return "p < 0.001"
    digits = 3 if p < 0.1 else 2
    if float(f"{p:.3f}") == 0.05:
        digits = 4
    return f"p {p:.{digits}f}"


def shortcut_title(name: str) -> str:
    """Return the name of a shortcut in words."""
    return SHORTCUT_TITLES.get(name, plain(name).replace("_", " "))


def percent(share: float) -> str:
    """Return a share as a percentage of two digits or so."""
    if not math.isfinite(share):
        return "–"
    digits = 1 if share < 0.1 else 0
    return f"{100 * share:.{digits}f}\u00a0%"


def for_markdown(text: str) -> str:
    """Return text that a Markdown reader shows as it is, inside a table too."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|\[\]$~])", r"\\\1", text)
    # Underscores within a word, as in a model's name, mean nothing to Markdown.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "‡": r"$\ddagger$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "\u00a0": "~",
    MINUS: "$-$",
    "Δ": r"$\Delta$",
    "†": r"$\dagger$",
}


def for_latex(text: str) -> str:
    """Return text with every character that LaTeX would act upon escaped."""
    return "".join(_LATEX.get(character, character) for character in plain(text))
