"""Reporting checklists: every item there once, answers from files that exist, blanks left blank."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fewcase.data.files import write_table
from fewcase.reporting.checklist_answers import ANSWERS
from fewcase.reporting.checklist_results import warnings_of
from fewcase.reporting.checklists import (
    BLANK,
    FILLED,
    FOR_AUTHORS,
    IN_PART,
    fill,
    lay_out_checklist,
    read_checklist,
)
from fewcase.reporting.display import to_long_latex, to_markdown
from fewcase.reporting.run_files import RunFiles
from fewcase.splits.flow import ACCOUNT_COLUMNS
from fewcase.study.errors import InputError

WORKFLOW = Path(__file__).parents[2] / "workflow"
TRIPOD = WORKFLOW / "checklists" / "tripod_ai.yaml"
CLAIM = WORKFLOW / "checklists" / "claim.yaml"

STUDY = {
    "study": "own",
    "title": "A study",
    "preset": "full",
    "data": "data",
    "seeds": [0, 1],
    "folds": 5,
    "cohorts": {"ctg": {"source": "ctu_uhb"}},
    "targets": {"ph": {"rule": "below", "column": "ph", "threshold": 7.05}},
    "hold_out": {"b": [{"site": "b"}]},
    "split": {"hold_out": "b"},
    "recipe": {"model": "resnet50"},
    "subgroups": {"term": {"column": "gestational_weeks", "edges": [37]}},
    "experiments": {"models": {"title": "All models", "vary": {"model": ["resnet50", "resnet18"]}}},
}
SPLIT = "ph-patient-b"


def make_run(folder, **changes):
    """Write the files of a small run, and return where they are."""
    study = {**STUDY, **changes}
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    (folder / "arms.csv").write_text("arm,model\nresnet50,resnet50\n", encoding="utf-8")
    boxes = [
        ("recorded", "remaining", "", 110, 20),
        ("ingested", "left out", "no heart rate", 3, 0),
        ("ingested", "remaining", "", 107, 20),
        ("labelled", "left out", "no label", 7, 0),
        ("labelled", "remaining", "", 100, 20),
        ("cross-validation", "test", "external test", 40, 4),
        ("cross-validation", "remaining", "", 60, 16),
        ("trained on in fold 1", "remaining", "", 40, 10),
    ]
    rows = [
        (step, kind, reason, site, label, m, m, m)
        for step, kind, reason, n, p in boxes
        for site in ("b" if kind == "test" else "a", "all")
        for label, m in [("positive", p), ("negative", n - p), ("all", n)]
    ]
    pd.DataFrame(rows, columns=ACCOUNT_COLUMNS).to_csv(folder / "flow-ctg-ph.csv", index=False)
    records = pd.DataFrame({"record": ["r1", "r2", "r3"], "site": ["a", "a", "b"]})
    records["date"] = pd.to_datetime(["2015-03-01", "2017-04-05", None])
    records["maternal_age"] = [25.0, 35.0, np.nan]
    write_table(folder / "records.parquet", records)
    summary = [
        ("cv", "auc_mean", 0.80, 0.78, 0.82, "corrected resampled t"),
        ("test", "auc_ensemble", 0.70, 0.60, 0.78, "DeLong, logit"),
        ("external", "auc_ensemble", 0.70, 0.60, 0.78, "DeLong, logit"),
        ("test", "sensitivity", 0.50, 0.30, 0.70, "Wilson"),
        ("test", "brier", 0.10, 0.08, 0.12, "BCa"),
        ("cv", "threshold", 0.44, np.nan, np.nan, ""),
        ("test", "threshold", 0.31, np.nan, np.nan, ""),
        ("cv-site:a", "auc_pooled", 0.81, 0.76, 0.85, "DeLong, logit"),
        ("test-site:b", "auc_ensemble", 0.70, 0.60, 0.78, "DeLong, logit"),
        ("cv-group:term=at least 37", "auc_pooled", 0.77, 0.70, 0.83, "DeLong, logit"),
    ]
    columns = ["set", "statistic", "value", "low", "high", "method"]
    scores = pd.DataFrame(summary, columns=columns).assign(arm="resnet50", split=SPLIT, runs=10)
    scores.to_csv(folder / "resnet50.csv", index=False)
    table = pd.DataFrame({"arm": ["resnet50"], "split": [SPLIT], "test_detectable_auc": [0.64]})
    table.to_csv(folder / "models.csv", index=False)
    checks = [{"name": "patients", "status": "disjoint"}]
    for seed in study["seeds"]:
        certificate = {"seed": seed, "status": "clean", "checks": checks, "notes": []}
        path = folder / f"certificate-seed-{seed}.json"
        path.write_text(json.dumps(certificate), encoding="utf-8")
    options = {"weights": "imagenet (a1_in1k)", "parameters": 23_512_130, "device": "CPU"}
    options["versions"] = {"torch": "2.14.1"}
    (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
    (folder / "flow-ctg-ph.svg").write_text("<svg/>", encoding="utf-8")
    return RunFiles(
        study=folder / "study.json",
        arms=folder / "arms.csv",
        account=folder / "flow-ctg-ph.csv",
        flow_figure=folder / "flow-ctg-ph.svg",
        records=folder / "records.parquet",
        certificates=tuple(folder / f"certificate-seed-{seed}.json" for seed in study["seeds"]),
        scores=folder / "resnet50.csv",
        tables=(folder / "models.csv",),
        options=(folder / "options.json",),
    )


def answers_of(files, path=TRIPOD):
    root = files.study.parent
    return fill(read_checklist(path), files, root).set_index("item")


# The checklists ----------------------------------------------------------------------------------


def test_tripod_ai_has_27_items_in_52_parts_as_published():
    items = [item.item for item in read_checklist(TRIPOD).items]
    letters = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef"}
    letters |= {20: "abc", 23: "ab", 27: "abc"}
    published = [f"{n}{letter}" for n in range(1, 28) for letter in letters.get(n, [""])]
    assert items == published
    assert len(items) == 52


def test_claim_has_44_items_in_order():
    assert [item.item for item in read_checklist(CLAIM).items] == [str(n) for n in range(1, 45)]


@pytest.mark.parametrize(
    ("path", "topics"),
    [
        (
            TRIPOD,
            {"10": "Sample size", "11": "Missing data", "13": "Class imbalance", "14": "Fairness"}
            | {"15": "Model output", "17": "Ethical approval", "18f": "Code sharing"}
            | {"22": "Model specification", "24": "Model updating", "26": "Limitations"},
        ),
        (
            CLAIM,
            {"12": "Missing data", "20": "Disjointness", "23": "Software", "27": "Ensembling"}
            | {"31": "Explainability", "33": "External testing", "34": "Registration"}
            | {"35": "Flow", "40": "Limitations", "44": "Funding"},
        ),
    ],
)
def test_items_have_the_numbers_that_they_were_published_under(path, topics):
    found = {item.item: item.topic for item in read_checklist(path).items}
    assert {number: found[number] for number in topics} == topics


def test_every_answer_of_a_run_is_asked_for():
    asked = {
        name for p in (TRIPOD, CLAIM) for item in read_checklist(p).items for name in item.answers
    }
    assert asked == set(ANSWERS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": ["titel"]}, "item 1: no run has an answer 'titel'. Did you mean 'title'"),
        ({"ask": "x"}, r"items\[0\]\.ask: unknown key.*'asks'"),
        ({"item": "2"}, "item '2' stands twice"),
    ],
)
def test_a_mistake_in_a_checklist_is_named(tmp_path, change, message):
    content = yaml.safe_load(TRIPOD.read_text(encoding="utf-8"))
    content["items"][0] |= change
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_checklist(path)


# Answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TRIPOD, CLAIM])
def test_a_filled_item_points_to_files_that_exist(tmp_path, path):
    table = answers_of(make_run(tmp_path), path)
    filled = table[table["state"] != BLANK]
    assert len(filled) > 20
    for row in filled.to_dict("records"):
        assert row["answer"]
        sources = row["source"].split(", ")
        assert all((tmp_path / source).is_file() for source in sources), sources
    blank = table[table["state"] == BLANK]
    assert (blank["answer"] == "").all()
    assert (blank["source"] == "").all()


def test_what_only_authors_know_is_left_to_them(tmp_path):
    table = answers_of(make_run(tmp_path))
    for item in ("2", "3a", "8b", "17", "18a", "18b", "18d", "19", "25"):
        assert table.loc[item, "state"] == BLANK
    assert table.loc["8a", "state"] == IN_PART
    assert table.loc["12a", "state"] == FILLED


def test_answers_are_the_numbers_of_the_files(tmp_path):
    table = answers_of(make_run(tmp_path))["answer"]
    assert "a 2015-03-01 to 2017-04-05; 1 without a date" in table["5b"]
    assert "no heart rate (3); no label (7)" in table["6b"]
    assert "rule below" in table["8a"]
    assert "threshold 7.05" in table["8a"]
    assert "an AUC of 0.640" in table["10"]
    assert "5-fold cross-validation by patient with seeds 0, 1" in table["12a"]
    assert "held out for testing: b" in table["12a"]
    assert "Certificate of seeds 0, 1: clean (patients disjoint)." in table["12a"]
    assert "23,512,130 parameters" in table["12c"]
    assert "mean over 10 runs" in table["12g"]
    assert "fixed on other examples than those it is applied to (0.310 on test)" in table["15"]
    assert "cross-validation: a, 26.7 % positive; external test: b, 10.0 % positive" in table["16"]
    assert "110 recordings" in table["20a"]
    assert "maternal age 30 (27.5 to 32.5), n = 2" in table["20b"]
    assert "0.800 [0.780–0.820]" in table["23a"]
    assert "external test: ROC-AUC of the score averaged over all runs 0.700" in table["23a"]
    assert "term=at least 37 (cross-validation) 0.770" in table["23a"]
    assert "a (cross-validation) 0.810 [0.760–0.850]; b (test) 0.700" in table["23b"]
    claim = answers_of(make_run(tmp_path), CLAIM)["answer"]
    assert "torch 2.14.1, on CPU" in claim["23"]
    assert "imagenet (a1_in1k)" in claim["24"]
    assert "corrected resampled t, DeLong, Wilson, BCa" in claim["29"]


def test_a_threshold_is_that_of_cross_validation_where_nothing_is_held_out(tmp_path):
    files = make_run(tmp_path)
    scores = pd.read_csv(files.scores)
    scores[scores["set"].str.startswith("cv")].to_csv(files.scores, index=False)
    assert "(0.440 on cross-validation)" in answers_of(files)["answer"]["15"]
    assert "fixed on validation" not in answers_of(make_run(tmp_path)).to_csv()


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("", "Probabilities are corrected for the changed prevalence"),
        (
            "; not corrected for prevalence: the options of a run name none",
            "Probabilities are not corrected for prevalence: the options of a run name none.",
        ),
    ],
)
def test_a_correction_for_prevalence_is_claimed_only_where_there_was_one(tmp_path, note, words):
    files = make_run(tmp_path)
    scores = pd.read_csv(files.scores)
    scores.loc[scores["statistic"] == "brier", "method"] += note
    raw = scores[scores["statistic"] == "brier"].assign(statistic="brier_raw", method="BCa")
    pd.concat([scores, raw]).to_csv(files.scores, index=False)
    answer = answers_of(files)["answer"]["13"]
    assert words in answer
    assert answer.count("Probabilities") == 1
    scores[scores["statistic"] != "brier"].to_csv(files.scores, index=False)
    assert "Probabilities" not in answers_of(dataclasses.replace(files))["answer"]["13"]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ("last", ["The last 20 min of each", "One window per recording: the last 20 min."]),
        ("first", ["The first 20 min of each", "One window per recording: the first 20 min."]),
        ("all", ["All consecutive windows of 20 min, back from the end of each recording"] * 2),
    ],
)
def test_windows_are_described_as_they_were_cut(tmp_path, window, words):
    files = make_run(tmp_path, signal={"window": window, "minutes": 20})
    for name, text in zip(("preprocessing", "subsets"), words, strict=True):
        answer = ANSWERS[name](files).text
        assert text in answer
        assert "all 20 min" not in answer
        assert ("One window" in answer) == (name == "subsets" and window != "all")


def test_a_selection_without_winners_is_not_pointed_to(tmp_path):
    files = make_run(tmp_path)
    (tmp_path / "sites-selection.csv").write_text("group,winner\n", encoding="utf-8")
    (tmp_path / "audit-selection.csv").write_text("", encoding="utf-8")
    names = ("models", "sites-selection", "audit-selection")
    files = dataclasses.replace(files, tables=tuple(tmp_path / f"{name}.csv" for name in names))
    answer = ANSWERS["selection"](files)
    assert answer.sources == (files.study,)
    assert "nested" not in answer.text
    won = tmp_path / "models-selection.csv"
    won.write_text("group,winner\nall,resnet50\n", encoding="utf-8")
    answer = ANSWERS["selection"](dataclasses.replace(files, tables=(*files.tables, won)))
    assert answer.sources == (files.study, won)
    assert "The winner of each grid or sweep has its nested value" in answer.text


def test_subgroups_are_named_where_the_study_has_them(tmp_path):
    assert "by term;" in ANSWERS["subgroups_method"](make_run(tmp_path)).text
    assert ANSWERS["subgroups_method"](make_run(tmp_path, subgroups={})) is None


def test_a_run_without_a_file_leaves_its_items_blank(tmp_path):
    files = make_run(tmp_path)
    bare = RunFiles(study=files.study)
    table = answers_of(bare)
    assert table.loc["20a", "state"] == BLANK
    assert table.loc["23a", "state"] == BLANK
    assert table.loc["12c", "state"] == IN_PART
    assert set(", ".join(table["source"]).replace(" ", "").strip(",").split(",")) <= {
        "study.json",
        "",
    }


def test_simulated_leaky_and_unknown_are_said(tmp_path):
    simulated = {"ctg": {"source": "simulate_ctg", "hospitals": {"b": {"recordings": 60}}}}
    files = make_run(
        tmp_path,
        cohorts=simulated,
        data=None,
        preset="smoke",
        split={"hold_out": "b", "scheme": "image"},
    )
    path = files.certificates[0]
    unknown = json.loads(path.read_text(encoding="utf-8")) | {"status": "unknown"}
    unknown["notes"] = ["The patient of 3 recordings is unknown."]
    path.write_text(json.dumps(unknown), encoding="utf-8")
    table = answers_of(files)["answer"]
    assert "All recordings are simulated" in table["26"]
    assert "Leaky splits: ph-image-b" in table["26"]
    assert "unknown" in table["26"]
    assert "cut short" in table["26"]
    assert "The patient of 3 recordings is unknown." in table["12a"]
    assert "Leaky" in table["12a"]
    assert "simulated recordings, of no person" in table["5a"]
    checklist = read_checklist(TRIPOD)
    filled = fill(checklist, files, tmp_path)
    shown = lay_out_checklist(checklist, filled, simulated=True, warnings=warnings_of(files))
    assert shown.title.endswith("(simulated)")
    assert any("Leaky splits" in note for note in shown.notes)


def test_a_filled_checklist_is_printed_as_markdown_and_latex(tmp_path):
    checklist = read_checklist(CLAIM)
    table = lay_out_checklist(
        checklist, fill(checklist, make_run(tmp_path), tmp_path), simulated=False
    )
    assert len(table.rows) == 44
    assert f"{FOR_AUTHORS}." in [row.cells[3].text for row in table.rows]
    assert to_markdown(table).count("\n| ") == 46
    latex = to_long_latex(table, "claim")
    assert latex.count(" & ") == (44 + 2) * 4
    # Names of a hundred letters may break; LaTeX's own characters stay escaped.
    assert r"flow-ctg-ph.csv" in latex
    assert re.search(r"(?<!\\)[_%#]", latex.replace("% \\usepackage", "")) is None


def test_the_stage_writes_a_checklist_and_names_a_missing_file(tmp_path):
    make_run(tmp_path)
    script = str(WORKFLOW / "tabulate_checklists.py")
    options = (
        f"--checklist {TRIPOD} --study study.json --arms arms.csv --flow flow-ctg-ph.csv"
        " --certificates certificate-seed-0.json --csv out/t.csv --md out/t.md --tex out/t.tex"
        " --display out/t.json"
    )
    done = subprocess.run(
        [sys.executable, script, *options.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = pd.read_csv(tmp_path / "out" / "t.csv", keep_default_na=False).set_index("item")
    assert written.loc["20a", "source"] == "flow-ctg-ph.csv"
    assert "27c" in (tmp_path / "out" / "t.md").read_text(encoding="utf-8")
