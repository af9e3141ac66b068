"""How many examples of each label there are: by set and site, and per fold around sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.reporting.display import Cell, DisplayTable, Row, leaky_note
from fewcase.reporting.text import count, number, plain
from fewcase.splits.folds import inner_rows, read_facts, read_split, training_rows, validation_rows
from fewcase.splits.sampling import is_drawn, read_samples
from fewcase.splits.steps import YES_OR_NO, label_words
from fewcase.study.errors import InputError
from fewcase.study.words import NOUNS

SETS = {
    "": "cross-validation",
    "temporal": "temporal test",
    "external": "external test",
    "internal": "internal test",
    "excluded": "left out: see the certificate",
}
GIVEN = "training and validation, as given"
BEFORE, AFTER = "training part", "training part, under-sampled"
_WHERE = ("part", "site", "seed", "fold", "bag")


def caption_of(unit: str, named: bool) -> str:
    """Return how to read the figure of label counts, of classes that are named or of two."""
    nouns = NOUNS[unit]
    if named:
        return (
            f"Left: {nouns.examples} of each class in each set; right: those of the training part "
            "of one fold."
        )
    return (
        f"Left: {nouns.records} of each set and {nouns.site}; right: the training part of each "
        "fold before and after negatives are left out."
    )


def count_labels(
    splits: Sequence[Path],
    samples: Sequence[Path],
    *,
    unit: str = "window",
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Count labels in the sets of a study, and in every fold before and after under-sampling.

    Parameters
    ----------
    splits
        Split files, one per seed.
    samples
        The training rows drawn from each, in the same order.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    classes
        Names of the classes in the order of their labels; None for positive and negative.

    Returns
    -------
    pandas.DataFrame
        Columns part, site (empty for all), seed, fold, bag (empty where they do not apply),
        recordings or images, patients, tiles (where images are cut), one per label with its number
        of examples, and leaky. The sets are those of the first seed: seeds differ in folds alone.
        Training parts of images that are not under-sampled have no rows of what was drawn.

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
    counter = _Counter(unit, classes)
    rows = list(counter.sets(read_split(splits[0]), read_facts(splits[0]).options.given))
    for split_path, sample_path in zip(splits, samples, strict=True):
        rows += counter.folds(split_path, sample_path)
    leaky = any(read_facts(path).options.is_leaky for path in splits)
    return pd.DataFrame(rows).assign(leaky="yes" if leaky else "no")


class _Counter:
    """Counts rows of a split by label, under the names of a cohort's things."""

    def __init__(self, unit: str, classes: Sequence[str] | None) -> None:
        self.unit = unit
        labels = {label: name for label, name in label_words(classes).items() if label >= 0}
        taken = {*_WHERE, *_counted(unit), "leaky"}
        self.labels = {k: f"class {name}" if name in taken else name for k, name in labels.items()}

    def __call__(self, rows: pd.DataFrame, part: str, **where: object) -> dict[str, object]:
        facts: dict[str, object] = {"part": part, "site": "", "seed": "", "fold": "", "bag": ""}
        facts |= where
        whole = rows["parent"].nunique() if self.unit == "tile" else len(rows)
        numbers = (whole, rows["patient"].nunique(), len(rows))
        facts |= dict(zip(_counted(self.unit), numbers, strict=False))
        by_label = {name: int((rows["label"] == k).sum()) for k, name in self.labels.items()}
        if list(by_label) == ["positive", "negative"]:
            by_label["negative"] = len(rows) - by_label["positive"]
        return facts | by_label

    def sets(self, split: pd.DataFrame, given: bool) -> Iterator[dict[str, object]]:
        names = {**SETS, "": GIVEN} if given else SETS
        for name, part in names.items():
            rows = split[split["test_set"] == name]
            if rows.empty:
                continue
            yield self(rows, part)
            for site, of_site in rows.groupby("site"):
                yield self(of_site, part, site=site)

    def folds(self, split_path: Path, sample_path: Path) -> Iterator[dict[str, object]]:
        split = read_split(split_path)
        facts = read_facts(split_path)
        samples = read_samples(sample_path, split)
        drawn_from = self.unit == "window" or is_drawn(sample_path)
        by_row = split.set_index("row")
        for fold in range(facts.options.folds):
            where = {"seed": facts.seed, "fold": fold}
            yield self(training_rows(split, fold), BEFORE, **where)
            if drawn_from:
                for bag, drawn in _of_fold(samples, fold).groupby("bag"):
                    yield self(by_row.loc[drawn["row"]], AFTER, **where, bag=bag)
            yield self(inner_rows(split, fold), "early stopping", **where)
            yield self(validation_rows(split, fold), "validation", **where)


