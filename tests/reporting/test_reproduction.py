"""The reproduction sheet: a paper's numbers against ours, and no verdict that says too much."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from fewcase.reporting.display import to_long_latex, to_markdown
from fewcase.reporting.paper import published_table, read_paper
from fewcase.reporting.reproduction import (
    Results,
    study_in_effect,
    tabulate_reproduction,
)
from fewcase.reporting.reproduction_tables import lay_out_reproduction
from fewcase.reporting.settings_table import compare_settings
from fewcase.reporting.verdicts import (
    AGREES,
    CANT_TELL,
    DIFFERS,
    NOT_COMPARABLE,
    NOT_RUN,
    judge_statement,
    judge_value,
)
from fewcase.study.errors import InputError

REPOSITORY = Path(__file__).parents[2]
CTG = REPOSITORY / "studies" / "published" / "ctg.yaml"
ARM = "resnet50+slit_cutmix"
SPLIT = "apgar-patient-b"

PAPER = {
    "title": "A paper",
    "authors": "A. Author",
    "year": 2024,
    "settings": [
        {"key": "data", "value": "real", "concerns": ["counts", "performance"]},
        {"key": "folds", "value": 10, "where": "Methods", "concerns": ["performance"]},
        {"key": "recipe.neg_per_pos", "value": 6.083, "concerns": ["performance"]},
        {"key": "recipe.batch_size", "value": "unknown", "concerns": ["performance"]},
        {"key": "signal.minutes", "value": 30},
    ],
    "counts": [
        {"id": "all", "where": "Table 1", "text": "All", "step": "recorded", "value": 120},
        {"id": "b", "where": "Table 1", "text": "B", "step": "recorded", "site": "b", "value": 21},
        {"id": "c", "where": "Table 1", "text": "C", "step": "recorded", "site": "c", "value": 5},
        {
            "id": "ratio",
            "where": "Table 4",
            "text": "Ratio",
            "parts": ["training part, under-sampled"],
            "label": "negatives per positive",
            "value": 6.083,
        },
    ],
    "parameters": [
        {"id": "r50", "where": "Table 5", "model": "resnet50", "value": 23.0e6},
        {"id": "r152", "where": "Table 5", "model": "resnet152", "value": 60.0e6},
    ],
    "arms": [
        {
            "id": "table6",
            "where": "Table 6",
            "experiment": "augmentation",
            "factors": ["model", "augment"],
            "columns": ["cv_mean", "cv_sd", "test"],
            "rows": [
                ["resnet50", "slit_cutmix", 0.81, 0.02, 0.67],
                ["resnet50", "none", 0.79, 0.02, 0.64],
                ["resnet152", "none", 0.78, 0.02, None],
            ],
        }
    ],
    "statements": [
        {
            "id": "loss",
            "where": "Figure 14",
            "text": "Slit CutMix costs",
            "experiment": "augmentation",
            "level": {"augment": "slit_cutmix"},
            "against": {"augment": "none"},
            "says": "loss",
        }
    ],
    "wins": [
        {
            "id": "best",
            "where": "Text",
            "text": "Slit CutMix is best",
            "experiment": "augmentation",
            "factor": "augment",
            "level": "slit_cutmix",
            "over": "model",
            "of": "cv",
            "value": 1,
        }
    ],
}

STUDY = {
    "study": "own",
    "preset": "full",
    "data": "data",
    "seeds": [0],
    "folds": 5,
    "cohorts": {"ctg": {"source": "ctu_uhb"}},
    "targets": {"apgar": {"rule": "apgar"}},
    "hold_out": {"b": [{"site": "b"}]},
    "split": {"hold_out": "b"},
    "recipe": {"model": "resnet50", "augment": "slit_cutmix"},
    "experiments": {"augmentation": {"vary": {"augment": ["none", "slit_cutmix"]}}},
}


def row(model, augment, cv, test, arm, leaky="no"):
    low, high = (cv - 0.02, cv + 0.02) if cv else ("", "")
    return {
        "model": model,
        "augment": augment,
        "arm": arm,
        "split": SPLIT,
        "leaky": leaky,
        "cv_mean": cv,
        "cv_sd": 0.03,
        "cv_low": low,
        "cv_high": high,
        "test_auc": test,
        "test_low": test - 0.09,
        "test_high": test + 0.09,
        "test_mean": test - 0.02,
        "test_mean_low": test - 0.10,
        "test_mean_high": test + 0.05,
    }


def results(rows=None, runs=None, sizes=None):
    rows = rows or [
        row("resnet50", "slit_cutmix", 0.80, 0.66, ARM),
        row("resnet50", "none", 0.75, 0.60, "resnet50"),
    ]
    flow = pd.DataFrame(
        [("recorded", "a", 100), ("recorded", "b", 20), ("recorded", "all", 120)],
        columns=["step", "site", "recordings"],
    ).assign(label="all")
    labels = pd.DataFrame(
        [
            ("training part, under-sampled", "", s, f, "0", 100 + f, 608)
            for s in "01"
            for f in range(2)
        ],
        columns=["part", "site", "seed", "fold", "bag", "positive", "negative"],
    ).assign(recordings=1)
    table = pd.DataFrame(rows).astype(str)
    return Results({"augmentation": table}, flow.astype(str), labels, runs or {}, sizes or {})


def paper_of(tmp_path, **changes):
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(PAPER), **changes}), encoding="utf-8")
    return read_paper(path)


def study(**changes):
    return study_in_effect({**copy.deepcopy(STUDY), **changes})


SIMULATED = {"ctg": {"source": "simulate_ctg", "hospitals": {"a": {"recordings": 60}}}}


@pytest.fixture
def sheet(tmp_path):
    return tabulate_reproduction(paper_of(tmp_path), study(), results()).set_index("id")


# Verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paper", "interval", "verdict"),
    [
        (0.80, (0.78, 0.82), AGREES),
        (0.78, (0.78, 0.82), AGREES),
        (0.80, (0.75, 0.85), AGREES),
        (0.80, (0.70, 0.90), CANT_TELL),
        (0.83, (0.78, 0.82), DIFFERS),
        (0.95, (0.70, 0.90), DIFFERS),
        (0.80, (np.nan, np.nan), CANT_TELL),
    ],
)
def test_a_value_agrees_only_within_an_interval_that_is_narrow_enough(paper, interval, verdict):
    ours = 0.8 if np.isnan(interval[0]) else np.mean(interval)
    assert judge_value(paper, ours, *interval, simulated="")[0] == verdict
    assert judge_value(paper, ours, *interval, simulated="recordings")[0] == NOT_COMPARABLE


@pytest.mark.parametrize(
    ("interval", "of_loss", "of_no_loss"),
    [
        ((-0.20, -0.10), AGREES, DIFFERS),
        ((-0.01, 0.01), DIFFERS, AGREES),
        ((0.05, 0.10), DIFFERS, AGREES),
        ((-0.10, 0.10), CANT_TELL, CANT_TELL),
        ((-0.015, -0.005), CANT_TELL, CANT_TELL),
        ((np.nan, np.nan), CANT_TELL, CANT_TELL),
    ],
)
def test_a_statement_is_held_against_the_interval_of_the_difference(interval, of_loss, of_no_loss):
    for says, verdict in [("loss", of_loss), ("no loss", of_no_loss)]:
        assert judge_statement(says, *interval, 0.02, simulated="")[0] == verdict
        assert judge_statement(says, *interval, 0.02, simulated="recordings")[0] == NOT_COMPARABLE


def test_each_number_of_the_paper_has_its_verdict(sheet):
    assert sheet["verdict"].to_dict() == {
        "all": AGREES,
        "b": DIFFERS,
        "c": NOT_RUN,
        "ratio": AGREES,
        "r50": NOT_RUN,
        "r152": NOT_RUN,
        "table6/resnet50/slit_cutmix/cv": AGREES,
        "table6/resnet50/slit_cutmix/test": CANT_TELL,
        "table6/resnet50/none/cv": DIFFERS,
        "table6/resnet50/none/test": CANT_TELL,
        "table6/resnet152/none/cv": NOT_RUN,
        "loss": CANT_TELL,
        "best": CANT_TELL,
    }
    assert sheet.loc["c", "why"] == "the cohort has no hospital 'c' at 'recorded'"
    assert sheet.loc["ratio", "ours"] == pytest.approx(6.08)  # first fold of the first seed


def test_simulated_data_confirm_and_contradict_nothing_about_data(tmp_path):
    own = study(cohorts=SIMULATED, data=None)
    sheet = tabulate_reproduction(paper_of(tmp_path), own, results()).set_index("id")
    about_data = sheet[sheet["ours"].notna()].drop("ratio")
    assert set(about_data["verdict"]) == {NOT_COMPARABLE}
    # How many negatives were drawn is a setting, and does not need a patient.
    assert sheet.loc["ratio", "verdict"] == AGREES


def test_the_size_of_a_model_agrees_within_rounding(tmp_path):
    ours = results(sizes={"resnet50": 23_512_130, "resnet152": 58_147_906})
    sheet = tabulate_reproduction(paper_of(tmp_path), study(), ours).set_index("id")
    assert sheet.loc["r50", "verdict"] == AGREES
    assert sheet.loc["r152", "verdict"] == DIFFERS


def test_the_difference_of_two_levels_is_compared_run_by_run(tmp_path):
    aucs = {ARM: [0.70, 0.72, 0.69, 0.71, 0.70], "resnet50": [0.80, 0.81, 0.80, 0.80, 0.81]}
    paths = []
    for arm, values in aucs.items():
        parts = [
            pd.DataFrame({"seed": 0, "fold": range(5), "inner": 0, "set": name, "n": n, "auc": auc})
            for name, n, auc in [("validation", 20, values), ("inner", 16, 0.9)]
        ]
        paths.append(tmp_path / SPLIT / f"{arm}-runs.csv")
        paths[-1].parent.mkdir(exist_ok=True)
        pd.concat(parts).to_csv(paths[-1], index=False)
    ours = results(runs=Results.read([], runs=paths).runs)
    found = tabulate_reproduction(paper_of(tmp_path), study(), ours).set_index("id").loc["loss"]
    apart = np.array(aucs[ARM]) - np.array(aucs["resnet50"])
    # Nadeau and Bengio: the variance of the mean is that of one run times 1 / J + test / training;
    # of the 80 in the other folds, 16 stop the training.
    half = stats.t.ppf(0.975, 4) * np.sqrt(apart.var(ddof=1) * (1 / 5 + 20 / 64))
    assert found["ours"] == pytest.approx(apart.mean())
    assert found["low"] == pytest.approx(apart.mean() - half)
    assert found["high"] == pytest.approx(apart.mean() + half)
    assert found["verdict"] == AGREES


def test_a_gap_between_test_and_cross_validation_has_the_interval_of_independent_parts(tmp_path):
    gap = {
        "id": "gap",
        "where": "Figure 4",
        "text": "A gap",
        "experiment": "augmentation",
        "level": {"augment": "slit_cutmix"},
        "of": "test minus cv",
        "says": "loss",
    }
    paper = paper_of(tmp_path, statements=[gap])
    found = tabulate_reproduction(paper, study(), results()).set_index("id").loc["gap"]
    # A single run on the test set, of .66 - .02, and not the mean score of all.
    assert found["ours"] == pytest.approx(-0.16)
    assert found["high"] - found["ours"] == pytest.approx(np.hypot(0.07, 0.02))
    assert found["ours"] - found["low"] == pytest.approx(np.hypot(0.08, 0.02))
    assert found["verdict"] == AGREES


def test_the_winner_is_counted_over_the_other_factor(tmp_path):
    rows = [
        row("resnet50", "slit_cutmix", 0.80, 0.66, ARM),
        row("resnet50", "none", 0.75, 0.60, "resnet50"),
        row("resnet18", "slit_cutmix", 0.70, 0.66, "x"),
        row("resnet18", "none", 0.75, 0.60, "y"),
        row("logistic", "", 0.90, 0.60, "z"),
    ]
    found = tabulate_reproduction(paper_of(tmp_path), study(), results(rows)).set_index("id")
    assert found.loc["best", "ours"] == 1
    assert "of 2" in found.loc["best", "what"]


# Settings ----------------------------------------------------------------------------------------


def test_a_changed_setting_is_listed_with_both_values_and_cited_where_it_matters(tmp_path):
    paper = paper_of(tmp_path)
    settings = compare_settings(paper, study()).set_index("key")
    assert settings["state"].to_dict() == {
        "data": "same",
        "folds": "other",
        "recipe.neg_per_pos": "same",
        "recipe.batch_size": "paper silent",
        "signal.minutes": "same",
    }
    assert settings.loc["folds", ["paper", "ours", "number"]].tolist() == ["10", "5", 1]
    sheet = tabulate_reproduction(paper, study(), results()).set_index("id")
    assert sheet.loc["table6/resnet50/none/cv", "settings"] == "folds: 5, paper 10"
    assert sheet.loc["all", "settings"] == ""


def test_settings_are_those_in_effect_and_not_those_of_the_default_arm(tmp_path):
    own = study(
        experiments={
            "augmentation": {
                "vary": {"augment": ["none", "slit_cutmix"]},
                "also": [{"augment": "none", "neg_per_pos": 3}],
            }
        }
    )
    arm = next(name for name in own.arms if "neg_per_pos=3" in name)
    rows = [row("resnet50", "none", 0.75, 0.60, arm), row("resnet50", "slit_cutmix", 0.8, 0.7, ARM)]
    sheet = tabulate_reproduction(paper_of(tmp_path), own, results(rows)).set_index("id")
    differences = sheet.loc["table6/resnet50/none/cv", "settings"].split("; ")
    assert "recipe.neg_per_pos: 3, paper 6.083" in differences
    assert "neg_per_pos" not in sheet.loc["table6/resnet50/slit_cutmix/cv", "settings"]


def test_a_leaky_row_is_red_and_named_so(tmp_path):
    rows = [row("resnet50", "slit_cutmix", 0.80, 0.66, ARM, leaky="yes")]
    paper = paper_of(tmp_path)
    sheet = tabulate_reproduction(paper, study(), results(rows))
    table = lay_out_reproduction(paper, compare_settings(paper, study()), sheet, simulated=False)[1]
    leaky = [r for r in table.rows if r.leaky]
    assert {r.cells[1].text for r in leaky} >= {"resnet50 · slit CutMix: CV AUC (leaky)"}
    assert any("Leaky" in note for note in table.notes)


# The file of a paper -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"setings": []}, r"setings: unknown key.*Did you mean 'settings'"),
        ({"settings": [{"key": "folds", "vale": 3}]}, r"settings\[0\]\.vale: unknown key.*'value'"),
        ({"parameters": PAPER["parameters"] * 2}, "id 'r50' stands twice"),
        ({"counts": [{"id": "x", "where": "", "text": "", "value": 1}]}, "give either the step"),
        (
            {"settings": [{"key": "folds", "value": 3, "concerns": ["performanse"]}]},
            "Did you mean 'performance'",
        ),
    ],
)
def test_a_mistake_in_a_papers_file_is_named_with_the_nearest_word(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        paper_of(tmp_path, **changes)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"columns": ["cv_maen", "cv_sd", "test"]}, "Did you mean 'cv_mean'"),
        ({"rows": [["resnet50", "none", 0.8]]}, r"rows\[0\]: 3 cells, expected 5"),
        ({"rows": [["resnet50", "none", 0.8, 0.1, "n/a"]]}, "test is 'n/a'; expected a number"),
    ],
)
def test_a_table_that_does_not_fit_its_columns_is_refused(tmp_path, cell, message):
    with pytest.raises(InputError, match=message):
        paper_of(tmp_path, arms=[{**PAPER["arms"][0], **cell}])


def test_a_setting_that_no_study_has_is_named_with_the_nearest_one(tmp_path):
    paper = paper_of(tmp_path, settings=[{"key": "recipe.batchsize", "value": 3}])
    with pytest.raises(InputError, match=r"recipe\.batchsize.*Did you mean 'recipe\.batch_size'"):
        compare_settings(paper, study())


def test_the_file_of_the_ctg_paper_is_complete_and_fits_its_study():
    paper = read_paper(CTG)
    file = yaml.safe_load((REPOSITORY / "studies" / "ctg.yaml").read_text(encoding="utf-8"))
    effective = {key: value for key, value in file.items() if key != "presets"}
    own = study_in_effect({**effective, "preset": "full"})
    assert len(compare_settings(paper, own)) == len(paper.settings)
    # Every arm of the paper's Table 6 is one that the full study trains.
    table = published_table(paper, "augmentation")
    arms = {
        (a.factors["model"], a.factors["augment"])
        for a in own.experiments["augmentation"].arms
        if "augment" in a.factors
    }
    assert len(table) == 40
    assert set(zip(table["model"], table["augment"], strict=True)) <= arms
    best = table.loc[table["cv_mean"].astype(float).idxmax()]
    assert (best["model"], best["cv_mean"]) == ("swin_base_patch4_window7_224", 0.8310)
    # The paper counts 6 models for which CutMix, and 6 for which slit CutMix on test, is best.
    for entry, column in zip(paper.wins, ("cv_mean", "test"), strict=True):
        winners = table.loc[table.groupby("model")[column].idxmax(), "augment"]
        assert (winners == entry.level).sum() == entry.value
    # Its hospitals add up to what is left after cleaning.
    sites = [c.value for c in paper.counts if c.id.startswith("cleaned_")]
    assert sum(sites) == next(c.value for c in paper.counts if c.id == "cleaned")


def test_a_sheet_is_printed_as_markdown_and_latex(tmp_path):
    paper = paper_of(tmp_path)
    sheet = tabulate_reproduction(paper, study(), results())
    settings = compare_settings(paper, study())
    tables = lay_out_reproduction(paper, settings, sheet, simulated=True)
    for table in tables:
        assert "(simulated)" in table.title
        assert len(table.widths) == len(table.columns)
        assert sum(table.widths) < 1
        assert table.reading.startswith("How to read: ")
        assert to_markdown(table).startswith("### ")
        latex = to_long_latex(table, "sheet")
        assert latex.count(r"\begin{longtable}") == latex.count(r"\end{longtable}") == 1
        assert latex.count(" & ") == (len(table.rows) + 2) * (len(table.columns) - 1)


def test_many_numbers_that_were_not_run_are_one_row_of_print_and_all_rows_of_the_file(tmp_path):
    table = PAPER["arms"][0]
    rows = [[f"model{i}", "none", 0.8, 0.1, 0.7] for i in range(20)]
    paper = paper_of(tmp_path, arms=[{**table, "rows": [*table["rows"][:1], *rows]}])
    sheet = tabulate_reproduction(paper, study(), results())
    assert (sheet["verdict"] == NOT_RUN).sum() >= 40
    settings = compare_settings(paper, study())
    printed = lay_out_reproduction(paper, settings, sheet, simulated=False)[1]
    assert "40 numbers, one by one in the CSV file" in [r.cells[1].text for r in printed.rows]
    assert len(printed.rows) < 15


def test_the_stage_writes_the_sheet_and_names_a_mistake(tmp_path):
    ours = results()
    ours.tables["augmentation"].to_csv(tmp_path / "augmentation.csv", index=False)
    ours.flow.to_csv(tmp_path / "flow.csv", index=False)
    (tmp_path / "study.json").write_text(json.dumps(STUDY), encoding="utf-8")
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(PAPER), encoding="utf-8")
    options = (
        "--paper paper.yaml --study study.json --tables augmentation.csv --flow flow.csv"
        " --csv out/r.csv --md out/r.md --tex out/r.tex --display out/r.json"
    )
    script = str(REPOSITORY / "workflow" / "tabulate_reproduction.py")
    done = subprocess.run(
        [sys.executable, script, *options.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = pd.read_csv(tmp_path / "out" / "r.csv").set_index("id")
    assert written.loc["table6/resnet50/slit_cutmix/cv", "verdict"] == AGREES
    assert "agrees" in (tmp_path / "out" / "r.md").read_text(encoding="utf-8")


# Accuracies --------------------------------------------------------------------------------------

HISTOLOGY = REPOSITORY / "studies" / "published" / "histology.yaml"
MATRIX = {
    "model": "resnet34",
    "gan": "scratch",
    "training_set": "",
    "arm": "resnet50",
    "split": SPLIT,
    "leaky": "no",
    "cv_method": "Wilson, clustered",
    "reference_arm": "real",
}


def matrix_row(measure, cv, width=0.03, **changes):
    row = {**MATRIX, "measure": measure, "cv_mean": cv, "cv_sd": 0.004}
    row |= {"cv_low": cv - width, "cv_high": cv + width, "test_value": "", **changes}
    return row


def real(measure, cv, **changes):
    names = {"arm": "real", "gan": "none", "training_set": "real", "reference_arm": "real"}
    return matrix_row(measure, cv, **{**names, **changes})


def of_matrix(*rows):
    return Results({"path_dt_msu": pd.DataFrame(rows).astype(str)})


def histology_sheet(*rows):
    sheet = tabulate_reproduction(read_paper(HISTOLOGY), study(), of_matrix(*rows))
    return sheet.set_index("id")


def test_each_accuracy_is_held_against_that_measure():
    sheet = histology_sheet(
        real("accuracy", 0.86),
        real("balanced_accuracy", 0.70),
        matrix_row("accuracy", 0.85),
        matrix_row("balanced_accuracy", 0.80, width=0.2),
    )
    accuracy = sheet.loc["table1_accuracy/real/none/resnet34/cv"]
    assert accuracy[["paper", "ours", "verdict"]].tolist() == [0.8713, 0.86, AGREES]
    assert accuracy["what"].endswith("validation accuracy")
    balanced = sheet.loc["table1_balanced/real/none/resnet34/cv"]
    assert balanced[["paper", "ours", "verdict"]].tolist() == [0.7623, 0.70, DIFFERS]
    # The generator's rows lack the factor that real images have, and are the only ones that fit.
    assert sheet.loc["table1_accuracy/synthetic/scratch/resnet34/cv", "verdict"] == AGREES
    assert sheet.loc["table1_balanced/synthetic/scratch/resnet34/cv", "verdict"] == CANT_TELL
    assert sheet.loc["table1_accuracy/synthetic/d1g2/resnet34/cv", "verdict"] == NOT_RUN
    assert sheet.loc["table2/real/none/resnet34/cv", "why"] == "no experiment 'bach' in this study"


def test_a_row_that_fits_two_arms_is_not_run():
    sheet = histology_sheet(
        real("accuracy", 0.86), matrix_row("accuracy", 0.85), matrix_row("accuracy", 0.84, arm="x")
    )
    assert sheet.loc["table1_accuracy/synthetic/scratch/resnet34/cv", "verdict"] == NOT_RUN


def test_an_experiment_about_another_measure_has_no_such_number():
    sheet = histology_sheet(real("accuracy", 0.86))
    found = sheet.loc["table1_balanced/real/none/resnet34/cv"]
    assert found["why"] == "the experiment is not about balanced accuracy"
    of_auc = Results({"path_dt_msu": pd.DataFrame([row("resnet34", "none", 0.8, 0.7, "resnet50")])})
    sheet = tabulate_reproduction(read_paper(HISTOLOGY), study(), of_auc).set_index("id")
    found = sheet.loc["table1_accuracy/real/none/resnet34/cv"]
    assert found["why"] == "the experiment is not about accuracy"


def test_a_statement_takes_the_difference_that_the_table_has():
    model = {"model": "efficientnet_b2"}
    difference = {"cv_difference": -0.02, "cv_difference_low": -0.03, "cv_difference_high": -0.012}
    sheet = histology_sheet(
        real("accuracy", 0.88, **model),
        matrix_row("accuracy", 0.86, **model, **difference),
        real("balanced_accuracy", 0.78, **model),
        matrix_row("balanced_accuracy", 0.80, **model),
    )
    found = sheet.loc["path_scratch_accuracy"]
    assert found[["ours", "low", "high", "verdict"]].tolist() == [-0.02, -0.03, -0.012, AGREES]
    assert sheet.loc["path_scratch_balanced", "verdict"] == CANT_TELL


def test_counts_of_an_experiment_under_another_split_are_not_ours():
    labels = pd.DataFrame(
        [("training part", 60000), ("early stopping", 6073), ("validation", 49460)],
        columns=["part", "recordings"],
    ).assign(site="", seed="0", fold="0", bag="", AT=[30000, 3966, 1])
    ours = Results({}, labels=labels)
    counted = tabulate_reproduction(read_paper(HISTOLOGY), study(), ours).set_index("id")
    assert counted.loc["path_training", "verdict"] == NOT_RUN
    assert "another split than experiment 'path_dt_msu'" in counted.loc["path_training", "why"]
    file = copy.deepcopy(STUDY)
    file["experiments"] = {"path_dt_msu": file["experiments"]["augmentation"]}
    sheet = tabulate_reproduction(read_paper(HISTOLOGY), study_in_effect(file), ours)
    counted = sheet.set_index("id")
    assert counted.loc["path_training", ["ours", "verdict"]].tolist() == [66073, AGREES]
    assert counted.loc["path_at", ["ours", "verdict"]].tolist() == [33966, AGREES]
    assert counted.loc["path_dys", "why"] == "labels.csv has no label 'DYS'"


def test_the_file_of_the_histology_paper_has_both_tables_as_shares():
    paper = read_paper(HISTOLOGY)
    factors = ["training_set", "gan", "model"]
    tables = {
        measure: published_table(paper, "path_dt_msu", measure)
        .set_index(factors)["cv_mean"]
        .sort_index()
        for measure in ("accuracy", "balanced_accuracy")
    }
    bach = published_table(paper, "bach", "accuracy").set_index(factors)["cv_mean"].sort_index()
    assert [len(t) for t in (*tables.values(), bach)] == [12, 12, 12]
    # What the text says of them: gains over real images alone, in per cent.
    for table, gain in [
        (tables["accuracy"], (1.2, 2.4)),
        (tables["balanced_accuracy"], (4.4, 5.6)),
    ]:
        best, alone = table["synthetic", "d1g2"], table["real", "none"]
        found = 100 * (best - alone).astype(float)
        assert (round(found.min(), 1), round(found.max(), 1)) == gain
    found = 100 * (bach["both", "g2"] - bach["real", "none"]).astype(float)
    assert found.min() > 1.2
    assert found.max() < 2.2
    assert published_table(paper, "path_dt_msu").empty
    assert paper.citation.endswith("Cybernetics")


def test_a_sheet_about_accuracies_does_not_speak_of_auc():
    paper = read_paper(HISTOLOGY)
    sheet = tabulate_reproduction(paper, study(), of_matrix(real("accuracy", 0.86)))
    settings = compare_settings(paper, study())
    tables = lay_out_reproduction(paper, settings, sheet, simulated=True, unit="tile")
    assert tables[1].reading.startswith("How to read: an accuracy agrees where")
    assert any(note.startswith("All images are simulated") for note in tables[1].notes)
    # A study without generators has nothing to set otherwise about them.
    state = settings.set_index("key")["state"]
    assert state["gan.conditioning"] == "other"
    assert state["gan.kimg"] == "paper silent"
