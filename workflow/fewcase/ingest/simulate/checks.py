"""What every simulation of images asks of its sites and parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fewcase.study.errors import InputError


def check_sites_and_parts(sites: Sequence[str], validation: float, test: float) -> None:
    """Refuse sites whose names files cannot carry, and parts that leave nobody to learn from."""
    for site in sites:
        if not re.fullmatch(r"\w+", site):
            raise InputError(f"sites: {site!r}, expected letters, digits and _ alone.")
    if not sites or len(set(sites)) < len(sites):
        raise InputError(f"sites: {list(sites)}, expected one name or more, each once.")
    if validation + test >= 1:
        raise InputError(
            f"validation: {validation} and test {test} leave no patient to learn from; together "
            "they must be less than 1."
        )
