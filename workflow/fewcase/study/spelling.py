"""One spelling for names that look alike, so that a person or a site is never taken for two."""

from __future__ import annotations

import unicodedata


def plain_name(name: str) -> str:
    """Return a name in composed Unicode (NFC) and without invisible characters.

    The same letters can be written as one character or as several (``é``, ``ガ``; file names of
    macOS come in pieces), and tables carry zero-width spaces and byte order marks along. Leading
    zeros, case, and full-width digits stay: they may tell two people apart.
    """
    composed = unicodedata.normalize("NFC", name)
    return "".join(c for c in composed if unicodedata.category(c) != "Cf")
