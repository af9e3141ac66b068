"""A made-up study of tiny two-valued images, on disk as the stages before training leave it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import content_digest, write_digest, write_table
from fewcase.splits.folds import make_split, write_split
from fewcase.splits.sampling import draw_samples, write_samples
from fewcase.study.splits import HeldOut, SplitOptions

SIZE = 32
CHANNELS = ("fhr", "uc", "baseline")


def _write_images(folder: Path, labels: np.ndarray) -> None:
    """Lines at random heights; those of class 1 lie lower in the first channel."""
    generator = np.random.default_rng(3)
    for channel in CHANNELS:
        height = generator.integers(0, SIZE // 2, len(labels))
        if channel == "fhr":
            height = height + labels * (SIZE // 3)
        images = np.ones((len(labels), SIZE, SIZE), np.uint8)
        images[np.arange(len(labels)), height] = 0
        packed = np.packbits(images, axis=-1)
        path = folder / f"{channel}.npy"
        np.save(path, packed)
        info = {"content": content_digest(packed), "shape": list(images.shape), "packed": True}
        write_digest(path.with_suffix(".hash"), info)


def _make_study(folder: Path, recordings: int, bags: int) -> Path:
    """Three folds over two sites, a third held out; positives one in four."""
    generator = np.random.default_rng(1)
    names = [f"recording {i}" for i in range(recordings)]
    labels = (np.arange(recordings) % 4 == 0).astype(np.int8)
    examples = pd.DataFrame(
        {
            "row": np.arange(recordings),
            "example": names,
            "parent": names,
            "patient": [f"patient {i // 2}" for i in range(recordings)],
            "site": np.repeat(["north", "south", "east"], np.array([2, 1, 1]) * recordings // 4),
            "date": pd.Timestamp("2015-01-01")
            + pd.to_timedelta(generator.integers(0, 900, recordings), unit="D"),
            "label": labels,
        }
    )
    options = SplitOptions(target="apgar", hold_out=(HeldOut(site="east"),), folds=3, inner_folds=3)
    split = make_split(examples, options, seed=0)
    write_split(folder / "split.parquet", split, options, seed=0)
    samples = draw_samples(split, 2.0, bags, seed=0)
    write_samples(folder / "sample.parquet", samples, 2.0, bags, seed=0)
    features = pd.DataFrame(
        {
            "row": np.arange(recordings),
            "site": examples["site"],
            "deceleration_area": labels + generator.normal(0, 0.5, recordings),
            "baseline_min": np.where(generator.random(recordings) < 0.1, np.nan, 130.0),
        }
    )
    write_table(folder / "features.parquet", features)
    _write_images(folder, labels)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with split, samples of two bags, features and images of 32 pixels."""
    return _make_study(tmp_path_factory.mktemp("study"), recordings=160, bags=2)


@pytest.fixture(scope="session")
def command_line() -> Callable[..., list[str]]:
    """The arguments of train.py for a study's folder, a recipe and a place for its outputs."""

    def make(
        study: Path, outputs: Path, training: dict | None = None, **recipe: object
    ) -> list[str]:
        settings = {
            "model": "test_vit",
            "weights": "none",
            "batch_size": 16,
            "epochs": 3,
            "neg_per_pos": 2.0,
            "learning_rate": 1e-3,
            **recipe,
        }
        return [
            *("--recipe", json.dumps(settings)),
            *("--training", json.dumps({"checkpoint_minutes": 0, **(training or {})})),
            *("--split", str(study / "split.parquet"), "--sample", str(study / "sample.parquet")),
            *("--images", *(str(study / f"{channel}.npy") for channel in CHANNELS)),
            *("--seed", "1", "--fold", "0", "--code", "abc", "--state", str(outputs / "state")),
            *("--weights", str(outputs / "weights.safetensors")),
            *("--history", str(outputs / "history.csv")),
            *("--predictions", str(outputs / "predictions.parquet")),
            *("--options", str(outputs / "options.json")),
        ]

    return make
