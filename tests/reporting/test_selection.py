"""Flat beside nested: which arm an honest choice takes, what it is worth, and what picking adds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from fewcase.reporting.display import to_latex, to_markdown
from fewcase.reporting.evidence import Evidence, Runs
from fewcase.reporting.experiment_plan import Arm, Experiment
from fewcase.reporting.experiments import tabulate
from fewcase.reporting.selection import (
    lay_out_selection,
    pick,
    tabulate_selection,
)
from scored_arms import Arms, read_scored

RUNS = [(seed, fold) for seed in range(2) for fold in range(3)]


def arm_of(name: str, split: str = "s", leaky: bool = False, **factors: str) -> Arm:
    return Arm(name, split, factors or {"model": name}, leaky)


def compared(
    *arms: Arm,
    validation: dict[str, list[float]],
    inner: dict[str, list[float]],
    test: dict[str, float] | None = None,
    **options: Any,
) -> tuple[Experiment, pd.DataFrame, Evidence]:
    """Return an experiment with given AUCs of each run, as if it had been tabulated."""
    names = list(dict.fromkeys(factor for arm in arms for factor in arm.factors))
    plan = Experiment(
        "x", "Models", "grid", {name: [] for name in names}, arms, False, None, selection=True
    )
    plan = dataclasses.replace(plan, **options)
    runs = {
        arm.key: Runs(
            {r: v for r, v in zip(RUNS, validation[arm.arm], strict=True) if v is not None},
            dict(zip(RUNS, inner.get(arm.arm, []), strict=False)),
            1 if arm.arm in inner else 0,
            0.5,
        )
        for arm in arms
    }
    table = pd.DataFrame(
        [
            {
                **{name: arm.level(name) for name in names},
                "arm": arm.arm,
                "split": arm.split,
                "leaky": "yes" if arm.leaky else "no",
                "cv_mean": np.nanmean(np.array(validation[arm.arm], float)),
                "test_auc": (test or {}).get(arm.arm, np.nan),
                "test_low": 0.5,
                "test_high": 0.9,
                "test_method": "DeLong, logit",
            }
            for arm in arms
        ]
    )
    return plan, table, Evidence(runs)


THREE = {
    "a": [0.70, 0.72, 0.74, 0.70, 0.72, 0.74],
    "b": [0.80, 0.60, 0.80, 0.60, 0.80, 0.80],
    "c": [0.50, 0.52, 0.54, 0.50, 0.52, 0.54],
}
CHOICES = {
    "a": [0.9, 0.9, 0.1, 0.9, 0.1, 0.1],
    "b": [0.1, 0.1, 0.9, 0.1, 0.9, 0.1],
    "c": [0.2, 0.2, 0.2, 0.2, 0.2, 0.9],
}


def test_nested_is_the_validation_of_the_arm_that_was_best_on_the_inner_part() -> None:
    given = compared(*map(arm_of, "abc"), validation=THREE, inner=CHOICES)
    found = tabulate_selection(*given)
    assert found[["group", "picked_on", "winner", "arms"]].values.tolist() == [
        ["", "validation", "b", 3]
    ]
    taken = np.array([0.70, 0.72, 0.80, 0.70, 0.80, 0.54])
    row = found.iloc[0]
    assert row["flat"] == pytest.approx(np.mean(THREE["b"]))
    assert row["nested"] == pytest.approx(taken.mean())
    assert row["gap"] == pytest.approx(np.mean(THREE["b"]) - taken.mean())
    half = scipy.stats.t.ppf(0.975, 5) * np.sqrt(taken.var(ddof=1) * (1 / 6 + 0.5))
    assert row["nested_low"] == pytest.approx(taken.mean() - half)
    apart = np.array(THREE["b"]) - taken
    half = scipy.stats.t.ppf(0.975, 5) * np.sqrt(apart.var(ddof=1) * (1 / 6 + 0.5))
    assert row["gap_high"] == pytest.approx(apart.mean() + half)
    assert json.loads(row["chosen"]) == {"a": 3, "b": 2, "c": 1}
    assert row["inner_parts"] == 1


@pytest.mark.parametrize(
    ("values", "preferred", "expected"),
    [
        ([0.5, 0.7, 0.7], 2, 2),
        ([0.5, 0.7, 0.7], 0, 1),
        ([np.nan, 0.1, np.nan], 0, 1),
        ([np.nan, np.nan], 1, None),
        ([0.7, 0.7 - 1e-15], 1, 1),
    ],
)
def test_ties_go_to_the_reference_and_then_to_the_first(
    values: list[float], preferred: int, expected: int | None
) -> None:
    assert pick(values, preferred) == expected


def test_a_run_without_any_inner_auc_takes_the_reference_arm() -> None:
    nan = float("nan")
    inner = {"a": [0.6, nan, 0.7, 0.6, 0.6, 0.6], "b": [0.5, nan, 0.7, 0.5, 0.5, 0.5]}
    given = compared(*map(arm_of, "ab"), validation=THREE, inner=inner, reference={"s": "b"})
    found = tabulate_selection(*given).iloc[0]
    assert json.loads(found["chosen"]) == {"a": 4, "b": 2}
    assert found["nested"] == pytest.approx(np.mean([0.70, 0.60, 0.80, 0.70, 0.72, 0.74]))


def test_an_arm_that_lacks_a_run_cannot_be_picked_for_it() -> None:
    own = [0.70, 0.80, 0.70, 0.80, 0.80]
    validation = THREE | {"b": [None, *own]}
    inner = {"a": [0.1] * 6, "b": [0.9] * 6}
    given = compared(*map(arm_of, "ab"), validation=validation, inner=inner)
    found = tabulate_selection(*given)
    # Where both have a run, the winner is what was picked; flat and nested are of other runs.
    assert found["winner"].iloc[0] == "b"
    assert found["gap"].iloc[0] == 0
    assert found["flat"].iloc[0] - found["nested"].iloc[0] > 0
    assert found["gap_method"].iloc[0].endswith("undefined in 1 of 6 runs")
    notes = lay_out_selection(given[0], found)[0].notes
    assert any("the gap is over the runs that have both values" in note for note in notes)
    assert json.loads(found["chosen"].iloc[0]) == {"a": 1, "b": 5}
    assert found["nested"].iloc[0] == pytest.approx(np.mean([0.70, *own]))


def test_rivals_are_those_of_the_bold_marks_and_of_the_whole_table() -> None:
    arms = [
        arm_of(f"{model}{augment}", model=model, augment=augment)
        for model in ("r", "v")
        for augment in ("none", "cutmix")
    ]
    values = {arm.arm: [0.5 + 0.1 * i] * 6 for i, arm in enumerate(arms)}
    given = compared(*arms, validation=values, inner=values)
    found = tabulate_selection(*given)
    assert found[["group", "winner", "arms"]].values.tolist() == [
        ["r", "rcutmix", 2],
        ["v", "vcutmix", 2],
        ["", "vcutmix", 4],
    ]
    table = lay_out_selection(given[0], found)[0]
    assert [row.cells[0].text for row in table.rows] == ["r", "v", "all arms"]
    assert [row.cells[2].text for row in table.rows] == ["CutMix", "CutMix", "v · CutMix"]
    assert [row.starts_group for row in table.rows] == [False, True, True]


def test_arms_of_different_splits_are_no_rivals_and_leaky_ones_are_marked() -> None:
    arms = [
        arm_of(name, split=f"apgar-{scheme}-none", leaky=scheme == "image")
        for scheme in ("patient", "image")
        for name in "ab"
    ]
    given = compared(*arms, validation=THREE, inner=CHOICES)
    found = tabulate_selection(*given)
    assert found["split"].tolist() == ["apgar-patient-none", "apgar-image-none"]
    table = lay_out_selection(given[0], found)[0]
    assert [row.leaky for row in table.rows] == [False, True]
    assert "Split" in table.columns
    assert table.rows[1].cells[0].text == "all arms (leaky)"
    assert table.notes[-1].startswith("Leaky")
    assert r"\textcolor{red}{all arms (leaky)}" in to_latex(table, "x")


def test_without_a_winner_to_report_there_is_no_table() -> None:
    given = compared(*map(arm_of, "ab"), validation=THREE, inner=CHOICES)
    for options in ({"selection": False}, {"layout": "sites"}, {"layout": "audit"}):
        plan = dataclasses.replace(given[0], **options)
        found = tabulate_selection(plan, *given[1:])
        assert found.empty
        assert lay_out_selection(plan, found) == []
    one = compared(arm_of("a"), validation=THREE, inner=CHOICES)
    assert tabulate_selection(*one).empty


def test_without_inner_parts_the_flat_value_stands_beside_a_dash_and_a_reason() -> None:
    given = compared(*map(arm_of, "ab"), validation=THREE, inner={})
    found = tabulate_selection(*given)
    table = lay_out_selection(given[0], found)[0]
    assert [cell.text for cell in table.rows[0].cells[3:]] == ["0.733", "–", "–", "–"]
    assert "No nested value: no inner part with both classes was predicted." in table.notes
    without_runs = tabulate_selection(*given[:2], Evidence())
    assert "No nested value: no runs were given." in (
        lay_out_selection(given[0], without_runs)[0].notes
    )


def test_picking_on_test_stands_beside_the_arm_that_cross_validation_picks(
    tmp_path: Path,
) -> None:
    made = Arms(tmp_path)
    arms = [made.score("a", 1.0, inner=0.6), made.score("b", 1.1, inner=0.7)]
    plan = Experiment("x", "X", "grid", {"model": []}, tuple(arms), False, None, selection=True)
    scores, evidence = read_scored(made)
    table = tabulate(plan, scores, evidence)
    # The test column would pick the other arm than cross-validation does.
    best = int(table["test_auc"].argmax())
    table["cv_mean"] = [0.9, 0.8] if best == 1 else [0.8, 0.9]
    row = tabulate_selection(plan, table, evidence).iloc[1]
    assert row["picked_on"] == "test"
    assert row["winner"] == arms[best].arm
    assert row["flat"] == table["test_auc"].iloc[best]
    assert row["nested"] == table["test_auc"].iloc[1 - best]
    assert row["gap"] == pytest.approx(row["flat"] - row["nested"])
    assert row["gap"] == pytest.approx(abs(table["test_difference"].iloc[1]))
    expected = sorted(abs(table[f"test_difference{end}"].iloc[1]) for end in ("_low", "_high"))
    assert sorted([abs(row["gap_low"]), abs(row["gap_high"])]) == pytest.approx(expected)


def test_where_test_and_cross_validation_agree_there_is_no_gap() -> None:
    test = {"a": 0.6, "b": 0.8, "c": 0.5}
    given = compared(*map(arm_of, "abc"), validation=THREE, inner=CHOICES, test=test)
    table = lay_out_selection(given[0], tabulate_selection(*given))[0]
    assert [cell.text for cell in table.rows[1].cells] == [
        *("all arms", "test", "b", "0.800", "0.800 [0.500–0.900]", "same arm", "b")
    ]


def test_among_arms_of_equal_worth_picking_the_winner_adds_to_its_number() -> None:
    random = np.random.default_rng(0)
    gaps = []
    for _ in range(40):
        names = [f"m{i}" for i in range(12)]
        validation = {name: random.normal(0.7, 0.05, 6).tolist() for name in names}
        inner = {name: random.normal(0.7, 0.05, 6).tolist() for name in names}
        found = tabulate_selection(
            *compared(*map(arm_of, names), validation=validation, inner=inner)
        )
        gaps.append(found["gap"].iloc[0])
    # The largest of 12 means of 6 lies 1.63 standard errors above the truth.
    assert np.mean(gaps) == pytest.approx(1.63 * 0.05 / np.sqrt(6), abs=0.008)


def test_the_table_begins_with_how_to_read_it_and_counts_the_others_together() -> None:
    names = [f"m{i}" for i in range(6)]
    inner = {name: [0.9 if i == k else 0.1 for k in range(6)] for i, name in enumerate(names)}
    given = compared(*map(arm_of, names), validation=dict.fromkeys(names, THREE["a"]), inner=inner)
    table = lay_out_selection(given[0], tabulate_selection(*given))[0]
    assert table.reading.startswith("How to read: ")
    assert table.rows[0].cells[-1].text == "m0 (1), m1 (1), m2 (1), others (3)"
    assert "what picking the winner adds" in to_markdown(table).splitlines()[0]
    assert "where training stops early, the same part decided when" in table.notes[0]
    assert not any("both values" in note for note in table.notes)
