"""Folders of generators as training and measuring would leave them, with numbers made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.files import write_csv, write_json, write_table

NAN = float("nan")
MEASURES = ("frechet", "kid", "precision", "recall", "density", "coverage")
CLASSES = ("AT", "BG", "TUM")
INCEPTION = {
    "extractor": "Inception 2015-12-05",
    "resizer": "clean",
    "frechet_name": "FID (clean)",
    "kid_name": "KID (clean)",
}
TIMM = {
    "extractor": "test_resnet, none (random)",
    "resizer": "clean",
    "frechet_name": "Fréchet distance (test_resnet, none (random))",
    "kid_name": "kernel distance (test_resnet, none (random))",
}
RULE = "copies: if it does"

# Fréchet distance, KID, precision, recall, density, coverage.
GOOD, FLOOR = (10.0, 0.02, 0.7, 0.5, 0.8, 0.6), (2.0, 0.001, 0.95, 0.9, 1.05, 0.97)


def quality_row(name: str, sample: str, reference: str, values: Any, **more: Any) -> dict[str, Any]:
    """A row of quality.csv; what is not given is as of enough images."""
    row = {"class": name, "sample": sample, "reference": reference}
    row |= dict(zip(MEASURES, values, strict=True)) | {"kid_sd": 0.001}
    row |= {"n_real": 3000, "n_synthetic": 3000, "d": 96, "subset_size": 1000}
    return row | {"few_images": False, "same_mix": True, "reason": "", **INCEPTION, **more}


def quality(
    values: Any = GOOD,
    floor: Any = FLOOR,
    *,
    base: bool = False,
    classes: Any = CLASSES,
    **more: Any,
) -> list[dict[str, Any]]:
    """The rows of quality.csv: all images and each class, the same values to both references."""
    rows = []
    for name in ("all", *classes):
        rows.append(quality_row(name, "synthetic", "train", values, **more))
        if not base:
            rows.append(quality_row(name, "synthetic", "validation", values, **more))
            rows.append(quality_row(name, "train", "validation", floor, **more))
    return rows


def memorisation(*, base: bool = False, **more: Any) -> dict[str, Any]:
    """The row of memorisation.csv."""
    row: dict[str, Any] = {"n_synthetic": 60, "n_train": 60, "n_validation": 0 if base else 40}
    for space in ("feature", "pixel"):
        row |= {f"{space}_median_ratio": 1.1, f"{space}_copy_share": 0.0, f"{space}_copy_p": 1.0}
        if not base:
            row |= {f"{space}_validation_copy_share": 0.01, f"{space}_auc": 0.52}
            row |= {f"{space}_auc_low": 0.4, f"{space}_auc_high": 0.64, f"{space}_auc_p": 0.3}
    return row | {"copies": False, "why": "", "rule": RULE, **more}


def history(kimg: float = 8.0, distances: Any = (9.0, 5.0, 3.0, 4.0), base: bool = False) -> Any:
    """A history of ten lines between snapshots, of 2.5 seconds for every 100 images."""
    lines = 10 * len(distances)
    table = pd.DataFrame({"kimg": np.arange(1, lines + 1) * kimg / lines})
    table["seconds"] = 25 * kimg / lines
    # What snapshots take is in the line after.
    table.loc[10::10, "seconds"] += 60
    table["real_sign"] = np.linspace(-0.2, 0.6, lines)
    table["probability"] = np.linspace(0, 0.4, lines)
    snapshots = table.index[9::10]
    table.loc[snapshots, "train_frechet"] = distances
    if not base:
        table.loc[snapshots, "validation_frechet"] = np.array(distances) + 1
    return table


def closeness(
    random: np.random.Generator, count: int = 60, copies: int = 0, base: bool = False
) -> pd.DataFrame:
    """closeness.parquet; the first so many images are perfect copies."""
    table = {"synthetic": np.arange(count)}
    for space in ("feature", "pixel"):
        ratios = np.exp(random.normal(0.1, 0.35, count))
        ratios[:copies] = 0
        table[f"{space}_ratio"] = ratios
        table[f"{space}_copy"] = np.arange(count) < copies
        if not base:
            table[f"{space}_validation_ratio"] = np.exp(random.normal(0.1, 0.35, count))
    return pd.DataFrame(table)


def make_gan(
    root: Path,
    gan: str,
    split: str = "",
    seed: int = 0,
    fold: int = 0,
    *,
    rows: Any = None,
    verdict: Any = None,
    course: Any = None,
    copies: int = 0,
    recipe: Any = None,
    **options: Any,
) -> Path:
    """Write what tables need of a generator, a base generator where no split is given."""
    folder = root / "gans" / gan
    folder = folder / split / f"seed-{seed}" / f"fold-{fold}" if split else folder / "base"
    base = not split
    about = {
        "gan": gan,
        "recipe": {"base": None, "freeze": {"d": 0, "g": 0}, **(recipe or {})},
        "kimg": 8.0,
        "chosen_kimg": 6.0,
        "device": "CPU",
        **options,
    }
    write_json(folder / "options.json", about)
    write_csv(folder / "quality.csv", pd.DataFrame(rows or quality(base=base)))
    found = memorisation(base=base, **(verdict or {}))
    write_csv(folder / "memorisation.csv", pd.DataFrame([found]))
    write_csv(folder / "history.csv", history(base=base) if course is None else course)
    random = np.random.default_rng([seed, fold, len(gan)])
    write_table(folder / "closeness.parquet", closeness(random, copies=copies, base=base))
    return folder / "options.json"


def add_pictures(
    folder: Path,
    images: np.ndarray,
    labels: np.ndarray,
    classes: Any = CLASSES,
    *,
    kimg: Any = (2.0, 4.0, 6.0, 8.0),
    patients: int = 5,
    pairs: int = 8,
) -> None:
    """Write the images of a generator, all taken from some real ones (n, C, S, S) in their order.

    Those of class k in sample, snapshot or step i are real images of the class, the i-th first.
    """
    by_class = [images[labels == k] for k in range(len(classes))]

    def of(label: int, *places: int) -> np.ndarray:
        own = by_class[label]
        return own[sum(places) % len(own)]

    every, steps = range(len(classes)), range(8)
    shapes = {
        "samples": [[[of(k, s, c) for c in range(6)] for k in every] for s in range(len(kimg))],
        "interpolation": [[of(k, s) for s in steps] for k in every],
        "mixing": [[of(0, r, c) * (r + c > 0) for c in range(5)] for r in range(5)],
        "truncation": [[of(0, r, c) for c in range(6)] for r in range(4)],
        "pairs": [[images[i], images[(i + 1) % len(images)]] for i in range(2 * pairs)],
    }
    for name, nested in shapes.items():
        np.save(folder / f"{name}.npy", np.array(nested, np.uint8))
    write_json(folder / "samples.json", {"kimg": list(kimg), "classes": list(classes)})
    table = pd.DataFrame({"space": ["feature"] * pairs + ["pixel"] * pairs})
    table["synthetic"] = np.arange(2 * pairs) % pairs
    table["train_row"] = np.arange(1, 2 * pairs + 1)
    table["distance"], table["ratio"] = 0.5, np.linspace(0, 1, 2 * pairs)
    write_table(folder / "pairs.parquet", table.assign(label=0))
    learned = pd.DataFrame({"row": np.arange(len(images)), "label": labels})
    learned["example"] = [f"e{i:04d}" for i in range(len(images))]
    learned["patient"] = [f"p{i % patients}" for i in range(len(images))]
    write_table(folder / "learned.parquet", learned)


def write_store(path: Path, images: np.ndarray) -> Path:
    """Write an image store of one file."""
    np.save(path, images)
    digest = {"shape": list(images.shape), "packed": False, "content": "x"}
    path.with_suffix(".hash").write_text(json.dumps(digest))
    return path
