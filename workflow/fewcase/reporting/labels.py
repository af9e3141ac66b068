"""How many recordings of each label there are: by set and site, and per fold around sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fewcase.reporting.display import LEAKY_NOTE, Cell, DisplayTable, Row
from fewcase.reporting.text import count, number, plain
from fewcase.splits.folds import inner_rows, read_facts, read_split, training_rows, validation_rows
from fewcase.splits.sampling import read_samples
from fewcase.study.errors import InputError

SETS = {
    "": "cross-validation",
    "temporal": "temporal test",
    "external": "external test",
    "excluded": "left out: see the certificate",
}
CAPTION = (
    "Left: recordings of each set and hospital; right: the training part of each fold before and "
    "after negatives are left out."
)
READING = (
    "How to read: each row counts the recordings of one part of the study; the fewer positives a "
    "part has, the less the numbers found on it can tell."
)
BEFORE, AFTER = "training part", "training part, under-sampled"


def count_labels(splits: Sequence[Path], samples: Sequence[Path]) -> pd.DataFrame:
    """Count labels in the sets of a study, and in every fold before and after under-sampling.

    Parameters
    ----------
    splits
        Split files, one per seed.
    samples
        The under-sampled training rows made from each, in the same order.

    Returns
    -------
    pandas.DataFrame
        Columns part, site (empty for all), seed, fold, bag (empty where they do not apply),
        recordings, patients, positive, negative, leaky. The sets are those of the first seed:
        seeds differ in folds alone.

    Raises
    ------
    InputError
        Where the numbers of files differ, or a sample does not belong to its split.
    """
    if len(splits) != len(samples) or not splits:
        raise InputError(
            f"labels: {len(splits)} split files and {len(samples)} sample files; give one sample "
            "file for each split, in the same order."
        )
    rows = list(_count_sets(read_split(splits[0])))
    for split_path, sample_path in zip(splits, samples, strict=True):
        rows += _count_folds(split_path, sample_path)
    leaky = any(read_facts(path).options.is_leaky for path in splits)
    return pd.DataFrame(rows).assign(leaky="yes" if leaky else "no")


def _counted(rows: pd.DataFrame, part: str, **where: object) -> dict[str, object]:
    positive = int((rows["label"] == 1).sum())
    facts = {"part": part, "site": "", "seed": "", "fold": "", "bag": ""} | where
    return facts | {
        "recordings": len(rows),
        "patients": rows["patient"].nunique(),
        "positive": positive,
        "negative": len(rows) - positive,
    }


def _count_sets(split: pd.DataFrame) -> Iterator[dict[str, object]]:
    for name, part in SETS.items():
        rows = split[split["test_set"] == name]
        if rows.empty:
            continue
        yield _counted(rows, part)
        for site, of_site in rows.groupby("site"):
            yield _counted(of_site, part, site=site)


def _count_folds(split_path: Path, sample_path: Path) -> Iterator[dict[str, object]]:
    split = read_split(split_path)
    seed = read_facts(split_path).seed
    samples = read_samples(sample_path, split)
    by_row = split.set_index("row")
    for fold in range(read_facts(split_path).options.folds):
        where = {"seed": seed, "fold": fold}
        yield _counted(training_rows(split, fold), BEFORE, **where)
        for bag, drawn in _of_fold(samples, fold).groupby("bag"):
            yield _counted(by_row.loc[drawn["row"]], AFTER, **where, bag=bag)
        yield _counted(inner_rows(split, fold), "early stopping", **where)
        yield _counted(validation_rows(split, fold), "validation", **where)


def _of_fold(samples: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the samples of cross-validation itself, those that choose winners left out."""
    return samples[(samples["fold"] == fold) & (samples["inner"] == 0)]


def read_labels(path: Path) -> pd.DataFrame:
    """Read back the CSV file of `count_labels`."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    numbers = ["recordings", "patients", "positive", "negative"]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    return table


def _folds_shown(table: pd.DataFrame) -> str:
    """Return which folds the printed table has, and what the CSV file has beyond them."""
    seeds, bags = ([v for v in table[key].unique() if v != ""] for key in ("seed", "bag"))
    counts = [(len(seeds), "seeds"), (len(bags), "bags")]
    more = " and ".join(f"all {number} {name}" for number, name in counts if number > 1)
    bag = ", first bag" if len(bags) > 1 else ""
    shown = f"Folds are those of seed {seeds[0]}{bag}"
    return f"{shown}; the CSV file has {more}." if more else f"{shown}, the only one."


def lay_out_labels(title: str, table: pd.DataFrame) -> DisplayTable:
    """Lay out counts (see `count_labels`): all sets, then the folds of the first seed."""
    seeds = [seed for seed in dict.fromkeys(table["seed"]) if seed != ""]
    shown = table[(table["seed"] == "") | (table["seed"] == seeds[0])]
    shown = shown[shown["bag"].isin(("", 0, "0"))]
    leaky = "yes" in set(table["leaky"])
    rows, last = [], None
    for row in shown.to_dict("records"):
        of_set = row["seed"] == ""
        where = (row["site"] or "all") if of_set else f"fold {row['fold']}"
        ratio = row["negative"] / row["positive"] if row["positive"] else float("nan")
        cells = [
            plain(row["part"]),
            plain(where),
            *(count(row[key]) for key in ("recordings", "patients", "positive", "negative")),
            number(ratio, 2),
        ]
        group = row["part"] if of_set else where
        rows.append(Row(tuple(map(Cell, cells)), leaky, last is not None and group != last))
        last = group
    columns = (
        "Part",
        "Site or fold",
        "Recordings",
        "Patients",
        "Positive",
        "Negative",
        "Negatives per positive",
    )
    notes = [
        _folds_shown(table),
        "Only training parts are under-sampled: early stopping, validation and test keep the "
        "labels as they come.",
    ]
    notes += [LEAKY_NOTE] if leaky else []
    return DisplayTable(plain(title), columns, tuple(rows), READING, tuple(notes), 2, leaky)
