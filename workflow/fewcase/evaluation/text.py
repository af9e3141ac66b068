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
    "fhr_cutoff": "FHR low-pass cut-off",
    "uc_scale": "UC scale",
    "baseline": "FHR baseline",
    "neg_per_pos": "Negatives per positive",
    "bags": "Bags",
    "target": "Target",
    "scheme": "Split scheme",
    "hold_out": "Held out",
}
VALUE_TITLES = {
    "cutout": "CutOut",
    "slit_cutout": "slit CutOut",
    "cutmix": "CutMix",
    "slit_cutmix": "slit CutMix",
}


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


def with_spread(value: float, sd: float) -> str:
    """Return ``mean ± SD``."""
    return f"{number(value)} ± {number(sd)}" if math.isfinite(sd) else number(value)


def span(low: float, high: float) -> str:
    """Return the two ends of an interval."""
    return f"{number(low)}–{number(high)}" if math.isfinite(low) else "–"


def with_interval(value: float, low: float, high: float) -> str:
    """Return a value and, in brackets, its interval."""
    return f"{number(value)} [{span(low, high)}]" if math.isfinite(low) else number(value)


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
}


def for_latex(text: str) -> str:
    """Return text with every character that LaTeX would act upon escaped."""
    return "".join(_LATEX.get(character, character) for character in plain(text))
