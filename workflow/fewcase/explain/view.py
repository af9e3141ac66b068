"""DiDA View: the page with which a clinician reads explanation maps, after Ayatsuka et al."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewcase.explain.grids import WHOLE
from fewcase.explain.map_files import MapSet
from fewcase.explain.pictures import PALETTES
from fewcase.explain.view_data import (
    check_sets,
    describe_grids,
    encode_pictures,
    is_strip,
    read_cases,
)

SCRIPTS = ("maps.js", "draw.js", "tiles.js", "verdicts.js", "cases.js", "page.js")
"""The parts of the page's script, in the order in which they follow each other."""


def make_view(maps: Sequence[MapSet], title: str, sources: Path) -> str:
    """Return the page of sets of maps as HTML that needs no other file and no network.

    Every case shows its picture and, laid over it, the maps of the three classes with the highest
    scores and of its label. A reader's verdicts stay in his browser and are exported from there.

    Parameters
    ----------
    maps
        One or several sets, such as the folds of an arm: with the same classes, grids and size of
        pictures. ``about`` may say ``simulated`` and ``no_better_than_chance``: a banner warns.
    title
        Heading of the page.
    sources
        Folder of the page's template, style sheet and scripts.

    Raises
    ------
    InputError
        Where there is no case, or sets do not belong together.
    """
    import jinja2
    from markupsafe import Markup

    check_sets(maps)
    pictures, lossy = encode_pictures(maps)
    cases = list(read_cases(maps))
    payloads = [
        embed_json({"picture": picture, "values": case.values})
        for picture, case in zip(pictures, cases, strict=True)
    ]
    content = _describe(maps, title, lossy)
    content["scale"] = max(case.summary["scale"] for case in cases)
    content["cases"] = [case.summary for case in cases]
    # Verdicts are kept under this name: those on other maps must not come up again.
    digest = hashlib.sha256(embed_json({**content, "title": ""}).encode())
    for payload in payloads:
        digest.update(payload.encode())
    content["page"] = digest.hexdigest()[:16]

    style = (sources / "page.css").read_text(encoding="utf-8")
    parts = [(sources / name).read_text(encoding="utf-8") for name in SCRIPTS]
    script = '"use strict";\n{\n' + "\n".join(parts) + "}\n"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        simulated=any(each.about.get("simulated") is True for each in maps),
        chance=any(each.about.get("no_better_than_chance") is True for each in maps),
        leaky=any(each.about.get("leaky") is True for each in maps),
        lossy=lossy,
        content=Markup(embed_json(content)),
        payloads=[Markup(payload) for payload in payloads],
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def embed_json(value: Any) -> str:
    """Return JSON that may stand in an HTML element: ASCII, without ``<``, ``>`` and ``&``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _describe(maps: Sequence[MapSet], title: str, lossy: bool) -> dict[str, Any]:
    first = maps[0]
    height, width = first.pictures.shape[2:]
    groups = list(first.groups)
    if is_strip(first):
        # Signals one by one, then all of them together.
        groups.sort(
            key=lambda group: all(g.channels.all() for g in first.grids if g.group == group)
        )
    return {
        "title": title,
        "classes": list(first.class_names),
        "height": int(height),
        "width": int(width),
        "strip": is_strip(first),
        "minutes": first.about.get("window_minutes"),
        "score": str(first.about.get("score", "")),
        "fill": str(first.about.get("fill", "")),
        "lossy": lossy,
        "mix": str(first.about.get("mix", "rgb")),
        "grids": describe_grids(first),
        "groups": groups,
        "whole": WHOLE,
        "palettes": {
            name: [[round(255 * part) for part in colour] for colour in pair]
            for name, pair in PALETTES.items()
        },
        "sets": [
            {
                **{name: _plain(each.about.get(name)) for name in ("arm", "split", "seed", "fold")},
                "chance": each.about.get("no_better_than_chance") is True,
            }
            for each in maps
        ],
    }


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _hash(source: str) -> str:
    """Return what a Content-Security-Policy calls an element by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
