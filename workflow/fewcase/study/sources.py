"""Where a cohort comes from: the options of each source."""

from __future__ import annotations

import dataclasses
from typing import Any

from fewcase.study.fields import setting
from fewcase.study.image_sources import (
    ImageFolder,
    MaskedImages,
    SimulateHistology,
    SimulateOct,
    SimulateUltrasound,
    Tiles,
)


@dataclasses.dataclass(frozen=True)
class Hospital:
    """A simulated hospital: its size, case mix, devices, noise, and how it keeps its files."""

    recordings: int = setting(help="How many recordings.", minimum=1)
    site: str | None = setting(
        None,
        help="Site that it belongs to, for two periods of one site; null is a site of its own.",
    )
    first_year: int = setting(
        2015, minimum=1970, maximum=2100, help="First year of its deliveries."
    )
    last_year: int = setting(2020, minimum=1970, maximum=2100, help="Last year of its deliveries.")
    patients_per_recording: float = setting(
        0.85, minimum=0.25, maximum=1, help="Below 1, some mothers have several births here."
    )
    prevalence: float = setting(
        0.1, minimum=0.001, maximum=0.9, help="Share of births with an Apgar of 6 or less."
    )
    gestational_weeks: float = setting(
        39.2, minimum=28, maximum=41, help="Mean gestation; low for a perinatal centre."
    )
    second_stage: float = setting(
        0.4, minimum=0, maximum=1, help="Share of recordings that reach the second stage of labour."
    )
    minutes_to_delivery: float = setting(
        12.0, minimum=0, maximum=600, help="Mean time from the end of the recording to the birth."
    )
    sampling_hz: float = setting(
        4.0, minimum=0.5, maximum=100, help="Sampling rate of its devices."
    )
    resolution_bpm: float = setting(
        0.25, minimum=0.01, maximum=5, help="Smallest step of the heart rate that they write."
    )
    averaging_s: float = setting(
        0.0,
        minimum=0,
        maximum=10,
        help="Span over which they average heart beats, in s; hides variability from beat to beat.",
    )
    signal_loss: float = setting(0.08, minimum=0, maximum=0.9, help="Mean share of FHR lost.")
    maternal_artefacts: float = setting(
        0.02, minimum=0, maximum=0.5, help="Mean share of FHR that is the mother's heart rate."
    )
    doubling_halving: float = setting(
        0.01, minimum=0, maximum=0.5, help="Mean share of FHR doubled or halved."
    )
    spikes_per_minute: float = setting(
        0.2, minimum=0, maximum=20, help="Single wild FHR samples per minute."
    )
    uc_gain: float = setting(1.0, minimum=0.01, maximum=100, help="Gain of its tocodynamometers.")
    uc_offset: float = setting(
        0.0, minimum=-100, maximum=100, help="What its tocodynamometers add to UC."
    )
    uc_drift: float = setting(
        0.0, minimum=-200, maximum=200, help="Mean drift of UC, in its units per hour."
    )
    uc_noise: float = setting(1.0, minimum=0, maximum=50, help="Noise of UC, in its units.")
    uc_lowest: float = setting(
        0.0, minimum=-500, maximum=0, help="Lowest UC that its devices write; lower is cut off."
    )
    uc_highest: float = setting(
        127.0, minimum=10, maximum=1000, help="Highest UC that its devices write."
    )
    missing_apgar: float = setting(
        0.02, minimum=0, maximum=1, help="Share of births with an Apgar score not on file."
    )
    missing_ph: float = setting(
        0.15, minimum=0, maximum=1, help="Share of births without blood gases on file."
    )
    unusable: float = setting(
        0.01, minimum=0, maximum=1, help="Share of recordings too short, empty or almost all lost."
    )


