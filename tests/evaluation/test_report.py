"""The stages from predictions to the report, by their commands, and what the page holds."""

from __future__ import annotations

import html.parser
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fewcase.data.files import write_json, write_table
from fewcase.evaluation import report

WORKFLOW = Path(__file__).parents[2] / "workflow"
HOSTILE = "<script>alert('1')</script>"
STEPS = ("recorded", "ingested", "labelled")


def call(script: str, *arguments: Any) -> int:
    """Run a stage script as a command and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(WORKFLOW / script), run_name="__main__")
    return int(stopped.value.code or 0)


class Page(html.parser.HTMLParser):
    """Collects elements, attributes and text of a page, and checks that elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def write_flow(folder: Path) -> tuple[Path, Path]:
    rows = [
        (step, site, label, 100 - 10 * i, 90 - 10 * i)
        for i, step in enumerate(STEPS)
        for site in (HOSTILE, "Ibi", "all")
        for label in ("positive", "negative", "unlabelled", "all")
    ]
    flow, rejected = (
        folder / "ctg" / "apgar" / "flow.csv",
        folder / "ctg" / "apgar" / "rejected.parquet",
    )
    flow.parent.mkdir(parents=True)
    columns = ["step", "site", "label", "recordings", "patients"]
    pd.DataFrame(rows, columns=columns).to_csv(flow, index=False)
    refusals = {"record": ["r1", "r2", "r3"], "stage": ["ingest", "signal", "signal"]}
    reasons = ["truncated signal", "too short", "too short"]
    write_table(rejected, pd.DataFrame(refusals).assign(reason=reasons, detail=HOSTILE))
    return flow, rejected