def _counted(unit: str) -> list[str]:
    """Return the columns that count records, patients and, of tiles, examples."""
    nouns = NOUNS[unit]
    return [nouns.records, "patients", *([nouns.examples] if unit == "tile" else [])]


def _of_fold(samples: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the samples of cross-validation itself, those that choose winners left out."""
    return samples[(samples["fold"] == fold) & (samples["inner"] == 0)]


def label_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of counts (see `count_labels`) that are labels."""
    counted = {name for unit in NOUNS for name in _counted(unit)}
    return [name for name in map(str, table) if name not in {*_WHERE, *counted, "leaky"}]


def read_labels(path: Path) -> pd.DataFrame:
    """Read back the CSV file of `count_labels`.

    A column `recordings` counts examples whatever these are.
    """
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    numbers = [name for name in map(str, table) if name not in {*_WHERE, "leaky"}]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    if "recordings" not in table:
        table["recordings"] = table["tiles" if "tiles" in table else "images"]
    return table


# The printed table -------------------------------------------------------------------------------


def lay_out_labels(
    title: str, table: pd.DataFrame, *, unit: str = "window", oversampled: bool = False
) -> DisplayTable:
    """Lay out counts (see `count_labels`): all sets, then the folds of the first seed.

    `oversampled` is whether training draws every class equally often.
    """
    seeds = [seed for seed in dict.fromkeys(table["seed"]) if seed != ""]
    shown = table[(table["seed"] == "") | (table["seed"] == seeds[0])]
    shown = shown[shown["bag"].isin(("", 0, "0"))]
    leaky = "yes" in set(table["leaky"])
    labels, counted = label_columns(table), _counted(unit)
    of_two = labels == ["positive", "negative"]
    rows, last = [], None
    for row in shown.to_dict("records"):
        of_set = row["seed"] == ""
        where = (row["site"] or "all") if of_set else f"fold {row['fold']}"
        cells = [
            plain(row["part"]),
            plain(where),
            *(count(row[key]) for key in (*counted, *labels)),
            number(_imbalance(row, labels), 2),
        ]
        group = row["part"] if of_set else where
        rows.append(Row(tuple(map(Cell, cells)), leaky, last is not None and group != last))
        last = group
    columns = (
        *("Part", "Site or fold"),
        *(name.capitalize() for name in counted),
        *(name.capitalize() if name in YES_OR_NO.values() else plain(name) for name in labels),
        "Negatives per positive" if of_two else "Largest to smallest class",
    )
    notes = [_folds_shown(table), *_how_drawn(table, unit, oversampled)]
    notes += [leaky_note(unit)] if leaky else []
    reading = _reading(unit, of_two)
    return DisplayTable(plain(title), columns, tuple(rows), reading, tuple(notes), 2, leaky)


def _imbalance(row: Mapping[Any, Any], labels: Sequence[str]) -> float:
    """Return negatives per positive, or how much larger the largest class is than the smallest."""
    counts = [row[name] for name in labels]
    if labels == ["positive", "negative"]:
        return counts[1] / counts[0] if counts[0] else float("nan")
    return max(counts) / min(counts) if min(counts) else float("nan")


def _folds_shown(table: pd.DataFrame) -> str:
    """Return which folds the printed table has, and what the CSV file has beyond them."""
    seeds, bags = ([v for v in table[key].unique() if v != ""] for key in ("seed", "bag"))
    counts = [(len(seeds), "seeds"), (len(bags), "bags")]
    more = " and ".join(f"all {number} {name}" for number, name in counts if number > 1)
    bag = ", first bag" if len(bags) > 1 else ""
    shown = f"Folds are those of seed {seeds[0]}{bag}"
    return f"{shown}; the CSV file has {more}." if more else f"{shown}, the only one."


def _how_drawn(table: pd.DataFrame, unit: str, oversampled: bool) -> list[str]:
    """Return how training rows are drawn from the training part."""
    if (table["part"] == AFTER).any():
        notes = [
            "Only training parts are under-sampled: early stopping, validation and test keep the "
            "labels as they come."
        ]
    else:
        notes = [f"Nothing is under-sampled: all {NOUNS[unit].examples} of a part are used."]
    if oversampled:
        notes.append(
            f"Training draws every class equally often, so that {NOUNS[unit].examples} of the "
            "smaller ones come again; early stopping, validation and test do not."
        )
    return notes


def _reading(unit: str, of_two: bool) -> str:
    if of_two:
        return (
            f"How to read: each row counts the {NOUNS[unit].records} of one part of the study; the "
            "fewer positives a part has, the less the numbers found on it can tell."
        )
    return (
        f"How to read: each row counts the {NOUNS[unit].examples} of one part of the study by "
        "class; the fewer a class has, the less the numbers found on it can tell."
    )
