"""A paper's numbers and settings, read from one YAML file: what a reproduction is held against."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fewcase.reporting.text import factor_value
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest, read_section, setting
from fewcase.study.words import MEASURES
from fewcase.study.yaml_file import check_keys_stand_once

PUBLISHED = ("cv_mean", "cv_sd", "test")
UNKNOWN = "unknown"
RATIO = "negatives per positive"
CONCERNS = ("counts", "sampling", "performance", "parameters")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of the paper: a key path of the study in effect, and the paper's value."""

    key: str = setting(help="Key path, such as signal.minutes or recipe.neg_per_pos.")
    value: Any = setting(help="The paper's value; unknown where the paper is silent.")
    where: str = setting("", help="Where the paper says so.")
    concerns: tuple[str, ...] = setting(
        CONCERNS, help="Which numbers it bears on: counts, sampling, performance, parameters."
    )

    @property
    def is_known(self) -> bool:
        """Whether the paper says it."""
        return not (isinstance(self.value, str) and self.value == UNKNOWN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmNumbers:
    """Numbers of an experiment's arms: one row per arm, factors first."""

    id: str = setting(help="A word that no other entry has.")
    where: str = setting(help="Table or figure of the paper.")
    experiment: str = setting(help="The study's experiment that has these arms.")
    factors: tuple[str, ...] = setting(help="Factors that tell the arms apart, in row order.")
    columns: tuple[str, ...] = setting(help="Behind them some of cv_mean, cv_sd and test.")
    rows: tuple[tuple[Any, ...], ...] = setting(help="Levels of the factors, then the numbers.")
    measure: str = setting("auc", choices=MEASURES, help="What the numbers are.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """What the paper says, without a number, of the difference between two levels."""

    id: str = setting(help="A word that no other entry has.")
    where: str = setting(help="Table, figure or section of the paper.")
    text: str = setting(help="The statement in our words.")
    experiment: str = setting(help="The study's experiment that has both levels.")
    level: dict[str, Any] = setting(help="Factors of the arm that the statement is about.")
    against: dict[str, Any] = setting({}, help="Factors of the arm it is held against.")
    of: str = setting(
        "cv",
        choices=("cv", "test minus cv"),
        help="cv: level minus against over the runs. test minus cv: of one and the same arm.",
    )
    says: str = setting(choices=("loss", "no loss"), help="What the paper found.")
    margin: float = setting(0.02, minimum=0, help="A loss no larger than this is none.")
    measure: str = setting("auc", choices=MEASURES, help="Of what.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wins:
    """How often one level was the best of its factor, counted over the levels of another."""

    id: str = setting(help="A word that no other entry has.")
    where: str = setting(help="Table, figure or section of the paper.")
    text: str = setting(help="The statement in our words.")
    experiment: str = setting(help="The study's experiment that has these levels.")
    factor: str = setting(help="The factor whose levels compete, such as augment.")
    level: Any = setting(help="The level that wins.")
    over: str = setting(help="The factor over whose levels wins are counted, such as model.")
    of: str = setting(choices=("cv", "test"), help="By which of its numbers.")
    value: int = setting(minimum=0, help="How often, in the paper.")
    measure: str = setting("auc", choices=MEASURES, help="By what.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountOf:
    """A number of recordings: of the cohort's flow, or of the table of label counts."""

    id: str = setting(help="A word that no other entry has.")
    where: str = setting(help="Table or section of the paper.")
    text: str = setting(help="What is counted, in our words.")
    value: float = setting(minimum=0, help="The paper's number.")
    step: str | None = setting(None, help="Step of flow.csv.")
    parts: tuple[str, ...] = setting((), help="Parts of labels.csv, which are added up.")
    site: str = setting("all", help="Hospital, as the study names it.")
    concern: str = setting(
        "counts", choices=("counts", "sampling"), help="Which settings bear on it."
    )
    label: str = setting(
        "all",
        help="all, positive, negative, the name of a class, or negatives per positive, which is a "
        "setting and no count.",
    )
    experiment: str | None = setting(
        None,
        help="The study's experiment whose data are counted; null: that of any study of the paper.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterCount:
    """The number of parameters of a model."""

    id: str = setting(help="A word that no other entry has.")
    where: str = setting(help="Table of the paper.")
    model: str = setting(help="The model, as the study names it.")
    value: float = setting(minimum=0, help="The paper's number.")
    margin: float = setting(1e6, minimum=0, help="How far ours may be off, by rounding.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
    """Everything that a paper's YAML file says."""

    title: str = setting(help="Title of the paper.")
    authors: str = setting(help="Its authors.")
    journal: str = setting("", help="Where it was published, with volume and pages.")
    year: int | None = setting(None, help="When; null where it is not known.")
    doi: str = setting("", help="Its DOI.")
    settings: tuple[Setting, ...] = setting((), help="How the paper did it.")
    counts: tuple[CountOf, ...] = setting((), help="Numbers of recordings.")
    parameters: tuple[ParameterCount, ...] = setting((), help="Sizes of models.")
    arms: tuple[ArmNumbers, ...] = setting((), help="Tables of results.")
    statements: tuple[Statement, ...] = setting((), help="Differences told without a number.")
    wins: tuple[Wins, ...] = setting((), help="Which level was best how often.")

    @property
    def citation(self) -> str:
        """Authors, title, journal, year and DOI on one line."""
        doi = f", doi {self.doi}" if self.doi else ""
        published = ", ".join(str(part) for part in (self.journal, self.year) if part)
        return f"{self.authors}: {self.title}. {published}{doi}"


def read_paper(path: Path) -> Paper:
    """Read a paper's numbers.

    Raises
    ------
    InputError
        Naming the file, the key path and the value, where a key is unknown, missing or of the
        wrong type, an id stands twice, or a row has too many or too few cells.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: no readable file ({error.strerror}); mend the study's key `paper`."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({error}).") from None
    check_keys_stand_once(Path(path))
    paper = read_section(Paper, values, str(path))
    _check_ids(paper, path)
    for number, given in enumerate(paper.settings):
        where = f"{path}.settings[{number}].concerns"
        for word in given.concerns:
            if word not in CONCERNS:
                raise InputError(f"{where}: {word!r} is none of them.{nearest(word, CONCERNS)}")
    for table in paper.arms:
        _check_rows(table, f"{path}.arms.{table.id}")
    for count in paper.counts:
        if (count.step is None) == (not count.parts):
            raise InputError(
                f"{path}.counts.{count.id}: give either the step of flow.csv or the parts of "
                "labels.csv that it counts."
            )
    for statement in paper.statements:
        if (statement.of == "cv") != bool(statement.against):
            raise InputError(
                f"{path}.statements.{statement.id}.against: a statement of cv needs the arm it is "
                "held against; one of test minus cv has none."
            )
    return paper


def _check_ids(paper: Paper, path: Path) -> None:
    ids = [
        *(entry.id for entry in paper.counts),
        *(entry.id for entry in paper.parameters),
        *(entry.id for entry in paper.arms),
        *(entry.id for entry in paper.statements),
        *(entry.id for entry in paper.wins),
    ]
    for number, name in enumerate(ids):
        if name in ids[:number]:
            raise InputError(f"{path}: id {name!r} stands twice; give each entry its own.")


def _check_rows(entry: ArmNumbers, where: str) -> None:
    for column in entry.columns:
        if column not in PUBLISHED:
            raise InputError(
                f"{where}.columns: {column!r} is none of {list(PUBLISHED)}."
                f"{nearest(column, PUBLISHED)}"
            )
    width = len(entry.factors) + len(entry.columns)
    for number, row in enumerate(entry.rows):
        if len(row) != width:
            raise InputError(
                f"{where}.rows[{number}]: {len(row)} cells, expected {width}: "
                f"{', '.join([*entry.factors, *entry.columns])}."
            )
        for name, cell in zip(entry.columns, row[len(entry.factors) :], strict=True):
            if isinstance(cell, bool) or not isinstance(cell, (int, float, type(None))):
                raise InputError(
                    f"{where}.rows[{number}]: {name} is {cell!r}; expected a number, or null where "
                    "the paper has none."
                )


def published_table(paper: Paper, experiment: str, measure: str = "auc") -> pd.DataFrame:
    """Return what a paper has of an experiment's arms: factors as text, then `PUBLISHED`.

    A column is empty text where the paper has no such number; no row where it has nothing of the
    experiment.
    """
    rows = []
    for entry in paper.arms:
        if (entry.experiment, entry.measure) != (experiment, measure):
            continue
        for row in entry.rows:
            cells = dict(zip((*entry.factors, *entry.columns), row, strict=True))
            levels = {name: factor_value(cells[name]) for name in entry.factors}
            numbers = {name: cells.get(name) for name in PUBLISHED}
            rows.append(levels | {k: "" if v is None else v for k, v in numbers.items()})
    return pd.DataFrame(rows)
