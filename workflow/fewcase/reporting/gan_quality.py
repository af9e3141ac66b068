"""The quality of synthetic images as numbers: of each generator, and the mean of its runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fewcase.reporting.gan_runs import GanRun, by_generator, read_columns

ALL = "all"
"""The class of rows about all images."""

MEASURES = {
    "frechet": False,
    "kid": False,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
}
"""What is shown of quality, and whether more of it is better."""

_FLAGS = ("few_images", "same_mix")
_NAMES = ("extractor", "resizer", "frechet_name", "kid_name")
_READ = ("class", "sample", "reference", *MEASURES, "kid_sd", "n_real", "n_synthetic", "reason")
_SIZES = ("n_real", "n_synthetic")
_TRAINING = ("kimg", "chosen_kimg", "seconds_per_kimg")


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """One class of one run against one reference, with its floor where there is one."""

    run: GanRun
    row: Mapping[str, Any]
    floor: Mapping[str, Any] | None


def tabulate_quality(runs: Sequence[GanRun], cohorts: Mapping[str, str]) -> pd.DataFrame:
    """Return the quality of every generator and of each of its runs, full precision.

    Parameters
    ----------
    runs
        See `fewcase.reporting.gan_runs.read_gan_runs`.
    cohorts
        The cohort that each base generator learned from, by its name.

    Returns
    -------
    pandas.DataFrame
        A row for each generator and split (of a base generator ``split`` is empty and ``cohort``
        filled), class (``all`` first) and reference, ``train`` and ``validation``. Where ``seed``
        and ``fold`` are empty it is the mean over ``runs`` runs; else it is one of these. Each of
        `MEASURES` has its value, ``…_sd`` over runs, ``…_runs`` that have one, and beside
        validation ``floor_…`` and its ``_sd``: what as many real training images come to.
        ``few_images`` is whether any run has too few for a Fréchet distance that does not depend on
        their number, ``same_mix`` whether all have the mix of classes of the real images, and
        ``reason`` why values are missing. ``copies`` is whether any run returns training images.

    Raises
    ------
    InputError
        For a file that is missing or not as the stage that measures generators writes it.
    """
    rows = []
    for of_generator in by_generator(runs).values():
        training = [_training(run) for run in of_generator]
        for comparisons in _compared(of_generator):
            rows.append(_row(comparisons, training, cohorts, whole=True))
            if of_generator[0].split:
                for one in comparisons:
                    own = training[of_generator.index(one.run)]
                    rows.append(_row([one], [own], cohorts, whole=False))
    return pd.DataFrame(rows)


def _compared(runs: Sequence[GanRun]) -> Iterator[list[_Comparison]]:
    """Yield each class and reference that any run has, all runs of it together."""
    found: dict[tuple[str, str], list[_Comparison]] = {}
    for run in runs:
        table = read_columns(run.folder / "quality.csv", [*_READ, *_FLAGS, *_NAMES])
        table[[*MEASURES, "kid_sd", *_SIZES]] = table[[*MEASURES, "kid_sd", *_SIZES]].apply(
            pd.to_numeric, errors="coerce"
        )
        rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
        floors = {row["class"]: row for row in rows if row["sample"] == "train"}
        for row in rows:
            if row["sample"] == "synthetic":
                floor = floors.get(row["class"]) if row["reference"] == "validation" else None
                key = row["class"], row["reference"]
                found.setdefault(key, []).append(_Comparison(run, row, floor))
    yield from found.values()


def _training(run: GanRun) -> dict[str, Any]:
    """Return how far and how fast a run was trained, and whether it copies."""
    options = run.options
    return {
        "kimg": float(options.get("kimg", math.nan)),
        "chosen_kimg": float(options.get("chosen_kimg", math.nan)),
        "seconds_per_kimg": run.seconds_per_kimg,
        "device": str(options.get("device", "")),
        "copies": bool(run.memorisation()["copies"]),
    }


def _row(
    comparisons: Sequence[_Comparison],
    training: Sequence[Mapping[str, Any]],
    cohorts: Mapping[str, str],
    whole: bool,
) -> dict[str, Any]:
    run, first = comparisons[0].run, comparisons[0].row
    rows = pd.DataFrame([one.row for one in comparisons])
    floors = pd.DataFrame([one.floor for one in comparisons if one.floor is not None])
    row = run.identity() | ({"seed": "", "fold": ""} if whole else {})
    row |= {"cohort": "" if run.split else cohorts.get(run.gan, "")}
    row |= {"class": first["class"], "reference": first["reference"], "runs": len(comparisons)}
    for name in MEASURES:
        row |= _mean(name, rows[name])
        row[f"{name}_runs"] = int(rows[name].notna().sum())
        row |= _mean(f"floor_{name}", floors[name] if len(floors) else pd.Series(dtype=float))
    row["kid_subset_sd"] = float(rows["kid_sd"].mean())
    for name in _SIZES:
        row |= {name: int(rows[name].min()), f"{name}_most": int(rows[name].max())}
    row["few_images"] = bool((rows["few_images"] == "True").any())
    row["same_mix"] = bool((rows["same_mix"] == "True").all())
    for name in ("reason", *_NAMES):
        row[name] = "; ".join(dict.fromkeys(filter(None, rows[name])))
    row |= {"base": run.base, "frozen_d": run.frozen("d"), "frozen_g": run.frozen("g")}
    for name in _TRAINING:
        row |= _mean(name, pd.Series([one[name] for one in training]))
    row["device"] = ", ".join(dict.fromkeys(one["device"] for one in training))
    row["copies"] = any(one["copies"] for one in training)
    row["runs_that_copy"] = sum(one["copies"] for one in training)
    return row


def _mean(name: str, values: pd.Series) -> dict[str, float]:
    """Return the mean of the values that there are, and their standard deviation (n - 1)."""
    return {name: float(values.mean()), f"{name}_sd": float(values.std(ddof=1))}
