"""The trained generators of a study: where each comes from, and the files that tell of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.study.errors import InputError

SPACES = {"feature": "features", "pixel": "pixels"}
"""Where distances between images are measured, and what readers call it."""

Key = tuple[str, str]
"""Generator and split, the latter empty for a base generator."""

_OF_FOLD = re.compile(r"/([^/]+)/([^/]+)/seed-(\d+)/fold-(\d+)$")
_OF_BASE = re.compile(r"/([^/]+)/base$")


@dataclasses.dataclass(frozen=True)
class GanRun:
    """One trained generator: of a fold, or a base generator, which belongs to none.

    Attributes
    ----------
    folder
        Where its files lie.
    gan
        Name of the generator.
    split, seed, fold
        Of a generator of a fold; empty and None of a base generator.
    options
        Its options.json.
    """

    folder: Path
    gan: str
    split: str
    seed: int | None
    fold: int | None
    options: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Generator and split."""
        return self.gan, self.split

    @property
    def place(self) -> str:
        """Which of the runs of its generator it is, in words; empty for a base generator."""
        return f"seed {self.seed}, fold {self.fold}" if self.split else ""

    @property
    def base(self) -> str:
        """The generator that it started from, empty where it started from none."""
        return str(self._recipe.get("base") or "")

    def frozen(self, network: str) -> int:
        """Return how many blocks of network ``d`` or ``g`` kept the base's weights."""
        return int((self._recipe.get("freeze") or {}).get(network, 0))

    @property
    def seconds_per_kimg(self) -> float:
        """Median, over the lines of its history, of the seconds that a thousand images took."""
        history = self.history()
        images = np.diff(history["kimg"].to_numpy(float), prepend=0.0)
        seconds = history["seconds"].to_numpy(float)[images > 0]
        return float(np.median(seconds / images[images > 0])) if len(seconds) else float("nan")

    @property
    def _recipe(self) -> Mapping[str, Any]:
        recipe = self.options.get("recipe")
        return recipe if isinstance(recipe, dict) else {}

    def identity(self) -> dict[str, Any]:
        """Return the columns by which a table of runs tells them apart."""
        of_fold = {"seed": self.seed, "fold": self.fold} if self.split else {"seed": "", "fold": ""}
        return {"gan": self.gan, "split": self.split, **of_fold}

    def history(self) -> pd.DataFrame:
        """Read history.csv: kimg, seconds, probability, real_sign, and measures of snapshots."""
        table = read_columns(
            self.folder / "history.csv", ["kimg", "seconds", "probability", "real_sign"]
        )
        return table.apply(pd.to_numeric, errors="coerce")

    def memorisation(self) -> Mapping[str, Any]:
        """Read memorisation.csv: numbers as such, and copies, why and rule."""
        path = self.folder / "memorisation.csv"
        table = read_columns(path, ["copies", "why", "rule", "n_synthetic", "n_train"])
        if len(table) != 1:
            raise InputError(f"{path}: {len(table)} rows; expected one. Measure it again.")
        row = {str(key): value for key, value in table.iloc[0].items()}
        words = {"copies": row["copies"] == "True", "why": row["why"], "rule": row["rule"]}
        numbers = {key: _number(text) for key, text in row.items() if key not in words}
        return {**numbers, **words}

    def closeness(self) -> pd.DataFrame:
        """Read closeness.parquet, a row per synthetic image.

        Of each of `SPACES` it has ``…_ratio`` and ``…_copy`` and, where there are validation
        images, ``…_validation_ratio``.
        """
        path = self.folder / "closeness.parquet"
        needed = [f"{space}_{name}" for space in SPACES for name in ("ratio", "copy")]
        return _checked(read_table(path), ["synthetic", *needed], path)


def read_gan_runs(paths: Iterable[Path]) -> list[GanRun]:
    """Return the generators whose options.json are given, base generators first.

    Raises
    ------
    InputError
        For a file that lies in no folder of a generator, or none at all.
    """
    runs = []
    for path in paths:
        folder = Path(path).absolute().parent
        place = folder.as_posix()
        of_fold, of_base = _OF_FOLD.search(place), _OF_BASE.search(place)
        options = read_json(path)
        if not isinstance(options, dict) or not (of_fold or of_base):
            raise InputError(
                f"{path}: not the options.json of a generator; give those under "
                "gans/{gan}/base or gans/{gan}/{split}/seed-{seed}/fold-{fold}."
            )
        if of_fold:
            gan, split, seed, fold = of_fold.groups()
            runs.append(GanRun(folder, gan, split, int(seed), int(fold), options))
        elif of_base:
            runs.append(GanRun(folder, of_base[1], "", None, None, options))
    if not runs:
        raise InputError("--gans: no generator is given; name the options.json of one at least.")
    splits = list(dict.fromkeys(run.split for run in runs))
    return sorted(runs, key=lambda run: (run.split != "", splits.index(run.split)))


def by_generator(runs: Sequence[GanRun]) -> dict[Key, list[GanRun]]:
    """Return the runs of each generator and split, in the order in which these first come."""
    found: dict[Key, list[GanRun]] = {}
    for run in runs:
        found.setdefault(run.key, []).append(run)
    return found


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file as text, for classes may be called ``NA``, and check its columns.

    Raises
    ------
    InputError
        Where the file is missing, torn, or has not these columns.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that makes it.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a CSV table ({error}). Delete it, make it again.") from None
    return _checked(table, columns, path)


def _checked(table: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {missing[0]!r}. Delete it and run the stage that makes it again."
        )
    return table


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