@dataclasses.dataclass(frozen=True)
class SimulateCtg:
    """Simulated cardiotocograms; nothing in them was measured on a person."""

    hospitals: dict[str, Hospital] = setting(help="Hospitals by name.")
    minutes: float = setting(
        40.0, minimum=5, maximum=180, help="Mean length of a recording; each is within 10 % of it."
    )
    seed: int = setting(0, minimum=0, help="Seed of the simulation.")


@dataclasses.dataclass(frozen=True)
class CtuUhb:
    """The CTU-UHB intrapartum database: WFDB records with outcomes in the header comments."""

    folder: str | None = setting(
        None, help="Folder of the .dat and .hea files; null takes the study's data folder."
    )


@dataclasses.dataclass(frozen=True)
class CtgTable:
    """A hospital's own recordings: one table of metadata and one signal file per row."""

    table: str = setting(
        help="CSV or parquet, one row per recording; relative to the study's data folder."
    )
    signals: str = setting(
        "", help="Folder of the signal files, relative to the study's data folder."
    )
    columns: dict[str, str] = setting(
        {},
        help="Which column of the table is which: file (required), patient (without it each "
        "recording counts as a patient of its own), site, record, date, hour and minute of "
        "delivery, delivery, maternal_age, gestational_weeks, birth_weight, sex, ph, base_deficit, "
        "apgar1, apgar5, alive, sampling_hz, recording_start, recording_end.",
    )
    outcomes: dict[str, str] = setting(
        {}, help="Further columns to keep, by the name that they get; a target can use them."
    )
    site: str | None = setting(
        None, help="Name of the one hospital, where the table has no column for it."
    )
    site_in_names: bool = setting(
        True,
        help="Call patients and records site/id: the same id at two hospitals is two people. "
        "Set to false only where ids are the same across hospitals.",
    )
    values: dict[str, dict[str, Any]] = setting(
        {},
        help="What the table's words mean, by our column name, as in {sex: {男: male, 女: female}, "
        "alive: {生存: 1, 死亡: 0}}.",
    )
    missing: tuple[str | float, ...] = setting(
        ("", "NA", "N/A", "NaN", "nan", "null", "-"),
        help="Words and numbers that stand for an unknown value, in the table and in CSV signals.",
    )
    date_format: str | None = setting(
        None,
        help="How dates are written, as in %d.%m.%Y; null takes year, month, day in this order.",
    )
    encoding: str = setting(
        "utf-8-sig", help="Encoding of CSV files: utf-8-sig, cp932 (Japanese Windows), ..."
    )
    delimiter: str = setting(",", help="What divides the columns of the table, if it is CSV.")
    signal_delimiter: str = setting(",", help="What divides the columns of CSV signals.")
    signal_columns: dict[str, str] = setting(
        {"fhr": "fhr", "uc": "uc"},
        help="Columns of CSV and parquet signals, or names of WFDB signals, that are fhr and uc.",
    )
    sampling_hz: float | None = setting(
        None, minimum=0.1, help="Sampling rate of signals that do not carry one."
    )
    fhr_factor: float = setting(
        1.0, minimum=1e-6, help="What stored FHR is multiplied with to be beats per minute."
    )


SOURCES = {
    "simulate_ctg": SimulateCtg,
    "ctu_uhb": CtuUhb,
    "ctg_table": CtgTable,
    "image_folder": ImageFolder,
    "masked_images": MaskedImages,
    "tiles": Tiles,
    "simulate_histology": SimulateHistology,
    "simulate_oct": SimulateOct,
    "simulate_ultrasound": SimulateUltrasound,
}

UNITS_OF_SOURCES = {
    **dict.fromkeys(("simulate_ctg", "ctu_uhb", "ctg_table"), "window"),
    "image_folder": "image",
    "masked_images": "image",
    "tiles": "tile",
    "simulate_histology": "tile",
    "simulate_oct": "image",
    "simulate_ultrasound": "image",
}
"""What a network sees of a record of each source: window (of a signal), image, or tile."""

MASKED_SOURCES = ("masked_images", "simulate_ultrasound")
"""Sources whose images come with masks."""
