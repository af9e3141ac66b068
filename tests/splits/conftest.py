"""Made-up cohorts of patients at several sites, without any signal."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def _patients(
    sites: dict[str, int],
    prevalence: float = 0.1,
    recordings_per_patient: float = 1.3,
    seed: int = 0,
) -> pd.DataFrame:
    """Examples of `sites` (name: recordings) from 2010 to 2019, risk going with the patient."""
    generator = np.random.default_rng(seed)
    site = np.repeat(list(sites), list(sites.values()))
    number = np.concatenate(
        [generator.integers(0, max(int(n / recordings_per_patient), 1), n) for n in sites.values()]
    )
    patient = [f"{s}/{i}" for s, i in zip(site, number, strict=True)]
    risk = pd.Series(patient).map(dict(zip(patient, generator.random(len(site)), strict=True)))
    name = [f"recording {i}" for i in range(len(site))]
    return pd.DataFrame(
        {
            "row": np.arange(len(site)),
            "example": name,
            "parent": name,
            "patient": patient,
            "site": site,
            "date": pd.Timestamp("2010-01-01")
            + pd.to_timedelta(generator.integers(0, 3652, len(site)), unit="D"),
            "label": (risk < prevalence).to_numpy(np.int8),
        }
    )


@pytest.fixture(scope="session")
def patients() -> Callable[..., pd.DataFrame]:
    return _patients


@pytest.fixture(scope="session")
def cohort() -> pd.DataFrame:
    """Three hospitals, 900 recordings."""
    return _patients({"north": 500, "south": 250, "east": 150})