@pytest.fixture(scope="module")
def folder(shared_study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score two arms, tabulate them, count labels and make the report, all by their commands."""
    folder = tmp_path_factory.mktemp("report")
    summaries = []
    for arm, quality in [("vit", 1.2), ("logistic", 0.4)]:
        files = shared_study.runs(arm, quality)
        options = folder / f"{arm}.json"
        write_json(options, {"weights": "none", "precision": "float32", "device": "CPU"})
        summaries.append(folder / f"{arm}.csv")
        runs = [f"{file.seed}/{file.fold}" for file in files]
        paths = [file.path for file in files]
        splits = [shared_study.write_split(seed)[0] for seed in shared_study.seeds]
        named = ("--arm", arm, "--split-name", "apgar-patient-none", "--unit", "example")
        made = ("--summary", summaries[-1], "--runs-out", folder / f"{arm}-runs.csv")
        given = ("--predictions", *paths, "--runs", *runs, "--run-options", options)
        assert call("score.py", *given, "--splits", *splits, *named, *made) == 0
    facts = {"name": "models", "title": f"Models {HOSTILE}", "layout": "grid"}
    arms = [
        {"arm": arm, "split": "apgar-patient-none", "factors": {"model": model}, "leaky": i == 0}
        for i, (arm, model) in enumerate([("vit", HOSTILE), ("logistic", "logistic")])
    ]
    facts |= {"vary": {"model": [HOSTILE, "logistic"]}}
    experiment = json.dumps(facts | {"arms": arms, "simulated": True, "published": None})
    outputs = [(f"--{e}", folder / f"models.{e}") for e in ("csv", "md", "tex", "svg", "png")]
    flat = [item for pair in outputs for item in pair]
    assert (
        call("tabulate_experiment.py", "--experiment", experiment, "--scores", *summaries, *flat)
        == 0
    )
    pairs = [shared_study.write_split(seed) for seed in shared_study.seeds]
    outputs = [(f"--{e}", folder / f"labels.{e}") for e in ("csv", "md", "tex", "svg", "png")]
    flat = [item for pair in outputs for item in pair]
    given = ("--splits", *(s for s, _ in pairs), "--samples", *(s for _, s in pairs))
    assert call("tabulate_labels.py", "--title", "Labels (simulated)", *given, *flat) == 0
    flow, rejected = write_flow(folder)
    (folder / "arms.csv").write_text(f"arm,model,seed\nvit,{HOSTILE},1\nlogistic,logistic,1\n")
    write_json(folder / "study.json", {"study": "ctg", "note": "</pre>" + HOSTILE})
    content = {
        "study": "ctg",
        "title": f"Births {HOSTILE}",
        "preset": "smoke",
        "simulated": True,
        "leaky": True,
        "experiments": [facts],
        "cohorts": {"ctg": "simulate_ctg"},
        "split": "apgar-patient-none",
        "runs": 30,
    }
    files = {
        "tables": folder / "models.csv",
        "figures": folder / "models.svg",
        "labels": folder / "labels.csv",
        "label-figures": folder / "labels.png",
        "flow": flow,
        "rejected": rejected,
        "steps": folder / "models.png",
        "splits": pairs[0][0],
        "arms": folder / "arms.csv",
        "study": folder / "study.json",
        "out": folder / "report.html",
    }
    flat = [item for name, path in files.items() for item in (f"--{name}", path)]
    assert call("make_report.py", "--content", json.dumps(content), *flat) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    """Return the report."""
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_report_is_one_page_with_every_part(page: str, folder: Path) -> None:
    parsed = Page(page)
    assert parsed.open == []
    anchors = {values["id"] for _, values in parsed.elements if "id" in values}
    links = [values["href"] for tag, values in parsed.elements if tag == "a"]
    assert {"#experiment-1", "#flow", "#rejected", "#splits", "#arms", "#study"} <= set(links)
    assert {str(link)[1:] for link in links} == anchors
    text = " ".join(parsed.texts)
    scored = pd.read_csv(folder / "models.csv")["cv_mean"].iloc[0]
    for words in (
        f"{scored:.3f}",
        "no number on this page says anything about patients",
        "no evidence of how good a method is",
        "80 of 100 recordings are used, of 70 patients; 80 are positive",
        "truncated signal",
        "Initial weights: none; precision: float32; device: CPU.",
        "training part, under-sampled",
        "Digest",
        "Where this page was made",
    ):
        assert words in text, words


def test_the_report_needs_no_network_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    tags = {tag for tag, _ in parsed.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form"}
    pictures = [str(values["src"]) for tag, values in parsed.elements if tag == "img"]
    assert len(pictures) == 3
    assert all(source.startswith(("data:image/svg", "data:image/png")) for source in pictures)
    for _, values in parsed.elements:
        assert not any(name.startswith("on") for name in values)
        assert "http" not in str(values.get("href", "")) + str(values.get("src", ""))[:30]
    assert "@import" not in page
    assert "url(" not in page
    assert HOSTILE in " ".join(parsed.texts)


def test_leaky_numbers_are_red_in_the_report(page: str) -> None:
    parsed = Page(page)
    red = [
        values
        for tag, values in parsed.elements
        if tag == "tr" and "leaky" in str(values.get("class"))
    ]
    assert len(red) == 1
    assert f"{HOSTILE} (leaky)" in parsed.texts


ARMS = """arm,model,model_options,weights,augment,epochs,bags
vit_small_patch16_224+depth=4+embed_dim=192,vit_small_patch16_224,"{""depth"": 4, ""embed_dim"": 192}",none,cutmix,8,1
lcnet_050,lcnet_050,{},none,none,8,1
logistic,logistic,{},,,,1
"""  # noqa: E501


def test_the_appendix_lists_what_differs_and_gives_a_classical_arm_a_dash(tmp_path: Path) -> None:
    path = tmp_path / "arms.csv"
    path.write_text(ARMS)
    differs, shared = report.arm_tables(path)
    assert differs.columns == ("Arm", "Model", "Augmentation")
    assert [[cell.text for cell in row.cells[1:]] for row in differs.rows] == [
        ["vit_small_patch16_224 (depth 4, embed_dim 192)", "cutmix"],
        ["lcnet_050", "none"],
        ["logistic", "–"],
    ]
    assert "fitted to features" in differs.notes[0]
    assert [[cell.text for cell in row.cells] for row in shared.rows] == [
        ["Weights", "none"],
        ["Epochs", "8"],
        ["Bags", "1"],
    ]


def test_a_caption_speaks_of_a_test_set_only_where_there_is_one() -> None:
    tested, not_tested = (pd.DataFrame({"test_auc": [value]}) for value in (0.7, float("nan")))
    assert "test set" in report.caption_of("grid", tested)
    assert "test set" not in report.caption_of("grid", not_tested)
    assert "test set" not in report.caption_of("sweep", not_tested)


def test_lines_of_the_page_break_between_factors_and_not_within_one() -> None:
    assert str(report.breakable("vit+depth=4+<b>")) == "vit+<wbr>depth=4+<wbr>&lt;b&gt;"
    shown = str(report.breakable("vit (depth 4, num_heads 3)"))
    assert shown == "vit (depth\u00a04, num_heads\u00a03)"
    assert report.breakable("training part, under-sampled") == "training part, under-sampled"


def test_stages_refuse_mistakes_and_write_nothing(tmp_path: Path) -> None:
    out = ("--summary", tmp_path / "s.csv", "--runs-out", tmp_path / "r.csv")
    named = ("--arm", "a", "--split-name", "s")
    given = ("--predictions", tmp_path / "gone.parquet", "--runs", "0/0")
    assert call("score.py", *given, *named, *out) == 1
    assert call("score.py", *given, "0/1", *named, *out) == 1
    assert not (tmp_path / "s.csv").exists()
    out = ("--arms", tmp_path / "a", "--study", tmp_path / "b", "--out", tmp_path / "c")
    assert call("make_report.py", "--content", "{", *out) == 1
