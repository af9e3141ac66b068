"""Experiments as numbers: what arms are compared with, by which test, and what is missing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from fewcase.data.files import write_table
from fewcase.reporting.certificate_table import Standing
from fewcase.reporting.display import COPIES_NOTE, LEAKY_NOTE, RED_NOTES, UNKNOWN_NOTE
from fewcase.reporting.evidence import Evidence, Runs
from fewcase.reporting.experiment_plan import Arm, Experiment, read_experiment
from fewcase.reporting.experiment_tables import lay_out
from fewcase.reporting.experiments import Scores, tabulate
from fewcase.reporting.measure_tables import lay_out_measures, tabulate_measures
from fewcase.reporting.text import for_markdown
from fewcase.study.errors import InputError
from scored_arms import FOLDS, SEEDS, Arms, read_scored, write_certificate
from workspace import REPOSITORY


def plan_of(*arms: Arm, layout: str = "grid", **options: Any) -> Experiment:
    plan = Experiment("x", "Models", layout, {"model": []}, arms, False, None)
    return dataclasses.replace(plan, **options)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Arms, list[Arm]]:
    """Three arms, the middle one best, with two shortcuts; patients have two recordings."""
    made = Arms(tmp_path_factory.mktemp("study"), repeats=2)
    arms = [made.score(name, gain) for name, gain in [("a", 1.0), ("b", 1.6), ("c", 0.7)]]
    made.score("shortcut:prior", -0.5)
    made.score("shortcut:signal", 0.8)
    return made, arms


def validation_aucs(study: Arms, arm: str) -> np.ndarray:
    runs = pd.read_csv(study.files[arm]["runs"])
    return runs.loc[runs["set"] == "validation", "auc"].to_numpy()


def row_of(table: pd.DataFrame, arm: str) -> dict[Any, Any]:
    return table[table["arm"] == arm].to_dict("records")[0]


def test_runs_of_the_same_seed_and_fold_are_compared_by_the_corrected_resampled_t(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    table = tabulate(plan_of(*arms), *read_scored(made))
    apart = validation_aucs(made, "b") - validation_aucs(made, "a")
    runs = len(apart)
    error = np.sqrt(apart.var(ddof=1) * (1 / runs + 1 / (FOLDS - 1)))
    half = scipy.stats.t.ppf(0.975, runs - 1) * error
    found = row_of(table, "b")
    assert found["cv_difference"] == pytest.approx(apart.mean())
    assert found["cv_difference_low"] == pytest.approx(apart.mean() - half)
    assert found["cv_difference_high"] == pytest.approx(apart.mean() + half)
    p = 2 * scipy.stats.t.sf(abs(apart.mean()) / error, runs - 1)
    assert found["cv_difference_p"] == pytest.approx(p)


def test_test_scores_of_the_same_patients_are_compared_pairwise(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    table = tabulate(plan_of(*arms), *read_scored(made))
    units = {name: pd.read_parquet(made.files[name]["units"]) for name in "ab"}
    units = {name: part[part["set"] == "test"] for name, part in units.items()}
    positive = (units["a"]["label"] == 1).to_numpy()
    patients = units["a"]["patient"].to_numpy()
    # Every pair of a positive and a negative by itself, and sums of their errors by patient.
    wins = {}
    for name, part in units.items():
        score = part["score"].to_numpy()
        wins[name] = (score[positive][:, None] > score[~positive][None]).astype(float)
    apart = wins["b"] - wins["a"]
    influence = pd.Series(0.0, index=pd.unique(patients))
    sides = [(patients[positive], apart.mean(axis=1)), (patients[~positive], apart.mean(axis=0))]
    for names, values in sides:
        influence = influence.add(
            pd.Series((values - apart.mean()) / len(values)).groupby(names).sum(), fill_value=0
        )
    found = row_of(table, "b")
    assert found["test_difference"] == pytest.approx(apart.mean())
    width = found["test_difference_high"] - found["test_difference_low"]
    # What corrects for few patients is worth a few percent here.
    assert width == pytest.approx(2 * 1.96 * np.sqrt((influence**2).sum()), rel=0.05)
    assert found["test_difference_method"] == "Obuchowski, paired"


def test_p_values_are_adjusted_over_the_column(study: tuple[Arms, list[Arm]]) -> None:
    made, arms = study
    table = tabulate(plan_of(*arms), *read_scored(made))
    for side in ("cv", "test"):
        p = table[f"{side}_difference_p"]
        assert p.isna().tolist() == [True, False, False]
        expected = multipletests(p.dropna(), method="holm")[1]
        np.testing.assert_allclose(table[f"{side}_difference_holm"].dropna(), expected)


def test_the_reference_is_the_one_that_is_named_or_the_first_of_its_split(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    evidence = read_scored(made)
    assert tabulate(plan_of(*arms), *evidence)["reference"].tolist() == ["yes", "no", "no"]
    named = plan_of(*arms, reference={made.split: "c"})
    table = tabulate(named, *evidence)
    assert table["reference"].tolist() == ["no", "no", "yes"]
    assert row_of(table, "a")["cv_difference"] == pytest.approx(
        np.mean(validation_aucs(made, "a") - validation_aucs(made, "c"))
    )


def test_arms_are_compared_under_their_own_split_alone(
    study: tuple[Arms, list[Arm]], tmp_path: Path
) -> None:
    made, arms = study
    leaky = Arms(tmp_path, split="apgar-image-none", repeats=2, seed=5)
    others = [leaky.score("a", 2.0), leaky.score("b", 2.5)]
    leaky.score("shortcut:file", 0.1)
    table = tabulate(plan_of(*arms, *others), *read_scored(made, leaky))
    assert table["reference"].tolist() == ["yes", "no", "no", "yes", "no"]
    apart = np.mean(validation_aucs(leaky, "b") - validation_aucs(leaky, "a"))
    assert table["cv_difference"].iloc[4] == pytest.approx(apart)
    assert table["shortcut"].tolist() == ["signal"] * 3 + ["file"] * 2
    # One family of hypotheses: the whole table.
    p = table["cv_difference_p"].dropna()
    assert len(p) == 3
    np.testing.assert_allclose(
        table["cv_difference_holm"].dropna(), multipletests(p, method="holm")[1]
    )


def test_an_arm_beats_the_best_shortcut_only_where_the_interval_lies_above_nought(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    table = tabulate(plan_of(*arms), *read_scored(made))
    assert set(table["shortcut"]) == {"signal"}
    runs = pd.read_csv(made.files["shortcuts"]["runs"])
    of_shortcut = runs[(runs["arm"] == "shortcut:signal") & (runs["set"] == "validation")]["auc"]
    assert table["shortcut_auc"].iloc[0] == pytest.approx(of_shortcut.mean())
    for name in "abc":
        found = row_of(table, name)
        apart = validation_aucs(made, name) - of_shortcut.to_numpy()
        assert found["cv_over_shortcut"] == pytest.approx(apart.mean())
        assert found["beats_shortcut"] == ("yes" if found["cv_over_shortcut_low"] > 0 else "no")
    assert table["beats_shortcut"].tolist() == ["no", "yes", "no"]


def test_without_an_interval_nobody_knows_whether_a_shortcut_is_beaten(tmp_path: Path) -> None:
    made = Arms(tmp_path)
    arms = [made.score("a", 2.0), made.score("b", 1.0)]
    made.score("shortcut:signal", 0.0)
    scores, evidence = read_scored(made)
    one_fold = {
        key: dataclasses.replace(runs, test_to_train=float("nan"))
        for key, runs in evidence.runs.items()
    }
    table = tabulate(plan_of(*arms), scores, dataclasses.replace(evidence, runs=one_fold))
    assert table["beats_shortcut"].tolist() == ["", ""]
    assert table["cv_difference_method"].iloc[1] == "a seed has one fold only, no interval"
    assert np.isfinite(table["cv_difference"].iloc[1])
    assert lay_out(plan_of(*arms), table).rows[1].cells[3].text.endswith(", p –")


def test_without_runs_and_units_there_are_dashes_and_reasons(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    scores, _ = read_scored(made)
    table = tabulate(plan_of(*arms), scores)
    assert table[["cv_difference", "test_difference", "shortcut_auc"]].isna().all(axis=None)
    assert table["cv_difference_method"].iloc[1] == "undefined: no runs to compare were given"
    assert "Δ" not in " ".join(lay_out(plan_of(*arms), table).columns)


def test_an_arm_with_missing_runs_is_compared_over_those_it_has(tmp_path: Path) -> None:
    made = Arms(tmp_path)
    arms = [made.score("a", 1.0), made.score("b", 1.5)]
    path = made.files["b"]["runs"]
    runs = pd.read_csv(path)
    runs[(runs["seed"] != 0) | (runs["fold"] > 1)].to_csv(path, index=False)
    table = tabulate(plan_of(*arms), *read_scored(made))
    apart = validation_aucs(made, "b") - validation_aucs(made, "a")[2:]
    assert table["cv_difference"].iloc[1] == pytest.approx(apart.mean())
    assert "undefined in 2 of 15 runs" in table["cv_difference_method"].iloc[1]


def test_units_in_another_order_are_matched_by_name_and_other_units_refused(
    tmp_path: Path,
) -> None:
    made = Arms(tmp_path)
    arms = [made.score(name, gain) for name, gain in [("a", 1.0), ("b", 1.5), ("c", 1.2)]]
    before = tabulate(plan_of(*arms), *read_scored(made))
    units = pd.read_parquet(made.files["b"]["units"])
    write_table(made.files["b"]["units"], units.sample(frac=1, random_state=0))
    units = pd.read_parquet(made.files["c"]["units"])
    write_table(made.files["c"]["units"], units.iloc[:-1])
    table = tabulate(plan_of(*arms), *read_scored(made))
    assert table["test_difference"].iloc[1] == pytest.approx(before["test_difference"].iloc[1])
    assert np.isnan(table["test_difference"].iloc[2])
    assert table["test_difference_method"].iloc[2] == "undefined: not scored on the same units"
    assert "No test Δ: not scored on the same units." in lay_out(plan_of(*arms), table).notes


def test_a_test_set_of_one_class_and_scores_all_equal_are_no_error(tmp_path: Path) -> None:
    made = Arms(tmp_path)
    arms = [made.score("a", 1.0), made.score("b", 1.5)]
    for name in "ab":
        units = pd.read_parquet(made.files[name]["units"])
        units.loc[units["set"] == "test", "label"] = 0
        write_table(made.files[name]["units"], units)
    table = tabulate(plan_of(*arms), *read_scored(made))
    assert "one class only" in table["test_difference_method"].iloc[1]
    assert np.isnan(table["test_detectable"].iloc[1])
    for name in "ab":
        units = pd.read_parquet(made.files[name]["units"])
        units.loc[units["set"] == "test", "label"] = made.labels["test"]
        units["score"] = 0.5
        write_table(made.files[name]["units"], units)
        runs = pd.read_csv(made.files[name]["runs"]).assign(auc=0.5)
        runs.to_csv(made.files[name]["runs"], index=False)
    table = tabulate(plan_of(*arms), *read_scored(made))
    assert table[["cv_difference", "test_difference"]].iloc[1].tolist() == [0, 0]
    assert table["test_difference_p"].iloc[1] == 1
    lay_out(plan_of(*arms), table)


def test_the_power_of_the_test_set_is_that_of_the_differences_seen(
    study: tuple[Arms, list[Arm]],
) -> None:
    made, arms = study
    table = tabulate(plan_of(*arms), *read_scored(made))
    errors = (table["test_difference_high"] - table["test_difference_low"]) / (2 * 1.959964)
    expected = (scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)) * errors
    np.testing.assert_allclose(table["test_detectable"].dropna(), expected.dropna(), rtol=0.05)
    note = next(n for n in lay_out(plan_of(*arms), table).notes if n.startswith("This test set"))
    positives, negatives = made.labels["test"].sum(), (made.labels["test"] == 0).sum()
    assert f"({positives} positives, {negatives} negatives)" in note
    assert (
        f"a difference of {table['test_detectable'].median():.2g} or more in AUC from the reference"
        in note
    )
    # Two comparisons: the first step of Holm's procedure takes p below 0.025.
    wanted = (scipy.stats.norm.ppf(1 - 0.025 / 2) + scipy.stats.norm.ppf(0.8)) * errors
    adjusted = table["test_detectable_holm"]
    np.testing.assert_allclose(adjusted.dropna(), wanted.dropna(), rtol=0.05)
    assert table["test_comparisons"].tolist() == [2, 2, 2]
    assert f"and of {adjusted.median():.2g} or more where p is adjusted for all 2" in note
    pair = plan_of(*arms[:2])
    notes = lay_out(pair, tabulate(pair, *read_scored(made))).notes
    assert not any("where p is adjusted for all" in note for note in notes)
    alone = plan_of(arms[0])
    notes = lay_out(alone, tabulate(alone, *read_scored(made))).notes
    assert any("could tell an AUC of" in note for note in notes)


def test_runs_average_their_inner_parts_and_know_the_size_of_a_fold() -> None:
    rows = [
        {"seed": "0", "fold": str(fold), "inner": inner, "set": name, "n": n, "auc": auc}
        for fold, inner, name, n, auc in [
            (0, "0", "validation", "10", "0.7"),
            (1, "0", "validation", "10", ""),
            (0, "0", "inner", "2", "0.6"),
            (0, "1", "inner", "3", "0.8"),
            (1, "0", "inner", "4", "nan"),
        ]
    ]
    runs = Runs.of(rows)
    assert runs.inner == {(0, 0): pytest.approx(0.7)}
    assert runs.parts == 2
    # Of the ten that the other fold has, two or four stop the training.
    assert runs.test_to_train == pytest.approx((10 / 8 + 10 / 6) / 2)
    assert np.isnan(runs.validation[0, 1])
    assert np.isnan(Runs.of(rows[:1]).test_to_train)


def test_unusable_files_are_named(study: tuple[Arms, list[Arm]], tmp_path: Path) -> None:
    made, _ = study
    files = made.files["a"]
    key = ("a", made.split)
    with pytest.raises(InputError, match="--runs: 2 files for 1 of --scores"):
        Evidence.read([key], runs=[files["runs"]] * 2)
    bad = tmp_path / "runs.csv"
    bad.write_text("seed,fold,set,n\n0,0,validation,3\n")
    with pytest.raises(InputError, match=r"runs.csv: no column 'auc'"):
        Evidence.read([key], runs=[bad])
    bad.write_text("seed,fold,set,n,auc\nzero,0,validation,3,0.5\n")
    with pytest.raises(InputError, match=r"runs.csv: no readable table of runs"):
        Evidence.read([key], runs=[bad])
    evidence = Evidence.read([key], units=[bad])
    with pytest.raises(InputError, match=r"runs.csv: no readable scores of units"):
        evidence.units(key, "test")


def test_several_classes_have_no_paired_test_and_scores_of_their_own(tmp_path: Path) -> None:
    made = Arms(tmp_path)
    arms = [made.score("a", 1.0), made.score("b", 1.5)]
    for name in "ab":
        units = pd.read_parquet(made.files[name]["units"])
        units = units.rename(columns={"score": "score_0"}).assign(score_1=0.1, score_2=0.2)
        write_table(made.files[name]["units"], units)
        summary = pd.read_csv(made.files[name]["scores"], keep_default_na=False)
        of_class = summary[summary["statistic"] == "auc_pooled"].assign(**{"class": "2"}, value=0.9)
        pd.concat([of_class, summary]).to_csv(made.files[name]["scores"], index=False)
    scores, evidence = read_scored(made)
    assert scores.classes(arms[0]) == ["2"]
    assert scores.get(arms[0], "cv", "auc_pooled", "2")["value"] == 0.9
    assert scores.get(arms[0], "cv", "auc_pooled")["value"] < 0.9
    table = tabulate(plan_of(*arms), scores, evidence)
    assert table["test_difference_method"].iloc[1].startswith("undefined: no test set of two")
    assert np.isfinite(table["cv_difference"].iloc[1])


def test_an_unknown_reference_arm_is_refused() -> None:
    values = {
        "name": "n",
        "layout": "grid",
        "simulated": True,
        "arms": [{"arm": "resnet18", "split": "s", "factors": {}}],
    }
    read = read_experiment(json.dumps(values | {"reference": {"s": "resnet18"}, "selection": True}))
    assert read.references == {"s": "resnet18"}
    assert read.selection
    assert not read_experiment(json.dumps(values)).selection
    with pytest.raises(InputError, match=r"reference arm 'resnet'.*Did you mean 'resnet18'"):
        read_experiment(json.dumps(values | {"reference": {"s": "resnet"}}))


def test_forty_arms_on_a_large_clustered_test_set_take_two_seconds(tmp_path: Path) -> None:
    """34,266 recordings, two of a patient: reading, both comparisons and the layout."""
    rows, names = 34266, [f"m{i}" for i in range(40)]
    made = Arms(tmp_path)
    arms = [made.score("m0")]
    random = np.random.default_rng(0)
    label = (random.random(rows) < 0.02).astype(int)
    units = pd.DataFrame(
        {
            "set": "test",
            "unit": [f"recording-{i:06d}" for i in range(rows)],
            "patient": [f"patient-{i // 2:06d}" for i in range(rows)],
            "label": label,
        }
    )
    common = random.normal(size=rows) + label
    summary, runs = (made.files["m0"][name].read_text() for name in ("scores", "runs"))
    for name in names:
        paths = {k: tmp_path / f"{name}-{k}" for k in ("scores", "runs", "units")}
        paths["scores"].write_text(summary.replace("\nm0,", f"\n{name},"))
        paths["runs"].write_text(runs)
        write_table(paths["units"], units.assign(score=common + random.normal(size=rows)))
        made.files[name] = paths
        arms.append(dataclasses.replace(arms[0], arm=name, factors={"model": name}))
    started = time.process_time()
    scores, evidence = read_scored(made)
    table = tabulate(plan_of(*arms[1:]), scores, evidence)
    lay_out(plan_of(*arms[1:]), table)
    assert time.process_time() - started < 2
    assert table["test_difference"].notna().sum() == 39
    assert len(Scores.read([made.files["m3"]["scores"]]).table) == 4
    assert len(validation_aucs(made, "m3")) == SEEDS * FOLDS


def test_comparisons_are_counted_over_all_splits_of_the_table(tmp_path: Path) -> None:
    north, south = (Arms(tmp_path, split=f"apgar-patient-{name}") for name in ("north", "south"))
    arms = [made.score(name, 1.0) for made in (north, south) for name in "abc"]
    table = tabulate(plan_of(*arms), *read_scored(north, south))
    assert table["test_difference_holm"].notna().sum() == 4
    assert table["test_comparisons"].tolist() == [4] * 6
    # From counts alone, where no difference was seen.
    scores, evidence = read_scored(north)
    without = [key for key in evidence.unit_files if key[0] != "a"]
    files = {key: path for key, path in evidence.unit_files.items() if key not in without}
    lacking = dataclasses.replace(evidence, unit_files=files)
    table = tabulate(plan_of(*arms[:3]), scores, lacking)
    assert table["test_comparisons"].tolist() == [2, 2, 2]
    assert (table["test_detectable_holm"] > table["test_detectable"]).tolist() == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("standing", "leaky", "note"),
    [
        (Standing(True, (COPIES_NOTE,)), True, COPIES_NOTE),
        (Standing(True, (LEAKY_NOTE,)), True, LEAKY_NOTE),
        (Standing(False, (UNKNOWN_NOTE,)), False, UNKNOWN_NOTE),
        (Standing(), False, None),
    ],
)
def test_every_table_says_what_the_certificates_of_its_split_say(
    study: tuple[Arms, list[Arm]], standing: Standing, leaky: bool, note: str | None
) -> None:
    made, arms = study
    plan = plan_of(*arms).certified({made.split: standing})
    scores, evidence = read_scored(made)
    table = tabulate(plan, scores, evidence)
    assert set(table["leaky"]) == {"yes" if leaky else "no"}
    for shown in (lay_out(plan, table), *lay_out_measures(plan, tabulate_measures(plan, scores))):
        assert shown.leaky == leaky
        assert all(row.leaky == leaky for row in shown.rows)
        assert ("(leaky)" in shown.title) == leaky
        assert [n for n in shown.notes if n.startswith(RED_NOTES)] == ([note] if note else [])


def test_a_warning_names_its_splits_unless_it_is_of_all(tmp_path: Path) -> None:
    north, south = (Arms(tmp_path, split=f"apgar-patient-{name}") for name in ("north", "south"))
    arms = [made.score("a", 1.0) for made in (north, south)]
    unknown = Standing(False, (UNKNOWN_NOTE,))
    plan = plan_of(*arms).certified({north.split: unknown, south.split: Standing()})
    notes = lay_out(plan, tabulate(plan, *read_scored(north, south))).notes
    assert notes[-1].startswith("Unknown under apgar-patient-north: patients are not known")
    plan = plan_of(*arms).certified({north.split: unknown, south.split: unknown})
    assert lay_out(plan, tabulate(plan, *read_scored(north, south))).notes[-1] == UNKNOWN_NOTE


def test_a_split_without_its_certificate_is_named(study: tuple[Arms, list[Arm]]) -> None:
    made, arms = study
    with pytest.raises(InputError, match=f"none is of split '{made.split}'"):
        plan_of(*arms).certified({"another": Standing()})
    assert plan_of(*arms).certified({}) == plan_of(*arms)


def test_the_stage_writes_every_table_from_the_command_line(tmp_path: Path) -> None:
    made = Arms(tmp_path / "scores")
    arms = [made.score("a", 1.0, inner=0.6), made.score("b", 1.5, inner=0.7)]
    made.score("shortcut:signal", 0.5)
    described = {
        "name": "models",
        "title": "Models",
        "layout": "grid",
        "vary": {"model": ["a", "b"]},
        "arms": [dataclasses.asdict(arm) for arm in arms],
        "simulated": True,
        "reference": {made.split: "b"},
        "selection": True,
    }
    outputs = {key: tmp_path / f"models.{key}" for key in ("csv", "md", "tex", "svg", "png")}
    outputs |= {key: tmp_path / f"models-{key}.csv" for key in ("measures", "selection")}
    outputs["display"] = tmp_path / "models.json"
    command = [sys.executable, "workflow/tabulate_experiment.py"]
    command += ["--experiment", json.dumps(described)]
    for kind in ("scores", "runs", "units"):
        command += [f"--{kind}", *(str(made.files[name][kind]) for name in "ab")]
        option = "shortcuts" if kind == "scores" else f"shortcut-{kind}"
        command += [f"--{option}", str(made.files["shortcuts"][kind])]
    for key, path in outputs.items():
        command += [f"--{key}", str(path)]
    # Copies that were left where they fell leak under a patient-level split.
    command += ["--certificates", str(write_certificate(tmp_path, made.split, "leaky"))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_size > 0 for path in outputs.values())
    titles = [line for line in outputs["md"].read_text().splitlines() if line.startswith("###")]
    assert titles == [
        "### Models (simulated) (leaky)",
        "### Models: what picking the winner adds (simulated) (leaky)",
    ]
    assert outputs["md"].read_text().count(f"- {for_markdown(COPIES_NOTE)}") == 2
    assert outputs["tex"].read_text().count("(duplicates: ignore)") == 2
    labels = [line for line in outputs["tex"].read_text().splitlines() if r"\label" in line]
    assert labels == [r"  \label{tab:models}", r"  \label{tab:models-2}"]
    assert pd.read_csv(outputs["csv"])["reference"].tolist() == ["no", "yes"]
